/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Work for an executor whose calls fail: operations one by one, and a round
 * of everything that has to come out right whatever failed.
 */
#ifndef TESTS_FAULT_WORK_H
#define TESTS_FAULT_WORK_H

#include "fault.h"

#include <fcntl.h>

/* A task that carries out one operation. */
struct work_one {
	struct filch_task task;
	struct filch_op *op;
	int64_t result;
	unsigned ends; /* how often the operation was told to have ended */
};

static inline enum filch_poll
work_one_poll(struct filch_task *task)
{
	struct work_one *one = filch_container_of(task, struct work_one, task);

	if (filch_op_poll(one->op, task, &one->result) == FILCH_PENDING) {
		return (FILCH_PENDING);
	}
	one->ends++;
	return (FILCH_READY);
}

static inline void
work_start(
    struct filch_executor *executor, struct work_one *one, struct filch_op *op)
{
	one->op = op;
	one->ends = 0;
	one->result = INT64_MIN;
	filch_task_init(&one->task, work_one_poll, NULL);
	FAULT_EQUAL(filch_executor_spawn_joinable(executor, &one->task), 0);
}

/* Wait for the end of an operation, which comes once. */
static inline int64_t
work_end(struct work_one *one)
{
	FAULT_EQUAL(filch_task_join(&one->task), 0);
	FAULT_EQUAL(one->ends, 1);
	return (one->result);
}

static inline int64_t
work_op(struct filch_executor *executor, struct filch_op *op)
{
	struct work_one one;

	work_start(executor, &one, op);
	return (work_end(&one));
}

static inline int
work_create(int driver, struct filch_executor **ret_executor)
{
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;

	options.worker_count = 2;
	options.pin_workers = true;
	options.driver = (enum filch_driver_kind)driver;
	options.ring_entries = FILCH_RING_ENTRIES_MIN;
	return (filch_executor_create(&options, ret_executor));
}

/* Yielding and sleeping, many at once. */

#define WORK_SLEEPERS 8

struct work_sleeper {
	struct filch_task task;
	struct filch_sleep sleep;
	int yields;
	int result;
};

static inline enum filch_poll
work_sleeper_poll(struct filch_task *task)
{
	struct work_sleeper *one =
	    filch_container_of(task, struct work_sleeper, task);

	if (one->yields > 0) {
		one->yields--;
		return (filch_task_yield(task));
	}
	return (filch_sleep_poll(&one->sleep, task, &one->result));
}

static inline void
work_sleep(struct filch_executor *executor)
{
	struct work_sleeper sleepers[WORK_SLEEPERS];
	uint64_t until_ns = filch_now() + 2000000;
	unsigned i;

	for (i = 0; i < WORK_SLEEPERS; i++) {
		struct work_sleeper *one = &sleepers[i];

		one->yields = 10;
		one->result = -1;
		filch_sleep_init(&one->sleep, until_ns + i * 100000);
		filch_task_init(&one->task, work_sleeper_poll, NULL);
		FAULT_EQUAL(
		    filch_executor_spawn_joinable(executor, &one->task), 0);
	}
	for (i = 0; i < WORK_SLEEPERS; i++) {
		FAULT_EQUAL(filch_task_join(&sleepers[i].task), 0);
		FAULT_EQUAL(sleepers[i].result, 0);
	}
	FAULT_CHECK(filch_now() >= until_ns);
}

#define WORK_BLOCK  4096
#define WORK_BLOCKS 40 /* more than the smallest ring takes at once */

/* Blocks written and read at the same time, each with its own bytes. */
static inline void
work_blocks(struct filch_executor *executor, struct filch_file *file)
{
	static char data[WORK_BLOCKS][WORK_BLOCK];
	static struct filch_op ops[WORK_BLOCKS];
	static struct work_one ones[WORK_BLOCKS];
	unsigned i;

	for (i = 0; i < WORK_BLOCKS; i++) {
		memset(data[i], (int)('a' + i % 26), WORK_BLOCK);
		filch_op_init_write(
		    &ops[i], file, data[i], WORK_BLOCK, i * WORK_BLOCK);
		work_start(executor, &ones[i], &ops[i]);
	}
	for (i = 0; i < WORK_BLOCKS; i++) {
		FAULT_EQUAL(work_end(&ones[i]), WORK_BLOCK);
	}
	memset(data, 0, sizeof(data));
	for (i = 0; i < WORK_BLOCKS; i++) {
		filch_op_init_read(
		    &ops[i], file, data[i], WORK_BLOCK, i * WORK_BLOCK);
		filch_op_set_flags(&ops[i], FILCH_OP_NO_INLINE);
		work_start(executor, &ones[i], &ops[i]);
	}
	for (i = 0; i < WORK_BLOCKS; i++) {
		FAULT_EQUAL(work_end(&ones[i]), WORK_BLOCK);
		FAULT_EQUAL(data[i][0], 'a' + i % 26);
		FAULT_EQUAL(data[i][WORK_BLOCK - 1], 'a' + i % 26);
	}
}

/* A pipe read that waits, until a write ends it. */
static inline void
work_pipe(struct filch_executor *executor)
{
	struct filch_file ends[2];
	struct filch_op ops[2];
	struct work_one reader;
	char got[8] = "";
	int fds[2];

	FAULT_EQUAL(pipe2(fds, O_CLOEXEC), 0);
	FAULT_EQUAL(filch_file_init(&ends[0], fds[0]), 0);
	FAULT_EQUAL(filch_file_init(&ends[1], fds[1]), 0);
	filch_op_init_read(
	    &ops[0], &ends[0], got, sizeof(got), FILCH_OFFSET_CURRENT);
	work_start(executor, &reader, &ops[0]);
	work_sleep(executor);
	filch_op_init_write(
	    &ops[1], &ends[1], "written", 8, FILCH_OFFSET_CURRENT);
	FAULT_EQUAL(work_op(executor, &ops[1]), 8);
	FAULT_EQUAL(work_end(&reader), 8);
	FAULT_EQUAL(strcmp(got, "written"), 0);
	/* one more, which its deadline ends */
	filch_op_init_read(
	    &ops[0], &ends[0], got, sizeof(got), FILCH_OFFSET_CURRENT);
	filch_op_set_deadline(&ops[0], filch_now() + 1000000);
	FAULT_EQUAL(work_op(executor, &ops[0]), -ETIMEDOUT);
	/* and one that is cancelled from outside */
	filch_op_init_read(
	    &ops[0], &ends[0], got, sizeof(got), FILCH_OFFSET_CURRENT);
	work_start(executor, &reader, &ops[0]);
	filch_task_cancel(&reader.task);
	FAULT_EQUAL(work_end(&reader), -ECANCELED);
	for (unsigned i = 0; i < 2; i++) {
		filch_op_init_close(&ops[0], &ends[i]);
		FAULT_EQUAL(work_op(executor, &ops[0]), 0);
	}
}

#define WORK_CROWD 48 /* more than the smallest ring holds in all */

/*
 * More waiting reads than there is room for: every second one is cancelled,
 * and then each of the others gets a byte.
 */
static inline void
work_crowd(struct filch_executor *executor)
{
	static struct work_one ones[WORK_CROWD];
	static struct filch_op ops[WORK_CROWD];
	static char bytes[WORK_CROWD];
	struct filch_file ends[2];
	struct filch_op op;
	int fds[2];
	unsigned i;

	FAULT_EQUAL(pipe2(fds, O_CLOEXEC), 0);
	FAULT_EQUAL(filch_file_init(&ends[0], fds[0]), 0);
	FAULT_EQUAL(filch_file_init(&ends[1], fds[1]), 0);
	for (i = 0; i < WORK_CROWD; i++) {
		filch_op_init_read(
		    &ops[i], &ends[0], &bytes[i], 1, FILCH_OFFSET_CURRENT);
		work_start(executor, &ones[i], &ops[i]);
	}
	for (i = 0; i < WORK_CROWD; i += 2) {
		filch_task_cancel(&ones[i].task);
	}
	for (i = 0; i < WORK_CROWD; i += 2) {
		FAULT_EQUAL(work_end(&ones[i]), -ECANCELED);
	}
	memset(bytes, 'x', sizeof(bytes));
	filch_op_init_write(
	    &op, &ends[1], bytes, WORK_CROWD / 2, FILCH_OFFSET_CURRENT);
	FAULT_EQUAL(work_op(executor, &op), WORK_CROWD / 2);
	for (i = 1; i < WORK_CROWD; i += 2) {
		FAULT_EQUAL(work_end(&ones[i]), 1);
	}
	(void)close(fds[0]);
	(void)close(fds[1]);
}

/* All of it, with a new file that is gone afterwards. */
static inline void
work_all(struct filch_executor *executor)
{
	char path[64];
	struct filch_file file = FILCH_FILE_INIT;
	struct filch_stat stat;
	struct filch_op op;

	(void)snprintf(
	    path, sizeof(path), "/tmp/filch-fault-%ld", (long)getpid());
	/* another process of this number may have been killed */
	(void)unlink(path);
	filch_op_init_open(&op, &file, FILCH_DIRECTORY_CURRENT, path,
	    O_RDWR | O_CREAT | O_EXCL, 0600);
	FAULT_EQUAL(work_op(executor, &op), 0);
	work_blocks(executor, &file);
	filch_op_init_fdatasync(&op, &file);
	FAULT_EQUAL(work_op(executor, &op), 0);
	filch_op_init_truncate(&op, &file, 10);
	FAULT_EQUAL(work_op(executor, &op), 0);
	filch_op_init_fstat(&op, &file, &stat);
	FAULT_EQUAL(work_op(executor, &op), 0);
	FAULT_EQUAL(stat.size, 10);
	filch_op_init_close(&op, &file);
	FAULT_EQUAL(work_op(executor, &op), 0);
	FAULT_EQUAL(file.fd, -1);
	filch_op_init_unlink(&op, FILCH_DIRECTORY_CURRENT, path);
	FAULT_EQUAL(work_op(executor, &op), 0);
	FAULT_CHECK(access(path, F_OK) < 0);
	work_pipe(executor);
	work_crowd(executor);
	work_sleep(executor);
}

/* All work comes out right, from creating to destroying. */
static inline void
work_endured(const struct fault_case *one, unsigned at)
{
	struct filch_executor *executor = NULL;

	fault_leak_begin();
	fault_arm(one->symbol, one->error, at, one->every);
	FAULT_EQUAL(work_create(one->driver, &executor), 0);
	work_all(executor);
	filch_executor_destroy(executor);
	fault_disarm();
	fault_leak_end();
}

#endif /* TESTS_FAULT_WORK_H */

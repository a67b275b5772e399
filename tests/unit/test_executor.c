/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The executor end to end: tasks, joins, yields, cancelling and real files,
 * on whatever driver FILCH_DRIVER names.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "helpers.h"

#define MANY 10000

static enum filch_poll
poll_ready(struct filch_task *task)
{
	(void)task;
	return (FILCH_READY);
}

Test(executor, block_on_runs_a_task_to_its_end)
{
	struct filch_executor *executor = executor_new(2);
	struct filch_task task;

	filch_task_init(&task, poll_ready, NULL);
	cr_assert_eq(filch_executor_block_on(executor, &task), 0);
	filch_executor_destroy(executor);
}

static uint64_t released;

static void
count_release(struct filch_task *task)
{
	(void)task;
	__atomic_fetch_add(&released, 1, __ATOMIC_SEQ_CST);
}

Test(executor, graceful_shutdown_runs_and_releases_every_task)
{
	struct filch_executor *executor = executor_new(2);
	struct filch_task *tasks = calloc(MANY, sizeof(*tasks));
	int i;

	for (i = 0; i < MANY; i++) {
		filch_task_init(&tasks[i], poll_ready, count_release);
		cr_assert_eq(filch_executor_spawn(executor, &tasks[i]), 0);
	}
	cr_assert_eq(filch_executor_shutdown(
			 executor, FILCH_SHUTDOWN_GRACEFUL, FILCH_NEVER),
	    0);
	cr_assert_eq(released, MANY);
	filch_executor_destroy(executor);
	free(tasks);
}

Test(executor, spawn_after_shutdown_is_refused)
{
	struct filch_executor *executor = executor_new(1);
	struct filch_task task;

	filch_task_init(&task, poll_ready, NULL);
	cr_assert_eq(filch_executor_shutdown(
			 executor, FILCH_SHUTDOWN_GRACEFUL, FILCH_NEVER),
	    0);
	cr_assert_eq(filch_executor_spawn(executor, &task), -ESHUTDOWN);
	filch_executor_destroy(executor);
}

struct yielder {
	struct filch_task task;
	int left;
};

static enum filch_poll
yielder_poll(struct filch_task *task)
{
	struct yielder *y = filch_container_of(task, struct yielder, task);

	return (--y->left > 0 ? filch_task_yield(task) : FILCH_READY);
}

Test(executor, a_task_that_yields_is_polled_again)
{
	struct filch_executor *executor = executor_new(2);
	struct yielder y = { .left = 1000 };

	filch_task_init(&y.task, yielder_poll, NULL);
	cr_assert_eq(filch_executor_block_on(executor, &y.task), 0);
	cr_assert_eq(y.left, 0);
	filch_executor_destroy(executor);
}

/* Spawns many tasks of next to nothing, then two that need each other. */
struct spreader {
	struct filch_task task;
	struct filch_executor *executor;
	struct filch_task *tiny;
	struct filch_task meeting[2];
	int rounds;
};

#define TINY_ROUNDS 20

static uint64_t met;

static enum filch_poll
meeting_poll(struct filch_task *task)
{
	(void)task;
	__atomic_fetch_add(&met, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&met, __ATOMIC_SEQ_CST) % 2 != 0) {
		continue;
	}
	return (FILCH_READY);
}

static enum filch_poll
spreader_poll(struct filch_task *task)
{
	struct spreader *s = filch_container_of(task, struct spreader, task);
	int i;

	if (__atomic_load_n(&released, __ATOMIC_SEQ_CST) !=
	    (uint64_t)s->rounds * MANY) {
		return (filch_task_yield(task));
	}
	if (s->rounds < TINY_ROUNDS) {
		s->rounds++;
		for (i = 0; i < MANY; i++) {
			filch_task_init(&s->tiny[i], poll_ready, count_release);
			cr_assert_eq(
			    filch_executor_spawn(s->executor, &s->tiny[i]), 0);
		}
		return (filch_task_yield(task));
	}
	for (i = 0; i < 2; i++) {
		filch_task_init(&s->meeting[i], meeting_poll, NULL);
		cr_assert_eq(
		    filch_executor_spawn(s->executor, &s->meeting[i]), 0);
	}
	return (FILCH_READY);
}

Test(executor, long_tasks_spread_although_the_ones_before_were_tiny)
{
	struct spreader s = { .executor = executor_new(2) };

	s.tiny = calloc(MANY, sizeof(*s.tiny));
	filch_task_init(&s.task, spreader_poll, NULL);
	cr_assert_eq(filch_executor_block_on(s.executor, &s.task), 0);
	cr_assert_eq(filch_executor_shutdown(
			 s.executor, FILCH_SHUTDOWN_GRACEFUL, FILCH_NEVER),
	    0);
	cr_assert_eq(met, 2);
	filch_executor_destroy(s.executor);
	free(s.tiny);
}

struct reader {
	struct filch_task task;
	struct filch_file file;
	struct filch_op op;
	char path[64];
	char data[4096];
	int64_t opened;
	int64_t written;
	int64_t got;
	int64_t synced;
	int64_t closed;
	int step;
};

static enum filch_poll
reader_poll(struct filch_task *task)
{
	struct reader *r = filch_container_of(task, struct reader, task);

	switch (r->step) {
	case 0:
		filch_op_init_open(&r->op, &r->file, FILCH_DIRECTORY_CURRENT,
		    r->path, O_RDWR | O_CREAT | O_EXCL, 0600);
		r->step++;
		/* fall through */
	case 1:
		if (filch_op_poll(&r->op, task, &r->opened) == FILCH_PENDING) {
			return (FILCH_PENDING);
		}
		filch_op_init_write(&r->op, &r->file, "hello", 5, 0);
		r->step++;
		/* fall through */
	case 2:
		if (filch_op_poll(&r->op, task, &r->written) == FILCH_PENDING) {
			return (FILCH_PENDING);
		}
		filch_op_init_fdatasync(&r->op, &r->file);
		r->step++;
		/* fall through */
	case 3:
		if (filch_op_poll(&r->op, task, &r->synced) == FILCH_PENDING) {
			return (FILCH_PENDING);
		}
		filch_op_init_read(
		    &r->op, &r->file, r->data, sizeof(r->data), 0);
		r->step++;
		/* fall through */
	case 4:
		if (filch_op_poll(&r->op, task, &r->got) == FILCH_PENDING) {
			return (FILCH_PENDING);
		}
		filch_op_init_close(&r->op, &r->file);
		r->step++;
		/* fall through */
	default:
		return (filch_op_poll(&r->op, task, &r->closed));
	}
}

Test(executor, a_task_opens_writes_syncs_reads_and_closes_a_file)
{
	struct filch_executor *executor = executor_new(2);
	struct reader r = { .file = FILCH_FILE_INIT };

	strcpy(r.path, "/tmp/filch-test-XXXXXX");
	cr_assert_neq(mkdtemp(r.path), NULL);
	strcat(r.path, "/file");
	filch_task_init(&r.task, reader_poll, NULL);
	cr_assert_eq(filch_executor_block_on(executor, &r.task), 0);
	cr_assert_eq(r.opened, 0);
	cr_assert_eq(r.written, 5);
	cr_assert_eq(r.synced, 0);
	cr_assert_eq(r.got, 5);
	cr_assert_arr_eq(r.data, "hello", 5);
	cr_assert_eq(r.closed, 0);
	cr_assert_eq(r.file.fd, -1);
	filch_executor_destroy(executor);
	unlink(r.path);
	*strrchr(r.path, '/') = '\0';
	rmdir(r.path);
}

static enum filch_poll
poll_until_cancelled(struct filch_task *task)
{
	return (filch_task_is_cancelled(task) ? FILCH_READY
					      : filch_task_yield(task));
}

Test(executor, a_cancelled_task_learns_of_it)
{
	struct filch_executor *executor = executor_new(2);
	struct filch_task task;

	filch_task_init(&task, poll_until_cancelled, NULL);
	cr_assert_eq(filch_executor_spawn_joinable(executor, &task), 0);
	filch_task_cancel(&task);
	cr_assert_eq(filch_task_join(&task), 0);
	filch_executor_destroy(executor);
}

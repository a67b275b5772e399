/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The faults of others that filch must not have, by their numbers in the list
 * that the project started from, each seen through the public interface: what
 * their tests share.  That the next step never comes is how most of them show;
 * then the child's watchdog ends it.
 */
#ifndef TESTS_FAULT_KNOWN_H
#define TESTS_FAULT_KNOWN_H

#include "work.h"

#include <sys/resource.h>

#include <poll.h>
#include <sched.h>

#define QUIET_MS 300

static inline struct filch_executor *
executor_new(int driver, unsigned workers)
{
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;
	struct filch_executor *executor = NULL;

	options.worker_count = workers;
	options.driver = (enum filch_driver_kind)driver;
	options.ring_entries = FILCH_RING_ENTRIES_MIN;
	FAULT_EQUAL(filch_executor_create(&options, &executor), 0);
	return (executor);
}

/* Operations that the kernel or the poll set has now. */
static inline uint64_t
in_flight(struct filch_executor *executor)
{
	struct filch_worker_stats stats;
	uint64_t count = 0;
	unsigned i;

	for (i = 0; i < filch_executor_worker_count(executor); i++) {
		FAULT_EQUAL(
		    filch_executor_get_worker_stats(executor, i, &stats), 0);
		count += stats.in_flight;
	}
	return (count);
}

/* Threads that woke so far, for whatever reason. */
static inline uint64_t
wakes(struct filch_executor *executor)
{
	struct filch_executor_stats stats;
	struct filch_worker_stats worker;
	uint64_t count;
	unsigned i;

	filch_executor_get_stats(executor, &stats);
	count = stats.reactor_wakes + stats.wake_calls;
	for (i = 0; i < filch_executor_worker_count(executor); i++) {
		FAULT_EQUAL(
		    filch_executor_get_worker_stats(executor, i, &worker), 0);
		count += worker.parks + worker.polls;
	}
	return (count);
}

/* Wait until nothing has moved for a while; only this thread's sleep counts. */
static inline void
wait_for_quiet(struct filch_executor *executor)
{
	struct rusage before;
	struct rusage after;
	uint64_t count;

	do {
		FAULT_EQUAL(getrusage(RUSAGE_SELF, &before), 0);
		count = wakes(executor);
		(void)poll(NULL, 0, QUIET_MS);
		FAULT_EQUAL(getrusage(RUSAGE_SELF, &after), 0);
	} while (
	    count != wakes(executor) || after.ru_nvcsw - before.ru_nvcsw > 1);
}

/* ---- a read that has nothing to read ---- */

struct stream {
	struct filch_file file;
	struct filch_op op;
	struct work_one one;
	char buffer[8];
	int fds[2];
	unsigned released;
};

static inline void
stream_release(struct filch_task *task)
{
	struct work_one *one = filch_container_of(task, struct work_one, task);
	struct stream *self = filch_container_of(one, struct stream, one);

	/* ended before it was released */
	FAULT_EQUAL(one->ends, 1);
	self->released++;
}

/* Start to read an empty pipe, and wait until that is under way. */
static inline void
stream_start(struct filch_executor *executor, struct stream *self)
{
	memset(self, 0, sizeof(*self));
	FAULT_EQUAL(pipe2(self->fds, O_CLOEXEC), 0);
	FAULT_EQUAL(filch_file_init(&self->file, self->fds[0]), 0);
	filch_op_init_read(&self->op, &self->file, self->buffer,
	    sizeof(self->buffer), FILCH_OFFSET_CURRENT);
	self->one.op = &self->op;
	filch_task_init(&self->one.task, work_one_poll, stream_release);
	FAULT_EQUAL(filch_executor_spawn(executor, &self->one.task), 0);
	while (in_flight(executor) == 0) {
		sched_yield();
	}
}

/* ---- running ---- */

/* A fault on both drivers. */
#define KNOWN(body) KNOWN_ON(body, URING), KNOWN_ON(body, POSIX)
#define KNOWN_ON(body, driver)                                                 \
	{                                                                      \
#body, #driver, 0, 0, FILCH_DRIVER_##driver, body, 0           \
	}

static inline int
known_main(
    const struct fault_case *cases, unsigned count, int argc, char **argv)
{
	unsigned failed = 0;
	unsigned i;

	(void)unsetenv("FILCH_DRIVER");
	printf("1..%u\n", count);
	for (i = 0; i < count; i++) {
		const struct fault_case *one = &cases[i];
		bool is_well;

		if (argc > 1 && strstr(one->name, argv[1]) == NULL) {
			continue;
		}
		if (one->driver == FILCH_DRIVER_URING &&
		    fault_uring_refusal() != NULL) {
			printf("ok %u - %s # SKIP io_uring: %s\n", i + 1,
			    one->name, fault_uring_refusal());
			continue;
		}
		is_well = fault_child(one, 1) != FAULT_EXIT_WRONG;
		failed += !is_well;
		printf("%sok %u - %s, %s\n", is_well ? "" : "not ", i + 1,
		    one->name, one->symbol);
	}
	return (failed > 0);
}

#endif /* TESTS_FAULT_KNOWN_H */

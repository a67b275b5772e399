/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stress: tasks start reads that nobody feeds, more than a small ring takes,
 * some with a deadline that comes while they are started, some that do not
 * want to wait for room; threads cancel all of them at any moment, each read
 * many times and by several at once.  Conserved: each read ends, once, with an
 * error that fits, and the driver has nothing left.
 *
 * cancel [--rounds=N] [--seed=N] [--threads=N]
 */
#include <filch/filch.h>

#include <errno.h>
#include <unistd.h>

#include "stress.h"

#define READS 1000

struct reader {
	struct filch_task task;
	struct filch_op op;
	char byte;
	uint64_t ends;
	int64_t result;
};

static struct stress_options options = { "cancel", 1, 5, 2 };
static struct filch_file file;
static struct reader readers[READS];
static uint64_t started; /* readers that may be cancelled */
static uint64_t ended;

static enum filch_poll
reader_poll(struct filch_task *task)
{
	struct reader *self = filch_container_of(task, struct reader, task);

	if (filch_op_poll(&self->op, task, &self->result) == FILCH_PENDING) {
		return (FILCH_PENDING);
	}
	self->ends++;
	__atomic_fetch_add(&ended, 1, __ATOMIC_ACQ_REL);
	return (FILCH_READY);
}

static void *
canceller_main(void *arg)
{
	uint64_t random = (uint64_t)(uintptr_t)arg;

	while (__atomic_load_n(&ended, __ATOMIC_ACQUIRE) < READS) {
		uint64_t count = __atomic_load_n(&started, __ATOMIC_ACQUIRE);

		for (uint64_t i = 0; i < count; i++) {
			if (stress_random(&random) % 4 == 0) {
				filch_op_cancel(&readers[i].op);
			}
		}
	}
	return (NULL);
}

/* Prepare and spawn one reader after the other. */
static void
readers_start(struct filch_executor *executor, uint64_t *random)
{
	for (uint64_t i = 0; i < READS; i++) {
		struct reader *self = &readers[i];
		uint64_t choice = stress_random(random) % 8;

		memset(self, 0, sizeof(*self));
		filch_op_init_read(
		    &self->op, &file, &self->byte, 1, FILCH_OFFSET_CURRENT);
		if (choice < 4) {
			filch_op_set_deadline(&self->op,
			    filch_now() + stress_random(random) % 100000);
		} else if (choice == 4) {
			filch_op_set_flags(&self->op, FILCH_OP_NOWAIT);
		}
		filch_task_init(&self->task, reader_poll, NULL);
		__atomic_store_n(&started, i + 1, __ATOMIC_RELEASE);
		if (filch_executor_spawn(executor, &self->task) != 0) {
			abort();
		}
	}
}

static void
round_check(void)
{
	for (int i = 0; i < READS; i++) {
		int64_t result = readers[i].result;

		stress_same(&options, "ends of a read", 1, readers[i].ends);
		if (result != -ECANCELED && result != -ETIMEDOUT &&
		    result != -EAGAIN) {
			fprintf(stderr, "cancel: a read ended with %lld\n",
			    (long long)result);
			exit(1);
		}
	}
}

static void
round_run(uint64_t *random)
{
	struct filch_executor_options of = FILCH_EXECUTOR_OPTIONS_INIT;
	struct filch_worker_stats stats;
	struct filch_executor *executor;
	pthread_t *threads = calloc(options.threads, sizeof(*threads));
	unsigned i;

	of.worker_count = 2;
	of.ring_entries = FILCH_RING_ENTRIES_MIN;
	if (threads == NULL || filch_executor_create(&of, &executor) != 0) {
		fprintf(stderr, "cancel: cannot create an executor\n");
		exit(1);
	}
	started = 0;
	ended = 0;
	for (i = 0; i < options.threads; i++) {
		threads[i] = stress_start(canceller_main,
		    (void *)(uintptr_t)(stress_random(random) | 1));
	}
	readers_start(executor, random);
	if (filch_executor_shutdown(
		executor, FILCH_SHUTDOWN_GRACEFUL, FILCH_NEVER) != 0) {
		exit(1);
	}
	for (i = 0; i < options.threads; i++) {
		pthread_join(threads[i], NULL);
	}
	for (i = 0; i < of.worker_count; i++) {
		if (filch_executor_get_worker_stats(executor, i, &stats) != 0) {
			abort();
		}
		stress_same(&options, "reads waiting", 0, stats.waiting);
	}
	filch_executor_destroy(executor);
	round_check();
	free(threads);
}

int
main(int argc, char **argv)
{
	int fds[2];

	stress_options(&options, argc, argv);
	if (pipe(fds) != 0 || filch_file_init(&file, fds[0]) != 0) {
		fprintf(stderr, "cancel: cannot make a pipe\n");
		return (1);
	}
	stress_rounds(&options, round_run);
	printf(" of %d reads, each ended once\n", READS);
	return (0);
}

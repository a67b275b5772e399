/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The look after stuck workers: it begins with the executor, and not with the
 * first worker that wakes.
 */
#include "helpers.h"

#define ROUNDS 50

TestSuite(monitor, .timeout = 120);

/* Keeps its worker until another worker has run what it spawned there. */
struct early {
	struct filch_task task;
	struct filch_task child;
	struct filch_executor *executor;
	int child_ran;
	bool in_time;
};

static enum filch_poll
child_poll(struct filch_task *task)
{
	struct early *early = filch_container_of(task, struct early, child);

	__atomic_store_n(&early->child_ran, 1, __ATOMIC_RELEASE);
	return (FILCH_READY);
}

static bool
peer_sleeps(const struct early *early)
{
	struct filch_executor_stats stats;

	filch_executor_get_stats(early->executor, &stats);
	return (stats.parked == 1);
}

static enum filch_poll
early_poll(struct filch_task *task)
{
	struct early *early = filch_container_of(task, struct early, task);
	uint64_t until_ns = patience();

	while (!peer_sleeps(early) && filch_now() < until_ns) {
		continue;
	}
	filch_task_init(&early->child, child_poll, NULL);
	cr_assert_eq(filch_executor_spawn(early->executor, &early->child), 0);
	while (__atomic_load_n(&early->child_ran, __ATOMIC_ACQUIRE) == 0 &&
	    filch_now() < until_ns) {
		continue;
	}
	early->in_time = filch_now() < until_ns;
	return (FILCH_READY);
}

/*
 * The first task is taken, more often than not, by a worker that has never
 * slept, while the other has gone to sleep for the first time.
 */
Test(monitor, a_worker_stuck_in_its_first_task_is_looked_after)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct filch_executor *executor = executor_new(2);
		struct early early = { .executor = executor };

		filch_task_init(&early.task, early_poll, NULL);
		cr_assert_eq(filch_executor_block_on(executor, &early.task), 0);
		cr_assert(early.in_time, "round %d", i);
		filch_executor_destroy(executor);
	}
}

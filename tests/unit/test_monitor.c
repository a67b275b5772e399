/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The look after workers: it begins with the executor, and not with the first
 * worker that wakes; and long polls do not make others wait for so many.
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

#define WAKES 10

/* Every poll outlasts two looks of the reactor thread. */
struct plodder {
	struct filch_task task;
	struct filch_executor *executor;
	uint64_t polls;
	int may_finish;
};

static uint64_t
looks(const struct filch_executor *executor)
{
	struct filch_executor_stats stats;

	filch_executor_get_stats(executor, &stats);
	return (stats.reactor_wakes);
}

static enum filch_poll
plodder_poll(struct filch_task *task)
{
	struct plodder *plodder =
	    filch_container_of(task, struct plodder, task);
	uint64_t start = looks(plodder->executor);

	__atomic_add_fetch(&plodder->polls, 1, __ATOMIC_ACQ_REL);
	while (looks(plodder->executor) < start + 3) {
		continue;
	}
	return (__atomic_load_n(&plodder->may_finish, __ATOMIC_ACQUIRE) != 0
		? FILCH_READY
		: filch_task_yield(task));
}

/* Told by its own poll, since the thread that wakes it may be preempted. */
struct visitor {
	struct filch_task task;
	const struct plodder *plodder;
	sem_t polled;
	uint64_t plodder_polls; /* when it was last polled */
	int may_finish;
};

static enum filch_poll
visitor_poll(struct filch_task *task)
{
	struct visitor *visitor =
	    filch_container_of(task, struct visitor, task);
	bool may_finish =
	    __atomic_load_n(&visitor->may_finish, __ATOMIC_ACQUIRE) != 0;

	visitor->plodder_polls =
	    __atomic_load_n(&visitor->plodder->polls, __ATOMIC_ACQUIRE);
	sem_post(&visitor->polled);
	return (may_finish ? FILCH_READY : FILCH_PENDING);
}

Test(monitor, a_wake_from_outside_does_not_wait_for_a_row_of_long_polls)
{
	struct filch_executor *executor = executor_new(1);
	struct plodder plodder = { .executor = executor };
	struct visitor visitor = { .plodder = &plodder };
	uint64_t longest = 0;

	sem_init(&visitor.polled, 0, 0);
	filch_task_init(&visitor.task, visitor_poll, NULL);
	cr_assert_eq(filch_executor_spawn_joinable(executor, &visitor.task), 0);
	wait_for(&visitor.polled);
	filch_task_init(&plodder.task, plodder_poll, NULL);
	cr_assert_eq(filch_executor_spawn_joinable(executor, &plodder.task), 0);
	for (int i = 0; i < WAKES; i++) {
		uint64_t since;

		filch_task_wake(&visitor.task);
		since = __atomic_load_n(&plodder.polls, __ATOMIC_ACQUIRE);
		wait_for(&visitor.polled);
		if (visitor.plodder_polls > since + longest) {
			longest = visitor.plodder_polls - since;
		}
	}
	__atomic_store_n(&plodder.may_finish, 1, __ATOMIC_RELEASE);
	cr_assert_eq(filch_task_join(&plodder.task), 0);
	__atomic_store_n(&visitor.may_finish, 1, __ATOMIC_RELEASE);
	filch_task_wake(&visitor.task);
	cr_assert_eq(filch_task_join(&visitor.task), 0);
	filch_executor_destroy(executor);
	cr_assert_lt(longest, FILCH_EVENT_INTERVAL_DEFAULT / 2);
}

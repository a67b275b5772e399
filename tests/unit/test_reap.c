/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What completions and timers have woken together: who is told, and who waits.
 * Counted in polls, while the reactor thread is kept from helping.
 */
#include <unistd.h>

#include "executor/executor.h"
#include "helpers.h"
#include "reactor_hold.h"

TestSuite(reap, .timeout = 120);

/* ---- timers tell peers ---- */

/* More than are polled before peers are told. */
#define SLEEPERS (2 * FILCH__NOTIFY_AFTER_POLLS)

struct bedroom;

struct sleeper {
	struct filch_task task;
	struct filch_timer timer;
	struct bedroom *bedroom;
	bool has_slept;
	sem_t sleeps;
};

struct bedroom {
	struct filch_executor *executor;
	struct sleeper sleepers[SLEEPERS];
	struct filch_task waker;
	unsigned yielded; /* by waker */
	unsigned polls;   /* of sleepers that have slept */
	unsigned told_at; /* the first of them that saw the peer called */
};

static void
sleeper_expire(struct filch_timer *timer, struct filch__expired *expired)
{
	expired->tasks[expired->count++] =
	    &FILCH__CONTAINER_OF(timer, struct sleeper, timer)->task;
}

/* Who calls a peer takes it out of the sleepers at once. */
static enum filch_poll
sleeper_poll(struct filch_task *task)
{
	struct sleeper *sleeper =
	    filch_container_of(task, struct sleeper, task);
	struct bedroom *bedroom = sleeper->bedroom;
	unsigned untold = 0;
	unsigned polls;

	if (!sleeper->has_slept) {
		sleeper->has_slept = true;
		filch_task_ref(task); /* the timer's */
		sem_post(&sleeper->sleeps);
		return (FILCH_PENDING);
	}
	polls = __atomic_add_fetch(&bedroom->polls, 1, __ATOMIC_RELAXED);
	if (filch__idle_parked(&bedroom->executor->idle) == 0) {
		__atomic_compare_exchange_n(&bedroom->told_at, &untold, polls,
		    false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	}
	return (FILCH_READY);
}

/* Timers come due on a worker that has told of all else, and its peer sleeps. */
static enum filch_poll
waker_poll(struct filch_task *task)
{
	struct bedroom *bedroom =
	    filch_container_of(task, struct bedroom, waker);

	if (bedroom->yielded++ < 2 * FILCH__NOTIFY_AFTER_POLLS) {
		return (filch_task_yield(task));
	}
	reactor_hold(bedroom->executor);
	while (filch__idle_parked(&bedroom->executor->idle) != 1) {
		continue;
	}
	for (int i = 0; i < SLEEPERS; i++) {
		struct filch_timer *timer = &bedroom->sleepers[i].timer;

		filch__timer_init(timer, 1, sleeper_expire);
		filch__reactor_add_timer(filch__shard_current, timer);
	}
	return (FILCH_READY);
}

Test(reap, a_peer_is_told_of_timers_as_of_completions)
{
	static struct bedroom bedroom;

	bedroom.executor = executor_new(2);
	reactor_hold_init(bedroom.executor);
	for (int i = 0; i < SLEEPERS; i++) {
		struct sleeper *sleeper = &bedroom.sleepers[i];

		sleeper->bedroom = &bedroom;
		sem_init(&sleeper->sleeps, 0, 0);
		filch_task_init(&sleeper->task, sleeper_poll, NULL);
		cr_assert_eq(filch_executor_spawn_joinable(
				 bedroom.executor, &sleeper->task),
		    0);
		wait_for(&sleeper->sleeps);
	}
	filch_task_init(&bedroom.waker, waker_poll, NULL);
	cr_assert_eq(
	    filch_executor_block_on(bedroom.executor, &bedroom.waker), 0);
	for (int i = 0; i < SLEEPERS; i++) {
		cr_assert_eq(filch_task_join(&bedroom.sleepers[i].task), 0);
	}
	reactor_release();
	filch_executor_destroy(bedroom.executor);
	cr_assert_gt(bedroom.told_at, 0);
	/* one more, if the peer is the first to see it */
	cr_assert_leq(bedroom.told_at, FILCH__NOTIFY_AFTER_POLLS + 1);
}

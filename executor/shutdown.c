/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shutting down: steps 1 to 3 of what executor.c tells.
 */
#include "executor.h"

#include <errno.h>

#include "../include/private/clock.h"

/*
 * An immediate shutdown looks so often whether all is quiet: what makes it so
 * at last (a thread of the pool goes to sleep, the reactor forgets a deadline)
 * signals nobody.
 */
#define QUIET_INTERVAL_NS 1000000

static bool shutdown_is_done(struct filch_executor *);
static bool executor_is_quiet(struct filch_executor *);
static int shutdown_wait(struct filch_executor *, uint64_t);

void
filch__executor_advance(
    struct filch_executor *executor, enum filch__executor_state state)
{
	if (filch__executor_state(executor) < state) {
		/* [EX1] [EX2] pairs with executor_spawn,
		 * filch__executor_schedule, filch__executor_state */
		(void)filch__u32_exchange_seq_cst(&executor->state, state);
	}
}

void
filch__executor_signal_shutdown(struct filch_executor *executor)
{
	pthread_mutex_lock(&executor->shutdown_mutex);
	pthread_cond_broadcast(&executor->shutdown_progress);
	pthread_mutex_unlock(&executor->shutdown_mutex);
}

void
filch__executor_wake_workers(struct filch_executor *executor)
{
	unsigned i;

	for (i = 0; i < executor->worker_count; i++) {
		executor->reactor.driver->wake(&executor->reactor.shards[i]);
	}
}

int
filch_executor_shutdown(struct filch_executor *executor,
    enum filch_shutdown mode, uint64_t deadline_ns)
{
	int result = 0;

	if (filch__worker_current != NULL &&
	    filch__worker_current->executor == executor) {
		return (-EDEADLK);
	}
	filch__executor_advance(executor, FILCH__EXECUTOR_DRAINING);
	if (mode == FILCH_SHUTDOWN_IMMEDIATE) {
		filch__executor_advance(executor, FILCH__EXECUTOR_STOPPING);
		filch__reactor_stop(&executor->reactor);
	}
	filch__executor_wake_workers(executor);
	pthread_mutex_lock(&executor->shutdown_mutex);
	while (result == 0 && !shutdown_is_done(executor)) {
		uint64_t until_ns = deadline_ns;

		if (filch__executor_state(executor) >=
		    FILCH__EXECUTOR_STOPPING) {
			until_ns = filch__clock_ns() + QUIET_INTERVAL_NS;
			if (until_ns > deadline_ns) {
				until_ns = deadline_ns;
			}
		}
		result = shutdown_wait(executor, until_ns);
		if (until_ns != deadline_ns) {
			result = 0; /* time for another look, that is all */
		}
	}
	pthread_mutex_unlock(&executor->shutdown_mutex);
	return (result);
}

/*
 * At once: with tasks that nobody wakes, if nothing moves; without tasks, if
 * sources that are gone left nothing in flight, which uses their memory.
 */
static bool
shutdown_is_done(struct filch_executor *executor)
{
	bool at_once =
	    filch__executor_state(executor) >= FILCH__EXECUTOR_STOPPING;

	if (filch__executor_alive(executor) == 0) {
		return (!at_once ||
		    !filch__reactor_has_operations(&executor->reactor));
	}
	return (at_once && executor_is_quiet(executor));
}

static uint64_t
executor_polls(const struct filch_executor *executor)
{
	uint64_t polls = 0;
	unsigned i;

	for (i = 0; i < executor->worker_count; i++) {
		/* relaxed: the caller orders it */
		polls += filch__u64_load_relaxed(
		    &executor->workers[i].counters.polls);
	}
	return (polls);
}

/*
 * Nothing moves: all workers sleep, nothing is queued, in flight or timed, and
 * nobody has woken, polled a task and gone to sleep again meanwhile.
 */
static bool
executor_is_quiet(struct filch_executor *executor)
{
	unsigned count = executor->worker_count;
	uint64_t polls = executor_polls(executor);

	if (filch__idle_parked(&executor->idle) != count ||
	    !filch__reactor_is_quiet(&executor->reactor) ||
	    filch__executor_has_work(executor) ||
	    /* [EX2] pairs with filch__executor_schedule */
	    filch__u64_load_seq_cst(&executor->entrants) != 0 ||
	    filch__idle_parked(&executor->idle) != count) {
		return (false);
	}
	/* [ID1] pairs with filch__idle_park: who parked had polled before */
	filch__fence_seq_cst();
	return (executor_polls(executor) == polls);
}

/* Wait for a signal of progress; -ETIMEDOUT at until_ns.  Mutex held. */
static int
shutdown_wait(struct filch_executor *executor, uint64_t until_ns)
{
	struct timespec until = {
		.tv_sec = (time_t)(until_ns / FILCH__NS_PER_S),
		.tv_nsec = (long)(until_ns % FILCH__NS_PER_S),
	};

	if (until_ns == FILCH_NEVER) {
		return (-pthread_cond_wait(
		    &executor->shutdown_progress, &executor->shutdown_mutex));
	}
	return (-pthread_cond_timedwait(
	    &executor->shutdown_progress, &executor->shutdown_mutex, &until));
}

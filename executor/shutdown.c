/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shutting down: steps 1 to 3 of what executor.c tells.
 *
 * Orderings [SD1] a worker counts its park, says by a release that it is not
 *           awake, and sleeps; it has fenced in filch__idle_park() before it
 *           counts.  The reactor thread counts its wakes by a release.  The
 *           shutdown acquires both, asks all to come round, and looks for the
 *           next park and wake: with the fence after that it sees what those
 *           threads had in hand when they were asked.
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

/* All threads are asked to put down what they have in hand. */
struct quiet_round {
	bool is_on;
	uint64_t polls; /* of all workers, when it began */
	uint64_t wakes; /* of the reactor thread */
};

static bool shutdown_is_done(struct filch_executor *, struct quiet_round *);
static bool executor_is_quiet(struct filch_executor *, struct quiet_round *);
static int shutdown_wait(struct filch_executor *, uint64_t);

void
filch__executor_advance(
    struct filch_executor *executor, enum filch__executor_state state)
{
	if (filch__executor_state(executor) < state) {
		/* [EX1] [EX2] pairs with executor_spawn_outside,
		 * executor_schedule_outside, filch__executor_state */
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
	struct quiet_round round = { .is_on = false };
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
	while (result == 0 && !shutdown_is_done(executor, &round)) {
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
shutdown_is_done(struct filch_executor *executor, struct quiet_round *round)
{
	bool at_once =
	    filch__executor_state(executor) >= FILCH__EXECUTOR_STOPPING;

	if (filch__executor_alive(executor) == 0) {
		return (!at_once ||
		    !filch__reactor_has_operations(&executor->reactor));
	}
	return (at_once && executor_is_quiet(executor, round));
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

/* Have every thread come round, if all workers sleep now. */
static void
round_begin(struct filch_executor *executor, struct quiet_round *round)
{
	struct filch__reactor *reactor = &executor->reactor;
	unsigned i;

	round->polls = executor_polls(executor);
	/* [SD1] pairs with reactor_main */
	round->wakes = filch__u64_load_acquire(&reactor->wakes);
	for (i = 0; i < executor->worker_count; i++) {
		struct filch__worker *worker = &executor->workers[i];

		/* [SD1] pairs with worker_park: the park that counts is one
		 * that has not begun */
		if (filch__u32_load_acquire(&worker->awake) != 0) {
			return;
		}
		/* relaxed: only a worker that wakes changes it again */
		worker->parks_seen =
		    filch__u64_load_relaxed(&worker->counters.parks);
	}
	round->is_on = true;
	filch__executor_wake_workers(executor);
	reactor->driver->interrupt(reactor);
}

/* Every thread has come round since. */
static bool
round_is_over(
    const struct filch_executor *executor, const struct quiet_round *round)
{
	unsigned i;

	/* [SD1] pairs with reactor_main */
	if (filch__u64_load_acquire(&executor->reactor.wakes) == round->wakes) {
		return (false);
	}
	for (i = 0; i < executor->worker_count; i++) {
		const struct filch__worker *worker = &executor->workers[i];

		/* relaxed: the fence that follows orders it [SD1] */
		if (filch__u64_load_relaxed(&worker->counters.parks) ==
		    worker->parks_seen) {
			return (false);
		}
	}
	/* [SD1] pairs with filch__idle_park */
	filch__fence_seq_cst();
	return (true);
}

/* All workers sleep, and nothing is queued, in flight or timed. */
static bool
executor_looks_quiet(struct filch_executor *executor)
{
	unsigned count = executor->worker_count;

	return (filch__idle_parked(&executor->idle) == count &&
	    filch__reactor_is_quiet(&executor->reactor) &&
	    !filch__executor_has_work(executor) &&
	    /* [EX2] pairs with executor_schedule_outside */
	    filch__u64_load_seq_cst(&executor->entrants) == 0 &&
	    filch__idle_parked(&executor->idle) == count);
}

/*
 * Nothing moves.  A look does not tell: a worker that counts as parked may
 * have taken completions or expired timers, and not yet woken their tasks; the
 * reactor thread may have expired timers too.  So they are asked to come round,
 * and if then it looks quiet again and nobody has polled a task since the first
 * look, it is.
 */
static bool
executor_is_quiet(struct filch_executor *executor, struct quiet_round *round)
{
	if (!round->is_on) {
		if (executor_looks_quiet(executor)) {
			round_begin(executor, round);
		}
		return (false);
	}
	if (!round_is_over(executor, round) ||
	    !executor_looks_quiet(executor)) {
		return (false);
	}
	/* [ID1] pairs with filch__idle_park: who parked had polled before */
	filch__fence_seq_cst();
	round->is_on = false;
	return (executor_polls(executor) == round->polls);
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

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Workers: evening out what they have.
 *
 * Completions come back to the worker that started them, and one that always
 * gets some never searches: what chance has shared out unevenly would stay so.
 * Then one worker makes a system call for few operations, and each of them
 * costs more; or it sleeps while the other has more than it can do.
 *
 * A worker that may give to one that sleeps does so; any other fetches, whether
 * or not one sleeps: of three, one may sleep while two are uneven.
 */
#include "executor.h"

/* A peer has so many more woken tasks before some of them are fetched. */
#define EVEN_OUT_MIN 4

/* Woken tasks of a worker of which a peer that sleeps gets half. */
#define GIVE_MIN 4

static void worker_give(struct filch__worker *);
static void worker_fetch(
    struct filch__worker *, struct filch__worker *, size_t);

void
filch__worker_even_out(struct filch__worker *worker)
{
	struct filch_executor *executor = worker->executor;
	/* relaxed: a clock, nothing hangs on it */
	uint32_t looks = filch__u32_load_relaxed(&executor->looks);
	size_t own = filch__deque_count(&worker->woken);
	uint64_t parks;
	bool has_parked;

	/* seldom, since it takes the peer's lines */
	if (looks == worker->looks_evened) {
		return;
	}
	worker->has_given = false;
	if (own == 0) {
		return; /* it searches */
	}
	/* relaxed: its own */
	parks = filch__u64_load_relaxed(&worker->counters.parks);
	has_parked = parks != worker->parks_evened;
	worker->parks_evened = parks;
	worker->looks_evened = looks;
	if (own >= GIVE_MIN && !has_parked &&
	    filch__idle_is_wanting(&executor->idle)) {
		worker_give(worker);
	} else {
		worker_fetch(worker,
		    &executor->workers[(worker->index + looks) %
			executor->worker_count],
		    own);
	}
}

/*
 * A peer sleeps, and this worker has not of late: its operations are finished
 * by the call that hands them over, so a peer that looked would mostly find it
 * in the kernel, and its queue empty.  So half of its tasks go where the peer
 * finds them.  It keeps off there itself until its next turn or look, or until
 * it searches: it would run dry again before the peer has woken.  So if it runs
 * dry all the same, it takes back what it gave.
 */
static void
worker_give(struct filch__worker *worker)
{
	void *items[FILCH__MOVE_MAX];
	unsigned count =
	    filch__deque_take_half(&worker->woken, items, FILCH__MOVE_MAX);

	if (count > 0) {
		filch__worker_inject(worker, items, count);
		filch__worker_notify_injected(worker->executor);
		worker->has_given = true;
	}
}

/* Take from peer half of what it has more, if that is worth it. */
static void
worker_fetch(
    struct filch__worker *worker, struct filch__worker *peer, size_t own)
{
	void *items[FILCH__MOVE_MAX];
	size_t count = filch__deque_count(&peer->woken);
	unsigned i;

	if (count < own + EVEN_OUT_MIN) {
		return; /* as of its own queue */
	}
	count = (count - own) / 2;
	count = filch__deque_steal_half(&peer->woken, items,
	    (unsigned)(count < FILCH__MOVE_MAX ? count : FILCH__MOVE_MAX));
	if (count == 0) {
		return;
	}
	filch__counter_add(&worker->counters.steals, 1);
	filch__counter_add(&worker->counters.tasks_stolen, count);
	for (i = 0; i < count; i++) {
		filch__worker_push_woken(worker, items[i]);
	}
	if (worker->notify_after == 0) {
		worker->notify_after = FILCH__NOTIFY_AFTER_POLLS;
	}
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stealing: what a worker takes from another, and when that is worth it.
 *
 * A stolen spawned task costs two CPUs the lines of the victim's lane and of
 * the task.  That is more than a task of some nanoseconds takes, and then two
 * workers are slower than one.  What a line costs differs from machine to
 * machine, and on a virtual one by a factor of five from minute to minute; so
 * the thief compares how long its tasks ran with how long taking them took.
 *
 * Orderings [WK1] as in worker.c: the LIFO slot changes hands by acq_rel
 *           exchange.
 */
#include "executor.h"

#include "../include/private/clock.h"

/*
 * A steal of spawned tasks is worth it if they ran so many times as long as
 * taking them took.  If not, the next takes a quarter of what this one might
 * have, but at least so many; if it is, twice as many.
 */
#define STEAL_WORTH   3
#define STEAL_MAX_MIN 4

/*
 * A thief whose steal was not worth it waits so long, and twice as long if the
 * next is not either, up to a bound.  It looks up every so often, and waits no
 * longer if the victim has polled fewer tasks since: half a microsecond each.
 */
#define STEAL_WAIT_MIN_NS  16000
#define STEAL_WAIT_MAX_NS  64000
#define STEAL_WAIT_LOOK_NS 16000
#define STEAL_WAIT_POLLS   32
#define STEAL_WAIT_PAUSES  16

/* Pauses to see whether the owner of a LIFO slot is stuck. */
#define LIFO_STEAL_PAUSES 64

static unsigned worker_steal_spawned(
    struct filch__worker *, struct filch__worker *, void **, unsigned);

/*
 * Up to half of what victim has queued: one task to run, the rest queued in
 * the lanes they come from, so that a task tree stays depth first here too.
 */
struct filch_task *
filch__worker_steal(
    struct filch__worker *worker, struct filch__worker *victim, bool spawned)
{
	void *items[FILCH__MOVE_MAX];
	unsigned woken = 0;
	unsigned count;
	unsigned i;

	if (!filch__deque_is_empty(&victim->woken)) {
		woken = filch__deque_steal_half(
		    &victim->woken, items, FILCH__MOVE_MAX);
	}
	count = woken;
	if (spawned) {
		count += worker_steal_spawned(
		    worker, victim, items + count, FILCH__MOVE_MAX - count);
	}
	if (count == 0) {
		return (NULL);
	}
	filch__counter_add(&worker->counters.steals, 1);
	filch__counter_add(&worker->counters.tasks_stolen, count);
	for (i = 1; i < count; i++) {
		if (i < woken) {
			filch__worker_push_woken(worker, items[i]);
		} else {
			filch__worker_push_spawned(worker, items[i]);
		}
	}
	if (count > 1) {
		worker->notify = true;
	}
	return (items[0]);
}

/* Spawned tasks, one by one; returns how many. */
static unsigned
worker_steal_spawned(struct filch__worker *worker, struct filch__worker *victim,
    void **items, unsigned max)
{
	size_t half = (filch__deque_count(&victim->spawned) + 1) / 2;
	unsigned count = 0;
	uint64_t start_ns;

	if (half == 0) {
		return (0);
	}
	if (max > worker->steal_max) {
		max = worker->steal_max;
	}
	start_ns = filch__clock_ns();
	while (count < max && count < half &&
	    (items[count] = filch__deque_steal(&victim->spawned)) != NULL) {
		count++;
	}
	if (count > 0) {
		worker->victim = victim;
		worker->loot_cost_ns = filch__clock_ns() - start_ns;
	}
	return (count);
}

/* The spawned tasks stolen last have been run: was that worth it? */
void
filch__worker_judge_loot(struct filch__worker *worker)
{
	uint64_t now_ns;

	if (worker->loot_cost_ns == 0) {
		return;
	}
	now_ns = filch__clock_ns();
	if (now_ns - worker->loot_since_ns >=
	    STEAL_WORTH * worker->loot_cost_ns) {
		worker->steal_wait_ns = 0;
		worker->steal_max *= 2;
		if (worker->steal_max > FILCH__MOVE_MAX) {
			worker->steal_max = FILCH__MOVE_MAX;
		}
	} else {
		worker->steal_wait_ns *= 2;
		if (worker->steal_wait_ns < STEAL_WAIT_MIN_NS) {
			worker->steal_wait_ns = STEAL_WAIT_MIN_NS;
		} else if (worker->steal_wait_ns > STEAL_WAIT_MAX_NS) {
			worker->steal_wait_ns = STEAL_WAIT_MAX_NS;
		}
		worker->steal_after_ns = now_ns + worker->steal_wait_ns;
		worker->steal_max /= 4;
		if (worker->steal_max < STEAL_MAX_MIN) {
			worker->steal_max = STEAL_MAX_MIN;
		}
	}
	worker->loot_cost_ns = 0;
}

bool
filch__worker_steal_is_due(const struct filch__worker *worker)
{
	return (worker->steal_wait_ns == 0 ||
	    filch__clock_ns() >= worker->steal_after_ns);
}

/*
 * The worker stays a searching one, on whom publishers rely: between two parts
 * of the wait it looks at all but spawned tasks.  Once the wait is over it may
 * park without a search for these; then it is worker_park that finds them, by
 * its look at all queues.
 */
void
filch__worker_wait_to_steal(struct filch__worker *worker)
{
	const filch__u64 *polls = &worker->victim->counters.polls;
	/* relaxed: a heartbeat, nothing hangs on it */
	uint64_t before = filch__u64_load_relaxed(polls);
	uint64_t end_ns = filch__clock_ns() + STEAL_WAIT_LOOK_NS;
	unsigned i;

	while (filch__clock_ns() < end_ns) {
		for (i = 0; i < STEAL_WAIT_PAUSES; i++) {
			filch__pause();
		}
	}
	/* relaxed: as above */
	if (filch__u64_load_relaxed(polls) - before < STEAL_WAIT_POLLS) {
		worker->steal_after_ns = 0;
	}
}

/*
 * The slot's task runs next on its own worker, so it is taken only from one
 * that has polled nothing for a moment.
 */
struct filch_task *
filch__worker_steal_lifo(
    struct filch__worker *worker, struct filch__worker *victim)
{
	struct filch_task *task;
	uint64_t polls;
	unsigned i;

	/* [WK1] pairs with the owner's exchange */
	if (filch__ptr_load_acquire(&victim->lifo) == NULL) {
		return (NULL);
	}
	/* relaxed: a heartbeat, nothing hangs on it */
	polls = filch__u64_load_relaxed(&victim->counters.polls);
	for (i = 0; i < LIFO_STEAL_PAUSES; i++) {
		filch__pause();
	}
	if (filch__u64_load_relaxed(&victim->counters.polls) != polls) {
		return (NULL); /* relaxed: as above */
	}
	/* [WK1] pairs with the owner's exchange */
	task = filch__ptr_exchange_acq_rel(&victim->lifo, NULL);
	if (task != NULL) {
		filch__counter_add(&worker->counters.steals, 1);
		filch__counter_add(&worker->counters.tasks_stolen, 1);
	}
	return (task);
}

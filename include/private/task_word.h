/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Task word: one 64-bit word says all about a task's life.
 *
 * Word      [63:8] references  [7:0] flags
 *           SCHEDULED   in a queue, or to be queued when the poll ends
 *           RUNNING     a worker is polling it
 *           CANCELLED   asked to end
 *           JOIN_WAKER  the joiner's waker is stored in the task
 *           COMPLETING  the poll said READY; the joiner's waker is being taken
 *           COMPLETE    finished; never polled again
 *           ABANDONED   COMPLETE without having finished
 * Fields    word (a); task->joiner: the joiner's while JOIN_WAKER is clear,
 *           nobody's while it is set, the completer's from COMPLETING on.
 * States    idle -> queued              wake      by any thread that refs
 *           queued -> running           poll      by the worker
 *           running -> running+queued   wake      by any thread that refs
 *           running -> idle             PENDING   by the worker
 *           running+queued -> queued    PENDING   by the worker, who requeues
 *           running -> completing       READY     by the worker, if a joiner
 *                                                 waits
 *           running, completing -> complete       by the worker
 *           running -> complete+abandoned         by the worker, if PENDING
 *           gave up the last reference
 *           idle -> complete+abandoned            by a closed executor, instead
 *           of queueing
 *           idle -> gone      the last reference given up; flags as they were
 * Invariant A queue holds a reference, which wake takes (or passes on from
 *           the waker it consumes), poll inherits, and PENDING or the end
 *           gives up.  SCHEDULED without RUNNING means: in exactly one queue.
 *           While JOIN_WAKER is set without COMPLETING, the join handle's
 *           reference is there: who gives that up withdraws the waker first.
 * Orderings [TW1] every transition is acq_rel on this one word: what was done
 *           before a wake is seen by the poll after it, what was done before
 *           a reference was given up is seen by who gives up the last.  A
 *           wake that finds SCHEDULED still writes the word, since a load
 *           alone would not order its data before the poll it relies on.
 *           Nothing hangs on the order of uncancel and join_withdraw, nor on
 *           the release of poll: they only pass on what others released.
 *           [TW2] with one reference left only its holder may look at the
 *           word, so it may go on by plain stores; the acquire load that
 *           finds the count to be one pairs with the releases of [TW1].
 * Together  all transitions with one another, except that poll, PENDING and
 *           READY belong to the one worker that runs the task and the join
 *           transitions to the one joiner.
 * Progress  lock-free; wait-free where [TW2] applies.
 * Rejected  taking the joiner's waker after COMPLETE: the joiner may then have
 *           seen COMPLETE and freed the task.
 * Source    tokio runtime/task/state.rs, for the shape of the transitions.
 *           Tests: model/task_word.cpp.
 */
#ifndef FILCH_PRIVATE_TASK_WORD_H
#define FILCH_PRIVATE_TASK_WORD_H

#include "atomic.h"
#include "compiler.h"

#define FILCH__TASK_SCHEDULED  (UINT64_C(1) << 0)
#define FILCH__TASK_RUNNING    (UINT64_C(1) << 1)
#define FILCH__TASK_CANCELLED  (UINT64_C(1) << 2)
#define FILCH__TASK_JOIN_WAKER (UINT64_C(1) << 3)
#define FILCH__TASK_COMPLETING (UINT64_C(1) << 4)
#define FILCH__TASK_COMPLETE   (UINT64_C(1) << 5)
#define FILCH__TASK_ABANDONED  (UINT64_C(1) << 6)
#define FILCH__TASK_REF        (UINT64_C(1) << 8)
#define FILCH__TASK_ENDED      (FILCH__TASK_COMPLETING | FILCH__TASK_COMPLETE)

/* What the caller of a transition must do next. */
enum filch__task_next {
	FILCH__TASK_NOTHING,  /* nothing */
	FILCH__TASK_SCHEDULE, /* put the task on a queue, with its reference */
	FILCH__TASK_RELEASE,  /* the last reference is gone */
	FILCH__TASK_JOINER    /* take the joiner's waker, then finish */
};

static inline bool
filch__task_word_is_sole(uint64_t word)
{
	return (word < 2 * FILCH__TASK_REF);
}

static inline uint64_t
filch__task_word_refs(uint64_t word)
{
	return (word / FILCH__TASK_REF);
}

/* Wake; flags are set besides (CANCELLED, or 0). consume: gives up a ref. */
static inline enum filch__task_next
filch__task_word_wake(filch__u64 *word, uint64_t flags, bool consume)
{
	uint64_t old = filch__u64_load_relaxed(word); /* the CAS orders */
	uint64_t now;
	enum filch__task_next next;

	do {
		now = old | flags;
		next = FILCH__TASK_NOTHING;
		if ((old & FILCH__TASK_ENDED) != 0) {
			now = old;
		} else if ((old &
			       (FILCH__TASK_SCHEDULED | FILCH__TASK_RUNNING)) ==
		    0) {
			now |= FILCH__TASK_SCHEDULED;
			next = FILCH__TASK_SCHEDULE;
		} else {
			now |= FILCH__TASK_SCHEDULED;
		}
		if (next == FILCH__TASK_SCHEDULE && !consume) {
			now += FILCH__TASK_REF;
		} else if (next != FILCH__TASK_SCHEDULE && consume) {
			now -= FILCH__TASK_REF;
			if (filch__task_word_refs(now) == 0) {
				next = FILCH__TASK_RELEASE;
			}
		}
		/* [TW1] pairs with every transition of this word */
	} while (!filch__u64_cas_acq_rel(word, &old, now));
	return (next);
}

/*
 * A task that wakes itself from its own poll: no other thread can have changed
 * the word if the reference of the poll is the only one.
 */
static inline void
filch__task_word_wake_running(filch__u64 *word)
{
	/* [TW2] pairs with the transition that left one reference */
	uint64_t old = filch__u64_load_acquire(word);

	if (filch__task_word_is_sole(old)) {
		filch__u64_store_relaxed(word, old | FILCH__TASK_SCHEDULED);
		return; /* relaxed: read next by this thread */
	}
	(void)filch__task_word_wake(word, 0, false);
}

/* The running task takes note of its cancel. */
static inline void
filch__task_word_uncancel(filch__u64 *word)
{
	uint64_t old = filch__u64_load_relaxed(word); /* the CAS orders */

	/* [TW1] pairs with every transition of this word */
	while (
	    !filch__u64_cas_acq_rel(word, &old, old & ~FILCH__TASK_CANCELLED)) {
		continue;
	}
}

/* A worker took the task from a queue and is about to poll it. */
static inline void
filch__task_word_poll(filch__u64 *word)
{
	/* [TW2] pairs with the transition that left one reference */
	uint64_t old = filch__u64_load_acquire(word);

	if (filch__task_word_is_sole(old)) {
		/* relaxed: no other thread may look */
		filch__u64_store_relaxed(
		    word, (old & ~FILCH__TASK_SCHEDULED) | FILCH__TASK_RUNNING);
		return;
	}
	/* SCHEDULED (1) is set and RUNNING (2) clear: adding 1 moves it over.
	 * [TW1] pairs with every transition of this word */
	(void)filch__u64_add_acq_rel(
	    word, FILCH__TASK_RUNNING - FILCH__TASK_SCHEDULED);
}

/* The poll said PENDING. */
static inline enum filch__task_next
filch__task_word_pending(filch__u64 *word)
{
	/* [TW2] pairs with the transition that left one reference */
	uint64_t old = filch__u64_load_acquire(word);
	uint64_t now;
	enum filch__task_next next;

	if (filch__task_word_is_sole(old) &&
	    (old & FILCH__TASK_SCHEDULED) != 0) {
		/* relaxed: the queue's release store publishes it */
		filch__u64_store_relaxed(word, old & ~FILCH__TASK_RUNNING);
		return (FILCH__TASK_SCHEDULE);
	}
	do {
		now = old & ~FILCH__TASK_RUNNING;
		if ((old & FILCH__TASK_SCHEDULED) != 0) {
			next = FILCH__TASK_SCHEDULE;
		} else {
			now -= FILCH__TASK_REF;
			next = FILCH__TASK_NOTHING;
			if (filch__task_word_refs(now) == 0) {
				/* nobody can wake it any more */
				now |= FILCH__TASK_COMPLETE |
				    FILCH__TASK_ABANDONED;
				next = FILCH__TASK_RELEASE;
			}
		}
		/* [TW1] pairs with every transition of this word */
	} while (!filch__u64_cas_acq_rel(word, &old, now));
	return (next);
}

/*
 * The poll said READY (flags 0), or a closed executor gives a queued task up
 * (flags ABANDONED).  JOINER: the caller takes the joiner's waker and calls
 * filch__task_word_completed(); otherwise the reference has been given up.
 */
static inline enum filch__task_next
filch__task_word_complete(filch__u64 *word, uint64_t flags)
{
	/* [TW2] pairs with the transition that left one reference */
	uint64_t old = filch__u64_load_acquire(word);
	uint64_t now;

	do {
		if (filch__task_word_is_sole(old)) {
			/* relaxed: no other thread may look */
			filch__u64_store_relaxed(
			    word, FILCH__TASK_COMPLETE | flags);
			return (FILCH__TASK_RELEASE);
		}
		now = old & ~(FILCH__TASK_RUNNING | FILCH__TASK_SCHEDULED);
		if ((old & FILCH__TASK_JOIN_WAKER) != 0) {
			now |= FILCH__TASK_COMPLETING;
		} else {
			now = (now | FILCH__TASK_COMPLETE | flags) -
			    FILCH__TASK_REF;
		}
		/* [TW1] pairs with every transition of this word */
	} while (!filch__u64_cas_acq_rel(word, &old, now));
	return ((old & FILCH__TASK_JOIN_WAKER) != 0 ? FILCH__TASK_JOINER
						    : FILCH__TASK_NOTHING);
}

/* The joiner's waker has been taken; give up the completer's reference. */
static inline enum filch__task_next
filch__task_word_completed(filch__u64 *word, uint64_t flags)
{
	/* COMPLETING and JOIN_WAKER are set, COMPLETE and flags clear.
	 * [TW1] pairs with every transition of this word */
	uint64_t old = filch__u64_add_acq_rel(word,
	    FILCH__TASK_COMPLETE + flags - FILCH__TASK_COMPLETING -
		FILCH__TASK_JOIN_WAKER - FILCH__TASK_REF);

	return (filch__task_word_is_sole(old) ? FILCH__TASK_RELEASE
					      : FILCH__TASK_NOTHING);
}

static inline void
filch__task_word_ref(filch__u64 *word)
{
	/* [TW1] pairs with every transition of this word */
	(void)filch__u64_add_acq_rel(word, FILCH__TASK_REF);
}

/* RELEASE: the last one, of a task that may not have finished. */
static inline enum filch__task_next
filch__task_word_unref(filch__u64 *word)
{
	/* [TW1] pairs with every transition of this word */
	uint64_t old = filch__u64_add_acq_rel(word, -FILCH__TASK_REF);

	return (filch__task_word_is_sole(old) ? FILCH__TASK_RELEASE
					      : FILCH__TASK_NOTHING);
}

/*
 * The joiner's half.  Store the waker in the task first, then publish it:
 * false if the task has ended (or is about to) and the waker is the joiner's
 * again.
 */
static inline bool
filch__task_word_join_publish(filch__u64 *word)
{
	/* [TW1] pairs with every transition of this word */
	uint64_t old = filch__u64_load_acquire(word);

	do {
		if ((old & FILCH__TASK_ENDED) != 0) {
			return (false);
		}
		/* [TW1] pairs with every transition of this word */
	} while (
	    !filch__u64_cas_acq_rel(word, &old, old | FILCH__TASK_JOIN_WAKER));
	return (true);
}

/* Take the stored waker back; false if the completer has it. */
static inline bool
filch__task_word_join_withdraw(filch__u64 *word)
{
	/* [TW1] pairs with every transition of this word */
	uint64_t old = filch__u64_load_acquire(word);

	do {
		if ((old & FILCH__TASK_ENDED) != 0) {
			return (false);
		}
		/* [TW1] pairs with every transition of this word */
	} while (
	    !filch__u64_cas_acq_rel(word, &old, old & ~FILCH__TASK_JOIN_WAKER));
	return (true);
}

#endif /* FILCH_PRIVATE_TASK_WORD_H */

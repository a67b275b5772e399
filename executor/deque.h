/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Deque: the bounded ring of one worker's tasks.
 *
 * The owner pushes at the bottom.  It takes either from the bottom (newest
 * first) or from the top (oldest first); thieves take from the top.  A worker
 * has two, of different discipline:
 *   LIFO lane  push, pop_newest, take_back,
 *              pop_oldest | steal                           spawned tasks
 *   FIFO lane  push, pop_oldest | steal, steal_half         woken tasks
 *
 * Word      top: index of the oldest item.  bottom: one past the newest.  Both
 *           count for ever (2^64 pushes) and are masked into slots.
 * Fields    top (a) by anyone, CAS only, by one item or a range upwards;
 *           bottom (a) written by the owner only;  slots, mask (i);
 *           slots[] (a) written by the owner only;  top_seen (w) a value that
 *           top once had, so that push need not read the thieves' line.
 * States    empty -> holding   push        owner    bottom + 1
 *           holding -> less    pop_newest  owner    bottom - 1, the last one
 *                                                   by CAS on top, like a steal
 *           holding -> less    take_back   owner    pop_newest, if that is
 *                                                   the item asked for
 *           holding -> less    pop_oldest  owner    CAS on top
 *           holding -> less    steal       thief    CAS on top
 * Invariant bottom - top, as a signed number, is between -1 and the capacity;
 *           -1 only inside a pop_newest.  An index belongs to whoever moved
 *           top over it, or to the owner who moved bottom below it while top
 *           was smaller still.
 * Orderings [DQ1] store bottom (release) in push, load bottom (at least
 *           acquire) in a steal: the slot, and what the pusher did to the
 *           item, are seen by the thief.
 *           [DQ2] CAS top by a thief (releases its reading of the slot), load
 *           top (acquire) by push: the owner writes a slot anew only after its
 *           thief has read it.  A thief that reads a newer item nevertheless
 *           held an old top, and its CAS fails.
 *           [DQ3] pop_newest: exchange bottom, load top.  thief: load top,
 *           load bottom, CAS top.  Store-load on the owner's side: with all of
 *           them seq_cst a thief that found top at the owner's last item came
 *           after a CAS that the owner did not see, hence after the exchange,
 *           hence reads the lower bottom and leaves the item alone.
 * Together  owner | any number of thieves | count, is_empty -- safe.
 *           pop_newest on a deque with steal_half -- not: pop_newest takes an
 *           index without a CAS as long as top is lower, since a single thief
 *           can then claim that lower index at most.  A thief of many read
 *           bottom, and the owner may have popped into its range before the
 *           CAS, which succeeds as top itself never moved.
 * Progress  push, pop_newest, count wait-free; pop_oldest at most capacity
 *           rounds (each lost CAS is somebody's item); steals give up after
 *           FILCH__DEQUE_STEAL_ATTEMPTS lost CASes.
 * Rejected  a growing array (frees need reclamation; overflow belongs into the
 *           injector, where all can see it); stand-alone fences as in the
 *           paper (ThreadSanitizer cannot follow them, and on x86 the exchange
 *           is cheaper than the fence).
 * Source    Chase, Lev, SPAA 2005; Le, Pop, Cohen, Zappa Nardelli, PPoPP 2013.
 *           Tests: unit/test_deque.c stress/deque.c model/deque.cpp.
 */
#ifndef FILCH_EXECUTOR_DEQUE_H
#define FILCH_EXECUTOR_DEQUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../include/private/assert.h"
#include "../include/private/atomic.h"
#include "../include/private/compiler.h"
#include "../include/private/plain.h"

/* Lost races before a thief tries elsewhere; contention says others are fed. */
#ifndef FILCH__DEQUE_STEAL_ATTEMPTS
#define FILCH__DEQUE_STEAL_ATTEMPTS 4
#endif

struct filch__deque {
	FILCH__CACHE_ALIGNED filch__u64 top;    /* (a) */
	FILCH__CACHE_ALIGNED filch__u64 bottom; /* (a) */
	FILCH__PLAIN(uint64_t) top_seen;        /* (w) */
	filch__ptr *slots;                      /* (i) its elements (a) */
	uint64_t mask;                          /* (i) */
};

/* capacity: a power of two, the number of slots; they outlive the deque. */
static inline void
filch__deque_init(
    struct filch__deque *deque, filch__ptr *slots, size_t capacity)
{
	filch__assert(capacity > 0);
	filch__assert((capacity & (capacity - 1)) == 0);
	/* relaxed: nobody else knows the deque yet */
	filch__u64_store_relaxed(&deque->top, 0);
	filch__u64_store_relaxed(&deque->bottom, 0);
	filch__plain_set(&deque->top_seen, 0);
	deque->slots = slots;
	deque->mask = (uint64_t)capacity - 1;
}

/* How many items stand between the two; negative inside a pop_newest. */
static inline int64_t
filch__deque_distance(uint64_t top, uint64_t bottom)
{
	return ((int64_t)(bottom - top));
}

static inline filch__ptr *
filch__deque_slot(const struct filch__deque *deque, uint64_t index)
{
	return (&deque->slots[index & deque->mask]);
}

/* Owner.  False if it is full. */
static inline bool
filch__deque_push(struct filch__deque *deque, void *item)
{
	/* relaxed: only this thread writes bottom */
	uint64_t bottom = filch__u64_load_relaxed(&deque->bottom);
	uint64_t top = filch__plain_get(&deque->top_seen);

	if (filch__unlikely(bottom - top > deque->mask)) {
		/* [DQ2] pairs with the CAS of the thieves */
		top = filch__u64_load_acquire(&deque->top);
		filch__plain_set(&deque->top_seen, top);
		if (bottom - top > deque->mask) {
			return (false);
		}
	}
	/* relaxed: bottom publishes it */
	filch__ptr_store_relaxed(filch__deque_slot(deque, bottom), item);
	/* [DQ1] pairs with the load of bottom in a steal */
	filch__u64_store_release(&deque->bottom, bottom + 1);
	return (true);
}

/* Owner, last in first out.  NULL if it is empty. */
static inline void *
filch__deque_pop_newest(struct filch__deque *deque)
{
	/* relaxed: only this thread writes bottom; an old top looks fuller,
	 * and [DQ3] decides */
	uint64_t bottom = filch__u64_load_relaxed(&deque->bottom);
	uint64_t top = filch__u64_load_relaxed(&deque->top);
	int64_t distance = filch__deque_distance(top, bottom);
	void *item;

	if (distance <= 0) {
		return (NULL);
	}
	if (distance == 1) {
		/* relaxed: this thread wrote it */
		item = filch__ptr_load_relaxed(filch__deque_slot(deque, top));
		/* [DQ3] pairs with the CAS of the thieves: if it fails, one of
		 * them has the only item */
		return (filch__u64_cas_seq_cst(&deque->top, &top, top + 1)
			? item
			: NULL);
	}
	bottom--;
	/* [DQ3] pairs with the loads of top and bottom in a steal */
	(void)filch__u64_exchange_seq_cst(&deque->bottom, bottom);
	/* [DQ3] pairs with the CAS of the thieves */
	top = filch__u64_load_seq_cst(&deque->top);
	distance = filch__deque_distance(top, bottom);
	/* relaxed: this thread wrote it */
	item = filch__ptr_load_relaxed(filch__deque_slot(deque, bottom));
	if (distance > 0) {
		return (item);
	}
	/* [DQ3] pairs with the CAS of the thieves: one of us gets the last */
	if (distance < 0 ||
	    !filch__u64_cas_seq_cst(&deque->top, &top, top + 1)) {
		item = NULL;
	}
	/* relaxed: it says empty, so nobody takes a slot by it */
	filch__u64_store_relaxed(&deque->bottom, bottom + 1);
	return (item);
}

/* Owner: take item back if it is the newest one, and nobody else has it. */
static inline bool
filch__deque_take_back(struct filch__deque *deque, const void *item)
{
	/* relaxed: only this thread writes bottom, and the slots */
	uint64_t newest = filch__u64_load_relaxed(&deque->bottom) - 1;

	return (
	    filch__ptr_load_relaxed(filch__deque_slot(deque, newest)) == item &&
	    filch__deque_pop_newest(deque) != NULL);
}

/* Owner, first in first out.  NULL if it is empty. */
static inline void *
filch__deque_pop_oldest(struct filch__deque *deque)
{
	/* relaxed: only this thread writes bottom; the CAS checks top */
	uint64_t bottom = filch__u64_load_relaxed(&deque->bottom);
	uint64_t top = filch__u64_load_relaxed(&deque->top);

	while (filch__deque_distance(top, bottom) > 0) {
		/* relaxed: this thread wrote it */
		void *item =
		    filch__ptr_load_relaxed(filch__deque_slot(deque, top));

		/* [DQ3] pairs with the CAS of the thieves */
		if (filch__u64_cas_seq_cst(&deque->top, &top, top + 1)) {
			return (item);
		}
	}
	return (NULL);
}

/*
 * Owner: the oldest item, or one that was there before, or NULL; good for
 * nothing but fetching it early.
 */
static inline const void *
filch__deque_guess_oldest(const struct filch__deque *deque)
{
	/* relaxed: a hint */
	return (filch__ptr_load_relaxed(
	    filch__deque_slot(deque, filch__u64_load_relaxed(&deque->top))));
}

/* Thief.  NULL if it is empty, or contended. */
static inline void *
filch__deque_steal(struct filch__deque *deque)
{
	for (int i = 0; i < FILCH__DEQUE_STEAL_ATTEMPTS; i++) {
		/* [DQ3] pairs with the CAS of others, and the next line with
		 * the exchange in pop_newest; [DQ1] with push */
		uint64_t top = filch__u64_load_seq_cst(&deque->top);
		uint64_t bottom = filch__u64_load_seq_cst(&deque->bottom);
		void *item;

		if (filch__deque_distance(top, bottom) <= 0) {
			return (NULL);
		}
		/* relaxed: if it is of a later round, the CAS fails [DQ2] */
		item = filch__ptr_load_relaxed(filch__deque_slot(deque, top));
		/* [DQ3] pairs with pop_newest, [DQ2] with push */
		if (filch__u64_cas_seq_cst(&deque->top, &top, top + 1)) {
			return (item);
		}
		filch__pause();
	}
	return (NULL);
}

/*
 * Thief: up to max items and half of all, rounded up, oldest first, by one
 * CAS.  0 if it is empty, or contended.  FIFO lanes only; see Together.
 */
static inline unsigned
filch__deque_steal_half(struct filch__deque *deque, void **items, unsigned max)
{
	for (int i = 0; i < FILCH__DEQUE_STEAL_ATTEMPTS; i++) {
		/* [DQ2] pairs with the CAS of others; [DQ1] with push */
		uint64_t top = filch__u64_load_acquire(&deque->top);
		uint64_t bottom = filch__u64_load_acquire(&deque->bottom);
		int64_t distance = filch__deque_distance(top, bottom);
		uint64_t count;

		if (distance <= 0) {
			return (0);
		}
		/* an old top may look fuller than full: its CAS then fails */
		count = (uint64_t)distance - (uint64_t)distance / 2;
		if (count > max) {
			count = max;
		}
		for (uint64_t k = 0; k < count; k++) {
			/* relaxed: as in filch__deque_steal() */
			items[k] = filch__ptr_load_relaxed(
			    filch__deque_slot(deque, top + k));
		}
		/* [DQ3] pairs with the CAS of others, [DQ2] with push */
		if (filch__u64_cas_seq_cst(&deque->top, &top, top + count)) {
			return ((unsigned)count);
		}
		filch__pause();
	}
	return (0);
}

/*
 * Owner: up to max items and half of all, oldest first, for the injector.  One
 * by one, and so safe against thieves in both disciplines.
 */
static inline unsigned
filch__deque_take_half(struct filch__deque *deque, void **items, unsigned max)
{
	/* relaxed: a hint of how many; each item is taken by CAS */
	uint64_t bottom = filch__u64_load_relaxed(&deque->bottom);
	uint64_t top = filch__u64_load_relaxed(&deque->top);
	uint64_t half = (bottom - top + 1) / 2;
	unsigned count = 0;

	while (count < max && count < half) {
		items[count] = filch__deque_pop_oldest(deque);
		if (items[count] == NULL) {
			break;
		}
		count++;
	}
	return (count);
}

/* Any thread: how many items there are, about; never more than fit. */
static inline size_t
filch__deque_count(const struct filch__deque *deque)
{
	/* relaxed: a hint */
	uint64_t top = filch__u64_load_relaxed(&deque->top);
	uint64_t bottom = filch__u64_load_relaxed(&deque->bottom);
	int64_t distance = filch__deque_distance(top, bottom);

	if (distance <= 0) {
		return (0);
	}
	return ((size_t)distance <= deque->mask ? (size_t)distance
						: (size_t)deque->mask + 1);
}

/*
 * Any thread.  Stands in the parking handshake: after filch__idle_park(), whose
 * fence comes before it, it sees whatever was pushed before the fence of a
 * publisher that did not see the parking worker.
 */
static inline bool
filch__deque_is_empty(const struct filch__deque *deque)
{
	/* [DQ2] pairs with the CAS of others; [DQ1] with push */
	uint64_t top = filch__u64_load_acquire(&deque->top);
	uint64_t bottom = filch__u64_load_acquire(&deque->bottom);

	return (filch__deque_distance(top, bottom) <= 0);
}

#endif /* FILCH_EXECUTOR_DEQUE_H */

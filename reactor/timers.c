/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Timers: the pairing heap.
 *
 * A node's children form a list by sibling; previous of a node is its left
 * sibling, or its parent for the first child, or NULL for the root and for a
 * timer that is in no heap.  Adding is constant time; taking any node out is
 * logarithmic over a row of calls, and no call recurses.
 *
 * Rejected: a wheel, which ticks or must be searched for its next deadline,
 * and an array heap, which has to grow.
 */
#include "timers.h"

#include <stdbool.h>
#include <stddef.h>

#include "../include/private/assert.h"

static struct filch_timer *heap_meld(
    struct filch_timer *one, struct filch_timer *two);
static struct filch_timer *heap_join_children(struct filch_timer *first);
static void heap_take_out(struct filch_timer **root, struct filch_timer *timer);

void
filch__timers_init(struct filch__timers *timers)
{
	filch__lock_init(&timers->lock);
	timers->root = NULL;
	/* relaxed: no other thread knows the heap yet */
	filch__u64_store_relaxed(&timers->earliest_ns, FILCH_NEVER);
	filch__u64_store_relaxed(&timers->fired, 0); /* relaxed: as above */
}

void
filch__timers_fini(struct filch__timers *timers)
{
	filch__assert(timers->root == NULL);
	filch__lock_fini(&timers->lock);
}

void
filch__timer_init(struct filch_timer *timer, uint64_t deadline_ns,
    filch__timer_expire_fn expire)
{
	timer->priv.deadline_ns = deadline_ns;
	timer->priv.child = NULL;
	timer->priv.sibling = NULL;
	timer->priv.previous = NULL;
	timer->priv.timers = NULL;
	timer->priv.expire = expire;
}

bool
filch__timers_add(struct filch__timers *timers, struct filch_timer *timer)
{
	uint64_t deadline_ns = timer->priv.deadline_ns;
	bool is_earliest;

	filch__assert(timer->priv.timers == NULL);
	timer->priv.timers = timers;

	filch__lock_take(&timers->lock);
	timers->root =
	    timers->root == NULL ? timer : heap_meld(timers->root, timer);
	/* relaxed: only written under the lock */
	is_earliest =
	    deadline_ns < filch__u64_load_relaxed(&timers->earliest_ns);
	if (is_earliest) {
		/*
		 * [RT1] pairs with the reactor thread, which says when it
		 * will wake and then looks at all of these: the caller, who
		 * looks next until when it sleeps, must not be overtaken by
		 * this store.  [RT1]
		 */
		(void)filch__u64_exchange_seq_cst(
		    &timers->earliest_ns, deadline_ns);
	}
	filch__lock_leave(&timers->lock);
	return (is_earliest);
}

bool
filch__timers_remove(struct filch_timer *timer)
{
	struct filch__timers *timers = timer->priv.timers;
	bool was_in;

	if (timers == NULL) {
		return (false);
	}
	filch__lock_take(&timers->lock);
	was_in = timer->priv.previous != NULL || timers->root == timer;
	if (was_in) {
		heap_take_out(&timers->root, timer);
		/*
		 * earliest_ns is left as it is: a deadline that nobody has any
		 * more costs at most one wake of the shard's worker and one of
		 * the reactor thread; the first of them puts it right.
		 */
	}
	filch__lock_leave(&timers->lock);
	return (was_in);
}

bool
filch__timers_is_empty(struct filch__timers *timers)
{
	bool is_empty;

	filch__lock_take(&timers->lock);
	is_empty = timers->root == NULL;
	filch__lock_leave(&timers->lock);
	return (is_empty);
}

bool
filch__timers_expire(struct filch__timers *timers, uint64_t now_ns,
    struct filch__expired *expired)
{
	struct filch_timer *timer;
	bool more;

	filch__lock_take(&timers->lock);
	while ((timer = timers->root) != NULL &&
	    timer->priv.deadline_ns <= now_ns &&
	    expired->count < FILCH__EXPIRED_MAX) {
		heap_take_out(&timers->root, timer);
		filch__counter_add(&timers->fired, 1);
		/* expire may give the timer's memory up: it is used no more */
		timer->priv.expire(timer, expired);
	}
	filch__assert(expired->count <= FILCH__EXPIRED_MAX);
	more = timer != NULL && timer->priv.deadline_ns <= now_ns;
	/* relaxed: later than before, if anything; who still reads the old one
	 * looks too early, and add lowers it */
	filch__u64_store_relaxed(&timers->earliest_ns,
	    timer == NULL ? FILCH_NEVER : timer->priv.deadline_ns);
	filch__lock_leave(&timers->lock);
	return (more);
}

/* Make one heap of two; neither root has siblings. */
static struct filch_timer *
heap_meld(struct filch_timer *one, struct filch_timer *two)
{
	struct filch_timer *parent = one;
	struct filch_timer *child = two;

	if (two->priv.deadline_ns < one->priv.deadline_ns) {
		parent = two;
		child = one;
	}
	child->priv.previous = parent;
	child->priv.sibling = parent->priv.child;
	if (child->priv.sibling != NULL) {
		child->priv.sibling->priv.previous = child;
	}
	parent->priv.child = child;
	return (parent);
}

/*
 * Make one heap of a list of siblings: from the left in pairs, then the pairs
 * from the right into one, which is what keeps the cost logarithmic.
 */
static struct filch_timer *
heap_join_children(struct filch_timer *first)
{
	struct filch_timer *pairs = NULL;
	struct filch_timer *root = NULL;

	while (first != NULL) {
		struct filch_timer *pair = first;
		struct filch_timer *second = first->priv.sibling;

		first = second == NULL ? NULL : second->priv.sibling;
		pair->priv.sibling = NULL;
		pair->priv.previous = NULL;
		if (second != NULL) {
			second->priv.sibling = NULL;
			second->priv.previous = NULL;
			pair = heap_meld(pair, second);
		}
		pair->priv.sibling = pairs;
		pairs = pair;
	}
	while (pairs != NULL) {
		struct filch_timer *next = pairs->priv.sibling;

		pairs->priv.sibling = NULL;
		root = root == NULL ? pairs : heap_meld(root, pairs);
		pairs = next;
	}
	return (root);
}

/* Take timer out, wherever in the heap of *root it is. */
static void
heap_take_out(struct filch_timer **root, struct filch_timer *timer)
{
	struct filch_timer *previous = timer->priv.previous;
	struct filch_timer *sibling = timer->priv.sibling;
	struct filch_timer *rest = heap_join_children(timer->priv.child);

	if (previous == NULL) {
		filch__assert(*root == timer);
		filch__assert(sibling == NULL);
		*root = rest;
	} else {
		if (previous->priv.child == timer) {
			previous->priv.child = sibling;
		} else {
			filch__assert(previous->priv.sibling == timer);
			previous->priv.sibling = sibling;
		}
		if (sibling != NULL) {
			sibling->priv.previous = previous;
		}
		if (rest != NULL) {
			*root = heap_meld(*root, rest);
		}
	}
	timer->priv.child = NULL;
	timer->priv.sibling = NULL;
	timer->priv.previous = NULL;
}

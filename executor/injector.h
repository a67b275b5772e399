/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Injector: the queue of tasks that come from outside of the workers, or did
 * not fit into a deque.  First in first out; any thread pushes, workers pop.
 *
 * Word      stack: the task pushed last, linked to older ones by priv.next.
 *           left: 1 while the list may hold tasks.  pushed, popped: how many
 *           ever were; their difference is never less than what is queued.
 * Fields    stack (a) CAS by pushers, exchanged by the holder of the lock;
 *           pushed (a) RMW only;  left, popped (a) written under lock;
 *           head (l);  a queued task's priv.next: its pusher's until the
 *           CAS, then the lock holder's.
 * States    outside -> stacked  push  any thread   CAS stack
 *           stacked -> listed   pop   lock holder  left = 1, exchange stack,
 *                                                  turn it round
 *           listed -> outside   pop   lock holder  head = next, left
 * Invariant A task stands in the stack or in the list.  The list is older than
 *           all of the stack.  While either holds a task, stack is not NULL or
 *           left is 1.
 * Orderings [IJ1] CAS stack (release) by push, exchange (acquire) by pop: the
 *           links, and what the pusher did to the task.
 *           [IJ2] left = 1, exchange stack (release) by pop; load stack
 *           (acquire), load left by is_empty: who finds the stack taken away
 *           finds left set, until the list is empty.
 *           [IJ3] push: CAS stack, filch__idle_claim() loads the idle word.
 *           parker: changes that word, is_empty loads stack.  Store-load on
 *           both sides, hence all four seq_cst; with that the push needs no
 *           fence of its own.
 *           [IJ4] add pushed, CAS stack; exchange stack, store popped
 *           (release); count loads popped (acquire) first: never negative, and
 *           never 0 while a task that the caller knows of is queued.
 * Together  everything with everything; init and fini with nothing.
 * Progress  push lock-free.  pop and count: pop holds the lock for as many
 *           steps as were pushed since the last pop, each push once.
 * Rejected  a lock for pushers (a preempted worker would hold up a wake); a
 *           linked queue with one exchange a push (its half-linked moment hides
 *           all later pushes while the pusher is preempted); a ring (wakes must
 *           always fit).
 * Source    Treiber, RJ 5118, 1986, with the take-all pop that knows no ABA.
 *           Tests: unit/test_injector.c stress/injector.c model/injector.cpp.
 */
#ifndef FILCH_EXECUTOR_INJECTOR_H
#define FILCH_EXECUTOR_INJECTOR_H

#include <stdbool.h>
#include <stdint.h>

#include <filch/task.h>

#include "../include/private/atomic.h"
#include "../include/private/compiler.h"
#include "../include/private/lock.h"
#include "../include/private/plain.h"

struct filch__injector {
	FILCH__CACHE_ALIGNED filch__ptr stack; /* (a) */
	filch__u64 pushed;                     /* (a) */
	FILCH__CACHE_ALIGNED struct filch__lock lock;
	filch__u64 popped;                      /* (a) */
	filch__u32 left;                        /* (a) */
	FILCH__PLAIN(struct filch_task *) head; /* (l) oldest */
};

void filch__injector_init(struct filch__injector *injector);

/* It is empty: a task left in it would never run. */
void filch__injector_fini(struct filch__injector *injector);

/*
 * Queue count tasks, first to last in this order, linked by priv.next.  Never
 * refuses: who must respect a bound asks filch__injector_count() first.
 * Then filch__idle_claim() may be called without a fence.
 */
void filch__injector_push(struct filch__injector *injector,
    struct filch_task *first, struct filch_task *last, unsigned count);

/* Take up to max of the oldest tasks; returns how many. */
unsigned filch__injector_pop(
    struct filch__injector *injector, struct filch_task **tasks, unsigned max);

/* How many tasks are queued, at least: a push counts from before its CAS. */
static inline uint64_t
filch__injector_count(const struct filch__injector *injector)
{
	/* [IJ4] pairs with the store of popped in pop */
	uint64_t popped = filch__u64_load_acquire(&injector->popped);
	/* [IJ4] pairs with the add in push */
	uint64_t pushed = filch__u64_load_acquire(&injector->pushed);

	return (pushed - popped);
}

/* Half of the parking handshake [IJ3]; see filch__idle_park(). */
static inline bool
filch__injector_is_empty(const struct filch__injector *injector)
{
	/* [IJ2] pairs with the exchange in pop; [IJ3] with the CAS in push */
	if (filch__ptr_load_seq_cst(&injector->stack) != NULL) {
		return (false);
	}
	/* relaxed: the stack that was taken away has brought it along [IJ2] */
	return (filch__u32_load_relaxed(&injector->left) == 0);
}

#endif /* FILCH_EXECUTOR_INJECTOR_H */

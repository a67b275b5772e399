/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Waker slot: room for the waker of the one task that waits for an event, left
 * there by the task and taken by whoever sees the event.
 *
 * The event itself is another atomic word.  The waiting side: look at the
 * event; if it is not there, register; look again.  The other side: set the
 * event; take; wake.
 *
 * Word      [63:1] takers  [0] REGISTERING
 * Fields    state (a) RMW only;  vtable, data: the registering thread's while
 *           REGISTERING is set, the first taker's while takers > 0 and it found
 *           0 before, else nobody's.
 * States    idle -> registering          register  CAS
 *           registering -> idle          register  CAS, the waker is in place
 *           registering -> + a taker     take      add; leaves the waker
 *           registering + takers -> idle register  exchange; has taken the
 *                                                  waker back and wakes it
 *           idle -> a taker              take      add; owns the waker
 *           takers -> + a taker          take      add; leaves the waker
 *           takers -> idle               take      exchange
 * Invariant A take that comes after a register in the order of the word
 *           returns its waker, or leaves it to a taker or a registering thread
 *           which has not let go yet.  A register after a take has acquired
 *           what the taker released, so its second look sees the event.
 * Orderings [WS1] every change of the word is an acq_rel RMW.  None may be a
 *           plain store, also not the last one of a taker: takers that only
 *           added themselves are ordered before the next register by the
 *           release sequence alone.  A register that finds takers reads (by
 *           its failed CAS, acquire) what they released, and wakes its own
 *           task, whose next look sees the event.
 *           What hangs on them: acquire of register's first CAS, release of
 *           its second and of both exchanges, both halves of take's add.
 * Together  one register | any number of takes and clears.
 * Progress  everything wait-free; but a task that registers while a taker
 *           stands between its add and its exchange wakes itself, and so is
 *           polled again until that taker has gone on.
 * Rejected  a mutex (a preempted poll would hold up the reactor); WAKING as a
 *           single bit (x86 has no fetch_or that returns the old word, and a
 *           CAS loop is no longer wait-free); leaving the waker in place after
 *           a wake (the task would be woken by later events it does not wait
 *           for, and kept alive by the slot).
 * Source    the AtomicWaker of Rust's futures crate, for the two-bit protocol.
 *           Tests: unit/test_waker_slot.c stress/waker_slot.c
 *           model/waker_slot.cpp.
 */
#ifndef FILCH_REACTOR_WAKER_SLOT_H
#define FILCH_REACTOR_WAKER_SLOT_H

#include <stdbool.h>
#include <stdint.h>

#include <filch/waker.h>

#include "../include/private/assert.h"
#include "../include/private/atomic.h"
#include "../include/private/plain.h"

struct filch__waker_slot {
	filch__u64 state;                                       /* (a) */
	FILCH__PLAIN(const struct filch_waker_vtable *) vtable; /* by state */
	FILCH__PLAIN(void *) data;                              /* by state */
};

#define FILCH__WAKER_SLOT_REGISTERING UINT64_C(1)
#define FILCH__WAKER_SLOT_TAKER       UINT64_C(2)

static inline void
filch__waker_slot_init(struct filch__waker_slot *slot)
{
	/* relaxed: nobody else knows the slot yet */
	filch__u64_store_relaxed(&slot->state, 0);
	filch__plain_set(&slot->vtable, NULL);
	filch__plain_set(&slot->data, NULL);
}

/* Read and empty the slot, by who owns it. */
static inline struct filch_waker
filch__waker_slot_empty(struct filch__waker_slot *slot)
{
	struct filch_waker waker;

	waker.vtable = filch__plain_get(&slot->vtable);
	waker.data = filch__plain_get(&slot->data);
	filch__plain_set(&slot->vtable, NULL);
	filch__plain_set(&slot->data, NULL);
	return (waker);
}

/*
 * Leave a clone of waker, in place of what is there, for the next take.  One
 * thread at a time.  If a take comes in between, waker is woken at once.
 */
static inline void
filch__waker_slot_register(
    struct filch__waker_slot *slot, const struct filch_waker *waker)
{
	struct filch_waker replaced = { NULL, NULL };
	struct filch_waker stored;
	uint64_t state = 0;

	/* [WS1] pairs with every change of state */
	if (!filch__u64_cas_acq_rel(
		&slot->state, &state, FILCH__WAKER_SLOT_REGISTERING)) {
		filch__assert((state & FILCH__WAKER_SLOT_REGISTERING) == 0);
		filch_waker_wake_by_ref(waker);
		return;
	}
	stored.vtable = filch__plain_get(&slot->vtable);
	stored.data = filch__plain_get(&slot->data);
	if (!filch_waker_is_same(&stored, waker)) {
		replaced = stored;
		stored = filch_waker_clone(waker);
		filch__plain_set(&slot->vtable, stored.vtable);
		filch__plain_set(&slot->data, stored.data);
	}
	state = FILCH__WAKER_SLOT_REGISTERING;
	/* [WS1] pairs with every change of state */
	if (!filch__u64_cas_acq_rel(&slot->state, &state, 0)) {
		stored = filch__waker_slot_empty(slot);
		/* [WS1] pairs with every change of state */
		(void)filch__u64_exchange_acq_rel(&slot->state, 0);
		filch_waker_wake(&stored);
	}
	filch_waker_drop(&replaced);
}

/*
 * Take the waker out, to wake it: the caller's from here on.  Nobody, if there
 * was none, or if another thread is about to wake it.
 */
static inline struct filch_waker
filch__waker_slot_take(struct filch__waker_slot *slot)
{
	struct filch_waker waker = { NULL, NULL };

	/* [WS1] pairs with every change of state */
	if (filch__u64_add_acq_rel(&slot->state, FILCH__WAKER_SLOT_TAKER) !=
	    0) {
		return (waker);
	}
	waker = filch__waker_slot_empty(slot);
	/* [WS1] pairs with every change of state */
	(void)filch__u64_exchange_acq_rel(&slot->state, 0);
	return (waker);
}

/* Nobody waits any more. */
static inline void
filch__waker_slot_clear(struct filch__waker_slot *slot)
{
	struct filch_waker waker = filch__waker_slot_take(slot);

	filch_waker_drop(&waker);
}

#endif /* FILCH_REACTOR_WAKER_SLOT_H */

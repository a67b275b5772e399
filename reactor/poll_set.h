/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The poll set: operations that wait until their descriptor is ready, for the
 * drivers that look for that themselves.
 *
 * A slot a descriptor, not an operation; each slot has a FIFO of operations.
 * The lock covers slots, lists, and the move of an operation out of
 * FILCH__OP_POLLING: who makes it completes it.
 *
 * Lost?     Readiness is level-triggered: what was ready while nobody looked
 *           is found by the next look.  An operation is added under the lock,
 *           and then the driver sees to it that there is a next look.  Cancel
 *           removes it under the same lock, and needs no look: one too many is
 *           harmless.
 */
#ifndef FILCH_REACTOR_POLL_SET_H
#define FILCH_REACTOR_POLL_SET_H

#include <stdbool.h>

#include "../include/private/lock.h"
#include "op_queue.h"

struct filch__shard;

struct filch__poll_slot {
	int fd;
	unsigned armed; /* (l) POLLIN, POLLOUT that a kqueue will tell of */
	struct filch__op_queue queue;
};

struct filch__poll_set {
	struct filch__lock lock;
	struct filch__poll_slot *slots; /* (l) */
	unsigned slot_count;            /* (l) */
	unsigned slots_max;             /* (l) room in slots */
	unsigned *by_fd;  /* (l) index into slots, by descriptor */
	unsigned fds_max; /* (l) room in by_fd */
};

/* Returns 0 or -ENOMEM. */
int filch__poll_set_init(struct filch__poll_set *set);
void filch__poll_set_fini(struct filch__poll_set *set);

/* ---- with the lock held ---- */

/* Add op, a transfer; its slot, or NULL if there is no memory. */
struct filch__poll_slot *filch__poll_set_add(
    struct filch__poll_set *set, struct filch_op *op);

/* The slot of a descriptor, or NULL. */
struct filch__poll_slot *filch__poll_set_find(
    const struct filch__poll_set *set, int fd);

/* Take op out, which is FILCH__OP_POLLING; an empty slot goes. */
void filch__poll_set_remove(struct filch__poll_set *set, struct filch_op *op);

/* What the operations of slot wait for: POLLIN, POLLOUT. */
short filch__poll_slot_events(const struct filch__poll_slot *slot);

/*
 * Try the operations of slot, which has become ready for events, in order; the
 * first that is not ready after all ends its direction's turn.  Those that have
 * ended go before *done, those that the pool must carry out before *pooled, by
 * next.  The slot may be gone afterwards.
 */
void filch__poll_set_ready(struct filch__poll_set *set,
    struct filch__poll_slot *slot, short events, struct filch_op **done,
    struct filch_op **pooled);

/* ---- these take the lock ---- */

/* True if op was taken out: the caller completes it. */
bool filch__poll_set_cancel(struct filch__poll_set *set, struct filch_op *op);

/* Take all of a shard's out: a list by next, with -ECANCELED. */
struct filch_op *filch__poll_set_cancel_all(
    struct filch__poll_set *set, const struct filch__shard *shard);

/* How many of a shard's wait. */
unsigned filch__poll_set_count(
    struct filch__poll_set *set, const struct filch__shard *shard);

#endif /* FILCH_REACTOR_POLL_SET_H */

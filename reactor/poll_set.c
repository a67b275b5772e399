/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The poll set.
 */
#include "poll_set.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "../include/private/atomic.h"
#include "driver.h"
#include "execute.h"

#define SLOTS_FIRST 64

#define NO_SLOT UINT_MAX

static bool slots_grow(struct filch__poll_set *);
static bool fds_grow(struct filch__poll_set *, int);
static void slot_unlink(struct filch__poll_slot *, struct filch_op *);
static void slot_drop_if_empty(
    struct filch__poll_set *, struct filch__poll_slot *);

int
filch__poll_set_init(struct filch__poll_set *set)
{
	memset(set, 0, sizeof(*set));
	if (!slots_grow(set)) {
		return (-ENOMEM);
	}
	if (!fds_grow(set, SLOTS_FIRST - 1)) {
		free(set->slots);
		return (-ENOMEM);
	}
	filch__lock_init(&set->lock);
	return (0);
}

void
filch__poll_set_fini(struct filch__poll_set *set)
{
	filch__lock_fini(&set->lock);
	free(set->by_fd);
	free(set->slots);
}

struct filch__poll_slot *
filch__poll_set_add(struct filch__poll_set *set, struct filch_op *op)
{
	int fd = op->priv.file->fd;
	struct filch__poll_slot *slot = filch__poll_set_find(set, fd);

	if (slot == NULL) {
		if ((set->slot_count == set->slots_max && !slots_grow(set)) ||
		    ((unsigned)fd >= set->fds_max && !fds_grow(set, fd))) {
			return (NULL);
		}
		set->by_fd[fd] = set->slot_count;
		slot = &set->slots[set->slot_count++];
		*slot = (struct filch__poll_slot){ .fd = fd };
	}
	filch__op_queue_push(&slot->queue, op);
	/* A transfer has no directory: here it keeps the slot's descriptor. */
	op->priv.directory_to = fd;
	/* release [OP1]: who cancels sees the operation's shard */
	filch__u32_store_release(&op->priv.state, FILCH__OP_POLLING);
	return (slot);
}

static bool
slots_grow(struct filch__poll_set *set)
{
	unsigned count = set->slots_max == 0 ? SLOTS_FIRST : set->slots_max * 2;
	struct filch__poll_slot *slots =
	    realloc(set->slots, count * sizeof(*slots));

	if (slots == NULL) {
		return (false);
	}
	set->slots = slots;
	set->slots_max = count;
	return (true);
}

/* Descriptors are small numbers: the array is no longer than they are many. */
static bool
fds_grow(struct filch__poll_set *set, int fd)
{
	unsigned count = set->fds_max == 0 ? SLOTS_FIRST : set->fds_max;
	unsigned *by_fd;

	while (count <= (unsigned)fd) {
		count *= 2;
	}
	by_fd = realloc(set->by_fd, count * sizeof(*by_fd));
	if (by_fd == NULL) {
		return (false);
	}
	while (set->fds_max < count) {
		by_fd[set->fds_max++] = NO_SLOT;
	}
	set->by_fd = by_fd;
	return (true);
}

struct filch__poll_slot *
filch__poll_set_find(const struct filch__poll_set *set, int fd)
{
	if ((unsigned)fd >= set->fds_max || set->by_fd[fd] == NO_SLOT) {
		return (NULL);
	}
	return (&set->slots[set->by_fd[fd]]);
}

void
filch__poll_set_remove(struct filch__poll_set *set, struct filch_op *op)
{
	struct filch__poll_slot *slot =
	    filch__poll_set_find(set, op->priv.directory_to);

	slot_unlink(slot, op);
	slot_drop_if_empty(set, slot);
}

static void
slot_unlink(struct filch__poll_slot *slot, struct filch_op *op)
{
	filch__op_queue_remove(&slot->queue, op);
	/* relaxed: the lock orders it; no longer POLLING, so nobody else
	 * removes it */
	filch__u32_store_relaxed(&op->priv.state, FILCH__OP_TAKEN_OUT);
}

/* The last slot takes the place of one that goes. */
static void
slot_drop_if_empty(struct filch__poll_set *set, struct filch__poll_slot *slot)
{
	struct filch__poll_slot *last;

	if (slot->queue.head != NULL) {
		return;
	}
	set->by_fd[slot->fd] = NO_SLOT;
	last = &set->slots[--set->slot_count];
	if (slot != last) {
		*slot = *last;
		set->by_fd[slot->fd] = (unsigned)(slot - set->slots);
	}
}

short
filch__poll_slot_events(const struct filch__poll_slot *slot)
{
	const struct filch_op *op;
	int events = 0;

	for (op = slot->queue.head; op != NULL; op = op->priv.next) {
		events |= filch__execute_poll_events(op);
		if (events == (POLLIN | POLLOUT)) {
			break;
		}
	}
	return ((short)events);
}

/* An attempt does not block, so the lock may be held meanwhile. */
void
filch__poll_set_ready(struct filch__poll_set *set,
    struct filch__poll_slot *slot, short events, struct filch_op **done,
    struct filch_op **pooled)
{
	struct filch_op *op = slot->queue.head;
	int open = POLLIN | POLLOUT;

	if ((events & (POLLERR | POLLHUP | POLLNVAL)) == 0) {
		open &= events;
	}
	while (op != NULL) {
		struct filch_op *next = op->priv.next;
		short direction = filch__execute_poll_events(op);
		enum filch__attempt attempt = FILCH__ATTEMPT_NOT_READY;

		if ((open & direction) != 0) {
			attempt = filch__execute_try(op, &op->priv.result);
		}
		if (attempt == FILCH__ATTEMPT_NOT_READY) {
			open &= ~direction;
		} else {
			struct filch_op **list =
			    attempt == FILCH__ATTEMPT_DONE ? done : pooled;

			if (attempt == FILCH__ATTEMPT_MAY_BLOCK) {
				/* one at a time: the next might block */
				open &= ~direction;
			}
			slot_unlink(slot, op);
			op->priv.next = *list;
			*list = op;
		}
		op = next;
	}
	slot_drop_if_empty(set, slot);
}

bool
filch__poll_set_cancel(struct filch__poll_set *set, struct filch_op *op)
{
	bool removed;

	filch__lock_take(&set->lock);
	/* relaxed: POLLING changes under the lock only */
	removed = filch__u32_load_relaxed(&op->priv.state) == FILCH__OP_POLLING;
	if (removed) {
		filch__poll_set_remove(set, op);
	}
	filch__lock_leave(&set->lock);
	return (removed);
}

struct filch_op *
filch__poll_set_cancel_all(
    struct filch__poll_set *set, const struct filch__shard *shard)
{
	struct filch_op *list = NULL;
	unsigned i;

	filch__lock_take(&set->lock);
	/* Backwards: a slot that empties is filled by the last one. */
	for (i = set->slot_count; i-- > 0;) {
		struct filch_op *op = set->slots[i].queue.head;

		while (op != NULL) {
			struct filch_op *next = op->priv.next;

			if (op->priv.shard == shard) {
				slot_unlink(&set->slots[i], op);
				op->priv.result = -ECANCELED;
				op->priv.next = list;
				list = op;
			}
			op = next;
		}
		slot_drop_if_empty(set, &set->slots[i]);
	}
	filch__lock_leave(&set->lock);
	return (list);
}

unsigned
filch__poll_set_count(
    struct filch__poll_set *set, const struct filch__shard *shard)
{
	const struct filch_op *op;
	unsigned count = 0;
	unsigned i;

	filch__lock_take(&set->lock);
	for (i = 0; i < set->slot_count; i++) {
		for (op = set->slots[i].queue.head; op != NULL;
		     op = op->priv.next) {
			count += op->priv.shard == shard;
		}
	}
	filch__lock_leave(&set->lock);
	return (count);
}

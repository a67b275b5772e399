/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A queue of operations, linked through themselves (op->priv.next and
 * op->priv.previous), so that it needs no memory.  Its user's lock covers it.
 */
#ifndef FILCH_REACTOR_OP_QUEUE_H
#define FILCH_REACTOR_OP_QUEUE_H

#include <filch/op.h>

struct filch__op_queue {
	struct filch_op *head; /* leaves first */
	struct filch_op *tail;
	unsigned count;
};

static inline void
filch__op_queue_push(struct filch__op_queue *queue, struct filch_op *op)
{
	op->priv.next = NULL;
	op->priv.previous = queue->tail;
	if (queue->tail != NULL) {
		queue->tail->priv.next = op;
	} else {
		queue->head = op;
	}
	queue->tail = op;
	queue->count++;
}

/* op is in the queue, anywhere. */
static inline void
filch__op_queue_remove(struct filch__op_queue *queue, struct filch_op *op)
{
	struct filch_op *next = op->priv.next;
	struct filch_op *previous = op->priv.previous;

	if (previous != NULL) {
		previous->priv.next = next;
	} else {
		queue->head = next;
	}
	if (next != NULL) {
		next->priv.previous = previous;
	} else {
		queue->tail = previous;
	}
	queue->count--;
}

/* Put all of the other queue before the head of this one. */
static inline void
filch__op_queue_prepend(
    struct filch__op_queue *queue, struct filch__op_queue *other)
{
	if (other->head == NULL) {
		return;
	}
	other->tail->priv.next = queue->head;
	if (queue->head != NULL) {
		queue->head->priv.previous = other->tail;
	} else {
		queue->tail = other->tail;
	}
	queue->head = other->head;
	queue->count += other->count;
	*other = (struct filch__op_queue){ .count = 0 };
}

/*
 * Take out all but closes, which must be carried out or their descriptors
 * would leak: a list by next.
 */
static inline struct filch_op *
filch__op_queue_take_all(struct filch__op_queue *queue)
{
	struct filch_op *list = NULL;
	struct filch_op **end = &list;
	struct filch_op *next;

	for (struct filch_op *op = queue->head; op != NULL; op = next) {
		next = op->priv.next;
		if (op->priv.opcode != FILCH_OP_CLOSE) {
			filch__op_queue_remove(queue, op);
			op->priv.next = NULL;
			*end = op;
			end = &op->priv.next;
		}
	}
	return (list);
}

#endif /* FILCH_REACTOR_OP_QUEUE_H */

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * io_uring: cancelling.
 */
#include <errno.h>
#include <sched.h>

#include "uring.h"

/*
 * An entry for a cancel, which must not get lost.  As long as the queue is full
 * and the kernel takes nothing from it, perhaps until it is reaped, whoever can
 * reap is let in: an operation that completes or moves on meanwhile sees
 * stop_asked.  Who expires reaps itself, whichever thread it is: for the lock
 * of the timers, which it holds, the worker may be waiting.  Lock held, but not
 * meanwhile.
 */
static struct io_uring_sqe *
cancel_entry_get(struct filch__shard *shard)
{
	struct filch__uring_shard *us = filch__uring_shard(shard);
	struct io_uring_sqe *sqe;

	while ((sqe = filch__uring_entry_get(us)) == NULL) {
		filch__lock_leave(&us->lock);
		if (filch__shard_current == shard ||
		    filch__expired_current != NULL) {
			(void)filch__uring_reap(shard);
		} else if (!filch__uring_may_hand_over(us)) {
			filch__uring_wake(shard);
		}
		sched_yield();
		filch__lock_take(&us->lock);
	}
	return (sqe);
}

/*
 * The cancel stands in the queue before any operation that is issued later at
 * the address of one that ended meanwhile, so it cannot hit the wrong one.
 * Whoever must not hand it over, or cannot, wakes the worker to do it; of one
 * that is stuck the reactor thread takes care.  Lock held.
 */
void
filch__uring_cancel_enter(
    struct filch__shard *shard, uint64_t user_data, unsigned flags)
{
	struct filch__uring_shard *us = filch__uring_shard(shard);
	struct io_uring_sqe *sqe = cancel_entry_get(shard);

	sqe->opcode = IORING_OP_ASYNC_CANCEL;
	sqe->fd = -1;
	sqe->addr = user_data;
	sqe->cancel_flags = flags;
	filch__uring_entry_publish(us, sqe, FILCH__URING_IGNORE);
	if (filch__uring_may_hand_over(us)) {
		(void)filch__uring_hand_over(us);
	}
	if (filch__uring_pending(us) > 0 && filch__shard_current != shard) {
		filch__uring_wake(shard);
	}
}

void
filch__uring_cancel(struct filch_op *op)
{
	struct filch__shard *shard = op->priv.shard;
	struct filch__uring_shard *us = filch__uring_shard(shard);
	bool finished = false;

	filch__lock_take(&us->lock);
	filch__uring_gathered_take(us);
	/* [OP1] pairs with uring_submit, which its worker is in: op is not
	 * there yet, and will be in a moment */
	while (filch__u32_load_acquire(&op->priv.state) == FILCH__OP_GATHERED) {
		sched_yield();
		filch__uring_gathered_take(us);
	}
	op->priv.stop_asked = 1;
	/* relaxed: changed under the lock, or by the pool, which looks too */
	switch (
	    (enum filch__op_state)filch__u32_load_relaxed(&op->priv.state)) {
	case FILCH__OP_WAITING:
		filch__uring_wait_take_out(us, op);
		finished = true;
		break;
	case FILCH__OP_KERNEL:
		if (op->priv.pool_tried == FILCH__URING_POOL_UNTRIED) {
			filch__uring_cancel_enter(shard,
			    (uint64_t)(uintptr_t)op | FILCH__URING_OP, 0);
			break;
		}
		/* refused by the ring and on its way to the pool */
		finished = filch__pool_cancel(&shard->reactor->pool, op);
		break;
	case FILCH__OP_POLLING:
		filch__uring_cancel_enter(
		    shard, (uint64_t)(uintptr_t)op | FILCH__URING_POLL, 0);
		break;
	case FILCH__OP_IDLE:
		/* its deadline came before its submit, perhaps to the pool:
		 * then their one word or lock [OP2] is the pool's */
	case FILCH__OP_POOL:
		finished = filch__pool_cancel(&shard->reactor->pool, op);
		break;
	case FILCH__OP_GATHERED:
	case FILCH__OP_TAKEN_OUT:
	case FILCH__OP_POOL_RUNNING:
	case FILCH__OP_DONE:
	case FILCH__OP_SPENT:
		break;
	}
	filch__uring_issue(us);
	filch__lock_leave(&us->lock);
	if (finished) {
		op->priv.result = -ECANCELED;
		op->priv.next = NULL;
		filch__reactor_complete(shard->reactor, op);
	}
}

void
filch__uring_cancel_all(struct filch__shard *shard)
{
	struct filch__uring_shard *us = filch__uring_shard(shard);
	struct filch_op *list;
	struct filch_op *op;

	filch__lock_take(&us->lock);
	filch__uring_gathered_take(us);
	list = filch__op_queue_take_all(&us->waiting);
	for (op = list; op != NULL; op = op->priv.next) {
		/* relaxed: the lock orders it; nobody else completes it */
		filch__u32_store_relaxed(&op->priv.state, FILCH__OP_TAKEN_OUT);
	}
	filch__uring_issue(us);
	/* relaxed: changed under the lock.  The armed eventfd is no work. */
	if (filch__u32_load_relaxed(&us->in_flight) >
	    (us->eventfd_armed ? 1u : 0u)) {
		filch__uring_cancel_enter(shard, 0,
		    IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
	}
	filch__lock_leave(&us->lock);
	for (op = list; op != NULL; op = op->priv.next) {
		op->priv.result = -ECANCELED;
	}
	filch__reactor_complete(shard->reactor, list);
}

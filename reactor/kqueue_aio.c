/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kqueue: submitting jobs, cancelling them.
 *
 * Sources: aio(4), lio_listio(2), aio_fsync(2), aio_mlock(2), aio_cancel(2) of
 * FreeBSD.  What the kernel does beyond them:
 *
 * - lio_listio() says EAGAIN or EIO if it did not take all; what it took runs.
 *   aio_error() of the others is why they were not taken.
 * - aio_return() of a job that was not taken, or is reaped, is EINVAL and
 *   harmless; of one that has ended it takes the event back.
 * - aio_cancel() only asks: each job ends with an event in any case.
 */
#include "kqueue.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <filch/limits.h>

#include "../include/private/file_flags.h"

/* A submission on its way. */
struct submission {
	struct filch__kqueue *kq;
	struct filch__kqueue_shard *ks;
	struct filch__kqueue_leaving *leaving;
	struct filch__op_queue again;           /* EAGAIN */
	uint32_t freed[FILCH__KQUEUE_LIST_MAX]; /* of what was not taken */
	unsigned freed_count;
};

static void slot_fill(struct filch__kqueue *, uint32_t, struct filch_op *);
static bool is_apart(const struct filch_op *);

static void submit(struct submission *, const uint32_t *, unsigned);
static void submit_list(struct submission *, const uint32_t *, unsigned);
static int sync_mode(const struct filch_op *);
static void submit_apart(struct submission *, uint32_t);
static void look_for_refused(
    struct submission *, uint32_t, uint32_t generation);
static void refuse(struct submission *, uint32_t, int);
static bool try_again(struct submission *);

/* ---- filling ---- */

bool
filch__kqueue_is_asynchronous(const struct filch_op *op)
{
	const struct filch_file *file = op->priv.file;

	switch ((enum filch_opcode)op->priv.opcode) {
	case FILCH_OP_READV:
	case FILCH_OP_WRITEV:
#if defined(FILCH_HAVE_LIO_READV)
		if (op->priv.b.iov_count == 0) {
			return (false);
		}
		break;
#else
		return (false);
#endif
	case FILCH_OP_READ:
	case FILCH_OP_WRITE:
		break;
	case FILCH_OP_FSYNC:
	case FILCH_OP_FDATASYNC:
		return ((file->priv.flags & FILCH__FILE_POLLABLE) == 0);
	case FILCH_OP_MLOCK:
		return (true);
	default:
		return (false);
	}
	/* The kernel's jobs neither know nor move a file's position, and no
	 * write of theirs is durable by itself. */
	return (op->priv.offset != FILCH_OFFSET_CURRENT &&
	    (op->priv.flags & FILCH_OP_DSYNC) == 0);
}

/* True if op is no element of a list, but handed over by a call of its own. */
static bool
is_apart(const struct filch_op *op)
{
	return (op->priv.opcode == FILCH_OP_FSYNC ||
	    op->priv.opcode == FILCH_OP_FDATASYNC ||
	    op->priv.opcode == FILCH_OP_MLOCK);
}

/* What op is to the kernel, but for its notification. */
static void
job_fill(struct aiocb *cb, const struct filch_op *op)
{
	switch ((enum filch_opcode)op->priv.opcode) {
	case FILCH_OP_READ:
		cb->aio_lio_opcode = LIO_READ;
		break;
	case FILCH_OP_WRITE:
		cb->aio_lio_opcode = LIO_WRITE;
		break;
#if defined(FILCH_HAVE_LIO_READV)
	case FILCH_OP_READV:
	case FILCH_OP_WRITEV:
		cb->aio_lio_opcode =
		    op->priv.opcode == FILCH_OP_READV ? LIO_READV : LIO_WRITEV;
		cb->aio_fildes = op->priv.file->fd;
		cb->aio_offset = (off_t)op->priv.offset;
		/* the kernel only reads the vector */
		memcpy(&cb->aio_iov, &op->priv.a.iov, sizeof(void *));
		cb->aio_iovcnt = (size_t)op->priv.b.iov_count;
		return;
#endif
	case FILCH_OP_MLOCK:
		cb->aio_buf = op->priv.a.buffer;
		cb->aio_nbytes = op->priv.b.size;
		return;
	default:
		cb->aio_fildes = op->priv.file->fd;
		return;
	}
	cb->aio_fildes = op->priv.file->fd;
	cb->aio_offset = (off_t)op->priv.offset;
	cb->aio_buf = op->priv.a.buffer;
	/* a longer one would be refused, where pread(2) makes it short */
	cb->aio_nbytes = op->priv.b.size < FILCH_TRANSFER_MAX
	    ? op->priv.b.size
	    : FILCH_TRANSFER_MAX;
}

/* Fill slot index for op.  Its shard's lock held. */
static void
slot_fill(struct filch__kqueue *kq, uint32_t index, struct filch_op *op)
{
	struct filch__kqueue_slot *slot = &kq->slots[index];
	struct sigevent *told = &slot->cb.aio_sigevent;

	filch__lock_take(filch__kqueue_slot_lock(kq, index));
	memset(&slot->cb, 0, sizeof(slot->cb));
	/* mlock has no descriptor; aio_cancel() wants one that is open */
	slot->cb.aio_fildes = kq->kq;
	job_fill(&slot->cb, op);
	told->sigev_notify = SIGEV_KEVENT;
	told->sigev_notify_kqueue = kq->kq;
	told->sigev_notify_kevent_flags = EV_ONESHOT;
	told->sigev_value.sival_ptr =
	    (void *)(uintptr_t)((uint64_t)slot->generation << 32 |
		FILCH__KQUEUE_SLOT_MARK | index);
	slot->op = op;
	/* such an operation has no directory: it keeps the slot's index */
	op->priv.directory_to = (int)index;
	/* release [OP1]: who cancels sees the operation's shard */
	filch__u32_store_release(&op->priv.state, FILCH__OP_KERNEL);
	filch__lock_leave(filch__kqueue_slot_lock(kq, index));
}

/* ---- submitting ---- */

void
filch__kqueue_issue(struct filch__kqueue *kq, struct filch__kqueue_shard *ks,
    struct filch__kqueue_leaving *leaving)
{
	struct submission submission = {
		.kq = kq, .ks = ks, .leaving = leaving
	};
	uint32_t indices[FILCH__KQUEUE_LIST_MAX];
	unsigned count;

	do {
		count = ks->queue.count == 0
		    ? 0
		    : filch__kqueue_slots_take(kq, ks, indices);
		submit(&submission, indices, count);
	} while (count > 0 && try_again(&submission));
}

/* Hand over the first count of the queue: lists, and what goes apart. */
static void
submit(struct submission *to, const uint32_t *indices, unsigned count)
{
	unsigned first = 0;
	unsigned i;

	for (i = 0; i < count; i++) {
		struct filch_op *op = to->ks->queue.head;
		bool alone = is_apart(op);

		filch__op_queue_remove(&to->ks->queue, op);
		slot_fill(to->kq, indices[i], op);
		if (alone) {
			submit_list(to, indices + first, i - first);
			first = i + 1;
			submit_apart(to, indices[i]);
		}
	}
	submit_list(to, indices + first, count - first);
}

static void
submit_list(struct submission *to, const uint32_t *indices, unsigned count)
{
	struct filch__kqueue_slot *slots = to->kq->slots;
	struct aiocb *list[FILCH__KQUEUE_LIST_MAX];
	uint32_t generations[FILCH__KQUEUE_LIST_MAX];
	unsigned i;

	if (count == 0) {
		return;
	}
	for (i = 0; i < count; i++) {
		list[i] = &slots[indices[i]].cb;
		/* a slot's generation stays until its event is read */
		generations[i] = slots[indices[i]].generation;
	}
	filch__counter_add(&to->ks->shard->counters.submissions, 1);
	if (lio_listio(LIO_NOWAIT, list, (int)count, NULL) == 0) {
		return;
	}
	for (i = 0; i < count; i++) {
		look_for_refused(to, indices[i], generations[i]);
	}
}

static int
sync_mode(const struct filch_op *op)
{
#if defined(FILCH_HAVE_AIO_DSYNC)
	if (op->priv.opcode == FILCH_OP_FDATASYNC) {
		return (O_DSYNC);
	}
#else
	(void)op;
#endif
	return (O_SYNC);
}

static void
submit_apart(struct submission *to, uint32_t index)
{
	struct filch__kqueue_slot *slot = &to->kq->slots[index];
	struct filch_op *op = slot->op;
	int result;

	filch__counter_add(&to->ks->shard->counters.submissions, 1);
	if (op->priv.opcode == FILCH_OP_MLOCK) {
		result = aio_mlock(&slot->cb);
	} else {
		result = aio_fsync(sync_mode(op), &slot->cb);
	}
	if (result < 0) {
		int error = errno;

		filch__lock_take(filch__kqueue_slot_lock(to->kq, index));
		refuse(to, index, error);
		filch__lock_leave(filch__kqueue_slot_lock(to->kq, index));
	}
}

/*
 * After a list that was not taken as a whole: take back what was refused.  A
 * job that has failed since looks the same; reaped here, it is the same.  So
 * does, for an aiocb that was refused before its error was stored, one that has
 * ended well; which it is, reaping tells.
 */
static void
look_for_refused(struct submission *to, uint32_t index, uint32_t generation)
{
	struct filch__kqueue_slot *slot = &to->kq->slots[index];
	ssize_t result;
	int error;

	filch__lock_take(filch__kqueue_slot_lock(to->kq, index));
	if (slot->generation == generation &&
	    (error = aio_error(&slot->cb)) != EINPROGRESS) {
		result = aio_return(&slot->cb);
		if (error == 0 && result >= 0) {
			to->freed[to->freed_count++] = index;
			filch__kqueue_done(to->leaving,
			    filch__kqueue_slot_leave(slot), result);
		} else {
			refuse(to, index, error == 0 ? EINVAL : error);
		}
	}
	filch__lock_leave(filch__kqueue_slot_lock(to->kq, index));
}

/* Take the operation out of its slot, and say what becomes of it. */
static void
refuse(struct submission *to, uint32_t index, int error)
{
	struct filch_op *op = filch__kqueue_slot_leave(&to->kq->slots[index]);

	to->freed[to->freed_count++] = index;
	if (error == EAGAIN) {
		filch__op_queue_push(&to->again, op);
		/* release [OP1]: who cancels sees the operation's shard */
		filch__u32_store_release(&op->priv.state, FILCH__OP_WAITING);
	} else if (error == EBADF || error == ECANCELED) {
		filch__kqueue_done(to->leaving, op, -error);
	} else {
		/* what the plain call says is the answer */
		filch__kqueue_fall_back(
		    to->leaving, op, FILCH_FALLBACK_REFUSED);
	}
}

/*
 * See to what was refused.  What found no room goes back to the head of the
 * queue; or to the pool, if no job of ours is there whose end would be the time
 * to try again.  True if there may be room for more.
 */
static bool
try_again(struct submission *to)
{
	struct filch_op *op;
	bool is_fed;
	bool others;

	if (to->freed_count == 0) {
		return (true);
	}
	is_fed = filch__kqueue_slots_give_back(to->kq, to->ks, to->freed,
	    to->freed_count, to->again.count > 0, &others);
	to->freed_count = 0;
	to->leaving->has_fed_nobody |= others;
	if (is_fed && to->again.count > 0) {
		filch__op_queue_prepend(&to->ks->queue, &to->again);
		return (false);
	}
	while ((op = to->again.head) != NULL) {
		filch__op_queue_remove(&to->again, op);
		filch__kqueue_fall_back(to->leaving, op, FILCH_FALLBACK_LIMIT);
	}
	return (true);
}

void
filch__kqueue_done(
    struct filch__kqueue_leaving *leaving, struct filch_op *op, int64_t result)
{
	/* relaxed: nobody else has it now */
	filch__u32_store_relaxed(&op->priv.state, FILCH__OP_TAKEN_OUT);
	op->priv.result = result;
	filch__op_queue_push(&leaving->done, op);
}

void
filch__kqueue_fall_back(struct filch__kqueue_leaving *leaving,
    struct filch_op *op, enum filch_fallback reason)
{
	struct filch__shard *shard = op->priv.shard;

	/* relaxed: nobody else has it now */
	filch__u32_store_relaxed(&op->priv.state, FILCH__OP_TAKEN_OUT);
	/* [ST1] a counter of many threads */
	(void)filch__u64_add_acq_rel(&shard->counters.fallbacks[reason], 1);
	filch__op_queue_push(&leaving->pooled, op);
}

void
filch__kqueue_hand_on(
    struct filch__reactor *reactor, struct filch__kqueue_leaving *leaving)
{
	struct filch_op *op = leaving->pooled.head;

	filch__reactor_complete(reactor, leaving->done.head);
	while (op != NULL) {
		struct filch_op *next = op->priv.next;

		filch__pool_submit(&reactor->pool, op);
		op = next;
	}
	if (leaving->has_fed_nobody) {
		reactor->driver->interrupt(reactor);
	}
}

/* ---- cancelling ---- */

/* Slot's lock held. */
static void
job_cancel(struct filch__kqueue_slot *slot)
{
	slot->op->priv.stop_asked = 1;
	/* it ends with its event, whatever this says */
	(void)aio_cancel(slot->cb.aio_fildes, &slot->cb);
}

void
filch__kqueue_job_cancel(struct filch__kqueue *kq, struct filch_op *op)
{
	uint32_t index = (uint32_t)op->priv.directory_to;

	filch__lock_take(filch__kqueue_slot_lock(kq, index));
	if (kq->slots[index].op == op) {
		job_cancel(&kq->slots[index]);
	}
	filch__lock_leave(filch__kqueue_slot_lock(kq, index));
}

void
filch__kqueue_jobs_cancel(
    struct filch__kqueue *kq, const struct filch__shard *shard)
{
	uint32_t i;

	for (i = 0; i < kq->slot_count; i++) {
		struct filch__kqueue_slot *slot = &kq->slots[i];

		filch__lock_take(filch__kqueue_slot_lock(kq, i));
		if (slot->op != NULL && slot->op->priv.shard == shard) {
			job_cancel(slot);
		}
		filch__lock_leave(filch__kqueue_slot_lock(kq, i));
	}
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * io_uring: reaping, by the shard's worker or for one that is stuck.
 */
#include <linux/membarrier.h>
#include <sys/syscall.h>

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <unistd.h>

#include "../include/private/assert.h"
#include "../include/private/file_flags.h"
#include "uring.h"

/* Looks whether a worker that was interrupted has posted its completions. */
#define KICK_LOOKS 256

/* Entries between the one that is taken and the one that is fetched. */
#define PREFETCH_AHEAD 8

/* Completions reaped before the lock is left to hand them on. */
#define REAP_BATCH_MAX 256

static void hand_on(struct filch__reactor *, struct filch_op *);
static struct filch_op *cqe_take(struct filch__shard *,
    struct filch__uring_shard *, const struct io_uring_cqe *);
static bool op_completed(struct filch__shard *, struct filch__uring_shard *,
    struct filch_op *, int32_t);

long
filch__uring_membarrier(int command)
{
	return (syscall(SYS_membarrier, command, 0, 0));
}

/* The kernel holds completions back: TASKRUN the worker's, OVERFLOW any. */
static inline unsigned
cq_held_back(const struct filch__uring_shard *us)
{
	/* relaxed: a hint; the next look sees it */
	return (filch__u32_load_relaxed(us->ring.sq.kflags) &
	    (IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN));
}

/*
 * Fetch early what completing an entry's operation will touch: with many in
 * flight it has left the first-level cache since.  The second line is looked at
 * only if the operation has a batch or a deadline, failed, or opened a file;
 * but the task that it wakes mostly prepares it again, and writes that line.
 */
static inline void
cqe_prefetch(const struct io_uring_cqe *cqe)
{
	const char *op = (const char *)(uintptr_t)(cqe->user_data &
	    ~(uint64_t)FILCH__URING_TAG_MASK);

	filch__prefetch(op);
	filch__prefetch(op + offsetof(struct filch_op, priv.batch));
}

/* The operation that an entry ends, if there is nothing more to it. */
static inline struct filch_op *
cqe_plain(const struct io_uring_cqe *cqe)
{
	struct filch_op *op = (struct filch_op *)(uintptr_t)cqe->user_data;

	return ((cqe->user_data & FILCH__URING_TAG_MASK) == FILCH__URING_OP &&
		    cqe->res >= 0 && op->priv.opcode != FILCH_OP_STAT
		? op
		: NULL);
}

/*
 * Make the worker, which is stuck, post its completions: the interrupt that
 * membarrier(2) sends to all CPUs of the program ends in the kernel's look at
 * what the worker has to do.  One that does not run now looks when it does.
 */
static void
cq_kick(struct filch__uring_shard *us)
{
	unsigned i;

	(void)filch__uring_membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
	for (i = 0; i < KICK_LOOKS && (cq_held_back(us) & IORING_SQ_TASKRUN);
	     i++) {
		filch__pause();
	}
}

/* Make the kernel post what it holds back.  Lock held. */
static void
cq_post(struct filch__uring_shard *us, bool is_foreign)
{
	(void)filch__uring_enter(us, 0, 0, IORING_ENTER_GETEVENTS);
	if (is_foreign) {
		cq_kick(us);
	}
}

/*
 * How many of count entries another thread takes: what a wake has completed is
 * to end the worker's sleep, which it may be about to begin.  Lock held.
 */
static unsigned
foreign_share(
    const struct filch__uring_shard *us, unsigned head, unsigned count)
{
	unsigned i;

	/* relaxed: set under the lock */
	if (filch__u32_load_relaxed(&us->in_sleep) == 0) {
		return (count);
	}
	for (i = 0; i < count; i++) {
		const struct io_uring_cqe *cqe =
		    &us->ring.cq.cqes[(head + i) & us->ring.cq.ring_mask];

		if ((cqe->user_data & FILCH__URING_TAG_MASK) ==
		    FILCH__URING_EVENT) {
			break;
		}
	}
	return (i);
}

/*
 * Hand over what reaping for the worker has published, for it may have gone to
 * sleep before that was there.  What is refused nobody else would try again.
 */
static void
flush_for_worker(struct filch__shard *shard, bool is_held_up)
{
	filch__uring_flush(shard);
	if (is_held_up || filch__uring_pending(filch__uring_shard(shard)) > 0) {
		filch__uring_wake(shard);
	}
}

unsigned
filch__uring_reap(struct filch__shard *shard)
{
	struct filch__uring_shard *us = filch__uring_shard(shard);
	const struct io_uring_cqe *cqes = us->ring.cq.cqes;
	unsigned mask = us->ring.cq.ring_mask;
	struct filch_op *done = NULL;
	struct filch_op **done_end = &done;
	struct filch_op *refused = NULL;
	unsigned head;
	unsigned tail;
	unsigned count;
	unsigned plain = 0;
	bool is_foreign = filch__shard_current != shard;
	bool is_held_up;

	if (filch__uring_cq_is_empty(us) && cq_held_back(us) == 0) {
		return (0);
	}
	if (!filch__lock_try(&us->lock)) {
		return (0);
	}
	if (cq_held_back(us) != 0) {
		cq_post(us, is_foreign);
	}
	head = filch__u32_load_relaxed(us->ring.cq.khead); /* relaxed: lock */
	/* [US1] acquire: the kernel wrote the entries before its tail */
	tail = filch__u32_load_acquire(us->ring.cq.ktail);
	count = tail - head < REAP_BATCH_MAX ? tail - head : REAP_BATCH_MAX;
	if (is_foreign) {
		count = foreign_share(us, head, count);
		filch__counter_add(&shard->counters.rescued, count);
	}
	for (tail = head + count; head != tail; head++) {
		const struct io_uring_cqe *cqe = &cqes[head & mask];
		struct filch_op *op = cqe_plain(cqe);

		cqe_prefetch(&cqes[(head + 1 + PREFETCH_AHEAD) & mask]);
		if (filch__likely(op != NULL)) {
			op->priv.result = cqe->res;
			plain++;
		} else if ((op = cqe_take(shard, us, cqe)) == NULL) {
			continue;
		} else if (op->priv.pool_tried == FILCH__URING_POOL_NEXT) {
			op->priv.pool_tried = FILCH__URING_POOL_TRIED;
			op->priv.next = refused;
			refused = op;
			continue;
		}
		filch__prefetch(op->priv.task);
		*done_end = op;
		done_end = &op->priv.next;
	}
	*done_end = NULL;
	/* relaxed: changed under the lock */
	filch__u32_store_relaxed(
	    &us->in_flight, filch__u32_load_relaxed(&us->in_flight) - plain);
	/* [US1] release: the kernel may use the entries again */
	filch__u32_store_release(us->ring.cq.khead, head);
	if (us->waiting.head != NULL) {
		filch__uring_issue(us);
	}
	filch__counter_add(&shard->counters.completions, count);
	is_held_up = filch__uring_is_held_up(us);
	filch__lock_leave(&us->lock);
	if (is_foreign) {
		flush_for_worker(shard, is_held_up);
	}
	filch__reactor_complete(shard->reactor, done);
	hand_on(shard->reactor, refused);
	return (count);
}

/*
 * Give the pool what the ring refused.  Without the shard's lock: a pool that
 * can start no thread carries the operations out here.
 */
static void
hand_on(struct filch__reactor *reactor, struct filch_op *list)
{
	while (list != NULL) {
		struct filch_op *op = list;

		list = op->priv.next;
		filch__pool_submit(&reactor->pool, op);
	}
}

/* Deal with one completion; the operation it finished, if any.  Lock held. */
static struct filch_op *
cqe_take(struct filch__shard *shard, struct filch__uring_shard *us,
    const struct io_uring_cqe *cqe)
{
	uint64_t data = cqe->user_data;
	uint64_t address = data & ~(uint64_t)FILCH__URING_TAG_MASK;
	struct filch_op *op;

	if ((cqe->flags & IORING_CQE_F_MORE) == 0) {
		/* relaxed: changed under the lock */
		filch__u32_store_relaxed(&us->in_flight,
		    filch__u32_load_relaxed(&us->in_flight) - 1);
	}
	switch ((enum filch__uring_tag)(data & FILCH__URING_TAG_MASK)) {
	case FILCH__URING_OP:
		op = (struct filch_op *)(uintptr_t)address;
		return (op_completed(shard, us, op, cqe->res) ? op : NULL);
	case FILCH__URING_POLL:
		op = (struct filch_op *)(uintptr_t)address;
		if (op->priv.stop_asked || cqe->res == -ECANCELED) {
			op->priv.result = -ECANCELED;
			return (op);
		}
		filch__uring_wait_push(
		    us, op); /* issued before the lock is left */
		return (NULL);
	case FILCH__URING_SOURCE:
		if ((cqe->flags & IORING_CQE_F_MORE) != 0) {
			return (NULL);
		}
		address &= (UINT64_C(1) << FILCH__URING_SOURCE_SHIFT) - 1;
		filch__registration_entry_done(&shard->reactor->registrations,
		    (struct filch__registration *)(uintptr_t)address,
		    (unsigned)(data >> FILCH__URING_SOURCE_SHIFT), cqe->res);
		return (NULL);
	case FILCH__URING_EVENT:
		us->eventfd_armed = false;
		return (NULL);
	case FILCH__URING_IGNORE:
	case FILCH__URING_TAG_MASK:
		break;
	}
	return (NULL);
}

/* Have op's descriptor watched, and issue it again then.  Lock held. */
static void
op_wait_ready(struct filch__uring_shard *us, struct filch_op *op)
{
	struct io_uring_sqe *sqe = filch__uring_entry_get(us);
	bool read = op->priv.opcode == FILCH_OP_READ ||
	    op->priv.opcode == FILCH_OP_READV;

	if (sqe == NULL) {
		/* not to the pool, where nothing could stop it */
		filch__uring_wait_push(us, op);
		return;
	}
	sqe->opcode = IORING_OP_POLL_ADD;
	sqe->fd = op->priv.file->fd;
	sqe->poll32_events = read ? POLLIN : POLLOUT;
	/* release [OP1]: who cancels sees the operation's shard */
	filch__u32_store_release(&op->priv.state, FILCH__OP_POLLING);
	filch__uring_entry_publish(
	    us, sqe, (uint64_t)(uintptr_t)op | FILCH__URING_POLL);
}

/* True if op is finished; false if it goes on another way.  Lock held. */
static bool
op_completed(struct filch__shard *shard, struct filch__uring_shard *us,
    struct filch_op *op, int32_t result)
{
	struct filch_file *file = op->priv.file;

	op->priv.result = result;
	if (filch__likely(result >= 0)) {
		if (op->priv.opcode == FILCH_OP_STAT) {
			filch__uring_stat_convert(op->priv.b.stat);
		}
		return (true);
	}
	if (op->priv.opcode == FILCH_OP_CLOSE) {
		if (result == -ECANCELED) {
			/* its descriptor would leak: the pool closes it */
			op->priv.pool_tried = FILCH__URING_POOL_NEXT;
		} else if (result == -EINTR) {
			/* it is closed all the same, and never a second time */
			op->priv.result = 0;
		}
		return (true);
	}
	if (op->priv.stop_asked) {
		if (result == -EINTR || result == -EAGAIN ||
		    result == -EOPNOTSUPP || result == -ENOSYS) {
			op->priv.result = -ECANCELED;
		}
		return (true);
	}
	if (result == -EINTR) {
		filch__uring_wait_push(
		    us, op); /* issued before the lock is left */
		return (false);
	}
	if (result == -EAGAIN && file != NULL &&
	    (file->priv.flags & FILCH__FILE_POLLABLE) != 0) {
		op_wait_ready(us, op);
		return (false);
	}
	if ((result == -EAGAIN || result == -EOPNOTSUPP || result == -ENOSYS) &&
	    op->priv.pool_tried == FILCH__URING_POOL_UNTRIED) {
		/* [ST1] a counter of many threads */
		(void)filch__u64_add_acq_rel(
		    &shard->counters.fallbacks[FILCH_FALLBACK_REFUSED], 1);
		/* hand_on() sends it there, without the lock */
		op->priv.pool_tried = FILCH__URING_POOL_NEXT;
	}
	return (true);
}

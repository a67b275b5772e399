/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The io_uring driver: a ring a worker.
 *
 * Contents: the shard's part; entries; submitting; reaping; cancelling;
 * sources; the port.  The rest: see uring.h.
 *
 * A ring belongs to a worker, which gathers, submits and reaps; but the reactor
 * thread may flush, any worker reap, and any thread cancel, so that a worker
 * caught in a long poll holds up nobody.  That rules out DEFER_TASKRUN and SINGLE_ISSUER, which forbid other
 * threads.  With COOP_TASKRUN completions do not interrupt the worker (a
 * twelfth of the cost of an O_DIRECT read), but are posted when it next makes a
 * system call; one that is stuck gets its interrupt from who comes to reap,
 * by membarrier(2).
 *
 * An operation is first gathered, without a lock: its worker pushes it on a
 * stack.  When the worker flushes (between polls, at its event interval or for
 * want of tasks), or anyone else looks, the stack is taken as a whole, gets
 * entries in the order of submission, and what finds no room waits in a queue.
 *
 * The shard's lock covers all the rest: the submission queue's tail, the
 * completion queue's head, the queue of waiting operations and the state of
 * operations.  Entries are published one by one as they are filled and handed
 * over together by io_uring_enter(2).  The kernel reads only what is
 * published, and takes a lock of its own, so entering needs none of ours.
 *
 * Only the worker and the reactor thread hand entries over: on the thread that
 * does so an operation may be carried out, with its signals (SIGPIPE), and when
 * that thread ends the kernel cancels what it had handed over.  A program's own
 * thread that cancels leaves the entry in the queue and wakes the worker.
 *
 * Gathered  stack of operations, by next; NULL when empty.
 *           holding -> holding   push   by the worker of the shard
 *           holding -> empty     take   by who holds the lock
 * Orderings [UG1] push (CAS, acq_rel) and take (exchange, acq_rel) of one
 *           word: who takes sees the operation, and who pushed later than a
 *           take sees what was done before that take.  Cancelling takes first:
 *           it either finds the operation or came before its submit, which
 *           then sees what the canceller had stored ([OP2], [RS1]).
 *           [US1] the ring's heads and tails, as io_uring(7) has it.
 *
 * An entry's user_data is an address whose low bits say what it is.
 */
#include "driver.h"

#include <linux/membarrier.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../include/private/assert.h"
#include "../include/private/file_flags.h"
#include "uring.h"

#define SOURCE_INDEX_SHIFT 48

/* How far an operation that the ring refused has come (pool_tried). */
enum uring_pool {
	POOL_UNTRIED = 0,
	POOL_NEXT = 1,
	POOL_TRIED = 2
};

/* Looks whether a worker that was interrupted has posted its completions. */
#define KICK_LOOKS 256

/* Entries between the one that is taken and the one that is fetched. */
#define PREFETCH_AHEAD 8

/* Completions reaped before the lock is left to hand them on. */
#define REAP_BATCH_MAX 256

/* Completion entries for each submission entry: the kernel's own default. */
#define CQ_FACTOR 4

/* Room kept in the completion queue for cancels and the eventfd. */
#define CQ_RESERVE 4

static unsigned uring_flags(void);
static int uring_shard_open(struct filch__uring_shard *, unsigned, unsigned);
static void uring_shard_close(struct filch__uring_shard *);
static void gathered_take(struct filch__uring_shard *);
static void hand_on(struct filch__reactor *, struct filch_op *);
static struct filch_op *cqe_take(struct filch__shard *,
    struct filch__uring_shard *, const struct io_uring_cqe *);
static bool op_completed(struct filch__shard *, struct filch__uring_shard *,
    struct filch_op *, int32_t);

/* ---- the shard's part ---- */

static int
uring_open(struct filch__reactor *reactor)
{
	unsigned count = reactor->options.shard_count;
	unsigned flags = uring_flags();
	struct filch__uring *driver;
	int result = 0;
	unsigned i;

	driver = calloc(1, sizeof(*driver));
	if (driver == NULL) {
		return (-ENOMEM);
	}
	driver->shards =
	    aligned_alloc(FILCH__CACHE_LINE, count * sizeof(*driver->shards));
	if (driver->shards == NULL) {
		free(driver);
		return (-ENOMEM);
	}
	memset(driver->shards, 0, count * sizeof(*driver->shards));
	filch__lock_init(&driver->lock);
	for (i = 0; i < count; i++) {
		result = uring_shard_open(
		    &driver->shards[i], reactor->options.ring_entries, flags);
		if (result < 0) {
			break;
		}
		driver->shards[i].shard = &reactor->shards[i];
		reactor->shards[i].driver = &driver->shards[i];
	}
	if (result == 0) {
		result = filch__uring_probe(driver);
	}
	if (result == 0) {
		reactor->driver_state = driver;
		return (0);
	}
	while (i > 0) {
		uring_shard_close(&driver->shards[--i]);
	}
	filch__lock_fini(&driver->lock);
	free(driver->shards);
	free(driver);
	return (result);
}

static long
membarrier(int command)
{
	return (syscall(SYS_membarrier, command, 0, 0));
}

/* The best flags that are safe here; a kernel may know fewer. */
static unsigned
uring_flags(void)
{
	unsigned flags =
	    IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL;

	if (membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0) {
		flags |= IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
	}
	return (flags);
}

static int
uring_shard_open(
    struct filch__uring_shard *us, unsigned entries, unsigned flags)
{
	/* flags that are left out one after the other: of 5.19, of 5.18 */
	static const unsigned newer[] = { 0,
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		IORING_SETUP_SUBMIT_ALL };
	struct io_uring_params params;
	unsigned workers[2] = { FILCH_URING_WORKERS_MAX, 0 };
	unsigned i;
	int result = -EINVAL;

	for (i = 0; i < 3 && result == -EINVAL; i++) {
		flags &= ~newer[i];
		memset(&params, 0, sizeof(params));
		params.flags = flags;
		params.cq_entries = entries * CQ_FACTOR;
		result =
		    io_uring_queue_init_params(entries, &us->ring, &params);
	}
	if (result < 0) {
		return (result);
	}
	us->eventfd = eventfd(0, EFD_CLOEXEC);
	if (us->eventfd < 0) {
		result = -errno;
		io_uring_queue_exit(&us->ring);
		return (result);
	}
	/* before 5.15 there is no such bound, and nothing to be done */
	(void)io_uring_register_iowq_max_workers(&us->ring, workers);
	for (i = 0; i < params.sq_entries; i++) {
		us->ring.sq.array[i] = i;
	}
	us->in_flight_max = params.cq_entries - CQ_RESERVE;
	filch__lock_init(&us->lock);
	return (0);
}

static void
uring_shard_close(struct filch__uring_shard *us)
{
	io_uring_queue_exit(&us->ring);
	close(us->eventfd);
	filch__lock_fini(&us->lock);
}

static void
uring_close(struct filch__reactor *reactor)
{
	struct filch__uring *driver = reactor->driver_state;
	unsigned i;

	for (i = 0; i < reactor->options.shard_count; i++) {
		uring_shard_close(&driver->shards[i]);
	}
	filch__lock_fini(&driver->lock);
	free(driver->shards);
	free(driver);
}

static inline struct filch__uring *
uring_driver(struct filch__shard *shard)
{
	return (shard->reactor->driver_state);
}

/* ---- entries ---- */

/* The kernel holds completions back: TASKRUN the worker's, OVERFLOW any. */
static inline unsigned
cq_held_back(const struct filch__uring_shard *us)
{
	/* relaxed: a hint; the next look sees it */
	return (filch__u32_load_relaxed(us->ring.sq.kflags) &
	    (IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN));
}

void
filch__uring_flush(struct filch__shard *shard)
{
	struct filch__uring_shard *us = filch__uring_shard(shard);
	unsigned pending;
	int result;

	/* relaxed: a worker sees what it pushed; others look again later */
	if (filch__ptr_load_relaxed(&us->gathered) != NULL) {
		filch__lock_take(&us->lock);
		filch__uring_issue(us);
		filch__lock_leave(&us->lock);
	}
	while ((pending = filch__uring_pending(us)) > 0) {
		result = io_uring_enter(
		    (unsigned)us->ring.ring_fd, pending, 0, 0, NULL);
		filch__counter_add(&shard->counters.submissions, 1);
		if (result <= 0 && result != -EINTR) {
			/* no room for completions, or no memory: reap first */
			return;
		}
	}
}

/* True on the threads that live as long as the ring and take no signals. */
static bool
may_hand_over(const struct filch__uring_shard *us)
{
	return (filch__shard_current == us->shard ||
	    filch__reactor_current == us->shard->reactor);
}

struct io_uring_sqe *
filch__uring_entry_get(struct filch__uring_shard *us)
{
	struct io_uring_sqe *sqe;
	unsigned entries = us->ring.sq.ring_entries;

	if (filch__uring_pending(us) == entries) {
		if (!may_hand_over(us)) {
			return (NULL);
		}
		(void)io_uring_enter(
		    (unsigned)us->ring.ring_fd, entries, 0, 0, NULL);
		if (filch__uring_pending(us) == entries) {
			return (NULL);
		}
	}
	sqe = &us->ring.sq.sqes[us->sq_tail & us->ring.sq.ring_mask];
	memset(sqe, 0, sizeof(*sqe));
	return (sqe);
}

/* Lock held. */
void
filch__uring_entry_publish(
    struct filch__uring_shard *us, struct io_uring_sqe *sqe, uint64_t user_data)
{
	sqe->user_data = user_data;
	us->sq_tail++;
	filch__u32_store_relaxed(&us->in_flight,
	    filch__u32_load_relaxed(&us->in_flight) + 1); /* relaxed: lock */
	/* [US1] release: the kernel's acquire of the tail sees the entry */
	filch__u32_store_release(us->ring.sq.ktail, us->sq_tail);
}

/* ---- submitting ---- */

/* Let op wait for an entry.  Lock held. */
static void
waiting_push(struct filch__uring_shard *us, struct filch_op *op)
{
	filch__op_queue_push(&us->waiting, op);
	/* release [OP1]: who cancels sees the operation's shard */
	filch__u32_store_release(&op->priv.state, FILCH__OP_WAITING);
}

/* Take op out, to complete it: nobody else does.  Lock held. */
static void
waiting_take_out(struct filch__uring_shard *us, struct filch_op *op)
{
	filch__op_queue_remove(&us->waiting, op);
	/* relaxed: the lock orders it */
	filch__u32_store_relaxed(&op->priv.state, FILCH__OP_TAKEN_OUT);
}

/* Move what was gathered to the end of the waiting, in order.  Lock held. */
static void
gathered_take(struct filch__uring_shard *us)
{
	/* [UG1] pairs with uring_submit */
	struct filch_op *op = filch__ptr_exchange_acq_rel(&us->gathered, NULL);
	struct filch_op *first = NULL;

	while (op != NULL) {
		struct filch_op *next = op->priv.next;

		op->priv.next = first;
		first = op;
		op = next;
	}
	while (first != NULL) {
		op = first;
		first = op->priv.next;
		waiting_push(us, op);
	}
}

void
filch__uring_issue(struct filch__uring_shard *us)
{
	struct io_uring_sqe *sqe;

	gathered_take(us);
	/* relaxed: changed under the lock */
	while (us->waiting.head != NULL &&
	    filch__u32_load_relaxed(&us->in_flight) < us->in_flight_max &&
	    (sqe = filch__uring_entry_get(us)) != NULL) {
		struct filch_op *op = us->waiting.head;

		filch__op_queue_remove(&us->waiting, op);
		filch__uring_entry_fill(op, sqe);
		/* release [OP1]: who cancels sees the operation's shard */
		filch__u32_store_release(&op->priv.state, FILCH__OP_KERNEL);
		filch__uring_entry_publish(
		    us, sqe, (uint64_t)(uintptr_t)op | FILCH__URING_OP);
	}
}

/* Submit op only if there is room for it now. */
static void
submit_nowait(struct filch__shard *shard, struct filch_op *op)
{
	struct filch__uring_shard *us = filch__uring_shard(shard);
	bool refused;

	filch__lock_take(&us->lock);
	filch__uring_issue(us);
	refused = us->waiting.head != NULL;
	if (!refused) {
		waiting_push(us, op);
		filch__uring_issue(us);
		refused = us->waiting.head != NULL;
		if (refused) {
			waiting_take_out(us, op);
		}
	}
	filch__lock_leave(&us->lock);
	if (refused) {
		op->priv.result = -EAGAIN;
		op->priv.next = NULL;
		filch__reactor_complete(shard->reactor, op);
	}
}

static void
uring_submit(struct filch__shard *shard, struct filch_op *op)
{
	struct filch__uring_shard *us = filch__uring_shard(shard);
	void *top;

	if (!uring_driver(shard)->opcode_works[op->priv.opcode]) {
		if (op->priv.opcode != FILCH_OP_CALL) {
			/* [ST1] a counter of many threads */
			(void)filch__u64_add_acq_rel(
			    &shard->counters
				 .fallbacks[FILCH_FALLBACK_NO_OPCODE],
			    1);
		}
		filch__pool_submit(&shard->reactor->pool, op);
		return;
	}
	if ((op->priv.flags & FILCH_OP_NOWAIT) != 0) {
		submit_nowait(shard, op);
		return;
	}
	/* release [OP1]: who cancels sees the operation's shard */
	filch__u32_store_release(&op->priv.state, FILCH__OP_GATHERED);
	/* relaxed: the CAS checks it */
	top = filch__ptr_load_relaxed(&us->gathered);
	do {
		op->priv.next = top;
		/* [UG1] pairs with gathered_take */
	} while (!filch__ptr_cas_acq_rel(&us->gathered, &top, op));
}

/* ---- reaping ---- */

/*
 * Fetch early what completing an entry's operation will touch: with many in
 * flight it has left the first-level cache since.
 */
static inline void
cqe_prefetch(const struct io_uring_cqe *cqe)
{
	const char *op = (const char *)(uintptr_t)(cqe->user_data &
	    ~(uint64_t)FILCH__URING_TAG_MASK);

	filch__prefetch(op);
	filch__prefetch(op + offsetof(struct filch_op, priv.batch));
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

	(void)membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
	for (i = 0; i < KICK_LOOKS && (cq_held_back(us) & IORING_SQ_TASKRUN);
	     i++) {
		filch__pause();
	}
}

/* Make the kernel post what it holds back.  Lock held. */
static void
cq_post(struct filch__uring_shard *us, bool is_foreign)
{
	(void)io_uring_enter(
	    (unsigned)us->ring.ring_fd, 0, 0, IORING_ENTER_GETEVENTS, NULL);
	if (is_foreign) {
		cq_kick(us);
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
	unsigned count = 0;
	bool is_foreign = filch__shard_current != shard;

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
	while (head != tail && count < REAP_BATCH_MAX) {
		struct filch_op *op = cqe_take(shard, us, &cqes[head & mask]);

		head++;
		count++;
		cqe_prefetch(&cqes[(head + PREFETCH_AHEAD) & mask]);
		if (op == NULL) {
			continue;
		}
		if (filch__unlikely(op->priv.pool_tried == POOL_NEXT)) {
			op->priv.pool_tried = POOL_TRIED;
			op->priv.next = refused;
			refused = op;
			continue;
		}
		filch__prefetch(op->priv.task);
		op->priv.next = NULL;
		*done_end = op;
		done_end = &op->priv.next;
	}
	/* [US1] release: the kernel may use the entries again */
	filch__u32_store_release(us->ring.cq.khead, head);
	if (us->waiting.head != NULL) {
		filch__uring_issue(us);
	}
	filch__counter_add(&shard->counters.completions, count);
	if (is_foreign) {
		filch__counter_add(&shard->counters.rescued, count);
	}
	filch__lock_leave(&us->lock);
	if (is_foreign) {
		/* the worker may have gone to sleep before these were there */
		filch__uring_flush(shard);
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
		waiting_push(us, op); /* issued before the lock is left */
		return (NULL);
	case FILCH__URING_SOURCE:
		if ((cqe->flags & IORING_CQE_F_MORE) != 0) {
			return (NULL);
		}
		address &= (UINT64_C(1) << SOURCE_INDEX_SHIFT) - 1;
		filch__registration_entry_done(&shard->reactor->registrations,
		    (struct filch__registration *)(uintptr_t)address,
		    (unsigned)(data >> SOURCE_INDEX_SHIFT), cqe->res);
		return (NULL);
	case FILCH__URING_EVENT:
		us->eventfd_armed = false;
		if (filch__shard_current != shard) {
			/* the worker may be going to sleep on it just now */
			filch__uring_arm(us);
		}
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
		waiting_push(us, op);
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
			op->priv.pool_tried = POOL_NEXT;
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
		waiting_push(us, op); /* issued before the lock is left */
		return (false);
	}
	if (result == -EAGAIN && file != NULL &&
	    (file->priv.flags & FILCH__FILE_POLLABLE) != 0) {
		op_wait_ready(us, op);
		return (false);
	}
	if ((result == -EAGAIN || result == -EOPNOTSUPP || result == -ENOSYS) &&
	    op->priv.pool_tried == POOL_UNTRIED) {
		/* [ST1] a counter of many threads */
		(void)filch__u64_add_acq_rel(
		    &shard->counters.fallbacks[FILCH_FALLBACK_REFUSED], 1);
		/* hand_on() sends it there, without the lock */
		op->priv.pool_tried = POOL_NEXT;
	}
	return (true);
}

/* ---- cancelling ---- */

/*
 * An entry for a cancel, which must not get lost.  As long as the queue is full
 * and the kernel takes nothing from it, whoever can reap is let in: an
 * operation that completes or moves on meanwhile sees stop_asked.  Lock held,
 * but not meanwhile.
 */
static struct io_uring_sqe *
cancel_entry_get(struct filch__shard *shard)
{
	struct filch__uring_shard *us = filch__uring_shard(shard);
	struct io_uring_sqe *sqe;

	while ((sqe = filch__uring_entry_get(us)) == NULL) {
		filch__lock_leave(&us->lock);
		if (filch__shard_current == shard) {
			(void)filch__uring_reap(shard);
		} else if (!may_hand_over(us)) {
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
static void
cancel_enter(struct filch__shard *shard, uint64_t user_data, unsigned flags)
{
	struct filch__uring_shard *us = filch__uring_shard(shard);
	struct io_uring_sqe *sqe = cancel_entry_get(shard);

	sqe->opcode = IORING_OP_ASYNC_CANCEL;
	sqe->fd = -1;
	sqe->addr = user_data;
	sqe->cancel_flags = flags;
	filch__uring_entry_publish(us, sqe, FILCH__URING_IGNORE);
	if (may_hand_over(us)) {
		(void)io_uring_enter((unsigned)us->ring.ring_fd,
		    filch__uring_pending(us), 0, 0, NULL);
	}
	if (filch__uring_pending(us) > 0 && filch__shard_current != shard) {
		filch__uring_wake(shard);
	}
}

static void
uring_cancel(struct filch_op *op)
{
	struct filch__shard *shard = op->priv.shard;
	struct filch__uring_shard *us = filch__uring_shard(shard);
	bool finished = false;

	filch__lock_take(&us->lock);
	gathered_take(us);
	/* [OP1] pairs with uring_submit, which its worker is in: op is not
	 * there yet, and will be in a moment */
	while (filch__u32_load_acquire(&op->priv.state) == FILCH__OP_GATHERED) {
		sched_yield();
		gathered_take(us);
	}
	op->priv.stop_asked = 1;
	/* relaxed: changed under the lock, or by the pool, which looks too */
	switch (
	    (enum filch__op_state)filch__u32_load_relaxed(&op->priv.state)) {
	case FILCH__OP_WAITING:
		waiting_take_out(us, op);
		finished = true;
		break;
	case FILCH__OP_KERNEL:
		if (op->priv.pool_tried == POOL_UNTRIED) {
			cancel_enter(shard,
			    (uint64_t)(uintptr_t)op | FILCH__URING_OP, 0);
			break;
		}
		/* refused by the ring and on its way to the pool */
		finished = filch__pool_cancel(&shard->reactor->pool, op);
		break;
	case FILCH__OP_POLLING:
		cancel_enter(
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

static void
uring_cancel_all(struct filch__shard *shard)
{
	struct filch__uring_shard *us = filch__uring_shard(shard);
	struct filch_op *list;
	struct filch_op *op;

	filch__lock_take(&us->lock);
	gathered_take(us);
	list = filch__op_queue_take_all(&us->waiting);
	for (op = list; op != NULL; op = op->priv.next) {
		/* relaxed: the lock orders it; nobody else completes it */
		filch__u32_store_relaxed(&op->priv.state, FILCH__OP_TAKEN_OUT);
	}
	filch__uring_issue(us);
	/* relaxed: changed under the lock.  The armed eventfd is no work. */
	if (filch__u32_load_relaxed(&us->in_flight) >
	    (us->eventfd_armed ? 1u : 0u)) {
		cancel_enter(shard, 0,
		    IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
	}
	filch__lock_leave(&us->lock);
	for (op = list; op != NULL; op = op->priv.next) {
		op->priv.result = -ECANCELED;
	}
	filch__reactor_complete(shard->reactor, list);
}

static void
uring_depths(
    struct filch__shard *shard, uint64_t *ret_in_flight, uint64_t *ret_waiting)
{
	struct filch__uring_shard *us = filch__uring_shard(shard);

	filch__lock_take(&us->lock);
	filch__uring_issue(us);
	/* relaxed: changed under the lock */
	*ret_in_flight = filch__u32_load_relaxed(&us->in_flight) -
	    (us->eventfd_armed ? 1 : 0);
	*ret_waiting = us->waiting.count;
	filch__lock_leave(&us->lock);
}

/* ---- sources ---- */

static uint64_t
source_data(const struct filch__registration *registration, unsigned index)
{
	return ((uint64_t)(uintptr_t)registration | FILCH__URING_SOURCE |
	    (uint64_t)index << SOURCE_INDEX_SHIFT);
}

static int
uring_source_submit(struct filch__shard *shard,
    struct filch__registration *registration, filch_sqe_fill_fn fill, void *arg,
    unsigned count)
{
	struct filch__uring_shard *us = filch__uring_shard(shard);
	unsigned entries = us->ring.sq.ring_entries;
	uint32_t none = 0;
	unsigned i;

	filch__lock_take(&us->lock);
	if (entries - filch__uring_pending(us) < count) {
		(void)io_uring_enter((unsigned)us->ring.ring_fd,
		    filch__uring_pending(us), 0, 0, NULL);
	}
	/* relaxed: changed under the lock */
	if (entries - filch__uring_pending(us) < count ||
	    filch__u32_load_relaxed(&us->in_flight) + count >
		us->in_flight_max) {
		filch__lock_leave(&us->lock);
		return (-EAGAIN);
	}
	/* [RG2] pairs with filch__registration_entry_done */
	if (!filch__u32_cas_acq_rel(&registration->remaining, &none, count)) {
		filch__lock_leave(&us->lock);
		return (-EBUSY);
	}
	/* relaxed: a cancel of this submission comes after it */
	filch__ptr_store_relaxed(&registration->shard, shard);
	filch__u32_store_relaxed(&registration->submitted, count);
	for (i = 0; i < count; i++) {
		struct io_uring_sqe *sqe = filch__uring_entry_get(us);

		fill(sqe, i, arg);
		/* every entry must complete, or the source never would */
		sqe->flags &= (uint8_t)~IOSQE_CQE_SKIP_SUCCESS;
		filch__uring_entry_publish(
		    us, sqe, source_data(registration, i));
	}
	filch__lock_leave(&us->lock);
	return (0);
}

static int
uring_source_cancel(struct filch__registration *registration)
{
	struct filch__shard *shard;
	struct filch__uring_shard *us;
	unsigned submitted;
	unsigned i;

	/* [RG2] pairs with uring_source_submit */
	if (filch__u32_load_acquire(&registration->remaining) == 0) {
		return (-ENOENT);
	}
	/* relaxed: as in uring_source_submit */
	shard = filch__ptr_load_relaxed(&registration->shard);
	if (shard == NULL) {
		/* its very first submission is just being made */
		return (-ENOENT);
	}
	us = filch__uring_shard(shard);
	filch__lock_take(&us->lock);
	/* relaxed: as above */
	submitted = filch__u32_load_relaxed(&registration->submitted);
	for (i = 0; i < submitted; i++) {
		cancel_enter(shard, source_data(registration, i), 0);
	}
	filch__lock_leave(&us->lock);
	return (0);
}

const struct filch__driver filch__driver_uring = {
	.kind = FILCH_DRIVER_URING,
	.gathers = true,
	.open = uring_open,
	.close = uring_close,
	.submit = uring_submit,
	.park = filch__uring_park,
	.flush = filch__uring_flush,
	.reap = filch__uring_reap,
	.wake = filch__uring_wake,
	.cancel = uring_cancel,
	.cancel_all = uring_cancel_all,
	.depths = uring_depths,
	.wait = filch__uring_wait,
	.interrupt = filch__uring_interrupt,
	.source_submit = uring_source_submit,
	.source_cancel = uring_source_cancel,
	.file_register = filch__uring_file_register,
	.file_unregister = filch__uring_file_unregister,
	.memory_register = filch__uring_memory_register,
	.memory_unregister = filch__uring_memory_unregister,
};

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The io_uring driver: a ring a worker.
 *
 * Contents: the shard's part; entries; submitting; the port.  The rest: see
 * uring.h.
 *
 * A ring belongs to a worker, which gathers, submits and reaps; but the reactor
 * thread may flush, any worker reap, and any thread cancel, so that a worker
 * caught in a long poll holds up nobody.  That rules out DEFER_TASKRUN and
 * SINGLE_ISSUER, which forbid other threads.  With COOP_TASKRUN completions do
 * not interrupt the worker (a twelfth of the cost of an O_DIRECT read), but are
 * posted when it next makes a system call; one that is stuck gets its interrupt
 * from who comes to reap, by membarrier(2).
 *
 * An operation is first gathered, without a lock: its worker pushes it on a
 * stack.  When the worker flushes (between polls, at its event interval or for
 * want of tasks), or anyone else looks, the stack is taken as a whole, gets
 * entries in the order of submission, and what finds no room waits in a queue.
 *
 * The shard's lock covers all the rest: the submission queue's tail, the
 * completion queue's head, the queue of waiting operations and the state of
 * operations.  Entries are published when they are filled, those of a list at
 * once, and handed over together by io_uring_enter(2).  The kernel reads only
 * what is published, and takes a lock of its own, so entering needs none of
 * ours.
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

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../include/private/assert.h"
#include "uring.h"

/* Completion entries for each submission entry: the kernel's own default. */
#define CQ_FACTOR 4

/* Room kept in the completion queue for cancels and the eventfd. */
#define CQ_RESERVE 4

static bool uring_sleeps_exactly(const struct io_uring *);
static unsigned uring_flags(void);
static int uring_shard_open(struct filch__uring_shard *, unsigned, unsigned);
static void uring_shard_close(struct filch__uring_shard *);

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
		result = filch__uring_probe(driver, count);
	}
	if (result == 0) {
		reactor->driver_state = driver;
		if (uring_sleeps_exactly(&driver->shards[0].ring)) {
			reactor->standby_ns = FILCH__STANDBY_NS;
		}
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

/*
 * True if a worker can sleep in its ring until a deadline (Linux 5.11), and
 * wakes on time: before 5.17 the kernel counted that in ticks of up to 10 ms.
 * Of that release is the skipping of completions.
 */
static bool
uring_sleeps_exactly(const struct io_uring *ring)
{
	unsigned wanted = IORING_FEAT_EXT_ARG | IORING_FEAT_CQE_SKIP;

	return ((ring->features & wanted) == wanted);
}

/* The best flags that are safe here; a kernel may know fewer. */
static unsigned
uring_flags(void)
{
	unsigned flags =
	    IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL;

	if (filch__uring_membarrier(
		MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0) {
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
	/* a child that touches it would take the parent's completions */
	(void)io_uring_ring_dontfork(&us->ring);
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
	us->own_fd = (unsigned)us->ring.ring_fd;
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

/* ---- entries ---- */

void
filch__uring_flush(struct filch__shard *shard)
{
	struct filch__uring_shard *us = filch__uring_shard(shard);
	int result;

	/* relaxed: a worker sees what it pushed; others look again later */
	if (filch__ptr_load_relaxed(&us->gathered) != NULL) {
		filch__lock_take(&us->lock);
		filch__uring_issue(us);
		filch__lock_leave(&us->lock);
	}
	while (filch__uring_pending(us) > 0) {
		result = filch__uring_hand_over(us);
		filch__counter_add(&shard->counters.submissions, 1);
		if (result <= 0 && result != -EINTR) {
			/* no room for completions, or no memory: reap first */
			return;
		}
	}
}

/*
 * True on the threads that live as long as the ring, which no signal of others
 * interrupts.
 */
bool
filch__uring_may_hand_over(const struct filch__uring_shard *us)
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
		if (!filch__uring_may_hand_over(us)) {
			return (NULL);
		}
		(void)filch__uring_hand_over(us);
		if (filch__uring_pending(us) == entries) {
			return (NULL);
		}
	}
	sqe = &us->ring.sq.sqes[us->sq_tail & us->ring.sq.ring_mask];
	memset(sqe, 0, sizeof(*sqe));
	return (sqe);
}

void
filch__uring_entries_publish(struct filch__uring_shard *us, unsigned count)
{
	us->sq_tail += count;
	/* relaxed: changed under the lock */
	filch__u32_store_relaxed(
	    &us->in_flight, filch__u32_load_relaxed(&us->in_flight) + count);
	/* [US1] release: the kernel's acquire of the tail sees the entries */
	filch__u32_store_release(us->ring.sq.ktail, us->sq_tail);
}

/* Lock held. */
void
filch__uring_entry_publish(
    struct filch__uring_shard *us, struct io_uring_sqe *sqe, uint64_t user_data)
{
	sqe->user_data = user_data;
	filch__uring_entries_publish(us, 1);
}

/* ---- submitting ---- */

/* Let op wait for an entry.  Lock held. */
void
filch__uring_wait_push(struct filch__uring_shard *us, struct filch_op *op)
{
	filch__op_queue_push(&us->waiting, op);
	/* release [OP1]: who cancels sees the operation's shard */
	filch__u32_store_release(&op->priv.state, FILCH__OP_WAITING);
}

/* Take op out, to complete it: nobody else does.  Lock held. */
void
filch__uring_wait_take_out(struct filch__uring_shard *us, struct filch_op *op)
{
	filch__op_queue_remove(&us->waiting, op);
	/* relaxed: the lock orders it */
	filch__u32_store_relaxed(&op->priv.state, FILCH__OP_TAKEN_OUT);
}

/* What was gathered, as a list in order of submission.  Lock held. */
static struct filch_op *
gathered_list(struct filch__uring_shard *us)
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
	return (first);
}

static void
wait_push_list(struct filch__uring_shard *us, struct filch_op *list)
{
	while (list != NULL) {
		struct filch_op *op = list;

		list = op->priv.next;
		filch__uring_wait_push(us, op);
	}
}

/* Move what was gathered to the end of the waiting, in order.  Lock held. */
void
filch__uring_gathered_take(struct filch__uring_shard *us)
{
	wait_push_list(us, gathered_list(us));
}

/* Say in an entry what op asks for; it is not published yet.  Lock held. */
static inline void
entry_give(struct io_uring_sqe *sqe, struct filch_op *op)
{
	filch__uring_entry_fill(op, sqe);
	/* release [OP1]: who cancels sees the operation's shard */
	filch__u32_store_release(&op->priv.state, FILCH__OP_KERNEL);
}

/*
 * Give entries to count operations of a list as far as there is room as it is,
 * and show them to the kernel all at once; returns the rest.  Lock held.
 */
static struct filch_op *
issue_list(struct filch__uring_shard *us, struct filch_op *list, unsigned count)
{
	/* relaxed: changed under the lock */
	unsigned in_flight = filch__u32_load_relaxed(&us->in_flight);
	unsigned room = us->ring.sq.ring_entries - filch__uring_pending(us);
	unsigned first = us->sq_tail;
	unsigned tail = first;

	if (in_flight >= us->in_flight_max) {
		return (list);
	}
	if (room > us->in_flight_max - in_flight) {
		room = us->in_flight_max - in_flight;
	}
	room = room < count ? room : count;
	while (list != NULL && tail - first < room) {
		struct io_uring_sqe *sqe =
		    &us->ring.sq.sqes[tail & us->ring.sq.ring_mask];
		struct filch_op *op = list;

		list = op->priv.next;
		memset(sqe, 0, sizeof(*sqe));
		entry_give(sqe, op);
		sqe->user_data = (uint64_t)(uintptr_t)op | FILCH__URING_OP;
		tail++;
	}
	filch__uring_entries_publish(us, tail - first);
	return (list);
}

void
filch__uring_issue(struct filch__uring_shard *us)
{
	filch__uring_issue_some(us, UINT_MAX);
}

void
filch__uring_issue_some(struct filch__uring_shard *us, unsigned count)
{
	struct filch_op *list = gathered_list(us);
	unsigned first = us->sq_tail;
	struct io_uring_sqe *sqe;

	if (us->waiting.head == NULL) {
		if (list == NULL) {
			return;
		}
		list = issue_list(us, list, count);
		count -= us->sq_tail - first;
	}
	wait_push_list(us, list);
	/* relaxed: changed under the lock */
	while (count-- > 0 && us->waiting.head != NULL &&
	    filch__u32_load_relaxed(&us->in_flight) < us->in_flight_max &&
	    (sqe = filch__uring_entry_get(us)) != NULL) {
		struct filch_op *op = us->waiting.head;

		filch__op_queue_remove(&us->waiting, op);
		entry_give(sqe, op);
		filch__uring_entry_publish(
		    us, sqe, (uint64_t)(uintptr_t)op | FILCH__URING_OP);
	}
}

/* Submit op only if there is room for it now. */
static FILCH__NOINLINE void
submit_nowait(struct filch__shard *shard, struct filch_op *op)
{
	struct filch__uring_shard *us = filch__uring_shard(shard);
	bool refused;

	filch__lock_take(&us->lock);
	filch__uring_issue(us);
	refused = us->waiting.head != NULL;
	if (!refused) {
		filch__uring_wait_push(us, op);
		filch__uring_issue(us);
		refused = us->waiting.head != NULL;
		if (refused) {
			filch__uring_wait_take_out(us, op);
		}
	}
	filch__lock_leave(&us->lock);
	if (refused) {
		op->priv.result = -EAGAIN;
		op->priv.next = NULL;
		filch__reactor_complete(shard->reactor, op);
	}
}

static FILCH__NOINLINE void
submit_to_pool(struct filch__shard *shard, struct filch_op *op)
{
	if (op->priv.opcode != FILCH_OP_CALL) {
		/* [ST1] a counter of many threads */
		(void)filch__u64_add_acq_rel(
		    &shard->counters.fallbacks[FILCH_FALLBACK_NO_OPCODE], 1);
	}
	filch__pool_submit(&shard->reactor->pool, op);
}

static void
uring_submit(struct filch__shard *shard, struct filch_op *op)
{
	struct filch__uring_shard *us = filch__uring_shard(shard);
	void *top;

	if (filch__unlikely((us->opcodes >> op->priv.opcode & 1) == 0)) {
		submit_to_pool(shard, op);
		return;
	}
	if (filch__unlikely((op->priv.flags & FILCH_OP_NOWAIT) != 0)) {
		submit_nowait(shard, op);
		return;
	}
	/* release [OP1]: who cancels sees the operation's shard */
	filch__u32_store_release(&op->priv.state, FILCH__OP_GATHERED);
	/* relaxed: the CAS checks it */
	top = filch__ptr_load_relaxed(&us->gathered);
	do {
		op->priv.next = top;
		/* [UG1] pairs with gathered_list */
	} while (!filch__ptr_cas_acq_rel(&us->gathered, &top, op));
}

/* ---- the port ---- */

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

const struct filch__driver filch__driver_uring = {
	.kind = FILCH_DRIVER_URING,
	.system = "io_uring",
	.gathers = true,
	.writes_durably = true,
	.open = uring_open,
	.close = uring_close,
	.submit = uring_submit,
	.park = filch__uring_park,
	.flush = filch__uring_flush,
	.reap = filch__uring_reap,
	.wake = filch__uring_wake,
	.cancel = filch__uring_cancel,
	.cancel_all = filch__uring_cancel_all,
	.depths = uring_depths,
	.wait = filch__uring_wait,
	.interrupt = filch__uring_interrupt,
	.source_submit = filch__uring_source_submit,
	.source_cancel = filch__uring_source_cancel,
	.file_register = filch__uring_file_register,
	.file_unregister = filch__uring_file_unregister,
	.memory_register = filch__uring_memory_register,
	.memory_unregister = filch__uring_memory_unregister,
};

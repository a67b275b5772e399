/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kqueue driver: POSIX AIO, told by kqueue(2), as FreeBSD has it.
 *
 * Contents: opening; submitting; streams; parking; cancelling; the port.  The
 * rest: see kqueue.h.
 *
 * One kqueue serves all workers.  A worker submits for itself: operations on
 * files wait in its shard's queue until it flushes, and leave together by
 * lio_listio(2).  The reactor thread alone waits in kevent(2), reaps, and
 * feeds those who wait for room.  Workers sleep on conditions.
 *
 * Pipes, sockets and the like take no place among the kernel's jobs, where they
 * might stay for ever: they are tried at once, and else stand in the poll set
 * until EVFILT_READ or EVFILT_WRITE tells that they are ready.
 *
 * What the kernel has no asynchronous way for, or refuses, goes to the pool.
 */
#include "driver.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../include/private/assert.h"
#include "../include/private/clock.h"
#include "execute.h"
#include "kqueue.h"

/* The ident of the event that wakes the reactor thread. */
#define WAKE_IDENT 0

static int kq_open(int *);
static int kq_change(
    const struct filch__kqueue *, uintptr_t, short, unsigned short, unsigned);
static void submit_stream(struct filch__shard *, struct filch_op *);
static void submit_pool(
    struct filch__shard *, struct filch_op *, enum filch_fallback);
static void submit_nowait(struct filch__shard *, struct filch_op *);

static inline struct filch__kqueue_shard *
kqueue_shard(const struct filch__shard *shard)
{
	return (shard->driver);
}

/* ---- opening and closing ---- */

static int
kqueue_open(struct filch__reactor *reactor)
{
	unsigned count = reactor->options.shard_count;
	struct filch__kqueue *kq =
	    aligned_alloc(FILCH__CACHE_LINE, sizeof(*kq));
	int result = -ENOMEM;
	unsigned i;

	if (kq == NULL) {
		return (-ENOMEM);
	}
	memset(kq, 0, sizeof(*kq));
	kq->shards =
	    aligned_alloc(FILCH__CACHE_LINE, count * sizeof(*kq->shards));
	if (kq->shards == NULL) {
		goto fail_shards;
	}
	memset(kq->shards, 0, count * sizeof(*kq->shards));
	result = filch__poll_set_init(&kq->set);
	if (result < 0) {
		goto fail_set;
	}
	result = filch__kqueue_slots_init(kq, &reactor->options);
	if (result < 0) {
		goto fail_slots;
	}
	result = kq_open(&kq->kq);
	if (result < 0) {
		goto fail_kq;
	}
	for (i = 0; i < count; i++) {
		filch__lock_init(&kq->shards[i].lock);
		filch__parker_init(&kq->shards[i].parker);
		kq->shards[i].shard = &reactor->shards[i];
		reactor->shards[i].driver = &kq->shards[i];
	}
	reactor->driver_state = kq;
	return (0);

fail_kq:
	filch__kqueue_slots_fini(kq);
fail_slots:
	filch__poll_set_fini(&kq->set);
fail_set:
	free(kq->shards);
fail_shards:
	free(kq);
	return (result);
}

/* A kqueue that does not outlive exec, and has the event for wakes. */
static int
kq_open(int *ret_kq)
{
	struct kevent change;
	int kq = kqueue();

	if (kq < 0) {
		return (-errno);
	}
	EV_SET(&change, WAKE_IDENT, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, NULL);
	if (fcntl(kq, F_SETFD, FD_CLOEXEC) < 0 ||
	    kevent(kq, &change, 1, NULL, 0, NULL) < 0) {
		int error = errno;

		close(kq);
		return (-error);
	}
	*ret_kq = kq;
	return (0);
}

static void
kqueue_close(struct filch__reactor *reactor)
{
	struct filch__kqueue *kq = filch__kqueue_of(reactor);
	unsigned i;

	for (i = 0; i < reactor->options.shard_count; i++) {
		filch__parker_fini(&kq->shards[i].parker);
		filch__lock_fini(&kq->shards[i].lock);
	}
	/* Jobs of the program's own may still be there: they go on without. */
	close(kq->kq);
	filch__kqueue_slots_fini(kq);
	filch__poll_set_fini(&kq->set);
	free(kq->shards);
	free(kq);
}

/* ---- submitting ---- */

static void
finish(struct filch__shard *shard, struct filch_op *op, int64_t result)
{
	op->priv.result = result;
	op->priv.next = NULL;
	filch__reactor_complete(shard->reactor, op);
}

static void
kqueue_submit(struct filch__shard *shard, struct filch_op *op)
{
	struct filch__kqueue_shard *ks = kqueue_shard(shard);

	if (filch__execute_is_pollable(op) && op->priv.file->fd >= 0) {
		submit_stream(shard, op);
	} else if (!filch__kqueue_is_asynchronous(op)) {
		submit_pool(shard, op, FILCH_FALLBACK_NO_OPCODE);
	} else if ((op->priv.flags & FILCH_OP_NOWAIT) != 0) {
		submit_nowait(shard, op);
	} else {
		filch__lock_take(&ks->lock);
		filch__op_queue_push(&ks->queue, op);
		/* release [OP1]: who cancels sees the operation's shard */
		filch__u32_store_release(&op->priv.state, FILCH__OP_WAITING);
		filch__lock_leave(&ks->lock);
	}
}

static void
submit_pool(
    struct filch__shard *shard, struct filch_op *op, enum filch_fallback reason)
{
	if (op->priv.opcode != FILCH_OP_CALL) {
		/* [ST1] a counter of many threads */
		(void)filch__u64_add_acq_rel(
		    &shard->counters.fallbacks[reason], 1);
	}
	filch__pool_submit(&shard->reactor->pool, op);
}

/* Submit op only if there is room for it now. */
static void
submit_nowait(struct filch__shard *shard, struct filch_op *op)
{
	struct filch__kqueue *kq = filch__kqueue_of(shard->reactor);
	struct filch__kqueue_shard *ks = kqueue_shard(shard);
	struct filch__kqueue_leaving leaving = { .done.count = 0 };

	filch__lock_take(&ks->lock);
	filch__op_queue_push(&ks->queue, op);
	/* release [OP1]: who cancels sees the operation's shard */
	filch__u32_store_release(&op->priv.state, FILCH__OP_WAITING);
	filch__kqueue_issue(kq, ks, &leaving);
	if (ks->queue.tail == op) {
		filch__op_queue_remove(&ks->queue, op);
		filch__kqueue_settle(kq, ks);
		filch__kqueue_done(&leaving, op, -EAGAIN);
	}
	filch__lock_leave(&ks->lock);
	filch__kqueue_hand_on(shard->reactor, &leaving);
}

bool
filch__kqueue_hand_over(struct filch__shard *shard)
{
	struct filch__kqueue_shard *ks = kqueue_shard(shard);
	struct filch__kqueue_leaving leaving = { .done.count = 0 };

	filch__lock_take(&ks->lock);
	filch__kqueue_issue(filch__kqueue_of(shard->reactor), ks, &leaving);
	filch__lock_leave(&ks->lock);
	filch__kqueue_hand_on(shard->reactor, &leaving);
	return (leaving.done.count + leaving.pooled.count > 0);
}

static void
kqueue_flush(struct filch__shard *shard)
{
	(void)filch__kqueue_hand_over(shard);
}

/* The reactor thread reaps for all. */
static unsigned
kqueue_reap(struct filch__shard *shard)
{
	(void)shard;
	return (0);
}

/* ---- streams ---- */

static void
submit_stream(struct filch__shard *shard, struct filch_op *op)
{
	struct filch__kqueue *kq = filch__kqueue_of(shard->reactor);
	struct filch__poll_slot *slot;
	int64_t outcome;
	int result = -ENOMEM;

	if (filch__execute_try(op, &outcome) == FILCH__ATTEMPT_DONE) {
		finish(shard, op, outcome);
		return;
	}
	filch__lock_take(&kq->set.lock);
	slot = filch__poll_set_add(&kq->set, op);
	if (slot != NULL) {
		result =
		    filch__kqueue_arm(kq, slot, filch__execute_poll_events(op));
		if (result < 0) {
			filch__poll_set_remove(&kq->set, op);
		}
	}
	filch__lock_leave(&kq->set.lock);
	/* The operation may be gone by now, unless it was not taken. */
	if (slot == NULL) {
		finish(shard, op, result);
	} else if (result < 0) {
		/* nothing that a kqueue can tell of */
		submit_pool(shard, op, FILCH_FALLBACK_REFUSED);
	}
}

int
filch__kqueue_arm(
    struct filch__kqueue *kq, struct filch__poll_slot *slot, short events)
{
	static const struct {
		short event;
		short filter;
	} directions[] = { { POLLIN, EVFILT_READ }, { POLLOUT, EVFILT_WRITE } };
	unsigned i;

	for (i = 0; i < 2; i++) {
		unsigned event = (unsigned)directions[i].event;
		int result;

		if (((unsigned)events & ~slot->armed & event) == 0) {
			continue;
		}
		result = kq_change(kq, (uintptr_t)slot->fd,
		    directions[i].filter, EV_ADD | EV_ONESHOT, 0);
		if (result < 0) {
			return (result);
		}
		slot->armed |= event;
	}
	return (0);
}

static int
kq_change(const struct filch__kqueue *kq, uintptr_t ident, short filter,
    unsigned short flags, unsigned fflags)
{
	struct kevent change;

	EV_SET(&change, ident, filter, flags, fflags, 0, NULL);
	return (kevent(kq->kq, &change, 1, NULL, 0, NULL) < 0 ? -errno : 0);
}

/* ---- parking and waking ---- */

static void
kqueue_park(struct filch__shard *shard)
{
	/* what has left may have woken tasks of this worker */
	if (!filch__kqueue_hand_over(shard)) {
		filch__parker_park(&kqueue_shard(shard)->parker);
	}
}

static void
kqueue_wake(struct filch__shard *shard)
{
	if (filch__parker_wake(&kqueue_shard(shard)->parker)) {
		/* [ST1] a counter of many threads */
		(void)filch__u64_add_acq_rel(&shard->reactor->wake_calls, 1);
	}
}

static void
kqueue_wait(struct filch__reactor *reactor, uint64_t deadline_ns)
{
	struct filch__kqueue *kq = filch__kqueue_of(reactor);
	struct kevent events[FILCH__KQUEUE_EVENTS_MAX];
	struct timespec left = { 0, 0 };
	bool may_sleep = filch__park_begin(&kq->park);
	uint64_t now_ns = filch__clock_ns();
	int count;

	if (may_sleep && deadline_ns > now_ns) {
		left.tv_sec =
		    (time_t)((deadline_ns - now_ns) / FILCH__NS_PER_S);
		left.tv_nsec = (long)((deadline_ns - now_ns) % FILCH__NS_PER_S);
	}
	count = kevent(kq->kq, NULL, 0, events, FILCH__KQUEUE_EVENTS_MAX,
	    may_sleep && deadline_ns == FILCH_NEVER ? NULL : &left);
	filch__assert(count >= 0 || errno == EINTR);
	filch__park_end(&kq->park);
	if (count > 0) {
		filch__kqueue_events(reactor, events, (unsigned)count);
	}
	filch__kqueue_feed(reactor);
}

static void
kqueue_interrupt(struct filch__reactor *reactor)
{
	struct filch__kqueue *kq = filch__kqueue_of(reactor);

	if (filch__park_notify(&kq->park)) {
		int result =
		    kq_change(kq, WAKE_IDENT, EVFILT_USER, 0, NOTE_TRIGGER);

		filch__assert(result == 0);
		(void)result;
		/* [ST1] a counter of many threads */
		(void)filch__u64_add_acq_rel(&reactor->wake_calls, 1);
	}
}

/* ---- cancelling ---- */

static void
kqueue_cancel(struct filch_op *op)
{
	struct filch__shard *shard = op->priv.shard;
	struct filch__kqueue *kq = filch__kqueue_of(shard->reactor);
	struct filch__kqueue_shard *ks = kqueue_shard(shard);
	bool finished = filch__poll_set_cancel(&kq->set, op);

	if (!finished) {
		uint32_t state;

		filch__lock_take(&ks->lock);
		/* relaxed: WAITING changes under the lock; KERNEL as well, but
		 * for its end, which is looked for under the slot's */
		state = filch__u32_load_relaxed(&op->priv.state);
		if (state == FILCH__OP_WAITING) {
			filch__op_queue_remove(&ks->queue, op);
			filch__kqueue_settle(kq, ks);
			/* relaxed: nobody else has it now */
			filch__u32_store_relaxed(
			    &op->priv.state, FILCH__OP_TAKEN_OUT);
			finished = true;
		} else if (state == FILCH__OP_KERNEL) {
			filch__kqueue_job_cancel(kq, op);
		}
		filch__lock_leave(&ks->lock);
	}
	/* or it is in the pool, or on its way there */
	if (finished || filch__pool_cancel(&shard->reactor->pool, op)) {
		finish(shard, op, -ECANCELED);
	}
}

/* What is in the pool's queue is taken out by filch__reactor_stop(). */
static void
kqueue_cancel_all(struct filch__shard *shard)
{
	struct filch__kqueue *kq = filch__kqueue_of(shard->reactor);
	struct filch__kqueue_shard *ks = kqueue_shard(shard);
	struct filch__kqueue_leaving leaving = { .done.count = 0 };
	struct filch_op *op;

	filch__lock_take(&ks->lock);
	while ((op = ks->queue.head) != NULL) {
		filch__op_queue_remove(&ks->queue, op);
		filch__kqueue_done(&leaving, op, -ECANCELED);
	}
	filch__kqueue_settle(kq, ks);
	filch__kqueue_jobs_cancel(kq, shard);
	filch__lock_leave(&ks->lock);
	filch__kqueue_hand_on(shard->reactor, &leaving);
	filch__reactor_complete(
	    shard->reactor, filch__poll_set_cancel_all(&kq->set, shard));
}

/* ---- the port ---- */

static void
kqueue_depths(
    struct filch__shard *shard, uint64_t *ret_in_flight, uint64_t *ret_waiting)
{
	struct filch__kqueue *kq = filch__kqueue_of(shard->reactor);
	struct filch__kqueue_shard *ks = kqueue_shard(shard);
	uint64_t in_flight = filch__poll_set_count(&kq->set, shard);

	filch__lock_take(&ks->lock);
	*ret_waiting = ks->queue.count;
	filch__lock_take(&kq->room);
	in_flight += ks->held;
	filch__lock_leave(&kq->room);
	filch__lock_leave(&ks->lock);
	/* relaxed: a figure for people */
	*ret_in_flight = in_flight + filch__u32_load_relaxed(&shard->pooled);
}

static int
kqueue_source_kqueue(const struct filch__reactor *reactor)
{
	return (filch__kqueue_of(reactor)->kq);
}

const struct filch__driver filch__driver_kqueue = {
	.kind = FILCH_DRIVER_KQUEUE,
	.system = "POSIX AIO with kqueue",
	.gathers = true,
	.open = kqueue_open,
	.close = kqueue_close,
	.submit = kqueue_submit,
	.park = kqueue_park,
	.flush = kqueue_flush,
	.reap = kqueue_reap,
	.wake = kqueue_wake,
	.cancel = kqueue_cancel,
	.cancel_all = kqueue_cancel_all,
	.depths = kqueue_depths,
	.wait = kqueue_wait,
	.interrupt = kqueue_interrupt,
	.source_kqueue = kqueue_source_kqueue,
	.source_tell_again = filch__kqueue_source_tell_again,
};

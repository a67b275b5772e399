/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kqueue: events, on the reactor thread.
 *
 * A job of ours is reaped at once: the kernel keeps the jobs that have ended
 * in the order of their events, so aio_return(2) finds its own at the head,
 * and until then it counts against the limits.  Its event has EV_ONESHOT and
 * does not come again.
 *
 * A user's source reaps for itself, later.  Until then the kernel repeats its
 * event if that is level-triggered: that of a list always, that of an aiocb
 * whose flags have none of EV_ONESHOT, EV_CLEAR and EV_DISPATCH.  It would be
 * all that this thread ever does; so it is deleted before the source is told.
 * Who reaps only what he was told of cannot have resubmitted it yet.
 *
 * Sources: kqueue(2) and aio(4) of FreeBSD; sys/event.h for EVFILT_LIO.
 */
#include "kqueue.h"

#include <errno.h>
#include <poll.h>

#include <filch/limits.h>

/* What a batch of events has brought. */
struct harvest {
	struct filch__reactor *reactor;
	struct filch__kqueue_leaving leaving;
	struct filch__kqueue_reaped reaped;
};

static void job_ended(struct harvest *, const struct kevent *, uint64_t);
static void source_ended(struct filch__reactor *, const struct kevent *);
static bool event_is_repeated(const struct kevent *);
static void descriptor_ready(struct harvest *, const struct kevent *);

void
filch__kqueue_events(
    struct filch__reactor *reactor, const struct kevent *events, unsigned count)
{
	struct harvest harvest;
	unsigned i;

	harvest.reactor = reactor;
	harvest.leaving = (struct filch__kqueue_leaving){ .done.count = 0 };
	harvest.reaped.count = 0;
	/* [RT1] pairs with filch__reactor_is_quiet, which looks for jobs first:
	 * of what is taken out now it knows by this only */
	(void)filch__u64_exchange_seq_cst(&reactor->sleeping_until_ns, 0);
	for (i = 0; i < count; i++) {
		uint64_t token = (uint64_t)(uintptr_t)events[i].udata;

		switch (events[i].filter) {
		case EVFILT_AIO:
			if ((token & FILCH__KQUEUE_SLOT_MARK) != 0) {
				job_ended(&harvest, &events[i], token);
				break;
			}
			source_ended(reactor, &events[i]);
			break;
		case EVFILT_LIO:
			source_ended(reactor, &events[i]);
			break;
		case EVFILT_READ:
		case EVFILT_WRITE:
			descriptor_ready(&harvest, &events[i]);
			break;
		default:
			break; /* EVFILT_USER: it has woken the thread */
		}
	}
	filch__kqueue_hand_on(reactor, &harvest.leaving);
	filch__kqueue_slots_free(filch__kqueue_of(reactor), &harvest.reaped);
}

/* A job of ours has ended: reap it. */
static void
job_ended(struct harvest *harvest, const struct kevent *event, uint64_t token)
{
	struct filch__kqueue *kq = filch__kqueue_of(harvest->reactor);
	uint32_t index = (uint32_t)(token & (FILCH__KQUEUE_SLOT_MARK - 1));
	struct filch__kqueue_slot *slot = &kq->slots[index];
	struct filch__shard *shard;
	struct filch_op *op;
	int64_t result;

	filch__lock_take(filch__kqueue_slot_lock(kq, index));
	if (slot->generation != (uint32_t)(token >> 32)) {
		/* who submitted it was quicker, and took it back */
		filch__lock_leave(filch__kqueue_slot_lock(kq, index));
		return;
	}
	result = aio_return(&slot->cb);
	if (event->data != 0) {
		result = -event->data;
	}
	op = filch__kqueue_slot_leave(slot);
	filch__lock_leave(filch__kqueue_slot_lock(kq, index));
	shard = op->priv.shard;
	harvest->reaped.indices[harvest->reaped.count] = index;
	harvest->reaped.shards[harvest->reaped.count++] = shard->index;
	filch__counter_add(&shard->counters.completions, 1);
	if (result != -EAGAIN && result != -EINTR && result != -EOPNOTSUPP) {
		filch__kqueue_done(&harvest->leaving, op, result);
	} else if (op->priv.stop_asked) {
		filch__kqueue_done(&harvest->leaving, op, -ECANCELED);
	} else {
		filch__kqueue_fall_back(
		    &harvest->leaving, op, FILCH_FALLBACK_REFUSED);
	}
}

/* True if the kernel gives the event until the job is reaped. */
static bool
event_is_repeated(const struct kevent *event)
{
	return (event->filter == EVFILT_LIO ||
	    (event->flags & (EV_ONESHOT | EV_CLEAR | EV_DISPATCH)) == 0);
}

/* A user's job, or list of jobs, has ended: tell its source. */
static void
source_ended(struct filch__reactor *reactor, const struct kevent *event)
{
	struct filch__registration *registration = filch__registration_acquire(
	    &reactor->registrations, (uint64_t)(uintptr_t)event->udata);
	bool is_repeated = event_is_repeated(event);
	bool is_single = event->filter == EVFILT_AIO;
	struct kevent change;

	if (is_repeated) {
		EV_SET(&change, event->ident, event->filter, EV_DELETE, 0, 0,
		    event->udata);
		/* ENOENT: it was reaped meanwhile */
		(void)kevent(
		    filch__kqueue_of(reactor)->kq, &change, 1, NULL, 0, NULL);
	}
	if (registration == NULL) {
		return; /* its Aio has gone */
	}
	if (registration->interest == FILCH_INTEREST_AIO) {
		/* relaxed: published by the readiness word.  Of one that has
		 * failed aio_error(2) does not tell whether it was reaped. */
		filch__u64_store_relaxed(
		    &registration->result, (uint64_t)-event->data);
		filch__ptr_store_relaxed(&registration->told,
		    is_repeated && is_single && event->data == 0
			? (void *)event->ident
			: NULL);
	}
	filch__registration_notify(registration);
	filch__registration_release(&reactor->registrations, registration);
}

bool
filch__kqueue_source_is_unreaped(struct filch__registration *registration)
{
	/* relaxed: see source_ended(); only who polls reads and clears it */
	const struct aiocb *cb = filch__ptr_load_relaxed(&registration->told);

	if (aio_error(cb) == 0) {
		return (true);
	}
	filch__ptr_store_relaxed(&registration->told, NULL);
	return (false);
}

/* A stream is ready: carry out what waits on it. */
static void
descriptor_ready(struct harvest *harvest, const struct kevent *event)
{
	struct filch__kqueue *kq = filch__kqueue_of(harvest->reactor);
	int fd = (int)event->ident;
	short direction = event->filter == EVFILT_READ ? POLLIN : POLLOUT;
	struct filch_op *done = NULL;
	struct filch_op *pooled = NULL;
	struct filch__poll_slot *slot;

	filch__lock_take(&kq->set.lock);
	slot = filch__poll_set_find(&kq->set, fd);
	if (slot != NULL) {
		slot->armed &= ~(unsigned)direction;
		filch__poll_set_ready(
		    &kq->set, slot, direction, &done, &pooled);
		slot = filch__poll_set_find(&kq->set, fd);
	}
	if (slot != NULL &&
	    filch__kqueue_arm(kq, slot, filch__poll_slot_events(slot)) < 0) {
		/* nobody would tell of it any more */
		do {
			struct filch_op *op = slot->queue.head;

			filch__poll_set_remove(&kq->set, op);
			op->priv.next = pooled;
			pooled = op;
			slot = filch__poll_set_find(&kq->set, fd);
		} while (slot != NULL);
	}
	filch__lock_leave(&kq->set.lock);
	while (done != NULL) {
		struct filch_op *op = done;

		done = op->priv.next;
		filch__op_queue_push(&harvest->leaving.done, op);
	}
	while (pooled != NULL) {
		struct filch_op *op = pooled;

		pooled = op->priv.next;
		filch__op_queue_push(&harvest->leaving.pooled, op);
	}
}

void
filch__kqueue_feed(struct filch__reactor *reactor)
{
	struct filch__kqueue *kq = filch__kqueue_of(reactor);
	unsigned count = reactor->options.shard_count;
	uint32_t first;
	unsigned i;

	if (!filch__kqueue_is_hungry(kq, NULL)) {
		return;
	}
	/* [RT1] pairs with filch__reactor_is_quiet: what goes to the pool now is
	 * nowhere for a moment */
	(void)filch__u64_exchange_seq_cst(&reactor->sleeping_until_ns, 0);
	first = kq->feed_next++;
	for (i = 0; i < count; i++) {
		struct filch__kqueue_shard *ks =
		    &kq->shards[(first + i) % count];

		if (filch__kqueue_is_hungry(kq, ks)) {
			(void)filch__kqueue_hand_over(ks->shard);
		}
	}
}

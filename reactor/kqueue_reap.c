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
 * all that this thread ever does; so it is disabled before the source is told,
 * and deleted if the source has gone.  Who reaps only what he was told of
 * cannot have resubmitted it yet.  But an event can be read that is past: one
 * whose job was just reaped, or of a list of which nothing was accepted;
 * what stands at its address now is not to be disabled.  So such an event is
 * believed when it comes the second time: one of the past does not.
 *
 * When the source was cleared and is polled its event is enabled: unless it was
 * reaped it comes again.  (Whether it was reaped cannot be asked: a job
 * resubmitted since looks the same, once it has ended.)
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
static void note_change(
    const struct filch__kqueue *, uintptr_t, short, unsigned short, uint64_t);
static short source_filter(const struct filch__registration *);
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
	filch__kqueue_of(reactor)->turn++;
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
	struct filch__kqueue_slot *slot;
	struct filch__shard *shard;
	struct filch_op *op;
	int64_t result;

	if (index >= kq->slot_count ||
	    event->ident != (uintptr_t)&kq->slots[index].cb) {
		return; /* a source that gave the kernel another token */
	}
	slot = &kq->slots[index];
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

/*
 * True if an event that repeats has done so: it is none of the past.  With too
 * many to remember it is believed at once, or none might ever be told.
 */
static bool
event_is_repetition(struct filch__kqueue *kq, const struct kevent *event)
{
	uint64_t token = (uint64_t)(uintptr_t)event->udata;
	struct filch__kqueue_sighting *room = NULL;
	unsigned i;

	for (i = 0; i < FILCH__KQUEUE_SIGHTINGS_MAX; i++) {
		struct filch__kqueue_sighting *seen = &kq->sightings[i];

		if (seen->turn == 0 ||
		    seen->turn + FILCH__KQUEUE_SIGHTING_TURNS < kq->turn) {
			room = seen;
		} else if (seen->ident == event->ident &&
		    seen->filter == event->filter && seen->token == token) {
			seen->turn = 0;
			return (true);
		}
	}
	if (room == NULL) {
		return (true);
	}
	room->ident = event->ident;
	room->filter = event->filter;
	room->token = token;
	room->turn = kq->turn;
	return (false);
}

/* Change the kernel's note of a user's job or list; it may have gone. */
static void
note_change(const struct filch__kqueue *kq, uintptr_t ident, short filter,
    unsigned short flags, uint64_t token)
{
	struct kevent change;

#if defined(EV_KEEPUDATA)
	/* should another source's have its address now, it keeps its token */
	flags |= EV_KEEPUDATA;
#endif
	/* else every change replaces the token */
	EV_SET(&change, ident, filter, flags, 0, 0, (void *)(uintptr_t)token);
	/* ENOENT: it was reaped meanwhile */
	(void)kevent(kq->kq, &change, 1, NULL, 0, NULL);
}

/* The filter that tells of a source. */
static short
source_filter(const struct filch__registration *registration)
{
	if (registration->interest == FILCH_INTEREST_AIO) {
		return (EVFILT_AIO);
	}
	return (EVFILT_LIO);
}

/* A user's job, or list of jobs, has ended: tell its source. */
static void
source_ended(struct filch__reactor *reactor, const struct kevent *event)
{
	struct filch__kqueue *kq = filch__kqueue_of(reactor);
	uint64_t token = (uint64_t)(uintptr_t)event->udata;
	struct filch__registration *registration;
	bool is_repeated = event_is_repeated(event);
	bool may_repeat;

	if (is_repeated && !event_is_repetition(kq, event)) {
		return;
	}
	registration =
	    filch__registration_acquire(&reactor->registrations, token);
	may_repeat = registration != NULL &&
	    event->filter == source_filter(registration);
	filch__lock_take(&kq->tell);
	if (is_repeated) {
		note_change(kq, event->ident, event->filter,
		    may_repeat ? EV_DISABLE : EV_DELETE, token);
	}
	if (registration == NULL) {
		filch__lock_leave(&kq->tell);
		return; /* its Aio has gone */
	}
	/* relaxed, both: published by the readiness word */
	filch__ptr_store_relaxed(&registration->told,
	    is_repeated && may_repeat ? (void *)event->ident : NULL);
	if (registration->interest == FILCH_INTEREST_AIO) {
		filch__u64_store_relaxed(
		    &registration->result, (uint64_t)-event->data);
	}
	filch__registration_notify(registration);
	filch__lock_leave(&kq->tell);
	filch__registration_release(&reactor->registrations, registration);
}

void
filch__kqueue_source_tell_again(const struct filch__reactor *reactor,
    struct filch__registration *registration)
{
	struct filch__kqueue *kq = filch__kqueue_of(reactor);
	uint32_t ready;
	void *told;

	filch__lock_take(&kq->tell);
	told = filch__ptr_load_relaxed(&registration->told); /* the lock */
	ready = filch__readiness_bits(
	    filch__readiness_load(&registration->readiness));
	if (told != NULL &&
	    (ready & (FILCH__READY_AIO | FILCH__READY_LIO)) == 0) {
		filch__ptr_store_relaxed(&registration->told, NULL);
		note_change(kq, (uintptr_t)told, source_filter(registration),
		    EV_ENABLE, filch__registration_token(registration));
	}
	filch__lock_leave(&kq->tell);
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
	/* [RT1] pairs with filch__reactor_is_quiet: what goes to the pool now
	 * is nowhere for a moment */
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

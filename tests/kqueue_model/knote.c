/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Knotes: how changes find them, when they are queued and what a thread takes.
 */
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>

/* What of a change stays with the knote. */
#define KNOTE_FLAGS_NOT                                                        \
	(EV_ADD | EV_DELETE | EV_ENABLE | EV_DISABLE | EV_FORCEONESHOT)

static uint64_t knote_id;

const struct filter *
knote__filter(short filter)
{
	switch (filter) {
	case EVFILT_READ:
		return (&filter__read);
	case EVFILT_WRITE:
		return (&filter__write);
	case EVFILT_AIO:
		return (&filter__aio);
	case EVFILT_LIO:
		return (&filter__lio);
	case EVFILT_TIMER:
		return (&filter__timer);
	case EVFILT_USER:
		return (&filter__user);
	default:
		return (NULL);
	}
}

static struct knotes *
knote_bucket(struct kqueue *kqueue, uintptr_t ident)
{
	uint64_t hash = (uint64_t)ident * 0x9e3779b97f4a7c15ULL;

	return (&kqueue->buckets[(hash >> 32) % KNOTE_BUCKETS]);
}

struct knote *
knote__find(struct kqueue *kqueue, uintptr_t ident, short filter)
{
	struct knote *knote;

	LIST_FOREACH(knote, knote_bucket(kqueue, ident), bucket)
	{
		if (knote->event.ident == ident &&
		    knote->event.filter == filter) {
			break;
		}
	}
	return (knote);
}

static void
knote_dequeue(struct knote *knote)
{
	if (knote->is_queued) {
		TAILQ_REMOVE(&knote->kqueue->queue, knote, queue);
		knote->is_queued = false;
	}
}

static void
knote_free(struct knote *knote)
{
	knote_dequeue(knote);
	LIST_REMOVE(knote, bucket);
	kernel.counts.knotes--;
	free(knote);
}

void
knote__drop(struct knote *knote)
{
	knote->filter->detach(knote);
	knote_free(knote);
}

static void
knote_enqueue(struct knote *knote)
{
	if (!knote->is_active || knote->is_disabled || knote->is_queued) {
		return;
	}
	TAILQ_INSERT_TAIL(&knote->kqueue->queue, knote, queue);
	knote->is_queued = true;
	kqueue__set_readable(knote->kqueue, -1);
	waiters__wake(&knote->kqueue->waiters);
}

void
knote__poke(struct knote *knote)
{
	if (knote->filter->is_active(knote)) {
		knote->is_active = true;
	}
	knote_enqueue(knote);
}

void
knote__poke_all(struct knotes *notes)
{
	struct knote *knote;

	LIST_FOREACH(knote, notes, owner)
	{
		knote__poke(knote);
	}
}

/*
 * A thread in kevent may have taken the event just before it vanished.  That
 * cannot happen here, under one lock, so it is played: one of the threads that
 * sleep gets a copy.
 */
static void
knote_leave_stale(struct knote *knote)
{
	struct waiter *waiter = TAILQ_FIRST(&knote->kqueue->waiters);

	if (knote->is_queued && waiter != NULL &&
	    waiter->stale_count < STALE_MAX && kernel__draw(CHANCE_STALE)) {
		waiter->stale[waiter->stale_count++] = knote->event;
		waiters__wake(&knote->kqueue->waiters);
	}
}

void
knote__drop_all(struct knotes *notes)
{
	struct knote *knote;

	while ((knote = LIST_FIRST(notes)) != NULL) {
		knote_leave_stale(knote);
		knote__drop(knote);
	}
}

static int
knote_create(struct kqueue *kqueue, const struct kevent *change,
    const struct filter *filter, void *object)
{
	struct knote *knote = calloc(1, sizeof(*knote));
	int error;

	if (knote == NULL) {
		return (ENOMEM);
	}
	knote->id = ++knote_id;
	knote->kqueue = kqueue;
	knote->filter = filter;
	knote->event = *change;
	knote->event.flags &= (unsigned short)~KNOTE_FLAGS_NOT;
	knote->event.fflags = 0;
	knote->event.data = 0;
	knote->notes = change->fflags;
	knote->value = change->data;
	knote->is_disabled = (change->flags & EV_DISABLE) != 0;
	if (change->filter == EVFILT_AIO) {
		knote->job = object;
	} else if (change->filter == EVFILT_LIO) {
		knote->list = object;
	}
	LIST_INSERT_HEAD(knote_bucket(kqueue, change->ident), knote, bucket);
	kernel.counts.knotes++;
	error = filter->attach(knote);
	if (error != 0) {
		knote_free(knote);
		return (error);
	}
	if (!knote->is_disabled) {
		knote__poke(knote);
	}
	return (0);
}

/* What the knote waits for, and its flags, stay as they were when added. */
static void
knote_change(struct knote *knote, const struct kevent *change)
{
	if ((change->flags & EV_FORCEONESHOT) != 0) {
		knote->event.flags |= EV_ONESHOT;
		knote->is_active = true;
	}
	if ((change->flags & EV_ENABLE) != 0) {
		knote->is_disabled = false;
	} else if ((change->flags & EV_DISABLE) != 0) {
		knote->is_disabled = true;
	}
	knote->event.udata = change->udata;
	if (knote->filter->change != NULL) {
		knote->filter->change(knote, change);
	} else {
		knote->notes = change->fflags;
		knote->value = change->data;
	}
	if (!knote->is_disabled) {
		knote__poke(knote);
	}
}

/* Of a descriptor: that there is one, and that it is still the knote's. */
static int
knote_check_fd(struct kqueue *kqueue, uintptr_t ident, struct knote **knote)
{
	if (ident > INT_MAX) {
		return (EBADF);
	}
	if (*knote != NULL && !filter__fd_is_same(*knote)) {
		knote__drop(*knote); /* as close did */
		*knote = NULL;
	}
	if (*knote == NULL && fcntl((int)ident, F_GETFD) < 0) {
		return (EBADF);
	}
	return (kqueue__find((int)ident) == kqueue ? EINVAL : 0);
}

int
knote__register(
    struct kqueue *kqueue, struct kevent *change, bool is_kernel, void *object)
{
	const struct filter *filter = knote__filter(change->filter);
	struct knote *knote;
	int error;

	if (filter == NULL ||
	    (change->flags & (EV_ENABLE | EV_DISABLE)) ==
		(EV_ENABLE | EV_DISABLE)) {
		return (EINVAL);
	}
	knote = knote__find(kqueue, change->ident, change->filter);
	if (filter->is_fd) {
		error = knote_check_fd(kqueue, change->ident, &knote);
		if (error != 0) {
			return (error);
		}
	}
	if (knote == NULL && (change->flags & EV_ADD) == 0) {
		return (ENOENT);
	}
	if (knote == NULL) {
		if (!is_kernel &&
		    (filter == &filter__aio || filter == &filter__lio)) {
			return (EPERM);
		}
		return (knote_create(kqueue, change, filter, object));
	}
	if ((change->flags & EV_DELETE) != 0) {
		knote__drop(knote);
		return (0);
	}
	knote_change(knote, change);
	return (0);
}

static void
knote_count(struct knote *knote, bool *is_all_again)
{
	short filter = knote->event.filter;

	kernel.counts.events++;
	kernel.counts.events_aio += filter == EVFILT_AIO;
	kernel.counts.events_lio += filter == EVFILT_LIO;
	if ((filter == EVFILT_AIO || filter == EVFILT_LIO) &&
	    knote->deliveries > 0) {
		kernel.counts.events_again++;
	} else {
		*is_all_again = false;
	}
	knote->deliveries++;
}

/* One that was queued: its event, unless it is no longer active. */
static bool
knote_take(struct knote *knote, struct kevent *ret_event)
{
	unsigned short flags = knote->event.flags;

	if (knote->is_disabled) {
		return (false);
	}
	if (knote->filter->is_fd && !filter__fd_is_same(knote)) {
		knote__drop(knote);
		return (false);
	}
	/* one that is delivered once is not asked again */
	if ((flags & EV_ONESHOT) != 0) {
		*ret_event = knote->event;
		return (true);
	}
	if (!knote->filter->is_active(knote)) {
		knote->is_active = false;
		return (false);
	}
	*ret_event = knote->event;
	if (knote->filter->deliver != NULL) {
		knote->filter->deliver(knote, ret_event);
	}
	return (true);
}

/* What becomes of it: gone, silent until it is active anew, or queued. */
static void
knote_settle(struct knote *knote)
{
	unsigned short flags = knote->event.flags;

	if ((flags & EV_ONESHOT) != 0) {
		knote__drop(knote);
		return;
	}
	if ((flags & EV_CLEAR) != 0 && knote->filter->deliver == NULL) {
		knote->event.data = 0;
		knote->event.fflags = 0;
	}
	if ((flags & (EV_CLEAR | EV_DISPATCH)) == 0) {
		TAILQ_INSERT_TAIL(&knote->kqueue->queue, knote, queue);
		knote->is_queued = true;
		return;
	}
	knote->is_active = false;
	if ((flags & EV_DISPATCH) != 0) {
		knote->is_disabled = true;
	}
}

int
knote__scan(struct kqueue *kqueue, struct kevent *events, int count)
{
	struct knote *knote, *last;
	bool is_all_again = true, is_last = false;
	int taken = 0;

	last = TAILQ_LAST(&kqueue->queue, knote_queue);
	while (taken < count && !is_last) {
		knote = TAILQ_FIRST(&kqueue->queue);
		if (knote == NULL) {
			break;
		}
		is_last = knote == last;
		knote_dequeue(knote);
		if (knote_take(knote, &events[taken])) {
			knote_count(knote, &is_all_again);
			knote_settle(knote);
			taken++;
		}
	}
	if (taken > 0 && is_all_again) {
		kernel.counts.calls_again++;
	}
	return (taken);
}

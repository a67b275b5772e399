/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Knotes of jobs, of lists, of users and of time.
 */
#include "kernel.h"

#include <errno.h>
#include <time.h>

#define TIMER_MOST_NS (NEVER >> 2)

static int
aio_attach(struct knote *knote)
{
	LIST_INSERT_HEAD(&knote->job->notes, knote, owner);
	return (0);
}

static void
owner_detach(struct knote *knote)
{
	LIST_REMOVE(knote, owner);
}

static bool
aio_is_active(struct knote *knote)
{
	const struct job *job = knote->job;

	knote->event.data = job->copy._aiocb_private.error;
	if (job->state != JOB_DONE) {
		return (false);
	}
	knote->event.flags |= EV_EOF;
	return (true);
}

const struct filter filter__aio = {
	.attach = aio_attach,
	.detach = owner_detach,
	.is_active = aio_is_active,
};

static int
lio_attach(struct knote *knote)
{
	LIST_INSERT_HEAD(&knote->list->notes, knote, owner);
	return (0);
}

static bool
lio_is_active(struct knote *knote)
{
	return (knote->list->is_posted);
}

const struct filter filter__lio = {
	.attach = lio_attach,
	.detach = owner_detach,
	.is_active = lio_is_active,
};

/* A NOTE_TRIGGER in the change that adds it is not seen. */
static int
user_attach(struct knote *knote)
{
	knote->is_triggered = false;
	return (0);
}

static void
user_detach(struct knote *knote)
{
	knote->is_triggered = false;
}

static bool
user_is_active(struct knote *knote)
{
	return (knote->is_triggered);
}

static void
user_clear(struct knote *knote)
{
	knote->is_triggered = false;
	knote->event.data = 0;
	knote->event.fflags = 0;
}

static void
user_change(struct knote *knote, const struct kevent *change)
{
	unsigned int flags = change->fflags & NOTE_FFLAGSMASK;

	if ((change->fflags & NOTE_TRIGGER) != 0) {
		knote->is_triggered = true;
	}
	switch (change->fflags & NOTE_FFCTRLMASK) {
	case NOTE_FFAND:
		knote->notes &= flags;
		break;
	case NOTE_FFOR:
		knote->notes |= flags;
		break;
	case NOTE_FFCOPY:
		knote->notes = flags;
		break;
	default:
		break;
	}
	knote->value = change->data;
	if ((change->flags & EV_CLEAR) != 0) {
		user_clear(knote);
	}
}

static void
user_deliver(struct knote *knote, struct kevent *ret_event)
{
	ret_event->fflags = knote->notes;
	ret_event->data = knote->value;
	if ((knote->event.flags & EV_CLEAR) != 0) {
		user_clear(knote);
	}
}

const struct filter filter__user = {
	.attach = user_attach,
	.detach = user_detach,
	.is_active = user_is_active,
	.change = user_change,
	.deliver = user_deliver,
};

static int
timer_unit_ns(unsigned int notes, uint64_t *ret_ns)
{
	const unsigned int units =
	    NOTE_SECONDS | NOTE_MSECONDS | NOTE_USECONDS | NOTE_NSECONDS;

	if ((notes & ~(units | NOTE_ABSTIME)) != 0) {
		return (EINVAL);
	}
	switch (notes & units) {
	case NOTE_SECONDS:
		*ret_ns = NS_PER_S;
		return (0);
	case 0: /* milliseconds */
	case NOTE_MSECONDS:
		*ret_ns = 1000000;
		return (0);
	case NOTE_USECONDS:
		*ret_ns = 1000;
		return (0);
	case NOTE_NSECONDS:
		*ret_ns = 1;
		return (0);
	default:
		return (EINVAL);
	}
}

static uint64_t
timer_wall_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return ((uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec);
}

/* The time by value, which is cut to what fits. */
static int
timer_validate(struct knote *knote, uint64_t *ret_ns)
{
	uint64_t unit_ns, value_ns, wall_ns;

	if (knote->value < 0 || timer_unit_ns(knote->notes, &unit_ns) != 0) {
		return (EINVAL);
	}
	if (knote->value == 0 && (knote->event.flags & EV_ONESHOT) == 0) {
		knote->value = 1;
	}
	value_ns = (uint64_t)knote->value > TIMER_MOST_NS / unit_ns
	    ? TIMER_MOST_NS
	    : (uint64_t)knote->value * unit_ns;
	if ((knote->notes & NOTE_ABSTIME) != 0) {
		wall_ns = timer_wall_ns();
		if (value_ns < wall_ns) {
			return (EINVAL);
		}
		value_ns -= wall_ns;
	}
	*ret_ns = value_ns;
	return (0);
}

static int
timer_start(struct knote *knote)
{
	uint64_t value_ns;
	int error = timer_validate(knote, &value_ns);

	if (error != 0) {
		return (error);
	}
	knote->expiry_ns = kernel__now_ns() + value_ns;
	knote->period_ns = value_ns;
	if ((knote->notes & NOTE_ABSTIME) != 0 ||
	    (knote->event.flags & EV_ONESHOT) != 0) {
		knote->period_ns = 0;
	}
	waiters__wake(&knote->kqueue->waiters);
	return (0);
}

static int
timer_attach(struct knote *knote)
{
	int error = timer_start(knote);

	if (error != 0) {
		return (error);
	}
	if ((knote->notes & NOTE_ABSTIME) == 0) {
		knote->event.flags |= EV_CLEAR;
	}
	LIST_INSERT_HEAD(&knote->kqueue->timers, knote, timer);
	return (0);
}

static void
timer_detach(struct knote *knote)
{
	LIST_REMOVE(knote, timer);
}

static bool
timer_is_active(struct knote *knote)
{
	return (knote->event.data != 0);
}

/*
 * Added once more it starts anew, by the new values.  The change itself does
 * not fail if they are wrong: that comes as an event.
 */
static void
timer_change(struct knote *knote, const struct kevent *change)
{
	int error;

	if ((change->flags & EV_ADD) == 0) {
		return;
	}
	if (knote->is_queued) {
		TAILQ_REMOVE(&knote->kqueue->queue, knote, queue);
		knote->is_queued = false;
	}
	knote->is_active = false;
	knote->event.data = 0;
	knote->notes = change->fflags;
	knote->value = change->data;
	error = timer_start(knote);
	if (error != 0) {
		knote->expiry_ns = NEVER;
		knote->event.flags |= EV_ERROR;
		knote->event.data = error;
	}
}

static void
timer_deliver(struct knote *knote, struct kevent *ret_event)
{
	(void)ret_event;
	if ((knote->event.flags & EV_CLEAR) != 0) {
		knote->event.data = 0;
		knote->event.fflags = 0;
	}
}

const struct filter filter__timer = {
	.attach = timer_attach,
	.detach = timer_detach,
	.is_active = timer_is_active,
	.change = timer_change,
	.deliver = timer_deliver,
};

static void
timer_expire(struct knote *knote, uint64_t now_ns)
{
	uint64_t count;

	if (knote->expiry_ns > now_ns) {
		return;
	}
	if (knote->period_ns == 0) {
		knote->event.data++;
		knote->expiry_ns = NEVER;
	} else {
		count = (now_ns - knote->expiry_ns) / knote->period_ns + 1;
		knote->event.data += (int64_t)count;
		knote->expiry_ns += count * knote->period_ns;
	}
	knote__poke(knote);
}

uint64_t
filter__timers_run(struct kqueue *kqueue)
{
	uint64_t next_ns = NEVER, now_ns = kernel__now_ns();
	struct knote *knote;

	LIST_FOREACH(knote, &kqueue->timers, timer)
	{
		timer_expire(knote, now_ns);
		if (knote->expiry_ns < next_ns) {
			next_ns = knote->expiry_ns;
		}
	}
	return (next_ns);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * EVFILT_TIMER and the timeout of kevent(2).  Only that a timer fires, and that
 * one of an hour does not, is looked at: never how late.
 */
#include "facts.h"

#define IDENT   5
#define OTHER   6
#define HOUR_MS 3600000

static char mark;

static int
timer(uintptr_t ident, unsigned flags, unsigned unit, int64_t value)
{
	return (fact_change(
	    ident, EVFILT_TIMER, EV_ADD | flags, unit, value, &mark));
}

/* Wait for the timer of ident. */
static bool
fires(uintptr_t ident, struct kevent *ret_event)
{
	return (fact_event(ret_event) && ret_event->ident == ident &&
	    ret_event->filter == EVFILT_TIMER && ret_event->udata == &mark &&
	    ret_event->data >= 1);
}

/* Let at least ms milliseconds pass, on another kqueue. */
static bool
pass(int ms)
{
	struct timespec limit = fact_limit();
	struct kevent change;
	int kq = fact_keep(kqueue());

	EV_SET(&change, IDENT, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, ms, NULL);
	return (kevent(kq, &change, 1, &change, 1, &limit) == 1 &&
	    change.filter == EVFILT_TIMER);
}

static void
periodic(void)
{
	struct kevent event;

	CHECK_EQ(timer(IDENT, 0, 0, 1), 0);
	for (int i = 0; i < 5; i++) {
		CHECK(fires(IDENT, &event));
		CHECK((event.flags & EV_CLEAR) != 0);
	}
}

static void
expirations(void)
{
	struct kevent event;

	CHECK_EQ(timer(IDENT, 0, 0, 1), 0);
	CHECK(pass(50));
	CHECK(fires(IDENT, &event));
	CHECK(event.data >= 2);
}

static void
oneshot(void)
{
	struct kevent event;

	CHECK_EQ(timer(IDENT, EV_ONESHOT, 0, 1), 0);
	CHECK(fires(IDENT, &event));
	CHECK_EQ(event.data, 1);
	CHECK_ERRNO(
	    fact_change(IDENT, EVFILT_TIMER, EV_DELETE, 0, 0, NULL), ENOENT);
}

static void
units(void)
{
	static const unsigned all[] = { NOTE_MSECONDS, NOTE_USECONDS,
		NOTE_NSECONDS };
	struct kevent event;

	for (size_t i = 0; i < FACT_COUNT(all); i++) {
		CHECK_EQ(timer(IDENT, EV_ONESHOT, all[i], 3), 0);
		CHECK(fires(IDENT, &event));
		CHECK_EQ(event.fflags, 0);
	}
	CHECK_EQ(timer(IDENT, EV_ONESHOT, NOTE_SECONDS, 3600), 0);
	CHECK(fact_is_quiet());
}

static void
restart_sooner(void)
{
	struct kevent event;

	CHECK_EQ(timer(IDENT, EV_ONESHOT, 0, HOUR_MS), 0);
	CHECK_EQ(timer(IDENT, EV_ONESHOT, 0, 1), 0);
	CHECK(fires(IDENT, &event));
}

/* An expiration that nobody has read is thrown away. */
static void
restart_later(void)
{
	struct kevent event;

	CHECK_EQ(timer(IDENT, 0, 0, 1), 0);
	CHECK(fires(IDENT, &event));
	CHECK(pass(20));
	CHECK_EQ(timer(IDENT, 0, 0, HOUR_MS), 0);
	CHECK(fact_is_quiet());
	CHECK_EQ(timer(OTHER, EV_ONESHOT, 0, 20), 0);
	CHECK(fires(OTHER, &event));
	CHECK(fact_is_quiet());
}

static void
deleted(void)
{
	struct kevent event;

	CHECK_EQ(timer(IDENT, 0, 0, 1), 0);
	CHECK(fires(IDENT, &event));
	CHECK_EQ(fact_change(IDENT, EVFILT_TIMER, EV_DELETE, 0, 0, NULL), 0);
	CHECK(pass(20));
	CHECK(fact_is_quiet());
}

static void
negative(void)
{
	CHECK_ERRNO(timer(IDENT, 0, 0, -1), EINVAL);
	CHECK_ERRNO(timer(IDENT, 0, 0x8000, 1), EINVAL);
}

static void
absolute(void)
{
	struct kevent event;
	time_t now = time(NULL);

	CHECK_EQ(timer(IDENT, EV_ONESHOT, NOTE_SECONDS | NOTE_ABSTIME,
		     (int64_t)now + 2),
	    0);
	CHECK_EQ(timer(OTHER, EV_ONESHOT, NOTE_SECONDS | NOTE_ABSTIME,
		     (int64_t)now + 3600),
	    0);
	CHECK(fires(IDENT, &event));
	CHECK(fact_is_quiet());
}

/* From 13.1 on such a timer fires at once; before it is refused. */
static void
absolute_past(void)
{
	struct kevent event;
	int version = fact_sysctl("kern.osreldate");

	if (timer(IDENT, EV_ONESHOT, NOTE_SECONDS | NOTE_ABSTIME, 1) == 0) {
		CHECK(version < 0 || version >= 1300000);
		CHECK(fires(IDENT, &event));
	} else {
		CHECK_EQ(errno, EINVAL);
	}
}

static void
timeout(void)
{
	struct timespec none = { 0 };
	struct timespec short_while = { .tv_nsec = 1000000 };
	struct timespec bad = { .tv_nsec = 1000000000 };
	struct kevent event;

	CHECK_EQ(kevent(fact_now.kq, NULL, 0, &event, 1, &none), 0);
	CHECK_EQ(kevent(fact_now.kq, NULL, 0, &event, 1, &short_while), 0);
	CHECK_ERRNO(kevent(fact_now.kq, NULL, 0, &event, 1, &bad), EINVAL);
}

static void
no_room(void)
{
	CHECK_EQ(kevent(fact_now.kq, NULL, 0, NULL, 0, NULL), 0);
}

static const struct fact facts[] = {
	{ "0 timers: periodic, EV_CLEAR is implied", periodic },
	{ "0 timers: data is the number of expirations", expirations },
	{ "0 timers: EV_ONESHOT fires once and is gone", oneshot },
	{ "0 timers: units, which the event does not repeat in fflags", units },
	{ "0 timers: a further EV_ADD restarts it sooner", restart_sooner },
	{ "0 timers: a further EV_ADD drops what has expired", restart_later },
	{ "0 timers: EV_DELETE stops it", deleted },
	{ "0 timers: a negative time or an unknown unit is EINVAL", negative },
	{ "0 timers: NOTE_ABSTIME fires at its time", absolute },
	{ "0 timers: NOTE_ABSTIME in the past is EINVAL, or fires since 13",
	    absolute_past },
	{ "0 kqueue: the timeout of kevent ends it with 0", timeout },
	{ "0 kqueue: kevent without room for events does not wait", no_room },
};

int
main(void)
{
	return (fact_main(facts, FACT_COUNT(facts)));
}

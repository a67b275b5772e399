/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Knotes: found by kqueue, filter and ident, so that a second use of an address
 * changes the first one's; what a change replaces and what it leaves.
 */
#include "facts.h"

#include <pthread.h>

#define IDENT 7

static char bytes[8];

static void *
token(int number)
{
	return ((void *)(uintptr_t)(0x1000 + number));
}

static int
user_change(unsigned flags, unsigned fflags, void *udata)
{
	return (fact_change(IDENT, EVFILT_USER, flags, fflags, 0, udata));
}

/* The next event must be that of the user's knote. */
static bool
user_tells(void *udata)
{
	struct kevent event;

	return (fact_event(&event) && event.filter == EVFILT_USER &&
	    event.ident == IDENT && event.udata == udata);
}

static void
trigger_replaces_udata(void)
{
	CHECK_EQ(user_change(EV_ADD | EV_CLEAR, 0, token(1)), 0);
	CHECK_EQ(user_change(0, NOTE_TRIGGER, token(2)), 0);
	CHECK(user_tells(token(2)));
}

static void
enable_replaces_udata(void)
{
	CHECK_EQ(user_change(EV_ADD | EV_CLEAR, 0, token(1)), 0);
	CHECK_EQ(user_change(0, NOTE_TRIGGER, token(1)), 0);
	CHECK_EQ(user_change(EV_DISABLE, 0, token(2)), 0);
	CHECK(fact_is_quiet());
	CHECK_EQ(user_change(EV_ENABLE, 0, token(3)), 0);
	CHECK(user_tells(token(3)));
}

static void
add_replaces_udata(void)
{
	CHECK_EQ(user_change(EV_ADD | EV_CLEAR, 0, token(1)), 0);
	CHECK_EQ(user_change(0, NOTE_TRIGGER, token(1)), 0);
	CHECK_EQ(user_change(EV_ADD, 0, token(2)), 0);
	CHECK(user_tells(token(2)));
}

static void
add_keeps_clear(void)
{
	CHECK_EQ(user_change(EV_ADD | EV_CLEAR, 0, token(1)), 0);
	CHECK_EQ(user_change(EV_ADD, 0, token(1)), 0);
	CHECK_EQ(user_change(0, NOTE_TRIGGER, token(1)), 0);
	CHECK(user_tells(token(1)));
	CHECK(fact_is_quiet());
}

static void
add_keeps_level(void)
{
	CHECK_EQ(user_change(EV_ADD, 0, token(1)), 0);
	CHECK_EQ(user_change(EV_ADD | EV_DISPATCH, 0, token(1)), 0);
	CHECK_EQ(user_change(EV_ADD | EV_ONESHOT, 0, token(1)), 0);
	CHECK_EQ(user_change(0, NOTE_TRIGGER, token(1)), 0);
	for (int i = 0; i < 3; i++) {
		CHECK(user_tells(token(1)));
	}
}

static void
add_keeps_oneshot(void)
{
	CHECK_EQ(user_change(EV_ADD | EV_ONESHOT, 0, token(1)), 0);
	CHECK_EQ(user_change(EV_ADD, 0, token(1)), 0);
	CHECK_EQ(user_change(0, NOTE_TRIGGER, token(1)), 0);
	CHECK(user_tells(token(1)));
	CHECK_ERRNO(user_change(0, NOTE_TRIGGER, token(1)), ENOENT);
}

static void
add_keeps_disabled(void)
{
	CHECK_EQ(user_change(EV_ADD | EV_CLEAR, 0, token(1)), 0);
	CHECK_EQ(user_change(EV_DISABLE, 0, token(1)), 0);
	CHECK_EQ(user_change(EV_ADD, 0, token(1)), 0);
	CHECK_EQ(user_change(0, NOTE_TRIGGER, token(1)), 0);
	CHECK(fact_is_quiet());
	CHECK_EQ(user_change(EV_ENABLE, 0, token(1)), 0);
	CHECK(user_tells(token(1)));
}

static void
trigger_when_adding(void)
{
	CHECK_EQ(user_change(EV_ADD | EV_CLEAR, NOTE_TRIGGER, token(1)), 0);
	CHECK(fact_is_quiet());
	CHECK_EQ(user_change(0, NOTE_TRIGGER, token(1)), 0);
	CHECK(user_tells(token(1)));
}

/* Read in kern_event.c: EV_CLEAR of the change itself undoes the trigger. */
static void
trigger_with_clear(void)
{
	CHECK_EQ(user_change(EV_ADD | EV_CLEAR, 0, token(1)), 0);
	CHECK_EQ(user_change(EV_CLEAR, NOTE_TRIGGER, token(1)), 0);
	CHECK(fact_is_quiet());
}

static void
triggers_coalesce(void)
{
	CHECK_EQ(user_change(EV_ADD | EV_CLEAR, 0, token(1)), 0);
	for (int i = 0; i < 5; i++) {
		CHECK_EQ(user_change(0, NOTE_TRIGGER, token(1)), 0);
	}
	CHECK(user_tells(token(1)));
	CHECK(fact_is_quiet());
}

static void
level_user_repeats(void)
{
	CHECK_EQ(user_change(EV_ADD, 0, token(1)), 0);
	CHECK_EQ(user_change(0, NOTE_TRIGGER, token(1)), 0);
	for (int i = 0; i < 3; i++) {
		CHECK(user_tells(token(1)));
	}
	CHECK_EQ(user_change(EV_DELETE, 0, token(1)), 0);
	CHECK(fact_is_quiet());
}

static void
dispatch_disables(void)
{
	CHECK_EQ(user_change(EV_ADD | EV_DISPATCH, 0, token(1)), 0);
	CHECK_EQ(user_change(0, NOTE_TRIGGER, token(1)), 0);
	CHECK(user_tells(token(1)));
	CHECK_EQ(user_change(0, NOTE_TRIGGER, token(1)), 0);
	CHECK(fact_is_quiet());
	CHECK_EQ(user_change(EV_ENABLE, 0, token(1)), 0);
	CHECK(user_tells(token(1)));
	CHECK(fact_is_quiet());
}

/* Of two that repeat none is told twice before the other. */
static void
level_takes_turns(void)
{
	struct kevent event;
	uintptr_t last = 0;

	for (uintptr_t i = 1; i <= 2; i++) {
		CHECK_EQ(fact_change(i, EVFILT_USER, EV_ADD, 0, 0, NULL), 0);
		CHECK_EQ(
		    fact_change(i, EVFILT_USER, 0, NOTE_TRIGGER, 0, NULL), 0);
	}
	for (int i = 0; i < 6; i++) {
		CHECK(fact_event(&event));
		CHECK(event.ident != last);
		last = event.ident;
	}
}

/* Two changes: the first one fails, the second one triggers. */
static void
failing_changes(struct kevent changes[2])
{
	EV_SET(&changes[0], IDENT + 1, EVFILT_USER, EV_DELETE, 0, 0, token(9));
	EV_SET(&changes[1], IDENT, EVFILT_USER, 0, NOTE_TRIGGER, 0, token(1));
}

static void
failing_change_stops(void)
{
	struct kevent changes[2];

	failing_changes(changes);
	CHECK_EQ(user_change(EV_ADD | EV_CLEAR, 0, token(1)), 0);
	CHECK_ERRNO(kevent(fact_now.kq, changes, 2, NULL, 0, NULL), ENOENT);
	CHECK(fact_is_quiet());
}

static void
failing_change_is_an_event(void)
{
	struct kevent changes[2];
	struct kevent events[4];

	failing_changes(changes);
	CHECK_EQ(user_change(EV_ADD | EV_CLEAR, 0, token(1)), 0);
	CHECK_EQ(kevent(fact_now.kq, changes, 2, events, 4, NULL), 1);
	CHECK((events[0].flags & EV_ERROR) != 0);
	CHECK_EQ(events[0].data, ENOENT);
	CHECK_EQ(events[0].ident, IDENT + 1);
	CHECK(events[0].udata == token(9));
	CHECK(user_tells(token(1)));
}

static void
receipt_is_an_event(void)
{
	struct kevent change;
	struct kevent event;

	EV_SET(&change, IDENT, EVFILT_USER, EV_ADD | EV_CLEAR | EV_RECEIPT, 0,
	    0, token(1));
	CHECK_EQ(kevent(fact_now.kq, &change, 1, &event, 1, NULL), 1);
	CHECK((event.flags & EV_ERROR) != 0);
	CHECK_EQ(event.data, 0);
	CHECK_EQ(user_change(0, NOTE_TRIGGER, token(1)), 0);
	CHECK(user_tells(token(1)));
}

static void
unknown_knotes(void)
{
	CHECK_ERRNO(user_change(EV_DELETE, 0, NULL), ENOENT);
	CHECK_ERRNO(user_change(EV_ENABLE, 0, NULL), ENOENT);
	CHECK_ERRNO(user_change(0, NOTE_TRIGGER, NULL), ENOENT);
	CHECK_ERRNO(fact_change(1, EVFILT_LIO, EV_DELETE, 0, 0, NULL), ENOENT);
	CHECK_ERRNO(fact_change(1, EVFILT_AIO, EV_DELETE, 0, 0, NULL), ENOENT);
}

/* Those that the kernel uses itself, EV_EOF among them. */
static void
system_flags_are_dropped(void)
{
	struct kevent event;

	CHECK_EQ(user_change(EV_ADD | EV_CLEAR | 0xf000, 0, token(1)), 0);
	CHECK_EQ(user_change(0xf000, NOTE_TRIGGER, token(1)), 0);
	CHECK(fact_event(&event));
	CHECK_EQ(event.flags, EV_CLEAR);
	CHECK_ERRNO(
	    fact_change(1, EVFILT_AIO, EV_ADD | 0xf000, 0, 0, NULL), EPERM);
	CHECK_ERRNO(
	    fact_change(1, EVFILT_LIO, EV_ADD | 0xf000, 0, 0, NULL), EPERM);
}

static void
no_kqueue(void)
{
	struct kevent event;

	CHECK_ERRNO(kevent(-1, NULL, 0, &event, 1, NULL), EBADF);
}

struct disturber {
	pthread_t victim;
	int is_done;
};

static void
disturb(int signal)
{
	(void)signal;
}

/* Signal the thread in kevent(2) until it has noticed. */
static void *
disturber_loop(void *arg)
{
	struct disturber *disturber = arg;

	while (!__atomic_load_n(&disturber->is_done, __ATOMIC_RELAXED)) {
		(void)pthread_kill(disturber->victim, SIGUSR1);
		(void)sched_yield();
	}
	return (NULL);
}

static void
signal_interrupts(void)
{
	struct sigaction action = {
		.sa_handler = disturb,
		.sa_flags = SA_RESTART,
	};
	struct disturber disturber = { .victim = pthread_self() };
	struct timespec limit = fact_limit();
	struct kevent event;
	pthread_t thread;
	int count;
	int error;

	CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
	CHECK_EQ(pthread_create(&thread, NULL, disturber_loop, &disturber), 0);
	count = kevent(fact_now.kq, NULL, 0, &event, 1, &limit);
	error = errno;
	__atomic_store_n(&disturber.is_done, 1, __ATOMIC_RELAXED);
	(void)pthread_join(thread, NULL);
	CHECK_EQ(count, -1);
	CHECK_EQ(error, EINTR);
}

/* Two jobs of one aiocb in flight: the second one has no knote. */
static void
aiocb_twice(void)
{
	static struct aiocb cb;
	int ends[2];

	fact_pair(ends);
	fact_prepare(&cb, ends[0], bytes, 1, EV_ONESHOT);
	CHECK_EQ(aio_read(&cb), 0);
	CHECK_EQ(aio_read(&cb), 0);
	CHECK_EQ(write(ends[1], "x", 1), 1);
	CHECK(fact_tells(&cb, EV_ONESHOT, 0));
	CHECK_EQ(write(ends[1], "y", 1), 1);
	CHECK_EQ(aio_return(&cb), 1);
	CHECK_EQ(fact_settle(&cb), 0);
	CHECK(fact_is_quiet());
	CHECK_EQ(aio_return(&cb), 1);
}

/* The same, level-triggered: the event ends with the first job. */
static void
aiocb_twice_level(void)
{
	static struct aiocb cb;
	int ends[2];

	fact_pair(ends);
	fact_prepare(&cb, ends[0], bytes, 1, 0);
	CHECK_EQ(aio_read(&cb), 0);
	CHECK_EQ(aio_read(&cb), 0);
	CHECK_EQ(write(ends[1], "x", 1), 1);
	CHECK(fact_tells(&cb, 0, 0));
	CHECK(fact_tells(&cb, 0, 0));
	CHECK_EQ(aio_return(&cb), 1);
	CHECK(fact_is_quiet());
	CHECK_EQ(write(ends[1], "y", 1), 1);
	CHECK_EQ(fact_settle(&cb), 0);
	CHECK(fact_is_quiet());
	CHECK_EQ(aio_return(&cb), 1);
}

static void
other_kqueue_other_knote(void)
{
	int kq = kqueue();
	struct kevent change;
	struct kevent event;
	struct timespec none = { 0 };

	CHECK(fact_keep(kq) >= 0);
	EV_SET(&change, IDENT, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, token(2));
	CHECK_EQ(kevent(kq, &change, 1, NULL, 0, NULL), 0);
	CHECK_EQ(user_change(EV_ADD | EV_CLEAR, 0, token(1)), 0);
	CHECK_EQ(user_change(0, NOTE_TRIGGER, token(1)), 0);
	CHECK(user_tells(token(1)));
	CHECK_EQ(kevent(kq, NULL, 0, &event, 1, &none), 0);
}

static void
events_are_fifo(void)
{
	struct kevent events[4];
	struct timespec limit = fact_limit();

	for (uintptr_t i = 1; i <= 4; i++) {
		CHECK_EQ(
		    fact_change(i, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, NULL),
		    0);
	}
	for (uintptr_t i = 4; i >= 1; i--) {
		CHECK_EQ(
		    fact_change(i, EVFILT_USER, 0, NOTE_TRIGGER, 0, NULL), 0);
	}
	CHECK_EQ(kevent(fact_now.kq, NULL, 0, events, 4, &limit), 4);
	for (uintptr_t i = 0; i < 4; i++) {
		CHECK_EQ(events[i].ident, 4 - i);
	}
}

static const struct fact facts[] = {
	{ "2.2 an aiocb submitted twice in flight: both run, one event",
	    aiocb_twice },
	{ "2.2 the event of such an aiocb ends with the first job",
	    aiocb_twice_level },
	{ "2.2 knotes of two kqueues are two", other_kqueue_other_knote },
	{ "0 kqueue: NOTE_TRIGGER replaces udata", trigger_replaces_udata },
	{ "0 kqueue: EV_DISABLE and EV_ENABLE replace udata",
	    enable_replaces_udata },
	{ "2.2 EV_ADD of a known knote replaces udata", add_replaces_udata },
	{ "0 kqueue: EV_ADD of a known knote keeps EV_CLEAR", add_keeps_clear },
	{ "0 kqueue: EV_ADD of a known knote adds no ONESHOT, no DISPATCH",
	    add_keeps_level },
	{ "0 kqueue: EV_ADD of a known knote keeps EV_ONESHOT",
	    add_keeps_oneshot },
	{ "0 kqueue: EV_ADD of a known knote does not enable it",
	    add_keeps_disabled },
	{ "0 kqueue: NOTE_TRIGGER in the EV_ADD that creates is ignored",
	    trigger_when_adding },
	{ "0 kqueue: NOTE_TRIGGER with EV_CLEAR in one change is lost",
	    trigger_with_clear },
	{ "0 kqueue: triggers coalesce", triggers_coalesce },
	{ "0 kqueue: without EV_CLEAR a triggered event repeats",
	    level_user_repeats },
	{ "0 kqueue: EV_DISPATCH disables: EV_ENABLE brings the next trigger",
	    dispatch_disables },
	{ "0 kqueue: events that repeat take turns", level_takes_turns },
	{ "0 kqueue: without an event list a failing change stops the rest",
	    failing_change_stops },
	{ "0 kqueue: with one it is an EV_ERROR event and the rest is applied",
	    failing_change_is_an_event },
	{ "0 kqueue: EV_RECEIPT answers with EV_ERROR and data 0",
	    receipt_is_an_event },
	{ "0 kqueue: a change of an unknown knote is ENOENT", unknown_knotes },
	{ "0 kqueue: flags of the system in a change are dropped",
	    system_flags_are_dropped },
	{ "0 kqueue: kevent of no descriptor is EBADF", no_kqueue },
	{ "0 kqueue: kevent returns EINTR in spite of SA_RESTART",
	    signal_interrupts },
	{ "2.6 events come in the order in which they happened",
	    events_are_fifo },
};

int
main(void)
{
	return (fact_main(facts, FACT_COUNT(facts)));
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libuv's wakes: a descriptor that becomes readable, a timer, a thread that
 * wakes the loop.  libuv's timers count milliseconds, so it waits one each time
 * where others wait 0.05 to 1.1; what it is late by begins after that.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "apart.h"
#include "histogram.h"
#include "peer.h"
#include "uv_peer.h"

#define TIMER_MS 1

struct wake {
	uv_loop_t loop;
	uv_poll_t poll;
	uv_timer_t timer;
	uv_async_t async;
	struct wake_arguments arguments;
	struct histogram histogram;
	struct apart apart;
	uint64_t due_ns;
	int fd;
	atomic_uint_fast64_t sent_ns; /* 0: has arrived */
	atomic_bool over;
};

static struct wake wake;

void
uv_must(int error, const char *what)
{
	if (error != 0) {
		peer_fail("uv", what, -error);
	}
}

/* Acquire and release: sender and loop take turns. */
static void
arrive(void)
{
	uint64_t sent =
	    atomic_load_explicit(&wake.sent_ns, memory_order_acquire);

	if (sent != 0) {
		uint64_t now_ns = peer_now_ns();

		if (apart_counts(&wake.apart)) {
			histogram_record(&wake.histogram, now_ns - sent);
		}
		atomic_store_explicit(&wake.sent_ns, 0, memory_order_release);
	}
}

static void
on_readable(uv_poll_t *poll, int status, int events)
{
	uint64_t value;

	(void)poll;
	(void)events;
	uv_must(status, "poll");
	if (read(wake.fd, &value, sizeof(value)) != sizeof(value)) {
		peer_fail("uv", "eventfd: read", errno);
	}
	arrive();
}

static void
on_async(uv_async_t *async)
{
	arrive();
	if (atomic_load(&wake.over)) {
		uv_stop(async->loop);
	}
}

static void
on_timer(uv_timer_t *timer)
{
	uint64_t now_ns = peer_now_ns();

	histogram_record(
	    &wake.histogram, now_ns > wake.due_ns ? now_ns - wake.due_ns : 0);
	if (wake.histogram.count == wake.arguments.samples) {
		uv_stop(timer->loop);
		return;
	}
	uv_update_time(timer->loop);
	wake.due_ns = peer_now_ns() + TIMER_MS * UINT64_C(1000000);
	uv_must(uv_timer_start(timer, on_timer, TIMER_MS, 0), "uv_timer_start");
}

static void *
loop_main(void *context)
{
	(void)context;
	if (wake.arguments.pin) {
		peer_pin(0);
	}
	uv_run(&wake.loop, UV_RUN_DEFAULT);
	return (NULL);
}

/* A pause, or more until what was sent last has arrived. */
static void
pause_until_arrived(void)
{
	apart_move(&wake.apart);
	do {
		peer_pause_ns(PEER_PAUSE_NS);
	} while (
	    atomic_load_explicit(&wake.sent_ns, memory_order_acquire) != 0);
}

static void
feed(bool by_descriptor)
{
	uint64_t one = 1;

	apart_init(&wake.apart, wake.arguments.pin);
	for (;;) {
		pause_until_arrived();
		if (wake.histogram.count == wake.arguments.samples) {
			break;
		}
		atomic_store_explicit(
		    &wake.sent_ns, peer_now_ns(), memory_order_release);
		if (!by_descriptor) {
			uv_must(uv_async_send(&wake.async), "uv_async_send");
		} else if (write(wake.fd, &one, sizeof(one)) < 0) {
			peer_fail("uv", "eventfd: write", errno);
		}
	}
}

int
uv_wake(int argc, char **argv)
{
	pthread_t thread;

	wake.arguments = wake_parse("uv", argc, argv);
	const char *bench = wake.arguments.bench;
	bool timer = strcmp(bench, "timer") == 0;
	bool eventfd_is_it = strcmp(bench, "eventfd") == 0;
	bool idle = strcmp(bench, "idle") == 0;
	if (uv_memory(&wake.arguments)) {
		return (0);
	}
	if (!timer && !eventfd_is_it && !idle &&
	    strcmp(bench, "outside") != 0) {
		peer_refuse("uv", "--bench",
		    "must be eventfd, timer, outside, idle, "
		    "parked, parked_timer, flight or executor");
	}
	histogram_init(&wake.histogram);
	uv_must(uv_loop_init(&wake.loop), "uv_loop_init");
	uv_must(
	    uv_async_init(&wake.loop, &wake.async, on_async), "uv_async_init");
	wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	uv_must(uv_poll_init(&wake.loop, &wake.poll, wake.fd), "uv_poll_init");
	uv_must(uv_poll_start(&wake.poll, UV_READABLE, on_readable),
	    "uv_poll_start");
	uv_must(uv_timer_init(&wake.loop, &wake.timer), "uv_timer_init");
	if (timer) {
		wake.due_ns = peer_now_ns() + TIMER_MS * UINT64_C(1000000);
		uv_timer_start(&wake.timer, on_timer, TIMER_MS, 0);
	}
	if (idle) {
		uv_timer_start(&wake.timer, on_timer, 3600000, 0);
	}
	if (pthread_create(&thread, NULL, loop_main, NULL) != 0) {
		peer_fail("uv", "pthread_create", EAGAIN);
	}
	if (idle) {
		wake_report_idle("uv", uv_version_string(), &wake.arguments);
	} else if (!timer) {
		feed(eventfd_is_it);
	}
	if (!timer) {
		atomic_store(&wake.over, true);
		uv_must(uv_async_send(&wake.async), "uv_async_send");
	}
	pthread_join(thread, NULL);
	if (!idle) {
		wake_report_latency("uv", uv_version_string(), &wake.arguments,
		    &wake.histogram);
	}
	return (0);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From an event in the kernel to the task that waits for it: an eventfd that a
 * plain thread writes, and a timer.  Between two events there is time for the
 * workers to go to sleep, unless other tasks keep them busy.  The raw forms
 * are a plain thread's, the limit on this machine.
 */
#include "wake.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "../executor/cpus.h"
#include "apart.h"

/* Between two events; the workers fall asleep within it. */
#define PAUSE_NS 50000

/* A poll of a busy task, and how many each worker gets. */
#define BUSY_POLL_NS    5000
#define BUSY_PER_WORKER 4

/* ---- tasks that keep the workers busy ---- */

struct busy {
	struct filch_task task;
	atomic_bool *stop;
};

static enum filch_poll
busy_poll(struct filch_task *task)
{
	struct busy *busy = filch_container_of(task, struct busy, task);
	uint64_t until = filch_now() + BUSY_POLL_NS;

	while (filch_now() < until) {
		continue;
	}
	/* Relaxed: it carries nothing but itself. */
	return (atomic_load_explicit(busy->stop, memory_order_relaxed)
		? FILCH_READY
		: filch_task_yield(task));
}

static struct busy *
busy_start(struct filch_executor *executor, unsigned count, atomic_bool *stop)
{
	struct busy *all = wake_calloc(count, sizeof(*all));

	for (unsigned i = 0; i < count; i++) {
		filch_task_init(&all[i].task, busy_poll, NULL);
		all[i].stop = stop;
		wake_must(filch_executor_spawn_joinable(executor, &all[i].task),
		    "spawn");
	}
	return (all);
}

static void
busy_stop(struct busy *all, unsigned count, atomic_bool *stop)
{
	atomic_store(stop, true);
	for (unsigned i = 0; i < count; i++) {
		wake_must(filch_task_join(&all[i].task), "join");
	}
	free(all);
}

/* ---- eventfd ---- */

/* Waits for one event after another; sent_ns says when the latest was sent. */
struct receiver {
	struct filch_task task;
	struct filch_op op;
	struct filch_file file;
	uint64_t buffer;
	bool in_flight;
	unsigned samples;
	struct apart apart;
	_Alignas(64) atomic_uint_fast64_t sent_ns;
	atomic_uint taken;
	struct histogram histogram;
};

static void
receiver_take(struct receiver *receiver)
{
	uint64_t now = filch_now();

	/* Acquire and release: sender and receiver take turns. */
	uint64_t sent =
	    atomic_load_explicit(&receiver->sent_ns, memory_order_acquire);

	if (apart_counts(&receiver->apart)) {
		histogram_record(&receiver->histogram, now - sent);
	}
	atomic_fetch_add_explicit(&receiver->taken, 1, memory_order_release);
}

static enum filch_poll
receiver_poll(struct filch_task *task)
{
	struct receiver *receiver =
	    filch_container_of(task, struct receiver, task);
	int64_t got;

	for (;;) {
		if (!receiver->in_flight) {
			filch_op_init_read(&receiver->op, &receiver->file,
			    &receiver->buffer, sizeof(receiver->buffer),
			    FILCH_OFFSET_CURRENT);
			receiver->in_flight = true;
		}
		if (filch_op_poll(&receiver->op, task, &got) == FILCH_PENDING) {
			return (FILCH_PENDING);
		}
		receiver->in_flight = false;
		wake_must((int)got, "read of an eventfd");
		receiver_take(receiver);
		if (receiver->histogram.count == receiver->samples) {
			return (FILCH_READY);
		}
	}
}

static void
receiver_init(struct receiver *receiver, const struct wake_options *options)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	wake_must(fd < 0 ? -errno : 0, "eventfd");
	wake_must(filch_file_init(&receiver->file, fd), "filch_file_init");
	receiver->in_flight = false;
	receiver->samples = options->samples;
	apart_init(&receiver->apart, options->pin);
	atomic_init(&receiver->sent_ns, 0);
	atomic_init(&receiver->taken, 0);
	histogram_init(&receiver->histogram);
}

/* Send one event after another, each when the one before has arrived. */
static void
receiver_feed(struct receiver *receiver)
{
	uint64_t one = 1;

	for (unsigned i = 0;; i++) {
		apart_move(&receiver->apart);
		do {
			wake_pause_ns(PAUSE_NS);
			/* Acquire pairs with the receiver's addition. */
		} while (atomic_load_explicit(
			     &receiver->taken, memory_order_acquire) != i);
		if (receiver->histogram.count == receiver->samples) {
			break;
		}
		/* Release: the receiver loads it after its read. */
		atomic_store_explicit(
		    &receiver->sent_ns, filch_now(), memory_order_release);
		wake_must(write(receiver->file.fd, &one, sizeof(one)) < 0
			? -errno
			: 0,
		    "write to an eventfd");
	}
	apart_fini(&receiver->apart);
}

static void
eventfd_measure(const struct wake_options *options, struct wake_report *report,
    unsigned busy_count)
{
	static struct receiver receiver;
	atomic_bool stop = false;
	struct filch_executor *executor = wake_executor(options, report);
	struct busy *busy = busy_start(executor, busy_count, &stop);

	receiver_init(&receiver, options);
	filch_task_init(&receiver.task, receiver_poll, NULL);
	wake_must(
	    filch_executor_spawn_joinable(executor, &receiver.task), "spawn");
	receiver_feed(&receiver);
	wake_must(filch_task_join(&receiver.task), "join");
	busy_stop(busy, busy_count, &stop);
	filch_executor_destroy(executor);
	close(receiver.file.fd);
	wake_figures_latency(report, &receiver.histogram);
}

void
wake_eventfd(const struct wake_options *options, struct wake_report *report)
{
	eventfd_measure(options, report, 0);
}

void
wake_eventfd_busy(
    const struct wake_options *options, struct wake_report *report)
{
	eventfd_measure(options, report, options->workers * BUSY_PER_WORKER);
}

static void *
raw_receive(void *arg)
{
	struct receiver *receiver = arg;

	if (receiver->apart.matters) {
		filch__cpus_pin(pthread_self(), 0);
	}
	while (receiver->histogram.count < receiver->samples) {
		wake_must(read(receiver->file.fd, &receiver->buffer,
			      sizeof(receiver->buffer)) < 0
			? -errno
			: 0,
		    "read of an eventfd");
		receiver_take(receiver);
	}
	return (NULL);
}

void
wake_eventfd_raw(const struct wake_options *options, struct wake_report *report)
{
	static struct receiver receiver;
	pthread_t thread;

	receiver_init(&receiver, options);
	wake_must(-pthread_create(&thread, NULL, raw_receive, &receiver),
	    "pthread_create");
	receiver_feed(&receiver);
	pthread_join(thread, NULL);
	close(receiver.file.fd);
	wake_figures_latency(report, &receiver.histogram);
}

/* ---- timers ---- */

/* Sleeps again and again; records by how much it comes late. */
struct sleeper {
	struct filch_task task;
	struct filch_sleep sleep;
	uint64_t deadline_ns; /* 0: not asleep */
	uint32_t random;
	unsigned samples;
	struct histogram histogram;
};

/* Between 0.05 and 1.1 ms from now, so that it meets no tick of the kernel. */
static uint64_t
sleeper_deadline(struct sleeper *sleeper)
{
	/* Knuth's multiplicative generator; its low bits are poor. */
	sleeper->random = sleeper->random * 1664525U + 1013904223U;
	return (filch_now() + PAUSE_NS + (sleeper->random >> 12));
}

static enum filch_poll
sleeper_poll(struct filch_task *task)
{
	struct sleeper *sleeper =
	    filch_container_of(task, struct sleeper, task);
	int result = 0;

	while (sleeper->histogram.count < sleeper->samples) {
		if (sleeper->deadline_ns == 0) {
			sleeper->deadline_ns = sleeper_deadline(sleeper);
			filch_sleep_init(&sleeper->sleep, sleeper->deadline_ns);
		}
		if (filch_sleep_poll(&sleeper->sleep, task, &result) ==
		    FILCH_PENDING) {
			return (FILCH_PENDING);
		}
		wake_must(result, "sleep");
		histogram_record(
		    &sleeper->histogram, filch_now() - sleeper->deadline_ns);
		sleeper->deadline_ns = 0;
	}
	return (FILCH_READY);
}

static void
sleeper_init(struct sleeper *sleeper, unsigned samples)
{
	sleeper->deadline_ns = 0;
	sleeper->random = 1;
	sleeper->samples = samples;
	histogram_init(&sleeper->histogram);
}

static void
timer_measure(const struct wake_options *options, struct wake_report *report,
    unsigned busy_count)
{
	static struct sleeper sleeper;
	atomic_bool stop = false;
	struct filch_executor *executor = wake_executor(options, report);
	struct busy *busy = busy_start(executor, busy_count, &stop);

	sleeper_init(&sleeper, options->samples);
	filch_task_init(&sleeper.task, sleeper_poll, NULL);
	wake_must(filch_executor_block_on(executor, &sleeper.task), "spawn");
	busy_stop(busy, busy_count, &stop);
	filch_executor_destroy(executor);
	wake_figures_latency(report, &sleeper.histogram);
}

void
wake_timer(const struct wake_options *options, struct wake_report *report)
{
	timer_measure(options, report, 0);
}

void
wake_timer_busy(const struct wake_options *options, struct wake_report *report)
{
	timer_measure(options, report, options->workers * BUSY_PER_WORKER);
}

/* On a thread of its own, so that what is set ends with it. */
struct raw_sleeper {
	struct sleeper sleeper;
	bool pin;
};

static void *
raw_sleep(void *arg)
{
	struct raw_sleeper *raw = arg;
	struct sleeper *sleeper = &raw->sleeper;

	if (raw->pin) {
		filch__cpus_pin(pthread_self(), 0);
	}
	/* As exact as the kernel can; the default is 50 us late. */
	wake_must(prctl(PR_SET_TIMERSLACK, 1UL) < 0 ? -errno : 0, "prctl");
	while (sleeper->histogram.count < sleeper->samples) {
		uint64_t deadline = sleeper_deadline(sleeper);
		struct timespec until = {
			.tv_sec = (time_t)(deadline / 1000000000),
			.tv_nsec = (long)(deadline % 1000000000),
		};

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
		histogram_record(&sleeper->histogram, filch_now() - deadline);
	}
	return (NULL);
}

void
wake_timer_raw(const struct wake_options *options, struct wake_report *report)
{
	static struct raw_sleeper raw;
	pthread_t thread;

	sleeper_init(&raw.sleeper, options->samples);
	raw.pin = options->pin;
	wake_must(
	    -pthread_create(&thread, NULL, raw_sleep, &raw), "pthread_create");
	pthread_join(thread, NULL);
	wake_figures_latency(report, &raw.sleeper.histogram);
}

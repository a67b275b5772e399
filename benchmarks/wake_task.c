/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a wake to the poll of the task it wakes:
 *   outside  a plain thread wakes it, the workers sleep;
 *   task     another task does, and then waits itself;
 *   across   another task does, and then goes on computing, so that only
 *            another worker can run the one woken.
 */
#include "wake.h"

#include <math.h>
#include <stdatomic.h>

#include "apart.h"

#define PAUSE_NS 50000

/* Takes note of each wake, and tells waker, if there is one. */
struct woken {
	struct filch_task task;
	struct filch_task *waker;
	unsigned samples;
	struct apart apart;
	_Alignas(64) atomic_uint_fast64_t sent_ns; /* 0: nothing sent */
	atomic_uint taken;
	struct histogram histogram;
};

static enum filch_poll
woken_poll(struct filch_task *task)
{
	struct woken *woken = filch_container_of(task, struct woken, task);
	uint64_t now = filch_now();
	/* Acquire and release: both sides take turns. */
	uint64_t sent =
	    atomic_exchange_explicit(&woken->sent_ns, 0, memory_order_acq_rel);

	if (sent == 0) {
		return (FILCH_PENDING);
	}
	if (apart_counts(&woken->apart)) {
		histogram_record(&woken->histogram, now - sent);
	}
	bool last = woken->histogram.count == woken->samples;
	atomic_fetch_add_explicit(&woken->taken, 1, memory_order_release);
	if (woken->waker != NULL) {
		filch_task_wake(woken->waker);
	}
	return (last ? FILCH_READY : FILCH_PENDING);
}

/* The caller's join handle keeps it alive until it has had all samples. */
static void
woken_start(struct woken *woken, struct filch_executor *executor,
    struct filch_task *waker, const struct wake_options *options)
{
	woken->waker = waker;
	woken->samples = options->samples;
	/* A task that wakes is where its worker is. */
	apart_init(&woken->apart, options->pin && waker == NULL);
	atomic_init(&woken->sent_ns, 0);
	atomic_init(&woken->taken, 0);
	histogram_init(&woken->histogram);
	filch_task_init(&woken->task, woken_poll, NULL);
	wake_must(
	    filch_executor_spawn_joinable(executor, &woken->task), "spawn");
}

static unsigned
woken_taken(const struct woken *woken)
{
	/* Acquire pairs with the addition in woken_poll(). */
	return (atomic_load_explicit(&woken->taken, memory_order_acquire));
}

static void
woken_send(struct woken *woken)
{
	/* Release pairs with the exchange in woken_poll(). */
	atomic_store_explicit(
	    &woken->sent_ns, filch_now(), memory_order_release);
	filch_task_wake(&woken->task);
}

void
wake_outside(const struct wake_options *options, struct wake_report *report)
{
	static struct woken woken;
	struct filch_executor *executor = wake_executor(options, report);

	woken_start(&woken, executor, NULL, options);
	for (unsigned i = 0;; i++) {
		apart_move(&woken.apart);
		do {
			wake_pause_ns(PAUSE_NS);
		} while (woken_taken(&woken) != i);
		if (woken.histogram.count == options->samples) {
			break;
		}
		woken_send(&woken);
	}
	apart_fini(&woken.apart);
	wake_must(filch_task_join(&woken.task), "join");
	filch_executor_destroy(executor);
	wake_figures_latency(report, &woken.histogram);
}

/* The task that wakes: sleeps, sends, and waits for the other's answer. */
struct sender {
	struct filch_task task;
	struct filch_sleep sleep;
	struct woken *target;
	unsigned samples;
	unsigned sent;
	bool asleep;
	bool computes;
};

/* Compute until the other worker has run the target. */
static void
sender_compute(const struct sender *sender)
{
	while (woken_taken(sender->target) != sender->sent) {
		continue;
	}
}

static enum filch_poll
sender_poll(struct filch_task *task)
{
	struct sender *sender = filch_container_of(task, struct sender, task);
	int result = 0;

	if (woken_taken(sender->target) != sender->sent) {
		return (FILCH_PENDING);
	}
	if (sender->sent == sender->samples) {
		return (FILCH_READY);
	}
	if (!sender->asleep) {
		filch_sleep_init(&sender->sleep, filch_now() + PAUSE_NS);
		sender->asleep = true;
	}
	if (filch_sleep_poll(&sender->sleep, task, &result) == FILCH_PENDING) {
		return (FILCH_PENDING);
	}
	wake_must(result, "sleep");
	sender->asleep = false;
	sender->sent++;
	woken_send(sender->target);
	if (sender->computes) {
		sender_compute(sender);
	}
	return (FILCH_PENDING);
}

static void
task_measure(const struct wake_options *options, struct wake_report *report,
    bool computes)
{
	static struct woken woken;
	static struct sender sender;
	struct filch_executor *executor = wake_executor(options, report);

	sender = (struct sender){
		.target = &woken,
		.samples = options->samples,
		.computes = computes,
	};
	filch_task_init(&sender.task, sender_poll, NULL);
	woken_start(&woken, executor, &sender.task, options);
	wake_must(
	    filch_executor_spawn_joinable(executor, &sender.task), "spawn");
	wake_must(filch_task_join(&woken.task), "join");
	wake_must(filch_task_join(&sender.task), "join");
	filch_executor_destroy(executor);
	wake_figures_latency(report, &woken.histogram);
}

void
wake_task(const struct wake_options *options, struct wake_report *report)
{
	task_measure(options, report, false);
}

void
wake_across(const struct wake_options *options, struct wake_report *report)
{
	if (options->workers < 2) {
		wake_figure(report, "p50_ns", NAN);
		return;
	}
	task_measure(options, report, true);
}

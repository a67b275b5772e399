/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Known faults (known.h) of sources: 1, 2, 3, 5 and 7.
 */
#include "known.h"

#include <malloc.h>

/* ---- sources ---- */

static struct filch_registrar registered;

static int
source_register(void *source, const struct filch_registrar *registrar)
{
	(void)source;
	registered = *registrar;
	return (0);
}

static const struct filch_aio_source_vtable source_vtable = { source_register,
	NULL };

static char the_source;

static struct filch_aio *
aio_new(struct filch_executor *executor)
{
	struct filch_aio *aio = NULL;

	FAULT_EQUAL(filch_aio_new_for_lio(
			executor, &source_vtable, &the_source, 2, &aio),
	    0);
	return (aio);
}

/* A task that waits for an Aio. */
struct watcher {
	struct filch_task task;
	struct filch_aio *aio;
	struct filch_aio_event event;
	int status;
	unsigned step;
	unsigned left;
};

static enum filch_poll
watcher_poll(struct filch_task *task)
{
	struct watcher *self = filch_container_of(task, struct watcher, task);

	return (
	    filch_aio_poll_ready(self->aio, task, &self->event, &self->status));
}

static void
watch(struct filch_executor *executor, struct watcher *self,
    struct filch_aio *aio, filch_task_poll_fn poll_task)
{
	memset(self, 0, sizeof(*self));
	self->aio = aio;
	self->status = 1;
	filch_task_init(&self->task, poll_task, NULL);
	FAULT_EQUAL(filch_executor_spawn_joinable(executor, &self->task), 0);
}

/* ---- 1: tokio's Aio never deregisters ---- */

static void
fault_1_an_aio_leaves_nothing_behind(const struct fault_case *one, unsigned at)
{
	struct filch_executor *executor = executor_new(one->driver, 1);
	struct filch_executor_stats stats;
	size_t used = 0;
	unsigned i;

	(void)at;
	for (i = 0; i < 10100; i++) {
		struct filch_aio *aio = aio_new(executor);

		if (i % 2 == 0) {
			filch_aio_destroy(aio);
		} else {
			FAULT_CHECK(filch_aio_into_inner(aio) == &the_source);
		}
		FAULT_EQUAL(filch_registrar_notify(&registered, 0), -ESTALE);
		if (i == 100) {
			used = mallinfo2().uordblks;
		}
	}
	FAULT_EQUAL(mallinfo2().uordblks, used);
	filch_executor_get_stats(executor, &stats);
	FAULT_EQUAL(stats.registrations, 0);
	filch_executor_destroy(executor);
}

/* ---- 2: clearing erases tokio's shutdown bit ---- */

static enum filch_poll
clear_after_shutdown_poll(struct filch_task *task)
{
	struct watcher *self = filch_container_of(task, struct watcher, task);

	if (self->step == 0) {
		if (watcher_poll(task) == FILCH_PENDING) {
			return (FILCH_PENDING);
		}
		FAULT_EQUAL(self->status, 0);
		__atomic_store_n(&self->step, 1, __ATOMIC_RELEASE);
	}
	if (self->step == 1) {
		if (!filch_task_is_cancelled(task)) {
			return (filch_task_yield(task));
		}
		self->step = 2;
	}
	for (; self->step < 5; self->step++) {
		filch_aio_clear_ready(self->aio, self->event);
		if (watcher_poll(task) == FILCH_PENDING) {
			return (FILCH_PENDING);
		}
		FAULT_EQUAL(self->status, -ESHUTDOWN);
	}
	return (FILCH_READY);
}

static void
fault_2_clearing_keeps_the_shutdown(const struct fault_case *one, unsigned at)
{
	struct filch_executor *executor = executor_new(one->driver, 2);
	struct filch_aio *aio = aio_new(executor);
	struct watcher watcher;

	(void)at;
	FAULT_EQUAL(filch_registrar_notify(&registered, 0), 0);
	watch(executor, &watcher, aio, clear_after_shutdown_poll);
	while (__atomic_load_n(&watcher.step, __ATOMIC_ACQUIRE) == 0) {
		sched_yield();
	}
	FAULT_EQUAL(filch_executor_shutdown(
			executor, FILCH_SHUTDOWN_IMMEDIATE, FILCH_NEVER),
	    0);
	FAULT_EQUAL(filch_task_join(&watcher.task), 0);
	FAULT_EQUAL(watcher.step, 5);
	filch_aio_destroy(aio);
	filch_executor_destroy(executor);
}

/* ---- 3: tokio compares 8 bits of a tick ---- */

/* left completions are reported and cleared, then the first event is. */
static enum filch_poll
old_event_poll(struct filch_task *task)
{
	struct watcher *self = filch_container_of(task, struct watcher, task);
	struct filch_aio_event event;
	int status = 1;

	for (; self->left > 0; self->left--) {
		if (self->step == 0) {
			FAULT_EQUAL(filch_registrar_notify(&registered, 0), 0);
			self->step = 1;
		}
		if (filch_aio_poll_ready(self->aio, task, &event, &status) ==
		    FILCH_PENDING) {
			return (FILCH_PENDING); /* the budget is used up */
		}
		FAULT_EQUAL(status, 0);
		if (self->status != 0) {
			self->event = event;
			self->status = 0;
		}
		filch_aio_clear_ready(self->aio, event);
		self->step = 0;
	}
	if (self->step == 0) {
		FAULT_EQUAL(filch_registrar_notify(&registered, 0), 0);
		filch_aio_clear_ready(self->aio, self->event);
		self->step = 1;
	}
	return (filch_aio_poll_ready(self->aio, task, &event, &status));
}

static void
fault_3_an_old_event_clears_nothing_fresh(
    const struct fault_case *one, unsigned at)
{
	static const unsigned distances[] = { 1, 255, 256, 257, 32768, 65536 };
	struct filch_executor *executor = executor_new(one->driver, 1);
	unsigned i;

	(void)at;
	for (i = 0; i < sizeof(distances) / sizeof(distances[0]); i++) {
		struct filch_aio *aio = aio_new(executor);
		struct watcher watcher;

		memset(&watcher, 0, sizeof(watcher));
		watcher.aio = aio;
		watcher.status = 1;
		watcher.left = distances[i];
		filch_task_init(&watcher.task, old_event_poll, NULL);
		FAULT_EQUAL(
		    filch_executor_block_on(executor, &watcher.task), 0);
		filch_aio_destroy(aio);
	}
	filch_executor_destroy(executor);
}

/* ---- 5: a level-triggered event makes the reactor spin ---- */

static void
fault_5_what_stays_ready_wakes_nobody(const struct fault_case *one, unsigned at)
{
	struct filch_executor *executor = executor_new(one->driver, 2);
	struct filch_aio *aio = aio_new(executor);
	struct watcher watcher;

	(void)at;
	watch(executor, &watcher, aio, watcher_poll);
	FAULT_EQUAL(filch_registrar_notify(&registered, 0), 0);
	FAULT_EQUAL(filch_task_join(&watcher.task), 0);
	wait_for_quiet(executor);
	/* it was ready all the time */
	watch(executor, &watcher, aio, watcher_poll);
	FAULT_EQUAL(filch_task_join(&watcher.task), 0);
	FAULT_EQUAL(watcher.status, 0);
	filch_aio_destroy(aio);
	filch_executor_destroy(executor);
}

/* ---- 7: two live batches with one list address ---- */

static void
fault_7_two_lists_at_one_address_both_fire(
    const struct fault_case *one, unsigned at)
{
	struct filch_executor *executor = executor_new(one->driver, 2);
	struct filch_registrar registrars[2];
	struct filch_aio *aios[2];
	struct watcher watchers[2];
	unsigned i;

	(void)at;
	for (i = 0; i < 2; i++) {
		aios[i] = aio_new(executor);
		registrars[i] = registered;
		FAULT_CHECK(filch_aio_source(aios[i]) == &the_source);
		watch(executor, &watchers[i], aios[i], watcher_poll);
	}
	for (i = 2; i-- > 0;) {
		FAULT_EQUAL(filch_registrar_notify(&registrars[i], 0), 0);
		FAULT_EQUAL(filch_task_join(&watchers[i].task), 0);
		FAULT_EQUAL(watchers[i].status, 0);
	}
	filch_aio_destroy(aios[0]);
	filch_aio_destroy(aios[1]);
	filch_executor_destroy(executor);
}

static const struct fault_case cases[] = {
	KNOWN(fault_1_an_aio_leaves_nothing_behind),
	KNOWN(fault_2_clearing_keeps_the_shutdown),
	KNOWN(fault_3_an_old_event_clears_nothing_fresh),
	KNOWN(fault_5_what_stays_ready_wakes_nobody),
	KNOWN(fault_7_two_lists_at_one_address_both_fire),
};

int
main(int argc, char **argv)
{
	return (
	    known_main(cases, sizeof(cases) / sizeof(cases[0]), argc, argv));
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Readiness and the end of the executor.
 *
 * The rows are named after the tests of tokio that they follow (io_async_fd,
 * io_driver, io_driver_drop, io_async_fd_memory_leak, rt_shutdown_err).  What
 * is a runtime dropped there is an immediate shutdown here.
 */
#include "source.h"

#define RACES 200

/* A task that polls an Aio. */
struct watcher {
	struct filch_task task;
	struct filch_aio *aio;
	struct filch_aio_event event;
	int status;
	bool is_idle;  /* do not look at the Aio yet */
	bool keeps;    /* the completion, that is: does not clear it */
	bool destroys; /* the Aio, once it is ready */
	filch_task_release_fn release;
	unsigned polls;
	sem_t polled; /* posted by every poll */
};

static enum filch_poll
watcher_poll(struct filch_task *task)
{
	struct watcher *watcher =
	    filch_container_of(task, struct watcher, task);
	enum filch_poll poll = FILCH_PENDING;

	watcher->polls++;
	if (!watcher->is_idle) {
		poll = filch_aio_poll_ready(
		    watcher->aio, task, &watcher->event, &watcher->status);
	}
	if (poll == FILCH_READY && watcher->destroys) {
		filch_aio_destroy(watcher->aio);
	} else if (poll == FILCH_READY && !watcher->keeps &&
	    watcher->status == 0) {
		filch_aio_clear_ready(watcher->aio, watcher->event);
	}
	(void)sem_post(&watcher->polled);
	return (poll);
}

static void
watcher_wait(struct watcher *watcher)
{
	while (sem_wait(&watcher->polled) < 0) {
		continue;
	}
}

/* Spawn the task; it was polled once when this returns. */
static int
watcher_start(struct contract *contract, struct watcher *watcher)
{
	int rc;

	(void)sem_init(&watcher->polled, 0, 0);
	watcher->polls = 0;
	watcher->status = 1;
	filch_task_init(&watcher->task, watcher_poll, watcher->release);
	rc = filch_executor_spawn_joinable(contract->executor, &watcher->task);
	if (rc == 0) {
		watcher_wait(watcher);
	}
	return (rc);
}

/* Wait for the end of the task; its status. */
static int
watcher_end(struct watcher *watcher)
{
	int rc = filch_task_join(&watcher->task);

	(void)sem_destroy(&watcher->polled);
	return (rc < 0 ? rc : watcher->status);
}

static void
watcher_release(struct filch_task *task)
{
	free(filch_container_of(task, struct watcher, task));
}

/*
 * One poll by a new task, and its status: 1 is pending.  Its waker stays with
 * the Aio, and its memory with the waker.
 */
static int
watch_once(struct contract *contract, struct filch_aio *aio)
{
	struct watcher *watcher = calloc(1, sizeof(*watcher));
	int status;

	if (watcher == NULL) {
		return (-ENOMEM);
	}
	watcher->aio = aio;
	watcher->keeps = true;
	watcher->release = watcher_release;
	if (watcher_start(contract, watcher) < 0) {
		free(watcher);
		return (-EIO);
	}
	status = watcher->status;
	filch_task_ref(&watcher->task);
	filch_task_cancel(&watcher->task);
	(void)watcher_end(watcher);
	filch_task_unref(&watcher->task);
	return (status);
}

static int
aio_make(
    struct contract *contract, struct source *source, struct filch_aio **aio)
{
	return (filch_aio_new_for_aio(
	    contract->executor, &source_vtable, source, aio));
}

static int
stop(struct contract *contract, uint64_t deadline_ns)
{
	return (filch_executor_shutdown(
	    contract->executor, FILCH_SHUTDOWN_IMMEDIATE, deadline_ns));
}

static const char *
wakes_currently_pending(struct contract *contract)
{
	struct source source;
	struct watcher watcher = { .keeps = false };

	CHECK_EQ(aio_make(contract, &source, &watcher.aio), 0);
	CHECK_EQ(watcher_start(contract, &watcher), 0);
	CHECK_EQ(watcher.status, 1);
	CHECK_EQ(stop(contract, FILCH_NEVER), 0);
	CHECK_EQ(watcher_end(&watcher), -ESHUTDOWN);
	filch_aio_destroy(watcher.aio);
	return (NULL);
}

static const char *
wakes_future_pending(struct contract *contract)
{
	struct source source;
	struct watcher watcher = { .is_idle = true };

	CHECK_EQ(aio_make(contract, &source, &watcher.aio), 0);
	CHECK_EQ(watcher_start(contract, &watcher), 0);
	/* the executor cannot end while the task waits for this thread */
	(void)stop(contract, 0);
	watcher.is_idle = false;
	filch_task_wake(&watcher.task);
	CHECK_EQ(watcher_end(&watcher), -ESHUTDOWN);
	filch_aio_destroy(watcher.aio);
	return (NULL);
}

/* Many sources and tasks, each polled before the end. */
static const char *
wakes_currently_pending_polls(struct contract *contract)
{
	static struct source sources[50];
	static struct watcher watchers[50];

	for (size_t i = 0; i < CONTRACT_COUNT(watchers); i++) {
		CHECK_EQ(aio_make(contract, &sources[i], &watchers[i].aio), 0);
		CHECK_EQ(watcher_start(contract, &watchers[i]), 0);
	}
	CHECK_EQ(stop(contract, FILCH_NEVER), 0);
	for (size_t i = 0; i < CONTRACT_COUNT(watchers); i++) {
		CHECK_EQ(watcher_end(&watchers[i]), -ESHUTDOWN);
		filch_aio_destroy(watchers[i].aio);
	}
	return (NULL);
}

/* A task that polls for the first time after the end was asked for. */
static const char *
wakes_poll(struct contract *contract)
{
	struct source source;
	struct watcher watcher = { .keeps = false };
	struct watcher idle = { .is_idle = true };

	CHECK_EQ(aio_make(contract, &source, &watcher.aio), 0);
	idle.aio = watcher.aio;
	CHECK_EQ(watcher_start(contract, &watcher), 0);
	CHECK_EQ(watcher_start(contract, &idle), 0);
	(void)stop(contract, 0);
	CHECK_EQ(watcher_end(&watcher), -ESHUTDOWN);
	/* and again, by another task: it is said for good */
	idle.is_idle = false;
	filch_task_wake(&idle.task);
	CHECK_EQ(watcher_end(&idle), -ESHUTDOWN);
	filch_aio_destroy(watcher.aio);
	return (NULL);
}

static void *
stop_main(void *arg)
{
	struct contract *contract = arg;

	(void)stop(contract, FILCH_NEVER);
	return (NULL);
}

/*
 * The first poll races the end.  A task that came too late was not taken.
 * Each round has an executor of its own.
 */
static const char *
wakes_race(struct contract *contract)
{
	for (unsigned i = 0; i < RACES; i++) {
		struct contract round = *contract;
		struct source source;
		struct watcher watcher = { .keeps = false };
		pthread_t thread;
		int rc;

		CHECK_EQ(filch_executor_create(NULL, &round.executor), 0);
		CHECK_EQ(aio_make(&round, &source, &watcher.aio), 0);
		CHECK_EQ(pthread_create(&thread, NULL, stop_main, &round), 0);
		rc = watcher_start(&round, &watcher);
		if (rc == 0) {
			CHECK_EQ(watcher_end(&watcher), -ESHUTDOWN);
		} else {
			CHECK_EQ(rc, -ESHUTDOWN);
		}
		(void)pthread_join(thread, NULL);
		filch_aio_destroy(watcher.aio);
		filch_executor_destroy(round.executor);
	}
	return (NULL);
}

/* What had completed is still told; then, and for good, the end. */
static const char *
then_clear_readiness(struct contract *contract)
{
	struct source source;
	struct watcher first = { .keeps = true };
	struct watcher second = { .is_idle = true };

	CHECK_EQ(aio_make(contract, &source, &first.aio), 0);
	second.aio = first.aio;
	CHECK_EQ(filch_registrar_notify(&source.registrar, 7), 0);
	CHECK_EQ(watcher_start(contract, &first), 0);
	CHECK_EQ(watcher_end(&first), 0);
	CHECK_EQ(first.event.result, 7);
	CHECK_EQ(watcher_start(contract, &second), 0);
	(void)stop(contract, 0);
	filch_aio_clear_ready(first.aio, first.event);
	second.is_idle = false;
	filch_task_wake(&second.task);
	CHECK_EQ(watcher_end(&second), -ESHUTDOWN);
	filch_aio_destroy(first.aio);
	return (NULL);
}

/* Only the task of the latest poll is woken; the other has to look again. */
static const char *
latest_waiter_is_woken(struct contract *contract)
{
	struct source source;
	struct watcher first = { .keeps = true };
	struct watcher second = { .keeps = true };

	CHECK_EQ(aio_make(contract, &source, &first.aio), 0);
	second.aio = first.aio;
	CHECK_EQ(watcher_start(contract, &first), 0);
	CHECK_EQ(watcher_start(contract, &second), 0);
	CHECK_EQ(filch_registrar_notify(&source.registrar, 1), 0);
	CHECK_EQ(watcher_end(&second), 0);
	/* one worker: if the first had been woken, it would have run by now */
	CHECK_EQ(watch_once(contract, first.aio), 0);
	CHECK_EQ(first.polls, 1);
	filch_task_wake(&first.task);
	CHECK_EQ(watcher_end(&first), 0);
	filch_aio_destroy(first.aio);
	return (NULL);
}

static const char *
reset(struct contract *contract)
{
	struct source source;
	struct watcher watcher = { .keeps = false };

	CHECK_EQ(aio_make(contract, &source, &watcher.aio), 0);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(watch_once(contract, watcher.aio), 1);
		CHECK_EQ(watcher_start(contract, &watcher), 0);
		CHECK_EQ(filch_registrar_notify(&source.registrar, i), 0);
		CHECK_EQ(watcher_end(&watcher), 0);
		CHECK_EQ(watcher.event.result, i);
	}
	filch_aio_destroy(watcher.aio);
	return (NULL);
}

/* An event clears its own completion, and none that came after it. */
static const char *
clear_ready_matching(struct contract *contract)
{
	struct source source;
	struct watcher watcher = { .keeps = true };
	struct filch_aio_event old;

	CHECK_EQ(aio_make(contract, &source, &watcher.aio), 0);
	CHECK_EQ(filch_registrar_notify(&source.registrar, 1), 0);
	CHECK_EQ(watcher_start(contract, &watcher), 0);
	CHECK_EQ(watcher_end(&watcher), 0);
	old = watcher.event;
	/* 256 later: a generation cut to a byte would take them for one */
	for (int i = 0; i < 256; i++) {
		CHECK_EQ(filch_registrar_notify(&source.registrar, 2), 0);
	}
	filch_aio_clear_ready(watcher.aio, old);
	CHECK_EQ(watcher_start(contract, &watcher), 0);
	CHECK_EQ(watcher_end(&watcher), 0);
	CHECK_EQ(watcher.event.result, 2);
	filch_aio_clear_ready(watcher.aio, watcher.event);
	filch_aio_clear_ready(watcher.aio, watcher.event);
	CHECK_EQ(watch_once(contract, watcher.aio), 1);
	filch_aio_destroy(watcher.aio);
	return (NULL);
}

static void *
notify_main(void *arg)
{
	const struct filch_registrar *registrar = arg;

	while (filch_registrar_notify(registrar, 0) == 0) {
		continue;
	}
	return (NULL);
}

/* The Aio goes in the poll that the notify causes, while others notify. */
static const char *
drop_on_notify(struct contract *contract)
{
	for (unsigned i = 0; i < RACES; i++) {
		struct source source;
		struct watcher watcher = { .destroys = true };
		pthread_t thread;

		CHECK_EQ(aio_make(contract, &source, &watcher.aio), 0);
		CHECK_EQ(watcher_start(contract, &watcher), 0);
		CHECK_EQ(pthread_create(
			     &thread, NULL, notify_main, &source.registrar),
		    0);
		CHECK_EQ(watcher_end(&watcher), 0);
		(void)pthread_join(thread, NULL);
		CHECK_EQ(filch_registrar_notify(&source.registrar, 0), -ESTALE);
	}
	return (NULL);
}

/* A source's own registrar after the end: told, and nothing blocks. */
static const char *
source_does_not_block(struct contract *contract)
{
	struct source source;
	struct filch_aio *aio;

	CHECK_EQ(aio_make(contract, &source, &aio), 0);
	CHECK_EQ(stop(contract, FILCH_NEVER), 0);
	CHECK_EQ(filch_registrar_notify(&source.registrar, 0), -ESHUTDOWN);
	filch_aio_destroy(aio);
	return (NULL);
}

/* Destroying an executor wakes the waiting and lets them end. */
static const char *
drop_wakes(struct contract *contract)
{
	struct contract other = *contract;
	struct source source;
	struct watcher watcher = { .destroys = true };

	CHECK_EQ(filch_executor_create(NULL, &other.executor), 0);
	CHECK_EQ(aio_make(&other, &source, &watcher.aio), 0);
	CHECK_EQ(watcher_start(&other, &watcher), 0);
	filch_executor_destroy(other.executor);
	CHECK_EQ(watcher_end(&watcher), -ESHUTDOWN);
	return (NULL);
}

/* Registrations are given back one by one, not at the end. */
static const char *
memory_leak(struct contract *contract)
{
	struct filch_executor_stats stats;
	struct source source;
	struct filch_aio *aio;

	for (unsigned i = 0; i < 10000; i++) {
		CHECK_EQ(aio_make(contract, &source, &aio), 0);
		filch_executor_get_stats(contract->executor, &stats);
		CHECK_EQ(stats.registrations, 1);
		CHECK_EQ(filch_registrar_notify(&source.registrar, 1), 0);
		CHECK(filch_aio_into_inner(aio) == &source);
	}
	filch_executor_get_stats(contract->executor, &stats);
	CHECK_EQ(stats.registrations, 0);
	return (NULL);
}

/* Whatever is started after the end is refused in the same words. */
static const char *
shutdown_err(struct contract *contract)
{
	static struct contract_job job;
	struct source source;
	struct filch_aio *aio = NULL;
	struct filch_task *task = &job.task;

	CHECK_EQ(stop(contract, FILCH_NEVER), 0);
	CHECK_EQ(aio_make(contract, &source, &aio), -ESHUTDOWN);
	CHECK(aio == NULL);
	filch_task_init(task, contract_job_poll, NULL);
	CHECK_EQ(filch_executor_spawn(contract->executor, task), -ESHUTDOWN);
	CHECK_EQ(filch_executor_spawn_joinable(contract->executor, task),
	    -ESHUTDOWN);
	CHECK_EQ(filch_executor_block_on(contract->executor, task), -ESHUTDOWN);
	return (NULL);
}

static const struct contract_test tests[] = {
	{ "driver_shutdown_wakes_currently_pending", wakes_currently_pending,
	    NULL },
	{ "driver_shutdown_wakes_future_pending", wakes_future_pending, NULL },
	{ "driver_shutdown_wakes_pending_race, _poll_race", wakes_race, NULL },
	{ "driver_shutdown_wakes_currently_pending_polls",
	    wakes_currently_pending_polls, NULL },
	{ "driver_shutdown_wakes_poll", wakes_poll, NULL },
	{ "driver_shutdown_then_clear_readiness", then_clear_readiness, NULL },
	{ "poll_fns, multiple_waiters", latest_waiter_is_woken, NULL },
	{ "reset_readable, reset_writable", reset, NULL },
	{ "clear_ready_matching_clears_ready", clear_ready_matching, NULL },
	{ "test_drop_on_notify", drop_on_notify, NULL },
	{ "tcp_doesnt_block", source_does_not_block, NULL },
	{ "drop_wakes", drop_wakes, NULL },
	{ "io_async_fd_memory_leak", memory_leak, NULL },
	{ "rt_shutdown_err", shutdown_err, NULL },
};

int
main(void)
{
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;

	options.worker_count = 1;
	return (contract_main(tests, CONTRACT_COUNT(tests), &options));
}

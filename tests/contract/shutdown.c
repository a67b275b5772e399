/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sources and the end of the executor.
 *
 * The rows are named after the tests of tokio that they follow (io_async_fd,
 * io_driver_drop, rt_shutdown_err).  What is a runtime dropped there is an
 * immediate shutdown here.
 */
#include "watcher.h"

#define RACES 200

static const char *
wakes_currently_pending(struct contract *contract)
{
	struct source source;
	struct watcher watcher = { .keeps = false };

	CHECK_EQ(aio_make(contract, &source, &watcher.aio), 0);
	CHECK_EQ(watcher_start(contract, &watcher), 0);
	CHECK_EQ(watcher.status, 1);
	CHECK_EQ(contract_stop(contract, FILCH_NEVER), 0);
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
	(void)contract_stop(contract, 0);
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
	CHECK_EQ(contract_stop(contract, FILCH_NEVER), 0);
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
	(void)contract_stop(contract, 0);
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

	(void)contract_stop(contract, FILCH_NEVER);
	return (NULL);
}

/*
 * A poll races the end: the first, of a task that may come too late and is not
 * taken then; or a later one.  Each round has an executor of its own.
 */
static const char *
wakes_race(struct contract *contract, bool is_first)
{
	for (unsigned i = 0; i < RACES; i++) {
		struct contract round = *contract;
		struct source source;
		struct watcher watcher = { .keeps = false };
		pthread_t thread;
		int rc = 0;

		CHECK_EQ(filch_executor_create(NULL, &round.executor), 0);
		CHECK_EQ(aio_make(&round, &source, &watcher.aio), 0);
		if (!is_first) {
			CHECK_EQ(watcher_start(&round, &watcher), 0);
		}
		CHECK_EQ(pthread_create(&thread, NULL, stop_main, &round), 0);
		if (is_first) {
			rc = watcher_start(&round, &watcher);
		} else {
			filch_task_wake(&watcher.task);
		}
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

static const char *
wakes_pending_race(struct contract *contract)
{
	return (wakes_race(contract, false));
}

static const char *
wakes_poll_race(struct contract *contract)
{
	return (wakes_race(contract, true));
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
	(void)contract_stop(contract, 0);
	filch_aio_clear_ready(first.aio, first.event);
	second.is_idle = false;
	filch_task_wake(&second.task);
	CHECK_EQ(watcher_end(&second), -ESHUTDOWN);
	filch_aio_destroy(first.aio);
	return (NULL);
}

/* A source's own registrar after the end: told, and nothing blocks. */
static const char *
source_does_not_block(struct contract *contract)
{
	struct source source;
	struct filch_aio *aio;

	CHECK_EQ(aio_make(contract, &source, &aio), 0);
	CHECK_EQ(contract_stop(contract, FILCH_NEVER), 0);
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

/* Whatever is started after the end is refused in the same words. */
static const char *
shutdown_err(struct contract *contract)
{
	static struct contract_job job;
	struct source source;
	struct filch_aio *aio = NULL;
	struct filch_task *task = &job.task;

	CHECK_EQ(contract_stop(contract, FILCH_NEVER), 0);
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
	{ "tokio driver_shutdown_wakes_currently_pending",
	    wakes_currently_pending, NULL },
	{ "tokio driver_shutdown_wakes_future_pending", wakes_future_pending,
	    NULL },
	{ "tokio driver_shutdown_wakes_pending_race", wakes_pending_race,
	    NULL },
	{ "tokio driver_shutdown_wakes_currently_pending_polls",
	    wakes_currently_pending_polls, NULL },
	{ "tokio driver_shutdown_wakes_poll", wakes_poll, NULL },
	{ "tokio driver_shutdown_wakes_poll_race", wakes_poll_race, NULL },
	{ "tokio driver_shutdown_then_clear_readiness", then_clear_readiness,
	    NULL },
	{ "tokio tcp_doesnt_block", source_does_not_block, NULL },
	{ "tokio drop_wakes", drop_wakes, NULL },
	{ "tokio rt_shutdown_err", shutdown_err, NULL },
};

int
main(void)
{
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;

	options.worker_count = 1;
	return (contract_main(tests, CONTRACT_COUNT(tests), &options));
}

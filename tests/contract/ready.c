/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Readiness of an Aio: who is woken, and what a stale or a used up event
 * clears.
 *
 * The rows are named after the tests of tokio that they follow (io_async_fd,
 * io_driver, io_async_fd_memory_leak).
 */
#include "watcher.h"

#define RACES 200

/* Only the task of the latest poll is woken; the other has to look again. */
static const char *
multiple_waiters(struct contract *contract)
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

/* The three functions by hand: nothing, ready until cleared, nothing. */
static const char *
poll_fns(struct contract *contract)
{
	struct source source;
	struct watcher watcher = { .keeps = true };

	CHECK_EQ(aio_make(contract, &source, &watcher.aio), 0);
	CHECK_EQ(watch_once(contract, watcher.aio), 1);
	CHECK_EQ(filch_registrar_notify(&source.registrar, -EIO), 0);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(watcher_start(contract, &watcher), 0);
		CHECK_EQ(watcher_end(&watcher), 0);
		CHECK_EQ(watcher.event.interest, FILCH_INTEREST_AIO);
		CHECK_EQ(watcher.event.result, -EIO);
	}
	filch_aio_clear_ready(watcher.aio, watcher.event);
	CHECK_EQ(watch_once(contract, watcher.aio), 1);
	filch_aio_destroy(watcher.aio);
	return (NULL);
}

static const char *
reset(struct contract *contract, unsigned interest)
{
	struct source source;
	struct watcher watcher = { .keeps = false };
	bool is_list = interest == FILCH_INTEREST_LIO;

	CHECK_EQ(filch_aio_new(contract->executor, &source_vtable, &source,
		     interest, 1, &watcher.aio),
	    0);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(watch_once(contract, watcher.aio), 1);
		CHECK_EQ(watcher_start(contract, &watcher), 0);
		CHECK_EQ(filch_registrar_notify(&source.registrar, i), 0);
		CHECK_EQ(watcher_end(&watcher), 0);
		CHECK_EQ(watcher.event.interest, interest);
		CHECK_EQ(watcher.event.result, is_list ? 0 : i);
	}
	filch_aio_destroy(watcher.aio);
	return (NULL);
}

static const char *
reset_aio(struct contract *contract)
{
	return (reset(contract, FILCH_INTEREST_AIO));
}

static const char *
reset_lio(struct contract *contract)
{
	return (reset(contract, FILCH_INTEREST_LIO));
}

/* An event clears its own completion, and none that came after it. */
static const char *
clear_ready_matching(struct contract *contract, unsigned interest)
{
	struct source source;
	struct watcher watcher = { .keeps = true };
	struct filch_aio_event old;
	bool is_list = interest == FILCH_INTEREST_LIO;

	CHECK_EQ(filch_aio_new(contract->executor, &source_vtable, &source,
		     interest, 1, &watcher.aio),
	    0);
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
	CHECK_EQ(watcher.event.result, is_list ? 0 : 2);
	filch_aio_clear_ready(watcher.aio, watcher.event);
	filch_aio_clear_ready(watcher.aio, watcher.event);
	CHECK_EQ(watch_once(contract, watcher.aio), 1);
	filch_aio_destroy(watcher.aio);
	return (NULL);
}

static const char *
clear_ready_matching_aio(struct contract *contract)
{
	return (clear_ready_matching(contract, FILCH_INTEREST_AIO));
}

static const char *
clear_ready_matching_lio(struct contract *contract)
{
	return (clear_ready_matching(contract, FILCH_INTEREST_LIO));
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

static const struct contract_test tests[] = {
	{ "tokio poll_fns", poll_fns, NULL },
	{ "tokio multiple_waiters", multiple_waiters, NULL },
	{ "tokio reset_readable", reset_aio, NULL },
	{ "tokio reset_writable", reset_lio, NULL },
	{ "tokio clear_ready_matching_clears_ready", clear_ready_matching_aio,
	    NULL },
	{ "tokio clear_ready_matching_clears_ready_mut",
	    clear_ready_matching_lio, NULL },
	{ "tokio test_drop_on_notify", drop_on_notify, NULL },
	{ "tokio io_async_fd_memory_leak", memory_leak, NULL },
};

int
main(void)
{
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;

	options.worker_count = 1;
	return (contract_main(tests, CONTRACT_COUNT(tests), &options));
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reactor without an executor: when it is quiet, how it reads the cache.
 */
#include <criterion/criterion.h>

#include <filch/filch.h>

#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <unistd.h>

#include "reactor/reactor.h"

#if defined(FILCH_HAVE_URING)
#include "reactor/uring.h"
#endif

static struct filch__reactor reactor;
static bool was_quiet; /* while an operation was being told of */
static int64_t result;
static sem_t told;

static void
complete(struct filch_op *list)
{
	was_quiet = filch__reactor_is_quiet(&reactor);
	result = filch_op_result(list);
	(void)sem_post(&told);
}

static uint64_t
tick(struct filch__reactor_host *host, uint64_t now_ns)
{
	(void)host;
	(void)now_ns;
	return (FILCH_NEVER);
}

Test(reactor, is_not_quiet_until_its_thread_has_told_of_an_operation,
    .timeout = 60)
{
	struct filch__reactor_host host = { complete, tick };
	struct filch__reactor_options options = {
		.driver = FILCH_DRIVER_POSIX,
		.shard_count = 1,
		.ring_entries = FILCH_RING_ENTRIES_MIN,
		.pool_threads_max = 1,
	};
	struct filch_file file;
	struct filch_op op;
	char byte;
	int fds[2];

	(void)sem_init(&told, 0, 0);
	cr_assert_eq(pipe(fds), 0);
	cr_assert_eq(filch_file_init(&file, fds[0]), 0);
	cr_assert_eq(filch__reactor_init(&reactor, &host, &options), 0);
	filch_op_init_read(&op, &file, &byte, 1, FILCH_OFFSET_CURRENT);
	op.priv.shard = &reactor.shards[0];
	reactor.driver->submit(&reactor.shards[0], &op);
	cr_assert_not(filch__reactor_is_quiet(&reactor));
	cr_assert_eq(write(fds[1], "x", 1), 1);
	while (sem_wait(&told) < 0) {
		continue;
	}
	cr_assert_eq(result, 1);
	cr_assert_not(was_quiet);
	/* when the thread sleeps again */
	while (!filch__reactor_is_quiet(&reactor)) {
		sched_yield();
	}
	filch__reactor_fini(&reactor);
}

#if defined(FILCH_HAVE_URING)
/* ---- how close the thread stands by ---- */

static bool all_sleep;

/* As the look at workers, which sleep or do not. */
static uint64_t
tick_look(struct filch__reactor_host *host, uint64_t now_ns)
{
	(void)host;
	(void)now_ns;
	reactor.is_calm = all_sleep;
	return (FILCH_NEVER);
}

static void
expire_never(struct filch_timer *timer, struct filch__expired *expired)
{
	(void)timer;
	(void)expired;
	cr_assert_fail("its deadline is far");
}

/* How long after a deadline the thread wakes for it. */
static uint64_t
stands_by(void)
{
	struct filch__reactor_host host = { complete, tick_look };
	struct filch__reactor_options options = {
		.driver = FILCH_DRIVER_URING,
		.shard_count = 1,
		.ring_entries = FILCH_RING_ENTRIES_MIN,
		.pool_threads_max = 1,
	};
	struct filch_timer timer;
	uint64_t deadline_ns = filch_now() + UINT64_C(3600000000000);
	uint64_t until_ns;

	if (filch__reactor_init(&reactor, &host, &options) < 0) {
		cr_skip("no io_uring here");
	}
	if (reactor.standby_ns == 0) {
		filch__reactor_fini(&reactor);
		cr_skip("here workers do not wake at their deadlines");
	}
	filch__timer_init(&timer, deadline_ns, expire_never);
	filch__reactor_add_timer(&reactor.shards[0], &timer);
	do {
		sched_yield();
		until_ns = filch__u64_load_seq_cst(&reactor.sleeping_until_ns);
	} while (until_ns == 0 || until_ns == FILCH_NEVER);
	cr_assert(filch__timers_remove(&timer));
	filch__reactor_fini(&reactor);
	return (until_ns - deadline_ns);
}

/* It would take the CPU from the tasks that the deadlines were for. */
Test(reactor, leaves_deadlines_to_workers_that_sleep, .timeout = 60)
{
	all_sleep = true;
	cr_assert_eq(stands_by(), FILCH__STANDBY_CALM_NS);
}

Test(reactor, stands_close_by_while_a_worker_is_awake, .timeout = 60)
{
	cr_assert_eq(stands_by(), FILCH__STANDBY_NS);
}

/* Whoever flushes between two entries cuts the chain that they may be. */
static void
fill_unseen(struct io_uring_sqe *sqe, unsigned index, void *arg)
{
	struct filch__uring_shard *us = arg;

	(void)index;
	cr_expect_eq(filch__uring_pending(us), 0);
	io_uring_prep_nop(sqe);
}

Test(reactor, shows_the_entries_of_a_source_together, .timeout = 60)
{
	struct filch__reactor_host host = { complete, tick };
	struct filch__reactor_options options = {
		.driver = FILCH_DRIVER_URING,
		.shard_count = 1,
		.ring_entries = FILCH_RING_ENTRIES_MIN,
		.pool_threads_max = 1,
	};
	struct filch__shard *first;
	struct filch__registration *registration;
	struct filch__uring_shard *us;
	uint64_t token;

	if (filch__reactor_init(&reactor, &host, &options) < 0) {
		cr_skip("no io_uring here");
	}
	first = &reactor.shards[0];
	us = filch__uring_shard(first);
	filch__shard_current = first;
	cr_assert_eq(filch__registration_new(&reactor.registrations,
			 FILCH_INTEREST_LIO, 3, &registration, &token),
	    0);
	/* the pin that the submission gives up */
	cr_assert_eq(filch__registration_acquire(&reactor.registrations, token),
	    registration);
	cr_assert_eq(
	    filch__uring_source_submit(first, registration, fill_unseen, us, 3),
	    0);
	cr_assert_eq(filch__uring_pending(us), 3);
	filch__uring_flush(first);
	while (filch__uring_reap(first) == 0) {
		sched_yield();
	}
	filch__registration_retire(&reactor.registrations, registration);
	filch__shard_current = NULL;
	filch__reactor_fini(&reactor);
}
#endif

/* ---- reading what is cached ---- */

static const struct filch__driver gatherer = { .gathers = true };
static struct filch__shard shard;
static uint64_t polls;

/* A turn of so many polls, of which some read, all at once. */
static void
turn(unsigned count, unsigned readers, bool ran_dry)
{
	shard.reads += 1000000; /* in no time: they may take 4 s */
	shard.waits += readers;
	polls += count;
	filch__reactor_begin_turn(&shard, ran_dry, polls);
}

static void
begin_gathering(void)
{
	reactor.driver = &gatherer;
	shard.reactor = &reactor;
	shard.looked_ns = filch_now();
	turn(61, 61, false);
	cr_assert(shard.gathering);
}

Test(gathering, ends_when_few_readers_run_the_worker_dry)
{
	begin_gathering();
	turn(2, 2, true);
	cr_assert_not(shard.gathering);
}

/* Eight turns that run dry are looked at together. */
static void
turns_of(uint64_t elapsed_ns)
{
	shard.looked_ns = filch_now() - elapsed_ns;
	for (int i = 0; i < 8; i++) {
		turn(32, 32, true);
	}
}

Test(gathering, lasts_where_another_program_had_one_turn_on_the_cpu)
{
	begin_gathering();
	for (int i = 0; i < 100; i++) {
		turns_of(0);
		cr_assert(shard.gathering);
		turns_of(UINT64_C(3600000000000));
		cr_assert(shard.gathering);
	}
}

Test(gathering, lasts_where_a_thief_left_few_tasks_once)
{
	begin_gathering();
	turns_of(0);
	turn(2, 2, true);
	cr_assert(shard.gathering);
	turn(2, 2, true);
	cr_assert_not(shard.gathering);
}

Test(gathering, ends_where_reads_are_slow)
{
	begin_gathering();
	turns_of(0);
	turns_of(UINT64_C(3600000000000));
	turns_of(UINT64_C(3600000000000));
	cr_assert_not(shard.gathering);
}

Test(gathering, lasts_while_many_readers_keep_the_worker_busy)
{
	begin_gathering();
	for (int i = 0; i < 100; i++) {
		turn(61, 61, false);
		cr_assert(shard.gathering);
	}
}

Test(gathering, lasts_where_the_event_interval_cuts_a_turn)
{
	begin_gathering();
	for (int i = 0; i < 100; i++) {
		turn(3, 3, false);
		turn(5, 5, true);
		cr_assert(shard.gathering);
	}
}

/* One reader beside a task that yields would wait for 61 polls each time. */
Test(gathering, ends_and_rests_when_readers_wait_for_other_tasks)
{
	begin_gathering();
	for (int i = 0; i < 5; i++) {
		turn(61, 1, false);
	}
	cr_assert_not(shard.gathering);
	for (int i = 0; i < 64; i++) {
		turn(61, 30, false);
		cr_assert_not(shard.gathering);
	}
	turn(61, 30, false);
	cr_assert(shard.gathering);
}

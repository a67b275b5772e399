/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whose turn on the CPU the reactor thread looks at when it wakes, and how
 * often, between two looks at the workers; and what those make of workers that
 * sleep.  No thread runs these.
 */
#include <criterion/criterion.h>

#include <filch/filch.h>

#include "executor/executor.h"

#define NOW_NS      UINT64_C(1000000000)
#define INTERVAL_NS 100000 /* as in executor/monitor.c */
#define LOOK_NS     400000 /* the same: between two looks at workers */

void __wrap_filch__thread_look_at_turn(uint32_t clock);

static struct filch_executor executor;
static struct filch__worker workers[2];
static unsigned looks[2]; /* at their turns */

void
__wrap_filch__thread_look_at_turn(uint32_t clock)
{
	cr_assert_lt(clock, 2);
	looks[clock]++;
}

/* Both are awake and have polled nothing. */
static void
setup(void)
{
	executor.workers = workers;
	executor.worker_count = 2;
	executor.monitoring = 1;
	executor.tick_ns = NOW_NS; /* the next look at workers is far */
	for (unsigned i = 0; i < 2; i++) {
		workers[i].executor = &executor;
		workers[i].index = i;
		workers[i].awake = 1;
		workers[i].clock = i;
	}
}

static void
tick(uint64_t after_ns)
{
	(void)filch__executor_tick(&executor.host, NOW_NS + after_ns);
}

TestSuite(tick, .init = setup);

Test(tick, looks_at_the_turns_of_all_that_are_stuck)
{
	tick(0);
	cr_assert_eq(looks[0], 1);
	cr_assert_eq(looks[1], 1);
}

Test(tick, leaves_alone_who_has_polled_since_the_last_look)
{
	filch__counter_add(&workers[0].counters.polls, 1);
	tick(0);
	cr_assert_eq(looks[0], 0);
	cr_assert_eq(looks[1], 1);
	tick(INTERVAL_NS);
	cr_assert_eq(looks[0], 1, "it has polled nothing any more");
}

Test(tick, leaves_alone_who_sleeps)
{
	workers[0].awake = 0;
	tick(0);
	cr_assert_eq(looks[0], 0);
	cr_assert_eq(looks[1], 1);
}

Test(tick, looks_no_more_often_than_its_interval)
{
	tick(0);
	tick(INTERVAL_NS / 2);
	tick(INTERVAL_NS - 1);
	cr_assert_eq(looks[0], 1);
	tick(INTERVAL_NS);
	cr_assert_eq(looks[0], 2);
}

Test(tick, forgets_no_poll_between_two_looks)
{
	tick(0);
	filch__counter_add(&workers[0].counters.polls, 1);
	tick(INTERVAL_NS / 2);
	tick(INTERVAL_NS);
	cr_assert_eq(looks[0], 1);
}

Test(tick, looks_at_nothing_where_the_monitor_sleeps)
{
	executor.monitoring = 0;
	tick(0);
	cr_assert_eq(looks[0], 0);
}

/* A look at workers, of which so many sleep and the others have polled. */
static void
look_at(unsigned sleepers)
{
	filch__idle_init(&executor.idle, executor.worker_count);
	for (unsigned i = 0; i < executor.worker_count; i++) {
		filch__counter_add(&workers[i].counters.polls, 1);
		if (i < sleepers) {
			filch__idle_park(&executor.idle, i, false);
		}
	}
	tick(LOOK_NS);
	filch__idle_fini(&executor.idle);
}

Test(tick, is_calm_while_all_workers_sleep)
{
	look_at(2);
	cr_assert(executor.reactor.is_calm);
}

Test(tick, is_calm_no_more_when_a_worker_is_awake)
{
	executor.reactor.is_calm = true;
	look_at(1);
	cr_assert_not(executor.reactor.is_calm);
}

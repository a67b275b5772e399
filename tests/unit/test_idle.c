/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whom to wake: the transitions of the idle word by one thread that plays all
 * workers.
 */
#include <criterion/criterion.h>

#include <signal.h>

#include "../../executor/idle.h"

#define WORKERS 4

static struct filch__idle idle;

static void
setup(void)
{
	filch__idle_init(&idle, WORKERS);
}

static void
teardown(void)
{
	filch__idle_fini(&idle);
}

TestSuite(idle, .init = setup, .fini = teardown);

Test(idle, nobody_is_claimed_when_nobody_is_parked)
{
	cr_assert_eq(filch__idle_claim(&idle), -1);
	cr_assert_eq(filch__idle_claim_any(&idle), -1);
	cr_assert_eq(filch__idle_parked(&idle), 0);
	cr_assert_eq(filch__idle_searching(&idle), 0);
}

Test(idle, half_of_the_workers_may_search)
{
	cr_assert(filch__idle_begin_search(&idle));
	cr_assert(filch__idle_begin_search(&idle));
	cr_assert_not(filch__idle_begin_search(&idle));
	cr_assert_eq(filch__idle_searching(&idle), WORKERS / 2);
}

Test(idle, the_only_worker_may_search)
{
	filch__idle_fini(&idle);
	filch__idle_init(&idle, 1);
	cr_assert(filch__idle_begin_search(&idle));
}

Test(idle, only_the_last_searcher_must_look_again)
{
	cr_assert(filch__idle_begin_search(&idle));
	cr_assert(filch__idle_begin_search(&idle));
	cr_assert_not(filch__idle_end_search(&idle));
	cr_assert(filch__idle_end_search(&idle));
	cr_assert_eq(filch__idle_searching(&idle), 0);
}

Test(idle, a_claimed_worker_counts_as_searching)
{
	filch__idle_park(&idle, 2, false);
	cr_assert_eq(filch__idle_parked(&idle), 1);
	cr_assert_eq(filch__idle_claim(&idle), 2);
	cr_assert_eq(filch__idle_parked(&idle), 0);
	cr_assert_eq(filch__idle_searching(&idle), 1);
}

Test(idle, one_searcher_is_enough_to_claim_nobody)
{
	filch__idle_park(&idle, 0, false);
	filch__idle_park(&idle, 1, false);
	cr_assert(filch__idle_claim(&idle) >= 0);
	cr_assert_eq(filch__idle_claim(&idle), -1);
	cr_assert_eq(filch__idle_claim_slow(&idle), -1);
	cr_assert_eq(filch__idle_parked(&idle), 1);
}

Test(idle, claim_any_does_not_care_who_searches)
{
	cr_assert(filch__idle_begin_search(&idle));
	filch__idle_park(&idle, 3, false);
	cr_assert_eq(filch__idle_claim_any(&idle), 3);
	cr_assert_eq(filch__idle_searching(&idle), 2);
}

Test(idle, the_latest_sleeper_is_claimed_first)
{
	filch__idle_park(&idle, 0, false);
	filch__idle_park(&idle, 1, false);
	cr_assert_eq(filch__idle_claim_any(&idle), 1);
	cr_assert_eq(filch__idle_claim_any(&idle), 0);
	cr_assert_eq(filch__idle_claim_any(&idle), -1);
}

Test(idle, a_searcher_that_parks_searches_no_longer)
{
	cr_assert(filch__idle_begin_search(&idle));
	cr_assert(filch__idle_begin_search(&idle));
	filch__idle_park(&idle, 0, true);
	cr_assert_eq(filch__idle_searching(&idle), 1);
	filch__idle_park(&idle, 1, true);
	cr_assert_eq(filch__idle_searching(&idle), 0);
	cr_assert_eq(filch__idle_parked(&idle), 2);
}

Test(idle, a_worker_that_leaves_by_itself_is_not_claimed)
{
	filch__idle_park(&idle, 0, false);
	filch__idle_park(&idle, 1, false);
	filch__idle_park(&idle, 2, false);
	cr_assert(filch__idle_unpark_self(&idle, 1));
	cr_assert_eq(filch__idle_searching(&idle), 1);
	cr_assert_eq(filch__idle_claim_any(&idle), 2);
	cr_assert_eq(filch__idle_claim_any(&idle), 0);
	cr_assert_eq(filch__idle_claim_any(&idle), -1);
}

Test(idle, a_claimed_worker_learns_so_and_is_counted_once)
{
	filch__idle_park(&idle, 0, false);
	cr_assert_eq(filch__idle_claim(&idle), 0);
	cr_assert_not(filch__idle_unpark_self(&idle, 0));
	cr_assert_eq(filch__idle_searching(&idle), 1);
	cr_assert_eq(filch__idle_parked(&idle), 0);
}

Test(idle, every_worker_can_be_parked_at_once)
{
	filch__idle_fini(&idle);
	filch__idle_init(&idle, FILCH_WORKERS_MAX);
	for (unsigned i = 0; i < FILCH_WORKERS_MAX; i++) {
		filch__idle_park(&idle, i, false);
	}
	cr_assert_eq(filch__idle_parked(&idle), FILCH_WORKERS_MAX);
	for (int i = FILCH_WORKERS_MAX - 1; i >= 0; i--) {
		cr_assert_eq(filch__idle_claim_any(&idle), i);
	}
}

Test(idle, an_end_of_a_search_that_never_began_is_a_bug, .signal = SIGABRT)
{
	cr_assert_not(filch__idle_end_search(&idle));
}

Test(idle, more_workers_than_there_is_room_for_are_a_bug, .signal = SIGABRT)
{
	filch__idle_init(&idle, FILCH_WORKERS_MAX + 1);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Parking: the word by one thread, and a sleeper with its waker.
 */
#include <criterion/criterion.h>

#include <pthread.h>
#include <sched.h>

#include "../../reactor/parker.h"

#define ROUNDS 2000

static filch__u32 word;
static struct filch__parker parker;

TestSuite(parker, .timeout = 60);

Test(parker, who_begins_may_sleep)
{
	cr_assert(filch__park_begin(&word));
}

Test(parker, a_sleeper_is_to_be_woken_once)
{
	cr_assert(filch__park_begin(&word));
	cr_assert(filch__park_notify(&word));
	cr_assert_not(filch__park_notify(&word));
}

Test(parker, nobody_asleep_needs_no_system_call)
{
	cr_assert_not(filch__park_notify(&word));
	cr_assert(!filch__park_begin(&word));
}

Test(parker, a_wake_keeps_from_sleeping_once)
{
	(void)filch__park_notify(&word);
	cr_assert_not(filch__park_begin(&word));
	filch__park_end(&word);
	cr_assert(filch__park_begin(&word));
}

Test(parker, who_is_awake_has_had_all_wakes)
{
	cr_assert(filch__park_begin(&word));
	(void)filch__park_notify(&word);
	filch__park_end(&word);
	cr_assert(filch__park_begin(&word));
}

static void
setup(void)
{
	filch__parker_init(&parker);
}

static void
teardown(void)
{
	filch__parker_fini(&parker);
}

Test(parker, a_wake_before_park_is_not_lost, .init = setup, .fini = teardown)
{
	cr_assert_not(filch__parker_wake(&parker));
	filch__parker_park(&parker);
}

static void *
sleeper_main(void *arg)
{
	unsigned i;

	for (i = 0; i < ROUNDS; i++) {
		filch__parker_park(&parker);
		/* [PP1] tells the waker that the round is over */
		(void)filch__u32_add_acq_rel(arg, 1);
	}
	return (NULL);
}

Test(parker, one_wake_ends_one_park, .init = setup, .fini = teardown)
{
	filch__u32 parks = 0;
	pthread_t sleeper;
	uint32_t i;

	cr_assert_eq(pthread_create(&sleeper, NULL, sleeper_main, &parks), 0);
	for (i = 0; i < ROUNDS; i++) {
		cr_assert_eq(filch__u32_load_acquire(&parks), i);
		if (i % 2 == 0) {
			/* asleep, or about to be */
			while (filch__u32_load_seq_cst(&parker.word) !=
			    FILCH__PARK_SLEEPING) {
				sched_yield();
			}
			cr_assert(filch__parker_wake(&parker));
		} else {
			(void)filch__parker_wake(&parker);
		}
		while (filch__u32_load_acquire(&parks) == i) {
			sched_yield();
		}
	}
	cr_assert_eq(pthread_join(sleeper, NULL), 0);
	cr_assert_eq(parks, ROUNDS);
}

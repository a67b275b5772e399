/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Registrations: the table alone, without a reactor.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <signal.h>

#include "../../reactor/registration.h"
#include "counting_waker.h"

static struct filch__registrations table;

static struct filch__registration *
bind(unsigned interest, unsigned entries_max, uint64_t *ret_token)
{
	struct filch__registration *registration = NULL;

	cr_assert_eq(filch__registration_new(&table, interest, entries_max,
			 &registration, ret_token),
	    0);
	return (registration);
}

static uint32_t
bits_of(const struct filch__registration *registration)
{
	return (filch__readiness_bits(
	    filch__readiness_load(&registration->readiness)));
}

static uint32_t
generation_of(const struct filch__registration *registration)
{
	return (filch__readiness_generation(
	    filch__readiness_load(&registration->readiness), FILCH__READY_AIO));
}

static void
wait_on(struct filch__registration *registration, struct count *count)
{
	struct filch_waker waker = count_waker(count);

	filch__waker_slot_register(&registration->waker, &waker);
}

static void
setup(void)
{
	filch__registrations_init(&table);
}

TestSuite(registration, .init = setup);

Test(registration, a_token_finds_its_registration_until_it_is_retired)
{
	uint64_t token;
	struct filch__registration *one = bind(FILCH_INTEREST_AIO, 1, &token);

	cr_assert_eq(filch__registration_acquire(&table, token), one);
	filch__registration_release(&table, one);
	filch__registration_retire(&table, one);
	cr_assert_null(filch__registration_acquire(&table, token));
	filch__registrations_fini(&table);
}

Test(registration, a_stale_token_does_not_find_the_next_owner_of_the_slot)
{
	uint64_t old;
	uint64_t token;
	struct filch__registration *one = bind(FILCH_INTEREST_AIO, 1, &old);
	struct filch__registration *two;

	filch__registration_retire(&table, one);
	two = bind(FILCH_INTEREST_AIO, 1, &token);
	cr_assert_eq(one, two);
	cr_assert_neq(old, token);
	cr_assert_null(filch__registration_acquire(&table, old));
	filch__registration_retire(&table, two);
	filch__registrations_fini(&table);
}

Test(registration, a_token_that_never_was_finds_nothing)
{
	cr_assert_null(filch__registration_acquire(&table, 0));
	cr_assert_null(filch__registration_acquire(&table, UINT64_MAX));
	filch__registrations_fini(&table);
}

Test(registration, a_pinned_slot_is_not_bound_anew)
{
	uint64_t token;
	struct filch__registration *one = bind(FILCH_INTEREST_AIO, 1, &token);
	struct filch__registration *two;

	cr_assert_eq(filch__registration_acquire(&table, token), one);
	filch__registration_retire(&table, one);
	two = bind(FILCH_INTEREST_AIO, 1, &token);
	cr_assert_neq(one, two);
	filch__registration_release(&table, one);
	filch__registration_retire(&table, two);
	filch__registrations_fini(&table);
}

/* Design, fault 1: tokio's Aio leaks its record until the runtime ends. */
Test(registration, ten_thousand_one_after_another_take_one_chunk)
{
	uint64_t token;

	for (int i = 0; i < 10000; i++) {
		filch__registration_retire(
		    &table, bind(FILCH_INTEREST_LIO, 3, &token));
	}
	cr_assert_eq(table.chunk_count, 1);
	cr_assert_eq(filch__u64_load_relaxed(&table.bound), 0);
	filch__registrations_fini(&table);
}

/* Design, fault 2: clearing erased tokio's shutdown bit. */
Test(registration, clear_after_shutdown_still_reports_shutdown)
{
	uint64_t token;
	struct filch__registration *one = bind(FILCH_INTEREST_AIO, 1, &token);

	filch__registration_notify(one);
	filch__registrations_shutdown(&table);
	cr_assert(filch__readiness_clear(
	    &one->readiness, FILCH__READY_AIO, generation_of(one)));
	cr_assert_eq(bits_of(one), FILCH__READY_SHUTDOWN);
	filch__registration_notify(one);
	cr_assert(bits_of(one) & FILCH__READY_SHUTDOWN);
	filch__registration_retire(&table, one);
	filch__registrations_fini(&table);
}

/* Design, fault 3: tokio compared 8 bits of the tick (tokio#8331). */
Test(registration, a_stale_event_256_generations_old_clears_nothing)
{
	uint64_t token;
	struct filch__registration *one = bind(FILCH_INTEREST_AIO, 1, &token);
	uint32_t stale;

	filch__registration_notify(one);
	stale = generation_of(one);
	for (int i = 0; i < 256; i++) {
		filch__registration_notify(one);
	}
	cr_assert_not(
	    filch__readiness_clear(&one->readiness, FILCH__READY_AIO, stale));
	cr_assert_eq(bits_of(one), FILCH__READY_AIO);
	filch__registration_retire(&table, one);
	filch__registrations_fini(&table);
}

Test(registration, notify_wakes_who_waits_once)
{
	uint64_t token;
	struct filch__registration *one = bind(FILCH_INTEREST_LIO, 2, &token);
	struct count count = { 0, 0 };

	wait_on(one, &count);
	filch__registration_notify(one);
	filch__registration_notify(one);
	cr_assert_eq(count.wakes, 1);
	cr_assert_eq(count.references, 0);
	cr_assert_eq(bits_of(one), FILCH__READY_LIO);
	filch__registration_retire(&table, one);
	filch__registrations_fini(&table);
}

Test(registration, only_the_latest_waker_is_woken)
{
	uint64_t token;
	struct filch__registration *one = bind(FILCH_INTEREST_AIO, 1, &token);
	struct count first = { 0, 0 };
	struct count second = { 0, 0 };

	wait_on(one, &first);
	wait_on(one, &second);
	cr_assert_eq(first.references, 0);
	filch__registration_notify(one);
	cr_assert_eq(first.wakes, 0);
	cr_assert_eq(second.wakes, 1);
	filch__registration_retire(&table, one);
	filch__registrations_fini(&table);
}

Test(registration, retire_drops_the_waker_without_a_wake)
{
	uint64_t token;
	struct filch__registration *one = bind(FILCH_INTEREST_AIO, 1, &token);
	struct count count = { 0, 0 };

	wait_on(one, &count);
	filch__registration_retire(&table, one);
	cr_assert_eq(count.wakes, 0);
	cr_assert_eq(count.references, 0);
	filch__registrations_fini(&table);
}

Test(registration, shutdown_wakes_all_and_refuses_new_ones)
{
	uint64_t tokens[300];
	struct filch__registration *all[300];
	struct count count = { 0, 0 };
	struct filch__registration *refused = NULL;

	for (int i = 0; i < 300; i++) {
		all[i] = bind(FILCH_INTEREST_AIO, 1, &tokens[i]);
		wait_on(all[i], &count);
	}
	filch__registrations_shutdown(&table);
	cr_assert_eq(count.wakes, 300);
	cr_assert_eq(filch__registration_new(
			 &table, FILCH_INTEREST_AIO, 1, &refused, &tokens[0]),
	    -ESHUTDOWN);
	cr_assert_null(refused);
	for (int i = 0; i < 300; i++) {
		filch__registration_retire(&table, all[i]);
	}
	filch__registrations_fini(&table);
}

Test(registration, the_last_entry_makes_a_list_ready_and_unpins_it)
{
	uint64_t token;
	struct filch__registration *one = bind(FILCH_INTEREST_LIO, 2, &token);

	cr_assert_eq(filch__registration_acquire(&table, token), one);
	filch__u32_store_relaxed(&one->remaining, 2);
	filch__registration_entry_done(&table, one, 1, -ECANCELED);
	cr_assert_eq(bits_of(one), 0);
	filch__registration_entry_done(&table, one, 0, 7);
	cr_assert_eq(bits_of(one), FILCH__READY_LIO);
	cr_assert_eq(one->results[0], 7);
	cr_assert_eq(one->results[1], -ECANCELED);
	filch__registration_retire(&table, one);
	filch__registrations_fini(&table);
}

Test(registration, fini_with_one_bound_is_a_misuse, .signal = SIGABRT)
{
	uint64_t token;

	(void)bind(FILCH_INTEREST_AIO, 1, &token);
	filch__registrations_fini(&table);
}

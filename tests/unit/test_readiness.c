/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The readiness word: bits, generations, and what stays.
 */
#include <criterion/criterion.h>

#include <signal.h>

#include "../../reactor/readiness.h"

static filch__u64 word;

static uint32_t
bits(void)
{
	return (filch__readiness_bits(filch__readiness_load(&word)));
}

static uint32_t
generation(uint32_t direction)
{
	return (filch__readiness_generation(
	    filch__readiness_load(&word), direction));
}

Test(readiness, set_returns_the_word_as_it_was)
{
	cr_assert_eq(filch__readiness_set(&word, FILCH__READY_AIO), 0);
	cr_assert_eq(filch__readiness_bits(
			 filch__readiness_set(&word, FILCH__READY_AIO)),
	    FILCH__READY_AIO);
}

Test(readiness, set_moves_on_the_generation_of_its_direction_only)
{
	static const uint32_t reads[] = { FILCH__READY_AIO, FILCH__READY_LIO,
		FILCH__READY_READ };

	for (uint32_t i = 0; i < 3; i++) {
		(void)filch__readiness_set(&word, reads[i]);
		cr_assert_eq(generation(FILCH__READY_READ), i + 1);
	}
	cr_assert_eq(generation(FILCH__READY_WRITE), 0);
	(void)filch__readiness_set(&word, FILCH__READY_WRITE);
	cr_assert_eq(generation(FILCH__READY_READ), 3);
	cr_assert_eq(generation(FILCH__READY_WRITE), 1);
}

Test(readiness, error_closed_and_shutdown_concern_both_directions)
{
	static const uint32_t both[] = { FILCH__READY_ERROR,
		FILCH__READY_CLOSED, FILCH__READY_SHUTDOWN };

	for (uint32_t i = 0; i < 3; i++) {
		(void)filch__readiness_set(&word, both[i]);
		cr_assert_eq(generation(FILCH__READY_READ), i + 1);
		cr_assert_eq(generation(FILCH__READY_WRITE), i + 1);
	}
}

Test(readiness, clear_takes_only_the_bits_that_it_names)
{
	(void)filch__readiness_set(&word, FILCH__READY_READ);
	(void)filch__readiness_set(&word, FILCH__READY_LIO);
	cr_assert(filch__readiness_clear(
	    &word, FILCH__READY_READ, generation(FILCH__READY_READ)));
	cr_assert_eq(bits(), FILCH__READY_LIO);
}

Test(readiness, clear_of_an_older_event_keeps_the_newer)
{
	uint32_t old;

	(void)filch__readiness_set(&word, FILCH__READY_READ);
	old = generation(FILCH__READY_READ);
	(void)filch__readiness_set(&word, FILCH__READY_READ);
	cr_assert_not(filch__readiness_clear(&word, FILCH__READY_READ, old));
	cr_assert_eq(bits(), FILCH__READY_READ);
}

/* Design, fault 3: reads and writes share a tick in tokio (tokio#8054). */
Test(readiness, a_write_event_does_not_save_stale_read_readiness)
{
	uint32_t read;

	(void)filch__readiness_set(&word, FILCH__READY_READ);
	read = generation(FILCH__READY_READ);
	(void)filch__readiness_set(&word, FILCH__READY_WRITE);
	cr_assert(filch__readiness_clear(&word, FILCH__READY_READ, read));
	cr_assert_eq(bits(), FILCH__READY_WRITE);
}

Test(readiness, error_is_cleared_where_it_is_named)
{
	uint32_t now;

	(void)filch__readiness_set(
	    &word, FILCH__READY_READ | FILCH__READY_ERROR);
	now = generation(FILCH__READY_READ);
	cr_assert(filch__readiness_clear(&word, FILCH__READY_READ, now));
	cr_assert_eq(bits(), FILCH__READY_ERROR);
	cr_assert(filch__readiness_clear(
	    &word, FILCH__READY_READ | FILCH__READY_ERROR, now));
	cr_assert_eq(bits(), 0);
}

Test(readiness, closed_and_shutdown_stay_though_they_are_named)
{
	(void)filch__readiness_set(
	    &word, FILCH__READY_READ | FILCH__READY_CLOSED);
	(void)filch__readiness_shutdown(&word);
	cr_assert(filch__readiness_clear(&word,
	    FILCH__READY_READ | FILCH__READY_CLOSED | FILCH__READY_SHUTDOWN,
	    generation(FILCH__READY_READ)));
	cr_assert_eq(bits(), FILCH__READY_CLOSED | FILCH__READY_SHUTDOWN);
}

Test(readiness, a_read_generation_goes_round_without_touching_the_write_one)
{
	word = FILCH__READY_GENERATION_MASK << FILCH__READY_READ_SHIFT;
	(void)filch__readiness_set(&word, FILCH__READY_READ);
	cr_assert_eq(generation(FILCH__READY_READ), 0);
	cr_assert_eq(generation(FILCH__READY_WRITE), 0);
	cr_assert_eq(bits(), FILCH__READY_READ);
}

Test(readiness, a_write_generation_goes_round_without_touching_the_read_one)
{
	word = FILCH__READY_GENERATION_MASK << FILCH__READY_WRITE_SHIFT;
	(void)filch__readiness_set(&word, FILCH__READY_WRITE);
	cr_assert_eq(generation(FILCH__READY_WRITE), 0);
	cr_assert_eq(generation(FILCH__READY_READ), 0);
	cr_assert_eq(bits(), FILCH__READY_WRITE);
}

Test(readiness, a_set_of_no_bit_that_there_is_is_a_bug, .signal = SIGABRT)
{
	(void)filch__readiness_set(&word, FILCH__READY_ALL + 1);
}

Test(readiness, a_clear_of_both_directions_at_once_is_a_bug, .signal = SIGABRT)
{
	(void)filch__readiness_clear(
	    &word, FILCH__READY_READ | FILCH__READY_WRITE, 0);
}

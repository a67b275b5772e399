/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The waker slot by one thread; a waker whose clone function takes plays the
 * reactor that comes in the middle of a register.
 */
#include <criterion/criterion.h>

#include "../../reactor/waker_slot.h"
#include "counting_waker.h"

static struct filch__waker_slot slot;
static struct count first;
static struct count second;

static void
setup(void)
{
	filch__waker_slot_init(&slot);
}

static void
leave(struct count *count)
{
	struct filch_waker waker = count_waker(count);

	filch__waker_slot_register(&slot, &waker);
}

TestSuite(waker_slot, .init = setup);

Test(waker_slot, an_empty_one_gives_nobody)
{
	struct filch_waker waker = filch__waker_slot_take(&slot);

	cr_assert_null(waker.vtable);
	filch__waker_slot_clear(&slot);
}

Test(waker_slot, take_gives_what_was_left_with_its_reference)
{
	struct filch_waker waker;

	leave(&first);
	cr_assert_eq(first.references, 1);
	waker = filch__waker_slot_take(&slot);
	cr_assert_eq(waker.data, &first);
	cr_assert_eq(first.references, 1);
	filch_waker_wake(&waker);
	cr_assert_eq(first.wakes, 1);
	cr_assert_eq(first.references, 0);
}

Test(waker_slot, a_waker_is_taken_once)
{
	struct filch_waker waker;

	leave(&first);
	waker = filch__waker_slot_take(&slot);
	filch_waker_drop(&waker);
	waker = filch__waker_slot_take(&slot);
	cr_assert_null(waker.vtable);
}

Test(waker_slot, the_latest_replaces_the_earlier_and_drops_it)
{
	struct filch_waker waker;

	leave(&first);
	leave(&second);
	cr_assert_eq(first.references, 0);
	cr_assert_eq(first.wakes, 0);
	waker = filch__waker_slot_take(&slot);
	cr_assert_eq(waker.data, &second);
	filch_waker_drop(&waker);
}

Test(waker_slot, the_same_waker_again_takes_no_second_reference)
{
	leave(&first);
	leave(&first);
	cr_assert_eq(first.references, 1);
	filch__waker_slot_clear(&slot);
	cr_assert_eq(first.references, 0);
}

Test(waker_slot, clear_drops_without_a_wake)
{
	leave(&first);
	filch__waker_slot_clear(&slot);
	cr_assert_eq(first.references, 0);
	cr_assert_eq(first.wakes, 0);
}

Test(waker_slot, can_be_left_a_waker_again_after_a_take)
{
	for (int i = 0; i < 100; i++) {
		struct filch_waker waker;

		leave(&first);
		waker = filch__waker_slot_take(&slot);
		filch_waker_wake(&waker);
	}
	cr_assert_eq(first.wakes, 100);
	cr_assert_eq(first.references, 0);
}

/* An event comes while the waker is being cloned into the slot. */
static void
clone_and_take(void *data)
{
	struct filch_waker waker;

	((struct count *)data)->references++;
	waker = filch__waker_slot_take(&slot);
	cr_assert_null(waker.vtable);
}

static const struct filch_waker_vtable interrupted_vtable = { clone_and_take,
	count_wake, count_wake_by_ref, count_drop };

Test(waker_slot, a_take_in_the_middle_of_a_register_wakes_the_waker)
{
	struct filch_waker waker = { &interrupted_vtable, &first };
	struct filch_waker taken;

	filch__waker_slot_register(&slot, &waker);
	cr_assert_eq(first.wakes, 1);
	cr_assert_eq(first.references, 0);
	taken = filch__waker_slot_take(&slot);
	cr_assert_null(taken.vtable);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The deque by one thread: order, bounds and counts.  What happens when
 * threads meet is for stress/deque.c and model/deque.cpp.
 */
#include <criterion/criterion.h>

#include <signal.h>

#include "../../executor/deque.h"

#define CAPACITY 8

static filch__ptr slots[CAPACITY];
static struct filch__deque deque;
static int items[64];

static void
setup(void)
{
	filch__deque_init(&deque, slots, CAPACITY);
}

static void
push_first(int count)
{
	for (int i = 0; i < count; i++) {
		cr_assert(filch__deque_push(&deque, &items[i]));
	}
}

TestSuite(deque, .init = setup);

Test(deque, empty_gives_nothing_at_either_end)
{
	void *taken[4];

	cr_assert_null(filch__deque_pop_newest(&deque));
	cr_assert_null(filch__deque_pop_oldest(&deque));
	cr_assert_null(filch__deque_steal(&deque));
	cr_assert_eq(filch__deque_steal_half(&deque, taken, 4), 0);
	cr_assert_eq(filch__deque_take_half(&deque, taken, 4), 0);
	cr_assert(filch__deque_is_empty(&deque));
	cr_assert_eq(filch__deque_count(&deque), 0);
}

Test(deque, pop_newest_is_last_in_first_out)
{
	push_first(3);
	cr_assert_eq(filch__deque_pop_newest(&deque), &items[2]);
	cr_assert_eq(filch__deque_pop_newest(&deque), &items[1]);
	cr_assert_eq(filch__deque_pop_newest(&deque), &items[0]);
	cr_assert_null(filch__deque_pop_newest(&deque));
}

Test(deque, pop_oldest_is_first_in_first_out)
{
	push_first(3);
	cr_assert_eq(filch__deque_pop_oldest(&deque), &items[0]);
	cr_assert_eq(filch__deque_pop_oldest(&deque), &items[1]);
	cr_assert_eq(filch__deque_pop_oldest(&deque), &items[2]);
	cr_assert_null(filch__deque_pop_oldest(&deque));
}

Test(deque, steal_takes_the_oldest)
{
	push_first(3);
	cr_assert_eq(filch__deque_steal(&deque), &items[0]);
	cr_assert_eq(filch__deque_pop_newest(&deque), &items[2]);
	cr_assert_eq(filch__deque_steal(&deque), &items[1]);
	cr_assert_null(filch__deque_steal(&deque));
}

Test(deque, push_into_a_full_one_is_refused_until_there_is_room)
{
	push_first(CAPACITY);
	cr_assert_not(filch__deque_push(&deque, &items[CAPACITY]));
	cr_assert_eq(filch__deque_count(&deque), CAPACITY);
	cr_assert_eq(filch__deque_steal(&deque), &items[0]);
	cr_assert(filch__deque_push(&deque, &items[CAPACITY]));
	cr_assert_not(filch__deque_push(&deque, &items[CAPACITY + 1]));
}

Test(deque, order_holds_when_the_ring_goes_round)
{
	int next = 0;

	push_first(3);
	for (int i = 3; i < 64; i++) {
		cr_assert_eq(filch__deque_pop_oldest(&deque), &items[next++]);
		cr_assert(filch__deque_push(&deque, &items[i]));
		cr_assert_eq(filch__deque_count(&deque), 3);
	}
}

Test(deque, steal_half_takes_the_older_half_rounded_up)
{
	void *taken[CAPACITY];

	push_first(5);
	cr_assert_eq(filch__deque_steal_half(&deque, taken, CAPACITY), 3);
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(taken[i], &items[i]);
	}
	cr_assert_eq(filch__deque_count(&deque), 2);
	cr_assert_eq(filch__deque_pop_oldest(&deque), &items[3]);
}

Test(deque, steal_half_takes_a_single_item)
{
	void *taken[1];

	push_first(1);
	cr_assert_eq(filch__deque_steal_half(&deque, taken, 1), 1);
	cr_assert_eq(taken[0], &items[0]);
	cr_assert(filch__deque_is_empty(&deque));
}

Test(deque, steal_half_takes_no_more_than_it_was_given_room_for)
{
	void *taken[2] = { NULL, NULL };

	push_first(CAPACITY);
	cr_assert_eq(filch__deque_steal_half(&deque, taken, 2), 2);
	cr_assert_eq(filch__deque_count(&deque), CAPACITY - 2);
}

Test(deque, take_half_spills_the_older_half_in_order)
{
	void *taken[CAPACITY];

	push_first(CAPACITY);
	cr_assert_eq(
	    filch__deque_take_half(&deque, taken, CAPACITY), CAPACITY / 2);
	for (int i = 0; i < CAPACITY / 2; i++) {
		cr_assert_eq(taken[i], &items[i]);
	}
	cr_assert_eq(filch__deque_pop_newest(&deque), &items[CAPACITY - 1]);
}

Test(deque, take_half_takes_no_more_than_it_was_given_room_for)
{
	void *taken[1];

	push_first(CAPACITY);
	cr_assert_eq(filch__deque_take_half(&deque, taken, 1), 1);
	cr_assert_eq(taken[0], &items[0]);
}

Test(deque, a_capacity_that_is_no_power_of_two_is_a_bug, .signal = SIGABRT)
{
	filch__deque_init(&deque, slots, 6);
}

Test(deque, a_capacity_of_nothing_is_a_bug, .signal = SIGABRT)
{
	filch__deque_init(&deque, slots, 0);
}

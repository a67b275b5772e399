/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The injector by one thread: order and counts.  What happens when threads
 * meet is for stress/injector.c and model/injector.cpp.
 */
#include <criterion/criterion.h>

#include <signal.h>

#include "../../executor/injector.h"

#define TASKS 8

static struct filch__injector injector;
static struct filch_task tasks[TASKS];
static struct filch_task *taken[TASKS];

static void
setup(void)
{
	filch__injector_init(&injector);
}

static void
push(int index)
{
	filch__injector_push(&injector, &tasks[index], &tasks[index], 1);
}

/* Push tasks first to last as one chain. */
static void
push_chain(int first, int last)
{
	for (int i = first; i < last; i++) {
		tasks[i].priv.next = &tasks[i + 1];
	}
	filch__injector_push(&injector, &tasks[first], &tasks[last],
	    (unsigned)(last - first + 1));
}

static void
assert_taken(int index, int task)
{
	cr_assert_eq(taken[index], &tasks[task]);
}

TestSuite(injector, .init = setup);

Test(injector, empty_gives_nothing)
{
	cr_assert(filch__injector_is_empty(&injector));
	cr_assert_eq(filch__injector_count(&injector), 0);
	cr_assert_eq(filch__injector_pop(&injector, taken, TASKS), 0);
	filch__injector_fini(&injector);
}

Test(injector, is_first_in_first_out)
{
	push(0);
	push(1);
	push(2);
	cr_assert_eq(filch__injector_pop(&injector, taken, TASKS), 3);
	for (int i = 0; i < 3; i++) {
		assert_taken(i, i);
	}
	filch__injector_fini(&injector);
}

Test(injector, a_chain_keeps_its_order_among_single_tasks)
{
	push(0);
	push_chain(1, 4);
	push(5);
	cr_assert_eq(filch__injector_pop(&injector, taken, TASKS), 6);
	for (int i = 0; i < 6; i++) {
		assert_taken(i, i);
	}
	filch__injector_fini(&injector);
}

Test(injector, what_is_left_comes_before_what_is_pushed_later)
{
	push_chain(0, 3);
	cr_assert_eq(filch__injector_pop(&injector, taken, 1), 1);
	assert_taken(0, 0);
	push(4);
	cr_assert_eq(filch__injector_pop(&injector, taken, TASKS), 4);
	for (int i = 0; i < 4; i++) {
		assert_taken(i, i + 1);
	}
	filch__injector_fini(&injector);
}

Test(injector, counts_what_is_queued)
{
	push_chain(0, 3);
	cr_assert_eq(filch__injector_count(&injector), 4);
	cr_assert_eq(filch__injector_pop(&injector, taken, 3), 3);
	cr_assert_eq(filch__injector_count(&injector), 1);
	cr_assert_not(filch__injector_is_empty(&injector));
	cr_assert_eq(filch__injector_pop(&injector, taken, 3), 1);
	cr_assert_eq(filch__injector_count(&injector), 0);
	cr_assert(filch__injector_is_empty(&injector));
	filch__injector_fini(&injector);
}

Test(injector, the_same_task_can_be_queued_again)
{
	for (int i = 0; i < 100; i++) {
		push(0);
		cr_assert_eq(filch__injector_pop(&injector, taken, 1), 1);
		assert_taken(0, 0);
	}
	filch__injector_fini(&injector);
}

Test(injector, a_task_left_behind_is_a_bug, .signal = SIGABRT)
{
	push(0);
	filch__injector_fini(&injector);
}

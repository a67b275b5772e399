/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stealing and evening out, between workers that no thread runs: what one takes
 * from another, how it judges that, and what it then waits for.
 */
#include <criterion/criterion.h>

#include <filch/filch.h>

#include <pthread.h>

#include "executor/executor.h"

#define CAPACITY 256

static struct filch_executor executor;
static struct filch__worker workers[3];
static struct filch__worker *const thief = &workers[0];
static struct filch__worker *const victim = &workers[1];
static struct filch__worker *const third = &workers[2]; /* where counted */
static filch__ptr slots[3][2][CAPACITY];
static struct filch_task tasks[CAPACITY];

static void
setup(void)
{
	executor.workers = workers;
	executor.worker_count = 2;
	executor.looks = 1; /* so that the thief's peer is the victim */
	for (unsigned i = 0; i < 3; i++) {
		workers[i].executor = &executor;
		workers[i].index = i;
		workers[i].steal_max = FILCH__MOVE_MAX;
		filch__deque_init(&workers[i].woken, slots[i][0], CAPACITY);
		filch__deque_init(&workers[i].spawned, slots[i][1], CAPACITY);
	}
	thief->victim = victim;
}

static void
push(struct filch__deque *lane, int first, int count)
{
	for (int i = first; i < first + count; i++) {
		cr_assert(filch__deque_push(lane, &tasks[i]));
	}
}

/* ---- evening out ---- */

TestSuite(even_out, .init = setup);

Test(even_out, takes_half_of_the_difference_from_the_old_end)
{
	push(&thief->woken, 100, 2);
	push(&victim->woken, 0, 12);
	filch__worker_even_out(thief);
	cr_assert_eq(filch__deque_count(&victim->woken), 7);
	cr_assert_eq(filch__deque_count(&thief->woken), 7);
	cr_assert_eq(filch__deque_pop_oldest(&thief->woken), &tasks[100]);
	cr_assert_eq(filch__deque_pop_oldest(&thief->woken), &tasks[101]);
	cr_assert_eq(filch__deque_pop_oldest(&thief->woken), &tasks[0]);
	cr_assert_eq(filch__deque_pop_oldest(&victim->woken), &tasks[5]);
	cr_assert_eq(thief->counters.steals, 1);
	cr_assert_eq(thief->counters.tasks_stolen, 5);
}

Test(even_out, has_other_peers_told_of_what_was_fetched)
{
	push(&thief->woken, 100, 1);
	push(&victim->woken, 0, 100);
	filch__worker_even_out(thief);
	cr_assert_eq(thief->notify_after, FILCH__NOTIFY_AFTER_POLLS);
}

Test(even_out, has_peers_told_no_later_than_they_would_have_been)
{
	thief->notify_after = 1;
	push(&thief->woken, 100, 1);
	push(&victim->woken, 0, 100);
	filch__worker_even_out(thief);
	cr_assert_eq(thief->notify_after, 1);
}

Test(even_out, comes_once_in_a_look_of_the_reactor_thread)
{
	push(&thief->woken, 100, 1);
	filch__worker_even_out(thief);
	push(&victim->woken, 0, 100);
	filch__worker_even_out(thief);
	cr_assert_eq(filch__deque_count(&victim->woken), 100);
	executor.looks += 2;
	filch__worker_even_out(thief);
	cr_assert_lt(filch__deque_count(&victim->woken), 100);
}

Test(even_out, leaves_a_peer_alone_that_has_little_more)
{
	push(&thief->woken, 100, 1);
	push(&victim->woken, 0, 4);
	filch__worker_even_out(thief);
	cr_assert_eq(filch__deque_count(&victim->woken), 4);
}

Test(even_out, is_not_for_a_worker_that_has_nothing_and_so_searches)
{
	push(&victim->woken, 0, 100);
	filch__worker_even_out(thief);
	cr_assert_eq(filch__deque_count(&victim->woken), 100);
}

/* ---- giving ---- */

static struct filch__shard *woken;

static void
wake(struct filch__shard *shard)
{
	woken = shard;
}

/* The victim sleeps. */
static void
setup_asleep(void)
{
	static const struct filch__driver driver = { .wake = wake };
	static struct filch__shard shard;

	setup();
	executor.reactor.driver = &driver;
	victim->shard = &shard;
	filch__injector_init(&executor.injector);
	filch__idle_init(&executor.idle, 2);
	filch__idle_park(&executor.idle, victim->index, false);
}

TestSuite(even_out_asleep, .init = setup_asleep);

Test(even_out_asleep, gives_the_older_half_and_wakes)
{
	struct filch_task *taken[CAPACITY];

	push(&thief->woken, 0, 8);
	filch__worker_even_out(thief);
	cr_assert_eq(woken, victim->shard);
	cr_assert(thief->has_given);
	cr_assert_eq(filch__deque_count(&thief->woken), 4);
	cr_assert_eq(
	    filch__injector_pop(&executor.injector, taken, CAPACITY), 4);
	for (int i = 0; i < 4; i++) {
		cr_assert_eq(taken[i], &tasks[i]);
	}
	cr_assert_eq(thief->counters.overflows, 4);
	executor.looks += 2;
	filch__worker_even_out(thief);
	cr_assert_not(thief->has_given, "the peer was woken, and searches");
	cr_assert(filch__injector_is_empty(&executor.injector));
}

Test(even_out_asleep, keeps_off_until_the_next_look_even_without_tasks)
{
	push(&thief->woken, 0, 8);
	filch__worker_even_out(thief);
	while (filch__deque_pop_oldest(&thief->woken) != NULL) {
		continue;
	}
	filch__worker_even_out(thief);
	cr_assert(thief->has_given);
	executor.looks++;
	filch__worker_even_out(thief);
	cr_assert_not(thief->has_given);
}

Test(even_out_asleep, gives_nothing_of_little)
{
	push(&thief->woken, 0, 3);
	filch__worker_even_out(thief);
	cr_assert_null(woken);
	cr_assert_eq(filch__deque_count(&thief->woken), 3);
}

Test(even_out_asleep, keeps_nobody_from_fetching_elsewhere)
{
	executor.worker_count = 3;
	executor.looks = 2; /* so that the thief's peer is the third */
	push(&thief->woken, 100, 1);
	push(&third->woken, 0, 12);
	filch__worker_even_out(thief);
	cr_assert_eq(filch__deque_count(&thief->woken), 6);
	cr_assert_eq(filch__deque_count(&third->woken), 7);
	cr_assert_null(woken);
}

Test(even_out_asleep, gives_nothing_where_the_worker_slept_too)
{
	filch__counter_add(&thief->counters.parks, 1);
	push(&thief->woken, 0, 8);
	filch__worker_even_out(thief);
	cr_assert_null(woken);
	executor.looks += 2;
	filch__worker_even_out(thief);
	cr_assert_eq(woken, victim->shard);
}

/* ---- stealing ---- */

TestSuite(steal, .init = setup);

Test(steal, takes_half_of_both_lanes_and_keeps_them_apart)
{
	push(&victim->woken, 0, 6);
	push(&victim->spawned, 100, 8);
	cr_assert_eq(filch__worker_steal(thief, victim, true), &tasks[0]);
	cr_assert_eq(filch__deque_count(&victim->woken), 3);
	cr_assert_eq(filch__deque_count(&victim->spawned), 4);
	cr_assert_eq(filch__deque_count(&thief->woken), 2);
	cr_assert_eq(filch__deque_count(&thief->spawned), 4);
	cr_assert_eq(filch__deque_pop_oldest(&thief->woken), &tasks[1]);
	cr_assert_eq(filch__deque_pop_oldest(&thief->spawned), &tasks[100]);
	cr_assert(thief->notify);
	cr_assert_eq(thief->counters.tasks_stolen, 7);
}

Test(steal, leaves_spawned_tasks_while_they_are_not_worth_it)
{
	push(&victim->woken, 0, 1);
	push(&victim->spawned, 100, 8);
	cr_assert_eq(filch__worker_steal(thief, victim, false), &tasks[0]);
	cr_assert_null(filch__worker_steal(thief, victim, false));
	cr_assert_eq(filch__deque_count(&victim->spawned), 8);
}

Test(steal, takes_no_more_spawned_tasks_than_paid_lately)
{
	thief->steal_max = 3;
	push(&victim->spawned, 0, 100);
	cr_assert_eq(filch__worker_steal(thief, victim, true), &tasks[0]);
	cr_assert_eq(filch__deque_count(&victim->spawned), 97);
	cr_assert_eq(filch__deque_count(&thief->spawned), 2);
}

Test(steal, takes_the_lifo_task_of_a_worker_that_polls_nothing)
{
	victim->lifo = &tasks[0];
	cr_assert_eq(filch__worker_steal_lifo(thief, victim), &tasks[0]);
	cr_assert_null(filch__worker_steal_lifo(thief, victim));
	cr_assert_eq(thief->counters.tasks_stolen, 1);
}

/* ---- judging ---- */

/* What was stolen took an hour to take, and was run in no time. */
static void
judge_loss(void)
{
	thief->loot_since_ns = filch_now();
	thief->loot_cost_ns = UINT64_C(3600000000000);
	filch__worker_judge_loot(thief);
	cr_assert_eq(thief->loot_cost_ns, 0);
}

/* It was taken in no time, and has run since the clock began. */
static void
judge_gain(void)
{
	thief->loot_since_ns = 0;
	thief->loot_cost_ns = 1;
	filch__worker_judge_loot(thief);
	cr_assert_eq(thief->loot_cost_ns, 0);
}

Test(steal, that_was_not_worth_it_makes_the_thief_wait_and_take_less)
{
	cr_assert(filch__worker_steal_is_due(thief));
	judge_loss();
	cr_assert_gt(thief->steal_wait_ns, 0);
	cr_assert_gt(thief->steal_after_ns, thief->loot_since_ns);
	cr_assert_lt(thief->steal_max, FILCH__MOVE_MAX);
	thief->steal_after_ns = FILCH_NEVER;
	cr_assert_not(filch__worker_steal_is_due(thief));
}

Test(steal, waits_longer_each_time_up_to_a_bound_and_takes_some_at_least)
{
	uint32_t first;
	uint32_t longest;

	judge_loss();
	first = thief->steal_wait_ns;
	judge_loss();
	cr_assert_eq(thief->steal_wait_ns, 2 * first);
	for (int i = 0; i < 40; i++) {
		judge_loss();
	}
	longest = thief->steal_wait_ns;
	cr_assert_gt(thief->steal_max, 0);
	judge_loss();
	cr_assert_eq(thief->steal_wait_ns, longest);
	cr_assert_lt(longest, 1000000, "less than three looks of the reactor");
}

Test(steal, that_was_worth_it_ends_the_wait_and_takes_more_up_to_a_bound)
{
	uint32_t little;

	judge_loss();
	judge_loss();
	little = thief->steal_max;
	judge_gain();
	cr_assert(filch__worker_steal_is_due(thief));
	cr_assert_eq(thief->steal_max, 2 * little);
	for (int i = 0; i < 40; i++) {
		judge_gain();
	}
	cr_assert_eq(thief->steal_max, FILCH__MOVE_MAX);
}

Test(steal, is_judged_once)
{
	judge_loss();
	thief->loot_since_ns = 0;
	filch__worker_judge_loot(thief);
	cr_assert_gt(thief->steal_wait_ns, 0);
}

/* ---- the wait ---- */

Test(steal, waits_no_longer_if_the_victim_polls_little)
{
	judge_loss();
	thief->steal_after_ns = FILCH_NEVER;
	filch__worker_wait_to_steal(thief);
	cr_assert(filch__worker_steal_is_due(thief));
}

/* Tiny tasks. */
static void *
victim_main(void *arg)
{
	while (filch__u32_load_relaxed(arg) == 0) {
		filch__counter_add(&victim->counters.polls, 1);
	}
	return (NULL);
}

/* Sooner or later: the victim may not get a CPU every time. */
Test(steal, waits_on_while_the_victim_polls_much, .timeout = 60)
{
	filch__u32 may_end = 0;
	pthread_t thread;

	judge_loss();
	cr_assert_eq(pthread_create(&thread, NULL, victim_main, &may_end), 0);
	do {
		thief->steal_after_ns = FILCH_NEVER;
		filch__worker_wait_to_steal(thief);
	} while (filch__worker_steal_is_due(thief));
	filch__u32_store_relaxed(&may_end, 1);
	pthread_join(thread, NULL);
}

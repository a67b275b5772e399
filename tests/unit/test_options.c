/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an executor can be told at its creation, and what it refuses.
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "options_fixture.h"

TestSuite(options, .init = setup, .fini = teardown, .timeout = 60);

static void
assert_refused(int error)
{
	cr_assert_eq(filch_executor_create(&options, &executor), error);
	cr_assert_null(executor);
}

static void
assert_taken(void)
{
	cr_assert_eq(filch_executor_create(&options, &executor), 0);
	filch_executor_destroy(executor);
	executor = NULL;
}

/* ---- bounds ---- */

Test(options, of_another_size_are_refused)
{
	options.size = 0;
	assert_refused(-EINVAL);
	options.size = sizeof(options) + 1;
	assert_refused(-EINVAL);
}

Test(options, more_workers_than_the_bound_are_refused)
{
	options.worker_count = FILCH_WORKERS_MAX + 1;
	assert_refused(-EINVAL);
}

Test(options, a_deque_too_small_too_large_or_uneven_is_refused)
{
	options.deque_capacity = FILCH_DEQUE_CAPACITY_MIN / 2;
	assert_refused(-EINVAL);
	options.deque_capacity = FILCH_DEQUE_CAPACITY_MAX * 2;
	assert_refused(-EINVAL);
	options.deque_capacity = FILCH_DEQUE_CAPACITY_MIN + 1;
	assert_refused(-EINVAL);
	options.deque_capacity = FILCH_DEQUE_CAPACITY_MIN;
	assert_taken();
	options.deque_capacity = FILCH_DEQUE_CAPACITY_MAX;
	assert_taken();
}

Test(options, an_injector_too_large_is_refused)
{
	options.injector_capacity = FILCH_INJECTOR_CAPACITY_MAX + 1;
	assert_refused(-EINVAL);
	options.injector_capacity = FILCH_INJECTOR_CAPACITY_MAX;
	assert_taken();
}

Test(options, a_ring_too_small_too_large_or_uneven_is_refused)
{
	options.ring_entries = FILCH_RING_ENTRIES_MIN / 2;
	assert_refused(-EINVAL);
	options.ring_entries = FILCH_RING_ENTRIES_MAX * 2;
	assert_refused(-EINVAL);
	options.ring_entries = FILCH_RING_ENTRIES_MIN + 1;
	assert_refused(-EINVAL);
	options.ring_entries = FILCH_RING_ENTRIES_MIN;
	assert_taken();
}

Test(options, too_many_pool_threads_are_refused)
{
	options.pool_threads_max = FILCH_POOL_THREADS_MAX + 1;
	assert_refused(-EINVAL);
	options.pool_threads_max = FILCH_POOL_THREADS_MAX;
	assert_taken();
}

Test(options, too_large_a_budget_is_refused)
{
	options.budget = FILCH_BUDGET_MAX + 1;
	assert_refused(-EINVAL);
	options.budget = FILCH_BUDGET_MAX;
	assert_taken();
}

Test(options, too_large_an_event_interval_is_refused)
{
	options.event_interval = FILCH_EVENT_INTERVAL_MAX + 1;
	assert_refused(-EINVAL);
	options.event_interval = FILCH_EVENT_INTERVAL_MAX;
	assert_taken();
	options.event_interval = 1;
	assert_taken();
}

Test(options, a_driver_that_there_is_not_is_refused)
{
	options.driver = (enum filch_driver_kind)(FILCH_DRIVER_KQUEUE + 1);
	assert_refused(-EINVAL);
	options.driver = (enum filch_driver_kind) - 1;
	assert_refused(-EINVAL);
}

/* ---- workers ---- */

/* Where a task ran, and on what CPUs it may run. */
struct look {
	struct filch_task task;
	cpu_set_t cpus;
	int worker;
};

static enum filch_poll
look_poll(struct filch_task *task)
{
	struct look *look = filch_container_of(task, struct look, task);

	look->worker = filch_worker_index();
	(void)sched_getaffinity(0, sizeof(look->cpus), &look->cpus);
	return (FILCH_READY);
}

static struct look
look_run(void)
{
	struct look look;

	CPU_ZERO(&look.cpus);
	filch_task_init(&look.task, look_poll, NULL);
	cr_assert_eq(filch_executor_block_on(executor, &look.task), 0);
	return (look);
}

static cpu_set_t
cpus_allowed(void)
{
	cpu_set_t allowed;

	cr_assert_eq(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
	return (allowed);
}

/* The index-th of the CPUs that this process may use, counted round. */
static size_t
cpu_allowed(int index)
{
	cpu_set_t allowed = cpus_allowed();
	size_t cpu = 0;

	index %= CPU_COUNT(&allowed);
	while (!CPU_ISSET(cpu, &allowed) || index-- > 0) {
		cpu++;
	}
	return (cpu);
}

Test(options, none_give_one_worker_for_each_cpu_allowed)
{
	cpu_set_t allowed = cpus_allowed();

	cr_assert_eq(filch_executor_create(NULL, &executor), 0);
	cr_assert_eq(filch_executor_worker_count(executor),
	    (unsigned)CPU_COUNT(&allowed));
}

Test(options, one_cpu_allowed_gives_one_worker)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu_allowed(0), &one);
	cr_assert_eq(sched_setaffinity(0, sizeof(one), &one), 0);
	cr_assert_eq(filch_executor_create(NULL, &executor), 0);
	cr_assert_eq(filch_executor_worker_count(executor), 1);
}

Test(options, as_many_workers_as_asked_for_run_tasks)
{
	struct blocker blockers[5];

	options.worker_count = 5;
	cr_assert_eq(filch_executor_create(&options, &executor), 0);
	cr_assert_eq(filch_executor_worker_count(executor), 5);
	/* each needs a worker of its own */
	for (int i = 0; i < 5; i++) {
		blocker_start(executor, &blockers[i]);
	}
	for (int i = 0; i < 5; i++) {
		blocker_end(&blockers[i]);
	}
}

Test(options, a_pinned_worker_has_the_cpu_of_its_index)
{
	struct blocker blocker;
	struct look look;

	options.pin_workers = true;
	options.worker_count = 2;
	cr_assert_eq(filch_executor_create(&options, &executor), 0);
	for (int i = 0; i < 2; i++) {
		/* whichever worker this takes, the other one looks */
		blocker_start(executor, &blocker);
		look = look_run();
		blocker_end(&blocker);
		cr_assert_eq(CPU_COUNT(&look.cpus), 1);
		cr_assert(CPU_ISSET(cpu_allowed(look.worker), &look.cpus));
	}
}

Test(options, workers_are_not_pinned_unless_asked_for)
{
	cpu_set_t allowed = cpus_allowed();
	struct look look;

	cr_assert_eq(filch_executor_create(&options, &executor), 0);
	look = look_run();
	cr_assert(CPU_EQUAL(&look.cpus, &allowed));
}

Test(options, a_worker_knows_its_index_and_other_threads_have_none)
{
	cr_assert_eq(filch_executor_create(&options, &executor), 0);
	cr_assert_eq(filch_worker_index(), -1);
	cr_assert_eq(look_run().worker, 0);
}

/* ---- drivers ---- */

Test(options, a_driver_asked_for_is_taken_whatever_the_environment)
{
	setenv("FILCH_DRIVER", "uring", 1);
	options.driver = FILCH_DRIVER_POSIX;
	cr_assert_eq(filch_executor_create(&options, &executor), 0);
	cr_assert_eq(filch_executor_driver(executor), FILCH_DRIVER_POSIX);
	cr_assert_str_eq(
	    filch_executor_driver_reason(executor), "asked for by option");
}

Test(options, the_environment_chooses_where_no_driver_is_asked_for)
{
	setenv("FILCH_DRIVER", "posix", 1);
	cr_assert_eq(filch_executor_create(&options, &executor), 0);
	cr_assert_eq(filch_executor_driver(executor), FILCH_DRIVER_POSIX);
	cr_assert_str_eq(filch_executor_driver_reason(executor),
	    "asked for by FILCH_DRIVER");
}

Test(options, the_environment_may_name_auto_or_nothing)
{
	static const char *const names[] = { "auto", "" };

	for (int i = 0; i < 2; i++) {
		setenv("FILCH_DRIVER", names[i], 1);
		cr_assert_eq(filch_executor_create(&options, &executor), 0);
		cr_assert_neq(
		    filch_executor_driver(executor), FILCH_DRIVER_AUTO);
		cr_assert_gt(strlen(filch_executor_driver_reason(executor)), 0);
		filch_executor_destroy(executor);
		executor = NULL;
	}
}

Test(options, an_environment_that_names_no_driver_is_refused)
{
	setenv("FILCH_DRIVER", "kqueues", 1);
	assert_refused(-EINVAL);
}

Test(options, every_driver_has_its_name)
{
	cr_assert_str_eq(filch_driver_name(FILCH_DRIVER_AUTO), "auto");
	cr_assert_str_eq(filch_driver_name(FILCH_DRIVER_URING), "uring");
	cr_assert_str_eq(filch_driver_name(FILCH_DRIVER_POSIX), "posix");
	cr_assert_str_eq(filch_driver_name(FILCH_DRIVER_KQUEUE), "kqueue");
	cr_assert_str_eq(filch_driver_name((enum filch_driver_kind)99), "auto");
}

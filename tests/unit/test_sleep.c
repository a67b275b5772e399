/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Time: the clock, sleeps, and who may use them.  The heap of timers is in
 * test_timers.c.
 */
#include <signal.h>

#include "fixture.h"

TestSuite(sleep, .init = setup, .fini = teardown, .timeout = 60);

struct sleeper {
	struct filch_task task;
	struct filch_sleep sleep;
	sem_t polled;
	bool cancels; /* its own task, before it polls */
	bool again;   /* polls once more after it is ready */
	int polls;
	int result;
	uint64_t end_ns;
};

static enum filch_poll
sleeper_poll(struct filch_task *task)
{
	struct sleeper *self = filch_container_of(task, struct sleeper, task);
	enum filch_poll answer;

	if (self->cancels) {
		filch_task_cancel(task);
	}
	answer = filch_sleep_poll(&self->sleep, task, &self->result);
	self->polls++;
	if (answer == FILCH_READY) {
		self->end_ns = filch_now();
		if (self->again) {
			(void)filch_sleep_poll(
			    &self->sleep, task, &self->result);
		}
	}
	sem_post(&self->polled);
	return (answer);
}

static void
sleeper_init(struct sleeper *self, uint64_t deadline_ns)
{
	*self = (struct sleeper){ .result = 1 };
	sem_init(&self->polled, 0, 0);
	filch_sleep_init(&self->sleep, deadline_ns);
	filch_task_init(&self->task, sleeper_poll, NULL);
}

Test(sleep, the_clock_does_not_go_back)
{
	uint64_t before_ns = filch_now();

	for (int i = 0; i < 1000; i++) {
		uint64_t now_ns = filch_now();

		cr_assert_geq(now_ns, before_ns);
		before_ns = now_ns;
	}
}

Test(sleep, until_a_time_that_has_passed_is_ready_at_once)
{
	struct sleeper self;

	sleeper_init(&self, filch_now());
	cr_assert_eq(filch_executor_block_on(executor, &self.task), 0);
	cr_assert_eq(self.result, 0);
	cr_assert_eq(self.polls, 1);
	sleeper_init(&self, 0);
	cr_assert_eq(filch_executor_block_on(executor, &self.task), 0);
	cr_assert_eq(self.polls, 1);
}

Test(sleep, polled_too_early_it_waits_on)
{
	struct sleeper self;

	sleeper_init(&self, filch_now() + 50000000);
	cr_assert_eq(filch_executor_spawn_joinable(executor, &self.task), 0);
	wait_for(&self.polled);
	filch_task_wake(&self.task);
	wait_for(&self.polled);
	cr_assert_eq(filch_task_join(&self.task), 0);
	cr_assert_eq(self.result, 0);
	cr_assert_geq(self.polls, 2);
}

#define SLEEPERS 200

Test(sleep, many_end_each_at_its_own_deadline_and_not_before)
{
	static struct sleeper sleepers[SLEEPERS];
	static uint64_t deadlines[SLEEPERS];
	uint64_t start_ns = filch_now();

	for (uint64_t i = 0; i < SLEEPERS; i++) {
		/* neither in order nor all different */
		deadlines[i] = start_ns + (i * 37 % 50) * 1000000;
		sleeper_init(&sleepers[i], deadlines[i]);
		cr_assert_eq(
		    filch_executor_spawn_joinable(executor, &sleepers[i].task),
		    0);
	}
	for (int i = 0; i < SLEEPERS; i++) {
		cr_assert_eq(filch_task_join(&sleepers[i].task), 0);
		cr_assert_eq(sleepers[i].result, 0);
		cr_assert_geq(sleepers[i].end_ns, deadlines[i]);
	}
}

/* The reactor thread sleeps for the far one and must be told of the near. */
Test(sleep, a_near_deadline_is_not_slept_through_for_a_far_one)
{
	struct sleeper far;
	struct sleeper near;

	sleeper_init(&far, FILCH_NEVER - 1);
	cr_assert_eq(filch_executor_spawn_joinable(executor, &far.task), 0);
	wait_for(&far.polled);
	sleeper_init(&near, filch_now() + 1000000);
	cr_assert_eq(filch_executor_block_on(executor, &near.task), 0);
	cr_assert_eq(near.result, 0);
	filch_task_cancel(&far.task);
	cr_assert_eq(filch_task_join(&far.task), 0);
	cr_assert_eq(far.result, -ECANCELED);
}

Test(sleep, in_a_cancelled_task_does_not_start)
{
	struct sleeper self;

	sleeper_init(&self, FILCH_NEVER - 1);
	self.cancels = true;
	cr_assert_eq(filch_executor_block_on(executor, &self.task), 0);
	cr_assert_eq(self.result, -ECANCELED);
	cr_assert_eq(self.polls, 1);
}

Test(sleep, whose_result_was_taken_is_not_polled_again, .signal = SIGABRT)
{
	struct sleeper self;

	sleeper_init(&self, 0);
	self.again = true;
	(void)!filch_executor_block_on(executor, &self.task);
}

Test(sleep, outside_of_a_task_is_a_misuse, .signal = SIGABRT)
{
	struct sleeper self;
	int result;

	sleeper_init(&self, 0);
	(void)filch_sleep_poll(&self.sleep, &self.task, &result);
}

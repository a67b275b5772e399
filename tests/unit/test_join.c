/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Join handles: who waits for a task, what he learns, and when the handle is
 * given up.
 */
#include <pthread.h>
#include <signal.h>

#include "../../include/private/task_word.h"
#include "fixture.h"

TestSuite(join, .init = setup, .fini = teardown, .timeout = 60);

/* A task that joins another one. */
struct joiner {
	struct filch_task task;
	struct filch_task *target;
	sem_t polled;
	sem_t released;
	int polls;
	int result;
};

static enum filch_poll
joiner_poll(struct filch_task *task)
{
	struct joiner *joiner = filch_container_of(task, struct joiner, task);
	enum filch_poll answer =
	    filch_task_poll_join(joiner->target, task, &joiner->result);

	joiner->polls++;
	sem_post(&joiner->polled);
	return (answer);
}

static void
joiner_release(struct filch_task *task)
{
	sem_post(&filch_container_of(task, struct joiner, task)->released);
}

static void
joiner_init(struct joiner *joiner, struct filch_task *target)
{
	*joiner = (struct joiner){ .target = target, .result = 1 };
	sem_init(&joiner->polled, 0, 0);
	sem_init(&joiner->released, 0, 0);
	filch_task_init(&joiner->task, joiner_poll, joiner_release);
}

/* ---- threads ---- */

Test(join, of_a_finished_task_returns_at_once)
{
	struct guest guest;

	guest_start(executor, &guest);
	guest_let_finish(&guest);
	filch_waker_wake(&guest.waker);
	wait_for(&guest.polled);
	cr_assert_eq(filch_task_join(&guest.task), 0);
	wait_for(&guest.released);
}

Test(join, keeps_the_task_until_the_handle_is_given_up)
{
	struct guest guest;

	guest_start(executor, &guest);
	guest_let_finish(&guest);
	filch_waker_wake(&guest.waker);
	wait_for(&guest.polled);
	cr_assert_eq(filch_executor_shutdown(
			 executor, FILCH_SHUTDOWN_GRACEFUL, patience()),
	    0);
	cr_assert_not(guest_is_released(&guest));
	cr_assert_eq(filch_task_join(&guest.task), 0);
	cr_assert(guest_is_released(&guest));
}

Test(join, waits_for_a_task_that_somebody_else_wakes)
{
	struct guest guest;
	pthread_t thread;

	guest_start(executor, &guest);
	cr_assert_eq(pthread_create(&thread, NULL, guest_finish, &guest), 0);
	cr_assert_eq(filch_task_join(&guest.task), 0);
	cr_assert_eq(guest.polls, 2);
	pthread_join(thread, NULL);
}

/* The handle is a reference: with it the task can still be reached. */
Test(join, a_task_left_with_its_handle_only_can_be_cancelled_and_joined)
{
	struct guest guest;

	guest_start(executor, &guest);
	filch_waker_drop(&guest.waker);
	cr_assert_not(guest_is_released(&guest));
	guest_let_finish(&guest);
	filch_task_cancel(&guest.task);
	cr_assert_eq(filch_task_join(&guest.task), 0);
	cr_assert(guest.saw_cancel);
}

Test(join, a_task_given_up_by_its_executor_says_so)
{
	struct guest guest;

	guest_start(executor, &guest);
	filch_executor_destroy(executor);
	executor = NULL;
	filch_waker_wake(&guest.waker);
	cr_assert_eq(filch_task_join(&guest.task), -ECANCELED);
	cr_assert_eq(guest.polls, 1);
	cr_assert(guest_is_released(&guest));
}

/* Its executor's memory has gone, as no task of it is alive. */
Test(join, a_finished_task_can_be_asked_after_its_executor_has_gone)
{
	struct guest guest;

	guest_start(executor, &guest);
	guest_let_finish(&guest);
	filch_waker_wake(&guest.waker);
	filch_executor_destroy(executor);
	executor = NULL;
	cr_assert_not(filch_task_is_cancelled(&guest.task));
	filch_task_wake(&guest.task);
	filch_task_cancel(&guest.task);
	cr_assert_not(filch_task_is_cancelled(&guest.task));
	cr_assert_eq(filch_task_join(&guest.task), 0);
	cr_assert(guest_is_released(&guest));
}

Test(join, after_destroy_a_wake_by_the_handle_gives_the_task_up)
{
	struct guest guest;

	guest_start(executor, &guest);
	filch_waker_drop(&guest.waker);
	filch_executor_destroy(executor);
	executor = NULL;
	filch_task_wake(&guest.task);
	cr_assert_eq(filch_task_join(&guest.task), -ECANCELED);
	cr_assert(guest_is_released(&guest));
}

struct thread_joiner {
	struct filch_task task;
	struct filch_task *target;
	int result;
	int blocked_on;
};

static enum filch_poll
thread_joiner_poll(struct filch_task *task)
{
	struct thread_joiner *self =
	    filch_container_of(task, struct thread_joiner, task);
	struct filch_task other;

	self->result = filch_task_join(self->target);
	filch_task_init(&other, thread_joiner_poll, NULL);
	self->blocked_on = filch_executor_block_on(executor, &other);
	return (FILCH_READY);
}

Test(join, on_a_worker_is_refused_and_keeps_the_handle)
{
	struct thread_joiner self = { .result = 1 };
	struct guest guest;

	guest_start(executor, &guest);
	self.target = &guest.task;
	filch_task_init(&self.task, thread_joiner_poll, NULL);
	cr_assert_eq(filch_executor_block_on(executor, &self.task), 0);
	cr_assert_eq(self.result, -EDEADLK);
	cr_assert_eq(self.blocked_on, -EDEADLK);
	guest_let_finish(&guest);
	filch_waker_wake(&guest.waker);
	cr_assert_eq(filch_task_join(&guest.task), 0);
}

/* ---- detaching ---- */

Test(join, a_detached_task_runs_on_and_is_released_at_its_end)
{
	struct guest guest;

	guest_start(executor, &guest);
	filch_task_detach(&guest.task);
	guest_let_finish(&guest);
	filch_waker_wake(&guest.waker);
	wait_for(&guest.released);
	cr_assert_eq(guest.polls, 2);
}

Test(join, detaching_a_finished_task_releases_it)
{
	struct guest guest;

	guest_start(executor, &guest);
	guest_let_finish(&guest);
	filch_waker_wake(&guest.waker);
	cr_assert_eq(filch_executor_shutdown(
			 executor, FILCH_SHUTDOWN_GRACEFUL, patience()),
	    0);
	filch_task_detach(&guest.task);
	cr_assert(guest_is_released(&guest));
}

Test(join, detaching_the_last_reference_gives_an_idle_task_up)
{
	struct guest guest;

	guest_start(executor, &guest);
	filch_waker_drop(&guest.waker);
	filch_task_detach(&guest.task);
	/* its poll may still be ending on the worker */
	wait_for(&guest.released);
	cr_assert_eq(filch_executor_shutdown(
			 executor, FILCH_SHUTDOWN_GRACEFUL, patience()),
	    0);
}

/* ---- tasks ---- */

Test(join, a_task_waits_for_another)
{
	struct joiner joiner;
	struct guest guest;

	guest_start(executor, &guest);
	joiner_init(&joiner, &guest.task);
	cr_assert_eq(filch_executor_spawn_joinable(executor, &joiner.task), 0);
	wait_for(&joiner.polled);
	guest_let_finish(&guest);
	filch_waker_wake(&guest.waker);
	cr_assert_eq(filch_task_join(&joiner.task), 0);
	cr_assert_eq(joiner.result, 0);
	cr_assert_eq(joiner.polls, 2);
	wait_for(&guest.released);
}

Test(join, a_task_finds_another_finished_already)
{
	struct joiner joiner;
	struct guest guest;

	guest_init(&guest);
	guest_let_finish(&guest);
	cr_assert_eq(filch_executor_spawn_joinable(executor, &guest.task), 0);
	wait_for(&guest.polled);
	joiner_init(&joiner, &guest.task);
	cr_assert_eq(filch_executor_block_on(executor, &joiner.task), 0);
	cr_assert_eq(joiner.result, 0);
	cr_assert(guest_is_released(&guest));
}

Test(join, the_latest_task_that_waits_is_woken_and_the_earlier_let_go)
{
	struct joiner joiners[2];
	struct guest guest;

	guest_start(executor, &guest);
	joiner_init(&joiners[0], &guest.task);
	cr_assert_eq(filch_executor_spawn(executor, &joiners[0].task), 0);
	wait_for(&joiners[0].polled);
	joiner_init(&joiners[1], &guest.task);
	cr_assert_eq(
	    filch_executor_spawn_joinable(executor, &joiners[1].task), 0);
	wait_for(&joiners[1].polled);
	/* its waker was all that kept it */
	wait_for(&joiners[0].released);
	guest_let_finish(&guest);
	filch_waker_wake(&guest.waker);
	cr_assert_eq(filch_task_join(&joiners[1].task), 0);
	cr_assert_eq(joiners[1].result, 0);
	cr_assert_eq(joiners[0].polls, 1);
}

Test(join, a_task_polled_again_before_the_end_waits_on)
{
	struct joiner joiner;
	struct guest guest;

	guest_start(executor, &guest);
	joiner_init(&joiner, &guest.task);
	cr_assert_eq(filch_executor_spawn_joinable(executor, &joiner.task), 0);
	wait_for(&joiner.polled);
	filch_task_wake(&joiner.task);
	wait_for(&joiner.polled);
	guest_let_finish(&guest);
	filch_waker_wake(&guest.waker);
	cr_assert_eq(filch_task_join(&joiner.task), 0);
	cr_assert_eq(joiner.polls, 3);
}

Test(join, a_task_of_another_executor_learns_that_it_was_given_up)
{
	struct filch_executor *other = executor_new(1);
	struct joiner joiner;
	struct guest guest;

	guest_start(other, &guest);
	joiner_init(&joiner, &guest.task);
	cr_assert_eq(filch_executor_spawn_joinable(executor, &joiner.task), 0);
	wait_for(&joiner.polled);
	filch_executor_destroy(other);
	filch_waker_wake(&guest.waker);
	cr_assert_eq(filch_task_join(&joiner.task), 0);
	cr_assert_eq(joiner.result, -ECANCELED);
	cr_assert_eq(guest.polls, 1);
}

/* Joins until it is cancelled, then gives the handle up. */
static enum filch_poll
quitter_poll(struct filch_task *task)
{
	struct joiner *joiner = filch_container_of(task, struct joiner, task);

	if (!filch_task_is_cancelled(task)) {
		return (joiner_poll(task));
	}
	filch_task_detach(joiner->target);
	return (FILCH_READY);
}

Test(join, a_task_that_detaches_what_it_waits_for_is_let_go)
{
	struct joiner joiner;
	struct guest guest;

	guest_start(executor, &guest);
	joiner_init(&joiner, &guest.task);
	filch_task_init(&joiner.task, quitter_poll, joiner_release);
	cr_assert_eq(filch_executor_spawn_joinable(executor, &joiner.task), 0);
	wait_for(&joiner.polled);
	filch_task_cancel(&joiner.task);
	cr_assert_eq(filch_task_join(&joiner.task), 0);
	wait_for(&joiner.released);
	guest_let_finish(&guest);
	filch_waker_wake(&guest.waker);
	wait_for(&guest.released);
}

/* Joins until it is cancelled, then leaves the handle to others. */
static enum filch_poll
leaver_poll(struct filch_task *task)
{
	return (
	    filch_task_is_cancelled(task) ? FILCH_READY : joiner_poll(task));
}

struct succession {
	struct joiner joiner;
	struct guest guest;
};

/* Once the waker has gone that the joiner left behind. */
static void *
wake_when_let_go(void *arg)
{
	struct succession *succession = arg;

	wait_for(&succession->joiner.released);
	return (guest_finish(&succession->guest));
}

Test(join, a_thread_takes_over_from_a_task_that_waits_no_more)
{
	struct succession both;
	pthread_t thread;

	guest_start(executor, &both.guest);
	joiner_init(&both.joiner, &both.guest.task);
	filch_task_init(&both.joiner.task, leaver_poll, joiner_release);
	cr_assert_eq(
	    filch_executor_spawn_joinable(executor, &both.joiner.task), 0);
	wait_for(&both.joiner.polled);
	filch_task_cancel(&both.joiner.task);
	cr_assert_eq(filch_task_join(&both.joiner.task), 0);
	cr_assert_eq(pthread_create(&thread, NULL, wake_when_let_go, &both), 0);
	cr_assert_eq(filch_task_join(&both.guest.task), 0);
	pthread_join(thread, NULL);
}

static void *
join_from_thread(void *arg)
{
	cr_assert_eq(filch_task_join(arg), 0);
	return (NULL);
}

Test(join, by_two_threads_at_a_time_is_a_misuse, .signal = SIGABRT)
{
	struct guest guest;
	pthread_t thread;

	guest_start(executor, &guest);
	cr_assert_eq(
	    pthread_create(&thread, NULL, join_from_thread, &guest.task), 0);
	/* relaxed: one waits, that is all */
	while ((filch__u64_load_relaxed(&guest.task.priv.state) &
		   FILCH__TASK_JOIN_WAKER) == 0) {
		continue;
	}
	(void)join_from_thread(&guest.task);
}

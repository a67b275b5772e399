/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tasks: waking, references, yielding and cancelling.  Joining is in
 * test_join.c.
 */
#include <signal.h>
#include <unistd.h>

#include "helpers.h"

static struct filch_executor *executor;

static void
setup(void)
{
	executor = executor_new(1);
}

static void
teardown(void)
{
	filch_executor_destroy(executor);
}

TestSuite(task, .init = setup, .fini = teardown, .timeout = 60);

Test(task, takes_at_most_64_bytes_of_the_users_struct)
{
	cr_assert_leq(sizeof(struct filch_task), 64);
}

Test(task, without_a_poll_function_is_a_misuse, .signal = SIGABRT)
{
	struct filch_task task;

	filch_task_init(&task, NULL, NULL);
}

/* ---- waking ---- */

Test(task, many_wakes_before_the_poll_make_one_poll)
{
	struct blocker blocker;
	struct guest guest;

	guest_start(executor, &guest);
	blocker_start(executor, &blocker);
	guest_let_finish(&guest);
	for (int i = 0; i < 100; i++) {
		filch_waker_wake_by_ref(&guest.waker);
	}
	blocker_end(&blocker);
	cr_assert_eq(filch_task_join(&guest.task), 0);
	cr_assert_eq(guest.polls, 2);
	filch_waker_drop(&guest.waker);
}

struct self_waker {
	struct filch_task task;
	int polls;
};

static enum filch_poll
self_waker_poll(struct filch_task *task)
{
	struct self_waker *self =
	    filch_container_of(task, struct self_waker, task);

	if (++self->polls == 2) {
		return (FILCH_READY);
	}
	for (int i = 0; i < 3; i++) {
		filch_task_wake(task);
	}
	return (FILCH_PENDING);
}

Test(task, wakes_during_its_poll_make_one_more_poll)
{
	struct self_waker self = { .polls = 0 };

	filch_task_init(&self.task, self_waker_poll, NULL);
	cr_assert_eq(filch_executor_block_on(executor, &self.task), 0);
	cr_assert_eq(self.polls, 2);
}

Test(task, a_wake_after_its_end_does_nothing)
{
	struct guest guest;

	guest_start(executor, &guest);
	guest_let_finish(&guest);
	filch_waker_wake_by_ref(&guest.waker);
	cr_assert_eq(filch_task_join(&guest.task), 0);
	filch_waker_wake_by_ref(&guest.waker);
	filch_task_cancel(&guest.task);
	cr_assert_not(guest_is_released(&guest));
	filch_waker_wake(&guest.waker);
	cr_assert(guest_is_released(&guest));
	cr_assert_eq(guest.polls, 2);
}

/* ---- references ---- */

Test(task, each_clone_of_a_waker_is_a_reference)
{
	struct filch_waker clones[10];
	struct guest guest;

	guest_start(executor, &guest);
	for (int i = 0; i < 10; i++) {
		clones[i] = filch_waker_clone(&guest.waker);
		cr_assert(filch_waker_is_same(&clones[i], &guest.waker));
	}
	guest_let_finish(&guest);
	filch_waker_wake(&guest.waker);
	cr_assert_null(guest.waker.vtable);
	cr_assert_eq(filch_task_join(&guest.task), 0);
	for (int i = 0; i < 10; i++) {
		cr_assert_not(guest_is_released(&guest));
		filch_waker_drop(&clones[i]);
		cr_assert_null(clones[i].vtable);
	}
	cr_assert(guest_is_released(&guest));
}

Test(task, a_reference_keeps_it_after_its_end)
{
	struct guest guest;

	guest_init(&guest);
	guest_let_finish(&guest);
	cr_assert_eq(filch_executor_spawn_joinable(executor, &guest.task), 0);
	filch_task_ref(&guest.task);
	cr_assert_eq(filch_task_join(&guest.task), 0);
	cr_assert_not(guest_is_released(&guest));
	filch_task_unref(&guest.task);
	cr_assert(guest_is_released(&guest));
}

static enum filch_poll
poll_pending(struct filch_task *task)
{
	(void)task;
	return (FILCH_PENDING);
}

Test(task, that_is_pending_and_known_to_nobody_is_released)
{
	struct guest guest;

	guest_init(&guest);
	filch_task_init(&guest.task, poll_pending, guest_release);
	cr_assert_eq(filch_executor_spawn(executor, &guest.task), 0);
	wait_for(&guest.released);
	cr_assert_eq(filch_executor_shutdown(
			 executor, FILCH_SHUTDOWN_GRACEFUL, patience()),
	    0);
}

Test(task, whose_last_waker_is_dropped_is_released_unpolled)
{
	struct guest guest;

	guest_start(executor, &guest);
	filch_task_detach(&guest.task);
	cr_assert_not(guest_is_released(&guest));
	filch_waker_drop(&guest.waker);
	/* by its worker, if that had not quite left its poll */
	wait_for(&guest.released);
	cr_assert_eq(guest.polls, 1);
	cr_assert_eq(filch_executor_shutdown(
			 executor, FILCH_SHUTDOWN_GRACEFUL, patience()),
	    0);
}

Test(task, never_spawned_is_released_by_its_own_reference)
{
	struct guest guest;

	guest_init(&guest);
	filch_task_unref(&guest.task);
	cr_assert(guest_is_released(&guest));
}

/* ---- wakers of nobody ---- */

Test(task, a_waker_of_nobody_can_be_used_like_any)
{
	struct filch_waker nobody = { NULL, NULL };
	struct filch_waker clone = filch_waker_clone(&nobody);

	cr_assert(filch_waker_is_same(&clone, &nobody));
	filch_waker_wake_by_ref(&nobody);
	filch_waker_wake(&nobody);
	filch_waker_drop(&clone);
	cr_assert_null(clone.vtable);
}

/* ---- yielding ---- */

#define PLAYERS 3
#define TURNS   50

struct player {
	struct filch_task task;
	int number;
	int turns;
};

static int turn_order[PLAYERS * TURNS];
static int turn_count;

static enum filch_poll
player_poll(struct filch_task *task)
{
	struct player *player = filch_container_of(task, struct player, task);

	turn_order[turn_count++] = player->number;
	return (++player->turns < TURNS ? filch_task_yield(task) : FILCH_READY);
}

Test(task, those_that_yield_take_turns)
{
	struct player players[PLAYERS];
	struct blocker blocker;

	blocker_start(executor, &blocker);
	for (int i = 0; i < PLAYERS; i++) {
		players[i] = (struct player){ .number = i };
		filch_task_init(&players[i].task, player_poll, NULL);
		cr_assert_eq(
		    filch_executor_spawn_joinable(executor, &players[i].task),
		    0);
	}
	blocker_end(&blocker);
	for (int i = 0; i < PLAYERS; i++) {
		cr_assert_eq(filch_task_join(&players[i].task), 0);
	}
	for (int i = PLAYERS; i < PLAYERS * TURNS; i++) {
		cr_assert_eq(turn_order[i], turn_order[i - PLAYERS]);
	}
}

struct parent {
	struct filch_task task;
	struct filch_task child;
	int child_ran;
	int spawned;
};

static enum filch_poll
child_poll(struct filch_task *task)
{
	filch_container_of(task, struct parent, child)->child_ran = 1;
	return (FILCH_READY);
}

static enum filch_poll
parent_poll(struct filch_task *task)
{
	struct parent *parent = filch_container_of(task, struct parent, task);

	if (parent->spawned == 0) {
		filch_task_init(&parent->child, child_poll, NULL);
		parent->spawned =
		    filch_executor_spawn(executor, &parent->child) == 0;
	}
	return (parent->child_ran ? FILCH_READY : filch_task_yield(task));
}

Test(task, that_yields_lets_those_it_spawned_run)
{
	struct parent parent = { .spawned = 0 };

	filch_task_init(&parent.task, parent_poll, NULL);
	cr_assert_eq(filch_executor_block_on(executor, &parent.task), 0);
	cr_assert(parent.child_ran);
}

/* ---- cancelling ---- */

Test(task, cancel_wakes_it_and_it_decides_itself_when_to_end)
{
	struct guest guest;

	guest_start(executor, &guest);
	cr_assert_not(guest.saw_cancel);
	filch_task_cancel(&guest.task);
	wait_for(&guest.polled);
	cr_assert(guest.saw_cancel);
	guest_let_finish(&guest);
	filch_waker_wake(&guest.waker);
	cr_assert_eq(filch_task_join(&guest.task), 0);
}

Test(task, cancelled_before_its_first_poll_is_polled_all_the_same)
{
	struct blocker blocker;
	struct guest guest;

	blocker_start(executor, &blocker);
	guest_init(&guest);
	guest_let_finish(&guest);
	cr_assert_eq(filch_executor_spawn_joinable(executor, &guest.task), 0);
	filch_task_cancel(&guest.task);
	blocker_end(&blocker);
	cr_assert_eq(filch_task_join(&guest.task), 0);
	cr_assert_eq(guest.polls, 1);
	cr_assert(guest.saw_cancel);
}

/* Operations of a task that cancels itself, step by step. */
struct cleaner {
	struct filch_task task;
	struct filch_file file;
	struct filch_op op;
	char byte;
	int64_t read;
	int64_t closed;
	int64_t read_again;
	int is_cancelled;
};

static enum filch_poll
cleaner_poll(struct filch_task *task)
{
	struct cleaner *self = filch_container_of(task, struct cleaner, task);

	if (self->read == 1) {
		filch_task_cancel(task);
		filch_op_init_read(&self->op, &self->file, &self->byte, 1, 0);
		if (filch_op_poll(&self->op, task, &self->read) ==
		    FILCH_PENDING) {
			return (FILCH_READY);
		}
		filch_op_init_close(&self->op, &self->file);
	}
	if (self->closed == 1 &&
	    filch_op_poll(&self->op, task, &self->closed) == FILCH_PENDING) {
		return (FILCH_PENDING);
	}
	if (self->read_again == 1) {
		filch_task_uncancel(task);
		self->is_cancelled = filch_task_is_cancelled(task);
		filch_op_init_read(&self->op, &self->file, &self->byte, 1, 0);
		self->read_again = 2;
	}
	return (filch_op_poll(&self->op, task, &self->read_again));
}

Test(task, cancelled_it_starts_nothing_but_close_until_it_uncancels)
{
	struct cleaner self = {
		.read = 1,
		.closed = 1,
		.read_again = 1,
		.is_cancelled = -1,
	};
	int fds[2];

	cr_assert_eq(pipe(fds), 0);
	cr_assert_eq(filch_file_init(&self.file, fds[0]), 0);
	filch_task_init(&self.task, cleaner_poll, NULL);
	cr_assert_eq(filch_executor_block_on(executor, &self.task), 0);
	cr_assert_eq(self.read, -ECANCELED);
	cr_assert_eq(self.closed, 0);
	cr_assert_eq(close(fds[0]), -1);
	cr_assert_eq(self.is_cancelled, 0);
	cr_assert_eq(self.read_again, -EBADF);
}

/* Withdraws its cancel in every poll; says how often that was in vain. */
struct denier {
	struct filch_task task;
	sem_t polled;
	struct filch_waker waker;
	int still_cancelled;
};

static enum filch_poll
denier_poll(struct filch_task *task)
{
	struct denier *self = filch_container_of(task, struct denier, task);

	filch_task_uncancel(task);
	if (filch_task_is_cancelled(task)) {
		self->still_cancelled++;
		return (FILCH_READY);
	}
	self->waker = filch_task_waker(task);
	sem_post(&self->polled);
	return (FILCH_PENDING);
}

Test(task, cannot_uncancel_an_immediate_shutdown)
{
	struct denier self = { .still_cancelled = 0 };

	sem_init(&self.polled, 0, 0);
	filch_task_init(&self.task, denier_poll, NULL);
	cr_assert_eq(filch_executor_spawn_joinable(executor, &self.task), 0);
	wait_for(&self.polled);
	cr_assert_eq(filch_executor_shutdown(
			 executor, FILCH_SHUTDOWN_IMMEDIATE, patience()),
	    0);
	filch_waker_wake(&self.waker);
	cr_assert_eq(filch_task_join(&self.task), 0);
	cr_assert_eq(self.still_cancelled, 1);
}

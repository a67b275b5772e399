/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Spawning: from outside, from workers, into other executors; back-pressure;
 * and the budget of those that run.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "fixture.h"

TestSuite(spawn, .init = setup, .fini = teardown, .timeout = 60);

/* A task that spawns another one and says what came of it. */
struct spawner {
	struct filch_task task;
	struct filch_executor *target;
	struct filch_task *child;
	int result;
	int worker;
};

static enum filch_poll
spawner_poll(struct filch_task *task)
{
	struct spawner *self = filch_container_of(task, struct spawner, task);

	self->worker = filch_worker_index();
	self->result = filch_executor_spawn_joinable(self->target, self->child);
	return (FILCH_READY);
}

static struct spawner
spawn_by_task(struct filch_executor *target, struct filch_task *child)
{
	struct spawner self = { .target = target, .child = child };

	filch_task_init(&self.task, spawner_poll, NULL);
	cr_assert_eq(filch_executor_block_on(executor, &self.task), 0);
	return (self);
}

static void
guest_ready(struct guest *guest)
{
	guest_init(guest);
	guest_let_finish(guest);
}

/* ---- from where ---- */

Test(spawn, by_a_task_runs_in_its_executor)
{
	struct guest guest;

	guest_ready(&guest);
	cr_assert_eq(spawn_by_task(executor, &guest.task).result, 0);
	cr_assert_eq(filch_task_join(&guest.task), 0);
	cr_assert_eq(guest.polls, 1);
}

Test(spawn, by_a_task_into_another_executor_runs_there)
{
	struct filch_executor *other = executor_new(1);
	struct guest guest;

	guest_ready(&guest);
	cr_assert_eq(spawn_by_task(other, &guest.task).result, 0);
	cr_assert_eq(filch_task_join(&guest.task), 0);
	/* nothing of it depends on the executor of the task that spawned it */
	filch_executor_destroy(executor);
	executor = other;
	cr_assert_eq(guest.polls, 1);
}

#define THREADS 4
#define EACH    500

struct flood {
	pthread_t thread;
	struct filch_task tasks[EACH];
};

static int flood_polls;

static enum filch_poll
flood_poll(struct filch_task *task)
{
	(void)task;
	__atomic_fetch_add(&flood_polls, 1, __ATOMIC_RELAXED);
	return (FILCH_READY);
}

static void *
flood_main(void *arg)
{
	struct flood *flood = arg;

	for (int i = 0; i < EACH; i++) {
		filch_task_init(&flood->tasks[i], flood_poll, NULL);
		if (filch_executor_spawn(executor, &flood->tasks[i]) != 0) {
			abort();
		}
	}
	return (NULL);
}

Test(spawn, by_many_threads_at_once_runs_each_task_once)
{
	static struct flood floods[THREADS];

	for (int i = 0; i < THREADS; i++) {
		cr_assert_eq(pthread_create(&floods[i].thread, NULL, flood_main,
				 &floods[i]),
		    0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(floods[i].thread, NULL);
	}
	cr_assert_eq(filch_executor_shutdown(
			 executor, FILCH_SHUTDOWN_GRACEFUL, patience()),
	    0);
	cr_assert_eq(flood_polls, THREADS * EACH);
}

/* Two executors whose tasks wake each other by turns. */
struct rally {
	struct filch_task task;
	struct rally *peer;
	struct filch_waker waker; /* of this task, for the peer */
	sem_t ready;
	int *ball; /* whose turn it is */
	int number;
	int left;
};

static enum filch_poll
rally_poll(struct filch_task *task)
{
	struct rally *self = filch_container_of(task, struct rally, task);

	if (self->waker.vtable == NULL) {
		self->waker = filch_task_waker(task);
		sem_post(&self->ready);
		return (FILCH_PENDING);
	}
	if (__atomic_load_n(self->ball, __ATOMIC_ACQUIRE) != self->number) {
		return (FILCH_PENDING);
	}
	__atomic_store_n(self->ball, 1 - self->number, __ATOMIC_RELEASE);
	self->left--;
	filch_waker_wake_by_ref(&self->peer->waker);
	return (self->left > 0 ? FILCH_PENDING : FILCH_READY);
}

Test(spawn, tasks_of_two_executors_wake_each_other)
{
	struct filch_executor *executors[2] = { executor, executor_new(1) };
	struct rally rallies[2];
	int ball = 0;

	for (int i = 0; i < 2; i++) {
		rallies[i] = (struct rally){
			.peer = &rallies[1 - i],
			.ball = &ball,
			.number = i,
			.left = 1000,
		};
		sem_init(&rallies[i].ready, 0, 0);
		filch_task_init(&rallies[i].task, rally_poll, NULL);
		cr_assert_eq(filch_executor_spawn_joinable(
				 executors[i], &rallies[i].task),
		    0);
		wait_for(&rallies[i].ready);
	}
	filch_waker_wake_by_ref(&rallies[0].waker);
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(filch_task_join(&rallies[i].task), 0);
		cr_assert_eq(rallies[i].left, 0);
		filch_waker_drop(&rallies[i].waker);
	}
	filch_executor_destroy(executors[1]);
}

/* ---- refusals ---- */

Test(spawn, of_a_task_spawned_before_is_a_misuse, .signal = SIGABRT)
{
	struct guest guest;

	guest_start(executor, &guest);
	(void)!filch_executor_spawn(executor, &guest.task);
}

Test(spawn, of_a_task_that_has_a_waker_already_is_a_misuse, .signal = SIGABRT)
{
	struct guest guest;

	guest_init(&guest);
	guest.waker = filch_task_waker(&guest.task);
	(void)!filch_executor_spawn(executor, &guest.task);
}

Test(spawn, after_a_shutdown_is_refused_in_every_form)
{
	struct guest guest;

	guest_ready(&guest);
	cr_assert_eq(filch_executor_shutdown(
			 executor, FILCH_SHUTDOWN_GRACEFUL, patience()),
	    0);
	cr_assert_eq(filch_executor_spawn(executor, &guest.task), -ESHUTDOWN);
	cr_assert_eq(
	    filch_executor_spawn_joinable(executor, &guest.task), -ESHUTDOWN);
	cr_assert_eq(
	    filch_executor_block_on(executor, &guest.task), -ESHUTDOWN);
	cr_assert_not(guest_is_released(&guest));
}

Test(spawn, a_refused_task_can_be_spawned_elsewhere)
{
	struct filch_executor *other = executor_new(1);
	struct guest guest;

	guest_ready(&guest);
	cr_assert_eq(filch_executor_shutdown(
			 other, FILCH_SHUTDOWN_IMMEDIATE, patience()),
	    0);
	cr_assert_eq(filch_executor_spawn(other, &guest.task), -ESHUTDOWN);
	filch_executor_destroy(other);
	cr_assert_eq(filch_executor_block_on(executor, &guest.task), 0);
	cr_assert_eq(guest.polls, 1);
	wait_for(&guest.released);
}

/* Spawns after its executor has begun to shut down. */
struct late {
	struct filch_task task;
	struct filch_task child;
	struct filch_waker waker;
	sem_t polled;
	int polls;
	int result;
};

static enum filch_poll
late_poll(struct filch_task *task)
{
	struct late *late = filch_container_of(task, struct late, task);

	if (late->polls++ == 0) {
		late->waker = filch_task_waker(task);
		sem_post(&late->polled);
		return (FILCH_PENDING);
	}
	filch_task_init(&late->child, flood_poll, NULL);
	late->result = filch_executor_spawn(executor, &late->child);
	return (FILCH_READY);
}

Test(spawn, by_a_task_during_a_shutdown_is_refused)
{
	struct late late = { .polls = 0 };

	sem_init(&late.polled, 0, 0);
	filch_task_init(&late.task, late_poll, NULL);
	cr_assert_eq(filch_executor_spawn_joinable(executor, &late.task), 0);
	wait_for(&late.polled);
	cr_assert_eq(
	    filch_executor_shutdown(executor, FILCH_SHUTDOWN_GRACEFUL, 0),
	    -ETIMEDOUT);
	filch_waker_wake(&late.waker);
	cr_assert_eq(filch_task_join(&late.task), 0);
	cr_assert_eq(late.result, -ESHUTDOWN);
}

/* ---- back-pressure ---- */

#define ROOM 4

Test(spawn, into_a_full_injector_says_eagain_until_there_is_room)
{
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;
	struct filch_executor *small;
	struct guest guests[ROOM + 1];
	struct blocker blocker;

	options.worker_count = 1;
	options.injector_capacity = ROOM;
	cr_assert_eq(filch_executor_create(&options, &small), 0);
	blocker_start(small, &blocker);
	for (int i = 0; i <= ROOM; i++) {
		guest_ready(&guests[i]);
		cr_assert_eq(filch_executor_spawn(small, &guests[i].task),
		    i < ROOM ? 0 : -EAGAIN);
	}
	cr_assert_eq(
	    filch_executor_spawn_joinable(small, &guests[ROOM].task), -EAGAIN);
	cr_assert_eq(
	    filch_executor_block_on(small, &guests[ROOM].task), -EAGAIN);
	blocker_end(&blocker);
	for (int i = 0; i < ROOM; i++) {
		wait_for(&guests[i].released);
	}
	cr_assert_eq(filch_executor_block_on(small, &guests[ROOM].task), 0);
	cr_assert_eq(guests[ROOM].polls, 1);
	filch_executor_destroy(small);
}

/* More tasks than deque and injector have room for, all by one task. */
#define BROOD 1000

struct brooder {
	struct filch_task task;
	struct filch_task brood[BROOD];
	int refused;
};

static enum filch_poll
brooder_poll(struct filch_task *task)
{
	struct brooder *self = filch_container_of(task, struct brooder, task);

	for (int i = 0; i < BROOD; i++) {
		filch_task_init(&self->brood[i], flood_poll, NULL);
		self->refused +=
		    filch_executor_spawn(executor, &self->brood[i]) != 0;
	}
	return (FILCH_READY);
}

Test(spawn, by_a_task_is_never_refused_for_want_of_room)
{
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;
	static struct brooder brooder;

	filch_executor_destroy(executor);
	options.worker_count = 1;
	options.injector_capacity = ROOM;
	options.deque_capacity = FILCH_DEQUE_CAPACITY_MIN;
	cr_assert_eq(filch_executor_create(&options, &executor), 0);
	filch_task_init(&brooder.task, brooder_poll, NULL);
	cr_assert_eq(filch_executor_block_on(executor, &brooder.task), 0);
	cr_assert_eq(brooder.refused, 0);
	cr_assert_eq(filch_executor_shutdown(
			 executor, FILCH_SHUTDOWN_GRACEFUL, patience()),
	    0);
	cr_assert_eq(flood_polls, BROOD);
}

/* ---- the budget ---- */

/* Reads a byte of a cached file again and again, and never yields itself. */
struct glutton {
	struct filch_task task;
	struct filch_file file;
	struct filch_op op;
	char byte;
	int left;
	int polls;
	int64_t result;
};

static enum filch_poll
glutton_poll(struct filch_task *task)
{
	struct glutton *self = filch_container_of(task, struct glutton, task);

	self->polls++;
	while (self->left > 0) {
		if (filch_op_poll(&self->op, task, &self->result) ==
		    FILCH_PENDING) {
			return (FILCH_PENDING);
		}
		if (self->result != 1) {
			return (FILCH_READY);
		}
		self->left--;
		filch_op_init_read(&self->op, &self->file, &self->byte, 1, 0);
	}
	return (FILCH_READY);
}

Test(spawn, a_task_that_finds_everything_ready_must_stop_at_its_budget)
{
	enum {
		BUDGET = 4,
		READS = 100
	};
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;
	struct glutton self = { .left = READS };
	char path[] = "/tmp/filch-budget-XXXXXX";
	int fd = mkstemp(path);

	cr_assert_geq(fd, 0);
	unlink(path);
	cr_assert_eq(write(fd, "x", 1), 1);
	cr_assert_eq(filch_file_init(&self.file, fd), 0);
	filch_executor_destroy(executor);
	options.worker_count = 1;
	options.budget = BUDGET;
	cr_assert_eq(filch_executor_create(&options, &executor), 0);
	filch_op_init_read(&self.op, &self.file, &self.byte, 1, 0);
	filch_task_init(&self.task, glutton_poll, NULL);
	cr_assert_eq(filch_executor_block_on(executor, &self.task), 0);
	cr_assert_eq(self.left, 0);
	/* each poll takes at most BUDGET results */
	cr_assert_geq(self.polls, READS / BUDGET);
	close(fd);
}

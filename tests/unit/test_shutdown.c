/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shutting down, gracefully and at once: what is waited for, what ends with
 * which error, and that the end comes.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include "fixture.h"

TestSuite(shutdown, .init = setup, .fini = teardown, .timeout = 120);

static int
graceful(uint64_t deadline_ns)
{
	return (filch_executor_shutdown(
	    executor, FILCH_SHUTDOWN_GRACEFUL, deadline_ns));
}

static int
immediate(uint64_t deadline_ns)
{
	return (filch_executor_shutdown(
	    executor, FILCH_SHUTDOWN_IMMEDIATE, deadline_ns));
}

/* A task that waits for one thing of several, and keeps how that ended. */
struct waiter {
	struct filch_task task;
	struct filch_sleep sleep;
	struct filch_op op;
	struct filch_file file;
	char byte;
	bool sleeps;
	sem_t polled;
	int slept;
	int64_t result;
};

static enum filch_poll
waiter_poll(struct filch_task *task)
{
	struct waiter *self = filch_container_of(task, struct waiter, task);
	enum filch_poll answer;

	answer = self->sleeps
	    ? filch_sleep_poll(&self->sleep, task, &self->slept)
	    : filch_op_poll(&self->op, task, &self->result);
	sem_post(&self->polled);
	return (answer);
}

static void
waiter_start(struct waiter *self)
{
	sem_init(&self->polled, 0, 0);
	filch_task_init(&self->task, waiter_poll, NULL);
	cr_assert_eq(filch_executor_spawn_joinable(executor, &self->task), 0);
	wait_for(&self->polled);
}

static void
sleeper_start(struct waiter *self, uint64_t deadline_ns)
{
	*self = (struct waiter){ .sleeps = true, .slept = 1 };
	filch_sleep_init(&self->sleep, deadline_ns);
	waiter_start(self);
}

static void
pipe_reader_start(struct waiter *self, int fd)
{
	*self = (struct waiter){ .sleeps = false, .result = 1 };
	cr_assert_eq(filch_file_init(&self->file, fd), 0);
	filch_op_init_read(
	    &self->op, &self->file, &self->byte, 1, FILCH_OFFSET_CURRENT);
	waiter_start(self);
}

/* ---- gracefully ---- */

Test(shutdown, of_nothing_returns_at_once_and_again)
{
	cr_assert_eq(graceful(FILCH_NEVER), 0);
	cr_assert_eq(graceful(FILCH_NEVER), 0);
	cr_assert_eq(immediate(FILCH_NEVER), 0);
	cr_assert_eq(immediate(FILCH_NEVER), 0);
}

Test(shutdown, graceful_lets_a_sleep_end_by_itself)
{
	struct waiter sleeper;
	uint64_t deadline_ns = filch_now() + 20000000;

	sleeper_start(&sleeper, deadline_ns);
	cr_assert_eq(graceful(FILCH_NEVER), 0);
	cr_assert_geq(filch_now(), deadline_ns);
	cr_assert_eq(filch_task_join(&sleeper.task), 0);
	cr_assert_eq(sleeper.slept, 0);
}

Test(shutdown, graceful_waits_for_a_task_until_its_deadline_and_again)
{
	struct guest guest;

	guest_start(executor, &guest);
	cr_assert_eq(graceful(0), -ETIMEDOUT);
	cr_assert_eq(graceful(filch_now() + 1000000), -ETIMEDOUT);
	guest_let_finish(&guest);
	filch_waker_wake(&guest.waker);
	cr_assert_eq(graceful(FILCH_NEVER), 0);
	cr_assert_eq(filch_task_join(&guest.task), 0);
	cr_assert_not(guest.saw_cancel);
}

Test(shutdown, graceful_ends_when_a_thread_wakes_the_last_task)
{
	struct guest guest;
	pthread_t thread;

	guest_start(executor, &guest);
	cr_assert_eq(pthread_create(&thread, NULL, guest_finish, &guest), 0);
	cr_assert_eq(graceful(patience()), 0);
	pthread_join(thread, NULL);
	cr_assert_eq(filch_task_join(&guest.task), 0);
}

static void *
let_go(void *arg)
{
	struct guest *guest = arg;

	filch_waker_drop(&guest->waker);
	return (NULL);
}

Test(shutdown, graceful_ends_when_a_thread_drops_the_last_waker)
{
	struct guest guest;
	pthread_t thread;

	guest_start(executor, &guest);
	filch_task_detach(&guest.task);
	cr_assert_eq(pthread_create(&thread, NULL, let_go, &guest), 0);
	cr_assert_eq(graceful(patience()), 0);
	pthread_join(thread, NULL);
	cr_assert(guest_is_released(&guest));
}

struct dropper {
	struct filch_task task;
	struct filch_executor *target;
	struct guest *guest;
	uint64_t parks; /* of the target's worker, before the shutdown */
};

static struct filch_worker_stats
worker_stats(const struct filch_executor *of)
{
	struct filch_worker_stats stats;

	cr_assert_eq(filch_executor_get_worker_stats(of, 0, &stats), 0);
	return (stats);
}

/* Wait until the shutdown has woken the worker and that sleeps again. */
static enum filch_poll
dropper_poll(struct filch_task *task)
{
	struct dropper *self = filch_container_of(task, struct dropper, task);

	if (worker_stats(self->target).parks == self->parks) {
		return (filch_task_yield(task));
	}
	filch_waker_drop(&self->guest->waker);
	return (FILCH_READY);
}

Test(shutdown, graceful_ends_when_a_worker_of_another_executor_drops_the_waker)
{
	struct dropper self = { .target = executor_new(1) };
	struct filch_executor_stats stats;
	struct guest guest;

	guest_start(self.target, &guest);
	filch_task_detach(&guest.task);
	do {
		sched_yield();
		filch_executor_get_stats(self.target, &stats);
	} while (stats.parked == 0 || worker_stats(self.target).parks == 0);
	self.guest = &guest;
	self.parks = worker_stats(self.target).parks;
	filch_task_init(&self.task, dropper_poll, NULL);
	cr_assert_eq(filch_executor_spawn_joinable(executor, &self.task), 0);
	cr_assert_eq(filch_executor_shutdown(
			 self.target, FILCH_SHUTDOWN_GRACEFUL, patience()),
	    0);
	cr_assert_eq(filch_task_join(&self.task), 0);
	cr_assert(guest_is_released(&guest));
	filch_executor_destroy(self.target);
}

/* ---- at once ---- */

Test(shutdown, immediate_ends_a_sleep_with_eshutdown)
{
	struct waiter sleeper;

	sleeper_start(&sleeper, FILCH_NEVER - 1);
	cr_assert_eq(immediate(patience()), 0);
	cr_assert_eq(filch_task_join(&sleeper.task), 0);
	cr_assert_eq(sleeper.slept, -ESHUTDOWN);
}

#define WORKERS 2

/* Until all workers sleep, and the shutdown finds nothing that moves. */
static void
wait_until_parked(const struct filch_executor *of)
{
	struct filch_executor_stats stats;

	do {
		sched_yield();
		filch_executor_get_stats(of, &stats);
	} while (stats.parked < WORKERS);
}

Test(shutdown, immediate_ends_a_sleep_without_a_deadline)
{
	for (int i = 0; i < 20; i++) {
		struct filch_executor *own = executor_new(WORKERS);
		struct filch_executor *given = executor;
		struct waiter sleeper;

		executor = own;
		sleeper_start(&sleeper, FILCH_NEVER);
		wait_until_parked(own);
		cr_assert_eq(immediate(patience()), 0);
		executor = given;
		cr_assert_eq(sleeper.slept, -ESHUTDOWN);
		cr_assert_eq(filch_task_join(&sleeper.task), 0);
		filch_executor_destroy(own);
	}
}

Test(shutdown, immediate_ends_an_operation_with_eshutdown)
{
	struct waiter reader;
	int fds[2];

	cr_assert_eq(pipe(fds), 0);
	pipe_reader_start(&reader, fds[0]);
	cr_assert_eq(immediate(patience()), 0);
	cr_assert_eq(filch_task_join(&reader.task), 0);
	cr_assert_eq(reader.result, -ESHUTDOWN);
}

Test(shutdown, immediate_after_graceful_ends_what_that_waited_for)
{
	struct waiter sleeper;

	sleeper_start(&sleeper, FILCH_NEVER - 1);
	cr_assert_eq(graceful(0), -ETIMEDOUT);
	cr_assert_eq(immediate(patience()), 0);
	cr_assert_eq(filch_task_join(&sleeper.task), 0);
	cr_assert_eq(sleeper.slept, -ESHUTDOWN);
}

Test(shutdown, after_an_immediate_one_sleeps_and_operations_do_not_start)
{
	struct waiter late = { .sleeps = true, .slept = 1, .result = 1 };
	struct guest guest;

	guest_start(executor, &guest);
	cr_assert_eq(immediate(patience()), 0);
	/* it is still there, and polled when it is woken */
	filch_waker_wake_by_ref(&guest.waker);
	wait_for(&guest.polled);
	cr_assert(guest.saw_cancel);
	guest_let_finish(&guest);
	filch_waker_wake(&guest.waker);
	cr_assert_eq(filch_task_join(&guest.task), 0);
	filch_task_init(&late.task, waiter_poll, NULL);
	cr_assert_eq(filch_executor_spawn(executor, &late.task), -ESHUTDOWN);
}

Test(shutdown, immediate_does_not_wait_for_a_waker_of_somebody_else)
{
	struct guest guest;

	guest_start(executor, &guest);
	cr_assert_eq(immediate(patience()), 0);
	cr_assert_eq(guest.polls, 1);
	filch_executor_destroy(executor);
	executor = NULL;
	filch_task_detach(&guest.task);
	cr_assert_not(guest_is_released(&guest));
	filch_waker_wake(&guest.waker);
	cr_assert(guest_is_released(&guest));
	cr_assert_eq(guest.polls, 1);
}

/* ---- misuse and leftovers ---- */

struct suicide {
	struct filch_task task;
	struct filch_executor *target;
	int result;
};

static enum filch_poll
suicide_poll(struct filch_task *task)
{
	struct suicide *self = filch_container_of(task, struct suicide, task);

	self->result = filch_executor_shutdown(
	    self->target, FILCH_SHUTDOWN_GRACEFUL, FILCH_NEVER);
	return (FILCH_READY);
}

Test(shutdown, by_its_own_worker_is_refused)
{
	struct suicide self = { .target = executor };

	filch_task_init(&self.task, suicide_poll, NULL);
	cr_assert_eq(filch_executor_block_on(executor, &self.task), 0);
	cr_assert_eq(self.result, -EDEADLK);
}

Test(shutdown, by_a_worker_of_another_executor_works)
{
	struct suicide self = { .target = executor_new(1), .result = 1 };

	filch_task_init(&self.task, suicide_poll, NULL);
	cr_assert_eq(filch_executor_block_on(executor, &self.task), 0);
	cr_assert_eq(self.result, 0);
	filch_executor_destroy(self.target);
}

static enum filch_poll
destroyer_poll(struct filch_task *task)
{
	filch_executor_destroy(
	    filch_container_of(task, struct suicide, task)->target);
	return (FILCH_READY);
}

Test(shutdown, destroy_by_its_own_worker_is_a_misuse, .signal = SIGABRT)
{
	struct suicide self = { .target = executor };

	filch_task_init(&self.task, destroyer_poll, NULL);
	(void)!filch_executor_block_on(executor, &self.task);
}

Test(shutdown, destroy_of_nothing_does_nothing)
{
	filch_executor_destroy(NULL);
}

Test(shutdown, destroy_alone_ends_everything)
{
	struct waiter sleeper;
	struct waiter reader;
	struct guest guest;
	int fds[2];

	cr_assert_eq(pipe(fds), 0);
	sleeper_start(&sleeper, FILCH_NEVER - 1);
	pipe_reader_start(&reader, fds[0]);
	guest_start(executor, &guest);
	filch_executor_destroy(executor);
	executor = NULL;
	cr_assert_eq(filch_task_join(&sleeper.task), 0);
	cr_assert_eq(sleeper.slept, -ESHUTDOWN);
	cr_assert_eq(filch_task_join(&reader.task), 0);
	cr_assert_eq(reader.result, -ESHUTDOWN);
	filch_task_detach(&guest.task);
	filch_waker_drop(&guest.waker);
	cr_assert(guest_is_released(&guest));
}

#define CHAIN 200000

/* Waits for the next one, the last for a wake of the test. */
struct link {
	struct filch_task task;
	int result;
	bool is_last;
};

static uint64_t links_waiting;

static enum filch_poll
link_poll(struct filch_task *task)
{
	struct link *link = filch_container_of(task, struct link, task);

	__atomic_add_fetch(&links_waiting, 1, __ATOMIC_ACQ_REL);
	return (link->is_last
		? FILCH_PENDING
		: filch_task_poll_join(&link[1].task, task, &link->result));
}

/* Each one that is given up wakes the one that waits for it. */
Test(shutdown, gives_up_a_chain_of_joins_however_long)
{
	struct link *links = calloc(CHAIN, sizeof(*links));

	cr_assert_neq(links, NULL);
	links[CHAIN - 1].is_last = true;
	for (int i = CHAIN - 1; i >= 0; i--) {
		filch_task_init(&links[i].task, link_poll, NULL);
		cr_assert_eq(
		    filch_executor_spawn_joinable(executor, &links[i].task), 0);
	}
	while (__atomic_load_n(&links_waiting, __ATOMIC_ACQUIRE) < CHAIN) {
		continue;
	}
	filch_executor_destroy(executor);
	executor = NULL;
	filch_task_wake(&links[CHAIN - 1].task);
	cr_assert_eq(filch_task_join(&links[0].task), -ECANCELED);
	free(links);
}

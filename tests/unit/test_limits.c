/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What bounds a busy executor: full rings, a full pool, tasks that keep waking
 * each other.  The bounds of options are in test_options.c.
 */
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "executor/executor.h"
#include "options_fixture.h"

TestSuite(limits, .init = setup, .fini = teardown, .timeout = 60);

static struct filch_worker_stats
worker_stats(void)
{
	struct filch_worker_stats stats;

	cr_assert_eq(filch_executor_get_worker_stats(executor, 0, &stats), 0);
	return (stats);
}

/* A task with one operation. */
struct user {
	struct filch_task task;
	struct filch_file file;
	struct filch_op op;
	sem_t polled;
	char byte;
	int64_t result;
};

static enum filch_poll
user_poll(struct filch_task *task)
{
	struct user *self = filch_container_of(task, struct user, task);
	enum filch_poll answer = filch_op_poll(&self->op, task, &self->result);

	sem_post(&self->polled);
	return (answer);
}

/* Start the operation that was prepared, and wait until it was polled. */
static void
user_start(struct user *self)
{
	self->result = 1234;
	sem_init(&self->polled, 0, 0);
	filch_task_init(&self->task, user_poll, NULL);
	cr_assert_eq(filch_executor_spawn_joinable(executor, &self->task), 0);
	wait_for(&self->polled);
}

static int64_t
user_end(struct user *self)
{
	cr_assert_eq(filch_task_join(&self->task), 0);
	return (self->result);
}

/* ---- the ring ---- */

/* More than a ring of the smallest size takes. */
#define READERS 100

static void
reader_prepare(struct user *self, int fd, unsigned flags)
{
	cr_assert_eq(filch_file_init(&self->file, fd), 0);
	filch_op_init_read(
	    &self->op, &self->file, &self->byte, 1, FILCH_OFFSET_CURRENT);
	filch_op_set_flags(&self->op, flags);
}

Test(limits, operations_beyond_the_ring_wait_for_room_and_all_end)
{
	static struct user readers[READERS];
	static char bytes[READERS];
	struct filch_worker_stats stats;
	struct user late;
	int fds[2];

	options.ring_entries = FILCH_RING_ENTRIES_MIN;
	cr_assert_eq(filch_executor_create(&options, &executor), 0);
	cr_assert_eq(pipe(fds), 0);
	for (int i = 0; i < READERS; i++) {
		reader_prepare(&readers[i], fds[0], 0);
		user_start(&readers[i]);
	}
	do {
		stats = worker_stats();
	} while (stats.in_flight + stats.waiting != READERS);
	if (filch_executor_driver(executor) == FILCH_DRIVER_URING) {
		cr_assert_gt(stats.waiting, 0);
		reader_prepare(&late, fds[0], FILCH_OP_NOWAIT);
		user_start(&late);
		cr_assert_eq(user_end(&late), -EAGAIN);
	}
	/* one byte each */
	cr_assert_eq(write(fds[1], bytes, READERS), READERS);
	for (int i = 0; i < READERS; i++) {
		cr_assert_eq(user_end(&readers[i]), 1);
	}
	stats = worker_stats();
	cr_assert_eq(stats.waiting, 0);
}

/* Design, fault 8: cancelling needed a slot and hung with a full ring. */
Test(limits, cancelling_works_when_the_ring_is_full)
{
	static struct user readers[READERS];
	int fds[2];

	options.ring_entries = FILCH_RING_ENTRIES_MIN;
	cr_assert_eq(filch_executor_create(&options, &executor), 0);
	cr_assert_eq(pipe(fds), 0);
	for (int i = 0; i < READERS; i++) {
		reader_prepare(&readers[i], fds[0], 0);
		user_start(&readers[i]);
	}
	for (int i = 0; i < READERS; i++) {
		filch_op_cancel(&readers[i].op);
	}
	for (int i = 0; i < READERS; i++) {
		cr_assert_eq(user_end(&readers[i]), -ECANCELED);
	}
}

/* Added to now, such a deadline overflows. */
Test(limits, a_deadline_at_the_end_of_time_lets_the_worker_sleep)
{
	struct filch_worker_stats stats;
	struct user reader;
	uint64_t parks;
	int fds[2];

	cr_assert_eq(filch_executor_create(&options, &executor), 0);
	cr_assert_eq(pipe(fds), 0);
	reader_prepare(&reader, fds[0], 0);
	filch_op_set_deadline(&reader.op, FILCH_NEVER - 1);
	user_start(&reader);
	parks = worker_stats().parks;
	/* the monitor ends when it has found all asleep for a while */
	while (__atomic_load_n(&executor->monitoring, __ATOMIC_SEQ_CST) != 0) {
		sched_yield();
	}
	stats = worker_stats();
	cr_assert_lt(stats.parks - parks, 20);
	cr_assert_lt(stats.submissions, 100);
	cr_assert_eq(write(fds[1], "x", 1), 1);
	cr_assert_eq(user_end(&reader), 1);
}

/* ---- the pool ---- */

static sem_t calls_started;
static sem_t calls_go;

static int64_t
call_wait(void *arg)
{
	(void)arg;
	sem_post(&calls_started);
	wait_for(&calls_go);
	return (7);
}

static void
call_prepare(struct user *self)
{
	filch_op_init_call(&self->op, call_wait, NULL);
}

static void
calls_init(void)
{
	sem_init(&calls_started, 0, 0);
	sem_init(&calls_go, 0, 0);
}

Test(limits, the_pool_starts_no_more_threads_than_allowed)
{
	struct filch_executor_stats stats;
	struct user callers[5];

	calls_init();
	options.pool_threads_max = 2;
	cr_assert_eq(filch_executor_create(&options, &executor), 0);
	for (int i = 0; i < 5; i++) {
		call_prepare(&callers[i]);
		user_start(&callers[i]);
	}
	wait_for(&calls_started);
	wait_for(&calls_started);
	do {
		filch_executor_get_stats(executor, &stats);
	} while (stats.pool_depth != 3);
	cr_assert_eq(stats.pool_threads, 2);
	cr_assert_neq(sem_trywait(&calls_started), 0);
	for (int i = 0; i < 5; i++) {
		sem_post(&calls_go);
	}
	for (int i = 0; i < 5; i++) {
		cr_assert_eq(user_end(&callers[i]), 7);
	}
}

Test(limits, a_full_pool_says_eagain_where_one_does_not_want_to_wait)
{
	enum {
		WAITING = FILCH_POOL_DEPTH_NOWAIT
	};
	static struct user callers[WAITING + 1];
	struct filch_executor_stats stats;
	struct user late;

	calls_init();
	options.pool_threads_max = 1;
	options.driver = FILCH_DRIVER_POSIX;
	cr_assert_eq(filch_executor_create(&options, &executor), 0);
	for (int i = 0; i <= WAITING; i++) {
		call_prepare(&callers[i]);
		user_start(&callers[i]);
	}
	wait_for(&calls_started);
	do {
		filch_executor_get_stats(executor, &stats);
	} while (stats.pool_depth != WAITING);
	call_prepare(&late);
	filch_op_set_flags(&late.op, FILCH_OP_NOWAIT);
	user_start(&late);
	cr_assert_eq(user_end(&late), -EAGAIN);
	for (int i = 0; i <= WAITING; i++) {
		sem_post(&calls_go);
	}
	for (int i = 0; i <= WAITING; i++) {
		cr_assert_eq(user_end(&callers[i]), 7);
	}
}

Test(limits, a_cancelled_call_leaves_the_queue_and_a_running_one_goes_on)
{
	struct user running;
	struct user queued;

	calls_init();
	options.pool_threads_max = 1;
	cr_assert_eq(filch_executor_create(&options, &executor), 0);
	call_prepare(&running);
	user_start(&running);
	wait_for(&calls_started);
	call_prepare(&queued);
	user_start(&queued);
	filch_op_cancel(&queued.op);
	cr_assert_eq(user_end(&queued), -ECANCELED);
	filch_op_cancel(&running.op);
	sem_post(&calls_go);
	cr_assert_eq(user_end(&running), 7);
}

/* ---- the LIFO slot ---- */

struct volley {
	struct filch_task task;
	struct filch_waker waker;
	struct volley *peer;
	sem_t ready;
};

static int bystander_ran;

static enum filch_poll
bystander_poll(struct filch_task *task)
{
	(void)task;
	__atomic_store_n(&bystander_ran, 1, __ATOMIC_RELEASE);
	return (FILCH_READY);
}

static enum filch_poll
volley_poll(struct filch_task *task)
{
	struct volley *self = filch_container_of(task, struct volley, task);

	if (self->waker.vtable == NULL) {
		self->waker = filch_task_waker(task);
		sem_post(&self->ready);
		return (FILCH_PENDING);
	}
	filch_waker_wake_by_ref(&self->peer->waker);
	return (__atomic_load_n(&bystander_ran, __ATOMIC_ACQUIRE) != 0
		? FILCH_READY
		: FILCH_PENDING);
}

/* Two tasks that wake each other for ever, until a third one has run. */
static void
volleys_start(struct volley *volleys)
{
	for (int i = 0; i < 2; i++) {
		volleys[i] = (struct volley){ .peer = &volleys[1 - i] };
		sem_init(&volleys[i].ready, 0, 0);
		filch_task_init(&volleys[i].task, volley_poll, NULL);
		cr_assert_eq(
		    filch_executor_spawn_joinable(executor, &volleys[i].task),
		    0);
		wait_for(&volleys[i].ready);
	}
}

static void
volleys_end(struct volley *volleys)
{
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(filch_task_join(&volleys[i].task), 0);
		filch_waker_drop(&volleys[i].waker);
	}
}

/* Design, fault 9: two tasks that wake each other starved the rest. */
Test(limits, two_tasks_that_wake_each_other_do_not_starve_one_from_outside)
{
	struct volley volleys[2];
	struct filch_task bystander;

	cr_assert_eq(filch_executor_create(&options, &executor), 0);
	volleys_start(volleys);
	filch_waker_wake_by_ref(&volleys[0].waker);
	filch_task_init(&bystander, bystander_poll, NULL);
	cr_assert_eq(filch_executor_block_on(executor, &bystander), 0);
	volleys_end(volleys);
}

struct serve {
	struct filch_task task;
	struct filch_task bystander;
	struct volley *first;
};

static enum filch_poll
serve_poll(struct filch_task *task)
{
	struct serve *serve = filch_container_of(task, struct serve, task);

	filch_task_init(&serve->bystander, bystander_poll, NULL);
	if (filch_executor_spawn(executor, &serve->bystander) != 0) {
		abort();
	}
	filch_waker_wake_by_ref(&serve->first->waker);
	return (FILCH_READY);
}

Test(limits, two_tasks_that_wake_each_other_do_not_starve_their_own_worker)
{
	struct volley volleys[2];
	struct serve serve = { .first = &volleys[0] };

	cr_assert_eq(filch_executor_create(&options, &executor), 0);
	volleys_start(volleys);
	filch_task_init(&serve.task, serve_poll, NULL);
	cr_assert_eq(filch_executor_block_on(executor, &serve.task), 0);
	volleys_end(volleys);
}

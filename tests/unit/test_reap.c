/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What completions and timers have woken together: who is told, and who waits.
 * Counted in polls, while the reactor thread is kept from helping.
 */
#include <unistd.h>

#include "executor/executor.h"
#include "helpers.h"
#include "reactor_hold.h"

TestSuite(reap, .timeout = 120);

/* ---- timers tell peers ---- */

/* More than are polled before peers are told. */
#define SLEEPERS (2 * FILCH__NOTIFY_AFTER_POLLS)

struct bedroom;

struct sleeper {
	struct filch_task task;
	struct filch_timer timer;
	struct bedroom *bedroom;
	bool has_slept;
	sem_t sleeps;
};

struct bedroom {
	struct filch_executor *executor;
	struct sleeper sleepers[SLEEPERS];
	struct filch_task waker;
	unsigned yielded; /* by waker */
	unsigned polls;   /* of sleepers that have slept */
	unsigned told_at; /* the first of them that saw the peer called */
};

static void
sleeper_expire(struct filch_timer *timer, struct filch__expired *expired)
{
	expired->tasks[expired->count++] =
	    &FILCH__CONTAINER_OF(timer, struct sleeper, timer)->task;
}

/* Who calls a peer takes it out of the sleepers at once. */
static enum filch_poll
sleeper_poll(struct filch_task *task)
{
	struct sleeper *sleeper =
	    filch_container_of(task, struct sleeper, task);
	struct bedroom *bedroom = sleeper->bedroom;
	unsigned untold = 0;
	unsigned polls;

	if (!sleeper->has_slept) {
		sleeper->has_slept = true;
		filch_task_ref(task); /* the timer's */
		sem_post(&sleeper->sleeps);
		return (FILCH_PENDING);
	}
	polls = __atomic_add_fetch(&bedroom->polls, 1, __ATOMIC_RELAXED);
	if (filch__idle_parked(&bedroom->executor->idle) == 0) {
		__atomic_compare_exchange_n(&bedroom->told_at, &untold, polls,
		    false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	}
	return (FILCH_READY);
}

/* Timers come due on a worker that has told of all else; its peer sleeps. */
static enum filch_poll
waker_poll(struct filch_task *task)
{
	struct bedroom *bedroom =
	    filch_container_of(task, struct bedroom, waker);

	if (bedroom->yielded++ < 2 * FILCH__NOTIFY_AFTER_POLLS) {
		return (filch_task_yield(task));
	}
	reactor_hold(bedroom->executor);
	while (filch__idle_parked(&bedroom->executor->idle) != 1) {
		continue;
	}
	for (int i = 0; i < SLEEPERS; i++) {
		struct filch_timer *timer = &bedroom->sleepers[i].timer;

		filch__timer_init(timer, 1, sleeper_expire);
		filch__reactor_add_timer(filch__shard_current, timer);
	}
	return (FILCH_READY);
}

Test(reap, a_peer_is_told_of_timers_as_of_completions)
{
	static struct bedroom bedroom;

	bedroom.executor = executor_new(2);
	reactor_hold_init(bedroom.executor);
	for (int i = 0; i < SLEEPERS; i++) {
		struct sleeper *sleeper = &bedroom.sleepers[i];

		sleeper->bedroom = &bedroom;
		sem_init(&sleeper->sleeps, 0, 0);
		filch_task_init(&sleeper->task, sleeper_poll, NULL);
		cr_assert_eq(filch_executor_spawn_joinable(
				 bedroom.executor, &sleeper->task),
		    0);
		wait_for(&sleeper->sleeps);
	}
	filch_task_init(&bedroom.waker, waker_poll, NULL);
	cr_assert_eq(
	    filch_executor_block_on(bedroom.executor, &bedroom.waker), 0);
	for (int i = 0; i < SLEEPERS; i++) {
		cr_assert_eq(filch_task_join(&bedroom.sleepers[i].task), 0);
	}
	reactor_release();
	filch_executor_destroy(bedroom.executor);
	cr_assert_gt(bedroom.told_at, 0);
	/* one more, if the peer is the first to see it */
	cr_assert_leq(bedroom.told_at, FILCH__NOTIFY_AFTER_POLLS + 1);
}

/* ---- a completion and a deadline end one sleep ---- */

/* It would be polled again and again until the next visit. */
#define YIELDS_MAX (2 * FILCH_EVENT_INTERVAL_DEFAULT)

#define SLEEP_NS 2000000

static struct {
	const struct filch__driver *driver;
	struct filch__driver late; /* its worker parks late */
	struct filch_task task;
	struct filch_executor *executor;
	int pipe[2];
	struct filch_file file;
	struct filch_op op;
	uint64_t buffer;
	struct guest guest; /* wakes at deadline_ns */
	struct filch_timer timer;
	uint64_t deadline_ns;
	bool waits;
	bool has_read;
	unsigned yields; /* until guest was polled */
} reader;

static void
guest_expire(struct filch_timer *timer, struct filch__expired *expired)
{
	(void)timer;
	expired->tasks[expired->count++] = &reader.guest.task;
}

/* Both come while the worker is on its way to sleep. */
static void
park_late(struct filch__shard *shard)
{
	uint64_t one = 1;

	if (reader.waits) {
		reader.waits = false;
		cr_assert_eq(write(reader.pipe[1], &one, sizeof(one)),
		    (ssize_t)sizeof(one));
		while (filch_now() <= reader.deadline_ns) {
			continue;
		}
	}
	reader.driver->park(shard);
}

static void
reader_start_timer(void)
{
	filch_task_ref(&reader.guest.task); /* the timer's */
	guest_let_finish(&reader.guest);
	reader.deadline_ns = filch_now() + SLEEP_NS;
	filch__timer_init(&reader.timer, reader.deadline_ns, guest_expire);
	filch__reactor_add_timer(filch__shard_current, &reader.timer);
}

static enum filch_poll
reader_poll(struct filch_task *task)
{
	int64_t got;

	if (!reader.has_read) {
		if (filch_op_poll(&reader.op, task, &got) == FILCH_PENDING) {
			reactor_hold(reader.executor);
			reader_start_timer();
			reader.waits = true;
			return (FILCH_PENDING);
		}
		cr_assert_eq(got, (int64_t)sizeof(reader.buffer));
		reader.has_read = true;
	}
	if (reader.guest.polls > 1 || reader.yields == YIELDS_MAX) {
		return (FILCH_READY);
	}
	reader.yields++;
	return (filch_task_yield(task));
}

Test(reap, a_deadline_that_has_passed_at_the_end_of_a_sleep_is_met)
{
	struct filch_executor *executor = executor_new(1);

	if (filch_executor_driver(executor) != FILCH_DRIVER_URING) {
		filch_executor_destroy(executor);
		cr_skip("here the reactor thread takes completions");
	}
	reader.executor = executor;
	reactor_hold_init(executor);
	reader.driver = executor->reactor.driver;
	reader.late = *reader.driver;
	reader.late.park = park_late;
	__atomic_store_n(
	    &executor->reactor.driver, &reader.late, __ATOMIC_RELEASE);
	cr_assert_eq(pipe(reader.pipe), 0);
	cr_assert_eq(filch_file_init(&reader.file, reader.pipe[0]), 0);
	filch_op_init_read(&reader.op, &reader.file, &reader.buffer,
	    sizeof(reader.buffer), FILCH_OFFSET_CURRENT);
	guest_start(executor, &reader.guest);
	filch_task_init(&reader.task, reader_poll, NULL);
	cr_assert_eq(filch_executor_block_on(executor, &reader.task), 0);
	reactor_release();
	cr_assert_eq(filch_task_join(&reader.guest.task), 0);
	filch_waker_drop(&reader.guest.waker);
	filch_executor_destroy(executor);
	close(reader.pipe[0]);
	close(reader.pipe[1]);
	cr_assert_leq(reader.yields, 1);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The counters: each of them moves by what it counts.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "helpers.h"

static struct filch_executor_options options;
static struct filch_executor *executor;

static void
setup(void)
{
	options = (struct filch_executor_options)FILCH_EXECUTOR_OPTIONS_INIT;
	options.worker_count = 1;
	cr_assert_eq(filch_executor_create(&options, &executor), 0);
}

static void
teardown(void)
{
	filch_executor_destroy(executor);
}

TestSuite(stats, .init = setup, .fini = teardown, .timeout = 60);

/* Start anew with other options. */
static void
executor_again(void)
{
	filch_executor_destroy(executor);
	cr_assert_eq(filch_executor_create(&options, &executor), 0);
}

static struct filch_worker_stats
worker_stats(unsigned index)
{
	struct filch_worker_stats stats;

	cr_assert_eq(
	    filch_executor_get_worker_stats(executor, index, &stats), 0);
	return (stats);
}

static struct filch_executor_stats
executor_stats(void)
{
	struct filch_executor_stats stats;

	filch_executor_get_stats(executor, &stats);
	return (stats);
}

Test(stats, of_a_worker_that_there_is_not_are_refused)
{
	struct filch_worker_stats stats;

	cr_assert_eq(
	    filch_executor_get_worker_stats(executor, 1, &stats), -ERANGE);
}

/* ---- tasks ---- */

struct yielder {
	struct filch_task task;
	int left;
};

static enum filch_poll
yielder_poll(struct filch_task *task)
{
	struct yielder *self = filch_container_of(task, struct yielder, task);

	return (--self->left > 0 ? filch_task_yield(task) : FILCH_READY);
}

static void
yield_times(int polls)
{
	struct yielder self = { .left = polls };

	filch_task_init(&self.task, yielder_poll, NULL);
	cr_assert_eq(filch_executor_block_on(executor, &self.task), 0);
}

Test(stats, polls_count_every_poll)
{
	yield_times(100);
	cr_assert_eq(worker_stats(0).polls, 100);
}

Test(stats, injector_hits_count_tasks_from_outside)
{
	yield_times(1);
	yield_times(1);
	cr_assert_eq(worker_stats(0).injector_hits, 2);
}

Test(stats, tasks_alive_and_injector_depth_tell_what_waits)
{
	struct blocker blocker;
	struct guest guests[3];

	cr_assert_eq(executor_stats().worker_count, 1);
	cr_assert_eq(executor_stats().tasks_alive, 0);
	blocker_start(executor, &blocker);
	for (int i = 0; i < 3; i++) {
		guest_init(&guests[i]);
		guest_let_finish(&guests[i]);
		cr_assert_eq(
		    filch_executor_spawn(executor, &guests[i].task), 0);
	}
	cr_assert_eq(executor_stats().tasks_alive, 4);
	cr_assert_eq(executor_stats().injector_depth, 3);
	cr_assert_eq(executor_stats().parked, 0);
	blocker_end(&blocker);
	cr_assert_eq(filch_executor_shutdown(
			 executor, FILCH_SHUTDOWN_GRACEFUL, patience()),
	    0);
	cr_assert_eq(executor_stats().tasks_alive, 0);
	cr_assert_eq(executor_stats().injector_depth, 0);
}

/* Looks at the counters until one holds; the suite's time-out ends it. */
#define WAIT_UNTIL(condition)                                                  \
	do {                                                                   \
		struct timespec moment = { 0, 1000000 };                       \
                                                                               \
		while (!(condition)) {                                         \
			nanosleep(&moment, NULL);                              \
		}                                                              \
	} while (0)

Test(stats, parks_count_each_sleep_and_parked_tells_it)
{
	uint64_t parks;

	WAIT_UNTIL(executor_stats().parked == 1);
	WAIT_UNTIL(worker_stats(0).parks >= 1);
	parks = worker_stats(0).parks;
	yield_times(1);
	WAIT_UNTIL(worker_stats(0).parks > parks);
	cr_assert_eq(executor_stats().searching, 0);
}

Test(stats, wake_calls_count_wakes_of_a_sleeper)
{
	uint64_t calls;

	WAIT_UNTIL(executor_stats().parked == 1);
	calls = executor_stats().wake_calls;
	yield_times(1);
	/* the worker may have been on its way to sleep only */
	while (executor_stats().wake_calls == calls) {
		WAIT_UNTIL(executor_stats().parked == 1);
		yield_times(1);
	}
}

/* Spawns children on its worker and keeps that worker until they have run. */
struct parent {
	struct filch_task task;
	struct filch_task children[8];
	sem_t ran;
};

static struct parent parent;

static enum filch_poll
child_poll(struct filch_task *task)
{
	(void)task;
	sem_post(&parent.ran);
	return (FILCH_READY);
}

static enum filch_poll
parent_poll(struct filch_task *task)
{
	(void)task;
	for (int i = 0; i < 8; i++) {
		filch_task_init(&parent.children[i], child_poll, NULL);
		if (filch_executor_spawn(executor, &parent.children[i]) != 0) {
			abort();
		}
	}
	/* the worker tells others only when this poll ends: the reactor
	 * thread finds it stuck, and wakes one that steals */
	for (int i = 0; i < 8; i++) {
		wait_for(&parent.ran);
	}
	return (FILCH_READY);
}

Test(stats, steals_count_what_another_worker_took)
{
	uint64_t stolen;

	options.worker_count = 2;
	executor_again();
	sem_init(&parent.ran, 0, 0);
	filch_task_init(&parent.task, parent_poll, NULL);
	cr_assert_eq(filch_executor_block_on(executor, &parent.task), 0);
	stolen = worker_stats(0).tasks_stolen + worker_stats(1).tasks_stolen;
	cr_assert_eq(stolen, 8);
	cr_assert_geq(worker_stats(0).steals + worker_stats(1).steals, 1);
	cr_assert_leq(worker_stats(0).steals + worker_stats(1).steals, 8);
}

struct brooder {
	struct filch_task task;
	struct filch_task brood[100];
};

static enum filch_poll
poll_ready(struct filch_task *task)
{
	(void)task;
	return (FILCH_READY);
}

static enum filch_poll
brooder_poll(struct filch_task *task)
{
	struct brooder *self = filch_container_of(task, struct brooder, task);

	for (int i = 0; i < 100; i++) {
		filch_task_init(&self->brood[i], poll_ready, NULL);
		if (filch_executor_spawn(executor, &self->brood[i]) != 0) {
			abort();
		}
	}
	return (FILCH_READY);
}

Test(stats, overflows_count_tasks_spilt_into_the_injector)
{
	static struct brooder brooder;
	struct filch_worker_stats stats;

	options.deque_capacity = FILCH_DEQUE_CAPACITY_MIN;
	executor_again();
	filch_task_init(&brooder.task, brooder_poll, NULL);
	cr_assert_eq(filch_executor_block_on(executor, &brooder.task), 0);
	cr_assert_eq(filch_executor_shutdown(
			 executor, FILCH_SHUTDOWN_GRACEFUL, patience()),
	    0);
	stats = worker_stats(0);
	cr_assert_geq(stats.overflows, 100 - FILCH_DEQUE_CAPACITY_MIN);
	/* what was spilt came back that way, and the brooder itself */
	cr_assert_eq(stats.injector_hits, stats.overflows + 1);
	cr_assert_eq(stats.polls, 101);
}

/* ---- operations ---- */

/* Polls one operation again and again, each time prepared by the test. */
struct user {
	struct filch_task task;
	struct filch_file file;
	struct filch_op op;
	void (*prepare)(struct user *);
	char data[16];
	int left;
	int64_t result;
};

static enum filch_poll
user_poll(struct filch_task *task)
{
	struct user *self = filch_container_of(task, struct user, task);

	while (self->left > 0) {
		if (filch_op_poll(&self->op, task, &self->result) ==
		    FILCH_PENDING) {
			return (FILCH_PENDING);
		}
		self->left--;
		self->prepare(self);
	}
	return (FILCH_READY);
}

static void
prepare_read(struct user *self)
{
	filch_op_init_read(&self->op, &self->file, self->data, 1, 0);
}

static void
prepare_cold_read(struct user *self)
{
	prepare_read(self);
	filch_op_set_flags(&self->op, FILCH_OP_NO_INLINE);
}

static void
prepare_write(struct user *self)
{
	filch_op_init_write(&self->op, &self->file, "x", 1, 0);
}

static void
prepare_fdatasync(struct user *self)
{
	filch_op_init_fdatasync(&self->op, &self->file);
}

static void
prepare_truncate(struct user *self)
{
	filch_op_init_truncate(&self->op, &self->file, 1);
}

static int64_t
call_nothing(void *arg)
{
	(void)arg;
	return (0);
}

static void
prepare_call(struct user *self)
{
	filch_op_init_call(&self->op, call_nothing, self);
}

/* A file of one byte, without a name. */
static void
user_open(struct user *self)
{
	char path[] = "/tmp/filch-stats-XXXXXX";
	int fd = mkstemp(path);

	cr_assert_geq(fd, 0);
	unlink(path);
	cr_assert_eq(write(fd, "x", 1), 1);
	cr_assert_eq(filch_file_init(&self->file, fd), 0);
}

static void
user_run(struct user *self, void (*prepare)(struct user *), int times)
{
	self->prepare = prepare;
	self->left = times;
	prepare(self);
	filch_task_init(&self->task, user_poll, NULL);
	cr_assert_eq(filch_executor_block_on(executor, &self->task), 0);
	cr_assert_geq(self->result, 0);
}

Test(stats, operations_are_counted_by_kind)
{
	struct filch_worker_stats stats;
	struct user user;

	user_open(&user);
	user_run(&user, prepare_read, 3);
	user_run(&user, prepare_write, 2);
	user_run(&user, prepare_fdatasync, 1);
	user_run(&user, prepare_truncate, 4);
	user_run(&user, prepare_call, 5);
	stats = worker_stats(0);
	for (int kind = 0; kind < FILCH_OP_COUNT; kind++) {
		uint64_t count = stats.operations[kind];

		switch (kind) {
		case FILCH_OP_READ:
			cr_assert_eq(count, 3);
			break;
		case FILCH_OP_WRITE:
			cr_assert_eq(count, 2);
			break;
		case FILCH_OP_FDATASYNC:
			cr_assert_eq(count, 1);
			break;
		case FILCH_OP_TRUNCATE:
			cr_assert_eq(count, 4);
			break;
		case FILCH_OP_CALL:
			cr_assert_eq(count, 5);
			break;
		default:
			cr_assert_eq(count, 0);
		}
	}
	cr_assert_eq(stats.in_flight, 0);
	cr_assert_eq(stats.waiting, 0);
}

Test(stats, reads_of_cached_pages_are_counted_where_they_are_served)
{
	struct user user;

	user_open(&user);
	user_run(&user, prepare_read, 10);
	cr_assert_eq(
	    worker_stats(0).inline_hits + worker_stats(0).inline_misses, 10);
	user_run(&user, prepare_cold_read, 10);
	cr_assert_eq(
	    worker_stats(0).inline_hits + worker_stats(0).inline_misses, 10);
}

Test(stats, inline_reads_are_off_where_the_option_says_so)
{
	struct user user;

	options.inline_io_off = true;
	executor_again();
	user_open(&user);
	user_run(&user, prepare_read, 10);
	cr_assert_eq(worker_stats(0).inline_hits, 0);
	cr_assert_eq(worker_stats(0).inline_misses, 0);
	cr_assert_eq(worker_stats(0).operations[FILCH_OP_READ], 10);
}

Test(stats, budgets_used_up_are_counted_as_yields)
{
	struct user user;

	options.budget = 4;
	executor_again();
	user_open(&user);
	user_run(&user, prepare_write, 1);
	cr_assert_eq(worker_stats(0).yields, 0);
	user_run(&user, prepare_read, 41);
	if (worker_stats(0).inline_hits != 41) {
		cr_skip_test("no reads without waiting on this file system");
	}
	cr_assert_eq(worker_stats(0).yields, 10);
}

Test(stats, completions_and_submissions_count_what_the_ring_did)
{
	struct filch_worker_stats stats;
	struct user user;

	if (filch_executor_driver(executor) != FILCH_DRIVER_URING) {
		cr_skip_test("no ring");
	}
	user_open(&user);
	user_run(&user, prepare_cold_read, 10);
	stats = worker_stats(0);
	cr_assert_geq(stats.completions, 10);
	cr_assert_geq(stats.submissions, 1);
	cr_assert_eq(stats.fallbacks[FILCH_FALLBACK_NO_OPCODE], 0);
	cr_assert_eq(stats.fallbacks[FILCH_FALLBACK_NO_DRIVER], 0);
	/* the ring has no ftruncate before 6.9; filch asks for none */
	user_run(&user, prepare_truncate, 3);
	cr_assert_eq(worker_stats(0).fallbacks[FILCH_FALLBACK_NO_OPCODE], 3);
}

Test(stats, a_driver_without_asynchronous_files_is_a_reason_to_fall_back)
{
	struct user user;

	options.driver = FILCH_DRIVER_POSIX;
	executor_again();
	user_open(&user);
	user_run(&user, prepare_write, 3);
	cr_assert_eq(worker_stats(0).fallbacks[FILCH_FALLBACK_NO_DRIVER], 3);
	/* a call is for the pool anyway */
	user_run(&user, prepare_call, 2);
	cr_assert_eq(worker_stats(0).fallbacks[FILCH_FALLBACK_NO_DRIVER], 3);
	cr_assert_geq(executor_stats().pool_threads, 1);
}

/* ---- the reactor ---- */

struct sleeper {
	struct filch_task task;
	struct filch_sleep sleep;
	int result;
};

static enum filch_poll
sleeper_poll(struct filch_task *task)
{
	struct sleeper *self = filch_container_of(task, struct sleeper, task);

	return (filch_sleep_poll(&self->sleep, task, &self->result));
}

Test(stats, timers_fired_and_reactor_wakes_count_sleeps_that_ended)
{
	struct sleeper self;
	uint64_t wakes = executor_stats().reactor_wakes;
	uint64_t slept = 0;

	/* on a busy machine a sleep may be over before its first poll, and the
	 * reactor thread late to its first sleep */
	do {
		self.result = 1;
		filch_sleep_init(&self.sleep, filch_now() + 1000000);
		filch_task_init(&self.task, sleeper_poll, NULL);
		cr_assert_eq(filch_executor_block_on(executor, &self.task), 0);
		cr_assert_eq(self.result, 0);
		slept++;
	} while (executor_stats().timers_fired == 0 ||
	    executor_stats().reactor_wakes == wakes);
	cr_assert_leq(executor_stats().timers_fired, slept);
}

Test(stats, in_flight_tells_what_the_driver_has)
{
	struct user user;
	int fds[2];

	cr_assert_eq(pipe(fds), 0);
	cr_assert_eq(filch_file_init(&user.file, fds[0]), 0);
	user.prepare = prepare_read;
	user.left = 1;
	filch_op_init_read(
	    &user.op, &user.file, user.data, 1, FILCH_OFFSET_CURRENT);
	filch_task_init(&user.task, user_poll, NULL);
	cr_assert_eq(filch_executor_spawn_joinable(executor, &user.task), 0);
	WAIT_UNTIL(worker_stats(0).in_flight == 1);
	cr_assert_eq(write(fds[1], "x", 1), 1);
	cr_assert_eq(filch_task_join(&user.task), 0);
	WAIT_UNTIL(worker_stats(0).in_flight == 0);
}

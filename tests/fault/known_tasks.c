/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Known faults (known.h) of operations, batches, tasks and idling: 4, 6,
 * 8, 9, 10 and 11.
 */
#include "known.h"

/* ---- 4: an operation in flight, dropped ---- */

static void
fault_4_a_dropped_operation_touches_no_memory(
    const struct fault_case *one, unsigned at)
{
	struct filch_executor *executor = executor_new(one->driver, 2);
	struct stream stream;
	char got[8] = "";

	(void)at;
	stream_start(executor, &stream);
	filch_executor_destroy(executor);
	FAULT_EQUAL(stream.released, 1);
	FAULT_EQUAL(stream.one.result, -ESHUTDOWN);
	/* nobody reads any more, and nobody writes to the buffer */
	memset(stream.buffer, 'x', sizeof(stream.buffer));
	FAULT_EQUAL(write(stream.fds[1], "12345678", 8), 8);
	FAULT_EQUAL(read(stream.fds[0], got, sizeof(got)), 8);
	FAULT_EQUAL(memcmp(stream.buffer, "xxxxxxxx", 8), 0);
}

/* ---- 6: a batch of which nothing was accepted never ends ---- */

struct batch_waiter {
	struct filch_task task;
	struct filch_batch batch;
	size_t failed;
};

static enum filch_poll
batch_waiter_poll(struct filch_task *task)
{
	struct batch_waiter *self =
	    filch_container_of(task, struct batch_waiter, task);

	return (filch_batch_poll(&self->batch, task, &self->failed));
}

static size_t
batch_failed(struct filch_executor *executor, struct filch_op *const *ops,
    size_t count, bool is_cancelled)
{
	struct batch_waiter self;

	self.failed = SIZE_MAX;
	filch_batch_init(&self.batch, ops, count);
	filch_task_init(&self.task, batch_waiter_poll, NULL);
	FAULT_EQUAL(filch_executor_spawn_joinable(executor, &self.task), 0);
	if (is_cancelled) {
		filch_task_cancel(&self.task);
	}
	FAULT_EQUAL(filch_task_join(&self.task), 0);
	return (self.failed);
}

static void
fault_6_a_batch_that_was_refused_ends(const struct fault_case *one, unsigned at)
{
	struct filch_executor *executor = executor_new(one->driver, 2);
	struct filch_file closed = FILCH_FILE_INIT;
	struct filch_op ops[40];
	struct filch_op *pointers[40];
	char byte;
	size_t i;

	(void)at;
	FAULT_EQUAL(batch_failed(executor, NULL, 0, false), 0);
	memset(pointers, 0, sizeof(pointers));
	FAULT_EQUAL(batch_failed(executor, pointers, 40, false), 0);
	for (i = 0; i < 40; i++) {
		filch_op_init_read(&ops[i], &closed, &byte, 1, 0);
		pointers[i] = &ops[i];
	}
	FAULT_EQUAL(batch_failed(executor, pointers, 40, false), 40);
	for (i = 0; i < 40; i++) {
		FAULT_EQUAL(filch_op_result(&ops[i]), -EBADF);
		filch_op_init_fsync(&ops[i], &closed);
	}
	FAULT_EQUAL(batch_failed(executor, pointers, 40, true), 40);
	filch_executor_destroy(executor);
}

/* ---- 8: cancelling needs room in a ring that is full ---- */

static void
fault_8_a_full_ring_is_cancelled(const struct fault_case *one, unsigned at)
{
	static struct work_one ones[200];
	static struct filch_op ops[200];
	static char bytes[200];
	struct filch_executor *executor = executor_new(one->driver, 1);
	struct filch_file file;
	int fds[2];
	unsigned i;

	(void)at;
	FAULT_EQUAL(pipe2(fds, O_CLOEXEC), 0);
	FAULT_EQUAL(filch_file_init(&file, fds[0]), 0);
	for (i = 0; i < 200; i++) {
		filch_op_init_read(
		    &ops[i], &file, &bytes[i], 1, FILCH_OFFSET_CURRENT);
		if (i % 2 == 0) {
			filch_op_set_deadline(&ops[i], filch_now() + 1000000);
		}
		work_start(executor, &ones[i], &ops[i]);
	}
	for (i = 1; i < 200; i += 2) {
		filch_op_cancel(&ops[i]);
		filch_task_cancel(&ones[i].task);
	}
	for (i = 0; i < 200; i++) {
		FAULT_EQUAL(
		    work_end(&ones[i]), i % 2 == 0 ? -ETIMEDOUT : -ECANCELED);
	}
	work_pipe(executor);
	filch_executor_destroy(executor);
}

/* ---- 9: the LIFO slot ---- */

struct pair {
	struct filch_task task;
	struct pair *other;
	struct filch_waker waker;
	bool is_waiting;
	bool has_run;
};

static bool third_has_run;
static bool both_are_spawned; /* until then the other is not to be woken */

/* Wait for one wake, and say so. */
static enum filch_poll
sleeper_poll(struct filch_task *task)
{
	struct pair *self = filch_container_of(task, struct pair, task);

	if (!self->is_waiting) {
		self->waker = filch_task_waker(task);
		__atomic_store_n(&self->is_waiting, true, __ATOMIC_RELEASE);
		return (FILCH_PENDING);
	}
	__atomic_store_n(&self->has_run, true, __ATOMIC_RELEASE);
	return (FILCH_READY);
}

/* Wake the other one, and hold this worker until that has run. */
static enum filch_poll
holder_poll(struct filch_task *task)
{
	struct pair *self = filch_container_of(task, struct pair, task);

	if (!__atomic_load_n(&self->other->is_waiting, __ATOMIC_ACQUIRE)) {
		return (filch_task_yield(task));
	}
	filch_waker_wake(&self->other->waker);
	while (!__atomic_load_n(&self->other->has_run, __ATOMIC_ACQUIRE)) {
		sched_yield();
	}
	return (FILCH_READY);
}

static void
fault_9_a_task_in_the_slot_of_a_stuck_worker_runs(
    const struct fault_case *one, unsigned at)
{
	struct filch_executor *executor = executor_new(one->driver, 2);
	struct pair pairs[2];

	(void)at;
	memset(pairs, 0, sizeof(pairs));
	pairs[0].other = &pairs[1];
	filch_task_init(&pairs[0].task, holder_poll, NULL);
	filch_task_init(&pairs[1].task, sleeper_poll, NULL);
	FAULT_EQUAL(filch_executor_spawn(executor, &pairs[1].task), 0);
	FAULT_EQUAL(filch_executor_block_on(executor, &pairs[0].task), 0);
	filch_executor_destroy(executor);
}

static enum filch_poll
ping_pong_poll(struct filch_task *task)
{
	struct pair *self = filch_container_of(task, struct pair, task);

	if (!__atomic_load_n(&both_are_spawned, __ATOMIC_ACQUIRE)) {
		return (filch_task_yield(task));
	}
	filch_task_wake(&self->other->task);
	return (__atomic_load_n(&third_has_run, __ATOMIC_ACQUIRE)
		? FILCH_READY
		: FILCH_PENDING);
}

static enum filch_poll
third_poll(struct filch_task *task)
{
	(void)task;
	__atomic_store_n(&third_has_run, true, __ATOMIC_RELEASE);
	return (FILCH_READY);
}

static void
fault_9_two_that_wake_each_other_starve_nobody(
    const struct fault_case *one, unsigned at)
{
	struct filch_executor *executor = executor_new(one->driver, 1);
	struct filch_task third;
	struct pair pairs[2];
	unsigned i;

	(void)at;
	memset(pairs, 0, sizeof(pairs));
	for (i = 0; i < 2; i++) {
		pairs[i].other = &pairs[1 - i];
		filch_task_init(&pairs[i].task, ping_pong_poll, NULL);
		/* a handle keeps each as long as the other may wake it */
		FAULT_EQUAL(
		    filch_executor_spawn_joinable(executor, &pairs[i].task), 0);
	}
	__atomic_store_n(&both_are_spawned, true, __ATOMIC_RELEASE);
	filch_task_init(&third, third_poll, NULL);
	FAULT_EQUAL(filch_executor_block_on(executor, &third), 0);
	for (i = 0; i < 2; i++) {
		filch_task_wake(&pairs[i].task);
	}
	filch_executor_destroy(executor);
	for (i = 0; i < 2; i++) {
		FAULT_EQUAL(filch_task_join(&pairs[i].task), 0);
	}
}

/* ---- 10: idle workers that spin, or are woken for nothing ---- */

static void
fault_10_an_idle_executor_sleeps(const struct fault_case *one, unsigned at)
{
	struct filch_executor *executor = executor_new(one->driver, 4);
	struct stream stream;

	(void)at;
	wait_for_quiet(executor);
	work_all(executor);
	wait_for_quiet(executor);
	/* also with an operation in flight */
	stream_start(executor, &stream);
	wait_for_quiet(executor);
	filch_executor_destroy(executor);
	FAULT_EQUAL(stream.released, 1);
}

/* ---- 11: operations abandoned when a shutdown's time is out ---- */

static void
fault_11_a_shutdown_out_of_time_abandons_nothing(
    const struct fault_case *one, unsigned at)
{
	struct filch_executor *executor = executor_new(one->driver, 2);
	struct stream stream;

	(void)at;
	stream_start(executor, &stream);
	FAULT_EQUAL(filch_executor_shutdown(executor, FILCH_SHUTDOWN_GRACEFUL,
			filch_now() + 1000000),
	    -ETIMEDOUT);
	FAULT_EQUAL(in_flight(executor), 1);
	FAULT_EQUAL(stream.released, 0);
	FAULT_EQUAL(write(stream.fds[1], "12345678", 8), 8);
	FAULT_EQUAL(filch_executor_shutdown(
			executor, FILCH_SHUTDOWN_GRACEFUL, FILCH_NEVER),
	    0);
	FAULT_EQUAL(stream.one.result, 8);
	FAULT_EQUAL(memcmp(stream.buffer, "12345678", 8), 0);
	filch_executor_destroy(executor);
	FAULT_EQUAL(stream.released, 1);
}

static const struct fault_case cases[] = {
	KNOWN(fault_4_a_dropped_operation_touches_no_memory),
	KNOWN(fault_6_a_batch_that_was_refused_ends),
	KNOWN(fault_8_a_full_ring_is_cancelled),
	KNOWN(fault_9_a_task_in_the_slot_of_a_stuck_worker_runs),
	KNOWN(fault_9_two_that_wake_each_other_starve_nobody),
	KNOWN(fault_10_an_idle_executor_sleeps),
	KNOWN(fault_11_a_shutdown_out_of_time_abandons_nothing),
};

int
main(int argc, char **argv)
{
	return (
	    known_main(cases, sizeof(cases) / sizeof(cases[0]), argc, argv));
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reactor's thread, which took a worker for stuck, reaps what reaches the
 * eventfd when the worker is about to sleep.  It may be a wake that was on its
 * way while the worker woke by itself: then the worker must still hear of the
 * next wake.  Or it is the next wake: then of that.
 *
 * It happens in the call that is to sleep, after the worker's last look.
 *
 * And a worker whose ring has a number of its own names it by that in all its
 * calls, and nobody else does.
 */
#include "fault.h"

#if !defined(FILCH_HAVE_URING)

int
main(void)
{
	printf("1..0 # SKIP built without io_uring\n");
	return (77);
}

#else

#include <liburing.h>
#include <sched.h>

#include "reactor/uring.h"

#define ERRANDS 4

static unsigned sleeps; /* calls that were to sleep */
static bool is_next;    /* the wake is the one that the worker waits for */

static _Thread_local bool has_number; /* this thread, of a ring */
static unsigned numbers;

int __real_io_uring_register(
    unsigned fd, unsigned opcode, const void *arg, unsigned count);
int __wrap_io_uring_register(
    unsigned fd, unsigned opcode, const void *arg, unsigned count);

int
__wrap_io_uring_register(
    unsigned fd, unsigned opcode, const void *arg, unsigned count)
{
	int result = __real_io_uring_register(fd, opcode, arg, count);

	if (opcode == IORING_REGISTER_RING_FDS && result == 1) {
		has_number = true;
		__atomic_add_fetch(&numbers, 1, __ATOMIC_RELEASE);
	}
	return (result);
}

/* This system has such numbers: Linux 5.18. */
static bool
numbers_exist(void)
{
	struct io_uring ring;
	bool answer;

	FAULT_EQUAL(io_uring_queue_init(2, &ring, 0), 0);
	answer = io_uring_register_ring_fd(&ring) == 1;
	io_uring_queue_exit(&ring);
	return (answer);
}

int __real_io_uring_enter(unsigned fd, unsigned submit, unsigned wait,
    unsigned flags, sigset_t *mask);
int __wrap_io_uring_enter(unsigned fd, unsigned submit, unsigned wait,
    unsigned flags, sigset_t *mask);

/* What others do meanwhile, done on the worker's own thread. */
static void
meanwhile(unsigned fd, unsigned submit, unsigned flags)
{
	struct filch__shard *shard = filch__shard_current;
	struct filch__uring_shard *us = filch__uring_shard(shard);
	uint64_t one = 1;
	/* relaxed: of the reactor's own thread, which may come first */
	uint64_t rescued = filch__u64_load_relaxed(&shard->counters.rescued);

	FAULT_CHECK(__real_io_uring_enter(fd, submit, 0, flags, NULL) >= 0);
	if (is_next) {
		filch__uring_wake(shard);
	} else {
		FAULT_EQUAL(write(us->eventfd, &one, sizeof(one)), sizeof(one));
	}
	filch__shard_current = NULL;
	filch__reactor_current = shard->reactor;
	while (filch__uring_cq_is_empty(us) &&
	    rescued == filch__u64_load_relaxed(&shard->counters.rescued)) {
		(void)__real_io_uring_enter(
		    fd, 0, 0, flags | IORING_ENTER_GETEVENTS, NULL);
	}
	(void)filch__uring_reap(shard);
	filch__reactor_current = NULL;
	filch__shard_current = shard;
}

int
__wrap_io_uring_enter(
    unsigned fd, unsigned submit, unsigned wait, unsigned flags, sigset_t *mask)
{
	FAULT_EQUAL((flags & IORING_ENTER_REGISTERED_RING) != 0,
	    has_number && filch__shard_current != NULL);
	if (wait > 0 && filch__shard_current != NULL) {
		if (fault_take("io_uring_enter") != 0) {
			meanwhile(
			    fd, submit, flags & IORING_ENTER_REGISTERED_RING);
			submit = 0; /* it was computed before */
		}
		__atomic_add_fetch(&sleeps, 1, __ATOMIC_RELEASE);
	}
	return (__real_io_uring_enter(fd, submit, wait, flags, mask));
}

struct reader {
	struct filch_task task;
	struct filch_op op;
	struct filch_file file;
	char byte;
	int64_t result;
};

static enum filch_poll
reader_poll(struct filch_task *task)
{
	struct reader *self = filch_container_of(task, struct reader, task);

	return (filch_op_poll(&self->op, task, &self->result));
}

static enum filch_poll
errand_poll(struct filch_task *task)
{
	(void)task;
	return (FILCH_READY);
}

static void
wakes_are_heard(const struct fault_case *one, unsigned at)
{
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;
	struct filch_executor *executor;
	struct reader reader;
	struct filch_task errand;
	unsigned seen = 0;
	int fds[2];

	__atomic_store_n(&numbers, 0, __ATOMIC_RELAXED);
	FAULT_EQUAL(pipe(fds), 0);
	options.worker_count = 1;
	options.driver = FILCH_DRIVER_URING;
	FAULT_EQUAL(filch_executor_create(&options, &executor), 0);
	fault_arm(one->symbol, one->error, at, 0);
	FAULT_EQUAL(filch_file_init(&reader.file, fds[0]), 0);
	filch_op_init_read(
	    &reader.op, &reader.file, &reader.byte, 1, FILCH_OFFSET_CURRENT);
	filch_task_init(&reader.task, reader_poll, NULL);
	FAULT_EQUAL(filch_executor_spawn_joinable(executor, &reader.task), 0);
	for (unsigned i = 0; i < ERRANDS; i++) {
		while (__atomic_load_n(&sleeps, __ATOMIC_ACQUIRE) == seen) {
			sched_yield();
		}
		seen = __atomic_load_n(&sleeps, __ATOMIC_ACQUIRE);
		filch_task_init(&errand, errand_poll, NULL);
		FAULT_EQUAL(filch_executor_block_on(executor, &errand), 0);
	}
	fault_disarm();
	if (numbers_exist()) {
		FAULT_EQUAL(__atomic_load_n(&numbers, __ATOMIC_ACQUIRE), 1);
	}
	FAULT_EQUAL(write(fds[1], "x", 1), 1);
	FAULT_EQUAL(filch_task_join(&reader.task), 0);
	FAULT_EQUAL(reader.result, 1);
	filch_executor_destroy(executor);
}

static void
next_wake_is_heard(const struct fault_case *one, unsigned at)
{
	is_next = true;
	wakes_are_heard(one, at);
}

static const struct fault_case cases[] = {
	{ "wakes are heard", "io_uring_enter", EINTR, 0, FILCH_DRIVER_URING,
	    wakes_are_heard, 0 },
	{ "the next wake is heard", "io_uring_enter", EINTR, 0,
	    FILCH_DRIVER_URING, next_wake_is_heard, 0 },
};

int
main(int argc, char **argv)
{
	return (
	    fault_main(cases, sizeof(cases) / sizeof(cases[0]), argc, argv));
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reactor's thread, which took a worker for stuck, reaps what reaches the
 * eventfd when the worker is about to sleep.  It may be a wake that was on its
 * way while the worker woke by itself: then the worker must still hear of the
 * next wake.  Or it is the next wake: then of that.
 *
 * It happens in the call that is to sleep, after the worker's last look.  And
 * it may happen while the kernel takes no entry of the thread that reaps, which
 * nobody tries again: the worker sleeps, and looks stuck to nobody.  Of an
 * operation that waits for the room that was made, it must hear then.
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

/* What reaches the ring meanwhile. */
static void (*happens)(struct filch__shard *);

static _Thread_local int refusal; /* of entries that this thread hands over */

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
meanwhile(unsigned fd, unsigned submit, unsigned flags, int error)
{
	struct filch__shard *shard = filch__shard_current;
	struct filch__uring_shard *us = filch__uring_shard(shard);
	/* relaxed: of the reactor's own thread, which may come first */
	uint64_t rescued = filch__u64_load_relaxed(&shard->counters.rescued);

	FAULT_CHECK(__real_io_uring_enter(fd, submit, 0, flags, NULL) >= 0);
	happens(shard);
	filch__shard_current = NULL;
	filch__reactor_current = shard->reactor;
	while (filch__uring_cq_is_empty(us) &&
	    rescued == filch__u64_load_relaxed(&shard->counters.rescued)) {
		(void)__real_io_uring_enter(
		    fd, 0, 0, flags | IORING_ENTER_GETEVENTS, NULL);
	}
	refusal = error;
	(void)filch__uring_reap(shard);
	refusal = 0;
	filch__reactor_current = NULL;
	filch__shard_current = shard;
}

int
__wrap_io_uring_enter(
    unsigned fd, unsigned submit, unsigned wait, unsigned flags, sigset_t *mask)
{
	FAULT_EQUAL((flags & IORING_ENTER_REGISTERED_RING) != 0,
	    has_number && filch__shard_current != NULL);
	if (refusal != 0 && submit > 0) {
		return (-refusal);
	}
	if (wait > 0 && filch__shard_current != NULL) {
		int error = fault_take("io_uring_enter");

		if (error != 0) {
			meanwhile(fd, submit,
			    flags & IORING_ENTER_REGISTERED_RING,
			    error == EINTR ? 0 : error);
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

/* A wake that was on its way, for a sleep that is over. */
static void
old_wake(struct filch__shard *shard)
{
	uint64_t one = 1;

	FAULT_EQUAL(
	    write(filch__uring_shard(shard)->eventfd, &one, sizeof(one)),
	    sizeof(one));
}

/* A pipe whose other end is open as long as the ring is there. */
static void
ring_hold(struct filch_executor *executor, int fds[2])
{
	static struct filch_file file;
	int rc;

	FAULT_EQUAL(pipe(fds), 0);
	FAULT_EQUAL(filch_file_init(&file, fds[1]), 0);
	rc = filch_file_register(executor, &file);
	FAULT_CHECK(rc == 0 || rc == -EOPNOTSUPP);
	FAULT_EQUAL(close(fds[1]), 0);
}

static void
errands_are_run(const struct fault_case *one, unsigned at)
{
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;
	struct filch_executor *executor;
	struct reader reader;
	struct filch_task errand;
	unsigned seen = 0;
	int held[2];
	int fds[2];

	__atomic_store_n(&numbers, 0, __ATOMIC_RELAXED);
	FAULT_EQUAL(pipe(fds), 0);
	options.worker_count = 1;
	options.driver = FILCH_DRIVER_URING;
	FAULT_EQUAL(filch_executor_create(&options, &executor), 0);
	ring_hold(executor, held);
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
	/* the ring is gone, whatever numbers it had */
	FAULT_EQUAL(read(held[0], &reader.byte, 1), 0);
}

static void
wakes_are_heard(const struct fault_case *one, unsigned at)
{
	happens = old_wake;
	errands_are_run(one, at);
}

static void
next_wake_is_heard(const struct fault_case *one, unsigned at)
{
	happens = filch__uring_wake;
	errands_are_run(one, at);
}

/* ---- more reads than the ring holds, each of a pipe of its own ---- */

#define CROWD         (4 * FILCH_RING_ENTRIES_MIN)

/* What is there for a wake goes over the bounds by one. */
#define ENDS_FOR_ROOM 2

static struct {
	struct filch_task task;
	struct filch_batch batch;
	struct filch_file files[CROWD];
	struct filch_op ops[CROWD];
	struct filch_op *pointers[CROWD];
	char bytes[CROWD];
	int writers[CROWD];
	size_t failed;
	struct filch_op *late; /* it waits for room */
} crowd;

static enum filch_poll
crowd_poll(struct filch_task *task)
{
	return (filch_batch_poll(&crowd.batch, task, &crowd.failed));
}

static void
crowd_start(struct filch_executor *executor)
{
	int fds[2];

	for (unsigned i = 0; i < CROWD; i++) {
		FAULT_EQUAL(pipe(fds), 0);
		FAULT_EQUAL(filch_file_init(&crowd.files[i], fds[0]), 0);
		crowd.writers[i] = fds[1];
		filch_op_init_read(&crowd.ops[i], &crowd.files[i],
		    &crowd.bytes[i], 1, FILCH_OFFSET_CURRENT);
		crowd.pointers[i] = &crowd.ops[i];
	}
	filch_batch_init(&crowd.batch, crowd.pointers, CROWD);
	filch_task_init(&crowd.task, crowd_poll, NULL);
	FAULT_EQUAL(filch_executor_spawn_joinable(executor, &crowd.task), 0);
}

static void
crowd_write(ptrdiff_t i)
{
	FAULT_EQUAL(write(crowd.writers[i], "x", 1), 1);
}

/* The ends of reads make room, and concern no task. */
static void
room_is_made(struct filch__shard *shard)
{
	crowd.late = filch__uring_shard(shard)->waiting.head;
	FAULT_CHECK(crowd.late > &crowd.ops[ENDS_FOR_ROOM]);
	for (unsigned i = 0; i < ENDS_FOR_ROOM; i++) {
		crowd_write(i);
	}
}

static void
who_waits_is_heard(const struct fault_case *one, unsigned at)
{
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;
	struct filch_executor *executor;

	if (at > 1) {
		return;
	}
	happens = room_is_made;
	options.worker_count = 1;
	options.driver = FILCH_DRIVER_URING;
	options.ring_entries = FILCH_RING_ENTRIES_MIN;
	FAULT_EQUAL(filch_executor_create(&options, &executor), 0);
	fault_arm(one->symbol, one->error, at, 0);
	crowd_start(executor);
	while (__atomic_load_n(&sleeps, __ATOMIC_ACQUIRE) == 0) {
		sched_yield();
	}
	crowd_write(crowd.late - crowd.ops);
	while (filch__u32_load_acquire(&crowd.late->priv.state) !=
	    FILCH__OP_DONE) {
		sched_yield();
	}
	fault_disarm();
	for (unsigned i = ENDS_FOR_ROOM; i < CROWD; i++) {
		if (&crowd.ops[i] != crowd.late) {
			crowd_write(i);
		}
	}
	FAULT_EQUAL(filch_task_join(&crowd.task), 0);
	FAULT_EQUAL(crowd.failed, 0);
	filch_executor_destroy(executor);
}

/* EINTR: who reaps meanwhile is refused nothing. */
#define PARK(name, error, body)                                                \
	{                                                                      \
		name, "io_uring_enter", error, 0, FILCH_DRIVER_URING, body, 0  \
	}

static const struct fault_case cases[] = {
	PARK("wakes are heard", EINTR, wakes_are_heard),
	PARK("wakes are heard", EAGAIN, wakes_are_heard),
	PARK("wakes are heard", EBUSY, wakes_are_heard),
	PARK("wakes are heard", ENOMEM, wakes_are_heard),
	PARK("the next wake is heard", EINTR, next_wake_is_heard),
	PARK("the next wake is heard", EAGAIN, next_wake_is_heard),
	PARK("the next wake is heard", EBUSY, next_wake_is_heard),
	PARK("the next wake is heard", ENOMEM, next_wake_is_heard),
	PARK("who waits is heard", EINTR, who_waits_is_heard),
	PARK("who waits is heard", EAGAIN, who_waits_is_heard),
	PARK("who waits is heard", EBUSY, who_waits_is_heard),
	PARK("who waits is heard", ENOMEM, who_waits_is_heard),
};

int
main(int argc, char **argv)
{
	return (
	    fault_main(cases, sizeof(cases) / sizeof(cases[0]), argc, argv));
}

#endif

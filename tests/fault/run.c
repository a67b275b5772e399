/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls that fail while an executor runs: those by which its threads sleep,
 * wake each other, submit and reap.  No operation is lost or ends twice, all
 * results are right, and nothing is left at the end; whether one call fails or
 * every second one.
 *
 * Not here, because they cannot fail on Linux: a write to an eventfd (short of
 * 2^64 wakes), FUTEX_WAKE, the calls on mutexes and conditions but for a time
 * that runs out, clock_gettime, and sched_yield.  A write of one byte to the
 * reactor's pipe finds it full at worst, and then it need not be written.
 */
#include "work.h"

#include <linux/futex.h>

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>

#if defined(FILCH_HAVE_URING)
#include <liburing.h>
#endif

FAULT_WRAP(int, ppoll,
    (struct pollfd * fds, nfds_t count, const struct timespec *left,
	const sigset_t *mask),
    (fds, count, left, mask), FAULT_ERRNO)
FAULT_WRAP(int, pthread_cond_timedwait,
    (pthread_cond_t * condition, pthread_mutex_t *mutex,
	const struct timespec *until),
    (condition, mutex, until), FAULT_NUMBER)
FAULT_WRAP(int, pthread_create,
    (pthread_t * thread, const pthread_attr_t *attributes,
	void *(*start)(void *), void *arg),
    (thread, attributes, start, arg), FAULT_NUMBER)
FAULT_WRAP(ssize_t, read, (int fd, void *buffer, size_t size),
    (fd, buffer, size), FAULT_ERRNO)
FAULT_WRAP(ssize_t, write, (int fd, const void *buffer, size_t size),
    (fd, buffer, size), FAULT_ERRNO)

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

/* Only futex(2) is called that way, and only a wait can fail. */
long
__wrap_syscall(long number, ...)
{
	va_list list;
	uint32_t *word;
	const struct timespec *until;
	uint32_t *other;
	int op;
	uint32_t value;
	uint32_t bits;
	int error;

	va_start(list, number);
	word = va_arg(list, uint32_t *);
	op = va_arg(list, int);
	value = va_arg(list, uint32_t);
	until = va_arg(list, const struct timespec *);
	other = va_arg(list, uint32_t *);
	bits = va_arg(list, uint32_t);
	va_end(list);
	if ((op & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET) {
		error = fault_take("syscall");
		if (error != 0) {
			errno = error;
			return (-1);
		}
	}
	return (__real_syscall(number, word, op, value, until, other, bits));
}

#if defined(FILCH_HAVE_URING)
FAULT_WRAP(int, io_uring_enter,
    (unsigned fd, unsigned submit, unsigned wait, unsigned flags,
	sigset_t *mask),
    (fd, submit, wait, flags, mask), FAULT_NEGATIVE)
/* To sleep until a deadline. */
FAULT_WRAP(int, io_uring_enter2,
    (unsigned fd, unsigned submit, unsigned wait, unsigned flags,
	sigset_t *mask, size_t size),
    (fd, submit, wait, flags, mask, size), FAULT_NEGATIVE)
#endif

/* All work comes out right; creating is left alone. */
static void
endured_later(const struct fault_case *one, unsigned at)
{
	struct filch_executor *executor = NULL;

	fault_leak_begin();
	FAULT_EQUAL(work_create(one->driver, &executor), 0);
	fault_arm(one->symbol, one->error, at, one->every);
	work_all(executor);
	filch_executor_destroy(executor);
	fault_disarm();
	fault_leak_end();
}

/* ---- a sleep in the ring until a deadline ---- */

#define SLEEPS_UNTIL_MAX 4

/* Reads that end at their deadline, until the worker has slept so often. */
static void
sleeps_until(const struct fault_case *one, unsigned at)
{
	struct filch_executor *executor = NULL;
	struct filch_file end;
	struct filch_op op;
	uint64_t left_ns = 1000000;
	char byte;
	int fds[2];

	if (at > SLEEPS_UNTIL_MAX) {
		return;
	}
	fault_leak_begin();
	FAULT_EQUAL(work_create(one->driver, &executor), 0);
	FAULT_EQUAL(pipe2(fds, O_CLOEXEC), 0);
	FAULT_EQUAL(filch_file_init(&end, fds[0]), 0);
	fault_arm(one->symbol, one->error, at, one->every);
	do {
		filch_op_init_read(&op, &end, &byte, 1, FILCH_OFFSET_CURRENT);
		filch_op_set_deadline(&op, filch_now() + left_ns);
		FAULT_EQUAL(work_op(executor, &op), -ETIMEDOUT);
		left_ns *= 2; /* it came before the sleep, perhaps */
	} while (__atomic_load_n(&fault.calls, __ATOMIC_RELAXED) < at);
	work_all(executor);
	filch_executor_destroy(executor);
	fault_disarm();
	(void)close(fds[0]);
	(void)close(fds[1]);
	fault_leak_end();
}

/* ---- a submission queue that is full and stays so for a while ---- */

#define RING FILCH_RING_ENTRIES_MIN

struct crowd {
	struct filch_task task;
	struct filch_batch batch;
	struct filch_file ends[2];
	struct filch_op ops[RING + 1];
	struct filch_op *pointers[RING + 1];
	char bytes[RING];
	size_t failed;
};

static enum filch_poll
crowd_poll(struct filch_task *task)
{
	struct crowd *self = filch_container_of(task, struct crowd, task);

	return (filch_batch_poll(&self->batch, task, &self->failed));
}

/* As many reads as the queue holds, and behind them what they wait for. */
static void
crowd_start(struct filch_executor *executor, struct crowd *self, unsigned count,
    uint64_t deadline_ns)
{
	int fds[2];
	unsigned i;

	FAULT_EQUAL(pipe2(fds, O_CLOEXEC), 0);
	for (i = 0; i < 2; i++) {
		FAULT_EQUAL(filch_file_init(&self->ends[i], fds[i]), 0);
	}
	for (i = 0; i < RING; i++) {
		filch_op_init_read(&self->ops[i], &self->ends[0],
		    &self->bytes[i], 1, FILCH_OFFSET_CURRENT);
		filch_op_set_deadline(&self->ops[i], deadline_ns);
		self->pointers[i] = &self->ops[i];
	}
	filch_op_init_write(&self->ops[RING], &self->ends[1], "12345678", RING,
	    FILCH_OFFSET_CURRENT);
	self->pointers[RING] = &self->ops[RING];
	filch_batch_init(&self->batch, self->pointers, count);
	filch_task_init(&self->task, crowd_poll, NULL);
	FAULT_EQUAL(filch_executor_spawn_joinable(executor, &self->task), 0);
}

static void
crowd_run(const struct fault_case *one, unsigned at, bool is_cancelled)
{
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;
	struct filch_executor *executor = NULL;
	struct crowd crowd;
	unsigned i;

	options.worker_count = 1;
	options.driver = (enum filch_driver_kind)one->driver;
	options.ring_entries = RING;
	fault_leak_begin();
	FAULT_EQUAL(filch_executor_create(&options, &executor), 0);
	fault.burst = (unsigned)one->what;
	fault_arm(one->symbol, one->error, at, one->every);
	crowd_start(
	    executor, &crowd, is_cancelled ? RING : RING + 1, FILCH_NEVER);
	if (is_cancelled) {
		while (__atomic_load_n(&fault.calls, __ATOMIC_RELAXED) < at) {
			sched_yield();
		}
		for (i = 0; i < RING; i++) {
			filch_op_cancel(&crowd.ops[i]);
		}
	}
	FAULT_EQUAL(filch_task_join(&crowd.task), 0);
	fault_disarm();
	FAULT_EQUAL(crowd.failed, is_cancelled ? RING : 0);
	filch_executor_destroy(executor);
	for (i = 0; i < RING; i++) {
		FAULT_EQUAL(filch_op_result(&crowd.ops[i]),
		    is_cancelled ? -ECANCELED : 1);
	}
	(void)close(crowd.ends[0].fd);
	(void)close(crowd.ends[1].fd);
	fault_leak_end();
}

static void
crowd_ends(const struct fault_case *one, unsigned at)
{
	crowd_run(one, at, false);
}

/*
 * The entry that a wake completes has no room; the call after that takes all.
 * Then the worker sleeps only when a wake ends its sleep.
 */
static void
crowd_is_woken(const struct fault_case *one, unsigned at)
{
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;
	struct filch_executor *executor = NULL;
	struct work_sleeper errand = { .result = 0 };
	struct crowd crowd;
	unsigned i;

	if (at > 1) {
		return;
	}
	options.worker_count = 1;
	options.driver = (enum filch_driver_kind)one->driver;
	options.ring_entries = RING;
	FAULT_EQUAL(filch_executor_create(&options, &executor), 0);
	fault.burst = (unsigned)one->what;
	fault_arm(one->symbol, one->error, at, one->every);
	crowd_start(executor, &crowd, RING, FILCH_NEVER);
	while (__atomic_load_n(&fault.calls, __ATOMIC_RELAXED) <=
	    (unsigned)one->what) {
		sched_yield();
	}
	filch_sleep_init(&errand.sleep, 0);
	filch_task_init(&errand.task, work_sleeper_poll, NULL);
	FAULT_EQUAL(filch_executor_block_on(executor, &errand.task), 0);
	fault_disarm();
	FAULT_EQUAL(write(crowd.ends[1].fd, "12345678", RING), RING);
	FAULT_EQUAL(filch_task_join(&crowd.task), 0);
	FAULT_EQUAL(crowd.failed, 0);
	filch_executor_destroy(executor);
	for (i = 0; i < RING; i++) {
		FAULT_EQUAL(filch_op_result(&crowd.ops[i]), 1);
	}
}

static void
crowd_is_cancelled(const struct fault_case *one, unsigned at)
{
	/* the first call is sure to be made before anything is cancelled */
	if (at == 1) {
		crowd_run(one, at, true);
	}
}

#define LATE_NS  UINT64_C(20000000)
#define LATER_NS (INT64_C(3600) * 1000000000)
/* Of what is reaped then, one may be a wake-up of the worker. */
#define EARLY 2

/* Keeps its worker until it may go on. */
struct stayer {
	struct filch_task task;
	uint64_t began_ns;
	int may_go;
};

static enum filch_poll
stayer_poll(struct filch_task *task)
{
	struct stayer *stayer = filch_container_of(task, struct stayer, task);

	stayer->began_ns = filch_now();
	while (__atomic_load_n(&stayer->may_go, __ATOMIC_ACQUIRE) == 0) {
		sched_yield();
	}
	return (FILCH_READY);
}

struct late {
	struct filch_executor *executor;
	struct filch_file ends[2];
	struct work_one early[EARLY];
	struct filch_op reads[EARLY];
	char bytes[EARLY];
};

/* Reads that wait in the kernel, with a deadline that never comes. */
static void
late_begin(struct late *late, const struct fault_case *one)
{
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;
	struct filch_op behind;
	struct filch_stat stat;
	int fds[2];

	options.worker_count = 1;
	options.driver = (enum filch_driver_kind)one->driver;
	options.ring_entries = RING;
	fault_leak_begin();
	FAULT_EQUAL(filch_executor_create(&options, &late->executor), 0);
	FAULT_EQUAL(pipe2(fds, O_CLOEXEC), 0);
	for (unsigned i = 0; i < 2; i++) {
		FAULT_EQUAL(filch_file_init(&late->ends[i], fds[i]), 0);
	}
	for (unsigned i = 0; i < EARLY; i++) {
		filch_op_init_read(&late->reads[i], &late->ends[0],
		    &late->bytes[i], 1, FILCH_OFFSET_CURRENT);
		filch_op_set_deadline(&late->reads[i], filch_now() + LATER_NS);
		work_start(late->executor, &late->early[i], &late->reads[i]);
	}
	/* the kernel has taken what stands in the queue before this */
	filch_op_init_fstat(&behind, &late->ends[0], &stat);
	FAULT_EQUAL(work_op(late->executor, &behind), 0);
}

static void
late_end(struct late *late, struct crowd *crowd)
{
	unsigned i;

	for (i = 0; i < EARLY; i++) {
		FAULT_EQUAL(work_end(&late->early[i]), 1);
	}
	FAULT_EQUAL(filch_task_join(&crowd->task), 0);
	FAULT_EQUAL(crowd->failed, RING);
	filch_executor_destroy(late->executor);
	for (i = 0; i < RING; i++) {
		FAULT_EQUAL(filch_op_result(&crowd->ops[i]), -ETIMEDOUT);
	}
	for (i = 0; i < 2; i++) {
		(void)close(crowd->ends[i].fd);
		(void)close(late->ends[i].fd);
	}
	fault_leak_end();
}

/*
 * Reads are asked to end at their deadline, and there is no room for that; what
 * is reaped meanwhile has a deadline too.  Kept by a task, the worker neither
 * asks nor reaps.  False if it was to be kept, and the deadline came before the
 * task began: then the worker may have done what it does unkept.
 */
static bool
late_run(const struct fault_case *one, uint64_t late_ns, bool is_kept)
{
	struct filch_executor_stats all;
	struct filch_worker_stats stats;
	struct stayer stayer = { .may_go = 0 };
	struct crowd crowd;
	struct late late;
	uint64_t deadline_ns;
	uint64_t done;

	late_begin(&late, one);
	fault.burst = (unsigned)one->what;
	fault_arm(one->symbol, one->error, 1, one->every);
	deadline_ns = filch_now() + late_ns;
	crowd_start(late.executor, &crowd, RING, deadline_ns);
	if (is_kept) {
		while (__atomic_load_n(&fault.calls, __ATOMIC_RELAXED) == 0) {
			sched_yield();
		}
		filch_task_init(&stayer.task, stayer_poll, NULL);
		FAULT_EQUAL(
		    filch_executor_spawn_joinable(late.executor, &stayer.task),
		    0);
	}
	do {
		filch_executor_get_stats(late.executor, &all);
	} while (all.timers_fired == 0);
	/* who asks, asks in vain, and reaps what comes meanwhile */
	FAULT_EQUAL(
	    filch_executor_get_worker_stats(late.executor, 0, &stats), 0);
	done = stats.completions;
	FAULT_EQUAL(write(late.ends[1].fd, "xx", EARLY), EARLY);
	do {
		FAULT_EQUAL(
		    filch_executor_get_worker_stats(late.executor, 0, &stats),
		    0);
	} while (stats.completions < done + EARLY);
	fault_disarm();
	if (is_kept) {
		__atomic_store_n(&stayer.may_go, 1, __ATOMIC_RELEASE);
		FAULT_EQUAL(filch_task_join(&stayer.task), 0);
	}
	late_end(&late, &crowd);
	return (!is_kept || stayer.began_ns < deadline_ns);
}

static void
crowd_is_late(const struct fault_case *one, unsigned at)
{
	if (at == 1) {
		(void)late_run(one, LATE_NS, false);
	}
}

static void
crowd_is_late_and_kept(const struct fault_case *one, unsigned at)
{
	uint64_t late_ns = LATE_NS;

	while (at == 1 && !late_run(one, late_ns, true)) {
		late_ns *= 2;
	}
}

#define URING FILCH_DRIVER_URING
#define POSIX FILCH_DRIVER_POSIX

static const struct fault_case cases[] = {
	{ "posix sleeps", "ppoll", EINTR, 0, POSIX, work_endured, 0 },
	{ "posix sleeps", "ppoll", ENOMEM, 0, POSIX, work_endured, 0 },
	{ "posix sleeps, storm", "ppoll", EINTR, 2, POSIX, work_endured, 0 },
	{ "posix drains its pipe", "read", EINTR, 0, POSIX, work_endured, 0 },
	{ "posix drains its pipe", "read", EAGAIN, 0, POSIX, work_endured, 0 },
	{ "posix drains its pipe, storm", "read", EINTR, 2, POSIX, work_endured,
	    0 },
	{ "posix interrupts", "write", EINTR, 0, POSIX, work_endured, 0 },
	{ "posix interrupts, storm", "write", EINTR, 2, POSIX, work_endured,
	    0 },
	{ "posix pool", "pthread_create", EAGAIN, 0, POSIX, endured_later, 0 },
	{ "posix pool, never", "pthread_create", EAGAIN, 1, POSIX,
	    endured_later, 0 },
	{ "posix pool, short-lived", "pthread_cond_timedwait", ETIMEDOUT, 0,
	    POSIX, work_endured, 0 },
	{ "posix pool, storm", "pthread_cond_timedwait", ETIMEDOUT, 2, POSIX,
	    work_endured, 0 },
#if defined(FILCH_HAVE_URING)
	{ "uring sleeps", "syscall", EINTR, 0, URING, work_endured, 0 },
	{ "uring sleeps", "syscall", EAGAIN, 0, URING, work_endured, 0 },
	{ "uring sleeps, storm", "syscall", EINTR, 2, URING, work_endured, 0 },
	{ "uring enters", "io_uring_enter", EINTR, 0, URING, work_endured, 0 },
	{ "uring enters", "io_uring_enter", EAGAIN, 0, URING, work_endured, 0 },
	{ "uring enters", "io_uring_enter", EBUSY, 0, URING, work_endured, 0 },
	{ "uring enters", "io_uring_enter", ENOMEM, 0, URING, work_endured, 0 },
	{ "uring enters, storm", "io_uring_enter", EINTR, 2, URING,
	    work_endured, 0 },
	{ "uring enters, storm", "io_uring_enter", EAGAIN, 2, URING,
	    work_endured, 0 },
	{ "uring sleeps until", "io_uring_enter2", EINTR, 0, URING,
	    sleeps_until, 0 },
	{ "uring sleeps until", "io_uring_enter2", EAGAIN, 0, URING,
	    sleeps_until, 0 },
	{ "uring sleeps until", "io_uring_enter2", EBUSY, 0, URING,
	    sleeps_until, 0 },
	{ "uring sleeps until", "io_uring_enter2", ENOMEM, 0, URING,
	    sleeps_until, 0 },
	{ "uring sleeps until, storm", "io_uring_enter2", EINTR, 2, URING,
	    sleeps_until, 0 },
	{ "uring sleeps until, storm", "io_uring_enter2", EAGAIN, 2, URING,
	    sleeps_until, 0 },
	{ "uring sleeps until, never", "io_uring_enter2", EAGAIN, 1, URING,
	    sleeps_until, 0 },
	{ "uring full, woken", "io_uring_enter", EAGAIN, 0, URING,
	    crowd_is_woken, 2 },
	{ "uring full, woken", "io_uring_enter", EBUSY, 0, URING,
	    crowd_is_woken, 2 },
	{ "uring full, woken", "io_uring_enter", ENOMEM, 0, URING,
	    crowd_is_woken, 2 },
	{ "uring full, 2", "io_uring_enter", EAGAIN, 0, URING, crowd_ends, 2 },
	{ "uring full, 3", "io_uring_enter", EAGAIN, 0, URING, crowd_ends, 3 },
	{ "uring full, 4", "io_uring_enter", EAGAIN, 0, URING, crowd_ends, 4 },
	{ "uring full, 5", "io_uring_enter", EAGAIN, 0, URING, crowd_ends, 5 },
	{ "uring full, 9", "io_uring_enter", EINTR, 0, URING, crowd_ends, 9 },
	{ "uring full, cancelled", "io_uring_enter", EAGAIN, 0, URING,
	    crowd_is_cancelled, 200000 },
	{ "uring full, cancelled", "io_uring_enter", EBUSY, 0, URING,
	    crowd_is_cancelled, 200000 },
	{ "uring full, late", "io_uring_enter", EAGAIN, 0, URING, crowd_is_late,
	    INT_MAX },
	{ "uring full, late, kept", "io_uring_enter", EAGAIN, 0, URING,
	    crowd_is_late_and_kept, INT_MAX },
	{ "uring pool", "pthread_create", EAGAIN, 0, URING, endured_later, 0 },
	{ "uring pool, never", "pthread_create", EAGAIN, 1, URING,
	    endured_later, 0 },
	{ "uring pool, short-lived", "pthread_cond_timedwait", ETIMEDOUT, 0,
	    URING, work_endured, 0 },
#endif
};

FAULT_MAIN(cases)

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
#include <poll.h>
#include <pthread.h>
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
	{ "uring enters, storm", "io_uring_enter", EINTR, 2, URING,
	    work_endured, 0 },
	{ "uring enters, storm", "io_uring_enter", EAGAIN, 2, URING,
	    work_endured, 0 },
	{ "uring pool", "pthread_create", EAGAIN, 0, URING, endured_later, 0 },
	{ "uring pool, never", "pthread_create", EAGAIN, 1, URING,
	    endured_later, 0 },
	{ "uring pool, short-lived", "pthread_cond_timedwait", ETIMEDOUT, 0,
	    URING, work_endured, 0 },
#endif
};

int
main(int argc, char **argv)
{
	/* the cases name their driver themselves */
	(void)unsetenv("FILCH_DRIVER");
	return (
	    fault_main(cases, sizeof(cases) / sizeof(cases[0]), argc, argv));
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls that fail while an executor is created: it is refused with that error
 * and nothing is left, or another way is taken and everything works.
 *
 * Not here, because they cannot fail on Linux: pthread_mutex_init and
 * pthread_cond_init, which take no resources; pthread_sigmask; and
 * io_uring_queue_exit, munmap and pthread_join of what is known to be there.
 */
#include "work.h"

#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>

#if defined(FILCH_HAVE_URING)
#include <liburing.h>
#endif

FAULT_WRAP(void *, aligned_alloc, (size_t alignment, size_t size),
    (alignment, size), FAULT_NULL)
FAULT_WRAP(
    void *, calloc, (size_t count, size_t size), (count, size), FAULT_NULL)
FAULT_WRAP(void *, realloc, (void *old, size_t size), (old, size), FAULT_NULL)
FAULT_WRAP_CLOSE
FAULT_WRAP_FCNTL
FAULT_WRAP_VARIADIC(
    int, prctl, (int option, ...), option, unsigned long, (option, argument))
FAULT_WRAP(
    int, eventfd, (unsigned value, int flags), (value, flags), FAULT_ERRNO)
FAULT_WRAP(int, pipe, (int fds[2]), (fds), FAULT_ERRNO)
FAULT_WRAP(int, pthread_create,
    (pthread_t * thread, const pthread_attr_t *attributes,
	void *(*start)(void *), void *arg),
    (thread, attributes, start, arg), FAULT_NUMBER)
FAULT_WRAP(int, sched_getaffinity, (pid_t pid, size_t size, cpu_set_t *set),
    (pid, size, set), FAULT_ERRNO)
FAULT_WRAP(int, pthread_setaffinity_np,
    (pthread_t thread, size_t size, const cpu_set_t *set), (thread, size, set),
    FAULT_NUMBER)

#if defined(FILCH_HAVE_URING)
FAULT_WRAP(int, io_uring_queue_init_params,
    (unsigned entries, struct io_uring *ring, struct io_uring_params *params),
    (entries, ring, params), FAULT_NEGATIVE)
FAULT_WRAP(int, io_uring_register,
    (unsigned fd, unsigned opcode, const void *arg, unsigned count),
    (fd, opcode, arg, count), FAULT_NEGATIVE)
FAULT_WRAP(int, io_uring_ring_dontfork, (struct io_uring * ring), (ring),
    FAULT_NEGATIVE)
FAULT_WRAP(int, io_uring_register_iowq_max_workers,
    (struct io_uring * ring, unsigned *workers), (ring, workers),
    FAULT_NEGATIVE)
FAULT_WRAP(int, io_uring_register_probe,
    (struct io_uring * ring, struct io_uring_probe *probe, unsigned count),
    (ring, probe, count), FAULT_NEGATIVE)
#endif

/* Creating ends with the error, and leaves nothing. */
static void
refused(const struct fault_case *one, unsigned at)
{
	struct filch_executor *executor = NULL;
	int rc;

	fault_leak_begin();
	fault_arm(one->symbol, one->error, at, one->every);
	rc = work_create(one->driver, &executor);
	fault_disarm();
	if (fault_met() == 0) {
		FAULT_EQUAL(rc, 0);
		filch_executor_destroy(executor);
	} else {
		FAULT_EQUAL(rc, -one->error);
		FAULT_CHECK(executor == NULL);
	}
	fault_leak_end();
}

/* Creating goes well all the same. */
static void
endured(const struct fault_case *one, unsigned at)
{
	struct filch_executor *executor = NULL;

	fault_leak_begin();
	fault_arm(one->symbol, one->error, at, one->every);
	FAULT_EQUAL(work_create(one->driver, &executor), 0);
	if (one->driver != FILCH_DRIVER_AUTO) {
		FAULT_EQUAL(filch_executor_driver(executor), one->driver);
	}
	work_all(executor);
	fault_disarm();
	filch_executor_destroy(executor);
	fault_leak_end();
}

/* The portable driver is taken, and it is told why. */
static void
fallen_back(const struct fault_case *one, unsigned at)
{
	struct filch_executor *executor = NULL;
	const char *reason;

	fault_leak_begin();
	fault_arm(one->symbol, one->error, at, one->every);
	FAULT_EQUAL(work_create(one->driver, &executor), 0);
	fault_disarm();
	reason = filch_executor_driver_reason(executor);
	if (fault_met() == 0) {
		FAULT_EQUAL(
		    filch_executor_driver(executor), FILCH_DRIVER_URING);
	} else {
		FAULT_EQUAL(
		    filch_executor_driver(executor), FILCH_DRIVER_POSIX);
		FAULT_CHECK(strstr(reason, "io_uring is refused") != NULL);
		FAULT_CHECK(strstr(reason, strerror(one->error)) != NULL);
	}
	work_all(executor);
	filch_executor_destroy(executor);
	fault_leak_end();
}

/* The driver that the environment names is refused: no other is taken. */
static void
refused_by_name(const struct fault_case *one, unsigned at)
{
	FAULT_EQUAL(setenv("FILCH_DRIVER", "uring", 1), 0);
	refused(one, at);
}

/* Destroying an executor that has worked leaves nothing. */
static void
destroyed(const struct fault_case *one, unsigned at)
{
	struct filch_executor *executor = NULL;

	fault_leak_begin();
	FAULT_EQUAL(work_create(one->driver, &executor), 0);
	work_all(executor);
	fault_arm(one->symbol, one->error, at, one->every);
	filch_executor_destroy(executor);
	fault_disarm();
	fault_leak_end();
}

#define URING FILCH_DRIVER_URING
#define POSIX FILCH_DRIVER_POSIX
#define AUTO  FILCH_DRIVER_AUTO

static const struct fault_case cases[] = {
	{ "posix refused", "aligned_alloc", ENOMEM, 0, POSIX, refused, 0 },
	{ "posix refused", "calloc", ENOMEM, 0, POSIX, refused, 0 },
	{ "posix refused", "realloc", ENOMEM, 0, POSIX, refused, 0 },
	{ "posix refused", "pipe", EMFILE, 0, POSIX, refused, 0 },
	{ "posix refused", "pipe", ENFILE, 0, POSIX, refused, 0 },
	{ "posix refused", "fcntl", EINVAL, 0, POSIX, refused, 0 },
	{ "posix refused", "pthread_create", EAGAIN, 0, POSIX, refused, 0 },
	{ "posix endured", "sched_getaffinity", EINVAL, 0, POSIX, endured, 0 },
	{ "posix endured", "pthread_setaffinity_np", EINVAL, 0, POSIX, endured,
	    0 },
	{ "posix endured", "prctl", EINVAL, 0, POSIX, endured, 0 },
	{ "posix destroyed", "close", EINTR, 0, POSIX, destroyed, 0 },
	{ "posix destroyed", "close", EIO, 0, POSIX, destroyed, 0 },
#if defined(FILCH_HAVE_URING)
	{ "uring destroyed", "close", EINTR, 0, URING, destroyed, 0 },
	{ "uring destroyed", "close", EIO, 0, URING, destroyed, 0 },
	{ "uring by name", "io_uring_queue_init_params", EPERM, 0, AUTO,
	    refused_by_name, 0 },
	{ "uring by name", "io_uring_queue_init_params", ENOSYS, 0, AUTO,
	    refused_by_name, 0 },
	{ "uring refused", "aligned_alloc", ENOMEM, 0, URING, refused, 0 },
	{ "uring refused", "calloc", ENOMEM, 0, URING, refused, 0 },
	{ "uring refused", "eventfd", EMFILE, 0, URING, refused, 0 },
	{ "uring refused", "eventfd", ENFILE, 0, URING, refused, 0 },
	{ "uring refused", "eventfd", ENODEV, 0, URING, refused, 0 },
	{ "uring refused", "eventfd", ENOMEM, 0, URING, refused, 0 },
	{ "uring refused", "pthread_create", EAGAIN, 0, URING, refused, 0 },
	{ "uring refused", "io_uring_queue_init_params", ENOSYS, 0, URING,
	    refused, 0 },
	{ "uring refused", "io_uring_queue_init_params", EPERM, 0, URING,
	    refused, 0 },
	{ "uring refused", "io_uring_queue_init_params", ENOMEM, 0, URING,
	    refused, 0 },
	{ "uring refused", "io_uring_queue_init_params", EMFILE, 0, URING,
	    refused, 0 },
	{ "uring refused", "io_uring_queue_init_params", ENFILE, 0, URING,
	    refused, 0 },
	{ "uring refused", "io_uring_register_probe", ENOMEM, 0, URING, refused,
	    0 },
	{ "uring refused for good", "io_uring_queue_init_params", EINVAL, 1,
	    URING, refused, 0 },
	{ "uring on an older kernel", "io_uring_queue_init_params", EINVAL, 0,
	    URING, endured, 0 },
	{ "uring without a bound", "io_uring_register_iowq_max_workers", EINVAL,
	    0, URING, endured, 0 },
	{ "uring shared by a child", "io_uring_ring_dontfork", EINVAL, 0, URING,
	    endured, 0 },
	{ "uring by its descriptor", "io_uring_register", EINVAL, 1, URING,
	    endured, 0 },
	{ "one uring by its descriptor", "io_uring_register", EINVAL, 0, URING,
	    endured, 0 },
	{ "one uring by its descriptor", "io_uring_register", ENOMEM, 0, URING,
	    endured, 0 },
	{ "one uring by its descriptor", "io_uring_register", EBUSY, 0, URING,
	    endured, 0 },
	{ "uring endured", "sched_getaffinity", EINVAL, 0, URING, endured, 0 },
	{ "uring endured", "pthread_setaffinity_np", EINVAL, 0, URING, endured,
	    0 },
	{ "uring endured", "prctl", EINVAL, 0, URING, endured, 0 },
	{ "fallback", "io_uring_queue_init_params", ENOSYS, 0, AUTO,
	    fallen_back, 0 },
	{ "fallback", "io_uring_queue_init_params", EPERM, 0, AUTO, fallen_back,
	    0 },
	{ "fallback", "io_uring_queue_init_params", ENOMEM, 0, AUTO,
	    fallen_back, 0 },
	{ "fallback", "io_uring_queue_init_params", EMFILE, 0, AUTO,
	    fallen_back, 0 },
	{ "fallback", "io_uring_register_probe", ENOMEM, 0, AUTO, fallen_back,
	    0 },
	{ "fallback for good", "io_uring_queue_init_params", EINVAL, 1, AUTO,
	    fallen_back, 0 },
	{ "fallback", "eventfd", EMFILE, 0, AUTO, fallen_back, 0 },
	{ "fallback", "eventfd", ENOMEM, 0, AUTO, fallen_back, 0 },
	{ "no way left", "pthread_create", EAGAIN, 0, AUTO, refused, 0 },
#endif
};

FAULT_MAIN(cases)

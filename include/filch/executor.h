/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The executor: worker threads that run tasks, the reactor thread, and the
 * driver that does their I/O.  Several may live in one process; they share
 * nothing.
 *
 * fork(2).  A child has none of the threads, so the executors of its parent
 * are dead in it: it must not call anything on them, their tasks, wakers or
 * operations, not even filch_executor_destroy().  It may create executors of
 * its own and use them like any process, exec, exit and _exit; a child forked
 * by a task may only exec or _exit, as its thread still counts as a worker.
 * The parent's executors do not notice.  Their descriptors are closed by exec.
 */
#ifndef FILCH_EXECUTOR_H
#define FILCH_EXECUTOR_H

#include <stdbool.h>

#include "base.h"
#include "limits.h"
#include "task.h"

FILCH_BEGIN_DECLS

/* How I/O reaches the kernel. */
enum filch_driver_kind {
	FILCH_DRIVER_AUTO = 0,  /* the best one the system allows */
	FILCH_DRIVER_URING = 1, /* Linux io_uring, a ring a worker */
	FILCH_DRIVER_POSIX = 2  /* anywhere: blocking pool and poll(2) */
};

/* Zero in any member is its default; set size with the initialiser below. */
struct filch_executor_options {
	size_t size;
	/* Worker threads; default one for each CPU this process may use. */
	unsigned worker_count;
	/* Bind worker i to the i-th CPU this process may use. */
	bool pin_workers;
	/*
	 * The default is overruled by the environment variable FILCH_DRIVER
	 * ("uring" or "posix"), and any other kind is not.
	 */
	enum filch_driver_kind driver;
	/* Tasks a worker's deque holds before it spills; a power of two. */
	unsigned deque_capacity;
	/* Tasks spawned and not yet taken before spawning says -EAGAIN. */
	unsigned injector_capacity;
	/* Operations in the kernel at once, for each worker; a power of two. */
	unsigned ring_entries;
	/* Threads of the blocking pool at most. */
	unsigned pool_threads_max;
	/* Operations that a task finds ready in one poll before it must yield. */
	unsigned budget;
	/* Polls between two looks at the driver and the injector. */
	unsigned event_interval;
	/* Do not try reads of cached pages on the worker itself first. */
	bool inline_io_off;
};

#define FILCH_EXECUTOR_OPTIONS_INIT                                            \
	{                                                                      \
		.size = sizeof(struct filch_executor_options)                  \
	}

/* How filch_executor_shutdown() ends. */
enum filch_shutdown {
	/* No new task is accepted; those that exist run until they finish. */
	FILCH_SHUTDOWN_GRACEFUL = 0,
	/* As well, every task is cancelled, every operation asked to end. */
	FILCH_SHUTDOWN_IMMEDIATE = 1
};

/*
 * Start an executor.
 *
 * Returns  0; -EINVAL an option is out of its bounds (limits.h) or
 *          FILCH_DRIVER names no driver; -ENOMEM; -EAGAIN no thread could be
 *          started; -ENOSYS, -EPERM, -ENOMEM... the driver that was asked for
 *          by option or FILCH_DRIVER is refused by the system (with
 *          FILCH_DRIVER_AUTO another is taken instead).
 * Memory   options may be NULL for the defaults, and is not kept;
 *          *ret_executor is untouched on failure.
 * Threads  any.
 */
FILCH_NODISCARD FILCH_API int filch_executor_create(
    const struct filch_executor_options *options,
    struct filch_executor **ret_executor);

/*
 * Stop accepting tasks and wait for those that exist.
 *
 * A task that only waits for a waker which nobody will wake keeps a graceful
 * shutdown waiting.  An immediate one waits only for work that the executor
 * can end itself: its operations, sleeps, registrations, and what these wake.
 *
 * Returns  0; -ETIMEDOUT if the deadline came first: the shutdown stays in
 *          force and may be called again, also with the other mode; -EDEADLK
 *          on one of its own workers.
 * Threads  any that is not one of its workers, one at a time.
 */
FILCH_NODISCARD FILCH_API int filch_executor_shutdown(
    struct filch_executor *executor, enum filch_shutdown mode,
    uint64_t deadline_ns);

/*
 * Shut down at once if that was not done yet, end all threads and give back
 * all memory.  NULL is fine.  Tasks that still wait for somebody's waker are
 * never polled again: each is given up when it is woken, and released with its
 * last reference.  So filch_task_wake() on a join handle that is left over
 * makes filch_task_join() end with -ECANCELED.
 *
 * Threads  any that is not one of its workers; no other may use the executor
 *          at the time or later, but wakers stay safe to use.
 */
FILCH_API void filch_executor_destroy(struct filch_executor *executor);

/*
 * Hand task to the executor, which from then on holds the reference that
 * filch_task_init() gave.  Nobody waits for the task's end.
 *
 * Returns  0; -EAGAIN injector_capacity tasks wait already; -ESHUTDOWN.  On
 *          failure the task is untouched and may be spawned again.
 * Memory   nobody has a waker of task or another reference to it yet; it is
 *          pinned from a 0 return until its release.
 * Threads  any.
 */
FILCH_NODISCARD FILCH_API int filch_executor_spawn(
    struct filch_executor *executor, struct filch_task *task);

/*
 * The same, but the caller gets a join handle, which must be given up by
 * exactly one of filch_task_join(), a ready filch_task_poll_join(), or
 * filch_task_detach().
 */
FILCH_NODISCARD FILCH_API int filch_executor_spawn_joinable(
    struct filch_executor *executor, struct filch_task *task);

/*
 * Spawn task and wait on this thread until it has finished.
 *
 * Returns  0; the errors of filch_executor_spawn() and filch_task_join().
 * Threads  any that is not a worker (-EDEADLK).
 */
FILCH_NODISCARD FILCH_API int filch_executor_block_on(
    struct filch_executor *executor, struct filch_task *task);

/* Worker threads of executor.  Threads: any. */
FILCH_API unsigned filch_executor_worker_count(
    const struct filch_executor *executor);

/* The index of the worker that runs this thread, or -1 on any other thread. */
FILCH_API int filch_worker_index(void);

/* The driver in use, never FILCH_DRIVER_AUTO.  Threads: any. */
FILCH_API enum filch_driver_kind filch_executor_driver(
    const struct filch_executor *executor);

/*
 * Why that driver is in use, as a sentence for people; also names the error
 * that kept a better one away.  Memory: lives as long as the executor.
 */
FILCH_API const char *filch_executor_driver_reason(
    const struct filch_executor *executor);

/* "uring", "posix" or "auto". */
FILCH_API const char *filch_driver_name(enum filch_driver_kind kind);

FILCH_END_DECLS

#endif /* FILCH_EXECUTOR_H */

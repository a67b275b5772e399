/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The executor: worker threads that run tasks, the reactor thread, and the
 * driver that does their I/O.  Several may live in one process; they share
 * nothing.
 *
 * fork(2).  A child has none of the threads, so the executors of its parent
 * are dead in it: it must not call anything on them, their tasks, wakers or
 * operations, not even filch_executor_destroy(), nor leave that to an atexit
 * function or a destructor.  It may create executors of its own and use them
 * like any process, exec, exit and _exit; a child forked by a task may only
 * exec or _exit, as its thread still counts as a worker.  The parent's
 * executors do not notice, and what is in flight goes on; only of O_DIRECT
 * reads in flight open(2) has a warning.  Their descriptors are closed by exec,
 * and else when the child ends.
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
	FILCH_DRIVER_POSIX = 2, /* anywhere: blocking pool and poll(2) */
	FILCH_DRIVER_KQUEUE = 3 /* FreeBSD: POSIX AIO told by kqueue(2) */
};

/*
 * Zero in any member is its default; set size with the initialiser below.  The
 * defaults and bounds are in limits.h.
 */
struct filch_executor_options {
	/* Of this struct, in bytes: tells the version that was compiled in. */
	size_t size;
	/* Worker threads; default one for each CPU this process may use. */
	unsigned worker_count;
	/*
	 * Bind worker i to the i-th CPU this process may use, round and round.
	 * Where the system refuses, the worker runs unbound.
	 */
	bool pin_workers;
	/*
	 * The default is overruled by the environment variable FILCH_DRIVER
	 * ("uring", "kqueue" or "posix"), and any other kind is not.
	 */
	enum filch_driver_kind driver;
	/*
	 * Tasks in each of a worker's two queues before it spills its older
	 * half into the shared one, the injector; a power of two.
	 */
	unsigned deque_capacity;
	/*
	 * Tasks in the injector before spawning from outside says -EAGAIN.
	 * What spills or is woken always finds room.
	 */
	unsigned injector_capacity;
	/*
	 * Entries of each worker's ring (io_uring); a power of two.  Up to
	 * four times as many operations of a worker are in the kernel at
	 * once; the others wait their turn.
	 */
	unsigned ring_entries;
	/* Threads of the blocking pool at most. */
	unsigned pool_threads_max;
	/*
	 * Operations that a task finds ready in one poll; then the next is
	 * pending, and the task is polled again after others.
	 */
	unsigned budget;
	/*
	 * Polls between two looks at the driver and the injector; where they
	 * are long, it looks about twice a millisecond.
	 */
	unsigned event_interval;
	/*
	 * Never read on the worker itself what the page cache may have, nor
	 * from a mapping.
	 */
	bool inline_io_off;
};

/* All defaults. */
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
 * Start an executor: its workers and the reactor thread.
 *
 * Returns  0; -EINVAL an option is out of its bounds, or options->size is not
 *          that of this library, or FILCH_DRIVER names no driver; -ENOMEM;
 *          -EAGAIN a thread could not be started; -EMFILE or -ENFILE no
 *          descriptor is left for the driver.  A driver that was asked for by
 *          option or FILCH_DRIVER may be refused with whatever the system
 *          says, as -EPERM or -ENOMEM, and is refused with -ENOSYS where there
 *          is none of the kind; FILCH_DRIVER_AUTO then takes another.
 * Memory   options may be NULL for the defaults.  *ret_executor is the
 *          caller's until filch_executor_destroy().
 * Threads  any.
 */
FILCH_NODISCARD FILCH_API int filch_executor_create(
    const struct filch_executor_options *options,
    struct filch_executor **ret_executor);

/*
 * Stop accepting tasks and wait until those that exist have ended.
 *
 * A task that only waits for a waker which nobody will wake keeps a graceful
 * shutdown waiting.  An immediate one waits only for work that the executor
 * can end itself: its operations, sleeps, registrations, and what these wake.
 *
 * Returns  0; -ETIMEDOUT deadline_ns (FILCH_NEVER for none) came first: the
 *          shutdown stays in force and may be called again, also with the
 *          other mode, but what was immediate stays so; -EDEADLK on one of its
 *          own workers, and then nothing was done.
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
 * Memory   every Aio and buffer pool of executor was destroyed before (an Aio
 *          that is left is a misuse).
 * Threads  any that is not one of its workers (a misuse); no other may use the
 *          executor at the time or later, but wakers stay safe to use.
 */
FILCH_API void filch_executor_destroy(struct filch_executor *executor);

/*
 * Hand task to the executor, which from then on holds the reference that
 * filch_task_init() gave.  Nobody waits for the task's end.
 *
 * Returns  0; -EAGAIN injector_capacity tasks wait already (never in a task of
 *          the same executor); -ESHUTDOWN.  On failure the task is untouched
 *          and may be spawned again.
 * Memory   nobody has a waker of task or another reference to it yet; it is
 *          pinned from a 0 return until its release, or until
 *          filch_executor_unspawn() gives it back.
 * Threads  any.
 */
FILCH_NODISCARD FILCH_API int filch_executor_spawn(
    struct filch_executor *executor, struct filch_task *task);

/*
 * The same, but the caller gets a join handle, which is one more reference and
 * must be given up by exactly one of filch_task_join(), a ready
 * filch_task_poll_join(), or filch_task_detach().
 */
FILCH_NODISCARD FILCH_API int filch_executor_spawn_joinable(
    struct filch_executor *executor, struct filch_task *task);

/*
 * Take back the task that this poll spawned last and has not taken back, if
 * nobody has begun it; its work may then be done by a plain call.  So a task
 * that splits its work spawns the parts, does one itself and takes back what
 * nobody has stolen meanwhile: fork and join, at the price of a queue.
 *
 * Returns  true: task is as filch_task_init() left it, and its release
 *          function is not called.  False: another worker has it, or will run
 *          it; or others were spawned after it, or too many for the queue.
 * Memory   task was spawned with filch_executor_spawn(), on executor, by the
 *          poll that runs now or what it calls.  It may have run and be gone
 *          by now: of one that is not taken back only the address is used,
 *          which no task spawned since may have, or that one is taken back.
 * Threads  a worker of executor, in a poll; false on all other threads.
 */
FILCH_NODISCARD FILCH_API bool filch_executor_unspawn(
    struct filch_executor *executor, struct filch_task *task);

/*
 * Spawn task and wait on this thread until it has finished.
 *
 * Returns  0; the errors of filch_executor_spawn() and filch_task_join().
 * Memory   task is the caller's again, unless somebody still holds a waker of
 *          it.
 * Threads  any that is not a worker of any executor (-EDEADLK, and nothing was
 *          spawned).
 */
FILCH_NODISCARD FILCH_API int filch_executor_block_on(
    struct filch_executor *executor, struct filch_task *task);

/* Worker threads of executor.  Threads: any. */
FILCH_API unsigned filch_executor_worker_count(
    const struct filch_executor *executor);

/*
 * The index, from 0, of the worker that runs this thread, whatever executor it
 * belongs to; -1 on a thread that is no worker.  Threads: any.
 */
FILCH_API int filch_worker_index(void);

/* The driver in use, never FILCH_DRIVER_AUTO.  Threads: any. */
FILCH_API enum filch_driver_kind filch_executor_driver(
    const struct filch_executor *executor);

/*
 * Why that driver is in use, as a sentence for people; also names the error
 * that kept a better one away.  Memory: lives as long as the executor.
 * Threads: any.
 */
FILCH_API const char *filch_executor_driver_reason(
    const struct filch_executor *executor);

/*
 * "uring", "posix", or "auto" for any other kind: what FILCH_DRIVER takes.
 * Memory: a constant.  Threads: any.
 */
FILCH_API const char *filch_driver_name(enum filch_driver_kind kind);

FILCH_END_DECLS

#endif /* FILCH_EXECUTOR_H */

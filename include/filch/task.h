/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tasks: units of work that a worker polls until they are finished.
 *
 * A task stands inside the user's own struct; its poll function finds that
 * struct with filch_container_of().  It is polled by one thread at a time,
 * never after it returned FILCH_READY, and again only after a wake.
 *
 * Lifetime.  A task is pinned from filch_task_init() until its last reference
 * is gone; then its release function runs, once, on whatever thread gave up
 * that reference, and the memory is the user's again.  References are held by
 * the executor while the task is queued or polled, by every waker, by an
 * operation, sleep or batch that is to wake the task, and by the join handle.
 * A task that returned FILCH_PENDING and to which no reference is left can
 * never run again: it is released.  The join handle is a reference like any
 * other: with it a task can still be woken or cancelled, so one that nobody
 * else knows is waited for, and not given up, until the handle is.  Before it
 * is spawned nothing can be done with a task but to spawn it or, with
 * filch_task_unref(), to give it up.
 */
#ifndef FILCH_TASK_H
#define FILCH_TASK_H

#include <stdbool.h>

#include "base.h"
#include "waker.h"

FILCH_BEGIN_DECLS

/*
 * Do a piece of the task's work without blocking.
 * FILCH_PENDING promises that a wake has been arranged (the operation, sleep,
 * join or waker that was found pending does so); FILCH_READY ends the task.
 *
 * Threads  a worker; not always the same one, and one at a time.  Each call
 *          sees what was done before the wake that led to it.
 */
typedef enum filch_poll (*filch_task_poll_fn)(struct filch_task *task);

/*
 * Take back the memory of a task: nothing of filch refers to it any more.
 *
 * Threads  whichever gave up the last reference: a worker, the reactor thread,
 *          one of the pool, or one of the user's; a lock of the library may
 *          be held.  So it must not block, nor start or cancel anything.
 */
typedef void (*filch_task_release_fn)(struct filch_task *task);

struct filch_task {
	struct {
		filch_task_poll_fn poll;
		filch_task_release_fn release;
		struct filch_executor *executor;
		uint64_t state;
		struct filch_task *next;
		struct filch_waker joiner;
	} priv;
};

/*
 * Make task ready to be spawned.
 *
 * Memory   release may be NULL where nobody needs to be told.  A task that has
 *          ended, and to which nobody has a reference, may be made ready anew.
 * Threads  any; no other may touch the task meanwhile.
 */
FILCH_API void filch_task_init(struct filch_task *task, filch_task_poll_fn poll,
    filch_task_release_fn release);

/*
 * Have task polled again soon.  Many wakes before the poll make one poll.
 * Waking a finished task does nothing.
 *
 * Memory   task was spawned, and the caller holds a reference to it or is its
 *          poll function.
 * Threads  any; not a signal handler.
 */
FILCH_API void filch_task_wake(struct filch_task *task);

/*
 * A waker of task, which holds one reference to it.
 *
 * Memory   as filch_task_wake().  The waker is to be woken or dropped once; it
 *          may outlive the executor.
 * Threads  any.
 */
FILCH_API struct filch_waker filch_task_waker(struct filch_task *task);

/*
 * Let other tasks run first: the next poll comes behind the tasks that were
 * woken on this worker before; those that were spawned on it take turns with
 * them.  Use it as "return (filch_task_yield(task));".
 *
 * Returns  FILCH_PENDING.
 * Threads  the task's own poll function only.
 */
FILCH_API enum filch_poll filch_task_yield(struct filch_task *task);

/*
 * Ask task to end.  The task is polled; the operation, sleep or batch it
 * waits for is asked to cancel when it is polled, and ends with -ECANCELED
 * unless it was done already; those it starts later end with -ECANCELED at
 * once (all but close, so that the task can clean up).  The task decides what
 * it makes of that: it stays alive until it returns FILCH_READY.
 *
 * Memory   as filch_task_wake().
 * Threads  any.
 */
FILCH_API void filch_task_cancel(struct filch_task *task);

/*
 * True once task was asked to end, or its executor is shutting down at once.
 * Of a task that has ended, only whether it was asked itself.
 *
 * Memory   as filch_task_wake().
 * Threads  any.
 */
FILCH_API bool filch_task_is_cancelled(const struct filch_task *task);

/*
 * Withdraw a cancel that the task has taken note of, so that it can start
 * operations to clean up.  It does not help against an immediate shutdown.
 *
 * Threads  the task's own poll function only.
 */
FILCH_API void filch_task_uncancel(struct filch_task *task);

/* Take one more reference to task.  Threads: any that already holds one. */
FILCH_API void filch_task_ref(struct filch_task *task);

/*
 * Give up a reference to task.  The last one releases it.
 * Threads: any that holds one.
 */
FILCH_API void filch_task_unref(struct filch_task *task);

/*
 * Wait inside another task until task has finished.  FILCH_READY gives the
 * join handle up; from then on the library touches task no more unless
 * somebody still holds a waker of it.
 *
 * Result   *ret_result is 0, or -ECANCELED if the task was given up
 *          unfinished: woken after its executor had been destroyed.
 * Memory   task was spawned with filch_executor_spawn_joinable() and its
 *          handle not yet given up.  waiter is not task.
 * Threads  waiter's own poll function only; one waiter at a time, the
 *          latest is woken.
 */
FILCH_API enum filch_poll filch_task_poll_join(
    struct filch_task *task, struct filch_task *waiter, int *ret_result);

/*
 * Wait on this thread until task has finished, and give the join handle up.
 *
 * Returns  0; -ECANCELED as in filch_task_poll_join(); -EDEADLK on a worker
 *          of any executor, which must not block: the handle is then kept.
 * Memory   as filch_task_poll_join().
 * Threads  any that is not a worker; one waiter at a time, of either kind (a
 *          second one is a misuse), but a task that has ceased to wait may
 *          leave the handle to a thread.
 */
FILCH_NODISCARD FILCH_API int filch_task_join(struct filch_task *task);

/* Give the join handle up without waiting.  Threads: any. */
FILCH_API void filch_task_detach(struct filch_task *task);

FILCH_END_DECLS

#endif /* FILCH_TASK_H */

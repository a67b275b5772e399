/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tasks: waking, cancelling, joining.  The transitions themselves are in
 * include/private/task_word.h, polling is in worker.c.
 */
#include <filch/task.h>

#include <errno.h>
#include <sched.h>

#include "../include/private/assert.h"
#include "../include/private/task_waker.h"
#include "executor.h"

_Static_assert(
    sizeof(struct filch_task) <= 64, "a task costs at most 64 bytes of ours");

/* Tasks that this thread is to give up, and whether it is about it. */
static FILCH__THREAD_LOCAL struct filch_task *task_abandoned;
static FILCH__THREAD_LOCAL bool task_abandoning;

static void task_ended(struct filch_task *);

void
filch_task_init(struct filch_task *task, filch_task_poll_fn poll,
    filch_task_release_fn release)
{
	filch__require(poll != NULL, "a task has a poll function");
	task->priv.poll = poll;
	task->priv.release = release;
	task->priv.executor = NULL;
	task->priv.state = FILCH__TASK_REF;
	task->priv.next = NULL;
	task->priv.joiner.vtable = NULL;
	task->priv.joiner.data = NULL;
}

/* ---- ending ---- */

enum filch__task_next
filch__task_wake_joiner(struct filch_task *task, uint64_t flags)
{
	struct filch_waker joiner = task->priv.joiner;
	enum filch__task_next next =
	    filch__task_word_completed(&task->priv.state, flags);

	filch_waker_wake(&joiner);
	return (next);
}

static void
task_abandon_one(struct filch_task *task)
{
	struct filch_executor *executor = task->priv.executor;

	if (filch__task_complete(task, FILCH__TASK_ABANDONED)) {
		filch__task_release(task);
	}
	filch__executor_finished_outside(executor);
}

/*
 * The end of a task wakes who has joined it, whose executor may be closed as
 * well, and so on: those stand in line here, and not on the stack.
 */
void
filch__task_abandon(struct filch_task *task)
{
	task->priv.next = task_abandoned;
	task_abandoned = task;
	if (task_abandoning) {
		return;
	}
	task_abandoning = true;
	while (task_abandoned != NULL) {
		task = task_abandoned;
		task_abandoned = task->priv.next;
		task_abandon_one(task);
	}
	task_abandoning = false;
}

/*
 * The last reference is gone, outside of a poll.  A task that had not finished
 * ends here.
 */
static void
task_ended(struct filch_task *task)
{
	/* relaxed: nobody else has a reference */
	uint64_t word = filch__u64_load_relaxed(&task->priv.state);
	struct filch_executor *executor = task->priv.executor;

	filch__task_release(task);
	if ((word & FILCH__TASK_COMPLETE) == 0 && executor != NULL) {
		filch__executor_finished_outside(executor);
	}
}

/* ---- waking ---- */

static inline void
task_wake(struct filch_task *task, uint64_t flags, bool consume)
{
	switch (filch__task_word_wake(&task->priv.state, flags, consume)) {
	case FILCH__TASK_SCHEDULE:
		filch__executor_schedule(task->priv.executor, task);
		break;
	case FILCH__TASK_RELEASE:
		task_ended(task);
		break;
	case FILCH__TASK_NOTHING:
	case FILCH__TASK_JOINER:
		break;
	}
}

static void
waker_clone(void *data)
{
	filch_task_ref(data);
}

void
filch__task_wake_held(struct filch_task *task)
{
	task_wake(task, 0, true);
}

static void
waker_wake(void *data)
{
	filch__task_wake_held(data);
}

static void
waker_wake_by_ref(void *data)
{
	task_wake(data, 0, false);
}

static void
waker_drop(void *data)
{
	filch_task_unref(data);
}

const struct filch_waker_vtable filch__task_waker_vtable = {
	.clone = waker_clone,
	.wake = waker_wake,
	.wake_by_ref = waker_wake_by_ref,
	.drop = waker_drop,
};

void
filch_task_wake(struct filch_task *task)
{
	task_wake(task, 0, false);
}

struct filch_waker
filch_task_waker(struct filch_task *task)
{
	struct filch_waker waker = {
		.vtable = &filch__task_waker_vtable,
		.data = task,
	};

	filch_task_ref(task);
	return (waker);
}

enum filch_poll
filch_task_yield(struct filch_task *task)
{
	filch__task_word_wake_running(&task->priv.state);
	return (FILCH_PENDING);
}

void
filch_task_ref(struct filch_task *task)
{
	filch__task_word_ref(&task->priv.state);
}

void
filch_task_unref(struct filch_task *task)
{
	if (filch__task_word_unref(&task->priv.state) == FILCH__TASK_RELEASE) {
		task_ended(task);
	}
}

/* ---- cancelling ---- */

void
filch_task_cancel(struct filch_task *task)
{
	task_wake(task, FILCH__TASK_CANCELLED, false);
}

bool
filch_task_is_cancelled(const struct filch_task *task)
{
	/* relaxed: as in filch__task_has_cancel() */
	uint64_t word = filch__u64_load_relaxed(&task->priv.state);

	if ((word & (FILCH__TASK_CANCELLED | FILCH__TASK_COMPLETE)) != 0) {
		/* no task keeps the executor of one that has ended */
		return ((word & FILCH__TASK_CANCELLED) != 0);
	}
	return (filch__executor_state(task->priv.executor) >=
	    FILCH__EXECUTOR_STOPPING);
}

void
filch_task_uncancel(struct filch_task *task)
{
	filch__task_word_uncancel(&task->priv.state);
}

/* ---- joining ---- */

/* Take the end of a completed task, and give the join handle up. */
static int
join_take(struct filch_task *task, uint64_t word)
{
	int result = (word & FILCH__TASK_ABANDONED) != 0 ? -ECANCELED : 0;

	filch_task_unref(task);
	return (result);
}

enum filch_poll
filch_task_poll_join(
    struct filch_task *task, struct filch_task *waiter, int *ret_result)
{
	struct filch_waker waker = {
		.vtable = &filch__task_waker_vtable,
		.data = waiter,
	};
	struct filch_waker *stored = &task->priv.joiner;
	uint64_t word;

	for (;;) {
		/* [TW1] pairs with filch__task_word_complete */
		word = filch__u64_load_acquire(&task->priv.state);
		if ((word & FILCH__TASK_COMPLETE) != 0) {
			*ret_result = join_take(task, word);
			return (FILCH_READY);
		}
		if ((word & FILCH__TASK_COMPLETING) != 0) {
			/* the stored waker is woken in a moment; another
			 * waiter has to look again by itself */
			return (filch_waker_is_same(stored, &waker)
				? FILCH_PENDING
				: filch_task_yield(waiter));
		}
		if ((word & FILCH__TASK_JOIN_WAKER) != 0) {
			if (filch_waker_is_same(stored, &waker)) {
				return (FILCH_PENDING);
			}
			if (!filch__task_word_join_withdraw(
				&task->priv.state)) {
				continue;
			}
			filch_waker_drop(stored);
		}
		*stored = filch_task_waker(waiter);
		if (filch__task_word_join_publish(&task->priv.state)) {
			return (FILCH_PENDING);
		}
		filch_waker_drop(stored);
	}
}

/* A thread that waits; lives on its stack until it was woken. */
struct thread_waiter {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	bool woken;
};

static void
thread_waiter_keep(void *data)
{
	(void)data;
}

static void
thread_waiter_wake(void *data)
{
	struct thread_waiter *waiter = data;

	pthread_mutex_lock(&waiter->mutex);
	waiter->woken = true;
	pthread_cond_signal(&waiter->cond);
	pthread_mutex_unlock(&waiter->mutex);
}

static const struct filch_waker_vtable thread_waiter_vtable = {
	.clone = thread_waiter_keep,
	.wake = thread_waiter_wake,
	.wake_by_ref = thread_waiter_wake,
	.drop = thread_waiter_keep,
};

/*
 * Make room for a waker.  One that a former waiter left is dropped: it must
 * not outlive the handle, since nobody looks for it when the last reference is
 * given up.  False if the task has ended, or is about to.
 */
static bool
join_clear(struct filch_task *task)
{
	struct filch_waker *stored = &task->priv.joiner;
	/* [TW1] pairs with filch__task_word_complete */
	uint64_t word = filch__u64_load_acquire(&task->priv.state);

	if ((word & FILCH__TASK_ENDED) != 0) {
		return (false);
	}
	if ((word & FILCH__TASK_JOIN_WAKER) != 0) {
		if (!filch__task_word_join_withdraw(&task->priv.state)) {
			return (false);
		}
		filch__require(stored->vtable != &thread_waiter_vtable,
		    "one waiter at a time joins a task");
		filch_waker_drop(stored);
	}
	return (true);
}

/* Wait until task ends, unless it has or is about to. */
static void
thread_wait(struct filch_task *task)
{
	struct thread_waiter waiter = {
		.mutex = PTHREAD_MUTEX_INITIALIZER,
		.cond = PTHREAD_COND_INITIALIZER,
		.woken = false,
	};

	task->priv.joiner.vtable = &thread_waiter_vtable;
	task->priv.joiner.data = &waiter;
	if (filch__task_word_join_publish(&task->priv.state)) {
		/* the wake, not the word, says that nobody uses waiter */
		pthread_mutex_lock(&waiter.mutex);
		while (!waiter.woken) {
			pthread_cond_wait(&waiter.cond, &waiter.mutex);
		}
		pthread_mutex_unlock(&waiter.mutex);
	}
	pthread_mutex_destroy(&waiter.mutex);
	pthread_cond_destroy(&waiter.cond);
}

int
filch_task_join(struct filch_task *task)
{
	uint64_t word;

	if (filch__worker_current != NULL) {
		return (-EDEADLK);
	}
	if (join_clear(task)) {
		thread_wait(task);
	}
	/* [TW1] pairs with filch__task_word_completed */
	word = filch__u64_load_acquire(&task->priv.state);
	while ((word & FILCH__TASK_COMPLETE) == 0) {
		/* the waker of a former waiter is being taken */
		sched_yield();
		/* [TW1] as above */
		word = filch__u64_load_acquire(&task->priv.state);
	}
	return (join_take(task, word));
}

void
filch_task_detach(struct filch_task *task)
{
	(void)join_clear(task);
	filch_task_unref(task);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How the layers below the executor wake a task and look at its word.
 */
#ifndef FILCH_PRIVATE_TASK_WAKER_H
#define FILCH_PRIVATE_TASK_WAKER_H

#include <filch/task.h>

#include "task_word.h"

/* The vtable of every task's waker; data is the task. */
extern const struct filch_waker_vtable filch__task_waker_vtable;

/* One more reference, for the waker that an operation or timer holds. */
static inline void
filch__task_hold(struct filch_task *task)
{
	filch__task_word_ref(&task->priv.state);
}

/* Wake, and give that reference up. */
void filch__task_wake_held(struct filch_task *task);

/* True if this task itself was cancelled; says nothing of its executor. */
static inline bool
filch__task_has_cancel(const struct filch_task *task)
{
	/* relaxed: the wake that follows a cancel orders the next poll */
	return ((filch__u64_load_relaxed(&task->priv.state) &
		    FILCH__TASK_CANCELLED) != 0);
}

#endif /* FILCH_PRIVATE_TASK_WAKER_H */

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A task around one batch, for the contract programs.
 */
#ifndef FILCH_TESTS_CONTRACT_BATCH_TASK_H
#define FILCH_TESTS_CONTRACT_BATCH_TASK_H

#include "contract.h"

struct batch_task {
	struct filch_task task;
	struct filch_batch batch;
	size_t failed;
	unsigned polls;
	bool cancels_itself; /* before its first poll of the batch */
	bool is_told;
	sem_t polled; /* posted once, by the first poll */
};

static inline enum filch_poll
batch_task_poll(struct filch_task *task)
{
	struct batch_task *one =
	    filch_container_of(task, struct batch_task, task);
	enum filch_poll poll;

	if (one->cancels_itself) {
		filch_task_cancel(task);
	}
	poll = filch_batch_poll(&one->batch, task, &one->failed);
	one->polls++;
	if (!one->is_told) {
		one->is_told = true;
		(void)sem_post(&one->polled);
	}
	return (poll);
}

/* Spawn a task for a batch, and return when it was polled once. */
static inline int
batch_task_start(struct contract *contract, struct batch_task *one,
    struct filch_op *const *ops, size_t count)
{
	int rc;

	one->failed = SIZE_MAX;
	one->polls = 0;
	one->is_told = false;
	(void)sem_init(&one->polled, 0, 0);
	filch_batch_init(&one->batch, ops, count);
	filch_task_init(&one->task, batch_task_poll, NULL);
	rc = filch_executor_spawn_joinable(contract->executor, &one->task);
	while (rc == 0 && sem_wait(&one->polled) < 0) {
		continue;
	}
	return (rc);
}

/* Wait for the end; how many elements failed. */
static inline size_t
batch_task_end(struct batch_task *one)
{
	int rc = filch_task_join(&one->task);

	(void)sem_destroy(&one->polled);
	return (rc < 0 ? SIZE_MAX : one->failed);
}

static inline size_t
batch_task_run(struct contract *contract, struct batch_task *one,
    struct filch_op *const *ops, size_t count)
{
	if (batch_task_start(contract, one, ops, count) < 0) {
		return (SIZE_MAX);
	}
	return (batch_task_end(one));
}

#endif /* FILCH_TESTS_CONTRACT_BATCH_TASK_H */

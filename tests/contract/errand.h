/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls that only a worker may make, for the contract programs.
 */
#ifndef FILCH_TESTS_CONTRACT_ERRAND_H
#define FILCH_TESTS_CONTRACT_ERRAND_H

#include "source.h"

/* A call made on a worker of executor, by a task of its own. */
struct errand {
	struct filch_task task;
	int (*call)(struct errand *errand);
	struct source *source;
	struct filch_aio *aio;
	struct filch_aio_event event;
	unsigned count;
	int result;
};

static inline enum filch_poll
errand_poll(struct filch_task *task)
{
	struct errand *errand = filch_container_of(task, struct errand, task);

	errand->result = errand->call(errand);
	return (errand->result == -EINPROGRESS ? FILCH_PENDING : FILCH_READY);
}

/* What call returned; it is made again after -EINPROGRESS and a wake. */
static inline int
errand_run(struct filch_executor *executor, struct errand *errand,
    int (*call)(struct errand *errand))
{
	int rc;

	errand->call = call;
	filch_task_init(&errand->task, errand_poll, NULL);
	rc = filch_executor_block_on(executor, &errand->task);
	return (rc < 0 ? rc : errand->result);
}

/* Wait for the source, and clear it. */
static inline int
call_wait(struct errand *errand)
{
	int status;

	if (filch_aio_poll_ready(errand->aio, &errand->task, &errand->event,
		&status) == FILCH_PENDING) {
		return (-EINPROGRESS);
	}
	if (status == 0) {
		filch_aio_clear_ready(errand->aio, errand->event);
	}
	return (status);
}

#endif /* FILCH_TESTS_CONTRACT_ERRAND_H */

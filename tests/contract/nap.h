/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A task that sleeps, for the contract programs.
 */
#ifndef FILCH_TESTS_CONTRACT_NAP_H
#define FILCH_TESTS_CONTRACT_NAP_H

#include "contract.h"

struct nap {
	struct filch_task task;
	struct filch_sleep sleep;
	int result;
};

static inline enum filch_poll
nap_poll(struct filch_task *task)
{
	struct nap *nap = filch_container_of(task, struct nap, task);

	return (filch_sleep_poll(&nap->sleep, task, &nap->result));
}

/* Sleep as a task of the executor; 0 or -errno. */
static inline int
nap_take(struct contract *contract, uint64_t duration_ns)
{
	struct nap nap = { .result = 0 };
	int rc;

	filch_sleep_init(&nap.sleep, filch_now() + duration_ns);
	filch_task_init(&nap.task, nap_poll, NULL);
	rc = filch_executor_block_on(contract->executor, &nap.task);
	return (rc < 0 ? rc : nap.result);
}

#endif /* FILCH_TESTS_CONTRACT_NAP_H */

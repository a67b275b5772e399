/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A worker that sleeps wakes at the deadlines of its shard by itself, where the
 * driver can: the reactor thread is held meanwhile.
 */
#include <unistd.h>

#include "reactor_hold.h"

TestSuite(nap, .timeout = 30);

struct napper {
	struct filch_task task;
	struct filch_sleep sleep;
	struct filch_executor *executor;
	bool naps;
	int result;
};

#define NAP_NS 2000000

/* The reactor thread is held until the nap is over. */
static enum filch_poll
napper_poll(struct filch_task *task)
{
	struct napper *napper = filch_container_of(task, struct napper, task);

	if (!napper->naps) {
		reactor_hold(napper->executor);
		filch_sleep_init(&napper->sleep, filch_now() + NAP_NS);
		napper->naps = true;
	}
	if (filch_sleep_poll(&napper->sleep, task, &napper->result) ==
	    FILCH_PENDING) {
		return (FILCH_PENDING);
	}
	reactor_release();
	return (FILCH_READY);
}

Test(nap, a_worker_that_sleeps_wakes_at_its_deadline)
{
	struct filch_executor *executor = executor_new(1);
	struct napper napper = { .executor = executor, .result = 1 };

	if (executor->reactor.standby_ns == 0) {
		filch_executor_destroy(executor);
		cr_skip("here the reactor thread wakes it");
	}
	reactor_hold_init(executor);
	filch_task_init(&napper.task, napper_poll, NULL);
	cr_assert_eq(filch_executor_block_on(executor, &napper.task), 0);
	filch_executor_destroy(executor);
	cr_assert_eq(napper.result, 0);
}

/* Waits for one byte. */
struct waiter {
	struct filch_task task;
	struct filch_op op;
	struct filch_file file;
	int pipe[2];
	char byte;
	bool waiting;
};

static enum filch_poll
waiter_poll(struct filch_task *task)
{
	struct waiter *waiter = filch_container_of(task, struct waiter, task);
	int64_t got;

	if (!waiter->waiting) {
		waiter->waiting = true;
		filch_op_init_read(&waiter->op, &waiter->file, &waiter->byte, 1,
		    FILCH_OFFSET_CURRENT);
	}
	return (filch_op_poll(&waiter->op, task, &got));
}

/* The same, where it sleeps in the ring: something is in flight. */
Test(nap, a_worker_that_waits_for_a_read_wakes_at_its_deadline)
{
	struct filch_executor *executor = executor_new(1);
	struct napper napper = { .executor = executor, .result = 1 };
	struct waiter waiter = { .waiting = false };

	if (executor->reactor.standby_ns == 0) {
		filch_executor_destroy(executor);
		cr_skip("here the reactor thread wakes it");
	}
	cr_assert_eq(pipe(waiter.pipe), 0);
	cr_assert_eq(filch_file_init(&waiter.file, waiter.pipe[0]), 0);
	filch_task_init(&waiter.task, waiter_poll, NULL);
	cr_assert_eq(filch_executor_spawn_joinable(executor, &waiter.task), 0);
	reactor_hold_init(executor);
	filch_task_init(&napper.task, napper_poll, NULL);
	cr_assert_eq(filch_executor_block_on(executor, &napper.task), 0);
	cr_assert_eq(write(waiter.pipe[1], "1", 1), 1);
	cr_assert_eq(filch_task_join(&waiter.task), 0);
	filch_executor_destroy(executor);
	close(waiter.pipe[0]);
	close(waiter.pipe[1]);
	cr_assert_eq(napper.result, 0);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which signals an executor's threads take: those of their own faults, so that
 * a program's handler for them (a report of a crash, a sanitizer's) sees
 * filch's threads too, and none of the program's.
 */
#include <pthread.h>
#include <signal.h>

#include "helpers.h"

static const int faults[] = { SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS,
	SIGTRAP };
static const int others[] = { SIGCHLD, SIGHUP, SIGINT, SIGPIPE, SIGTERM,
	SIGUSR1 };

#define COUNT (sizeof(faults) / sizeof(*faults))

struct thread {
	sigset_t blocked;
	bool looked;
};

static void
look(struct thread *thread)
{
	thread->looked =
	    pthread_sigmask(SIG_BLOCK, NULL, &thread->blocked) == 0;
}

static void
assert_takes_faults_alone(const struct thread *thread)
{
	size_t i;

	cr_assert(thread->looked);
	for (i = 0; i < COUNT; i++) {
		cr_expect_eq(sigismember(&thread->blocked, faults[i]), 0);
		cr_expect_eq(sigismember(&thread->blocked, others[i]), 1);
	}
}

static int64_t
call_look(void *arg)
{
	look(arg);
	return (0);
}

struct onlooker {
	struct filch_task task;
	struct filch_op op;
	struct thread worker;
	struct thread pool;
};

static enum filch_poll
onlooker_poll(struct filch_task *task)
{
	struct onlooker *self = filch_container_of(task, struct onlooker, task);
	int64_t result;

	look(&self->worker);
	return (filch_op_poll(&self->op, task, &result));
}

Test(signals, threads_take_those_of_their_own_faults_and_no_others)
{
	struct filch_executor *executor = executor_new(1);
	struct onlooker onlooker = { .worker.looked = false };
	struct thread before = { .looked = false };
	struct thread after = { .looked = false };
	int signal;

	look(&before);
	filch_op_init_call(&onlooker.op, call_look, &onlooker.pool);
	filch_task_init(&onlooker.task, onlooker_poll, NULL);
	cr_assert_eq(filch_executor_block_on(executor, &onlooker.task), 0);
	assert_takes_faults_alone(&onlooker.worker);
	assert_takes_faults_alone(&onlooker.pool);
	/* who starts them keeps the mask that he had */
	look(&after);
	for (signal = 1; signal < SIGRTMIN; signal++) {
		cr_expect_eq(sigismember(&before.blocked, signal),
		    sigismember(&after.blocked, signal));
	}
	filch_executor_destroy(executor);
}

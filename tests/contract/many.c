/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * 100,000 operations of one program, more than any system admits at a time,
 * with everybody's defaults: all succeed, none is told EAGAIN, and none has to
 * stand back for the others.
 *
 * Tasks read and write a file, each one operation at a time.  When half of the
 * operations are done no task is far behind the others: it has done at least a
 * tenth of what each has on average.
 */
#include "subject.h"

#define TASKS      500
#define OPERATIONS 200 /* of each task */

struct runner {
	struct filch_task task;
	struct filch_op op;
	unsigned index;
	unsigned done;
	unsigned wrong;
	unsigned at_half; /* done by then */
	bool is_started;
	char byte;
};

static struct runner runners[TASKS];
static unsigned total;
static sem_t present;

/* Prepare the next operation: a read of a digit, or a write behind them. */
static void
runner_prepare(struct runner *one)
{
	if (one->done % 2 == 0) {
		filch_op_init_read(&one->op, &subject.file, &one->byte, 1,
		    (one->index + one->done) % 10);
		filch_op_set_flags(&one->op, FILCH_OP_NO_INLINE);
	} else {
		filch_op_init_write(
		    &one->op, &subject.file, &one->byte, 1, 10 + one->index);
	}
}

/* See to what has come of the operation. */
static void
runner_take(struct runner *one, int64_t result)
{
	bool is_read = one->done % 2 == 0;
	char digit = (char)('0' + (one->index + one->done) % 10);

	one->wrong += result != 1 || (is_read && one->byte != digit);
	__atomic_store_n(&one->done, one->done + 1, __ATOMIC_RELAXED);
	if (__atomic_add_fetch(&total, 1, __ATOMIC_RELAXED) !=
	    TASKS * OPERATIONS / 2) {
		return;
	}
	for (unsigned i = 0; i < TASKS; i++) {
		runners[i].at_half =
		    __atomic_load_n(&runners[i].done, __ATOMIC_RELAXED);
	}
}

/* The first poll only waits until all are there. */
static enum filch_poll
runner_poll(struct filch_task *task)
{
	struct runner *one = filch_container_of(task, struct runner, task);
	int64_t result;

	if (!one->is_started) {
		one->is_started = true;
		runner_prepare(one);
		(void)sem_post(&present);
		return (FILCH_PENDING);
	}
	while (one->done < OPERATIONS) {
		if (filch_op_poll(&one->op, task, &result) == FILCH_PENDING) {
			return (FILCH_PENDING);
		}
		runner_take(one, result);
		if (one->done < OPERATIONS) {
			runner_prepare(one);
		}
	}
	return (FILCH_READY);
}

static const char *
runners_check(void)
{
	unsigned least = OPERATIONS;
	unsigned most = 0;

	for (unsigned i = 0; i < TASKS; i++) {
		const struct runner *one = &runners[i];

		CHECK_EQ(one->wrong, 0);
		CHECK_EQ(one->done, OPERATIONS);
		least = one->at_half < least ? one->at_half : least;
		most = one->at_half > most ? one->at_half : most;
	}
	printf("# at half time between %u and %u of %d\n", least, most,
	    OPERATIONS);
	CHECK(least >= OPERATIONS / 2 / 10);
	return (NULL);
}

static const char *
many(struct contract *contract, unsigned worker_count)
{
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;
	struct filch_executor *executor;

	options.worker_count = worker_count;
	CHECK_OK(subject_make(contract, &subject, digits));
	CHECK_EQ(filch_executor_create(&options, &executor), 0);
	memset(runners, 0, sizeof(runners));
	total = 0;
	(void)sem_init(&present, 0, 0);
	for (unsigned i = 0; i < TASKS; i++) {
		runners[i].index = i;
		filch_task_init(&runners[i].task, runner_poll, NULL);
		CHECK_EQ(
		    filch_executor_spawn_joinable(executor, &runners[i].task),
		    0);
	}
	for (unsigned i = 0; i < TASKS; i++) {
		while (sem_wait(&present) < 0) {
			continue;
		}
	}
	for (unsigned i = 0; i < TASKS; i++) {
		filch_task_wake(&runners[i].task);
	}
	for (unsigned i = 0; i < TASKS; i++) {
		CHECK_EQ(filch_task_join(&runners[i].task), 0);
	}
	filch_executor_destroy(executor);
	(void)sem_destroy(&present);
	CHECK_EQ(total, TASKS * OPERATIONS);
	CHECK_OK(runners_check());
	(void)close(subject.file.fd);
	return (NULL);
}

static const char *
many_on_one(struct contract *contract)
{
	return (many(contract, 1));
}

static const char *
many_on_four(struct contract *contract)
{
	return (many(contract, 4));
}

static const struct contract_test tests[] = {
	{ "100,000 operations on one worker", many_on_one, NULL },
	{ "100,000 operations on four workers", many_on_four, NULL },
};

int
main(void)
{
	return (contract_main_on(tests, CONTRACT_COUNT(tests), NULL, true));
}

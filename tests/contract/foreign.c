/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads that are no workers may cancel; what others have started meanwhile
 * is none of theirs.
 *
 * A worker is held up in a poll that has started an operation.  A thread
 * cancels other operations of that worker, and ends.  With io_uring an
 * operation handed over on that thread would be carried out there, with its
 * signals, and would end with it.
 */
#include "contract.h"

#include <pthread.h>

#include <signal.h>

#define CANCELS 3

/* A task that starts its operation and then holds its worker up. */
struct holder {
	struct filch_task task;
	struct filch_op op;
	struct filch_file file;
	int64_t result;
	bool has_held;
	char byte;
	sem_t started;
	sem_t go;
};

static struct holder holder;
static struct contract_job reads[CANCELS];
static char bytes[CANCELS];
static struct filch_file stuck;

static void
sem_take(sem_t *sem)
{
	while (sem_wait(sem) < 0) {
		continue;
	}
}

static enum filch_poll
holder_poll(struct filch_task *task)
{
	struct holder *one = filch_container_of(task, struct holder, task);
	enum filch_poll poll = filch_op_poll(&one->op, task, &one->result);

	if (!one->has_held) {
		one->has_held = true;
		(void)sem_post(&one->started);
		sem_take(&one->go);
	}
	return (poll);
}

static const char *
reads_start(struct contract *contract)
{
	int ends[2];

	CHECK_EQ(pipe(ends), 0);
	CHECK_EQ(filch_file_init(&stuck, ends[0]), 0);
	for (unsigned i = 0; i < CANCELS; i++) {
		filch_op_init_read(
		    &reads[i].op, &stuck, &bytes[i], 1, FILCH_OFFSET_CURRENT);
		CHECK_EQ(contract_job_start(contract, &reads[i]), 0);
	}
	return (NULL);
}

/* Spawn the task of the operation that was prepared. */
static const char *
hold(struct contract *contract)
{
	holder.has_held = false;
	holder.result = INT64_MIN;
	(void)sem_init(&holder.started, 0, 0);
	(void)sem_init(&holder.go, 0, 0);
	filch_task_init(&holder.task, holder_poll, NULL);
	CHECK_EQ(
	    filch_executor_spawn_joinable(contract->executor, &holder.task), 0);
	sem_take(&holder.started);
	return (NULL);
}

static void *
cancel_main(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < CANCELS; i++) {
		filch_op_cancel(&reads[i].op);
	}
	return (NULL);
}

/* Let a thread cancel and end, then let the worker go on. */
static const char *
cancel_and_go(void)
{
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, cancel_main, NULL), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	(void)sem_post(&holder.go);
	for (unsigned i = 0; i < CANCELS; i++) {
		CHECK_EQ(contract_job_end(&reads[i]), -ECANCELED);
	}
	return (NULL);
}

static const char *
read_outlives_thread(struct contract *contract)
{
	int ends[2];

	CHECK_OK(reads_start(contract));
	CHECK_EQ(pipe(ends), 0);
	CHECK_EQ(filch_file_init(&holder.file, ends[0]), 0);
	filch_op_init_read(
	    &holder.op, &holder.file, &holder.byte, 1, FILCH_OFFSET_CURRENT);
	CHECK_OK(hold(contract));
	CHECK_OK(cancel_and_go());
	CHECK_EQ(write(ends[1], "x", 1), 1);
	CHECK_EQ(filch_task_join(&holder.task), 0);
	CHECK_EQ(holder.result, 1);
	return (NULL);
}

static const char *
write_signals_nobody(struct contract *contract)
{
	int ends[2];

	(void)signal(SIGPIPE, SIG_DFL);
	CHECK_OK(reads_start(contract));
	CHECK_EQ(pipe(ends), 0);
	CHECK_EQ(close(ends[0]), 0);
	CHECK_EQ(filch_file_init(&holder.file, ends[1]), 0);
	filch_op_init_write(
	    &holder.op, &holder.file, &holder.byte, 1, FILCH_OFFSET_CURRENT);
	CHECK_OK(hold(contract));
	CHECK_OK(cancel_and_go());
	CHECK_EQ(filch_task_join(&holder.task), 0);
	CHECK_EQ(holder.result, -EPIPE);
	return (NULL);
}

/* ---- a worker that is stuck all the while ---- */

/* A task that does nothing but hold its worker up. */
struct blocker {
	struct filch_task task;
	int worker;
	sem_t started;
	sem_t go;
};

static enum filch_poll
blocker_poll(struct filch_task *task)
{
	struct blocker *one = filch_container_of(task, struct blocker, task);

	one->worker = filch_worker_index();
	(void)sem_post(&one->started);
	sem_take(&one->go);
	return (FILCH_READY);
}

/* A task that reads, and tells which worker has its operation. */
static int read_worker;

static enum filch_poll
reader_poll(struct filch_task *task)
{
	if (read_worker < 0) {
		read_worker = filch_worker_index();
	}
	return (contract_job_poll(task));
}

/* Hold both workers up, then let go of the one without the operation. */
static const char *
block_reader(struct contract *contract, struct blocker blockers[2])
{
	for (int i = 0; i < 2; i++) {
		(void)sem_init(&blockers[i].started, 0, 0);
		(void)sem_init(&blockers[i].go, 0, 0);
		filch_task_init(&blockers[i].task, blocker_poll, NULL);
		CHECK_EQ(filch_executor_spawn_joinable(
			     contract->executor, &blockers[i].task),
		    0);
	}
	sem_take(&blockers[0].started);
	sem_take(&blockers[1].started);
	CHECK(blockers[0].worker != blockers[1].worker);
	(void)sem_post(&blockers[blockers[0].worker == read_worker].go);
	return (NULL);
}

static const char *
cancel_on_stuck(struct contract *contract)
{
	static struct contract_job *job = &reads[0];
	static struct blocker blockers[2];
	int ends[2];

	CHECK_EQ(pipe(ends), 0);
	CHECK_EQ(filch_file_init(&stuck, ends[0]), 0);
	filch_op_init_read(&job->op, &stuck, bytes, 1, FILCH_OFFSET_CURRENT);
	read_worker = -1;
	job->is_told = false;
	(void)sem_init(&job->pending, 0, 0);
	filch_task_init(&job->task, reader_poll, NULL);
	CHECK_EQ(
	    filch_executor_spawn_joinable(contract->executor, &job->task), 0);
	sem_take(&job->pending);
	CHECK_OK(block_reader(contract, blockers));
	filch_op_cancel(&job->op);
	/* its end is told although its worker goes on only afterwards */
	CHECK_EQ(contract_job_end(job), -ECANCELED);
	(void)sem_post(&blockers[blockers[0].worker != read_worker].go);
	CHECK_EQ(filch_task_join(&blockers[0].task), 0);
	CHECK_EQ(filch_task_join(&blockers[1].task), 0);
	return (NULL);
}

static const char *
cancel_reaches_stuck_worker(struct contract *contract)
{
	struct contract two = *contract;
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;
	const char *fault;

	options.worker_count = 2;
	CHECK_EQ(filch_executor_create(&options, &two.executor), 0);
	fault = cancel_on_stuck(&two);
	if (fault == NULL) {
		filch_executor_destroy(two.executor);
	}
	return (fault);
}

static const struct contract_test tests[] = {
	{ "a read outlives the thread that cancels beside it",
	    read_outlives_thread, NULL },
	{ "a thread that cancels beside a write gets no signal",
	    write_signals_nobody, NULL },
	{ "a cancel ends what a stuck worker has started",
	    cancel_reaches_stuck_worker, NULL },
};

int
main(void)
{
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;

	options.worker_count = 1;
	return (contract_main(tests, CONTRACT_COUNT(tests), &options));
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ending operations early: cancel, deadline, cancelled tasks and shutdown, on
 * every kind of operation and in every place where it may be.
 *
 * Where an operation surely waits, its end is sure, and it leaves no trace;
 * where it may be running, it ends once, in one of two ways.  Closing is always
 * carried out, or the descriptor would leak.
 */
#include "kinds.h"
#include "nap.h"

/* Of the operations that are timed. */
#define DEADLINE_NS 1000000

#define RACES 20

/* A test's row is its number: the family, and the kind of operation. */
static unsigned
family_of(const struct contract *contract)
{
	return (*(const unsigned *)contract->row / KIND_COUNT);
}

static enum kind
kind_of(const struct contract *contract)
{
	return ((enum kind)(*(const unsigned *)contract->row % KIND_COUNT));
}

struct cancel_row {
	/* Stop job, which waits. */
	void (*stop)(struct contract *contract, struct contract_job *job);
	int64_t expected;
	bool is_timed;
};

/* The operation waits behind a clog, and is stopped there. */
struct wait_case {
	struct contract_job job;
	struct scene scene;
	struct clog clog;
};

static void
stop_op(struct contract *contract, struct contract_job *job)
{
	(void)contract;
	filch_op_cancel(&job->op);
}

static void
stop_task(struct contract *contract, struct contract_job *job)
{
	(void)contract;
	filch_task_cancel(&job->task);
}

static void
stop_executor(struct contract *contract, struct contract_job *job)
{
	(void)job;
	/* the clog does not let it end yet */
	(void)contract_stop(contract, 0);
}

/* When this ends, the job's timer, which is earlier, has expired. */
static void
stop_by_deadline(struct contract *contract, struct contract_job *job)
{
	(void)job;
	(void)nap_take(contract, 2 * DEADLINE_NS);
}

static const struct cancel_row cancel_rows[] = {
	{ stop_op, -ECANCELED, false },
	{ stop_task, -ECANCELED, false },
	{ stop_by_deadline, -ETIMEDOUT, true },
	{ stop_executor, -ESHUTDOWN, false },
};

static const char *
wait_stopped(struct contract *contract, struct wait_case *one,
    const struct cancel_row *row)
{
	struct contract_job *job = &one->job;
	bool closes = one->scene.kind == KIND_CLOSE;

	scene_prepare(&one->scene, &job->op);
	if (row->is_timed) {
		filch_op_set_deadline(&job->op, filch_now() + DEADLINE_NS);
	}
	CHECK_EQ(contract_job_start(contract, job), 0);
	row->stop(contract, job);
	if (closes) {
		/* it waits on, untouched by all that, until there is room */
		clog_open(&one->clog);
		CHECK_EQ(contract_job_end(job), 0);
		CHECK_EQ(one->scene.file.fd, -1);
		CHECK_EQ(fcntl(one->scene.fd, F_GETFD), -1);
		CHECK_EQ(errno, EBADF);
		return (NULL);
	}
	CHECK_EQ(contract_job_end(job), row->expected);
	CHECK_OK(scene_untouched(&one->scene));
	clog_open(&one->clog);
	return (NULL);
}

/*
 * What may not wait is refused where the ring is full; the pool has room.  With
 * kqueue either may be what it finds.
 */
static const char *
nowait_check(struct contract *contract, struct wait_case *one)
{
	enum kind kind = one->scene.kind;
	struct contract_job *job = &one->job;
	bool is_pooled = !contract->is_uring || kind == KIND_TRUNCATE ||
	    kind == KIND_MLOCK || kind == KIND_CALL || kind == KIND_CLOSE;
	int64_t result;

	scene_prepare(&one->scene, &job->op);
	filch_op_set_flags(&job->op, FILCH_OP_NOWAIT | FILCH_OP_NO_INLINE);
	CHECK_EQ(contract_job_start(contract, job), 0);
	clog_open(&one->clog);
	result = contract_job_end(job);
	if (is_pooled && !(contract->is_kqueue && result == -EAGAIN)) {
		CHECK_EQ(result, scene_result(&one->scene));
		return (NULL);
	}
	CHECK_EQ(result, -EAGAIN);
	return (scene_untouched(&one->scene));
}

static const char *
wait_run(struct contract *contract)
{
	static struct wait_case one;
	const char *fault;

	CHECK_OK(scene_make(contract, &one.scene, kind_of(contract)));
	CHECK_OK(clog_start(contract, &one.clog));
	fault = family_of(contract) < CONTRACT_COUNT(cancel_rows)
	    ? wait_stopped(contract, &one, &cancel_rows[family_of(contract)])
	    : nowait_check(contract, &one);
	if (fault != NULL) {
		/* let the executor end: all that it uses is static */
		clog_open(&one.clog);
		return (fault);
	}
	clog_end(&one.clog);
	scene_end(&one.scene);
	return (NULL);
}

/* ---- one kind, without a clog ---- */

/* What a task does with its operation before it has started. */
enum before {
	BEFORE_CANCELLED, /* the task was cancelled */
	BEFORE_STOPPING   /* the executor is stopping */
};

struct early {
	struct contract_job job; /* of which the task is not used */
	struct filch_task task;
	struct contract *contract;
	enum before before;
	bool is_idle;
	sem_t polled;
};

static enum filch_poll
early_poll(struct filch_task *task)
{
	struct early *early = filch_container_of(task, struct early, task);
	enum filch_poll poll = FILCH_PENDING;

	if (early->before == BEFORE_CANCELLED) {
		filch_task_cancel(task);
	}
	if (!early->is_idle) {
		poll = filch_op_poll(&early->job.op, task, &early->job.result);
	}
	(void)sem_post(&early->polled);
	return (poll);
}

static const char *
early_run(struct contract *contract, struct early *early)
{
	(void)sem_init(&early->polled, 0, 0);
	early->is_idle = early->before == BEFORE_STOPPING;
	filch_task_init(&early->task, early_poll, NULL);
	CHECK_EQ(
	    filch_executor_spawn_joinable(contract->executor, &early->task), 0);
	if (early->before == BEFORE_STOPPING) {
		while (sem_wait(&early->polled) < 0) {
			continue;
		}
		/* the task waits for this thread, so it is not waited for */
		CHECK_EQ(contract_stop(contract, FILCH_NEVER), 0);
		early->is_idle = false;
		filch_task_wake(&early->task);
	}
	CHECK_EQ(filch_task_join(&early->task), 0);
	(void)sem_destroy(&early->polled);
	return (NULL);
}

static const char *
early_check(struct contract *contract, enum kind kind, enum before before,
    int64_t expected)
{
	static struct early early;
	static struct scene scene;

	CHECK_OK(scene_make(contract, &scene, kind));
	memset(&early, 0, sizeof(early));
	early.before = before;
	scene_prepare(&scene, &early.job.op);
	CHECK_OK(early_run(contract, &early));
	if (kind == KIND_CLOSE) {
		CHECK_EQ(early.job.result, 0);
		CHECK_EQ(fcntl(scene.fd, F_GETFD), -1);
		return (NULL);
	}
	CHECK_EQ(early.job.result, expected);
	CHECK_OK(scene_untouched(&scene));
	scene_end(&scene);
	return (NULL);
}

static const char *
start_in_cancelled_task(struct contract *contract)
{
	return (early_check(
	    contract, kind_of(contract), BEFORE_CANCELLED, -ECANCELED));
}

static const char *
start_while_stopping(struct contract *contract)
{
	return (early_check(
	    contract, kind_of(contract), BEFORE_STOPPING, -ESHUTDOWN));
}

/* Stopped at any time: carried out, or not, and ended once. */
static const char *
race(struct contract *contract, int64_t stopped)
{
	static struct contract_job job;
	static struct scene scene;
	enum kind kind = kind_of(contract);

	for (unsigned i = 0; i < RACES; i++) {
		int64_t result;

		CHECK_OK(scene_make(contract, &scene, kind));
		scene_prepare(&scene, &job.op);
		if (stopped == -ETIMEDOUT) {
			filch_op_set_deadline(&job.op, filch_now());
		}
		CHECK_EQ(contract_job_start(contract, &job), 0);
		if (stopped == -ECANCELED) {
			filch_op_cancel(&job.op);
			filch_op_cancel(&job.op);
		}
		result = contract_job_end(&job);
		if (result != stopped || kind == KIND_CLOSE) {
			CHECK_EQ(result, scene_result(&scene));
		}
		scene_end(&scene);
		(void)unlinkat(scene.directory, "new", 0);
	}
	return (NULL);
}

static const char *
race_with_cancel(struct contract *contract)
{
	return (race(contract, -ECANCELED));
}

static const char *
race_with_deadline(struct contract *contract)
{
	return (race(contract, -ETIMEDOUT));
}

static const struct {
	const char *name;
	const char *(*run)(struct contract *contract);
} families[] = {
	{ "waiting, cancelled", wait_run },
	{ "waiting, its task cancelled", wait_run },
	{ "waiting, at its deadline", wait_run },
	{ "waiting, at shutdown", wait_run },
	{ "not to wait", wait_run },
	{ "started in a cancelled task", start_in_cancelled_task },
	{ "started while stopping", start_while_stopping },
	{ "cancelled in flight", race_with_cancel },
	{ "started after its deadline", race_with_deadline },
};

int
main(void)
{
	static struct contract_test
	    tests[CONTRACT_COUNT(families) * KIND_COUNT];
	static unsigned numbers[CONTRACT_COUNT(tests)];
	static char names[CONTRACT_COUNT(tests)][64];

	for (unsigned i = 0; i < CONTRACT_COUNT(tests); i++) {
		numbers[i] = i;
		(void)snprintf(names[i], sizeof(names[i]), "%s %s",
		    kind_names[i % KIND_COUNT], families[i / KIND_COUNT].name);
		tests[i] = (struct contract_test){ names[i],
			families[i / KIND_COUNT].run, &numbers[i] };
	}
	return (contract_main(tests, CONTRACT_COUNT(tests), &clog_options));
}

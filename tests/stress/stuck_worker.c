/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stress: one task keeps its worker, spinning in its poll until all the others
 * have finished; these are as close to that worker as can be.  Before it gets
 * stuck the task
 *   wakes one (it stands in the LIFO slot that runs next on this worker),
 *   spawns some, and wakes some more (they stand in its queues),
 *   has got others to submit operations there: reads of a pipe that the main
 *   thread fills once it is stuck, reads of a file, calls, sleeps.
 * All of them are on that worker for sure, since the other workers are held
 * until it is stuck.  It ends only if those then take all of that over; if not,
 * the test's time-out ends it.  Conserved: every task finishes, once, with its
 * result.  On both drivers, one after the other.
 *
 * stuck_worker [--rounds=N] [--threads=N]
 */
#include <filch/filch.h>

#include <fcntl.h>
#include <semaphore.h>
#include <unistd.h>

#include "stress.h"

#define OTHERS 12

/* What one of the others does. */
enum kind {
	KIND_SPAWNED, /* spawned by the stuck task */
	KIND_WOKEN,   /* waits for a wake by the stuck task */
	KIND_PIPE,    /* reads a byte of a pipe */
	KIND_FILE,    /* reads a cold byte of a file */
	KIND_CALL,    /* calls a function in the pool */
	KIND_SLEEP,   /* sleeps a millisecond */
	KINDS
};

struct other {
	struct filch_task task;
	struct crowd *crowd;
	enum kind kind;
	struct filch_waker waker;
	struct filch_file file;
	struct filch_op op;
	struct filch_sleep sleep;
	char byte;
	int polls;
	int slept;
	int64_t result;
};

/* Holds one of the other workers until the stuck one is stuck. */
struct holder {
	struct filch_task task;
	struct crowd *crowd;
};

struct crowd {
	struct filch_executor *executor;
	struct holder *holders;
	struct filch_task stuck;
	struct filch_task starter;
	struct other others[KINDS][OTHERS];
	int pipe[2];
	int fd;
	sem_t ready; /* the others wait for what they wait for */
	sem_t held;
	sem_t let_go;
	sem_t stuck_now;
	uint64_t finished;
};

static struct stress_options options = { "stuck_worker", 0, 5, 2 };

static uint64_t
finished(const struct crowd *crowd)
{
	return (__atomic_load_n(&crowd->finished, __ATOMIC_ACQUIRE));
}

static int64_t
call_nothing(void *arg)
{
	(void)arg;
	return (1);
}

static void
other_prepare(struct other *self)
{
	switch (self->kind) {
	case KIND_PIPE:
		filch_op_init_read(&self->op, &self->file, &self->byte, 1,
		    FILCH_OFFSET_CURRENT);
		break;
	case KIND_FILE:
		filch_op_init_read(&self->op, &self->file, &self->byte, 1, 0);
		filch_op_set_flags(&self->op, FILCH_OP_NO_INLINE);
		break;
	case KIND_CALL:
		filch_op_init_call(&self->op, call_nothing, NULL);
		break;
	case KIND_SLEEP:
		filch_sleep_init(&self->sleep, filch_now() + 1000000);
		break;
	case KIND_SPAWNED:
	case KIND_WOKEN:
	case KINDS:
		break;
	}
}

static enum filch_poll
other_look(struct other *self)
{
	switch (self->kind) {
	case KIND_SPAWNED:
		return (FILCH_READY);
	case KIND_WOKEN:
		if (self->polls == 1) {
			self->waker = filch_task_waker(&self->task);
			return (FILCH_PENDING);
		}
		return (FILCH_READY);
	case KIND_SLEEP:
		return (
		    filch_sleep_poll(&self->sleep, &self->task, &self->slept));
	case KIND_PIPE:
	case KIND_FILE:
	case KIND_CALL:
	case KINDS:
		break;
	}
	return (filch_op_poll(&self->op, &self->task, &self->result));
}

static enum filch_poll
other_poll(struct filch_task *task)
{
	struct other *self = filch_container_of(task, struct other, task);
	enum filch_poll answer;

	if (self->polls++ == 0) {
		other_prepare(self);
	}
	answer = other_look(self);
	if (self->polls == 1 && self->kind != KIND_SPAWNED) {
		sem_post(&self->crowd->ready);
	}
	if (answer == FILCH_READY) {
		__atomic_fetch_add(&self->crowd->finished, 1, __ATOMIC_ACQ_REL);
	}
	return (answer);
}

static void
must(bool good, const char *what)
{
	if (!good) {
		fprintf(stderr, "stuck_worker: cannot %s\n", what);
		exit(1);
	}
}

static enum filch_poll
stuck_poll(struct filch_task *task)
{
	struct crowd *crowd = filch_container_of(task, struct crowd, stuck);
	int i;

	for (i = 0; i < OTHERS; i++) {
		must(filch_executor_spawn(crowd->executor,
			 &crowd->others[KIND_SPAWNED][i].task) == 0,
		    "spawn");
		filch_waker_wake_by_ref(&crowd->others[KIND_WOKEN][i].waker);
	}
	sem_post(&crowd->stuck_now);
	while (finished(crowd) < (uint64_t)KINDS * OTHERS) {
		continue;
	}
	return (FILCH_READY);
}

static void
wait_for(sem_t *event)
{
	while (sem_wait(event) != 0) {
		continue;
	}
}

static enum filch_poll
holder_poll(struct filch_task *task)
{
	struct holder *self = filch_container_of(task, struct holder, task);

	sem_post(&self->crowd->held);
	wait_for(&self->crowd->let_go);
	return (FILCH_READY);
}

static void
hold_all_but_one(struct crowd *crowd)
{
	for (unsigned i = 0; i < options.threads - 1; i++) {
		struct holder *holder = &crowd->holders[i];

		holder->crowd = crowd;
		filch_task_init(&holder->task, holder_poll, NULL);
		must(filch_executor_spawn(crowd->executor, &holder->task) == 0,
		    "spawn");
		wait_for(&crowd->held);
	}
}

static enum filch_poll
starter_poll(struct filch_task *task)
{
	struct crowd *crowd = filch_container_of(task, struct crowd, starter);
	int kind;
	int i;

	for (kind = KIND_WOKEN; kind < KINDS; kind++) {
		for (i = 0; i < OTHERS; i++) {
			must(filch_executor_spawn(crowd->executor,
				 &crowd->others[kind][i].task) == 0,
			    "spawn");
		}
	}
	return (FILCH_READY);
}

static void
crowd_init(struct crowd *crowd, enum filch_driver_kind driver)
{
	struct filch_executor_options of = FILCH_EXECUTOR_OPTIONS_INIT;
	char path[] = "/tmp/filch-stuck-XXXXXX";

	memset(crowd, 0, sizeof(*crowd));
	of.worker_count = options.threads;
	of.driver = driver;
	sem_init(&crowd->ready, 0, 0);
	sem_init(&crowd->stuck_now, 0, 0);
	sem_init(&crowd->held, 0, 0);
	sem_init(&crowd->let_go, 0, 0);
	crowd->holders = calloc(options.threads, sizeof(*crowd->holders));
	must(crowd->holders != NULL, "get memory");
	must(filch_executor_create(&of, &crowd->executor) == 0,
	    "create an executor");
	must(pipe(crowd->pipe) == 0, "make a pipe");
	crowd->fd = mkstemp(path);
	must(crowd->fd >= 0 && unlink(path) == 0 &&
		write(crowd->fd, "x", 1) == 1,
	    "make a file");
	for (int kind = 0; kind < KINDS; kind++) {
		for (int i = 0; i < OTHERS; i++) {
			struct other *other = &crowd->others[kind][i];

			other->crowd = crowd;
			other->kind = (enum kind)kind;
			must(filch_file_init(&other->file,
				 kind == KIND_PIPE ? crowd->pipe[0]
						   : crowd->fd) == 0,
			    "use a file");
			filch_task_init(&other->task, other_poll, NULL);
		}
	}
	filch_task_init(&crowd->stuck, stuck_poll, NULL);
	filch_task_init(&crowd->starter, starter_poll, NULL);
}

static void
crowd_check(const struct crowd *crowd)
{
	for (int i = 0; i < OTHERS; i++) {
		stress_same(&options, "result of a read of a pipe", 1,
		    (uint64_t)crowd->others[KIND_PIPE][i].result);
		stress_same(&options, "result of a read of a file", 1,
		    (uint64_t)crowd->others[KIND_FILE][i].result);
		stress_same(&options, "result of a call", 1,
		    (uint64_t)crowd->others[KIND_CALL][i].result);
		stress_same(&options, "result of a sleep", 0,
		    (uint64_t)crowd->others[KIND_SLEEP][i].slept);
	}
}

static void
round_run(enum filch_driver_kind driver)
{
	static struct crowd crowd;
	static const char bytes[OTHERS];
	int i;

	crowd_init(&crowd, driver);
	hold_all_but_one(&crowd);
	must(
	    filch_executor_spawn(crowd.executor, &crowd.starter) == 0, "spawn");
	for (i = 0; i < (KINDS - 1) * OTHERS; i++) {
		wait_for(&crowd.ready);
	}
	must(filch_executor_spawn(crowd.executor, &crowd.stuck) == 0, "spawn");
	wait_for(&crowd.stuck_now);
	for (unsigned k = 0; k < options.threads - 1; k++) {
		sem_post(&crowd.let_go);
	}
	must(write(crowd.pipe[1], bytes, OTHERS) == OTHERS, "fill a pipe");
	must(filch_executor_shutdown(
		 crowd.executor, FILCH_SHUTDOWN_GRACEFUL, FILCH_NEVER) == 0,
	    "shut down");
	stress_same(&options, "tasks that finished", (uint64_t)KINDS * OTHERS,
	    finished(&crowd));
	crowd_check(&crowd);
	for (i = 0; i < OTHERS; i++) {
		filch_waker_drop(&crowd.others[KIND_WOKEN][i].waker);
	}
	filch_executor_destroy(crowd.executor);
	free(crowd.holders);
	close(crowd.pipe[0]);
	close(crowd.pipe[1]);
	close(crowd.fd);
}

/* True if this system allows io_uring. */
static bool
has_uring(void)
{
	struct filch_executor_options of = FILCH_EXECUTOR_OPTIONS_INIT;
	struct filch_executor *executor;

	of.worker_count = 1;
	of.driver = FILCH_DRIVER_URING;
	if (filch_executor_create(&of, &executor) != 0) {
		return (false);
	}
	filch_executor_destroy(executor);
	return (true);
}

int
main(int argc, char **argv)
{
	bool uring = has_uring();

	stress_options(&options, argc, argv);
	if (options.threads < 2) {
		fprintf(stderr, "stuck_worker: one is stuck, another runs\n");
		return (2);
	}
	for (uint64_t i = 0; i < options.rounds; i++) {
		round_run(FILCH_DRIVER_POSIX);
		if (uring) {
			round_run(FILCH_DRIVER_URING);
		}
	}
	printf("%llu rounds%s: nobody waited for the stuck\n",
	    (unsigned long long)options.rounds,
	    uring ? ", both drivers" : ", posix only");
	return (0);
}

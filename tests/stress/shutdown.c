/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stress: immediate shutdowns of short-lived executors while the last motion
 * in them dies down where it signals nobody: a deadline that a cancelled sleep
 * left behind, a call that the pool ends or never starts, wakes from outside.
 * A task that waits for somebody else is there all the time, so the shutdown
 * has to see for itself that all is quiet.  Then executors are destroyed while
 * another thread drops the last waker of their only task: whoever is last
 * frees the executor.  And graceful shutdowns, after which whatever the tasks
 * did is there to be read without further ado.  Conserved: every shutdown ends,
 * every task is released once, and all have run at a graceful one.
 *
 * shutdown [--rounds=N]
 */
#include <filch/filch.h>

#include <sys/time.h>

#include <semaphore.h>
#include <signal.h>
#include <unistd.h>

#include "stress.h"

/* No machine is so slow; a round that takes it would not have ended. */
#define PATIENCE_S 60

enum motion {
	CANCELLED_SLEEP, /* its deadline stays known to the reactor thread */
	CALL_RUNNING,    /* a thread of the pool is in it */
	CALL_QUEUED,     /* perhaps taken out before its thread is there */
	MOTIONS
};

/* The kinds of round, for who reads that one did not end. */
enum {
	ROUND = 0, /* and the motion */
	ORPHAN = ROUND + MOTIONS,
	WAITING, /* and the motion */
	GRACEFUL = WAITING + MOTIONS
};

struct member {
	struct filch_task task;
	struct filch_waker waker;
	struct filch_sleep sleep;
	struct filch_op op;
	enum motion motion;
	sem_t polled;
	sem_t calling;
	sem_t released;
};

static unsigned seconds; /* of this round */
static unsigned kind;

/* By the clock it would end as well if the process is stopped for long. */
static void
second_is_over(int number)
{
	(void)number;
	if (__atomic_add_fetch(&seconds, 1, __ATOMIC_RELAXED) == PATIENCE_S) {
		static char text[] = "shutdown: no end of a round of kind 0\n";

		text[sizeof(text) - 3] +=
		    (char)__atomic_load_n(&kind, __ATOMIC_RELAXED);
		(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
		abort();
	}
}

static void
seconds_count(void)
{
	struct itimerval second = { { 1, 0 }, { 1, 0 } };
	struct sigaction action = { .sa_handler = second_is_over,
		.sa_flags = SA_RESTART };

	if (sigaction(SIGALRM, &action, NULL) != 0 ||
	    setitimer(ITIMER_REAL, &second, NULL) != 0) {
		abort();
	}
}

static void
kind_begin(unsigned what)
{
	__atomic_store_n(&kind, what, __ATOMIC_RELAXED);
}

static enum filch_poll
guest_poll(struct filch_task *task)
{
	struct member *guest = filch_container_of(task, struct member, task);

	if (guest->waker.vtable == NULL) {
		guest->waker = filch_task_waker(task);
		sem_post(&guest->polled);
	}
	return (FILCH_PENDING);
}

static int64_t
mover_call(void *arg)
{
	sem_post(&((struct member *)arg)->calling);
	return (0);
}

static enum filch_poll
mover_poll(struct filch_task *task)
{
	struct member *mover = filch_container_of(task, struct member, task);
	enum filch_poll answer;
	int64_t result;
	int slept;

	answer = mover->motion == CANCELLED_SLEEP
	    ? filch_sleep_poll(&mover->sleep, task, &slept)
	    : filch_op_poll(&mover->op, task, &result);
	sem_post(&mover->polled);
	return (answer);
}

static void
member_release(struct filch_task *task)
{
	sem_post(&filch_container_of(task, struct member, task)->released);
}

static void
member_start(struct filch_executor *executor, struct member *member,
    filch_task_poll_fn poll)
{
	sem_init(&member->polled, 0, 0);
	sem_init(&member->calling, 0, 0);
	sem_init(&member->released, 0, 0);
	filch_task_init(&member->task, poll, member_release);
	if (filch_executor_spawn_joinable(executor, &member->task) != 0) {
		abort();
	}
	while (sem_wait(&member->polled) != 0) {
		continue;
	}
}

static void *
wake_often(void *arg)
{
	int i;

	for (i = 0; i < 20; i++) {
		filch_waker_wake_by_ref(&((struct member *)arg)->waker);
	}
	return (NULL);
}

static int
member_end(struct member *member, const char *name)
{
	int count;

	filch_task_detach(&member->task);
	sem_getvalue(&member->released, &count);
	if (count != 1) {
		fprintf(
		    stderr, "shutdown: %s released %d times\n", name, count);
		return (1);
	}
	return (0);
}

static int
round_run(enum motion motion)
{
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;
	struct member guest = { .waker = { NULL, NULL } };
	struct member mover = { .motion = motion };
	struct filch_executor *executor;
	pthread_t thread;

	kind_begin(ROUND + motion);
	options.worker_count = 2;
	if (filch_executor_create(&options, &executor) != 0) {
		fprintf(stderr, "shutdown: cannot create an executor\n");
		return (1);
	}
	member_start(executor, &guest, guest_poll);
	filch_sleep_init(&mover.sleep, FILCH_NEVER - 1);
	filch_op_init_call(&mover.op, mover_call, &mover);
	member_start(executor, &mover, mover_poll);
	if (motion == CANCELLED_SLEEP) {
		filch_task_cancel(&mover.task);
	} else if (motion == CALL_RUNNING) {
		while (sem_wait(&mover.calling) != 0) {
			continue;
		}
	}
	if (pthread_create(&thread, NULL, wake_often, &guest) != 0) {
		abort();
	}
	if (filch_executor_shutdown(
		executor, FILCH_SHUTDOWN_IMMEDIATE, FILCH_NEVER) != 0) {
		abort();
	}
	pthread_join(thread, NULL);
	if (filch_task_join(&mover.task) != 0) {
		fprintf(stderr, "shutdown: a task was given up\n");
		return (1);
	}
	filch_executor_destroy(executor);
	filch_waker_drop(&guest.waker);
	return (member_end(&guest, "the guest"));
}

static void *
drop_waker(void *arg)
{
	filch_waker_drop(&((struct member *)arg)->waker);
	return (NULL);
}

static int
orphan_run(void)
{
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;
	struct member orphan = { .waker = { NULL, NULL } };
	struct filch_executor *executor;
	pthread_t thread;
	int count;

	kind_begin(ORPHAN);
	options.worker_count = 1;
	if (filch_executor_create(&options, &executor) != 0) {
		fprintf(stderr, "shutdown: cannot create an executor\n");
		return (1);
	}
	member_start(executor, &orphan, guest_poll);
	filch_task_detach(&orphan.task);
	if (pthread_create(&thread, NULL, drop_waker, &orphan) != 0) {
		abort();
	}
	filch_executor_destroy(executor);
	pthread_join(thread, NULL);
	sem_getvalue(&orphan.released, &count);
	if (count != 1) {
		fprintf(stderr, "shutdown: orphan released %d times\n", count);
		return (1);
	}
	return (0);
}

/* Destroying ends a sleep or a read, which is for its task to tell. */
static int
waiting_run(enum motion motion)
{
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;
	struct member waiting = { .motion = motion };
	struct filch_executor *executor;
	struct filch_file file;
	int ends[2];
	char byte;

	kind_begin(WAITING + motion);
	options.worker_count = 1;
	if (filch_executor_create(&options, &executor) != 0 ||
	    pipe(ends) != 0 || filch_file_init(&file, ends[0]) != 0) {
		fprintf(stderr, "shutdown: cannot create an executor\n");
		return (1);
	}
	filch_sleep_init(&waiting.sleep, FILCH_NEVER - 1);
	filch_op_init_read(&waiting.op, &file, &byte, 1, FILCH_OFFSET_CURRENT);
	member_start(executor, &waiting, mover_poll);
	filch_executor_destroy(executor);
	close(ends[0]);
	close(ends[1]);
	filch_task_wake(&waiting.task);
	if (filch_task_join(&waiting.task) != 0) {
		fprintf(stderr, "shutdown: a waiting task was given up\n");
		return (1);
	}
	return (0);
}

#define HANDS 16

/* Leaves a trace, which nothing but the end of the shutdown guards. */
struct hand {
	struct filch_task task;
	int trace;
};

static enum filch_poll
hand_poll(struct filch_task *task)
{
	filch_container_of(task, struct hand, task)->trace = 1;
	return (FILCH_READY);
}

static int
graceful_run(void)
{
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;
	struct filch_executor_stats stats;
	struct hand hands[HANDS];
	struct filch_executor *executor;
	int traces = 0;
	int i;

	kind_begin(GRACEFUL);
	options.worker_count = 2;
	if (filch_executor_create(&options, &executor) != 0) {
		fprintf(stderr, "shutdown: cannot create an executor\n");
		return (1);
	}
	for (i = 0; i < HANDS; i++) {
		hands[i].trace = 0;
		filch_task_init(&hands[i].task, hand_poll, NULL);
		if (filch_executor_spawn(executor, &hands[i].task) != 0) {
			abort();
		}
	}
	/* so that the shutdown finds the end, and need not wait for it */
	do {
		filch_executor_get_stats(executor, &stats);
	} while (stats.tasks_alive > 0);
	if (filch_executor_shutdown(
		executor, FILCH_SHUTDOWN_GRACEFUL, FILCH_NEVER) != 0) {
		abort();
	}
	for (i = 0; i < HANDS; i++) {
		traces += hands[i].trace;
	}
	filch_executor_destroy(executor);
	if (traces != HANDS) {
		fprintf(stderr, "shutdown: %d of %d ran\n", traces, HANDS);
		return (1);
	}
	return (0);
}

int
main(int argc, char **argv)
{
	struct stress_options options = { "shutdown", 0, 200, 0 };

	stress_options(&options, argc, argv);
	seconds_count();
	for (uint64_t i = 0; i < options.rounds; i++) {
		__atomic_store_n(&seconds, 0, __ATOMIC_RELAXED);
		if (round_run((enum motion)(i % MOTIONS)) != 0 ||
		    orphan_run() != 0 ||
		    waiting_run((enum motion)(i % MOTIONS)) != 0 ||
		    graceful_run() != 0) {
			return (1);
		}
	}
	printf("%llu shutdowns of each kind, each ended\n",
	    (unsigned long long)options.rounds);
	return (0);
}

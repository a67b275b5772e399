/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of the executor share: an executor, and a task that waits for
 * the test.
 */
#ifndef FILCH_TESTS_UNIT_HELPERS_H
#define FILCH_TESTS_UNIT_HELPERS_H

#include <criterion/criterion.h>
#include <filch/filch.h>

#include <errno.h>
#include <semaphore.h>
#include <time.h>

/* An executor on whatever driver FILCH_DRIVER names. */
static inline struct filch_executor *
executor_new(unsigned workers)
{
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;
	struct filch_executor *executor = NULL;

	options.worker_count = workers;
	cr_assert_eq(filch_executor_create(&options, &executor), 0);
	return (executor);
}

/* Long enough for any machine: a test that needs it has failed. */
static inline uint64_t
patience(void)
{
	return (filch_now() + UINT64_C(20000000000));
}

static inline void
wait_for(sem_t *event)
{
	while (sem_wait(event) != 0) {
		cr_assert_eq(errno, EINTR);
	}
}

/*
 * A task that says so when it was polled, leaves a waker where the test finds
 * it, and stays pending until the test lets it finish.
 */
struct guest {
	struct filch_task task;
	struct filch_waker waker;
	sem_t polled;   /* posted by every poll */
	sem_t released; /* posted by the release */
	int polls;
	int may_finish;
	int saw_cancel;
};

static inline enum filch_poll
guest_poll(struct filch_task *task)
{
	struct guest *guest = filch_container_of(task, struct guest, task);
	enum filch_poll answer;

	guest->polls++;
	if (filch_task_is_cancelled(task)) {
		guest->saw_cancel = 1;
	}
	answer = __atomic_load_n(&guest->may_finish, __ATOMIC_ACQUIRE) != 0
	    ? FILCH_READY
	    : FILCH_PENDING;
	if (answer == FILCH_PENDING && guest->waker.vtable == NULL) {
		guest->waker = filch_task_waker(task);
	}
	sem_post(&guest->polled);
	return (answer);
}

static inline void
guest_release(struct filch_task *task)
{
	sem_post(&filch_container_of(task, struct guest, task)->released);
}

static inline void
guest_init(struct guest *guest)
{
	*guest = (struct guest){ .polls = 0 };
	sem_init(&guest->polled, 0, 0);
	sem_init(&guest->released, 0, 0);
	filch_task_init(&guest->task, guest_poll, guest_release);
}

static inline bool
guest_is_released(struct guest *guest)
{
	int value = 0;

	sem_getvalue(&guest->released, &value);
	return (value > 0);
}

/* Spawn guest with a join handle and wait until it waits. */
static inline void
guest_start(struct filch_executor *executor, struct guest *guest)
{
	guest_init(guest);
	cr_assert_eq(filch_executor_spawn_joinable(executor, &guest->task), 0);
	wait_for(&guest->polled);
}

static inline void
guest_let_finish(struct guest *guest)
{
	__atomic_store_n(&guest->may_finish, 1, __ATOMIC_RELEASE);
}

/* What a thread runs that lets a guest finish. */
static inline void *
guest_finish(void *arg)
{
	struct guest *guest = arg;

	guest_let_finish(guest);
	filch_waker_wake(&guest->waker);
	return (NULL);
}

/* A task that keeps its worker until the test lets it go. */
struct blocker {
	struct filch_task task;
	sem_t running;
	sem_t go;
};

static inline enum filch_poll
blocker_poll(struct filch_task *task)
{
	struct blocker *blocker =
	    filch_container_of(task, struct blocker, task);

	sem_post(&blocker->running);
	wait_for(&blocker->go);
	return (FILCH_READY);
}

static inline void
blocker_start(struct filch_executor *executor, struct blocker *blocker)
{
	sem_init(&blocker->running, 0, 0);
	sem_init(&blocker->go, 0, 0);
	filch_task_init(&blocker->task, blocker_poll, NULL);
	cr_assert_eq(
	    filch_executor_spawn_joinable(executor, &blocker->task), 0);
	wait_for(&blocker->running);
}

static inline void
blocker_end(struct blocker *blocker)
{
	sem_post(&blocker->go);
	cr_assert_eq(filch_task_join(&blocker->task), 0);
}

#endif /* FILCH_TESTS_UNIT_HELPERS_H */

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a forked child may do, and that its parent does not notice.
 */
#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"

TestSuite(fork, .init = setup, .fini = teardown, .timeout = 60);

/* A task that does some I/O: writes a byte into a pipe and reads it back. */
struct echo {
	struct filch_task task;
	struct filch_file ends[2];
	struct filch_op op;
	char byte;
	int step;
	int64_t result;
};

static enum filch_poll
echo_poll(struct filch_task *task)
{
	struct echo *echo = filch_container_of(task, struct echo, task);

	if (echo->step == 0) {
		filch_op_init_write(
		    &echo->op, &echo->ends[1], "x", 1, FILCH_OFFSET_CURRENT);
		echo->step++;
	}
	if (echo->step == 1) {
		if (filch_op_poll(&echo->op, task, &echo->result) ==
		    FILCH_PENDING) {
			return (FILCH_PENDING);
		}
		filch_op_init_read(&echo->op, &echo->ends[0], &echo->byte, 1,
		    FILCH_OFFSET_CURRENT);
		echo->step++;
	}
	return (filch_op_poll(&echo->op, task, &echo->result));
}

/* True if executor carries out tasks and their I/O. */
static bool
works(struct filch_executor *one)
{
	struct echo echo = { .step = 0 };
	int fds[2];
	bool good;

	if (pipe(fds) != 0 || filch_file_init(&echo.ends[0], fds[0]) != 0 ||
	    filch_file_init(&echo.ends[1], fds[1]) != 0) {
		return (false);
	}
	filch_task_init(&echo.task, echo_poll, NULL);
	good = filch_executor_block_on(one, &echo.task) == 0 &&
	    echo.result == 1 && echo.byte == 'x';
	close(fds[0]);
	close(fds[1]);
	return (good);
}

static void
assert_child_exits_well(pid_t child)
{
	int status = -1;

	cr_assert_gt(child, 0);
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert(WIFEXITED(status));
	cr_assert_eq(WEXITSTATUS(status), 0);
}

Test(fork, a_child_may_exit_at_once)
{
	struct guest guest;
	pid_t child;

	guest_start(executor, &guest);
	child = fork();
	if (child == 0) {
		_exit(0);
	}
	assert_child_exits_well(child);
	cr_assert(works(executor));
	guest_let_finish(&guest);
	filch_waker_wake(&guest.waker);
	cr_assert_eq(filch_task_join(&guest.task), 0);
}

/* A read that the kernel has, and the byte that it waits for. */
struct waiting_read {
	struct filch_task task;
	struct filch_file file;
	struct filch_op op;
	char byte;
	int writer;
	int64_t result;
};

static enum filch_poll
waiting_read_poll(struct filch_task *task)
{
	struct waiting_read *self =
	    filch_container_of(task, struct waiting_read, task);

	return (filch_op_poll(&self->op, task, &self->result));
}

static void
waiting_read_start(struct waiting_read *self)
{
	struct filch_worker_stats stats[2];
	int fds[2];

	self->result = 0;
	cr_assert_eq(pipe(fds), 0);
	cr_assert_eq(filch_file_init(&self->file, fds[0]), 0);
	self->writer = fds[1];
	filch_op_init_read(
	    &self->op, &self->file, &self->byte, 1, FILCH_OFFSET_CURRENT);
	filch_task_init(&self->task, waiting_read_poll, NULL);
	cr_assert_eq(filch_executor_spawn_joinable(executor, &self->task), 0);
	do {
		sched_yield();
		for (unsigned i = 0; i < 2; i++) {
			cr_assert_eq(filch_executor_get_worker_stats(
					 executor, i, &stats[i]),
			    0);
		}
	} while (stats[0].in_flight + stats[1].in_flight == 0);
}

static void
assert_read_goes_on(struct waiting_read *self)
{
	cr_assert_eq(write(self->writer, "x", 1), 1);
	cr_assert_eq(filch_task_join(&self->task), 0);
	cr_assert_eq(self->result, 1);
	cr_assert_eq(self->byte, 'x');
	close(self->writer);
	close(self->file.fd);
}

static void
child_exits(void)
{
	_exit(0);
}

static void
child_executes(void)
{
	(void)execl("/bin/sh", "sh", "-c", "exit 0", (char *)NULL);
	_exit(1);
}

static void
child_is_killed(void)
{
	(void)raise(SIGKILL);
}

Test(fork, what_is_in_flight_goes_on_whatever_a_child_does)
{
	static void (*const ends[])(
	    void) = { child_exits, child_executes, child_is_killed };

	for (unsigned i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		struct waiting_read read;
		pid_t child;

		waiting_read_start(&read);
		child = fork();
		if (child == 0) {
			ends[i]();
		}
		cr_assert_eq(waitpid(child, NULL, 0), child);
		assert_read_goes_on(&read);
	}
}

/* As a destructor might, which the child runs when it exits. */
Test(fork, a_child_that_destroys_an_executor_harms_itself_alone)
{
	struct waiting_read read;
	pid_t child;

	if (filch_executor_driver(executor) != FILCH_DRIVER_URING) {
		cr_skip("here it shares nothing with its parent, and hangs");
	}
	waiting_read_start(&read);
	child = fork();
	if (child == 0) {
		(void)signal(SIGSEGV, SIG_DFL);
		filch_executor_destroy(executor);
		_exit(0);
	}
	cr_assert_eq(waitpid(child, NULL, 0), child);
	assert_read_goes_on(&read);
}

static int
child_with_its_own(void)
{
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;
	struct filch_executor *own;
	bool good;

	options.worker_count = 2;
	if (filch_executor_create(&options, &own) != 0) {
		return (1);
	}
	good = works(own);
	if (filch_executor_shutdown(
		own, FILCH_SHUTDOWN_GRACEFUL, FILCH_NEVER) != 0) {
		return (2);
	}
	filch_executor_destroy(own);
	return (good ? 0 : 3);
}

Test(fork, a_child_may_use_an_executor_of_its_own)
{
	pid_t child = fork();

	if (child == 0) {
		_exit(child_with_its_own());
	}
	cr_assert(works(executor));
	assert_child_exits_well(child);
	cr_assert(works(executor));
}

Test(fork, a_child_outlives_the_executor_of_its_parent)
{
	int fds[2];
	pid_t child;

	cr_assert_eq(pipe(fds), 0);
	child = fork();
	if (child == 0) {
		char byte;

		close(fds[1]);
		if (read(fds[0], &byte, 1) != 0) {
			_exit(4);
		}
		_exit(child_with_its_own());
	}
	cr_assert(works(executor));
	filch_executor_destroy(executor);
	executor = NULL;
	close(fds[0]);
	close(fds[1]);
	assert_child_exits_well(child);
}

struct forker {
	struct filch_task task;
	void (*ends)(void);
	pid_t child;
};

static enum filch_poll
forker_poll(struct filch_task *task)
{
	struct forker *forker = filch_container_of(task, struct forker, task);

	forker->child = fork();
	if (forker->child == 0) {
		forker->ends();
	}
	return (FILCH_READY);
}

static void
assert_a_task_may_fork(void (*ends)(void))
{
	struct forker forker = { .ends = ends, .child = -1 };

	filch_task_init(&forker.task, forker_poll, NULL);
	cr_assert_eq(filch_executor_block_on(executor, &forker.task), 0);
	assert_child_exits_well(forker.child);
	cr_assert(works(executor));
}

Test(fork, a_task_may_fork_a_child_that_exits)
{
	assert_a_task_may_fork(child_exits);
}

Test(fork, a_task_may_fork_a_child_that_executes)
{
	assert_a_task_may_fork(child_executes);
}

static int
count_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int count = 0;

	if (directory == NULL) {
		cr_skip_test("no /proc/self/fd");
	}
	while (readdir(directory) != NULL) {
		count++;
	}
	closedir(directory);
	return (count);
}

/* How many descriptors a program started from here finds open. */
static int
count_inherited(void)
{
	FILE *pipe = popen("exec ls -a /proc/self/fd | wc -l", "r");
	int count = 0;

	cr_assert_not_null(pipe);
	cr_assert_eq(fscanf(pipe, "%d", &count), 1);
	pclose(pipe);
	return (count);
}

Test(fork, exec_closes_every_descriptor_of_an_executor)
{
	int inherited = count_inherited();
	int own = count_descriptors();
	struct filch_executor *second = executor_new(2);

	cr_assert(works(second));
	cr_assert_gt(count_descriptors(), own);
	cr_assert_eq(count_inherited(), inherited);
	filch_executor_destroy(second);
	cr_assert_eq(count_descriptors(), own);
}

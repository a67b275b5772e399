/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing to a pipe or socket that nobody reads: -EPIPE, and no signal, on
 * whatever thread the system makes the transfer.  The program leaves SIGPIPE
 * as it is: a signal would end it.
 */
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "helpers.h"

static struct filch_executor *executor;

static void
setup(void)
{
	signal(SIGPIPE, SIG_DFL);
	executor = executor_new(1);
}

static void
teardown(void)
{
	filch_executor_destroy(executor);
}

TestSuite(sigpipe, .init = setup, .fini = teardown, .timeout = 60);

struct writer {
	struct filch_task task;
	struct filch_file file;
	struct filch_op op;
	sem_t *started;
	sem_t *go; /* NULL, or what it waits for in its first poll */
	int64_t result;
};

static enum filch_poll
writer_poll(struct filch_task *task)
{
	struct writer *self = filch_container_of(task, struct writer, task);
	enum filch_poll answer = filch_op_poll(&self->op, task, &self->result);

	if (self->go != NULL) {
		sem_t *go = self->go;

		self->go = NULL;
		sem_post(self->started);
		wait_for(go);
	}
	return (answer);
}

static void
writer_init(struct writer *self, int fd)
{
	*self = (struct writer){ .result = 1 };
	cr_assert_eq(filch_file_init(&self->file, fd), 0);
	filch_op_init_write(
	    &self->op, &self->file, "x", 1, FILCH_OFFSET_CURRENT);
	filch_task_init(&self->task, writer_poll, NULL);
}

/* A descriptor for writing whose other end is closed. */
static int
broken_pipe(void)
{
	int fds[2];

	cr_assert_eq(pipe(fds), 0);
	close(fds[0]);
	return (fds[1]);
}

static int
broken_socket(void)
{
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	close(fds[0]);
	return (fds[1]);
}

static void
assert_epipe(int fd)
{
	struct writer writer;

	writer_init(&writer, fd);
	cr_assert_eq(filch_executor_block_on(executor, &writer.task), 0);
	cr_assert_eq(writer.result, -EPIPE);
}

Test(sigpipe, a_broken_pipe_gives_epipe)
{
	assert_epipe(broken_pipe());
}

Test(sigpipe, a_broken_socket_gives_epipe)
{
	assert_epipe(broken_socket());
}

static int64_t
write_broken(void *arg)
{
	return (write(*(int *)arg, "x", 1) < 0 ? -errno : 0);
}

struct caller {
	struct filch_task task;
	struct filch_op op;
	int64_t result;
};

static enum filch_poll
caller_poll(struct filch_task *task)
{
	struct caller *self = filch_container_of(task, struct caller, task);

	return (filch_op_poll(&self->op, task, &self->result));
}

Test(sigpipe, a_call_in_the_pool_gets_epipe_too)
{
	struct caller self = { .result = 1 };
	int fd = broken_pipe();

	filch_op_init_call(&self.op, write_broken, &fd);
	filch_task_init(&self.task, caller_poll, NULL);
	cr_assert_eq(filch_executor_block_on(executor, &self.task), 0);
	cr_assert_eq(self.result, -EPIPE);
}

/*
 * Cancels of other tasks come from this thread while a write is gathered but
 * not handed over yet: whatever they do to the driver's queue (the second
 * finds what the first left there), this thread gets no signal.
 */
static void
cancel_beside_a_gathered_write(int fd)
{
	struct writer readers[2];
	struct writer writer;
	sem_t started;
	sem_t go;
	int fds[2];

	sem_init(&started, 0, 0);
	sem_init(&go, 0, 0);
	cr_assert_eq(pipe(fds), 0);
	for (int i = 0; i < 2; i++) {
		writer_init(&readers[i], fds[0]);
		filch_op_init_read(&readers[i].op, &readers[i].file,
		    (char[1]){ 0 }, 1, FILCH_OFFSET_CURRENT);
		readers[i].started = &started;
		readers[i].go = &go;
		cr_assert_eq(
		    filch_executor_spawn_joinable(executor, &readers[i].task),
		    0);
		wait_for(&started);
		sem_post(&go);
	}
	writer_init(&writer, fd);
	writer.started = &started;
	writer.go = &go;
	cr_assert_eq(filch_executor_spawn_joinable(executor, &writer.task), 0);
	wait_for(&started);
	for (int i = 0; i < 2; i++) {
		filch_op_cancel(&readers[i].op);
	}
	sem_post(&go);
	cr_assert_eq(filch_task_join(&writer.task), 0);
	cr_assert_eq(writer.result, -EPIPE);
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(filch_task_join(&readers[i].task), 0);
		cr_assert_eq(readers[i].result, -ECANCELED);
	}
}

Test(sigpipe, a_thread_that_cancels_beside_a_pipe_gets_no_signal)
{
	cancel_beside_a_gathered_write(broken_pipe());
}

Test(sigpipe, a_thread_that_cancels_beside_a_socket_gets_no_signal)
{
	cancel_beside_a_gathered_write(broken_socket());
}

/* The same with the shutdown that cancels everything. */
Test(sigpipe, a_thread_that_shuts_down_gets_no_signal)
{
	struct writer writer;
	sem_t started;
	sem_t go;

	sem_init(&started, 0, 0);
	sem_init(&go, 0, 0);
	writer_init(&writer, broken_pipe());
	writer.started = &started;
	writer.go = &go;
	cr_assert_eq(filch_executor_spawn_joinable(executor, &writer.task), 0);
	wait_for(&started);
	cr_assert_eq(
	    filch_executor_shutdown(executor, FILCH_SHUTDOWN_IMMEDIATE, 0),
	    -ETIMEDOUT);
	sem_post(&go);
	cr_assert_eq(filch_executor_shutdown(
			 executor, FILCH_SHUTDOWN_IMMEDIATE, patience()),
	    0);
	cr_assert_eq(filch_task_join(&writer.task), 0);
	cr_assert(writer.result == -EPIPE || writer.result == -ESHUTDOWN);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The portable driver, through the public interface.
 */
#include <criterion/criterion.h>
#include <filch/filch.h>

#include <errno.h>
#include <unistd.h>

struct reader {
	struct filch_task task;
	struct filch_op op;
	struct filch_file file;
	char buffer[64];
	int64_t result;
};

static struct filch_executor *executor;
static struct reader reader;
static int fds[2];

static enum filch_poll
reader_poll(struct filch_task *task)
{
	struct reader *self = filch_container_of(task, struct reader, task);

	return (filch_op_poll(&self->op, task, &self->result));
}

static void
setup(void)
{
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;

	options.worker_count = 2;
	options.driver = FILCH_DRIVER_POSIX;
	cr_assert(filch_executor_create(&options, &executor) == 0);
	cr_assert(pipe(fds) == 0);
	cr_assert(filch_file_init(&reader.file, fds[0]) == 0);
	filch_op_init_read(&reader.op, &reader.file, reader.buffer,
	    sizeof(reader.buffer), FILCH_OFFSET_CURRENT);
	filch_task_init(&reader.task, reader_poll, NULL);
}

static void
teardown(void)
{
	filch_executor_destroy(executor);
}

TestSuite(driver_posix, .init = setup, .fini = teardown, .timeout = 60);

Test(driver_posix, pipe_read_ends_when_somebody_writes)
{
	cr_assert(filch_executor_spawn_joinable(executor, &reader.task) == 0);
	cr_assert(write(fds[1], "hello", 5) == 5);
	cr_assert(filch_task_join(&reader.task) == 0);
	cr_assert(reader.result == 5);
}

Test(driver_posix, pipe_read_ends_at_its_deadline)
{
	filch_op_set_deadline(&reader.op, filch_now() + 1000000);
	cr_assert(filch_executor_spawn_joinable(executor, &reader.task) == 0);
	cr_assert(filch_task_join(&reader.task) == 0);
	cr_assert(reader.result == -ETIMEDOUT);
}

Test(driver_posix, pipe_read_ends_with_its_task_cancelled)
{
	cr_assert(filch_executor_spawn_joinable(executor, &reader.task) == 0);
	filch_task_cancel(&reader.task);
	cr_assert(filch_task_join(&reader.task) == 0);
	cr_assert(reader.result == -ECANCELED);
}

Test(driver_posix, shutdown_ends_a_waiting_read)
{
	cr_assert(filch_executor_spawn_joinable(executor, &reader.task) == 0);
	cr_assert(filch_executor_shutdown(
		      executor, FILCH_SHUTDOWN_IMMEDIATE, FILCH_NEVER) == 0);
	cr_assert(filch_task_join(&reader.task) == 0);
	cr_assert(reader.result == -ESHUTDOWN || reader.result == -ECANCELED);
}

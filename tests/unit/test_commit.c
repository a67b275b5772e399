/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commits, batches, sleeps and buffer pools, on a running executor.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <filch/filch.h>

static struct filch_executor *executor;
static char path[] = "/tmp/filch-test-commit-XXXXXX";
static int fd;
static struct filch_file file;

static void
setup(void)
{
	cr_assert_eq(filch_executor_create(NULL, &executor), 0);
	fd = mkstemp(path);
	cr_assert_geq(fd, 0);
	cr_assert_eq(filch_file_init(&file, fd), 0);
}

static void
teardown(void)
{
	filch_executor_destroy(executor);
	(void)close(fd);
	(void)unlink(path);
}

TestSuite(commit, .init = setup, .fini = teardown);

struct job {
	struct filch_task task;
	struct filch_commit commit;
	struct filch_commit_write writes[3];
	struct filch_op *pointers[3];
	struct filch_batch batch;
	struct filch_sleep sleep;
	size_t failed;
	int result;
};

static enum filch_poll
commit_poll(struct filch_task *task)
{
	struct job *job = filch_container_of(task, struct job, task);

	return (filch_commit_poll(&job->commit, task, &job->result));
}

static enum filch_poll
batch_poll(struct filch_task *task)
{
	struct job *job = filch_container_of(task, struct job, task);

	return (filch_batch_poll(&job->batch, task, &job->failed));
}

static enum filch_poll
sleep_poll(struct filch_task *task)
{
	struct job *job = filch_container_of(task, struct job, task);

	return (filch_sleep_poll(&job->sleep, task, &job->result));
}

static void
job_run(struct job *job, filch_task_poll_fn poll)
{
	filch_task_init(&job->task, poll, NULL);
	cr_assert_eq(filch_executor_block_on(executor, &job->task), 0);
}

static int
commit_run(struct job *job, size_t count, enum filch_commit_mode mode)
{
	for (size_t i = 0; i < count; i++) {
		job->writes[i].data = "0123456789";
		job->writes[i].size = 10;
		job->writes[i].offset = 10 * i;
	}
	filch_commit_init(
	    &job->commit, &file, job->writes, count, job->pointers, mode);
	job->result = 1;
	job_run(job, commit_poll);
	return (job->result);
}

Test(commit, every_mode_writes_all_of_it)
{
	static struct job job;
	char bytes[31] = "";

	for (int mode = FILCH_COMMIT_AUTO; mode <= FILCH_COMMIT_DSYNC; mode++) {
		cr_assert_eq(ftruncate(fd, 0), 0);
		cr_assert_eq(
		    commit_run(&job, 3, (enum filch_commit_mode)mode), 0);
		cr_assert_eq(pread(fd, bytes, 30, 0), 30);
		cr_assert_str_eq(bytes, "012345678901234567890123456789");
	}
}

Test(commit, of_nothing_is_durable_in_every_mode)
{
	static struct job job;

	for (int mode = FILCH_COMMIT_AUTO; mode <= FILCH_COMMIT_DSYNC; mode++) {
		cr_assert_eq(
		    commit_run(&job, 0, (enum filch_commit_mode)mode), 0);
	}
}

Test(commit, a_failed_write_is_the_verdict_and_poisons_nothing)
{
	static struct job job;
	int reader = open(path, O_RDONLY | O_CLOEXEC);

	cr_assert_eq(filch_file_init(&file, reader), 0);
	cr_assert_eq(commit_run(&job, 2, FILCH_COMMIT_FDATASYNC), -EBADF);
	cr_assert_eq(filch_file_poison(&file), 0);
	(void)close(reader);
}

Test(commit, a_poisoned_file_refuses_and_writes_nothing)
{
	static struct job job;

	file.priv.poison = -EIO;
	cr_assert_eq(commit_run(&job, 1, FILCH_COMMIT_FDATASYNC), -EIO);
	cr_assert_eq(lseek(fd, 0, SEEK_END), 0);
}

Test(commit, a_sync_that_is_not_possible_poisons_nothing)
{
	static struct job job;
	int ends[2];

	/* a pipe has no sync: refusing it loses no page */
	cr_assert_eq(pipe(ends), 0);
	cr_assert_eq(filch_file_init(&file, ends[1]), 0);
	cr_assert_eq(commit_run(&job, 0, FILCH_COMMIT_FSYNC), -EINVAL);
	cr_assert_eq(filch_file_poison(&file), 0);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

Test(commit, empty_and_null_batches_complete)
{
	static struct job job;
	struct filch_op *none[2] = { NULL, NULL };

	job.failed = 9;
	filch_batch_init(&job.batch, NULL, 0);
	job_run(&job, batch_poll);
	cr_assert_eq(job.failed, 0);
	job.failed = 9;
	filch_batch_init(&job.batch, none, 2);
	job_run(&job, batch_poll);
	cr_assert_eq(job.failed, 0);
}

Test(commit, each_element_of_a_batch_has_its_own_result)
{
	static struct job job;
	static struct filch_op ops[2];
	struct filch_op *list[3] = { &ops[0], NULL, &ops[1] };
	struct filch_file closed = FILCH_FILE_INIT;
	char byte = 'x';

	filch_op_init_write(&ops[0], &file, &byte, 1, 0);
	filch_op_init_write(&ops[1], &closed, &byte, 1, 0);
	filch_batch_init(&job.batch, list, 3);
	job_run(&job, batch_poll);
	cr_assert_eq(job.failed, 1);
	cr_assert_eq(filch_op_result(&ops[0]), 1);
	cr_assert_eq(filch_op_result(&ops[1]), -EBADF);
}

Test(commit, a_sleep_ends_at_its_deadline_and_not_before)
{
	static struct job job;
	uint64_t deadline = filch_now() + 3000000;

	job.result = 1;
	filch_sleep_init(&job.sleep, deadline);
	job_run(&job, sleep_poll);
	cr_assert_eq(job.result, 0);
	cr_assert_geq(filch_now(), deadline);
}

Test(commit, a_sleep_of_a_cancelled_task_says_so)
{
	static struct job job;

	filch_sleep_init(&job.sleep, FILCH_NEVER);
	filch_task_init(&job.task, sleep_poll, NULL);
	cr_assert_eq(filch_executor_spawn_joinable(executor, &job.task), 0);
	filch_task_cancel(&job.task);
	cr_assert_eq(filch_task_join(&job.task), 0);
	cr_assert_eq(job.result, -ECANCELED);
}

Test(commit, a_pool_gives_each_buffer_once_and_aligned)
{
	struct filch_buffer_pool *pool;
	void *one;
	void *two;

	cr_assert_eq(
	    filch_buffer_pool_create(executor, 100, 2, 8192, &pool), 0);
	one = filch_buffer_pool_take(pool);
	two = filch_buffer_pool_take(pool);
	cr_assert_neq(one, two);
	cr_assert_eq((uintptr_t)one % 8192, 0);
	cr_assert_eq((uintptr_t)two % 8192, 0);
	cr_assert_null(filch_buffer_pool_take(pool));
	filch_buffer_pool_give(pool, one);
	cr_assert_eq(filch_buffer_pool_take(pool), one);
	filch_buffer_pool_give(pool, one);
	filch_buffer_pool_give(pool, two);
	filch_buffer_pool_destroy(pool);
}

Test(commit, a_pool_of_nothing_or_odd_alignment_is_refused)
{
	struct filch_buffer_pool *pool;

	cr_assert_eq(
	    filch_buffer_pool_create(executor, 1, 0, 0, &pool), -EINVAL);
	cr_assert_eq(
	    filch_buffer_pool_create(executor, 0, 1, 0, &pool), -EINVAL);
	cr_assert_eq(
	    filch_buffer_pool_create(executor, 1, 1, 3, &pool), -EINVAL);
}

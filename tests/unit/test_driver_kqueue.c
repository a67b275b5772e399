/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kqueue driver on the model of FreeBSD's kernel, which counts what it is
 * asked for and what was done wrong.
 */
#include "helpers.h"

#include <sys/resource.h>
#include <sys/socket.h>

#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "reactor/reactor.h"
#include "tests/kqueue_model/model.h"

/* Bytes of the file; byte i is i mod 251. */
#define FILE_SIZE 65536

#define READERS_MAX 256

/* A task that reads so many times, and looks at what it gets. */
struct reader {
	struct filch_task task;
	struct filch_op op;
	unsigned char bytes[64];
	unsigned left;
	uint64_t offset;
	int64_t failed; /* a result that is not 64, or 0 */
};

static struct kqueue_model_options model;
static struct filch_executor *executor;
static struct filch_file file;
static struct reader readers[READERS_MAX];

static void
setup(void)
{
	char path[] = "/tmp/filch-kqueue-XXXXXX";
	static unsigned char bytes[FILE_SIZE];
	unsigned i;
	int fd = mkstemp(path);

	cr_assert(fd >= 0);
	cr_assert_eq(unlink(path), 0);
	for (i = 0; i < FILE_SIZE; i++) {
		bytes[i] = (unsigned char)(i % 251);
	}
	cr_assert_eq(pwrite(fd, bytes, FILE_SIZE, 0), FILE_SIZE);
	cr_assert_eq(filch_file_init(&file, fd), 0);
	model = (struct kqueue_model_options)KQUEUE_MODEL_OPTIONS_INIT;
	model.version = 1400;
}

/* Nothing was done that the real kernel would punish. */
static void
teardown(void)
{
	struct kqueue_model_faults faults;
	struct kqueue_model_counts counts;

	filch_executor_destroy(executor);
	kqueue_model_counts(&counts);
	cr_assert_eq(counts.jobs, 0);
	/* of what a list refused the driver sees whether it has to be reaped */
	cr_assert(kqueue_model_faults(&faults) == faults.return_unknown);
	cr_assert(faults.return_unknown <= counts.refused);
	cr_assert_eq(close(file.fd), 0);
}

TestSuite(driver_kqueue, .init = setup, .fini = teardown, .timeout = 100);

static void
start(unsigned workers)
{
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;

	options.worker_count = workers;
	options.driver = FILCH_DRIVER_KQUEUE;
	options.inline_io_off = true; /* FreeBSD has none */
	kqueue_model_set(&model);
	cr_assert_eq(filch_executor_create(&options, &executor), 0);
}

static enum filch_poll
reader_poll(struct filch_task *task)
{
	struct reader *reader = filch_container_of(task, struct reader, task);
	int64_t result;
	unsigned i;

	while (reader->left > 0) {
		if (filch_op_poll(&reader->op, task, &result) ==
		    FILCH_PENDING) {
			return (FILCH_PENDING);
		}
		if (result != (int64_t)sizeof(reader->bytes)) {
			reader->failed = result;
			return (FILCH_READY);
		}
		for (i = 0; i < sizeof(reader->bytes); i++) {
			if (reader->bytes[i] != (reader->offset + i) % 251) {
				reader->failed = -EIO;
			}
		}
		reader->left--;
		reader->offset = (reader->offset + 4096) % FILE_SIZE;
		filch_op_init_read(&reader->op, &file, reader->bytes,
		    sizeof(reader->bytes), reader->offset);
	}
	return (FILCH_READY);
}

static void
readers_start(unsigned count, unsigned reads)
{
	unsigned i;

	for (i = 0; i < count; i++) {
		struct reader *reader = &readers[i];

		reader->left = reads;
		reader->failed = 0;
		reader->offset = i * 64;
		filch_op_init_read(&reader->op, &file, reader->bytes,
		    sizeof(reader->bytes), reader->offset);
		filch_task_init(&reader->task, reader_poll, NULL);
		cr_assert_eq(
		    filch_executor_spawn_joinable(executor, &reader->task), 0);
	}
}

static void
readers_end(unsigned count)
{
	unsigned i;

	for (i = 0; i < count; i++) {
		cr_assert_eq(filch_task_join(&readers[i].task), 0);
		cr_assert_eq(readers[i].failed, 0);
		cr_assert_eq(readers[i].left, 0);
	}
}

static void
run_readers(unsigned count, unsigned reads)
{
	readers_start(count, reads);
	readers_end(count);
}

static uint64_t
fallbacks(enum filch_fallback reason, unsigned workers)
{
	struct filch_worker_stats stats;
	uint64_t count = 0;
	unsigned i;

	for (i = 0; i < workers; i++) {
		cr_assert_eq(
		    filch_executor_get_worker_stats(executor, i, &stats), 0);
		count += stats.fallbacks[reason];
	}
	return (count);
}

static sem_t told;

/* On the reactor thread, which reaps for all. */
static void
operations_told(struct filch_op *list)
{
	while (list != NULL) {
		cr_assert_eq(filch_op_result(list), sizeof(readers[0].bytes));
		list = list->priv.next;
		(void)sem_post(&told);
	}
}

static uint64_t
no_tick(struct filch__reactor_host *host, uint64_t now_ns)
{
	(void)host;
	(void)now_ns;
	return (FILCH_NEVER);
}

/* Without an executor, whose monitor may flush at any time. */
Test(driver_kqueue, operations_gathered_leave_in_one_list)
{
	struct filch__reactor_host host = { operations_told, no_tick };
	struct filch__reactor_options options = {
		.driver = FILCH_DRIVER_KQUEUE,
		.shard_count = 1,
		.ring_entries = FILCH_RING_ENTRIES_DEFAULT,
		.pool_threads_max = 1,
	};
	static struct filch__reactor reactor;
	struct kqueue_model_counts counts;
	struct filch__shard *shard;
	unsigned i;

	(void)sem_init(&told, 0, 0);
	kqueue_model_set(&model);
	cr_assert_eq(filch__reactor_init(&reactor, &host, &options), 0);
	shard = &reactor.shards[0];
	for (i = 0; i < 48; i++) {
		struct filch_op *op = &readers[i].op;

		filch_op_init_read(op, &file, readers[i].bytes,
		    sizeof(readers[i].bytes), i * 64);
		op->priv.shard = shard;
		reactor.driver->submit(shard, op);
	}
	kqueue_model_counts(&counts);
	cr_assert_eq(counts.submitted, 0);
	reactor.driver->flush(shard);
	kqueue_model_counts(&counts);
	cr_assert_eq(counts.listed, 48);
	cr_assert_eq(counts.calls_listio, 1);
	cr_assert_eq(counts.calls_read, 0);
	for (i = 0; i < 48; i++) {
		wait_for(&told);
	}
	filch__reactor_fini(&reactor);
}

Test(driver_kqueue, jobs_are_reaped_in_the_order_of_their_events)
{
	struct kqueue_model_counts counts;

	model.delay = 300;
	model.slow = 300;
	model.reorder = 300;
	start(2);
	run_readers(64, 50);
	kqueue_model_counts(&counts);
	cr_assert_eq(counts.submitted, 64 * 50);
	cr_assert_eq(counts.calls_return, 64 * 50);
	cr_assert_eq(counts.returns_out_of_order, 0);
}

Test(driver_kqueue, more_than_the_limit_wait_and_an_eighth_is_left_free)
{
	struct kqueue_model_counts counts;

	model.max_aio_queue_per_proc = 16;
	start(2);
	run_readers(READERS_MAX, 20);
	kqueue_model_counts(&counts);
	cr_assert_eq(counts.jobs_most, 14);
	cr_assert_eq(counts.refused, 0);
	cr_assert_eq(fallbacks(FILCH_FALLBACK_LIMIT, 2), 0);
}

Test(driver_kqueue, a_limit_of_one_is_enough)
{
	model.max_aio_queue_per_proc = 1;
	start(2);
	run_readers(32, 20);
}

Test(driver_kqueue, what_the_kernel_has_no_room_for_is_tried_again)
{
	struct kqueue_model_counts counts;

	model.eagain = 300;
	start(2);
	run_readers(64, 50);
	kqueue_model_counts(&counts);
	cr_assert(counts.refused > 0);
}

Test(driver_kqueue, without_any_room_in_the_kernel_the_pool_does_it)
{
	model.eagain = 1000;
	start(2);
	run_readers(64, 20);
	cr_assert_eq(fallbacks(FILCH_FALLBACK_LIMIT, 2), 64 * 20);
}

Test(driver_kqueue, what_the_kernel_cannot_do_the_pool_does)
{
	model.eopnotsupp = 1000;
	start(2);
	run_readers(64, 20);
	cr_assert_eq(fallbacks(FILCH_FALLBACK_REFUSED, 2), 64 * 20);
}

Test(driver_kqueue, refusals_of_all_kinds_in_any_order)
{
	model.eagain = 200;
	model.eopnotsupp = 200;
	model.delay = 200;
	model.late = 200;
	model.linger = 200;
	model.reorder = 200;
	start(2);
	run_readers(128, 50);
}

Test(driver_kqueue, an_operation_that_waits_for_a_slot_is_cancelled_at_once)
{
	struct kqueue_model_counts counts;
	unsigned i;

	model.max_aio_queue_per_proc = 2;
	model.slow = 1000;
	model.delay_us = 1000000;
	start(1);
	readers_start(64, 1);
	for (i = 0; i < 64; i++) {
		filch_task_cancel(&readers[i].task);
	}
	for (i = 0; i < 64; i++) {
		cr_assert_eq(filch_task_join(&readers[i].task), 0);
		cr_assert(
		    readers[i].left == 0 || readers[i].failed == -ECANCELED);
	}
	kqueue_model_counts(&counts);
	cr_assert(counts.submitted <= 4);
}

Test(driver_kqueue, a_job_that_runs_ends_with_its_result_though_cancelled)
{
	model.busy = 1000;
	model.delay = 1000;
	start(1);
	readers_start(16, 1);
	for (unsigned i = 0; i < 16; i++) {
		filch_task_cancel(&readers[i].task);
		cr_assert_eq(filch_task_join(&readers[i].task), 0);
		cr_assert(
		    readers[i].left == 0 || readers[i].failed == -ECANCELED);
	}
}

Test(driver_kqueue, nowait_is_refused_where_there_is_no_slot)
{
	int64_t refused = 0;
	unsigned i;

	model.max_aio_queue_per_proc = 4;
	model.slow = 1000;
	start(1);
	for (i = 0; i < 16; i++) {
		readers[i].left = 1;
		readers[i].failed = 0;
		readers[i].offset = 0;
		filch_op_init_read(&readers[i].op, &file, readers[i].bytes,
		    sizeof(readers[i].bytes), 0);
		filch_op_set_flags(&readers[i].op, FILCH_OP_NOWAIT);
		filch_task_init(&readers[i].task, reader_poll, NULL);
		cr_assert_eq(
		    filch_executor_spawn_joinable(executor, &readers[i].task),
		    0);
	}
	for (i = 0; i < 16; i++) {
		cr_assert_eq(filch_task_join(&readers[i].task), 0);
		cr_assert(readers[i].left == 0 || readers[i].failed == -EAGAIN);
		refused += readers[i].failed == -EAGAIN;
	}
	cr_assert(refused > 0);
	cr_assert(refused < 16);
}

Test(driver_kqueue, without_a_descriptor_left_none_is_opened)
{
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;
	struct rlimit limit;
	struct rlimit none;

	kqueue_model_set(&model);
	options.worker_count = 1;
	options.driver = FILCH_DRIVER_KQUEUE;
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = (rlim_t)file.fd;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	cr_assert_eq(filch_executor_create(&options, &executor), -EMFILE);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	start(1);
	run_readers(4, 1);
}

Test(driver_kqueue, a_kernel_without_jobs_is_refused)
{
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;

	model.max_aio_queue_per_proc = 0;
	kqueue_model_set(&model);
	options.worker_count = 1;
	options.driver = FILCH_DRIVER_KQUEUE;
	cr_assert_eq(filch_executor_create(&options, &executor), -ENOSYS);
	options.driver = FILCH_DRIVER_AUTO;
	(void)unsetenv("FILCH_DRIVER");
	cr_assert_eq(filch_executor_create(&options, &executor), 0);
	cr_assert_eq(filch_executor_driver(executor), FILCH_DRIVER_POSIX);
}

/* A refusal frees slots, but is no room: it must not feed others in a ring. */
Test(driver_kqueue, no_room_in_the_kernel_is_not_asked_for_again_and_again)
{
	static struct aiocb own[12];
	struct kqueue_model_counts counts;
	int pair[2];
	char byte;
	unsigned i;

	model.max_aio_queue_per_proc = 16;
	model.slow = 1000;
	model.delay_us = 20000;
	start(4);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	for (i = 0; i < 12; i++) {
		own[i].aio_fildes = pair[0];
		own[i].aio_buf = &byte;
		own[i].aio_nbytes = 1;
		cr_assert_eq(aio_read(&own[i]), 0);
	}
	run_readers(64, 4);
	kqueue_model_counts(&counts);
	/* some thousands, when jobs end and the monitor looks; or a ring */
	cr_assert_lt(counts.calls_listio, 50000);
	cr_assert_eq(close(pair[1]), 0);
	for (i = 0; i < 12; i++) {
		const struct aiocb *one = &own[i];

		while (aio_error(one) == EINPROGRESS) {
			(void)aio_suspend(&one, 1, NULL);
		}
		(void)aio_return(&own[i]);
	}
	cr_assert_eq(close(pair[0]), 0);
}

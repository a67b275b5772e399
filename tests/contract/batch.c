/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Batches: one submission, one wake, each element's own result.
 *
 * The rows of FreeBSD are those of its lio_test, lio_kqueue_test and
 * aio_kqueue_test, carried out by filch's own operations; kqueue_batches has
 * them on lists of the program's own.
 */
#include "batch_task.h"
#include "kinds.h"

#include <sys/mman.h>

#define COUNT 32

static struct batch_task batch;
static struct filch_op ops[COUNT];
static struct filch_op *pointers[COUNT];
static struct filch_file file;
static char bytes[COUNT];

/* A file of COUNT bytes, and a read of each; none on the worker itself. */
static const char *
reads_prepare(struct contract *contract)
{
	int fd =
	    contract_file(contract, "file", "abcdefghijklmnopqrstuvwxyz012345");

	CHECK(fd >= 0);
	memset(bytes, 0, sizeof(bytes));
	memset(&batch, 0, sizeof(batch));
	CHECK_EQ(filch_file_init(&file, fd), 0);
	for (uint64_t i = 0; i < COUNT; i++) {
		filch_op_init_read(&ops[i], &file, &bytes[i], 1, i);
		filch_op_set_flags(&ops[i], FILCH_OP_NO_INLINE);
		pointers[i] = &ops[i];
	}
	return (NULL);
}

static const char *
lio_empty(struct contract *contract)
{
	struct filch_op *none[3] = { NULL, NULL, NULL };

	CHECK_EQ(batch_task_run(contract, &batch, NULL, 0), 0);
	CHECK_EQ(batch.polls, 1);
	CHECK_EQ(batch_task_run(contract, &batch, none, 3), 0);
	CHECK_EQ(batch.polls, 1);
	return (NULL);
}

static const char *
one_wake(struct contract *contract)
{
	CHECK_OK(reads_prepare(contract));
	CHECK_EQ(batch_task_run(contract, &batch, pointers, COUNT), 0);
	/* the first, and one when all are done */
	CHECK(batch.polls <= 2);
	CHECK_EQ(memcmp(bytes, "abcdefghijklmnopqrstuvwxyz012345", COUNT), 0);
	for (unsigned i = 0; i < COUNT; i++) {
		CHECK_EQ(filch_op_result(&ops[i]), 1);
	}
	return (NULL);
}

static uint64_t
submissions(struct contract *contract)
{
	struct filch_worker_stats stats;

	if (filch_executor_get_worker_stats(contract->executor, 0, &stats) <
	    0) {
		return (UINT64_MAX);
	}
	return (stats.submissions);
}

static const char *
few_submissions(struct contract *contract)
{
	uint64_t before;
	uint64_t after;
	void *page;

	if (!contract->is_uring && !contract->is_kqueue) {
		SKIP("the pool takes no many at once");
	}
	CHECK_OK(reads_prepare(contract));
	/* locked and written back, the reads end within the call */
	CHECK_EQ(fsync(file.fd), 0);
	page = mmap(NULL, COUNT, PROT_READ, MAP_SHARED, file.fd, 0);
	CHECK(page != MAP_FAILED);
	CHECK_EQ(mlock(page, COUNT), 0);
	before = submissions(contract);
	CHECK_EQ(batch_task_run(contract, &batch, pointers, COUNT), 0);
	after = submissions(contract);
	CHECK_EQ(munmap(page, COUNT), 0);
	/*
	 * One call brings them, or three where the device is to start early;
	 * one more may be the worker's going to sleep.
	 */
	CHECK(after - before >= 1);
	CHECK(after - before <= (contract->is_uring ? 4 : 2));
	return (NULL);
}

/* Some are passed over, some fail; the others do not mind. */
static const char *
partial(struct contract *contract)
{
	struct filch_file closed = FILCH_FILE_INIT;
	struct filch_stat stat;

	CHECK_OK(reads_prepare(contract));
	for (unsigned i = 0; i < COUNT; i += 4) {
		pointers[i] = NULL;
		filch_op_init_read(&ops[i + 1], &closed, bytes, 1, 0);
		filch_op_init_stat(
		    &ops[i + 2], contract->directory, "none", &stat);
	}
	CHECK_EQ(batch_task_run(contract, &batch, pointers, COUNT), COUNT / 2);
	for (unsigned i = 0; i < COUNT; i += 4) {
		CHECK_EQ(bytes[i], 0);
		CHECK_EQ(filch_op_result(&ops[i + 1]), -EBADF);
		CHECK_EQ(filch_op_result(&ops[i + 2]), -ENOENT);
		CHECK_EQ(filch_op_result(&ops[i + 3]), 1);
	}
	return (NULL);
}

static const char *
lio_opcodes(struct contract *contract)
{
	static struct scene scenes[KIND_COUNT];

	for (unsigned i = 0; i < KIND_COUNT; i++) {
		CHECK_OK(scene_make(contract, &scenes[i], (enum kind)i));
		scene_prepare(&scenes[i], &ops[i]);
		pointers[i] = &ops[i];
	}
	/* all at once on one file: what would spoil the others is changed */
	filch_op_init_truncate(
	    &ops[KIND_TRUNCATE], &scenes[KIND_TRUNCATE].file, 4096);
	(void)close(contract_file(contract, "other", ""));
	filch_op_init_unlink(&ops[KIND_UNLINK], contract->directory, "other");
	CHECK_EQ(batch_task_run(contract, &batch, pointers, KIND_COUNT), 0);
	for (unsigned i = 0; i < KIND_COUNT; i++) {
		CHECK_EQ(filch_op_result(&ops[i]), scene_result(&scenes[i]));
		scene_end(&scenes[i]);
	}
	return (NULL);
}

/* Refused by itself; the others do not mind. */
static const char *
lio_invalid_opcode(struct contract *contract)
{
	struct iovec iov = { bytes, 1 };

	CHECK_OK(reads_prepare(contract));
	filch_op_init_readv(&ops[7], &file, &iov, -1, 0);
	CHECK_EQ(batch_task_run(contract, &batch, pointers, COUNT), 1);
	for (unsigned i = 0; i < COUNT; i++) {
		CHECK_EQ(filch_op_result(&ops[i]), i == 7 ? -EINVAL : 1);
	}
	return (NULL);
}

/* A batch of reads, of which all but the first wait on an empty pipe. */
static const char *
stuck_start(struct contract *contract, struct filch_file *pipe_file,
    int ends[2], uint64_t deadline_ns)
{
	CHECK_OK(reads_prepare(contract));
	CHECK_EQ(pipe(ends), 0);
	CHECK_EQ(filch_file_init(pipe_file, ends[0]), 0);
	for (unsigned i = 1; i < COUNT; i++) {
		filch_op_init_read(
		    &ops[i], pipe_file, &bytes[i], 1, FILCH_OFFSET_CURRENT);
		filch_op_set_deadline(&ops[i], deadline_ns);
	}
	CHECK_EQ(batch_task_start(contract, &batch, pointers, COUNT), 0);
	return (NULL);
}

static const char *
stuck_end(int64_t expected, int ends[2])
{
	size_t failed = batch_task_end(&batch);

	/* the first is done by now, unless its page was not to be had */
	CHECK_EQ(failed, COUNT - (filch_op_result(&ops[0]) == 1));
	for (unsigned i = 1; i < COUNT; i++) {
		CHECK_EQ(filch_op_result(&ops[i]), expected);
	}
	(void)close(ends[0]);
	(void)close(ends[1]);
	return (NULL);
}

static const char *
cancelled(struct contract *contract)
{
	struct filch_file pipe_file;
	int ends[2];

	CHECK_OK(stuck_start(contract, &pipe_file, ends, FILCH_NEVER));
	filch_batch_cancel(&batch.batch);
	filch_batch_cancel(&batch.batch);
	return (stuck_end(-ECANCELED, ends));
}

static const char *
task_cancelled(struct contract *contract)
{
	struct filch_file pipe_file;
	int ends[2];

	CHECK_OK(stuck_start(contract, &pipe_file, ends, FILCH_NEVER));
	filch_task_cancel(&batch.task);
	return (stuck_end(-ECANCELED, ends));
}

static const char *
shut_down(struct contract *contract)
{
	struct filch_file pipe_file;
	int ends[2];

	CHECK_OK(stuck_start(contract, &pipe_file, ends, FILCH_NEVER));
	CHECK_EQ(contract_stop(contract, FILCH_NEVER), 0);
	return (stuck_end(-ESHUTDOWN, ends));
}

static const char *
timed_out(struct contract *contract)
{
	struct filch_file pipe_file;
	int ends[2];

	CHECK_OK(
	    stuck_start(contract, &pipe_file, ends, filch_now() + 1000000));
	return (stuck_end(-ETIMEDOUT, ends));
}

/* A batch is refused element by element, and ends at once; closing is done. */
static const char *
refused(struct contract *contract)
{
	CHECK_OK(reads_prepare(contract));
	filch_op_init_close(&ops[COUNT - 1], &file);
	batch.cancels_itself = true;
	CHECK_EQ(batch_task_run(contract, &batch, pointers, COUNT), COUNT - 1);
	for (unsigned i = 0; i < COUNT - 1; i++) {
		CHECK_EQ(filch_op_result(&ops[i]), -ECANCELED);
	}
	CHECK_EQ(filch_op_result(&ops[COUNT - 1]), 0);
	return (NULL);
}

/* More than a ring holds, many times over. */
#define LARGE 2000

static const char *
larger_than_ring(struct contract *contract)
{
	static struct filch_op many[LARGE];
	static struct filch_op *all[LARGE];
	static char read[LARGE];

	CHECK_OK(reads_prepare(contract));
	for (uint64_t i = 0; i < LARGE; i++) {
		filch_op_init_read(&many[i], &file, &read[i], 1, i % COUNT);
		filch_op_set_flags(&many[i], FILCH_OP_NO_INLINE);
		all[i] = &many[i];
	}
	CHECK_EQ(batch_task_run(contract, &batch, all, LARGE), 0);
	for (unsigned i = 0; i < LARGE; i++) {
		CHECK_EQ(filch_op_result(&many[i]), 1);
		CHECK_EQ(read[i],
		    i % COUNT < 26 ? 'a' + (int)(i % COUNT)
				   : '0' + (int)(i % COUNT - 26));
	}
	return (NULL);
}

/* The same array and operations, run after run. */
static const char *
reused(struct contract *contract)
{
	CHECK_OK(reads_prepare(contract));
	for (unsigned run = 0; run < 300; run++) {
		for (uint64_t i = 0; i < COUNT; i++) {
			filch_op_init_read(&ops[i], &file, &bytes[i], 1, i);
		}
		CHECK_EQ(batch_task_run(contract, &batch, pointers, COUNT), 0);
		CHECK_EQ(bytes[COUNT - 1], '5');
		bytes[COUNT - 1] = 0;
	}
	return (NULL);
}

static const char *
lio_kqueue(struct contract *contract)
{
	static struct batch_task lists[5];
	static struct filch_op list_ops[5][6];
	static struct filch_op *list[5][6];

	CHECK_OK(reads_prepare(contract));
	memset(lists, 0, sizeof(lists));
	for (unsigned run = 0; run < 300; run++) {
		for (unsigned i = 0; i < 30; i++) {
			list[i / 6][i % 6] = &list_ops[i / 6][i % 6];
			filch_op_init_write(
			    list[i / 6][i % 6], &file, "w", 1, i);
		}
		for (unsigned i = 0; i < 5; i++) {
			CHECK_EQ(
			    batch_task_start(contract, &lists[i], list[i], 6),
			    0);
		}
		for (unsigned i = 0; i < 5; i++) {
			CHECK_EQ(batch_task_end(&lists[i]), 0);
		}
	}
	CHECK_EQ(pread(file.fd, bytes, 30, 0), 30);
	CHECK_EQ(memcmp(bytes, "wwwwwwwwwwwwwwwwwwwwwwwwwwwwww", 30), 0);
	return (NULL);
}

/* One in sixty is cancelled; each ends once, as itself or as cancelled. */
static const char *
aio_kqueue(struct contract *contract)
{
	static struct contract_job jobs[64];
	unsigned random = 1;

	CHECK_OK(reads_prepare(contract));
	for (unsigned run = 0; run < 300; run++) {
		for (unsigned i = 0; i < 64; i++) {
			filch_op_init_write(&jobs[i].op, &file, "w", 1, i);
			CHECK_EQ(contract_job_start(contract, &jobs[i]), 0);
			random = random * 1103515245 + 12345;
			if (random / 65536 % 61 == 0) {
				filch_op_cancel(&jobs[i].op);
			}
		}
		for (unsigned i = 0; i < 64; i++) {
			int64_t result = contract_job_end(&jobs[i]);

			CHECK(result == 1 || result == -ECANCELED);
		}
	}
	return (NULL);
}

static const struct contract_test tests[] = {
	{ "FreeBSD lio_listio_empty_nowait", lio_empty, NULL },
	{ "one wake", one_wake, NULL },
	{ "one submission", few_submissions, NULL },
	{ "partial, with elements that fail", partial, NULL },
	{ "FreeBSD lio_listio_opcodes", lio_opcodes, NULL },
	{ "FreeBSD lio_listio_invalid_opcode", lio_invalid_opcode, NULL },
	{ "cancelled", cancelled, NULL },
	{ "its task cancelled", task_cancelled, NULL },
	{ "at shutdown", shut_down, NULL },
	{ "elements at their deadline", timed_out, NULL },
	{ "refused in a cancelled task", refused, NULL },
	{ "larger than a ring", larger_than_ring, NULL },
	{ "reused", reused, NULL },
	{ "FreeBSD lio_kqueue_test", lio_kqueue, NULL },
	{ "FreeBSD aio_kqueue_test", aio_kqueue, NULL },
};

int
main(void)
{
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;

	options.worker_count = 1;
	options.ring_entries = 64;
	return (contract_main_on(tests, CONTRACT_COUNT(tests), &options, true));
}

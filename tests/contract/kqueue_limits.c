/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the kernel admits, and what it has no asynchronous way for.
 *
 * "write_at_eagain" follows tokio-file: the program submits twice as many
 * writes as the process may have jobs, and is told EAGAIN for some; filch's own
 * operations never are, also while the program has all the jobs.
 */
#include "batch_task.h"
#include "own.h"

#if defined(FILCH_HAVE_KQUEUE)

struct write_one {
	struct own own;
	struct aiocb cb;
	char byte;
	bool is_submitted;
};

/* Submit all; how many were taken and refused is told. */
static const char *
writes_submit(struct write_one *writes, unsigned count, unsigned *ret_taken,
    unsigned *ret_refused)
{
	*ret_taken = 0;
	*ret_refused = 0;
	for (unsigned i = 0; i < count; i++) {
		int rc = aiocb_submit(&writes[i].cb);

		CHECK(rc == 0 || rc == -EAGAIN);
		writes[i].is_submitted = rc == 0;
		*ret_taken += rc == 0;
		*ret_refused += rc == -EAGAIN;
	}
	return (NULL);
}

static const char *
writes_reap(struct contract *contract, struct write_one *writes, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (!writes[i].is_submitted) {
			CHECK_EQ(own_look(contract, &writes[i].own), 1);
			continue;
		}
		CHECK_EQ(own_wait(contract, &writes[i].own), 0);
		CHECK_EQ(writes[i].own.event.result, 0);
		CHECK_EQ(aiocb_return(&writes[i].cb), 1);
		own_clear(&writes[i].own);
	}
	return (NULL);
}

#define READS 500

static struct filch_op reads[READS];
static struct filch_op *pointers[READS];
static char bytes[READS];

/* Many reads of filch's own, of which none may fail. */
static const char *
reads_start(struct contract *contract, struct batch_task *batch,
    struct filch_file *file)
{
	for (uint64_t i = 0; i < READS; i++) {
		filch_op_init_read(&reads[i], file, &bytes[i], 1, i % 10);
		filch_op_set_flags(&reads[i], FILCH_OP_NO_INLINE);
		pointers[i] = &reads[i];
	}
	CHECK_EQ(batch_task_start(contract, batch, pointers, READS), 0);
	return (NULL);
}

static const char *
reads_end(struct batch_task *batch)
{
	CHECK_EQ(batch_task_end(batch), 0);
	for (int i = 0; i < READS; i++) {
		CHECK_EQ(filch_op_result(&reads[i]), 1);
		CHECK_EQ(bytes[i], '0' + i % 10);
	}
	return (NULL);
}

static const char *
write_at_eagain(struct contract *contract)
{
	static struct batch_task batch;
	unsigned limit = aio_jobs_max();
	struct write_one *writes = calloc(2 * limit, sizeof(*writes));
	struct filch_file file;
	int fd = contract_file(contract, "file", "0123456789");
	unsigned taken;
	unsigned refused;

	CHECK(writes != NULL && fd >= 0);
	CHECK_EQ(filch_file_init(&file, fd), 0);
	for (unsigned i = 0; i < 2 * limit; i++) {
		CHECK_OK(own_make(contract, &writes[i].own, 0));
		aiocb_fill(&writes[i].cb, LIO_WRITE, fd, &writes[i].byte, 1,
		    10 + (off_t)i);
		sigevent_bind(&writes[i].cb.aio_sigevent,
		    &writes[i].own.registrar, EV_ONESHOT);
	}
	for (int round = 0; round < 2; round++) {
		CHECK_OK(writes_submit(writes, 2 * limit, &taken, &refused));
		printf("# %u written, %u refused\n", taken, refused);
		/* what has ended counts until it is reaped */
		CHECK_EQ(taken, limit);
		CHECK(refused > 1);
		CHECK_OK(reads_start(contract, &batch, &file));
		CHECK_OK(writes_reap(contract, writes, 2 * limit));
		CHECK_OK(reads_end(&batch));
	}
	for (unsigned i = 0; i < 2 * limit; i++) {
		filch_aio_destroy(writes[i].own.aio);
	}
	free(writes);
	(void)close(fd);
	return (NULL);
}

/* Operations that did not go the asynchronous way, for whatever reason. */
static uint64_t
fallbacks(struct contract *contract)
{
	struct filch_worker_stats stats;
	uint64_t total = 0;
	unsigned count = filch_executor_worker_count(contract->executor);

	for (unsigned i = 0; i < count; i++) {
		if (filch_executor_get_worker_stats(
			contract->executor, i, &stats) == 0) {
			total += stats.fallbacks[FILCH_FALLBACK_REFUSED] +
			    stats.fallbacks[FILCH_FALLBACK_LIMIT] +
			    stats.fallbacks[FILCH_FALLBACK_NO_OPCODE] +
			    stats.fallbacks[FILCH_FALLBACK_NO_DRIVER];
		}
	}
	return (total);
}

/* The program keeps all jobs to itself: filch's own go to the pool. */
static const char *
no_job_left(struct contract *contract)
{
	static struct batch_task batch;
	struct aio_crowd crowd;
	struct filch_file file;
	int fd = contract_file(contract, "file", "0123456789");
	uint64_t before;

	CHECK_EQ(filch_file_init(&file, fd), 0);
	CHECK_OK(aio_crowd_take(&crowd, 0));
	before = fallbacks(contract);
	CHECK_OK(reads_start(contract, &batch, &file));
	CHECK_OK(reads_end(&batch));
	CHECK_EQ(fallbacks(contract) - before, READS);
	aio_crowd_give(&crowd);
	before = fallbacks(contract);
	CHECK_OK(reads_start(contract, &batch, &file));
	CHECK_OK(reads_end(&batch));
	CHECK_EQ(fallbacks(contract) - before, 0);
	(void)close(fd);
	return (NULL);
}

/* Only few are left: all take turns in those. */
static const char *
few_jobs_left(struct contract *contract)
{
	static struct batch_task batch;
	struct aio_crowd crowd;
	struct filch_file file;
	int fd = contract_file(contract, "file", "0123456789");

	CHECK_EQ(filch_file_init(&file, fd), 0);
	for (unsigned left = 1; left < 20; left += 6) {
		CHECK_OK(aio_crowd_take(&crowd, left));
		CHECK_OK(reads_start(contract, &batch, &file));
		CHECK_OK(reads_end(&batch));
		aio_crowd_give(&crowd);
	}
	(void)close(fd);
	return (NULL);
}

/* What aio(4) does not do by itself is done by the pool, and is counted. */
static const char *
unsupported(struct contract *contract)
{
	static struct contract_job job;
	struct filch_file file;
	char byte = 'x';
	int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
	uint64_t before = fallbacks(contract);

	CHECK(fd >= 0);
	CHECK_EQ(filch_file_init(&file, fd), 0);
	filch_op_init_read(&job.op, &file, &byte, 1, 0);
	filch_op_set_flags(&job.op, FILCH_OP_NO_INLINE);
	CHECK_EQ(contract_job_run(contract, &job), 1);
	CHECK_EQ(byte, 0);
	filch_op_init_write(&job.op, &file, &byte, 1, 0);
	CHECK_EQ(contract_job_run(contract, &job), 1);
	/* it is always ready: as good as asynchronous */
	CHECK(fallbacks(contract) - before <= 2);
	(void)close(fd);
	/* a write that is durable by itself is none of aio(4) */
	before = fallbacks(contract);
	fd = contract_file(contract, "file", "");
	CHECK_EQ(filch_file_init(&file, fd), 0);
	filch_op_init_write(&job.op, &file, &byte, 1, 0);
	filch_op_set_flags(&job.op, FILCH_OP_DSYNC);
	CHECK_EQ(contract_job_run(contract, &job), 1);
	CHECK_EQ(fallbacks(contract) - before, 1);
	(void)close(fd);
	return (NULL);
}

/* The program's own list beyond what the system takes: refused as a whole. */
static const char *
list_too_long(struct contract *contract)
{
	unsigned limit =
	    (unsigned)aio_limit("vfs.aio.max_aio_queue_per_proc", 256);
	struct aiocb **array = calloc(limit + 1, sizeof(struct aiocb *));
	struct own own;
	struct sigevent sigevent;

	CHECK(array != NULL);
	CHECK_OK(own_make(contract, &own, 1));
	sigevent_bind(&sigevent, &own.registrar, 0);
	CHECK_EQ(lio_listio(LIO_NOWAIT, array, (int)limit + 1, &sigevent), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(own_look(contract, &own), 1);
	filch_aio_destroy(own.aio);
	free(array);
	return (NULL);
}
#endif

static const struct own_row rows[] = {
	OWN_ROW("tokio-file write_at_eagain, by sources", write_at_eagain),
	OWN_ROW("the program has all jobs", no_job_left),
	OWN_ROW("the program has nearly all jobs", few_jobs_left),
	OWN_ROW("EOPNOTSUPP goes to the pool", unsupported),
	OWN_ROW("a list longer than the system takes", list_too_long),
};

int
main(void)
{
	return (own_main(rows, CONTRACT_COUNT(rows), NULL));
}

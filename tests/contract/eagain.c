/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * More operations at once than a driver takes: back-pressure.
 *
 * "write_at_eagain" follows tokio-file: twice as many writes as fit are
 * started together.  With FILCH_OP_NOWAIT at least half are carried out, some
 * are told EAGAIN, none anything else; without it all are carried out.  Where
 * there is aio(4) its jobs are the program's own meanwhile, or some might end
 * before the last is started; kqueue_limits has the rest.
 */
#include "aiocb.h"
#include "batch_task.h"

#define RING_ENTRIES 64
/* What the ring or the pool's queue holds, and twice that. */
#define QUEUE_MAX 256
#define COUNT     (2 * QUEUE_MAX)

struct crowd {
	struct contract_job call; /* keeps the pool's only thread busy */
	struct filch_file file;
	struct filch_op ops[COUNT];
	struct filch_op *pointers[COUNT];
	struct batch_task batch;
	sem_t entered;
	sem_t gate;
};

static struct crowd crowd;

static int64_t
crowd_call(void *arg)
{
	(void)arg;
	(void)sem_post(&crowd.entered);
	while (sem_wait(&crowd.gate) < 0) {
		continue;
	}
	return (0);
}

static const char *
crowd_start(struct contract *contract, unsigned flags)
{
	int fd = contract_file(contract, "file", "");

	memset(&crowd, 0, sizeof(crowd));
	(void)sem_init(&crowd.entered, 0, 0);
	(void)sem_init(&crowd.gate, 0, 0);
	CHECK(fd >= 0);
	CHECK_EQ(filch_file_init(&crowd.file, fd), 0);
	filch_op_init_call(&crowd.call.op, crowd_call, NULL);
	CHECK_EQ(contract_job_start(contract, &crowd.call), 0);
	while (sem_wait(&crowd.entered) < 0) {
		continue;
	}
	for (uint64_t i = 0; i < COUNT; i++) {
		filch_op_init_write(&crowd.ops[i], &crowd.file, "x", 1, i);
		filch_op_set_flags(&crowd.ops[i], flags);
		crowd.pointers[i] = &crowd.ops[i];
	}
	return (NULL);
}

/* Start the crowd, and let it be carried out. */
static int
crowd_go(struct contract *contract)
{
	int rc;

#if defined(FILCH_HAVE_KQUEUE)
	static struct aio_crowd jobs;

	if (contract->is_kqueue && aio_crowd_take(&jobs, 0) != NULL) {
		return (-EAGAIN);
	}
#endif
	rc = batch_task_start(contract, &crowd.batch, crowd.pointers, COUNT);
	(void)sem_post(&crowd.gate);
#if defined(FILCH_HAVE_KQUEUE)
	aio_crowd_give(&jobs);
#endif
	return (rc);
}

/* Carry the crowd out; how many elements failed. */
static size_t
crowd_run(struct contract *contract)
{
	size_t failed = SIZE_MAX;

	if (crowd_go(contract) == 0) {
		failed = batch_task_end(&crowd.batch);
	}
	(void)contract_job_end(&crowd.call);
	(void)close(crowd.file.fd);
	return (failed);
}

static const char *
nowait(struct contract *contract)
{
	unsigned refused = 0;
	unsigned written = 0;
	size_t failed;

	CHECK_OK(crowd_start(contract, FILCH_OP_NOWAIT));
	failed = crowd_run(contract);
	for (unsigned i = 0; i < COUNT; i++) {
		int64_t result = filch_op_result(&crowd.ops[i]);

		CHECK(result == 1 || result == -EAGAIN);
		written += result == 1;
		refused += result == -EAGAIN;
	}
	printf("# %u written, %u refused\n", written, refused);
	/* a ring keeps a few entries for itself; an eighth of what FreeBSD's
	 * kernel admits is left to the program's own */
	CHECK(written >= QUEUE_MAX - QUEUE_MAX / 8 - 8);
	CHECK(refused > 1);
	CHECK_EQ(failed, refused);
	return (NULL);
}

static const char *
wait(struct contract *contract)
{
	CHECK_OK(crowd_start(contract, 0));
	CHECK_EQ(crowd_run(contract), 0);
	for (unsigned i = 0; i < COUNT; i++) {
		CHECK_EQ(filch_op_result(&crowd.ops[i]), 1);
	}
	return (NULL);
}

static const struct contract_test tests[] = {
	{ "tokio-file write_at_eagain", nowait, NULL },
	{ "tokio-file write_at_eagain, waiting for room", wait, NULL },
};

int
main(void)
{
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;

	options.worker_count = 1;
	options.ring_entries = RING_ENTRIES;
	options.pool_threads_max = 1;
	return (contract_main(tests, CONTRACT_COUNT(tests), &options));
}

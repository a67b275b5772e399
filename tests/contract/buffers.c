/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Buffer pools, and files and buffers that the driver knows.
 *
 * What is registered behaves as what is not, only faster; where the driver has
 * no such thing, or no room for more, everything works all the same.
 */
#include "subject.h"

#define BUFFERS 4

static struct filch_buffer_pool *pool;

static const char *
pool_errors(struct contract *contract)
{
	struct filch_executor *executor = contract->executor;

	pool = NULL;
	CHECK_EQ(filch_buffer_pool_create(executor, 0, 1, 0, &pool), -EINVAL);
	CHECK_EQ(filch_buffer_pool_create(executor, 1, 0, 0, &pool), -EINVAL);
	CHECK_EQ(filch_buffer_pool_create(executor, 1, 1, 3, &pool), -EINVAL);
	CHECK_EQ(
	    filch_buffer_pool_create(executor, 1, 1, 4097, &pool), -EINVAL);
	CHECK_EQ(filch_buffer_pool_create(executor, SIZE_MAX / 2, 4, 0, &pool),
	    -ENOMEM);
	CHECK_EQ(filch_buffer_pool_create(executor, 1, SIZE_MAX / 2, 0, &pool),
	    -ENOMEM);
	CHECK_EQ(
	    filch_buffer_pool_create(executor, SIZE_MAX, 1, 0, &pool), -ENOMEM);
	CHECK(pool == NULL);
	filch_buffer_pool_destroy(NULL);
	return (NULL);
}

/* Each buffer once, apart from the others, aligned, and then none. */
static const char *
pool_gives(struct contract *contract)
{
	static const size_t alignments[] = { 0, 1, 64, 512, 4096, 1 << 16 };
	char *buffers[BUFFERS];

	for (size_t a = 0; a < CONTRACT_COUNT(alignments); a++) {
		size_t alignment = alignments[a] == 0
		    ? (size_t)sysconf(_SC_PAGESIZE)
		    : alignments[a];

		CHECK_EQ(filch_buffer_pool_create(contract->executor, 1000,
			     BUFFERS, alignments[a], &pool),
		    0);
		for (int i = 0; i < BUFFERS; i++) {
			buffers[i] = filch_buffer_pool_take(pool);
			CHECK(buffers[i] != NULL);
			CHECK_EQ((uintptr_t)buffers[i] % alignment, 0);
			memset(buffers[i], i, 1000);
		}
		CHECK(filch_buffer_pool_take(pool) == NULL);
		for (int i = 0; i < BUFFERS; i++) {
			CHECK_EQ(buffers[i][0], i);
			CHECK_EQ(buffers[i][999], i);
		}
		filch_buffer_pool_give(pool, buffers[2]);
		CHECK(filch_buffer_pool_take(pool) == buffers[2]);
		for (int i = 0; i < BUFFERS; i++) {
			filch_buffer_pool_give(pool, buffers[i]);
		}
		filch_buffer_pool_destroy(pool);
	}
	return (NULL);
}

/* Write a buffer of the pool and read it back, both through the pool. */
static const char *
through_pool(struct contract *contract, size_t size)
{
	char *source = filch_buffer_pool_take(pool);
	char *target = filch_buffer_pool_take(pool);

	CHECK(source != NULL && target != NULL);
	memset(source, 's', size);
	memset(target, 't', size);
	filch_op_init_write(&subject.job.op, &subject.file, source, size, 0);
	filch_op_set_pool(&subject.job.op, pool);
	CHECK_EQ(run(contract), (int64_t)size);
	filch_op_init_read(&subject.job.op, &subject.file, target, size, 0);
	filch_op_set_pool(&subject.job.op, pool);
	filch_op_set_flags(&subject.job.op, FILCH_OP_NO_INLINE);
	CHECK_EQ(run(contract), (int64_t)size);
	CHECK_EQ(memcmp(source, target, size), 0);
	/* a part of a buffer will do */
	filch_op_init_read(
	    &subject.job.op, &subject.file, target + 512, size - 512, 256);
	filch_op_set_pool(&subject.job.op, pool);
	filch_op_set_flags(&subject.job.op, FILCH_OP_NO_INLINE);
	CHECK_EQ(run(contract), (int64_t)size - 512);
	filch_buffer_pool_give(pool, source);
	filch_buffer_pool_give(pool, target);
	return (NULL);
}

static const char *
pool_works(struct contract *contract)
{
	CHECK_OK(subject_make(contract, &subject, ""));
	CHECK_EQ(filch_buffer_pool_create(
		     contract->executor, 8192, BUFFERS, 0, &pool),
	    0);
	if (!contract->is_uring) {
		CHECK(!filch_buffer_pool_is_registered(pool));
	}
	CHECK_OK(through_pool(contract, 8192));
	filch_buffer_pool_destroy(pool);
	return (NULL);
}

static uint64_t
not_registered(struct contract *contract)
{
	struct filch_worker_stats stats;
	uint64_t total = 0;
	unsigned count = filch_executor_worker_count(contract->executor);

	for (unsigned i = 0; i < count; i++) {
		if (filch_executor_get_worker_stats(
			contract->executor, i, &stats) == 0) {
			total += stats.fallbacks[FILCH_FALLBACK_NOT_REGISTERED];
		}
	}
	return (total);
}

/* One more pool than the driver knows: it works, and is counted. */
static const char *
pools_without_room(struct contract *contract)
{
	static struct filch_buffer_pool *pools[FILCH_FIXED_POOLS_MAX];

	CHECK_OK(subject_make(contract, &subject, ""));
	for (int round = 0; round < 2; round++) {
		uint64_t before = not_registered(contract);
		unsigned registered = 0;

		for (int i = 0; i < FILCH_FIXED_POOLS_MAX; i++) {
			CHECK_EQ(filch_buffer_pool_create(contract->executor,
				     4096, BUFFERS, 0, &pools[i]),
			    0);
			registered += filch_buffer_pool_is_registered(pools[i]);
		}
		CHECK_EQ(filch_buffer_pool_create(
			     contract->executor, 4096, BUFFERS, 0, &pool),
		    0);
		CHECK(!filch_buffer_pool_is_registered(pool));
		CHECK_EQ(not_registered(contract) - before,
		    FILCH_FIXED_POOLS_MAX + 1 - registered);
		CHECK_OK(through_pool(contract, 4096));
		filch_buffer_pool_destroy(pool);
		for (int i = 0; i < FILCH_FIXED_POOLS_MAX; i++) {
			pool = pools[i];
			CHECK_OK(through_pool(contract, 4096));
			filch_buffer_pool_destroy(pool);
		}
	}
	return (NULL);
}

/* ---- back-pressure: more tasks than buffers ---- */

#define TASKS  64
#define ROUNDS 20

struct borrower {
	struct filch_task task;
	struct filch_op op;
	char *buffer;
	unsigned rounds;
	unsigned wrong;
};

static struct borrower borrowers[TASKS];

static enum filch_poll
borrower_poll(struct filch_task *task)
{
	struct borrower *one = filch_container_of(task, struct borrower, task);
	int64_t result;

	while (one->rounds < ROUNDS) {
		if (one->buffer == NULL) {
			one->buffer = filch_buffer_pool_take(pool);
			if (one->buffer == NULL) {
				return (filch_task_yield(task));
			}
			one->buffer[0] = 0;
			filch_op_init_read(
			    &one->op, &subject.file, one->buffer, 10, 0);
			filch_op_set_pool(&one->op, pool);
			filch_op_set_flags(&one->op, FILCH_OP_NO_INLINE);
		}
		if (filch_op_poll(&one->op, task, &result) == FILCH_PENDING) {
			return (FILCH_PENDING);
		}
		one->wrong +=
		    result != 10 || memcmp(one->buffer, digits, 10) != 0;
		filch_buffer_pool_give(pool, one->buffer);
		one->buffer = NULL;
		one->rounds++;
	}
	return (FILCH_READY);
}

static const char *
back_pressure(struct contract *contract)
{
	CHECK_OK(subject_make(contract, &subject, digits));
	CHECK_EQ(filch_buffer_pool_create(
		     contract->executor, 4096, BUFFERS, 0, &pool),
	    0);
	memset(borrowers, 0, sizeof(borrowers));
	for (unsigned i = 0; i < TASKS; i++) {
		filch_task_init(&borrowers[i].task, borrower_poll, NULL);
		CHECK_EQ(filch_executor_spawn_joinable(
			     contract->executor, &borrowers[i].task),
		    0);
	}
	for (unsigned i = 0; i < TASKS; i++) {
		CHECK_EQ(filch_task_join(&borrowers[i].task), 0);
		CHECK_EQ(borrowers[i].rounds, ROUNDS);
		CHECK_EQ(borrowers[i].wrong, 0);
	}
	/* all are back, or this stops the program */
	filch_buffer_pool_destroy(pool);
	return (NULL);
}

/* ---- registered files ---- */

static const char *
file_works(struct contract *contract)
{
	struct filch_stat stat;

	filch_op_init_write(&subject.job.op, &subject.file, digits, 10, 0);
	CHECK_EQ(run(contract), 10);
	filch_op_init_read(
	    &subject.job.op, &subject.file, subject.bytes, 64, 0);
	filch_op_set_flags(&subject.job.op, FILCH_OP_NO_INLINE);
	CHECK_EQ(run(contract), 10);
	CHECK_EQ(memcmp(subject.bytes, digits, 10), 0);
	filch_op_init_fstat(&subject.job.op, &subject.file, &stat);
	CHECK_EQ(run(contract), 0);
	CHECK_EQ(stat.size, 10);
	filch_op_init_fdatasync(&subject.job.op, &subject.file);
	CHECK_EQ(run(contract), 0);
	filch_op_init_fallocate(&subject.job.op, &subject.file, 0, 10);
	CHECK(run(contract) <= 0);
	filch_op_init_truncate(&subject.job.op, &subject.file, 10);
	CHECK_EQ(run(contract), 0);
	return (NULL);
}

static const char *
file_registered(struct contract *contract)
{
	struct filch_file closed = FILCH_FILE_INIT;
	int rc;

	CHECK_OK(subject_make(contract, &subject, ""));
	CHECK_EQ(filch_file_register(contract->executor, &closed), -EBADF);
	rc = filch_file_register(contract->executor, &subject.file);
	if (contract->is_uring) {
		CHECK_EQ(rc, 0);
		CHECK_EQ(filch_file_register(contract->executor, &subject.file),
		    -EALREADY);
		CHECK_OK(file_works(contract));
		/* with a registered buffer too */
		CHECK_EQ(filch_buffer_pool_create(
			     contract->executor, 4096, BUFFERS, 0, &pool),
		    0);
		CHECK_OK(through_pool(contract, 4096));
		filch_buffer_pool_destroy(pool);
		CHECK_EQ(ftruncate(subject.file.fd, 0), 0);
	} else {
		CHECK_EQ(rc, -EOPNOTSUPP);
	}
	CHECK_OK(file_works(contract));
	filch_file_unregister(contract->executor, &subject.file);
	filch_file_unregister(contract->executor, &subject.file);
	CHECK_OK(file_works(contract));
	return (NULL);
}

/* One more than the driver knows; and room again once one is gone. */
static const char *
files_without_room(struct contract *contract)
{
	static struct filch_file files[FILCH_FIXED_FILES_MAX];

	if (!contract->is_uring) {
		SKIP("not io_uring");
	}
	CHECK_OK(subject_make(contract, &subject, ""));
	for (int i = 0; i < FILCH_FIXED_FILES_MAX; i++) {
		CHECK_EQ(filch_file_init(&files[i], subject.file.fd), 0);
		CHECK_EQ(filch_file_register(contract->executor, &files[i]), 0);
	}
	CHECK_EQ(
	    filch_file_register(contract->executor, &subject.file), -ENFILE);
	CHECK_OK(file_works(contract));
	filch_file_unregister(contract->executor, &files[77]);
	CHECK_EQ(filch_file_register(contract->executor, &subject.file), 0);
	CHECK_OK(file_works(contract));
	filch_file_unregister(contract->executor, &subject.file);
	for (int i = 0; i < FILCH_FIXED_FILES_MAX; i++) {
		filch_file_unregister(contract->executor, &files[i]);
	}
	return (NULL);
}

static const struct contract_test tests[] = {
	{ "pool: EINVAL, ENOMEM", pool_errors, NULL },
	{ "pool: aligned, each once", pool_gives, NULL },
	{ "pool: write and read", pool_works, NULL },
	{ "pool: more than the driver knows", pools_without_room, NULL },
	{ "pool: more tasks than buffers", back_pressure, NULL },
	{ "registered file", file_registered, NULL },
	{ "more registered files than room", files_without_room, NULL },
};

int
main(void)
{
	return (contract_main(tests, CONTRACT_COUNT(tests), NULL));
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory that runs out, and what cannot be registered or looked at: the call
 * is refused with that error, leaves nothing and works the next time, or works
 * without what it could not have.
 */
#include "acts.h"

#include <sys/mman.h>

#if defined(FILCH_HAVE_URING)
#include <liburing.h>
#endif

FAULT_WRAP(void *, aligned_alloc, (size_t alignment, size_t size),
    (alignment, size), FAULT_NULL)
FAULT_WRAP(
    void *, calloc, (size_t count, size_t size), (count, size), FAULT_NULL)
FAULT_WRAP_FCNTL
FAULT_WRAP_VARIADIC(int, open, (const char *path, int flags, ...), flags,
    mode_t, (path, flags, argument))
FAULT_WRAP(int, fstat, (int fd, struct stat *status), (fd, status), FAULT_ERRNO)
FAULT_WRAP(void *, malloc, (size_t size), (size), FAULT_NULL)
FAULT_WRAP(void *, mmap,
    (void *address, size_t size, int protection, int flags, int fd,
	off_t offset),
    (address, size, protection, flags, fd, offset), (errno = error, MAP_FAILED))
FAULT_WRAP(void *, realloc, (void *old, size_t size), (old, size), FAULT_NULL)

int __real_statx(int directory, const char *path, int flags, unsigned mask,
    struct statx *status);
int __wrap_statx(int directory, const char *path, int flags, unsigned mask,
    struct statx *status);

/* A file is opened anew only where statx(2) tells nothing. */
int
__wrap_statx(int directory, const char *path, int flags, unsigned mask,
    struct statx *status)
{
	int error = fault_take("statx");

	if (error == 0 && __atomic_load_n(&fault.armed, __ATOMIC_ACQUIRE) &&
	    strcmp(fault.symbol, "open") == 0) {
		error = ENOSYS;
	}
	if (error != 0) {
		errno = error;
		return (-1);
	}
	return (__real_statx(directory, path, flags, mask, status));
}

#if defined(FILCH_HAVE_URING)
FAULT_WRAP(int, io_uring_register_buffers_sparse,
    (struct io_uring * ring, unsigned count), (ring, count), FAULT_NEGATIVE)
FAULT_WRAP(int, io_uring_register_buffers_update_tag,
    (struct io_uring * ring, unsigned offset, const struct iovec *iov,
	const __u64 *tags, unsigned count),
    (ring, offset, iov, tags, count), FAULT_NEGATIVE)
FAULT_WRAP(int, io_uring_register_files_sparse,
    (struct io_uring * ring, unsigned count), (ring, count), FAULT_NEGATIVE)
FAULT_WRAP(int, io_uring_register_files_update,
    (struct io_uring * ring, unsigned offset, const int *files, unsigned count),
    (ring, offset, files, count), FAULT_NEGATIVE)
#endif

/* ---- buffer pools ---- */

/* Write a buffer of pool to the file, and read it into another one. */
static void
pool_use(struct act *act, struct filch_buffer_pool *pool)
{
	char *source = filch_buffer_pool_take(pool);
	char *target = filch_buffer_pool_take(pool);

	FAULT_CHECK(source != NULL && target != NULL);
	memset(source, 'p', ACT_SIZE);
	memset(target, 0, ACT_SIZE);
	filch_op_init_write(&act->op, &act->file, source, ACT_SIZE, 0);
	filch_op_set_pool(&act->op, pool);
	FAULT_EQUAL(work_op(act->executor, &act->op), ACT_SIZE);
	filch_op_init_read(&act->op, &act->file, target, ACT_SIZE, 0);
	filch_op_set_pool(&act->op, pool);
	filch_op_set_flags(&act->op, FILCH_OP_NO_INLINE);
	FAULT_EQUAL(work_op(act->executor, &act->op), ACT_SIZE);
	FAULT_EQUAL(memcmp(source, target, ACT_SIZE), 0);
	filch_buffer_pool_give(pool, source);
	filch_buffer_pool_give(pool, target);
}

static void
pool_run(const struct fault_case *one, unsigned at, bool is_refused)
{
	struct filch_buffer_pool *pool = NULL;
	struct filch_worker_stats stats;
	struct act act;
	int rc;

	fault_leak_begin();
	act_open(&act, ACT_WRITE, one->driver);
	fault_arm(one->symbol, one->error, at, one->every);
	rc = filch_buffer_pool_create(act.executor, ACT_SIZE, 4, 0, &pool);
	fault_disarm();
	if (fault_met() > 0 && is_refused) {
		FAULT_EQUAL(rc, -one->error);
		FAULT_CHECK(pool == NULL);
		rc = filch_buffer_pool_create(
		    act.executor, ACT_SIZE, 4, 0, &pool);
	}
	FAULT_EQUAL(rc, 0);
	FAULT_EQUAL(
	    filch_executor_get_worker_stats(act.executor, 0, &stats), 0);
	FAULT_EQUAL(stats.fallbacks[FILCH_FALLBACK_NOT_REGISTERED],
	    !filch_buffer_pool_is_registered(pool));
	if (fault_met() > 0 && !is_refused) {
		FAULT_CHECK(!filch_buffer_pool_is_registered(pool));
	}
	pool_use(&act, pool);
	filch_buffer_pool_destroy(pool);
	act_close(&act);
	fault_leak_end();
}

static void
pool_refused(const struct fault_case *one, unsigned at)
{
	pool_run(one, at, true);
}

static void
pool_unregistered(const struct fault_case *one, unsigned at)
{
	pool_run(one, at, false);
}

/* ---- registered files ---- */

static void
file_use(struct act *act)
{
	FAULT_EQUAL(act_prepare(act), ACT_SIZE);
	FAULT_EQUAL(act_perform(act), ACT_SIZE);
	act_check(act, ACT_SIZE);
}

static void
file_refused(const struct fault_case *one, unsigned at)
{
	struct act act;
	int rc;

	fault_leak_begin();
	act_open(&act, ACT_WRITE, one->driver);
	fault_arm(one->symbol, one->error, at, one->every);
	rc = filch_file_register(act.executor, &act.file);
	fault_disarm();
	if (fault_met() > 0) {
		/* a kernel without such tables says EINVAL */
		FAULT_EQUAL(
		    rc, one->error == EINVAL ? -EOPNOTSUPP : -one->error);
		file_use(&act);
		rc = filch_file_register(act.executor, &act.file);
	}
	FAULT_EQUAL(rc, 0);
	FAULT_EQUAL(filch_file_register(act.executor, &act.file), -EALREADY);
	file_use(&act);
	filch_file_unregister(act.executor, &act.file);
	file_use(&act);
	act_close(&act);
	fault_leak_end();
}

/* ---- what a descriptor is ---- */

static void
look_refused(const struct fault_case *one, unsigned at)
{
	struct filch_file file = FILCH_FILE_INIT;
	int fds[2];
	int rc;

	fault_leak_begin();
	FAULT_EQUAL(pipe2(fds, O_CLOEXEC), 0);
	fault_arm(one->symbol, one->error, at, one->every);
	rc = filch_file_init(&file, fds[0]);
	fault_disarm();
	FAULT_EQUAL(rc, fault_met() > 0 ? -one->error : 0);
	FAULT_EQUAL(file.fd, fault_met() > 0 ? -1 : fds[0]);
	(void)close(fds[0]);
	(void)close(fds[1]);
	fault_leak_end();
}

static void
alignment_run(const struct fault_case *one, unsigned at, bool is_refused)
{
	struct filch_alignment alignment = { 0, 0 };
	struct act act;
	int rc;

	fault_leak_begin();
	act_open(&act, ACT_WRITE, one->driver);
	fault_arm(one->symbol, one->error, at, one->every);
	rc = filch_file_alignment(&act.file, &alignment);
	fault_disarm();
	if (fault_met() > 0 && is_refused) {
		FAULT_EQUAL(rc, -one->error);
		FAULT_EQUAL(alignment.memory, 0);
	} else {
		FAULT_CHECK(rc == 0 || rc == -EOPNOTSUPP);
		FAULT_EQUAL(rc == 0, alignment.memory > 0);
		FAULT_EQUAL(alignment.offset & (alignment.offset - 1), 0);
	}
	act_close(&act);
	fault_leak_end();
}

static void
alignment_refused(const struct fault_case *one, unsigned at)
{
	alignment_run(one, at, true);
}

static void
alignment_guessed(const struct fault_case *one, unsigned at)
{
	alignment_run(one, at, false);
}

/* ---- sources ---- */

static int
source_register(void *source, const struct filch_registrar *registrar)
{
	(void)source;
	(void)registrar;
	return (0);
}

static void
source_refused(const struct fault_case *one, unsigned at)
{
	static const struct filch_aio_source_vtable vtable = { source_register,
		NULL };
	struct filch_executor *executor = NULL;
	struct filch_executor_stats stats;
	struct filch_aio *aio = NULL;
	char source;
	int rc;

	fault_leak_begin();
	FAULT_EQUAL(work_create(one->driver, &executor), 0);
	fault_arm(one->symbol, one->error, at, one->every);
	rc = filch_aio_new_for_lio(executor, &vtable, &source, 8, &aio);
	fault_disarm();
	if (fault_met() > 0) {
		FAULT_EQUAL(rc, -one->error);
		FAULT_CHECK(aio == NULL);
		filch_executor_get_stats(executor, &stats);
		FAULT_EQUAL(stats.registrations, 0);
		rc = filch_aio_new_for_lio(executor, &vtable, &source, 8, &aio);
	}
	FAULT_EQUAL(rc, 0);
	filch_aio_destroy(aio);
	filch_executor_destroy(executor);
	fault_leak_end();
}

/* ---- many descriptors that wait ---- */

#define MANY 150

/* One operation ends with -ENOMEM, and all others wait as ever. */
static void
many_waiting(const struct fault_case *one, unsigned at)
{
	static struct filch_file files[MANY];
	static struct filch_op ops[MANY];
	static struct work_one ones[MANY];
	static char bytes[MANY];
	static int fds[MANY][2];
	struct filch_executor *executor = NULL;
	unsigned failed = 0;
	unsigned i;

	fault_leak_begin();
	FAULT_EQUAL(work_create(one->driver, &executor), 0);
	for (i = 0; i < MANY; i++) {
		FAULT_EQUAL(pipe2(fds[i], O_CLOEXEC), 0);
		FAULT_EQUAL(filch_file_init(&files[i], fds[i][0]), 0);
	}
	fault_arm(one->symbol, one->error, at, one->every);
	for (i = 0; i < MANY; i++) {
		filch_op_init_read(
		    &ops[i], &files[i], &bytes[i], 1, FILCH_OFFSET_CURRENT);
		work_start(executor, &ones[i], &ops[i]);
	}
	work_sleep(executor);
	for (i = 0; i < MANY; i++) {
		FAULT_EQUAL(write(fds[i][1], "b", 1), 1);
	}
	for (i = 0; i < MANY; i++) {
		int64_t result = work_end(&ones[i]);

		FAULT_CHECK(result == 1 || result == -one->error);
		FAULT_EQUAL(bytes[i], result == 1 ? 'b' : '\0');
		failed += result < 0;
		(void)close(fds[i][0]);
		(void)close(fds[i][1]);
	}
	fault_disarm();
	FAULT_EQUAL(failed, fault_met());
	filch_executor_destroy(executor);
	fault_leak_end();
}

#define URING FILCH_DRIVER_URING
#define POSIX FILCH_DRIVER_POSIX

static const struct fault_case cases[] = {
	{ "pool refused", "malloc", ENOMEM, 0, POSIX, pool_refused, 0 },
	{ "pool refused", "calloc", ENOMEM, 0, POSIX, pool_refused, 0 },
	{ "pool refused", "mmap", ENOMEM, 0, POSIX, pool_refused, 0 },
	{ "source refused", "malloc", ENOMEM, 0, POSIX, source_refused, 0 },
	{ "source refused", "calloc", ENOMEM, 0, POSIX, source_refused, 0 },
	{ "source refused", "aligned_alloc", ENOMEM, 0, POSIX, source_refused,
	    0 },
	{ "many waiting", "calloc", ENOMEM, 0, POSIX, many_waiting, 0 },
	{ "many waiting", "realloc", ENOMEM, 0, POSIX, many_waiting, 0 },
	{ "look refused", "fstat", EIO, 0, POSIX, look_refused, 0 },
	{ "look refused", "fstat", EBADF, 0, POSIX, look_refused, 0 },
	{ "look refused", "fcntl", EBADF, 0, POSIX, look_refused, 0 },
	{ "alignment refused", "fcntl", EBADF, 0, POSIX, alignment_refused, 0 },
	{ "alignment refused", "fstat", EIO, 0, POSIX, alignment_refused, 0 },
#if defined(STATX_DIOALIGN)
	{ "alignment guessed", "statx", ENOSYS, 0, POSIX, alignment_guessed,
	    0 },
	{ "alignment guessed", "statx", EINVAL, 0, POSIX, alignment_guessed,
	    0 },
#endif
	{ "alignment guessed", "open", EACCES, 0, POSIX, alignment_guessed, 0 },
	{ "alignment guessed", "open", EMFILE, 0, POSIX, alignment_guessed, 0 },
	{ "alignment guessed", "open", EINVAL, 0, POSIX, alignment_guessed, 0 },
#if defined(FILCH_HAVE_URING)
	{ "pool refused", "malloc", ENOMEM, 0, URING, pool_refused, 0 },
	{ "pool refused", "mmap", ENOMEM, 0, URING, pool_refused, 0 },
	{ "pool unregistered", "io_uring_register_buffers_sparse", ENOMEM, 0,
	    URING, pool_unregistered, 0 },
	{ "pool unregistered", "io_uring_register_buffers_sparse", EINVAL, 0,
	    URING, pool_unregistered, 0 },
	{ "pool unregistered", "io_uring_register_buffers_update_tag", ENOMEM,
	    0, URING, pool_unregistered, 0 },
	{ "pool unregistered", "io_uring_register_buffers_update_tag", EFAULT,
	    0, URING, pool_unregistered, 0 },
	{ "pool unregistered", "io_uring_register_buffers_update_tag",
	    EOPNOTSUPP, 0, URING, pool_unregistered, 0 },
	{ "file refused", "io_uring_register_files_sparse", ENOMEM, 0, URING,
	    file_refused, 0 },
	{ "file refused", "io_uring_register_files_sparse", EMFILE, 0, URING,
	    file_refused, 0 },
	{ "file refused", "io_uring_register_files_sparse", EINVAL, 0, URING,
	    file_refused, 0 },
	{ "file refused", "io_uring_register_files_update", EBADF, 0, URING,
	    file_refused, 0 },
	{ "file refused", "io_uring_register_files_update", ENOMEM, 0, URING,
	    file_refused, 0 },
#endif
};

FAULT_MAIN(cases)

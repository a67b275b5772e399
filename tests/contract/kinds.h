/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every kind of operation in a directory prepared for it, and a way to make
 * operations wait in the driver.
 */
#ifndef FILCH_TESTS_CONTRACT_KINDS_H
#define FILCH_TESTS_CONTRACT_KINDS_H

#include "aiocb.h"

#include <sys/mman.h>
#include <sys/stat.h>

enum kind {
	KIND_READ,
	KIND_WRITE,
	KIND_READV,
	KIND_WRITEV,
	KIND_FSYNC,
	KIND_FDATASYNC,
	KIND_OPEN,
	KIND_CLOSE,
	KIND_STAT,
	KIND_FSTAT,
	KIND_FALLOCATE,
	KIND_TRUNCATE,
	KIND_UNLINK,
	KIND_RENAME,
	KIND_MLOCK,
	KIND_CALL,
	KIND_COUNT
};

static const char *const kind_names[KIND_COUNT] = { "read", "write", "readv",
	"writev", "fsync", "fdatasync", "open", "close", "stat", "fstat",
	"fallocate", "truncate", "unlink", "rename", "mlock", "call" };

/* "file" is open and holds "0123456789"; "name" exists, "new" does not. */
struct scene {
	enum kind kind;
	int directory;
	struct filch_file file;
	struct filch_file opened;
	struct filch_stat stat;
	struct iovec iov[2];
	char bytes[8];
	unsigned calls;
	int fd; /* of file, also when that is closed */
};

static inline const char *
scene_make(struct contract *contract, struct scene *scene, enum kind kind)
{
	int name = contract_file(contract, "name", "");

	memset(scene, 0, sizeof(*scene));
	scene->kind = kind;
	scene->directory = contract->directory;
	scene->opened = (struct filch_file)FILCH_FILE_INIT;
	memcpy(scene->bytes, "abcdefgh", 8);
	scene->iov[0] = (struct iovec){ scene->bytes, 3 };
	scene->iov[1] = (struct iovec){ scene->bytes + 3, 5 };
	scene->fd = contract_file(contract, "file", "0123456789");
	CHECK(name >= 0 && scene->fd >= 0);
	(void)close(name);
	CHECK_EQ(filch_file_init(&scene->file, scene->fd), 0);
	return (NULL);
}

static inline int64_t
scene_call(void *arg)
{
	struct scene *scene = arg;

	scene->calls++;
	return (42);
}

/* Prepare the operation of the scene's kind; it would succeed. */
static inline void
scene_prepare(struct scene *scene, struct filch_op *op)
{
	struct filch_file *file = &scene->file;

	switch (scene->kind) {
	case KIND_READ:
		filch_op_init_read(op, file, scene->bytes, 8, 0);
		filch_op_set_flags(op, FILCH_OP_NO_INLINE);
		break;
	case KIND_WRITE:
		filch_op_init_write(op, file, scene->bytes, 8, 10);
		break;
	case KIND_READV:
		filch_op_init_readv(op, file, scene->iov, 2, 0);
		filch_op_set_flags(op, FILCH_OP_NO_INLINE);
		break;
	case KIND_WRITEV:
		filch_op_init_writev(op, file, scene->iov, 2, 10);
		break;
	case KIND_FSYNC:
		filch_op_init_fsync(op, file);
		break;
	case KIND_FDATASYNC:
		filch_op_init_fdatasync(op, file);
		break;
	case KIND_OPEN:
		filch_op_init_open(op, &scene->opened, scene->directory, "new",
		    O_RDWR | O_CREAT, 0600);
		break;
	case KIND_CLOSE:
		filch_op_init_close(op, file);
		break;
	case KIND_STAT:
		filch_op_init_stat(op, scene->directory, "file", &scene->stat);
		break;
	case KIND_FSTAT:
		filch_op_init_fstat(op, file, &scene->stat);
		break;
	case KIND_FALLOCATE:
		filch_op_init_fallocate(op, file, 0, 4096);
		break;
	case KIND_TRUNCATE:
		filch_op_init_truncate(op, file, 5);
		break;
	case KIND_UNLINK:
		filch_op_init_unlink(op, scene->directory, "name");
		break;
	case KIND_RENAME:
		filch_op_init_rename(
		    op, scene->directory, "name", scene->directory, "new");
		break;
	case KIND_MLOCK:
		filch_op_init_mlock(op, scene->bytes, sizeof(scene->bytes));
		break;
	case KIND_CALL:
	case KIND_COUNT:
		filch_op_init_call(op, scene_call, scene);
		break;
	}
}

/* What the operation gives when it is carried out. */
static inline int64_t
scene_result(const struct scene *scene)
{
	switch (scene->kind) {
	case KIND_READ:
	case KIND_WRITE:
	case KIND_READV:
	case KIND_WRITEV:
		return (8);
	case KIND_CALL:
		return (42);
	default:
		return (0);
	}
}

/* NULL if the operation left no trace. */
static inline const char *
scene_untouched(const struct scene *scene)
{
	struct stat status;

	CHECK_EQ(fstat(scene->fd, &status), 0);
	CHECK_EQ(status.st_size, 10);
	CHECK_EQ(memcmp(scene->bytes, "abcdefgh", 8), 0);
	CHECK_EQ(scene->opened.fd, -1);
	CHECK_EQ(faccessat(scene->directory, "name", F_OK, 0), 0);
	CHECK_EQ(faccessat(scene->directory, "new", F_OK, 0), -1);
	CHECK_EQ(scene->stat.inode, 0);
	CHECK_EQ(scene->calls, 0);
	return (NULL);
}

/* Of the number, whatever the operation has done about it. */
static inline void
scene_end(struct scene *scene)
{
	if (scene->file.fd >= 0) {
		(void)close(scene->file.fd);
	}
	if (scene->opened.fd >= 0) {
		(void)close(scene->opened.fd);
	}
	(void)munlock(scene->bytes, sizeof(scene->bytes));
}

/*
 * A clog takes the only thread of the pool, and all the room of the ring, or
 * all jobs of aio(4): on an executor made with clog_options, what is started
 * then has to wait.
 */
#define CLOG_READS 40 /* more than a ring of the smallest size holds */

struct clog {
	struct contract_job call;
	struct contract_job reads[CLOG_READS];
	char bytes[CLOG_READS];
	struct filch_file pipe;
	int ends[2];
	sem_t entered;
	sem_t gate;
#if defined(FILCH_HAVE_KQUEUE)
	struct aio_crowd crowd;
#endif
};

static const struct filch_executor_options clog_options = {
	.size = sizeof(struct filch_executor_options),
	.worker_count = 1,
	.ring_entries = FILCH_RING_ENTRIES_MIN,
	.pool_threads_max = 1,
};

static inline int64_t
clog_call(void *arg)
{
	struct clog *clog = arg;

	(void)sem_post(&clog->entered);
	while (sem_wait(&clog->gate) < 0) {
		continue;
	}
	return (0);
}

static inline const char *
clog_start(struct contract *contract, struct clog *clog)
{
	(void)sem_init(&clog->entered, 0, 0);
	(void)sem_init(&clog->gate, 0, 0);
	CHECK_EQ(pipe(clog->ends), 0);
	CHECK_EQ(filch_file_init(&clog->pipe, clog->ends[0]), 0);
	filch_op_init_call(&clog->call.op, clog_call, clog);
	CHECK_EQ(contract_job_start(contract, &clog->call), 0);
	while (sem_wait(&clog->entered) < 0) {
		continue;
	}
	for (unsigned i = 0; i < CLOG_READS; i++) {
		filch_op_init_read(&clog->reads[i].op, &clog->pipe,
		    &clog->bytes[i], 1, FILCH_OFFSET_CURRENT);
		CHECK_EQ(contract_job_start(contract, &clog->reads[i]), 0);
	}
#if defined(FILCH_HAVE_KQUEUE)
	if (contract->is_kqueue) {
		CHECK_OK(aio_crowd_take(&clog->crowd, 0));
	}
#endif
	return (NULL);
}

/* Let everything go on. */
static inline void
clog_open(struct clog *clog)
{
	static const char bytes[CLOG_READS];

	(void)sem_post(&clog->gate);
	(void)!write(clog->ends[1], bytes, CLOG_READS);
#if defined(FILCH_HAVE_KQUEUE)
	aio_crowd_give(&clog->crowd);
#endif
}

static inline void
clog_end(struct clog *clog)
{
	for (unsigned i = 0; i < CLOG_READS; i++) {
		(void)contract_job_end(&clog->reads[i]);
	}
	(void)contract_job_end(&clog->call);
	(void)close(clog->ends[0]);
	(void)close(clog->ends[1]);
	(void)sem_destroy(&clog->entered);
	(void)sem_destroy(&clog->gate);
}

#endif /* FILCH_TESTS_CONTRACT_KINDS_H */

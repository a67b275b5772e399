/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operations on names and on the shape of files, as include/filch/op.h
 * promises them: open, close, stat, fallocate, truncate, unlink, rename,
 * mlock, call.
 */
#include "subject.h"

#include <sys/mman.h>
#include <sys/stat.h>

static const char *
open_file(struct contract *contract)
{
	struct filch_file file = FILCH_FILE_INIT;
	struct stat status;
	mode_t mask = umask(0);

	filch_op_init_open(&subject.job.op, &file, contract->directory, "new",
	    O_RDWR | O_CREAT | O_EXCL, 0640);
	CHECK_EQ(run(contract), 0);
	(void)umask(mask);
	CHECK(file.fd >= 0);
	CHECK_EQ(fcntl(file.fd, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fstat(file.fd, &status), 0);
	CHECK_EQ(status.st_mode & 07777, 0640);
	/* it is as good as one of filch_file_init() */
	filch_op_init_write(&subject.job.op, &file, digits, 10, 0);
	CHECK_EQ(run(contract), 10);
	filch_op_init_read(&subject.job.op, &file, subject.bytes, 10, 0);
	CHECK_EQ(run(contract), 10);
	filch_op_init_close(&subject.job.op, &file);
	CHECK_EQ(run(contract), 0);
	return (NULL);
}

static const char *
open_errors(struct contract *contract)
{
	static const struct {
		const char *path;
		int flags;
		int64_t expected;
	} rows[] = {
		{ "none", O_RDONLY, -ENOENT },
		{ "file", O_RDWR | O_CREAT | O_EXCL, -EEXIST },
		{ "file/none", O_RDONLY, -ENOTDIR },
		{ ".", O_WRONLY, -EISDIR },
		{ "", O_RDONLY, -ENOENT },
		{ "file", O_RDONLY | O_DIRECTORY, -ENOTDIR },
	};
	struct filch_file file = FILCH_FILE_INIT;

	CHECK_OK(subject_make(contract, &subject, digits));
	for (size_t i = 0; i < CONTRACT_COUNT(rows); i++) {
		filch_op_init_open(&subject.job.op, &file, contract->directory,
		    rows[i].path, rows[i].flags, 0600);
		CHECK_EQ(run(contract), rows[i].expected);
		CHECK_EQ(file.fd, -1);
	}
	filch_op_init_open(&subject.job.op, &file, -1, "file", O_RDONLY, 0);
	CHECK_EQ(run(contract), -EBADF);
	/* an absolute path needs no directory */
	filch_op_init_open(&subject.job.op, &file, FILCH_DIRECTORY_CURRENT,
	    "/dev/null", O_WRONLY, 0);
	CHECK_EQ(run(contract), 0);
	CHECK_EQ(close(file.fd), 0);
	return (NULL);
}

static const char *
close_file(struct contract *contract)
{
	int fd;

	CHECK_OK(subject_make(contract, &subject, digits));
	fd = subject.file.fd;
	filch_op_init_close(&subject.job.op, &subject.file);
	CHECK_EQ(contract_job_start(contract, &subject.job), 0);
	CHECK_EQ(subject.file.fd, -1);
	CHECK_EQ(contract_job_end(&subject.job), 0);
	CHECK_EQ(fcntl(fd, F_GETFD), -1);
	/* it is closed, and closing that is refused */
	filch_op_init_close(&subject.job.op, &subject.file);
	CHECK_EQ(run(contract), -EBADF);
	subject.file.fd = fd;
	filch_op_init_close(&subject.job.op, &subject.file);
	CHECK_EQ(run(contract), -EBADF);
	CHECK_EQ(subject.file.fd, -1);
	return (NULL);
}

/* NULL if got is what fstat(2) tells. */
static const char *
stat_check(const struct filch_stat *got, const struct stat *status)
{
	CHECK_EQ(got->size, status->st_size);
	CHECK_EQ(got->allocated, 512 * status->st_blocks);
	CHECK_EQ(got->device, status->st_dev);
	CHECK_EQ(got->inode, status->st_ino);
	CHECK_EQ(got->mode, status->st_mode);
	CHECK_EQ(got->links, status->st_nlink);
	CHECK_EQ(got->uid, status->st_uid);
	CHECK_EQ(got->gid, status->st_gid);
	CHECK_EQ(got->block_size, status->st_blksize);
	CHECK_EQ(got->modified_ns / 1000000000, status->st_mtime);
	CHECK_EQ(got->changed_ns / 1000000000, status->st_ctime);
	CHECK_EQ(got->accessed_ns / 1000000000, status->st_atime);
	return (NULL);
}

static const char *
stat_file(struct contract *contract)
{
	struct filch_stat got;
	struct stat status;

	CHECK_OK(subject_make(contract, &subject, digits));
	CHECK_EQ(symlinkat("file", contract->directory, "link"), 0);
	CHECK_EQ(fstat(subject.file.fd, &status), 0);
	filch_op_init_stat(&subject.job.op, contract->directory, "file", &got);
	CHECK_EQ(run(contract), 0);
	CHECK_OK(stat_check(&got, &status));
	memset(&got, 0, sizeof(got));
	filch_op_init_stat(&subject.job.op, contract->directory, "link", &got);
	CHECK_EQ(run(contract), 0);
	CHECK_OK(stat_check(&got, &status));
	memset(&got, 0, sizeof(got));
	filch_op_init_fstat(&subject.job.op, &subject.file, &got);
	CHECK_EQ(run(contract), 0);
	CHECK_OK(stat_check(&got, &status));
	CHECK_EQ(fstat(contract->directory, &status), 0);
	filch_op_init_stat(&subject.job.op, contract->directory, ".", &got);
	CHECK_EQ(run(contract), 0);
	CHECK_OK(stat_check(&got, &status));
	return (NULL);
}

static const char *
stat_errors(struct contract *contract)
{
	struct filch_stat got = { .inode = 7 };

	CHECK_OK(subject_make(contract, &subject, digits));
	filch_op_init_stat(&subject.job.op, contract->directory, "none", &got);
	CHECK_EQ(run(contract), -ENOENT);
	filch_op_init_stat(
	    &subject.job.op, contract->directory, "file/none", &got);
	CHECK_EQ(run(contract), -ENOTDIR);
	filch_op_init_stat(&subject.job.op, -1, "file", &got);
	CHECK_EQ(run(contract), -EBADF);
	subject.file.fd = -1;
	filch_op_init_fstat(&subject.job.op, &subject.file, &got);
	CHECK_EQ(run(contract), -EBADF);
	CHECK_EQ(got.inode, 7);
	return (NULL);
}

static int64_t
size_now(void)
{
	return (lseek(subject.file.fd, 0, SEEK_END));
}

static const char *
fallocate_file(struct contract *contract)
{
	struct stat status;
	int64_t result;

	CHECK_OK(subject_make(contract, &subject, digits));
	filch_op_init_fallocate(&subject.job.op, &subject.file, 4096, 8192);
	result = run(contract);
	if (result == -EOPNOTSUPP || result == -EINVAL) {
		/* the latter in the words of FreeBSD */
		SKIP("not on this file system");
	}
	CHECK_EQ(result, 0);
	CHECK_EQ(size_now(), 12288);
	CHECK_EQ(fstat(subject.file.fd, &status), 0);
	CHECK(512 * status.st_blocks >= 8192);
	/* what is there stays, and no file gets shorter */
	filch_op_init_fallocate(&subject.job.op, &subject.file, 0, 1);
	CHECK_EQ(run(contract), 0);
	CHECK_EQ(size_now(), 12288);
	CHECK_EQ(pread(subject.file.fd, subject.bytes, 10, 0), 10);
	CHECK_EQ(memcmp(subject.bytes, digits, 10), 0);
	return (NULL);
}

static const char *
fallocate_errors(struct contract *contract)
{
	int fd;

	CHECK_OK(subject_make(contract, &subject, digits));
	filch_op_init_fallocate(&subject.job.op, &subject.file, 0, 0);
	CHECK_EQ(run(contract), -EINVAL);
	filch_op_init_fallocate(
	    &subject.job.op, &subject.file, INT64_MAX - 1, 4096);
	CHECK_EQ(run(contract), -EFBIG);
	CHECK_EQ(size_now(), 10);
	fd = openat(contract->directory, "file", O_RDONLY | O_CLOEXEC);
	CHECK_EQ(filch_file_init(&subject.file, fd), 0);
	filch_op_init_fallocate(&subject.job.op, &subject.file, 0, 1);
	CHECK_EQ(run(contract), -EBADF);
	subject.file.fd = -1;
	filch_op_init_fallocate(&subject.job.op, &subject.file, 0, 1);
	CHECK_EQ(run(contract), -EBADF);
	return (NULL);
}

static const char *
truncate_file(struct contract *contract)
{
	static const uint64_t sizes[] = { 3, 1 << 20, 0, 10 };
	int fd;

	CHECK_OK(subject_make(contract, &subject, digits));
	for (size_t i = 0; i < CONTRACT_COUNT(sizes); i++) {
		filch_op_init_truncate(
		    &subject.job.op, &subject.file, sizes[i]);
		CHECK_EQ(run(contract), 0);
		CHECK_EQ(size_now(), sizes[i]);
	}
	CHECK_EQ(pread(subject.file.fd, subject.bytes, 10, 0), 10);
	CHECK_EQ(memcmp(subject.bytes, "\0\0\0\0\0\0\0\0\0\0", 10), 0);
	filch_op_init_truncate(
	    &subject.job.op, &subject.file, (uint64_t)INT64_MAX + 1);
	CHECK_EQ(run(contract), -EINVAL);
	fd = openat(contract->directory, "file", O_RDONLY | O_CLOEXEC);
	CHECK_EQ(filch_file_init(&subject.file, fd), 0);
	filch_op_init_truncate(&subject.job.op, &subject.file, 0);
	CHECK_EQ(run(contract), -EINVAL);
	subject.file.fd = -1;
	filch_op_init_truncate(&subject.job.op, &subject.file, 0);
	CHECK_EQ(run(contract), -EBADF);
	return (NULL);
}

static const char *
unlink_name(struct contract *contract)
{
	CHECK_OK(subject_make(contract, &subject, digits));
	filch_op_init_unlink(&subject.job.op, contract->directory, "file");
	CHECK_EQ(run(contract), 0);
	CHECK_EQ(faccessat(contract->directory, "file", F_OK, 0), -1);
	/* the open file stays */
	filch_op_init_read(
	    &subject.job.op, &subject.file, subject.bytes, 10, 0);
	CHECK_EQ(run(contract), 10);
	filch_op_init_unlink(&subject.job.op, contract->directory, "file");
	CHECK_EQ(run(contract), -ENOENT);
	CHECK_EQ(mkdirat(contract->directory, "directory", 0700), 0);
	filch_op_init_unlink(&subject.job.op, contract->directory, "directory");
	CHECK(run(contract) < 0); /* EISDIR, or EPERM as POSIX has it */
	CHECK_EQ(unlinkat(contract->directory, "directory", AT_REMOVEDIR), 0);
	filch_op_init_unlink(&subject.job.op, -1, "file");
	CHECK_EQ(run(contract), -EBADF);
	return (NULL);
}

static const char *
rename_name(struct contract *contract)
{
	int directory = contract->directory;
	struct filch_stat got;
	int other = contract_file(contract, "other", "x");

	CHECK(other >= 0);
	CHECK_OK(subject_make(contract, &subject, digits));
	filch_op_init_rename(
	    &subject.job.op, directory, "file", directory, "other");
	CHECK_EQ(run(contract), 0);
	filch_op_init_stat(&subject.job.op, directory, "other", &got);
	CHECK_EQ(run(contract), 0);
	CHECK_EQ(got.size, 10);
	CHECK_EQ(faccessat(directory, "file", F_OK, 0), -1);
	filch_op_init_rename(
	    &subject.job.op, directory, "file", directory, "other");
	CHECK_EQ(run(contract), -ENOENT);
	filch_op_init_rename(&subject.job.op, -1, "other", directory, "file");
	CHECK_EQ(run(contract), -EBADF);
	filch_op_init_rename(&subject.job.op, directory, "other", -1, "file");
	CHECK_EQ(run(contract), -EBADF);
	return (NULL);
}

static const char *
mlock_memory(struct contract *contract)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *memory = mmap(
	    NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
	int64_t result;

	CHECK(memory != MAP_FAILED);
	filch_op_init_mlock(&subject.job.op, memory, page);
	CHECK_EQ(run(contract), 0);
	CHECK_EQ(munlock(memory, page), 0);
	CHECK_EQ(munmap(memory, page), 0);
	/* Nothing is ever mapped at 0.  Under a sanitizer mlock() does nothing,
	 * and says that all is well. */
	filch_op_init_mlock(&subject.job.op, NULL, page);
	result = run(contract);
	CHECK(result == -ENOMEM || (result == 0 && mlock(NULL, page) == 0));
	return (NULL);
}

static int64_t
call_returns(void *arg)
{
	return (*(const int64_t *)arg);
}

/* What the function returns is the result, whatever it means elsewhere. */
static const char *
call_function(struct contract *contract)
{
	static int64_t values[] = { 0, 42, INT64_MAX, -EINTR, -EAGAIN, -ENOSYS,
		-EOPNOTSUPP };

	for (size_t i = 0; i < CONTRACT_COUNT(values); i++) {
		filch_op_init_call(&subject.job.op, call_returns, &values[i]);
		CHECK_EQ(run(contract), values[i]);
	}
	return (NULL);
}

static const struct contract_test tests[] = {
	{ "open", open_file, NULL },
	{ "open: its errors leave the file closed", open_errors, NULL },
	{ "close", close_file, NULL },
	{ "stat, fstat", stat_file, NULL },
	{ "stat: its errors leave the answer alone", stat_errors, NULL },
	{ "fallocate", fallocate_file, NULL },
	{ "fallocate: its errors", fallocate_errors, NULL },
	{ "truncate", truncate_file, NULL },
	{ "unlink", unlink_name, NULL },
	{ "rename", rename_name, NULL },
	{ "mlock", mlock_memory, NULL },
	{ "call", call_function, NULL },
};

int
main(void)
{
	return (contract_main_on(tests, CONTRACT_COUNT(tests), NULL, true));
}

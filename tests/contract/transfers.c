/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Transfers and syncs on files, as include/filch/op.h and file.h promise them.
 *
 * The rows of tokio-file carry its names; "aio_fsync_..." and
 * "aio_large_read_test" are those of FreeBSD's aio_test.
 */
#include "../../include/private/compiler.h"
#include "subject.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>

static const char *
read_at(struct contract *contract)
{
	CHECK_OK(subject_make(contract, &subject, digits));
	filch_op_init_read(&subject.job.op, &subject.file, subject.bytes, 5, 2);
	CHECK_EQ(run(contract), 5);
	CHECK_EQ(memcmp(subject.bytes, "23456", 5), 0);
	/* short at the end, nothing after it, nothing for nothing */
	filch_op_init_read(
	    &subject.job.op, &subject.file, subject.bytes, 64, 7);
	CHECK_EQ(run(contract), 3);
	CHECK_EQ(memcmp(subject.bytes, "789", 3), 0);
	filch_op_init_read(
	    &subject.job.op, &subject.file, subject.bytes, 64, 10);
	CHECK_EQ(run(contract), 0);
	filch_op_init_read(&subject.job.op, &subject.file, subject.bytes, 0, 0);
	CHECK_EQ(run(contract), 0);
	return (NULL);
}

static const char *
read_at_no_inline(struct contract *contract)
{
	CHECK_OK(subject_make(contract, &subject, digits));
	for (uint64_t offset = 0; offset < 12; offset++) {
		int64_t left = offset < 10 ? 10 - (int64_t)offset : 0;

		filch_op_init_read(
		    &subject.job.op, &subject.file, subject.bytes, 64, offset);
		filch_op_set_flags(&subject.job.op, FILCH_OP_NO_INLINE);
		CHECK_EQ(run(contract), left);
		CHECK_EQ(
		    memcmp(subject.bytes, digits + 10 - left, (size_t)left), 0);
	}
	return (NULL);
}

/* Enough for any file to be trusted to be cached. */
#define MAPPED_READS 600
#define MAPPED_PAGES 3

/* Read a page that holds nothing but letter, often; the last result. */
static const char *
read_page(struct contract *contract, size_t page, unsigned index, char letter,
    int64_t expected)
{
	char *bytes = malloc(page);

	CHECK(bytes != NULL);
	for (unsigned i = 0; i < MAPPED_READS; i++) {
		memset(bytes, 0, page);
		filch_op_init_read(
		    &subject.job.op, &subject.file, bytes, page, index * page);
		CHECK_EQ(run(contract), expected);
		for (int64_t at = 0; at < expected; at++) {
			CHECK_EQ(bytes[at], letter);
		}
	}
	free(bytes);
	return (NULL);
}

static const char *
read_mapped(struct contract *contract)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *bytes = malloc(page);
	unsigned i;

	CHECK(bytes != NULL);
	CHECK_OK(subject_make(contract, &subject, ""));
	for (i = 0; i < MAPPED_PAGES; i++) {
		memset(bytes, 'a' + (int)i, page);
		CHECK_EQ(
		    pwrite(subject.file.fd, bytes, page, (off_t)(i * page)),
		    page);
	}
	CHECK_EQ(filch_file_map(&subject.file), 0);
	for (i = 0; i < MAPPED_PAGES; i++) {
		CHECK_OK(read_page(
		    contract, page, i, (char)('a' + i), (int64_t)page));
	}
	/* a write is seen, and so is what the file grows by */
	memset(bytes, 'z', page);
	for (i = 2; i <= MAPPED_PAGES; i++) {
		filch_op_init_write(
		    &subject.job.op, &subject.file, bytes, page, i * page);
		CHECK_EQ(run(contract), page);
		CHECK_OK(read_page(contract, page, i, 'z', (int64_t)page));
	}
	free(bytes);
#if FILCH__PAST_END_IS_SIGBUS
	/* so is, by pages, what it loses */
	filch_op_init_truncate(&subject.job.op, &subject.file, page);
	CHECK_EQ(run(contract), 0);
	CHECK_OK(read_page(contract, page, 0, 'a', (int64_t)page));
	CHECK_OK(read_page(contract, page, 1, 0, 0));
#endif
	filch_file_unmap(&subject.file);
	CHECK_OK(read_page(contract, page, 0, 'a', (int64_t)page));
	return (NULL);
}

static const char *
readv_at(struct contract *contract)
{
	struct iovec iov[2] = { { subject.bytes, 4 },
		{ subject.bytes + 8, 2 } };

	CHECK_OK(subject_make(contract, &subject, digits));
	filch_op_init_readv(&subject.job.op, &subject.file, iov, 2, 1);
	CHECK_EQ(run(contract), 6);
	CHECK_EQ(memcmp(subject.bytes,
		     "1234\0\0\0\0"
		     "56",
		     10),
	    0);
	return (NULL);
}

/* Write three bytes, which add two to the file. */
static const char *
write_three(struct contract *contract, const char *bytes)
{
	CHECK_OK(subject_make(contract, &subject, digits));
	filch_op_init_write(&subject.job.op, &subject.file, bytes, 3, 9);
	CHECK_EQ(run(contract), 3);
	CHECK_EQ(pread(subject.file.fd, subject.bytes, 64, 0), 12);
	CHECK_EQ(memcmp(subject.bytes, "012345678abc", 12), 0);
	return (NULL);
}

static const char *
write_at_static(struct contract *contract)
{
	/* not even writable */
	return (write_three(contract, "abc"));
}

static const char *
write_at(struct contract *contract)
{
	char bytes[3] = { 'a', 'b', 'c' };

	CHECK_OK(write_three(contract, bytes));
	filch_op_init_write(&subject.job.op, &subject.file, "d", 1, 0);
	filch_op_set_flags(&subject.job.op, FILCH_OP_DSYNC);
	CHECK_EQ(run(contract), 1);
	filch_op_init_write(&subject.job.op, &subject.file, "", 0, 20);
	CHECK_EQ(run(contract), 0);
	CHECK_EQ(pread(subject.file.fd, subject.bytes, 64, 0), 12);
	CHECK_EQ(subject.bytes[0], 'd');
	return (NULL);
}

static const char *
write_vector(struct contract *contract, const struct iovec iov[3])
{
	for (unsigned flags = 0; flags <= FILCH_OP_DSYNC;
	     flags += FILCH_OP_DSYNC) {
		CHECK_OK(subject_make(contract, &subject, digits));
		filch_op_init_writev(&subject.job.op, &subject.file, iov, 3, 8);
		filch_op_set_flags(&subject.job.op, flags);
		CHECK_EQ(run(contract), 6);
		CHECK_EQ(pread(subject.file.fd, subject.bytes, 64, 0), 14);
		CHECK_EQ(memcmp(subject.bytes, "01234567abcdef", 14), 0);
		(void)close(subject.file.fd);
	}
	return (NULL);
}

static const char *
writev_at_static(struct contract *contract)
{
	static char first[] = "ab";
	static char second[] = "cdef";
	static const struct iovec iov[3] = { { first, 2 }, { NULL, 0 },
		{ second, 4 } };

	return (write_vector(contract, iov));
}

static const char *
writev_at(struct contract *contract)
{
	char bytes[6] = { 'a', 'b', 'c', 'd', 'e', 'f' };
	struct iovec iov[3] = { { bytes, 2 }, { NULL, 0 }, { bytes + 2, 4 } };

	return (write_vector(contract, iov));
}

static const char *
sync_all(struct contract *contract)
{
	CHECK_OK(subject_make(contract, &subject, digits));
	filch_op_init_fsync(&subject.job.op, &subject.file);
	CHECK_EQ(run(contract), 0);
	filch_op_init_fdatasync(&subject.job.op, &subject.file);
	CHECK_EQ(run(contract), 0);
	CHECK_EQ(filch_file_poison(&subject.file), 0);
	return (NULL);
}

/* Syncs what cannot be synced, both ways. */
static const char *
sync_gives(struct contract *contract, int64_t expected)
{
	filch_op_init_fsync(&subject.job.op, &subject.file);
	CHECK_EQ(run(contract), expected);
	filch_op_init_fdatasync(&subject.job.op, &subject.file);
	CHECK_EQ(run(contract), expected);
	return (NULL);
}

static const char *
sync_errors(struct contract *contract)
{
	int ends[2];
	int fd;

	CHECK_OK(subject_make(contract, &subject, digits));
	subject.file.fd = -1;
	CHECK_OK(sync_gives(contract, -EBADF));
	CHECK_EQ(pipe(ends), 0);
	CHECK_EQ(filch_file_init(&subject.file, ends[1]), 0);
	CHECK_OK(sync_gives(contract, -EINVAL));
	/* reading is enough to sync */
	fd = openat(contract->directory, "file", O_RDONLY | O_CLOEXEC);
	CHECK_EQ(filch_file_init(&subject.file, fd), 0);
	CHECK_OK(sync_gives(contract, 0));
	return (NULL);
}

/* A sync after many writes that have completed. */
static const char *
sync_after_writes(struct contract *contract)
{
	static struct contract_job jobs[64];

	CHECK_OK(subject_make(contract, &subject, ""));
	for (unsigned i = 0; i < 64; i++) {
		filch_op_init_write(
		    &jobs[i].op, &subject.file, digits, 10, 10 * (uint64_t)i);
		CHECK_EQ(contract_job_start(contract, &jobs[i]), 0);
	}
	for (unsigned i = 0; i < 64; i++) {
		CHECK_EQ(contract_job_end(&jobs[i]), 10);
	}
	CHECK_OK(sync_gives(contract, 0));
	CHECK_EQ(lseek(subject.file.fd, 0, SEEK_END), 640);
	return (NULL);
}

/* Every transfer and its vectored form. */
static const char *
transfers_give(struct contract *contract, int64_t reads, int64_t writes)
{
	struct iovec iov = { subject.bytes, 1 };

	filch_op_init_read(&subject.job.op, &subject.file, subject.bytes, 1, 0);
	CHECK_EQ(run(contract), reads);
	filch_op_init_readv(&subject.job.op, &subject.file, &iov, 1, 0);
	CHECK_EQ(run(contract), reads);
	filch_op_init_write(
	    &subject.job.op, &subject.file, subject.bytes, 1, 0);
	CHECK_EQ(run(contract), writes);
	filch_op_init_writev(&subject.job.op, &subject.file, &iov, 1, 0);
	CHECK_EQ(run(contract), writes);
	return (NULL);
}

static const char *
wrong_descriptors(struct contract *contract)
{
	ssize_t n;
	int fd;

	CHECK_OK(subject_make(contract, &subject, digits));
	subject.file.fd = -1;
	CHECK_OK(transfers_give(contract, -EBADF, -EBADF));
	fd = openat(contract->directory, "file", O_RDONLY | O_CLOEXEC);
	CHECK_EQ(filch_file_init(&subject.file, fd), 0);
	CHECK_OK(transfers_give(contract, 1, -EBADF));
	(void)close(fd);
	/* closed behind our back */
	CHECK_OK(transfers_give(contract, -EBADF, -EBADF));
	fd = openat(contract->directory, "file", O_WRONLY | O_CLOEXEC);
	CHECK_EQ(filch_file_init(&subject.file, fd), 0);
	CHECK_OK(transfers_give(contract, -EBADF, 1));
	/* a directory, which some systems let read */
	CHECK_EQ(filch_file_init(&subject.file, contract->directory), 0);
	n = pread(contract->directory, subject.bytes, 1, 0);
	CHECK_OK(transfers_give(contract, n < 0 ? -errno : n, -EBADF));
	return (NULL);
}

static const char *
current_offset(struct contract *contract)
{
	CHECK_OK(subject_make(contract, &subject, digits));
	for (int i = 0; i < 2; i++) {
		filch_op_init_read(&subject.job.op, &subject.file,
		    subject.bytes, 3, FILCH_OFFSET_CURRENT);
		CHECK_EQ(run(contract), 3);
		CHECK_EQ(memcmp(subject.bytes, digits + 3 * i, 3), 0);
	}
	filch_op_init_write(
	    &subject.job.op, &subject.file, "x", 1, FILCH_OFFSET_CURRENT);
	CHECK_EQ(run(contract), 1);
	CHECK_EQ(lseek(subject.file.fd, 0, SEEK_CUR), 7);
	/* an offset of one's own leaves the position alone */
	filch_op_init_read(
	    &subject.job.op, &subject.file, subject.bytes, 10, 0);
	CHECK_EQ(run(contract), 10);
	CHECK_EQ(memcmp(subject.bytes, "012345x789", 10), 0);
	CHECK_EQ(lseek(subject.file.fd, 0, SEEK_CUR), 7);
	return (NULL);
}

static const char *
append(struct contract *contract)
{
	int fd;

	CHECK_OK(subject_make(contract, &subject, digits));
	fd = openat(contract->directory, "file", O_RDWR | O_APPEND | O_CLOEXEC);
	CHECK_EQ(filch_file_init(&subject.file, fd), 0);
	filch_op_init_write(&subject.job.op, &subject.file, "abc", 3, 2);
	CHECK_EQ(run(contract), 3);
	CHECK_EQ(pread(fd, subject.bytes, 64, 0), 13);
	CHECK_EQ(memcmp(subject.bytes, "0123456789abc", 13), 0);
	return (NULL);
}

static const char *
full_disk(struct contract *contract)
{
	int fd = open("/dev/full", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		SKIP("no /dev/full here");
	}
	CHECK_EQ(filch_file_init(&subject.file, fd), 0);
	CHECK_OK(transfers_give(contract, 1, -ENOSPC));
	(void)close(fd);
	return (NULL);
}

/*
 * Short up to the limit, or refused, then refused; and no SIGXFSZ ends the
 * program.  FreeBSD's aio daemons have limits of their own.
 */
static const char *
size_limit(struct contract *contract)
{
	struct rlimit old;
	struct rlimit limit;
	int64_t first;
	int64_t second;

	CHECK_OK(subject_make(contract, &subject, ""));
	CHECK_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
	limit = old;
	limit.rlim_cur = 6;
	CHECK_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
	filch_op_init_write(&subject.job.op, &subject.file, digits, 10, 0);
	first = run(contract);
	filch_op_init_write(&subject.job.op, &subject.file, digits, 10, 6);
	second = run(contract);
	CHECK_EQ(setrlimit(RLIMIT_FSIZE, &old), 0);
	if (contract->is_kqueue && first == 10) {
		SKIP("the system's daemons write beyond the program's limit");
	}
	CHECK(first == 6 || (first == -EFBIG && !contract->is_uring));
	CHECK_EQ(second, -EFBIG);
	return (NULL);
}

#if !defined(MAP_NORESERVE)
#define MAP_NORESERVE 0 /* nothing is reserved there anyway */
#endif

/* A size beyond any system's bound is a short transfer, no error. */
static const char *
large_read(struct contract *contract)
{
	CHECK_OK(subject_make(contract, &subject, digits));
	for (unsigned flags = 0; flags <= FILCH_OP_NO_INLINE;
	     flags += FILCH_OP_NO_INLINE) {
		size_t size = (size_t)FILCH_TRANSFER_MAX + 4096;
		void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (memory == MAP_FAILED) {
			SKIP("no address space for 2 GiB");
		}
		filch_op_init_read(
		    &subject.job.op, &subject.file, memory, size, 0);
		filch_op_set_flags(&subject.job.op, flags);
		CHECK_EQ(run(contract), 10);
		CHECK_EQ(memcmp(memory, digits, 10), 0);
		(void)munmap(memory, size);
	}
	return (NULL);
}

static const struct contract_test tests[] = {
	{ "tokio-file read_at", read_at, NULL },
	{ "read past the worker's own attempt", read_at_no_inline, NULL },
	{ "read a mapped file", read_mapped, NULL },
	{ "tokio-file readv_at", readv_at, NULL },
	{ "tokio-file write_at", write_at, NULL },
	{ "tokio-file write_at_static", write_at_static, NULL },
	{ "tokio-file writev_at", writev_at, NULL },
	{ "tokio-file writev_at_static", writev_at_static, NULL },
	{ "tokio-file sync_all", sync_all, NULL },
	{ "FreeBSD aio_fsync_errors", sync_errors, NULL },
	{ "FreeBSD aio_fsync_test", sync_after_writes, NULL },
	{ "FreeBSD aio_large_read_test", large_read, NULL },
	{ "closed, wrong way, directory", wrong_descriptors, NULL },
	{ "at the descriptor's own position", current_offset, NULL },
	{ "O_APPEND passes over the offset", append, NULL },
	{ "full disk: ENOSPC", full_disk, NULL },
	{ "size limit: short, then EFBIG", size_limit, NULL },
};

int
main(void)
{
	return (contract_main_on(tests, CONTRACT_COUNT(tests), NULL, true));
}

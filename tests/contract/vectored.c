/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Vectors, bad memory and O_DIRECT.
 *
 * The rows of vectors carry the names of FreeBSD's aio_test.
 */
#include "subject.h"

#include <sys/mman.h>
#include <sys/uio.h>

#include <limits.h>

/* The vectored transfers on the subject, both with this result. */
static const char *
vectors_give(struct contract *contract, const struct iovec *iov, int count,
    int64_t reads, int64_t writes)
{
	filch_op_init_readv(&subject.job.op, &subject.file, iov, count, 0);
	CHECK_EQ(run(contract), reads);
	filch_op_init_readv(&subject.job.op, &subject.file, iov, count, 0);
	filch_op_set_flags(&subject.job.op, FILCH_OP_NO_INLINE);
	CHECK_EQ(run(contract), reads);
	filch_op_init_writev(&subject.job.op, &subject.file, iov, count, 0);
	CHECK_EQ(run(contract), writes);
	filch_op_init_writev(&subject.job.op, &subject.file, iov, count, 0);
	filch_op_set_flags(&subject.job.op, FILCH_OP_DSYNC);
	CHECK_EQ(run(contract), writes);
	return (NULL);
}

static const char *
dos_iov_len(struct contract *contract)
{
	struct iovec iov[2] = { { subject.bytes, SSIZE_MAX },
		{ subject.bytes, SSIZE_MAX } };
	struct iovec negative = { subject.bytes, (size_t)SSIZE_MAX + 1 };

	CHECK_OK(subject_make(contract, &subject, digits));
	CHECK_OK(vectors_give(contract, &negative, 1, -EINVAL, -EINVAL));
	filch_op_init_writev(&subject.job.op, &subject.file, iov, 2, 0);
	/* no memory is that large: refused, in the system's own words */
	CHECK(run(contract) < 0);
	return (NULL);
}

static const char *
dos_iovcnt(struct contract *contract)
{
	static struct iovec iov[FILCH_IOV_MAX + 1];

	CHECK_OK(subject_make(contract, &subject, digits));
	CHECK_OK(
	    vectors_give(contract, iov, FILCH_IOV_MAX + 1, -EINVAL, -EINVAL));
	CHECK_OK(vectors_give(contract, iov, -1, -EINVAL, -EINVAL));
	CHECK_OK(vectors_give(contract, iov, INT_MAX, -EINVAL, -EINVAL));
	return (NULL);
}

static const char *
efault(struct contract *contract)
{
	char *bad =
	    mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec iov = { bad, 4 };

	CHECK(bad != MAP_FAILED);
	CHECK_OK(subject_make(contract, &subject, digits));
	CHECK_OK(vectors_give(contract, &iov, 1, -EFAULT, -EFAULT));
	filch_op_init_read(&subject.job.op, &subject.file, bad, 4, 0);
	CHECK_EQ(run(contract), -EFAULT);
	filch_op_init_write(&subject.job.op, &subject.file, bad, 4, 0);
	CHECK_EQ(run(contract), -EFAULT);
	(void)munmap(bad, 4096);
	return (NULL);
}

static const char *
empty_file(struct contract *contract)
{
	struct iovec iov = { subject.bytes, 4 };

	CHECK_OK(subject_make(contract, &subject, ""));
	filch_op_init_readv(&subject.job.op, &subject.file, &iov, 1, 0);
	CHECK_EQ(run(contract), 0);
	CHECK_OK(vectors_give(contract, &iov, 0, 0, 0));
	return (NULL);
}

static const char *
big_iovcnt(struct contract *contract)
{
	static char bytes[FILCH_IOV_MAX];
	static struct iovec iov[FILCH_IOV_MAX];

	CHECK_OK(subject_make(contract, &subject, ""));
	for (int i = 0; i < FILCH_IOV_MAX; i++) {
		bytes[i] = (char)i;
		iov[i] = (struct iovec){ &bytes[i], 1 };
	}
	filch_op_init_writev(
	    &subject.job.op, &subject.file, iov, FILCH_IOV_MAX, 0);
	CHECK_EQ(run(contract), FILCH_IOV_MAX);
	memset(bytes, 0, sizeof(bytes));
	filch_op_init_readv(
	    &subject.job.op, &subject.file, iov, FILCH_IOV_MAX, 0);
	CHECK_EQ(run(contract), FILCH_IOV_MAX);
	for (int i = 0; i < FILCH_IOV_MAX; i++) {
		CHECK_EQ(bytes[i], (char)i);
	}
	return (NULL);
}

static const char *
unaligned(struct contract *contract)
{
	struct iovec iov[3] = { { subject.bytes + 1, 3 },
		{ subject.bytes + 9, 2 }, { subject.bytes + 21, 5 } };

	CHECK_OK(subject_make(contract, &subject, digits));
	filch_op_init_readv(&subject.job.op, &subject.file, iov, 3, 1);
	CHECK_EQ(run(contract), 9);
	CHECK_EQ(memcmp(subject.bytes + 1, "123", 3), 0);
	CHECK_EQ(memcmp(subject.bytes + 9, "45", 2), 0);
	CHECK_EQ(memcmp(subject.bytes + 21, "6789", 4), 0);
	filch_op_init_writev(&subject.job.op, &subject.file, iov, 3, 0);
	CHECK_EQ(run(contract), 10);
	CHECK_EQ(pread(subject.file.fd, subject.bytes, 64, 0), 10);
	CHECK_EQ(memcmp(subject.bytes, "123456789", 10), 0);
	return (NULL);
}

/* ---- O_DIRECT ---- */

#if defined(O_DIRECT)
/* Off the alignment a transfer is refused; a system that does not tell what it
 * wants may also do without, through its cache. */
static bool
is_refused(int64_t result, size_t size)
{
#if defined(STATX_DIOALIGN)
	(void)size;
	return (result == -EINVAL);
#else
	return (result == -EINVAL || result == (int64_t)size);
#endif
}

/* What the alignment says is right: with it a transfer works. */
static const char *
direct(struct contract *contract)
{
	struct filch_alignment alignment;
	char *memory;
	size_t size;
	int fd;

	CHECK_OK(subject_make(contract, &subject, ""));
	CHECK_EQ(ftruncate(subject.file.fd, 65536), 0);
	fd = openat(contract->directory, "file", O_RDWR | O_DIRECT | O_CLOEXEC);
	if (fd < 0) {
		CHECK_EQ(filch_file_alignment(&subject.file, &alignment),
		    -EOPNOTSUPP);
		SKIP("no O_DIRECT on this file system");
	}
	CHECK_EQ(filch_file_init(&subject.file, fd), 0);
	CHECK_EQ(filch_file_alignment(&subject.file, &alignment), 0);
	size = alignment.offset;
	CHECK_EQ(posix_memalign((void **)&memory, 4096, 65536), 0);
	memset(memory, 'd', 65536);
	filch_op_init_write(&subject.job.op, &subject.file, memory, size, size);
	CHECK_EQ(run(contract), (int64_t)size);
	filch_op_init_read(
	    &subject.job.op, &subject.file, memory + size, size, size);
	CHECK_EQ(run(contract), (int64_t)size);
	CHECK_EQ(memcmp(memory, memory + size, size), 0);
	filch_op_init_read(
	    &subject.job.op, &subject.file, memory, size - 2, size + 1);
	CHECK(is_refused(run(contract), size - 2));
	filch_op_init_read(
	    &subject.job.op, &subject.file, memory, size - 1, size);
	CHECK(is_refused(run(contract), size - 1));
	filch_op_init_write(
	    &subject.job.op, &subject.file, memory, size - 1, size);
	CHECK(is_refused(run(contract), size - 1));
	/* the end of the file is short here too */
	filch_op_init_read(&subject.job.op, &subject.file, memory, size, 65536);
	CHECK_EQ(run(contract), 0);
	free(memory);
	(void)close(fd);
	return (NULL);
}
#else
static const char *
direct(struct contract *contract)
{
	(void)contract;
	SKIP("no O_DIRECT here");
}
#endif

static const char *
alignment_errors(struct contract *contract)
{
	struct filch_file file = FILCH_FILE_INIT;
	struct filch_alignment alignment = { 1, 2 };
	int ends[2];

	(void)contract;
	CHECK_EQ(filch_file_init(&file, -1), -EBADF);
	CHECK_EQ(filch_file_init(&file, 1 << 20), -EBADF);
	CHECK_EQ(file.fd, -1);
	CHECK_EQ(filch_file_alignment(&file, &alignment), -EBADF);
	CHECK_EQ(pipe(ends), 0);
	CHECK_EQ(filch_file_init(&file, ends[0]), 0);
	CHECK_EQ(filch_file_alignment(&file, &alignment), -EOPNOTSUPP);
	CHECK_EQ(filch_file_init(&file, contract->directory), 0);
	CHECK_EQ(filch_file_alignment(&file, &alignment), -EOPNOTSUPP);
	CHECK_EQ(alignment.memory, 1);
	CHECK_EQ(alignment.offset, 2);
	(void)close(ends[0]);
	(void)close(ends[1]);
	return (NULL);
}

static const char *
no_signal(struct contract *contract)
{
	(void)contract;
	SKIP("filch is told of no completion by a signal (SIGEV_SIGNAL)");
}

static const char *
no_volume(struct contract *contract)
{
	(void)contract;
	SKIP("no ZFS volume; the alignment of a disk is O_DIRECT's below");
}

static const struct contract_test tests[] = {
	{ "FreeBSD aio_writev_dos_iov_len", dos_iov_len, NULL },
	{ "FreeBSD aio_writev_dos_iovcnt", dos_iovcnt, NULL },
	{ "FreeBSD aio_writev_efault", efault, NULL },
	{ "FreeBSD aio_writev_empty_file_poll", empty_file, NULL },
	{ "FreeBSD aio_writev_empty_file_signal", no_signal, NULL },
	{ "FreeBSD vectored_big_iovcnt", big_iovcnt, NULL },
	{ "FreeBSD vectored_unaligned", unaligned, NULL },
	{ "FreeBSD vectored_zvol_poll", no_volume, NULL },
	{ "O_DIRECT: alignment holds", direct, NULL },
	{ "alignment: EBADF, EOPNOTSUPP", alignment_errors, NULL },
};

int
main(void)
{
	return (contract_main_on(tests, CONTRACT_COUNT(tests), NULL, true));
}

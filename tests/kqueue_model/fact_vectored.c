/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * aio_readv(2) and aio_writev(2): from 13.0 on.
 */
#include "facts.h"

#if defined(FILCH_HAVE_AIO_READV)

#include <sys/mman.h>
#include <sys/uio.h>

#include <limits.h>

static struct aiocb cb;
static char first[8];
static char second[8];
static struct iovec iov[2];

/* Prepare cb for two buffers of fd; false if the kernel has no aio_readv. */
static bool
prepare(int fd, size_t sizes[2], off_t offset)
{
	memset(first, 0, sizeof(first));
	memset(second, 0, sizeof(second));
	iov[0] = (struct iovec){ .iov_base = first, .iov_len = 1 };
	iov[1] = (struct iovec){ .iov_base = second, .iov_len = 1 };
	fact_prepare(&cb, -1, iov, 2, EV_ONESHOT);
	if (aio_readv(&cb) != -1 || errno != EBADF) {
		return (false);
	}
	iov[0].iov_len = sizes[0];
	iov[1].iov_len = sizes[1];
	fact_prepare(&cb, fd, iov, 2, EV_ONESHOT);
	cb.aio_offset = offset;
	return (true);
}

#define PREPARE(fd, a, b, offset)                                              \
	do {                                                                   \
		size_t sizes[2] = { (a), (b) };                                \
                                                                               \
		if (!prepare(fd, sizes, offset)) {                             \
			SKIP("this kernel has no aio_readv");                  \
		}                                                              \
	} while (0)

static void
reads(void)
{
	PREPARE(fact_file("0123456789"), 4, 2, 2);
	CHECK_EQ(aio_readv(&cb), 0);
	CHECK(fact_tells(&cb, EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&cb), 6);
	CHECK_EQ(memcmp(first, "2345", 5), 0);
	CHECK_EQ(memcmp(second, "67", 3), 0);
}

static void
writes(void)
{
	char all[16];
	int fd = fact_file("0123456789");

	PREPARE(fd, 5, 4, 1);
	memcpy(first, "abcde", 5);
	memcpy(second, "fghi", 4);
	CHECK_EQ(aio_writev(&cb), 0);
	CHECK(fact_tells(&cb, EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&cb), 9);
	CHECK_EQ(pread(fd, all, sizeof(all), 0), 10);
	CHECK_EQ(memcmp(all, "0abcdefghi", 10), 0);
}

static void
short_read(void)
{
	PREPARE(fact_file("0123456789"), 4, 4, 5);
	CHECK_EQ(aio_readv(&cb), 0);
	CHECK(fact_tells(&cb, EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&cb), 5);
}

/* The array of buffers is copied too. */
static void
iov_is_copied(void)
{
	int ends[2];

	fact_pair(ends);
	PREPARE(ends[0], 2, 8, 0);
	CHECK_EQ(aio_readv(&cb), 0);
	memset(iov, 0, sizeof(iov));
	CHECK_EQ(write(ends[1], "abcd", 4), 4);
	CHECK(fact_tells(&cb, EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&cb), 4);
	CHECK_EQ(memcmp(first, "ab", 3), 0);
	CHECK_EQ(memcmp(second, "cd", 3), 0);
}

static void
too_many_buffers(void)
{
	PREPARE(fact_file("0123456789"), 4, 4, 0);
	cb.aio_iovcnt = (size_t)IOV_MAX + 1;
	CHECK_ERRNO(aio_readv(&cb), EINVAL);
	CHECK(fact_is_quiet());
}

static void
too_many_bytes(void)
{
	PREPARE(fact_file("0123456789"), SIZE_MAX / 2, SIZE_MAX / 2, 0);
	CHECK_ERRNO(aio_readv(&cb), EINVAL);
	CHECK(fact_is_quiet());
}

static void
bad_buffer(void)
{
	void *bad = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_NONE,
	    MAP_PRIVATE | MAP_ANON, -1, 0);

	CHECK(bad != MAP_FAILED);
	PREPARE(fact_file("0123456789"), 4, 4, 0);
	iov[0].iov_base = bad;
	CHECK_EQ(aio_readv(&cb), 0);
	CHECK(fact_tells(&cb, EV_ONESHOT, EFAULT));
	CHECK_ERRNO(aio_return(&cb), EFAULT);
}

#define RUN(name) name

#else

static void
no_vectors(void)
{
	SKIP("these headers have no aio_readv");
}

#define RUN(name) no_vectors

#endif

static const struct fact facts[] = {
	{ "2.4 aio_readv fills its buffers in order", RUN(reads) },
	{ "2.4 aio_writev writes its buffers in order", RUN(writes) },
	{ "2.4 aio_readv across the end of a file is short", RUN(short_read) },
	{ "2.5 the array of buffers is copied", RUN(iov_is_copied) },
	{ "2.4 more than IOV_MAX buffers are EINVAL", RUN(too_many_buffers) },
	{ "2.11 more bytes than fit are EINVAL", RUN(too_many_bytes) },
	{ "2.1 a bad buffer shows as EFAULT in the event", RUN(bad_buffer) },
};

int
main(void)
{
	return (fact_main(facts, FACT_COUNT(facts)));
}

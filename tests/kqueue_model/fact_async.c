/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is carried out asynchronously: which types of files AIO takes without
 * vfs.aio.enable_unsafe, and which it refuses with EOPNOTSUPP.
 */
#include "facts.h"

#include <sys/mman.h>
#include <sys/stat.h>

#define SECTOR 4096 /* a multiple of any disk's */

static struct aiocb cb;
static char bytes[2 * SECTOR];

/* Where files are on a disk, on the machine of the release's tests. */
static const char disk_directory[] = "/data";

static bool
is_unsafe(void)
{
	return (fact_sysctl("vfs.aio.enable_unsafe") != 0);
}

/* Write to fd and read it again. */
static void
written_and_read(int fd)
{
	fact_prepare(&cb, fd, bytes, 4, EV_ONESHOT);
	memcpy(bytes, "abcd", 4);
	CHECK_EQ(aio_write(&cb), 0);
	CHECK(fact_tells(&cb, EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&cb), 4);
	memset(bytes, 0, 4);
	CHECK_EQ(aio_read(&cb), 0);
	CHECK(fact_tells(&cb, EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&cb), 4);
	CHECK_EQ(memcmp(bytes, "abcd", 4), 0);
}

static void
regular_file(void)
{
	written_and_read(fact_file(""));
}

static void
file_on_disk(void)
{
	char path[64];
	int fd;

	(void)snprintf(
	    path, sizeof(path), "%s/filch-fact-XXXXXX", disk_directory);
	fd = mkstemp(path);
	if (fd < 0) {
		SKIP("no /data to write to");
	}
	(void)unlink(path);
	written_and_read(fact_keep(fd));
}

/* 12.1 reads a directory as a file; later kernels say EISDIR. */
static void
directory(void)
{
	int fd = fact_keep(open(fact_directory(), O_RDONLY | O_DIRECTORY));
	struct kevent event;
	ssize_t count;

	fact_prepare(&cb, fd, bytes, sizeof(bytes), EV_ONESHOT);
	CHECK_EQ(aio_read(&cb), 0);
	CHECK(fact_event(&event));
	CHECK(event.data == 0 || event.data == EISDIR);
	count = aio_return(&cb);
	CHECK(event.data == 0 ? count >= 0 : count == -1);
}

static void
end_of_file(void)
{
	fact_prepare(&cb, fact_file("0123"), bytes, 8, EV_ONESHOT);
	cb.aio_offset = 2;
	CHECK_EQ(aio_read(&cb), 0);
	CHECK(fact_tells(&cb, EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&cb), 2);
	cb.aio_offset = 4;
	CHECK_EQ(aio_read(&cb), 0);
	CHECK(fact_tells(&cb, EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&cb), 0);
}

static void
no_bytes(void)
{
	fact_prepare(&cb, fact_file("0123"), bytes, 0, EV_ONESHOT);
	CHECK_EQ(aio_read(&cb), 0);
	CHECK(fact_tells(&cb, EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&cb), 0);
}

static void
socket_of_a_pair(void)
{
	int ends[2];

	fact_pair(ends);
	fact_prepare(&cb, ends[0], bytes, 4, EV_ONESHOT);
	memcpy(bytes, "abcd", 4);
	CHECK_EQ(aio_write(&cb), 0);
	CHECK(fact_tells(&cb, EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&cb), 4);
	cb.aio_fildes = ends[1];
	CHECK_EQ(aio_read(&cb), 0);
	CHECK(fact_tells(&cb, EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&cb), 4);
}

static void
socket_of_datagrams(void)
{
	int ends[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
	(void)fact_keep(ends[0]);
	(void)fact_keep(ends[1]);
	fact_prepare(&cb, ends[0], bytes, 8, EV_ONESHOT);
	CHECK_EQ(aio_read(&cb), 0);
	CHECK_EQ(write(ends[1], "abc", 3), 3);
	CHECK(fact_tells(&cb, EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&cb), 3);
}

/* A read and a write of fd are refused. */
static void
refused(int readable, int writable)
{
	if (is_unsafe()) {
		SKIP("vfs.aio.enable_unsafe is set");
	}
	fact_prepare(&cb, readable, bytes, 1, EV_ONESHOT);
	CHECK_ERRNO(aio_read(&cb), EOPNOTSUPP);
	CHECK_EQ(aio_error(&cb), EOPNOTSUPP);
	CHECK_ERRNO(aio_return(&cb), EINVAL);
	CHECK_ERRNO(
	    fact_change((uintptr_t)&cb, EVFILT_AIO, EV_DELETE, 0, 0, NULL),
	    ENOENT);
	cb.aio_fildes = writable;
	CHECK_ERRNO(aio_write(&cb), EOPNOTSUPP);
	CHECK(fact_is_quiet());
}

static void
pipes(void)
{
	int ends[2];

	CHECK_EQ(pipe(ends), 0);
	(void)fact_keep(ends[0]);
	(void)fact_keep(ends[1]);
	refused(ends[0], ends[1]);
}

static void
fifos(void)
{
	char path[256];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/filch-fact-fifo-%ld",
	    fact_directory(), (long)getpid());
	CHECK_EQ(mkfifo(path, 0600), 0);
	fd = open(path, O_RDWR | O_NONBLOCK);
	(void)unlink(path);
	(void)fact_keep(fd);
	refused(fd, fd);
}

static void
device_null(void)
{
	int fd = fact_keep(open("/dev/null", O_RDWR));

	refused(fd, fd);
}

static void
device_zero(void)
{
	int fd = fact_keep(open("/dev/zero", O_RDWR));

	refused(fd, fd);
}

static void
terminal(void)
{
	int fd = posix_openpt(O_RDWR | O_NOCTTY);

	if (fd < 0) {
		SKIP("no terminal");
	}
	(void)fact_keep(fd);
	refused(fd, fd);
}

static void
kqueue_itself(void)
{
	refused(fact_now.kq, fact_now.kq);
}

static void
shared_memory(void)
{
	char name[64];
	int fd;

	(void)snprintf(name, sizeof(name), "/filch-fact-%ld", (long)getpid());
	fd = fact_keep(shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600));
	(void)shm_unlink(name);
	CHECK_EQ(ftruncate(fd, 4096), 0);
	refused(fd, fd);
}

static void
list_of_refused(void)
{
	struct aiocb *list[1] = { &cb };
	int ends[2];

	if (is_unsafe()) {
		SKIP("vfs.aio.enable_unsafe is set");
	}
	CHECK_EQ(pipe(ends), 0);
	(void)fact_keep(ends[0]);
	(void)fact_keep(ends[1]);
	fact_prepare(&cb, ends[0], bytes, 1, EV_ONESHOT);
	cb.aio_lio_opcode = LIO_READ;
	CHECK_ERRNO(lio_listio(LIO_NOWAIT, list, 1, NULL), EIO);
	CHECK_EQ(aio_error(&cb), EOPNOTSUPP);
	CHECK(fact_is_quiet());
}

static void
wrong_access(void)
{
	int fd = fact_keep(open(fact_directory(), O_RDONLY));

	fact_prepare(&cb, fd, bytes, 1, EV_ONESHOT);
	CHECK_ERRNO(aio_write(&cb), EBADF);
	CHECK_EQ(aio_error(&cb), EBADF);
	CHECK(fact_is_quiet());
}

static void
negative_offset(void)
{
	fact_prepare(&cb, fact_file("0123"), bytes, 1, EV_ONESHOT);
	cb.aio_offset = -1;
	CHECK_ERRNO(aio_read(&cb), EINVAL);
	CHECK_ERRNO(aio_write(&cb), EINVAL);
	CHECK(fact_is_quiet());
}

static void
too_many_bytes(void)
{
	fact_prepare(&cb, fact_file("0123"), bytes, SIZE_MAX, EV_ONESHOT);
	CHECK_ERRNO(aio_read(&cb), EINVAL);
	CHECK_ERRNO(aio_write(&cb), EINVAL);
	CHECK(fact_is_quiet());
}

static void
priority(void)
{
	fact_prepare(&cb, fact_file("0123"), bytes, 4, EV_ONESHOT);
	cb.aio_reqprio = 12345;
	CHECK_EQ(aio_read(&cb), 0);
	CHECK(fact_tells(&cb, EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&cb), 4);
	cb.aio_reqprio = -1;
	CHECK_EQ(aio_read(&cb), 0);
	CHECK(fact_tells(&cb, EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&cb), 4);
}

/* A disk to read from, or -1. */
static int
disk_open(void)
{
	char names[1024] = "";
	size_t size = sizeof(names) - 1;
	char *rest;
	int fd = -1;

	if (sysctlbyname("kern.disks", names, &size, NULL, 0) != 0) {
		return (-1);
	}
	for (char *name = strtok_r(names, " ", &rest); name != NULL && fd < 0;
	     name = strtok_r(NULL, " ", &rest)) {
		char path[128];

		(void)snprintf(path, sizeof(path), "/dev/%s", name);
		fd = open(path, O_RDONLY);
		if (fd >= 0 && pread(fd, bytes, SECTOR, 0) != SECTOR) {
			(void)close(fd);
			fd = -1;
		}
	}
	return (fd);
}

static void
disk(void)
{
	int fd = disk_open();

	if (fd < 0) {
		SKIP("no disk to read from");
	}
	fact_prepare(&cb, fact_keep(fd), bytes, SECTOR, EV_ONESHOT);
	cb.aio_offset = SECTOR;
	CHECK_EQ(aio_read(&cb), 0);
	CHECK(fact_tells(&cb, EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&cb), SECTOR);
}

static void
disk_misaligned(void)
{
	int fd = disk_open();

	if (fd < 0) {
		SKIP("no disk to read from");
	}
	(void)fact_keep(fd);
	if (is_unsafe()) {
		SKIP("vfs.aio.enable_unsafe is set");
	}
	fact_prepare(&cb, fd, bytes, 100, EV_ONESHOT);
	CHECK_ERRNO(aio_read(&cb), EOPNOTSUPP);
	CHECK(fact_is_quiet());
}

static void
disk_cancel(void)
{
	int fd = disk_open();

	if (fd < 0) {
		SKIP("no disk to read from");
	}
	fact_prepare(&cb, fact_keep(fd), bytes, SECTOR, EV_ONESHOT);
	CHECK_EQ(aio_read(&cb), 0);
	CHECK_EQ(aio_cancel(fd, &cb), AIO_NOTCANCELED);
	CHECK(fact_tells(&cb, EV_ONESHOT, 0));
	CHECK_EQ(aio_cancel(fd, &cb), AIO_NOTCANCELED);
	CHECK_EQ(aio_return(&cb), SECTOR);
}

static const struct fact facts[] = {
	{ "2.8 a regular file where programs write temporary ones",
	    regular_file },
	{ "2.8 a regular file on a disk", file_on_disk },
	{ "2.8 a directory is accepted", directory },
	{ "2.8 a read across and at the end of a file is short", end_of_file },
	{ "2.8 a read of no bytes is carried out", no_bytes },
	{ "2.8 a socket of a stream", socket_of_a_pair },
	{ "2.8 a socket of datagrams", socket_of_datagrams },
	{ "2.8 a pipe is EOPNOTSUPP", pipes },
	{ "2.8 a FIFO is EOPNOTSUPP", fifos },
	{ "2.8 /dev/null is EOPNOTSUPP", device_null },
	{ "2.8 /dev/zero is EOPNOTSUPP", device_zero },
	{ "2.8 a terminal is EOPNOTSUPP", terminal },
	{ "2.8 a kqueue is EOPNOTSUPP", kqueue_itself },
	{ "2.8 shared memory is EOPNOTSUPP", shared_memory },
	{ "2.8 in a list such an entry is EIO with aio_error EOPNOTSUPP",
	    list_of_refused },
	{ "2.8 a raw disk is read", disk },
	{ "2.8 a misaligned read of a raw disk is EOPNOTSUPP",
	    disk_misaligned },
	{ "2.9 aio_cancel of a raw disk is AIO_NOTCANCELED, even when done",
	    disk_cancel },
	{ "2.11 a descriptor without the access is EBADF", wrong_access },
	{ "2.11 a negative offset is EINVAL", negative_offset },
	{ "2.11 too many bytes are EINVAL", too_many_bytes },
	{ "2.11 aio_reqprio is ignored", priority },
};

int
main(void)
{
	return (fact_main(facts, FACT_COUNT(facts)));
}

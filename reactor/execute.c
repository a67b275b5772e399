/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operations as plain system calls: what the blocking pool does, and what a
 * worker can do at once.
 *
 * The #ifs of this file ask for features (macros that the system's headers
 * define with them, and cmake/features.cmake's), never for a system.
 */
#include "execute.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <filch/limits.h>

#include "../include/private/assert.h"
#include "../include/private/atomic.h"
#include "../include/private/clock.h"
#include "../include/private/compiler.h"
#include "../include/private/file_flags.h"

static int64_t outcome(int64_t);
static bool is_transfer(const struct filch_op *);
static bool is_write(const struct filch_op *);
static size_t size_capped(const struct filch_op *);
static int directory_of(int);
static int64_t execute_once(struct filch_op *);
static int64_t execute_write(const struct filch_op *);
static int64_t write_stream(const struct filch_op *);
static int64_t write_plain(const struct filch_op *);
static int64_t write_durable(const struct filch_op *);
static int64_t execute_sync(int, bool);
static int64_t execute_close(int);
static int64_t execute_stat(struct filch_op *);
static int64_t execute_fallocate(int, uint64_t, uint64_t);
static int64_t execute_path(const struct filch_op *);
static int64_t execute_mlock(const struct filch_op *);
static int64_t try_socket(const struct filch_op *);

int64_t
filch__execute(struct filch_op *op)
{
	int64_t result;

	filch__assert(op->priv.opcode < FILCH_OP_COUNT);
	/* A function of the user's is called once, whatever it returns; and a
	 * descriptor that close(2) gave up must not be closed again. */
	if (op->priv.opcode == FILCH_OP_CALL) {
		return (op->priv.a.call(op->priv.b.arg));
	}
	if (op->priv.opcode == FILCH_OP_CLOSE) {
		return (execute_close(op->priv.directory));
	}
	for (;;) {
		struct pollfd ready;

		result = execute_once(op);
		if (result == -EINTR) {
			continue;
		}
		if ((result != -EAGAIN && result != -EWOULDBLOCK) ||
		    !filch__execute_is_pollable(op)) {
			return (result);
		}
		ready.fd = op->priv.file->fd;
		ready.events = filch__execute_poll_events(op);
		ready.revents = 0;
		/* Whatever it says, the next attempt finds out better. */
		(void)poll(&ready, 1, -1);
	}
}

bool
filch__execute_is_pollable(const struct filch_op *op)
{
	return (is_transfer(op) &&
	    (op->priv.file->priv.flags & FILCH__FILE_POLLABLE) != 0);
}

short
filch__execute_poll_events(const struct filch_op *op)
{
	return ((short)(is_write(op) ? POLLOUT : POLLIN));
}

/* errno becomes a result here, on the line of the system call. */
static int64_t
outcome(int64_t returned)
{
	return (returned < 0 ? -(int64_t)errno : returned);
}

static bool
is_transfer(const struct filch_op *op)
{
	return (op->priv.opcode == FILCH_OP_READ ||
	    op->priv.opcode == FILCH_OP_READV || is_write(op));
}

static bool
is_write(const struct filch_op *op)
{
	return (op->priv.opcode == FILCH_OP_WRITE ||
	    op->priv.opcode == FILCH_OP_WRITEV);
}

/* Some systems refuse a larger size instead of making the transfer short. */
static size_t
size_capped(const struct filch_op *op)
{
	return (op->priv.b.size < FILCH_TRANSFER_MAX ? op->priv.b.size
						     : FILCH_TRANSFER_MAX);
}

static int
directory_of(int directory)
{
	return (directory == FILCH_DIRECTORY_CURRENT ? AT_FDCWD : directory);
}

static int64_t
execute_once(struct filch_op *op)
{
	struct filch_file *file = op->priv.file;

	switch ((enum filch_opcode)op->priv.opcode) {
	case FILCH_OP_READ:
	case FILCH_OP_READV:
		return (filch__execute_read(op));
	case FILCH_OP_WRITE:
	case FILCH_OP_WRITEV:
		return (execute_write(op));
	case FILCH_OP_FSYNC:
		return (execute_sync(file->fd, false));
	case FILCH_OP_FDATASYNC:
		return (execute_sync(file->fd, true));
	case FILCH_OP_STAT:
		return (execute_stat(op));
	case FILCH_OP_FALLOCATE:
		return (execute_fallocate(
		    file->fd, op->priv.offset, op->priv.b.length));
	case FILCH_OP_TRUNCATE:
		return (outcome(ftruncate(file->fd, (off_t)op->priv.b.length)));
	case FILCH_OP_OPEN:
	case FILCH_OP_UNLINK:
	case FILCH_OP_RENAME:
		return (execute_path(op));
	case FILCH_OP_MLOCK:
		return (execute_mlock(op));
	case FILCH_OP_CLOSE:
	case FILCH_OP_CALL:
	case FILCH_OP_COUNT:
		break;
	}
	return (-EINVAL);
}

int64_t
filch__execute_read(const struct filch_op *op)
{
	int fd = op->priv.file->fd;
	bool current = op->priv.offset == FILCH_OFFSET_CURRENT;
	off_t offset = (off_t)op->priv.offset;

	if (op->priv.opcode == FILCH_OP_READ) {
		return (outcome(current
			? read(fd, op->priv.a.buffer, size_capped(op))
			: pread(
			      fd, op->priv.a.buffer, size_capped(op), offset)));
	}
	return (outcome(current
		? readv(fd, op->priv.a.iov, op->priv.b.iov_count)
		: preadv(fd, op->priv.a.iov, op->priv.b.iov_count, offset)));
}

static int64_t
execute_write(const struct filch_op *op)
{
	uint32_t flags = op->priv.file->priv.flags;

	if ((flags & FILCH__FILE_POLLABLE) != 0) {
		if ((flags &
			(FILCH__FILE_NONBLOCK | FILCH__FILE_SOCKET |
			    FILCH__FILE_CHARACTER)) == 0) {
			return (write_stream(op));
		}
		return (write_plain(op));
	}
	if ((op->priv.flags & FILCH_OP_DSYNC) != 0) {
		return (write_durable(op));
	}
	return (write_plain(op));
}

/*
 * A pipe with room for PIPE_BUF bytes is ready for writing, and takes no more
 * than that without blocking.  A short write keeps the thread free.
 */
static int64_t
write_stream(const struct filch_op *op)
{
	struct iovec one;
	int count;
	const struct iovec *iov = filch__execute_vector(op, &one, &count);
	size_t size;
	int i;

	for (i = 0; i < count - 1 && iov[i].iov_len == 0; i++) {
		continue;
	}
	if (count <= 0 || op->priv.offset != FILCH_OFFSET_CURRENT) {
		return (write_plain(op));
	}
	size = iov[i].iov_len < PIPE_BUF ? iov[i].iov_len : PIPE_BUF;
	return (outcome(write(op->priv.file->fd, iov[i].iov_base, size)));
}

static int64_t
write_plain(const struct filch_op *op)
{
	int fd = op->priv.file->fd;
	bool current = op->priv.offset == FILCH_OFFSET_CURRENT;
	off_t offset = (off_t)op->priv.offset;

	if (op->priv.opcode == FILCH_OP_WRITE) {
		return (outcome(current
			? write(fd, op->priv.a.source, size_capped(op))
			: pwrite(
			      fd, op->priv.a.source, size_capped(op), offset)));
	}
	return (outcome(current
		? writev(fd, op->priv.a.iov, op->priv.b.iov_count)
		: pwritev(fd, op->priv.a.iov, op->priv.b.iov_count, offset)));
}

static int64_t
write_durable(const struct filch_op *op)
{
	int64_t result;
	int64_t synced;

#if defined(RWF_DSYNC)
	struct iovec one;
	int count;
	const struct iovec *iov = filch__execute_vector(op, &one, &count);

	/* (off_t)FILCH_OFFSET_CURRENT is -1, the position. */
	result = outcome(pwritev2(
	    op->priv.file->fd, iov, count, (off_t)op->priv.offset, RWF_DSYNC));
	if (result != -EOPNOTSUPP && result != -ENOSYS) {
		return (result);
	}
#endif
	result = write_plain(op);
	if (result < 0) {
		return (result);
	}
	do {
		synced = execute_sync(op->priv.file->fd, true);
	} while (synced == -EINTR);
	return (synced < 0 ? synced : result);
}

static int64_t
execute_sync(int fd, bool data_only)
{
#if defined(F_FULLFSYNC)
	/* Here fsync(2) leaves the data in the disk's own cache; file systems
	 * without the request fall back to it. */
	(void)data_only;
	if (fcntl(fd, F_FULLFSYNC) == 0) {
		return (0);
	}
	if (errno == EINTR) {
		return (-EINTR);
	}
#elif defined(FILCH_HAVE_FDATASYNC)
	if (data_only) {
		return (outcome(fdatasync(fd)));
	}
#else
	(void)data_only;
#endif
	return (outcome(fsync(fd)));
}

/* The descriptor is gone even if a signal interrupted what close does last. */
static int64_t
execute_close(int fd)
{
	int64_t result = outcome(close(fd));

	return (result == -EINTR ? 0 : result);
}

#if defined(FILCH_HAVE_ST_MTIMESPEC)
#define STAT_NS(status, which) timespec_ns((status)->st_##which##timespec)
#else
#define STAT_NS(status, which) timespec_ns((status)->st_##which##tim)
#endif

static int64_t
timespec_ns(struct timespec stamp)
{
	return ((int64_t)stamp.tv_sec * (int64_t)FILCH__NS_PER_S +
	    (int64_t)stamp.tv_nsec);
}

static int64_t
execute_stat(struct filch_op *op)
{
	struct filch_stat *stat = op->priv.b.stat;
	struct stat status;
	int64_t result = outcome(op->priv.file != NULL
		? fstat(op->priv.file->fd, &status)
		: fstatat(directory_of(op->priv.directory), op->priv.a.path,
		      &status, 0));

	if (result < 0) {
		return (result);
	}
	memset(stat, 0, sizeof(*stat));
	stat->size = (uint64_t)status.st_size;
	stat->allocated = (uint64_t)status.st_blocks * 512;
	stat->device = (uint64_t)status.st_dev;
	stat->inode = (uint64_t)status.st_ino;
	stat->modified_ns = STAT_NS(&status, m);
	stat->changed_ns = STAT_NS(&status, c);
	stat->accessed_ns = STAT_NS(&status, a);
	stat->mode = (uint32_t)status.st_mode;
	stat->links = (uint32_t)status.st_nlink;
	stat->uid = (uint32_t)status.st_uid;
	stat->gid = (uint32_t)status.st_gid;
	stat->block_size = (uint32_t)status.st_blksize;
	return (0);
}

static int64_t
execute_fallocate(int fd, uint64_t offset, uint64_t length)
{
#if defined(FALLOC_FL_KEEP_SIZE)
	/* Unlike glibc's posix_fallocate it does not write zeros over what
	 * others may write at the same time, where the file system cannot. */
	return (outcome(fallocate(fd, 0, (off_t)offset, (off_t)length)));
#elif defined(FILCH_HAVE_POSIX_FALLOCATE)
	int error = posix_fallocate(fd, (off_t)offset, (off_t)length);

	/* What ZFS says, of arguments that are good. */
	if (error == EINVAL && (off_t)offset >= 0 && (off_t)length > 0) {
		return (-EOPNOTSUPP);
	}
	return (-error);
#else
	(void)fd;
	(void)offset;
	(void)length;
	return (-EOPNOTSUPP);
#endif
}

static int64_t
execute_path(const struct filch_op *op)
{
	int directory = directory_of(op->priv.directory);
	const char *path = op->priv.a.path;

	if (op->priv.opcode == FILCH_OP_OPEN) {
		return (outcome(openat(directory, path,
		    op->priv.b.open.flags | O_CLOEXEC, op->priv.b.open.mode)));
	}
	if (op->priv.opcode == FILCH_OP_UNLINK) {
		return (outcome(unlinkat(directory, path, 0)));
	}
	return (outcome(renameat(directory, path,
	    directory_of(op->priv.directory_to), op->priv.b.path)));
}

/* Systems do not agree how the limit is told: it is want of memory. */
static int64_t
execute_mlock(const struct filch_op *op)
{
	int64_t result = outcome(mlock(op->priv.a.source, op->priv.b.size));

	return (result == -EAGAIN ? -ENOMEM : result);
}

const struct iovec *
filch__execute_vector(
    const struct filch_op *op, struct iovec *one, int *ret_count)
{
	if (op->priv.opcode == FILCH_OP_READV ||
	    op->priv.opcode == FILCH_OP_WRITEV) {
		*ret_count = op->priv.b.iov_count;
		return (op->priv.a.iov);
	}
	one->iov_base = op->priv.a.buffer;
	one->iov_len = size_capped(op);
	*ret_count = 1;
	return (one);
}

/* ---- without blocking: descriptors that poll(2) can wait for ---- */

#if !defined(MSG_NOSIGNAL)
#define MSG_NOSIGNAL 0
#endif

enum filch__attempt
filch__execute_try(struct filch_op *op, int64_t *ret_result)
{
	uint32_t flags = op->priv.file->priv.flags;
	int64_t result = -EOPNOTSUPP;

	/* Devices may take as long as they like: /dev/zero fills gigabytes. */
	if ((flags & FILCH__FILE_CHARACTER) != 0) {
		return (FILCH__ATTEMPT_MAY_BLOCK);
	}
	do {
		if ((flags & FILCH__FILE_SOCKET) != 0 &&
		    op->priv.offset == FILCH_OFFSET_CURRENT) {
			result = try_socket(op);
		} else if ((flags & FILCH__FILE_NONBLOCK) != 0) {
			result = is_write(op) ? write_plain(op)
					      : filch__execute_read(op);
		} else {
#if defined(RWF_NOWAIT)
			struct iovec one;
			int count;
			const struct iovec *iov =
			    filch__execute_vector(op, &one, &count);

			result = outcome(is_write(op)
				? pwritev2(op->priv.file->fd, iov, count,
				      (off_t)op->priv.offset, RWF_NOWAIT)
				: preadv2(op->priv.file->fd, iov, count,
				      (off_t)op->priv.offset, RWF_NOWAIT));
#endif
		}
	} while (result == -EINTR);
	if (result == -EAGAIN || result == -EWOULDBLOCK) {
		return (FILCH__ATTEMPT_NOT_READY);
	}
	if (result == -EOPNOTSUPP || result == -ENOSYS) {
		return (FILCH__ATTEMPT_MAY_BLOCK);
	}
	*ret_result = result;
	return (FILCH__ATTEMPT_DONE);
}

static int64_t
try_socket(const struct filch_op *op)
{
	struct iovec one;
	int count;
	const struct iovec *iov = filch__execute_vector(op, &one, &count);
	struct msghdr message = { .msg_name = NULL };

	/* sendmsg and recvmsg never write to the vector. */
	memcpy(&message.msg_iov, &iov, sizeof(message.msg_iov)); /* NOLINT */
	/* size_t on some systems, int on others */
	message.msg_iovlen = (__typeof__(message.msg_iovlen))count;
	return (outcome(is_write(op)
		? sendmsg(
		      op->priv.file->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL)
		: recvmsg(op->priv.file->fd, &message, MSG_DONTWAIT)));
}

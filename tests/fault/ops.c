/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls that fail while an operation is carried out by them: its result is
 * that error, or the operation is carried out all the same, once.
 */
#include "commits.h"

#include <poll.h>

/* FAULT_SHORT: say that half of it was done.  For files only. */
#define TRANSFER_WRAP(symbol, parameters, arguments)                           \
	ssize_t __real_##symbol parameters;                                    \
	ssize_t __wrap_##symbol parameters;                                    \
	ssize_t __wrap_##symbol parameters                                     \
	{                                                                      \
		int error = fault_take(#symbol);                               \
		ssize_t result;                                                \
                                                                               \
		if (error > 0) {                                               \
			errno = error;                                         \
			return (-1);                                           \
		}                                                              \
		result = __real_##symbol arguments;                            \
		return (error == FAULT_SHORT ? (result + 1) / 2 : result);     \
	}

FAULT_WRAP_CLOSE
FAULT_WRAP_FCNTL
FAULT_WRAP_VARIADIC(int, openat,
    (int directory, const char *path, int flags, ...), flags, mode_t,
    (directory, path, flags, argument))
FAULT_WRAP(int, fallocate, (int fd, int mode, off_t offset, off_t size),
    (fd, mode, offset, size), FAULT_ERRNO)
FAULT_WRAP(int, fdatasync, (int fd), (fd), FAULT_ERRNO)
FAULT_WRAP(int, fsync, (int fd), (fd), FAULT_ERRNO)
FAULT_WRAP(int, fstat, (int fd, struct stat *status), (fd, status), FAULT_ERRNO)
FAULT_WRAP(int, fstatat,
    (int directory, const char *path, struct stat *status, int flags),
    (directory, path, status, flags), FAULT_ERRNO)
FAULT_WRAP(int, ftruncate, (int fd, off_t size), (fd, size), FAULT_ERRNO)
FAULT_WRAP(int, poll, (struct pollfd * fds, nfds_t count, int timeout),
    (fds, count, timeout), FAULT_ERRNO)
TRANSFER_WRAP(pread, (int fd, void *buffer, size_t size, off_t offset),
    (fd, buffer, size, offset))
TRANSFER_WRAP(preadv,
    (int fd, const struct iovec *iov, int count, off_t offset),
    (fd, iov, count, offset))
TRANSFER_WRAP(preadv2,
    (int fd, const struct iovec *iov, int count, off_t offset, int flags),
    (fd, iov, count, offset, flags))
TRANSFER_WRAP(pwrite, (int fd, const void *buffer, size_t size, off_t offset),
    (fd, buffer, size, offset))
TRANSFER_WRAP(pwritev,
    (int fd, const struct iovec *iov, int count, off_t offset),
    (fd, iov, count, offset))
TRANSFER_WRAP(pwritev2,
    (int fd, const struct iovec *iov, int count, off_t offset, int flags),
    (fd, iov, count, offset, flags))
FAULT_WRAP(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags),
    (fd, message, flags), FAULT_ERRNO)
FAULT_WRAP(int, renameat,
    (int from, const char *path, int to, const char *other),
    (from, path, to, other), FAULT_ERRNO)
FAULT_WRAP(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags),
    (fd, message, flags), FAULT_ERRNO)
FAULT_WRAP(int, unlinkat, (int directory, const char *path, int flags),
    (directory, path, flags), FAULT_ERRNO)

FAULT_WRAP(ssize_t, readv, (int fd, const struct iovec *iov, int count),
    (fd, iov, count), FAULT_ERRNO)
FAULT_WRAP(ssize_t, write, (int fd, const void *buffer, size_t size),
    (fd, buffer, size), FAULT_ERRNO)
FAULT_WRAP(ssize_t, writev, (int fd, const struct iovec *iov, int count),
    (fd, iov, count), FAULT_ERRNO)

ssize_t __real_read(int fd, void *buffer, size_t size);
ssize_t __wrap_read(int fd, void *buffer, size_t size);

/* A pool thread polls only what was ready and then is not. */
ssize_t
__wrap_read(int fd, void *buffer, size_t size)
{
	int error = fault_take("read");
	unsigned polls = __atomic_load_n(&fault.calls, __ATOMIC_RELAXED);

	if (error == 0 && __atomic_load_n(&fault.armed, __ATOMIC_ACQUIRE) &&
	    strcmp(fault.symbol, "poll") == 0 && polls < fault.at &&
	    polls < 3) {
		error = EAGAIN;
	}
	if (error != 0) {
		errno = error;
		return (-1);
	}
	return (__real_read(fd, buffer, size));
}

#define POSIX FILCH_DRIVER_POSIX
#define URING FILCH_DRIVER_URING

/* The error of a call that comes before the operation's own, or is its own. */
#define REPORTED(act, symbol, error)                                           \
	{                                                                      \
		"reported: " #act, #symbol, error, 0, POSIX, act_reported,     \
		    ACT_##act                                                  \
	}
#define ENDURED(act, symbol, error)                                            \
	{                                                                      \
		"endured: " #act, #symbol, error, 0, POSIX, act_endured,       \
		    ACT_##act                                                  \
	}
#define STORM(act, symbol, error)                                              \
	{                                                                      \
		"storm: " #act, #symbol, error, 2, POSIX, act_endured,         \
		    ACT_##act                                                  \
	}
#define ON_URING(how, act, symbol, error)                                      \
	{                                                                      \
		"uring " #how ": " #act, #symbol, error, 0, URING, act_##how,  \
		    ACT_##act                                                  \
	}

#define SHORT(act, symbol)                                                     \
	{                                                                      \
		"short: " #act, #symbol, FAULT_SHORT, 0, POSIX, act_shortened, \
		    ACT_##act                                                  \
	}
#define COMMIT(end, mode, symbol, error)                                       \
	{                                                                      \
		"commit " #end ": " #mode, #symbol, error, 0, POSIX,           \
		    commit_##end, FILCH_COMMIT_##mode                          \
	}

static const struct fault_case cases[] = {
	/* reads */
	ENDURED(READ, preadv2, EAGAIN),
	ENDURED(READ, preadv2, EINTR),
	ENDURED(READ, preadv2, EOPNOTSUPP),
	ENDURED(READ, preadv2, ENOSYS),
	REPORTED(READ, preadv2, EIO),
	REPORTED(READ, preadv2, EBADF),
	REPORTED(READ, preadv2, EISDIR),
	REPORTED(READ, preadv2, EINVAL),
	ENDURED(READ_TAIL, fstat, EIO),
	ENDURED(READ_COLD, pread, EINTR),
	STORM(READ_COLD, pread, EINTR),
	REPORTED(READ_COLD, pread, EIO),
	REPORTED(READ_COLD, pread, EBADF),
	REPORTED(READ_COLD, pread, EISDIR),
	REPORTED(READ_COLD, pread, EINVAL),
	REPORTED(READ_COLD, pread, EFAULT),
	ENDURED(READV, preadv, EINTR),
	REPORTED(READV, preadv, EIO),
	REPORTED(READV, preadv, EINVAL),
	/* writes */
	ENDURED(WRITE, pwrite, EINTR),
	STORM(WRITE, pwrite, EINTR),
	REPORTED(WRITE, pwrite, EIO),
	REPORTED(WRITE, pwrite, ENOSPC),
	REPORTED(WRITE, pwrite, EDQUOT),
	REPORTED(WRITE, pwrite, EFBIG),
	REPORTED(WRITE, pwrite, EBADF),
	REPORTED(WRITE, pwrite, EINVAL),
	REPORTED(WRITE, pwrite, EPERM),
	ENDURED(WRITEV, pwritev, EINTR),
	REPORTED(WRITEV, pwritev, EIO),
	REPORTED(WRITEV, pwritev, ENOSPC),
	ENDURED(WRITE_DURABLE, pwritev2, EINTR),
	ENDURED(WRITE_DURABLE, pwritev2, EOPNOTSUPP),
	ENDURED(WRITE_DURABLE, pwritev2, ENOSYS),
	REPORTED(WRITE_DURABLE, pwritev2, EIO),
	REPORTED(WRITE_DURABLE, pwritev2, ENOSPC),
	/* the same at the descriptor's own position */
	ENDURED(READ_ON, read, EINTR),
	STORM(READ_ON, read, EINTR),
	ENDURED(READV_ON, readv, EINTR),
	REPORTED(READV_ON, readv, EIO),
	REPORTED(READV_ON, readv, EINVAL),
	ENDURED(WRITE_ON, write, EINTR),
	ENDURED(WRITEV_ON, writev, EINTR),
	STORM(WRITEV_ON, writev, EINTR),
	REPORTED(WRITEV_ON, writev, EIO),
	REPORTED(WRITEV_ON, writev, ENOSPC),
	/* syncs */
	ENDURED(FSYNC, fsync, EINTR),
	STORM(FSYNC, fsync, EINTR),
	REPORTED(FSYNC, fsync, EIO),
	REPORTED(FSYNC, fsync, ENOSPC),
	REPORTED(FSYNC, fsync, EDQUOT),
	REPORTED(FSYNC, fsync, EROFS),
	REPORTED(FSYNC, fsync, EINVAL),
	ENDURED(FDATASYNC, fdatasync, EINTR),
	REPORTED(FDATASYNC, fdatasync, EIO),
	REPORTED(FDATASYNC, fdatasync, ENOSPC),
	REPORTED(FDATASYNC, fdatasync, EDQUOT),
	/* opening and closing */
	ENDURED(OPEN, openat, EINTR),
	STORM(OPEN, openat, EINTR),
	REPORTED(OPEN, openat, EACCES),
	REPORTED(OPEN, openat, EMFILE),
	REPORTED(OPEN, openat, ENFILE),
	REPORTED(OPEN, openat, ENOENT),
	REPORTED(OPEN, openat, ENOMEM),
	REPORTED(OPEN, openat, ENOSPC),
	REPORTED(OPEN, openat, ELOOP),
	REPORTED(OPEN, openat, EROFS),
	REPORTED(OPEN, fstat, EIO),
	REPORTED(OPEN, fstat, ENOMEM),
	REPORTED(OPEN, fstat, EOVERFLOW),
	REPORTED(OPEN, fcntl, EBADF),
	ON_URING(reported, OPEN, fstat, EIO),
	ON_URING(reported, OPEN, fcntl, EBADF),
	ENDURED(CLOSE, close, EINTR),
	REPORTED(CLOSE, close, EIO),
	REPORTED(CLOSE, close, ENOSPC),
	REPORTED(CLOSE, close, EDQUOT),
	/* the rest of files */
	ENDURED(STAT, fstatat, EINTR),
	REPORTED(STAT, fstatat, EACCES),
	REPORTED(STAT, fstatat, ENOENT),
	REPORTED(STAT, fstatat, ENOMEM),
	REPORTED(FSTAT, fstat, EIO),
	REPORTED(FSTAT, fstat, ENOMEM),
	ENDURED(FALLOCATE, fallocate, EINTR),
	REPORTED(FALLOCATE, fallocate, ENOSPC),
	REPORTED(FALLOCATE, fallocate, EFBIG),
	REPORTED(FALLOCATE, fallocate, EOPNOTSUPP),
	REPORTED(FALLOCATE, fallocate, ENOSYS),
	REPORTED(FALLOCATE, fallocate, EIO),
	ENDURED(TRUNCATE, ftruncate, EINTR),
	REPORTED(TRUNCATE, ftruncate, EIO),
	REPORTED(TRUNCATE, ftruncate, EFBIG),
	REPORTED(TRUNCATE, ftruncate, EPERM),
	ON_URING(endured, TRUNCATE, ftruncate, EINTR),
	ON_URING(reported, TRUNCATE, ftruncate, EIO),
	REPORTED(UNLINK, unlinkat, EACCES),
	REPORTED(UNLINK, unlinkat, EBUSY),
	REPORTED(UNLINK, unlinkat, EIO),
	REPORTED(UNLINK, unlinkat, EROFS),
	REPORTED(RENAME, renameat, EACCES),
	REPORTED(RENAME, renameat, EBUSY),
	REPORTED(RENAME, renameat, ENOSPC),
	REPORTED(RENAME, renameat, EXDEV),
	/* descriptors that can be waited for */
	ENDURED(PIPE_READ, preadv2, EAGAIN),
	ENDURED(PIPE_READ, preadv2, EINTR),
	ENDURED(PIPE_READ, preadv2, EOPNOTSUPP),
	STORM(PIPE_READ, preadv2, EAGAIN),
	REPORTED(PIPE_READ, preadv2, EIO),
	ENDURED(PIPE_WRITE, pwritev2, EAGAIN),
	ENDURED(PIPE_WRITE, pwritev2, EINTR),
	ENDURED(PIPE_WRITE, pwritev2, EOPNOTSUPP),
	REPORTED(PIPE_WRITE, pwritev2, EPIPE),
	ENDURED(PIPE_WAIT, read, EINTR),
	ENDURED(PIPE_WAIT, read, EAGAIN),
	ENDURED(SOCKET_READ, recvmsg, EAGAIN),
	ENDURED(SOCKET_READ, recvmsg, EINTR),
	STORM(SOCKET_READ, recvmsg, EINTR),
	REPORTED(SOCKET_READ, recvmsg, ECONNRESET),
	REPORTED(SOCKET_READ, recvmsg, ENOMEM),
	ENDURED(SOCKET_WRITE, sendmsg, EAGAIN),
	ENDURED(SOCKET_WRITE, sendmsg, EINTR),
	REPORTED(SOCKET_WRITE, sendmsg, EPIPE),
	REPORTED(SOCKET_WRITE, sendmsg, ECONNRESET),
	REPORTED(SOCKET_WRITE, sendmsg, ENOBUFS),
	ENDURED(TTY_READ, read, EINTR),
	ENDURED(TTY_READ, read, EAGAIN),
	ENDURED(TTY_READ, poll, EINTR),
	ENDURED(TTY_READ, poll, ENOMEM),
	/* short transfers; one that was inline is made whole by the pool */
	ENDURED(READ, preadv2, FAULT_SHORT),
	SHORT(READ_COLD, pread),
	SHORT(READV, preadv),
	SHORT(WRITE, pwrite),
	SHORT(WRITEV, pwritev),
	SHORT(WRITE_DURABLE, pwritev2),
	/* commits */
	COMMIT(durable, FDATASYNC, pwrite, EINTR),
	COMMIT(durable, FDATASYNC, pwrite, FAULT_SHORT),
	COMMIT(durable, DSYNC, pwritev2, EINTR),
	COMMIT(durable, DSYNC, pwritev2, EOPNOTSUPP),
	COMMIT(durable, FDATASYNC, fdatasync, EINTR),
	COMMIT(failed, FDATASYNC, pwrite, ENOSPC),
	COMMIT(failed, FDATASYNC, pwrite, EIO),
	COMMIT(failed, DSYNC, pwritev2, ENOSPC),
	COMMIT(failed, DSYNC, pwritev2, EIO),
	COMMIT(failed, FDATASYNC, fdatasync, EINVAL),
	COMMIT(failed, FSYNC, fsync, EROFS),
	COMMIT(poisoned, FDATASYNC, fdatasync, EIO),
	COMMIT(poisoned, FDATASYNC, fdatasync, ENOSPC),
	COMMIT(poisoned, FSYNC, fsync, EDQUOT),
	COMMIT(group_poisoned, FDATASYNC, fdatasync, EIO),
};

FAULT_MAIN(cases)

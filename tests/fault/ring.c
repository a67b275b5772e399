/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Completions that tell of an error: an entry on its way to the kernel is
 * turned into one that does nothing and completes with the error wanted
 * (IORING_NOP_INJECT_RESULT, Linux 6.10), or is made half as long.
 *
 * The symbol of a case is the entry's opcode, or EVENT for the read of the
 * eventfd.  Not here: a cancel that fails, which says that its target is done.
 */
#include "commits.h"

#include <pthread.h>

#if !defined(FILCH_HAVE_URING)

int
main(void)
{
	printf("1..0 # SKIP built without io_uring\n");
	return (77);
}

#else

#include <liburing.h>

#include "reactor/uring.h"

#define NOP_INJECT_RESULT 1u
#define RINGS_MAX         64

static struct {
	int fd;
	struct io_uring *ring;
	unsigned seen; /* entries before it were looked at */
} rings[RINGS_MAX];
static unsigned ring_count;
static pthread_mutex_t entering = PTHREAD_MUTEX_INITIALIZER;

int __real_io_uring_queue_init_params(
    unsigned entries, struct io_uring *ring, struct io_uring_params *params);
int __wrap_io_uring_queue_init_params(
    unsigned entries, struct io_uring *ring, struct io_uring_params *params);
int __wrap_io_uring_register(
    unsigned fd, unsigned opcode, const void *arg, unsigned count);
int __real_io_uring_enter(unsigned fd, unsigned submit, unsigned wait,
    unsigned flags, sigset_t *mask);
int __wrap_io_uring_enter(unsigned fd, unsigned submit, unsigned wait,
    unsigned flags, sigset_t *mask);

int
__wrap_io_uring_queue_init_params(
    unsigned entries, struct io_uring *ring, struct io_uring_params *params)
{
	int result = __real_io_uring_queue_init_params(entries, ring, params);

	if (result >= 0) {
		FAULT_CHECK(ring_count < RINGS_MAX);
		rings[ring_count].fd = ring->ring_fd;
		rings[ring_count].ring = ring;
		rings[ring_count].seen = 0;
		ring_count++;
	}
	return (result);
}

/* So that calls name their ring by its descriptor, as before Linux 5.18. */
int
__wrap_io_uring_register(
    unsigned fd, unsigned opcode, const void *arg, unsigned count)
{
	(void)fd;
	(void)arg;
	(void)count;
	FAULT_EQUAL(opcode, IORING_REGISTER_RING_FDS);
	return (-EINVAL);
}

static const char *
entry_symbol(const struct io_uring_sqe *sqe)
{
	static const char *const names[] = {
		[IORING_OP_READ] = "READ",
		[IORING_OP_WRITE] = "WRITE",
		[IORING_OP_READV] = "READV",
		[IORING_OP_WRITEV] = "WRITEV",
		[IORING_OP_FSYNC] = "FSYNC",
		[IORING_OP_OPENAT] = "OPENAT",
		[IORING_OP_CLOSE] = "CLOSE",
		[IORING_OP_STATX] = "STATX",
		[IORING_OP_FALLOCATE] = "FALLOCATE",
		[IORING_OP_UNLINKAT] = "UNLINKAT",
		[IORING_OP_RENAMEAT] = "RENAMEAT",
		[IORING_OP_POLL_ADD] = "POLL_ADD",
	};

	if ((sqe->user_data & FILCH__URING_TAG_MASK) == FILCH__URING_EVENT) {
		return ("EVENT");
	}
	return (sqe->opcode < sizeof(names) / sizeof(names[0]) &&
		    names[sqe->opcode] != NULL
		? names[sqe->opcode]
		: "other");
}

static void
entry_spoil(struct io_uring_sqe *sqe, int error)
{
	uint64_t user_data = sqe->user_data;

	if (error == FAULT_SHORT) {
		sqe->len = (sqe->len + 1) / 2;
		return;
	}
	if (sqe->opcode == IORING_OP_CLOSE && error != ECANCELED) {
		/* the descriptor is gone whatever the result */
		FAULT_EQUAL(close(sqe->fd), 0);
	}
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_NOP;
	sqe->rw_flags = NOP_INJECT_RESULT;
	sqe->len = (unsigned)-error;
	sqe->user_data = user_data;
}

/* Kernels of today poll by themselves, unless a read says EAGAIN. */
static bool
poll_is_wanted(void)
{
	unsigned polls = __atomic_load_n(&fault.calls, __ATOMIC_RELAXED);

	return (__atomic_load_n(&fault.armed, __ATOMIC_ACQUIRE) &&
	    strcmp(fault.symbol, "POLL_ADD") == 0 && polls < fault.at &&
	    polls < 3);
}

/* Look once at each entry that the kernel has not taken yet. */
static void
entries_look(unsigned fd)
{
	unsigned i = ring_count;
	struct io_uring_sq *sq;
	unsigned head;
	unsigned tail;

	/* the latest: a descriptor is used again */
	do {
		FAULT_CHECK(i > 0);
		i--;
	} while (rings[i].fd != (int)fd);
	sq = &rings[i].ring->sq;
	head = __atomic_load_n(sq->khead, __ATOMIC_ACQUIRE);
	tail = __atomic_load_n(sq->ktail, __ATOMIC_ACQUIRE);
	if ((int)(rings[i].seen - head) > 0) {
		head = rings[i].seen;
	}
	for (; head != tail; head++) {
		struct io_uring_sqe *sqe = &sq->sqes[head & sq->ring_mask];
		const char *symbol = entry_symbol(sqe);
		int error = fault_take(symbol);

		if (error == 0 && strcmp(symbol, "READ") == 0 &&
		    poll_is_wanted()) {
			error = EAGAIN;
		}
		if (error != 0) {
			entry_spoil(sqe, error);
		}
	}
	rings[i].seen = tail;
}

int
__wrap_io_uring_enter(
    unsigned fd, unsigned submit, unsigned wait, unsigned flags, sigset_t *mask)
{
	int result;

	pthread_mutex_lock(&entering);
	entries_look(fd);
	if (wait == 0) {
		result = __real_io_uring_enter(fd, submit, wait, flags, mask);
		pthread_mutex_unlock(&entering);
		return (result);
	}
	pthread_mutex_unlock(&entering);
	return (__real_io_uring_enter(fd, submit, wait, flags, mask));
}

/* True if this kernel lets us choose a result. */
static bool
can_inject(void)
{
	struct io_uring ring;
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe = NULL;
	int result = 0;

	if (io_uring_queue_init(2, &ring, 0) < 0) {
		return (false);
	}
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_nop(sqe);
	sqe->rw_flags = NOP_INJECT_RESULT;
	sqe->len = (unsigned)-EDOM;
	if (io_uring_submit_and_wait(&ring, 1) == 1 &&
	    io_uring_peek_cqe(&ring, &cqe) == 0) {
		result = cqe->res;
	}
	io_uring_queue_exit(&ring);
	return (result == -EDOM);
}

#define URING FILCH_DRIVER_URING

#define REPORTED(act, symbol, error)                                           \
	{                                                                      \
		"reported: " #act, #symbol, error, 0, URING, act_reported,     \
		    ACT_##act                                                  \
	}
#define ENDURED(act, symbol, error)                                            \
	{                                                                      \
		"endured: " #act, #symbol, error, 0, URING, act_endured,       \
		    ACT_##act                                                  \
	}
#define HANDED_ON(act, symbol, error)                                          \
	{                                                                      \
		"handed on: " #act, #symbol, error, 0, URING, act_handed_on,   \
		    ACT_##act                                                  \
	}
#define SHORT(act, symbol)                                                     \
	{                                                                      \
		"short: " #act, #symbol, FAULT_SHORT, 0, URING, act_shortened, \
		    ACT_##act                                                  \
	}
#define WORK(symbol, error, every)                                             \
	{                                                                      \
		"all work", #symbol, error, every, URING, work_endured, 0      \
	}
#define COMMIT(end, mode, symbol, error)                                       \
	{                                                                      \
		"commit " #end ": " #mode, #symbol, error, 0, URING,           \
		    commit_##end, FILCH_COMMIT_##mode                          \
	}

static const struct fault_case cases[] = {
	ENDURED(READ_COLD, READ, EINTR),
	HANDED_ON(READ_COLD, READ, EAGAIN),
	HANDED_ON(READ_COLD, READ, EOPNOTSUPP),
	HANDED_ON(READ_COLD, READ, ENOSYS),
	REPORTED(READ_COLD, READ, EIO),
	REPORTED(READ_COLD, READ, EBADF),
	REPORTED(READ_COLD, READ, EFAULT),
	REPORTED(READ_COLD, READ, EINVAL),
	REPORTED(READ_COLD, READ, EISDIR),
	REPORTED(READ_COLD, READ, ENOMEM),
	SHORT(READ_COLD, READ),
	ENDURED(READV, READV, EINTR),
	HANDED_ON(READV, READV, EAGAIN),
	REPORTED(READV, READV, EIO),
	SHORT(READV, READV),
	ENDURED(WRITE, WRITE, EINTR),
	HANDED_ON(WRITE, WRITE, EAGAIN),
	HANDED_ON(WRITE, WRITE, EOPNOTSUPP),
	REPORTED(WRITE, WRITE, EIO),
	REPORTED(WRITE, WRITE, ENOSPC),
	REPORTED(WRITE, WRITE, EDQUOT),
	REPORTED(WRITE, WRITE, EFBIG),
	REPORTED(WRITE, WRITE, EINVAL),
	REPORTED(WRITE, WRITE, EPERM),
	SHORT(WRITE, WRITE),
	ENDURED(WRITEV, WRITEV, EINTR),
	REPORTED(WRITEV, WRITEV, EIO),
	SHORT(WRITEV, WRITEV),
	HANDED_ON(WRITE_DURABLE, WRITE, EOPNOTSUPP),
	REPORTED(WRITE_DURABLE, WRITE, EIO),
	ENDURED(FSYNC, FSYNC, EINTR),
	HANDED_ON(FSYNC, FSYNC, EAGAIN),
	REPORTED(FSYNC, FSYNC, EIO),
	REPORTED(FSYNC, FSYNC, ENOSPC),
	REPORTED(FSYNC, FSYNC, EDQUOT),
	REPORTED(FDATASYNC, FSYNC, EIO),
	ENDURED(OPEN, OPENAT, EINTR),
	HANDED_ON(OPEN, OPENAT, EAGAIN),
	REPORTED(OPEN, OPENAT, EACCES),
	REPORTED(OPEN, OPENAT, EMFILE),
	REPORTED(OPEN, OPENAT, ENFILE),
	REPORTED(OPEN, OPENAT, ENOMEM),
	REPORTED(OPEN, OPENAT, ENOSPC),
	ENDURED(CLOSE, CLOSE, EINTR),
	ENDURED(CLOSE, CLOSE, ECANCELED),
	REPORTED(CLOSE, CLOSE, EIO),
	REPORTED(CLOSE, CLOSE, ENOSPC),
	REPORTED(CLOSE, CLOSE, EDQUOT),
	ENDURED(STAT, STATX, EINTR),
	HANDED_ON(STAT, STATX, EAGAIN),
	REPORTED(STAT, STATX, EACCES),
	REPORTED(FSTAT, STATX, EIO),
	ENDURED(FALLOCATE, FALLOCATE, EINTR),
	HANDED_ON(FALLOCATE, FALLOCATE, EOPNOTSUPP),
	REPORTED(FALLOCATE, FALLOCATE, ENOSPC),
	REPORTED(FALLOCATE, FALLOCATE, EFBIG),
	ENDURED(UNLINK, UNLINKAT, EINTR),
	HANDED_ON(UNLINK, UNLINKAT, EAGAIN),
	REPORTED(UNLINK, UNLINKAT, EBUSY),
	REPORTED(UNLINK, UNLINKAT, EROFS),
	ENDURED(RENAME, RENAMEAT, EINTR),
	REPORTED(RENAME, RENAMEAT, EXDEV),
	REPORTED(RENAME, RENAMEAT, ENOSPC),
	ENDURED(PIPE_READ, READ, EAGAIN),
	ENDURED(PIPE_READ, READ, EINTR),
	ENDURED(PIPE_WAIT, READ, EAGAIN),
	ENDURED(PIPE_WAIT, POLL_ADD, EINTR),
	ENDURED(PIPE_WAIT, POLL_ADD, ENOMEM),
	ENDURED(PIPE_WRITE, WRITE, EAGAIN),
	REPORTED(PIPE_WRITE, WRITE, EPIPE),
	ENDURED(SOCKET_READ, READ, EAGAIN),
	REPORTED(SOCKET_READ, READ, ECONNRESET),
	REPORTED(SOCKET_WRITE, WRITE, ECONNRESET),
	ENDURED(TTY_READ, READ, EAGAIN),
	REPORTED(TTY_READ, READ, EIO),
	WORK(READ, EINTR, 2),
	WORK(WRITE, EINTR, 2),
	WORK(READ, EAGAIN, 2),
	WORK(WRITE, EAGAIN, 2),
	WORK(WRITE, EOPNOTSUPP, 2),
	WORK(EVENT, EINTR, 0),
	WORK(EVENT, ECANCELED, 2),
	COMMIT(durable, FDATASYNC, WRITE, EINTR),
	COMMIT(durable, FDATASYNC, WRITE, FAULT_SHORT),
	COMMIT(durable, DSYNC, WRITE, EINTR),
	COMMIT(durable, DSYNC, WRITE, EOPNOTSUPP),
	COMMIT(durable, FDATASYNC, FSYNC, EINTR),
	COMMIT(durable, FSYNC, FSYNC, EAGAIN),
	COMMIT(failed, FDATASYNC, WRITE, ENOSPC),
	COMMIT(failed, FDATASYNC, WRITE, EIO),
	COMMIT(failed, DSYNC, WRITE, ENOSPC),
	COMMIT(failed, DSYNC, WRITE, EIO),
	COMMIT(failed, FDATASYNC, FSYNC, EINVAL),
	COMMIT(failed, FDATASYNC, FSYNC, EROFS),
	COMMIT(poisoned, FDATASYNC, FSYNC, EIO),
	COMMIT(poisoned, FDATASYNC, FSYNC, ENOSPC),
	COMMIT(poisoned, FSYNC, FSYNC, EDQUOT),
	COMMIT(group_poisoned, FDATASYNC, FSYNC, EIO),
};

int
main(int argc, char **argv)
{
	if (!can_inject()) {
		printf("1..0 # SKIP no io_uring whose results can be chosen\n");
		return (77);
	}
	return (
	    fault_main(cases, sizeof(cases) / sizeof(cases[0]), argc, argv));
}

#endif

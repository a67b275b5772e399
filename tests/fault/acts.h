/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Acts: each kind of operation with all that it needs, what comes out when all
 * is well, and what must hold whether it went well or not.
 */
#ifndef TESTS_FAULT_ACTS_H
#define TESTS_FAULT_ACTS_H

#include "work.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <sched.h>

#define ACT_SIZE 4096

enum act_kind {
	ACT_READ,      /* of cached pages */
	ACT_READ_COLD, /* not on the worker */
	ACT_READ_TAIL, /* up to the end of the file and beyond */
	ACT_READV,
	ACT_WRITE,
	ACT_WRITEV,
	ACT_WRITE_DURABLE,
	ACT_READ_ON, /* at the descriptor's own position */
	ACT_READV_ON,
	ACT_WRITE_ON,
	ACT_WRITEV_ON,
	ACT_FSYNC,
	ACT_FDATASYNC,
	ACT_OPEN,
	ACT_CLOSE,
	ACT_STAT,
	ACT_FSTAT,
	ACT_FALLOCATE,
	ACT_TRUNCATE,
	ACT_UNLINK,
	ACT_RENAME,
	ACT_PIPE_READ,
	ACT_PIPE_WRITE,
	ACT_PIPE_WAIT, /* empty and non-blocking; filled later */
	ACT_SOCKET_READ,
	ACT_SOCKET_WRITE,
	ACT_TTY_READ /* a character device */
};

struct act {
	enum act_kind kind;
	struct filch_executor *executor;
	struct filch_file file;
	struct filch_op op;
	struct filch_stat stat;
	struct iovec iov[2];
	int fd;   /* of file, which a close forgets */
	int peer; /* the other end, or -1 */
	char path[64];
	char other[80];
	char data[ACT_SIZE];
};

/* Two connected descriptors; the first one for the operation. */
static inline void
act_connect(struct act *act)
{
	int fds[2];
	int kept;

	switch (act->kind) {
	case ACT_SOCKET_READ:
	case ACT_SOCKET_WRITE:
		FAULT_EQUAL(
		    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
		break;
	case ACT_TTY_READ:
		fds[0] =
		    posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
		FAULT_CHECK(fds[0] >= 0);
		FAULT_EQUAL(unlockpt(fds[0]), 0);
		fds[1] = open(ptsname(fds[0]), O_RDWR | O_NOCTTY | O_CLOEXEC);
		FAULT_CHECK(fds[1] >= 0);
		break;
	default:
		FAULT_EQUAL(
		    pipe2(fds,
			act->kind == ACT_PIPE_WAIT ? O_CLOEXEC | O_NONBLOCK
						   : O_CLOEXEC),
		    0);
		if (act->kind == ACT_PIPE_WRITE) {
			kept = fds[0];
			fds[0] = fds[1];
			fds[1] = kept;
		}
		break;
	}
	act->fd = fds[0];
	act->peer = fds[1];
	if (act->kind == ACT_PIPE_READ || act->kind == ACT_SOCKET_READ ||
	    act->kind == ACT_TTY_READ) {
		FAULT_EQUAL(write(act->peer, "12345678", 8), 8);
	}
}

static inline void
act_open(struct act *act, enum act_kind kind, int driver)
{
	memset(act, 0, sizeof(*act));
	act->kind = kind;
	act->peer = -1;
	(void)snprintf(act->path, sizeof(act->path), "/tmp/filch-fault-%ld",
	    (long)getpid());
	(void)snprintf(act->other, sizeof(act->other), "%s-2", act->path);
	/* another process of this number may have been killed */
	(void)unlink(act->path);
	(void)unlink(act->other);
	act->fd = open(act->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	FAULT_CHECK(act->fd >= 0);
	memset(act->data, 'd', sizeof(act->data));
	FAULT_EQUAL(pwrite(act->fd, act->data, ACT_SIZE, 0), ACT_SIZE);
	if (kind >= ACT_PIPE_READ) {
		(void)close(act->fd);
		act_connect(act);
	}
	FAULT_EQUAL(filch_file_init(&act->file, act->fd), 0);
	if (kind == ACT_OPEN) {
		(void)close(act->fd);
		act->file = (struct filch_file)FILCH_FILE_INIT;
	}
	FAULT_EQUAL(work_create(driver, &act->executor), 0);
}

/* Prepare a transfer; its result when all is well. */
static inline int64_t
act_prepare_transfer(struct act *act)
{
	struct filch_op *op = &act->op;
	struct filch_file *file = &act->file;
	char *data = act->data;

	act->iov[0] = (struct iovec){ data, ACT_SIZE / 2 };
	act->iov[1] = (struct iovec){ data + ACT_SIZE / 2, ACT_SIZE / 2 };
	switch (act->kind) {
	case ACT_READ:
	case ACT_READ_COLD:
		filch_op_init_read(op, file, data, ACT_SIZE, 0);
		break;
	case ACT_READ_TAIL:
		filch_op_init_read(op, file, data, ACT_SIZE, ACT_SIZE / 2);
		return (ACT_SIZE / 2);
	case ACT_READV:
		filch_op_init_readv(op, file, act->iov, 2, 0);
		break;
	case ACT_WRITE:
	case ACT_WRITE_DURABLE:
		filch_op_init_write(op, file, data, ACT_SIZE, 0);
		break;
	case ACT_WRITEV:
		filch_op_init_writev(op, file, act->iov, 2, 0);
		break;
	case ACT_READ_ON:
		filch_op_init_read(
		    op, file, data, ACT_SIZE, FILCH_OFFSET_CURRENT);
		break;
	case ACT_READV_ON:
		filch_op_init_readv(
		    op, file, act->iov, 2, FILCH_OFFSET_CURRENT);
		break;
	case ACT_WRITE_ON:
		filch_op_init_write(
		    op, file, data, ACT_SIZE, FILCH_OFFSET_CURRENT);
		break;
	case ACT_WRITEV_ON:
		filch_op_init_writev(
		    op, file, act->iov, 2, FILCH_OFFSET_CURRENT);
		break;
	case ACT_PIPE_WRITE:
	case ACT_SOCKET_WRITE:
		filch_op_init_write(
		    op, file, "12345678", 8, FILCH_OFFSET_CURRENT);
		return (8);
	default:
		filch_op_init_read(op, file, data, 8, FILCH_OFFSET_CURRENT);
		return (8);
	}
	if (act->kind == ACT_WRITE_DURABLE) {
		filch_op_set_flags(op, FILCH_OP_DSYNC);
	} else if (act->kind == ACT_READ_COLD || act->kind == ACT_READV) {
		filch_op_set_flags(op, FILCH_OP_NO_INLINE);
	}
	return (ACT_SIZE);
}

/* Prepare the operation; its result when all is well. */
static inline int64_t
act_prepare(struct act *act)
{
	struct filch_op *op = &act->op;
	int directory = FILCH_DIRECTORY_CURRENT;

	switch (act->kind) {
	case ACT_FSYNC:
		filch_op_init_fsync(op, &act->file);
		return (0);
	case ACT_FDATASYNC:
		filch_op_init_fdatasync(op, &act->file);
		return (0);
	case ACT_OPEN:
		filch_op_init_open(
		    op, &act->file, directory, act->path, O_RDONLY, 0);
		return (0);
	case ACT_CLOSE:
		filch_op_init_close(op, &act->file);
		return (0);
	case ACT_STAT:
		filch_op_init_stat(op, directory, act->path, &act->stat);
		return (0);
	case ACT_FSTAT:
		filch_op_init_fstat(op, &act->file, &act->stat);
		return (0);
	case ACT_FALLOCATE:
		filch_op_init_fallocate(op, &act->file, 0, 2 * ACT_SIZE);
		return (0);
	case ACT_TRUNCATE:
		filch_op_init_truncate(op, &act->file, 1);
		return (0);
	case ACT_UNLINK:
		filch_op_init_unlink(op, directory, act->path);
		return (0);
	case ACT_RENAME:
		filch_op_init_rename(
		    op, directory, act->path, directory, act->other);
		return (0);
	default:
		memset(act->data, 'n', sizeof(act->data));
		return (act_prepare_transfer(act));
	}
}

/* Carry the operation out; its one result. */
static inline int64_t
act_perform(struct act *act)
{
	struct work_one one;

	work_start(act->executor, &one, &act->op);
	if (act->kind == ACT_PIPE_WAIT) {
		/* at least one attempt or wait has been made */
		while (__atomic_load_n(&fault.calls, __ATOMIC_RELAXED) == 0) {
			sched_yield();
		}
		FAULT_EQUAL(write(act->peer, "12345678", 8), 8);
	}
	return (work_end(&one));
}

/* The size of the file, -1 if there is none. */
static inline int64_t
act_size(const char *path)
{
	struct stat stat;

	return (lstat(path, &stat) == 0 ? (int64_t)stat.st_size : -1);
}

/* What a transfer has done. */
static inline void
act_check_transfer(struct act *act, int64_t result)
{
	char got[ACT_SIZE] = "";
	char expected = 'd';

	switch (act->kind) {
	case ACT_WRITE:
	case ACT_WRITEV:
	case ACT_WRITE_DURABLE:
	case ACT_WRITE_ON:
	case ACT_WRITEV_ON:
		FAULT_EQUAL(pread(act->fd, got, ACT_SIZE, 0), ACT_SIZE);
		if (result > 0) {
			FAULT_EQUAL(got[result - 1], 'n');
		}
		break;
	case ACT_PIPE_WRITE:
	case ACT_SOCKET_WRITE:
		if (result > 0) {
			FAULT_EQUAL(read(act->peer, got, 16), result);
			FAULT_EQUAL(memcmp(got, "12345678", 8), 0);
		}
		break;
	default:
		if (act->kind >= ACT_PIPE_READ) {
			expected = '8';
		}
		if (result > 0) {
			FAULT_EQUAL(act->data[result - 1], expected);
		}
		break;
	}
}

/* What must hold after result. */
static inline void
act_check(struct act *act, int64_t result)
{
	switch (act->kind) {
	case ACT_OPEN:
		FAULT_EQUAL(act->file.fd >= 0, result == 0);
		act->fd = act->file.fd;
		break;
	case ACT_CLOSE:
		FAULT_EQUAL(act->file.fd, -1);
		FAULT_EQUAL(fcntl(act->fd, F_GETFD), -1);
		act->fd = -1;
		break;
	case ACT_STAT:
	case ACT_FSTAT:
		if (result == 0) {
			FAULT_EQUAL(act->stat.size, ACT_SIZE);
		}
		break;
	case ACT_FALLOCATE:
		FAULT_EQUAL(
		    act_size(act->path), result == 0 ? 2 * ACT_SIZE : ACT_SIZE);
		break;
	case ACT_TRUNCATE:
		FAULT_EQUAL(act_size(act->path), result == 0 ? 1 : ACT_SIZE);
		break;
	case ACT_UNLINK:
		FAULT_EQUAL(act_size(act->path), result == 0 ? -1 : ACT_SIZE);
		break;
	case ACT_RENAME:
		FAULT_EQUAL(act_size(act->path), result == 0 ? -1 : ACT_SIZE);
		FAULT_EQUAL(act_size(act->other), result == 0 ? ACT_SIZE : -1);
		break;
	case ACT_FSYNC:
	case ACT_FDATASYNC:
		break;
	default:
		act_check_transfer(act, result);
		break;
	}
}

static inline void
act_close(struct act *act)
{
	filch_executor_destroy(act->executor);
	if (act->fd >= 0) {
		FAULT_EQUAL(close(act->fd), 0);
	}
	if (act->peer >= 0) {
		FAULT_EQUAL(close(act->peer), 0);
	}
	(void)unlink(act->path);
	(void)unlink(act->other);
}

enum act_end {
	ACT_REPORTED,  /* the error is the operation's result */
	ACT_ENDURED,   /* the operation goes well all the same */
	ACT_HANDED_ON, /* the same, by the pool, and that was counted */
	ACT_SHORTENED  /* half of it is done */
};

/* Operations that the ring refused and the pool carried out. */
static inline uint64_t
act_refusals(const struct act *act)
{
	struct filch_worker_stats stats;
	uint64_t count = 0;
	unsigned i;

	for (i = 0; i < filch_executor_worker_count(act->executor); i++) {
		FAULT_EQUAL(
		    filch_executor_get_worker_stats(act->executor, i, &stats),
		    0);
		count += stats.fallbacks[FILCH_FALLBACK_REFUSED];
	}
	return (count);
}

static inline void
act_run(const struct fault_case *one, unsigned at, enum act_end end)
{
	struct act act;
	int64_t expected;
	int64_t result;

	fault_leak_begin();
	act_open(&act, (enum act_kind)one->what, one->driver);
	expected = act_prepare(&act);
	fault_arm(one->symbol, one->error, at, one->every);
	result = act_perform(&act);
	fault_disarm();
	if (fault_met() > 0 && end == ACT_REPORTED) {
		expected = -one->error;
	} else if (fault_met() > 0 && end == ACT_SHORTENED) {
		expected /= 2;
	}
	FAULT_EQUAL(result, expected);
	if (end == ACT_HANDED_ON) {
		FAULT_EQUAL(act_refusals(&act), fault_met());
	}
	act_check(&act, result);
	act_close(&act);
	fault_leak_end();
}

static inline void
act_reported(const struct fault_case *one, unsigned at)
{
	act_run(one, at, ACT_REPORTED);
}

static inline void
act_endured(const struct fault_case *one, unsigned at)
{
	act_run(one, at, ACT_ENDURED);
}

static inline void
act_handed_on(const struct fault_case *one, unsigned at)
{
	act_run(one, at, ACT_HANDED_ON);
}

static inline void
act_shortened(const struct fault_case *one, unsigned at)
{
	act_run(one, at, ACT_SHORTENED);
}

#endif /* TESTS_FAULT_ACTS_H */

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operations on files.
 *
 * An operation is prepared by one of the filch_op_init functions and then
 * polled by a task until it is ready; the first poll starts it.
 *
 *     filch_op_init_read(&r->op, &r->file, r->buffer, sizeof(r->buffer), 0);
 *     ...
 *     if (filch_op_poll(&r->op, task, &n) == FILCH_PENDING)
 *             return (FILCH_PENDING);
 *
 * Memory, for all of them.  The operation, its file, buffers, vectors and
 * paths are pinned from the first poll until a poll returns FILCH_READY; an
 * accepted operation completes exactly once, and nothing of it is touched
 * after that.  Cancelling asks; the completion answers.  The operation may
 * then be prepared again.  Preparing starts nothing, cannot fail, and may be
 * done anew at any time until the first poll.
 *
 * Threads, for all that prepare: any that has the operation to itself.
 *
 * Results, for all of them: a count or 0, or -errno as the system gives it, of
 * which the usual ones are named; -ECANCELED after a cancel or in a cancelled
 * task; -ETIMEDOUT after its deadline; -EAGAIN only with FILCH_OP_NOWAIT;
 * -ESHUTDOWN when the executor shuts down at once.  -EINTR never: the call is
 * made again.  -EAGAIN of a non-blocking descriptor never: the operation waits
 * until it can go on.  A closed file gives -EBADF.  Of two operations in
 * flight neither is first, also on one file.
 *
 * Systems, for all of them: io_uring where the kernel has the opcode named;
 * FreeBSD's aio(4) for transfers at an offset, syncs and locking memory; else
 * the system call named, on a thread of the blocking pool; on pipes and sockets
 * without a thread, as soon as poll(2) or kqueue(2) says that it will not
 * block.
 */
#ifndef FILCH_OP_H
#define FILCH_OP_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base.h"
#include "file.h"
#include "time.h"

FILCH_BEGIN_DECLS

/*
 * The descriptor's own position.  Pipes, sockets and other streams have no
 * offsets: a transfer at any other than this gives -ESPIPE.
 */
#define FILCH_OFFSET_CURRENT UINT64_MAX

/* The working directory, for operations on paths (AT_FDCWD). */
#define FILCH_DIRECTORY_CURRENT (-100)

/* What an operation does; also the index into filch_stats. */
enum filch_opcode {
	FILCH_OP_READ,
	FILCH_OP_WRITE,
	FILCH_OP_READV,
	FILCH_OP_WRITEV,
	FILCH_OP_FSYNC,
	FILCH_OP_FDATASYNC,
	FILCH_OP_OPEN,
	FILCH_OP_CLOSE,
	FILCH_OP_STAT,
	FILCH_OP_FALLOCATE,
	FILCH_OP_TRUNCATE,
	FILCH_OP_UNLINK,
	FILCH_OP_RENAME,
	FILCH_OP_MLOCK,
	FILCH_OP_CALL,
	FILCH_OP_COUNT
};

/* filch_op_set_flags(), in any combination. */
enum {
	/*
	 * End with -EAGAIN instead of waiting for room in the driver or, in
	 * the pool, behind FILCH_POOL_DEPTH_NOWAIT others.  Closing waits.
	 */
	FILCH_OP_NOWAIT = 1 << 0,
	/* Reads: do not try it on the worker itself first; known cold. */
	FILCH_OP_NO_INLINE = 1 << 1,
	/*
	 * Writes: durable at completion, as after fdatasync (pwritev2(2) with
	 * RWF_DSYNC; where there is none, a write and fdatasync(2)).
	 */
	FILCH_OP_DSYNC = 1 << 2
};

/*
 * What filch_op_init_call() calls; its result is the operation's.
 * Threads: one of the blocking pool, where it may block; signals are blocked
 * there (base.h).
 */
typedef int64_t (*filch_call_fn)(void *arg);

/* What a file is. */
struct filch_stat {
	uint64_t size;      /* bytes */
	uint64_t allocated; /* bytes of disk space */
	uint64_t device;    /* identity: device and inode */
	uint64_t inode;
	int64_t modified_ns; /* this and the next two: since 1970 */
	int64_t changed_ns;
	int64_t accessed_ns;
	uint32_t mode; /* type and permissions, as st_mode */
	uint32_t links;
	uint32_t uid;
	uint32_t gid;
	uint32_t block_size; /* bytes; for efficient I/O */
	struct {
		uint64_t raw[40];
	} priv;
};

struct filch_op {
	struct {
		uint8_t opcode;
		uint8_t flags;
		uint16_t buffer_index;
		uint32_t state;
		struct filch_file *file;
		union {
			void *buffer;
			const void *source;
			const struct iovec *iov;
			const char *path;
			filch_call_fn call;
		} a;
		union {
			size_t size;
			uint64_t length;
			int iov_count;
			struct {
				int flags;
				mode_t mode;
			} open;
			const char *path;
			struct filch_stat *stat;
			void *arg;
		} b;
		uint64_t offset;
		int64_t result;
		struct filch_task *task;
		struct filch_op *next;
		/* up to here 64 bytes: all that a transfer changes twice */
		struct filch_batch *batch;
		struct filch_op *previous;
		void *shard;
		int directory;
		int directory_to;
		uint8_t cancel_asked; /* by its task, which alone looks */
		uint8_t stop_asked;   /* under the shard's lock */
		uint8_t pool_tried;   /* under the shard's lock */
		uint8_t pool_stop;    /* under the pool's lock */
		uint32_t timed_out;
		struct filch_timer timer;
	} priv;
};

/*
 * Read up to size bytes of file at offset (bytes) into buffer.
 * Result: bytes read, 0 at the end of the file; fewer than size only at the
 * end of the file, past FILCH_TRANSFER_MAX, or where the kernel gave fewer
 * (pipes, sockets, signals).
 * Errors: -EBADF not open for reading; -EISDIR; -EINVAL misaligned O_DIRECT;
 * -ESPIPE an offset on a stream; -EIO.
 * Systems: on Linux what is in the page cache is read on the worker, by
 * preadv2(2) with RWF_NOWAIT, or by pread(2) once a few hundred reads of file
 * in a row were cached: if its pages are dropped then, a few reads wait for the
 * disk in the poll, unless FILCH_OP_NO_INLINE is set.  On all systems, a copy
 * from the mapping of a file that has one (filch_file_map()).  Where many tasks
 * read at once, and for the rest: IORING_OP_READ, READ_FIXED; pread(2),
 * read(2).
 */
FILCH_API void filch_op_init_read(struct filch_op *op, struct filch_file *file,
    void *buffer, size_t size, uint64_t offset);

/*
 * Write up to size bytes from buffer to file at offset (bytes; ignored if
 * file is open for O_APPEND).
 * Result: bytes written, which may be fewer than size (a full disk, a signal,
 * RLIMIT_FSIZE, FILCH_TRANSFER_MAX); write the rest with another operation.
 * Errors: -EBADF not open for writing; -ENOSPC; -EDQUOT; -EFBIG; -EINVAL
 * misaligned O_DIRECT; -ESPIPE; -EIO; -EPIPE, without a SIGPIPE in any thread
 * of the program.
 */
FILCH_API void filch_op_init_write(struct filch_op *op, struct filch_file *file,
    const void *buffer, size_t size, uint64_t offset);

/*
 * The same over count buffers, in order.  count is 0 to FILCH_IOV_MAX:
 * anything else gives -EINVAL.  The array too is pinned.
 * Systems: IORING_OP_READV, WRITEV; preadv(2), pwritev(2).
 */
FILCH_API void filch_op_init_readv(struct filch_op *op, struct filch_file *file,
    const struct iovec *iov, int count, uint64_t offset);
FILCH_API void filch_op_init_writev(struct filch_op *op,
    struct filch_file *file, const struct iovec *iov, int count,
    uint64_t offset);

/*
 * Make file durable: data and metadata (fsync(2)), or data and what is needed
 * to read it back (fdatasync(2)).  It covers the writes that completed before
 * its first poll.  Result: 0.  Errors: -EBADF; -EINVAL, -EROFS what cannot be
 * synced; -EIO, -ENOSPC, -EDQUOT a write was lost, and this tells it once: a
 * later sync that succeeds proves nothing.  It does not poison file; commits
 * do (batch.h).
 * Systems: IORING_OP_FSYNC; fsync(2), fdatasync(2); where there is one,
 * fcntl(2) with F_FULLFSYNC.
 */
FILCH_API void filch_op_init_fsync(
    struct filch_op *op, struct filch_file *file);
FILCH_API void filch_op_init_fdatasync(
    struct filch_op *op, struct filch_file *file);

/*
 * Open path, relative to directory (a descriptor or
 * FILCH_DIRECTORY_CURRENT), with the flags and mode of openat(2); O_CLOEXEC is
 * added.  file is closed: FILCH_FILE_INIT, or a close has ended.  Result: 0,
 * and *file is open; a failed open leaves it as it was.  Errors: those of
 * openat(2).
 * Systems: IORING_OP_OPENAT; openat(2).
 */
FILCH_API void filch_op_init_open(struct filch_op *op, struct filch_file *file,
    int directory, const char *path, int flags, mode_t mode);

/*
 * Close file; its fd is -1 from the first poll on, whatever the result.
 * It is always carried out: no cancel, deadline or shutdown ends it early.
 * Result: 0.  Errors: -EBADF; -EIO, -ENOSPC, -EDQUOT of earlier writes, on
 * some file systems; the descriptor is gone all the same.  No other operation
 * on file is in flight, and a registered one was unregistered, a mapped one
 * unmapped (a misuse), before.
 * Systems: IORING_OP_CLOSE; close(2).
 */
FILCH_API void filch_op_init_close(
    struct filch_op *op, struct filch_file *file);

/*
 * Look at path, relative to directory, following symbolic links; or, with
 * path NULL, at the open file.  stat is pinned.  Result: 0, and *stat is
 * filled.  Errors: those of stat(2).
 * Systems: IORING_OP_STATX; fstatat(2), fstat(2).
 */
FILCH_API void filch_op_init_stat(struct filch_op *op, int directory,
    const char *path, struct filch_stat *stat);
FILCH_API void filch_op_init_fstat(
    struct filch_op *op, struct filch_file *file, struct filch_stat *stat);

/*
 * Give file disk space for length bytes at offset, and make it longer if it
 * ends before them.  Result: 0.  Errors: -ENOSPC; -EFBIG; -EBADF; -ENODEV or
 * -ESPIPE no regular file; -EOPNOTSUPP the file system cannot; -EINVAL length
 * 0, or one of the two too large.
 * Systems: IORING_OP_FALLOCATE; Linux fallocate(2), else posix_fallocate(3).
 */
FILCH_API void filch_op_init_fallocate(struct filch_op *op,
    struct filch_file *file, uint64_t offset, uint64_t length);

/*
 * Make file size bytes long.  Result: 0.  Errors: -EBADF or -EINVAL not open
 * for writing, or no regular file; -EFBIG; -EIO.
 * Systems: ftruncate(2).
 */
FILCH_API void filch_op_init_truncate(
    struct filch_op *op, struct filch_file *file, uint64_t size);

/*
 * Remove the name path of a file, relative to directory.  Result: 0.  Errors:
 * those of unlinkat(2) without flags; -EISDIR a directory.
 * Systems: IORING_OP_UNLINKAT; unlinkat(2).
 */
FILCH_API void filch_op_init_unlink(
    struct filch_op *op, int directory, const char *path);

/*
 * Give the file from, relative to directory_from, the name to, relative to
 * directory_to; what had that name is replaced, at once.  Result: 0.  Errors:
 * those of renameat(2).
 * Systems: IORING_OP_RENAMEAT; renameat(2).
 */
FILCH_API void filch_op_init_rename(struct filch_op *op, int directory_from,
    const char *from, int directory_to, const char *to);

/*
 * Lock length bytes of memory at address, so that they stay in memory until
 * munlock(2) or the end of the process; what is not there is read in.  Result:
 * 0.  Errors: -ENOMEM the limit (RLIMIT_MEMLOCK), too little memory, or a range
 * that is not mapped; -EPERM not allowed at all.
 * Systems: FreeBSD aio_mlock(2); mlock(2).
 */
FILCH_API void filch_op_init_mlock(
    struct filch_op *op, const void *address, size_t length);

/*
 * Call a function that may block, on a thread of the blocking pool.
 * Result: what it returns; a negative value counts as an error.  arg is pinned
 * as far as call uses it.  A cancel or deadline takes it out of the queue, but
 * does not interrupt it.
 */
FILCH_API void filch_op_init_call(
    struct filch_op *op, filch_call_fn call, void *arg);

/*
 * Set flags of op, FILCH_OP_NOWAIT and the like, in place of those it had.
 * Those that do not concern its kind do nothing.
 *
 * Threads  as for preparing; after it, and before the first poll (a misuse).
 */
FILCH_API void filch_op_set_flags(struct filch_op *op, unsigned flags);

/*
 * Ask the operation to end with -ETIMEDOUT if it is not done by deadline_ns.
 * FILCH_NEVER, the default, for none.  It ends with its result where it could
 * not be stopped any more.  A close has no deadline.
 *
 * Threads  as for preparing; after it, and before the first poll (a misuse).
 */
FILCH_API void filch_op_set_deadline(struct filch_op *op, uint64_t deadline_ns);

/*
 * Start op if need be, and take its result if it is done.  A task that polls
 * more operations to ready than its budget is told to wait, and is polled
 * again after others had their turn.
 *
 * Result   *ret_result as described above; untouched while FILCH_PENDING.
 * Memory   task is the same in all polls of op.  After FILCH_READY op must be
 *          prepared anew before it is polled again (a misuse).  op is not in
 *          a batch.
 * Threads  task's own poll function only (on no worker: a misuse).
 */
FILCH_API enum filch_poll filch_op_poll(
    struct filch_op *op, struct filch_task *task, int64_t *ret_result);

/*
 * Ask op to end early.  Nothing happens to one that was not started or is
 * done.  Its task still waits for FILCH_READY: with -ECANCELED, or with the
 * result where the operation could not be stopped any more.
 *
 * Threads  any, as long as op is known to be pinned.
 */
FILCH_API void filch_op_cancel(struct filch_op *op);

/*
 * The result of an operation that has ended: for elements of a batch, after
 * that was ready.
 *
 * Threads  any that has the operation to itself.
 */
FILCH_API int64_t filch_op_result(const struct filch_op *op);

FILCH_END_DECLS

#endif /* FILCH_OP_H */

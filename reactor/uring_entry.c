/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * io_uring: what an entry says for each kind of operation, and what the
 * kernel's answer means.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "../include/private/assert.h"
#include "../include/private/clock.h"
#include "../include/private/file_flags.h"
#include "uring.h"

/* Opcodes asked about: as many as fit into their byte. */
#define PROBE_OPS 256

/*
 * Which operations the kernel has an opcode for; the pool does the others.
 * A kernel that does not tell (before 5.6) has no plain read and write: on the
 * pool those of a pipe could not be cancelled, so its rings are not for us.
 */
int
filch__uring_probe(struct filch__uring *driver, unsigned shard_count)
{
	static const struct {
		enum filch_opcode opcode;
		int kernel;
	} map[] = {
		{ FILCH_OP_READ, IORING_OP_READ },
		{ FILCH_OP_WRITE, IORING_OP_WRITE },
		{ FILCH_OP_READV, IORING_OP_READV },
		{ FILCH_OP_WRITEV, IORING_OP_WRITEV },
		{ FILCH_OP_FSYNC, IORING_OP_FSYNC },
		{ FILCH_OP_FDATASYNC, IORING_OP_FSYNC },
		{ FILCH_OP_OPEN, IORING_OP_OPENAT },
		{ FILCH_OP_CLOSE, IORING_OP_CLOSE },
		{ FILCH_OP_STAT, IORING_OP_STATX },
		{ FILCH_OP_FALLOCATE, IORING_OP_FALLOCATE },
		{ FILCH_OP_UNLINK, IORING_OP_UNLINKAT },
		{ FILCH_OP_RENAME, IORING_OP_RENAMEAT },
	};
	struct io_uring_probe *probe =
	    calloc(1, sizeof(*probe) + PROBE_OPS * sizeof(probe->ops[0]));
	uint32_t opcodes = 0;
	size_t i;
	int result;

	if (probe == NULL) {
		return (-ENOMEM);
	}
	result =
	    io_uring_register_probe(&driver->shards[0].ring, probe, PROBE_OPS);
	if (result < 0) {
		free(probe);
		return (result == -EINVAL ? -ENOSYS : result);
	}
	for (i = 0; i < sizeof(map) / sizeof(map[0]); i++) {
		if (io_uring_opcode_supported(probe, map[i].kernel)) {
			opcodes |= UINT32_C(1) << map[i].opcode;
		}
	}
	free(probe);
	for (i = 0; i < shard_count; i++) {
		driver->shards[i].opcodes = opcodes;
	}
	return (0);
}

static inline unsigned
transfer_size(size_t size)
{
	return (
	    size > FILCH_TRANSFER_MAX ? FILCH_TRANSFER_MAX : (unsigned)size);
}

static inline void
op_prepare_transfer(struct filch_op *op, struct io_uring_sqe *sqe)
{
	static const uint8_t opcodes[] = {
		[FILCH_OP_READ] = IORING_OP_READ,
		[FILCH_OP_WRITE] = IORING_OP_WRITE,
		[FILCH_OP_READV] = IORING_OP_READV,
		[FILCH_OP_WRITEV] = IORING_OP_WRITEV,
	};
	static const uint8_t fixed[] = {
		[FILCH_OP_READ] = IORING_OP_READ_FIXED,
		[FILCH_OP_WRITE] = IORING_OP_WRITE_FIXED,
	};
	unsigned kind = op->priv.opcode;

	sqe->opcode = opcodes[kind];
	sqe->off = op->priv.offset;
	sqe->addr = (uint64_t)(uintptr_t)op->priv.a.source;
	if (kind >= FILCH_OP_READV) {
		sqe->len = (unsigned)op->priv.b.iov_count;
	} else {
		sqe->len = transfer_size(op->priv.b.size);
		if (op->priv.buffer_index > 0) {
			sqe->opcode = fixed[kind];
			sqe->buf_index = (uint16_t)(op->priv.buffer_index - 1);
		}
	}
	if (filch__unlikely((op->priv.flags & FILCH_OP_DSYNC) != 0) &&
	    (kind == FILCH_OP_WRITE || kind == FILCH_OP_WRITEV)) {
		sqe->rw_flags = RWF_DSYNC;
	}
}

static void
op_prepare_stat(struct filch_op *op, struct io_uring_sqe *sqe)
{
	struct filch_stat *stat = op->priv.b.stat;
	struct filch_file *file = op->priv.file;

	_Static_assert(sizeof(stat->priv.raw) >= sizeof(struct statx),
	    "the kernel's struct statx fits");
	sqe->opcode = IORING_OP_STATX;
	sqe->fd = file != NULL ? file->fd : op->priv.directory;
	sqe->addr = (uint64_t)(uintptr_t)(file != NULL ? "" : op->priv.a.path);
	sqe->len = STATX_BASIC_STATS;
	sqe->statx_flags = file != NULL ? AT_EMPTY_PATH : 0;
	sqe->off = (uint64_t)(uintptr_t)stat->priv.raw;
}

static void
op_prepare_path(struct filch_op *op, struct io_uring_sqe *sqe)
{
	sqe->fd = op->priv.directory;
	sqe->addr = (uint64_t)(uintptr_t)op->priv.a.path;
	if (op->priv.opcode == FILCH_OP_OPEN) {
		sqe->opcode = IORING_OP_OPENAT;
		sqe->open_flags = (unsigned)op->priv.b.open.flags | O_CLOEXEC;
		sqe->len = op->priv.b.open.mode;
	} else if (op->priv.opcode == FILCH_OP_UNLINK) {
		sqe->opcode = IORING_OP_UNLINKAT;
	} else {
		sqe->opcode = IORING_OP_RENAMEAT;
		sqe->len = (unsigned)op->priv.directory_to;
		sqe->off = (uint64_t)(uintptr_t)op->priv.b.path;
	}
}

void
filch__uring_entry_fill(struct filch_op *op, struct io_uring_sqe *sqe)
{
	struct filch_file *file = op->priv.file;

	if (file != NULL) {
		sqe->fd = file->fd;
		if (file->priv.fixed_index >= 0 && file->fd >= 0) {
			sqe->fd = file->priv.fixed_index;
			sqe->flags |= IOSQE_FIXED_FILE;
		}
	}
	if (filch__likely(op->priv.opcode <= FILCH_OP_WRITEV)) {
		op_prepare_transfer(op, sqe);
		return;
	}
	switch ((enum filch_opcode)op->priv.opcode) {
	case FILCH_OP_FSYNC:
	case FILCH_OP_FDATASYNC:
		sqe->opcode = IORING_OP_FSYNC;
		if (op->priv.opcode == FILCH_OP_FDATASYNC) {
			sqe->fsync_flags = IORING_FSYNC_DATASYNC;
		}
		break;
	case FILCH_OP_CLOSE:
		sqe->opcode = IORING_OP_CLOSE;
		sqe->fd = op->priv.directory;
		sqe->flags = 0;
		break;
	case FILCH_OP_STAT:
		sqe->flags = 0;
		op_prepare_stat(op, sqe);
		break;
	case FILCH_OP_FALLOCATE:
		sqe->opcode = IORING_OP_FALLOCATE;
		sqe->off = op->priv.offset;
		sqe->addr = op->priv.b.length;
		break;
	case FILCH_OP_OPEN:
	case FILCH_OP_UNLINK:
	case FILCH_OP_RENAME:
		op_prepare_path(op, sqe);
		break;
	case FILCH_OP_READ:
	case FILCH_OP_WRITE:
	case FILCH_OP_READV:
	case FILCH_OP_WRITEV:
	case FILCH_OP_TRUNCATE:
	case FILCH_OP_MLOCK:
	case FILCH_OP_CALL:
	case FILCH_OP_COUNT:
		filch__assert(false); /* done above, or the pool's */
	}
}

/* ---- answers ---- */

static int64_t
statx_ns(struct statx_timestamp stamp)
{
	return (
	    stamp.tv_sec * (int64_t)FILCH__NS_PER_S + (int64_t)stamp.tv_nsec);
}

void
filch__uring_stat_convert(struct filch_stat *stat)
{
	struct statx raw;

	memcpy(&raw, stat->priv.raw, sizeof(raw));
	stat->size = raw.stx_size;
	stat->allocated = raw.stx_blocks * 512;
	stat->device = makedev(raw.stx_dev_major, raw.stx_dev_minor);
	stat->inode = raw.stx_ino;
	stat->modified_ns = statx_ns(raw.stx_mtime);
	stat->changed_ns = statx_ns(raw.stx_ctime);
	stat->accessed_ns = statx_ns(raw.stx_atime);
	stat->mode = raw.stx_mode;
	stat->links = raw.stx_nlink;
	stat->uid = raw.stx_uid;
	stat->gid = raw.stx_gid;
	stat->block_size = raw.stx_blksize;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading cached pages on the worker itself.
 *
 * The #ifs of this file ask for features (macros that the system's headers
 * define with them), never for a system.
 */
#include "inline_read.h"

#include <sys/stat.h>
#include <sys/uio.h>

#include <errno.h>
#include <unistd.h>

#include "../include/private/atomic.h"
#include "../include/private/compiler.h"
#include "../include/private/file_flags.h"
#include "execute.h"
#include "mapping.h"

/*
 * A file whose cached reads missed INLINE_MISSES_MAX times in a row is left
 * alone for INLINE_SKIPS reads, then tried once: a file that does not fit the
 * cache pays 1/64 of a system call a read, one that has become hot is noticed.
 */
#define INLINE_MISSES_MAX 16
#define INLINE_SKIPS      64
/* The file system has no such thing: never again. */
#define INLINE_NEVER UINT32_MAX

/*
 * With a miss in a thousand reads, and 100 us a miss, blocking costs less than
 * the vectors would; with a miss in a hundred trust is hardly ever reached.
 */
#define INLINE_TRUST 256
#define INLINE_PROBE 16
/* A probe costs as much as two copies more, and who maps has said so. */
#define INLINE_PROBE_MAPPED 64

#if defined(RWF_NOWAIT)

/* relaxed, here and below: estimates; see inline_read.h */

bool
filch__inline_read_is_due(const struct filch_op *op)
{
	struct filch_file *file = op->priv.file;
	uint32_t misses;

	if ((file->priv.flags & (FILCH__FILE_REGULAR | FILCH__FILE_DIRECT)) !=
		FILCH__FILE_REGULAR ||
	    op->priv.offset == FILCH_OFFSET_CURRENT ||
	    (op->priv.flags & FILCH_OP_NO_INLINE) != 0) {
		return (false);
	}
	misses = filch__u32_load_relaxed(&file->priv.inline_misses);
	if (filch__likely(misses < INLINE_MISSES_MAX)) {
		return (true);
	}
	if (misses == INLINE_NEVER) {
		return (file->priv.mapping != NULL);
	}
	if (misses >= INLINE_MISSES_MAX + INLINE_SKIPS) {
		return (true);
	}
	filch__u32_store_relaxed(&file->priv.inline_misses, misses + 1);
	return (false);
}

static bool
reached_end(int fd, uint64_t offset)
{
	struct stat status;

	return (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
	    (uint64_t)status.st_size <= offset);
}

/* A worker writes to a file's counters only to change them for good. */
static void
file_hit(struct filch_file *file)
{
	uint32_t hits = filch__u32_load_relaxed(&file->priv.inline_hits);

	if (filch__unlikely(hits < INLINE_TRUST)) {
		filch__u32_store_relaxed(&file->priv.inline_hits, hits + 1);
		filch__u32_store_relaxed(&file->priv.inline_misses, 0);
	}
}

static void
file_missed(struct filch_file *file)
{
	uint32_t misses = filch__u32_load_relaxed(&file->priv.inline_misses);

	filch__u32_store_relaxed(&file->priv.inline_hits, 0);
	filch__u32_store_relaxed(&file->priv.inline_misses,
	    misses < INLINE_MISSES_MAX ? misses + 1 : INLINE_MISSES_MAX);
}

/*
 * A short count may be the end of the file, or the end of what was cached; a
 * count of 0 too (Linux 5.9 and 5.10).  Only the size tells them apart.
 */
static bool
read_nowait(const struct filch_op *op, int64_t *ret_result)
{
	struct filch_file *file = op->priv.file;
	struct iovec one;
	size_t wanted = 0;
	ssize_t count;
	int buffers;
	int i;
	const struct iovec *iov = filch__execute_vector(op, &one, &buffers);

	count =
	    preadv2(file->fd, iov, buffers, (off_t)op->priv.offset, RWF_NOWAIT);
	if (count < 0) {
		*ret_result = -errno;
		return (errno != EAGAIN && errno != EINTR &&
		    errno != EOPNOTSUPP && errno != ENOSYS);
	}
	for (i = 0; i < buffers; i++) {
		wanted += iov[i].iov_len;
	}
	*ret_result = count;
	return ((size_t)count == wanted ||
	    reached_end(file->fd, op->priv.offset + (uint64_t)count));
}

bool
filch__inline_read(
    const struct filch_op *op, uint32_t turn, int64_t *ret_result)
{
	struct filch_file *file = op->priv.file;
	bool mapped = file->priv.mapping != NULL;
	uint32_t probe = mapped ? INLINE_PROBE_MAPPED : INLINE_PROBE;

	if (filch__u32_load_relaxed(&file->priv.inline_misses) ==
	    INLINE_NEVER) {
		return (mapped && filch__mapping_read(op, ret_result));
	}
	if (filch__u32_load_relaxed(&file->priv.inline_hits) >= INLINE_TRUST &&
	    turn % probe != 0) {
		if (mapped && filch__mapping_read(op, ret_result)) {
			return (true);
		}
		*ret_result = filch__execute_read(op);
		return (*ret_result != -EINTR);
	}
	if (read_nowait(op, ret_result)) {
		if (*ret_result >= 0) {
			file_hit(file);
		}
		return (true);
	}
	if (*ret_result == -EOPNOTSUPP || *ret_result == -ENOSYS) {
		filch__u32_store_relaxed(
		    &file->priv.inline_misses, INLINE_NEVER);
	} else {
		file_missed(file);
	}
	return (false);
}

#else

bool
filch__inline_read_is_due(const struct filch_op *op)
{
	return (op->priv.file->priv.mapping != NULL &&
	    op->priv.offset != FILCH_OFFSET_CURRENT &&
	    (op->priv.flags & FILCH_OP_NO_INLINE) == 0);
}

bool
filch__inline_read(
    const struct filch_op *op, uint32_t turn, int64_t *ret_result)
{
	(void)turn;
	return (filch__mapping_read(op, ret_result));
}

#endif

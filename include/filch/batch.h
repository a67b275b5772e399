/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Batches: many operations, submitted together, one wake.  Commits: a batch of
 * writes that is durable when it ends.
 */
#ifndef FILCH_BATCH_H
#define FILCH_BATCH_H

#include "base.h"
#include "op.h"

FILCH_BEGIN_DECLS

/* Operations that end together. */
struct filch_batch {
	struct {
		struct filch_op *const *ops;
		size_t count;
		struct filch_task *task;
		uint32_t state;
		uint32_t remaining;
	} priv;
};

/*
 * Make a batch of count prepared operations, of any kinds, in no order.
 * count may be 0; an element may be NULL and is passed over.  Each keeps the
 * flags and the deadline it was given.
 *
 * Memory   batch, the array ops and the operations are pinned from the first
 *          poll until FILCH_READY.  Until then no element is polled by itself
 *          or stands in another batch (a misuse).  More than FILCH_BATCH_MAX
 *          elements are a misuse.
 * Threads  any that has the batch to itself.
 */
FILCH_API void filch_batch_init(
    struct filch_batch *batch, struct filch_op *const *ops, size_t count);

/*
 * Start the operations if need be, and see whether all are done.  Elements
 * that could not be started are done, with their error; one that fails does
 * not stop the others.  A cancelled task's elements are asked to end, as by
 * filch_batch_cancel().
 *
 * Result   *ret_failed is the number of elements with a negative result; take
 *          each with filch_op_result().
 * Memory   task is the same in all polls (a misuse).  After FILCH_READY batch
 *          must be made anew before it is polled again (a misuse).
 * Threads  task's own poll function only (on no worker: a misuse).
 */
FILCH_API enum filch_poll filch_batch_poll(
    struct filch_batch *batch, struct filch_task *task, size_t *ret_failed);

/*
 * Ask every element to end early; the batch then ends as ever.
 * Threads: any, as long as batch is known to be pinned.
 */
FILCH_API void filch_batch_cancel(struct filch_batch *batch);

/* How a commit becomes durable. */
enum filch_commit_mode {
	/*
	 * FILCH_COMMIT_DSYNC for a file open for O_DIRECT, else
	 * FILCH_COMMIT_FDATASYNC.
	 */
	FILCH_COMMIT_AUTO = 0,
	/* All writes, then one fdatasync that covers them. */
	FILCH_COMMIT_FDATASYNC,
	/* The same by fsync: also metadata that reading does not need. */
	FILCH_COMMIT_FSYNC,
	/*
	 * Each write by itself durable (FILCH_OP_DSYNC), all overlapped.  On a
	 * file not open for O_DIRECT that is FILCH_COMMIT_FDATASYNC: writes
	 * through the cache share their syncs, or one commit could take the
	 * error of another.
	 */
	FILCH_COMMIT_DSYNC
};

/* One write of a commit. */
struct filch_commit_write {
	const void *data;
	size_t size;     /* bytes; 0 writes nothing */
	uint64_t offset; /* bytes, in the file */
	struct {
		struct filch_op op;
		size_t done;
	} priv;
};

/* Writes that are durable when they end. */
struct filch_commit {
	struct {
		struct filch_file *file;
		struct filch_commit_write *writes;
		size_t count;
		enum filch_commit_mode mode;
		uint32_t phase;
		int verdict;
		struct filch_task *task;
		struct filch_commit *next;
		struct filch_batch batch;
		struct filch_op sync;
		struct filch_op **pointers;
	} priv;
};

/*
 * Make a commit of count writes to file.  Several commits of one file may be
 * in flight at once: their writes overlap, and commits that wait for a sync at
 * the same time share the next one.  A commit of no writes makes durable what
 * was written before; with FILCH_COMMIT_DSYNC past the cache it does nothing.
 * Whoever syncs file beside its commits, by an operation or FILCH_OP_DSYNC,
 * may take an error that is theirs.
 *
 * Memory   commit, file, writes, pointers and the data are pinned from the
 *          first poll until FILCH_READY; pointers is scratch room for count
 *          pointers.  More than FILCH_BATCH_MAX writes, or a mode that is none
 *          are a misuse.
 * Threads  any that has the commit to itself.
 */
FILCH_API void filch_commit_init(struct filch_commit *commit,
    struct filch_file *file, struct filch_commit_write *writes, size_t count,
    struct filch_op **pointers, enum filch_commit_mode mode);

/*
 * Carry the commit out.  Short writes are finished before the sync; if a write
 * failed, no sync is issued; if the sync failed, file is poisoned for good, as
 * the kernel may have dropped what it could not write.
 *
 * Result   *ret_verdict is 0: all of it is durable; or -errno of the first
 *          write in order that failed (-EIO if it took no byte), or of the
 *          sync; or the poison of file (filch_file_poison()); or -ECANCELED or
 *          -ESHUTDOWN, as for operations.  After an error any part of it may
 *          be written, durable or not.
 * Memory   task is the same in all polls.  After FILCH_READY commit must be
 *          made anew before it is polled again (a misuse).
 * Threads  task's own poll function only (on no worker: a misuse).
 */
FILCH_API enum filch_poll filch_commit_poll(
    struct filch_commit *commit, struct filch_task *task, int *ret_verdict);

FILCH_END_DECLS

#endif /* FILCH_BATCH_H */

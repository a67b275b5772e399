/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commits: writes, then a sync that covers them.
 *
 * The kernel tells a lost page once, to one sync of an open file.  Were two
 * commits to sync a file at the same time, one could take the error that is
 * the other's.  So a file has one sync at a time: commits that come to their
 * sync meanwhile wait, and share the next one, led by one of them.
 *
 * Word      file->priv.syncing: NULL, nobody; BUSY, a leader and no waiter;
 *           else the latest of the waiters, a list by next.
 * States    BEGIN -> WRITES           first poll          by its task
 *           BEGIN, WRITES -> TOLD     an error, or nothing to sync
 *           WRITES -> LEADING         syncing NULL -> BUSY
 *           WRITES -> QUEUED          pushed on syncing
 *           QUEUED -> LEADING         by the leader before it, with the rest
 *                                     of the waiters as its group (next)
 *           QUEUED -> TOLD            by its group's leader, with the verdict
 *           LEADING -> SYNC -> TOLD   by its task
 *           TOLD -> SPENT             the verdict was handed over
 * Invariant syncing is not NULL if and only if some commit of the file is
 *           LEADING or in SYNC.
 * Orderings [CM1] a waiter fills its fields before it is pushed, and its
 *           writes have completed; the leader takes the list with acq_rel.
 *           [CM2] a leader stores verdict and group before the phase, with
 *           release order, and then touches the other commit no more; the
 *           poll loads the phase with acquire order.
 *           [CM3] the poison is stored before the next leader is made, or the
 *           word becomes NULL, so that whoever leads next sees it.
 * Lifetime  A waiter holds a reference to its task, which the leader takes to
 *           wake it.
 * Rejected  durable writes through the cache, each a sync of its own: told of
 *           an error before another commit's sync, but polled after it, such a
 *           commit would leave the other to believe that all is durable;
 *           a sync each and a look at the poison afterwards: the error may
 *           be known to the other commit only, which was not polled yet.
 */
#include <filch/batch.h>

#include <filch/file.h>
#include <filch/limits.h>
#include <filch/task.h>

#include <errno.h>

#include "../include/private/assert.h"
#include "../include/private/atomic.h"
#include "../include/private/file_flags.h"
#include "../include/private/task_waker.h"
#include "../reactor/reactor.h"

enum commit_phase {
	COMMIT_BEGIN = 0,
	COMMIT_WRITES,
	COMMIT_QUEUED,
	COMMIT_LEADING,
	COMMIT_SYNC,
	COMMIT_TOLD,
	COMMIT_SPENT
};

/* The address of no commit. */
static char busy_mark;
#define BUSY ((void *)&busy_mark)

static enum filch_commit_mode commit_mode(const struct filch_commit *commit);
static void commit_begin(struct filch_commit *commit);
static enum filch_poll commit_write(
    struct filch_commit *commit, struct filch_task *task);
static size_t commit_collect(struct filch_commit *commit);
static bool commit_prepare(struct filch_commit *commit);
static void commit_queue(struct filch_commit *commit, struct filch_task *task);
static void commit_lead(struct filch_commit *commit);
static enum filch_poll commit_sync(
    struct filch_commit *commit, struct filch_task *task);
static void commit_resign(struct filch_commit *commit);
static void commit_tell(struct filch_commit *commit, int verdict);
static void commit_pass_on(
    struct filch_commit *commit, enum commit_phase phase);
static bool is_poisonous(int64_t result);
static void file_set_poison(struct filch_file *file, int error);

void
filch_commit_init(struct filch_commit *commit, struct filch_file *file,
    struct filch_commit_write *writes, size_t count, struct filch_op **pointers,
    enum filch_commit_mode mode)
{
	filch__require(
	    count <= FILCH_BATCH_MAX, "a commit of more than FILCH_BATCH_MAX");
	filch__require(count == 0 || (writes != NULL && pointers != NULL),
	    "a commit of writes without their arrays");
	filch__require((unsigned)mode <= FILCH_COMMIT_DSYNC,
	    "mode is one of filch_commit_mode");
	commit->priv.file = file;
	commit->priv.writes = writes;
	commit->priv.count = count;
	commit->priv.mode = mode;
	commit->priv.phase = COMMIT_BEGIN;
	commit->priv.verdict = 0;
	commit->priv.task = NULL;
	commit->priv.next = NULL;
	commit->priv.pointers = pointers;
}

enum filch_poll
filch_commit_poll(
    struct filch_commit *commit, struct filch_task *task, int *ret_verdict)
{
	/* each turn moves on to a later phase, or writes what was short */
	for (;;) {
		/* [CM2] pairs with commit_pass_on */
		switch (filch__u32_load_acquire(&commit->priv.phase)) {
		case COMMIT_BEGIN:
			commit_begin(commit);
			break;
		case COMMIT_WRITES:
			if (commit_write(commit, task) == FILCH_PENDING) {
				return (FILCH_PENDING);
			}
			break;
		case COMMIT_QUEUED:
			return (FILCH_PENDING);
		case COMMIT_LEADING:
			commit_lead(commit);
			break;
		case COMMIT_SYNC:
			if (commit_sync(commit, task) == FILCH_PENDING) {
				return (FILCH_PENDING);
			}
			break;
		case COMMIT_TOLD:
			*ret_verdict = commit->priv.verdict;
			commit->priv.phase = COMMIT_SPENT;
			return (FILCH_READY);
		default:
			filch__require(commit->priv.phase != COMMIT_SPENT,
			    "its verdict was told; prepare it anew");
			filch__assert(false);
		}
	}
}

/*
 * A durable write through the cache syncs by itself: it would be a second sync
 * at the same time, and could take an error that is another commit's.  Beside
 * the cache it pays where the system has such a write; else it is a write and
 * a sync, and one sync for all is cheaper.
 */
static enum filch_commit_mode
commit_mode(const struct filch_commit *commit)
{
	bool alone =
	    (commit->priv.file->priv.flags & FILCH__FILE_DIRECT) != 0 &&
	    filch__shard_current->reactor->driver->writes_durably;

	switch (commit->priv.mode) {
	case FILCH_COMMIT_AUTO:
	case FILCH_COMMIT_DSYNC:
		return (alone ? FILCH_COMMIT_DSYNC : FILCH_COMMIT_FDATASYNC);
	case FILCH_COMMIT_FDATASYNC:
	case FILCH_COMMIT_FSYNC:
		break;
	}
	return (commit->priv.mode);
}

static void
commit_begin(struct filch_commit *commit)
{
	struct filch_file *file = commit->priv.file;
	int poison = filch_file_poison(file);

	commit->priv.mode = commit_mode(commit);
	for (size_t i = 0; i < commit->priv.count; i++) {
		commit->priv.writes[i].priv.done = 0;
	}
	if (poison != 0) {
		commit_tell(commit, poison);
	} else if (commit_prepare(commit) ||
	    commit->priv.mode != FILCH_COMMIT_DSYNC) {
		/* with nothing to write, earlier writes are to be synced */
		commit->priv.phase = COMMIT_WRITES;
	} else {
		commit_tell(commit, 0);
	}
}

/* Prepare what is not written yet as a batch; false if that is nothing. */
static bool
commit_prepare(struct filch_commit *commit)
{
	bool any = false;

	for (size_t i = 0; i < commit->priv.count; i++) {
		struct filch_commit_write *write = &commit->priv.writes[i];
		size_t done = write->priv.done;

		commit->priv.pointers[i] = NULL;
		if (done == write->size) {
			continue;
		}
		any = true;
		filch_op_init_write(&write->priv.op, commit->priv.file,
		    (const char *)write->data + done, write->size - done,
		    write->offset + done);
		if (commit->priv.mode == FILCH_COMMIT_DSYNC) {
			filch_op_set_flags(&write->priv.op, FILCH_OP_DSYNC);
		}
		commit->priv.pointers[i] = &write->priv.op;
	}
	filch_batch_init(
	    &commit->priv.batch, commit->priv.pointers, commit->priv.count);
	return (any);
}

/* See whether the writes have ended, and what is to come after them. */
static enum filch_poll
commit_write(struct filch_commit *commit, struct filch_task *task)
{
	int poison;
	size_t failed;

	if (filch_batch_poll(&commit->priv.batch, task, &failed) ==
	    FILCH_PENDING) {
		return (FILCH_PENDING);
	}
	failed = commit_collect(commit);
	poison = filch_file_poison(commit->priv.file);
	if (failed < commit->priv.count) {
		/* a write that moved nothing gives no reason of its own */
		int64_t result =
		    commit->priv.writes[failed].priv.op.priv.result;

		commit_tell(commit, result == 0 ? -EIO : (int)result);
	} else if (commit_prepare(commit)) {
		return (FILCH_READY);
	} else if (poison != 0) {
		commit_tell(commit, poison);
	} else if (commit->priv.mode == FILCH_COMMIT_DSYNC) {
		commit_tell(commit, 0);
	} else {
		commit_queue(commit, task);
	}
	return (FILCH_READY);
}

/* Add up what was written; the index of the first that failed, or count. */
static size_t
commit_collect(struct filch_commit *commit)
{
	size_t failed = commit->priv.count;

	for (size_t i = 0; i < commit->priv.count; i++) {
		struct filch_commit_write *write = &commit->priv.writes[i];
		int64_t result;

		if (commit->priv.pointers[i] == NULL) {
			continue;
		}
		result = filch_op_result(&write->priv.op);
		if (result > 0) {
			write->priv.done += (size_t)result;
			continue;
		}
		if (failed == commit->priv.count) {
			failed = i;
		}
	}
	return (failed);
}

/* All is written: lead the sync, or wait for the next one. */
static void
commit_queue(struct filch_commit *commit, struct filch_task *task)
{
	filch__ptr *syncing = &commit->priv.file->priv.syncing;
	void *old = filch__ptr_load_relaxed(syncing); /* the CAS orders */
	bool is_held = false;

	commit->priv.task = task;
	for (;;) {
		bool leads = old == NULL;

		commit->priv.next = leads || old == BUSY ? NULL : old;
		commit->priv.phase = leads ? COMMIT_LEADING : COMMIT_QUEUED;
		if (!leads && !is_held) {
			filch__task_hold(task);
			is_held = true;
		}
		/* [CM1] [CM3] pairs with commit_resign */
		if (filch__ptr_cas_acq_rel(
			syncing, &old, leads ? BUSY : commit)) {
			if (leads && is_held) {
				filch_task_unref(task);
			}
			return;
		}
	}
}

/* Prepare the sync that covers this commit and its group. */
static void
commit_lead(struct filch_commit *commit)
{
	struct filch_file *file = commit->priv.file;
	int poison = filch_file_poison(file);
	bool whole = false;

	for (struct filch_commit *one = commit; one != NULL;
	     one = one->priv.next) {
		whole |= one->priv.mode == FILCH_COMMIT_FSYNC;
	}
	if (poison != 0) {
		/* the sync before has failed: another would prove nothing */
		commit->priv.verdict = poison;
		commit_resign(commit);
	} else {
		if (whole) {
			filch_op_init_fsync(&commit->priv.sync, file);
		} else {
			filch_op_init_fdatasync(&commit->priv.sync, file);
		}
		commit->priv.phase = COMMIT_SYNC;
	}
}

/* See whether the sync has ended, and tell all whom it covers. */
static enum filch_poll
commit_sync(struct filch_commit *commit, struct filch_task *task)
{
	struct filch_file *file = commit->priv.file;
	struct filch_commit *heir = commit->priv.next;
	int64_t result;

	if (filch_op_poll(&commit->priv.sync, task, &result) == FILCH_PENDING) {
		return (FILCH_PENDING);
	}
	if ((result == -ECANCELED || result == -ESHUTDOWN) && heir != NULL) {
		/* that was for this task alone: the group goes on without it */
		commit_pass_on(heir, COMMIT_LEADING);
		commit_tell(commit, (int)result);
		return (FILCH_READY);
	}
	if (is_poisonous(result)) {
		file_set_poison(file, (int)result);
	}
	commit->priv.verdict = (int)result;
	commit_resign(commit);
	return (FILCH_READY);
}

/*
 * Tell the verdict to the group and itself, and let the next sync begin for
 * those who came meanwhile.
 */
static void
commit_resign(struct filch_commit *commit)
{
	filch__ptr *syncing = &commit->priv.file->priv.syncing;
	struct filch_commit *group = commit->priv.next;
	void *waiting = BUSY;

	while (group != NULL) {
		struct filch_commit *member = group;

		group = member->priv.next;
		member->priv.verdict = commit->priv.verdict;
		commit_pass_on(member, COMMIT_TOLD);
	}
	/* [CM1] [CM3] pairs with commit_queue */
	if (!filch__ptr_cas_acq_rel(syncing, &waiting, NULL)) {
		/* [CM1] pairs with commit_queue */
		waiting = filch__ptr_exchange_acq_rel(syncing, BUSY);
		commit_pass_on(waiting, COMMIT_LEADING);
	}
	commit_tell(commit, commit->priv.verdict);
}

/* End this task's own commit with verdict. */
static void
commit_tell(struct filch_commit *commit, int verdict)
{
	commit->priv.verdict = verdict;
	commit->priv.phase = COMMIT_TOLD;
}

/* Move a waiting commit on and wake its task. */
static void
commit_pass_on(struct filch_commit *commit, enum commit_phase phase)
{
	struct filch_task *task = commit->priv.task;

	/* [CM2] pairs with filch_commit_poll, after which it may be gone */
	filch__u32_store_release(&commit->priv.phase, phase);
	filch__task_wake_held(task);
}

/*
 * True if a sync with this result may have lost pages: all errors but those
 * that say it was not carried out.
 */
static bool
is_poisonous(int64_t result)
{
	switch (result) {
	case -ECANCELED:
	case -ESHUTDOWN:
	case -ETIMEDOUT:
	case -EAGAIN:
	case -EBADF:
	case -EINVAL:
	case -EOPNOTSUPP:
	case -EROFS:
		return (false);
	default:
		return (result < 0);
	}
}

static void
file_set_poison(struct filch_file *file, int error)
{
	uint32_t none = 0;

	/* [CM3] pairs with filch_file_poison; the first error stays */
	(void)filch__u32_cas_acq_rel(
	    (filch__u32 *)&file->priv.poison, &none, (uint32_t)error);
}

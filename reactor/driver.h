/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The port: what a driver must provide.  One const table a driver, one file a
 * driver; all OS-specific I/O of filch is behind it.
 *
 * A driver has a part per shard (one a worker) and a part of its own.  From
 * submit until filch__reactor_complete() the operation is the driver's, and
 * completes exactly once.
 */
#ifndef FILCH_REACTOR_DRIVER_H
#define FILCH_REACTOR_DRIVER_H

#include <filch/aio.h>
#include <filch/executor.h>
#include <filch/op.h>

#include "../include/private/atomic.h"

struct filch__reactor;
struct filch__registration;
struct filch__shard;

/*
 * Where an operation is (op->priv.state).  Written by who moves it: the task
 * up to submit, then under the lock of its shard or of the pool; DONE is
 * stored last, with release order [OP1], by who completes it.
 */
enum filch__op_state {
	FILCH__OP_IDLE = 0,     /* prepared */
	FILCH__OP_GATHERED,     /* on its way into its shard's queue */
	FILCH__OP_WAITING,      /* in its shard's queue, waiting for room */
	FILCH__OP_TAKEN_OUT,    /* out of it again, about to be completed */
	FILCH__OP_KERNEL,       /* the kernel has it */
	FILCH__OP_POLLING,      /* waiting for its descriptor to get ready */
	FILCH__OP_POOL,         /* in the blocking pool's queue */
	FILCH__OP_POOL_RUNNING, /* a thread of the pool carries it out */
	FILCH__OP_DONE,         /* result is there */
	FILCH__OP_SPENT         /* result was taken */
};

/*
 * In op->priv.flags beside those of the user: what else there is to op, so that
 * one with neither is finished without a look at its second line.
 */
enum {
	FILCH__OP_USER_FLAGS =
	    FILCH_OP_NOWAIT | FILCH_OP_NO_INLINE | FILCH_OP_DSYNC,
	FILCH__OP_TIMED = 1 << 6,  /* its timer has a deadline */
	FILCH__OP_BATCHED = 1 << 7 /* its batch is told, instead of its task */
};

struct filch__driver {
	enum filch_driver_kind kind;
	const char *system; /* what it uses of the system, for people */
	/* Operations submitted together cost less than one by one. */
	bool gathers;
	/* A write with FILCH_OP_DSYNC costs less than the write and a sync. */
	bool writes_durably;

	/*
	 * Make the driver's part and that of each shard (reactor->shards).
	 * Returns 0 or -errno if the system refuses; then nothing is left.
	 */
	int (*open)(struct filch__reactor *reactor);
	/* Give all of it back.  Nothing is in flight, all threads are gone. */
	void (*close)(struct filch__reactor *reactor);

	/* ---- by the shard's own worker ---- */

	/*
	 * Take op.  It may be gathered until flush; it may complete at once.
	 * Without room it waits its turn in a queue of the shard, or, with
	 * FILCH_OP_NOWAIT, completes with -EAGAIN.
	 */
	void (*submit)(struct filch__shard *shard, struct filch_op *op);
	/*
	 * Sleep until a completion of this shard or a wake; return at once
	 * where one came since the last park returned.  Flushes first, and
	 * completes what has come when it wakes.  If open has set standby_ns
	 * of the reactor, it also ends at the shard's earliest deadline.
	 */
	void (*park)(struct filch__shard *shard);

	/* ---- by any thread ---- */

	/* Hand to the kernel what was gathered.  Does not sleep. */
	void (*flush)(struct filch__shard *shard);
	/*
	 * Complete what the kernel has finished; returns how many.  A shard
	 * that another thread is reaping at the moment is passed over.
	 */
	unsigned (*reap)(struct filch__shard *shard);
	/* Make the shard's worker return from park; sticks until it does. */
	void (*wake)(struct filch__shard *shard);
	/*
	 * Ask op to end.  op is pinned for the time of the call.  It completes
	 * as ever, with -ECANCELED where it could be stopped.  Nobody asks
	 * that of a close.
	 */
	void (*cancel)(struct filch_op *op);
	/*
	 * Ask all of the shard's operations and sources to end; but closing
	 * is carried out, or the descriptor would leak.
	 */
	void (*cancel_all)(struct filch__shard *shard);
	/* Operations in the kernel now, and waiting for room. */
	void (*depths)(struct filch__shard *shard, uint64_t *ret_in_flight,
	    uint64_t *ret_waiting);

	/* ---- by the reactor thread, and to it ---- */

	/*
	 * Sleep until deadline_ns, an interrupt, or work of the driver's own,
	 * which is done before it returns.  An interrupt sticks.
	 */
	void (*wait)(struct filch__reactor *reactor, uint64_t deadline_ns);
	/* Make wait return; any thread; at most one system call. */
	void (*interrupt)(struct filch__reactor *reactor);

	/* ---- sources (filch_registrar_submit, filch_registrar_cancel) ---- */

	/* NULL, both, where there are no entries.  By the shard's worker. */
	int (*source_submit)(struct filch__shard *shard,
	    struct filch__registration *registration, filch_sqe_fill_fn fill,
	    void *arg, unsigned count);
	/* By any thread. */
	int (*source_cancel)(struct filch__registration *registration);
	/*
	 * The descriptor that a source gives to the kernel for its events, or
	 * -1.  NULL where there is none.
	 */
	int (*source_kqueue)(const struct filch__reactor *reactor);
	/*
	 * By who polls it, and finds it not ready, if registration->told: let
	 * the kernel tell again of what it was kept from repeating, unless that
	 * was reaped.  NULL as the above.
	 */
	void (*source_tell_again)(const struct filch__reactor *reactor,
	    struct filch__registration *registration);

	/* ---- registered files and memory; NULL where there are none ---- */

	/* Returns an index for op's fixed_index or buffer_index, or -errno. */
	int (*file_register)(struct filch__reactor *reactor, int fd);
	void (*file_unregister)(struct filch__reactor *reactor, int index);
	int (*memory_register)(
	    struct filch__reactor *reactor, void *memory, size_t size);
	void (*memory_unregister)(struct filch__reactor *reactor, int index);
};

#if defined(FILCH_HAVE_URING)
extern const struct filch__driver filch__driver_uring;
#endif
#if defined(FILCH_HAVE_KQUEUE)
extern const struct filch__driver filch__driver_kqueue;
#endif
extern const struct filch__driver filch__driver_posix;

/*
 * Choose reactor->driver, and say why in its reason: the option, else
 * FILCH_DRIVER, else the best that the system does not refuse; and open it.
 * Returns 0, -EINVAL for a name that is none, or why it cannot be opened.
 */
int filch__driver_open(struct filch__reactor *reactor);

#endif /* FILCH_REACTOR_DRIVER_H */

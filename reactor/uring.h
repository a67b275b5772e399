/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The io_uring driver, inside: what its files share.
 *
 *   driver_uring.c   rings, submitting, and the port
 *   uring_reap.c     reaping
 *   uring_cancel.c   cancelling
 *   uring_park.c     sleeping and waking
 *   uring_entry.c    what an entry says for each kind of operation
 *   uring_source.c   sources
 *   uring_fixed.c    registered files and memory
 */
#ifndef FILCH_REACTOR_URING_H
#define FILCH_REACTOR_URING_H

#include <liburing.h>

#include "../include/private/lock.h"
#include "op_queue.h"
#include "reactor.h"

/* What user_data names; addresses leave the low three bits free. */
enum filch__uring_tag {
	FILCH__URING_OP = 0,     /* an operation */
	FILCH__URING_POLL = 1,   /* its descriptor is getting ready */
	FILCH__URING_IGNORE = 2, /* a cancel: its target's completion tells */
	FILCH__URING_SOURCE = 3, /* a registration; bits 48 to 63: the entry */
	FILCH__URING_EVENT = 4,  /* the eventfd: somebody wakes the worker */
	FILCH__URING_TAG_MASK = 7
};

#define FILCH__URING_SOURCE_SHIFT 48

/* How far an operation that the ring refused has come (pool_tried). */
enum filch__uring_pool {
	FILCH__URING_POOL_UNTRIED = 0,
	FILCH__URING_POOL_NEXT = 1,
	FILCH__URING_POOL_TRIED = 2
};

struct filch__uring_shard {
	const struct filch__shard *shard; /* (i) */
	struct filch__lock lock;
	struct io_uring ring;
	unsigned sq_tail;       /* (l) published */
	filch__u32 in_flight;   /* (l) written; entries to be completed */
	unsigned in_flight_max; /* (i) */
	uint32_t opcodes;       /* (i) a bit for each that the kernel has */
	struct filch__op_queue waiting; /* (l) for room */
	int eventfd;                    /* (i) */
	uint64_t eventfd_value;         /* the kernel's */
	bool eventfd_armed;             /* (l) */
	filch__u32 in_sleep;            /* (l) set, (w) cleared; in the ring */
	/* what its own worker, and no other thread, calls the ring */
	bool own_asked;     /* (w) the kernel, for a number */
	unsigned own_fd;    /* (w) that, or the descriptor */
	unsigned own_flags; /* (w) of io_uring_enter(2), for a number */
	FILCH__CACHE_ALIGNED filch__ptr gathered; /* (a) [UG1] */
	FILCH__CACHE_ALIGNED filch__u32 park;     /* (a) [UP1] */
};

struct filch__uring {
	struct filch__uring_shard *shards; /* (i) */
	struct filch__lock lock;
	bool files_sparse;                       /* (l) tables are there */
	bool memory_sparse;                      /* (l) */
	bool file_used[FILCH_FIXED_FILES_MAX];   /* (l) */
	bool memory_used[FILCH_FIXED_POOLS_MAX]; /* (l) */
	FILCH__CACHE_ALIGNED filch__u32 park;    /* (a) the reactor thread's */
};

static inline struct filch__uring_shard *
filch__uring_shard(const struct filch__shard *shard)
{
	return (shard->driver);
}

/* Published entries that the kernel has not yet read. */
static inline unsigned
filch__uring_pending(const struct filch__uring_shard *us)
{
	/* [US1] acquire: the kernel has read the entries before its head */
	unsigned head = filch__u32_load_acquire(us->ring.sq.khead);

	return (filch__u32_load_relaxed(us->ring.sq.ktail) - head);
	/* relaxed: a stale tail is flushed by whoever moved it on */
}

static inline bool
filch__uring_cq_is_empty(const struct filch__uring_shard *us)
{
	/* [US1] acquire: the kernel wrote the entries before its tail */
	return (filch__u32_load_acquire(us->ring.cq.ktail) ==
	    filch__u32_load_relaxed(us->ring.cq.khead));
	/* relaxed: if another thread reaps, it is its work */
}

/* What waits has room and no entry: the kernel takes none.  Lock held. */
static inline bool
filch__uring_is_held_up(const struct filch__uring_shard *us)
{
	/* relaxed: changed under the lock */
	return (us->waiting.head != NULL &&
	    filch__u32_load_relaxed(&us->in_flight) < us->in_flight_max);
}

/* ---- driver_uring.c ---- */

/*
 * An empty entry, or NULL if the kernel takes none now, or would have to take
 * some on a thread that must not hand over.  Lock held.
 */
struct io_uring_sqe *filch__uring_entry_get(struct filch__uring_shard *us);

/* io_uring_enter(2), as it answers. */
static inline int
filch__uring_enter(const struct filch__uring_shard *us, unsigned submit,
    unsigned wait, unsigned flags)
{
	if (filch__likely(filch__shard_current == us->shard)) {
		return (io_uring_enter(
		    us->own_fd, submit, wait, flags | us->own_flags, NULL));
	}
	return (io_uring_enter(
	    (unsigned)us->ring.ring_fd, submit, wait, flags, NULL));
}

/*
 * Hand over all that is published, however much that is by then: the end of a
 * call also ends a source's chain of linked entries, and of what is counted
 * first another thread may hand some over, and publish a chain.  As
 * io_uring_enter(2) answers.
 */
static inline int
filch__uring_hand_over(const struct filch__uring_shard *us)
{
	return (filch__uring_enter(us, us->ring.sq.ring_entries, 0, 0));
}

/*
 * Show count more entries to the kernel at once: those behind the tail have
 * been filled in, each with its user_data.  Lock held.
 */
void filch__uring_entries_publish(
    struct filch__uring_shard *us, unsigned count);
/* The same for the entry that was got. */
void filch__uring_entry_publish(struct filch__uring_shard *us,
    struct io_uring_sqe *sqe, uint64_t user_data);
/* Give entries to what was gathered and what waits.  Lock held. */
void filch__uring_issue(struct filch__uring_shard *us);
/* The same to no more than count of it. */
void filch__uring_issue_some(struct filch__uring_shard *us, unsigned count);
/* Move what was gathered to the end of what waits, in order.  Lock held. */
void filch__uring_gathered_take(struct filch__uring_shard *us);
/* Let op wait for an entry; take it out again.  Lock held. */
void filch__uring_wait_push(struct filch__uring_shard *us, struct filch_op *op);
void filch__uring_wait_take_out(
    struct filch__uring_shard *us, struct filch_op *op);
/* True if this thread may hand entries over. */
bool filch__uring_may_hand_over(const struct filch__uring_shard *us);
void filch__uring_flush(struct filch__shard *shard);

/* ---- uring_reap.c ---- */

/* membarrier(2): 0, or -1 and errno. */
long filch__uring_membarrier(int command);
unsigned filch__uring_reap(struct filch__shard *shard);

/* ---- uring_cancel.c ---- */

/* Have the kernel cancel what user_data names.  Lock held; may be left. */
void filch__uring_cancel_enter(
    struct filch__shard *shard, uint64_t user_data, unsigned flags);
void filch__uring_cancel(struct filch_op *op);
void filch__uring_cancel_all(struct filch__shard *shard);

/* ---- uring_source.c: of the port ---- */

int filch__uring_source_submit(struct filch__shard *shard,
    struct filch__registration *registration, filch_sqe_fill_fn fill, void *arg,
    unsigned count);
int filch__uring_source_cancel(struct filch__registration *registration);

/* ---- uring_entry.c ---- */

/*
 * Find out which operations the kernel has an opcode for; the pool does the
 * others.  Returns 0 or -errno: without an answer the rings are not for us.
 */
int filch__uring_probe(struct filch__uring *driver, unsigned shard_count);
/* Say in an empty entry what op asks for. */
void filch__uring_entry_fill(struct filch_op *op, struct io_uring_sqe *sqe);
/* What the kernel wrote behind stat, as fields. */
void filch__uring_stat_convert(struct filch_stat *stat);

/* ---- uring_park.c: of the port (driver.h) ---- */

void filch__uring_park(struct filch__shard *shard);
void filch__uring_wake(struct filch__shard *shard);
void filch__uring_wait(struct filch__reactor *reactor, uint64_t deadline_ns);
void filch__uring_interrupt(struct filch__reactor *reactor);

/* ---- uring_fixed.c: of the port ---- */

int filch__uring_file_register(struct filch__reactor *reactor, int fd);
void filch__uring_file_unregister(struct filch__reactor *reactor, int index);
int filch__uring_memory_register(
    struct filch__reactor *reactor, void *memory, size_t size);
void filch__uring_memory_unregister(struct filch__reactor *reactor, int index);

#endif /* FILCH_REACTOR_URING_H */

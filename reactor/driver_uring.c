/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The io_uring driver: a ring a worker.
 *
 * Contents: the shard's part; entries; preparing; submitting; reaping; parking
 * and waking; cancelling; sources; registered files and memory; the port.
 *
 * A ring belongs to a worker, which submits, gathers and reaps; but any thread
 * may reap, flush or cancel, so that a worker caught in a long poll holds up
 * nobody.  The shard's lock covers the submission queue's tail, the completion
 * queue's head, the list of waiting operations and the state of operations.
 * That is why the rings are plain ones: DEFER_TASKRUN and SINGLE_ISSUER forbid
 * other threads, and COOP_TASKRUN keeps completions from being posted while
 * the worker makes no system call.
 *
 * Entries are published one by one as they are filled, and handed over by
 * io_uring_enter(2) later: when the worker parks, when the queue is full, or
 * at its event interval.  The kernel reads only what is published, and takes
 * a lock of its own, so entering needs none of ours.
 *
 * An entry's user_data is an address whose low bits say what it is.
 *
 * Park word EMPTY -> FUTEX | RING    the worker, about to sleep
 *           any   -> NOTIFIED        a waker; FUTEX: futex wake, RING: eventfd
 *           any   -> EMPTY           the worker, awake
 * Orderings [UP1] all by seq_cst exchange: the worker that slept sees what the
 *           waker did, and a waker either finds it asleep or leaves NOTIFIED,
 *           which keeps it from sleeping.
 */
#include "driver.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/stat.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <liburing.h>

#include "../include/private/assert.h"
#include "../include/private/clock.h"
#include "../include/private/file_flags.h"
#include "reactor.h"

/* What user_data names; addresses leave the low three bits free. */
enum uring_tag {
	TAG_OP = 0,     /* an operation */
	TAG_POLL = 1,   /* the operation's descriptor is getting ready */
	TAG_IGNORE = 2, /* a cancel: the completion of its target says all */
	TAG_SOURCE = 3, /* a registration; the entry's index in bits 48 to 63 */
	TAG_EVENT = 4,  /* the eventfd: somebody wakes the worker */
	TAG_MASK = 7
};

#define SOURCE_INDEX_SHIFT 48

enum uring_park {
	PARK_EMPTY = 0,
	PARK_FUTEX = 1,   /* sleeping on the word itself: nothing in flight */
	PARK_RING = 2,    /* sleeping in the ring */
	PARK_NOTIFIED = 3 /* a wake has come */
};

/* How far an operation that the ring refused has come (pool_tried). */
enum uring_pool {
	POOL_UNTRIED = 0,
	POOL_NEXT = 1,
	POOL_TRIED = 2
};

/* Completions reaped before the lock is left to hand them on. */
#define REAP_BATCH_MAX 256

/* Completion entries for each submission entry: the kernel's own default. */
#define CQ_FACTOR 4

/* Opcodes asked about: as many as fit into their byte. */
#define PROBE_OPS 256

/* Room kept in the completion queue for cancels and the eventfd. */
#define CQ_RESERVE 4

struct uring_shard {
	struct filch__lock lock;
	struct io_uring ring;
	unsigned sq_tail;           /* (l) published */
	filch__u32 in_flight;       /* (l) written; entries to be completed */
	unsigned in_flight_max;     /* (i) */
	unsigned waiting;           /* (l) */
	struct filch_op *wait_head; /* (l) */
	struct filch_op *wait_tail; /* (l) */
	int eventfd;                /* (i) */
	uint64_t eventfd_value;     /* the kernel's */
	bool eventfd_armed;         /* (l) */
	FILCH__CACHE_ALIGNED filch__u32 park; /* (a) [UP1] */
};

struct uring_driver {
	struct uring_shard *shards;        /* (i) */
	bool opcode_works[FILCH_OP_COUNT]; /* (i) */
	struct filch__lock lock;
	bool files_sparse;                       /* (l) tables are there */
	bool memory_sparse;                      /* (l) */
	bool file_used[FILCH_FIXED_FILES_MAX];   /* (l) */
	bool memory_used[FILCH_FIXED_POOLS_MAX]; /* (l) */
	FILCH__CACHE_ALIGNED filch__u32 park;    /* (a) the reactor thread's */
};

static int uring_shard_open(struct uring_shard *, unsigned);
static void uring_shard_close(struct uring_shard *);
static int uring_probe(struct uring_driver *);
static struct io_uring_sqe *sqe_get(struct uring_shard *);
static void sqe_publish(struct uring_shard *, struct io_uring_sqe *, uint64_t);
static void op_prepare_sqe(struct filch_op *, struct io_uring_sqe *);
static bool op_issue(struct uring_shard *, struct filch_op *);
static void waiting_push(struct uring_shard *, struct filch_op *);
static void waiting_remove(struct uring_shard *, struct filch_op *);
static void waiting_refill(struct uring_shard *);
static void reap_hand_on(struct filch__reactor *, struct filch_op *);
static struct filch_op *cqe_take(
    struct filch__shard *, struct uring_shard *, const struct io_uring_cqe *);
static bool op_completed(
    struct filch__shard *, struct uring_shard *, struct filch_op *, int32_t);
static void op_again(struct uring_shard *, struct filch_op *);
static void uring_reap_all(struct filch__shard *);
static void stat_convert(struct filch_stat *);

/* ---- the shard's part ---- */

static int
uring_open(struct filch__reactor *reactor)
{
	unsigned count = reactor->options.shard_count;
	struct uring_driver *driver;
	int result = 0;
	unsigned i;

	driver = calloc(1, sizeof(*driver));
	if (driver == NULL) {
		return (-ENOMEM);
	}
	driver->shards =
	    aligned_alloc(FILCH__CACHE_LINE, count * sizeof(*driver->shards));
	if (driver->shards == NULL) {
		free(driver);
		return (-ENOMEM);
	}
	memset(driver->shards, 0, count * sizeof(*driver->shards));
	filch__lock_init(&driver->lock);
	for (i = 0; i < count; i++) {
		result = uring_shard_open(
		    &driver->shards[i], reactor->options.ring_entries);
		if (result < 0) {
			break;
		}
		reactor->shards[i].driver = &driver->shards[i];
	}
	if (result == 0) {
		result = uring_probe(driver);
	}
	if (result == 0) {
		reactor->driver_state = driver;
		return (0);
	}
	while (i > 0) {
		uring_shard_close(&driver->shards[--i]);
	}
	filch__lock_fini(&driver->lock);
	free(driver->shards);
	free(driver);
	return (result);
}

static int
uring_shard_open(struct uring_shard *us, unsigned entries)
{
	struct io_uring_params params;
	unsigned workers[2] = { FILCH_URING_WORKERS_MAX, 0 };
	unsigned i;
	int result;

	memset(&params, 0, sizeof(params));
	params.flags =
	    IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL;
	params.cq_entries = entries * CQ_FACTOR;
	result = io_uring_queue_init_params(entries, &us->ring, &params);
	if (result == -EINVAL) {
		/* before 5.18; a bad entry then ends its submission */
		params.flags &= ~(unsigned)IORING_SETUP_SUBMIT_ALL;
		result =
		    io_uring_queue_init_params(entries, &us->ring, &params);
	}
	if (result < 0) {
		return (result);
	}
	us->eventfd = eventfd(0, EFD_CLOEXEC);
	if (us->eventfd < 0) {
		result = -errno;
		io_uring_queue_exit(&us->ring);
		return (result);
	}
	/* before 5.15 there is no such bound, and nothing to be done */
	(void)io_uring_register_iowq_max_workers(&us->ring, workers);
	for (i = 0; i < params.sq_entries; i++) {
		us->ring.sq.array[i] = i;
	}
	us->in_flight_max = params.cq_entries - CQ_RESERVE;
	filch__lock_init(&us->lock);
	return (0);
}

static void
uring_shard_close(struct uring_shard *us)
{
	io_uring_queue_exit(&us->ring);
	close(us->eventfd);
	filch__lock_fini(&us->lock);
}

static void
uring_close(struct filch__reactor *reactor)
{
	struct uring_driver *driver = reactor->driver_state;
	unsigned i;

	for (i = 0; i < reactor->options.shard_count; i++) {
		uring_shard_close(&driver->shards[i]);
	}
	filch__lock_fini(&driver->lock);
	free(driver->shards);
	free(driver);
}

/*
 * Which operations the kernel has an opcode for; the pool does the others.
 * A kernel that does not tell (before 5.6) has no plain read and write: on the
 * pool those of a pipe could not be cancelled, so its rings are not for us.
 */
static int
uring_probe(struct uring_driver *driver)
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
		driver->opcode_works[map[i].opcode] =
		    io_uring_opcode_supported(probe, map[i].kernel) != 0;
	}
	free(probe);
	return (0);
}

static inline struct uring_shard *
uring_shard(struct filch__shard *shard)
{
	return (shard->driver);
}

static inline struct uring_driver *
uring_driver(struct filch__shard *shard)
{
	return (shard->reactor->driver_state);
}

/* ---- entries ---- */

static inline unsigned
sq_pending(const struct uring_shard *us)
{
	/* [US1] acquire: the kernel has read the entries before its head */
	unsigned head = filch__u32_load_acquire(us->ring.sq.khead);

	return (filch__u32_load_relaxed(us->ring.sq.ktail) - head);
	/* relaxed: a stale tail is flushed by whoever moved it on */
}

static inline bool
cq_is_empty(const struct uring_shard *us)
{
	/* [US1] acquire: the kernel wrote the entries before its tail */
	return (filch__u32_load_acquire(us->ring.cq.ktail) ==
	    filch__u32_load_relaxed(us->ring.cq.khead));
	/* relaxed: if another thread reaps, it is its work */
}

static inline unsigned
cq_overflowed(const struct uring_shard *us)
{
	/* relaxed: a hint; the next look sees it */
	return (filch__u32_load_relaxed(us->ring.sq.kflags) &
	    IORING_SQ_CQ_OVERFLOW);
}

static void
uring_flush(struct filch__shard *shard)
{
	struct uring_shard *us = uring_shard(shard);
	unsigned pending;
	int result;

	while ((pending = sq_pending(us)) > 0) {
		result = io_uring_enter(
		    (unsigned)us->ring.ring_fd, pending, 0, 0, NULL);
		filch__counter_add(&shard->counters.submissions, 1);
		if (result <= 0 && result != -EINTR) {
			/* no room for completions, or no memory: reap first */
			return;
		}
	}
}

/* An empty entry, or NULL if the kernel takes none now.  Lock held. */
static struct io_uring_sqe *
sqe_get(struct uring_shard *us)
{
	struct io_uring_sqe *sqe;
	unsigned entries = us->ring.sq.ring_entries;

	if (sq_pending(us) == entries) {
		(void)io_uring_enter(
		    (unsigned)us->ring.ring_fd, entries, 0, 0, NULL);
		if (sq_pending(us) == entries) {
			return (NULL);
		}
	}
	sqe = &us->ring.sq.sqes[us->sq_tail & us->ring.sq.ring_mask];
	memset(sqe, 0, sizeof(*sqe));
	return (sqe);
}

/* Lock held. */
static void
sqe_publish(
    struct uring_shard *us, struct io_uring_sqe *sqe, uint64_t user_data)
{
	sqe->user_data = user_data;
	us->sq_tail++;
	filch__u32_store_relaxed(&us->in_flight,
	    filch__u32_load_relaxed(&us->in_flight) + 1); /* relaxed: lock */
	/* [US1] release: the kernel's acquire of the tail sees the entry */
	filch__u32_store_release(us->ring.sq.ktail, us->sq_tail);
}

/* ---- preparing ---- */

static inline unsigned
transfer_size(size_t size)
{
	return (
	    size > FILCH_TRANSFER_MAX ? FILCH_TRANSFER_MAX : (unsigned)size);
}

static void
op_prepare_transfer(struct filch_op *op, struct io_uring_sqe *sqe)
{
	static const uint8_t opcodes[] = {
		[FILCH_OP_READ] = IORING_OP_READ,
		[FILCH_OP_WRITE] = IORING_OP_WRITE,
		[FILCH_OP_READV] = IORING_OP_READV,
		[FILCH_OP_WRITEV] = IORING_OP_WRITEV,
	};
	bool vector = op->priv.opcode == FILCH_OP_READV ||
	    op->priv.opcode == FILCH_OP_WRITEV;
	bool write = op->priv.opcode == FILCH_OP_WRITE ||
	    op->priv.opcode == FILCH_OP_WRITEV;

	sqe->opcode = opcodes[op->priv.opcode];
	sqe->off = op->priv.offset;
	sqe->addr = (uint64_t)(uintptr_t)op->priv.a.source;
	sqe->len = vector ? (unsigned)op->priv.b.iov_count
			  : transfer_size(op->priv.b.size);
	if (op->priv.buffer_index > 0 && !vector) {
		sqe->opcode =
		    write ? IORING_OP_WRITE_FIXED : IORING_OP_READ_FIXED;
		sqe->buf_index = (uint16_t)(op->priv.buffer_index - 1);
	}
	if (write && (op->priv.flags & FILCH_OP_DSYNC) != 0) {
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

static void
op_prepare_sqe(struct filch_op *op, struct io_uring_sqe *sqe)
{
	struct filch_file *file = op->priv.file;

	if (file != NULL) {
		sqe->fd = file->fd;
		if (file->priv.fixed_index >= 0 && file->fd >= 0) {
			sqe->fd = file->priv.fixed_index;
			sqe->flags |= IOSQE_FIXED_FILE;
		}
	}
	switch ((enum filch_opcode)op->priv.opcode) {
	case FILCH_OP_READ:
	case FILCH_OP_WRITE:
	case FILCH_OP_READV:
	case FILCH_OP_WRITEV:
		op_prepare_transfer(op, sqe);
		break;
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
	case FILCH_OP_TRUNCATE:
	case FILCH_OP_CALL:
	case FILCH_OP_COUNT:
		filch__assert(false); /* an operation of the pool */
	}
}

/* ---- submitting ---- */

/* Give op an entry.  False if there is no room now.  Lock held. */
static bool
op_issue(struct uring_shard *us, struct filch_op *op)
{
	struct io_uring_sqe *sqe;

	/* relaxed: changed under the lock */
	if (filch__u32_load_relaxed(&us->in_flight) >= us->in_flight_max) {
		return (false);
	}
	sqe = sqe_get(us);
	if (sqe == NULL) {
		return (false);
	}
	op_prepare_sqe(op, sqe);
	/* release [OP1]: who cancels sees the operation's shard */
	filch__u32_store_release(&op->priv.state, FILCH__OP_KERNEL);
	sqe_publish(us, sqe, (uint64_t)(uintptr_t)op | TAG_OP);
	return (true);
}

static void
uring_submit(struct filch__shard *shard, struct filch_op *op)
{
	struct uring_shard *us = uring_shard(shard);
	bool refused = false;

	if (!uring_driver(shard)->opcode_works[op->priv.opcode]) {
		if (op->priv.opcode != FILCH_OP_CALL) {
			/* [ST1] a counter of many threads */
			(void)filch__u64_add_acq_rel(
			    &shard->counters
				 .fallbacks[FILCH_FALLBACK_NO_OPCODE],
			    1);
		}
		filch__pool_submit(&shard->reactor->pool, op);
		return;
	}
	filch__lock_take(&us->lock);
	if (us->wait_head != NULL || !op_issue(us, op)) {
		refused = (op->priv.flags & FILCH_OP_NOWAIT) != 0;
		if (!refused) {
			waiting_push(us, op);
		}
	}
	filch__lock_leave(&us->lock);
	if (refused) {
		op->priv.result = -EAGAIN;
		op->priv.next = NULL;
		filch__reactor_complete(shard->reactor, op);
	}
}

static void
waiting_push(struct uring_shard *us, struct filch_op *op)
{
	op->priv.next = NULL;
	op->priv.previous = us->wait_tail;
	if (us->wait_tail != NULL) {
		us->wait_tail->priv.next = op;
	} else {
		us->wait_head = op;
	}
	us->wait_tail = op;
	us->waiting++;
	/* release [OP1]: who cancels sees the operation's shard */
	filch__u32_store_release(&op->priv.state, FILCH__OP_WAITING);
}

static void
waiting_remove(struct uring_shard *us, struct filch_op *op)
{
	struct filch_op *next = op->priv.next;
	struct filch_op *previous = op->priv.previous;

	if (previous != NULL) {
		previous->priv.next = next;
	} else {
		us->wait_head = next;
	}
	if (next != NULL) {
		next->priv.previous = previous;
	} else {
		us->wait_tail = previous;
	}
	us->waiting--;
}

/* Room has come free: the longest waiting first. */
static void
waiting_refill(struct uring_shard *us)
{
	while (us->wait_head != NULL) {
		struct filch_op *op = us->wait_head;

		waiting_remove(us, op);
		if (!op_issue(us, op)) {
			/* back to the front */
			op->priv.previous = NULL;
			op->priv.next = us->wait_head;
			if (us->wait_head != NULL) {
				us->wait_head->priv.previous = op;
			} else {
				us->wait_tail = op;
			}
			us->wait_head = op;
			us->waiting++;
			return;
		}
	}
}

/* ---- reaping ---- */

static unsigned
uring_reap(struct filch__shard *shard)
{
	struct uring_shard *us = uring_shard(shard);
	struct filch_op *list = NULL;
	struct filch_op **end = &list;
	unsigned head;
	unsigned tail;
	unsigned count = 0;

	if (cq_is_empty(us) && !cq_overflowed(us)) {
		return (0);
	}
	if (!filch__lock_try(&us->lock)) {
		return (0);
	}
	if (cq_overflowed(us)) {
		(void)io_uring_enter((unsigned)us->ring.ring_fd, 0, 0,
		    IORING_ENTER_GETEVENTS, NULL);
	}
	head = filch__u32_load_relaxed(us->ring.cq.khead); /* relaxed: lock */
	/* [US1] acquire: the kernel wrote the entries before its tail */
	tail = filch__u32_load_acquire(us->ring.cq.ktail);
	while (head != tail && count < REAP_BATCH_MAX) {
		struct filch_op *op = cqe_take(
		    shard, us, &us->ring.cq.cqes[head & us->ring.cq.ring_mask]);

		head++;
		count++;
		/* [US1] release: the kernel may use the entry again */
		filch__u32_store_release(us->ring.cq.khead, head);
		if (op != NULL) {
			op->priv.next = NULL;
			*end = op;
			end = &op->priv.next;
		}
	}
	waiting_refill(us);
	filch__counter_add(&shard->counters.completions, count);
	if (filch__shard_current != shard) {
		filch__counter_add(&shard->counters.rescued, count);
	}
	filch__lock_leave(&us->lock);
	reap_hand_on(shard->reactor, list);
	return (count);
}

/*
 * Complete what is finished and give the pool what the ring refused.  Without
 * the shard's lock: a pool that can start no thread runs the operation here.
 */
static void
reap_hand_on(struct filch__reactor *reactor, struct filch_op *list)
{
	while (list != NULL) {
		struct filch_op *op = list;

		list = op->priv.next;
		op->priv.next = NULL;
		if (op->priv.pool_tried == POOL_NEXT) {
			op->priv.pool_tried = POOL_TRIED;
			filch__pool_submit(&reactor->pool, op);
		} else {
			filch__reactor_complete(reactor, op);
		}
	}
}

/* Deal with one completion; the operation it finished, if any.  Lock held. */
static struct filch_op *
cqe_take(struct filch__shard *shard, struct uring_shard *us,
    const struct io_uring_cqe *cqe)
{
	uint64_t data = cqe->user_data;
	uint64_t address = data & ~(uint64_t)TAG_MASK;
	struct filch_op *op;

	if ((cqe->flags & IORING_CQE_F_MORE) == 0) {
		/* relaxed: changed under the lock */
		filch__u32_store_relaxed(&us->in_flight,
		    filch__u32_load_relaxed(&us->in_flight) - 1);
	}
	switch ((enum uring_tag)(data & TAG_MASK)) {
	case TAG_OP:
		op = (struct filch_op *)(uintptr_t)address;
		return (op_completed(shard, us, op, cqe->res) ? op : NULL);
	case TAG_POLL:
		op = (struct filch_op *)(uintptr_t)address;
		if (op->priv.stop_asked || cqe->res == -ECANCELED) {
			op->priv.result = -ECANCELED;
			return (op);
		}
		op_again(us, op);
		return (NULL);
	case TAG_SOURCE:
		if ((cqe->flags & IORING_CQE_F_MORE) != 0) {
			return (NULL);
		}
		address &= (UINT64_C(1) << SOURCE_INDEX_SHIFT) - 1;
		filch__registration_entry_done(&shard->reactor->registrations,
		    (struct filch__registration *)(uintptr_t)address,
		    (unsigned)(data >> SOURCE_INDEX_SHIFT), cqe->res);
		return (NULL);
	case TAG_EVENT:
		us->eventfd_armed = false;
		return (NULL);
	case TAG_IGNORE:
	case TAG_MASK:
		break;
	}
	return (NULL);
}

/* True if op is finished; false if it goes on another way.  Lock held. */
static bool
op_completed(struct filch__shard *shard, struct uring_shard *us,
    struct filch_op *op, int32_t result)
{
	struct filch_file *file = op->priv.file;
	struct io_uring_sqe *sqe;

	op->priv.result = result;
	if (filch__likely(result >= 0)) {
		if (op->priv.opcode == FILCH_OP_STAT) {
			stat_convert(op->priv.b.stat);
		}
		return (true);
	}
	if (op->priv.stop_asked) {
		if (result == -EINTR || result == -EAGAIN) {
			op->priv.result = -ECANCELED;
		}
		return (true);
	}
	if (result == -EINTR) {
		op_again(us, op);
		return (false);
	}
	if (result == -EAGAIN && file != NULL &&
	    (file->priv.flags & FILCH__FILE_POLLABLE) != 0 &&
	    (sqe = sqe_get(us)) != NULL) {
		bool read = op->priv.opcode == FILCH_OP_READ ||
		    op->priv.opcode == FILCH_OP_READV;

		sqe->opcode = IORING_OP_POLL_ADD;
		sqe->fd = file->fd;
		sqe->poll32_events = read ? POLLIN : POLLOUT;
		/* release [OP1]: as in op_issue */
		filch__u32_store_release(&op->priv.state, FILCH__OP_POLLING);
		sqe_publish(us, sqe, (uint64_t)(uintptr_t)op | TAG_POLL);
		return (false);
	}
	if ((result == -EAGAIN || result == -EOPNOTSUPP || result == -ENOSYS) &&
	    op->priv.pool_tried == POOL_UNTRIED) {
		/* [ST1] a counter of many threads */
		(void)filch__u64_add_acq_rel(
		    &shard->counters.fallbacks[FILCH_FALLBACK_REFUSED], 1);
		/* reap_hand_on() sends it there, without the lock */
		op->priv.pool_tried = POOL_NEXT;
	}
	return (true);
}

/* Issue op once more, or let it wait for room. */
static void
op_again(struct uring_shard *us, struct filch_op *op)
{
	if (us->wait_head != NULL || !op_issue(us, op)) {
		waiting_push(us, op);
	}
}

static void
uring_reap_all(struct filch__shard *shard)
{
	while (uring_reap(shard) == REAP_BATCH_MAX) {
		continue;
	}
}

static int64_t
statx_ns(struct statx_timestamp stamp)
{
	return (
	    stamp.tv_sec * (int64_t)FILCH__NS_PER_S + (int64_t)stamp.tv_nsec);
}

static void
stat_convert(struct filch_stat *stat)
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

/* ---- parking and waking ---- */

static long
futex(filch__u32 *word, int op, uint32_t value, const struct timespec *until)
{
	return (syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, until,
	    NULL, FUTEX_BITSET_MATCH_ANY));
}

static void
eventfd_arm(struct uring_shard *us)
{
	struct io_uring_sqe *sqe;

	if (us->eventfd_armed || (sqe = sqe_get(us)) == NULL) {
		return;
	}
	sqe->opcode = IORING_OP_READ;
	sqe->fd = us->eventfd;
	sqe->addr = (uint64_t)(uintptr_t)&us->eventfd_value;
	sqe->len = sizeof(us->eventfd_value);
	sqe_publish(us, sqe, TAG_EVENT);
	us->eventfd_armed = true;
}

static void
uring_park(struct filch__shard *shard)
{
	struct uring_shard *us = uring_shard(shard);
	uint32_t how;
	uint32_t old = PARK_EMPTY;

	filch__lock_take(&us->lock);
	waiting_refill(us);
	/* relaxed: changed under the lock.  The armed eventfd is no work. */
	if (filch__u32_load_relaxed(&us->in_flight) ==
	    (us->eventfd_armed ? 1u : 0u)) {
		how = PARK_FUTEX;
	} else {
		how = PARK_RING;
		eventfd_arm(us);
	}
	filch__lock_leave(&us->lock);
	/* [UP1] pairs with uring_wake */
	if (filch__u32_cas_seq_cst(&us->park, &old, how)) {
		if (how == PARK_FUTEX) {
			(void)futex(&us->park, FUTEX_WAIT_BITSET, how, NULL);
		} else if (cq_is_empty(us)) {
			(void)io_uring_enter((unsigned)us->ring.ring_fd,
			    sq_pending(us), 1, IORING_ENTER_GETEVENTS, NULL);
			filch__counter_add(&shard->counters.submissions, 1);
		} else {
			uring_flush(shard);
		}
	}
	/* [UP1] pairs with uring_wake */
	(void)filch__u32_exchange_seq_cst(&us->park, PARK_EMPTY);
	uring_reap_all(shard);
}

static void
uring_wake(struct filch__shard *shard)
{
	struct uring_shard *us = uring_shard(shard);
	uint64_t one = 1;
	ssize_t written;
	/* [UP1] pairs with uring_park */
	uint32_t old = filch__u32_exchange_seq_cst(&us->park, PARK_NOTIFIED);

	if (old == PARK_FUTEX) {
		(void)futex(&us->park, FUTEX_WAKE, 1, NULL);
	} else if (old == PARK_RING) {
		/* cannot fail short of 2^64 wakes */
		written = write(us->eventfd, &one, sizeof(one));
		filch__assert(written == (ssize_t)sizeof(one));
	} else {
		return;
	}
	/* [ST1] a counter of many threads */
	(void)filch__u64_add_acq_rel(&shard->reactor->wake_calls, 1);
}

static void
uring_wait(struct filch__reactor *reactor, uint64_t deadline_ns)
{
	struct uring_driver *driver = reactor->driver_state;
	struct timespec until = {
		.tv_sec = (time_t)(deadline_ns / FILCH__NS_PER_S),
		.tv_nsec = (long)(deadline_ns % FILCH__NS_PER_S),
	};
	uint32_t old = PARK_EMPTY;

	/* [UP1] pairs with uring_interrupt */
	if (filch__u32_cas_seq_cst(&driver->park, &old, PARK_FUTEX)) {
		(void)futex(&driver->park, FUTEX_WAIT_BITSET, PARK_FUTEX,
		    deadline_ns == FILCH_NEVER ? NULL : &until);
	}
	/* [UP1] pairs with uring_interrupt */
	(void)filch__u32_exchange_seq_cst(&driver->park, PARK_EMPTY);
}

static void
uring_interrupt(struct filch__reactor *reactor)
{
	struct uring_driver *driver = reactor->driver_state;

	/* [UP1] pairs with uring_wait */
	if (filch__u32_exchange_seq_cst(&driver->park, PARK_NOTIFIED) ==
	    PARK_FUTEX) {
		(void)futex(&driver->park, FUTEX_WAKE, 1, NULL);
		/* [ST1] a counter of many threads */
		(void)filch__u64_add_acq_rel(&reactor->wake_calls, 1);
	}
}

/* ---- cancelling ---- */

/*
 * The cancel is carried out inside io_uring_enter, under the lock: nobody can
 * have reaped the operation and issued another at its address meanwhile, so
 * it cannot hit the wrong one.  Entering first makes room for it.
 */
static void
cancel_enter(struct uring_shard *us, uint64_t user_data, unsigned flags)
{
	struct io_uring_sqe *sqe = sqe_get(us);

	if (sqe == NULL) {
		/* the completion queue is full: its target has completed */
		return;
	}
	sqe->opcode = IORING_OP_ASYNC_CANCEL;
	sqe->fd = -1;
	sqe->addr = user_data;
	sqe->cancel_flags = flags;
	sqe_publish(us, sqe, TAG_IGNORE);
	(void)io_uring_enter(
	    (unsigned)us->ring.ring_fd, sq_pending(us), 0, 0, NULL);
}

static void
uring_cancel(struct filch_op *op)
{
	struct filch__shard *shard = op->priv.shard;
	struct uring_shard *us = uring_shard(shard);
	bool finished = false;

	filch__lock_take(&us->lock);
	op->priv.stop_asked = 1;
	/* relaxed: changed under the lock, or by the pool, which looks too */
	switch (
	    (enum filch__op_state)filch__u32_load_relaxed(&op->priv.state)) {
	case FILCH__OP_WAITING:
		waiting_remove(us, op);
		finished = true;
		break;
	case FILCH__OP_KERNEL:
		cancel_enter(us, (uint64_t)(uintptr_t)op | TAG_OP, 0);
		break;
	case FILCH__OP_POLLING:
		cancel_enter(us, (uint64_t)(uintptr_t)op | TAG_POLL, 0);
		break;
	case FILCH__OP_POOL:
		finished = filch__pool_remove(&shard->reactor->pool, op);
		break;
	case FILCH__OP_IDLE:
	case FILCH__OP_POOL_RUNNING:
	case FILCH__OP_DONE:
	case FILCH__OP_SPENT:
		break;
	}
	filch__lock_leave(&us->lock);
	if (finished) {
		op->priv.result = -ECANCELED;
		op->priv.next = NULL;
		filch__reactor_complete(shard->reactor, op);
	}
}

static void
uring_cancel_all(struct filch__shard *shard)
{
	struct uring_shard *us = uring_shard(shard);
	struct filch_op *list;
	struct filch_op *op;

	filch__lock_take(&us->lock);
	list = us->wait_head;
	us->wait_head = NULL;
	us->wait_tail = NULL;
	us->waiting = 0;
	/* relaxed: changed under the lock */
	if (filch__u32_load_relaxed(&us->in_flight) > 0) {
		cancel_enter(
		    us, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
	}
	filch__lock_leave(&us->lock);
	for (op = list; op != NULL; op = op->priv.next) {
		op->priv.result = -ECANCELED;
	}
	filch__reactor_complete(shard->reactor, list);
}

static void
uring_depths(
    struct filch__shard *shard, uint64_t *ret_in_flight, uint64_t *ret_waiting)
{
	struct uring_shard *us = uring_shard(shard);

	filch__lock_take(&us->lock);
	/* relaxed: changed under the lock */
	*ret_in_flight = filch__u32_load_relaxed(&us->in_flight) -
	    (us->eventfd_armed ? 1 : 0);
	*ret_waiting = us->waiting;
	filch__lock_leave(&us->lock);
}

/* ---- sources ---- */

static uint64_t
source_data(const struct filch__registration *registration, unsigned index)
{
	return ((uint64_t)(uintptr_t)registration | TAG_SOURCE |
	    (uint64_t)index << SOURCE_INDEX_SHIFT);
}

static int
uring_source_submit(struct filch__shard *shard,
    struct filch__registration *registration, filch_sqe_fill_fn fill, void *arg,
    unsigned count)
{
	struct uring_shard *us = uring_shard(shard);
	unsigned entries = us->ring.sq.ring_entries;
	uint32_t none = 0;
	unsigned i;

	filch__lock_take(&us->lock);
	if (entries - sq_pending(us) < count) {
		(void)io_uring_enter(
		    (unsigned)us->ring.ring_fd, sq_pending(us), 0, 0, NULL);
	}
	/* relaxed: changed under the lock */
	if (entries - sq_pending(us) < count ||
	    filch__u32_load_relaxed(&us->in_flight) + count >
		us->in_flight_max) {
		filch__lock_leave(&us->lock);
		return (-EAGAIN);
	}
	/* [RG2] pairs with filch__registration_entry_done */
	if (!filch__u32_cas_acq_rel(&registration->remaining, &none, count)) {
		filch__lock_leave(&us->lock);
		return (-EBUSY);
	}
	registration->shard = shard;
	registration->submitted = count;
	for (i = 0; i < count; i++) {
		struct io_uring_sqe *sqe = sqe_get(us);

		fill(sqe, i, arg);
		/* every entry must complete, or the source never would */
		sqe->flags &= (uint8_t)~IOSQE_CQE_SKIP_SUCCESS;
		sqe_publish(us, sqe, source_data(registration, i));
	}
	filch__lock_leave(&us->lock);
	return (0);
}

static int
uring_source_cancel(struct filch__registration *registration)
{
	struct filch__shard *shard;
	struct uring_shard *us;
	unsigned i;

	/* [RG2] pairs with uring_source_submit */
	if (filch__u32_load_acquire(&registration->remaining) == 0) {
		return (-ENOENT);
	}
	shard = registration->shard;
	if (shard == NULL) {
		/* its very first submission is just being made */
		return (-ENOENT);
	}
	us = uring_shard(shard);
	filch__lock_take(&us->lock);
	for (i = 0; i < registration->submitted; i++) {
		cancel_enter(us, source_data(registration, i), 0);
	}
	filch__lock_leave(&us->lock);
	return (0);
}

/* ---- registered files and memory ---- */

static int
slot_take(bool *used, int count)
{
	int i;

	for (i = 0; i < count; i++) {
		if (!used[i]) {
			used[i] = true;
			return (i);
		}
	}
	return (-ENFILE);
}

/* Make the empty tables on every ring, once.  Lock held. */
static int
tables_make(struct filch__reactor *reactor, bool files)
{
	struct uring_driver *driver = reactor->driver_state;
	bool *made = files ? &driver->files_sparse : &driver->memory_sparse;
	unsigned i;
	int result;

	for (i = 0; !*made && i < reactor->options.shard_count; i++) {
		struct io_uring *ring = &driver->shards[i].ring;

		result = files ? io_uring_register_files_sparse(
				     ring, FILCH_FIXED_FILES_MAX)
			       : io_uring_register_buffers_sparse(
				     ring, FILCH_FIXED_POOLS_MAX);
		/* -EBUSY: made by an attempt that failed at a later ring */
		if (result < 0 && result != -EBUSY) {
			return (result == -EINVAL ? -EOPNOTSUPP : result);
		}
	}
	*made = true;
	return (0);
}

static int
uring_file_set(struct filch__reactor *reactor, int index, int fd)
{
	struct uring_driver *driver = reactor->driver_state;
	unsigned i;
	int result;

	for (i = 0; i < reactor->options.shard_count; i++) {
		result = io_uring_register_files_update(
		    &driver->shards[i].ring, (unsigned)index, &fd, 1);
		if (result < 0) {
			return (result);
		}
	}
	return (0);
}

static int
uring_file_register(struct filch__reactor *reactor, int fd)
{
	struct uring_driver *driver = reactor->driver_state;
	int index;
	int result;

	filch__lock_take(&driver->lock);
	index = tables_make(reactor, true);
	if (index == 0) {
		index = slot_take(driver->file_used, FILCH_FIXED_FILES_MAX);
	}
	if (index >= 0) {
		result = uring_file_set(reactor, index, fd);
		if (result < 0) {
			(void)uring_file_set(reactor, index, -1);
			driver->file_used[index] = false;
			index = result;
		}
	}
	filch__lock_leave(&driver->lock);
	return (index);
}

static void
uring_file_unregister(struct filch__reactor *reactor, int index)
{
	struct uring_driver *driver = reactor->driver_state;

	filch__lock_take(&driver->lock);
	(void)uring_file_set(reactor, index, -1);
	driver->file_used[index] = false;
	filch__lock_leave(&driver->lock);
}

static int
uring_memory_set(
    struct filch__reactor *reactor, int index, void *memory, size_t size)
{
	struct uring_driver *driver = reactor->driver_state;
	struct iovec iov = { .iov_base = memory, .iov_len = size };
	__u64 tag = 0;
	unsigned i;
	int result;

	for (i = 0; i < reactor->options.shard_count; i++) {
		result = io_uring_register_buffers_update_tag(
		    &driver->shards[i].ring, (unsigned)index, &iov, &tag, 1);
		if (result < 0) {
			return (result);
		}
	}
	return (0);
}

static int
uring_memory_register(struct filch__reactor *reactor, void *memory, size_t size)
{
	struct uring_driver *driver = reactor->driver_state;
	int index;
	int result;

	filch__lock_take(&driver->lock);
	index = tables_make(reactor, false);
	if (index == 0) {
		index = slot_take(driver->memory_used, FILCH_FIXED_POOLS_MAX);
	}
	if (index >= 0) {
		result = uring_memory_set(reactor, index, memory, size);
		if (result < 0) {
			(void)uring_memory_set(reactor, index, NULL, 0);
			driver->memory_used[index] = false;
			index = result;
		}
	}
	filch__lock_leave(&driver->lock);
	return (index);
}

static void
uring_memory_unregister(struct filch__reactor *reactor, int index)
{
	struct uring_driver *driver = reactor->driver_state;

	filch__lock_take(&driver->lock);
	(void)uring_memory_set(reactor, index, NULL, 0);
	driver->memory_used[index] = false;
	filch__lock_leave(&driver->lock);
}

const struct filch__driver filch__driver_uring = {
	.kind = FILCH_DRIVER_URING,
	.open = uring_open,
	.close = uring_close,
	.submit = uring_submit,
	.park = uring_park,
	.flush = uring_flush,
	.reap = uring_reap,
	.wake = uring_wake,
	.cancel = uring_cancel,
	.cancel_all = uring_cancel_all,
	.depths = uring_depths,
	.wait = uring_wait,
	.interrupt = uring_interrupt,
	.source_submit = uring_source_submit,
	.source_cancel = uring_source_cancel,
	.file_register = uring_file_register,
	.file_unregister = uring_file_unregister,
	.memory_register = uring_memory_register,
	.memory_unregister = uring_memory_unregister,
};

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every limit of filch: what it bounds, its default, its hard bound, and why.
 */
#ifndef FILCH_LIMITS_H
#define FILCH_LIMITS_H

/* Workers: more than the CPUs of today's machines; bounds fixed arrays. */
#define FILCH_WORKERS_MAX 1024
#if FILCH_WORKERS_MAX > 65536
#error "the list of sleepers holds a worker's index in 16 bits"
#endif

/*
 * Tasks in each of a worker's two deques.  Large enough that a burst of spawns
 * or wakes stays on its worker, small enough that its slots, of which only
 * those in use are touched, stay in the second-level cache.  A power of two,
 * since an index is masked into a slot.
 */
#define FILCH_DEQUE_CAPACITY_DEFAULT 16384
#define FILCH_DEQUE_CAPACITY_MIN     4
#define FILCH_DEQUE_CAPACITY_MAX     65536
#if (FILCH_DEQUE_CAPACITY_DEFAULT & (FILCH_DEQUE_CAPACITY_DEFAULT - 1)) !=     \
	0 ||                                                                   \
    FILCH_DEQUE_CAPACITY_DEFAULT < FILCH_DEQUE_CAPACITY_MIN ||                 \
    FILCH_DEQUE_CAPACITY_DEFAULT > FILCH_DEQUE_CAPACITY_MAX
#error "the default capacity of a deque is no power of two in its bounds"
#endif

/*
 * Tasks in the injector before spawning from outside says -EAGAIN: far more
 * than anybody should have waiting.  It costs no memory, as tasks link
 * themselves; the bound keeps the counts far from overflow.
 */
#define FILCH_INJECTOR_CAPACITY_DEFAULT (1u << 21)
#define FILCH_INJECTOR_CAPACITY_MAX     (1u << 30)

/*
 * Entries of a worker's submission queue; its completion queue has four times
 * as many, and bounds what is in the kernel.  Enough to keep a fast disk busy;
 * at most what the kernel takes (32768 submissions, 65536 completions).
 */
#define FILCH_RING_ENTRIES_DEFAULT 256
#define FILCH_RING_ENTRIES_MIN     8
#define FILCH_RING_ENTRIES_MAX     16384
#if (FILCH_RING_ENTRIES_DEFAULT & (FILCH_RING_ENTRIES_DEFAULT - 1)) != 0 ||    \
    4 * FILCH_RING_ENTRIES_MAX > 65536
#error "the kernel refuses rings of that size"
#endif

/* The kernel's own threads for what a ring cannot do without blocking. */
#define FILCH_URING_WORKERS_MAX 16

/* Bytes of one transfer; Linux's own bound.  Longer ones end short. */
#define FILCH_TRANSFER_MAX 0x7ffff000u

/*
 * Threads of the blocking pool: enough to keep a disk's queue busy.  They are
 * started when needed; the bound is below what systems allow a process.
 */
#define FILCH_POOL_THREADS_DEFAULT 32
#define FILCH_POOL_THREADS_MAX     4096

/* A thread without work ends after 10 s: longer than pauses in a busy time. */
#define FILCH_POOL_IDLE_NS UINT64_C(10000000000)

/*
 * Operations that wait for a thread before FILCH_OP_NOWAIT says -EAGAIN; as
 * many as a ring has room for, so that the drivers behave alike.
 */
#define FILCH_POOL_DEPTH_NOWAIT 256

/*
 * Operations found ready in one poll before the task must yield.  Yielding
 * costs a hundredth of a cached read; with 128 the others would wait for 10 ms
 * where 64 tasks read.
 */
#define FILCH_BUDGET_DEFAULT 16
#define FILCH_BUDGET_MAX     65536

/*
 * Polls between two looks at the driver and the injector: rare enough to cost
 * nothing, and a prime, so that it keeps no step with a program's own cycles.
 */
#define FILCH_EVENT_INTERVAL_DEFAULT 61
#define FILCH_EVENT_INTERVAL_MAX     65536

/*
 * Tasks run from the LIFO slot in a row: two tasks that wake each other keep
 * the caches warm, and must not keep the others waiting (tokio#5686).
 */
#define FILCH_LIFO_RUNS_MAX 3

/* Buffers a readv or writev, and the kernel's own bound (UIO_MAXIOV). */
#define FILCH_IOV_MAX 1024

/*
 * Operations a batch, or writes a commit; entries of one source's list, whose
 * index has 16 bits in an io_uring completion.
 */
#define FILCH_BATCH_MAX       65536
#define FILCH_AIO_ENTRIES_MAX 4096
#if FILCH_AIO_ENTRIES_MAX > 65536
#error "an entry's index does not fit into a completion"
#endif

/* Registered files and buffer pools an executor: sizes of fixed tables. */
#define FILCH_FIXED_FILES_MAX 1024
#define FILCH_FIXED_POOLS_MAX 16

#endif /* FILCH_LIMITS_H */

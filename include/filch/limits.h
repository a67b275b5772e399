/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every limit of filch: what it bounds, its default, its hard bound, and why.
 */
#ifndef FILCH_LIMITS_H
#define FILCH_LIMITS_H

/* Workers: more than the CPUs of today's machines; bounds fixed arrays. */
#define FILCH_WORKERS_MAX 1024

/*
 * Tasks in a worker's deque.  Large enough that a burst of wakes stays on its
 * worker, small enough that its slots stay in the first-level cache.
 */
#define FILCH_DEQUE_CAPACITY_DEFAULT 256
#define FILCH_DEQUE_CAPACITY_MIN     4
#define FILCH_DEQUE_CAPACITY_MAX     65536

/* Spawned tasks that wait in the injector before spawning says -EAGAIN. */
#define FILCH_INJECTOR_CAPACITY_DEFAULT (1u << 21)
#define FILCH_INJECTOR_CAPACITY_MAX     (1u << 30)

/* Operations of one worker in the kernel; the kernel's own bound is 32768. */
#define FILCH_RING_ENTRIES_DEFAULT 256
#define FILCH_RING_ENTRIES_MIN     8
#define FILCH_RING_ENTRIES_MAX     16384

/* The kernel's own threads for what a ring cannot do without blocking. */
#define FILCH_URING_WORKERS_MAX 16

/* Bytes of one transfer; the systems' own bound. */
#define FILCH_TRANSFER_MAX 0x7ffff000u

/* Threads of the blocking pool: enough to keep a disk's queue busy. */
#define FILCH_POOL_THREADS_DEFAULT 32
#define FILCH_POOL_THREADS_MAX     4096

/* A thread without work ends after 10 s: longer than pauses in a busy time. */
#define FILCH_POOL_IDLE_NS UINT64_C(10000000000)

/*
 * Operations that wait for a thread before FILCH_OP_NOWAIT says -EAGAIN; as
 * many as a ring has room for, so that the drivers behave alike.
 */
#define FILCH_POOL_DEPTH_NOWAIT 256

/* Operations found ready in one poll before the task must yield. */
#define FILCH_BUDGET_DEFAULT 128
#define FILCH_BUDGET_MAX     65536

/* Polls between two looks at the driver and the injector. */
#define FILCH_EVENT_INTERVAL_DEFAULT 61
#define FILCH_EVENT_INTERVAL_MAX     65536

/*
 * Tasks run from the LIFO slot in a row: two tasks that wake each other keep
 * the caches warm, and must not keep the others waiting (tokio#5686).
 */
#define FILCH_LIFO_RUNS_MAX 3

/* Buffers a readv or writev, and the kernel's own bound (UIO_MAXIOV). */
#define FILCH_IOV_MAX 1024

/* Operations a batch; entries of one source's list. */
#define FILCH_BATCH_MAX       65536
#define FILCH_AIO_ENTRIES_MAX 4096

/* Registered files and buffer pools an executor. */
#define FILCH_FIXED_FILES_MAX 1024
#define FILCH_FIXED_POOLS_MAX 16

#endif /* FILCH_LIMITS_H */

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the scheduler benchmarks share: waiting for a group of tasks, and a
 * root task that starts such groups and takes the time.
 *
 * A group counts releases, not ends of polls, since only a released task may
 * be used again; that makes it what a task_group is to oneTBB.
 */
#ifndef FILCH_BENCH_SCHED_BENCH_H
#define FILCH_BENCH_SCHED_BENCH_H

#include <stdatomic.h>
#include <stdint.h>

#include <filch/filch.h>

#define SCHED_CACHE_LINE 64

/* Wakes one task when a known number of others has been released. */
struct sched_group {
	_Alignas(SCHED_CACHE_LINE) atomic_uint left;
	struct filch_waker waiter;
};

/* For the poll of waiter, before the first of the count tasks is spawned. */
static inline void
sched_group_begin(
    struct sched_group *group, struct filch_task *waiter, unsigned count)
{
	group->waiter = filch_task_waker(waiter);
	/* Relaxed: the queues publish it along with the tasks. */
	atomic_store_explicit(&group->left, count, memory_order_relaxed);
}

static inline void
sched_group_leave(struct sched_group *group)
{
	/* Acquire and release: the waiter sees what all have done. */
	if (atomic_fetch_sub_explicit(&group->left, 1, memory_order_acq_rel) ==
	    1) {
		filch_waker_wake(&group->waiter);
	}
}

static inline bool
sched_group_is_done(const struct sched_group *group)
{
	/* Acquire pairs with sched_group_leave(). */
	return (atomic_load_explicit(&group->left, memory_order_acquire) == 0);
}

/* Spawns groups of count tasks, one after another, from a worker. */
struct sched_root {
	struct filch_task task;
	struct filch_executor *executor;
	void (*spawn)(struct sched_root *root);
	unsigned count;
	unsigned repeats;
	uint64_t start_ns;
	uint64_t ns;
	struct sched_group group;
};

/* Nanoseconds that repeats groups took, measured on the worker. */
uint64_t sched_root_run(struct filch_executor *executor,
    void (*spawn)(struct sched_root *root), unsigned count, unsigned repeats);

/* Stops the program if the spawn is refused. */
void sched_spawn(struct filch_executor *executor, struct filch_task *task);

/* Stops the program, unless what a round conserves came out right. */
void sched_check(bool right, const char *what);

/* Zeroed, aligned to cache lines, for the life of the program. */
void *sched_slab(size_t size);

/* One round each; the nanoseconds it took. */
uint64_t sched_spawn_many_worker(struct filch_executor *executor);
uint64_t sched_spawn_many_remote_idle(struct filch_executor *executor);
uint64_t sched_chained_spawn(struct filch_executor *executor);
uint64_t sched_yield_many(struct filch_executor *executor);
uint64_t sched_ping_pong(struct filch_executor *executor);
uint64_t sched_skynet_1M(struct filch_executor *executor);
uint64_t sched_skynet_1M_join(struct filch_executor *executor);

/* Operations in a round. */
#define SCHED_MANY          10000U
#define SCHED_CHAIN         1000U
#define SCHED_CHAINS        100U
#define SCHED_YIELDERS      200U
#define SCHED_YIELDS        1000U
#define SCHED_PINGS         1000U
#define SCHED_SKYNET_LEAVES 1000000U

#endif /* FILCH_BENCH_SCHED_BENCH_H */

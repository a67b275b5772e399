/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Spawning: many tasks from a worker, many from outside while the workers
 * sleep, and chains in which each task spawns the next.
 */
#include "sched_bench.h"

#include <sched.h>
#include <time.h>

#include "sched_report.h"

/* A task that does next to nothing; runs says how often, over all rounds. */
struct leaf {
	struct filch_task task;
	struct sched_group *group;
	unsigned runs;
};

static struct leaf *
leaves(unsigned count)
{
	return (sched_slab(count * sizeof(struct leaf)));
}

static void
leaves_check(const struct leaf *all, unsigned count, unsigned runs)
{
	for (unsigned i = 0; i < count; i++) {
		sched_check(all[i].runs == runs, "a task ran twice, or never");
	}
}

static void
leaf_release(struct filch_task *task)
{
	struct leaf *leaf = filch_container_of(task, struct leaf, task);

	sched_group_leave(leaf->group);
}

/* ---- spawn_many_worker ---- */

static atomic_uint many_ran;
static struct leaf *many;

static enum filch_poll
many_poll(struct filch_task *task)
{
	struct leaf *leaf = filch_container_of(task, struct leaf, task);

	leaf->runs++;
	/* Relaxed: read after the group's end. */
	atomic_fetch_add_explicit(&many_ran, 1, memory_order_relaxed);
	return (FILCH_READY);
}

static void
many_spawn(struct sched_root *root)
{
	for (unsigned i = 0; i < SCHED_MANY; i++) {
		filch_task_init(&many[i].task, many_poll, leaf_release);
		many[i].group = &root->group;
		sched_spawn(root->executor, &many[i].task);
	}
}

uint64_t
sched_spawn_many_worker(struct filch_executor *executor)
{
	static unsigned rounds;

	if (many == NULL) {
		many = leaves(SCHED_MANY);
	}
	atomic_store(&many_ran, 0);
	uint64_t ns = sched_root_run(executor, many_spawn, SCHED_MANY, 1);
	sched_check(atomic_load(&many_ran) == SCHED_MANY, "tasks got lost");
	leaves_check(many, SCHED_MANY, ++rounds);
	return (ns);
}

/* ---- spawn_many_remote_idle ---- */

static struct leaf *remote;
static atomic_uint remote_left;

static enum filch_poll
remote_poll(struct filch_task *task)
{
	filch_container_of(task, struct leaf, task)->runs++;
	return (FILCH_READY);
}

static void
remote_release(struct filch_task *task)
{
	(void)task;
	/* Release: the outside thread sees what all have done. */
	atomic_fetch_sub_explicit(&remote_left, 1, memory_order_acq_rel);
}

uint64_t
sched_spawn_many_remote_idle(struct filch_executor *executor)
{
	static unsigned rounds;
	/* Time for the workers to go to sleep, as much as oneTBB gets. */
	struct timespec pause = { .tv_nsec = 20000000 };

	if (remote == NULL) {
		remote = leaves(SCHED_MANY);
	}
	atomic_store(&remote_left, SCHED_MANY);
	nanosleep(&pause, NULL);
	uint64_t start = sched_now_ns();
	for (unsigned i = 0; i < SCHED_MANY; i++) {
		filch_task_init(&remote[i].task, remote_poll, remote_release);
		sched_spawn(executor, &remote[i].task);
	}
	/* Acquire pairs with the subtraction in remote_release(). */
	while (atomic_load_explicit(&remote_left, memory_order_acquire) != 0) {
		sched_yield();
	}
	uint64_t ns = sched_now_ns() - start;
	leaves_check(remote, SCHED_MANY, ++rounds);
	return (ns);
}

/* ---- chained_spawn ---- */

static struct leaf *chain;

static enum filch_poll chain_poll(struct filch_task *);

static void
chain_spawn_next(struct filch_executor *executor, struct sched_group *group,
    struct leaf *next)
{
	filch_task_init(&next->task, chain_poll, leaf_release);
	next->group = group;
	sched_spawn(executor, &next->task);
}

static enum filch_poll
chain_poll(struct filch_task *task)
{
	struct leaf *leaf = filch_container_of(task, struct leaf, task);

	leaf->runs++;
	if (leaf + 1 < chain + SCHED_CHAIN) {
		struct sched_root *root =
		    filch_container_of(leaf->group, struct sched_root, group);

		chain_spawn_next(root->executor, leaf->group, leaf + 1);
	}
	return (FILCH_READY);
}

static void
chain_start(struct sched_root *root)
{
	chain_spawn_next(root->executor, &root->group, chain);
}

uint64_t
sched_chained_spawn(struct filch_executor *executor)
{
	static unsigned rounds;

	if (chain == NULL) {
		chain = leaves(SCHED_CHAIN);
	}
	uint64_t ns =
	    sched_root_run(executor, chain_start, SCHED_CHAIN, SCHED_CHAINS);
	leaves_check(chain, SCHED_CHAIN, SCHED_CHAINS * ++rounds);
	return (ns);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * skynet_1M_join: the same tree, forked and joined.  A node spawns all of its
 * children but one, calls that one, and takes back and calls those that nobody
 * has stolen.
 *
 * What was stolen ends on another worker, so a node may have to be left before
 * its sum is known: whoever brings the last part sums up and passes it on.
 * While nothing is stolen, nothing is counted, and a node is a call.
 */
#include "sched_bench.h"

#include <stddef.h>

#include "sched_report.h"

#define CHILDREN 10U
#define SPAWNED  (CHILDREN - 1)
/* Tasks that have children: 1 + 10 + ... + 100000. */
#define BLOCKS      111111U
#define WORKERS_MAX 256

/* What a child is waited for: its sum, and the release of its task. */
#define WAITS_FOR_CHILD 2U

struct block;

struct child {
	struct filch_task task;
	struct block *home; /* it lies there */
};

/* A node with children.  All tasks of a free one are ready to be spawned. */
struct block {
	struct block *parent; /* NULL: the root's; next of a free one */
	unsigned index;       /* which child of parent */
	unsigned size;        /* of each child */
	uint64_t first;
	atomic_uint waits;
	bool is_left[SPAWNED]; /* a child's sum comes from somebody else */
	uint64_t sums[CHILDREN];
	struct child children[SPAWNED];
};

struct pool {
	_Alignas(SCHED_CACHE_LINE) struct block *free;
};

static struct filch_executor *join_executor;
static struct block *slab;
static atomic_uint slab_used;
static struct pool pools[WORKERS_MAX];

struct root {
	struct filch_task task;
	struct filch_waker waker;
	uint64_t sum;
	atomic_bool is_done;
	bool has_begun;
};

static struct root root;

static enum filch_poll child_poll(struct filch_task *);
static void child_release(struct filch_task *);

static struct block *
block_take(void)
{
	struct pool *pool = &pools[filch_worker_index()];
	struct block *block = pool->free;

	if (block != NULL) {
		pool->free = block->parent;
		return (block);
	}
	/* Relaxed: each index is somebody's own. */
	unsigned index =
	    atomic_fetch_add_explicit(&slab_used, 1, memory_order_relaxed);
	sched_check(index < BLOCKS, "more blocks than tasks with children");
	block = &slab[index];
	for (unsigned i = 0; i < SPAWNED; i++) {
		filch_task_init(
		    &block->children[i].task, child_poll, child_release);
		block->children[i].home = block;
	}
	return (block);
}

static uint64_t
block_sum_and_give(struct block *block)
{
	struct pool *pool = &pools[filch_worker_index()];
	uint64_t sum = 0;

	for (unsigned i = 0; i < CHILDREN; i++) {
		sum += block->sums[i];
	}
	block->parent = pool->free;
	pool->free = block;
	return (sum);
}

static void
root_finish(uint64_t sum)
{
	root.sum = sum;
	/* Release pairs with root_poll(). */
	atomic_store_explicit(&root.is_done, true, memory_order_release);
	filch_waker_wake(&root.waker);
}

/* So many of the block's waits are over; the last one passes its sum on. */
static void
block_meet(struct block *block, unsigned waits)
{
	/* Acquire and release: the last one sees all sums. */
	while (atomic_fetch_sub_explicit(
		   &block->waits, waits, memory_order_acq_rel) == waits) {
		struct block *parent = block->parent;
		unsigned index = block->index;
		uint64_t sum = block_sum_and_give(block);

		if (parent == NULL) {
			root_finish(sum);
			return;
		}
		parent->sums[index] = sum;
		block = parent;
		waits = 1;
	}
}

/* NOLINTBEGIN(misc-no-recursion): six levels */

static bool node_split(
    struct block *, unsigned, uint64_t, unsigned, uint64_t *);

/*
 * The sum of a node, a child of parent, into *ret_sum; false if a part of it
 * was stolen, so that whoever ends that gives the sum to parent.
 */
static inline bool
node_sum(struct block *parent, unsigned index, uint64_t first, unsigned size,
    uint64_t *ret_sum)
{
	if (size == 1) {
		*ret_sum = first;
		return (true);
	}
	return (node_split(parent, index, first, size, ret_sum));
}

static bool
node_split(struct block *parent, unsigned index, uint64_t first, unsigned size,
    uint64_t *ret_sum)
{
	struct block *block = block_take();
	unsigned met = 0;

	size /= CHILDREN;
	block->parent = parent;
	block->index = index;
	block->size = size;
	block->first = first;
	/* Relaxed: the queues publish it along with the tasks. */
	atomic_store_explicit(
	    &block->waits, CHILDREN * WAITS_FOR_CHILD, memory_order_relaxed);
	for (unsigned i = 0; i < SPAWNED; i++) {
		sched_spawn(join_executor, &block->children[i].task);
	}
	for (unsigned i = CHILDREN; i-- > 0;) {
		if (i < SPAWNED &&
		    !filch_executor_unspawn(
			join_executor, &block->children[i].task)) {
			continue;
		}
		met++;
		if (node_sum(block, i, first + (uint64_t)i * size, size,
			&block->sums[i])) {
			met++;
		}
	}
	if (met == CHILDREN * WAITS_FOR_CHILD) {
		*ret_sum = block_sum_and_give(block);
		return (true);
	}
	block_meet(block, met);
	return (false);
}

/* NOLINTEND(misc-no-recursion) */

static enum filch_poll
child_poll(struct filch_task *task)
{
	struct child *child = filch_container_of(task, struct child, task);
	struct block *block = child->home;
	unsigned index = (unsigned)(child - block->children);
	uint64_t first = block->first + (uint64_t)index * block->size;

	block->is_left[index] =
	    !node_sum(block, index, first, block->size, &block->sums[index]);
	return (FILCH_READY);
}

static void
child_release(struct filch_task *task)
{
	struct child *child = filch_container_of(task, struct child, task);
	struct block *block = child->home;
	bool is_left = block->is_left[child - block->children];

	filch_task_init(task, child_poll, child_release);
	block_meet(block, is_left ? WAITS_FOR_CHILD - 1 : WAITS_FOR_CHILD);
}

static enum filch_poll
root_poll(struct filch_task *task)
{
	if (!root.has_begun) {
		root.has_begun = true;
		root.waker = filch_task_waker(task);
		if (node_sum(NULL, 0, 0, SCHED_SKYNET_LEAVES, &root.sum)) {
			filch_waker_drop(&root.waker);
			return (FILCH_READY);
		}
	}
	/* Acquire pairs with root_finish(). */
	return (atomic_load_explicit(&root.is_done, memory_order_acquire)
		? FILCH_READY
		: FILCH_PENDING);
}

uint64_t
sched_skynet_1M_join(struct filch_executor *executor)
{
	sched_check(filch_executor_worker_count(executor) <= WORKERS_MAX,
	    "too many workers");
	if (slab == NULL) {
		slab = sched_slab(BLOCKS * sizeof(*slab));
	}
	join_executor = executor;
	root.has_begun = false;
	atomic_store(&root.is_done, false);
	filch_task_init(&root.task, root_poll, NULL);
	uint64_t start = sched_now_ns();
	sched_check(filch_executor_block_on(executor, &root.task) == 0,
	    "the executor took no task");
	uint64_t ns = sched_now_ns() - start;
	sched_check(root.sum ==
		(uint64_t)SCHED_SKYNET_LEAVES * (SCHED_SKYNET_LEAVES - 1) / 2,
	    "the sum is wrong");
	return (ns);
}

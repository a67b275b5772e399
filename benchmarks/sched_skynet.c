/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * skynet_1M: a tree of tasks, ten children each, a million leaves; every task
 * waits for its children and gives the sum of their numbers to its parent.
 *
 * The ten children of a task lie in one block.  Free blocks are kept by each
 * worker for itself, as a small-object allocator would; new ones come from a
 * slab large enough for the whole tree.
 */
#include "sched_bench.h"

#include "sched_report.h"

#define CHILDREN 10U
/* Tasks that have children: 1 + 10 + ... + 100000. */
#define BLOCKS      111111U
#define WORKERS_MAX 256

struct block;

struct node {
	struct filch_task task;
	struct block *home; /* it lies there */
	struct block *children;
	uint64_t first;
	unsigned size;
	unsigned index;
};

struct block {
	struct sched_group group;
	struct block *next;
	uint64_t sums[CHILDREN];
	struct node nodes[CHILDREN];
};

struct pool {
	_Alignas(SCHED_CACHE_LINE) struct block *free;
};

static struct filch_executor *skynet_executor;
static struct block *slab;
static atomic_uint slab_used;
static struct pool pools[WORKERS_MAX];

static struct block *
block_take(void)
{
	struct pool *pool = &pools[filch_worker_index()];
	struct block *block = pool->free;

	if (block != NULL) {
		pool->free = block->next;
		return (block);
	}
	/* Relaxed: each index is somebody's own. */
	unsigned index =
	    atomic_fetch_add_explicit(&slab_used, 1, memory_order_relaxed);
	sched_check(index < BLOCKS, "more blocks than tasks with children");
	return (&slab[index]);
}

static void
block_give(struct block *block)
{
	struct pool *pool = &pools[filch_worker_index()];

	block->next = pool->free;
	pool->free = block;
}

static enum filch_poll node_poll(struct filch_task *);

static void
node_release(struct filch_task *task)
{
	sched_group_leave(
	    &filch_container_of(task, struct node, task)->home->group);
}

static struct block *
children_spawn(struct filch_task *parent, uint64_t first, unsigned size)
{
	struct block *block = block_take();

	sched_group_begin(&block->group, parent, CHILDREN);
	for (unsigned i = 0; i < CHILDREN; i++) {
		struct node *node = &block->nodes[i];

		filch_task_init(&node->task, node_poll, node_release);
		node->home = block;
		node->children = NULL;
		node->first = first + (uint64_t)i * (size / CHILDREN);
		node->size = size / CHILDREN;
		node->index = i;
		sched_spawn(skynet_executor, &node->task);
	}
	return (block);
}

/* The sum of all children; gives their block back. */
static uint64_t
children_sum(struct block *block)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < CHILDREN; i++) {
		sum += block->sums[i];
	}
	block_give(block);
	return (sum);
}

static enum filch_poll
node_poll(struct filch_task *task)
{
	struct node *node = filch_container_of(task, struct node, task);

	if (node->size == 1) {
		node->home->sums[node->index] = node->first;
		return (FILCH_READY);
	}
	if (node->children == NULL) {
		node->children = children_spawn(task, node->first, node->size);
		return (FILCH_PENDING);
	}
	if (!sched_group_is_done(&node->children->group)) {
		return (FILCH_PENDING);
	}
	node->home->sums[node->index] = children_sum(node->children);
	return (FILCH_READY);
}

struct top {
	struct filch_task task;
	struct block *children;
	uint64_t sum;
};

static enum filch_poll
top_poll(struct filch_task *task)
{
	struct top *top = filch_container_of(task, struct top, task);

	if (top->children == NULL) {
		top->children = children_spawn(task, 0, SCHED_SKYNET_LEAVES);
		return (FILCH_PENDING);
	}
	if (!sched_group_is_done(&top->children->group)) {
		return (FILCH_PENDING);
	}
	top->sum = children_sum(top->children);
	return (FILCH_READY);
}

uint64_t
sched_skynet_1M(struct filch_executor *executor)
{
	struct top top = { .children = NULL };

	sched_check(filch_executor_worker_count(executor) <= WORKERS_MAX,
	    "too many workers");
	if (slab == NULL) {
		slab = sched_slab(BLOCKS * sizeof(*slab));
	}
	skynet_executor = executor;
	filch_task_init(&top.task, top_poll, NULL);
	uint64_t start = sched_now_ns();
	sched_check(filch_executor_block_on(executor, &top.task) == 0,
	    "the executor took no task");
	uint64_t ns = sched_now_ns() - start;
	sched_check(top.sum ==
		(uint64_t)SCHED_SKYNET_LEAVES * (SCHED_SKYNET_LEAVES - 1) / 2,
	    "the sum is wrong");
	return (ns);
}

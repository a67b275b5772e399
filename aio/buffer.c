/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Buffer pools: one mapping, and a stack of the numbers of free buffers, so
 * that a buffer's own memory is not touched by taking and giving it.
 */
#include <filch/buffer.h>

#include <filch/op.h>

#include <sys/mman.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "../include/private/assert.h"
#include "../include/private/executor_link.h"
#include "../include/private/lock.h"
#include "../reactor/reactor.h"

struct filch_buffer_pool {
	struct filch__reactor *reactor; /* (i) */
	void *mapping;                  /* (i) */
	size_t mapping_size;            /* (i) */
	char *first;                    /* (i) the first buffer, aligned */
	size_t stride;                  /* (i) from one buffer to the next */
	size_t count;                   /* (i) */
	int index;                      /* (i) the driver's, or -1 */
	struct filch__lock lock;
	size_t free_count; /* (l) */
	bool *is_taken;    /* (l) by number */
	size_t free[];     /* (l) numbers, free_count of them */
};

static int pool_map(struct filch_buffer_pool *pool, size_t alignment);
static void pool_register(struct filch_buffer_pool *pool);

int
filch_buffer_pool_create(struct filch_executor *executor, size_t buffer_size,
    size_t count, size_t alignment, struct filch_buffer_pool **ret_pool)
{
	struct filch_buffer_pool *pool;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int rc = -ENOMEM;

	if (alignment == 0) {
		alignment = page;
	}
	if (count == 0 || buffer_size == 0 ||
	    (alignment & (alignment - 1)) != 0) {
		return (-EINVAL);
	}
	if (count > SIZE_MAX / 2 / sizeof(size_t) ||
	    buffer_size > SIZE_MAX - alignment) {
		return (-ENOMEM);
	}
	pool = malloc(sizeof(*pool) + count * sizeof(pool->free[0]));
	if (pool == NULL) {
		return (-ENOMEM);
	}
	pool->is_taken = calloc(count, sizeof(*pool->is_taken));
	if (pool->is_taken == NULL) {
		goto free_pool;
	}
	pool->reactor = filch__executor_reactor(executor);
	pool->stride = (buffer_size + alignment - 1) & ~(alignment - 1);
	pool->count = count;
	pool->free_count = count;
	for (size_t i = 0; i < count; i++) {
		pool->free[i] = count - 1 - i;
	}
	rc = pool_map(pool, alignment > page ? alignment : page);
	if (rc < 0) {
		goto free_taken;
	}
	filch__lock_init(&pool->lock);
	pool_register(pool);
	*ret_pool = pool;
	return (0);

free_taken:
	free(pool->is_taken);
free_pool:
	free(pool);
	return (rc);
}

void
filch_buffer_pool_destroy(struct filch_buffer_pool *pool)
{
	if (pool == NULL) {
		return;
	}
	filch__require(pool->free_count == pool->count,
	    "all buffers are given back before their pool is destroyed");
	if (pool->index >= 0) {
		pool->reactor->driver->memory_unregister(
		    pool->reactor, pool->index);
	}
	(void)munmap(pool->mapping, pool->mapping_size);
	filch__lock_fini(&pool->lock);
	free(pool->is_taken);
	free(pool);
}

void *
filch_buffer_pool_take(struct filch_buffer_pool *pool)
{
	void *buffer = NULL;

	filch__lock_take(&pool->lock);
	if (pool->free_count > 0) {
		size_t number = pool->free[--pool->free_count];

		pool->is_taken[number] = true;
		buffer = pool->first + number * pool->stride;
	}
	filch__lock_leave(&pool->lock);
	return (buffer);
}

void
filch_buffer_pool_give(struct filch_buffer_pool *pool, void *buffer)
{
	size_t offset = (size_t)((uintptr_t)buffer - (uintptr_t)pool->first);
	size_t number = offset / pool->stride;

	filch__require(number < pool->count && offset % pool->stride == 0,
	    "a buffer is given back to its own pool");
	filch__lock_take(&pool->lock);
	filch__require(pool->is_taken[number], "a buffer is given back once");
	pool->is_taken[number] = false;
	pool->free[pool->free_count++] = number;
	filch__lock_leave(&pool->lock);
}

bool
filch_buffer_pool_is_registered(const struct filch_buffer_pool *pool)
{
	return (pool->index >= 0);
}

void
filch_op_set_pool(struct filch_op *op, const struct filch_buffer_pool *pool)
{
	filch__require(op->priv.state == FILCH__OP_IDLE,
	    "a pool is set before the first poll");
	filch__require(op->priv.opcode == FILCH_OP_READ ||
		op->priv.opcode == FILCH_OP_WRITE,
	    "only a read or a write has a buffer of a pool");
	op->priv.buffer_index = (uint16_t)(pool->index + 1);
}

/* Map the buffers; the mapping is longer by alignment, to start at it. */
static int
pool_map(struct filch_buffer_pool *pool, size_t alignment)
{
	uintptr_t start;

	if (pool->stride > (SIZE_MAX - alignment) / pool->count) {
		return (-ENOMEM);
	}
	pool->mapping_size = pool->stride * pool->count + alignment;
	pool->mapping = mmap(NULL, pool->mapping_size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pool->mapping == MAP_FAILED) {
		return (-ENOMEM);
	}
	start = (uintptr_t)pool->mapping;
	pool->first = (char *)pool->mapping +
	    ((alignment - start % alignment) % alignment);
	return (0);
}

/* Register the buffers with the driver; without it they work all the same. */
static void
pool_register(struct filch_buffer_pool *pool)
{
	struct filch__reactor *reactor = pool->reactor;

	pool->index = -1;
	if (reactor->driver->memory_register != NULL) {
		pool->index = reactor->driver->memory_register(
		    reactor, pool->first, pool->stride * pool->count);
	}
	if (pool->index < 0) {
		pool->index = -1;
		/* [ST1] a counter of many threads */
		(void)filch__u64_add_acq_rel(
		    &reactor->shards[0]
			 .counters.fallbacks[FILCH_FALLBACK_NOT_REGISTERED],
		    1);
	}
}

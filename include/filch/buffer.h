/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Buffer pools: aligned buffers for O_DIRECT, registered with the driver where
 * it has such a thing (io_uring fixed buffers).
 */
#ifndef FILCH_BUFFER_H
#define FILCH_BUFFER_H

#include <stdbool.h>

#include "base.h"

FILCH_BEGIN_DECLS

struct filch_buffer_pool;

/*
 * Make count buffers of buffer_size bytes, each aligned to alignment bytes, a
 * power of two; 0 for the page size.  If they cannot be registered (more than
 * FILCH_FIXED_POOLS_MAX pools, or more memory than RLIMIT_MEMLOCK allows, or a
 * driver without), they work all the same.
 *
 * Returns  0; -EINVAL count or size 0, or an alignment that is no power of
 *          two; -ENOMEM.
 * Memory   *ret_pool is the caller's until filch_buffer_pool_destroy(), which
 *          comes before filch_executor_destroy().
 * Threads  any.
 */
FILCH_NODISCARD FILCH_API int filch_buffer_pool_create(
    struct filch_executor *executor, size_t buffer_size, size_t count,
    size_t alignment, struct filch_buffer_pool **ret_pool);

/*
 * Free the pool and its buffers.  NULL is fine.
 *
 * Memory   all buffers were given back (a misuse), and no operation uses one.
 * Threads  any that has the pool to itself.
 */
FILCH_API void filch_buffer_pool_destroy(struct filch_buffer_pool *pool);

/*
 * Take a buffer, with whatever is in it; NULL if none is left.  The caller has
 * it until filch_buffer_pool_give().
 *
 * Threads  any.
 */
FILCH_API void *filch_buffer_pool_take(struct filch_buffer_pool *pool);

/*
 * Give a buffer back.  One that is not of pool, or was given back already, is
 * a misuse.
 *
 * Threads  any.
 */
FILCH_API void filch_buffer_pool_give(
    struct filch_buffer_pool *pool, void *buffer);

/*
 * True if operations on its buffers use the driver's registered form.
 * Threads: any.
 */
FILCH_API bool filch_buffer_pool_is_registered(
    const struct filch_buffer_pool *pool);

/*
 * Tell op, a prepared read or write (anything else is a misuse), that all of
 * its buffer lies in pool.
 *
 * Memory   op is polled by a task of pool's executor; pool lives until it has
 *          ended.
 * Threads  as for preparing; after it, and before the first poll (a misuse).
 */
FILCH_API void filch_op_set_pool(
    struct filch_op *op, const struct filch_buffer_pool *pool);

FILCH_END_DECLS

#endif /* FILCH_BUFFER_H */

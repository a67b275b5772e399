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
 * Make count buffers of buffer_size bytes, each aligned to alignment, a power
 * of two; 0 for the page size.
 *
 * Returns  0; -EINVAL count or size 0, or an alignment that is no power of
 *          two; -ENOMEM.
 * Memory   executor must outlive the pool.
 * Threads  any.
 */
FILCH_NODISCARD FILCH_API int filch_buffer_pool_create(
    struct filch_executor *executor, size_t buffer_size, size_t count,
    size_t alignment, struct filch_buffer_pool **ret_pool);

/* Free the pool; all its buffers are back and no operation uses one.  NULL is
 * fine. */
FILCH_API void filch_buffer_pool_destroy(struct filch_buffer_pool *pool);

/* Take a buffer; NULL if none is left.  Threads: any. */
FILCH_API void *filch_buffer_pool_take(struct filch_buffer_pool *pool);

/* Give a buffer back.  Threads: any. */
FILCH_API void filch_buffer_pool_give(
    struct filch_buffer_pool *pool, void *buffer);

/* True if operations on its buffers use the driver's registered form. */
FILCH_API bool filch_buffer_pool_is_registered(
    const struct filch_buffer_pool *pool);

/*
 * Tell op, a prepared read or write, that its buffer lies in pool.  Before the
 * first poll.
 */
FILCH_API void filch_op_set_pool(
    struct filch_op *op, const struct filch_buffer_pool *pool);

FILCH_END_DECLS

#endif /* FILCH_BUFFER_H */

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operations as plain system calls.
 */
#ifndef FILCH_REACTOR_EXECUTE_H
#define FILCH_REACTOR_EXECUTE_H

#include <filch/op.h>

#include <stdbool.h>

/*
 * Carry op out on this thread, blocking; its result (never -EINTR).  The
 * result of an open is the new descriptor, as io_uring's is.
 */
int64_t filch__execute(struct filch_op *op);

/* What became of an attempt that must not block. */
enum filch__attempt {
	FILCH__ATTEMPT_DONE,      /* carried out, well or not */
	FILCH__ATTEMPT_NOT_READY, /* nothing happened; wait with poll(2) */
	FILCH__ATTEMPT_MAY_BLOCK  /* not tried: no way to without blocking */
};

/*
 * Try a transfer on a pollable descriptor (FILCH__FILE_POLLABLE) without
 * blocking.  The calling thread has SIGPIPE blocked.
 */
enum filch__attempt filch__execute_try(
    struct filch_op *op, int64_t *ret_result);

/* A read or readv, once; may block, and return -EINTR. */
int64_t filch__execute_read(const struct filch_op *op);

/* The buffers of a transfer as a vector; one is room for a single buffer. */
const struct iovec *filch__execute_vector(
    const struct filch_op *op, struct iovec *one, int *ret_count);

/* True if op is a read or write on a descriptor that may have to wait. */
bool filch__execute_is_pollable(const struct filch_op *op);

/* The events of poll(2) that op, a read or write, waits for. */
short filch__execute_poll_events(const struct filch_op *op);

#endif /* FILCH_REACTOR_EXECUTE_H */

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operations as plain system calls.
 */
#ifndef FILCH_REACTOR_EXECUTE_H
#define FILCH_REACTOR_EXECUTE_H

#include <filch/op.h>

#include <stdbool.h>

/* Carry op out on this thread, blocking; its result (never -EINTR). */
int64_t filch__execute(struct filch_op *op);

/*
 * Try a read on this thread without blocking: cached pages (Linux preadv2 with
 * RWF_NOWAIT).  True if it was carried out, with *ret_result; false if it
 * would block, or the file or system has no such thing.
 */
bool filch__execute_inline(struct filch_op *op, int64_t *ret_result);

/*
 * True if a read of op may be tried inline: a regular file without O_DIRECT
 * that has not missed too often of late.
 */
bool filch__execute_may_inline(struct filch_op *op);

#endif /* FILCH_REACTOR_EXECUTE_H */

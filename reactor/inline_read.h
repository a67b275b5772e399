/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading cached pages on the worker itself: a system call costs less than
 * handing the read over and being woken for it.
 *
 * What is known of a file, two counters in it:
 *   resting  inline_misses = INLINE_MISSES_MAX and more: reads were not in the
 *            cache of late; not tried, but for one read in INLINE_SKIPS
 *   tried    by preadv2(2) with RWF_NOWAIT, which never blocks
 *   trusted  inline_hits = INLINE_TRUST: so many were in the cache in a row.
 *            Plain pread(2), which costs an eighth less since it copies no
 *            vector, and one read in INLINE_PROBE tried as above: a miss ends
 *            the trust.  Pages lost meanwhile make the worker wait for the
 *            disk in INLINE_PROBE reads at most, more or less; the reactor's
 *            monitor looks after what else it had to do.  A file that is mapped
 *            is copied from its mapping (mapping.h), and probed in one read of
 *            INLINE_PROBE_MAPPED.
 *   never    the file system or the system has no RWF_NOWAIT: not tried, unless
 *            the file is mapped; then its user is believed.
 * The counters are estimates: they are shared by all workers and an update may
 * get lost, which costs one attempt more or less.
 */
#ifndef FILCH_REACTOR_INLINE_READ_H
#define FILCH_REACTOR_INLINE_READ_H

#include <filch/op.h>

#include <stdbool.h>

/*
 * True if op, a read, may be tried inline: at an offset of a regular file
 * without O_DIRECT that is not resting.
 */
bool filch__inline_read_is_due(const struct filch_op *op);

/*
 * Try a read on this thread.  True if it was carried out, with *ret_result: an
 * error, or all that was asked for, or what was left up to the end of the
 * file.  False if it would block, or the file or system has no such thing:
 * then the operation has still to be carried out as a whole.
 *
 * turn: how many this worker has carried out before.
 */
bool filch__inline_read(
    const struct filch_op *op, uint32_t turn, int64_t *ret_result);

#endif /* FILCH_REACTOR_INLINE_READ_H */

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operations, as the rest of the library sees them.
 *
 * States of an operation and who moves it: enum filch__op_state in
 * reactor/driver.h.
 *
 * Orderings [OP1] the completer stores the result, then DONE with release
 *           order; a poll that loads DONE with acquire order sees the result
 *           and that nobody will touch the operation any more.
 *           [OP2] a timer that expires stores timed_out, then asks the driver
 *           to cancel.  Submit and cancel change one word or take one lock: if
 *           the cancel came first, the poll that submitted sees timed_out
 *           afterwards and asks again.  The same holds for stopping [RS1].
 * Lifetime  A task that waits holds one reference to itself through the
 *           operation; the completer takes it to wake the task.  Since the
 *           operation is part of what the task pins, it may be looked at
 *           after submit as long as the task is still in its poll.
 */
#ifndef FILCH_AIO_OP_H
#define FILCH_AIO_OP_H

#include <filch/op.h>

#include "../reactor/reactor.h"

/*
 * Start an IDLE operation.  True if it is done already, with its result; false
 * if it is in flight, and its batch (if it is part of one) or else task will
 * be told.
 */
bool filch__op_start(
    struct filch__shard *shard, struct filch_op *op, struct filch_task *task);

/* Finish a list of operations: what the reactor's host does for complete. */
void filch__op_complete(struct filch_op *list);

#endif /* FILCH_AIO_OP_H */

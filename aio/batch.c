/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Batches: many operations, one wake.
 */
#include "batch.h"

#include <filch/limits.h>
#include <filch/task.h>

#include "../include/private/assert.h"
#include "../include/private/task_waker.h"
#include "op.h"

static bool batch_start(struct filch_batch *batch, struct filch__shard *shard,
    struct filch_task *task);
static size_t batch_finish(
    struct filch_batch *batch, struct filch__shard *shard);

void
filch_batch_init(
    struct filch_batch *batch, struct filch_op *const *ops, size_t count)
{
	filch__require(
	    count <= FILCH_BATCH_MAX, "a batch of more than FILCH_BATCH_MAX");
	filch__require(
	    count == 0 || ops != NULL, "a batch of elements without an array");
	batch->priv.ops = ops;
	batch->priv.count = count;
	batch->priv.task = NULL;
	batch->priv.state = FILCH__BATCH_IDLE;
	batch->priv.remaining = 0;
}

enum filch_poll
filch_batch_poll(
    struct filch_batch *batch, struct filch_task *task, size_t *ret_failed)
{
	struct filch__shard *shard = filch__shard_current;

	filch__require(shard != NULL, "a batch is polled by its task");
	filch__require(batch->priv.state != FILCH__BATCH_SPENT,
	    "its end was told; prepare it anew");
	if (filch__unlikely(shard->budget == 0)) {
		filch__counter_add(&shard->counters.yields, 1);
		return (filch_task_yield(task));
	}
	if (batch->priv.state == FILCH__BATCH_IDLE) {
		if (!batch_start(batch, shard, task)) {
			return (FILCH_PENDING);
		}
		/* [BA1] pairs with filch__batch_element_done */
	} else if (filch__u32_load_acquire(&batch->priv.remaining) != 0) {
		filch__require(batch->priv.task == task,
		    "all polls of a batch are of one task");
		if (batch->priv.state == FILCH__BATCH_WAITING &&
		    filch__unlikely(filch__task_has_cancel(task))) {
			batch->priv.state = FILCH__BATCH_CANCELLED;
			filch_batch_cancel(batch);
		}
		return (FILCH_PENDING);
	}
	*ret_failed = batch_finish(batch, shard);
	return (FILCH_READY);
}

void
filch_batch_cancel(struct filch_batch *batch)
{
	for (size_t i = 0; i < batch->priv.count; i++) {
		if (batch->priv.ops[i] != NULL) {
			filch_op_cancel(batch->priv.ops[i]);
		}
	}
}

void
filch__batch_element_done(struct filch_batch *batch)
{
	struct filch_task *task = batch->priv.task;

	/* [BA1] pairs with filch_batch_poll; after it, batch may be gone */
	if (filch__u32_add_acq_rel(&batch->priv.remaining, (uint32_t)-1) == 1) {
		filch__task_wake_held(task);
	}
}

/* Start all elements; true if all of them are done already. */
static bool
batch_start(struct filch_batch *batch, struct filch__shard *shard,
    struct filch_task *task)
{
	uint32_t started = 0;
	uint32_t ended = 0;

	batch->priv.task = task;
	batch->priv.state = FILCH__BATCH_WAITING;
	/* relaxed: no completer knows of the batch yet */
	filch__u32_store_relaxed(
	    &batch->priv.remaining, 1 + (uint32_t)batch->priv.count);
	for (size_t i = 0; i < batch->priv.count; i++) {
		struct filch_op *op = batch->priv.ops[i];

		if (op == NULL) {
			ended++;
			continue;
		}
		filch__require(
		    filch__u32_load_relaxed(&op->priv.state) == FILCH__OP_IDLE,
		    "an element was prepared, and is in one batch");
		op->priv.batch = batch;
		op->priv.flags |= FILCH__OP_BATCHED;
		if (filch__op_start(shard, op, task)) {
			ended++;
		} else {
			started++;
		}
	}
	if (started == 0) {
		/* relaxed: no completer knows of the batch */
		filch__u32_store_relaxed(&batch->priv.remaining, 0);
		return (true);
	}
	/* for the wake; taken back if the last one was done meanwhile */
	filch__task_hold(task);
	/* [BA1] pairs with filch__batch_element_done */
	if (filch__u32_add_acq_rel(&batch->priv.remaining, -(1 + ended)) ==
	    1 + ended) {
		filch_task_unref(task);
		return (true);
	}
	return (false);
}

/* Take the elements back; how many of them failed. */
static size_t
batch_finish(struct filch_batch *batch, struct filch__shard *shard)
{
	size_t failed = 0;
	size_t count = batch->priv.count;

	for (size_t i = 0; i < count; i++) {
		struct filch_op *op = batch->priv.ops[i];

		if (op == NULL) {
			continue;
		}
		filch__assert(filch__u32_load_relaxed(&op->priv.state) ==
		    FILCH__OP_DONE); /* relaxed: [BA1] ordered it */
		filch__u32_store_relaxed(&op->priv.state, FILCH__OP_SPENT);
		op->priv.flags &= (uint8_t)~FILCH__OP_BATCHED;
		failed += op->priv.result < 0;
		filch__counter_add(
		    &shard->counters.operations[op->priv.opcode], 1);
	}
	/* an empty batch costs as well, or a task could poll them for ever */
	shard->budget -= count >= shard->budget ? shard->budget
	    : count == 0                        ? 1
						: (uint32_t)count;
	batch->priv.state = FILCH__BATCH_SPENT;
	return (failed);
}

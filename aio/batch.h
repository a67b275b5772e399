/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Batches, as the operations see them.
 *
 * States of a batch, moved by its task alone: IDLE until the first poll,
 * WAITING while remaining is not 0, SPENT when its end was told.
 *
 * remaining counts the elements not done, and while the batch is being
 * started one more, so that early completions cannot end it.
 * Orderings [BA1] every completer counts down with acq_rel after it has stored
 *           its element's result; who loads 0 with acquire sees all of them,
 *           and that no completer will touch the batch again.
 * Lifetime  The last completer wakes the task by the reference that the batch
 *           holds; it reads which task before it counts down.
 */
#ifndef FILCH_AIO_BATCH_H
#define FILCH_AIO_BATCH_H

#include <filch/batch.h>

enum filch__batch_state {
	FILCH__BATCH_IDLE = 0,
	FILCH__BATCH_WAITING,
	FILCH__BATCH_CANCELLED, /* as WAITING, and its elements were asked */
	FILCH__BATCH_SPENT
};

/* An element of batch is done: its state and result are stored. */
void filch__batch_element_done(struct filch_batch *batch);

#endif /* FILCH_AIO_BATCH_H */

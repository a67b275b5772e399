/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * io_uring: sources, whose entries their users fill.
 */
#include <errno.h>
#include <string.h>

#include "uring.h"

/* Of what the user fills in, others would notice these. */
static uint8_t
source_flags(uint8_t flags, bool is_last)
{
	/* every entry must complete, or the source never would; and a drain
	 * waits for all of the worker's, and has all behind it wait */
	unsigned kept = ~(unsigned)(IOSQE_CQE_SKIP_SUCCESS | IOSQE_IO_DRAIN);

	if (is_last) {
		/* the next is another's, perhaps what wakes the worker */
		kept &= ~(unsigned)(IOSQE_IO_LINK | IOSQE_IO_HARDLINK);
	}
	return ((uint8_t)(flags & kept));
}

static uint64_t
source_data(const struct filch__registration *registration, unsigned index)
{
	return ((uint64_t)(uintptr_t)registration | FILCH__URING_SOURCE |
	    (uint64_t)index << FILCH__URING_SOURCE_SHIFT);
}

int
filch__uring_source_submit(struct filch__shard *shard,
    struct filch__registration *registration, filch_sqe_fill_fn fill, void *arg,
    unsigned count)
{
	struct filch__uring_shard *us = filch__uring_shard(shard);
	unsigned entries = us->ring.sq.ring_entries;
	uint32_t none = 0;
	unsigned i;

	filch__lock_take(&us->lock);
	if (entries - filch__uring_pending(us) < count) {
		(void)filch__uring_hand_over(us);
	}
	/* relaxed: changed under the lock */
	if (entries - filch__uring_pending(us) < count ||
	    filch__u32_load_relaxed(&us->in_flight) + count >
		us->in_flight_max) {
		filch__lock_leave(&us->lock);
		return (-EAGAIN);
	}
	/* [RG2] pairs with filch__registration_entry_done */
	if (!filch__u32_cas_acq_rel(&registration->remaining, &none, count)) {
		filch__lock_leave(&us->lock);
		return (-EBUSY);
	}
	/* relaxed: a cancel of this submission comes after it */
	filch__ptr_store_relaxed(&registration->shard, shard);
	filch__u32_store_relaxed(&registration->submitted, count);
	for (i = 0; i < count; i++) {
		struct io_uring_sqe *sqe =
		    &us->ring.sq
			 .sqes[(us->sq_tail + i) & us->ring.sq.ring_mask];

		memset(sqe, 0, sizeof(*sqe));
		fill(sqe, i, arg);
		sqe->flags = source_flags(sqe->flags, i + 1 == count);
		sqe->user_data = source_data(registration, i);
	}
	/* together: who flushes meanwhile would cut a chain of linked ones */
	filch__uring_entries_publish(us, count);
	filch__lock_leave(&us->lock);
	return (0);
}

int
filch__uring_source_cancel(struct filch__registration *registration)
{
	struct filch__shard *shard;
	struct filch__uring_shard *us;
	unsigned submitted;
	unsigned i;

	/* [RG2] pairs with filch__uring_source_submit */
	if (filch__u32_load_acquire(&registration->remaining) == 0) {
		return (-ENOENT);
	}
	/* relaxed: as in filch__uring_source_submit */
	shard = filch__ptr_load_relaxed(&registration->shard);
	if (shard == NULL) {
		/* its very first submission is just being made */
		return (-ENOENT);
	}
	us = filch__uring_shard(shard);
	filch__lock_take(&us->lock);
	/* relaxed: as above */
	submitted = filch__u32_load_relaxed(&registration->submitted);
	for (i = 0; i < submitted; i++) {
		filch__uring_cancel_enter(
		    shard, source_data(registration, i), 0);
	}
	filch__lock_leave(&us->lock);
	return (0);
}

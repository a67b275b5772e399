/* SPDX-License-Identifier: BSD-2-Clause */
/* What the fact programs about lio_listio(2) share. */
#ifndef FILCH_TESTS_FACTS_LISTS_H
#define FILCH_TESTS_FACTS_LISTS_H

#include "facts.h"

#define ENTRIES 4

/* A list whose entries read one byte each. */
struct batch {
	struct aiocb cbs[ENTRIES];
	struct aiocb *list[ENTRIES];
	char bytes[ENTRIES];
	struct sigevent told;
};

/* udata of the list's event: no address of anything else. */
static inline void *
batch_token(const struct batch *batch)
{
	return ((void *)((uintptr_t)batch->list + 3));
}

/* A batch of reads of fd; with EV_ONESHOT each if the entries are to tell. */
static inline void
batch_prepare(struct batch *batch, int fd, bool entries_tell)
{
	memset(batch, 0, sizeof(*batch));
	batch->told.sigev_notify = SIGEV_KEVENT;
	batch->told.sigev_notify_kqueue = fact_now.kq;
	batch->told.sigev_value.sival_ptr = batch_token(batch);
	for (int i = 0; i < ENTRIES; i++) {
		struct aiocb *cb = &batch->cbs[i];

		fact_prepare(cb, fd, &batch->bytes[i], 1, EV_ONESHOT);
		if (!entries_tell) {
			cb->aio_sigevent.sigev_notify = SIGEV_NONE;
		}
		cb->aio_lio_opcode = LIO_READ;
		batch->list[i] = cb;
	}
}

static inline int
batch_submit(struct batch *batch, int count)
{
	return (lio_listio(LIO_NOWAIT, batch->list, count, &batch->told));
}

/* The next event must be that of the list. */
static inline bool
batch_tells(const struct batch *batch)
{
	struct kevent event;
	struct kevent told;

	EV_SET(&told, (uintptr_t)batch->list, EVFILT_LIO, 0, 0, 0,
	    batch_token(batch));
	return (fact_event(&event) && fact_same(&event, &told));
}

/* True if the entries from first on, count of them, read a byte each. */
static inline bool
batch_return(struct batch *batch, int first, int count)
{
	bool is_right = true;

	for (int i = first; i < first + count; i++) {
		is_right = aio_return(&batch->cbs[i]) == 1 && is_right;
	}
	return (is_right);
}

#endif /* FILCH_TESTS_FACTS_LISTS_H */

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An Aio over a list of the program's own, for the contract programs that are
 * about kqueue(2): writes of a byte each, one behind the other.
 */
#ifndef FILCH_TESTS_CONTRACT_OWN_LIST_H
#define FILCH_TESTS_CONTRACT_OWN_LIST_H

#include "own.h"

#if defined(FILCH_HAVE_KQUEUE)

#define ENTRIES 8

/* A list; the array is part of it, so that no other has its address. */
struct list {
	struct own own; /* first: the registrar */
	struct sigevent sigevent;
	struct aiocb *array[ENTRIES];
	struct aiocb cbs[ENTRIES];
	char bytes[ENTRIES];
};

static int file;

/* Make the Aio of count writes of a byte each, one behind the other. */
static inline const char *
list_make(struct contract *contract, struct list *list, unsigned count)
{
	memset(list, 0, sizeof(*list));
	CHECK_OK(own_make(contract, &list->own, ENTRIES));
	/* the flags are ignored, also wrong ones */
	sigevent_bind(&list->sigevent, &list->own.registrar, EV_ADD);
	for (unsigned i = 0; i < count; i++) {
		list->bytes[i] = (char)('a' + i);
		aiocb_fill(&list->cbs[i], LIO_WRITE, file, &list->bytes[i], 1,
		    (off_t)i);
		list->array[i] = &list->cbs[i];
	}
	return (NULL);
}

/* Submit the first count of the array; 0 or -errno. */
static inline int
list_submit(struct list *list, unsigned count)
{
	int rc =
	    lio_listio(LIO_NOWAIT, list->array, (int)count, &list->sigevent);

	return (rc < 0 ? -errno : 0);
}

/* True if a job of the first count is still running. */
static inline bool
list_is_running(struct list *list, unsigned count)
{
	bool is_running = false;

	for (unsigned i = 0; i < count; i++) {
		is_running |= aio_error(&list->cbs[i]) == EINPROGRESS;
	}
	return (is_running);
}

/* Wait to be told; it is ready then. */
static inline const char *
list_is_told(struct contract *contract, struct list *list)
{
	CHECK_EQ(own_wait(contract, &list->own), 0);
	CHECK_EQ(list->own.event.interest, FILCH_INTEREST_LIO);
	CHECK_EQ(list->own.event.result, 0);
	return (NULL);
}

/* Reap the first count, which all went well. */
static inline const char *
list_reap(struct list *list, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		CHECK_EQ(aiocb_return(&list->cbs[i]), 1);
	}
	return (NULL);
}

/* The whole way of a list that goes well; it was told once. */
static inline const char *
list_run(struct contract *contract, struct list *list, unsigned count)
{
	CHECK_EQ(list_submit(list, count), 0);
	CHECK_OK(list_is_told(contract, list));
	CHECK_OK(list_reap(list, count));
	own_clear(&list->own);
	CHECK_EQ(own_look(contract, &list->own), 1);
	return (NULL);
}

static inline const char *
open_file(struct contract *contract)
{
	file = contract_file(contract, "file", "");
	CHECK(file >= 0);
	return (NULL);
}

#endif

#endif /* FILCH_TESTS_CONTRACT_OWN_LIST_H */

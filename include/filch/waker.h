/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Wakers: how whoever finds that something has become ready tells whoever
 * waits for it.  A task's waker comes from filch_task_waker(); another event
 * loop makes its own from a vtable.
 */
#ifndef FILCH_WAKER_H
#define FILCH_WAKER_H

#include <stdbool.h>

#include "base.h"

FILCH_BEGIN_DECLS

/*
 * What a waker of the user's own consists of.  data counts the references.
 *
 * Threads  any, at the same time too, the threads of an executor included,
 *          with a lock of the library held: so none may block, nor start or
 *          cancel anything of filch.  wake and wake_by_ref may come after what
 *          they would wake has finished.
 * Memory   the vtable outlives all its wakers.
 */
struct filch_waker_vtable {
	void (*clone)(void *data);       /* take one more reference */
	void (*wake)(void *data);        /* wake and give up a reference */
	void (*wake_by_ref)(void *data); /* wake and keep the reference */
	void (*drop)(void *data);        /* give up a reference */
};

/*
 * One reference to something that can be woken.  vtable NULL: nobody, and then
 * all the functions below do nothing.  A copy is no further reference.
 *
 * Threads  any, for the functions below; but each struct by one at a time.
 */
struct filch_waker {
	const struct filch_waker_vtable *vtable;
	void *data;
};

/* One more reference to what waker wakes. */
static inline struct filch_waker
filch_waker_clone(const struct filch_waker *waker)
{
	if (waker->vtable != NULL) {
		waker->vtable->clone(waker->data);
	}
	return (*waker);
}

/* Wake, and give up the reference: *waker is then nobody. */
static inline void
filch_waker_wake(struct filch_waker *waker)
{
	struct filch_waker taken = *waker;

	waker->vtable = NULL;
	if (taken.vtable != NULL) {
		taken.vtable->wake(taken.data);
	}
}

/* Wake, and keep the reference. */
static inline void
filch_waker_wake_by_ref(const struct filch_waker *waker)
{
	if (waker->vtable != NULL) {
		waker->vtable->wake_by_ref(waker->data);
	}
}

/* Give up the reference without a wake: *waker is then nobody. */
static inline void
filch_waker_drop(struct filch_waker *waker)
{
	struct filch_waker taken = *waker;

	waker->vtable = NULL;
	if (taken.vtable != NULL) {
		taken.vtable->drop(taken.data);
	}
}

/* True if both wake the same thing. */
static inline bool
filch_waker_is_same(
    const struct filch_waker *one, const struct filch_waker *two)
{
	return (one->vtable == two->vtable && one->data == two->data);
}

FILCH_END_DECLS

#endif /* FILCH_WAKER_H */

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A waker that wakes nobody and counts its wakes and its references.  Not for
 * several threads at once.
 */
#ifndef FILCH_TESTS_UNIT_COUNTING_WAKER_H
#define FILCH_TESTS_UNIT_COUNTING_WAKER_H

#include <filch/waker.h>

struct count {
	int wakes;
	int references;
};

static void
count_clone(void *data)
{
	((struct count *)data)->references++;
}

static void
count_wake(void *data)
{
	((struct count *)data)->wakes++;
	((struct count *)data)->references--;
}

static void
count_wake_by_ref(void *data)
{
	((struct count *)data)->wakes++;
}

static void
count_drop(void *data)
{
	((struct count *)data)->references--;
}

static const struct filch_waker_vtable count_vtable = { count_clone, count_wake,
	count_wake_by_ref, count_drop };

/* A waker of count, which does not count as a reference itself. */
static inline struct filch_waker
count_waker(struct count *count)
{
	return ((struct filch_waker){ &count_vtable, count });
}

#endif /* FILCH_TESTS_UNIT_COUNTING_WAKER_H */

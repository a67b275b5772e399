/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Parking: how a thread sleeps and is woken, where the driver's own way to
 * sleep does not do it.
 *
 * Word      EMPTY -> SLEEPING      begin   the sleeper, about to sleep
 *           any   -> NOTIFIED      notify  a waker; SLEEPING: it makes the
 *                                          system call
 *           any   -> EMPTY         end     the sleeper, awake
 * Orderings [PP1] all by seq_cst read-modify-write: the sleeper sees what the
 *           waker did before, and a waker finds it asleep or leaves NOTIFIED,
 *           which keeps it from sleeping.
 * Lost?     What the waker's system call does must stick until the sleeper
 *           sleeps: a byte in a pipe, an event of a kqueue.  A parker sleeps
 *           on a condition, and its waker takes the mutex before it signals,
 *           so the signal cannot fall between look and sleep.
 * Together  one sleeper, any wakers.
 * Progress  notify: wait-free.
 */
#ifndef FILCH_REACTOR_PARKER_H
#define FILCH_REACTOR_PARKER_H

#include <pthread.h>
#include <stdbool.h>

#include "../include/private/atomic.h"
#include "../include/private/compiler.h"

enum filch__park {
	FILCH__PARK_EMPTY = 0,
	FILCH__PARK_SLEEPING,
	FILCH__PARK_NOTIFIED
};

/* False if a wake has come: then do not sleep. */
static inline bool
filch__park_begin(filch__u32 *word)
{
	uint32_t old = FILCH__PARK_EMPTY;

	/* [PP1] pairs with filch__park_notify */
	return (filch__u32_cas_seq_cst(word, &old, FILCH__PARK_SLEEPING));
}

static inline void
filch__park_end(filch__u32 *word)
{
	/* [PP1] pairs with filch__park_notify */
	(void)filch__u32_exchange_seq_cst(word, FILCH__PARK_EMPTY);
}

/* True if the sleeper is asleep, or about to be: the caller wakes it. */
static inline bool
filch__park_notify(filch__u32 *word)
{
	/* [PP1] pairs with filch__park_begin, filch__park_end */
	return (filch__u32_exchange_seq_cst(word, FILCH__PARK_NOTIFIED) ==
	    FILCH__PARK_SLEEPING);
}

/* A thread that sleeps on a condition. */
struct filch__parker {
	FILCH__CACHE_ALIGNED filch__u32 word; /* (a) [PP1] */
	pthread_mutex_t mutex;
	pthread_cond_t woken;
};

void filch__parker_init(struct filch__parker *parker);
void filch__parker_fini(struct filch__parker *parker);

/* Sleep until a wake; not at all where one came since the last park. */
void filch__parker_park(struct filch__parker *parker);

/* True if that took a system call.  Any thread. */
bool filch__parker_wake(struct filch__parker *parker);

#endif /* FILCH_REACTOR_PARKER_H */

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A small lock for what is held for a bounded moment: a pthread mutex, which
 * ThreadSanitizer understands; in the Relacy build the explorer's own mutex,
 * so that models can include the code that takes it.
 */
#ifndef FILCH_PRIVATE_LOCK_H
#define FILCH_PRIVATE_LOCK_H

#include <stdbool.h>

#if defined(FILCH_ATOMIC_RELACY)

#include <relacy/relacy.hpp>

struct filch__lock {
	rl::mutex mutex;
};

static inline void
filch__lock_init(struct filch__lock *lock)
{
	(void)lock; /* its constructor did it */
}

static inline void
filch__lock_fini(struct filch__lock *lock)
{
	(void)lock;
}

static inline void
filch__lock_take(struct filch__lock *lock)
{
	lock->mutex.lock($);
}

static inline bool
filch__lock_try(struct filch__lock *lock)
{
	return (lock->mutex.try_lock($));
}

static inline void
filch__lock_leave(struct filch__lock *lock)
{
	lock->mutex.unlock($);
}

#else

#include <pthread.h>

#include "assert.h"

struct filch__lock {
	pthread_mutex_t mutex;
};

static inline void
filch__lock_init(struct filch__lock *lock)
{
	int error = pthread_mutex_init(&lock->mutex, NULL);

	filch__assert(error == 0); /* the default kind takes no resources */
}

static inline void
filch__lock_fini(struct filch__lock *lock)
{
	int error = pthread_mutex_destroy(&lock->mutex);

	filch__assert(error == 0);
}

static inline void
filch__lock_take(struct filch__lock *lock)
{
	int error = pthread_mutex_lock(&lock->mutex);

	filch__assert(error == 0);
}

/* False if somebody holds it. */
static inline bool
filch__lock_try(struct filch__lock *lock)
{
	return (pthread_mutex_trylock(&lock->mutex) == 0);
}

static inline void
filch__lock_leave(struct filch__lock *lock)
{
	int error = pthread_mutex_unlock(&lock->mutex);

	filch__assert(error == 0);
}

#endif

#endif /* FILCH_PRIVATE_LOCK_H */

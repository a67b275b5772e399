/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Holding the reactor thread of one executor, between two of its looks: what
 * happens meanwhile, the workers have done.
 */
#ifndef FILCH_TESTS_UNIT_REACTOR_HOLD_H
#define FILCH_TESTS_UNIT_REACTOR_HOLD_H

#include <semaphore.h>

#include "executor/executor.h"
#include "helpers.h"

static struct reactor_hold {
	uint64_t (*tick)(struct filch__reactor_host *, uint64_t);
	sem_t holds;
	sem_t release;
} hold;

static inline void
reactor_hold_init(struct filch_executor *executor)
{
	hold.tick = executor->host.tick;
	sem_init(&hold.holds, 0, 0);
	sem_init(&hold.release, 0, 0);
}

static inline uint64_t
held_tick(struct filch__reactor_host *host, uint64_t now_ns)
{
	sem_post(&hold.holds);
	wait_for(&hold.release);
	return (hold.tick(host, now_ns));
}

static inline void
reactor_hold(struct filch_executor *executor)
{
	struct filch__reactor *reactor = &executor->reactor;

	__atomic_store_n(&executor->host.tick, held_tick, __ATOMIC_RELEASE);
	reactor->driver->interrupt(reactor);
	wait_for(&hold.holds);
	__atomic_store_n(&executor->host.tick, hold.tick, __ATOMIC_RELEASE);
}

static inline void
reactor_release(void)
{
	sem_post(&hold.release);
}

#endif /* FILCH_TESTS_UNIT_REACTOR_HOLD_H */

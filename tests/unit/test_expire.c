/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Deadlines that end operations: those are completed without the lock of the
 * timers, which finishing an operation takes.
 */
#include <criterion/criterion.h>

#include <filch/filch.h>

#include <semaphore.h>

#include "helpers.h"
#include "reactor/reactor.h"

static struct filch__reactor reactor;
static struct filch_timer due;
static struct filch_timer later;
static struct filch_op ended[2]; /* by what due does */
static unsigned completed;
static sem_t checked;

/* As finishing does with the timer of an operation. */
static void
complete(struct filch_op *list)
{
	for (; list != NULL; list = list->priv.next) {
		cr_assert_eq(list, &ended[completed]);
		completed++;
	}
	(void)filch__timers_remove(&due);
	(void)filch__timers_remove(&later);
}

/* The reactor thread must not be the one who expires. */
static uint64_t
tick(struct filch__reactor_host *host, uint64_t now_ns)
{
	(void)host;
	(void)now_ns;
	wait_for(&checked);
	sem_post(&checked);
	return (FILCH_NEVER);
}

static void
due_expire(struct filch_timer *timer, struct filch__expired *expired)
{
	(void)timer;
	(void)expired;
	filch__reactor_complete(&reactor, &ended[0]);
	filch__reactor_complete(&reactor, &ended[1]);
	cr_assert_eq(completed, 0);
}

Test(expire, what_ends_is_completed_without_the_lock, .timeout = 60)
{
	struct filch__reactor_host host = { complete, tick };
	struct filch__reactor_options options = {
		.driver = FILCH_DRIVER_POSIX,
		.shard_count = 1,
		.ring_entries = FILCH_RING_ENTRIES_MIN,
		.pool_threads_max = 1,
	};
	struct filch__shard *shard;

	(void)sem_init(&checked, 0, 0);
	cr_assert_eq(filch__reactor_init(&reactor, &host, &options), 0);
	shard = &reactor.shards[0];
	filch__timer_init(&due, filch_now(), due_expire);
	filch__timer_init(&later, FILCH_NEVER - 1, due_expire);
	(void)filch__timers_add(&shard->timers, &later);
	(void)filch__timers_add(&shard->timers, &due);
	cr_assert_eq(filch__reactor_expire(shard), 2);
	cr_assert_eq(completed, 2);
	cr_assert(filch__timers_is_empty(&shard->timers));
	(void)sem_post(&checked);
	filch__reactor_fini(&reactor);
}

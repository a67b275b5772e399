/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Timers: a pairing heap of deadlines a shard, under a lock.
 *
 * A timer is intrusive: it stands in the operation or sleep it belongs to
 * (struct filch_timer, filch/time.h).  Workers add and remove in their own
 * shard, and expire what is due there when they look; the reactor thread
 * expires all shards.  What must not outlive the removal of a timer is done by
 * its expire function, which runs under the lock: once filch__timers_remove()
 * has returned, nobody refers to the timer.
 */
#ifndef FILCH_REACTOR_TIMERS_H
#define FILCH_REACTOR_TIMERS_H

#include <filch/time.h>

#include "../include/private/atomic.h"
#include "../include/private/compiler.h"
#include "../include/private/lock.h"
#include "op_queue.h"

struct filch__timers {
	FILCH__CACHE_ALIGNED struct filch__lock lock;
	struct filch_timer *root; /* (l) earliest first */
	filch__u64 earliest_ns; /* (a) written under lock; the root or before */
	filch__u64 fired;       /* (a) written under lock */
};

/*
 * What is left to do after the lock is left: tasks to wake, whose references
 * are passed on, operations to complete, and operations for the pool.
 */
#define FILCH__EXPIRED_MAX 64
struct filch__expired {
	struct filch_task *tasks[FILCH__EXPIRED_MAX];
	unsigned count;
	struct filch__op_queue ended;
	struct filch__op_queue pooled;
};

void filch__timers_init(struct filch__timers *timers);
void filch__timers_fini(struct filch__timers *timers);

/* What a timer does when its time has come, under the lock of its shard. */
typedef void (*filch__timer_expire_fn)(
    struct filch_timer *timer, struct filch__expired *expired);

/* Make timer ready to be added, or removed though it never was. */
void filch__timer_init(struct filch_timer *timer, uint64_t deadline_ns,
    filch__timer_expire_fn expire);

/*
 * Start timer; true if it is now the earliest of its shard, and the caller
 * must see to it that the reactor thread knows (filch__reactor_add_timer).
 */
bool filch__timers_add(struct filch__timers *timers, struct filch_timer *timer);

/*
 * Stop timer; false if it has expired or never was started.  Its deadline may
 * still wake the shard's worker and the reactor thread, once.
 */
bool filch__timers_remove(struct filch_timer *timer);

bool filch__timers_is_empty(struct filch__timers *timers);

/*
 * Expire what is due at now_ns (all, at FILCH_NEVER), at most as many as
 * expired has room for.  True if more may be due.
 */
bool filch__timers_expire(struct filch__timers *timers, uint64_t now_ns,
    struct filch__expired *expired);

#endif /* FILCH_REACTOR_TIMERS_H */

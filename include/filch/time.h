/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Time: the clock and sleeping.
 */
#ifndef FILCH_TIME_H
#define FILCH_TIME_H

#include "base.h"

FILCH_BEGIN_DECLS

struct filch__expired;

/* A timer of the library: part of operations and sleeps, not used by itself. */
struct filch_timer {
	struct {
		uint64_t deadline_ns;
		struct filch_timer *child;
		struct filch_timer *sibling;
		struct filch_timer *previous;
		void *timers;
		void (*expire)(
		    struct filch_timer *timer, struct filch__expired *expired);
	} priv;
};

/* A task's wait for a point in time. */
struct filch_sleep {
	struct {
		struct filch_timer timer;
		struct filch_task *task;
		uint32_t state;
		int result;
	} priv;
};

/* Now: nanoseconds of CLOCK_MONOTONIC.  Threads: any. */
FILCH_API uint64_t filch_now(void);

/*
 * Make sleep ready to wait until deadline_ns.  It is not pinned yet.
 * Threads: any that has it to itself.
 */
FILCH_API void filch_sleep_init(
    struct filch_sleep *sleep, uint64_t deadline_ns);

/*
 * Wait until the deadline; the first poll starts the wait.
 *
 * Result   *ret_result is 0 at or after the deadline, -ECANCELED if the task
 *          was cancelled, -ESHUTDOWN if the executor shuts down at once.
 * Memory   sleep is pinned from the first poll until FILCH_READY; task is the
 *          same in all polls.  After FILCH_READY sleep must be made ready anew
 *          before it is polled again (a misuse).
 * Threads  task's own poll function only (on no worker: a misuse).
 */
FILCH_API enum filch_poll filch_sleep_poll(
    struct filch_sleep *sleep, struct filch_task *task, int *ret_result);

FILCH_END_DECLS

#endif /* FILCH_TIME_H */

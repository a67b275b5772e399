/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sleeping, and the clock.
 *
 * Orderings [SL1] the timer's expire function stores the result, then DONE
 *           with release order, and touches the sleep no more; the poll loads
 *           the state with acquire order.
 */
#include <filch/time.h>

#include <filch/task.h>

#include <errno.h>

#include "../include/private/assert.h"
#include "../include/private/clock.h"
#include "../include/private/task_waker.h"
#include "../reactor/reactor.h"

enum sleep_state {
	SLEEP_IDLE = 0,
	SLEEP_WAITING,
	SLEEP_DONE,
	SLEEP_SPENT
};

static int sleep_start(struct filch_sleep *sleep, struct filch_task *task);
static void sleep_expire(
    struct filch_timer *timer, struct filch__expired *expired);
static bool sleep_withdraw(struct filch_sleep *sleep, struct filch_task *task);

uint64_t
filch_now(void)
{
	return (filch__clock_ns());
}

void
filch_sleep_init(struct filch_sleep *sleep, uint64_t deadline_ns)
{
	filch__timer_init(&sleep->priv.timer, deadline_ns, sleep_expire);
	sleep->priv.task = NULL;
	sleep->priv.state = SLEEP_IDLE;
	sleep->priv.result = 0;
}

enum filch_poll
filch_sleep_poll(
    struct filch_sleep *sleep, struct filch_task *task, int *ret_result)
{
	struct filch__shard *shard = filch__shard_current;
	/* [SL1] pairs with sleep_expire */
	uint32_t state = filch__u32_load_acquire(&sleep->priv.state);
	int result;

	filch__require(shard != NULL, "a sleep is polled by its task");
	filch__require(
	    state != SLEEP_SPENT, "its result was taken; prepare it anew");
	if (state == SLEEP_WAITING) {
		if (!filch__task_has_cancel(task)) {
			return (FILCH_PENDING);
		}
		/* if it expires just now, that is its result */
		result = sleep_withdraw(sleep, task) ? -ECANCELED
						     : sleep->priv.result;
	} else if (filch__unlikely(shard->budget == 0)) {
		filch__counter_add(&shard->counters.yields, 1);
		return (filch_task_yield(task));
	} else {
		result = state == SLEEP_DONE ? sleep->priv.result
					     : sleep_start(sleep, task);
		if (result == -EINPROGRESS) {
			return (FILCH_PENDING);
		}
		shard->budget--;
	}
	/* relaxed: the sleep is the task's again */
	filch__u32_store_relaxed(&sleep->priv.state, SLEEP_SPENT);
	*ret_result = result;
	return (FILCH_READY);
}

/* Start to wait; -EINPROGRESS, or the result if it is there at once. */
static int
sleep_start(struct filch_sleep *sleep, struct filch_task *task)
{
	struct filch__shard *shard = filch__shard_current;

	if (filch__reactor_is_stopping(shard->reactor)) {
		return (-ESHUTDOWN);
	}
	if (filch__task_has_cancel(task)) {
		return (-ECANCELED);
	}
	if (sleep->priv.timer.priv.deadline_ns <= filch__clock_ns()) {
		return (0);
	}
	sleep->priv.task = task;
	/* relaxed: the lock of the timers publishes it */
	filch__u32_store_relaxed(&sleep->priv.state, SLEEP_WAITING);
	filch__task_hold(task);
	filch__reactor_add_timer(shard, &sleep->priv.timer);
	/* it may have come after the reactor expired all there were */
	if (filch__reactor_is_stopping(shard->reactor) &&
	    sleep_withdraw(sleep, task)) {
		return (-ESHUTDOWN);
	}
	return (-EINPROGRESS);
}

/* The time has come, or the reactor's end.  Under the lock of the timers. */
static void
sleep_expire(struct filch_timer *timer, struct filch__expired *expired)
{
	struct filch_sleep *sleep =
	    FILCH__CONTAINER_OF(timer, struct filch_sleep, priv.timer);
	struct filch__shard *shard = FILCH__CONTAINER_OF(
	    timer->priv.timers, struct filch__shard, timers);

	expired->tasks[expired->count++] = sleep->priv.task;
	sleep->priv.result =
	    filch__reactor_is_stopping(shard->reactor) ? -ESHUTDOWN : 0;
	/* [SL1] pairs with filch_sleep_poll */
	filch__u32_store_release(&sleep->priv.state, SLEEP_DONE);
}

/* Take the timer back with its reference; false if it has expired. */
static bool
sleep_withdraw(struct filch_sleep *sleep, struct filch_task *task)
{
	if (!filch__timers_remove(&sleep->priv.timer)) {
		return (false);
	}
	filch_task_unref(task);
	return (true);
}

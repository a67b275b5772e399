/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Monitor: the reactor thread's look after workers that are stuck.
 *
 * Orderings [MO1] a worker that wakes has left the sleepers by a seq_cst
 *           change before it loads monitoring, and one that starts has never
 *           been among them; the reactor thread stores monitoring 0 and then
 *           looks at the sleepers once more.
 *           [WK2] as in worker.c: work, fence, sleepers.
 */
#include "executor.h"

/*
 * How often the reactor thread looks at workers while any is awake, and after
 * how many looks at a sleeping executor it stops.  A worker is stuck if it has
 * polled nothing between two looks, so its completions wait for two intervals
 * at most: less than a millisecond.
 */
#define MONITOR_INTERVAL_NS 400000
#define MONITOR_IDLE_TICKS  25

/*
 * How often it looks at turns, at most: each such look costs a system call a
 * worker, and where it is told of all readiness it wakes for every event.
 */
#define TURNS_INTERVAL_NS 100000

/*
 * A worker has polled nothing since the last look: take over what it holds up.
 * Its completions go to the injector, its queues to whoever is woken.
 */
static void
monitor_rescue(struct filch_executor *executor, struct filch__worker *worker)
{
	const struct filch__driver *driver = executor->reactor.driver;
	int sleeper;

	driver->flush(worker->shard);
	(void)driver->reap(worker->shard);
	if (filch__worker_has_work(worker)) {
		filch__fence_seq_cst(); /* [WK2] pairs with worker_park */
		sleeper = filch__idle_claim_any(&executor->idle);
		if (sleeper >= 0) {
			driver->wake(executor->workers[sleeper].shard);
		}
	}
}

/*
 * A worker that wakes may find itself behind one that is stuck, while another
 * CPU is idle: some kernels move nobody.  Both have short turns, but they end
 * at a tick unless somebody looks.
 */
static void
monitor_look_at_turns(struct filch_executor *executor, uint64_t now_ns)
{
	unsigned i;

	if (now_ns < executor->turns_ns + TURNS_INTERVAL_NS) {
		return;
	}
	executor->turns_ns = now_ns;
	for (i = 0; i < executor->worker_count; i++) {
		struct filch__worker *worker = &executor->workers[i];
		/* relaxed: hints; a wrong one costs a look at a clock */
		uint64_t polls =
		    filch__u64_load_relaxed(&worker->counters.polls);

		if (polls == worker->polls_at_turns &&
		    filch__u32_load_relaxed(&worker->awake) != 0) {
			filch__thread_look_at_turn(
			    filch__u32_load_relaxed(&worker->clock));
		}
		worker->polls_at_turns = polls;
	}
}

void
filch__executor_monitor(struct filch_executor *executor)
{
	/* [MO1] pairs with filch__executor_tick */
	if (filch__u32_load_seq_cst(&executor->monitoring) == 0 &&
	    filch__u32_exchange_seq_cst(&executor->monitoring, 1) == 0) {
		executor->reactor.driver->interrupt(&executor->reactor);
	}
}

uint64_t
filch__executor_tick(struct filch__reactor_host *host, uint64_t now_ns)
{
	struct filch_executor *executor =
	    FILCH__CONTAINER_OF(host, struct filch_executor, host);
	bool is_calm;
	unsigned i;

	/* [MO1] pairs with filch__executor_monitor */
	if (filch__u32_load_seq_cst(&executor->monitoring) == 0) {
		return (FILCH_NEVER);
	}
	monitor_look_at_turns(executor, now_ns);
	if (now_ns < executor->tick_ns + MONITOR_INTERVAL_NS) {
		return (executor->tick_ns + MONITOR_INTERVAL_NS);
	}
	executor->tick_ns = now_ns;
	/* relaxed: only this thread writes it, and it is a clock */
	filch__u32_store_relaxed(
	    &executor->looks, filch__u32_load_relaxed(&executor->looks) + 1);
	is_calm = filch__idle_parked(&executor->idle) == executor->worker_count;
	executor->reactor.is_calm = is_calm;
	if (!is_calm) {
		executor->idle_ticks = 0;
	} else if (++executor->idle_ticks >= MONITOR_IDLE_TICKS) {
		executor->idle_ticks = 0;
		/* [MO1] pairs with filch__executor_monitor */
		(void)filch__u32_exchange_seq_cst(&executor->monitoring, 0);
		if (filch__idle_parked(&executor->idle) ==
		    executor->worker_count) {
			return (FILCH_NEVER);
		}
		/* [MO1] pairs with filch__executor_monitor */
		(void)filch__u32_exchange_seq_cst(&executor->monitoring, 1);
	}
	for (i = 0; i < executor->worker_count; i++) {
		struct filch__worker *worker = &executor->workers[i];
		/* relaxed: hints; a wrong one costs a look at the ring */
		uint64_t polls =
		    filch__u64_load_relaxed(&worker->counters.polls);

		bool queued = filch__worker_has_work(worker);

		if (polls == worker->polls_seen &&
		    filch__u32_load_relaxed(&worker->awake) != 0) {
			monitor_rescue(executor, worker);
		} else if (queued && worker->queued_seen) {
			/* it is busy, and has not told of all it has */
			filch__worker_notify(executor);
		}
		worker->polls_seen = polls;
		worker->queued_seen = queued;
	}
	return (now_ns + MONITOR_INTERVAL_NS);
}

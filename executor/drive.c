/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Workers: when they go to the driver, between polls and for want of tasks.
 */
#include "executor.h"

#include "../include/private/clock.h"

/* Attempts to see whether operations are finished on the spot. */
#define PROMPT_PROBE 16

/*
 * Where polls are long, a worker goes to its driver and to the injector about
 * so often, and not only once in an event interval.
 */
#define DRIVE_INTERVAL_NS 1000

/* Hand gathered operations to the kernel. */
void
filch__worker_flush(struct filch__worker *worker)
{
	worker->reaping = true;
	worker->executor->reactor.driver->flush(worker->shard);
	worker->reaping = false;
}

/* Take what the kernel has finished; returns how many. */
static unsigned
worker_reap(struct filch__worker *worker)
{
	unsigned count;

	worker->reaping = true;
	count = worker->executor->reactor.driver->reap(worker->shard);
	worker->reaping = false;
	if (count > 1) {
		worker->notify_after = FILCH__NOTIFY_AFTER_POLLS;
	}
	return (count);
}

static void
worker_begin_turn(struct filch__worker *worker, bool ran_dry)
{
	/* relaxed: its own */
	filch__reactor_begin_turn(worker->shard, ran_dry,
	    filch__u64_load_relaxed(&worker->counters.polls));
}

/*
 * How many polls to make between two visits to the driver, from what they have
 * taken since the last look of the reactor thread.  A worker that ran dry was
 * at its driver for that, and soon will be again: more visits would cost it
 * system calls, and completions that come together would be taken one by one.
 */
static void
worker_pace(struct filch__worker *worker)
{
	uint32_t interval = worker->executor->options.event_interval;
	/* relaxed: its own */
	uint64_t polls = filch__u64_load_relaxed(&worker->counters.polls);
	uint64_t now_ns = filch__clock_ns();
	uint64_t due = (now_ns - worker->paced_ns) / DRIVE_INTERVAL_NS + 1;
	uint64_t pace = (polls - worker->paced_polls) / due + 1;

	worker->drive_interval =
	    worker->ran_dry || pace > interval ? interval : (uint32_t)pace;
	worker->ran_dry = false;
	worker->paced_polls = polls;
	worker->paced_ns = now_ns;
}

/*
 * The visit to the driver between two polls.  Where polls are long, the task
 * of what has come runs next: behind those that are queued it would wait for
 * as many long polls.
 */
void
filch__worker_drive(struct filch__worker *worker, bool is_looked)
{
	uint32_t interval = worker->executor->options.event_interval;
	bool is_paced;

	if (is_looked) {
		worker_pace(worker);
	}
	is_paced = worker->drive_interval < interval;
	worker->polls_left = worker->drive_interval;
	filch__worker_flush(worker);
	worker->urgent = is_paced;
	(void)worker_reap(worker);
	worker->urgent = false;
	worker->drives++;
	if (is_looked || !is_paced ||
	    worker->drives * worker->drive_interval >= interval) {
		worker->drives = 0;
		worker_begin_turn(worker, false);
	}
}

/*
 * The same, for want of tasks.  If what is handed over now takes its time, one
 * system call hands it over and sleeps; if it is finished on the spot, as with
 * cached pages, handing it over first saves going to sleep.  Which it is, the
 * last attempt tells; one in PROMPT_PROBE is made to find out.
 */
void
filch__worker_drive_before_sleep(struct filch__worker *worker)
{
	worker->ran_dry = true;
	if (worker->is_prompt || ++worker->sleeps % PROMPT_PROBE == 0) {
		filch__worker_flush(worker);
		worker->is_prompt = worker_reap(worker) > 0;
	} else {
		(void)worker_reap(worker);
	}
	worker_begin_turn(worker, true);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Workers: when they go to the driver, between polls and for want of tasks.
 *
 * Once in an event interval a worker begins a turn: it hands over what was
 * gathered, takes what is finished, and the reactor decides how it reads on.
 * Where polls are long that is too seldom for who waits, so there are early
 * visits in between: they cost a few loads if there is nothing, they begin no
 * turn, and they leave alone reads that are gathered to share a system call.
 */
#include "executor.h"

#include "../include/private/clock.h"

/* Attempts to see whether operations are finished on the spot. */
#define PROMPT_PROBE 16

/*
 * From one visit to the next, where polls are long.  Each one reads the clock
 * if a timer is pending, which is a hundredth of this.
 */
#define VISIT_INTERVAL_NS 2000

void
filch__worker_flush(struct filch__worker *worker)
{
	worker->reaping = true;
	worker->executor->reactor.driver->flush(worker->shard);
	worker->reaping = false;
}

/*
 * Take what the kernel has finished, returning how much, and expire what is
 * due.  Peers are told of both some polls after the last turn began, and not
 * later for what comes in it.
 */
static unsigned
worker_reap(struct filch__worker *worker, bool is_early)
{
	unsigned finished;
	unsigned expired;

	worker->reaping = true;
	finished = worker->executor->reactor.driver->reap(worker->shard);
	expired = filch__reactor_expire(worker->shard);
	worker->reaping = false;
	if (finished + expired > 1 &&
	    (!is_early || worker->notify_after == 0)) {
		worker->notify_after = FILCH__NOTIFY_AFTER_POLLS;
	}
	return (finished);
}

static void
worker_begin_turn(struct filch__worker *worker, bool ran_dry)
{
	/* relaxed: its own */
	filch__reactor_begin_turn(worker->shard, ran_dry,
	    filch__u64_load_relaxed(&worker->counters.polls));
}

/*
 * How many polls to make between two visits, from what they have taken since
 * the last look of the reactor thread.  A worker that ran dry was at its driver
 * for that, and soon will be again: it takes what comes together at once.
 */
static void
worker_set_pace(struct filch__worker *worker)
{
	uint32_t interval = worker->executor->options.event_interval;
	/* relaxed: its own */
	uint64_t polls = filch__u64_load_relaxed(&worker->counters.polls);
	uint64_t now_ns = filch__clock_ns();
	uint64_t visits = (now_ns - worker->paced_ns) / VISIT_INTERVAL_NS + 1;
	uint64_t pace = (polls - worker->paced_polls) / visits + 1;

	worker->pace =
	    worker->ran_dry || pace > interval ? interval : (uint32_t)pace;
	worker->ran_dry = false;
	worker->paced_polls = polls;
	worker->paced_ns = now_ns;
}

/*
 * Where visits are paced, the first task of what has come runs next: behind
 * those that are queued it would wait for as many long polls.
 */
bool
filch__worker_drive(struct filch__worker *worker, uint32_t looks)
{
	uint32_t interval = worker->executor->options.event_interval;
	bool is_looked = looks != worker->looks_driven;
	bool is_early = worker->turn_left > 0 && !is_looked;

	if (is_looked) {
		worker->looks_driven = looks;
		worker_set_pace(worker);
	}
	if (!is_early) {
		worker->turn_left = interval;
	}
	worker->polls_left =
	    worker->pace < worker->turn_left ? worker->pace : worker->turn_left;
	worker->turn_left -= worker->polls_left;
	if (!is_early || !worker->shard->gathering) {
		filch__worker_flush(worker);
	}
	worker->urgent = worker->pace < interval;
	(void)worker_reap(worker, is_early);
	worker->urgent = false;
	if (!is_early) {
		worker_begin_turn(worker, false);
	}
	return (is_early);
}

/*
 * The same, for want of tasks.  If what is handed over now takes its time, the
 * call that hands it over sleeps, too; if it is finished on the spot, as with
 * cached pages, handing it over first saves going to sleep.  Which it is, the
 * last attempt tells; one in PROMPT_PROBE is made to find out.
 */
void
filch__worker_drive_before_sleep(struct filch__worker *worker)
{
	worker->ran_dry = true;
	worker->pace = worker->executor->options.event_interval;
	if (worker->is_prompt || ++worker->sleeps % PROMPT_PROBE == 0) {
		filch__worker_flush(worker);
		worker->is_prompt = worker_reap(worker, false) > 0;
	} else {
		(void)worker_reap(worker, false);
	}
	worker_begin_turn(worker, true);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Counters, as the user reads them; and the version.
 */
#include <filch/stats.h>
#include <filch/version.h>

#include <errno.h>
#include <string.h>

#include "../include/private/executor_link.h"
#include "executor.h"

#define VERSION_TEXT_OF(number) #number
#define VERSION_TEXT(number)    VERSION_TEXT_OF(number)

const char *
filch_version(void)
{
	return (VERSION_TEXT(FILCH_VERSION_MAJOR) "." VERSION_TEXT(
	    FILCH_VERSION_MINOR) "." VERSION_TEXT(FILCH_VERSION_PATCH));
}

void
filch_executor_get_stats(
    const struct filch_executor *executor, struct filch_executor_stats *stats)
{
	const struct filch__reactor *reactor = &executor->reactor;
	unsigned i;

	memset(stats, 0, sizeof(*stats));
	stats->worker_count = executor->worker_count;
	stats->parked = filch__idle_parked(&executor->idle);
	stats->searching = filch__idle_searching(&executor->idle);
	stats->tasks_alive = filch__executor_alive(executor);
	stats->injector_depth = filch__injector_count(&executor->injector);
	filch__pool_depths(&filch__executor_reactor(executor)->pool,
	    &stats->pool_threads, &stats->pool_depth);
	/* relaxed: counters, each for itself */
	stats->reactor_wakes = filch__u64_load_relaxed(&reactor->wakes);
	stats->wake_calls = filch__u64_load_relaxed(&reactor->wake_calls);
	stats->registrations =
	    filch__u64_load_relaxed(&reactor->registrations.bound);
	for (i = 0; i < executor->worker_count; i++) {
		/* relaxed: as above */
		stats->timers_fired +=
		    filch__u64_load_relaxed(&reactor->shards[i].timers.fired);
	}
}

int
filch_executor_get_worker_stats(const struct filch_executor *executor,
    unsigned index, struct filch_worker_stats *stats)
{
	const struct filch__worker *worker;
	const struct filch__shard_counters *io;
	const struct filch__worker_counters *run;
	unsigned i;

	if (index >= executor->worker_count) {
		return (-ERANGE);
	}
	worker = &executor->workers[index];
	run = &worker->counters;
	io = &worker->shard->counters;
	memset(stats, 0, sizeof(*stats));
	/* relaxed: counters, each for itself */
	stats->polls = filch__u64_load_relaxed(&run->polls);
	stats->steals = filch__u64_load_relaxed(&run->steals);
	stats->tasks_stolen = filch__u64_load_relaxed(&run->tasks_stolen);
	stats->parks = filch__u64_load_relaxed(&run->parks);
	stats->spurious_wakes = filch__u64_load_relaxed(&run->spurious_wakes);
	stats->injector_hits = filch__u64_load_relaxed(&run->injector_hits);
	stats->overflows = filch__u64_load_relaxed(&run->overflows);
	stats->yields = filch__u64_load_relaxed(&io->yields);
	stats->submissions = filch__u64_load_relaxed(&io->submissions);
	stats->completions = filch__u64_load_relaxed(&io->completions);
	stats->rescued = filch__u64_load_relaxed(&io->rescued);
	stats->inline_hits = filch__u64_load_relaxed(&io->inline_hits);
	stats->inline_misses = filch__u64_load_relaxed(&io->inline_misses);
	for (i = 0; i < FILCH_OP_COUNT; i++) {
		stats->operations[i] =
		    filch__u64_load_relaxed(&io->operations[i]);
	}
	for (i = 0; i < FILCH_FALLBACK_COUNT; i++) {
		stats->fallbacks[i] =
		    filch__u64_load_relaxed(&io->fallbacks[i]);
	}
	stats->deque_depth = filch__deque_count(&worker->woken) +
	    filch__deque_count(&worker->spawned);
	executor->reactor.driver->depths(
	    worker->shard, &stats->in_flight, &stats->waiting);
	return (0);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Gathering: whether reads of what is cached go to the driver together.
 *
 * A read that goes to a ring together with others shares its system call with
 * them, and then costs less than one inline, though the first of them waits
 * for the last.  That pays if many tasks read, and quickly: where they do
 * longer work than that between reads, each read is better served at once.
 *
 * How many read at a time shows only when they wait: so they are let wait once
 * in an event interval, and as long as the worker does not run dry too early.
 */
#include "../include/private/clock.h"
#include "reactor.h"

#define GATHER_MIN     6
#define GATHER_READ_NS 4000
/* Turns between two looks at the clock. */
#define GATHER_TURNS 8
/* Of so many polls without running dry, reads are one in GATHER_SHARE. */
#define GATHER_POLLS 256
#define GATHER_SHARE 8
/* Turns to wait where they were not. */
#define GATHER_REST 64

/* True if the reads since the last look at the clock were quick. */
static bool
reads_are_quick(struct filch__shard *shard)
{
	uint64_t now_ns = filch__clock_ns();
	uint64_t quick_ns = shard->reads * (uint64_t)GATHER_READ_NS;
	bool are_quick = now_ns - shard->looked_ns <= quick_ns;

	shard->looked_ns = now_ns;
	shard->reads = 0;
	shard->turns = 0;
	return (are_quick);
}

void
filch__reactor_begin_turn(
    struct filch__shard *shard, bool ran_dry, uint64_t polls)
{
	uint64_t taken = polls - shard->turn_polls;
	bool pays =
	    shard->waits >= GATHER_MIN && shard->reactor->driver->gathers;
	bool was_gathering;

	if (shard->gathering && !ran_dry) {
		if (taken < GATHER_POLLS) {
			return; /* how many read shows when it runs dry */
		}
		/* or in the long run: the reads may wait for others' polls */
		pays = pays && shard->waits >= taken / GATHER_SHARE;
		shard->rest = pays ? 0 : GATHER_REST;
	}
	shard->waits = 0;
	shard->turn_polls = polls;
	if (pays && !shard->gathering && shard->rest > 0) {
		shard->rest--;
		return;
	}
	if (pays && shard->gathering && ran_dry &&
	    ++shard->turns < GATHER_TURNS) {
		return;
	}
	pays = pays && reads_are_quick(shard);
	was_gathering = shard->gathering;
	/* once may be a thief, or another program's turn on the CPU */
	shard->gathering =
	    pays || (was_gathering && !shard->doubtful && shard->rest == 0);
	shard->doubtful = !pays || !was_gathering;
}

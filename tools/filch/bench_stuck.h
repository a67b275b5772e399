/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * --stuck of filch bench: a task that computes for some milliseconds in one
 * poll, sleeps, and computes again, so that one can see what the others make
 * of it.
 */
#ifndef FILCH_BENCH_STUCK_H
#define FILCH_BENCH_STUCK_H

#include <stdbool.h>
#include <stdint.h>

#include <filch/filch.h>

struct bench_stuck {
	struct filch_task task;
	struct filch_sleep sleep;
	uint64_t stuck_ns;
	uint64_t every_ns;
	uint64_t turns; /* to be read after bench_stuck_stop() */
	bool asleep;
	bool started;
};

/* With stuck_ns 0 there is no such task.  Returns 0 or -errno. */
int bench_stuck_start(struct bench_stuck *stuck,
    struct filch_executor *executor, uint64_t stuck_ns, uint64_t every_ns);

/* Returns when the task has ended, if it was started. */
void bench_stuck_stop(struct bench_stuck *stuck);

#endif /* FILCH_BENCH_STUCK_H */

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The progress of filch bench: a line on the terminal that a task makes anew
 * now and then.
 */
#ifndef FILCH_BENCH_PROGRESS_H
#define FILCH_BENCH_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include <filch/filch.h>

#include "workload.h"

struct bench_progress {
	struct filch_task task;
	struct filch_sleep sleep;
	const struct workload *workload;
	struct filch_executor *executor;
	uint64_t start_ns;
	bool asleep;
	bool started;
};

/* Where standard error is no terminal there is no such task. */
void bench_progress_start(struct bench_progress *progress,
    struct filch_executor *executor, const struct workload *workload,
    uint64_t start_ns);

/* Returns when the task has ended, and the line is gone. */
void bench_progress_stop(struct bench_progress *progress);

#endif /* FILCH_BENCH_PROGRESS_H */

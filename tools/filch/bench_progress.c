/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The task that tells how far filch bench is.
 */
#include "bench_progress.h"

#include <stdio.h>
#include <unistd.h>

#define PROGRESS_NS UINT64_C(500000000)

static void
progress_print(const struct bench_progress *progress)
{
	const struct workload *workload = progress->workload;
	uint64_t elapsed_ns = workload_now_ns() - progress->start_ns;
	uint64_t operations = 0;

	for (unsigned i = 0; i < workload->workers; i++) {
		struct filch_worker_stats stats;

		if (filch_executor_get_worker_stats(
			progress->executor, i, &stats) == 0) {
			operations += stats.operations[FILCH_OP_READ] +
			    stats.operations[FILCH_OP_WRITE];
		}
	}
	fprintf(stderr, "\r%.1f s of %.1f, %ju operations, %.0f IOPS\033[K",
	    (double)elapsed_ns / 1e9, (double)workload->runtime_ns / 1e9,
	    (uintmax_t)operations,
	    (double)operations * 1e9 / (double)elapsed_ns);
}

/* Until cancelled. */
static enum filch_poll
progress_poll(struct filch_task *task)
{
	struct bench_progress *progress =
	    filch_container_of(task, struct bench_progress, task);
	int rc;

	while (!filch_task_is_cancelled(task)) {
		if (!progress->asleep) {
			filch_sleep_init(
			    &progress->sleep, filch_now() + PROGRESS_NS);
			progress->asleep = true;
		}
		if (filch_sleep_poll(&progress->sleep, task, &rc) ==
		    FILCH_PENDING) {
			return (FILCH_PENDING);
		}
		progress->asleep = false;
		progress_print(progress);
	}
	if (progress->asleep &&
	    filch_sleep_poll(&progress->sleep, task, &rc) == FILCH_PENDING) {
		return (FILCH_PENDING);
	}
	fputs("\r\033[K", stderr);
	return (FILCH_READY);
}

void
bench_progress_start(struct bench_progress *progress,
    struct filch_executor *executor, const struct workload *workload,
    uint64_t start_ns)
{
	if (isatty(STDERR_FILENO) != 1) {
		return;
	}
	progress->executor = executor;
	progress->workload = workload;
	progress->start_ns = start_ns;
	filch_task_init(&progress->task, progress_poll, NULL);
	/* Without it the run is the same, in silence. */
	progress->started =
	    filch_executor_spawn_joinable(executor, &progress->task) == 0;
}

void
bench_progress_stop(struct bench_progress *progress)
{
	if (progress->started) {
		filch_task_cancel(&progress->task);
		(void)!filch_task_join(&progress->task);
	}
}

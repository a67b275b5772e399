/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The task that keeps its worker.
 */
#include "bench_stuck.h"

#include "workload.h"

static enum filch_poll
stuck_poll(struct filch_task *task)
{
	struct bench_stuck *stuck =
	    filch_container_of(task, struct bench_stuck, task);
	int rc;

	for (;;) {
		if (stuck->asleep &&
		    filch_sleep_poll(&stuck->sleep, task, &rc) ==
			FILCH_PENDING) {
			return (FILCH_PENDING);
		}
		stuck->asleep = false;
		if (filch_task_is_cancelled(task)) {
			return (FILCH_READY);
		}
		filch_sleep_init(&stuck->sleep, filch_now() + stuck->every_ns);
		stuck->asleep = true;
		stuck->turns++;
		workload_compute(stuck->stuck_ns);
	}
}

int
bench_stuck_start(struct bench_stuck *stuck, struct filch_executor *executor,
    uint64_t stuck_ns, uint64_t every_ns)
{
	if (stuck_ns == 0) {
		return (0);
	}
	stuck->stuck_ns = stuck_ns;
	stuck->every_ns = every_ns;
	filch_task_init(&stuck->task, stuck_poll, NULL);
	int rc = filch_executor_spawn_joinable(executor, &stuck->task);
	stuck->started = rc == 0;
	return (rc);
}

void
bench_stuck_stop(struct bench_stuck *stuck)
{
	if (stuck->started) {
		filch_task_cancel(&stuck->task);
		(void)!filch_task_join(&stuck->task);
	}
}

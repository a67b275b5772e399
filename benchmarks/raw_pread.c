/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The limit of plain threads: pread and pwrite, a thread a worker.
 * The depth is one whatever --iodepth says.
 */
#include "workload.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct worker {
	const struct workload *workload;
	struct workload_stats *stats;
	pthread_barrier_t *barrier;
	unsigned index;
	int error;
	pthread_t thread;
};

static int64_t
step_run(const struct workload *workload, const struct workload_step *step,
    void *buffer)
{
	size_t size = (size_t)workload->block_size;

	switch (step->kind) {
	case KIND_READ:
		return (pread(workload->fd, buffer, size, (off_t)step->offset));
	case KIND_WRITE:
		workload_fill(workload, buffer, step->offset, size);
		return (
		    pwrite(workload->fd, buffer, size, (off_t)step->offset));
	case KIND_FSYNC:
		return (fsync(workload->fd));
	default:
		return (fdatasync(workload->fd));
	}
}

static void
worker_loop(struct worker *worker, void *buffer)
{
	const struct workload *workload = worker->workload;
	struct workload_cursor cursor;
	struct workload_step step;

	workload_cursor_init(&cursor, workload, worker->index);
	uint64_t now = workload_now_ns();
	uint64_t stop =
	    now + (uint64_t)workload->runtime_s * UINT64_C(1000000000);
	uint64_t rounds = 0;
	while (now < stop && workload_next(&cursor, workload, &step)) {
		int64_t result = step_run(workload, &step, buffer);
		workload_account(
		    workload, worker->stats, &step, buffer, result);
		rounds++;
		/* One clock reading ends this operation, starts the next. */
		if (workload->latency || (rounds & 63) == 0) {
			uint64_t then = now;
			now = workload_now_ns();
			if (workload->latency) {
				histogram_record(
				    &worker->stats->latency, now - then);
			}
		}
	}
}

static void *
worker_main(void *context)
{
	struct worker *worker = context;
	void *buffer = NULL;

	workload_pin(worker->workload, worker->index);
	if (posix_memalign(&buffer, 4096, worker->workload->block_size) != 0) {
		worker->error = -ENOMEM;
	}
	pthread_barrier_wait(worker->barrier);
	if (worker->error == 0) {
		worker_loop(worker, buffer);
	}
	free(buffer);
	return (NULL);
}

static int
run(const struct workload *workload, struct worker *workers,
    struct workload_stats *stats)
{
	pthread_barrier_t barrier;
	int failed = 0;

	pthread_barrier_init(&barrier, NULL, workload->workers + 1);
	for (unsigned i = 0; i < workload->workers; i++) {
		workers[i].workload = workload;
		workers[i].stats = &stats[i];
		workers[i].barrier = &barrier;
		workers[i].index = i;
		if (pthread_create(&workers[i].thread, NULL, worker_main,
			&workers[i]) != 0) {
			fprintf(stderr, "raw_pread: pthread_create: failed\n");
			/* Others wait at the barrier: there is no way on. */
			exit(1);
		}
	}
	pthread_barrier_wait(&barrier);
	uint64_t cpu = workload_cpu_ns();
	uint64_t start = workload_now_ns();
	for (unsigned i = 0; i < workload->workers; i++) {
		pthread_join(workers[i].thread, NULL);
		if (workers[i].error != 0) {
			fprintf(stderr, "raw_pread: worker: %s\n",
			    strerror(-workers[i].error));
			failed = 1;
		}
	}
	uint64_t elapsed = workload_now_ns() - start;
	cpu = workload_cpu_ns() - cpu;
	pthread_barrier_destroy(&barrier);
	if (failed == 0) {
		workload_report(workload, "raw_pread", stats, elapsed, cpu);
	}
	for (unsigned i = 0; i < workload->workers; i++) {
		failed |= stats[i].errors != 0;
	}
	return (failed);
}

int
main(int argc, char **argv)
{
	struct workload workload;
	int status = workload_parse(&workload, "raw_pread", argc, argv);

	if (status != 0) {
		return (status == 1 ? 0 : status);
	}
	status = workload_prepare(&workload);
	if (status == 0) {
		struct worker *workers =
		    calloc(workload.workers, sizeof(*workers));
		struct workload_stats *stats =
		    calloc(workload.workers, sizeof(*stats));
		status = workers == NULL || stats == NULL
		    ? 1
		    : run(&workload, workers, stats);
		free(workers);
		free(stats);
	}
	workload_cleanup(&workload);
	return (status);
}

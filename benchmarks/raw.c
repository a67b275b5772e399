/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The threads of the limits and their common start.
 */
#include "raw.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../executor/cpus.h"

#define BUFFER_ALIGNMENT 4096

struct thread {
	struct raw_worker worker;
	struct raw_run *run;
	pthread_t thread;
	int error;
};

struct raw_run {
	const struct workload *workload;
	const struct raw_engine *engine;
	struct thread *threads;
	pthread_barrier_t barrier; /* passed twice: when ready, and to start */
	bool go;                   /* these are written between the two */
	uint64_t start_ns;
};

static int
worker_open(struct raw_run *run, struct raw_worker *worker)
{
	const struct workload *workload = run->workload;
	size_t size = workload->iodepth * workload->block_size;
	void *memory = NULL;

	worker->operation = "buffers";
	int error = posix_memalign(&memory, BUFFER_ALIGNMENT, size);
	if (error != 0) {
		return (-error);
	}
	worker->buffers = memory;
	/* Touches the pages, and gives writes something to write. */
	workload_fill(workload, memory, 0, size);
	workload_cursor_init(&worker->cursor, workload, worker->index);
	return (run->engine->open(worker));
}

static void *
thread_main(void *context)
{
	struct thread *thread = context;
	struct raw_run *run = thread->run;
	struct raw_worker *worker = &thread->worker;

	if (run->workload->pin) {
		filch__cpus_pin(pthread_self(), worker->index);
	}
	thread->error = worker_open(run, worker);
	pthread_barrier_wait(&run->barrier);
	pthread_barrier_wait(&run->barrier);
	if (run->go) {
		worker->start_ns = run->start_ns;
		worker->stop_ns = run->start_ns + run->workload->runtime_ns;
		thread->error = run->engine->run(worker);
	}
	run->engine->close(worker);
	free(worker->buffers);
	return (NULL);
}

static int
thread_start(struct raw_run *run, unsigned index, struct workload_stats *stats)
{
	struct thread *thread = &run->threads[index];

	memset(thread, 0, sizeof(*thread));
	thread->run = run;
	thread->worker.workload = run->workload;
	thread->worker.stats = stats;
	thread->worker.index = index;
	return (pthread_create(&thread->thread, NULL, thread_main, thread));
}

/* The first error of any; 0 if there was none. */
static int
threads_error(const struct raw_run *run)
{
	for (unsigned i = 0; i < run->workload->workers; i++) {
		const struct thread *thread = &run->threads[i];

		if (thread->error != 0) {
			return (workload_complain(run->workload,
			    thread->worker.operation, -thread->error));
		}
	}
	return (0);
}

static int
threads_run(struct raw_run *run, struct workload_stats *stats,
    struct workload_outcome *ret_outcome)
{
	unsigned count = run->workload->workers;

	pthread_barrier_init(&run->barrier, NULL, count + 1);
	for (unsigned i = 0; i < count; i++) {
		int error = thread_start(run, i, &stats[i]);

		if (error != 0) {
			/* Others wait at the barrier: there is no way back. */
			exit(workload_complain(
			    run->workload, "pthread_create", error));
		}
	}
	pthread_barrier_wait(&run->barrier);
	int status = threads_error(run);
	run->go = status == 0;
	uint64_t cpu_ns = workload_cpu_ns();
	run->start_ns = workload_now_ns();
	pthread_barrier_wait(&run->barrier);
	for (unsigned i = 0; i < count; i++) {
		pthread_join(run->threads[i].thread, NULL);
	}
	ret_outcome->elapsed_ns = workload_now_ns() - run->start_ns;
	ret_outcome->cpu_ns = workload_cpu_ns() - cpu_ns;
	ret_outcome->stuck_turns = run->threads[0].worker.stuck_turns;
	ret_outcome->driver =
	    run->workload->map ? run->engine->name_mapped : run->engine->name;
	ret_outcome->who = run->engine->who;
	pthread_barrier_destroy(&run->barrier);
	return (status != 0 ? status : threads_error(run));
}

static int
run_all(const struct workload *workload, struct workload_stats *stats,
    struct workload_outcome *ret_outcome, void *context)
{
	struct raw_run run = { .workload = workload, .engine = context };

	run.threads =
	    aligned_alloc(64, workload->workers * sizeof(*run.threads));
	if (run.threads == NULL) {
		return (workload_complain(workload, "threads", ENOMEM));
	}
	int status = threads_run(&run, stats, ret_outcome);
	free(run.threads);
	return (status);
}

int
raw_main(int argc, char **argv, const struct raw_engine *engine)
{
	struct raw_engine copy = *engine;
	struct workload_program program = { .name = copy.name,
		.run = run_all,
		.context = &copy,
		.maps = copy.name_mapped != NULL };

	return (workload_main(&program, argc, argv));
}

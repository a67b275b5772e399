/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * filch bench: the workload of benchmarks/workload.h through tasks.  Each task
 * keeps one operation, or one batch, in flight.  Streams and results belong to
 * workers, not to tasks: a poll runs on one worker, so they need no locks.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <filch/filch.h>

#include "interrupt.h"
#include "tool.h"
#include "workload.h"

#define PROGRESS_NS UINT64_C(500000000)

/* What one worker alone touches. */
struct lane {
	_Alignas(64) struct workload_cursor cursor;
	struct workload_stats *stats;
	uint64_t now_ns; /* without --lat the clock is read now and then */
	unsigned turn;
};

/* One element in flight.  Aligned: its neighbour may be another worker's. */
struct element {
	_Alignas(64) struct filch_op op;
	struct workload_step step;
	void *buffer;
};

/* Aligned as elements are. */
struct unit {
	_Alignas(64) struct filch_task task;
	struct filch_batch batch;
	struct run *run;
	struct element *elements;
	struct filch_op **pointers;
	size_t count; /* elements in flight */
	uint64_t start_ns;
};

struct run {
	struct workload workload;
	struct workload endless; /* the same without number_ios */
	uint64_t stop_ns;
	struct filch_file handle;
	struct filch_executor *executor;
	struct filch_buffer_pool *pool;
	bool fixed;
	size_t batch; /* elements a task has at most */
	size_t unit_count;
	size_t spawned;
	atomic_uint_fast64_t left; /* only with --number_ios */
	struct lane *lanes;
	struct workload_stats *stats;
	struct unit *units;
	struct element *elements;
	struct filch_op **pointers;
	struct {
		struct filch_task task;
		struct filch_sleep sleep;
		bool asleep;
	} progress;
};

/* False when no operation is to be started any more. */
static bool
step_take(struct run *run, struct lane *lane, struct workload_step *step)
{
	uint64_t left;

	if (tool_interrupted() || lane->now_ns >= run->stop_ns) {
		return (false);
	}
	if (run->workload.number_ios != 0) {
		left = atomic_load_explicit(&run->left, memory_order_relaxed);
		do {
			if (left == 0) {
				return (false);
			}
		} while (
		    !atomic_compare_exchange_weak_explicit(&run->left, &left,
			left - 1, memory_order_relaxed, memory_order_relaxed));
	}
	return (workload_next(&lane->cursor, &run->endless, step));
}

static void
element_prepare(struct run *run, struct element *element)
{
	uint64_t size = run->workload.block_size;
	uint64_t offset = element->step.offset;

	switch (element->step.kind) {
	case KIND_READ:
		filch_op_init_read(
		    &element->op, &run->handle, element->buffer, size, offset);
		break;
	case KIND_WRITE:
		workload_fill(&run->workload, element->buffer, offset, size);
		filch_op_init_write(
		    &element->op, &run->handle, element->buffer, size, offset);
		break;
	case KIND_FSYNC:
		filch_op_init_fsync(&element->op, &run->handle);
		return;
	default:
		filch_op_init_fdatasync(&element->op, &run->handle);
		return;
	}
	if (run->fixed) {
		filch_op_set_pool(&element->op, run->pool);
	}
}

static void
element_account(struct run *run, struct lane *lane,
    const struct element *element, int64_t got)
{
	workload_account(
	    &run->workload, lane->stats, &element->step, element->buffer, got);
}

/* False when the run is over. */
static bool
unit_start(struct unit *unit, struct lane *lane)
{
	struct run *run = unit->run;

	unit->count = 0;
	while (unit->count < run->batch &&
	    step_take(run, lane, &unit->elements[unit->count].step)) {
		element_prepare(run, &unit->elements[unit->count]);
		unit->count++;
	}
	if (unit->count > 0 && run->batch > 1) {
		filch_batch_init(&unit->batch, unit->pointers, unit->count);
	}
	return (unit->count > 0);
}

static void
unit_clock(struct unit *unit, struct lane *lane)
{
	if (unit->run->workload.latency) {
		lane->now_ns = workload_now_ns();
		for (size_t i = 0; i < unit->count; i++) {
			histogram_record(&lane->stats->latency,
			    lane->now_ns - unit->start_ns);
		}
		unit->start_ns = lane->now_ns;
	} else if (++lane->turn % 64 == 0) {
		lane->now_ns = workload_now_ns();
	}
}

static enum filch_poll
unit_poll(struct filch_task *task)
{
	struct unit *unit = filch_container_of(task, struct unit, task);
	struct run *run = unit->run;
	struct lane *lane = &run->lanes[filch_worker_index()];

	if (unit->count == 0) {
		unit->start_ns = lane->now_ns = workload_now_ns();
		if (!unit_start(unit, lane)) {
			return (FILCH_READY);
		}
	}
	do {
		int64_t got;
		size_t failed;

		if (run->batch == 1) {
			if (filch_op_poll(&unit->elements[0].op, task, &got) ==
			    FILCH_PENDING) {
				return (FILCH_PENDING);
			}
			element_account(run, lane, &unit->elements[0], got);
		} else {
			if (filch_batch_poll(&unit->batch, task, &failed) ==
			    FILCH_PENDING) {
				return (FILCH_PENDING);
			}
			for (size_t i = 0; i < unit->count; i++) {
				element_account(run, lane, &unit->elements[i],
				    filch_op_result(&unit->elements[i].op));
			}
		}
		unit_clock(unit, lane);
	} while (unit_start(unit, lane));
	return (FILCH_READY);
}

/* Prints how many operations the workers have done, until cancelled. */
static enum filch_poll
progress_poll(struct filch_task *task)
{
	struct run *run = filch_container_of(task, struct run, progress.task);
	uint64_t ops = 0;
	int rc;

	while (!filch_task_is_cancelled(task)) {
		if (!run->progress.asleep) {
			filch_sleep_init(
			    &run->progress.sleep, filch_now() + PROGRESS_NS);
			run->progress.asleep = true;
		}
		if (filch_sleep_poll(&run->progress.sleep, task, &rc) ==
		    FILCH_PENDING) {
			return (FILCH_PENDING);
		}
		run->progress.asleep = false;
		ops = 0;
		for (unsigned i = 0; i < run->workload.workers; i++) {
			struct filch_worker_stats stats;

			if (filch_executor_get_worker_stats(
				run->executor, i, &stats) == 0) {
				ops += stats.operations[FILCH_OP_READ] +
				    stats.operations[FILCH_OP_WRITE];
			}
		}
		fprintf(stderr, "\r%ju operations", (uintmax_t)ops);
	}
	if (run->progress.asleep &&
	    filch_sleep_poll(&run->progress.sleep, task, &rc) ==
		FILCH_PENDING) {
		return (FILCH_PENDING);
	}
	fputs("\r\033[K", stderr);
	return (FILCH_READY);
}

/* Result: 0 or -errno. */
static int
run_make(struct run *run)
{
	const struct workload *o = &run->workload;
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;
	size_t total;
	int rc;

	run->batch = o->batch == 0 ? 1 : o->batch;
	run->stats = calloc(o->workers, sizeof(*run->stats));
	run->unit_count =
	    (o->iodepth + run->batch - 1) / run->batch * o->workers;
	total = run->unit_count * run->batch;
	run->lanes = aligned_alloc(64, o->workers * sizeof(*run->lanes));
	run->units = aligned_alloc(64, run->unit_count * sizeof(*run->units));
	run->elements = aligned_alloc(64, total * sizeof(*run->elements));
	run->pointers = calloc(total, sizeof(struct filch_op *));
	if (run->stats == NULL || run->lanes == NULL || run->units == NULL ||
	    run->elements == NULL || run->pointers == NULL) {
		return (-ENOMEM);
	}
	memset(run->units, 0, run->unit_count * sizeof(*run->units));
	memset(run->elements, 0, total * sizeof(*run->elements));
	options.worker_count = o->workers;
	options.pin_workers = o->pin;
	if (o->driver != NULL && strcmp(o->driver, "uring") == 0) {
		options.driver = FILCH_DRIVER_URING;
	} else if (o->driver != NULL && strcmp(o->driver, "posix") == 0) {
		options.driver = FILCH_DRIVER_POSIX;
	}
	options.ring_entries = FILCH_RING_ENTRIES_DEFAULT;
	while (options.ring_entries < total / o->workers &&
	    options.ring_entries < FILCH_RING_ENTRIES_MAX) {
		options.ring_entries *= 2;
	}
	rc = filch_executor_create(&options, &run->executor);
	if (rc == 0) {
		rc = filch_buffer_pool_create(
		    run->executor, o->block_size, total, 4096, &run->pool);
	}
	if (rc == 0) {
		rc = filch_file_init(&run->handle, o->fd);
	}
	if (rc != 0) {
		return (rc);
	}
	run->fixed = filch_buffer_pool_is_registered(run->pool);
	for (size_t i = 0; i < total; i++) {
		run->elements[i].buffer = filch_buffer_pool_take(run->pool);
		run->pointers[i] = &run->elements[i].op;
	}
	/* Where it cannot be, operations work all the same. */
	(void)!filch_file_register(run->executor, &run->handle);
	return (0);
}

/* Result: 0 or -errno of a spawn; what was spawned has ended in any case. */
static int
run_all(struct run *run)
{
	bool progress = isatty(STDERR_FILENO) == 1;
	uint64_t now = workload_now_ns();
	int rc = 0;

	run->endless = run->workload;
	run->endless.number_ios = 0;
	run->stop_ns =
	    now + (uint64_t)run->workload.runtime_s * UINT64_C(1000000000);
	atomic_init(&run->left, run->workload.number_ios);
	for (unsigned i = 0; i < run->workload.workers; i++) {
		memset(&run->lanes[i], 0, sizeof(run->lanes[i]));
		run->lanes[i].stats = &run->stats[i];
		workload_cursor_init(&run->lanes[i].cursor, &run->endless, i);
	}
	if (progress) {
		filch_task_init(&run->progress.task, progress_poll, NULL);
		progress = filch_executor_spawn_joinable(
			       run->executor, &run->progress.task) == 0;
	}
	while (run->spawned < run->unit_count && rc == 0) {
		struct unit *unit = &run->units[run->spawned];

		unit->run = run;
		unit->elements = &run->elements[run->spawned * run->batch];
		unit->pointers = &run->pointers[run->spawned * run->batch];
		filch_task_init(&unit->task, unit_poll, NULL);
		rc = filch_executor_spawn_joinable(run->executor, &unit->task);
		run->spawned += rc == 0;
	}
	for (size_t i = 0; i < run->spawned; i++) {
		int joined = filch_task_join(&run->units[i].task);

		rc = rc == 0 ? joined : rc;
	}
	if (progress) {
		filch_task_cancel(&run->progress.task);
		(void)!filch_task_join(&run->progress.task);
	}
	return (rc);
}

static void
run_free(struct run *run)
{
	if (run->executor != NULL) {
		filch_file_unregister(run->executor, &run->handle);
	}
	for (size_t i = 0;
	     run->pool != NULL && i < run->unit_count * run->batch; i++) {
		if (run->elements[i].buffer != NULL) {
			filch_buffer_pool_give(
			    run->pool, run->elements[i].buffer);
		}
	}
	filch_buffer_pool_destroy(run->pool);
	filch_executor_destroy(run->executor);
	free(run->lanes);
	free(run->units);
	free(run->elements);
	free(run->pointers);
	free(run->stats);
	workload_cleanup(&run->workload);
}

int
tool_bench(int argc, char **argv)
{
	static char name[] = "filch bench"; /* for the usage line */
	static struct run run;
	uint64_t cpu_ns;
	uint64_t start_ns;
	bool failed = false;
	int rc;

	argv[0] = name;
	rc = workload_parse(&run.workload, "filch: bench", argc, argv);
	if (rc != 0) {
		return (rc == 1 ? TOOL_DONE : TOOL_USAGE);
	}
	run.handle = (struct filch_file)FILCH_FILE_INIT;
	tool_interrupt_catch();
	rc = workload_prepare(&run.workload);
	if (rc != 0) {
		workload_cleanup(&run.workload);
		return (rc);
	}
	rc = run_make(&run);
	if (rc == 0) {
		cpu_ns = workload_cpu_ns();
		start_ns = workload_now_ns();
		rc = run_all(&run);
		start_ns = workload_now_ns() - start_ns;
		cpu_ns = workload_cpu_ns() - cpu_ns;
	}
	if (rc != 0) {
		fprintf(stderr, "filch: bench: executor: start: %s\n",
		    strerror(-rc));
		failed = true;
	} else {
		workload_report(&run.workload,
		    filch_driver_name(filch_executor_driver(run.executor)),
		    run.stats, start_ns, cpu_ns);
		for (unsigned i = 0; i < run.workload.workers; i++) {
			failed |= run.stats[i].errors != 0 ||
			    run.stats[i].mismatches != 0;
		}
	}
	run_free(&run);
	if (failed || fflush(stdout) != 0) {
		return (TOOL_FAILED);
	}
	return (tool_interrupted() ? TOOL_INTERRUPTED : TOOL_DONE);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * filch bench: the workload of benchmarks/workload.h through tasks.  Each task
 * keeps one operation, or one batch, in flight.  Streams and results belong to
 * workers, not to tasks: a poll runs on one worker, so they need no locks.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <filch/filch.h>

#include "bench_progress.h"
#include "bench_stuck.h"
#include "interrupt.h"
#include "tool.h"
#include "workload.h"

#define BUFFER_ALIGNMENT 4096

/* What one worker alone touches. */
struct lane {
	_Alignas(64) struct workload_cursor cursor;
	struct workload_stats *stats;
	uint64_t now_ns; /* without --lat the clock is read now and then */
	unsigned turn;
};

/*
 * One element in flight.  All that belongs to it but the operation stands in
 * the first line.
 */
struct element {
	_Alignas(64) struct run *run;
	void *buffer;
	struct workload_step step;
	uint64_t start_ns;
	bool is_started;
	_Alignas(64) struct filch_op op;
};

/*
 * Aligned by two lines, which processors fetch together: the next unit may be
 * another worker's.  Single operations use the first of them and own.
 */
struct unit {
	_Alignas(128) struct filch_task task;
	struct element *elements;
	struct element own; /* of one that has no more */
	struct run *run;
	uint64_t start_ns;
	struct filch_op **pointers;
	size_t size;  /* elements it has */
	size_t count; /* elements in flight */
	struct filch_batch batch;
	struct filch_commit commit; /* with --shared_sync, of a sync */
	int verdict;
	struct workload_place place; /* with --rate */
	struct filch_sleep sleep;
	bool asleep;
};

struct run {
	const struct workload *workload;
	struct workload endless; /* the same without number_ios */
	const char *operation;   /* what failed, where something did */
	uint64_t start_ns;
	uint64_t stop_ns;
	struct filch_file handle;
	struct filch_executor *executor;
	struct filch_buffer_pool *pool;
	bool fixed;
	size_t unit_count;
	size_t element_count;
	size_t spawned;
	atomic_uint_fast64_t left; /* only with --number_ios */
	struct lane *lanes;
	struct unit *units;
	struct element *elements; /* of units that have several */
	struct filch_op **pointers;
	struct bench_progress progress;
	struct bench_stuck stuck;
};

static int run_alloc(struct run *, struct workload_stats *);
static int run_start(struct run *);
static int run_drive(struct run *);
static void run_free(struct run *);

static int
bench_run(const struct workload *workload, struct workload_stats *stats,
    struct workload_outcome *ret_outcome, void *context)
{
	struct run *run = context;
	uint64_t cpu_ns = 0;

	run->workload = workload;
	run->handle = (struct filch_file)FILCH_FILE_INIT;
	run->endless = *workload;
	run->endless.number_ios = 0;
	int rc = run_alloc(run, stats);
	if (rc == 0) {
		rc = run_start(run);
	}
	if (rc == 0) {
		cpu_ns = workload_cpu_ns();
		run->start_ns = workload_now_ns();
		run->stop_ns = run->start_ns + workload->runtime_ns;
		rc = run_drive(run);
	}
	if (rc == 0) {
		ret_outcome->elapsed_ns = workload_now_ns() - run->start_ns;
		ret_outcome->cpu_ns = workload_cpu_ns() - cpu_ns;
		ret_outcome->stuck_turns = run->stuck.turns;
		ret_outcome->driver =
		    filch_driver_name(filch_executor_driver(run->executor));
	} else {
		(void)workload_complain(workload, run->operation, -rc);
	}
	run_free(run);
	return (rc == 0 ? WORKLOAD_DONE : WORKLOAD_FAILED);
}

int
tool_bench(int argc, char **argv)
{
	static char name[] = "filch bench"; /* for the usage line */
	static struct run run;
	static const struct workload_program program = {
		.name = "filch: bench",
		.run = bench_run,
		.context = &run,
		.maps = true,
	};

	argv[0] = name;
	return (workload_main(&program, argc, argv));
}

/* ---- a task ---- */

/* False when no operation is to be started any more. */
static bool
step_take(struct run *run, struct lane *lane, struct workload_place *place,
    struct workload_step *step)
{
	if (tool_interrupted() || lane->now_ns >= run->stop_ns) {
		return (false);
	}
	/* The sync after a write is no operation of its own. */
	if (run->workload->number_ios != 0 &&
	    (!lane->cursor.sync_due || place->slept)) {
		uint64_t left =
		    atomic_load_explicit(&run->left, memory_order_relaxed);

		do {
			if (left == 0) {
				return (false);
			}
		} while (
		    !atomic_compare_exchange_weak_explicit(&run->left, &left,
			left - 1, memory_order_relaxed, memory_order_relaxed));
	}
	return (workload_next_at(&lane->cursor, &run->endless, place, step));
}

static void
element_prepare(struct run *run, struct element *element)
{
	uint64_t size = run->workload->block_size;
	uint64_t offset = element->step.offset;

	switch (element->step.kind) {
	case KIND_READ:
		filch_op_init_read(
		    &element->op, &run->handle, element->buffer, size, offset);
		break;
	case KIND_WRITE:
		if (run->workload->verify) {
			workload_fill(
			    run->workload, element->buffer, offset, size);
		}
		filch_op_init_write(
		    &element->op, &run->handle, element->buffer, size, offset);
		break;
	case KIND_FSYNC:
		filch_op_init_fsync(&element->op, &run->handle);
		return;
	case KIND_FDATASYNC:
		filch_op_init_fdatasync(&element->op, &run->handle);
		return;
	}
	if (run->fixed) {
		filch_op_set_pool(&element->op, run->pool);
	}
}

/* True if unit is at a sync, in which others may take part. */
static bool
unit_shares(const struct unit *unit)
{
	enum workload_kind kind = unit->elements[0].step.kind;

	return (unit->run->workload->shared_sync &&
	    (kind == KIND_FSYNC || kind == KIND_FDATASYNC));
}

/* Prepare the next operations; false when the run is over. */
static bool
unit_prepare(struct unit *unit, struct lane *lane)
{
	struct run *run = unit->run;

	unit->count = 0;
	while (unit->count < unit->size &&
	    step_take(
		run, lane, &unit->place, &unit->elements[unit->count].step)) {
		element_prepare(run, &unit->elements[unit->count]);
		unit->count++;
	}
	if (run->workload->rate != 0) {
		unit->start_ns = unit->place.due_ns;
	}
	if (unit->count > 0 && unit_shares(unit)) {
		filch_commit_init(&unit->commit, &run->handle, NULL, 0, NULL,
		    unit->elements[0].step.kind == KIND_FSYNC
			? FILCH_COMMIT_FSYNC
			: FILCH_COMMIT_FDATASYNC);
	} else if (unit->count > 0 && run->workload->batch > 1) {
		filch_batch_init(&unit->batch, unit->pointers, unit->count);
	}
	return (unit->count > 0);
}

/* Drive what is in flight; PENDING until all of it has a result. */
static enum filch_poll
unit_wait(struct unit *unit)
{
	int64_t got;
	size_t failed;

	if (unit_shares(unit)) {
		return (filch_commit_poll(
		    &unit->commit, &unit->task, &unit->verdict));
	}
	return (unit->run->workload->batch == 1
		? filch_op_poll(&unit->elements[0].op, &unit->task, &got)
		: filch_batch_poll(&unit->batch, &unit->task, &failed));
}

/* An operation has ended. */
static inline void
lane_tick(struct lane *lane, const struct workload *workload)
{
	if (workload->latency || workload->rate != 0 ||
	    ++lane->turn % WORKLOAD_CLOCK_INTERVAL == 0) {
		lane->now_ns = workload_now_ns();
	}
}

/* The end is the start of what follows, of which checking is none. */
static inline uint64_t
next_start_ns(const struct lane *lane, const struct workload *workload)
{
	return (workload->verify ? workload_now_ns() : lane->now_ns);
}

static void
unit_finish(struct unit *unit, struct lane *lane)
{
	const struct workload *workload = unit->run->workload;

	lane_tick(lane, workload);
	for (size_t i = 0; i < unit->count; i++) {
		const struct element *element = &unit->elements[i];

		workload_account(workload, lane->stats, &element->step,
		    element->buffer,
		    unit_shares(unit) ? unit->verdict
				      : filch_op_result(&element->op),
		    lane->now_ns - unit->start_ns);
	}
	unit->start_ns = next_start_ns(lane, workload);
	unit->count = 0;
}

/* In an open loop, wait until the next operation is due. */
static enum filch_poll
unit_sleep(struct unit *unit, struct lane *lane)
{
	uint64_t until_ns;
	int rc;

	for (;;) {
		if (!unit->asleep) {
			until_ns = workload_sleep_until(unit->run->workload,
			    &lane->cursor, &unit->place, lane->now_ns);
			if (until_ns == 0 || tool_interrupted()) {
				return (FILCH_READY);
			}
			filch_sleep_init(&unit->sleep, until_ns);
			unit->asleep = true;
		}
		if (filch_sleep_poll(&unit->sleep, &unit->task, &rc) ==
		    FILCH_PENDING) {
			return (FILCH_PENDING);
		}
		unit->asleep = false;
		lane->now_ns = workload_now_ns();
	}
}

static enum filch_poll
unit_poll(struct filch_task *task)
{
	struct unit *unit = filch_container_of(task, struct unit, task);
	struct lane *lane = &unit->run->lanes[filch_worker_index()];

	if (unit->count == 0) {
		unit->start_ns = lane->now_ns = workload_now_ns();
	}
	for (;;) {
		if (unit->count > 0) {
			if (unit_wait(unit) == FILCH_PENDING) {
				return (FILCH_PENDING);
			}
			unit_finish(unit, lane);
		}
		if (unit_sleep(unit, lane) == FILCH_PENDING) {
			return (FILCH_PENDING);
		}
		if (!unit_prepare(unit, lane)) {
			return (FILCH_READY);
		}
	}
}

/* ---- a task with one operation at a time, in a closed loop ---- */

static bool
single_prepare(struct unit *unit, struct element *element, struct lane *lane)
{
	if (!step_take(element->run, lane, &unit->place, &element->step)) {
		return (false);
	}
	element_prepare(element->run, element);
	return (true);
}

static enum filch_poll
single_poll(struct filch_task *task)
{
	struct unit *unit = filch_container_of(task, struct unit, task);
	struct element *element = unit->elements;
	const struct workload *workload = element->run->workload;
	struct lane *lane = &element->run->lanes[filch_worker_index()];
	int64_t got;

	if (!element->is_started) {
		element->is_started = true;
		element->start_ns = lane->now_ns = workload_now_ns();
		if (!single_prepare(unit, element, lane)) {
			return (FILCH_READY);
		}
	}
	do {
		if (filch_op_poll(&element->op, task, &got) == FILCH_PENDING) {
			return (FILCH_PENDING);
		}
		lane_tick(lane, workload);
		workload_account(workload, lane->stats, &element->step,
		    element->buffer, got, lane->now_ns - element->start_ns);
		element->start_ns = next_start_ns(lane, workload);
	} while (single_prepare(unit, element, lane));
	return (FILCH_READY);
}

/* ---- a run; the functions return 0 or -errno, with operation set ---- */

static struct element *
run_element(const struct run *run, size_t index)
{
	return (run->workload->batch == 1 ? &run->units[index].own
					  : &run->elements[index]);
}

/* The memory, and who of the tasks has what of it. */
static int
run_alloc(struct run *run, struct workload_stats *stats)
{
	const struct workload *o = run->workload;
	size_t per_worker = (o->iodepth + o->batch - 1) / o->batch;
	bool is_single = o->batch == 1 && !o->shared_sync && o->rate == 0;

	run->operation = "tasks";
	run->unit_count = per_worker * o->workers;
	run->element_count = (size_t)o->iodepth * o->workers;
	run->lanes = aligned_alloc(64, o->workers * sizeof(*run->lanes));
	run->units = aligned_alloc(128, run->unit_count * sizeof(*run->units));
	run->pointers = calloc(run->element_count, sizeof(struct filch_op *));
	if (run->lanes == NULL || run->units == NULL || run->pointers == NULL) {
		return (-ENOMEM);
	}
	if (o->batch > 1) {
		size_t size = run->element_count * sizeof(*run->elements);

		run->elements = aligned_alloc(64, size);
		if (run->elements == NULL) {
			return (-ENOMEM);
		}
		memset(run->elements, 0, size);
	}
	for (unsigned i = 0; i < o->workers; i++) {
		run->lanes[i] = (struct lane){ .stats = &stats[i] };
		workload_cursor_init(&run->lanes[i].cursor, &run->endless, i);
	}
	for (size_t i = 0; i < run->unit_count; i++) {
		struct unit *unit = &run->units[i];
		size_t first = i % per_worker * o->batch;
		size_t at = i / per_worker * o->iodepth + first;

		*unit = (struct unit){ .run = run };
		filch_task_init(
		    &unit->task, is_single ? single_poll : unit_poll, NULL);
		unit->elements = run_element(run, at);
		unit->pointers = &run->pointers[at];
		unit->size = o->iodepth - first;
		unit->size = unit->size < o->batch ? unit->size : o->batch;
	}
	return (0);
}

static int
run_executor(struct run *run)
{
	const struct workload *o = run->workload;
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;
	enum filch_driver_kind kind;

	run->operation = "executor";
	options.worker_count = o->workers;
	options.pin_workers = o->pin;
	for (kind = FILCH_DRIVER_AUTO; kind <= FILCH_DRIVER_KQUEUE; kind++) {
		if (strcmp(o->driver, filch_driver_name(kind)) == 0) {
			options.driver = kind;
		}
	}
	options.ring_entries = FILCH_RING_ENTRIES_DEFAULT;
	while (options.ring_entries < o->iodepth &&
	    options.ring_entries < FILCH_RING_ENTRIES_MAX) {
		options.ring_entries *= 2;
	}
	return (filch_executor_create(&options, &run->executor));
}

static int
run_start(struct run *run)
{
	const struct workload *o = run->workload;
	int rc = run_executor(run);

	if (rc == 0) {
		run->operation = "buffers";
		rc = filch_buffer_pool_create(run->executor, o->block_size,
		    run->element_count, BUFFER_ALIGNMENT, &run->pool);
	}
	if (rc == 0) {
		run->operation = "open";
		rc = filch_file_init(&run->handle, o->fd);
	}
	if (rc == 0 && o->map) {
		run->operation = "map";
		rc = filch_file_map(&run->handle);
	}
	if (rc != 0) {
		return (rc);
	}
	run->fixed = filch_buffer_pool_is_registered(run->pool);
	for (size_t i = 0; i < run->element_count; i++) {
		void *buffer = filch_buffer_pool_take(run->pool);

		/* Touches the pages, and gives writes something to write. */
		workload_fill(o, buffer, 0, o->block_size);
		run_element(run, i)->run = run;
		run_element(run, i)->buffer = buffer;
		run->pointers[i] = &run_element(run, i)->op;
	}
	/* Where it cannot be, operations work all the same. */
	(void)!filch_file_register(run->executor, &run->handle);
	return (0);
}

/* Whatever the result, what was spawned has ended. */
static int
run_drive(struct run *run)
{
	run->operation = "spawn";
	atomic_init(&run->left, run->workload->number_ios);
	bench_progress_start(
	    &run->progress, run->executor, run->workload, run->start_ns);
	int rc = bench_stuck_start(&run->stuck, run->executor,
	    run->workload->stuck_ns, run->workload->stuck_every_ns);
	while (run->spawned < run->unit_count && rc == 0) {
		run->units[run->spawned].place =
		    (struct workload_place){ .start_ns = run->start_ns,
			    .next = run->spawned,
			    .slots = run->unit_count };
		rc = filch_executor_spawn_joinable(
		    run->executor, &run->units[run->spawned].task);
		run->spawned += rc == 0;
	}
	for (size_t i = 0; i < run->spawned; i++) {
		int joined = filch_task_join(&run->units[i].task);

		rc = rc == 0 ? joined : rc;
	}
	bench_stuck_stop(&run->stuck);
	bench_progress_stop(&run->progress);
	return (rc);
}

static void
run_free(struct run *run)
{
	if (run->executor != NULL) {
		filch_file_unregister(run->executor, &run->handle);
	}
	filch_file_unmap(&run->handle);
	for (size_t i = 0; run->pool != NULL && i < run->element_count; i++) {
		void *buffer = run_element(run, i)->buffer;

		if (buffer != NULL) {
			filch_buffer_pool_give(run->pool, buffer);
		}
	}
	filch_buffer_pool_destroy(run->pool);
	filch_executor_destroy(run->executor);
	free(run->lanes);
	free(run->units);
	free(run->elements);
	free(run->pointers);
}

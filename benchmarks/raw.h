/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the limits have in common: plain threads, one a worker, that start
 * together.  An engine is what each of them does.
 */
#ifndef BENCH_RAW_H
#define BENCH_RAW_H

#include "interrupt.h"
#include "workload.h"

/* One thread.  All of it belongs to that thread while it runs. */
struct raw_worker {
	_Alignas(64) const struct workload *workload;
	struct workload_stats *stats;
	struct workload_cursor cursor;
	char *buffers; /* iodepth blocks in a row, aligned for O_DIRECT */
	void *state;   /* the engine's own */
	uint64_t start_ns;
	uint64_t stop_ns;
	uint64_t stuck_due_ns; /* when the loop computes next */
	uint64_t stuck_turns;
	unsigned index;
	const char *operation; /* what failed, where the result is an error */
};

/* The functions return 0 or -errno, and then have set operation. */
struct raw_engine {
	const char *name;
	const char *name_mapped; /* with --map=1; NULL: it knows none */
	const char *who; /* of a peer's program: see struct workload_outcome */
	/* Make state; not measured. */
	int (*open)(struct raw_worker *worker);
	/* Operations until stop_ns, an interrupt or the end of the cursor. */
	int (*run)(struct raw_worker *worker);
	/* Give state back; it may be NULL. */
	void (*close)(struct raw_worker *worker);
};

/* The whole program.  Returns the exit code. */
int raw_main(int argc, char **argv, const struct raw_engine *engine);

/*
 * A thread without an executor has nobody who would take over: what it
 * computes it computes between two operations.
 */
static inline void
raw_compute(struct raw_worker *worker)
{
	const struct workload *workload = worker->workload;
	uint64_t now_ns;

	if (workload->stuck_ns == 0 || worker->index != 0 ||
	    (now_ns = workload_now_ns()) < worker->stuck_due_ns) {
		return;
	}
	worker->stuck_due_ns = now_ns + workload->stuck_every_ns;
	worker->stuck_turns++;
	workload_compute(workload->stuck_ns);
}

/* Where the schedule of a worker's slot begins, as one of so many. */
static inline void
raw_place(const struct raw_worker *worker, struct workload_place *place,
    unsigned index, unsigned slots)
{
	unsigned workers = worker->workload->workers;

	/* neighbours in time are on different workers */
	*place = (struct workload_place){ .start_ns = worker->start_ns,
		.next = (uint64_t)index * workers + worker->index,
		.slots = (uint64_t)slots * workers };
}

/* The next operation, its content made where it is to be checked later. */
static inline bool
raw_next(struct raw_worker *worker, struct workload_place *place,
    struct workload_step *step, void *buffer)
{
	const struct workload *workload = worker->workload;

	raw_compute(worker);
	if (tool_interrupted() ||
	    !workload_next_at(&worker->cursor, workload, place, step)) {
		return (false);
	}
	if (workload->verify && step->kind == KIND_WRITE) {
		workload_fill(
		    workload, buffer, step->offset, workload->block_size);
	}
	return (true);
}

#endif /* BENCH_RAW_H */

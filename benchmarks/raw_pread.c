/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The limit of plain threads: pread(2) and pwrite(2), a thread a worker.  It
 * has one call at a time whatever --iodepth says, so a batch is calls in a
 * row.  With --map=1 it is the limit of mappings, raw_mmap: reads are copies.
 */
#include "raw.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct call {
	struct workload_step step;
	int64_t result;
};

static int64_t
step_call(const struct workload *workload, const struct workload_step *step,
    void *buffer)
{
	size_t size = (size_t)workload->block_size;

	switch (step->kind) {
	case KIND_READ:
		if (workload->map) {
			memcpy(buffer, workload->mapping + step->offset, size);
			return ((int64_t)size);
		}
		return (pread(workload->fd, buffer, size, (off_t)step->offset));
	case KIND_WRITE:
		return (
		    pwrite(workload->fd, buffer, size, (off_t)step->offset));
	case KIND_FSYNC:
		return (fsync(workload->fd));
	case KIND_FDATASYNC:
		break;
	}
	return (fdatasync(workload->fd));
}

static int64_t
step_run(const struct workload *workload, const struct workload_step *step,
    void *buffer)
{
	int64_t result = step_call(workload, step, buffer);

	return (result < 0 ? -(int64_t)errno : result);
}

static int
pread_open(struct raw_worker *worker)
{
	worker->operation = "calls";
	worker->state = calloc(worker->workload->batch, sizeof(struct call));
	return (worker->state == NULL ? -ENOMEM : 0);
}

static void
pread_close(struct raw_worker *worker)
{
	free(worker->state);
}

/* The next batch; how many calls it was. */
static unsigned
batch_run(
    struct raw_worker *worker, struct workload_place *place, struct call *calls)
{
	const struct workload *workload = worker->workload;
	char *buffer = worker->buffers;
	unsigned count = 0;

	while (count < workload->batch &&
	    raw_next(worker, place, &calls[count].step, buffer)) {
		calls[count].result =
		    step_run(workload, &calls[count].step, buffer);
		count++;
		buffer += workload->block_size;
	}
	return (count);
}

/* The time when the next operation of an open loop starts. */
static uint64_t
pread_sleep(struct raw_worker *worker, struct workload_place *place)
{
	uint64_t now_ns = workload_now_ns();
	uint64_t until_ns;

	while (!tool_interrupted() &&
	    (until_ns = workload_sleep_until(
		 worker->workload, &worker->cursor, place, now_ns)) != 0) {
		struct timespec until = {
			.tv_sec = (time_t)(until_ns / 1000000000),
			.tv_nsec = (long)(until_ns % 1000000000),
		};

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
		now_ns = workload_now_ns();
	}
	return (now_ns);
}

static int
pread_run(struct raw_worker *worker)
{
	const struct workload *workload = worker->workload;
	struct call *calls = worker->state;
	uint64_t start_ns = workload_now_ns();
	uint64_t now_ns = start_ns;
	unsigned turn = 0;
	struct workload_place place;
	unsigned count;

	raw_place(worker, &place, 0, 1);
	if (workload->rate != 0) {
		now_ns = pread_sleep(worker, &place);
	}
	while (now_ns < worker->stop_ns &&
	    (count = batch_run(worker, &place, calls)) > 0) {
		if (workload->rate != 0) {
			start_ns = place.due_ns;
		}
		/* The end of these operations is the start of the next. */
		if (workload->latency || workload->rate != 0 ||
		    ++turn % WORKLOAD_CLOCK_INTERVAL == 0) {
			now_ns = workload_now_ns();
		}
		for (unsigned i = 0; i < count; i++) {
			workload_account(workload, worker->stats,
			    &calls[i].step,
			    worker->buffers + i * workload->block_size,
			    calls[i].result, now_ns - start_ns);
		}
		/* Checking is no part of the next operation. */
		start_ns = workload->verify ? workload_now_ns() : now_ns;
		if (workload->rate != 0) {
			now_ns = pread_sleep(worker, &place);
		}
	}
	return (0);
}

int
main(int argc, char **argv)
{
	static const struct raw_engine engine = {
		.name = "raw_pread",
		.name_mapped = "raw_mmap",
		.open = pread_open,
		.run = pread_run,
		.close = pread_close,
	};

	return (raw_main(argc, argv, &engine));
}

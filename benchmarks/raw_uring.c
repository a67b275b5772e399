/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The limit of io_uring by hand: a thread and a ring a worker, iodepth in
 * flight, one system call both submits and waits, completions in batches.
 */
#include "workload.h"

#include <errno.h>
#include <liburing.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REAP_MAX 256

struct slot {
	struct workload_step step;
	uint64_t started_ns;
	char *buffer;
};

struct worker {
	const struct workload *workload;
	struct workload_stats *stats;
	pthread_barrier_t *barrier;
	unsigned index;
	unsigned flight;
	int error;
	pthread_t thread;
	struct io_uring ring;
	struct slot *slots;
	char *buffers;
	struct workload_cursor cursor;
};

static int
ring_open(struct worker *worker)
{
	const char *name = worker->workload->ring_flags;
	struct io_uring_params params;

	memset(&params, 0, sizeof(params));
	if (name == NULL || strcmp(name, "defer") == 0) {
		params.flags =
		    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
	} else if (strcmp(name, "coop") == 0) {
		params.flags =
		    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN;
	}
	int error = io_uring_queue_init_params(
	    worker->workload->iodepth, &worker->ring, &params);
	if (error == -EINVAL && name == NULL) {
		/* A kernel before 6.1: take what it has. */
		memset(&params, 0, sizeof(params));
		error = io_uring_queue_init_params(
		    worker->workload->iodepth, &worker->ring, &params);
	}
	if (error == 0) {
		/* Both only save lookups; without them the run is valid. */
		(void)io_uring_register_ring_fd(&worker->ring);
		(void)io_uring_register_files(
		    &worker->ring, &worker->workload->fd, 1);
	}
	return (error);
}

static bool
slot_submit(struct worker *worker, struct slot *slot)
{
	const struct workload *workload = worker->workload;

	if (!workload_next(&worker->cursor, workload, &slot->step)) {
		return (false);
	}
	struct io_uring_sqe *sqe = io_uring_get_sqe(&worker->ring);
	unsigned size = (unsigned)workload->block_size;
	if (slot->step.kind == KIND_READ) {
		io_uring_prep_read(
		    sqe, 0, slot->buffer, size, slot->step.offset);
	} else if (slot->step.kind == KIND_WRITE) {
		workload_fill(workload, slot->buffer, slot->step.offset, size);
		io_uring_prep_write(
		    sqe, 0, slot->buffer, size, slot->step.offset);
	} else {
		io_uring_prep_fsync(sqe, 0,
		    slot->step.kind == KIND_FSYNC ? 0 : IORING_FSYNC_DATASYNC);
	}
	sqe->flags |= IOSQE_FIXED_FILE;
	io_uring_sqe_set_data(sqe, slot);
	slot->started_ns = workload->latency ? workload_now_ns() : 0;
	worker->flight++;
	return (true);
}

static void
worker_loop(struct worker *worker, uint64_t stop_ns)
{
	const struct workload *workload = worker->workload;
	struct io_uring_cqe *cqes[REAP_MAX];
	bool more = true;

	for (unsigned i = 0; i < workload->iodepth && more; i++) {
		more = slot_submit(worker, &worker->slots[i]);
	}
	while (worker->flight > 0) {
		int error = io_uring_submit_and_wait(&worker->ring, 1);
		if (error < 0 && error != -EINTR && error != -EAGAIN) {
			worker->error = error;
			return;
		}
		unsigned n =
		    io_uring_peek_batch_cqe(&worker->ring, cqes, REAP_MAX);
		uint64_t now = workload_now_ns();
		more = more && now < stop_ns;
		for (unsigned i = 0; i < n; i++) {
			struct slot *slot = io_uring_cqe_get_data(cqes[i]);
			workload_account(workload, worker->stats, &slot->step,
			    slot->buffer, cqes[i]->res);
			if (workload->latency) {
				histogram_record(&worker->stats->latency,
				    now - slot->started_ns);
			}
			worker->flight--;
			if (more) {
				more = slot_submit(worker, slot);
			}
		}
		io_uring_cq_advance(&worker->ring, n);
	}
}

static void *
worker_main(void *context)
{
	struct worker *worker = context;
	const struct workload *workload = worker->workload;

	workload_pin(workload, worker->index);
	workload_cursor_init(&worker->cursor, workload, worker->index);
	worker->slots = calloc(workload->iodepth, sizeof(*worker->slots));
	void *memory = NULL;
	if (worker->slots == NULL ||
	    posix_memalign(
		&memory, 4096, workload->iodepth * workload->block_size) != 0) {
		worker->error = -ENOMEM;
	} else {
		memset(memory, 0, workload->iodepth * workload->block_size);
		worker->buffers = memory;
		for (unsigned i = 0; i < workload->iodepth; i++) {
			worker->slots[i].buffer =
			    worker->buffers + i * workload->block_size;
		}
		worker->error = ring_open(worker);
	}
	pthread_barrier_wait(worker->barrier);
	if (worker->error == 0) {
		worker_loop(worker,
		    workload_now_ns() +
			(uint64_t)workload->runtime_s * UINT64_C(1000000000));
		io_uring_queue_exit(&worker->ring);
	}
	free(worker->buffers);
	free(worker->slots);
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
			fprintf(stderr, "raw_uring: pthread_create: failed\n");
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
			fprintf(stderr, "raw_uring: io_uring: %s\n",
			    strerror(-workers[i].error));
			failed = 1;
		}
	}
	uint64_t elapsed = workload_now_ns() - start;
	cpu = workload_cpu_ns() - cpu;
	pthread_barrier_destroy(&barrier);
	if (failed == 0) {
		workload_report(workload, "raw_uring", stats, elapsed, cpu);
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
	int status = workload_parse(&workload, "raw_uring", argc, argv);

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

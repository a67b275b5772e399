/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The plain baseline: threads that call pread(2) and pwrite(2).  --iodepth is
 * accepted, so that command lines agree, but a thread has one call at a time.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "workload.h"

struct worker {
	_Alignas(64) const struct workload_options *options;
	const struct workload_file *file;
	unsigned index;
	pthread_t thread;
	struct workload_result result;
};

static ssize_t
run_op(const struct worker *w, const struct workload_op *op, void *buffer)
{
	size_t bs = w->options->bs;
	off_t at = (off_t)op->offset;

	switch (op->kind) {
	case WORKLOAD_OP_READ: return pread(w->file->fd, buffer, bs, at);
	case WORKLOAD_OP_WRITE:
		workload_fill(buffer, bs, op->offset, w->options->seed);
		return pwrite(w->file->fd, buffer, bs, at);
	case WORKLOAD_OP_FSYNC: return fsync(w->file->fd);
	default: return fdatasync(w->file->fd);
	}
}

/* Counts the outcome; anything but a whole block of right bytes is an error. */
static void
account(struct worker *w, const struct workload_op *op, ssize_t got,
    const void *buffer)
{
	const struct workload_options *o = w->options;
	bool moves = op->kind <= WORKLOAD_OP_WRITE;

	w->result.ops++;
	if (got < 0 || (moves && (uint64_t)got != o->bs)) {
		if (w->result.errors++ == 0) {
			workload_complain(o, w->file->path,
			    op->kind == WORKLOAD_OP_READ ? "read" :
				moves		 ? "write" :
						   "fsync",
			    got < 0 ? errno : EIO);
		}
		return;
	}
	w->result.bytes += (uint64_t)got;
	if (o->verify && op->kind == WORKLOAD_OP_READ &&
	    !workload_check(buffer, o->bs, op->offset, o->seed)) {
		if (w->result.errors++ == 0) {
			workload_complain(o, w->file->path, "verify", EILSEQ);
		}
	}
}

static void *
work(void *argument)
{
	struct worker *w = argument;
	const struct workload_options *o = w->options;
	struct workload_stream stream;
	struct workload_op op;
	void *buffer = NULL;
	uint64_t now;
	unsigned turn = 0;

	if (o->pin) {
		workload_pin(w->index);
	}
	if (posix_memalign(&buffer, 4096, o->bs) != 0) {
		w->result.errors++;
		workload_complain(o, w->file->path, "allocate", ENOMEM);
		return NULL;
	}
	now = workload_now_ns();
	workload_stream_init(&stream, o, w->file, w->index, now);
	while (workload_stream_next(&stream, now, &op)) {
		ssize_t got = run_op(w, &op, buffer);

		account(w, &op, got, buffer);
		if (o->lat) {
			uint64_t end = workload_now_ns();

			histogram_record(&w->result.lat, end - now);
			now = end;
		} else if (++turn % 64 == 0) {
			now = workload_now_ns();
		}
	}
	free(buffer);
	return NULL;
}

int
main(int argc, char **argv)
{
	static struct worker workers[WORKLOAD_WORKERS_MAX];
	static struct workload_result sum;
	struct workload_options o;
	struct workload_file file;
	uint64_t start;
	unsigned started;
	unsigned i;

	workload_parse(&o, "raw_pread", argc, argv);
	workload_file_open(&file, &o);
	sum.cpu_ns = workload_cpu_ns();
	start = workload_now_ns();
	for (started = 0; started < o.workers; started++) {
		struct worker *w = &workers[started];
		int error;

		w->options = &o;
		w->file = &file;
		w->index = started;
		error = pthread_create(&w->thread, NULL, work, w);
		if (error != 0) {
			workload_complain(&o, file.path, "thread", error);
			sum.errors++;
			break;
		}
	}
	for (i = 0; i < started; i++) {
		pthread_join(workers[i].thread, NULL);
		workload_result_merge(&sum, &workers[i].result);
	}
	sum.elapsed_ns = workload_now_ns() - start;
	sum.cpu_ns = workload_cpu_ns() - sum.cpu_ns;
	workload_report(stdout, &o, "pread", &sum);
	workload_file_close(&file);
	return sum.errors == 0 ? 0 : 1;
}

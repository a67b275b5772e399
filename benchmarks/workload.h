/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What every I/O benchmark shares: fio-like options, the file under test with
 * its checkable content, the sequence of operations, and the report.
 * The raw programs and `filch bench` use it alike, so that they differ only
 * in how an operation is carried out.
 */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "histogram.h"

enum workload_rw {
	RW_RANDREAD,
	RW_RANDWRITE,
	RW_READ,
	RW_WRITE,
	RW_RANDRW
};

enum workload_kind {
	KIND_READ,
	KIND_WRITE,
	KIND_FSYNC,
	KIND_FDATASYNC
};

struct workload {
	const char *program; /* what messages start with */
	enum workload_rw rw;
	uint64_t block_size;
	uint64_t size;
	uint64_t number_ios; /* over all workers; 0 is no bound */
	uint64_t seed;
	unsigned iodepth; /* per worker */
	unsigned workers;
	unsigned runtime_s;
	unsigned fsync_every;
	unsigned fdatasync_every;
	unsigned batch;
	bool direct;
	bool verify;
	bool pin;
	bool lock;
	bool latency;
	bool overwrite;
	bool json;
	bool created; /* the file is ours and goes away at the end */
	const char *driver;
	const char *ring_flags;
	const char *filename;
	char temporary[64];
	void *locked;
	int fd;
};

/* What one worker did.  Written by that worker only. */
struct workload_stats {
	uint64_t operations;
	uint64_t bytes;
	uint64_t errors;
	uint64_t mismatches;
	struct histogram latency;
};

/* One worker's own sequence of operations. */
struct workload_cursor {
	uint64_t random;
	uint64_t blocks;
	uint64_t next;
	uint64_t writes;
	uint64_t left;
	bool sync_due;
};

struct workload_step {
	enum workload_kind kind;
	uint64_t offset;
};

/*
 * Fill workload from the arguments.  Prints one line, which starts with
 * program, and returns 2 on bad input, 1 after --help, else 0.
 */
int workload_parse(
    struct workload *workload, const char *program, int argc, char **argv);

/* Open or make the file.  Prints one line and returns 1 on failure. */
int workload_prepare(struct workload *workload);
void workload_cleanup(struct workload *workload);

void workload_cursor_init(struct workload_cursor *cursor,
    const struct workload *workload, unsigned worker);

/* The next operation; false when the worker's share of number_ios is done. */
bool workload_next(struct workload_cursor *cursor,
    const struct workload *workload, struct workload_step *step);

/* Content of a block follows from seed and offset alone. */
void workload_fill(const struct workload *workload, void *buffer,
    uint64_t offset, uint64_t size);
bool workload_check(const struct workload *workload, const void *buffer,
    uint64_t offset, uint64_t size);

void workload_pin(const struct workload *workload, unsigned worker);
uint64_t workload_cpu_ns(void);

/* Count one finished operation: result as the system call gave it. */
void workload_account(const struct workload *workload,
    struct workload_stats *stats, const struct workload_step *step,
    const void *buffer, int64_t result);

void workload_report(const struct workload *workload, const char *driver,
    const struct workload_stats *stats, uint64_t elapsed_ns, uint64_t cpu_ns);

static inline uint64_t
workload_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return ((uint64_t)now.tv_sec * UINT64_C(1000000000) +
	    (uint64_t)now.tv_nsec);
}

#endif /* BENCH_WORKLOAD_H */

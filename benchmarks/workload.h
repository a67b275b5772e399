/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What raw_uring, raw_pread and `filch bench` have in common: the options, the
 * file, the sequence of operations, and the report.  Only who does the I/O
 * differs, so their figures can be compared.
 */
#ifndef FILCH_BENCH_WORKLOAD_H
#define FILCH_BENCH_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "histogram.h"

#define WORKLOAD_PATH_MAX 4096
#define WORKLOAD_WORKERS_MAX 256

enum workload_rw {
	WORKLOAD_READ,
	WORKLOAD_WRITE,
	WORKLOAD_RANDREAD,
	WORKLOAD_RANDWRITE,
	WORKLOAD_RANDRW,
};

enum workload_kind {
	WORKLOAD_OP_READ,
	WORKLOAD_OP_WRITE,
	WORKLOAD_OP_FSYNC,
	WORKLOAD_OP_FDATASYNC,
};

struct workload_options {
	const char *program;	/* for messages */
	const char *driver;	/* as asked: auto, uring or posix */
	const char *ring_flags; /* raw_uring only: plain, coop or defer */
	const char *filename;	/* NULL: a file of our own */
	enum workload_rw rw;
	uint64_t bs;
	uint64_t size;
	uint64_t runtime;    /* seconds; 0: until number_ios */
	uint64_t number_ios; /* over all workers; 0: until runtime */
	uint64_t fsync;	     /* after so many writes; 0: never */
	uint64_t fdatasync;
	uint64_t batch; /* operations to one submission; 0: the program's */
	uint64_t seed;
	unsigned iodepth;
	unsigned workers;
	bool direct;
	bool verify;
	bool json;
	bool overwrite;
	bool pin;
	bool lock;
	bool lat;
};

struct workload_file {
	int fd;
	bool made; /* ours to remove */
	void *map; /* locked pages, or NULL */
	uint64_t size;
	char path[WORKLOAD_PATH_MAX];
};

struct workload_op {
	enum workload_kind kind;
	uint64_t offset;
};

/* One worker's sequence of operations. */
struct workload_stream {
	const struct workload_options *options;
	uint64_t random;
	uint64_t blocks; /* blocks of the file */
	uint64_t next;	 /* next block of a sequential run */
	uint64_t left;	 /* operations still to start */
	uint64_t deadline_ns;
	uint64_t writes;
	bool sync_due;
};

/* One worker's result, and their sum. */
struct workload_result {
	uint64_t ops;
	uint64_t bytes;
	uint64_t errors;
	uint64_t elapsed_ns;
	uint64_t cpu_ns;
	struct histogram lat;
};

/* Exits with 0 after --help and with 2 and one line on bad input. */
void workload_parse(struct workload_options *o, const char *program, int argc,
    char **argv);
const char *workload_rw_name(enum workload_rw rw);

/*
 * Opens or makes the file; exits with 1 on failure, having removed what it
 * made.  From here SIGINT and SIGTERM only set a flag, so that close can clean
 * up.
 */
void workload_file_open(struct workload_file *f,
    const struct workload_options *o);
void workload_file_close(struct workload_file *f);
bool workload_interrupted(void);

/* Content is a function of offset and seed; so each byte can be checked. */
void workload_fill(void *buffer, size_t length, uint64_t offset, uint64_t seed);
bool workload_check(const void *buffer, size_t length, uint64_t offset,
    uint64_t seed);

void workload_stream_init(struct workload_stream *s,
    const struct workload_options *o, const struct workload_file *f,
    unsigned worker, uint64_t now_ns);
/* False when the run is over: no operation is to be started any more. */
bool workload_stream_next(struct workload_stream *s, uint64_t now_ns,
    struct workload_op *ret_op);

uint64_t workload_now_ns(void);
uint64_t workload_cpu_ns(void);
void workload_pin(unsigned cpu);
/* Says path, operation and strerror(error) on one line. */
void workload_complain(const struct workload_options *o, const char *path,
    const char *operation, int error);

void workload_result_merge(struct workload_result *into,
    const struct workload_result *from);
void workload_report(FILE *out, const struct workload_options *o,
    const char *driver, const struct workload_result *r);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What every I/O benchmark shares: fio-like options, the file under test with
 * its checkable content, the sequence of operations, the report and the exit
 * code.  raw_uring, raw_pread and `filch bench` use it alike, so that they
 * differ only in how an operation is carried out.
 */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "histogram.h"

/* Exit codes: done; a failure of I/O; bad input; stopped by a signal. */
enum {
	WORKLOAD_DONE = 0,
	WORKLOAD_FAILED = 1,
	WORKLOAD_USAGE = 2,
	WORKLOAD_INTERRUPTED = 130
};

/* Without latencies the clock is read once in so many operations. */
#define WORKLOAD_CLOCK_INTERVAL 64

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
	uint64_t runtime_ns;
	uint64_t stuck_ns; /* a task computes so long; 0 is no such task */
	uint64_t stuck_every_ns;
	uint64_t rate;         /* operations a second; 0 is a closed loop */
	unsigned read_percent; /* of RW_RANDRW */
	unsigned iodepth;      /* per worker */
	unsigned workers;
	unsigned fsync_every;
	unsigned fdatasync_every;
	unsigned batch; /* operations submitted, and waited for, together */
	bool direct;
	bool verify;
	bool pin;
	bool lock;
	bool map; /* reads are copies from a mapping of the file */
	bool latency;
	bool shared_sync;
	bool overwrite;
	bool json;
	const char *driver;     /* "auto", "uring" or "posix" */
	const char *ring_flags; /* "defer", "coop" or "plain" */
	const char *filename;
	char temporary[32]; /* filename where the user gave none */
	char *mapping;      /* of the file, with lock or map */
	int fd;
};

/* What one worker did.  Written by that worker only. */
struct workload_stats {
	_Alignas(64) uint64_t operations; /* reads and writes, in full */
	uint64_t bytes;
	uint64_t syncs;
	uint64_t errors; /* mismatches too */
	uint64_t mismatches;
	uint64_t error_offset; /* where the first was */
	int64_t error_result;
	enum workload_kind error_kind;
	struct histogram latency; /* of operations */
};

/* One worker's own sequence of operations. */
struct workload_cursor {
	uint64_t random;
	uint64_t blocks;
	uint64_t next;
	uint64_t writes;
	uint64_t left;
	bool sync_due;
	enum workload_kind sync_kind;
};

struct workload_step {
	enum workload_kind kind;
	uint64_t offset;
};

/*
 * A slot is what has one operation at a time.  Of an open loop's schedule it
 * has the place that is its number, and each that is so many slots further.
 */
struct workload_place {
	uint64_t start_ns; /* of the run */
	uint64_t next;
	uint64_t slots;
	uint64_t due_ns; /* of the operation it has */
	bool slept;      /* since the one before */
};

/* What a run was: filled by the function that carries it out. */
struct workload_outcome {
	const char *driver;
	const char *who; /* the first members of the JSON, or NULL */
	uint64_t elapsed_ns;
	uint64_t cpu_ns;      /* of all threads */
	uint64_t stuck_turns; /* of the task that computes */
};

/*
 * Carry the workload out; one of stats a worker.  Returns 0, or WORKLOAD_FAILED
 * after one line that tells why it could not run at all.
 */
typedef int (*workload_run_fn)(const struct workload *workload,
    struct workload_stats *stats, struct workload_outcome *ret_outcome,
    void *context);

/* What a program has of its own. */
struct workload_program {
	const char *name; /* what messages start with */
	workload_run_fn run;
	void *context; /* of run */
	bool maps;     /* knows --map=1 */
};

/*
 * All of a benchmark but the run: options, signals, file, report.  Returns the
 * exit code.
 */
int workload_main(
    const struct workload_program *program, int argc, char **argv);

/*
 * Fill workload from the arguments.  Prints one line and returns
 * WORKLOAD_USAGE on bad input; -1 after --help; else 0.
 */
int workload_parse(
    struct workload *workload, const char *program, int argc, char **argv);

/* Print "PROGRAM: FILE: OPERATION: reason"; returns WORKLOAD_FAILED. */
int workload_complain(
    const struct workload *workload, const char *operation, int error);

/*
 * Open the file, or make one that vanishes with the process, however that
 * ends.  Prints one line and returns the exit code on failure, else 0.
 */
int workload_open(struct workload *workload);
void workload_close(struct workload *workload);

void workload_cursor_init(struct workload_cursor *cursor,
    const struct workload *workload, unsigned worker);

/* The next operation; false when the worker's share of number_ios is done. */
bool workload_next(struct workload_cursor *cursor,
    const struct workload *workload, struct workload_step *step);

/*
 * The same for a slot of an open loop (--rate): what it does next when
 * workload_sleep_until() has said 0, with due_ns of its place set.  Where the
 * loop is closed, place stays as it is.
 */
bool workload_next_at(struct workload_cursor *cursor,
    const struct workload *workload, struct workload_place *place,
    struct workload_step *step);

/*
 * How long a slot is to sleep, to be asked again then: interrupts and the end
 * of the run are looked for meanwhile.  0 is not at all: it is due, or late, or
 * there is a sync to do, which keeps to no schedule.
 */
uint64_t workload_sleep_until(const struct workload *workload,
    const struct workload_cursor *cursor, struct workload_place *place,
    uint64_t now_ns);

/* Content of a block follows from seed and offset alone. */
void workload_fill(const struct workload *workload, void *buffer,
    uint64_t offset, uint64_t size);
bool workload_check(const struct workload *workload, const void *buffer,
    uint64_t offset, uint64_t size);

/*
 * Account for one finished operation: result as a negative errno or a count
 * of bytes, latency_ns from when it was due.  Checks what was read.
 */
void workload_account(const struct workload *workload,
    struct workload_stats *stats, const struct workload_step *step,
    const void *buffer, int64_t result, uint64_t latency_ns);

/* Print the result and, if there were errors, one line about the first. */
void workload_report(const struct workload *workload,
    const struct workload_stats *sum, const struct workload_outcome *outcome);

static inline uint64_t
workload_clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return ((uint64_t)now.tv_sec * UINT64_C(1000000000) +
	    (uint64_t)now.tv_nsec);
}

static inline uint64_t
workload_now_ns(void)
{
	return (workload_clock_ns(CLOCK_MONOTONIC));
}

/* Processor time of all threads of the process, those of the kernel too. */
static inline uint64_t
workload_cpu_ns(void)
{
	return (workload_clock_ns(CLOCK_PROCESS_CPUTIME_ID));
}

/* Keep the CPU for so long, as a task does that computes. */
static inline void
workload_compute(uint64_t ns)
{
	uint64_t until = workload_now_ns() + ns;

	while (workload_now_ns() < until) {
		continue;
	}
}

#endif /* BENCH_WORKLOAD_H */

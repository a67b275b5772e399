/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rounds and JSON for the scheduler benchmarks, in what C and C++ share, so
 * that sched and sched_tbb measure and print alike.
 */
#ifndef FILCH_BENCH_SCHED_REPORT_H
#define FILCH_BENCH_SCHED_REPORT_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SCHED_ROUNDS_MAX 1000

struct sched_rounds {
	const char *who; /* "key":"value" pairs that go before, or NULL */
	unsigned count;
	double ns_per_op[SCHED_ROUNDS_MAX];
};

static inline uint64_t
sched_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

static inline void
sched_rounds_add(struct sched_rounds *r, uint64_t ns, uint64_t ops)
{
	if (r->count < SCHED_ROUNDS_MAX) {
		r->ns_per_op[r->count++] = (double)ns / (double)ops;
	}
}

static inline int
sched_compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts the rounds; ns_per_op is their median. */
static inline void
sched_report(struct sched_rounds *r, const char *program, const char *bench,
    unsigned workers)
{
	double median;

	if (r->count == 0) {
		return;
	}
	qsort(r->ns_per_op, r->count, sizeof(r->ns_per_op[0]), sched_compare);
	median = r->ns_per_op[r->count / 2];
	printf("{%s%s\"program\":\"%s\",\"bench\":\"%s\",\"ns_per_op\":%.2f,"
	       "\"workers\":%u,\"rounds\":%u,\"min\":%.2f,\"median\":%.2f,"
	       "\"max\":%.2f}\n",
	    r->who == NULL ? "" : r->who, r->who == NULL ? "" : ",", program,
	    bench, median, workers, r->count, r->ns_per_op[0], median,
	    r->ns_per_op[r->count - 1]);
	(void)fflush(stdout);
}

#endif

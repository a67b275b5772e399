/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A log-linear histogram of latencies: 32 steps to each power of two, so a
 * percentile is right to about 3 %, in fixed memory and without locks.
 */
#ifndef FILCH_BENCH_HISTOGRAM_H
#define FILCH_BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEP_BITS 5
#define HISTOGRAM_STEPS (1U << HISTOGRAM_STEP_BITS)
#define HISTOGRAM_BUCKETS ((64U - HISTOGRAM_STEP_BITS + 1U) * HISTOGRAM_STEPS)

/* Zeroed memory is an empty histogram.  One writer; merge after joining. */
struct histogram {
	uint64_t count;
	uint64_t max;
	uint64_t bucket[HISTOGRAM_BUCKETS];
};

void histogram_record(struct histogram *h, uint64_t ns);
void histogram_merge(struct histogram *into, const struct histogram *from);

/* The value at or below which `permille` thousandths lie; 0 when empty. */
uint64_t histogram_permille(const struct histogram *h, unsigned permille);

#endif

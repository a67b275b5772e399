/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A log-linear histogram of latencies: 32 steps to each power of two, so a
 * percentile is at most 1/32 too high.  One thread records; merge joins.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BITS    5
#define HISTOGRAM_BUCKETS ((64 - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS)

struct histogram {
	uint64_t count;
	uint64_t max;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

static inline unsigned
histogram_index(uint64_t value)
{
	if (value < (UINT64_C(1) << HISTOGRAM_BITS)) {
		return ((unsigned)value);
	}
	unsigned shift =
	    63U - (unsigned)__builtin_clzll(value) - HISTOGRAM_BITS;
	return ((shift << HISTOGRAM_BITS) + (unsigned)(value >> shift));
}

static inline void
histogram_record(struct histogram *histogram, uint64_t value)
{
	histogram->count++;
	if (value > histogram->max) {
		histogram->max = value;
	}
	histogram->buckets[histogram_index(value)]++;
}

void histogram_init(struct histogram *histogram);
void histogram_merge(struct histogram *target, const struct histogram *source);

/* The value that fraction (0 to 1) of what was recorded does not exceed. */
uint64_t histogram_percentile(
    const struct histogram *histogram, double fraction);

#endif /* BENCH_HISTOGRAM_H */

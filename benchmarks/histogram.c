/* SPDX-License-Identifier: BSD-2-Clause */
/* The latency histogram: bucket arithmetic and percentiles. */
#include "histogram.h"

/* Values below HISTOGRAM_STEPS have a bucket each, so small ones are exact. */
static unsigned
bucket_of(uint64_t ns)
{
	unsigned shift;

	if (ns < HISTOGRAM_STEPS) {
		return (unsigned)ns;
	}
	shift = 63U - (unsigned)__builtin_clzll(ns) - HISTOGRAM_STEP_BITS;
	return (shift + 1U) * HISTOGRAM_STEPS +
	    (unsigned)((ns >> shift) - HISTOGRAM_STEPS);
}

/* The largest value that falls into the bucket. */
static uint64_t
bucket_top(unsigned bucket)
{
	unsigned shift;
	uint64_t step;

	if (bucket < HISTOGRAM_STEPS) {
		return bucket;
	}
	shift = bucket / HISTOGRAM_STEPS - 1U;
	step = bucket % HISTOGRAM_STEPS + HISTOGRAM_STEPS;
	return (step << shift) + ((UINT64_C(1) << shift) - 1U);
}

void
histogram_record(struct histogram *h, uint64_t ns)
{
	h->bucket[bucket_of(ns)]++;
	h->count++;
	if (ns > h->max) {
		h->max = ns;
	}
}

void
histogram_merge(struct histogram *into, const struct histogram *from)
{
	unsigned i;

	for (i = 0; i < HISTOGRAM_BUCKETS; i++) {
		into->bucket[i] += from->bucket[i];
	}
	into->count += from->count;
	if (from->max > into->max) {
		into->max = from->max;
	}
}

uint64_t
histogram_permille(const struct histogram *h, unsigned permille)
{
	uint64_t seen = 0;
	uint64_t rank;
	unsigned i;

	/* Rounded up: the p999 of ten samples is the largest of them. */
	rank = (h->count * permille + 999U) / 1000U;
	for (i = 0; i < HISTOGRAM_BUCKETS && rank > 0; i++) {
		seen += h->bucket[i];
		if (seen >= rank) {
			return bucket_top(i) < h->max ? bucket_top(i) : h->max;
		}
	}
	return 0;
}

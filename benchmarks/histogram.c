/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parts of the histogram that are not on the hot way.
 */
#include "histogram.h"

#include <string.h>

void
histogram_init(struct histogram *histogram)
{
	memset(histogram, 0, sizeof(*histogram));
}

void
histogram_merge(struct histogram *target, const struct histogram *source)
{
	target->count += source->count;
	if (source->max > target->max) {
		target->max = source->max;
	}
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		target->buckets[i] += source->buckets[i];
	}
}

/* The largest value that falls into a bucket. */
static uint64_t
bucket_top(unsigned index)
{
	if (index < (1U << HISTOGRAM_BITS)) {
		return (index);
	}
	unsigned shift = (index >> HISTOGRAM_BITS) - 1U;
	uint64_t step = index - (shift << HISTOGRAM_BITS);
	return (((step + 1) << shift) - 1);
}

uint64_t
histogram_percentile(const struct histogram *histogram, double fraction)
{
	uint64_t rank = (uint64_t)(fraction * (double)histogram->count);
	uint64_t seen = 0;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += histogram->buckets[i];
		if (seen > rank) {
			uint64_t top = bucket_top(i);
			return (top < histogram->max ? top : histogram->max);
		}
	}
	return (histogram->max);
}

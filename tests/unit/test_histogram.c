/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The histogram of latencies that the benchmarks report from.
 */
#include <criterion/criterion.h>

#include "../../benchmarks/histogram.h"

static struct histogram histogram;

Test(histogram, without_values_every_percentile_is_zero)
{
	histogram_init(&histogram);
	cr_assert_eq(histogram_percentile(&histogram, 0.5), 0);
	cr_assert_eq(histogram_percentile(&histogram, 1.0), 0);
}

Test(histogram, small_values_are_exact)
{
	histogram_init(&histogram);
	for (uint64_t i = 0; i < 32; i++) {
		histogram_record(&histogram, i);
	}
	for (unsigned i = 0; i < 32; i++) {
		double fraction = ((double)i + 0.5) / 32;

		cr_assert_eq(histogram_percentile(&histogram, fraction), i);
	}
}

Test(histogram, a_percentile_is_at_most_one_32nd_too_high)
{
	for (unsigned shift = 0; shift < 63; shift++) {
		uint64_t value = (UINT64_C(1) << shift) + (1U << (shift / 2));

		histogram_init(&histogram);
		histogram_record(&histogram, value);
		histogram_record(&histogram, UINT64_MAX);
		uint64_t found = histogram_percentile(&histogram, 0.25);
		cr_assert_geq(found, value);
		cr_assert_leq(found - value, value / 32, "%ju for %ju",
		    (uintmax_t)found, (uintmax_t)value);
	}
}

Test(histogram, percentiles_are_ranks)
{
	histogram_init(&histogram);
	for (unsigned i = 0; i < 999; i++) {
		histogram_record(&histogram, 10);
	}
	histogram_record(&histogram, 20);
	cr_assert_eq(histogram_percentile(&histogram, 0.5), 10);
	cr_assert_eq(histogram_percentile(&histogram, 0.998), 10);
	cr_assert_eq(histogram_percentile(&histogram, 0.999), 20);
}

Test(histogram, no_percentile_exceeds_the_largest_value)
{
	histogram_init(&histogram);
	histogram_record(&histogram, 1000001);
	cr_assert_eq(histogram_percentile(&histogram, 0.5), 1000001);
	cr_assert_eq(histogram.max, 1000001);
}

Test(histogram, the_largest_number_has_a_bucket)
{
	cr_assert_eq(histogram_index(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

Test(histogram, merging_adds_counts_and_keeps_the_larger_maximum)
{
	struct histogram *other = &(struct histogram){ .count = 0 };

	histogram_init(&histogram);
	histogram_record(&histogram, 5);
	histogram_record(other, 7);
	histogram_record(other, 7);
	histogram_merge(&histogram, other);
	cr_assert_eq(histogram.count, 3);
	cr_assert_eq(histogram.max, 7);
	cr_assert_eq(histogram_percentile(&histogram, 0.1), 5);
	cr_assert_eq(histogram_percentile(&histogram, 0.5), 7);
}

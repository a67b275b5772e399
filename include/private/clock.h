/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The monotonic clock, in nanoseconds.
 */
#ifndef FILCH_PRIVATE_CLOCK_H
#define FILCH_PRIVATE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define FILCH__NS_PER_S UINT64_C(1000000000)

static inline uint64_t
filch__clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return ((uint64_t)now.tv_sec * FILCH__NS_PER_S + (uint64_t)now.tv_nsec);
}

#endif /* FILCH_PRIVATE_CLOCK_H */

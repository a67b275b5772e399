// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"fmt"
	"math/bits"
	"sync/atomic"
)

const (
	histogramBits    = 5
	histogramBuckets = (64 - histogramBits + 1) << histogramBits
)

// That of benchmarks/histogram.h: 32 steps to each power of two.  Goroutines
// know no worker they belong to, so the members are added to atomically.
type histogram struct {
	count   atomic.Uint64
	max     atomic.Uint64
	buckets [histogramBuckets]atomic.Uint64
}

func bucketOf(value uint64) int {
	if value < 1<<histogramBits {
		return int(value)
	}
	shift := 63 - bits.LeadingZeros64(value) - histogramBits
	return shift<<histogramBits + int(value>>shift)
}

// The largest value that falls into a bucket.
func bucketTop(bucket int) uint64 {
	if bucket < 1<<histogramBits {
		return uint64(bucket)
	}
	shift := bucket>>histogramBits - 1
	return uint64(bucket-shift<<histogramBits+1)<<shift - 1
}

func (h *histogram) record(value uint64) {
	h.count.Add(1)
	for max := h.max.Load(); value > max && !h.max.CompareAndSwap(max, value); max = h.max.Load() {
	}
	h.buckets[bucketOf(value)].Add(1)
}

func (h *histogram) merge(other *histogram) {
	h.count.Add(other.count.Load())
	h.max.Store(max(h.max.Load(), other.max.Load()))
	for i := range h.buckets {
		h.buckets[i].Add(other.buckets[i].Load())
	}
}

// The value that fraction (0 to 1) of what was recorded does not exceed.
func (h *histogram) percentile(fraction float64) uint64 {
	rank := uint64(fraction * float64(h.count.Load()))
	seen := uint64(0)

	for i := range h.buckets {
		if seen += h.buckets[i].Load(); seen > rank {
			return min(bucketTop(i), h.max.Load())
		}
	}
	return h.max.Load()
}

func (h *histogram) json() string {
	return fmt.Sprintf(`{"p50":%d,"p99":%d,"p999":%d,"max":%d}`,
		h.percentile(0.5), h.percentile(0.99), h.percentile(0.999), h.max.Load())
}

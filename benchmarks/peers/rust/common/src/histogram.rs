// SPDX-License-Identifier: BSD-2-Clause
//! The log-linear histogram of benchmarks/histogram.h: 32 steps to each power
//! of two, so a percentile is at most 1/32 too high.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const BITS: u32 = 5;
const BUCKETS: usize = ((64 - BITS + 1) as usize) << BITS;

/// One thread records at a time.  The members are atomic so that others may
/// read them; without read-modify-write that costs nothing.
pub struct Histogram {
    count: AtomicU64,
    max: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram {
            count: AtomicU64::new(0),
            max: AtomicU64::new(0),
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
        }
    }
}

fn index(value: u64) -> usize {
    if value < 1 << BITS {
        return value as usize;
    }
    let shift = 63 - value.leading_zeros() - BITS;
    ((shift as usize) << BITS) + (value >> shift) as usize
}

/// The largest value that falls into a bucket.
fn top(index: usize) -> u64 {
    if index < 1 << BITS {
        return index as u64;
    }
    let shift = (index >> BITS) - 1;
    (((index - (shift << BITS)) as u64 + 1) << shift).wrapping_sub(1)
}

fn add(cell: &AtomicU64, value: u64) {
    cell.store(cell.load(Relaxed) + value, Relaxed);
}

impl Histogram {
    pub fn record(&self, value: u64) {
        add(&self.count, 1);
        if value > self.max.load(Relaxed) {
            self.max.store(value, Relaxed);
        }
        add(&self.buckets[index(value)], 1);
    }

    pub fn merge(&self, other: &Histogram) {
        add(&self.count, other.count());
        self.max.fetch_max(other.max(), Relaxed);
        for (to, from) in self.buckets.iter().zip(&other.buckets) {
            add(to, from.load(Relaxed));
        }
    }

    pub fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }

    pub fn max(&self) -> u64 {
        self.max.load(Relaxed)
    }

    /// The value that fraction (0 to 1) of what was recorded does not exceed.
    pub fn percentile(&self, fraction: f64) -> u64 {
        let rank = (fraction * self.count() as f64) as u64;
        let mut seen = 0;

        for (i, bucket) in self.buckets.iter().enumerate() {
            seen += bucket.load(Relaxed);
            if seen > rank {
                return top(i).min(self.max());
            }
        }
        self.max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_their_values() {
        for value in (0..64).flat_map(|bit| [1u64 << bit, (1 << bit) + 1, u64::MAX >> bit]) {
            let i = index(value);

            assert!(value <= top(i), "{value}");
            assert!(i == 0 || value > top(i - 1), "{value}");
        }
    }
}

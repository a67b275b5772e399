// SPDX-License-Identifier: BSD-2-Clause
//! The workloads of benchmarks/wake: what is the same for all peers.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::*};
use std::task::{Poll, Waker};

use crate::system::{self, anonymous_bytes, now_ns, pause_ns, resident_bytes, usage_of_others};
use crate::{Histogram, Options, refuse, report};

/// Between two events; the workers fall asleep within it.
pub const PAUSE_NS: u64 = 50_000;
/// A poll of a busy task, and how many each worker gets.
pub const BUSY_POLL_NS: u64 = 5_000;
pub const BUSY_PER_WORKER: usize = 4;
/// A timer that does not end.
pub const FOREVER_S: u64 = 3600;
/// Time for a new runtime to come to rest.
const SETTLE_NS: u64 = 200_000_000;
/// The kernel counts resident pages roughly: as many as make that little.
const EXECUTORS: usize = 16;

/// Named figures, in the order given.
pub struct Report(Vec<(&'static str, f64)>);

impl Report {
    pub fn latency(histogram: &Histogram) -> Self {
        Report(vec![
            ("p50_ns", histogram.percentile(0.5) as f64),
            ("p99_ns", histogram.percentile(0.99) as f64),
            ("p999_ns", histogram.percentile(0.999) as f64),
            ("max_ns", histogram.max() as f64),
            ("samples", histogram.count() as f64),
        ])
    }
}

pub type Bench = fn(&Options) -> Report;

pub fn run(peer: &str, version: &str, options: &Options, benches: &[(&str, Bench)]) {
    let mut found = false;

    for (bench, measure) in benches {
        if options.only.as_deref().is_some_and(|only| only != *bench) {
            continue;
        }
        found = true;
        let report = measure(options);
        let mut line = report::Line::new(peer, version, &format!("wake/{bench}"));
        line.text("program", "wake");
        line.text("bench", bench);
        line.number("workers", options.workers);
        line.number("pin", u8::from(options.pin));
        line.text("driver", peer);
        for (name, value) in report.0 {
            line.real(name, value, if value.fract() == 0.0 { 0 } else { 3 });
        }
        line.print();
    }
    if !found {
        refuse("--bench: must name a benchmark that this peer can do");
    }
}

/// One event after another: when it was sent, and what its receiver saw.
#[derive(Default)]
pub struct Events {
    samples: u64,
    /// As in benchmarks/apart.h: the sender stands on a CPU by lot, and only
    /// events that come to another one count.
    apart: bool,
    sender_cpu: AtomicUsize,
    sent_ns: AtomicU64,
    taken: AtomicU64,
    pub histogram: Histogram,
}

impl Events {
    /// Those that feed() sends, from where it stands.
    pub fn fed(options: &Options) -> &'static Self {
        system::remember_cpus();
        Box::leak(Box::new(Events {
            samples: options.samples,
            apart: options.pin && system::cpus() > 1,
            ..Events::default()
        }))
    }

    /// Those that a task sends.
    pub fn leak(samples: u64) -> &'static Self {
        Box::leak(Box::new(Events { samples, ..Events::default() }))
    }

    /// The sender's side, just before it sends.
    pub fn stamp(&self) {
        self.sent_ns.store(now_ns(), Release);
    }

    /// The receiver's side, just after it got the event.  True while there are
    /// more to come.
    pub fn take(&self) -> bool {
        let now = now_ns();
        let sent = self.sent_ns.load(Acquire);

        if !self.apart || system::cpu_now() != self.sender_cpu.load(Relaxed) {
            self.histogram.record(now - sent);
        }
        let more = self.histogram.count() != self.samples;
        self.taken.fetch_add(1, Release);
        more
    }

    pub fn taken(&self) -> u64 {
        self.taken.load(Acquire)
    }

    /// From this plain thread, each when the one before has arrived.
    pub fn feed(&self, mut send: impl FnMut()) {
        let mut random = 1u32;

        for i in 0.. {
            if self.apart {
                random = random.wrapping_mul(1664525).wrapping_add(1013904223);
                let index = (random >> 16) as usize % system::cpus();
                system::pin(index);
                self.sender_cpu.store(system::cpu(index), Relaxed);
            }
            loop {
                pause_ns(PAUSE_NS);
                if self.taken() == i {
                    break;
                }
            }
            if self.histogram.count() == self.samples {
                break;
            }
            self.stamp();
            send();
        }
    }
}

/// Delays between 0.05 and 1.1 ms, so that they meet no tick of the kernel.
pub struct Delays(u32);

impl Default for Delays {
    fn default() -> Self {
        Delays(1)
    }
}

impl Delays {
    pub fn next_ns(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(1664525).wrapping_add(1013904223);
        PAUSE_NS + u64::from(self.0 >> 12)
    }
}

/// What the runtime's threads use while it has nothing to do.
pub fn idle(options: &Options) -> Report {
    pause_ns(SETTLE_NS);
    let (switches, cpu) = usage_of_others();
    let begin = now_ns();
    pause_ns(options.seconds * 1_000_000_000);
    let seconds = (now_ns() - begin) as f64 / 1e9;
    let (switches_after, cpu_after) = usage_of_others();
    Report(vec![
        ("wakes_per_s", (switches_after - switches) as f64 / seconds),
        ("cpu_percent", (cpu_after - cpu).max(0) as f64 / seconds / 1e7),
        ("seconds", seconds),
    ])
}

/// What a task of park() has in it that is its own.
pub const PARK_OWN: usize = size_of::<Option<Waker>>();

/// Waits for nothing.  It keeps its own waker, as filch's does: some runtimes
/// free a task that nobody can wake.
pub async fn park(waiting: &'static AtomicUsize) {
    let mut own: Option<Waker> = None;

    poll_fn(|context| {
        own = Some(context.waker().clone());
        waiting.fetch_add(1, Relaxed);
        Poll::<()>::Pending
    })
    .await;
}

/// Memory of so many waiting tasks: spawn starts them all and returns when all
/// wait.  So many bytes of each are its own, not the runtime's.
pub fn parked(tasks: usize, own: usize, spawn: impl FnOnce()) -> Report {
    let before = anonymous_bytes();

    spawn();
    let each = anonymous_bytes().saturating_sub(before) as f64 / tasks as f64;
    Report(vec![
        ("bytes_per_task", each - own as f64),
        ("rss_per_task", each),
        ("tasks", tasks as f64),
    ])
}

/// Memory of a runtime that has nothing to do: make starts one, threads and
/// all.  The first also pays for what the process needs once.
pub fn executors<T>(mut make: impl FnMut() -> T) -> Report {
    let mut all = vec![make()];

    pause_ns(SETTLE_NS);
    let before = resident_bytes();
    all.extend((0..EXECUTORS).map(|_| make()));
    pause_ns(SETTLE_NS);
    let bytes = resident_bytes().saturating_sub(before) as f64 / EXECUTORS as f64;
    std::mem::forget(all); /* they end with the process */
    Report(vec![("bytes_per_executor", bytes)])
}

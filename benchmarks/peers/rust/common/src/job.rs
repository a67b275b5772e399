// SPDX-License-Identifier: BSD-2-Clause
//! Reads, and reads and writes, for a time: the sequence of operations, their
//! accounting and the report.  A slot is one operation in flight.

use std::cell::Cell;
use std::io::Result;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::*};
use std::thread::Thread;
use std::time::{Duration, Instant};

use crate::file::{self, Buffer, Slab, TestFile};
use crate::system::{anonymous_bytes, cpu_ns, now_ns, spin_ns};
use crate::{Histogram, Options, fail, report};

/// A write of so many is followed by an fdatasync.
const WRITES_PER_SYNC: u64 = 64;
/// The stuck task computes so long, then sleeps until the period is over.
const STUCK_NS: u64 = 2_000_000;
const STUCK_PERIOD_NS: u64 = 10_000_000;
const NS_PER_S: u64 = 1_000_000_000;
const THREADS_MAX: usize = 64;

#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    Read,
    Write,
    Sync,
}

#[derive(Clone, Copy)]
pub struct Step {
    pub kind: Kind,
    pub offset: u64,
}

/// What one thread has accounted for.
#[derive(Default)]
#[repr(align(128))]
struct Shard {
    operations: AtomicU64,
    syncs: AtomicU64,
    reads: Histogram,
    writes: Histogram,
    sync_latency: Histogram,
}

pub struct Job {
    pub options: Options,
    pub test: TestFile,
    mixed: bool,
    blocks: u64,
    /// When the run began, by both clocks.
    begin: OnceLock<(Instant, u64)>,
    stop: AtomicBool,
    writes: AtomicU64,
    slots_left: AtomicUsize,
    stuck_turns: AtomicU64,
    shards: Vec<Shard>,
    main: Thread,
    slab: Slab,
}

/// The sequence of operations of one slot.
pub struct Slot {
    random: u64,
    left: u64,
    sync_due: bool,
    began_ns: u64,
    /// Of an open loop's schedule, the place of the next operation.
    place: u64,
}

struct Outcome {
    elapsed_ns: u64,
    cpu_ns: u64,
    /// Of all operations in flight.
    memory: u64,
}

thread_local! {
    static THREAD: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// The calling thread's number.
fn thread_index() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);

    THREAD.with(|thread| {
        if thread.get() == usize::MAX {
            thread.set(NEXT.fetch_add(1, Relaxed));
        }
        if thread.get() >= THREADS_MAX {
            fail("too many threads account for operations");
        }
        thread.get()
    })
}

impl Job {
    /// Lives as long as the process, so that tasks may refer to it.
    pub fn new(options: &Options) -> &'static Job {
        let mixed = options.workload == "mixed";
        let (test, size) = file::open(options, mixed);

        Box::leak(Box::new(Job {
            options: Options { size, ..options.clone() },
            test,
            mixed,
            blocks: size / options.bs as u64,
            begin: OnceLock::new(),
            stop: AtomicBool::new(false),
            writes: AtomicU64::new(0),
            slots_left: AtomicUsize::new(options.slots()),
            stuck_turns: AtomicU64::new(0),
            shards: (0..THREADS_MAX).map(|_| Shard::default()).collect(),
            main: std::thread::current(),
            slab: Slab::new(options.slots(), options.bs),
        }))
    }

    pub fn buffer(&self, slot: usize) -> Buffer {
        self.slab.buffer(slot)
    }

    pub fn slot(&self, index: usize) -> Slot {
        let (ios, slots) = (self.options.number_ios, self.options.slots());

        Slot {
            random: file::first_random(self.options.seed, index),
            left: match ios {
                0 => u64::MAX,
                _ => ios / slots as u64 + u64::from((index as u64) < ios % slots as u64),
            },
            sync_due: false,
            began_ns: self.now(),
            // Neighbours in time are on different workers.
            place: (index % self.options.iodepth * self.options.workers
                + index / self.options.iodepth) as u64,
        }
    }

    /// When the operation at a place is due, since the begin.
    fn due_ns(&self, place: u64) -> u64 {
        let rate = self.options.rate;

        place / rate * NS_PER_S + place % rate * NS_PER_S / rate
    }

    fn stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }

    fn now(&self) -> u64 {
        if self.options.lat { now_ns() } else { 0 }
    }

    /// Start lets all slots begin.  Returns when the last is done.
    fn measure(&self, start: impl FnOnce()) -> Outcome {
        // The runtime's own, which is up, is no part of what operations cost.
        let resident = anonymous_bytes();
        let (cpu, begin) = (cpu_ns(), now_ns());
        let deadline = begin + self.options.runtime_ns;

        let _ = self.begin.set((Instant::now(), begin));
        start();
        while self.slots_left.load(Acquire) != 0 && now_ns() < deadline {
            std::thread::park_timeout(Duration::from_nanos(deadline.saturating_sub(now_ns())));
        }
        let memory = anonymous_bytes().saturating_sub(resident + self.own_bytes());
        self.stop.store(true, Relaxed);
        while self.slots_left.load(Acquire) != 0 {
            std::thread::park_timeout(Duration::from_millis(1));
        }
        Outcome { elapsed_ns: now_ns() - begin, cpu_ns: cpu_ns() - cpu, memory }
    }

    /// What is the benchmark's: the slots, and the buffers of those that read
    /// into ours.
    fn own_bytes(&self) -> u64 {
        (self.options.slots() * size_of::<Slot>() + self.slab.taken_bytes()) as u64
    }

    /// Measure, and print the line.
    pub fn run(&self, peer: &str, version: &str, driver: &str, start: impl FnOnce()) {
        let outcome = self.measure(start);

        self.report(peer, version, driver, &outcome);
    }

    fn report(&self, peer: &str, version: &str, driver: &str, outcome: &Outcome) {
        let sum = Shard::default();
        let all = Histogram::default();
        let options = &self.options;
        let seconds = outcome.elapsed_ns as f64 / 1e9;
        let mut line = report::Line::new(peer, version, &options.workload);

        for shard in &self.shards {
            sum.operations.fetch_add(shard.operations.load(Acquire), Relaxed);
            sum.syncs.fetch_add(shard.syncs.load(Acquire), Relaxed);
            sum.reads.merge(&shard.reads);
            sum.writes.merge(&shard.writes);
            sum.sync_latency.merge(&shard.sync_latency);
        }
        all.merge(&sum.reads);
        all.merge(&sum.writes);
        let operations = sum.operations.load(Relaxed);
        self.check(operations, sum.syncs.load(Relaxed));
        line.text("driver", driver);
        line.text("rw", if self.mixed { "randrw" } else { "randread" });
        line.number("bs", options.bs);
        line.number("iodepth", options.iodepth);
        line.number("batch", 1);
        line.number("workers", options.workers);
        line.number("size", options.size);
        line.real("runtime", options.runtime_ns as f64 / 1e9, 6);
        line.number("number_ios", options.number_ios);
        match &options.filename {
            Some(name) => line.text("filename", name),
            None => line.number("filename", "null"),
        }
        line.number("overwrite", u8::from(options.overwrite));
        line.number("direct", u8::from(options.direct));
        line.number("lock", u8::from(options.lock));
        line.number("fdatasync", if self.mixed { WRITES_PER_SYNC } else { 0 });
        line.number("verify", u8::from(options.verify));
        line.number("seed", options.seed);
        line.number("pin", u8::from(options.pin));
        line.number("lat", u8::from(options.lat));
        line.number("rate", options.rate);
        let stuck = if self.has_stuck() { STUCK_NS } else { 0 };
        line.number("stuck", stuck as f64 / 1e9);
        line.number("stuck_every", STUCK_PERIOD_NS as f64 / 1e9);
        line.number("stuck_turns", self.stuck_turns.load(Relaxed));
        line.real("iops", operations as f64 / seconds, 0);
        line.real("bytes_per_s", operations as f64 * options.bs as f64 / seconds, 0);
        latency(&mut line, "lat_ns", &all);
        if self.mixed {
            latency(&mut line, "read_lat_ns", &sum.reads);
            latency(&mut line, "write_lat_ns", &sum.writes);
            latency(&mut line, "sync_lat_ns", &sum.sync_latency);
        }
        line.real("cpu_ns_per_op", outcome.cpu_ns as f64 / operations as f64, 0);
        line.number("operations", operations);
        line.number("syncs", sum.syncs.load(Relaxed));
        line.number("errors", 0);
        line.number("mismatches", 0);
        line.real("seconds", seconds, 3);
        line.real("bytes_per_read", outcome.memory as f64 / options.slots() as f64, 0);
        line.print();
    }

    fn check(&self, operations: u64, syncs: u64) {
        let ios = self.options.number_ios;

        if operations == 0 || (ios != 0 && operations > ios) {
            fail(format!("{operations} operations are not what was asked for"));
        }
        if syncs != self.writes.load(Relaxed) / WRITES_PER_SYNC && !self.stopped() {
            fail(format!("{syncs} syncs are not one for {WRITES_PER_SYNC} writes"));
        }
    }

    pub fn has_stuck(&self) -> bool {
        self.mixed && self.options.stuck
    }

    /// Computes in one poll: the worker that runs it is lost to others meanwhile.
    pub async fn stuck<S: Future>(&self, sleep_until: impl Fn(Instant) -> S) {
        while !self.stopped() {
            let next = Instant::now() + Duration::from_nanos(STUCK_PERIOD_NS);

            self.stuck_turns.fetch_add(1, Relaxed);
            spin_ns(STUCK_NS);
            sleep_until(next).await;
        }
    }

    /// The slot has no more to do.
    pub fn slot_done(&self) {
        if self.slots_left.fetch_sub(1, AcqRel) == 1 {
            self.main.unpark();
        }
    }
}

fn latency(line: &mut report::Line, name: &str, histogram: &Histogram) {
    line.number(
        name,
        format_args!(
            "{{\"p50\":{},\"p99\":{},\"p999\":{},\"max\":{}}}",
            histogram.percentile(0.5),
            histogram.percentile(0.99),
            histogram.percentile(0.999),
            histogram.max()
        ),
    );
}

impl Slot {
    /// In an open loop, until when the slot is to sleep before it asks for its
    /// next operation; not at all if it is late, or has a sync to do.
    pub fn sleep_until(&self, job: &Job) -> Option<Instant> {
        if job.options.rate == 0 || self.sync_due || job.stopped() {
            return None;
        }
        let (begin, _) = job.begin.get()?;
        let due_ns = job.due_ns(self.place).min(job.options.runtime_ns);
        let until = *begin + Duration::from_nanos(due_ns);

        (until > Instant::now()).then_some(until)
    }

    /// The next operation; what is written is made where it is to be checked.
    pub fn next(&mut self, job: &Job, buffer: &mut [u8]) -> Option<Step> {
        if job.stopped() {
            return None;
        }
        if std::mem::take(&mut self.sync_due) {
            return Some(Step { kind: Kind::Sync, offset: 0 });
        }
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        if job.options.rate != 0 {
            let due_ns = job.due_ns(self.place);
            if due_ns >= job.options.runtime_ns {
                return None;
            }
            // From when it was due, however late it starts.
            self.began_ns = job.begin.get().map_or(0, |(_, begin)| begin + due_ns);
            self.place += job.options.slots() as u64;
        }
        // xorshift: Marsaglia, "Xorshift RNGs", 2003
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let block = ((self.random >> 32) * job.blocks) >> 32;
        let offset = block * job.options.bs as u64;
        // The low half chooses, the high half places: 3 in 10 are writes.
        if !job.mixed || (self.random & 0xffff) * 10 >= 3 << 16 {
            return Some(Step { kind: Kind::Read, offset });
        }
        self.sync_due = (job.writes.fetch_add(1, Relaxed) + 1).is_multiple_of(WRITES_PER_SYNC);
        if job.options.verify {
            file::fill(job.options.seed, buffer, offset);
        }
        Some(Step { kind: Kind::Write, offset })
    }

    /// One finished operation: bytes, or for a sync anything.
    pub fn account(&mut self, job: &Job, step: Step, buffer: &[u8], result: Result<usize>) {
        let shard = &job.shards[thread_index()];
        let add = |cell: &AtomicU64| cell.store(cell.load(Relaxed) + 1, Release);
        let bytes = match result {
            Ok(bytes) => bytes,
            Err(error) => fail(format!("operation at {}: {error}", step.offset)),
        };
        let histogram = match step.kind {
            Kind::Read => &shard.reads,
            Kind::Write => &shard.writes,
            Kind::Sync => &shard.sync_latency,
        };

        if job.options.lat {
            let now = now_ns();
            histogram.record(now - self.began_ns);
            self.began_ns = now;
        }
        if step.kind == Kind::Sync {
            add(&shard.syncs);
            return;
        }
        add(&shard.operations);
        if bytes != job.options.bs {
            fail(format!("{bytes} bytes of {} at {}", job.options.bs, step.offset));
        }
        if job.options.verify && step.kind == Kind::Read {
            if !file::check(job.options.seed, buffer, step.offset) {
                fail(format!("content at {} differs from what was written", step.offset));
            }
            // Checking is no part of the next operation.
            self.began_ns = job.now();
        }
    }
}

// SPDX-License-Identifier: BSD-2-Clause
//! The peer rayon: the scheduler workloads that its jobs can do.  A job runs
//! to its end, it can neither yield nor wait for a wake-up, so there is no
//! yield_many and no ping_pong; nor does rayon do I/O.

use std::sync::atomic::{AtomicUsize, Ordering::*};

use common::sched::*;
use common::system::{now_ns, pause_ns, pin, remember_cpus};
use common::{Options, fail, refuse, report};
use rayon::{Scope, ThreadPool, ThreadPoolBuilder};

const BENCHES: &[(&str, Round<ThreadPool>)] = &[
    ("spawn_many_worker", spawn_many_worker),
    ("spawn_many_remote_idle", spawn_many_remote_idle),
    ("chained_spawn", chained_spawn),
    ("skynet_1M", skynet_1m),
    ("skynet_1M_join", skynet_1m_join),
];

fn pool(options: &Options) -> ThreadPool {
    let mut builder = ThreadPoolBuilder::new().num_threads(options.workers);

    remember_cpus();
    if options.pin {
        builder = builder.start_handler(pin);
    }
    match builder.build() {
        Ok(pool) => pool,
        Err(error) => fail(error),
    }
}

fn spawn_many_worker(pool: &ThreadPool) -> u64 {
    let ran = AtomicUsize::new(0);
    let ns = pool.install(|| {
        let start = now_ns();
        rayon::scope(|scope| {
            for _ in 0..MANY {
                scope.spawn(|_| {
                    ran.fetch_add(1, Relaxed);
                });
            }
        });
        now_ns() - start
    });

    check(ran.load(Acquire) == MANY, "jobs got lost");
    ns
}

fn spawn_many_remote_idle(pool: &ThreadPool) -> u64 {
    static LEFT: AtomicUsize = AtomicUsize::new(0);

    LEFT.store(MANY, Release);
    pause_ns(SLEEPY_NS);
    let start = now_ns();
    for _ in 0..MANY {
        pool.spawn(|| {
            LEFT.fetch_sub(1, AcqRel);
        });
    }
    while LEFT.load(Acquire) != 0 {
        std::thread::yield_now();
    }
    now_ns() - start
}

fn link<'scope>(scope: &Scope<'scope>, left: usize, ran: &'scope AtomicUsize) {
    scope.spawn(move |scope| {
        ran.fetch_add(1, Relaxed);
        if left > 1 {
            link(scope, left - 1, ran);
        }
    });
}

fn chained_spawn(pool: &ThreadPool) -> u64 {
    let ran = AtomicUsize::new(0);
    let ns = pool.install(|| {
        let start = now_ns();
        for _ in 0..CHAINS {
            rayon::scope(|scope| link(scope, CHAIN, &ran));
        }
        now_ns() - start
    });

    check(ran.load(Acquire) == CHAIN * CHAINS, "jobs got lost");
    ns
}

/// The time of one tree, whose sum is checked.
fn tree(pool: &ThreadPool, node: fn(u64, u64) -> u64) -> u64 {
    let start = now_ns();
    let sum = pool.install(|| node(0, SKYNET));
    let ns = now_ns() - start;

    check_skynet(sum);
    ns
}

/// A job for every node.
fn spawned(first: u64, size: u64) -> u64 {
    if size == 1 {
        return first;
    }
    let part = size / 10;
    let mut sums = [0; 10];
    rayon::scope(|scope| {
        for (sum, first) in sums.iter_mut().zip((first..).step_by(part as usize)) {
            scope.spawn(move |_| *sum = spawned(first, part));
        }
    });
    sums.iter().sum()
}

fn skynet_1m(pool: &ThreadPool) -> u64 {
    tree(pool, spawned)
}

/// As one writes it with join: a node's children are halved until one is left,
/// and what nobody steals is a call.  There are no jobs for all nodes.
fn joined(first: u64, size: u64) -> u64 {
    match size {
        1 => first,
        _ => children(first, size / 10, 10),
    }
}

fn children(first: u64, part: u64, count: u64) -> u64 {
    if count == 1 {
        return joined(first, part);
    }
    let half = count / 2;
    let (a, b) = rayon::join(
        || children(first, part, half),
        || children(first + half * part, part, count - half),
    );
    a + b
}

fn skynet_1m_join(pool: &ThreadPool) -> u64 {
    tree(pool, joined)
}

fn main() {
    let options = Options::parse();

    if options.workload != "sched" {
        refuse("rayon can do sched alone");
    }
    let version = report::version("rayon");
    common::sched::run("rayon", version, &options, || pool(&options), BENCHES);
}

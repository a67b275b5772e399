// SPDX-License-Identifier: BSD-2-Clause
//! The six scheduler workloads, five of which come from tokio's own benches.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::*};

use common::sched::*;
use common::system::{now_ns, pause_ns};
use common::{Options, fail};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

const BENCHES: &[(&str, Round<Runtime>)] = &[
    ("spawn_many_worker", spawn_many_worker),
    ("spawn_many_remote_idle", spawn_many_remote_idle),
    ("chained_spawn", chained_spawn),
    ("yield_many", yield_many),
    ("ping_pong", ping_pong),
    ("skynet_1M", skynet_1m),
];

pub fn run(peer: &str, version: &str, options: &Options) {
    let runtime = || crate::runtime(options, false, crate::BLOCKING_THREADS);

    common::sched::run(peer, version, options, runtime, BENCHES);
}

/// The nanoseconds that root takes, on a worker.
fn timed<F: Future<Output = ()> + Send + 'static>(runtime: &Runtime, root: F) -> u64 {
    let task = runtime.spawn(async {
        let start = now_ns();
        root.await;
        now_ns() - start
    });

    match runtime.block_on(task) {
        Ok(ns) => ns,
        Err(error) => fail(error),
    }
}

/// Tells one task when the last of so many has left.
struct Group {
    left: AtomicUsize,
    ran: AtomicUsize,
    done: std::sync::Mutex<Option<oneshot::Sender<()>>>,
}

impl Group {
    fn new(count: usize) -> (Arc<Self>, oneshot::Receiver<()>) {
        let (sender, receiver) = oneshot::channel();
        let group = Group {
            left: AtomicUsize::new(count),
            ran: AtomicUsize::new(0),
            done: std::sync::Mutex::new(Some(sender)),
        };

        (Arc::new(group), receiver)
    }

    fn leave(&self) {
        if self.left.fetch_sub(1, AcqRel) == 1
            && let Some(done) = self.done.lock().ok().and_then(|mut done| done.take())
        {
            let _ = done.send(());
        }
    }
}

fn spawn_many_worker(runtime: &Runtime) -> u64 {
    let (group, done) = Group::new(MANY);
    let of_all = group.clone();
    let ns = timed(runtime, async move {
        for _ in 0..MANY {
            let group = of_all.clone();
            tokio::spawn(async move {
                group.ran.fetch_add(1, Relaxed);
                group.leave();
            });
        }
        let _ = done.await;
    });

    check(group.ran.load(Acquire) == MANY, "tasks got lost");
    ns
}

fn spawn_many_remote_idle(runtime: &Runtime) -> u64 {
    static LEFT: AtomicUsize = AtomicUsize::new(0);

    LEFT.store(MANY, Release);
    pause_ns(SLEEPY_NS);
    let start = now_ns();
    for _ in 0..MANY {
        runtime.spawn(async {
            LEFT.fetch_sub(1, AcqRel);
        });
    }
    while LEFT.load(Acquire) != 0 {
        std::thread::yield_now();
    }
    now_ns() - start
}

fn chained_spawn(runtime: &Runtime) -> u64 {
    static RAN: AtomicUsize = AtomicUsize::new(0);

    fn link(done: oneshot::Sender<()>, left: usize) {
        tokio::spawn(async move {
            RAN.fetch_add(1, Relaxed);
            if left > 1 {
                link(done, left - 1);
            } else {
                let _ = done.send(());
            }
        });
    }

    RAN.store(0, Release);
    let ns = timed(runtime, async {
        for _ in 0..CHAINS {
            let (done, last) = oneshot::channel();
            link(done, CHAIN);
            let _ = last.await;
        }
    });
    check(RAN.load(Acquire) == CHAIN * CHAINS, "tasks got lost");
    ns
}

fn yield_many(runtime: &Runtime) -> u64 {
    let (group, done) = Group::new(YIELDERS);
    let of_all = group.clone();
    let ns = timed(runtime, async move {
        for _ in 0..YIELDERS {
            let group = of_all.clone();
            tokio::spawn(async move {
                let mut yields = 0;
                while yields < YIELDS {
                    tokio::task::yield_now().await;
                    yields += 1;
                }
                group.ran.fetch_add(yields, Relaxed);
                group.leave();
            });
        }
        let _ = done.await;
    });

    check(group.ran.load(Acquire) == YIELDERS * YIELDS, "a yield got lost");
    ns
}

fn ping_pong(runtime: &Runtime) -> u64 {
    let (group, done) = Group::new(PINGS);
    let of_all = group.clone();
    let ns = timed(runtime, async move {
        for _ in 0..PINGS {
            let group = of_all.clone();
            tokio::spawn(async move {
                let (there, pong) = oneshot::channel();
                let (back, ping) = oneshot::channel();
                tokio::spawn(async move {
                    if pong.await.is_ok() {
                        let _ = back.send(());
                    }
                });
                let _ = there.send(());
                if ping.await.is_ok() {
                    group.ran.fetch_add(1, Relaxed);
                }
                group.leave();
            });
        }
        let _ = done.await;
    });

    check(group.ran.load(Acquire) == PINGS, "an answer got lost");
    ns
}

/// A task for every node; the parent waits for the handles of its children.
fn skynet(first: u64, size: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move {
        if size == 1 {
            return first;
        }
        let part = size / 10;
        let children = std::array::from_fn::<_, 10, _>(|i| {
            tokio::spawn(skynet(first + i as u64 * part, part))
        });
        let mut sum = 0;
        for child in children {
            sum += child.await.unwrap_or(0);
        }
        sum
    })
}

fn skynet_1m(runtime: &Runtime) -> u64 {
    let start = now_ns();
    let sum = runtime.block_on(async { tokio::spawn(skynet(0, SKYNET)).await });
    let ns = now_ns() - start;

    check_skynet(sum.unwrap_or(0));
    ns
}

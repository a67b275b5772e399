// SPDX-License-Identifier: BSD-2-Clause
//! From a completion to the task that waits for it, and what tasks cost.

use std::future::{pending, poll_fn};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::time::Duration;

use common::system::{eventfd_open, eventfd_read, eventfd_write, now_ns, pause_ns, spin_ns};
use common::wake::*;
use common::{Histogram, Options, fail};
use tokio::io::unix::AsyncFd;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

pub const BENCHES: &[(&str, Bench)] = &[
    ("eventfd", |options| eventfd(options, 0)),
    ("eventfd_busy", |options| eventfd(options, options.workers * BUSY_PER_WORKER)),
    ("timer", |options| timer(options, 0)),
    ("timer_busy", |options| timer(options, options.workers * BUSY_PER_WORKER)),
    ("outside", outside),
    ("task", task),
    ("idle", idle_runtime),
    ("executor", |options| executors(|| runtime(options))),
    ("parked", |options| parked_tasks(options, false)),
    ("parked_timer", |options| parked_tasks(options, true)),
];

fn runtime(options: &Options) -> Runtime {
    crate::runtime(options, true, crate::BLOCKING_THREADS)
}

/// Tasks that compute and yield until stop is set.
fn busy(runtime: &Runtime, count: usize) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));

    for _ in 0..count {
        let stop = stop.clone();
        runtime.spawn(async move {
            while !stop.load(Relaxed) {
                spin_ns(BUSY_POLL_NS);
                tokio::task::yield_now().await;
            }
        });
    }
    stop
}

async fn eventfd_receive(fd: OwnedFd, events: &Events) -> std::io::Result<()> {
    // SAFETY: an OwnedFd gives the same descriptor until it is dropped.
    let fd = unsafe { AsyncFd::register(fd)? };

    loop {
        let mut guard = fd.readable().await?;
        if let Ok(result) = guard.try_io(|fd| eventfd_read(fd.as_raw_fd())) {
            result?;
            if !events.take() {
                return Ok(());
            }
        }
    }
}

fn eventfd(options: &Options, busy_count: usize) -> Report {
    let runtime = runtime(options);
    let stop = busy(&runtime, busy_count);
    let events = Events::fed(options);
    let fd = eventfd_open(libc::EFD_NONBLOCK);
    let raw = fd.as_raw_fd();

    // Its task closes the descriptor only after the last event.
    let receiver = runtime.spawn(async move { eventfd_receive(fd, events).await });
    events.feed(|| eventfd_write(raw));
    match runtime.block_on(receiver) {
        Ok(Ok(())) => stop.store(true, Relaxed),
        _ => fail("the receiver of events failed"),
    }
    Report::latency(&events.histogram)
}

fn timer(options: &Options, busy_count: usize) -> Report {
    let runtime = runtime(options);
    let stop = busy(&runtime, busy_count);
    let samples = options.samples;
    let sleeper = runtime.spawn(async move {
        let histogram = Histogram::default();
        let mut delays = Delays::default();
        for _ in 0..samples {
            let deadline = Instant::now() + Duration::from_nanos(delays.next_ns());
            sleep_until(deadline).await;
            let late = Instant::now().saturating_duration_since(deadline);
            histogram.record(late.as_nanos() as u64);
        }
        histogram
    });

    let Ok(histogram) = runtime.block_on(sleeper) else { fail("the sleeper failed") };
    stop.store(true, Relaxed);
    Report::latency(&histogram)
}

/// A task that notes each wake; answer is told of it.
fn woken(runtime: &Runtime, events: &'static Events, answer: Arc<Notify>) -> Arc<Notify> {
    let notify = Arc::new(Notify::new());
    let wakes = notify.clone();

    runtime.spawn(async move {
        loop {
            wakes.notified().await;
            let more = events.take();
            answer.notify_one();
            if !more {
                break;
            }
        }
    });
    notify
}

fn outside(options: &Options) -> Report {
    let runtime = runtime(options);
    let events = Events::fed(options);
    let notify = woken(&runtime, events, Arc::new(Notify::new()));

    events.feed(|| notify.notify_one());
    Report::latency(&events.histogram)
}

/// The task that wakes sleeps, sends, and waits for the answer.
fn task(options: &Options) -> Report {
    let runtime = runtime(options);
    let samples = options.samples;
    let events = Events::leak(samples);
    let answer = Arc::new(Notify::new());
    let notify = woken(&runtime, events, answer.clone());
    let sender = runtime.spawn(async move {
        for _ in 0..samples {
            sleep(Duration::from_nanos(PAUSE_NS)).await;
            events.stamp();
            notify.notify_one();
            answer.notified().await;
        }
    });

    if runtime.block_on(sender).is_err() || events.taken() != samples {
        fail("a wake got lost");
    }
    Report::latency(&events.histogram)
}

/// Beside a timer that is far away and a descriptor that stays silent.
fn idle_runtime(options: &Options) -> Report {
    let runtime = runtime(options);
    let fd = eventfd_open(libc::EFD_NONBLOCK);

    runtime.spawn(async { eventfd_receive(fd, Events::leak(1)).await });
    runtime.spawn(sleep_task());
    idle(options)
}

async fn sleep_task() {
    sleep(Duration::from_secs(FOREVER_S)).await;
}

fn parked_tasks(options: &Options, timer: bool) -> Report {
    let runtime = runtime(options);
    let waiting: &'static AtomicUsize = Box::leak(Box::default());
    let begin = now_ns();
    let report = parked(options.tasks, 0, || {
        for _ in 0..options.tasks {
            if timer {
                runtime.spawn(async move {
                    let mut sleep = std::pin::pin!(sleep_task());
                    poll_fn(|context| {
                        let poll = sleep.as_mut().poll(context);
                        waiting.fetch_add(1, Relaxed);
                        poll
                    })
                    .await;
                });
            } else {
                // tokio keeps tasks that nobody can wake.
                runtime.spawn(async move {
                    waiting.fetch_add(1, Relaxed);
                    pending::<()>().await;
                });
            }
        }
        while waiting.load(Acquire) < options.tasks {
            pause_ns(1_000_000);
        }
    });

    if now_ns() - begin > FOREVER_S * 1_000_000_000 {
        fail("a timer ended too early to be counted");
    }
    report
}

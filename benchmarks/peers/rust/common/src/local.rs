// SPDX-License-Identifier: BSD-2-Clause
//! The workloads of benchmarks/wake for runtimes whose tasks stay on their
//! thread.  What waits and what wakes it share one; a plain thread sends.

use std::future::{Future, pending, poll_fn};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::task::{Poll, Waker};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::system::{self, eventfd_open, eventfd_write, pause_ns, spin_ns};
use crate::wake::*;
use crate::{Histogram, Options, fail};

/// What a runtime can do.
pub trait Local: 'static {
    type Eventfd: 'static;

    /// Run a future in a new runtime on this thread.
    fn run<F: Future>(future: F) -> F::Output;
    /// Have it run on the thread of the caller, which does not wait for it.
    fn spawn(future: impl Future<Output = ()> + 'static);
    fn sleep_until(until: Instant) -> impl Future<Output = ()>;
    fn eventfd(fd: OwnedFd) -> Self::Eventfd;
    /// The number of bytes.
    fn read(fd: &Self::Eventfd) -> impl Future<Output = std::io::Result<usize>>;
}

pub fn benches<L: Local>() -> [(&'static str, Bench); 10] {
    [
        ("eventfd", |options| eventfd::<L>(options, 0)),
        ("eventfd_busy", |options| eventfd::<L>(options, BUSY_PER_WORKER)),
        ("timer", |options| timer::<L>(options, 0)),
        ("timer_busy", |options| timer::<L>(options, BUSY_PER_WORKER)),
        ("outside", outside::<L>),
        ("task", task::<L>),
        ("idle", idle_runtimes::<L>),
        ("executor", executor::<L>),
        ("parked", |options| parked_tasks::<L>(options, false)),
        ("parked_timer", |options| parked_tasks::<L>(options, true)),
    ]
}

/// A future of a worker's, on that worker's own thread.
fn on_worker<L: Local, F: Future + 'static>(
    options: &Options,
    index: usize,
    make: impl FnOnce() -> F + Send + 'static,
) -> JoinHandle<F::Output>
where
    F::Output: Send,
{
    let pin = options.pin;

    system::remember_cpus();
    std::thread::spawn(move || {
        if pin {
            system::pin(index);
        }
        L::run(async { make().await })
    })
}

fn executor<L: Local>(options: &Options) -> Report {
    executors(|| {
        (0..options.workers)
            .map(|index| on_worker::<L, _>(options, index, pending::<()>))
            .collect::<Vec<_>>()
    })
}

fn join<T>(thread: JoinHandle<T>) -> T {
    match thread.join() {
        Ok(result) => result,
        Err(_) => fail("a worker panicked"),
    }
}

/// One wake at a time, from any thread, for one task.
#[derive(Default)]
struct Signal {
    set: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Signal {
    fn leak() -> &'static Self {
        Box::leak(Box::default())
    }

    fn waker(&self) -> std::sync::MutexGuard<'_, Option<Waker>> {
        match self.waker.lock() {
            Ok(waker) => waker,
            Err(_) => fail("a waker panicked"),
        }
    }

    fn send(&self) {
        self.set.store(true, SeqCst);
        if let Some(waker) = self.waker().take() {
            waker.wake();
        }
    }

    async fn receive(&self) {
        poll_fn(|context| {
            *self.waker() = Some(context.waker().clone());
            if self.set.swap(false, SeqCst) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// Let others run.
async fn yield_now() {
    let mut yielded = false;

    poll_fn(|context| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Tasks that compute and yield until stop is set.
fn busy<L: Local>(count: usize) -> &'static AtomicBool {
    let stop: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));

    for _ in 0..count {
        L::spawn(async {
            while !stop.load(Relaxed) {
                spin_ns(BUSY_POLL_NS);
                yield_now().await;
            }
        });
    }
    stop
}

fn eventfd<L: Local>(options: &Options, busy_count: usize) -> Report {
    let events = Events::fed(options);
    let fd = eventfd_open(0);
    let raw = fd.as_raw_fd();
    let (closing, closed) = std::sync::mpsc::channel::<()>();
    let thread = on_worker::<L, _>(options, 0, move || async move {
        let stop = busy::<L>(busy_count);
        let fd = L::eventfd(fd);
        loop {
            match L::read(&fd).await {
                Ok(8) => {}
                Ok(bytes) => fail(format!("{bytes} bytes of an eventfd's 8")),
                Err(error) => fail(format!("read of an eventfd: {error}")),
            }
            if !events.take() {
                break;
            }
        }
        stop.store(true, Relaxed);
        // The sender's descriptor is this one: it stays until the end.
        let _ = closed.recv();
    });

    events.feed(|| eventfd_write(raw));
    drop(closing);
    join(thread);
    Report::latency(&events.histogram)
}

fn timer<L: Local>(options: &Options, busy_count: usize) -> Report {
    let samples = options.samples;
    let thread = on_worker::<L, _>(options, 0, move || async move {
        let histogram = Histogram::default();
        let mut delays = Delays::default();
        let stop = busy::<L>(busy_count);
        for _ in 0..samples {
            let deadline = Instant::now() + Duration::from_nanos(delays.next_ns());
            L::sleep_until(deadline).await;
            let late = Instant::now().saturating_duration_since(deadline);
            histogram.record(late.as_nanos() as u64);
        }
        stop.store(true, Relaxed);
        histogram
    });

    Report::latency(&join(thread))
}

fn outside<L: Local>(options: &Options) -> Report {
    let events = Events::fed(options);
    let signal = Signal::leak();
    let thread = on_worker::<L, _>(options, 0, move || async move {
        loop {
            signal.receive().await;
            if !events.take() {
                break;
            }
        }
    });

    events.feed(|| signal.send());
    join(thread);
    Report::latency(&events.histogram)
}

/// The task that wakes sleeps, sends, and waits for the answer.
fn task<L: Local>(options: &Options) -> Report {
    let samples = options.samples;
    let events = Events::leak(samples);
    let (there, back) = (Signal::leak(), Signal::leak());
    let thread = on_worker::<L, _>(options, 0, move || async move {
        L::spawn(async move {
            for _ in 0..samples {
                there.receive().await;
                events.take();
                back.send();
            }
        });
        for _ in 0..samples {
            L::sleep_until(Instant::now() + Duration::from_nanos(PAUSE_NS)).await;
            events.stamp();
            there.send();
            back.receive().await;
        }
    });

    join(thread);
    if events.taken() != samples {
        fail("a wake got lost");
    }
    Report::latency(&events.histogram)
}

async fn sleep_forever<L: Local>() {
    L::sleep_until(Instant::now() + Duration::from_secs(FOREVER_S)).await;
}

/// Beside a timer that is far away and a descriptor that stays silent.
fn idle_runtimes<L: Local>(options: &Options) -> Report {
    for index in 0..options.workers {
        on_worker::<L, _>(options, index, || async {
            let fd = L::eventfd(eventfd_open(0));
            L::spawn(async move {
                let _ = L::read(&fd).await;
            });
            sleep_forever::<L>().await;
        });
    }
    idle(options)
}

/// A part of the tasks on each worker.
fn parked_tasks<L: Local>(options: &Options, timer: bool) -> Report {
    let waiting: &'static AtomicUsize = Box::leak(Box::default());
    let each = options.tasks / options.workers;
    let tasks = each * options.workers;

    if each == 0 {
        fail("--tasks: must be at least --workers");
    }
    parked(tasks, if timer { 0 } else { PARK_OWN }, || {
        for index in 0..options.workers {
            on_worker::<L, _>(options, index, move || async move {
                for _ in 0..each {
                    if timer {
                        L::spawn(park_on_timer::<L>(waiting));
                    } else {
                        L::spawn(park(waiting));
                    }
                }
                pending::<()>().await;
            });
        }
        while waiting.load(Acquire) < tasks {
            pause_ns(1_000_000);
        }
    })
}

async fn park_on_timer<L: Local>(waiting: &'static AtomicUsize) {
    let mut sleep = std::pin::pin!(sleep_forever::<L>());

    poll_fn(|context| {
        let poll = sleep.as_mut().poll(context);
        waiting.fetch_add(1, Relaxed);
        poll
    })
    .await;
}

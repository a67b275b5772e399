// SPDX-License-Identifier: BSD-2-Clause
//! The peer tokio: its multi-threaded runtime, with its defaults but for the
//! number of threads.

mod io;
mod sched;
mod wake;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::*};

use common::{Options, fail, report, system};
use tokio::runtime::{Builder, Runtime};

/// A runtime whose workers are up, on CPUs of their own if that is asked for.
/// Drivers of I/O and time cost a scheduler that has no use for them.
fn runtime(options: &Options, drivers: bool, blocking_threads: usize) -> Runtime {
    let mut builder = Builder::new_multi_thread();
    let started = Arc::new(AtomicUsize::new(0));

    system::remember_cpus();
    builder.worker_threads(options.workers).max_blocking_threads(blocking_threads);
    if drivers {
        builder.enable_all();
    }
    let (pin, workers, count) = (options.pin, options.workers, started.clone());
    builder.on_thread_start(move || {
        let index = count.fetch_add(1, AcqRel);
        // Threads for blocking calls come later, as children of workers.
        if pin && index < workers {
            system::pin(index);
        } else if pin {
            system::unpin();
        }
    });
    let runtime = match builder.build() {
        Ok(runtime) => runtime,
        Err(error) => fail(format!("runtime: {error}")),
    };
    while started.load(Acquire) < workers {
        std::thread::yield_now();
    }
    runtime
}

/// For workloads without blocking calls: tokio's own default.
const BLOCKING_THREADS: usize = 512;

pub fn main(peer: &str) {
    let options = Options::parse();
    let version = report::version("tokio");

    match options.workload.as_str() {
        "sched" => sched::run(peer, version, &options),
        "wake" => common::wake::run(peer, version, &options, wake::BENCHES),
        _ => io::run(peer, version, &options),
    }
}

// SPDX-License-Identifier: BSD-2-Clause
//! Peers that have a thread a core: each worker is a thread with a runtime of
//! its own, and slots stay where they are.

use std::ops::Range;
use std::sync::{Arc, Barrier};

use crate::{Job, Options, system};

/// One worker's part.
pub struct Core {
    pub job: &'static Job,
    pub index: usize,
    barrier: Arc<Barrier>,
}

impl Core {
    /// To be called once, when the runtime is ready: all begin together.
    pub fn wait(&self) {
        // Passed twice: when all are ready, and when the clock runs.
        self.barrier.wait();
        self.barrier.wait();
    }

    pub fn slots(&self) -> Range<usize> {
        let depth = self.job.options.iodepth;

        self.index * depth..(self.index + 1) * depth
    }

    /// The task that blocks its worker lives on the first.
    pub fn has_stuck(&self) -> bool {
        self.job.has_stuck() && self.index == 0
    }
}

/// Measure a thread a worker, each of which runs its slots to their end.
pub fn run(peer: &str, version: &str, driver: &str, options: &Options, worker: fn(Core)) {
    let job = Job::new(options);
    let barrier = Arc::new(Barrier::new(options.workers + 1));
    let pin = options.pin;

    system::remember_cpus();
    let threads: Vec<_> = (0..options.workers)
        .map(|index| {
            let core = Core { job, index, barrier: barrier.clone() };
            std::thread::spawn(move || {
                if pin {
                    system::pin(index);
                }
                worker(core);
            })
        })
        .collect();
    barrier.wait();
    job.run(peer, version, driver, || {
        barrier.wait();
    });
    for thread in threads {
        let _ = thread.join();
    }
}

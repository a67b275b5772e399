// SPDX-License-Identifier: BSD-2-Clause
//! What monoio can do, for the workloads of benchmarks/wake.

use std::future::Future;
use std::io::Result;
use std::os::fd::OwnedFd;
use std::time::Instant;

use common::fail;
use common::local::{self, Local};
use common::wake::Bench;
use monoio::fs::File;

/// Submissions that its ring holds at once: monoio's own default.
const ENTRIES: usize = 1024;

pub struct Monoio;

impl Local for Monoio {
    type Eventfd = File;

    fn run<F: Future>(future: F) -> F::Output {
        crate::runtime(ENTRIES).block_on(future)
    }

    fn spawn(future: impl Future<Output = ()> + 'static) {
        drop(monoio::spawn(future));
    }

    async fn sleep_until(until: Instant) {
        monoio::time::sleep_until(until.into()).await;
    }

    fn eventfd(fd: OwnedFd) -> File {
        match File::from_std(fd.into()) {
            Ok(file) => file,
            Err(error) => fail(format!("eventfd: {error}")),
        }
    }

    async fn read(fd: &File) -> Result<usize> {
        fd.read_at(Vec::with_capacity(8), 0).await.0
    }
}

/// Not beside busy tasks: monoio looks for completions when it has no task to
/// run, so a task that yields keeps all events from the others.
pub fn benches() -> Vec<(&'static str, Bench)> {
    local::benches::<Monoio>().into_iter().filter(|(name, _)| !name.ends_with("_busy")).collect()
}

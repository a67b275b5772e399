// SPDX-License-Identifier: BSD-2-Clause
//! What compio can do, for the workloads of benchmarks/wake.

use std::future::Future;
use std::io::Result;
use std::os::fd::OwnedFd;
use std::time::Instant;

use common::fail;
use common::local::Local;
use compio::io::AsyncRead;
use compio::runtime::fd::AsyncFd;

/// Submissions that its ring holds at once: compio's own default.
const ENTRIES: usize = 1024;

pub struct Compio;

impl Local for Compio {
    type Eventfd = AsyncFd<OwnedFd>;

    fn run<F: Future>(future: F) -> F::Output {
        crate::runtime(ENTRIES).block_on(future)
    }

    fn spawn(future: impl Future<Output = ()> + 'static) {
        compio::runtime::spawn(future).detach();
    }

    async fn sleep_until(until: Instant) {
        compio::time::sleep_until(until).await;
    }

    fn eventfd(fd: OwnedFd) -> Self::Eventfd {
        match AsyncFd::new(fd) {
            Ok(fd) => fd,
            Err(error) => fail(format!("eventfd: {error}")),
        }
    }

    async fn read(mut fd: &Self::Eventfd) -> Result<usize> {
        fd.read([0u8; 8]).await.0
    }
}

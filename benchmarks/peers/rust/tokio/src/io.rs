// SPDX-License-Identifier: BSD-2-Clause
//! Reads, and reads and writes: a task a slot.  Two engines: tokio::fs, and
//! pread(2) in spawn_blocking.

use std::fs::File;
use std::io::{Result, SeekFrom};
use std::os::unix::fs::FileExt;

use common::file::{Buffer, open_path};
use common::{Job, Kind, Options, Step, fail, refuse};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::runtime::Runtime;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::sleep_until;

pub fn run(peer: &str, version: &str, options: &Options) {
    let engine = options.engine(&["blocking", "fs"]);

    if engine == "fs" && options.direct {
        refuse("tokio::fs reads into memory of its own, which O_DIRECT does not take");
    }
    let job = Job::new(options);
    let runtime = crate::runtime(options, true, blocking_threads(options));
    job.run(peer, version, &format!("tokio_{engine}"), || start(&runtime, job, engine == "fs"));
}

/// A call that waits for a device needs a thread; one that only copies is done
/// soonest by few threads, which then do not sleep between two calls.
fn blocking_threads(options: &Options) -> usize {
    match options.blocking_threads {
        0 if options.direct || options.workload == "mixed" => options.slots(),
        0 => options.slots().min(2 * options.workers),
        threads => threads,
    }
}

fn start(runtime: &Runtime, job: &'static Job, fs: bool) {
    for index in 0..job.options.slots() {
        if fs {
            runtime.spawn(slot_fs(job, index));
        } else {
            runtime.spawn(slot_blocking(job, index));
        }
    }
    if job.has_stuck() {
        runtime.spawn(job.stuck(|until| sleep_until(until.into())));
    }
}

// ---- spawn_blocking ----

fn call(file: &File, step: Step, buffer: &mut Buffer) -> Result<usize> {
    match step.kind {
        Kind::Read => file.read_at(buffer, step.offset),
        Kind::Write => file.write_at(buffer, step.offset),
        Kind::Sync => file.sync_data().map(|()| 0),
    }
}

/// The buffer goes to the thread that reads and comes back.
async fn slot_blocking(job: &'static Job, index: usize) {
    let mut slot = job.slot(index);
    let mut buffer = job.buffer(index);

    loop {
        if let Some(until) = slot.sleep_until(job) {
            sleep_until(until.into()).await;
        }
        let Some(step) = slot.next(job, &mut buffer) else { break };
        let called = spawn_blocking(move || {
            let result = call(&job.test.file, step, &mut buffer);
            (buffer, result)
        });
        let result;
        (buffer, result) = match called.await {
            Ok(pair) => pair,
            Err(error) => stopped(error),
        };
        slot.account(job, step, &buffer, result);
    }
    job.slot_done();
}

fn stopped(error: JoinError) -> ! {
    fail(format!("spawn_blocking: {error}"))
}

// ---- tokio::fs ----

async fn call_fs(file: &mut tokio::fs::File, step: Step, buffer: &mut Buffer) -> Result<usize> {
    if step.kind == Kind::Sync {
        return file.sync_data().await.map(|()| 0);
    }
    file.seek(SeekFrom::Start(step.offset)).await?;
    if step.kind == Kind::Read {
        return file.read_exact(buffer).await;
    }
    // A write is done when it is flushed: until then it is in a buffer.
    file.write_all(buffer).await?;
    file.flush().await?;
    Ok(buffer.len())
}

/// A file has one position and one operation at a time, so each slot has one.
async fn slot_fs(job: &'static Job, index: usize) {
    let writes = job.options.workload == "mixed";
    let file = open_path(&job.test.path, writes, job.options.direct);
    let mut file = tokio::fs::File::from_std(file);
    let mut slot = job.slot(index);
    let mut buffer = job.buffer(index);

    loop {
        if let Some(until) = slot.sleep_until(job) {
            sleep_until(until.into()).await;
        }
        let Some(step) = slot.next(job, &mut buffer) else { break };
        let result = call_fs(&mut file, step, &mut buffer).await;
        slot.account(job, step, &buffer, result);
    }
    job.slot_done();
}

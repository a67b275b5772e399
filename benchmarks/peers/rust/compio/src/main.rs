// SPDX-License-Identifier: BSD-2-Clause
//! The peer compio: a thread a core, an io_uring each.

mod wake;

use std::mem::MaybeUninit;

use common::file::Buffer;
use common::{Core, Job, Kind, Options, Step, cores, fail, local, refuse, report};
use compio::BufResult;
use compio::buf::{IoBuf, IoBufMut, SetLen};
use compio::driver::{DriverType, ProactorBuilder};
use compio::fs::{File, OpenOptions};
use compio::io::{AsyncReadAt, AsyncWriteAt};
use compio::runtime::{Runtime, RuntimeBuilder};

/// One thread submits, and is not interrupted for completions.  Deferred task
/// work is no good here: a thread with tasks to run never fetches it.
fn runtime(entries: usize) -> Runtime {
    let mut proactor = ProactorBuilder::new();

    proactor
        .capacity(entries.next_power_of_two().max(256) as u32)
        .single_issuer(true)
        .coop_taskrun(true)
        .driver_type(DriverType::IoUring);
    match RuntimeBuilder::new().with_proactor(proactor).build() {
        Ok(runtime) => runtime,
        Err(error) => fail(format!("runtime: {error}")),
    }
}

/// A Buffer that the kernel borrows by value.
struct Owned(Buffer);

impl IoBuf for Owned {
    fn as_init(&self) -> &[u8] {
        &self.0
    }
}

impl SetLen for Owned {
    unsafe fn set_len(&mut self, _: usize) {}
}

impl IoBufMut for Owned {
    fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        let size = self.0.len();
        // SAFETY: initialised bytes may be taken for others, which nobody
        // makes uninitialised.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), size) }
    }
}

async fn call(mut file: &File, step: Step, buffer: Owned) -> (std::io::Result<usize>, Owned) {
    let BufResult(result, buffer) = match step.kind {
        Kind::Read => file.read_at(buffer, step.offset).await,
        Kind::Write => file.write_at(buffer, step.offset).await,
        Kind::Sync => BufResult(file.sync_data().await.map(|()| 0), buffer),
    };

    (result, buffer)
}

async fn slot(job: &'static Job, index: usize, file: File) {
    let mut slot = job.slot(index);
    let mut buffer = Owned(job.buffer(index));

    loop {
        if let Some(until) = slot.sleep_until(job) {
            compio::time::sleep_until(until).await;
        }
        let Some(step) = slot.next(job, &mut buffer.0) else { break };
        let result;
        (result, buffer) = call(&file, step, buffer).await;
        slot.account(job, step, &buffer.0, result);
    }
    job.slot_done();
}

/// A file of compio has a descriptor of its own.
async fn open(job: &Job) -> File {
    let options = &job.options;
    let flags = if options.direct { libc::O_DIRECT } else { 0 };
    let writes = options.workload == "mixed";

    match OpenOptions::new().read(true).write(writes).custom_flags(flags).open(&job.test.path).await
    {
        Ok(file) => file,
        Err(error) => fail(format!("open: {error}")),
    }
}

fn worker(core: Core) {
    let job = core.job;
    let runtime = runtime(job.options.iodepth);

    runtime.block_on(async {
        let file = open(job).await;
        core.wait();
        let mut tasks: Vec<_> = core
            .slots()
            .map(|index| compio::runtime::spawn(slot(job, index, file.clone())))
            .collect();
        if core.has_stuck() {
            tasks.push(compio::runtime::spawn(job.stuck(compio::time::sleep_until)));
        }
        for task in tasks {
            let _ = task.await;
        }
    });
}

fn main() {
    let options = Options::parse();
    let version = report::version("compio");

    match options.workload.as_str() {
        "sched" => refuse("tasks of compio stay on their thread: it has no scheduler to measure"),
        "wake" => common::wake::run("compio", version, &options, &local::benches::<wake::Compio>()),
        _ => cores::run("compio", version, "compio", &options, worker),
    }
}

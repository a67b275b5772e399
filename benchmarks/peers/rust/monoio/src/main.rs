// SPDX-License-Identifier: BSD-2-Clause
//! The peer monoio: a thread a core, an io_uring each.

mod wake;

use std::rc::Rc;

use common::file::Buffer;
use common::{Core, Job, Kind, Options, Step, cores, fail, refuse, report};
use monoio::buf::{IoBuf, IoBufMut};
use monoio::fs::File;
use monoio::time::TimeDriver;
use monoio::{IoUringDriver, Runtime, RuntimeBuilder};

type Uring = Runtime<TimeDriver<IoUringDriver>>;

/// One thread submits, and completions wait until it asks for them.
fn runtime(entries: usize) -> Uring {
    let mut ring = io_uring::IoUring::builder();

    ring.setup_single_issuer().setup_defer_taskrun();
    let built = RuntimeBuilder::<IoUringDriver>::new()
        .with_entries(entries as u32)
        .uring_builder(ring)
        .enable_timer()
        .build();
    match built {
        Ok(runtime) => runtime,
        Err(error) => fail(format!("runtime: {error}")),
    }
}

/// A Buffer that the kernel borrows by value.
struct Owned(Buffer);

// SAFETY: the memory stays where it is when the Buffer moves, and is
// initialised from the start.
unsafe impl IoBuf for Owned {
    fn read_ptr(&self) -> *const u8 {
        self.0.as_ptr()
    }
    fn bytes_init(&self) -> usize {
        self.0.len()
    }
}

// SAFETY: as above.
unsafe impl IoBufMut for Owned {
    fn write_ptr(&mut self) -> *mut u8 {
        self.0.as_mut_ptr()
    }
    fn bytes_total(&mut self) -> usize {
        self.0.len()
    }
    unsafe fn set_init(&mut self, _: usize) {}
}

async fn call(file: &File, step: Step, buffer: Owned) -> (std::io::Result<usize>, Owned) {
    match step.kind {
        Kind::Read => file.read_at(buffer, step.offset).await,
        Kind::Write => file.write_at(buffer, step.offset).await,
        Kind::Sync => (file.sync_data().await.map(|()| 0), buffer),
    }
}

async fn slot(job: &'static Job, index: usize, file: Rc<File>) {
    let mut slot = job.slot(index);
    let mut buffer = Owned(job.buffer(index));

    loop {
        if let Some(until) = slot.sleep_until(job) {
            monoio::time::sleep_until(until.into()).await;
        }
        let Some(step) = slot.next(job, &mut buffer.0) else { break };
        let result;
        (result, buffer) = call(&file, step, buffer).await;
        slot.account(job, step, &buffer.0, result);
    }
    job.slot_done();
}

fn worker(core: Core) {
    let job = core.job;
    let mut runtime = runtime(job.options.iodepth);

    runtime.block_on(async {
        let file = job.test.file.try_clone().and_then(File::from_std);
        let Ok(file) = file.map(Rc::new) else { fail("the file cannot be opened again") };
        core.wait();
        let mut tasks: Vec<_> =
            core.slots().map(|index| monoio::spawn(slot(job, index, file.clone()))).collect();
        if core.has_stuck() {
            tasks.push(monoio::spawn(job.stuck(|until| monoio::time::sleep_until(until.into()))));
        }
        for task in tasks {
            task.await;
        }
    });
}

fn main() {
    let options = Options::parse();
    let version = report::version("monoio");

    match options.workload.as_str() {
        "sched" => refuse("tasks of monoio stay on their thread: it has no scheduler to measure"),
        "wake" => common::wake::run("monoio", version, &options, &wake::benches()),
        _ => cores::run("monoio", version, "monoio", &options, worker),
    }
}

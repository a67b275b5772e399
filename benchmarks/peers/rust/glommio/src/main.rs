// SPDX-License-Identifier: BSD-2-Clause
//! The peer glommio: a thread a core, rings each.  Reads are into buffers of
//! its own: DmaFile with O_DIRECT, else BufferedFile.

use common::{Core, Job, Options, cores, fail, refuse, report};
use glommio::io::{BufferedFile, DmaFile, ReadResult};
use glommio::{LocalExecutorBuilder, Placement};
use std::rc::Rc;

enum File {
    Direct(DmaFile),
    Buffered(BufferedFile),
}

impl File {
    async fn open(job: &Job) -> Self {
        let path = &job.test.path;
        let file = match job.options.direct {
            true => DmaFile::open(path).await.map(File::Direct),
            false => BufferedFile::open(path).await.map(File::Buffered),
        };

        match file {
            Ok(file) => file,
            Err(error) => fail(error),
        }
    }

    /// Buffers are resident before the reads, whether or not the rings could
    /// lock them.
    fn touch_buffers(&self, options: &Options) {
        if let File::Direct(file) = self {
            let mut buffers: Vec<_> =
                (0..options.iodepth).map(|_| file.alloc_dma_buffer(options.bs)).collect();
            for buffer in &mut buffers {
                buffer.as_bytes_mut().fill(0x5a);
            }
        }
    }

    async fn read(&self, offset: u64, size: usize) -> std::io::Result<ReadResult> {
        match self {
            File::Direct(file) => file.read_at_aligned(offset, size).await,
            File::Buffered(file) => file.read_at(offset, size).await,
        }
        .map_err(|error| std::io::Error::other(error.to_string()))
    }
}

async fn slot(job: &'static Job, index: usize, file: Rc<File>) {
    let mut slot = job.slot(index);

    while let Some(step) = slot.next(job, &mut []) {
        match file.read(step.offset, job.options.bs).await {
            Ok(buffer) => slot.account(job, step, &buffer, Ok(buffer.len())),
            Err(error) => slot.account(job, step, &[], Err(error)),
        }
    }
    job.slot_done();
}

fn worker(core: Core) {
    let job = core.job;
    let options = &job.options;
    let executor = LocalExecutorBuilder::new(match options.pin {
        true => Placement::Fixed(common::system::cpu(core.index)),
        false => Placement::Unbound,
    })
    .ring_depth(options.iodepth.next_power_of_two().max(128))
    .io_memory((options.iodepth * options.bs).max(10 << 20))
    .make();
    let executor = match executor {
        Ok(executor) => executor,
        Err(error) => fail(error),
    };

    executor.run(async {
        let file = Rc::new(File::open(job).await);
        file.touch_buffers(options);
        core.wait();
        let tasks: Vec<_> = core
            .slots()
            .map(|index| glommio::spawn_local(slot(job, index, file.clone())))
            .collect();
        for task in tasks {
            task.await;
        }
    });
}

fn main() {
    let options = Options::parse();

    if options.workload != "read" {
        refuse("glommio is measured at reads alone");
    }
    cores::run("glommio", report::version("glommio"), "glommio", &options, worker);
}

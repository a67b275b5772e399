// SPDX-License-Identifier: BSD-2-Clause
//! What the peers in Rust share: the options, the file, the sequence of
//! operations, the accounting and the lines they print, as benchmarks/*.c
//! have them, so that peers differ in how they carry an operation out only.

pub mod cores;
pub mod file;
pub mod histogram;
pub mod job;
pub mod local;
pub mod options;
pub mod report;
pub mod sched;
pub mod system;
pub mod wake;

pub use cores::Core;
pub use histogram::Histogram;
pub use job::{Job, Kind, Slot, Step};
pub use options::Options;

/// Print one line and stop: a peer with a wrong result has no figure.
pub fn fail(what: impl std::fmt::Display) -> ! {
    eprintln!("{}: {what}", report::program());
    std::process::exit(1);
}

/// The same for options, and for workloads that this peer cannot do.
pub fn refuse(what: impl std::fmt::Display) -> ! {
    eprintln!("{}: {what}", report::program());
    std::process::exit(2);
}

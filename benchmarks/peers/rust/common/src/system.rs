// SPDX-License-Identifier: BSD-2-Clause
//! Clocks, processor time, memory and affinity: what only the kernel knows.

use std::io::{Error, Result};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };

    // SAFETY: now is a timespec to write to.
    unsafe { libc::clock_gettime(clock, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

pub fn now_ns() -> u64 {
    clock_ns(libc::CLOCK_MONOTONIC)
}

/// Processor time of all threads of the process, the kernel's for it too.
pub fn cpu_ns() -> u64 {
    clock_ns(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// For plain threads only; no task calls it.
pub fn pause_ns(ns: u64) {
    std::thread::sleep(Duration::from_nanos(ns));
}

/// Compute for so long.
pub fn spin_ns(ns: u64) {
    let until = now_ns() + ns;

    while now_ns() < until {
        std::hint::spin_loop();
    }
}

/// What all threads but this one have used: voluntary switches, CPU time.
pub fn usage_of_others() -> (i64, i64) {
    let usage = |who| {
        // SAFETY: rusage is plain data that getrusage fills.
        unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            libc::getrusage(who, &mut usage);
            usage.ru_nvcsw
        }
    };

    (
        usage(libc::RUSAGE_SELF) - usage(libc::RUSAGE_THREAD),
        cpu_ns() as i64 - clock_ns(libc::CLOCK_THREAD_CPUTIME_ID) as i64,
    )
}

/// Anonymous memory that is resident: a locked file is no part of it.
pub fn anonymous_bytes() -> u64 {
    status_bytes("RssAnon:")
}

/// All that is resident.
pub fn resident_bytes() -> u64 {
    status_bytes("VmRSS:")
}

fn status_bytes(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key));

    match line.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok()) {
        Some(kib) => kib * 1024,
        None => crate::fail(format!("/proc/self/status: no {key}")),
    }
}

/// The CPUs this process may use when it starts.
fn allowed() -> &'static [usize] {
    static CPUS: std::sync::OnceLock<Vec<usize>> = std::sync::OnceLock::new();

    CPUS.get_or_init(|| {
        // SAFETY: a cpu_set_t is plain data; pid 0 is the caller.
        unsafe {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            libc::sched_getaffinity(0, size_of_val(&set), &mut set);
            (0..libc::CPU_SETSIZE as usize).filter(|cpu| libc::CPU_ISSET(*cpu, &set)).collect()
        }
    })
}

/// To be called before any thread is pinned.
pub fn remember_cpus() {
    allowed();
}

fn set_cpus(cpus: &[usize]) {
    // SAFETY: a cpu_set_t is plain data; pid 0 is the calling thread.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        for cpu in cpus {
            libc::CPU_SET(*cpu, &mut set);
        }
        libc::sched_setaffinity(0, size_of_val(&set), &set);
    }
}

/// How many CPUs this process may use.
pub fn cpus() -> usize {
    allowed().len()
}

/// The CPU that the calling thread is on.
pub fn cpu_now() -> usize {
    // SAFETY: it has no preconditions.
    unsafe { libc::sched_getcpu() as usize }
}

/// The CPU of worker index.
pub fn cpu(index: usize) -> usize {
    let cpus = allowed();

    cpus[index % cpus.len()]
}

/// The calling thread to a CPU of its own, as worker index.
pub fn pin(index: usize) {
    set_cpus(&[cpu(index)]);
}

/// Undo what the calling thread has from the pinned thread that made it.
pub fn unpin() {
    set_cpus(allowed());
}

/// With these flags and O_CLOEXEC.
pub fn eventfd_open(flags: i32) -> OwnedFd {
    // SAFETY: eventfd(2) has no preconditions.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | flags) };

    if fd < 0 {
        crate::fail(format!("eventfd: {}", Error::last_os_error()));
    }
    // SAFETY: fd is new, and nobody else's.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

pub fn eventfd_write(fd: RawFd) {
    let one = 1u64;

    // SAFETY: one has 8 bytes.
    if unsafe { libc::write(fd, (&raw const one).cast(), 8) } != 8 {
        crate::fail(format!("write to an eventfd: {}", Error::last_os_error()));
    }
}

/// One try, for a descriptor that does not block.
pub fn eventfd_read(fd: RawFd) -> Result<()> {
    let mut value = 0u64;

    // SAFETY: value has 8 bytes.
    match unsafe { libc::read(fd, (&raw mut value).cast(), 8) } {
        8 => Ok(()),
        _ => Err(Error::last_os_error()),
    }
}

// SPDX-License-Identifier: BSD-2-Clause
//! The file under test, its content (that of benchmarks/workload.c), and the
//! buffers to read it into.

use std::fs::{File, OpenOptions};
use std::io::Error;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::{Options, fail, refuse};

const FILL: usize = 1 << 20;

fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58476d1ce4e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d049bb133111eb);
    value ^ (value >> 31)
}

pub fn first_random(seed: u64, slot: usize) -> u64 {
    mix(seed.wrapping_add(slot as u64 + 1)) | 1
}

/// Content follows from seed and offset alone.
pub fn fill(seed: u64, buffer: &mut [u8], offset: u64) {
    for (i, word) in buffer.chunks_exact_mut(8).enumerate() {
        word.copy_from_slice(&mix(seed ^ (offset + 8 * i as u64)).to_le_bytes());
    }
}

pub fn check(seed: u64, buffer: &[u8], offset: u64) -> bool {
    buffer.chunks_exact(8).enumerate().fold(0, |difference, (i, word)| {
        let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
        difference | (word ^ mix(seed ^ (offset + 8 * i as u64)))
    }) == 0
}

/// Memory that O_DIRECT takes: one slot's part of a mapping that lasts until
/// exit, since an allocator would spend a page on the alignment of each.
pub struct Buffer {
    at: *mut u8,
    size: usize,
}

// SAFETY: the part belongs to the Buffer alone.
unsafe impl Send for Buffer {}
// SAFETY: through a shared Buffer it is only read.
unsafe impl Sync for Buffer {}

/// The memory of all slots, zeroed and not yet resident.
pub struct Slab {
    at: *mut u8,
    size: usize,
    taken: Vec<AtomicBool>,
}

// SAFETY: its parts are given away, each once.
unsafe impl Send for Slab {}
// SAFETY: as above.
unsafe impl Sync for Slab {}

impl Slab {
    pub fn new(slots: usize, size: usize) -> Self {
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a fresh mapping.
        let at =
            unsafe { libc::mmap(std::ptr::null_mut(), slots * size, protection, flags, -1, 0) };

        if at == libc::MAP_FAILED {
            fail(format!("buffers: {}", Error::last_os_error()));
        }
        Slab { at: at.cast(), size, taken: (0..slots).map(|_| AtomicBool::new(false)).collect() }
    }

    pub fn buffer(&self, slot: usize) -> Buffer {
        if self.taken[slot].swap(true, Relaxed) {
            fail("two tasks have one slot");
        }
        // SAFETY: the mapping has so many parts; this one is nobody's yet.
        let mut buffer = Buffer { at: unsafe { self.at.add(slot * self.size) }, size: self.size };
        buffer.fill(0x5a); /* touches the pages */
        buffer
    }

    /// What is resident of it.
    pub fn taken_bytes(&self) -> usize {
        self.taken.iter().filter(|taken| taken.load(Relaxed)).count() * self.size
    }
}

impl std::ops::Deref for Buffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: at has size bytes, all of them initialised.
        unsafe { std::slice::from_raw_parts(self.at, self.size) }
    }
}

impl std::ops::DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and self is borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.at, self.size) }
    }
}

/// An open file, and its path as long as this process lives.
pub struct TestFile {
    pub file: File,
    pub path: String,
}

/// Open what --filename names, or make a file; returns its usable size too.
pub fn open(options: &Options, writes: bool) -> (TestFile, u64) {
    let (made, mut size) = match &options.filename {
        Some(name) if std::fs::exists(name).unwrap_or(false) => {
            if writes && !options.overwrite {
                refuse(format!("--filename: {name} exists and this writes: add --overwrite"));
            }
            let file = open_path(name, writes, false);
            let size = file.metadata().map(|data| data.len()).unwrap_or(0);
            if writes && options.verify {
                write_all(&file, options);
            }
            (file, size.min(options.size))
        }
        _ => (make(options), options.size),
    };
    size -= size % options.bs as u64;
    if size == 0 {
        refuse("--filename: is smaller than --bs");
    }
    if options.lock {
        lock(&made, size);
    }
    // A made file has no other name: this one is good for any number of opens.
    let path = format!("/proc/self/fd/{}", made.as_raw_fd());
    let file = open_path(&path, writes, options.direct);
    std::mem::forget(made);
    (TestFile { file, path }, size)
}

pub fn open_path(path: &str, writes: bool, direct: bool) -> File {
    let flags = if direct { libc::O_DIRECT } else { 0 };

    match OpenOptions::new().read(true).write(writes).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) => fail(format!("{path}: open: {error}")),
    }
}

/// It loses its name at once: nothing is left behind even by SIGKILL.
fn make(options: &Options) -> File {
    let name = match &options.filename {
        Some(name) => name.clone(),
        None => format!("peer-bench.{}", std::process::id()),
    };
    let made = OpenOptions::new().read(true).write(true).create_new(true).open(&name);

    match made {
        Ok(file) => {
            let _ = std::fs::remove_file(&name);
            write_all(&file, options);
            file
        }
        Err(error) => fail(format!("{name}: create: {error}")),
    }
}

fn write_all(file: &File, options: &Options) {
    let mut buffer = vec![0; FILL];
    let mut offset = 0;

    while offset < options.size {
        let size = (options.size - offset).min(FILL as u64) as usize;
        fill(options.seed, &mut buffer[..size], offset);
        if let Err(error) = file.write_all_at(&buffer[..size], offset) {
            fail(format!("write: {error}"));
        }
        offset += size as u64;
    }
    if let Err(error) = file.sync_all() {
        fail(format!("fsync: {error}"));
    }
}

/// A locked mapping keeps the pages in the cache; it lasts until exit.
fn lock(file: &File, size: u64) {
    let limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };

    // SAFETY: a fresh mapping, which nobody uses.
    unsafe {
        libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit);
        let map = libc::mmap(
            std::ptr::null_mut(),
            size as usize,
            libc::PROT_READ,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        );
        if map == libc::MAP_FAILED || libc::mlock(map, size as usize) != 0 {
            fail(format!("mlock: {}", Error::last_os_error()));
        }
    }
}

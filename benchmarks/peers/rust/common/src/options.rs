// SPDX-License-Identifier: BSD-2-Clause
//! Options by the names, units and defaults of benchmarks/options.c, sched.c
//! and wake.c: `--name=value` or `--name value`.

use crate::refuse;

#[derive(Clone, Debug)]
pub struct Options {
    /// sched, read, mixed or wake: the first argument.
    pub workload: String,
    pub workers: usize,
    pub pin: bool,
    pub only: Option<String>,
    pub rounds: usize,
    pub samples: u64,
    pub seconds: u64,
    pub tasks: usize,
    pub bs: usize,
    pub iodepth: usize,
    pub runtime_ns: u64,
    pub number_ios: u64,
    /// Operations a second; 0 is a closed loop.
    pub rate: u64,
    pub filename: Option<String>,
    pub size: u64,
    pub overwrite: bool,
    pub direct: bool,
    pub lock: bool,
    pub verify: bool,
    pub seed: u64,
    pub lat: bool,
    pub stuck: bool,
    pub engine: Option<String>,
    /// 0: the peer chooses.
    pub blocking_threads: usize,
}

const NAMES: &[&str] = &[
    "workers",
    "pin",
    "only",
    "bench",
    "rounds",
    "samples",
    "seconds",
    "tasks",
    "bs",
    "iodepth",
    "runtime",
    "number_ios",
    "rate",
    "filename",
    "size",
    "direct",
    "lock",
    "verify",
    "seed",
    "lat",
    "stuck",
    "engine",
    "blocking-threads",
    "output",
];

impl Options {
    fn new(workload: String) -> Self {
        Options {
            workload,
            workers: 2,
            pin: false,
            only: None,
            rounds: 11,
            samples: 2000,
            seconds: 2,
            tasks: 1_000_000,
            bs: 4096,
            iodepth: 64,
            runtime_ns: 5_000_000_000,
            number_ios: 0,
            rate: 0,
            filename: None,
            size: 512 << 20,
            overwrite: false,
            direct: false,
            lock: false,
            verify: false,
            seed: 1,
            lat: true,
            stuck: true,
            engine: None,
            blocking_threads: 0,
        }
    }

    pub fn parse() -> Self {
        let mut arguments = std::env::args().skip(1);
        let workload = arguments.next().unwrap_or_default();

        if !["sched", "read", "mixed", "wake"].contains(&workload.as_str()) {
            refuse("usage: PROGRAM sched|read|mixed|wake [--OPTION=VALUE ...]");
        }
        let mut options = Options::new(workload);
        while let Some(argument) = arguments.next() {
            let Some(option) = argument.strip_prefix("--") else {
                options.filename = Some(argument);
                continue;
            };
            let (name, value) = match option.split_once('=') {
                Some((name, value)) => (name, Some(value.to_string())),
                None => (option, None),
            };
            if name == "overwrite" {
                options.overwrite = true;
                continue;
            }
            if !NAMES.contains(&name) {
                refuse(format!("--{name}: must be one of {}", NAMES.join(", ")));
            }
            match value.or_else(|| arguments.next()) {
                Some(value) => options.apply(name, value),
                None => refuse(format!("--{name}: must have a value")),
            }
        }
        options.check();
        options
    }

    fn apply(&mut self, name: &str, value: String) {
        let flag = || number(name, &value, 0, 1) != 0;
        let count = |max| number(name, &value, 1, max);

        match name {
            "workers" => self.workers = count(64) as usize,
            "pin" => self.pin = flag(),
            "only" | "bench" => self.only = Some(value),
            "rounds" => self.rounds = count(1000) as usize,
            "samples" => self.samples = count(10_000_000),
            "seconds" => self.seconds = count(3600),
            "tasks" => self.tasks = count(100_000_000) as usize,
            "bs" => self.bs = number(name, &value, 8, 1 << 26) as usize,
            "iodepth" => self.iodepth = count(16384) as usize,
            "runtime" => self.runtime_ns = time(name, &value),
            "number_ios" => self.number_ios = count(u64::MAX),
            "rate" => self.rate = number(name, &value, 0, 1_000_000_000),
            "filename" => self.filename = Some(value),
            "size" => self.size = number(name, &value, 8, 1 << 43),
            "direct" => self.direct = flag(),
            "lock" => self.lock = flag(),
            "verify" => self.verify = flag(),
            "seed" => self.seed = number(name, &value, 0, u64::MAX),
            "lat" => self.lat = flag(),
            "stuck" => self.stuck = flag(),
            "engine" => self.engine = Some(value),
            "blocking-threads" => self.blocking_threads = number(name, &value, 0, 16384) as usize,
            _ if value == "json" => {}
            _ => refuse("--output: must be json"),
        }
    }

    /// What only holds of several options together.
    fn check(&mut self) {
        if !self.bs.is_multiple_of(if self.direct { 512 } else { 8 }) {
            refuse("--bs: must be a multiple of 8, and of 512 with --direct=1");
        }
        if self.bs as u64 > self.size {
            refuse("--bs: must be at most --size");
        }
        self.size -= self.size % self.bs as u64;
    }

    /// Operations in flight at any time, over all workers.
    pub fn slots(&self) -> usize {
        self.workers * self.iodepth
    }

    /// --engine, or the first of those there are.
    pub fn engine(&self, engines: &[&'static str]) -> &'static str {
        match &self.engine {
            None => engines[0],
            Some(name) => match engines.iter().find(|engine| *engine == name) {
                Some(engine) => engine,
                None => refuse(format!("--engine: must be one of {}", engines.join(", "))),
            },
        }
    }
}

/// fio's units: k, m and g are powers of 1024.
fn number(name: &str, text: &str, min: u64, max: u64) -> u64 {
    let digits = text.trim_end_matches(['k', 'K', 'm', 'M', 'g', 'G']);
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" => Some(0),
        "k" => Some(10),
        "m" => Some(20),
        "g" => Some(30),
        _ => None,
    };
    let value = digits
        .parse::<u64>()
        .ok()
        .zip(shift)
        .and_then(|(value, shift)| value.checked_mul(1 << shift));

    match value {
        Some(value) if (min..=max).contains(&value) => value,
        _ => refuse(format!("--{name}: '{text}' must be a number from {min} to {max}")),
    }
}

/// Nanoseconds: text is seconds, or has a unit.
fn time(name: &str, text: &str) -> u64 {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let unit: Option<u64> = match &text[digits.len()..] {
        "" | "s" => Some(1_000_000_000),
        "us" => Some(1_000),
        "ms" => Some(1_000_000),
        "m" => Some(60_000_000_000),
        _ => None,
    };

    match digits.parse::<u64>().ok().zip(unit) {
        Some((value, unit)) if value > 0 && value < 1_000_000 => value * unit,
        _ => refuse(format!("--{name}: '{text}' must be seconds, or a time in us, ms, s or m")),
    }
}

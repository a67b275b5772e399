// SPDX-License-Identifier: BSD-2-Clause
//! The six workloads of benchmarks/sched: their counts, rounds and report.

use crate::{Options, fail, refuse, report};

pub const MANY: usize = 10_000;
pub const CHAIN: usize = 1_000;
pub const CHAINS: usize = 100;
pub const YIELDERS: usize = 200;
pub const YIELDS: usize = 1_000;
pub const PINGS: usize = 1_000;
pub const SKYNET: u64 = 1_000_000;
/// Time for the workers to go to sleep, as much as filch and oneTBB get.
pub const SLEEPY_NS: u64 = 20_000_000;

/// One round; the nanoseconds it took.
pub type Round<R> = fn(&R) -> u64;

fn ops(bench: &str) -> usize {
    match bench {
        "chained_spawn" => CHAIN * CHAINS,
        "yield_many" => YIELDERS * YIELDS,
        "ping_pong" => PINGS,
        "skynet_1M" | "skynet_1M_join" => SKYNET as usize,
        _ => MANY,
    }
}

pub fn check(right: bool, what: &str) {
    if !right {
        fail(what);
    }
}

pub fn check_skynet(sum: u64) {
    check(sum == SKYNET * (SKYNET - 1) / 2, "the sum is wrong");
}

/// Run each bench in a runtime of its own, after one round that is not counted.
pub fn run<R>(
    peer: &str,
    version: &str,
    options: &Options,
    runtime: impl Fn() -> R,
    benches: &[(&str, Round<R>)],
) {
    let mut found = false;

    for (bench, round) in benches {
        if options.only.as_deref().is_some_and(|only| only != *bench) {
            continue;
        }
        found = true;
        let runtime = runtime();
        let mut rounds = Vec::with_capacity(options.rounds);
        round(&runtime);
        for _ in 0..options.rounds {
            rounds.push(round(&runtime) as f64 / ops(bench) as f64);
        }
        rounds.sort_by(f64::total_cmp);
        print(peer, version, bench, options, &rounds);
    }
    if !found {
        refuse("--only: must name a benchmark that this peer can do");
    }
}

fn print(peer: &str, version: &str, bench: &str, options: &Options, rounds: &[f64]) {
    let median = rounds[rounds.len() / 2];
    let mut line = report::Line::new(peer, version, &format!("sched/{bench}"));

    line.text("program", &format!("sched_{peer}"));
    line.text("bench", bench);
    line.real("ns_per_op", median, 2);
    line.number("workers", options.workers);
    line.number("rounds", rounds.len());
    line.number("pin", u8::from(options.pin));
    line.real("min", rounds[0], 2);
    line.real("median", median, 2);
    line.real("max", rounds[rounds.len() - 1], 2);
    line.print();
}

# SPDX-License-Identifier: BSD-2-Clause
"""scripts/bench: filch beside the bare limits and its peers, in turns."""
import argparse
import contextlib
import datetime
import json
import os
import pathlib
import platform
import shlex
import signal
import sys
import time

from . import counts, file, kept, peers, targets, workloads
from .contestants import COMMANDS, PEERS, Field, fio_run, missing
from .progress import Progress, say
from .report import Report, aligned, rounds_of
from .runner import (BLOCK, PATIENCE_S, ROOT, Failed, Refused, Samples,
                     busy_share, commit, cpu_model, file_system, machine, run,
                     words)


# From here on others' work is worth a word.
BUSY = 0.1
INTERRUPTED = 130
# Rounds that say too little of how much rounds differ.
FEW = 3
SECONDS_MAX = 60  # well below PATIENCE_S


class Bench:
    """The rounds: each row, and in it each program, in turn."""

    def __init__(self, field, rows, lines):
        self.options = field.options
        self.field = field
        self.rows = [(row, COMMANDS[row.workload](field, row))
                     for row in rows]
        self.report = Report(Samples())
        self.report.facts = field.facts
        self.failures = {}
        self.refusals = {}  # rows by peer
        self.lines = lines  # where the JSON Lines go
        self.progress = Progress(*self.expected())

    def expected(self):
        """How many runs there will be, and how many seconds they may take."""
        runs, seconds = 0, 0
        for row, contestants in self.rows:
            count = sum(self.options.rounds + (len(one.variants)
                        if len(one.variants) > 1 else 0)
                        for one in contestants)
            runs += count
            seconds += count * workloads.seconds(row, self.options)
        return runs, seconds

    def run(self, row, contestant):
        patience = PATIENCE_S if self.is_ours(contestant) else \
            workloads.patience(row, self.options)
        if contestant.fio:
            return fio_run(contestant.command, patience)
        return run(contestant.command, contestant.environment, patience)

    def attempt(self, row, contestant):
        """What it printed; a program that failed is not tried again."""
        name = words(contestant.command, contestant.environment)
        if name in self.failures or \
                row.name in self.refusals.get(contestant.label, ()):
            return []
        try:
            if missing(contestant):
                raise Failed(f"{contestant.label}: is not built")
            if row.workload == "mixed":
                file.settle(self.options.mixed_files[row.direct])
            found = self.run(row, contestant)
            for one in found:
                if one.get("errors", 0) != 0:
                    raise Failed(f"{contestant.label}: {one['errors']} errors")
            if all(workloads.value(one, row.figures[0]) is None
                   for one in found):
                raise Failed(f"{contestant.label}: does not say "
                             f"{row.figures[0].path}")
            return found
        except Refused as error:
            if not self.is_ours(contestant):
                self.refusals.setdefault(contestant.label, []).append(
                    row.name)
                return []
            self.failures[name] = (row.name, str(error))
        except (Failed, OSError) as error:
            self.failures[name] = (row.name, str(error))
            say(f"{row.name}: {error}")
        return []

    def is_ours(self, contestant):
        return not contestant.fio and \
            contestant.command[0].parent == pathlib.Path(self.options.bin)

    def keep(self, row, contestant, found, index, seconds):
        for one in found:
            name, label = row.name, contestant.label
            if row.workload == "sched":
                name += f" {one['bench']}"
            print(json.dumps({
                "round": index, "row": name, "program": label,
                "command": words(contestant.command, contestant.environment),
                "load": os.getloadavg()[0], "seconds": round(seconds, 2),
                **self.field.facts, "found": one}),
                  file=self.lines, flush=True)
            self.report.add(row, name, label, one)

    def tune(self):
        """Of each program's settings the best, in a run of its own."""
        for row, contestants in self.rows:
            for contestant in contestants:
                if len(contestant.variants) > 1:
                    self.choose(row, contestant)

    def choose(self, row, contestant):
        figure = row.tuned_by
        best = None
        for index in range(len(contestant.variants)):
            contestant.chosen = index
            self.progress.step("the peers' best settings",
                               f"{row.name}: {contestant.label}")
            found = self.attempt(row, contestant)
            value = workloads.value(found[0], figure) if found else None
            if value is not None and (best is None or
                                      (value > best[0]) == figure.more):
                best = (value, index)
        contestant.chosen = best[1] if best is not None else 0

    def measure(self):
        """Who is first in a row changes, and who comes before whom, since
        one pays for what was before: a disk that had to write much is slower
        for a while."""
        rounds = self.options.rounds
        for index in range(rounds):
            for place, (row, contestants) in enumerate(self.rows):
                count = len(contestants)
                first = (index * count // rounds + place) % count
                turns = contestants[first:] + contestants[:first]
                if index % 2 == 1:
                    turns[1:] = turns[:0:-1]
                for contestant in turns:
                    self.progress.step(
                        f"round {index + 1} of {rounds}: {row.workload}",
                        f"{row.name}: {contestant.label}")
                    begun = time.monotonic()
                    found = self.attempt(row, contestant)
                    self.keep(row, contestant, found, index,
                              time.monotonic() - begun)

    def go(self):
        """Whether it came to its end: what is known by an interrupt is kept,
        and told as well."""
        try:
            self.tune()
            self.measure()
        except KeyboardInterrupt:
            say("interrupted; this is what was measured until then")
            return False
        finally:
            self.progress.end()
        return True


def facts(options):
    """What every line of the results says."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    now = datetime.datetime.now(datetime.timezone.utc)
    return {"begun": now.isoformat(timespec="seconds"), "commit": commit(),
            "cpu": cpu_model(), "cores": os.cpu_count(),
            "memory_bytes": memory,
            "kernel": f"{platform.system()} {platform.release()}",
            "file_system": file_system(options.directory),
            "seed": options.seed, "workers": options.workers,
            "quick": options.quick, "rounds": options.rounds,
            "runtime": options.seconds}


def check(field, workload):
    """Reads whose every byte is compared, and writes of the same bytes if it
    is mixed, hot and past the cache, by each program that knows what the file
    holds; who is wrong is left out."""
    wrong = {}
    say(f"{workload}: every byte is checked, by each program")
    for contestant in checked(field, workload):
        name = contestant.label.split(" ")[0]
        if name in wrong:
            continue
        try:
            found = run(contestant.command + ["--verify=1", "--size=16m",
                                              "--number_ios=2000"],
                        contestant.environment)
            if not found or found[0].get("errors") != 0:
                raise Failed("read other bytes than were written")
        except (Failed, OSError) as error:
            say(f"{workload} checked: {contestant.label}: {error}")
            wrong[name] = str(error)
    field.peers = [peer for peer in field.peers if peer not in wrong]
    field.absent.update(wrong)
    return not {"filch", *targets.LIMITS} & wrong.keys()


def checked(field, workload):
    """Each program once hot, and once past the cache if that is known there:
    raw_pread is past it at depth 1 alone."""
    options = field.options
    name = options.read_file if workload == "read" else \
        options.mixed_files[True]
    found = {}
    for direct in (False, True) if file.takes_direct(name) else (False,):
        for depth in (1, 8):
            row = workloads.Row(workload, "", (), depth=depth, direct=direct)
            found.update({(direct, one.label): one
                          for one in COMMANDS[workload](field, row)
                          if not one.fio})
    return found.values()


DESCRIPTION = """\
Measure filch beside the bare limits and its peers, in turns, and print a
table.  Results (JSON Lines), table and plots are kept under build/bench/."""
EPILOG = """\
The first time filch and the peers are built; as root, Debian's packages that
are missing are installed with apt-get, else they are named.  A peer that
cannot be had is named, and the others take part.

Exit code: 0; 1 if one of our own programs failed or --against found a row
that is worse; 2 for bad options.  How it is measured and what the rows mean:
benchmarks/README.md."""


class Parser(argparse.ArgumentParser):
    def error(self, message):
        print(f"bench: {message}", file=sys.stderr)
        sys.exit(2)


def parse():
    parser = Parser(
        prog="scripts/bench", allow_abbrev=False, usage="scripts/bench "
        "[OPTION ...]", formatter_class=argparse.RawDescriptionHelpFormatter,
        description=DESCRIPTION, epilog=EPILOG)
    parser.add_argument("--quick", action="store_true",
                        help="one short round of fewer rows: some minutes")
    parser.add_argument("--only", metavar="WORKLOAD[,...]",
                        default=",".join(workloads.NAMES),
                        help="some of " + ", ".join(workloads.NAMES))
    parser.add_argument("--peers", metavar="PEER[,...]", help="some of "
                        + ", ".join(PEERS) + "; empty for none")
    parser.add_argument("--rounds", type=int, metavar="N",
                        help="how often each row is run: 3, or 1 with --quick")
    parser.add_argument("--seconds", type=int, metavar="S",
                        help="of each run of reads and writes: 2, or 1 with "
                        "--quick")
    parser.add_argument("--workers", type=int, default=2, metavar="N",
                        help="threads of each program: %(default)s")
    parser.add_argument("--seed", type=int, default=1, metavar="N",
                        help="of what the file holds and of the order of "
                        "reads: %(default)s")
    parser.add_argument("--counts", action="store_true",
                        help="count system calls, instructions, cache lines "
                        "and allocations instead, of filch and the limits")
    parser.add_argument("--against", metavar="FILE.jsonl",
                        help="name the rows that are worse than in this run "
                        "before, and exit 1 if there are any; both runs "
                        "should have three rounds and more")
    parser.add_argument("--table", metavar="FILE.jsonl",
                        help="measure nothing: the table of a run before")
    parser.add_argument("--brief", action="store_true",
                        help="with --table: a line for each figure of a row")
    parser.add_argument("--list", action="store_true",
                        help="the workloads and peers there are")
    parser.add_argument("--bin", metavar="DIR",
                        help="where our programs are; nothing is installed or "
                        "built then")
    parser.add_argument("--directory", default=str(ROOT / "build"),
                        metavar="DIR", help="where files are made and read: "
                        "build/; O_DIRECT must work there")
    parser.add_argument("--output", default=str(ROOT / "build/bench"),
                        metavar="DIR", help="where results are kept: "
                        "build/bench/")
    options = parser.parse_args()
    options.only = choices(parser, "--only", options.only, workloads.NAMES)
    options.peers = list(PEERS) if options.peers is None else named(
        choices(parser, "--peers", options.peers, PEERS), options.only)
    if not options.only:
        parser.error("--only: must name a workload")
    quick = options.quick
    options.rounds = (1 if quick else 3) if options.rounds is None \
        else options.rounds
    options.seconds = (1 if quick else 2) if options.seconds is None \
        else options.seconds
    if options.rounds < 1:
        parser.error("--rounds: must be at least 1")
    if options.seed < 0:
        parser.error("--seed: must be at least 0")
    if not 1 <= options.seconds <= SECONDS_MAX:
        parser.error(f"--seconds: must be from 1 to {SECONDS_MAX}")
    if not 1 <= options.workers <= 256:
        parser.error("--workers: must be from 1 to 256")
    if options.brief and not options.table:
        parser.error("--brief: only with --table")
    if options.counts and (options.against or options.table):
        parser.error("--counts: not with --against or --table")
    return options


def choices(parser, option, text, known):
    found = [name for name in text.split(",") if name]
    for name in found:
        if name not in known:
            parser.error(f"{option}: '{name}' must be one of "
                         + ",".join(known))
    return found


def named(wanted, workloads_wanted):
    """Of peers that were asked for by name, a word if there is no use."""
    for peer in wanted:
        if not PEERS[peer][1] & set(workloads_wanted):
            say(f"{peer} takes no part in {', '.join(workloads_wanted)}")
    return wanted


def show(text):
    print(aligned(text) if sys.stdout.isatty() else text)


def show_list():
    for name in workloads.NAMES:
        print(f"{name:15} {workloads.WHAT[name]}")
    for name, (_, takes) in PEERS.items():
        part = ",".join(w for w in workloads.NAMES if w in takes)
        print(f"{name:15} peer in {part}")


def take_part(field, options, directory, stem):
    """Measure, print and keep; the exit code."""
    with open(directory / f"{stem}.jsonl", "w", encoding="utf-8") as lines:
        if options.counts:
            text, failed = counts.main(field, lines)
            (directory / f"{stem}.md").write_text(text, encoding="utf-8")
            show(text)
            say(f"{directory}/{stem}.jsonl and .md")
            return 1 if failed else 0
        begun = os.getloadavg()[0]
        busy = busy_share()
        if busy > BUSY:
            say(f"others use {100 * busy:.0f} % of the CPUs: figures will be "
                "theirs, too")
        bench = Bench(field, [row for name in options.only for row in
                              workloads.rows(name, options.quick)], lines)
        complete = bench.go()
    text = bench.report.markdown(head(options, begun))
    text += targets.markdown(bench.report)
    for label, rows in bench.refusals.items():
        text += f"\nNot in {', '.join(rows)}: {label} cannot do that.\n"
    for row, reason in bench.failures.values():
        text += f"\nFailed, and not tried again: {row}: {reason}\n"
    for label, reason in field.absent.items():
        text += f"\nTook no part: {label}: {reason}\n"
    (directory / f"{stem}.md").write_text(text, encoding="utf-8")
    plots = bench.report.plots(directory, stem)
    if not plots:
        say("no plots: gnuplot is not there, or draws nothing")
    show(text)
    say(f"{directory}/{stem}.jsonl, .md and {len(plots)} plots")
    if not complete:
        return INTERRUPTED
    ours = [reason for _, reason in bench.failures.values()
            if reason.startswith(("filch", "sched:", "wake:", "raw_"))]
    return 1 if has_fallen(options, bench.report) or ours else 0


def head(options, begun):
    """What stands above the table."""
    rounds = rounds_of(options.rounds, options.seconds, options.only)
    command = shlex.join(["scripts/bench", *sys.argv[1:]])
    return (f"{machine()}; {options.workers} workers; {rounds}; load "
            f"{begun:.2f} before: `{command}`.")


def has_fallen(options, report):
    """Whether rows are worse than in the run that --against names."""
    if not options.before:
        return False
    fallen = kept.falls(options.before, report)
    for line in kept.unlike(options.before, report) + fallen:
        say(line)
    if fallen and min(map(len, report.samples.values.values()), default=0) < FEW:
        say(f"of fewer than {FEW} rounds a row may fall by chance")
    return bool(fallen)


def show_table(options):
    report = kept.load(options.table)
    where = kept.head(options.table, report)
    show((f"{where}\n\n{report.brief()}" if options.brief
          else report.markdown(where)) + targets.markdown(report))
    return 1 if has_fallen(options, report) else 0


def main():
    options = parse()
    if options.list:
        show_list()
        return 0
    try:
        options.before = kept.load(options.against) if options.against \
            else None
        if options.table:
            return show_table(options)
    except Failed as error:
        say(error)
        return 2
    takes = set(options.only)
    wanted = [] if options.counts else [
        peer for peer in options.peers if PEERS[peer][1] & takes]
    if options.bin is None:
        options.bin = str(ROOT / "build/release/bin")
        if not peers.get(wanted, options.counts):
            return 1
    options.bin = str(pathlib.Path(options.bin).resolve())
    there = peers.there(wanted, options.bin)
    field = Field(options, there, {**facts(options),
                                   "versions": peers.versions(there)},
                  {peer: peers.why_absent(peer) for peer in wanted
                   if peer not in there})
    directory = pathlib.Path(options.output)
    directory.mkdir(parents=True, exist_ok=True)
    stem = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    with contextlib.ExitStack() as stack:
        size = (64 if options.quick else 512) * BLOCK
        if takes & {"read", "memory"} or options.counts:
            options.read_file = stack.enter_context(
                file.make(field, size, lock=True))
        if "mixed" in takes and not options.counts:
            # A write past the cache drops what is cached, locked or not.  In
            # a large piece of the cache one write waits until all that was
            # written before is on the disk, whoever makes it.
            options.mixed_files = {
                direct: stack.enter_context(file.make(
                    field, size, lock=not direct, by_page=not direct))
                for direct in (False, True)}
        if not options.counts:
            for workload in ("read", "mixed"):
                if workload in takes and not check(field, workload):
                    return 1
        return take_part(field, options, directory, stem)


if __name__ == "__main__":
    # So that files under test go, whoever ends it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        say("interrupted")
        sys.exit(INTERRUPTED)
    except Failed as failed:
        say(failed)
        sys.exit(1)
    except OSError as failed:  # a folder or a program that is not there, ...
        say(": ".join(filter(None, (failed.filename, failed.strerror))))
        sys.exit(1)

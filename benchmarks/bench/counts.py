# SPDX-License-Identifier: BSD-2-Clause
"""Counts that do not depend on the machine's mood, an operation: system calls,
instructions, cache lines, allocations.  Each program runs twice, for few
operations and for many; the difference leaves out what starting and ending
cost."""
import contextlib
import json
import os
import re
import shutil

from . import file
from .contestants import Field
from .progress import Progress, say
from .runner import Failed, machine, output

FEW, MANY = 50000, 250000
# What a count takes, roughly.
SECONDS = 3
# Depth, and whether reads are past the cache: of a file that is memory itself,
# since a read under valgrind takes so long that filch does each on its worker,
# where without it would give them to the ring together.
READS = ((1, False), (64, False), (64, True))
MEMORY = "/dev/shm"
MEMORY_SIZE = 64 << 20


def strace(command):
    """System calls of all threads, by strace's table."""
    _, said = output(["strace", "-c", "-f", "-qq", *command])
    total = 0
    for line in said.splitlines():
        # % time, seconds, usecs/call, calls, [errors], name
        parts = line.split()
        if len(parts) >= 5 and parts[0][0].isdigit() and \
                parts[-1] != "total":
            total += int(parts[3])
    if total == 0:
        raise Failed("strace: no table")
    return total


def perf(event, command):
    _, said = output(["perf", "stat", "-x", ",", "-e", event, *command])
    for line in said.splitlines():
        parts = line.split(",")
        if len(parts) > 2 and parts[2].startswith(event) and \
                parts[0].isdigit():
            return int(parts[0])
    raise Failed(f"perf: {event} is not counted here")


def valgrind(tool, pattern, command):
    """The sum of what the pattern finds in the words of a tool."""
    name, *options = tool.split()
    _, said = output(["valgrind", f"--tool={name}", *options,
                      f"--{name}-out-file=/dev/null", *command])
    found = re.search(pattern, said)
    if found is None:
        raise Failed(f"valgrind: {name} does not count")
    return sum(int(number.replace(",", "")) for number in found.groups())


# A first level of 4 KiB: a read copies as much through it, so what a task
# touches between two reads is what it has to fetch again.
CACHE = "callgrind --cache-sim=yes --D1=4096,4,64"


# What counts, the best first.  A traced system call takes so long that a
# program which adapts to its speed makes others than without; perf's own
# counting of them is cheap.
COUNTERS = {
    "system calls": (
        ("perf", lambda command: perf("raw_syscalls:sys_enter", command)),
        ("strace", strace)),
    "instructions": (
        ("perf", lambda command: perf("instructions:u", command)),
        ("valgrind", lambda command: valgrind(
            "callgrind", r"Collected : (\d+)", command))),
    "cache lines missed": (
        ("valgrind", lambda command: valgrind(
            CACHE, r"Collected : \d+ \d+ \d+ \d+ (\d+) (\d+)", command)),),
    "allocations": (
        ("valgrind", lambda command: valgrind(
            "dhat", r"Total: .* in ([\d,]+) blocks", command)),),
}
DIGITS = {"system calls": 3, "instructions": 0, "cache lines missed": 1,
          "allocations": 3}


def choose(counters):
    """The first that works here, with its name; or nothing."""
    for name, counter in counters:
        try:
            if shutil.which(name) is not None:
                counter(["true"])
                return name, counter
        except (Failed, OSError):
            pass
    return None, None


def each(counter, command):
    few, many = (counter(command + [f"--number_ios={count}"])
                 for count in (FEW, MANY))
    return (many - few) / (MANY - FEW)


def has_memory():
    """Whether files of memory can be read past the cache (Linux 6.6)."""
    if not os.path.isdir(MEMORY):
        return False
    try:
        os.close(os.open(MEMORY, os.O_TMPFILE | os.O_RDWR | os.O_DIRECT))
    except OSError:
        return False
    return True


def main(field: Field, lines):
    """The table, and whether a count failed."""
    with contextlib.ExitStack() as stack:
        names = {False: field.options.read_file}
        if has_memory():
            names[True] = stack.enter_context(
                file.make(field, MEMORY_SIZE, False, MEMORY))
        else:
            say(f"{MEMORY} has no O_DIRECT: no row of gathered reads")
        return table(field, lines, names)


def table(field, lines, names):
    options = field.options
    chosen = {what: choose(counters)
              for what, counters in COUNTERS.items()}
    ring = {"filch": [field.own("filch"), "bench"],
            "raw_uring": [field.own("raw_uring")]}
    hot = {**ring, "filch map": ring["filch"] + ["--map=1"],
           "raw_mmap": [field.own("raw_pread"), "--map=1"]}
    reads = [(depth, direct, ring if direct else hot)
             for depth, direct in READS if direct in names]
    failed = False
    text = [f"{machine()}; {options.workers} workers; hot 4 KiB reads; in user "
            "space but for the system calls; counted by "
            + ", ".join(f"{by or 'nobody'} ({what})"
                        for what, (by, _) in chosen.items())
            + "; the cache is one of 4 KiB", "",
            f"| QD | program | {' | '.join(chosen)} |",
            "|---|---|" + "---|" * len(chosen)]
    count = sum(len(programs) for *_, programs in reads) * len(chosen)
    progress = Progress(count, SECONDS * count)
    for depth, direct, programs in reads:
        kind = f"{depth}, by the ring" if direct else depth
        for label, program in programs.items():
            command = program + [
                f"--filename={names[direct]}", "--rw=randread",
                f"--direct={int(direct)}", "--bs=4k", f"--iodepth={depth}",
                "--lat=0", "--runtime=600",
                f"--workers={options.workers}", f"--seed={options.seed}",
                "--output=json"]
            found = {}
            for what, (_, counter) in chosen.items():
                progress.step(f"counts, QD {kind}: {label}", what)
                try:
                    found[what] = each(counter, command) if counter else None
                except Failed as error:
                    say(f"{label} QD {kind}: {what}: {error}")
                    found[what] = None
                    failed = True
            print(json.dumps({
                "program": label, "iodepth": depth, "direct": direct,
                "per_operation": found,
                "by": {what: by for what, (by, _) in chosen.items()},
                **field.facts}), file=lines, flush=True)
            text.append(f"| {kind} | {label} | "
                        + " | ".join(shown(found[what], DIGITS[what])
                                     for what in chosen) + " |")
    progress.end()
    return "\n".join(text) + "\n", failed


def shown(value, digits):
    # 0.0 is added to make -0 0
    return "-" if value is None else f"{round(value, digits) + 0.0:.{digits}f}"

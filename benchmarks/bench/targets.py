# SPDX-License-Identifier: BSD-2-Clause
"""What filch is to reach beside the limits and the peers, and whether it
does."""
import dataclasses
import re

LIMITS = ("raw_uring", "raw_pread", "raw_mmap", "plain thread")
MAPPED = "fio mmap"  # of the peers the one that maps: beside filch map alone


def is_peer(label):
    return not label.startswith("filch") and \
        label not in (*LIMITS, MAPPED)


def is_peer_of_map(label):
    return is_peer(label) or label == MAPPED


def is_slow_to_read(label):
    return label.startswith(("tokio", "uv"))


@dataclasses.dataclass(frozen=True)
class Target:
    """The best of the others that it names; least: how many times as good as
    that filch is to be.  zero: filch's own figure, as shown, is to be 0."""
    what: str
    workload: str
    path: str
    beside: str
    others: object  # whether a label is meant
    least: float
    rows: str = ""  # a pattern
    own: str = "filch"
    zero: bool = False


TARGETS = (
    Target("the scheduler's ns", "sched", "ns_per_op", "every peer", is_peer,
           1.0),
    # Once as one reads any file, once as one reads a file that is known to be
    # hot.
    Target("hot reads a second", "read", "iops", "raw_uring, raw_pread",
           ("raw_uring", "raw_pread").__contains__, 0.95, " hot "),
    Target("the same, mapped", "read", "iops", "raw_uring, raw_pread",
           ("raw_uring", "raw_pread").__contains__, 0.95, " hot ",
           "filch map"),
    Target("hot reads a second", "read", "iops", "every peer", is_peer, 1.0,
           " hot "),
    Target("the same, mapped", "read", "iops",
           "every peer (by system calls, fio mmap by a mapping)",
           is_peer_of_map, 1.0, " hot ", "filch map"),
    Target("hot reads a second", "read", "iops", "tokio, uv", is_slow_to_read,
           3.0, " hot "),
    Target("the same, mapped", "read", "iops", "tokio, uv", is_slow_to_read,
           3.0, " hot ", "filch map"),
    Target("O_DIRECT reads a second, QD 8 and more", "read", "iops",
           "raw_uring, fio io_uring",
           ("raw_uring", "fio io_uring").__contains__, 0.98,
           " direct QD (8|32|128) "),
    # Throughput of closed loops; p99 of both kinds.  Once as one syncs with
    # filch, by commits that share, once as the peers do.
    Target("mixed operations a second", "mixed", "iops", "every peer",
           is_peer, 0.95, "mixed (hot|direct) "),
    Target("the same, each sync by itself", "mixed", "iops", "every peer",
           is_peer, 0.95, "mixed (hot|direct) ", "filch op_fdatasync"),
    # The thread-per-core runtimes of tasks.
    Target("p99 in a closed loop", "mixed", "lat_ns.p99",
           "compio, monoio", ("compio", "monoio").__contains__, 5.0,
           "mixed (hot|direct) "),
    Target("the same, each sync by itself", "mixed", "lat_ns.p99",
           "compio, monoio", ("compio", "monoio").__contains__, 5.0,
           "mixed (hot|direct) ", "filch op_fdatasync"),
    Target("p99 in an open loop", "mixed", "lat_ns.p99",
           "compio, monoio", ("compio", "monoio").__contains__, 5.0,
           " open "),
    Target("the same, each sync by itself", "mixed", "lat_ns.p99",
           "compio, monoio", ("compio", "monoio").__contains__, 5.0,
           " open ", "filch op_fdatasync"),
    Target("wakes' p50", "wake", "p50_ns", "every peer", is_peer, 1.0),
    Target("wakes' p99.9", "wake", "p999_ns", "every peer", is_peer, 1.0),
    Target("idle CPU", "wake", "cpu_percent", "nothing: it is to be 0",
           is_peer, 1.0, zero=True),
    Target("bytes a task, an operation", "memory", "bytes_per_task",
           "every peer", is_peer, 1.0),
)


def is_met(ratio, target):
    """As it is shown: 0.949 is told as 0.95, and is 0.95."""
    return round(ratio, 2) >= target.least


def judged(report):
    """Each target's rows: name, figure, best of those meant, ratio."""
    for target in TARGETS:
        rows = []
        for workload, name, figure, labels in report.lines:
            if target.workload != workload or target.path != figure.path or \
                    not re.search(target.rows, name) or \
                    target.own not in labels:
                continue
            if target.zero:
                value = report.samples.median(
                    report.key(name, figure, target.own)) / figure.scale
                rows.append((name, figure, "0",
                             float(round(value, figure.digits) == 0)))
                continue
            others = [label for label in labels if target.others(label)]
            if others:
                best = report.best(name, figure, others)
                rows.append((name, figure, best, report.goodness(
                    name, figure, best, target.own)))
        if rows:
            yield target, rows


def markdown(report):
    """A table with a line for each target of each row, and one with a line
    for each target; nothing where nothing is judged."""
    text = ["", "What filch is to reach, row by row: so many times as good as "
            "the best of some of the others.", "",
            "| row | figure | best of the others | filch is x as good "
            "| target | met |", "|---|---|---|---|---|---|"]
    short = ["", "The same, target by target:", "",
             "| what | beside the best of | filch is x as good, worst.."
             "best row | target | rows that meet it |",
             "|---|---|---|---|---|"]
    ratios = []
    for target, rows in judged(report):
        own = "" if target.own == "filch" else f" ({target.own})"
        for name, figure, best, ratio in rows:
            text.append(f"| {name}{own} | {figure.text} | {best} | "
                        f"{ratio:.2f} | {target.least:.2f} | "
                        f"{'yes' if is_met(ratio, target) else '**no**'} |")
        ratios = [ratio for *_, ratio in rows]
        met = sum(is_met(ratio, target) for ratio in ratios)
        short.append(
            f"| {target.what} | {target.beside} | "
            f"{min(ratios):.2f}..{max(ratios):.2f} | "
            f"{target.least:.2f} | {met} of {len(rows)} |")
    return "\n".join(text + short) + "\n" if ratios else ""

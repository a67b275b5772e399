# SPDX-License-Identifier: BSD-2-Clause
"""What filch is to reach beside the limits and the peers, and whether it
does."""
import dataclasses
import re

LIMITS = ("raw_uring", "raw_pread", "plain thread")


def is_peer(label):
    return not label.startswith("filch") and label not in LIMITS


def is_slow_to_read(label):
    return label.startswith(("tokio", "uv"))


@dataclasses.dataclass(frozen=True)
class Target:
    """The best of the others that it names; least: how many times as good as
    that filch is to be."""
    workload: str
    path: str
    others: object  # whether a label is meant
    least: float
    rows: str = ""  # a pattern


TARGETS = (
    Target("sched", "ns_per_op", is_peer, 1.0),
    Target("read", "iops", LIMITS.__contains__, 0.95, " hot "),
    Target("read", "iops", is_peer, 1.0, " hot "),
    Target("read", "iops", is_slow_to_read, 3.0, " hot "),
    Target("read", "iops", ("raw_uring", "fio io_uring").__contains__, 0.98,
           " direct QD (8|32|128) "),
    Target("mixed", "iops", is_peer, 0.95),
    Target("mixed", "lat_ns.p99", ("compio", "monoio").__contains__, 5.0),
    Target("wake", "p50_ns", is_peer, 1.0),
    Target("wake", "p999_ns", is_peer, 1.0),
    Target("wake", "cpu_percent", is_peer, 1.0),
    Target("memory", "bytes_per_task", is_peer, 1.0),
)


def markdown(report):
    """A line for each target of each row."""
    text = ["| row | figure | best of those meant | filch is x as good "
            "| target | met |", "|---|---|---|---|---|---|"]
    met = count = 0
    for workload, name, figure, labels in report.lines:
        for target in TARGETS:
            others = [label for label in labels if target.others(label)]
            if target.workload != workload or target.path != figure.path or \
                    not re.search(target.rows, name) or not others or \
                    "filch" not in labels:
                continue
            best = report.best(name, figure, others)
            ratio = report.goodness(name, figure, best)
            is_met = ratio >= target.least
            met += is_met
            count += 1
            text.append(f"| {name} | {figure.text} | {best} | {ratio:.2f} | "
                        f"{target.least:.2f} | "
                        f"{'yes' if is_met else '**no**'} |")
    return "\n".join(text + ["", f"{met} of {count} targets met.", ""])

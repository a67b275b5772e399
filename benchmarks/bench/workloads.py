# SPDX-License-Identifier: BSD-2-Clause
"""The workloads: their rows, and the figures that a row is about."""
import dataclasses

NAMES = ("sched", "read", "mixed", "wake", "memory")
# Operations a second of the open rows: what all can do on two CPUs, past the
# cache too, so that they differ in how late they are.
RATE = 20000
WHAT = {
    "sched": "the scheduler alone: spawns, chains, yields, wakes, skynet",
    "read": "4 KiB random reads, hot and O_DIRECT, at several depths",
    "mixed": "70 % reads, 30 % writes, fdatasync every 64 writes, beside a "
             "task that blocks its worker for 2 ms every 10 ms; closed loop, "
             f"and open at {RATE} operations a second",
    "wake": "from an event to the task that waits for it; idleness",
    "memory": "bytes a parked task, an operation in flight, an executor",
}
LATENCIES = ("eventfd", "timer", "eventfd_busy", "timer_busy", "outside",
             "task")


@dataclasses.dataclass(frozen=True)
class Figure:
    """A number of a program's report, and how it is shown."""
    path: str
    text: str
    scale: float = 1.0
    digits: int = 0
    more: bool = False  # is better
    other: str = ""  # the peers' name for it


@dataclasses.dataclass
class Row:
    """What all contestants do in turn.  Its programs are told the options;
    only sched prints several of bench at once."""
    workload: str
    name: str
    figures: tuple
    pin: int = 0
    depth: int = 1
    direct: bool = False
    bench: str = ""
    rate: int = 0  # of an open loop

    @property
    def tuned_by(self):
        """What decides between the settings of a program."""
        return TAIL if self.rate else self.figures[0]


IOPS = Figure("iops", "k/s", 1e3, 1, True)
CPU = Figure("cpu_ns_per_op", "CPU ns an operation")
MEDIAN = Figure("lat_ns.p50", "p50 us", 1e3, 1)
TAIL = Figure("lat_ns.p99", "p99 us", 1e3, 1)
SPREAD = (TAIL,
          Figure("lat_ns.p999", "p99.9 us", 1e3, 1))
DELAYS = (Figure("p50_ns", "p50 us", 1e3, 2),
          Figure("p99_ns", "p99 us", 1e3, 2),
          Figure("p999_ns", "p99.9 us", 1e3, 2))


def where(pin):
    return "pinned" if pin else "free"


def rows(workload, quick):
    """The rows of a workload, in the order in which they run."""
    found = []
    if workload == "memory":
        found = [Row("memory", f"memory {bench}",
                     (Figure("bytes_per_task", "bytes a task"),), bench=bench)
                 for bench in ("parked", "parked_timer")]
        found.append(Row("memory", "memory flight", (Figure(
            "bytes_per_task", "bytes a task with an operation",
            other="bytes_per_read"),), depth=4096, direct=True,
            bench="flight"))
        found.append(Row("memory", "memory executor", (Figure(
            "bytes_per_executor", "KiB an executor", 1024),),
            bench="executor"))
        return found
    for pin in (0,) if quick and workload != "sched" else (0, 1):
        if workload == "sched":
            found.append(Row("sched", f"sched {where(pin)}",
                             (Figure("ns_per_op", "ns", 1.0, 1),), pin))
        elif workload == "wake":
            found += [Row("wake", f"wake {bench} {where(pin)}", DELAYS, pin,
                          bench=bench) for bench in LATENCIES]
        else:
            depths = (32,) if workload == "mixed" else (1, 32) if quick else (
                1, 8, 32, 128)
            figures = (IOPS, CPU) if workload == "read" else (IOPS,) + SPREAD
            found += [Row(workload, f"{workload} {kind} QD {depth} "
                          f"{where(pin)}", figures, pin, depth,
                          kind == "direct")
                      for kind in ("hot", "direct") for depth in depths]
        if workload == "mixed":
            asked = dataclasses.replace(IOPS, text=f"k/s of {RATE / 1e3:g}")
            found += [Row("mixed", f"mixed open {kind} QD 32 {where(pin)}",
                          (asked, MEDIAN) + SPREAD, pin, 32,
                          kind == "direct", rate=RATE)
                      for kind in ("hot", "direct")]
    if workload == "wake":
        found.append(Row("wake", "wake across", DELAYS, bench="across"))
        found.append(Row("wake", "wake create", (Figure(
            "create_destroy_ns_p50", "us to create and destroy", 1e3),),
            bench="create"))
        found.append(Row("wake", "wake idle", (
            Figure("cpu_percent", "CPU %", 1.0, 3),
            Figure("wakes_per_s", "wakes a second", 1.0, 2)), bench="idle"))
        found.append(Row("wake", "wake stuck", (
            Figure("delay_ms", "longest delay, ms", 1.0, 2),
            Figure("delay_p99_ms", "p99 of delays, ms", 1.0, 2),
            Figure("control_ms", "longest beside a plain thread that computes, "
                   "ms", 1.0, 2),
            Figure("control_p99_ms", "p99 beside it, ms", 1.0, 2)),
            bench="stuck"))
    return found


# What a run takes, with --quick and without; of reads and writes, beside the
# time that they are given.
SECONDS = {"sched": (1.5, 4), "read": (0.2, 0.2), "mixed": (0.2, 0.2),
           "wake": (0.5, 3), "memory": (0.8, 3)}


def seconds(row, options):
    """What a run of the row takes, roughly."""
    given = options.seconds if row.workload in ("read", "mixed") else 0
    return given + SECONDS[row.workload][not options.quick]


# Who takes longer than both together surely hangs.
PATIENCE_S = 60
PATIENCE_TIMES = 10  # what it should take


def patience(row, options):
    """Of a peer's program, in seconds."""
    return PATIENCE_S + PATIENCE_TIMES * seconds(row, options)


def value(found, figure):
    """The number of a figure in a report, or None."""
    path = figure.path
    if figure.other and figure.other in found:
        path = figure.other
    for part in path.split("."):
        if not isinstance(found, dict):
            return None
        found = found.get(part)
    return found if isinstance(found, (int, float)) else None

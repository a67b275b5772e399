# SPDX-License-Identifier: BSD-2-Clause
"""Who takes part: our own programs, the bare limits and the peers, each with
the command that carries out a row of a workload."""
import dataclasses
import json
import os
import pathlib
import resource
import subprocess

from .runner import ROOT, Failed, output

PEER_BIN = ROOT / "build/peers"
FIO_ENGINES = ("io_uring", "libaio", "posixaio", "psync")

# What a peer takes part in; tbb and fio come from Debian as they are, the
# others are what benchmarks/peers/build makes, with Debian's packages or not.
PEERS = {
    "tbb": ("debian", {"sched"}),
    "fio": ("debian", {"read"}),
    "uv": ("build", {"read", "mixed", "wake", "memory"}),
    "asio": ("build", {"sched", "read", "mixed", "wake", "memory"}),
    "tokio": ("build", {"sched", "read", "mixed", "wake", "memory"}),
    "tokio_mimalloc": ("build", {"sched", "read", "mixed", "wake", "memory"}),
    "rayon": ("build", {"sched"}),
    "compio": ("build", {"read", "mixed", "wake", "memory"}),
    "monoio": ("build", {"read", "mixed", "wake", "memory"}),
    "glommio": ("build", {"read", "memory"}),
    "go": ("build", {"sched", "read", "mixed", "wake", "memory"}),
}
PACKAGES = {"tbb": "libtbb-dev", "fio": "fio", "uv": "libuv1-dev",
            "asio": "python3-pip"}


@dataclasses.dataclass
class Contestant:
    """A program in a row.  Where there are variants, the best is chosen."""
    label: str
    variants: list  # of commands
    env: list = dataclasses.field(default_factory=list)  # one a variant
    fio: bool = False
    chosen: int = 0

    @property
    def command(self):
        return self.variants[self.chosen]

    @property
    def environment(self):
        return self.env[self.chosen] if self.env else {}


@dataclasses.dataclass
class Field:
    """What is there: options, peers that were built, facts of the run; and
    why others are absent."""
    options: object
    peers: list
    facts: dict
    absent: dict

    def own(self, name):
        return pathlib.Path(self.options.bin) / name

    def has(self, peer, workload):
        return peer in self.peers and workload in PEERS[peer][1]

    def built(self, workload):
        """The peers that have a program of ours, and its path."""
        return [(peer, PEER_BIN / peer) for peer in self.peers
                if workload in PEERS[peer][1] and PEERS[peer][0] != "debian"]


def sched(field, row):
    common = [f"--workers={field.options.workers}",
              f"--rounds={3 if field.options.quick else 11}",
              f"--pin={row.pin}"]
    found = [Contestant("filch", [[field.own("sched")] + common])]
    if field.has("tbb", "sched"):
        found.append(Contestant("oneTBB", [[field.own("sched_tbb")] + common]))
    for peer, program in field.built("sched"):
        found.append(Contestant(peer, [[program, "sched"] + common]))
    return found


def _transfers(field, row, file):
    options = field.options
    return [f"--filename={file}", "--bs=4k", f"--iodepth={row.depth}",
            f"--workers={options.workers}", f"--runtime={options.seconds}",
            f"--direct={int(row.direct)}", f"--pin={row.pin}",
            f"--seed={options.seed}", "--output=json"] + (
                [f"--rate={row.rate}"] if row.rate else [])


def _pools(field, row):
    """Sizes of a pool of threads worth trying: one or two a CPU, a few that
    share them, or as many as there are operations in flight, within reason."""
    workers = field.options.workers
    all_of_them = min(workers * row.depth, 256)
    return sorted({min(size, all_of_them)
                   for size in (workers, 2 * workers, 16, all_of_them)})


def _io_peers(field, row, workload, common):
    found = []
    for peer, program in field.built(workload):
        command = [program, workload] + common
        if peer == "uv":
            sizes = _pools(field, row)
            found.append(Contestant(
                "uv", [command] * len(sizes),
                [{"UV_THREADPOOL_SIZE": str(size)} for size in sizes]))
            if has_ring(program):
                found.append(Contestant("uv ring", [command + ["--ring=1"]],
                                        [{"UV_USE_IO_URING": "1"}]))
        elif peer == "asio":
            # Where nobody is stuck one for all is never better.
            ways = ("each", "shared") if workload == "mixed" else ("each",)
            ring = [PEER_BIN / "asio_ring"] + command[1:]
            found.append(Contestant(
                "asio", [ring + [f"--contexts={way}"] for way in ways]))
        elif peer.startswith("tokio"):
            # tokio::fs reads into memory of its own: no O_DIRECT.
            for engine in ("blocking",) if row.direct else ("fs", "blocking"):
                found.append(Contestant(
                    f"{peer} {engine}",
                    [command + [f"--engine={engine}",
                                f"--blocking-threads={size}"]
                     for size in _pools(field, row)]))
        else:
            found.append(Contestant(peer, [command]))
    return found


def has_ring(program):
    """Whether this libuv can read files by a ring at all."""
    done = subprocess.run([str(program), "ring"], check=False,
                          stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL)
    return done.returncode == 0


def read(field, row):
    common = _transfers(field, row, field.options.read_file)
    ours = common + ["--rw=randread", "--lat=0"]
    found = [Contestant("filch", [[field.own("filch"), "bench"] + ours]),
             Contestant("raw_uring", [[field.own("raw_uring")] + ours])]
    pread = [field.own("raw_pread")] + ours
    if not row.direct or row.depth == 1:
        found.append(Contestant("raw_pread", [pread]))
    if not row.direct:
        found += [Contestant("filch map", [found[0].command + ["--map=1"]]),
                  Contestant("raw_mmap", [pread + ["--map=1"]])]
    if field.has("fio", "read"):
        engines = FIO_ENGINES if row.direct else (*FIO_ENGINES, "mmap")
        found += [_fio(field, row, engine) for engine in engines]
    return found + _io_peers(field, row, "read", common + ["--lat=0"])


def _fio(field, row, engine):
    options = field.options
    jobs, depth = options.workers, row.depth
    if engine == "psync" and row.direct:
        # The only way to have as many in flight; more threads would only
        # contend for the CPUs where the cache answers.
        jobs, depth = jobs * depth, 1
    command = ["fio", "--name=read", f"--filename={options.read_file}",
               "--rw=randread", "--bs=4k", f"--ioengine={engine}",
               f"--iodepth={depth}", f"--numjobs={jobs}", "--group_reporting",
               "--time_based", f"--runtime={options.seconds}",
               f"--direct={int(row.direct)}", f"--randseed={options.seed + 1}",
               "--gtod_reduce=1", "--norandommap", "--invalidate=0",
               "--allow_file_create=0", "--output-format=json"]
    if engine in ("io_uring", "libaio"):
        command += [f"--iodepth_batch_submit={depth}",
                    "--iodepth_batch_complete_min=1",
                    f"--iodepth_batch_complete_max={depth}"]
    if engine == "io_uring":
        command += ["--fixedbufs", "--registerfiles"]
    if row.pin:
        cpus = sorted(os.sched_getaffinity(0))[:options.workers]
        command += [f"--cpus_allowed={','.join(map(str, cpus))}",
                    "--cpus_allowed_policy=split"]
    return Contestant(f"fio {engine}", [command], fio=True)


def fio_run(command, patience):
    """The same figures from fio; the CPU time is that of all its processes,
    since its own account leaves out the threads it did not start itself."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    text, _ = output(command, patience=patience)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        found = json.loads(text[text.index("{"):])
        job = found["jobs"][0]
        count = job["read"]["total_ios"]
    except (ValueError, KeyError, IndexError) as error:
        raise Failed(f"fio: no report: {error}") from error
    cpu = (after.ru_utime + after.ru_stime - before.ru_utime
           - before.ru_stime)
    return [{"peer": "fio", "version": found.get("fio version"),
             "iops": job["read"]["iops"], "operations": count,
             "cpu_ns_per_op": cpu * 1e9 / max(count, 1),
             "errors": job["error"]}]


def mixed(field, row):
    common = _transfers(field, row, field.options.mixed_files[row.direct])
    common.append("--overwrite")
    # What the programs for the peers have built in.
    ours = common + ["--rw=randrw", "--rwmixread=70", "--fdatasync=64",
                     "--stuck=2ms", "--stuck_every=10ms"]
    # Not raw_pread: with one operation a thread it has no depth.
    filch = [field.own("filch"), "bench"] + ours
    # A commit is how one syncs with filch; the peers have none.
    return [Contestant("filch", [filch + ["--shared_sync=1"]]),
            Contestant("filch op_fdatasync", [filch]),
            Contestant("raw_uring", [[field.own("raw_uring")] + ours])
            ] + _io_peers(field, row, "mixed", common)


def wake(field, row):
    quick = field.options.quick
    # More where one takes a tenth of a millisecond, not one or several.
    samples = 5000 if row.bench in ("eventfd", "outside") else 2000
    common = [f"--workers={field.options.workers}",
              f"--samples={samples // 5 if quick else samples}",
              f"--seconds={1 if quick else 2}", f"--pin={row.pin}"]
    ours = [field.own("wake"), f"--rounds={2 if quick else 10}",
            "--output=json"] + common
    found = [Contestant("filch", [ours + [f"--bench={row.bench}"]])]
    if row.bench in ("eventfd", "timer"):
        found.append(Contestant(
            "plain thread", [ours + [f"--bench={row.bench}_raw"]]))
    if row.bench not in ("stuck", "across", "create"):
        found += [Contestant(peer, [[program, "wake", f"--bench={row.bench}"]
                                    + common])
                  for peer, program in field.built("wake")]
    return found


def memory(field, row):
    tasks = 100000 if field.options.quick else 1000000
    common = [f"--workers={field.options.workers}",
              f"--bench={row.bench}", f"--tasks={tasks}"]
    found = [Contestant("filch", [[field.own("wake"), "--output=json"]
                                  + common])]
    for peer, program in field.built("memory"):
        command = [program, "wake"] + common
        if row.bench == "flight" and peer not in ("uv", "asio"):
            # They tell it of reads: past the cache, so that they are in
            # flight.
            command = [program, "read", "--lat=0"] + _transfers(
                field, row, field.options.read_file)
            if peer.startswith("tokio"):
                # As many threads as a runtime of tokio's has at most, of
                # itself: more cost memory and nothing else.
                command.append("--blocking-threads=512")
        found.append(Contestant(peer, [command]))
    return found


COMMANDS = {"sched": sched, "read": read, "mixed": mixed, "wake": wake,
            "memory": memory}


def missing(contestant):
    """Whether the program is not there at all."""
    program = str(contestant.command[0])
    return "/" in program and not os.access(program, os.X_OK)

#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The engine of scripts/bench, with stubs in place of all programs: whom it
gives up and leaves out, which settings it chooses, whose turn it is."""
import contextlib
import io
import json
import os
import pathlib
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]
                       / "benchmarks"))
from bench import __main__ as engine  # noqa: E402
from bench import contestants, peers, report, workloads  # noqa: E402

OWN = ("filch", "raw_uring", "raw_pread", "sched", "sched_tbb")
# Of a peer that hangs: what others need does not matter, since our own
# programs are given more.
PATIENCE_S = 0.2
HANG = "exec tail -f /dev/null"


def answer(iops=5, p99=5, errors=0):
    """A program that says all that a row may be about."""
    return "echo '" + json.dumps(
        {"bench": "spawn", "ns_per_op": 5, "iops": iops, "errors": errors,
         "cpu_ns_per_op": 5, "lat_ns": {"p50": 5, "p99": p99, "p999": 5}}
    ) + "'"


class Engine(unittest.TestCase):
    def setUp(self):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        self.work = pathlib.Path(stack.enter_context(
            tempfile.TemporaryDirectory()))
        self.peers = self.work / "peers"
        for module in contestants, peers:
            stack.enter_context(mock.patch.object(
                module, "PEER_BIN", self.peers))
        stack.enter_context(mock.patch.object(engine, "BLOCK", 4096))
        stack.enter_context(mock.patch.object(
            engine.file, "takes_direct", lambda _: True))
        stack.enter_context(mock.patch.object(engine, "busy_share", float))
        stack.enter_context(mock.patch.object(
            report.Report, "plots", lambda *_: []))
        self.own = self.work / "own"
        for name in OWN:
            self.program(self.own / name, answer())

    def program(self, path, script):
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def peer(self, name, script):
        """It logs its arguments in NAME.runs."""
        self.program(self.peers / name,
                     f'echo "$@" >>"{self.work}/{name}.runs"\n{script}')

    def runs(self, name):
        return (self.work / f"{name}.runs").read_text().splitlines()

    def bench(self, *arguments):
        """The exit code; what it printed, and its lines, are kept."""
        argv = ["bench", *arguments, f"--bin={self.own}",
                f"--directory={self.work}", f"--output={self.work}"]
        out, err = io.StringIO(), io.StringIO()
        with mock.patch.object(sys, "argv", argv), \
                contextlib.redirect_stdout(out), \
                contextlib.redirect_stderr(err):
            status = engine.main()
        self.printed, self.said = out.getvalue(), err.getvalue()
        file, = self.work.glob("*.jsonl")
        self.lines = [json.loads(line)
                      for line in file.read_text().splitlines()]
        return status

    def programs(self, row):
        return {line["program"] for line in self.lines
                if line["row"] == row}

    def turns(self, row):
        """The programs of each round, in order."""
        rounds = {}
        for line in self.lines:
            if line["row"] == row:
                rounds.setdefault(line["round"], []).append(line["program"])
        return rounds

    def chosen(self, program, row):
        command, = {line["command"] for line in self.lines
                    if line["program"] == program and line["row"] == row}
        return command

    def test_a_peer_that_hangs_is_given_up_and_told(self):
        self.peer("rayon", HANG)
        with mock.patch.object(workloads, "PATIENCE_S", PATIENCE_S), \
                mock.patch.object(workloads, "PATIENCE_TIMES", 0):
            status = self.bench("--quick", "--only=sched", "--rounds=2",
                                "--peers=tbb,rayon")
        self.assertEqual(status, 0)
        for where in "free", "pinned":
            told = (f"\nFailed, and not tried again: sched {where}: rayon: "
                    "no end after 0 s\n")
            self.assertGreater(self.printed.find(told),
                               self.printed.find("oneTBB"))
            self.assertEqual(self.turns(f"sched {where} spawn").keys(), {0, 1})
            self.assertEqual(self.programs(f"sched {where} spawn"),
                             {"filch", "oneTBB"})
        self.assertEqual(self.said.count("rayon: no end after"), 2)
        with self.assertRaises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)

    def test_a_peer_has_longer_than_it_should_take(self):
        options = mock.Mock(seconds=2, quick=False)
        for row in workloads.rows("read", False):
            self.assertEqual(workloads.patience(row, options), 82)

    def test_our_own_program_that_hangs_fails_the_run(self):
        self.program(self.own / "sched", HANG)
        with mock.patch.object(engine, "PATIENCE_S", PATIENCE_S):
            status = self.bench("--quick", "--only=sched", "--peers=")
        self.assertEqual(status, 1)
        self.assertIn("again: sched free: sched: no end after", self.printed)

    def test_the_best_of_all_settings_takes_part(self):
        sizes = {2: 10, 4: 30, 16: 20, 64: 5}
        self.peer("uv", 'case "$1 $UV_THREADPOOL_SIZE" in\n' + "\n".join(
            f'"read {size}") {answer(iops)};;'
            for size, iops in sizes.items()) + f"\n*) {answer()};;\nesac")
        # More in a closed loop, and in an open one sooner.
        self.peer("asio", answer())
        self.peer("asio_ring", f"""case "$*" in
            *=shared*) {answer(iops=50, p99=1)};;
            *) {answer(iops=100, p99=9)};;
            esac""")
        self.assertEqual(self.bench("--quick", "--only=read,mixed",
                                    "--peers=uv,asio", "--rounds=2"), 0)
        for kind in "hot", "direct":
            self.assertTrue(self.chosen("uv", f"read {kind} QD 32 free")
                            .startswith("UV_THREADPOOL_SIZE=4 "))
            self.assertTrue(self.chosen("asio", f"mixed {kind} QD 32 free")
                            .endswith(" --contexts=each"))
            self.assertTrue(self.chosen(
                "asio", f"mixed open {kind} QD 32 free")
                .endswith(" --contexts=shared"))

    def test_a_setting_that_fails_is_not_chosen(self):
        self.peer("uv", f"""case "$* $UV_THREADPOOL_SIZE" in
            *verify*) {answer()};;
            *' 2') {answer(iops=20)};;
            *' 4') exit 3;;
            *' 16') echo '{{"iops":null}}';;
            *) {answer(iops=5)};;
            esac""")
        self.assertEqual(self.bench("--quick", "--only=read", "--peers=uv"),
                         0)
        self.assertTrue(self.chosen("uv", "read hot QD 32 free")
                        .startswith("UV_THREADPOOL_SIZE=2 "))
        self.assertIn("again: read hot QD 32 free: uv: exit 3: nothing said",
                      self.printed)
        self.assertIn("again: read hot QD 32 free: uv: does not say iops",
                      self.printed)

    def test_fio_maps_what_is_hot_alone(self):
        path = self.work / "path"
        said = json.dumps({"fio version": "fio-5", "jobs": [
            {"error": 0, "read": {"iops": 5, "total_ios": 5}}]})
        self.program(path / "fio", f"echo '{said}'")
        with mock.patch.dict(os.environ, PATH=f"{path}:{os.environ['PATH']}"):
            self.assertEqual(self.bench("--quick", "--only=read",
                                        "--peers=fio"), 0)
        self.assertIn("fio mmap", self.programs("read hot QD 32 free"))
        self.assertIn("--ioengine=mmap",
                      self.chosen("fio mmap", "read hot QD 32 free"))
        direct = self.programs("read direct QD 32 free")
        self.assertIn("fio psync", direct)
        self.assertNotIn("fio mmap", direct)

    def test_who_is_first_changes_and_odd_rounds_go_backwards(self):
        self.peer("rayon", answer())
        self.assertEqual(self.bench("--only=sched", "--rounds=3",
                                    "--peers=tbb,rayon"), 0)
        self.assertEqual(self.turns("sched free spawn"), {
            0: ["filch", "oneTBB", "rayon"],
            1: ["oneTBB", "filch", "rayon"],
            2: ["rayon", "filch", "oneTBB"]})
        self.assertEqual(self.turns("sched pinned spawn"), {
            0: ["oneTBB", "rayon", "filch"],
            1: ["rayon", "oneTBB", "filch"],
            2: ["filch", "oneTBB", "rayon"]})

    def test_a_peer_that_reads_other_bytes_is_left_out(self):
        self.peer("monoio", 'case "$*" in *verify*) echo "byte 5 differs" '
                  f">&2; exit 1;; esac; {answer(iops=1000)}")
        self.peer("compio", answer(errors=3))
        self.peer("glommio", answer())
        self.assertEqual(self.bench("--quick", "--only=read",
                                    "--peers=monoio,compio,glommio"), 0)
        stand = self.programs("read hot QD 32 free")
        self.assertLess({"filch", "raw_uring", "glommio"}, stand)
        self.assertFalse({"monoio", "compio"} & stand)
        self.assertIn("\nTook no part: monoio: monoio: exit 1: byte 5 differs",
                      self.printed)
        self.assertIn("\nTook no part: compio: read other bytes",
                      self.printed)
        self.assertEqual(len(self.runs("monoio")), 1)

    def test_what_is_read_past_the_cache_is_checked_too(self):
        self.peer("glommio", 'case "$*" in *direct=1*verify*) echo "byte 5 '
                  f'differs" >&2; exit 1;; esac; {answer(iops=1000)}')
        self.program(self.own / "raw_pread",
                     f'echo "$@" >>"{self.work}/raw_pread.runs"\n{answer()}')
        self.assertEqual(self.bench("--quick", "--only=read",
                                    "--peers=glommio"), 0)
        self.assertNotIn("glommio", self.programs("read hot QD 32 free"))
        self.assertIn("\nTook no part: glommio: glommio: exit 1: byte 5 "
                      "differs", self.printed)
        for name in "glommio", "raw_pread":
            checked = [line for line in self.runs(name)
                       if "--verify=1" in line and "--map" not in line]
            self.assertEqual([("--direct=0" in line, "--direct=1" in line)
                              for line in checked],
                             [(True, False), (False, True)])

    def test_past_the_cache_nothing_is_checked_where_that_is_unknown(self):
        self.peer("glommio", 'case "$*" in *direct=1*) exit 1;; esac; '
                  + answer())
        with mock.patch.object(engine.file, "takes_direct", lambda _: False):
            self.bench("--quick", "--only=read", "--peers=glommio")
        self.assertIn("glommio", self.programs("read hot QD 32 free"))
        self.assertIn("again: read direct QD 1 free: glommio: exit 1",
                      self.printed)

    def test_a_peer_that_crashes_is_told_and_not_tried_again(self):
        self.peer("rayon", "kill -SEGV $$")
        self.assertEqual(self.bench("--only=sched", "--rounds=2",
                                    "--peers=tbb,rayon"), 0)
        self.assertIn("again: sched free: rayon: Segmentation fault: nothing "
                      "said\n", self.printed)
        self.assertEqual(self.programs("sched free spawn"),
                         {"filch", "oneTBB"})
        self.assertEqual(len(self.runs("rayon")), 2)  # one a row

    def test_a_peer_that_says_no_figure_is_told(self):
        for script, word in (("", "rayon: does not say ns_per_op"),
                             ("echo '{}'", "rayon: does not say ns_per_op"),
                             ("echo no", "rayon: no JSON"),
                             (answer(errors=7), "rayon: 7 errors")):
            with self.subTest(script):
                for file in self.work.glob("*.jsonl"):
                    file.unlink()
                self.peer("rayon", script)
                self.assertEqual(self.bench("--quick", "--only=sched",
                                            "--peers=rayon"), 0)
                self.assertIn(f"again: sched free: {word}", self.printed)
                self.assertEqual(self.programs("sched free spawn"), {"filch"})

    def test_a_peer_that_cannot_do_a_row_is_told(self):
        self.peer("rayon", 'case "$*" in *pin=1*) exit 2;; esac; ' + answer())
        self.assertEqual(self.bench("--quick", "--only=sched",
                                    "--peers=rayon"), 0)
        self.assertIn("\nNot in sched pinned: rayon cannot do that.\n",
                      self.printed)
        self.assertEqual(self.programs("sched free spawn"),
                         {"filch", "rayon"})
        self.assertEqual(self.programs("sched pinned spawn"), {"filch"})

    def test_why_a_peer_was_not_built_is_told(self):
        self.peer("go", answer())
        (self.peers / "rayon.why").write_text("error: no network\n")
        (self.peers / "tokio.why").write_text("error: no compiler\n")
        self.assertEqual(self.bench(
            "--quick", "--only=sched",
            "--peers=go,rayon,tokio_mimalloc,asio"), 0)
        for label, reason in (
                ("rayon", "error: no network"),
                ("tokio_mimalloc", "error: no compiler"),
                ("asio", "Debian's python3-pip is not there")):
            self.assertIn(f"\nTook no part: {label}: {reason}\n",
                          self.printed)
            self.assertIn(f"bench: left out: {label}: {reason}\n", self.said)
        self.assertEqual(self.programs("sched free spawn"), {"filch", "go"})


if __name__ == "__main__":
    unittest.main()

# SPDX-License-Identifier: BSD-2-Clause
"""Programs that print JSON, their figures over the rounds, and the machine."""
import contextlib
import ctypes
import datetime
import json
import os
import pathlib
import platform
import signal
import statistics
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BLOCK = 1 << 20
# Far more than any program takes, under a sanitizer too: one that hangs is
# given up.  Peers are given less, see workloads.patience().
PATIENCE_S = 150
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


class Failed(Exception):
    """A program did not run to its end; the reason is its last words."""


class Refused(Failed):
    """A peer has no way to do this."""


class Samples:
    """All that a program said, by figure, over the rounds."""

    def __init__(self):
        self.values = {}

    def add(self, key, value):
        if value is not None:
            self.values.setdefault(key, []).append(value)

    def has(self, key):
        return bool(self.values.get(key))

    def median(self, key):
        return statistics.median(self.values[key])

    def text(self, key, scale=1.0, digits=0):
        """Median and spread, or a dash."""
        if not self.has(key):
            return "-"
        low, high = min(self.values[key]), max(self.values[key])
        middle = self.median(key)
        if low == high:
            return f"{middle / scale:.{digits}f}"
        return (f"{middle / scale:.{digits}f} ({low / scale:.{digits}f}"
                f"..{high / scale:.{digits}f})")


def words(command, env=None):
    """The command as one would type it, which is also its name."""
    return " ".join([f"{name}={value}" for name, value in (env or {}).items()]
                    + [str(part) for part in command])


def end_with_parent():
    """In a child: an interrupt may come before subprocess knows of it."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def output(command, env=None, patience=PATIENCE_S):
    """What a program prints on standard output and on standard error."""
    name = pathlib.Path(command[0]).name
    try:
        done = subprocess.run([str(part) for part in command], text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False,
                              timeout=patience, preexec_fn=end_with_parent,
                              env={**os.environ, **(env or {})})
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{name}: no end after {patience:.0f} s") from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()
                or "nothing said").splitlines()
        kind = Refused if done.returncode == 2 else Failed
        how = f"exit {done.returncode}" if done.returncode > 0 else \
            signal.strsignal(-done.returncode)
        raise kind(f"{name}: {how}: {said[-1]}")
    return done.stdout, done.stderr


def run(command, env=None, patience=PATIENCE_S):
    """The objects that a program prints, one a line."""
    try:
        return [json.loads(line)
                for line in output(command, env, patience)[0].splitlines()]
    except json.JSONDecodeError as error:
        raise Failed(f"{pathlib.Path(command[0]).name}: "
                     f"no JSON: {error}") from error


def cpu_model():
    try:
        for line in open("/proc/cpuinfo", encoding="utf-8"):
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def file_system(directory):
    """Its type, by the longest mount point above it."""
    path, best = os.path.realpath(directory), ("", "unknown")
    with contextlib.suppress(OSError):
        for line in open("/proc/mounts", encoding="utf-8"):
            _, point, kind, *_ = line.split()
            if os.path.commonpath([path, point]) == point and \
                    len(point) >= len(best[0]):
                best = (point, kind)
    return best[1]


def busy_share():
    """Of all CPUs' time, what others use: looked at for a second."""
    def times():
        with open("/proc/stat", encoding="utf-8") as stat:
            return [int(part) for part in stat.readline().split()[1:9]]
    try:
        before = times()
        time.sleep(1)
        spent = [now - then for now, then in zip(times(), before)]
    except (OSError, ValueError):
        return 0.0
    idle = spent[3] + spent[4]  # and waiting for a disk
    return 1 - idle / max(sum(spent), 1)


def commit():
    return subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty"],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        check=False).stdout.strip() or "no commit"


def machine():
    return (f"{datetime.date.today()}, {commit()}, {os.cpu_count()} x "
            f"{cpu_model()}, {platform.system()} {platform.release()}")

# SPDX-License-Identifier: BSD-2-Clause
"""Get the peers: Debian's packages, then what is built from source here.
What cannot be had is named, and the others go on."""
import os
import shutil
import subprocess
import sys

from .contestants import PACKAGES, PEER_BIN, PEERS
from .progress import say
from .runner import ROOT


def bash(script, *arguments):
    """Whether a script with the functions of needs.sh succeeds."""
    return subprocess.run(
        ["bash", "-euc", f". scripts/needs.sh\n{script}", "bench",
         *arguments], cwd=ROOT, stdin=subprocess.DEVNULL,
        stdout=sys.stderr, check=False).returncode == 0


def build_own():
    """Our own programs; without them there is nothing to compare."""
    return bash('need_packages "${build_packages[@]}"\n'
                'build_preset release -DFILCH_TESTS=OFF')


def get_packages(peers):
    """Each alone, so that one that is missing keeps nobody else away."""
    for peer in peers:
        if peer in PACKAGES and not bash('need_packages "$1"',
                                         PACKAGES[peer]):
            say(f"{peer}: Debian's {PACKAGES[peer]} cannot be installed")


def build_c(peers):
    """uv is linked to a libuv built here, or else to Debian's."""
    source = ROOT / "benchmarks/peers/c"
    if source.is_dir():
        if "uv" in peers:
            build_others(["libuv"])
        bash('quietly cmake -S benchmarks/peers/c -B build/peers/cmake '
             '-DCMAKE_BUILD_TYPE=Release\n'
             'quietly cmake --build build/peers/cmake -j "$(nproc)"')


def build_others(peers):
    """tokio and tokio_mimalloc are one crate, named for the first."""
    script = ROOT / "benchmarks/peers/build"
    if script.exists():
        names = dict.fromkeys(peer.split("_")[0] for peer in peers)
        subprocess.run([str(script), *names], cwd=ROOT, check=False,
                       stdin=subprocess.DEVNULL, stdout=sys.stderr)


def versions(peers):
    """Debian's, of those that come from there, and the compilers'; the others
    tell theirs."""
    found = {}
    for command in (["cc", "--version"], ["rustc", "--version"],
                    ["go", "version"]):
        if shutil.which(command[0]) is not None:
            found[command[0] + " compiler"] = subprocess.run(
                command, text=True, stdout=subprocess.PIPE, check=False,
                stderr=subprocess.DEVNULL).stdout.split("\n")[0]
    for peer in peers:
        if peer in PACKAGES and peer != "uv" and \
                shutil.which("dpkg-query") is not None:
            found[peer] = subprocess.run(
                ["dpkg-query", "-W", "-f", "${Version}", PACKAGES[peer]],
                text=True, stdout=subprocess.PIPE, check=False,
                stderr=subprocess.DEVNULL).stdout
    return found


def is_there(peer, own):
    if peer == "tbb":
        return os.access(os.path.join(own, "sched_tbb"), os.X_OK)
    if peer == "fio":
        return shutil.which("fio") is not None
    return os.access(PEER_BIN / peer, os.X_OK)


def get(wanted, own, build):
    """Those of the wanted peers that are there at last."""
    if build and not bash("need_packages gnuplot-nox"):
        say("no plots: Debian's gnuplot-nox cannot be installed")
    if build and wanted:
        get_packages(wanted)
        if any(PEERS[peer][0] == "c" for peer in wanted):
            build_c(wanted)
        others = [peer for peer in wanted if PEERS[peer][0] == "build"]
        if others:
            build_others(others)
    there = [peer for peer in wanted if is_there(peer, own)]
    absent = [peer for peer in wanted if peer not in there]
    if absent:
        say(f"without {', '.join(absent)}: not there")
    return there

# SPDX-License-Identifier: BSD-2-Clause
"""Get the peers: Debian's packages, then what is built from source here.
What cannot be had is named, and the others go on."""
import contextlib
import os
import shutil
import signal
import subprocess
import sys

from .contestants import PACKAGES, PEER_BIN, PEERS
from .progress import say
from .runner import ROOT


def carry_out(command):
    """Whether it succeeds; an interrupt ends all that it started, too."""
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL,
                          stdout=sys.stderr, start_new_session=True) as process:
        try:
            return process.wait() == 0
        except KeyboardInterrupt:
            os.killpg(process.pid, signal.SIGTERM)
            raise


def bash(script, *arguments):
    """Whether a script with the functions of needs.sh succeeds."""
    return carry_out(["bash", "-euc", f". scripts/needs.sh\n{script}",
                      "bench", *arguments])


def build_own():
    """Our own programs; without them there is nothing to compare."""
    return bash('need_packages "${library_packages[@]}"\n'
                'build_preset release -DFILCH_TESTS=OFF')


def get_packages(packages):
    """Each alone, so that one that is missing keeps nobody else away."""
    for package, purpose in packages:
        if not bash('need_packages "$1"', package):
            say(f"{purpose}: Debian's {package} cannot be installed")


def build_others(peers):
    """Those that are programs of ours, named as they are built."""
    names = [peer for peer in peers if PEERS[peer][0] == "build"]
    if names:
        carry_out([str(ROOT / "benchmarks/peers/build"), *names])


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
        if PEERS[peer][0] == "debian" and \
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


def get(wanted, counts):
    """Build what there is to build; whether our own programs are there."""
    packages = [(PACKAGES[peer], peer) for peer in wanted if peer in PACKAGES]
    if counts:
        packages += [("strace", "counts"), ("valgrind", "counts")]
    else:
        packages.append(("gnuplot-nox", "plots"))
    get_packages(packages)
    if not build_own():
        return False
    build_others(wanted)
    return True


def there(wanted, own):
    """Those of the wanted peers that are there at last."""
    found = [peer for peer in wanted if is_there(peer, own)]
    for peer in wanted:
        if peer not in found:
            say(f"left out: {peer}: {why_absent(peer)}")
    return found


def why_absent(peer):
    """What benchmarks/peers/build said of it."""
    # The second program of a crate is built with the first.
    for name in (peer, peer.removesuffix("_mimalloc")):
        with contextlib.suppress(OSError):
            return (PEER_BIN / f"{name}.why").read_text("utf-8").strip()
    return f"Debian's {PACKAGES[peer]} is not there" if peer in PACKAGES \
        else "is not built"

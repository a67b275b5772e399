# SPDX-License-Identifier: BSD-2-Clause
"""The file under test: what --verify knows.  It is locked in memory if it is
to be hot, since the kernel drops cached pages behind one's back."""
import contextlib
import ctypes
import errno
import mmap
import os
import resource
import tempfile

from .progress import say
from .runner import output


@contextlib.contextmanager
def make(field, size, lock, directory=None, by_page=False):
    """The name of a file of size bytes, there for as long as the context.  By
    page: it is cached as random access leaves it, not in the large pieces of
    the cache that filling it makes."""
    with tempfile.NamedTemporaryFile(
            dir=directory or field.options.directory,
            prefix="bench.") as made:
        os.posix_fallocate(made.fileno(), 0, size)
        # Verified writing fills the file with what verified reading expects.
        output([field.own("raw_pread"), "--rw=write", "--verify",
                "--overwrite", "--number_ios=1", f"--size={size}",
                f"--seed={field.options.seed}", made.name])
        if by_page or not lock:
            os.fsync(made.fileno())
            os.posix_fadvise(made.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        with locked(made.fileno(), size, by_page) if lock \
                else contextlib.nullcontext():
            yield made.name


def takes_direct(name):
    """Whether its file system knows O_DIRECT."""
    try:
        os.close(os.open(name, os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC))
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return False
    return True


def settle(name):
    """Write back what the program before left dirty, not at the next one's
    expense."""
    descriptor = os.open(name, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(descriptor, size, by_page):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int,
                          ctypes.c_int, ctypes.c_int, ctypes.c_long)
    libc.mlock.argtypes = libc.munmap.argtypes = (ctypes.c_void_p,
                                                  ctypes.c_size_t)
    libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_MEMLOCK,
                           (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    address = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED,
                        descriptor, 0)
    if by_page and address not in (None, ctypes.c_void_p(-1).value):
        libc.madvise(address, size, mmap.MADV_RANDOM)
    if address in (None, ctypes.c_void_p(-1).value) or \
            libc.mlock(address, size) != 0:
        say("the file cannot be locked in memory (see ulimit -l), so hot rows "
            "may meet the disk: " + os.strerror(ctypes.get_errno()))
    try:
        yield
    finally:
        if address not in (None, ctypes.c_void_p(-1).value):
            libc.munmap(address, size)

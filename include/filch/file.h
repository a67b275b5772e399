/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files: a descriptor and what filch has learnt about it.
 */
#ifndef FILCH_FILE_H
#define FILCH_FILE_H

#include <stdbool.h>

#include "base.h"

FILCH_BEGIN_DECLS

/*
 * An open file.  fd may be read by the user; -1 when closed.  It may be shared
 * by any number of operations at once, of several tasks; it is pinned while
 * one is in flight.
 */
struct filch_file {
	int fd;
	struct {
		uint32_t flags;
		int32_t fixed_index;
		int32_t poison;
		uint32_t inline_misses;
		uint32_t inline_hits;
		void *syncing;
		void *mapping;
		size_t mapping_size;
	} priv;
};

/* What O_DIRECT asks of a file. */
struct filch_alignment {
	size_t memory; /* bytes; of the address of a buffer */
	size_t offset; /* bytes; of the offset and the length */
};

/* A closed file, for an open operation to fill. */
#define FILCH_FILE_INIT                                                        \
	{                                                                      \
		.fd = -1, .priv = {.fixed_index = -1 }                         \
	}

/*
 * Wrap a descriptor that the caller opened, and look at its kind and flags
 * (fstat(2), fcntl(2)).  The caller still owns fd: closing it remains his, or
 * a close operation's.  A file that is no longer needed needs no ending, but
 * what was registered or mapped is to be undone.
 *
 * Returns  0; -EBADF fd is not open.
 * Memory   what *file held before does not matter.
 * Threads  any that has the file to itself.
 */
FILCH_NODISCARD FILCH_API int filch_file_init(struct filch_file *file, int fd);

/*
 * The alignment that O_DIRECT transfers on file need: what the system tells
 * (Linux statx(2) STATX_DIOALIGN, 6.1), else the file system's block size,
 * which is always enough.
 *
 * Returns  0; -EBADF; -EOPNOTSUPP the file does not take O_DIRECT.
 * Threads  any.  It makes system calls, and may wait for the disk.
 */
FILCH_NODISCARD FILCH_API int filch_file_alignment(
    const struct filch_file *file, struct filch_alignment *ret_alignment);

/*
 * Register file with the driver so that operations on it skip the lookup of
 * its descriptor (io_uring fixed files).
 *
 * Returns  0; -EOPNOTSUPP the driver has no such thing (operations work all
 *          the same); -ENFILE FILCH_FIXED_FILES_MAX are registered; -EBADF;
 *          -EALREADY; -EMFILE RLIMIT_NOFILE is below FILCH_FIXED_FILES_MAX;
 *          -ENOMEM.
 * Memory   until it is unregistered, file is used with this executor only.
 * Threads  any; no operation on file may be in flight.
 */
FILCH_NODISCARD FILCH_API int filch_file_register(
    struct filch_executor *executor, struct filch_file *file);

/*
 * Undo it, before the descriptor is closed and the executor destroyed.  It
 * does nothing where file is not registered.
 *
 * Threads  as filch_file_register().
 */
FILCH_API void filch_file_unregister(
    struct filch_executor *executor, struct filch_file *file);

/*
 * Have file, a hot one, read through a mapping of it (mmap(2)): a read is then
 * a copy on the worker, without a system call, at about half of pread's cost.
 * It is for files that stay in the page cache, or are locked there; a page that
 * is not makes the worker wait for the disk.  Reads go so that lie within what
 * the file was when it was mapped, as long as its pages prove to be cached; the
 * system is asked for that in one of 64 reads, or, where it cannot tell (Linux
 * can on most file systems), file is believed to be.  Never those with
 * FILCH_OP_NO_INLINE, nor with inline_io_off.  A buffer that cannot be written
 * is a fault of the program's, not -EFAULT.
 *
 * Writes by other descriptors are seen as far as the file system keeps its
 * mappings up to date: local ones do, but not overlayfs for a file that it
 * copies for its first writer, nor NFS for those of other hosts.
 *
 * The file is not to become shorter.  If it does all the same, reads of whole
 * pages past its end are noticed and end as they should, but in the last page
 * zeros are read up to its end.  So is what the disk cannot read: both raise
 * SIGBUS, for which there is a handler of filch's from the first call on.  (In
 * FreeBSD before 13 it may be SIGSEGV, which is the program's.)  It passes on
 * what is not filch's to the handler there was, without that one's mask and
 * flags but SA_RESETHAND; one that a program installs later must do the same,
 * or such a fault is the program's.  From then on a shared filch is not to be
 * unloaded (dlclose(3)).
 *
 * Returns  0; -EALREADY; -EBADF; -EACCES not open for reading; -ENODEV no
 *          regular file, or none that can be mapped; -EINVAL it is empty, or
 *          open for O_DIRECT; -EOVERFLOW, -ENOMEM it does not fit the address
 *          space; -EAGAIN it would be locked (mlockall(2)) past the limit;
 *          -EIO and the like, of fstat(2).
 * Memory   address space of the size of the file, and page tables: 8 bytes a
 *          page read.
 * Threads  any; no operation on file may be in flight, and during the first
 *          call of all no other thread changes what SIGBUS does.
 */
FILCH_NODISCARD FILCH_API int filch_file_map(struct filch_file *file);

/*
 * Undo it, before the descriptor is closed.  It does nothing where file is not
 * mapped.  To have what the file has grown by mapped too: undo it, and map it
 * again.
 *
 * Threads  as filch_file_map().
 */
FILCH_API void filch_file_unmap(struct filch_file *file);

/*
 * 0, or the error of the first sync of file that failed in a commit: the
 * kernel may have dropped the pages it could not write, so a later sync that
 * succeeds would prove nothing.  Open the file anew and replay.
 *
 * Threads  any.
 */
FILCH_API int filch_file_poison(const struct filch_file *file);

FILCH_END_DECLS

#endif /* FILCH_FILE_H */

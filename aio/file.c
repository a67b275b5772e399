/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files: what a descriptor is, and what filch does with it besides I/O.
 *
 * The #ifs of this file ask for features (macros that the system's headers
 * define with them), never for a system.
 */
#include <filch/file.h>

#include <sys/types.h>

#include <sys/ioctl.h>
#include <sys/stat.h>

#if defined(__has_include)
#if __has_include(<sys/disk.h>)
#include <sys/disk.h>
#endif
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "../include/private/assert.h"
#include "../include/private/atomic.h"
#include "../include/private/executor_link.h"
#include "../include/private/file_flags.h"
#include "../reactor/mapping.h"
#include "../reactor/reactor.h"

static uint32_t flags_of(int fd, mode_t mode, int status);
static unsigned disk_sector(int fd);
static int alignment_told(int fd, struct filch_alignment *ret_alignment);
static bool direct_is_refused(int fd, int status);

int
filch_file_init(struct filch_file *file, int fd)
{
	struct stat stat;
	int status;

	if (fstat(fd, &stat) < 0) {
		return (-errno);
	}
	status = fcntl(fd, F_GETFL);
	if (status < 0) {
		return (-errno);
	}
	file->fd = fd;
	file->priv.flags = flags_of(fd, stat.st_mode, status);
	/* some systems seek on a terminal, to no effect */
	if ((file->priv.flags & FILCH__FILE_POLLABLE) != 0 &&
	    (lseek(fd, 0, SEEK_CUR) < 0 || isatty(fd) == 1)) {
		file->priv.flags |= FILCH__FILE_STREAM;
	}
	file->priv.fixed_index = -1;
	file->priv.poison = 0;
	file->priv.inline_misses = 0;
	file->priv.inline_hits = 0;
	file->priv.syncing = NULL;
	file->priv.mapping = NULL;
	file->priv.mapping_size = 0;
	return (0);
}

int
filch_file_alignment(
    const struct filch_file *file, struct filch_alignment *ret_alignment)
{
	struct stat stat;
	size_t size;
	int rc;
	int status = fcntl(file->fd, F_GETFL);

	if (status < 0 || fstat(file->fd, &stat) < 0) {
		return (-errno);
	}
	if ((file->priv.flags & (FILCH__FILE_REGULAR | FILCH__FILE_BLOCK)) ==
	    0) {
		return (-EOPNOTSUPP);
	}
	size = S_ISCHR(stat.st_mode) ? disk_sector(file->fd) : 0;
	if (size > 0) {
		ret_alignment->memory = size;
		ret_alignment->offset = size;
		return (0);
	}
	rc = alignment_told(file->fd, ret_alignment);
	if (rc != -ENOSYS) {
		return (rc);
	}
	if (direct_is_refused(file->fd, status)) {
		return (-EOPNOTSUPP);
	}
	/* not less than a sector, whatever a strange file system says */
	size = stat.st_blksize < 512 ? 512 : (size_t)stat.st_blksize;
	ret_alignment->memory = size;
	ret_alignment->offset = size;
	return (0);
}

int
filch_file_register(struct filch_executor *executor, struct filch_file *file)
{
	struct filch__reactor *reactor = filch__executor_reactor(executor);
	int index;

	if (file->fd < 0) {
		return (-EBADF);
	}
	if (file->priv.fixed_index >= 0) {
		return (-EALREADY);
	}
	if (reactor->driver->file_register == NULL) {
		return (-EOPNOTSUPP);
	}
	index = reactor->driver->file_register(reactor, file->fd);
	if (index < 0) {
		return (index);
	}
	file->priv.fixed_index = index;
	return (0);
}

void
filch_file_unregister(struct filch_executor *executor, struct filch_file *file)
{
	struct filch__reactor *reactor = filch__executor_reactor(executor);

	if (file->priv.fixed_index >= 0) {
		filch__assert(reactor->driver->file_unregister != NULL);
		reactor->driver->file_unregister(
		    reactor, file->priv.fixed_index);
		file->priv.fixed_index = -1;
	}
}

int
filch_file_map(struct filch_file *file)
{
	if (file->fd < 0) {
		return (-EBADF);
	}
	if (file->priv.mapping != NULL) {
		return (-EALREADY);
	}
	if ((file->priv.flags & FILCH__FILE_REGULAR) == 0) {
		return (-ENODEV);
	}
	if ((file->priv.flags & FILCH__FILE_DIRECT) != 0) {
		return (-EINVAL);
	}
	return (filch__mapping_open(file));
}

void
filch_file_unmap(struct filch_file *file)
{
	if (file->priv.mapping != NULL) {
		filch__mapping_close(file);
	}
}

int
filch_file_poison(const struct filch_file *file)
{
	/* [CM3] pairs with file_set_poison */
	return ((int)filch__u32_load_acquire(
	    (const filch__u32 *)&file->priv.poison));
}

static uint32_t
flags_of(int fd, mode_t mode, int status)
{
	uint32_t flags = 0;

	if (S_ISREG(mode)) {
		flags |= FILCH__FILE_REGULAR;
	} else if (S_ISBLK(mode) || (S_ISCHR(mode) && disk_sector(fd) > 0)) {
		mode = S_IFBLK;
		flags |= FILCH__FILE_BLOCK;
	} else if (!S_ISDIR(mode)) {
		flags |= FILCH__FILE_POLLABLE;
	}
	if (S_ISSOCK(mode)) {
		flags |= FILCH__FILE_SOCKET;
	}
	if (S_ISCHR(mode)) {
		flags |= FILCH__FILE_CHARACTER;
	}
#ifdef O_DIRECT
	if ((status & O_DIRECT) != 0) {
		flags |= FILCH__FILE_DIRECT;
	}
#endif
	if ((status & O_NONBLOCK) != 0) {
		flags |= FILCH__FILE_NONBLOCK;
	}
	return (flags);
}

/*
 * The bytes of a sector, if fd is a disk that the system shows as a character
 * device; 0 if it is anything else.
 */
static unsigned
disk_sector(int fd)
{
#if defined(DIOCGSECTORSIZE)
	unsigned size;

	if (ioctl(fd, DIOCGSECTORSIZE, &size) == 0) {
		return (size);
	}
#else
	(void)fd;
#endif
	return (0);
}

/*
 * What the system tells.  Returns 0; -EOPNOTSUPP it tells that the file takes
 * no O_DIRECT; -ENOSYS it tells nothing.
 */
static int
alignment_told(int fd, struct filch_alignment *ret_alignment)
{
#ifdef STATX_DIOALIGN
	struct statx told;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &told) == 0 &&
	    (told.stx_mask & STATX_DIOALIGN) != 0) {
		if (told.stx_dio_mem_align == 0 ||
		    told.stx_dio_offset_align == 0) {
			return (-EOPNOTSUPP);
		}
		ret_alignment->memory = told.stx_dio_mem_align;
		ret_alignment->offset = told.stx_dio_offset_align;
		return (0);
	}
#else
	(void)fd;
	(void)ret_alignment;
#endif
	return (-ENOSYS);
}

/*
 * True if the file is known not to take O_DIRECT: it is opened anew, through
 * its descriptor, where the system has a way to do that.
 */
static bool
direct_is_refused(int fd, int status)
{
#ifdef O_DIRECT
	char path[64];
	int again;

	if ((status & O_DIRECT) != 0) {
		return (false);
	}
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, (status & O_ACCMODE) | O_DIRECT | O_CLOEXEC);
	if (again < 0) {
		return (errno == EINVAL || errno == EOPNOTSUPP);
	}
	close(again);
	return (false);
#else
	(void)fd;
	(void)status;
	return (true);
#endif
}

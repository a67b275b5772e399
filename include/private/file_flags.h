/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What filch_file_init() learns about a descriptor: file->priv.flags.
 *
 * They steer which way an operation goes: a flag that has become stale (fcntl
 * F_SETFL behind our back) costs speed, or the chance to cancel, never a wrong
 * result.  FILCH__FILE_STREAM alone decides a result, and cannot become stale.
 */
#ifndef FILCH_PRIVATE_FILE_FLAGS_H
#define FILCH_PRIVATE_FILE_FLAGS_H

enum {
	FILCH__FILE_REGULAR = 1 << 0, /* S_ISREG */
	/* S_ISBLK; or a disk that is S_ISCHR, as all are on FreeBSD. */
	FILCH__FILE_BLOCK = 1 << 1,
	/*
	 * It may make its user wait for somebody else, and poll(2) tells when:
	 * all that is neither a regular file, nor a block device, nor a
	 * directory (FIFO, socket, character device, eventfd and the like).
	 */
	FILCH__FILE_POLLABLE = 1 << 2,
	FILCH__FILE_SOCKET = 1 << 3,   /* S_ISSOCK; POLLABLE too */
	FILCH__FILE_DIRECT = 1 << 4,   /* O_DIRECT */
	FILCH__FILE_NONBLOCK = 1 << 5, /* O_NONBLOCK */
	/* S_ISCHR but no disk; POLLABLE too, though many are always ready. */
	FILCH__FILE_CHARACTER = 1 << 6,
	/* POLLABLE, and has no offsets: no lseek(2), or a terminal. */
	FILCH__FILE_STREAM = 1 << 7
};

#endif /* FILCH_PRIVATE_FILE_FLAGS_H */

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading a file by copying from a mapping of it.
 *
 * A page that cannot be had, since the file has become shorter or the disk
 * fails, raises SIGBUS in the thread that copies.  A handler, there from the
 * first mapping on, takes that thread back to before the copy; the read is then
 * carried out by a system call, which tells what is wrong.  Every other SIGBUS
 * goes to who handled it before.
 *
 * Together  any readers of one mapping; closing it is alone with it.
 */
#ifndef FILCH_REACTOR_MAPPING_H
#define FILCH_REACTOR_MAPPING_H

#include <filch/op.h>

#include <stdbool.h>

/*
 * Map the whole of file, and have SIGBUS handled.  Returns 0; -EACCES it is not
 * open for reading; -EINVAL it is empty; -EOVERFLOW it does not fit the
 * address space; what else mmap(2) says.
 */
int filch__mapping_open(struct filch_file *file);

/* Unmap it; it is mapped. */
void filch__mapping_close(struct filch_file *file);

/*
 * Copy what op, a read or readv of a mapped file, asks for; waits for the disk
 * where a page is not in memory.  False if op does not lie within the mapping,
 * or a page could not be had: op has then still to be carried out.
 */
bool filch__mapping_read(const struct filch_op *op, int64_t *ret_result);

#endif /* FILCH_REACTOR_MAPPING_H */

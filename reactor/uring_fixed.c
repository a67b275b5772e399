/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * io_uring: registered files and memory.  Every ring has a table of its own;
 * an index means the same in all of them.
 */
#include <errno.h>

#include "uring.h"

static int
slot_take(bool *used, int count)
{
	int i;

	for (i = 0; i < count; i++) {
		if (!used[i]) {
			used[i] = true;
			return (i);
		}
	}
	return (-ENFILE);
}

/* Make the empty tables on every ring, once.  Lock held. */
static int
tables_make(struct filch__reactor *reactor, bool files)
{
	struct filch__uring *driver = reactor->driver_state;
	bool *made = files ? &driver->files_sparse : &driver->memory_sparse;
	unsigned i;
	int result;

	for (i = 0; !*made && i < reactor->options.shard_count; i++) {
		struct io_uring *ring = &driver->shards[i].ring;

		result = files ? io_uring_register_files_sparse(
				     ring, FILCH_FIXED_FILES_MAX)
			       : io_uring_register_buffers_sparse(
				     ring, FILCH_FIXED_POOLS_MAX);
		/* -EBUSY: made by an attempt that failed at a later ring */
		if (result < 0 && result != -EBUSY) {
			return (result == -EINVAL ? -EOPNOTSUPP : result);
		}
	}
	*made = true;
	return (0);
}

static int
uring_file_set(struct filch__reactor *reactor, int index, int fd)
{
	struct filch__uring *driver = reactor->driver_state;
	unsigned i;
	int result;

	for (i = 0; i < reactor->options.shard_count; i++) {
		result = io_uring_register_files_update(
		    &driver->shards[i].ring, (unsigned)index, &fd, 1);
		if (result < 0) {
			return (result);
		}
	}
	return (0);
}

int
filch__uring_file_register(struct filch__reactor *reactor, int fd)
{
	struct filch__uring *driver = reactor->driver_state;
	int index;
	int result;

	filch__lock_take(&driver->lock);
	index = tables_make(reactor, true);
	if (index == 0) {
		index = slot_take(driver->file_used, FILCH_FIXED_FILES_MAX);
	}
	if (index >= 0) {
		result = uring_file_set(reactor, index, fd);
		if (result < 0) {
			(void)uring_file_set(reactor, index, -1);
			driver->file_used[index] = false;
			index = result;
		}
	}
	filch__lock_leave(&driver->lock);
	return (index);
}

void
filch__uring_file_unregister(struct filch__reactor *reactor, int index)
{
	struct filch__uring *driver = reactor->driver_state;

	filch__lock_take(&driver->lock);
	(void)uring_file_set(reactor, index, -1);
	driver->file_used[index] = false;
	filch__lock_leave(&driver->lock);
}

static int
uring_memory_set(
    struct filch__reactor *reactor, int index, void *memory, size_t size)
{
	struct filch__uring *driver = reactor->driver_state;
	struct iovec iov = { .iov_base = memory, .iov_len = size };
	__u64 tag = 0;
	unsigned i;
	int result;

	for (i = 0; i < reactor->options.shard_count; i++) {
		result = io_uring_register_buffers_update_tag(
		    &driver->shards[i].ring, (unsigned)index, &iov, &tag, 1);
		if (result < 0) {
			return (result);
		}
	}
	return (0);
}

int
filch__uring_memory_register(
    struct filch__reactor *reactor, void *memory, size_t size)
{
	struct filch__uring *driver = reactor->driver_state;
	int index;
	int result;

	filch__lock_take(&driver->lock);
	index = tables_make(reactor, false);
	if (index == 0) {
		index = slot_take(driver->memory_used, FILCH_FIXED_POOLS_MAX);
	}
	if (index >= 0) {
		result = uring_memory_set(reactor, index, memory, size);
		if (result < 0) {
			(void)uring_memory_set(reactor, index, NULL, 0);
			driver->memory_used[index] = false;
			index = result;
		}
	}
	filch__lock_leave(&driver->lock);
	return (index);
}

void
filch__uring_memory_unregister(struct filch__reactor *reactor, int index)
{
	struct filch__uring *driver = reactor->driver_state;

	filch__lock_take(&driver->lock);
	(void)uring_memory_set(reactor, index, NULL, 0);
	driver->memory_used[index] = false;
	filch__lock_leave(&driver->lock);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file under test.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "interrupt.h"
#include "workload.h"

#define FILL_SIZE ((uint64_t)1 << 20)

static int file_open(struct workload *);
static int file_make(struct workload *);
static int file_fill(struct workload *);
static int file_map(struct workload *);

int
workload_complain(
    const struct workload *workload, const char *operation, int error)
{
	fprintf(stderr, "%s: %s: %s: %s\n", workload->program,
	    workload->filename, operation, strerror(error));
	return (WORKLOAD_FAILED);
}

int
workload_open(struct workload *workload)
{
	int status;

	if (workload->filename != NULL &&
	    access(workload->filename, F_OK) == 0) {
		status = file_open(workload);
	} else {
		status = file_make(workload);
	}
	if (status == 0 && (workload->lock || workload->map)) {
		status = file_map(workload);
	}
	if (status == 0 && workload->direct) {
		int flags = fcntl(workload->fd, F_GETFL);

		if (fcntl(workload->fd, F_SETFL, flags | O_DIRECT) != 0) {
			status = workload_complain(workload, "O_DIRECT", errno);
		}
	}
	return (status);
}

void
workload_close(struct workload *workload)
{
	if (workload->mapping != NULL) {
		munmap(workload->mapping, workload->size);
	}
	if (workload->fd >= 0) {
		close(workload->fd);
	}
}

static int
refuse(const struct workload *workload, const char *rule)
{
	fprintf(stderr, "%s: --filename: %s %s\n", workload->program,
	    workload->filename, rule);
	return (WORKLOAD_USAGE);
}

/* A file that was there; its size bounds the run. */
static int
file_open(struct workload *workload)
{
	struct stat status;
	bool writes = workload->rw != RW_RANDREAD && workload->rw != RW_READ;

	if (writes && !workload->overwrite) {
		return (refuse(
		    workload, "exists and --rw writes: add --overwrite"));
	}
	workload->fd =
	    open(workload->filename, (writes ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	if (workload->fd < 0 || fstat(workload->fd, &status) != 0) {
		return (workload_complain(workload, "open", errno));
	}
	if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode)) {
		return (refuse(workload, "must be a file or a block device"));
	}
	/* Unlike stat it knows the size of devices too. */
	off_t end = lseek(workload->fd, 0, SEEK_END);
	if (end < 0) {
		return (workload_complain(workload, "lseek", errno));
	}
	if ((uint64_t)end < workload->size) {
		workload->size =
		    (uint64_t)end - (uint64_t)end % workload->block_size;
	}
	if (workload->size == 0) {
		return (refuse(workload, "is smaller than --bs"));
	}
	/* What is read back must be known, and it may be overwritten. */
	return (writes && workload->verify ? file_fill(workload) : 0);
}

/*
 * A file of ours loses its name at once and lives as long as it is open:
 * nothing is left behind even by SIGKILL.
 */
static int
file_make(struct workload *workload)
{
	if (workload->filename == NULL) {
		strcpy(workload->temporary, "filch-bench.XXXXXX");
		workload->filename = workload->temporary;
		workload->fd = mkstemp(workload->temporary);
	} else {
		workload->fd = open(workload->filename,
		    O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	}
	if (workload->fd < 0) {
		return (workload_complain(workload, "create", errno));
	}
	if (unlink(workload->filename) != 0) {
		return (workload_complain(workload, "unlink", errno));
	}
	return (file_fill(workload));
}

static int
file_fill(struct workload *workload)
{
	bool progress = isatty(STDERR_FILENO) == 1;
	uint64_t offset = 0;
	void *buffer = malloc(FILL_SIZE);

	if (buffer == NULL) {
		return (workload_complain(workload, "fill", ENOMEM));
	}
	while (offset < workload->size && !tool_interrupted()) {
		uint64_t size = workload->size - offset;

		size = size < FILL_SIZE ? size : FILL_SIZE;
		workload_fill(workload, buffer, offset, size);
		ssize_t n = pwrite(workload->fd, buffer, size, (off_t)offset);
		if (n == 0 || (n < 0 && errno != EINTR)) {
			int error = n < 0 ? errno : ENOSPC;

			free(buffer);
			return (workload_complain(workload, "write", error));
		}
		/* The pattern is made of words: resume on a whole one. */
		offset += n < 0 ? 0 : (uint64_t)n & ~(uint64_t)7;
		if (progress) {
			fprintf(stderr, "\rwriting %s: %u %%",
			    workload->filename,
			    (unsigned)(offset * 100 / workload->size));
		}
	}
	if (progress) {
		fputs("\r\033[K", stderr);
	}
	free(buffer);
	if (tool_interrupted()) {
		return (WORKLOAD_INTERRUPTED);
	}
	if (fsync(workload->fd) != 0) {
		return (workload_complain(workload, "fsync", errno));
	}
	return (0);
}

/* A locked mapping keeps the pages in the cache whatever else runs. */
static int
file_map(struct workload *workload)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
	void *map =
	    mmap(NULL, workload->size, PROT_READ, MAP_SHARED, workload->fd, 0);
	if (map == MAP_FAILED) {
		return (workload_complain(workload, "mmap", errno));
	}
	workload->mapping = map;
	if (!workload->lock) {
		return (0);
	}
	/* Without the right to raise it, mlock below tells the story. */
	(void)setrlimit(RLIMIT_MEMLOCK, &limit);
	if (mlock(map, workload->size) != 0) {
		return (workload_complain(workload, "mlock", errno));
	}
	return (0);
}

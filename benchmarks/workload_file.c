/* SPDX-License-Identifier: BSD-2-Clause */
/* The file under test: made, filled, locked in memory, removed. */
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "workload.h"

#define FILL_BYTES ((size_t)1 << 20)

/* The one global: a signal handler has no other way to speak. */
static volatile sig_atomic_t interrupted;

static void
on_signal(int number)
{
	(void)number;
	interrupted = 1;
}

bool
workload_interrupted(void)
{
	return interrupted != 0;
}

void
workload_complain(const struct workload_options *o, const char *path,
    const char *operation, int error)
{
	fprintf(stderr, "%s: %s: %s: %s\n", o->program, path, operation,
	    strerror(error));
}

static _Noreturn void
fail(struct workload_file *f, const struct workload_options *o,
    const char *operation, int error)
{
	workload_complain(o, f->path, operation, error);
	workload_file_close(f);
	exit(1);
}

/* A good mixer, so that no two offsets or seeds look alike. */
static uint64_t
word_at(uint64_t index, uint64_t seed)
{
	uint64_t x = (index ^ (seed << 40)) * UINT64_C(0x9e3779b97f4a7c15);

	x ^= x >> 29;
	x *= UINT64_C(0xd6e8feb86659fd93);
	return x ^ (x >> 32) ^ seed;
}

void
workload_fill(void *buffer, size_t length, uint64_t offset, uint64_t seed)
{
	uint64_t *words = buffer;
	size_t i;

	for (i = 0; i < length / 8; i++) {
		words[i] = word_at(offset / 8 + i, seed);
	}
}

bool
workload_check(const void *buffer, size_t length, uint64_t offset,
    uint64_t seed)
{
	const uint64_t *words = buffer;
	uint64_t wrong = 0;
	size_t i;

	for (i = 0; i < length / 8; i++) {
		wrong |= words[i] ^ word_at(offset / 8 + i, seed);
	}
	return wrong == 0;
}

static void
fill_file(struct workload_file *f, const struct workload_options *o)
{
	void *buffer = NULL;
	uint64_t at = 0;
	int fd;

	fd = open(f->path, O_WRONLY | O_CLOEXEC);
	if (fd < 0) {
		fail(f, o, "open", errno);
	}
	if (ftruncate(fd, (off_t)f->size) != 0) {
		fail(f, o, "truncate", errno);
	}
	if (posix_memalign(&buffer, 4096, FILL_BYTES) != 0) {
		fail(f, o, "allocate", ENOMEM);
	}
	while (at < f->size && !workload_interrupted()) {
		size_t want = FILL_BYTES;
		ssize_t got;

		if (f->size - at < want) {
			want = (size_t)(f->size - at);
		}
		workload_fill(buffer, want, at, o->seed);
		got = pwrite(fd, buffer, want, (off_t)at);
		if (got <= 0 && errno != EINTR) {
			fail(f, o, "write", got == 0 ? EIO : errno);
		}
		/* A short write may end in mid-word; redo that word. */
		at += got > 0 ? (uint64_t)got & ~UINT64_C(7) : 0;
	}
	free(buffer);
	/* Later writeback would disturb what is measured. */
	if (fsync(fd) != 0) {
		fail(f, o, "fsync", errno);
	}
	close(fd);
}

/* Makes the file, or takes an existing one as the options allow. */
static void
create(struct workload_file *f, const struct workload_options *o)
{
	bool writes = o->rw != WORKLOAD_READ && o->rw != WORKLOAD_RANDREAD;
	struct stat st;
	int fd;

	if (o->filename == NULL) {
		snprintf(f->path, sizeof(f->path), "filch-bench.XXXXXX");
		fd = mkostemp(f->path, O_CLOEXEC);
	} else {
		snprintf(f->path, sizeof(f->path), "%s", o->filename);
		fd = open(f->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
		    0600);
	}
	if (fd >= 0) {
		f->made = true;
		close(fd);
		fill_file(f, o);
		return;
	}
	if (o->filename == NULL || errno != EEXIST) {
		fail(f, o, "create", errno);
	}
	if (o->overwrite) {
		fill_file(f, o);
		return;
	}
	if (writes || o->verify) {
		fprintf(stderr, "%s: --%s: must have --overwrite with an "
		    "existing file (%s)\n", o->program,
		    writes ? "rw" : "verify", f->path);
		exit(2);
	}
	if (stat(f->path, &st) != 0) {
		fail(f, o, "stat", errno);
	}
	if ((uint64_t)st.st_size < f->size) {
		f->size = (uint64_t)st.st_size;
	}
	if (f->size < o->bs) {
		fprintf(stderr, "%s: --bs: must not exceed the file (%s)\n",
		    o->program, f->path);
		exit(2);
	}
}

static void
lock(struct workload_file *f, const struct workload_options *o)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
	void *map;

	/* Refusal is harmless where the old limit is enough; mlock tells. */
	(void)setrlimit(RLIMIT_MEMLOCK, &limit);
	map = mmap(NULL, f->size, PROT_READ, MAP_SHARED, f->fd, 0);
	if (map == MAP_FAILED) {
		fail(f, o, "mmap", errno);
	}
	f->map = map;
	if (mlock(map, f->size) != 0) {
		fail(f, o, "mlock", errno);
	}
}

void
workload_file_open(struct workload_file *f, const struct workload_options *o)
{
	bool writes = o->rw != WORKLOAD_READ && o->rw != WORKLOAD_RANDREAD;
	struct sigaction action = { .sa_handler = on_signal };

	*f = (struct workload_file){ .fd = -1, .size = o->size };
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	create(f, o);
	f->fd = open(f->path,
	    (writes ? O_RDWR : O_RDONLY) | O_CLOEXEC |
		(o->direct ? O_DIRECT : 0));
	if (f->fd < 0) {
		fail(f, o, "open", errno);
	}
	if (o->lock) {
		lock(f, o);
	}
}

void
workload_file_close(struct workload_file *f)
{
	if (f->map != NULL) {
		munmap(f->map, f->size);
	}
	if (f->fd >= 0) {
		close(f->fd);
	}
	if (f->made) {
		unlink(f->path);
	}
	*f = (struct workload_file){ .fd = -1 };
}

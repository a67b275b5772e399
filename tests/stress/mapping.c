/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stress: tasks read the pages of a mapped file while a thread makes it shorter
 * and longer again, so that copies fault on several workers at a time.
 *
 * Each page holds its number, or zeros where the file has grown anew, and a
 * copy may be half of one and half of the other.  A read gives a whole page, or
 * nothing; of the first page, which stays, always the number.
 *
 * mapping [--rounds=N] [--seed=N] [--threads=N]
 */
#include <filch/filch.h>

#include <unistd.h>

#include "stress.h"

#define READERS 16
#define READS   5000 /* of each, a round */
#define PAGE    4096 /* of the kernel's, or a part of one */
#define PAGES   64   /* of 64 KiB at most, where a page is that large */

struct reader {
	struct filch_task task;
	struct filch_op op;
	uint64_t random;
	unsigned reads;
	unsigned page;
	bool begun;
	unsigned char bytes[PAGE];
};

static struct stress_options options = { "mapping", 1, 5, 4 };
static struct filch_file file;
static struct reader readers[READERS];
static size_t unit; /* bytes of the kernel's page */
static unsigned working;
static unsigned empty; /* reads that found nothing */

static void
reader_check(const struct reader *self, int64_t result)
{
	unsigned number = self->page + 1;
	unsigned i;

	if (self->page > 0 && result == 0) {
		(void)__atomic_fetch_add(&empty, 1, __ATOMIC_RELAXED);
		return;
	}
	stress_same(&options, "bytes", PAGE, (uint64_t)result);
	for (i = 0; i < PAGE; i++) {
		if (self->page == 0 || self->bytes[i] != 0) {
			stress_same(
			    &options, "content", number, self->bytes[i]);
		}
	}
}

static enum filch_poll
reader_poll(struct filch_task *task)
{
	struct reader *self = filch_container_of(task, struct reader, task);
	int64_t result;

	for (;;) {
		if (!self->begun) {
			self->page = stress_random(&self->random) % PAGES;
			filch_op_init_read(&self->op, &file, self->bytes, PAGE,
			    self->page * unit);
			self->begun = true;
		}
		if (filch_op_poll(&self->op, task, &result) == FILCH_PENDING) {
			return (FILCH_PENDING);
		}
		self->begun = false;
		reader_check(self, result);
		if (++self->reads == READS) {
			(void)__atomic_fetch_sub(&working, 1, __ATOMIC_RELEASE);
			return (FILCH_READY);
		}
	}
}

static void *
size_change(void *arg)
{
	uint64_t random = *(uint64_t *)arg;

	while (__atomic_load_n(&working, __ATOMIC_ACQUIRE) > 0) {
		uint64_t pages = 1 + stress_random(&random) % PAGES;

		if (ftruncate(file.fd, (off_t)(pages * unit)) != 0) {
			perror("ftruncate");
			exit(1);
		}
	}
	return (NULL);
}

static void
file_make(void)
{
	char name[] = "filch-stress-XXXXXX";
	unsigned char *bytes = malloc(unit);
	int fd = mkstemp(name);
	unsigned i;

	if (bytes == NULL || fd < 0 || unlink(name) != 0) {
		perror(name);
		exit(1);
	}
	for (i = 0; i < PAGES; i++) {
		memset(bytes, (int)i + 1, unit);
		if (pwrite(fd, bytes, unit, (off_t)(i * unit)) !=
		    (ssize_t)unit) {
			perror(name);
			exit(1);
		}
	}
	free(bytes);
	if (filch_file_init(&file, fd) != 0 || filch_file_map(&file) != 0) {
		fprintf(stderr, "%s: cannot be mapped\n", name);
		exit(1);
	}
}

static void
round_run(uint64_t *random)
{
	struct filch_executor_options of = FILCH_EXECUTOR_OPTIONS_INIT;
	struct filch_executor *executor;
	uint64_t seed = stress_random(random) | 1;
	pthread_t thread;
	unsigned i;

	of.worker_count = options.threads;
	if (filch_executor_create(&of, &executor) != 0) {
		abort();
	}
	file_make();
	working = READERS;
	for (i = 0; i < READERS; i++) {
		memset(&readers[i], 0, sizeof(readers[i]));
		readers[i].random = stress_random(random) | 1;
		filch_task_init(&readers[i].task, reader_poll, NULL);
		if (filch_executor_spawn(executor, &readers[i].task) != 0) {
			abort();
		}
	}
	thread = stress_start(size_change, &seed);
	if (filch_executor_shutdown(
		executor, FILCH_SHUTDOWN_GRACEFUL, FILCH_NEVER) != 0) {
		exit(1);
	}
	pthread_join(thread, NULL);
	filch_executor_destroy(executor);
	filch_file_unmap(&file);
	(void)close(file.fd);
}

int
main(int argc, char **argv)
{
	stress_options(&options, argc, argv);
	unit = (size_t)sysconf(_SC_PAGESIZE);
	stress_rounds(&options, round_run);
	printf(" of %d reads, %u in all past the end\n", READERS * READS,
	    __atomic_load_n(&empty, __ATOMIC_RELAXED));
	return (0);
}

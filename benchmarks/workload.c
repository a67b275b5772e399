/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file under test, the sequence of operations and the report.
 */
#include "workload.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILL_SIZE ((uint64_t)1 << 20)

static const char *const rw_names[] = { "randread", "randwrite", "read",
	"write", "randrw" };

static int
complain(const struct workload *workload, const char *operation, int error)
{
	fprintf(stderr, "%s: %s: %s: %s\n", workload->program,
	    workload->filename, operation, strerror(error));
	return (1);
}

static uint64_t
mix(uint64_t value)
{
	value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (value ^ (value >> 31));
}

void
workload_fill(const struct workload *workload, void *buffer, uint64_t offset,
    uint64_t size)
{
	char *at = buffer;

	for (uint64_t i = 0; i < size; i += sizeof(uint64_t)) {
		uint64_t word = mix(workload->seed ^ (offset + i));
		memcpy(at + i, &word, sizeof(word));
	}
}

bool
workload_check(const struct workload *workload, const void *buffer,
    uint64_t offset, uint64_t size)
{
	const char *at = buffer;

	for (uint64_t i = 0; i + sizeof(uint64_t) <= size;
	     i += sizeof(uint64_t)) {
		uint64_t word = mix(workload->seed ^ (offset + i));
		if (memcmp(at + i, &word, sizeof(word)) != 0) {
			return (false);
		}
	}
	return (true);
}

static int
file_fill(struct workload *workload)
{
	void *buffer = malloc(FILL_SIZE);

	if (buffer == NULL) {
		return (complain(workload, "fill", ENOMEM));
	}
	uint64_t offset = 0;
	while (offset < workload->size) {
		uint64_t size = workload->size - offset;
		size = size < FILL_SIZE ? size : FILL_SIZE;
		workload_fill(workload, buffer, offset, size);
		ssize_t n = pwrite(workload->fd, buffer, size, (off_t)offset);
		if (n <= 0) {
			int error = n < 0 ? errno : ENOSPC;
			free(buffer);
			return (complain(workload, "write", error));
		}
		/* The pattern is made of words: resume on a whole one. */
		offset += (uint64_t)n & ~(uint64_t)7;
	}
	free(buffer);
	if (fsync(workload->fd) != 0) {
		return (complain(workload, "fsync", errno));
	}
	return (0);
}

/* A locked mapping keeps the pages in the cache whatever else runs. */
static int
file_lock(struct workload *workload)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };

	/* Without the right to raise it, mlock below tells the story. */
	(void)setrlimit(RLIMIT_MEMLOCK, &limit);
	void *map =
	    mmap(NULL, workload->size, PROT_READ, MAP_SHARED, workload->fd, 0);
	if (map == MAP_FAILED) {
		return (complain(workload, "mmap", errno));
	}
	workload->locked = map;
	if (mlock(map, workload->size) != 0) {
		return (complain(workload, "mlock", errno));
	}
	return (0);
}

/* Open a file that was there; its size bounds the run. */
static int
file_open(struct workload *workload)
{
	struct stat status;
	bool writes = workload->rw != RW_RANDREAD && workload->rw != RW_READ;

	if (writes && !workload->overwrite) {
		fprintf(stderr,
		    "%s: --filename: %s exists and --rw writes: "
		    "add --overwrite\n",
		    workload->program, workload->filename);
		return (2);
	}
	workload->fd =
	    open(workload->filename, (writes ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	if (workload->fd < 0 || fstat(workload->fd, &status) != 0) {
		return (complain(workload, "open", errno));
	}
	if (S_ISREG(status.st_mode) &&
	    (uint64_t)status.st_size < workload->size) {
		workload->size = (uint64_t)status.st_size;
	}
	if (workload->size < workload->block_size) {
		fprintf(stderr, "%s: --filename: %s is smaller than --bs\n",
		    workload->program, workload->filename);
		return (2);
	}
	return (0);
}

int
workload_prepare(struct workload *workload)
{
	int error;

	if (workload->filename != NULL &&
	    access(workload->filename, F_OK) == 0) {
		error = file_open(workload);
	} else {
		if (workload->filename == NULL) {
			strcpy(workload->temporary, "filch-bench.XXXXXX");
			workload->filename = workload->temporary;
			workload->fd = mkstemp(workload->temporary);
		} else {
			workload->fd = open(workload->filename,
			    O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		}
		if (workload->fd < 0) {
			return (complain(workload, "create", errno));
		}
		workload->created = true;
		error = file_fill(workload);
	}
	if (error == 0 && workload->lock) {
		error = file_lock(workload);
	}
	if (error == 0 && workload->direct) {
		int flags = fcntl(workload->fd, F_GETFL);
		if (fcntl(workload->fd, F_SETFL, flags | O_DIRECT) != 0) {
			error = complain(workload, "O_DIRECT", errno);
		}
	}
	return (error);
}

void
workload_cleanup(struct workload *workload)
{
	if (workload->locked != NULL) {
		munmap(workload->locked, workload->size);
	}
	if (workload->fd >= 0) {
		close(workload->fd);
	}
	if (workload->created) {
		unlink(workload->filename);
	}
}

void
workload_cursor_init(struct workload_cursor *cursor,
    const struct workload *workload, unsigned worker)
{
	memset(cursor, 0, sizeof(*cursor));
	cursor->random = mix(workload->seed + worker + 1) | 1;
	cursor->blocks = workload->size / workload->block_size;
	/* Sequential workers start apart, so that they do not share blocks. */
	cursor->next = cursor->blocks / workload->workers * worker;
	cursor->left = UINT64_MAX;
	if (workload->number_ios != 0) {
		cursor->left = workload->number_ios / workload->workers +
		    (worker < workload->number_ios % workload->workers);
	}
}

static uint64_t
cursor_random(struct workload_cursor *cursor)
{
	cursor->random ^= cursor->random << 13;
	cursor->random ^= cursor->random >> 7;
	cursor->random ^= cursor->random << 17;
	return (cursor->random);
}

bool
workload_next(struct workload_cursor *cursor, const struct workload *workload,
    struct workload_step *step)
{
	if (cursor->left == 0) {
		return (false);
	}
	cursor->left--;
	step->offset = 0;
	if (cursor->sync_due) {
		cursor->sync_due = false;
		step->kind = workload->fsync_every != 0 &&
			cursor->writes % workload->fsync_every == 0
		    ? KIND_FSYNC
		    : KIND_FDATASYNC;
		return (true);
	}
	uint64_t random = cursor_random(cursor);
	uint64_t block;
	if (workload->rw == RW_READ || workload->rw == RW_WRITE) {
		block = cursor->next++;
		if (cursor->next == cursor->blocks) {
			cursor->next = 0;
		}
	} else {
		/* Multiplying scales without the cost of a division. */
		block = ((random >> 32) * cursor->blocks) >> 32;
	}
	step->offset = block * workload->block_size;
	step->kind = KIND_READ;
	if (workload->rw == RW_RANDWRITE || workload->rw == RW_WRITE ||
	    (workload->rw == RW_RANDRW && (random & 1) != 0)) {
		step->kind = KIND_WRITE;
		cursor->writes++;
		cursor->sync_due =
		    (workload->fsync_every != 0 &&
			cursor->writes % workload->fsync_every == 0) ||
		    (workload->fdatasync_every != 0 &&
			cursor->writes % workload->fdatasync_every == 0);
	}
	return (true);
}

void
workload_pin(const struct workload *workload, unsigned worker)
{
	cpu_set_t set;

	if (!workload->pin) {
		return;
	}
	CPU_ZERO(&set);
	CPU_SET(worker % (unsigned)sysconf(_SC_NPROCESSORS_ONLN), &set);
	/* Best effort: a container may forbid it; the run stays valid. */
	(void)sched_setaffinity(0, sizeof(set), &set);
}

uint64_t
workload_cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return ((uint64_t)now.tv_sec * UINT64_C(1000000000) +
	    (uint64_t)now.tv_nsec);
}

void
workload_account(const struct workload *workload, struct workload_stats *stats,
    const struct workload_step *step, const void *buffer, int64_t result)
{
	bool moves = step->kind == KIND_READ || step->kind == KIND_WRITE;

	stats->operations++;
	if (result < 0 || (moves && (uint64_t)result != workload->block_size)) {
		stats->errors++;
		return;
	}
	stats->bytes += (uint64_t)result;
	if (workload->verify && step->kind == KIND_READ &&
	    !workload_check(
		workload, buffer, step->offset, workload->block_size)) {
		stats->mismatches++;
		stats->errors++;
	}
}

static void
report_json(const struct workload *w, const char *driver,
    const struct workload_stats *sum, double seconds, double cpu)
{
	const struct histogram *h = &sum->latency;

	printf("{\"driver\":\"%s\",\"rw\":\"%s\",\"bs\":%" PRIu64
	       ",\"iodepth\":%u,\"workers\":%u,\"size\":%" PRIu64
	       ",\"direct\":%d,\"fsync\":%u,\"fdatasync\":%u,\"batch\":%u,"
	       "\"verify\":%d,\"seed\":%" PRIu64 ",\"pin\":%d,\"lock\":%d,",
	    driver, rw_names[w->rw], w->block_size, w->iodepth, w->workers,
	    w->size, w->direct, w->fsync_every, w->fdatasync_every, w->batch,
	    w->verify, w->seed, w->pin, w->lock);
	printf("\"iops\":%.0f,\"bytes_per_s\":%.0f,\"lat_ns\":{\"p50\":%" PRIu64
	       ",\"p99\":%" PRIu64 ",\"p999\":%" PRIu64 ",\"max\":%" PRIu64
	       "},\"cpu_ns_per_op\":%.0f,\"errors\":%" PRIu64
	       ",\"mismatches\":%" PRIu64 ",\"seconds\":%.3f}\n",
	    (double)sum->operations / seconds, (double)sum->bytes / seconds,
	    histogram_percentile(h, 0.5), histogram_percentile(h, 0.99),
	    histogram_percentile(h, 0.999), h->max, cpu, sum->errors,
	    sum->mismatches, seconds);
}

void
workload_report(const struct workload *workload, const char *driver,
    const struct workload_stats *stats, uint64_t elapsed_ns, uint64_t cpu_ns)
{
	struct workload_stats *sum = calloc(1, sizeof(*sum));

	if (sum == NULL) {
		(void)complain(workload, "report", ENOMEM);
		return;
	}
	for (unsigned i = 0; i < workload->workers; i++) {
		sum->operations += stats[i].operations;
		sum->bytes += stats[i].bytes;
		sum->errors += stats[i].errors;
		sum->mismatches += stats[i].mismatches;
		histogram_merge(&sum->latency, &stats[i].latency);
	}
	double seconds = (double)elapsed_ns / 1e9;
	double cpu = sum->operations == 0
	    ? 0.0
	    : (double)cpu_ns / (double)sum->operations;
	if (workload->json) {
		report_json(workload, driver, sum, seconds, cpu);
	} else {
		printf("%-16s %-9s bs %-7" PRIu64 " qd %-4u %10.0f IOPS  "
		       "p50 %" PRIu64 " p99 %" PRIu64 " p999 %" PRIu64
		       " max %" PRIu64 " ns  cpu %.0f ns/op  errors %" PRIu64
		       "\n",
		    driver, rw_names[workload->rw], workload->block_size,
		    workload->iodepth, (double)sum->operations / seconds,
		    histogram_percentile(&sum->latency, 0.5),
		    histogram_percentile(&sum->latency, 0.99),
		    histogram_percentile(&sum->latency, 0.999),
		    sum->latency.max, cpu, sum->errors);
	}
	free(sum);
}

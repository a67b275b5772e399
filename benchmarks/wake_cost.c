/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an executor costs: idle, to create and destroy, and for each task that
 * waits.
 */
#include "wake.h"

#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* ---- idle ---- */

/* Longer than the reactor thread looks after workers that sleep. */
#define SETTLE_NS 200000000

/* What all threads but this one have used; read bit by bit, so about. */
struct usage {
	int64_t switches;
	int64_t cpu_ns;
};

static int64_t
clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return ((int64_t)now.tv_sec * 1000000000 + now.tv_nsec);
}

static struct usage
usage_of_others(void)
{
	struct rusage all;
	struct rusage own;
	struct usage usage;

	getrusage(RUSAGE_SELF, &all);
	getrusage(RUSAGE_THREAD, &own);
	usage.switches = all.ru_nvcsw - own.ru_nvcsw;
	usage.cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) -
	    clock_ns(CLOCK_THREAD_CPUTIME_ID);
	return (usage);
}

/* Waits for a timer that is far away and a descriptor that stays silent. */
struct idler {
	struct filch_task task;
	struct filch_sleep sleep;
	struct filch_op op;
	struct filch_file file;
	uint64_t buffer;
	bool slept;
	bool read;
};

static enum filch_poll
idler_poll(struct filch_task *task)
{
	struct idler *idler = filch_container_of(task, struct idler, task);
	int64_t got;
	int result;

	/* Both are polled, so that both are waited for. */
	if (!idler->slept) {
		idler->slept = filch_sleep_poll(&idler->sleep, task, &result) ==
		    FILCH_READY;
	}
	if (!idler->read) {
		idler->read =
		    filch_op_poll(&idler->op, task, &got) == FILCH_READY;
	}
	return (idler->slept && idler->read ? FILCH_READY : FILCH_PENDING);
}

static void
idler_start(struct idler *idler, struct filch_executor *executor)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	idler->slept = false;
	idler->read = false;
	wake_must(fd < 0 ? -errno : 0, "eventfd");
	wake_must(filch_file_init(&idler->file, fd), "filch_file_init");
	filch_sleep_init(&idler->sleep, filch_now() + 3600000000000);
	filch_op_init_read(&idler->op, &idler->file, &idler->buffer,
	    sizeof(idler->buffer), FILCH_OFFSET_CURRENT);
	filch_task_init(&idler->task, idler_poll, NULL);
	wake_must(
	    filch_executor_spawn_joinable(executor, &idler->task), "spawn");
}

void
wake_idle(const struct wake_options *options, struct wake_report *report)
{
	static struct idler idler;
	struct filch_executor *executor = wake_executor(options, report);

	idler_start(&idler, executor);
	wake_pause_ns(SETTLE_NS);
	struct usage before = usage_of_others();
	uint64_t start = filch_now();
	wake_pause_ns(options->seconds * UINT64_C(1000000000));
	double seconds = (double)(filch_now() - start) / 1e9;
	struct usage after = usage_of_others();
	wake_figure(report, "wakes_per_s",
	    (double)(after.switches - before.switches) / seconds);
	/* To a thousandth, as the peers: the two clocks differ by 100 ns. */
	double cpu_ns = fmax(0, (double)(after.cpu_ns - before.cpu_ns));
	wake_figure(report, "cpu_percent", round(cpu_ns / seconds / 1e4) / 1e3);
	wake_figure(report, "seconds", seconds);
	filch_executor_destroy(executor);
	filch_task_detach(&idler.task);
	close(idler.file.fd);
}

/* ---- create ---- */

static void
create_one(const struct wake_options *options, struct wake_report *report,
    struct histogram *created, struct histogram *both)
{
	uint64_t start = filch_now();
	struct filch_executor *executor = wake_executor(options, report);

	histogram_record(created, filch_now() - start);
	filch_executor_destroy(executor);
	histogram_record(both, filch_now() - start);
}

void
wake_create(const struct wake_options *options, struct wake_report *report)
{
	static struct histogram created;
	static struct histogram both;
	/* The kernel frees rings late: too many at once measure that. */
	unsigned samples = options->samples < 200 ? options->samples : 200;

	histogram_init(&created);
	histogram_init(&both);
	for (unsigned i = 0; i < samples; i++) {
		create_one(options, report, &created, &both);
	}
	wake_figure(report, "create_ns_p50",
	    (double)histogram_percentile(&created, 0.5));
	wake_figure(report, "create_destroy_ns_p50",
	    (double)histogram_percentile(&both, 0.5));
	wake_figure(report, "create_destroy_ns_p99",
	    (double)histogram_percentile(&both, 0.99));
	wake_figure(report, "samples", (double)both.count);
}

/* ---- parked tasks ---- */

/* Operations in flight at once, which the kernel has to hold. */
#define FLIGHT_MAX 8192

static atomic_uint parked_count;

/* Keeps its own waker: nobody else wakes it, and it stays alive. */
struct parked {
	struct filch_task task;
	struct filch_waker waker;
};

static enum filch_poll
parked_poll(struct filch_task *task)
{
	struct parked *parked = filch_container_of(task, struct parked, task);

	if (parked->waker.vtable != NULL) {
		filch_waker_drop(&parked->waker);
		return (FILCH_READY);
	}
	parked->waker = filch_task_waker(task);
	atomic_fetch_add(&parked_count, 1);
	return (FILCH_PENDING);
}

struct parked_timer {
	struct filch_task task;
	struct filch_sleep sleep;
	bool counted;
};

static enum filch_poll
parked_timer_poll(struct filch_task *task)
{
	struct parked_timer *parked =
	    filch_container_of(task, struct parked_timer, task);
	int result;

	if (!parked->counted) {
		parked->counted = true;
		filch_sleep_init(&parked->sleep, filch_now() + 3600000000000);
	}
	if (filch_sleep_poll(&parked->sleep, task, &result) == FILCH_READY) {
		return (FILCH_READY);
	}
	atomic_fetch_add(&parked_count, 1);
	return (FILCH_PENDING);
}

static uint64_t
resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	unsigned long long pages = 0;

	if (file == NULL || fscanf(file, "%*u %llu", &pages) != 1) {
		wake_must(-ENOSYS, "/proc/self/statm");
	}
	fclose(file);
	return (pages * (uint64_t)sysconf(_SC_PAGESIZE));
}

/* What a kind of parked task has in memory. */
struct parked_kind {
	size_t size;
	size_t own; /* of it the user's, not filch's */
	filch_task_poll_fn poll;
};

static struct filch_task *
slab_task(void *slab, const struct parked_kind *kind, unsigned index)
{
	/* The task comes first in each kind. */
	return ((struct filch_task *)(void *)((char *)slab +
	    (size_t)index * kind->size));
}

static void
slab_spawn(void *slab, const struct parked_kind *kind, unsigned count,
    struct filch_executor *executor)
{
	for (unsigned i = 0; i < count; i++) {
		struct filch_task *task = slab_task(slab, kind, i);

		filch_task_init(task, kind->poll, NULL);
		while (filch_executor_spawn(executor, task) == -EAGAIN) {
			wake_pause_ns(1000000);
		}
	}
	while (atomic_load(&parked_count) < count) {
		wake_pause_ns(1000000);
	}
}

static void
parked_measure(const struct wake_options *options, struct wake_report *report,
    const struct parked_kind *kind, bool wake)
{
	unsigned count = options->tasks;
	size_t size = (size_t)count * kind->size;
	struct filch_executor *executor = wake_executor(options, report);
	void *slab = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	wake_must(slab == MAP_FAILED ? -errno : 0, "mmap");
	atomic_store(&parked_count, 0);
	/* The executor's own is no part of it, as with the peers. */
	wake_pause_ns(SETTLE_NS);
	uint64_t before = resident_bytes();
	slab_spawn(slab, kind, count, executor);
	uint64_t after = resident_bytes();
	double each = (double)(after - before) / (double)count;
	wake_figure(report, "bytes_per_task", each - (double)kind->own);
	wake_figure(report, "rss_per_task", each);
	wake_figure(report, "sizeof_struct", (double)kind->size);
	wake_figure(report, "sizeof_own", (double)kind->own);
	wake_figure(report, "tasks", (double)count);
	for (unsigned i = 0; wake && i < count; i++) {
		filch_task_wake(slab_task(slab, kind, i));
	}
	wake_must(filch_executor_shutdown(executor,
		      wake ? FILCH_SHUTDOWN_GRACEFUL : FILCH_SHUTDOWN_IMMEDIATE,
		      FILCH_NEVER),
	    "shutdown");
	filch_executor_destroy(executor);
	munmap(slab, size);
}

void
wake_parked(const struct wake_options *options, struct wake_report *report)
{
	static const struct parked_kind kind = {
		.size = sizeof(struct parked),
		.own = sizeof(struct parked) - sizeof(struct filch_task),
		.poll = parked_poll,
	};

	wake_figure(report, "sizeof_task", (double)sizeof(struct filch_task));
	parked_measure(options, report, &kind, true);
}

void
wake_parked_timer(
    const struct wake_options *options, struct wake_report *report)
{
	static const struct parked_kind kind = {
		.size = sizeof(struct parked_timer),
		.own = sizeof(struct parked_timer) - sizeof(struct filch_task) -
		    sizeof(struct filch_sleep),
		.poll = parked_timer_poll,
	};

	wake_figure(report, "sizeof_sleep", (double)sizeof(struct filch_sleep));
	parked_measure(options, report, &kind, false);
}

/* ---- operations in flight ---- */

/* All read from one eventfd that nobody writes to. */
struct flight {
	struct filch_task task;
	struct filch_op op;
	uint64_t buffer;
	bool counted;
};

static struct filch_file flight_file;

static enum filch_poll
flight_poll(struct filch_task *task)
{
	struct flight *flight = filch_container_of(task, struct flight, task);
	int64_t got;

	if (!flight->counted) {
		flight->counted = true;
		filch_op_init_read(&flight->op, &flight_file, &flight->buffer,
		    sizeof(flight->buffer), FILCH_OFFSET_CURRENT);
		if (filch_op_poll(&flight->op, task, &got) == FILCH_READY) {
			return (FILCH_READY);
		}
		atomic_fetch_add(&parked_count, 1);
		return (FILCH_PENDING);
	}
	return (filch_op_poll(&flight->op, task, &got));
}

void
wake_flight(const struct wake_options *options, struct wake_report *report)
{
	static const struct parked_kind kind = {
		.size = sizeof(struct flight),
		.own = sizeof(struct flight) - sizeof(struct filch_task) -
		    sizeof(struct filch_op),
		.poll = flight_poll,
	};
	struct wake_options few = *options;
	int fd = eventfd(0, EFD_CLOEXEC);

	wake_must(fd < 0 ? -errno : 0, "eventfd");
	flight_file = (struct filch_file)FILCH_FILE_INIT;
	wake_must(filch_file_init(&flight_file, fd), "filch_file_init");
	few.tasks = few.tasks < FLIGHT_MAX ? few.tasks : FLIGHT_MAX;
	wake_figure(report, "sizeof_op", (double)sizeof(struct filch_op));
	parked_measure(&few, report, &kind, false);
	close(fd);
}

/* ---- an executor that was never used ---- */

/* The kernel counts resident pages roughly: as many as make that little. */
#define EXECUTORS 16

void
wake_executor_size(
    const struct wake_options *options, struct wake_report *report)
{
	struct filch_executor *executors[EXECUTORS];
	/* The first one also pays for what the process needs once. */
	struct filch_executor *first = wake_executor(options, report);

	const char *driver = report->driver;

	/* Time for threads to start, which touches their stacks. */
	wake_pause_ns(SETTLE_NS);
	uint64_t before = resident_bytes();
	for (unsigned i = 0; i < EXECUTORS; i++) {
		executors[i] = wake_executor(options, report);
		/* Where limits let it have another, the mean says nothing. */
		wake_must(strcmp(report->driver, driver) == 0 ? 0 : -EMFILE,
		    "the same driver for all executors");
	}
	wake_pause_ns(SETTLE_NS);
	uint64_t after = resident_bytes();

	wake_figure(report, "bytes_per_executor",
	    after > before ? (double)(after - before) / EXECUTORS : 0);
	for (unsigned i = 0; i < EXECUTORS; i++) {
		filch_executor_destroy(executors[i]);
	}
	filch_executor_destroy(first);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Options and report of the wake workloads, as benchmarks/wake has them.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arguments.h"
#include "histogram.h"
#include "peer.h"
#include "workload.h"

static bool
value_of(const char *argument, const char *name, const char **ret_value)
{
	size_t length = strlen(name);

	if (strncmp(argument, name, length) != 0 || argument[length] != '=') {
		return (false);
	}
	*ret_value = argument + length + 1;
	return (true);
}

struct wake_arguments
wake_parse(const char *peer, int argc, char **argv)
{
	struct wake_arguments a = { .bench = "",
		.workers = 2,
		.samples = 2000,
		.seconds = 2,
		.tasks = 1000000 };

	for (int i = 0; i < argc; i++) {
		const char *value;
		int error = 0;

		if (value_of(argv[i], "--bench", &value)) {
			a.bench = value;
		} else if (value_of(argv[i], "--workers", &value)) {
			error = argument_small(
			    peer, "workers", value, 1, 256, &a.workers);
		} else if (value_of(argv[i], "--samples", &value)) {
			error = argument_small(
			    peer, "samples", value, 1, 10000000, &a.samples);
		} else if (value_of(argv[i], "--seconds", &value)) {
			error = argument_small(
			    peer, "seconds", value, 1, 3600, &a.seconds);
		} else if (value_of(argv[i], "--tasks", &value)) {
			error = argument_small(
			    peer, "tasks", value, 1, 100000000, &a.tasks);
		} else if (value_of(argv[i], "--pin", &value)) {
			error = argument_flag(peer, "pin", value, &a.pin);
		} else {
			peer_refuse(peer, argv[i], "is no option of wake");
		}
		if (error != 0) {
			exit(error);
		}
	}
	return (a);
}

static void
report_begin(const char *peer, const char *version,
    const struct wake_arguments *arguments)
{
	char workload[64];

	snprintf(workload, sizeof(workload), "wake/%s", arguments->bench);
	printf("{%s,\"bench\":\"%s\",\"workers\":%u",
	    peer_who(peer, version, workload), arguments->bench,
	    arguments->workers);
}

void
wake_report_latency(const char *peer, const char *version,
    const struct wake_arguments *arguments, const struct histogram *histogram)
{
	report_begin(peer, version, arguments);
	printf(",\"p50_ns\":%ju,\"p99_ns\":%ju,\"p999_ns\":%ju,\"max_ns\":%ju,"
	       "\"samples\":%ju}\n",
	    (uintmax_t)histogram_percentile(histogram, 0.5),
	    (uintmax_t)histogram_percentile(histogram, 0.99),
	    (uintmax_t)histogram_percentile(histogram, 0.999),
	    (uintmax_t)histogram->max, (uintmax_t)histogram->count);
	fflush(stdout);
}

static unsigned long long
task_switches(const char *name)
{
	char path[300];
	char line[128];
	unsigned long long count = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%s/status", name);
	FILE *file = fopen(path, "r");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		if (sscanf(line, "voluntary_ctxt_switches: %llu", &count) ==
		    1) {
			break;
		}
	}
	if (file != NULL) {
		fclose(file);
	}
	return (count);
}

/* Voluntary context switches of all threads but the caller. */
static unsigned long long
switches(const char *peer)
{
	DIR *tasks = opendir("/proc/self/task");
	unsigned long long sum = 0;
	struct dirent *entry;
	char main_name[32];

	if (tasks == NULL) {
		peer_fail(peer, "/proc/self/task cannot be read", 0);
	}
	/* The main thread is the one that looks. */
	snprintf(main_name, sizeof(main_name), "%d", getpid());
	while ((entry = readdir(tasks)) != NULL) {
		if (entry->d_name[0] != '.' &&
		    strcmp(entry->d_name, main_name) != 0) {
			sum += task_switches(entry->d_name);
		}
	}
	closedir(tasks);
	return (sum);
}

void
wake_report_idle(const char *peer, const char *version,
    const struct wake_arguments *arguments)
{
	peer_pause_ns(WAKE_SETTLE_NS);
	uint64_t cpu_ns = workload_cpu_ns();
	uint64_t own_ns = workload_clock_ns(CLOCK_THREAD_CPUTIME_ID);
	unsigned long long before = switches(peer);
	uint64_t begin_ns = workload_now_ns();

	peer_pause_ns(arguments->seconds * UINT64_C(1000000000));
	double seconds = (double)(workload_now_ns() - begin_ns) / 1e9;
	unsigned long long after = switches(peer);
	own_ns = workload_clock_ns(CLOCK_THREAD_CPUTIME_ID) - own_ns;
	cpu_ns = workload_cpu_ns() - cpu_ns - own_ns;
	report_begin(peer, version, arguments);
	printf(",\"wakes_per_s\":%.3f,\"cpu_percent\":%.3f}\n",
	    (double)(after - before) / seconds, (double)cpu_ns / 1e7 / seconds);
	fflush(stdout);
}

void
wake_report_tasks(const char *peer, const char *version,
    const struct wake_arguments *arguments, uint64_t bytes, size_t own)
{
	double each = (double)bytes / arguments->tasks;

	report_begin(peer, version, arguments);
	printf(",\"bytes_per_task\":%.3f,\"rss_per_task\":%.3f,"
	       "\"tasks\":%u}\n",
	    each - (double)own, each, arguments->tasks);
	fflush(stdout);
}

void
wake_report_executors(const char *peer, const char *version,
    const struct wake_arguments *arguments, uint64_t bytes)
{
	report_begin(peer, version, arguments);
	printf(
	    ",\"bytes_per_executor\":%.0f}\n", (double)bytes / WAKE_EXECUTORS);
	fflush(stdout);
}

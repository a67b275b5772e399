/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Options and report of the wake workloads, as benchmarks/wake has them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "arguments.h"
#include "histogram.h"
#include "peer.h"
#include "workload.h"

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

		if ((value = peer_value(argv[i], "bench")) != NULL) {
			a.bench = value;
		} else if ((value = peer_value(argv[i], "workers")) != NULL) {
			error = argument_small(
			    peer, "workers", value, 1, 256, &a.workers);
		} else if ((value = peer_value(argv[i], "samples")) != NULL) {
			error = argument_small(
			    peer, "samples", value, 1, 10000000, &a.samples);
		} else if ((value = peer_value(argv[i], "seconds")) != NULL) {
			error = argument_small(
			    peer, "seconds", value, 1, 3600, &a.seconds);
		} else if ((value = peer_value(argv[i], "tasks")) != NULL) {
			error = argument_small(
			    peer, "tasks", value, 1, 100000000, &a.tasks);
		} else if ((value = peer_value(argv[i], "pin")) != NULL) {
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
	printf("{%s,\"bench\":\"%s\",\"workers\":%u,\"pin\":%d",
	    peer_who(peer, version, workload), arguments->bench,
	    arguments->workers, arguments->pin);
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

/* Voluntary context switches of all threads but the caller. */
static long
switches_of_others(void)
{
	struct rusage all;
	struct rusage own;

	getrusage(RUSAGE_SELF, &all);
	getrusage(RUSAGE_THREAD, &own);
	return (all.ru_nvcsw - own.ru_nvcsw);
}

void
wake_report_idle(const char *peer, const char *version,
    const struct wake_arguments *arguments)
{
	peer_pause_ns(WAKE_SETTLE_NS);
	uint64_t cpu_ns = workload_cpu_ns();
	uint64_t own_ns = workload_clock_ns(CLOCK_THREAD_CPUTIME_ID);
	long before = switches_of_others();
	uint64_t begin_ns = workload_now_ns();

	peer_pause_ns(arguments->seconds * UINT64_C(1000000000));
	double seconds = (double)(workload_now_ns() - begin_ns) / 1e9;
	long after = switches_of_others();
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

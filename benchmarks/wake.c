/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wake: how long from a completion to the task that waits for it, and what an
 * executor costs that has nothing to do.
 */
#include "wake.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "arguments.h"

struct bench {
	const char *name;
	void (*run)(const struct wake_options *, struct wake_report *);
};

static const struct bench benches[] = {
	{ "eventfd", wake_eventfd },
	{ "eventfd_busy", wake_eventfd_busy },
	{ "eventfd_raw", wake_eventfd_raw },
	{ "timer", wake_timer },
	{ "timer_busy", wake_timer_busy },
	{ "timer_raw", wake_timer_raw },
	{ "outside", wake_outside },
	{ "task", wake_task },
	{ "across", wake_across },
	{ "idle", wake_idle },
	{ "create", wake_create },
	{ "parked", wake_parked },
	{ "parked_timer", wake_parked_timer },
	{ "flight", wake_flight },
	{ "executor", wake_executor_size },
	{ "stuck", wake_stuck },
};

#define BENCH_COUNT ((unsigned)(sizeof(benches) / sizeof(benches[0])))

enum option_id {
	OPT_BENCH = 256,
	OPT_WORKERS,
	OPT_SAMPLES,
	OPT_SECONDS,
	OPT_ROUNDS,
	OPT_TASKS,
	OPT_PIN,
	OPT_DRIVER,
	OPT_OUTPUT,
	OPT_HELP
};

static const struct option options[] = {
	{ "bench", required_argument, NULL, OPT_BENCH },
	{ "workers", required_argument, NULL, OPT_WORKERS },
	{ "samples", required_argument, NULL, OPT_SAMPLES },
	{ "seconds", required_argument, NULL, OPT_SECONDS },
	{ "rounds", required_argument, NULL, OPT_ROUNDS },
	{ "tasks", required_argument, NULL, OPT_TASKS },
	{ "pin", required_argument, NULL, OPT_PIN },
	{ "driver", required_argument, NULL, OPT_DRIVER },
	{ "output", required_argument, NULL, OPT_OUTPUT },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

struct arguments {
	struct wake_options wake;
	bool json;
	unsigned only; /* of the benchmarks; BENCH_COUNT for all */
};

int
wake_must(int result, const char *what)
{
	if (result < 0) {
		fprintf(stderr, "wake: %s: %s\n", what, strerror(-result));
		exit(1);
	}
	return (result);
}

void *
wake_calloc(size_t count, size_t size)
{
	void *memory = calloc(count, size);

	if (memory == NULL && count > 0) {
		fprintf(stderr, "wake: calloc: %s\n", strerror(ENOMEM));
		exit(1);
	}
	return (memory);
}

void
wake_pause_ns(uint64_t ns)
{
	struct timespec pause = {
		.tv_sec = (time_t)(ns / 1000000000),
		.tv_nsec = (long)(ns % 1000000000),
	};

	nanosleep(&pause, NULL);
}

struct filch_executor *
wake_executor(const struct wake_options *given, struct wake_report *report)
{
	struct filch_executor_options with = FILCH_EXECUTOR_OPTIONS_INIT;
	struct filch_executor *executor = NULL;

	with.worker_count = given->workers;
	with.pin_workers = given->pin;
	with.driver = given->driver;
	wake_must(
	    filch_executor_create(&with, &executor), "filch_executor_create");
	report->driver = filch_driver_name(filch_executor_driver(executor));
	return (executor);
}

void
wake_figure(struct wake_report *report, const char *name, double value)
{
	if (report->count < WAKE_FIGURES_MAX) {
		report->figures[report->count].name = name;
		report->figures[report->count].value = value;
		report->count++;
	}
}

void
wake_figures_latency(
    struct wake_report *report, const struct histogram *histogram)
{
	static const struct {
		const char *name;
		double fraction;
	} parts[] = {
		{ "p50_ns", 0.5 },
		{ "p99_ns", 0.99 },
		{ "p999_ns", 0.999 },
		{ "max_ns", 1.0 },
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		wake_figure(report, parts[i].name,
		    (double)histogram_percentile(histogram, parts[i].fraction));
	}
	wake_figure(report, "samples", (double)histogram->count);
}

static void
report_json(const struct bench *bench, const struct wake_options *given,
    const struct wake_report *report)
{
	printf("{\"program\":\"wake\",\"bench\":\"%s\",\"workers\":%u"
	       ",\"pin\":%d",
	    bench->name, given->workers, given->pin);
	if (report->driver != NULL) {
		printf(",\"driver\":\"%s\"", report->driver);
	}
	for (unsigned i = 0; i < report->count; i++) {
		double value = report->figures[i].value;

		if (isnan(value)) {
			printf(",\"%s\":null", report->figures[i].name);
		} else {
			printf(",\"%s\":%.10g", report->figures[i].name, value);
		}
	}
	printf("}\n");
	(void)fflush(stdout);
}

static void
report_table(const struct bench *bench, const struct wake_report *report)
{
	printf("%-13s %-6s", bench->name,
	    report->driver == NULL ? "-" : report->driver);
	for (unsigned i = 0; i < report->count; i++) {
		printf("  %s %.10g", report->figures[i].name,
		    report->figures[i].value);
	}
	printf("\n");
	(void)fflush(stdout);
}

/* The names of the benchmarks: a list for choice(). */
static const char *const *
bench_names(void)
{
	static const char *names[BENCH_COUNT + 1];

	for (unsigned i = 0; i < BENCH_COUNT; i++) {
		names[i] = benches[i].name;
	}
	return (names);
}

static void
usage(void)
{
	printf("usage: wake [options]\n");
	for (unsigned i = 0; options[i].name != NULL; i++) {
		printf("  --%s%s\n", options[i].name,
		    options[i].has_arg == no_argument ? "" : "=VALUE");
	}
}

static int
small(const char *option, unsigned min, unsigned max, unsigned *ret_value)
{
	return (argument_small("wake", option, optarg, min, max, ret_value));
}

static int
choice(const char *option, const char *const *names, unsigned *ret_index)
{
	return (argument_choice("wake", option, optarg, names, ret_index));
}

static int
option_apply(struct arguments *arguments, int id)
{
	static const char *const outputs[] = { "table", "json", NULL };
	struct wake_options *w = &arguments->wake;
	unsigned value = 0;
	int error;

	switch (id) {
	case OPT_BENCH:
		return (choice("bench", bench_names(), &arguments->only));
	case OPT_WORKERS:
		return (small("workers", 1, 256, &w->workers));
	case OPT_SAMPLES:
		return (small("samples", 1, 10000000, &w->samples));
	case OPT_SECONDS:
		return (small("seconds", 1, 3600, &w->seconds));
	case OPT_ROUNDS:
		return (small("rounds", 1, 1000, &w->rounds));
	case OPT_TASKS:
		return (small("tasks", 1, 100000000, &w->tasks));
	case OPT_PIN:
		return (argument_flag("wake", "pin", optarg, &w->pin));
	case OPT_DRIVER:
		error = choice("driver", argument_drivers, &value);
		w->driver = (enum filch_driver_kind)value;
		return (error);
	default:
		error = choice("output", outputs, &value);
		arguments->json = value == 1;
		return (error);
	}
}

/* 0; 1 for --help; 2 after a line that says what is wrong. */
static int
arguments_parse(struct arguments *arguments, int argc, char **argv)
{
	int error = 0;
	int id;

	opterr = 0;
	while (error == 0 &&
	    (id = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (id == OPT_HELP) {
			usage();
			return (1);
		}
		error = id == '?' || id == ':'
		    ? argument_refused("wake", id, argv)
		    : option_apply(arguments, id);
	}
	if (error == 0 && optind < argc) {
		fprintf(stderr, "wake: '%s' must be an option\n", argv[optind]);
		error = 2;
	}
	return (error != 0 ? error : argument_driver_environment("wake"));
}

static void
bench_run(const struct bench *bench, const struct arguments *arguments)
{
	struct wake_report report = { .count = 0 };

	bench->run(&arguments->wake, &report);
	if (arguments->json) {
		report_json(bench, &arguments->wake, &report);
	} else {
		report_table(bench, &report);
	}
}

int
main(int argc, char **argv)
{
	struct arguments arguments = {
		.wake = { .workers = 2,
		    .samples = 2000,
		    .seconds = 2,
		    .rounds = 10,
		    .tasks = 1000000 },
		.only = BENCH_COUNT,
	};
	int error = arguments_parse(&arguments, argc, argv);

	if (error != 0) {
		return (error == 1 ? 0 : error);
	}
	for (unsigned i = 0; i < BENCH_COUNT; i++) {
		if (arguments.only == BENCH_COUNT || arguments.only == i) {
			bench_run(&benches[i], &arguments);
		}
	}
	return (0);
}

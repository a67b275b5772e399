/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * filch info: the driver an executor gets here and why, what the kernel
 * offers, the limits in force, the version.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include <filch/filch.h>

#include "json.h"
#include "tool.h"

struct info {
	struct utsname system;
	char features[512];
	const char *driver;
	const char *reason;
	unsigned workers;
	struct tool_limit aio[TOOL_AIO_LIMITS_MAX];
	unsigned aio_count;
};

static void
print_string(const char *name, const char *text)
{
	printf("\"%s\":", name);
	json_print_string(text);
}

/* The soft limit; -1 stands for none, as JSON has no infinity. */
static intmax_t
limit_of(int failed, const struct rlimit *limit)
{
	if (failed != 0 || limit->rlim_cur == RLIM_INFINITY) {
		return (-1);
	}
	return ((intmax_t)limit->rlim_cur);
}

static intmax_t
memlock_limit(void)
{
	struct rlimit limit;
	int failed = getrlimit(RLIMIT_MEMLOCK, &limit);

	return (limit_of(failed, &limit));
}

static intmax_t
files_limit(void)
{
	struct rlimit limit;
	int failed = getrlimit(RLIMIT_NOFILE, &limit);

	return (limit_of(failed, &limit));
}

static void
print_json(const struct info *info)
{
	putchar('{');
	print_string("version", filch_version());
	putchar(',');
	print_string("driver", info->driver);
	putchar(',');
	print_string("reason", info->reason);
	putchar(',');
	print_string("system", info->system.sysname);
	putchar(',');
	print_string("kernel", info->system.release);
	putchar(',');
	print_string("io_uring", info->features);
	printf(",\"limits\":{\"workers\":%u,\"workers_max\":%u,"
	       "\"ring_entries\":%u,\"ring_entries_max\":%u,"
	       "\"pool_threads\":%u,\"pool_threads_max\":%u,"
	       "\"memlock_bytes\":%jd,\"nofile\":%jd}",
	    info->workers, (unsigned)FILCH_WORKERS_MAX,
	    (unsigned)FILCH_RING_ENTRIES_DEFAULT,
	    (unsigned)FILCH_RING_ENTRIES_MAX,
	    (unsigned)FILCH_POOL_THREADS_DEFAULT,
	    (unsigned)FILCH_POOL_THREADS_MAX, memlock_limit(), files_limit());
	for (unsigned i = 0; i < info->aio_count; i++) {
		printf("%s\"%s\":%ld", i == 0 ? ",\"aio\":{" : ",",
		    info->aio[i].name, info->aio[i].value);
	}
	puts(info->aio_count > 0 ? "}}" : "}");
}

static void
print_limit(const char *name, intmax_t limit, const char *unit)
{
	if (limit < 0) {
		printf("%-14s unlimited\n", name);
	} else {
		printf("%-14s %jd%s\n", name, limit, unit);
	}
}

static void
print_table(const struct info *info)
{
	printf("%-14s %s\n", "version", filch_version());
	printf("%-14s %s\n", "driver", info->driver);
	printf("%-14s %s\n", "why", info->reason);
	printf("%-14s %s %s\n", "kernel", info->system.sysname,
	    info->system.release);
	printf("%-14s %s\n", "io_uring", info->features);
	printf("%-14s %u (at most %u)\n", "workers", info->workers,
	    (unsigned)FILCH_WORKERS_MAX);
	printf("%-14s %u a worker (at most %u)\n", "ring entries",
	    (unsigned)FILCH_RING_ENTRIES_DEFAULT,
	    (unsigned)FILCH_RING_ENTRIES_MAX);
	printf("%-14s %u (at most %u)\n", "pool threads",
	    (unsigned)FILCH_POOL_THREADS_DEFAULT,
	    (unsigned)FILCH_POOL_THREADS_MAX);
	print_limit("RLIMIT_MEMLOCK", memlock_limit(), " bytes");
	print_limit("RLIMIT_NOFILE", files_limit(), " files");
	for (unsigned i = 0; i < info->aio_count; i++) {
		if (info->aio[i].value >= 0) {
			printf(
			    "%s %ld\n", info->aio[i].name, info->aio[i].value);
		}
	}
}

/* Result: the exit code, or -1 to go on. */
static int
parse(int argc, char **argv, bool *ret_json)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--output=json") == 0) {
			*ret_json = true;
		} else if (strcmp(argv[i], "--output=table") == 0) {
			*ret_json = false;
		} else if (strcmp(argv[i], "--help") == 0) {
			puts("usage: filch info [--output=table|json]");
			return (TOOL_DONE);
		} else if (strncmp(argv[i], "--output", 8) == 0) {
			fprintf(stderr,
			    "filch: info: --output: must be table or json\n");
			return (TOOL_USAGE);
		} else {
			fprintf(stderr,
			    "filch: info: %s: must be an option that --help "
			    "lists\n",
			    argv[i]);
			return (TOOL_USAGE);
		}
	}
	return (-1);
}

int
tool_info(int argc, char **argv)
{
	struct filch_executor *executor;
	struct info info = { .workers = 0 };
	bool json = false;
	int rc = parse(argc, argv, &json);

	if (rc >= 0) {
		return (rc);
	}
	rc = filch_executor_create(NULL, &executor);
	if (rc != 0) {
		fprintf(stderr, "filch: info: executor: create: %s\n",
		    strerror(-rc));
		return (TOOL_FAILED);
	}
	(void)uname(&info.system);
	(void)tool_uring_features(info.features, sizeof(info.features));
	info.driver = filch_driver_name(filch_executor_driver(executor));
	info.reason = filch_executor_driver_reason(executor);
	info.workers = filch_executor_worker_count(executor);
	if (filch_executor_driver(executor) == FILCH_DRIVER_KQUEUE) {
		info.aio_count = tool_aio_limits(info.aio);
	}
	if (json) {
		print_json(&info);
	} else {
		print_table(&info);
	}
	filch_executor_destroy(executor);
	if (fflush(stdout) != 0) {
		fprintf(stderr, "filch: info: standard output: write: %s\n",
		    strerror(errno));
		return (TOOL_FAILED);
	}
	return (TOOL_DONE);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "peer.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "../../../executor/cpus.h"
#include "interrupt.h"
#include "workload.h"

#define ARGUMENTS_MAX 64

/*
 * A signal ends a peer's program, whatever its library hangs in: it has no more
 * to say than it prints at its end.  This instead of interrupt.c.
 */
atomic_bool tool_interrupt_flag;

void
tool_interrupt_catch(void)
{
}

int peer_argc;
char **peer_argv;

/* As scripts/bench tells our own programs by options. */
static char *mixed[] = { "--rw=randrw", "--rwmixread=70", "--fdatasync=64" };
static char *stuck[] = { "--stuck=2ms", "--stuck_every=10ms" };

static void
add(char **arguments, size_t count)
{
	for (size_t i = 0; i < count && peer_argc < ARGUMENTS_MAX; i++) {
		peer_argv[peer_argc++] = arguments[i];
	}
}

void
peer_arguments(int argc, char **argv)
{
	static char *all[ARGUMENTS_MAX + 1];

	peer_argv = all;
	peer_argc = 0;
	add(argv, 1);
	add(argv + 2, (size_t)argc - 2);
	if (strcmp(argv[1], "mixed") == 0) {
		const char *given = peer_option("stuck");

		add(mixed, 3);
		if (given == NULL) {
			add(stuck, 2);
		} else if (strcmp(given, "0") != 0) {
			peer_refuse(argv[0], "--stuck", "must be 0");
		}
	}
}

const char *
peer_value(const char *argument, const char *name)
{
	size_t length = strlen(name);

	return (strncmp(argument, "--", 2) == 0 &&
		    strncmp(argument + 2, name, length) == 0 &&
		    argument[2 + length] == '='
		? argument + 3 + length
		: NULL);
}

const char *
peer_option(const char *name)
{
	for (int i = 1; i < peer_argc; i++) {
		const char *value = peer_value(peer_argv[i], name);

		if (value != NULL) {
			peer_argc--;
			memmove(&peer_argv[i], &peer_argv[i + 1],
			    (size_t)(peer_argc - i) * sizeof(*peer_argv));
			peer_argv[peer_argc] = NULL;
			return (value);
		}
	}
	return (NULL);
}

const char *
peer_who(const char *peer, const char *version, const char *workload)
{
	static char text[128];

	snprintf(text, sizeof(text),
	    "\"peer\":\"%s\",\"version\":\"%s\",\"workload\":\"%s\"", peer,
	    version, workload);
	return (text);
}

void
peer_fail(const char *peer, const char *what, int error)
{
	fprintf(stderr, "%s: %s%s%s\n", peer, what, error == 0 ? "" : ": ",
	    error == 0 ? "" : strerror(error));
	exit(1);
}

void
peer_refuse(const char *peer, const char *argument, const char *rule)
{
	fprintf(stderr, "%s: %s: %s\n", peer, argument, rule);
	exit(2);
}

void
peer_files_allow(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		/* Where it fails, who opens too many is told so. */
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

void
peer_pin(unsigned cpu)
{
	filch__cpus_pin(pthread_self(), cpu);
}

uint64_t
peer_now_ns(void)
{
	return (workload_now_ns());
}

void
peer_pause_ns(uint64_t ns)
{
	struct timespec pause = {
		.tv_sec = (time_t)(ns / 1000000000),
		.tv_nsec = (long)(ns % 1000000000),
	};

	nanosleep(&pause, NULL);
}

uint64_t
peer_memory_bytes(const char *key)
{
	FILE *file = fopen("/proc/self/status", "r");
	size_t length = strlen(key);
	unsigned long long kib = 0;
	char line[128];

	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, key, length) == 0 && line[length] == ':') {
			kib = strtoull(line + length + 1, NULL, 10);
		}
	}
	if (kib == 0) {
		peer_fail("/proc/self/status", key, ENOENT);
	}
	fclose(file);
	return (kib * 1024);
}

uint64_t
peer_delay_ns(uint32_t *random)
{
	/* The same numbers as in benchmarks/wake_latency.c. */
	*random = *random * 1664525U + 1013904223U;
	return (PEER_PAUSE_NS + (*random >> 12));
}

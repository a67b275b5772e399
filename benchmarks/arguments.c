/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Values of options and of the environment.
 */
#include "arguments.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S    UINT64_C(1000000000)
#define TIME_NS_MAX (UINT64_C(365) * 86400 * NS_PER_S)
#define UNITS_MIN   (UINT64_C(1) << 20) /* below, nobody misses them */

const char *const argument_drivers[] = { "auto", "uring", "posix", "kqueue",
	NULL };

static bool name_find(const char *, const char *const *, unsigned *);
static void names_print(const char *const *);

int
argument_number(const char *program, const char *option, const char *text,
    uint64_t min, uint64_t max, uint64_t *ret_value)
{
	char *end = NULL;
	unsigned shift = 0;

	errno = 0;
	uint64_t value = strtoull(text, &end, 10);
	if (*end == 'k' || *end == 'K') {
		shift = 10;
	} else if (*end == 'm' || *end == 'M') {
		shift = 20;
	} else if (*end == 'g' || *end == 'G') {
		shift = 30;
	}
	end += shift != 0;
	if (errno != 0 || text[0] < '0' || text[0] > '9' || *end != '\0' ||
	    value > (UINT64_MAX >> shift) || value << shift < min ||
	    value << shift > max) {
		fprintf(stderr,
		    "%s: --%s: '%s' must be a number from %llu to %llu%s\n",
		    program, option, text, (unsigned long long)min,
		    (unsigned long long)max,
		    max < UNITS_MIN
			? ""
			: ", with k, m or g (1024-based) if wanted");
		return (2);
	}
	*ret_value = value << shift;
	return (0);
}

int
argument_small(const char *program, const char *option, const char *text,
    unsigned min, unsigned max, unsigned *ret_value)
{
	uint64_t value = 0;
	int error = argument_number(program, option, text, min, max, &value);

	if (error == 0) {
		*ret_value = (unsigned)value;
	}
	return (error);
}

int
argument_time(
    const char *program, const char *option, const char *text, uint64_t *ret_ns)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = {
		{ "", NS_PER_S },
		{ "us", UINT64_C(1000) },
		{ "ms", UINT64_C(1000000) },
		{ "s", NS_PER_S },
		{ "m", 60 * NS_PER_S },
		{ "h", 3600 * NS_PER_S },
		{ "d", 86400 * NS_PER_S },
	};
	char *end = NULL;

	errno = 0;
	uint64_t value = strtoull(text, &end, 10);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (errno == 0 && text[0] >= '0' && text[0] <= '9' &&
		    value > 0 && value <= TIME_NS_MAX / units[i].ns &&
		    strcmp(end, units[i].name) == 0) {
			*ret_ns = value * units[i].ns;
			return (0);
		}
	}
	fprintf(stderr,
	    "%s: --%s: '%s' must be a time over 0 and up to a year, in "
	    "seconds or with us, ms, s, m, h or d\n",
	    program, option, text);
	return (2);
}

int
argument_flag(
    const char *program, const char *option, const char *text, bool *ret_value)
{
	if (strcmp(text, "0") != 0 && strcmp(text, "1") != 0) {
		fprintf(stderr, "%s: --%s: '%s' must be 0 or 1\n", program,
		    option, text);
		return (2);
	}
	*ret_value = text[0] == '1';
	return (0);
}

int
argument_choice(const char *program, const char *option, const char *text,
    const char *const *names, unsigned *ret_index)
{
	if (!name_find(text, names, ret_index)) {
		fprintf(stderr, "%s: --%s: '%s' must be one of", program,
		    option, text);
		names_print(names);
		return (2);
	}
	return (0);
}

int
argument_driver_environment(const char *program)
{
	const char *text = getenv("FILCH_DRIVER");
	unsigned index;

	if (text == NULL || text[0] == '\0' ||
	    name_find(text, argument_drivers, &index)) {
		return (0);
	}
	fprintf(stderr, "%s: FILCH_DRIVER: '%s' must be one of", program, text);
	names_print(argument_drivers);
	return (2);
}

static bool
name_find(const char *text, const char *const *names, unsigned *ret_index)
{
	for (unsigned i = 0; names[i] != NULL; i++) {
		if (strcmp(names[i], text) == 0) {
			*ret_index = i;
			return (true);
		}
	}
	return (false);
}

static void
names_print(const char *const *names)
{
	for (unsigned i = 0; names[i] != NULL; i++) {
		fprintf(stderr, "%s %s", i == 0 ? "" : ",", names[i]);
	}
	fprintf(stderr, "\n");
}

int
argument_refused(const char *program, int result, char *const *argv)
{
	const char *option = argv[optind - 1];

	if (result == ':') {
		fprintf(stderr, "%s: %s: must have a value\n", program, option);
	} else if (strncmp(option, "--", 2) == 0 && optopt >= 256) {
		fprintf(
		    stderr, "%s: %s: must have no value\n", program, option);
	} else {
		fprintf(stderr, "%s: %s: must be an option that --help lists\n",
		    program, option);
	}
	return (2);
}

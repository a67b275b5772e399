/* SPDX-License-Identifier: BSD-2-Clause */
/* The options, with fio's names and unit suffixes. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "workload.h"

static const char *const rw_names[] = { "read", "write", "randread",
	"randwrite", "randrw" };

enum {
	OPT_RW = 1,
	OPT_BS,
	OPT_IODEPTH,
	OPT_SIZE,
	OPT_RUNTIME,
	OPT_NUMBER_IOS,
	OPT_DIRECT,
	OPT_FSYNC,
	OPT_FDATASYNC,
	OPT_WORKERS,
	OPT_DRIVER,
	OPT_BATCH,
	OPT_VERIFY,
	OPT_SEED,
	OPT_OUTPUT,
	OPT_FILENAME,
	OPT_OVERWRITE,
	OPT_PIN,
	OPT_LOCK,
	OPT_LAT,
	OPT_RING_FLAGS,
	OPT_HELP,
};

static const struct option long_options[] = {
	{ "rw", required_argument, NULL, OPT_RW },
	{ "bs", required_argument, NULL, OPT_BS },
	{ "iodepth", required_argument, NULL, OPT_IODEPTH },
	{ "size", required_argument, NULL, OPT_SIZE },
	{ "runtime", required_argument, NULL, OPT_RUNTIME },
	{ "number_ios", required_argument, NULL, OPT_NUMBER_IOS },
	{ "direct", required_argument, NULL, OPT_DIRECT },
	{ "fsync", required_argument, NULL, OPT_FSYNC },
	{ "fdatasync", required_argument, NULL, OPT_FDATASYNC },
	{ "workers", required_argument, NULL, OPT_WORKERS },
	{ "driver", required_argument, NULL, OPT_DRIVER },
	{ "batch", required_argument, NULL, OPT_BATCH },
	{ "verify", required_argument, NULL, OPT_VERIFY },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "output", required_argument, NULL, OPT_OUTPUT },
	{ "filename", required_argument, NULL, OPT_FILENAME },
	{ "overwrite", no_argument, NULL, OPT_OVERWRITE },
	{ "pin", required_argument, NULL, OPT_PIN },
	{ "lock", required_argument, NULL, OPT_LOCK },
	{ "lat", required_argument, NULL, OPT_LAT },
	{ "ring-flags", required_argument, NULL, OPT_RING_FLAGS },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

static _Noreturn void
refuse(const struct workload_options *o, const char *option, const char *rule)
{
	fprintf(stderr, "%s: --%s: %s\n", o->program, option, rule);
	exit(2);
}

static uint64_t
number(const struct workload_options *o, const char *option, const char *text,
    uint64_t low, uint64_t high)
{
	static const char suffixes[] = "kmgt";
	char rule[96];
	const char *found;
	char *end;
	unsigned shift = 0;
	uint64_t value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (end != text && *end != '\0') {
		found = strchr(suffixes, *end | 0x20);
		if (found != NULL && *found != '\0') {
			shift = 10U * (unsigned)(found - suffixes + 1);
			end++;
		}
	}
	snprintf(rule, sizeof(rule), "must be a number from %llu to %llu",
	    (unsigned long long)low, (unsigned long long)high);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 ||
	    value > (UINT64_MAX >> shift)) {
		refuse(o, option, rule);
	}
	value <<= shift;
	if (value < low || value > high) {
		refuse(o, option, rule);
	}
	return value;
}

static const char *
one_of(const struct workload_options *o, const char *option, const char *text,
    const char *a, const char *b, const char *c)
{
	char rule[64];

	if (strcmp(text, a) != 0 && strcmp(text, b) != 0 &&
	    strcmp(text, c) != 0) {
		snprintf(rule, sizeof(rule), "must be %s, %s or %s", a, b, c);
		refuse(o, option, rule);
	}
	return text;
}

static enum workload_rw
parse_rw(const struct workload_options *o, const char *text)
{
	unsigned i;

	for (i = 0; i < sizeof(rw_names) / sizeof(rw_names[0]); i++) {
		if (strcmp(text, rw_names[i]) == 0) {
			return (enum workload_rw)i;
		}
	}
	refuse(o, "rw", "must be read, write, randread, randwrite or randrw");
}

static void
set_number(struct workload_options *o, int code, const char *n, const char *a)
{
	const uint64_t many = UINT64_C(1) << 62;

	switch (code) {
	case OPT_BS: o->bs = number(o, n, a, 512, 1U << 30); break;
	case OPT_SIZE: o->size = number(o, n, a, 512, many); break;
	case OPT_RUNTIME: o->runtime = number(o, n, a, 0, 1000000); break;
	case OPT_NUMBER_IOS: o->number_ios = number(o, n, a, 0, many); break;
	case OPT_FSYNC: o->fsync = number(o, n, a, 0, many); break;
	case OPT_FDATASYNC: o->fdatasync = number(o, n, a, 0, many); break;
	case OPT_BATCH: o->batch = number(o, n, a, 0, 4096); break;
	case OPT_SEED: o->seed = number(o, n, a, 0, many); break;
	case OPT_DIRECT: o->direct = number(o, n, a, 0, 1) != 0; break;
	case OPT_VERIFY: o->verify = number(o, n, a, 0, 1) != 0; break;
	case OPT_PIN: o->pin = number(o, n, a, 0, 1) != 0; break;
	case OPT_LOCK: o->lock = number(o, n, a, 0, 1) != 0; break;
	case OPT_LAT: o->lat = number(o, n, a, 0, 1) != 0; break;
	case OPT_IODEPTH:
		o->iodepth = (unsigned)number(o, n, a, 1, 4096);
		break;
	default:
		o->workers =
		    (unsigned)number(o, n, a, 1, WORKLOAD_WORKERS_MAX);
		break;
	}
}

static void
set_option(struct workload_options *o, int code, const char *n, char *a)
{
	switch (code) {
	case OPT_RW: o->rw = parse_rw(o, a); break;
	case OPT_DRIVER:
		o->driver = one_of(o, n, a, "auto", "uring", "posix");
		break;
	case OPT_RING_FLAGS:
		o->ring_flags = one_of(o, n, a, "plain", "coop", "defer");
		break;
	case OPT_OUTPUT:
		o->json = one_of(o, n, a, "table", "json", "json")[0] == 'j';
		break;
	case OPT_FILENAME: o->filename = a; break;
	case OPT_OVERWRITE: o->overwrite = true; break;
	case OPT_HELP:
		printf("usage: %s [--OPTION=VALUE ...] [PATH]\n"
		       "options are described in benchmarks/README.md\n",
		    o->program);
		exit(0);
	default: set_number(o, code, n, a); break;
	}
}

/* Rules that join several options. */
static void
check_together(const struct workload_options *o)
{
	if (o->bs % 512 != 0) {
		refuse(o, "bs", "must be a multiple of 512");
	}
	if (o->size < o->bs) {
		refuse(o, "size", "must be at least --bs");
	}
	if (o->runtime == 0 && o->number_ios == 0) {
		refuse(o, "runtime", "must not be 0 without --number_ios");
	}
	if (o->direct && o->lock) {
		refuse(o, "lock", "must not be 1 with --direct=1");
	}
}

void
workload_parse(struct workload_options *o, const char *program, int argc,
    char **argv)
{
	int code;
	int index = 0;

	*o = (struct workload_options){ .program = program,
		.driver = "auto",
		.rw = WORKLOAD_RANDREAD,
		.bs = 4096,
		.size = UINT64_C(512) << 20,
		.runtime = 5,
		.seed = 1,
		.iodepth = 64,
		.workers = 2,
		.lat = true };
	opterr = 0;
	while ((code = getopt_long(argc, argv, ":", long_options, &index)) !=
	    -1) {
		if (code == '?' || code == ':') {
			fprintf(stderr, "%s: %s: %s\n", program,
			    argv[optind - 1],
			    code == ':' ? "must have a value" :
					  "must be a known option");
			exit(2);
		}
		set_option(o, code, long_options[index].name, optarg);
	}
	if (optind < argc) {
		if (o->filename != NULL || optind + 1 < argc) {
			refuse(o, "filename", "must be given only once");
		}
		o->filename = argv[optind];
	}
	check_together(o);
}

const char *
workload_rw_name(enum workload_rw rw)
{
	return rw_names[rw];
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The options of the I/O benchmarks: fio's names and units.
 */
#include "workload.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum option_id {
	OPT_RW = 256,
	OPT_BS,
	OPT_IODEPTH,
	OPT_SIZE,
	OPT_RUNTIME,
	OPT_DIRECT,
	OPT_FSYNC,
	OPT_FDATASYNC,
	OPT_WORKERS,
	OPT_SEED,
	OPT_OUTPUT,
	OPT_FILENAME,
	OPT_PIN,
	OPT_LOCK,
	OPT_NUMBER_IOS,
	OPT_DRIVER,
	OPT_BATCH,
	OPT_VERIFY,
	OPT_LAT,
	OPT_OVERWRITE,
	OPT_RING_FLAGS,
	OPT_HELP
};

static const struct option options[] = {
	{ "rw", required_argument, NULL, OPT_RW },
	{ "bs", required_argument, NULL, OPT_BS },
	{ "iodepth", required_argument, NULL, OPT_IODEPTH },
	{ "size", required_argument, NULL, OPT_SIZE },
	{ "runtime", required_argument, NULL, OPT_RUNTIME },
	{ "direct", required_argument, NULL, OPT_DIRECT },
	{ "fsync", required_argument, NULL, OPT_FSYNC },
	{ "fdatasync", required_argument, NULL, OPT_FDATASYNC },
	{ "workers", required_argument, NULL, OPT_WORKERS },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "output", required_argument, NULL, OPT_OUTPUT },
	{ "filename", required_argument, NULL, OPT_FILENAME },
	{ "pin", required_argument, NULL, OPT_PIN },
	{ "lock", required_argument, NULL, OPT_LOCK },
	{ "number_ios", required_argument, NULL, OPT_NUMBER_IOS },
	{ "driver", required_argument, NULL, OPT_DRIVER },
	{ "batch", required_argument, NULL, OPT_BATCH },
	{ "verify", optional_argument, NULL, OPT_VERIFY },
	{ "lat", required_argument, NULL, OPT_LAT },
	{ "overwrite", no_argument, NULL, OPT_OVERWRITE },
	{ "ring-flags", required_argument, NULL, OPT_RING_FLAGS },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

/* A number in fio's units: k, m and g are powers of 1024. */
static int
number(const char *name, uint64_t min, uint64_t max, uint64_t *ret_value)
{
	char *end = optarg;
	unsigned shift = 0;

	errno = 0;
	uint64_t value = strtoull(optarg, &end, 10);
	if (*end == 'k' || *end == 'K') {
		shift = 10;
	} else if (*end == 'm' || *end == 'M') {
		shift = 20;
	} else if (*end == 'g' || *end == 'G') {
		shift = 30;
	}
	end += shift != 0;
	if (errno != 0 || optarg[0] < '0' || optarg[0] > '9' || *end != '\0' ||
	    value > (UINT64_MAX >> shift) || value << shift < min ||
	    value << shift > max) {
		fprintf(stderr,
		    "--%s: '%s' must be a number from %llu to %llu, "
		    "with k, m or g (1024-based) if wanted\n",
		    name, optarg, (unsigned long long)min,
		    (unsigned long long)max);
		return (2);
	}
	*ret_value = value << shift;
	return (0);
}

static int
small(const char *name, unsigned min, unsigned max, unsigned *ret_value)
{
	uint64_t value = 0;
	int error = number(name, min, max, &value);

	if (error == 0) {
		*ret_value = (unsigned)value;
	}
	return (error);
}

static int
flag(const char *name, bool *ret_value)
{
	if (strcmp(optarg, "0") != 0 && strcmp(optarg, "1") != 0) {
		fprintf(stderr, "--%s: '%s' must be 0 or 1\n", name, optarg);
		return (2);
	}
	*ret_value = optarg[0] == '1';
	return (0);
}

/* The place of optarg in a list of names. */
static int
choice(const char *name, const char *const *names, unsigned *ret_index)
{
	for (unsigned i = 0; names[i] != NULL; i++) {
		if (strcmp(names[i], optarg) == 0) {
			*ret_index = i;
			return (0);
		}
	}
	fprintf(stderr, "--%s: '%s' must be one of", name, optarg);
	for (unsigned i = 0; names[i] != NULL; i++) {
		fprintf(stderr, "%s %s", i == 0 ? "" : ",", names[i]);
	}
	fprintf(stderr, "\n");
	return (2);
}

static int
apply_word(struct workload *workload, int id)
{
	static const char *const rws[] = { "randread", "randwrite", "read",
		"write", "randrw", NULL };
	static const char *const outputs[] = { "table", "json", NULL };
	static const char *const flags[] = { "plain", "coop", "defer", NULL };
	unsigned index = 0;
	int error = 0;

	if (id == OPT_RW) {
		error = choice("rw", rws, &index);
		workload->rw = (enum workload_rw)index;
	} else if (id == OPT_OUTPUT) {
		error = choice("output", outputs, &index);
		workload->json = index == 1;
	} else if (id == OPT_RING_FLAGS) {
		error = choice("ring-flags", flags, &index);
		workload->ring_flags = flags[index];
	} else if (id == OPT_FILENAME) {
		workload->filename = optarg;
	} else if (id == OPT_DRIVER) {
		workload->driver = optarg;
	} else if (id == OPT_OVERWRITE) {
		workload->overwrite = true;
	} else {
		error = 2;
	}
	return (error);
}

static int
apply(struct workload *w, int id)
{
	switch (id) {
	case OPT_BS:
		return (number("bs", 8, UINT64_C(1) << 26, &w->block_size));
	case OPT_IODEPTH:
		return (small("iodepth", 1, 4096, &w->iodepth));
	case OPT_SIZE:
		return (number("size", 8, UINT64_C(1) << 43, &w->size));
	case OPT_RUNTIME:
		return (small("runtime", 1, 86400, &w->runtime_s));
	case OPT_DIRECT:
		return (flag("direct", &w->direct));
	case OPT_FSYNC:
		return (small("fsync", 0, 1U << 30, &w->fsync_every));
	case OPT_FDATASYNC:
		return (small("fdatasync", 0, 1U << 30, &w->fdatasync_every));
	case OPT_WORKERS:
		return (small("workers", 1, 256, &w->workers));
	case OPT_SEED:
		return (number("seed", 0, UINT64_MAX, &w->seed));
	case OPT_PIN:
		return (flag("pin", &w->pin));
	case OPT_LOCK:
		return (flag("lock", &w->lock));
	case OPT_NUMBER_IOS:
		return (number("number_ios", 1, UINT64_MAX, &w->number_ios));
	case OPT_BATCH:
		return (small("batch", 1, 4096, &w->batch));
	case OPT_VERIFY:
		w->verify = true;
		return (optarg == NULL ? 0 : flag("verify", &w->verify));
	case OPT_LAT:
		return (flag("lat", &w->latency));
	default:
		return (apply_word(w, id));
	}
}

static void
usage(const char *program)
{
	printf("usage: %s [options] [FILE]\n", program);
	for (unsigned i = 0; options[i].name != NULL; i++) {
		printf("  --%s%s\n", options[i].name,
		    options[i].has_arg == no_argument ? "" : "=VALUE");
	}
}

int
workload_parse(struct workload *workload, int argc, char **argv)
{
	int id;

	*workload = (struct workload){ .rw = RW_RANDREAD,
		.block_size = 4096,
		.iodepth = 64,
		.size = UINT64_C(512) << 20,
		.runtime_s = 5,
		.workers = 2,
		.seed = 1,
		.batch = 1,
		.latency = true,
		.fd = -1 };
	while ((id = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (id == OPT_HELP) {
			usage(argv[0]);
			return (1);
		}
		/* getopt has already named an option it does not know. */
		int error = id == '?' ? 2 : apply(workload, id);
		if (error != 0) {
			return (error);
		}
	}
	if (optind < argc) {
		workload->filename = argv[optind];
	}
	if (workload->block_size % (workload->direct ? 512 : 8) != 0 ||
	    workload->size < workload->block_size) {
		fprintf(stderr,
		    "--bs: must be a multiple of 8 (of 512 with "
		    "--direct=1) and at most --size\n");
		return (2);
	}
	workload->size -= workload->size % workload->block_size;
	return (0);
}

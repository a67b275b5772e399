/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The options of the I/O benchmarks: fio's names and units.
 */
#include "workload.h"

#include <getopt.h>
#include <stdio.h>

#include "arguments.h"

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

static int
apply_word(struct workload *w, int id)
{
	static const char *const rws[] = { "randread", "randwrite", "read",
		"write", "randrw", NULL };
	static const char *const outputs[] = { "table", "json", NULL };
	static const char *const flags[] = { "plain", "coop", "defer", NULL };
	unsigned index = 0;
	int error = 0;

	if (id == OPT_RW) {
		error = argument_choice(w->program, "rw", optarg, rws, &index);
		w->rw = (enum workload_rw)index;
	} else if (id == OPT_OUTPUT) {
		error = argument_choice(
		    w->program, "output", optarg, outputs, &index);
		w->json = index == 1;
	} else if (id == OPT_RING_FLAGS) {
		error = argument_choice(
		    w->program, "ring-flags", optarg, flags, &index);
		w->ring_flags = flags[index];
	} else if (id == OPT_FILENAME) {
		w->filename = optarg;
	} else if (id == OPT_DRIVER) {
		w->driver = optarg;
	} else if (id == OPT_OVERWRITE) {
		w->overwrite = true;
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
		return (argument_number(w->program, "bs", optarg, 8,
		    UINT64_C(1) << 26, &w->block_size));
	case OPT_IODEPTH:
		return (argument_small(
		    w->program, "iodepth", optarg, 1, 4096, &w->iodepth));
	case OPT_SIZE:
		return (argument_number(w->program, "size", optarg, 8,
		    UINT64_C(1) << 43, &w->size));
	case OPT_RUNTIME:
		return (argument_small(
		    w->program, "runtime", optarg, 1, 86400, &w->runtime_s));
	case OPT_DIRECT:
		return (
		    argument_flag(w->program, "direct", optarg, &w->direct));
	case OPT_FSYNC:
		return (argument_small(
		    w->program, "fsync", optarg, 0, 1U << 30, &w->fsync_every));
	case OPT_FDATASYNC:
		return (argument_small(w->program, "fdatasync", optarg, 0,
		    1U << 30, &w->fdatasync_every));
	case OPT_WORKERS:
		return (argument_small(
		    w->program, "workers", optarg, 1, 256, &w->workers));
	case OPT_SEED:
		return (argument_number(
		    w->program, "seed", optarg, 0, UINT64_MAX, &w->seed));
	case OPT_PIN:
		return (argument_flag(w->program, "pin", optarg, &w->pin));
	case OPT_LOCK:
		return (argument_flag(w->program, "lock", optarg, &w->lock));
	case OPT_NUMBER_IOS:
		return (argument_number(w->program, "number_ios", optarg, 1,
		    UINT64_MAX, &w->number_ios));
	case OPT_BATCH:
		return (argument_small(
		    w->program, "batch", optarg, 1, 4096, &w->batch));
	case OPT_VERIFY:
		w->verify = true;
		return (optarg == NULL ? 0
				       : argument_flag(w->program, "verify",
					     optarg, &w->verify));
	case OPT_LAT:
		return (argument_flag(w->program, "lat", optarg, &w->latency));
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
workload_parse(
    struct workload *workload, const char *program, int argc, char **argv)
{
	int id;

	*workload = (struct workload){ .program = program,
		.rw = RW_RANDREAD,
		.block_size = 4096,
		.iodepth = 64,
		.size = UINT64_C(512) << 20,
		.runtime_s = 5,
		.workers = 2,
		.seed = 1,
		.batch = 1,
		.latency = true,
		.fd = -1 };
	opterr = 0;
	while ((id = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (id == OPT_HELP) {
			usage(argv[0]);
			return (1);
		}
		int error = id == '?' || id == ':'
		    ? argument_refused(program, id, argv)
		    : apply(workload, id);
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
		    "%s: --bs: must be a multiple of 8 (of 512 with "
		    "--direct=1) and at most --size\n",
		    program);
		return (2);
	}
	workload->size -= workload->size % workload->block_size;
	return (0);
}

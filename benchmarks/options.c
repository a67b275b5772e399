/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The options of the I/O benchmarks: fio's names and units.
 */
#include <getopt.h>
#include <stdio.h>

#include "arguments.h"
#include "workload.h"

/* What getopt_long returns: the place in the table below, from here on. */
#define OPTION_BASE 256

/* One a nanosecond: more have no schedule. */
#define RATE_MAX UINT64_C(1000000000)

enum option_id {
	OPT_RW,
	OPT_RWMIXREAD,
	OPT_BS,
	OPT_IODEPTH,
	OPT_BATCH,
	OPT_WORKERS,
	OPT_DRIVER,
	OPT_RUNTIME,
	OPT_NUMBER_IOS,
	OPT_RATE,
	OPT_FILENAME,
	OPT_SIZE,
	OPT_OVERWRITE,
	OPT_DIRECT,
	OPT_LOCK,
	OPT_MAP,
	OPT_FSYNC,
	OPT_FDATASYNC,
	OPT_SHARED_SYNC,
	OPT_VERIFY,
	OPT_SEED,
	OPT_PIN,
	OPT_STUCK,
	OPT_STUCK_EVERY,
	OPT_LAT,
	OPT_RING_FLAGS,
	OPT_OUTPUT,
	OPT_HELP,
	OPT_COUNT
};

static const struct {
	const char *name;
	const char *value; /* what --help shows; NULL where there is none */
	const char *help;
} table[OPT_COUNT] = {
	[OPT_RW] = { "rw", "MODE",
	    "randread, randwrite, read, write or randrw [randread]" },
	[OPT_RWMIXREAD] = { "rwmixread", "N",
	    "percent of randrw that is reads [50]" },
	[OPT_BS] = { "bs", "SIZE", "bytes an operation [4k]" },
	[OPT_IODEPTH] = { "iodepth", "N",
	    "operations in flight for each worker [64]" },
	[OPT_BATCH] = { "batch", "N",
	    "operations submitted, and waited for, together [1]" },
	[OPT_WORKERS] = { "workers", "N", "threads [2]" },
	[OPT_DRIVER] = { "driver", "NAME",
	    "uring, posix or auto; only filch has a choice [auto]" },
	[OPT_RUNTIME] = { "runtime", "TIME",
	    "seconds, or with us ms s m h d [5]" },
	[OPT_NUMBER_IOS] = { "number_ios", "N",
	    "stop after so many operations" },
	[OPT_RATE] = { "rate", "N",
	    "operations a second, latencies from when due [0: all it can]" },
	[OPT_FILENAME] = { "filename", "FILE",
	    "the same as FILE; what does not exist is made and removed" },
	[OPT_SIZE] = { "size", "SIZE", "of the file, or as much of it [512m]" },
	[OPT_OVERWRITE] = { "overwrite", NULL,
	    "let a mode that writes change a FILE that exists" },
	[OPT_DIRECT] = { "direct", "0|1", "O_DIRECT: past the cache [0]" },
	[OPT_LOCK] = { "lock", "0|1", "keep the file in the cache [0]" },
	[OPT_MAP] = { "map", "0|1",
	    "read through a mapping; only of filch and raw_pread [0]" },
	[OPT_FSYNC] = { "fsync", "N", "fsync after N writes [0: never]" },
	[OPT_FDATASYNC] = { "fdatasync", "N",
	    "fdatasync after N writes [0: never]" },
	[OPT_SHARED_SYNC] = { "shared_sync", "0|1",
	    "who waits for a sync shares the next; only of filch [0]" },
	[OPT_VERIFY] = { "verify", "0|1",
	    "check every byte that is read; alone it is 1 [0]" },
	[OPT_SEED] = { "seed", "N", "of offsets and content [1]" },
	[OPT_PIN] = { "pin", "0|1", "a CPU for each worker [0]" },
	[OPT_STUCK] = { "stuck", "TIME",
	    "a task keeps its worker so long, now and then [never]" },
	[OPT_STUCK_EVERY] = { "stuck_every", "TIME",
	    "from one such turn to the next [10ms]" },
	[OPT_LAT] = { "lat", "0|1", "measure latencies [1]" },
	[OPT_RING_FLAGS] = { "ring-flags", "NAME",
	    "defer, coop or plain; only of raw_uring [defer]" },
	[OPT_OUTPUT] = { "output", "FORM", "table or json [table]" },
	[OPT_HELP] = { "help", NULL, "this list" },
};

static const char *const rws[] = { "randread", "randwrite", "read", "write",
	"randrw", NULL };
static const char *const flags[] = { "defer", "coop", "plain", NULL };
static const char *const outputs[] = { "table", "json", NULL };

static int
apply_choice(struct workload *w, enum option_id id, const char *const *names)
{
	unsigned index = 0;
	int error =
	    argument_choice(w->program, table[id].name, optarg, names, &index);

	if (error != 0) {
		return (error);
	}
	if (id == OPT_RW) {
		w->rw = (enum workload_rw)index;
	} else if (id == OPT_OUTPUT) {
		w->json = index == 1;
	} else if (id == OPT_RING_FLAGS) {
		w->ring_flags = flags[index];
	} else {
		w->driver = argument_drivers[index];
	}
	return (0);
}

static int
apply_number(struct workload *w, enum option_id id)
{
	const char *p = w->program;
	const char *name = table[id].name;

	switch (id) {
	case OPT_RWMIXREAD:
		return (
		    argument_small(p, name, optarg, 0, 100, &w->read_percent));
	case OPT_BS:
		return (argument_number(
		    p, name, optarg, 8, UINT64_C(1) << 26, &w->block_size));
	case OPT_SIZE:
		return (argument_number(
		    p, name, optarg, 8, UINT64_C(1) << 43, &w->size));
	case OPT_SEED:
		return (
		    argument_number(p, name, optarg, 0, UINT64_MAX, &w->seed));
	case OPT_NUMBER_IOS:
		return (argument_number(
		    p, name, optarg, 1, UINT64_MAX, &w->number_ios));
	case OPT_RATE:
		return (
		    argument_number(p, name, optarg, 0, RATE_MAX, &w->rate));
	case OPT_IODEPTH:
		return (argument_small(p, name, optarg, 1, 4096, &w->iodepth));
	case OPT_BATCH:
		return (argument_small(p, name, optarg, 1, 4096, &w->batch));
	case OPT_WORKERS:
		return (argument_small(p, name, optarg, 1, 256, &w->workers));
	case OPT_FSYNC:
		return (argument_small(
		    p, name, optarg, 0, 1U << 30, &w->fsync_every));
	default:
		return (argument_small(
		    p, name, optarg, 0, 1U << 30, &w->fdatasync_every));
	}
}

static int
apply(struct workload *w, enum option_id id)
{
	const char *name = table[id].name;

	switch (id) {
	case OPT_RW:
		return (apply_choice(w, id, rws));
	case OPT_DRIVER:
		return (apply_choice(w, id, argument_drivers));
	case OPT_RING_FLAGS:
		return (apply_choice(w, id, flags));
	case OPT_OUTPUT:
		return (apply_choice(w, id, outputs));
	case OPT_FILENAME:
		w->filename = optarg;
		return (0);
	case OPT_OVERWRITE:
		w->overwrite = true;
		return (0);
	case OPT_STUCK:
		return (argument_time(w->program, name, optarg, &w->stuck_ns));
	case OPT_STUCK_EVERY:
		return (argument_time(
		    w->program, name, optarg, &w->stuck_every_ns));
	case OPT_RUNTIME:
		return (
		    argument_time(w->program, name, optarg, &w->runtime_ns));
	case OPT_DIRECT:
		return (argument_flag(w->program, name, optarg, &w->direct));
	case OPT_LOCK:
		return (argument_flag(w->program, name, optarg, &w->lock));
	case OPT_MAP:
		return (argument_flag(w->program, name, optarg, &w->map));
	case OPT_PIN:
		return (argument_flag(w->program, name, optarg, &w->pin));
	case OPT_SHARED_SYNC:
		return (
		    argument_flag(w->program, name, optarg, &w->shared_sync));
	case OPT_LAT:
		return (argument_flag(w->program, name, optarg, &w->latency));
	case OPT_VERIFY:
		w->verify = true;
		return (optarg == NULL
			? 0
			: argument_flag(w->program, name, optarg, &w->verify));
	default:
		return (apply_number(w, id));
	}
}

static void
usage(const char *name)
{
	printf("usage: %s [--OPTION[=VALUE] ...] [FILE]\n", name);
	for (unsigned i = 0; i < OPT_COUNT; i++) {
		int width = printf("  --%s%s%s", table[i].name,
		    table[i].value == NULL ? "" : "=",
		    table[i].value == NULL ? "" : table[i].value);

		printf("%*s%s\n", 24 - width, "", table[i].help);
	}
	printf("SIZE is bytes, or with k, m or g (1024-based).\n");
}

static bool
reads(const struct workload *w)
{
	return (w->rw == RW_RANDREAD || w->rw == RW_READ ||
	    (w->rw == RW_RANDRW && w->read_percent > 0));
}

/* What only holds of several options together. */
static int
check(struct workload *w)
{
	const char *rule = NULL;

	if (w->block_size % (w->direct ? 512 : 8) != 0) {
		rule = "--bs: must be a multiple of 8, and of 512 with "
		       "--direct=1";
	} else if (w->block_size > w->size) {
		rule = "--bs: must be at most --size";
	} else if (w->size / w->block_size > UINT32_MAX) {
		rule = "--bs: must be at least 1/2^32 of --size";
	} else if (w->shared_sync &&
	    (w->batch > 1 || (w->fsync_every | w->fdatasync_every) == 0)) {
		rule = "--shared_sync: needs --batch=1, and --fsync or "
		       "--fdatasync";
	} else if (w->map && (w->direct || !reads(w))) {
		rule = "--map: needs reads, and --direct=0";
	} else if (w->stuck_ns >= w->stuck_every_ns) {
		rule = "--stuck: must be less than --stuck_every";
	} else if (w->rate != 0 && w->batch > 1) {
		rule = "--rate: needs --batch=1";
	} else if (w->batch > w->iodepth) {
		rule = "--batch: must be at most --iodepth";
	}
	if (rule != NULL) {
		fprintf(stderr, "%s: %s\n", w->program, rule);
		return (WORKLOAD_USAGE);
	}
	w->size -= w->size % w->block_size;
	return (0);
}

/* One FILE at most, by option or without. */
static int
file_choose(struct workload *w, int argc, char **argv)
{
	int first = optind + (w->filename == NULL);

	if (first < argc) {
		fprintf(stderr, "%s: %s: must be the only FILE\n", w->program,
		    argv[first]);
		return (WORKLOAD_USAGE);
	}
	if (optind < argc) {
		w->filename = argv[optind];
	}
	if (w->filename != NULL && w->filename[0] == '\0') {
		fprintf(
		    stderr, "%s: --filename: must not be empty\n", w->program);
		return (WORKLOAD_USAGE);
	}
	return (0);
}

int
workload_parse(
    struct workload *workload, const char *program, int argc, char **argv)
{
	struct option options[OPT_COUNT + 1] = { { .name = NULL } };
	int id;

	*workload = (struct workload){ .program = program,
		.rw = RW_RANDREAD,
		.read_percent = 50,
		.stuck_every_ns = UINT64_C(10000000),
		.block_size = 4096,
		.iodepth = 64,
		.size = UINT64_C(512) << 20,
		.runtime_ns = UINT64_C(5000000000),
		.workers = 2,
		.seed = 1,
		.batch = 1,
		.latency = true,
		.driver = argument_drivers[0],
		.ring_flags = flags[0],
		.fd = -1 };
	for (int i = 0; i < OPT_COUNT; i++) {
		options[i].name = table[i].name;
		options[i].has_arg = table[i].value == NULL ? no_argument
		    : i == OPT_VERIFY                       ? optional_argument
							    : required_argument;
		options[i].val = OPTION_BASE + i;
	}
	opterr = 0;
	while ((id = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (id == OPTION_BASE + OPT_HELP) {
			usage(argv[0]);
			return (-1);
		}
		int error = id < OPTION_BASE
		    ? argument_refused(program, id, argv)
		    : apply(workload, (enum option_id)(id - OPTION_BASE));
		if (error != 0) {
			return (error);
		}
	}
	return (file_choose(workload, argc, argv) == 0 ? check(workload)
						       : WORKLOAD_USAGE);
}

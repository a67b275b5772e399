/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * filch copy: its options.
 */
#include "copy.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "tool.h"

#define PROGRAM "filch: copy"

enum option_id {
	OPT_BS = 256,
	OPT_JOBS,
	OPT_IODEPTH,
	OPT_WORKERS,
	OPT_DRIVER,
	OPT_PROGRESS,
	OPT_VERIFY,
	OPT_DIRECT,
	OPT_FSYNC,
	OPT_OVERWRITE,
	OPT_RESUME,
	OPT_HELP
};

static const struct option options[] = {
	{ "bs", required_argument, NULL, OPT_BS },
	{ "jobs", required_argument, NULL, OPT_JOBS },
	{ "iodepth", required_argument, NULL, OPT_IODEPTH },
	{ "workers", required_argument, NULL, OPT_WORKERS },
	{ "driver", required_argument, NULL, OPT_DRIVER },
	{ "progress", required_argument, NULL, OPT_PROGRESS },
	{ "recursive", no_argument, NULL, 'r' },
	{ "verify", no_argument, NULL, OPT_VERIFY },
	{ "direct", no_argument, NULL, OPT_DIRECT },
	{ "fsync", no_argument, NULL, OPT_FSYNC },
	{ "overwrite", no_argument, NULL, OPT_OVERWRITE },
	{ "resume", no_argument, NULL, OPT_RESUME },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

static void
usage(void)
{
	printf("usage: filch copy [options] SOURCE... TARGET\n"
	       "  -r, --recursive      copy directories and what they hold\n"
	       "      --overwrite      replace files that exist\n"
	       "      --resume         pass over files that are complete\n"
	       "      --verify         read the copy back and compare it\n"
	       "      --fsync          make the copy durable before it has its "
	       "name\n"
	       "      --direct         bypass the page cache\n"
	       "      --jobs=N         files in flight (%u)\n"
	       "      --iodepth=N      blocks of each in flight (%u)\n"
	       "      --bs=SIZE        bytes of a block (%uk)\n"
	       "      --workers=N      threads of the executor (one a CPU)\n"
	       "      --driver=NAME    auto, uring, kqueue or posix\n"
	       "      --progress=WHEN  auto, always or never\n",
	    COPY_JOBS_DEFAULT, COPY_IODEPTH_DEFAULT,
	    (unsigned)(COPY_BLOCK_DEFAULT >> 10));
}

static int
apply_choice(struct copy_options *o, int id)
{
	/* In the order of enum filch_driver_kind and enum copy_progress. */
	static const char *const drivers[] = { "auto", "uring", "posix",
		"kqueue", NULL };
	static const char *const whens[] = { "auto", "always", "never", NULL };
	unsigned index = 0;
	int rc;

	if (id == OPT_DRIVER) {
		rc =
		    argument_choice(PROGRAM, "driver", optarg, drivers, &index);
		o->driver = (enum filch_driver_kind)index;
		return (rc);
	}
	rc = argument_choice(PROGRAM, "progress", optarg, whens, &index);
	o->progress = (enum copy_progress)index;
	return (rc);
}

static int
apply(struct copy_options *o, int id)
{
	switch (id) {
	case OPT_BS:
		return (argument_number(PROGRAM, "bs", optarg, COPY_ALIGNMENT,
		    COPY_BLOCK_MAX, &o->block_size));
	case OPT_JOBS:
		return (argument_small(
		    PROGRAM, "jobs", optarg, 1, COPY_JOBS_MAX, &o->jobs));
	case OPT_IODEPTH:
		return (argument_small(PROGRAM, "iodepth", optarg, 1,
		    COPY_IODEPTH_MAX, &o->iodepth));
	case OPT_WORKERS:
		return (argument_small(PROGRAM, "workers", optarg, 1,
		    FILCH_WORKERS_MAX, &o->workers));
	case OPT_DRIVER:
	case OPT_PROGRESS:
		return (apply_choice(o, id));
	case 'r':
		o->recursive = true;
		break;
	case OPT_VERIFY:
		o->verify = true;
		break;
	case OPT_DIRECT:
		o->direct = true;
		break;
	case OPT_FSYNC:
		o->fsync = true;
		break;
	case OPT_OVERWRITE:
		o->overwrite = true;
		break;
	default:
		o->resume = true;
		break;
	}
	return (0);
}

/* What no single option can tell. */
static int
check(struct copy_options *o, int argc, char **argv)
{
	uint64_t memory = o->block_size * o->jobs * o->iodepth;

	if (o->block_size % COPY_ALIGNMENT != 0) {
		fprintf(stderr, PROGRAM ": --bs: must be a multiple of %u\n",
		    COPY_ALIGNMENT);
		return (TOOL_USAGE);
	}
	if ((o->verify ? 2 : 1) * memory > COPY_MEMORY_MAX) {
		fprintf(stderr,
		    PROGRAM ": --bs: times --jobs and --iodepth (and 2 with "
			    "--verify) must be at most %llu bytes\n",
		    (unsigned long long)COPY_MEMORY_MAX);
		return (TOOL_USAGE);
	}
	if (argc - optind < 2) {
		fprintf(stderr,
		    PROGRAM ": %s: must be given (SOURCE... TARGET)\n",
		    argc == optind ? "SOURCE" : "TARGET");
		return (TOOL_USAGE);
	}
	for (int i = optind; i < argc; i++) {
		if (argv[i][0] == '\0') {
			fprintf(stderr, PROGRAM ": %s: must not be empty\n",
			    i == argc - 1 ? "TARGET" : "SOURCE");
			return (TOOL_USAGE);
		}
	}
	o->sources = argv + optind;
	o->source_count = (unsigned)(argc - 1 - optind);
	o->target = argv[argc - 1];
	return (-1);
}

int
copy_options_parse(struct copy_options *o, int argc, char **argv)
{
	int id;

	*o = (struct copy_options){ .block_size = COPY_BLOCK_DEFAULT,
		.jobs = COPY_JOBS_DEFAULT,
		.iodepth = COPY_IODEPTH_DEFAULT };
	opterr = 0;
	while ((id = getopt_long(argc, argv, ":rR", options, NULL)) != -1) {
		int rc;

		if (id == OPT_HELP) {
			usage();
			return (TOOL_DONE);
		}
		rc = id == '?' || id == ':'
		    ? argument_refused(PROGRAM, id, argv)
		    : apply(o, id == 'R' ? 'r' : id);
		if (rc != 0) {
			return (rc);
		}
	}
	return (check(o, argc, argv));
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * filch copy: the subcommand.
 */
#include "copy.h"

#include <sys/resource.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "interrupt.h"
#include "tool.h"

/* Descriptors of the executor, the standard streams and the walk. */
#define FILES_RESERVED 32

/* Those of a file: its source, its target, and the duplicate at its end. */
#define FILES_A_JOB 3

/*
 * Deep trees need two descriptors a level.  Where few are allowed, fewer files
 * in flight are better than failures.
 */
static void
files_limit(struct copy_options *options)
{
	struct rlimit limit;
	rlim_t jobs = 1;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
		return;
	}
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur > FILES_RESERVED + FILES_A_JOB) {
		jobs = (limit.rlim_cur - FILES_RESERVED) / FILES_A_JOB;
	}
	if (options->jobs > jobs) {
		options->jobs = (unsigned)jobs;
	}
}

int
tool_copy(int argc, char **argv)
{
	static struct copy_run run;
	int rc = copy_options_parse(&run.options, argc, argv);

	if (rc >= 0) {
		return (rc);
	}
	tool_interrupt_catch();
	files_limit(&run.options);
	run.shows_progress = run.options.progress == COPY_PROGRESS_ALWAYS ||
	    (run.options.progress == COPY_PROGRESS_AUTO &&
		isatty(STDERR_FILENO) == 1);
	rc = copy_run_init(&run);
	if (rc == 0) {
		rc = copy_sources(&run);
	} else {
		fprintf(stderr, "filch: copy: executor: start: %s\n",
		    strerror(-rc));
		rc = TOOL_FAILED;
	}
	if (rc == TOOL_DONE && run.shows_progress) {
		copy_report_progress(&run, true);
	}
	copy_run_fini(&run);
	if (rc == TOOL_DONE && tool_interrupted()) {
		return (TOOL_INTERRUPTED);
	}
	return (rc == TOOL_DONE && run.failures > 0 ? TOOL_FAILED : rc);
}

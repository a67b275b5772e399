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

/* Deep trees need a descriptor or two a level. */
static void
files_limit_raise(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
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
	files_limit_raise();
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

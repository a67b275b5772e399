/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * filch copy: what it says, and that is on standard error.
 */
#include "copy.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Clear the progress line, which the next one shows again. */
static void
line_clear(const struct copy_run *run)
{
	if (run->shows_progress) {
		fputs("\r\033[K", stderr);
	}
}

static void
path_print(const char *path, const char *name)
{
	size_t length = strlen(path);
	bool joined = length > 0 && path[length - 1] != '/' && name[0] != '\0';

	fprintf(stderr, "filch: copy: %s%s%s: ", path, joined ? "/" : "", name);
}

void
copy_report(struct copy_run *run, const struct copy_dir *dir,
    const char *source_name, const char *target_name,
    const struct copy_failure *failure)
{
	if (failure->kind == COPY_INTERRUPTED) {
		return;
	}
	run->failures++;
	line_clear(run);
	if (failure->on_target) {
		path_print(dir->target_path, target_name);
	} else {
		path_print(dir->source_path, source_name);
	}
	switch (failure->kind) {
	case COPY_ERROR:
		fprintf(stderr, "%s: %s\n", failure->operation,
		    strerror(failure->error));
		break;
	case COPY_REFUSED:
		fprintf(stderr, "%s\n", failure->operation);
		break;
	case COPY_DIFFERS:
		fprintf(stderr,
		    "verify: differs from the source at byte %" PRIu64 "\n",
		    failure->offset);
		break;
	case COPY_SHORT:
		fprintf(stderr,
		    "read: ends at byte %" PRIu64 ", before its size\n",
		    failure->offset);
		break;
	case COPY_CHANGED:
		fputs("read: changed while it was copied\n", stderr);
		break;
	case COPY_FINE:
	case COPY_INTERRUPTED:
		break;
	}
}

void
copy_entry_fail(struct copy_run *run, const struct copy_entry *entry,
    bool on_target, const char *operation, int error)
{
	struct copy_failure failure = { .kind = COPY_ERROR,
		.on_target = on_target,
		.operation = operation,
		.error = error };

	copy_report(
	    run, entry->dir, entry->source_name, entry->target_name, &failure);
}

void
copy_entry_refuse(struct copy_run *run, const struct copy_entry *entry,
    bool on_target, const char *reason)
{
	struct copy_failure failure = { .kind = COPY_REFUSED,
		.on_target = on_target,
		.operation = reason };

	copy_report(
	    run, entry->dir, entry->source_name, entry->target_name, &failure);
}

void
copy_report_progress(struct copy_run *run, bool is_last)
{
	uint64_t bytes =
	    atomic_load_explicit(&run->bytes, memory_order_relaxed);
	double seconds = (double)(filch_now() - run->start_ns) / 1e9;
	double mebibytes = (double)bytes / (1 << 20);

	line_clear(run);
	fprintf(stderr, "%" PRIu64 " files, %.1f MiB, %.1f MiB/s%s",
	    run->files_copied, mebibytes, mebibytes / seconds,
	    is_last ? "\n" : "");
	fflush(stderr);
}

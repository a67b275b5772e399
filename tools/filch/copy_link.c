/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * filch copy: symbolic links, which are copied as what they are.
 */
#include "copy.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool link_reads(int, const char *, const char *);
static const char *link_make(
    const struct copy_entry *, const char *, const char *);

void
copy_link(struct copy_run *run, const struct copy_entry *entry)
{
	char text[PATH_MAX];
	char temporary[COPY_TEMPORARY_SIZE];
	const char *name = entry->target_name;
	const char *failed;
	int directory = entry->dir->target_fd;
	ssize_t length = readlinkat(
	    entry->dir->source_fd, entry->source_name, text, sizeof(text));

	if (length < 0 || length == (ssize_t)sizeof(text)) {
		copy_entry_fail(run, entry, false, "readlink",
		    length < 0 ? errno : ENAMETOOLONG);
		return;
	}
	text[length] = '\0';
	if (entry->exists) {
		if (run->options.resume && S_ISLNK(entry->target.st_mode) &&
		    link_reads(directory, name, text)) {
			run->files_copied++;
			return;
		}
		if (!run->options.overwrite) {
			copy_entry_refuse(run, entry, true, COPY_EXISTS_REASON);
			return;
		}
		copy_temporary_name(temporary, name);
		(void)unlinkat(directory, temporary, 0);
		name = temporary;
	}
	failed = link_make(entry, text, name);
	if (failed != NULL) {
		copy_entry_fail(run, entry, true, failed, errno);
	} else {
		run->files_copied++;
	}
}

static bool
link_reads(int directory, const char *name, const char *text)
{
	char other[PATH_MAX];
	ssize_t length = readlinkat(directory, name, other, sizeof(other));

	return (length == (ssize_t)strlen(text) &&
	    memcmp(other, text, (size_t)length) == 0);
}

/* Returns NULL, or what failed, with errno set and nothing left behind. */
static const char *
link_make(const struct copy_entry *entry, const char *text, const char *name)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		entry->source.st_mtim };
	int directory = entry->dir->target_fd;
	const char *failed = NULL;
	int error;

	if (symlinkat(text, directory, name) != 0) {
		return ("symlink");
	}
	if (utimensat(directory, name, times, AT_SYMLINK_NOFOLLOW) != 0) {
		failed = "set time";
	} else if (name != entry->target_name &&
	    renameat(directory, name, directory, entry->target_name) != 0) {
		failed = "rename";
	}
	if (failed != NULL) {
		error = errno;
		(void)unlinkat(directory, name, 0);
		errno = error;
	}
	return (failed);
}

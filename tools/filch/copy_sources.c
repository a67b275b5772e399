/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * filch copy: what the arguments mean: which names the copies get, and where.
 */
#include "copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "interrupt.h"
#include "tool.h"

/* The names of arguments are relative to it for either kind of call. */
_Static_assert(AT_FDCWD == FILCH_DIRECTORY_CURRENT, /* NOLINT */
    "operations and system calls agree on the working directory");

static int sources_check(const struct copy_options *, bool);
static struct copy_dir *root_open(struct copy_run *, bool);
static char *last_name(const char *);
static char *directory_name(const char *);
static void source_copy(
    struct copy_run *, struct copy_dir *, const char *, const char *);
static bool is_within(int, const struct stat *);

int
copy_sources(struct copy_run *run)
{
	const struct copy_options *o = &run->options;
	struct stat status;
	bool into = stat(o->target, &status) == 0 && S_ISDIR(status.st_mode);
	int rc = sources_check(o, into);
	struct copy_dir *root;

	if (rc != TOOL_DONE) {
		return (rc);
	}
	root = root_open(run, into);
	if (root == NULL) {
		return (TOOL_FAILED);
	}
	for (unsigned i = 0; i < o->source_count && !tool_interrupted(); i++) {
		source_copy(
		    run, root, o->sources[i], into ? o->sources[i] : o->target);
	}
	copy_run_drain(run);
	copy_dir_release(run, root);
	return (TOOL_DONE);
}

/* See what can be seen before anything is written. */
static int
sources_check(const struct copy_options *o, bool into)
{
	bool slash = o->target[strlen(o->target) - 1] == '/';
	struct stat status;

	if (!into && o->source_count > 1) {
		fprintf(stderr,
		    "filch: copy: %s: must be a directory that exists, for "
		    "several sources\n",
		    o->target);
		return (TOOL_USAGE);
	}
	for (unsigned i = 0; i < o->source_count; i++) {
		/* What cannot be looked at is told of when its turn comes. */
		if (lstat(o->sources[i], &status) != 0) {
			continue;
		}
		if (S_ISDIR(status.st_mode) && !o->recursive) {
			fprintf(stderr,
			    "filch: copy: --recursive: must be given, as %s "
			    "is a directory\n",
			    o->sources[i]);
			return (TOOL_USAGE);
		}
		if (!S_ISDIR(status.st_mode) && slash && !into) {
			fprintf(stderr,
			    "filch: copy: %s: must be a directory that "
			    "exists, for a source that is none\n",
			    o->target);
			return (TOOL_USAGE);
		}
	}
	return (TOOL_DONE);
}

/* The directory that the copies come into. */
static struct copy_dir *
root_open(struct copy_run *run, bool into)
{
	const char *target = run->options.target;
	struct copy_dir *root = calloc(1, sizeof(*root));
	int error = ENOMEM;

	if (root != NULL) {
		root->references = 1;
		root->source_fd = AT_FDCWD;
		root->source_path = strdup("");
		root->target_path =
		    into ? strdup(target) : directory_name(target);
		root->target_fd = -1;
	}
	if (root != NULL && root->source_path != NULL &&
	    root->target_path != NULL) {
		const char *path = root->target_path;

		root->target_fd = open(path[0] == '\0' ? "." : path,
		    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		error = root->target_fd < 0 ? errno : 0;
	}
	if (error != 0) {
		fprintf(stderr, "filch: copy: %s: open: %s\n", target,
		    strerror(error));
		copy_dir_free(root);
		return (NULL);
	}
	return (root);
}

/* The length of path without the slashes at its end. */
static size_t
trimmed(const char *path)
{
	size_t length = strlen(path);

	while (length > 0 && path[length - 1] == '/') {
		length--;
	}
	return (length);
}

/* Where the last name of path starts. */
static size_t
last_start(const char *path)
{
	size_t start = trimmed(path);

	while (start > 0 && path[start - 1] != '/') {
		start--;
	}
	return (start);
}

/*
 * The last name of path, or "." where it has none of its own: the contents of
 * ".", ".." and "/" come into the target itself.  NULL without memory.
 */
static char *
last_name(const char *path)
{
	size_t start = last_start(path);
	char *name = strndup(path + start, trimmed(path) - start);

	if (name != NULL && (name[0] == '\0' || strcmp(name, "..") == 0)) {
		free(name);
		name = strdup(".");
	}
	return (name);
}

/* What comes before the last name: "" if nothing. */
static char *
directory_name(const char *path)
{
	return (strndup(path, last_start(path)));
}

static void
source_copy(struct copy_run *run, struct copy_dir *root, const char *source,
    const char *named_as)
{
	struct copy_entry entry = { .dir = root, .source_name = source };
	char *name = last_name(named_as);

	entry.target_name = name;
	if (name == NULL) {
		copy_entry_fail(run, &entry, false, "start", ENOMEM);
	} else if (lstat(source, &entry.source) == 0 &&
	    S_ISDIR(entry.source.st_mode) &&
	    is_within(root->target_fd, &entry.source)) {
		copy_entry_refuse(run, &entry, false,
		    "a directory is not copied into itself");
	} else {
		copy_tree(run, root, source, name);
	}
	free(name);
}

/* True if the directory fd is outer, or lies in it. */
static bool
is_within(int fd, const struct stat *outer)
{
	int at = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	struct stat here = { .st_ino = 0 };
	struct stat below = { .st_ino = 0 };
	bool found = false;

	while (at >= 0 && !found && fstat(at, &here) == 0 &&
	    !copy_is_same(&here, &below)) {
		int above =
		    openat(at, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		found = copy_is_same(&here, outer);
		(void)close(at);
		at = above;
		below = here;
	}
	if (at >= 0) {
		(void)close(at);
	}
	return (found);
}

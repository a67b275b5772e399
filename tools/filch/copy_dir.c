/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * filch copy: directories, from when the walk enters one until the last file
 * in it is done: only then its mode and time can be set.
 */
#include "copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *path_join(const char *, const char *);
static int source_open(struct copy_dir *, const char *, const char **);
static int target_open(struct copy_dir *, const char *, const char **);
static void dir_finish(struct copy_run *, struct copy_dir *);

struct copy_dir *
copy_dir_enter(struct copy_run *run, struct copy_dir *parent,
    const char *source_name, const char *target_name)
{
	struct copy_failure failure = {
		.kind = COPY_ERROR, .operation = "open", .error = ENOMEM
	};
	struct copy_dir *dir = calloc(1, sizeof(*dir));

	if (dir == NULL) {
		goto fail;
	}
	dir->parent = parent;
	dir->references = 1;
	dir->source_fd = -1;
	dir->target_fd = -1;
	dir->source_path = path_join(parent->source_path, source_name);
	dir->target_path = path_join(parent->target_path, target_name);
	if (dir->source_path == NULL || dir->target_path == NULL) {
		goto fail;
	}
	failure.error = source_open(dir, source_name, &failure.operation);
	if (failure.error != 0) {
		goto fail;
	}
	failure.on_target = true;
	failure.error = target_open(dir, target_name, &failure.operation);
	if (failure.error != 0) {
		goto fail;
	}
	parent->references++;
	return (dir);

fail:
	copy_report(run, parent, source_name, target_name, &failure);
	copy_dir_free(dir);
	return (NULL);
}

void
copy_dir_release(struct copy_run *run, struct copy_dir *dir)
{
	while (dir != NULL && --dir->references == 0) {
		struct copy_dir *parent = dir->parent;

		dir_finish(run, dir);
		copy_dir_free(dir);
		dir = parent;
	}
}

void
copy_dir_free(struct copy_dir *dir)
{
	if (dir == NULL) {
		return;
	}
	if (dir->stream != NULL) {
		(void)closedir(dir->stream); /* and source_fd with it */
	}
	if (dir->target_fd >= 0) {
		(void)close(dir->target_fd);
	}
	free(dir->source_path);
	free(dir->target_path);
	free(dir);
}

static char *
path_join(const char *path, const char *name)
{
	size_t length = strlen(path);
	bool slash = length > 0 && path[length - 1] != '/';
	size_t size = length + slash + strlen(name) + 1;
	char *joined;

	if (length > 0 && strcmp(name, ".") == 0) {
		return (strdup(path));
	}
	joined = malloc(size);
	if (joined != NULL) {
		(void)snprintf(
		    joined, size, "%s%s%s", path, slash ? "/" : "", name);
	}
	return (joined);
}

/* Returns 0 or an errno. */
static int
source_open(struct copy_dir *dir, const char *name, const char **operation)
{
	struct stat status;
	int fd = openat(dir->parent->source_fd, name,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0) {
		return (errno);
	}
	dir->stream = fdopendir(fd);
	if (dir->stream == NULL) {
		int error = errno;

		(void)close(fd);
		return (error);
	}
	dir->source_fd = fd;
	*operation = "stat";
	if (fstat(fd, &status) != 0) {
		return (errno);
	}
	dir->mode = status.st_mode & COPY_MODES;
	dir->modified = status.st_mtim;
	return (0);
}

/*
 * Make the copy, or take the directory that is there.  Until all is in it,
 * only its owner uses it, who has to be able to whatever its mode is.
 * Returns 0 or an errno.
 */
static int
target_open(struct copy_dir *dir, const char *name, const char **operation)
{
	struct stat status;
	int directory = dir->parent->target_fd;

	*operation = "mkdir";
	if (mkdirat(directory, name, S_IRWXU) != 0) {
		if (errno != EEXIST) {
			return (errno);
		}
		*operation = "chmod";
		if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) !=
		    0) {
			return (errno);
		}
		if (S_ISDIR(status.st_mode) &&
		    (status.st_mode & S_IRWXU) != S_IRWXU &&
		    fchmodat(directory, name,
			(status.st_mode | S_IRWXU) & COPY_MODES, 0) != 0) {
			return (errno);
		}
	}
	*operation = "open";
	dir->target_fd = openat(
	    directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return (dir->target_fd < 0 ? errno : 0);
}

/* Nothing more comes into dir. */
static void
dir_finish(struct copy_run *run, struct copy_dir *dir)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, dir->modified };
	struct copy_failure failure = { .kind = COPY_ERROR, .on_target = true };

	if (dir->parent != NULL && futimens(dir->target_fd, times) != 0) {
		failure.operation = "set time";
		failure.error = errno;
	} else if (dir->parent != NULL &&
	    fchmod(dir->target_fd, dir->mode) != 0) {
		failure.operation = "chmod";
		failure.error = errno;
	} else if (run->options.fsync && fsync(dir->target_fd) != 0) {
		failure.operation = "fsync";
		failure.error = errno;
	}
	if (failure.error != 0) {
		copy_report(run, dir, "", "", &failure);
	}
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * filch copy: the walk.  One directory after the other, depth first, without
 * recursion: those that are open are linked by their parents.
 */
#include "copy.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "interrupt.h"

static struct copy_dir *entry_copy(
    struct copy_run *, struct copy_dir *, const char *, const char *);
static struct copy_dir *directory_copy(
    struct copy_run *, const struct copy_entry *);
static void file_copy(struct copy_run *, const struct copy_entry *);
static bool is_complete(const struct copy_entry *);

void
copy_tree(struct copy_run *run, struct copy_dir *root, const char *source_name,
    const char *target_name)
{
	struct copy_dir *dir = entry_copy(run, root, source_name, target_name);

	while (dir != NULL && dir != root) {
		struct copy_dir *parent = dir->parent;
		struct dirent *next = NULL;

		errno = 0;
		if (!tool_interrupted()) {
			next = readdir(dir->stream);
		}
		if (next == NULL) {
			if (errno != 0) {
				struct copy_failure failure = { .kind =
								    COPY_ERROR,
					.operation = "read directory",
					.error = errno };

				copy_report(run, dir, "", "", &failure);
			}
			copy_dir_release(run, dir);
			dir = parent;
		} else if (strcmp(next->d_name, ".") != 0 &&
		    strcmp(next->d_name, "..") != 0) {
			struct copy_dir *child =
			    entry_copy(run, dir, next->d_name, next->d_name);

			dir = child != NULL ? child : dir;
		}
	}
	run->top = (struct stat){ .st_ino = 0 };
}

/* Returns the directory to go on in, if it is one. */
static struct copy_dir *
entry_copy(struct copy_run *run, struct copy_dir *dir, const char *source_name,
    const char *target_name)
{
	struct copy_entry entry = { .dir = dir,
		.source_name = source_name,
		.target_name = target_name };

	if (fstatat(dir->source_fd, source_name, &entry.source,
		AT_SYMLINK_NOFOLLOW) != 0) {
		copy_entry_fail(run, &entry, false, "stat", errno);
		return (NULL);
	}
	entry.exists = fstatat(dir->target_fd, target_name, &entry.target,
			   AT_SYMLINK_NOFOLLOW) == 0;
	if (!entry.exists && errno != ENOENT) {
		copy_entry_fail(run, &entry, true, "stat", errno);
		return (NULL);
	}
	if (entry.exists && copy_is_same(&entry.source, &entry.target)) {
		copy_entry_refuse(
		    run, &entry, false, "source and target are the same file");
		return (NULL);
	}
	if (S_ISDIR(entry.source.st_mode)) {
		return (directory_copy(run, &entry));
	}
	if (entry.exists && S_ISDIR(entry.target.st_mode)) {
		copy_entry_fail(run, &entry, true, "create", EISDIR);
	} else if (S_ISREG(entry.source.st_mode)) {
		file_copy(run, &entry);
	} else if (S_ISLNK(entry.source.st_mode)) {
		copy_link(run, &entry);
	} else {
		copy_entry_refuse(run, &entry, false,
		    "special file (device, FIFO or socket): not copied");
	}
	return (NULL);
}

static struct copy_dir *
directory_copy(struct copy_run *run, const struct copy_entry *entry)
{
	struct copy_dir *dir;

	/* A mount may lead to the copy where no path does. */
	if (run->top.st_ino != 0 && copy_is_same(&entry->source, &run->top)) {
		copy_entry_refuse(
		    run, entry, false, "a directory is not copied into itself");
		return (NULL);
	}
	if (entry->exists && !S_ISDIR(entry->target.st_mode)) {
		copy_entry_fail(run, entry, true, "mkdir", ENOTDIR);
		return (NULL);
	}
	dir = copy_dir_enter(
	    run, entry->dir, entry->source_name, entry->target_name);
	if (dir != NULL && dir->parent->parent == NULL) {
		(void)fstat(dir->target_fd, &run->top);
	}
	return (dir);
}

static void
file_copy(struct copy_run *run, const struct copy_entry *entry)
{
	const struct copy_options *o = &run->options;
	bool is_present = false;

	if (entry->exists) {
		is_present = o->resume && is_complete(entry);
		if (is_present && !o->verify) {
			run->files_copied++;
			return;
		}
		if (!is_present && !o->overwrite) {
			copy_entry_refuse(run, entry, true, COPY_EXISTS_REASON);
			return;
		}
	}
	copy_run_file(run, entry->dir, entry->source_name, entry->target_name,
	    is_present);
}

/*
 * The target is a copy of the source as it is now.  Some file systems keep no
 * fractions of a second.
 */
static bool
is_complete(const struct copy_entry *entry)
{
	const struct timespec *source = &entry->source.st_mtim;
	const struct timespec *target = &entry->target.st_mtim;

	return (S_ISREG(entry->target.st_mode) &&
	    entry->source.st_size == entry->target.st_size &&
	    source->tv_sec == target->tv_sec &&
	    (source->tv_nsec == target->tv_nsec || target->tv_nsec == 0));
}

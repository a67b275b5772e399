/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * filch copy: the file under its temporary name, and how it gets its final
 * one.  All of this blocks, and runs on the blocking pool.
 */
#include "copy.h"

#include <sys/file.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

static int temporary_open(struct copy_file *);
static int temporary_take_over(int, const char *);
static int temporary_lock(int);
static int direct_set(struct filch_file *);
static bool source_has_changed(const struct copy_file *);

/*
 * The name follows from the final name, so that a later run finds what a
 * killed one left.
 */
void
copy_temporary_name(char *temporary, const char *name)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

	for (; *name != '\0'; name++) {
		hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
	}
	(void)snprintf(
	    temporary, COPY_TEMPORARY_SIZE, ".filch-%016" PRIx64 ".part", hash);
}

/* Returns also -EBUSY: another process is writing the same copy. */
int64_t
copy_target_create(void *arg)
{
	struct copy_file *file = arg;
	int fd;
	int rc;

	file->operation = "create";
	copy_temporary_name(file->temporary, file->target_name);
	fd = temporary_open(file);
	if (fd < 0) {
		return (fd);
	}
	rc = filch_file_init(&file->target, fd);
	if (rc == 0) {
		rc = temporary_lock(fd);
	}
	if (rc != 0) {
		/* It is not ours: the other one removes it. */
		(void)close(fd);
		file->target.fd = -1;
		return (rc);
	}
	file->has_temporary = true;
	if (file->run->options.direct) {
		rc = direct_set(&file->source);
		rc = rc != 0 ? rc : direct_set(&file->target);
	}
	return (rc);
}

static int
temporary_open(struct copy_file *file)
{
	int directory = file->dir->target_fd;
	int rc;

	for (int attempt = 0;; attempt++) {
		/* Nobody else may read it before it has its mode. */
		int fd = openat(directory, file->temporary,
		    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

		if (fd >= 0) {
			return (fd);
		}
		if (errno != EEXIST || attempt > 0) {
			return (-errno);
		}
		rc = temporary_take_over(directory, file->temporary);
		if (rc != 0) {
			return (rc);
		}
	}
}

/*
 * Remove what a killed run left.  Whoever still writes it holds its lock.
 */
static int
temporary_take_over(int directory, const char *name)
{
	int fd = openat(directory, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	int rc = fd < 0 ? -errno : temporary_lock(fd);

	if (rc == 0 && unlinkat(directory, name, 0) != 0) {
		rc = -errno;
	}
	if (fd >= 0) {
		(void)close(fd);
	}
	return (rc);
}

/*
 * Lock a temporary file, and see that it still has its name: another process
 * may have taken it for an abandoned one before it was locked.
 */
static int
temporary_lock(int fd)
{
	struct stat status;

	if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
		return (-EBUSY);
	}
	if (fstat(fd, &status) != 0) {
		return (-errno);
	}
	return (status.st_nlink == 0 ? -EBUSY : 0);
}

/* Bypass the page cache where the file can; where not, all works as well. */
static int
direct_set(struct filch_file *file)
{
#ifdef O_DIRECT
	struct filch_alignment alignment;
	int flags = fcntl(file->fd, F_GETFL);

	if (flags >= 0 && filch_file_alignment(file, &alignment) == 0 &&
	    alignment.memory <= COPY_ALIGNMENT &&
	    alignment.offset <= COPY_ALIGNMENT &&
	    fcntl(file->fd, F_SETFL, flags | O_DIRECT) == 0) {
		return (filch_file_init(file, file->fd));
	}
#endif
	(void)file;
	return (0);
}

/* Size, mode and time of the complete file; 1 if its source has changed. */
int64_t
copy_target_finish(void *arg)
{
	struct copy_file *file = arg;
	struct stat status;
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		{ .tv_sec = file->stat.modified_ns / 1000000000,
		    .tv_nsec = file->stat.modified_ns % 1000000000 } };
	int fd = file->target.fd;
	int again;

	if (times[1].tv_nsec < 0) { /* before 1970 */
		times[1].tv_sec--;
		times[1].tv_nsec += 1000000000;
	}
	file->operation = "truncate";
	if (fstat(fd, &status) != 0 ||
	    ((uint64_t)status.st_size != file->size &&
		ftruncate(fd, (off_t)file->size) != 0)) {
		return (-errno);
	}
	/* Some network file systems tell only here of writes that failed. */
	file->operation = "close";
	again = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (again < 0 || close(again) != 0) {
		return (-errno);
	}
	file->operation = "chmod";
	if (fchmod(fd, file->stat.mode & COPY_MODES) != 0) {
		return (-errno);
	}
	file->operation = "set time";
	if (futimens(fd, times) != 0) {
		return (-errno);
	}
	return (source_has_changed(file) ? 1 : 0);
}

/* What reports no size, as the files of /proc, has no steady time either. */
static bool
source_has_changed(const struct copy_file *file)
{
	struct stat status;

	return (!file->is_endless && fstat(file->source.fd, &status) == 0 &&
	    ((uint64_t)status.st_size != file->stat.size ||
		(int64_t)status.st_mtim.tv_sec * 1000000000 +
			status.st_mtim.tv_nsec !=
		    file->stat.modified_ns));
}

/* Have what is verified read from the disk, not from the page cache. */
int64_t
copy_target_forget(void *arg)
{
	struct copy_file *file = arg;

	/* A hint: where it is not taken, less is proved. */
	(void)posix_fadvise(file->target.fd, 0, 0, POSIX_FADV_DONTNEED);
	return (0);
}

/* Rename, but replace nothing that came to be meanwhile. */
int64_t
copy_target_publish(void *arg)
{
	struct copy_file *file = arg;
	int directory = file->dir->target_fd;
	struct stat status;

	file->operation = "rename";
#if defined(RENAME_NOREPLACE)
	if (renameat2(directory, file->temporary, directory, file->target_name,
		RENAME_NOREPLACE) == 0) {
		return (0);
	}
	if (errno != EINVAL && errno != ENOSYS) {
		return (-errno);
	}
#endif
	/* Here only what came before this moment is safe. */
	if (fstatat(directory, file->target_name, &status,
		AT_SYMLINK_NOFOLLOW) == 0) {
		return (-EEXIST);
	}
	if (renameat(directory, file->temporary, directory,
		file->target_name) != 0) {
		return (-errno);
	}
	return (0);
}

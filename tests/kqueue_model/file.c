/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Open files: what a job holds, so that closing its descriptor does not end it.
 */
#include "kernel.h"

#include <sys/stat.h>
#include <sys/syscall.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KCMP_FILE 0

/* Whether both are one open file, by dup or by a fork. */
static bool
fd_is_same_file(int one, int other)
{
	pid_t self = getpid();

	return (syscall(SYS_kcmp, self, self, KCMP_FILE, one, other) == 0);
}

/* What /proc calls fd, cut to 31 bytes: a path, or what begins with a type. */
static void
fd_name(int fd, char ret_name[32])
{
	char link[64];
	ssize_t length;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, ret_name, 31);
	ret_name[length < 0 ? 0 : length] = '\0';
}

/* A shared-memory object is a regular file of Linux, but not of FreeBSD. */
static bool
fd_is_shared_memory(int fd)
{
	char name[32];

	fd_name(fd, name);
	return (strncmp(name, "/memfd:", 7) == 0 ||
	    strncmp(name, "/dev/shm/", 9) == 0);
}

/* A FIFO has a name, other than a pipe. */
static bool
fd_is_fifo(int fd, mode_t mode)
{
	char name[32];

	fd_name(fd, name);
	return (S_ISFIFO(mode) && name[0] == '/');
}

static enum file_kind
fd_kind(int fd, mode_t mode)
{
	if (S_ISSOCK(mode)) {
		return (kqueue__find(fd) != NULL ? FILE_UNSAFE : FILE_SOCKET);
	}
	if ((S_ISREG(mode) && !fd_is_shared_memory(fd)) || S_ISDIR(mode) ||
	    S_ISBLK(mode)) {
		return (FILE_VNODE);
	}
	return (FILE_UNSAFE);
}

static struct file *
file_find(int fd, const struct stat *status)
{
	struct file *file;

	TAILQ_FOREACH(file, &kernel.files, link)
	{
		if (file->inode == status->st_ino &&
		    file->device == status->st_dev &&
		    fd_is_same_file(fd, file->fd)) {
			file->references++;
			return (file);
		}
	}
	return (NULL);
}

int
file__get(int fd, struct file **ret_file)
{
	struct stat status;
	struct file *file;
	unsigned int i;

	if (fstat(fd, &status) < 0) {
		return (EBADF);
	}
	file = file_find(fd, &status);
	if (file == NULL) {
		file = calloc(1, sizeof(*file));
		if (file == NULL) {
			return (ENOMEM);
		}
		file->fd = kernel__fd_duplicate(fd);
		if (file->fd < 0) {
			free(file);
			return (EBADF);
		}
		file->references = 1;
		file->inode = status.st_ino;
		file->device = status.st_dev;
		file->kind = fd_kind(fd, status.st_mode);
		file->is_device = S_ISCHR(status.st_mode);
		file->has_vnode = file->kind == FILE_VNODE || file->is_device ||
		    fd_is_fifo(fd, status.st_mode);
		for (i = 0; i < DIRECTIONS; i++) {
			TAILQ_INIT(&file->sockets[i]);
		}
		TAILQ_INSERT_TAIL(&kernel.files, file, link);
	}
	*ret_file = file;
	return (0);
}

void
file__put(struct file *file)
{
	if (--file->references == 0) {
		TAILQ_REMOVE(&kernel.files, file, link);
		close(file->fd);
		free(file);
	}
}

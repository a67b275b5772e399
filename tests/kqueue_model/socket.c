/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Jobs of sockets, which wait in order, reads and writes apart, for one daemon.
 * It never blocks in a transfer, so the lock is held during them.
 */
#include "kernel.h"

#include <sys/eventfd.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static enum direction
direction_of(const struct job *job)
{
	return (
	    (job->opcode & LIO_READ) != 0 ? DIRECTION_READ : DIRECTION_WRITE);
}

/* The vectors less what is transferred. */
static int
vectors_rest(const struct job *job, struct iovec *rest)
{
	const struct iovec *vectors =
	    job->vectors != NULL ? job->vectors : &job->vector;
	size_t skipped = job->transferred;
	int count = 0, i;

	for (i = 0; i < job->vector_count; i++) {
		if (skipped >= vectors[i].iov_len && skipped > 0) {
			skipped -= vectors[i].iov_len;
			continue;
		}
		rest[count] = vectors[i];
		rest[count].iov_base = (char *)vectors[i].iov_base + skipped;
		rest[count].iov_len -= skipped;
		skipped = 0;
		count++;
	}
	return (count);
}

static size_t
vectors_size(const struct iovec *vectors, int count)
{
	size_t size = 0;
	int i;

	for (i = 0; i < count; i++) {
		size += vectors[i].iov_len;
	}
	return (size);
}

/* One transfer: whether the job is done. */
static bool
socket_transfer(struct job *job, ssize_t *ret_result, int *ret_error)
{
	struct iovec rest[IOV_MAX];
	struct msghdr message = { .msg_iov = rest };
	size_t size;
	ssize_t moved;

	message.msg_iovlen = (size_t)vectors_rest(job, rest);
	size = vectors_size(rest, (int)message.msg_iovlen);
	moved = direction_of(job) == DIRECTION_READ
	    ? recvmsg(job->file->fd, &message, MSG_DONTWAIT)
	    : sendmsg(job->file->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	*ret_error = moved < 0 ? errno : 0;
	if (moved < 0 && (errno == EAGAIN || errno == EINTR)) {
		return (false);
	}
	if (moved > 0) {
		job->transferred += (size_t)moved;
	}
	/* what is sent is sent, whatever came then */
	if (moved < 0 && job->transferred > 0) {
		*ret_error = 0;
	}
	*ret_result = (ssize_t)job->transferred;
	/* part of it is all that O_NONBLOCK wants */
	return (moved < 0 || direction_of(job) == DIRECTION_READ ||
	    (size_t)moved == size ||
	    (fcntl(job->file->fd, F_GETFL) & O_NONBLOCK) != 0);
}

static void
socket_serve(struct file *file, enum direction direction)
{
	struct job *job;
	ssize_t result;
	int error;

	while ((job = TAILQ_FIRST(&file->sockets[direction])) != NULL) {
		if (!socket_transfer(job, &result, &error)) {
			/* a cancel that came too late to be told so */
			if (!job->is_canceled) {
				return;
			}
			result = (ssize_t)job->transferred;
			error = job->transferred > 0 ? 0 : ECANCELED;
		}
		TAILQ_REMOVE(&file->sockets[direction], job, queue);
		job__finish(job, result, error);
	}
}

/* Sets what to poll for; returns how many, and allocates. */
static nfds_t
socket_collect(struct pollfd **fds, struct file ***files, size_t *size)
{
	struct file *file;
	nfds_t count = 1;

	TAILQ_FOREACH(file, &kernel.files, link)
	{
		count++;
	}
	if (count > *size) {
		*size = count * 2;
		*fds = realloc(*fds, *size * sizeof(**fds));
		*files = realloc(*files, *size * sizeof(**files));
		if (*fds == NULL || *files == NULL) {
			abort();
		}
	}
	(*fds)[0].fd = kernel.socket_wake_fd;
	(*fds)[0].events = POLLIN;
	count = 1;
	TAILQ_FOREACH(file, &kernel.files, link)
	{
		(*fds)[count].events = 0;
		if (!TAILQ_EMPTY(&file->sockets[DIRECTION_READ])) {
			(*fds)[count].events |= POLLIN;
		}
		if (!TAILQ_EMPTY(&file->sockets[DIRECTION_WRITE])) {
			(*fds)[count].events |= POLLOUT;
		}
		if ((*fds)[count].events != 0) {
			file->references++; /* while it is polled */
			(*fds)[count].fd = file->fd;
			(*files)[count++] = file;
		}
	}
	return (count);
}

static void *
socket_main(void *unused)
{
	struct pollfd *fds = NULL;
	struct file **files = NULL;
	size_t size = 0;
	nfds_t count, i;
	uint64_t delay_ns, woken;

	(void)unused;
	kernel__enter();
	for (;;) {
		count = socket_collect(&fds, &files, &size);
		kernel__leave();
		(void)poll(fds, count, -1);
		if (fds[0].revents != 0) {
			(void)!read(fds[0].fd, &woken, sizeof(woken));
		}
		kernel__enter();
		delay_ns = kernel__draw_delay(CHANCE_DELAY);
		kernel__leave();
		kernel__dally(delay_ns);
		kernel__enter();
		for (i = 1; i < count; i++) {
			socket_serve(files[i], DIRECTION_READ);
			socket_serve(files[i], DIRECTION_WRITE);
			file__put(files[i]);
		}
	}
	return (NULL);
}

static void
socket_wake(void)
{
	const uint64_t one = 1;

	if (write(kernel.socket_wake_fd, &one, sizeof(one)) < 0) {
		perror("kqueue_model: eventfd");
		abort();
	}
}

int
socket__push(struct job *job)
{
	int is_listening = 0;
	socklen_t size = sizeof(is_listening);

	if (getsockopt(job->file->fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening,
		&size) == 0 &&
	    is_listening != 0) {
		return (EINVAL);
	}
	if (!kernel.has_socket_daemon) {
		kernel.socket_wake_fd =
		    kernel__fd_move(eventfd(0, EFD_CLOEXEC));
		if (kernel.socket_wake_fd < 0 ||
		    kernel__thread(socket_main) != 0) {
			return (EAGAIN);
		}
		kernel.has_socket_daemon = true;
	}
	job->state = JOB_SOCKET;
	TAILQ_INSERT_TAIL(&job->file->sockets[direction_of(job)], job, queue);
	socket_wake();
	return (0);
}

void
socket__cancel(struct job *job)
{
	TAILQ_REMOVE(&job->file->sockets[direction_of(job)], job, queue);
}

bool
socket__is_next(struct job *job)
{
	if (TAILQ_FIRST(&job->file->sockets[direction_of(job)]) != job) {
		return (false);
	}
	socket_wake();
	return (true);
}

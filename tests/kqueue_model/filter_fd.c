/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * EVFILT_READ and EVFILT_WRITE.
 *
 * Linux tells through epoll, edge by edge, when a descriptor is to be asked;
 * there is an epoll for each filter, since a descriptor is in one only once.
 * What epoll does not take, such as a regular file, is asked when changed.
 *
 * Nobody tells the model of a close.  A knote remembers its file's inode, and
 * is dropped, as close drops it, when its descriptor is another file's.
 */
#include "kernel.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <unistd.h>

#define EVENTS_AT_ONCE 32

static int
fd_of(const struct knote *knote)
{
	return ((int)knote->event.ident);
}

static enum direction
direction_of(const struct knote *knote)
{
	return (knote->event.filter == EVFILT_READ ? DIRECTION_READ
						   : DIRECTION_WRITE);
}

/*
 * The calls on a descriptor that the program may be closing.  That is no race
 * here, but ThreadSanitizer, which knows the calls by their names, says so.
 */
static int
fd_stat(const struct knote *knote, struct stat *ret_status)
{
	return (fstatat(fd_of(knote), "", ret_status, AT_EMPTY_PATH));
}

static int
fd_epoll(const struct knote *knote, int action, uint32_t events)
{
	struct epoll_event event = {
		.events = events,
		.data.u64 = knote->id,
	};

	return ((int)syscall(SYS_epoll_ctl,
	    knote->kqueue->epoll[direction_of(knote)], action, fd_of(knote),
	    &event));
}

static int
fd_ioctl(int fd, unsigned long request, int *ret_value)
{
	return ((int)syscall(SYS_ioctl, fd, request, ret_value));
}

static int
fd_option(int fd, int level, int name, void *ret_value, socklen_t size)
{
	return (
	    (int)syscall(SYS_getsockopt, fd, level, name, ret_value, &size));
}

bool
filter__fd_is_same(const struct knote *knote)
{
	struct stat status;

	return (fd_stat(knote, &status) == 0 && status.st_ino == knote->inode &&
	    status.st_dev == knote->device);
}

static short
fd_poll(const struct knote *knote)
{
	struct timespec none = { 0 };
	struct pollfd fds = {
		.fd = fd_of(knote),
		.events = direction_of(knote) == DIRECTION_READ
		    ? POLLIN | POLLRDHUP
		    : POLLOUT,
	};

	return (
	    syscall(SYS_ppoll, &fds, 1, &none, NULL, 0) > 0 ? fds.revents : 0);
}

static int
fd_attach(struct knote *knote)
{
	enum direction direction = direction_of(knote);
	struct kqueue *kqueue = knote->kqueue;
	struct stat status;
	uint32_t events;

	if (fd_stat(knote, &status) < 0) {
		return (EBADF);
	}
	knote->inode = status.st_ino;
	knote->device = status.st_dev;
	if (S_ISFIFO(status.st_mode) && direction == DIRECTION_WRITE &&
	    (fd_poll(knote) & POLLERR) != 0) {
		return (EPIPE);
	}
	if (kqueue->epoll[direction] < 0) {
		kqueue->epoll[direction] =
		    kernel__fd_move(epoll_create1(EPOLL_CLOEXEC));
		if (kqueue->epoll[direction] < 0) {
			return (errno);
		}
		/* those asleep do not know of it yet */
		waiters__wake(&kqueue->waiters);
	}
	events = EPOLLET |
	    (direction == DIRECTION_READ ? EPOLLIN | EPOLLRDHUP : EPOLLOUT);
	/* what was closed is still known while it has a duplicate */
	knote->is_polled = fd_epoll(knote, EPOLL_CTL_ADD, events) == 0 ||
	    (errno == EEXIST && fd_epoll(knote, EPOLL_CTL_MOD, events) == 0);
	return (knote->is_polled || errno == EPERM ? 0 : errno);
}

static void
fd_detach(struct knote *knote)
{
	if (knote->is_polled && filter__fd_is_same(knote)) {
		(void)fd_epoll(knote, EPOLL_CTL_DEL, 0);
	}
}

/*
 * The error of a connection, which Linux gives only by taking it away.  One
 * that never was has no round trip measured.
 */
static unsigned int
tcp_error(int fd)
{
	struct tcp_info info;

	if (fd_option(fd, IPPROTO_TCP, TCP_INFO, &info, sizeof(info)) < 0) {
		return (ECONNRESET);
	}
	return (info.tcpi_rtt == 0 ? ECONNREFUSED : ECONNRESET);
}

/* Whether it is a connection that is not made, and none that failed. */
static bool
tcp_is_unconnected(int fd)
{
	struct tcp_info info;

	return (
	    fd_option(fd, IPPROTO_TCP, TCP_INFO, &info, sizeof(info)) == 0 &&
	    info.tcpi_state == TCP_CLOSE);
}

static void
fd_set_end(struct knote *knote, short ready)
{
	knote->event.flags |= EV_EOF;
	if ((ready & POLLERR) != 0) {
		knote->event.fflags = tcp_error(fd_of(knote));
	}
}

static bool
file_is_active(struct knote *knote, const struct stat *status)
{
	off_t offset;

	if (direction_of(knote) == DIRECTION_WRITE) {
		knote->event.data = 0;
		return (true);
	}
	offset = lseek(fd_of(knote), 0, SEEK_CUR);
	knote->event.data = status->st_size - (offset < 0 ? 0 : offset);
	return ((knote->notes & NOTE_FILE_POLL) != 0 || knote->event.data != 0);
}

static bool
read_is_active(struct knote *knote)
{
	struct stat status;
	int available = 0, is_listening = 0;
	bool is_end, is_socket;
	short ready;

	if (fd_stat(knote, &status) < 0) {
		return (false);
	}
	if (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)) {
		return (file_is_active(knote, &status));
	}
	ready = fd_poll(knote);
	is_socket = S_ISSOCK(status.st_mode);
	if (is_socket &&
	    fd_option(fd_of(knote), SOL_SOCKET, SO_ACCEPTCONN, &is_listening,
		sizeof(is_listening)) == 0 &&
	    is_listening != 0) {
		knote->event.data = (ready & POLLIN) != 0;
		return ((ready & POLLIN) != 0);
	}
	(void)fd_ioctl(fd_of(knote), FIONREAD, &available);
	knote->event.data = available;
	is_end = (ready & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
	if (is_socket && is_end && (ready & POLLERR) == 0 &&
	    tcp_is_unconnected(fd_of(knote)) && (ready & POLLRDHUP) == 0) {
		return (false);
	}
	if (is_end) {
		fd_set_end(knote, is_socket ? ready : 0);
		return (true);
	}
	if ((knote->notes & NOTE_LOWAT) != 0) {
		return (available >= knote->value);
	}
	return ((ready & POLLIN) != 0);
}

static bool
write_is_active(struct knote *knote)
{
	struct stat status;
	int room = 0, queued = 0;
	bool is_socket;
	short ready;

	if (fd_stat(knote, &status) < 0) {
		return (false);
	}
	if (S_ISREG(status.st_mode)) {
		return (file_is_active(knote, &status));
	}
	ready = fd_poll(knote);
	is_socket = S_ISSOCK(status.st_mode);
	if ((ready & (POLLERR | POLLHUP)) != 0) {
		if (is_socket && (ready & POLLERR) == 0 &&
		    tcp_is_unconnected(fd_of(knote))) {
			return (false);
		}
		fd_set_end(knote, is_socket ? ready : 0);
		return (true);
	}
	if (is_socket) {
		(void)fd_option(
		    fd_of(knote), SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
		(void)fd_ioctl(fd_of(knote), SIOCOUTQ, &queued);
		room = room > queued ? room - queued : 0;
	} else if (fd_ioctl(fd_of(knote), FIONREAD, &queued) == 0) {
		room = queued < 65536 ? 65536 - queued : 0;
	}
	knote->event.data = room;
	if ((knote->notes & NOTE_LOWAT) != 0 && is_socket) {
		return (room >= knote->value);
	}
	return ((ready & POLLOUT) != 0);
}

const struct filter filter__read = {
	.is_fd = true,
	.attach = fd_attach,
	.detach = fd_detach,
	.is_active = read_is_active,
};

const struct filter filter__write = {
	.is_fd = true,
	.attach = fd_attach,
	.detach = fd_detach,
	.is_active = write_is_active,
};

static struct knote *
fd_knote(struct kqueue *kqueue, uint64_t id)
{
	struct knote *knote;
	unsigned int i;

	for (i = 0; i < KNOTE_BUCKETS; i++) {
		LIST_FOREACH(knote, &kqueue->buckets[i], bucket)
		{
			if (knote->id == id) {
				return (knote);
			}
		}
	}
	return (NULL);
}

void
filter__fd_poll(struct kqueue *kqueue)
{
	struct epoll_event events[EVENTS_AT_ONCE];
	struct knote *knote;
	unsigned int direction;
	int count, i;

	for (direction = 0; direction < DIRECTIONS; direction++) {
		if (kqueue->epoll[direction] < 0) {
			continue;
		}
		do {
			count = epoll_wait(kqueue->epoll[direction], events,
			    EVENTS_AT_ONCE, 0);
			for (i = 0; i < count; i++) {
				knote = fd_knote(kqueue, events[i].data.u64);
				if (knote != NULL) {
					knote__poke(knote);
				}
			}
		} while (count == EVENTS_AT_ONCE);
	}
}

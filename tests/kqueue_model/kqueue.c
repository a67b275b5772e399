/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kqueue(2) and kevent(2).
 */
#include "kernel.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct kqueue *
kqueue__find(int fd)
{
	struct kqueue *kqueue;
	struct stat status;

	if (fstat(fd, &status) < 0) {
		return (NULL);
	}
	TAILQ_FOREACH(kqueue, &kernel.kqueues, link)
	{
		if (kqueue->inode == status.st_ino &&
		    kqueue->device == status.st_dev &&
		    kqueue->owner == getpid()) {
			return (kqueue);
		}
	}
	return (NULL);
}

static bool
kqueue_is_closed(const struct kqueue *kqueue)
{
	struct pollfd hangup = { .fd = kqueue->hangup_fd };

	return (poll(&hangup, 1, 0) > 0);
}

void
kqueue__forget(struct kqueue *kqueue)
{
	struct knote *knote;
	unsigned int i;

	for (i = 0; i < KNOTE_BUCKETS; i++) {
		while ((knote = LIST_FIRST(&kqueue->buckets[i])) != NULL) {
			knote__drop(knote);
		}
	}
	for (i = 0; i < DIRECTIONS; i++) {
		if (kqueue->epoll[i] >= 0) {
			close(kqueue->epoll[i]);
		}
	}
	close(kqueue->hangup_fd);
	TAILQ_REMOVE(&kernel.kqueues, kqueue, link);
	kernel.counts.kqueues--;
	free(kqueue);
}

void
kqueue__close(struct kqueue *kqueue)
{
	struct stat status;

	if (fstat(kqueue->user_fd, &status) == 0 &&
	    kqueue->inode == status.st_ino && kqueue->device == status.st_dev) {
		close(kqueue->user_fd);
	}
	kqueue__forget(kqueue);
}

void
kqueue__sweep(void)
{
	struct kqueue *kqueue, *next;

	for (kqueue = TAILQ_FIRST(&kernel.kqueues); kqueue != NULL;
	     kqueue = next) {
		next = TAILQ_NEXT(kqueue, link);
		if (kqueue->references == 0 && kqueue_is_closed(kqueue)) {
			kqueue__forget(kqueue);
		}
	}
}

/* A kqueue can itself be polled; fd: -1 if there is something to read. */
void
kqueue__set_readable(struct kqueue *kqueue, int fd)
{
	char byte = 0;

	if (fd < 0 && !kqueue->is_readable) {
		kqueue->is_readable = send(kqueue->hangup_fd, &byte, 1,
					  MSG_DONTWAIT | MSG_NOSIGNAL) == 1;
	} else if (fd >= 0 && kqueue->is_readable) {
		kqueue->is_readable = recv(fd, &byte, 1, MSG_DONTWAIT) != 1;
	}
}

static int
kqueue_create(void)
{
	struct kqueue *kqueue;
	struct stat status;
	int pair[2];
	unsigned int i;

	kqueue = calloc(1, sizeof(*kqueue));
	if (kqueue == NULL) {
		return (kernel__fail(ENOMEM));
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		free(kqueue);
		return (-1);
	}
	fstat(pair[0], &status);
	kqueue->device = status.st_dev;
	kqueue->inode = status.st_ino;
	kqueue->owner = getpid();
	kqueue->user_fd = pair[0];
	kqueue->hangup_fd = kernel__fd_move(pair[1]);
	for (i = 0; i < DIRECTIONS; i++) {
		kqueue->epoll[i] = -1;
	}
	for (i = 0; i < KNOTE_BUCKETS; i++) {
		LIST_INIT(&kqueue->buckets[i]);
	}
	LIST_INIT(&kqueue->timers);
	TAILQ_INIT(&kqueue->queue);
	TAILQ_INIT(&kqueue->waiters);
	TAILQ_INSERT_TAIL(&kernel.kqueues, kqueue, link);
	kernel.counts.kqueues++;
	return (pair[0]);
}

int
kqueue(void)
{
	int fd;

	kernel__enter();
	kqueue__sweep();
	fd = kqueue_create();
	kernel__leave();
	return (fd);
}

/*
 * Without room for events the first failure is the call's, and what follows it
 * is not applied.  A receipt is a failure with error 0: asked for without room
 * it ends the call as well.
 */
static int
kevent_change(struct kqueue *kqueue, const struct kevent *changes, int nchanges,
    struct kevent *events, int nevents, int *ret_count, bool *ret_ended)
{
	struct kevent change;
	int count = 0, error, i;

	*ret_ended = false;
	for (i = 0; i < nchanges; i++) {
		change = changes[i];
		if (change.filter == 0) {
			continue;
		}
		change.flags &= (unsigned short)~EV_SYSFLAGS;
		error = knote__register(kqueue, &change, false, NULL);
		if (error == 0 && (change.flags & EV_RECEIPT) == 0) {
			continue;
		}
		if (count == nevents) {
			*ret_ended = true;
			return (error);
		}
		change.flags = EV_ERROR;
		change.data = error;
		events[count++] = change;
	}
	*ret_count = count;
	*ret_ended = count > 0;
	return (0);
}

/* What was reaped while this thread slept may still be told. */
static int
kevent_take(struct kqueue *kqueue, struct waiter *waiter, int fd,
    struct kevent *events, int nevents)
{
	int count = 0;

	while (waiter != NULL && waiter->stale_count > 0 && count < nevents) {
		events[count++] = waiter->stale[--waiter->stale_count];
		kernel.counts.events++;
		kernel.counts.events_stale++;
	}
	filter__fd_poll(kqueue);
	count += knote__scan(kqueue, events + count, nevents - count);
	if (TAILQ_EMPTY(&kqueue->queue)) {
		kqueue__set_readable(kqueue, fd);
	}
	return (count);
}

static int
kevent_wait(struct kqueue *kqueue, int fd, struct kevent *events, int nevents,
    uint64_t deadline_ns, int *ret_count)
{
	struct pollfd fds[KQUEUE_POLL_MAX + 1];
	struct waiter *waiter = NULL;
	uint64_t timer_ns;
	nfds_t polled;
	int error = 0;
	unsigned int i;

	for (;;) {
		timer_ns = filter__timers_run(kqueue);
		*ret_count = kevent_take(kqueue, waiter, fd, events, nevents);
		if (*ret_count > 0 || error == EINTR ||
		    (deadline_ns != NEVER && kernel__now_ns() >= deadline_ns)) {
			break;
		}
		if (waiter == NULL) {
			waiter = waiter__get(&kqueue->waiters);
			if (waiter == NULL) {
				return (ENOMEM);
			}
		}
		polled = 0;
		fds[polled].events = 0;
		fds[polled++].fd = kqueue->hangup_fd;
		for (i = 0; i < DIRECTIONS; i++) {
			fds[polled].events = POLLIN;
			fds[polled++].fd = kqueue->epoll[i];
		}
		error = waiter__sleep(waiter, fds, polled,
		    timer_ns < deadline_ns ? timer_ns : deadline_ns);
		if (error == 0 && fds[0].revents != 0) {
			error = EBADF;
			break;
		}
	}
	if (waiter != NULL) {
		waiter__put(&kqueue->waiters, waiter);
	}
	return (*ret_count > 0 || error == ETIMEDOUT ? 0 : error);
}

static int
kevent_locked(int fd, const struct kevent *changes, int nchanges,
    struct kevent *events, int nevents, const struct timespec *timeout)
{
	struct kqueue *kqueue = kqueue__find(fd);
	uint64_t deadline_ns;
	bool has_ended;
	int count = 0, error;

	if (kqueue == NULL) {
		return (kernel__fail(EBADF));
	}
	kqueue->references++;
	error = kevent_change(
	    kqueue, changes, nchanges, events, nevents, &count, &has_ended);
	if (error == 0 && !has_ended && nevents > 0) {
		error = EINVAL;
		if (kernel__deadline(timeout, &deadline_ns)) {
			error = kevent_wait(
			    kqueue, fd, events, nevents, deadline_ns, &count);
		}
	}
	kqueue->references--;
	return (error == 0 ? count : kernel__fail(error));
}

int
kevent(int kq, const struct kevent *changes, int nchanges,
    struct kevent *events, int nevents, const struct timespec *timeout)
{
	int count;

	kernel__enter();
	kernel.counts.calls_kevent++;
	count = kevent_locked(kq, changes, nchanges, events, nevents, timeout);
	kernel__leave();
	return (count);
}

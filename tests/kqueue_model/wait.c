/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads that sleep in the model.
 *
 * By poll(2), since a signal must end the sleep with EINTR even under
 * SA_RESTART, and each on an eventfd of its own: one that several share would
 * be emptied by the first of them.
 */
#include "kernel.h"

#include <sys/eventfd.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct waiter *
waiter__get(struct waiters *waiters)
{
	struct waiter *waiter;

	waiter = TAILQ_FIRST(&kernel.free_waiters);
	if (waiter != NULL) {
		TAILQ_REMOVE(&kernel.free_waiters, waiter, link);
	} else {
		waiter = calloc(1, sizeof(*waiter));
		if (waiter == NULL) {
			return (NULL);
		}
		waiter->fd =
		    kernel__fd_move(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
		if (waiter->fd < 0) {
			free(waiter);
			return (NULL);
		}
	}
	waiter->stale_count = 0;
	TAILQ_INSERT_TAIL(waiters, waiter, link);
	return (waiter);
}

static void
waiter_rest(struct waiter *waiter)
{
	uint64_t count;

	if (waiter->is_woken) {
		waiter->is_woken = false;
		if (read(waiter->fd, &count, sizeof(count)) < 0) {
			perror("kqueue_model: eventfd");
			abort();
		}
	}
}

void
waiter__put(struct waiters *waiters, struct waiter *waiter)
{
	TAILQ_REMOVE(waiters, waiter, link);
	waiter_rest(waiter);
	TAILQ_INSERT_HEAD(&kernel.free_waiters, waiter, link);
}

void
waiters__wake(struct waiters *waiters)
{
	const uint64_t one = 1;
	struct waiter *waiter;

	TAILQ_FOREACH(waiter, waiters, link)
	{
		if (waiter->is_woken) {
			continue;
		}
		waiter->is_woken = true;
		if (write(waiter->fd, &one, sizeof(one)) < 0) {
			perror("kqueue_model: eventfd");
			abort();
		}
	}
}

int
waiter__sleep(struct waiter *waiter, struct pollfd *fds, nfds_t count,
    uint64_t deadline_ns)
{
	struct timespec time, *timeout = NULL;
	uint64_t now_ns;
	int error, ready;

	if (deadline_ns != NEVER) {
		now_ns = kernel__now_ns();
		if (now_ns >= deadline_ns) {
			return (ETIMEDOUT);
		}
		time.tv_sec = (time_t)((deadline_ns - now_ns) / NS_PER_S);
		time.tv_nsec = (long)((deadline_ns - now_ns) % NS_PER_S);
		timeout = &time;
	}
	fds[count].fd = waiter->fd;
	fds[count].events = POLLIN;
	kernel__leave();
	ready = ppoll(fds, count + 1, timeout, NULL);
	error = ready < 0 ? errno : ready == 0 ? ETIMEDOUT : 0;
	kernel__enter();
	waiter_rest(waiter);
	return (error);
}

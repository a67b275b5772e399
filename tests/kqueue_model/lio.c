/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lio_listio(2).
 */
#include "kernel.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/*
 * The list's event is known to the kqueue before any of its jobs, by the
 * address of the array and whatever the flags of the sigevent.
 */
static int
list_create(
    void *ident, int mode, const struct sigevent *event, struct list **ret_list)
{
	struct list *list;
	int error = 0;

	list = calloc(1, sizeof(*list));
	if (list == NULL) {
		return (EAGAIN);
	}
	/* one more while it is submitted: no event, and no end, before */
	list->count = 1;
	LIST_INIT(&list->notes);
	if (event != NULL && mode == LIO_NOWAIT) {
		list->event = *event;
		list->has_event = true;
		switch (event->sigev_notify) {
		case SIGEV_NONE:
			break;
		case SIGEV_KEVENT:
			error = job__submit_event(
			    event, (uintptr_t)ident, EVFILT_LIO, list);
			break;
		case SIGEV_SIGNAL:
		case SIGEV_THREAD_ID:
			if (event->sigev_signo <= 0 ||
			    event->sigev_signo >= NSIG) {
				error = EINVAL;
			}
			break;
		default:
			error = EINVAL;
			break;
		}
	}
	if (error != 0) {
		free(list);
		return (error);
	}
	TAILQ_INSERT_TAIL(&kernel.lists, list, link);
	*ret_list = list;
	return (0);
}

/* Between two the lock is given up: the first may be done by then. */
static int
list_submit(struct list *list, struct aiocb *const *aiocbs, int count)
{
	bool is_any_refused = false, is_any_late = false;
	uint64_t delay_ns;
	int error, i;

	for (i = 0; i < count; i++) {
		if (aiocbs[i] == NULL) {
			continue;
		}
		error = job__submit(aiocbs[i], LIO_NOP, list);
		if (error == EAGAIN) {
			is_any_late = true;
		} else if (error != 0) {
			is_any_refused = true;
		}
		delay_ns = kernel__draw_delay(CHANCE_LINGER);
		kernel__leave();
		kernel__dally(delay_ns);
		kernel__enter();
	}
	if (is_any_refused) {
		return (EIO);
	}
	return (is_any_late ? EAGAIN : 0);
}

/* 0 or EINTR, after which the jobs go on. */
static int
list_wait(struct list *list)
{
	struct waiter *waiter = waiter__get(&kernel.waiters);
	struct pollfd fd;
	int error = 0;

	if (waiter == NULL) {
		return (ENOMEM);
	}
	while (error == 0 && list->count - 1 != list->finished) {
		error = waiter__sleep(waiter, &fd, 0, NEVER);
	}
	waiter__put(&kernel.waiters, waiter);
	return (error);
}

static int
list_run(void *ident, int mode, struct aiocb *const *aiocbs, int count,
    const struct sigevent *event)
{
	struct list *list = NULL;
	int error, wait_error = 0;

	error = list_create(ident, mode, event, &list);
	if (error != 0) {
		return (error);
	}
	error = list_submit(list, aiocbs, count);
	if (mode == LIO_WAIT) {
		wait_error = list_wait(list);
	} else if (list->count - 1 == list->finished) {
		list__post(list);
	}
	/* with no jobs left it ends here, and its event unread */
	list__release(list);
	return (error != 0 ? error : wait_error);
}

int
lio_listio(
    int mode, struct aiocb *const list[], int count, struct sigevent *event)
{
	struct aiocb **copy = NULL;
	int error, most;

	kernel__enter();
	kernel.counts.calls_listio++;
	most = kernel.options.listio_max > 0
	    ? kernel.options.listio_max
	    : kernel.options.max_aio_queue_per_proc;
	error = (mode != LIO_NOWAIT && mode != LIO_WAIT) || count < 0 ||
		count > most
	    ? EINVAL
	    : 0;
	if (error == 0) {
		/* the array may be gone when its last job is */
		copy = calloc((size_t)count + 1, sizeof(*copy));
		error = copy == NULL ? EAGAIN : 0;
	}
	if (error == 0) {
		if (count > 0) {
			memcpy(copy, list, (size_t)count * sizeof(*copy));
		}
		error =
		    list_run((void *)(uintptr_t)list, mode, copy, count, event);
	}
	kernel__leave();
	free(copy);
	return (error == 0 ? 0 : kernel__fail(error));
}

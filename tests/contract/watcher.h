/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tasks that poll an Aio, for the contract programs.
 */
#ifndef FILCH_TESTS_CONTRACT_WATCHER_H
#define FILCH_TESTS_CONTRACT_WATCHER_H

#include "source.h"

/* A task that polls an Aio. */
struct watcher {
	struct filch_task task;
	struct filch_aio *aio;
	struct filch_aio_event event;
	int status;
	bool is_idle;  /* do not look at the Aio yet */
	bool keeps;    /* the completion, that is: does not clear it */
	bool destroys; /* the Aio, once it is ready */
	filch_task_release_fn release;
	unsigned polls;
	sem_t polled; /* posted by every poll */
};

static inline enum filch_poll
watcher_poll(struct filch_task *task)
{
	struct watcher *watcher =
	    filch_container_of(task, struct watcher, task);
	enum filch_poll poll = FILCH_PENDING;

	watcher->polls++;
	if (!watcher->is_idle) {
		poll = filch_aio_poll_ready(
		    watcher->aio, task, &watcher->event, &watcher->status);
	}
	if (poll == FILCH_READY && watcher->destroys) {
		filch_aio_destroy(watcher->aio);
	} else if (poll == FILCH_READY && !watcher->keeps &&
	    watcher->status == 0) {
		filch_aio_clear_ready(watcher->aio, watcher->event);
	}
	(void)sem_post(&watcher->polled);
	return (poll);
}

static inline void
watcher_wait(struct watcher *watcher)
{
	while (sem_wait(&watcher->polled) < 0) {
		continue;
	}
}

/* Spawn the task; it was polled once when this returns. */
static inline int
watcher_start(struct contract *contract, struct watcher *watcher)
{
	int rc;

	(void)sem_init(&watcher->polled, 0, 0);
	watcher->polls = 0;
	watcher->status = 1;
	filch_task_init(&watcher->task, watcher_poll, watcher->release);
	rc = filch_executor_spawn_joinable(contract->executor, &watcher->task);
	if (rc == 0) {
		watcher_wait(watcher);
	}
	return (rc);
}

/* Wait for the end of the task; its status. */
static inline int
watcher_end(struct watcher *watcher)
{
	int rc = filch_task_join(&watcher->task);

	(void)sem_destroy(&watcher->polled);
	return (rc < 0 ? rc : watcher->status);
}

static inline void
watcher_release(struct filch_task *task)
{
	free(filch_container_of(task, struct watcher, task));
}

/*
 * One poll by a new task, and its status: 1 is pending.  Its waker stays with
 * the Aio, and its memory with the waker.
 */
static inline int
watch_once(struct contract *contract, struct filch_aio *aio)
{
	struct watcher *watcher = calloc(1, sizeof(*watcher));
	int status;

	if (watcher == NULL) {
		return (-ENOMEM);
	}
	watcher->aio = aio;
	watcher->keeps = true;
	watcher->release = watcher_release;
	if (watcher_start(contract, watcher) < 0) {
		free(watcher);
		return (-EIO);
	}
	status = watcher->status;
	filch_task_ref(&watcher->task);
	filch_task_cancel(&watcher->task);
	(void)watcher_end(watcher);
	filch_task_unref(&watcher->task);
	return (status);
}

static inline int
aio_make(
    struct contract *contract, struct source *source, struct filch_aio **aio)
{
	return (filch_aio_new_for_aio(
	    contract->executor, &source_vtable, source, aio));
}

#endif /* FILCH_TESTS_CONTRACT_WATCHER_H */

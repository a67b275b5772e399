/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of a job, and of a list: who is told, and what dies.
 */
#include "kernel.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void
job__signal(const struct sigevent *event)
{
	union sigval value;

	if (event->sigev_notify == SIGEV_SIGNAL ||
	    event->sigev_notify == SIGEV_THREAD_ID) {
		value.sival_ptr = event->sigev_value.sival_ptr;
		(void)sigqueue(getpid(), event->sigev_signo, value);
	}
}

/* The user's must be as it was, until aio_return. */
static void
job_check_user(const struct job *job)
{
	const struct aiocb *user = job->user, *copy = &job->copy;

	if (user->aio_fildes != copy->aio_fildes ||
	    user->aio_offset != copy->aio_offset ||
	    user->aio_buf != copy->aio_buf ||
	    user->aio_nbytes != copy->aio_nbytes ||
	    user->aio_lio_opcode != copy->aio_lio_opcode ||
	    user->aio_sigevent.sigev_notify !=
		copy->aio_sigevent.sigev_notify) {
		kernel.faults.aiocb_changed++;
	}
}

/* Those that wait for it have one less to wait for. */
static void
job_release_syncs(const struct job *job)
{
	struct job *sync, *next;

	for (sync = TAILQ_FIRST(&kernel.syncs); sync != NULL; sync = next) {
		next = TAILQ_NEXT(sync, queue);
		if (sync->file != job->file || sync->sequence < job->sequence ||
		    --sync->pending > 0) {
			continue;
		}
		TAILQ_REMOVE(&kernel.syncs, sync, queue);
		(void)daemon__push(sync);
	}
}

void
list__post(struct list *list)
{
	list->is_posted = true;
	if (list->has_event) {
		knote__poke_all(&list->notes);
		job__signal(&list->event);
	}
}

void
job__finish(struct job *job, ssize_t status, int error)
{
	struct list *list = job->list;

	job_check_user(job);
	job->copy._aiocb_private.status = error != 0 ? -1 : status;
	job->copy._aiocb_private.error = error;
	job->state = JOB_DONE;
	TAILQ_REMOVE(&kernel.pending, job, order);
	TAILQ_INSERT_TAIL(&kernel.done, job, order);
	job__signal(&job->copy.aio_sigevent);
	knote__poke_all(&job->notes);
	if (list != NULL && ++list->finished == list->count) {
		list__post(list);
	}
	if (job->is_check) {
		job_release_syncs(job);
	}
	waiters__wake(&kernel.waiters);
}

void
list__release(struct list *list)
{
	if (--list->count == 0) {
		knote__drop_all(&list->notes);
		TAILQ_REMOVE(&kernel.lists, list, link);
		free(list);
	}
}

void
job__free(struct job *job)
{
	TAILQ_REMOVE(&kernel.all, job, all);
	TAILQ_REMOVE(&kernel.done, job, order);
	kernel.counts.jobs--;
	if (job->list != NULL) {
		job->list->finished--;
		list__release(job->list);
	}
	knote__drop_all(&job->notes);
	if (job->file != NULL) {
		file__put(job->file);
	}
	free(job->vectors);
	free(job);
}

/* As if a daemon had just taken it. */
static bool
job_is_busy(struct job *job)
{
	return ((job->state != JOB_SOCKET || socket__is_next(job)) &&
	    kernel__draw(CHANCE_BUSY));
}

bool
job__cancel(struct job *job)
{
	if (job->is_canceled || job->state == JOB_DONE) {
		return (false);
	}
	job->is_canceled = true;
	if (job->state == JOB_RUNNING || job_is_busy(job)) {
		return (false);
	}
	switch (job->state) {
	case JOB_QUEUED:
		daemon__remove(job);
		break;
	case JOB_SYNC:
		TAILQ_REMOVE(&kernel.syncs, job, queue);
		break;
	default:
		socket__cancel(job);
		if (job->transferred > 0) {
			job__finish(job, (ssize_t)job->transferred, 0);
			return (false);
		}
		break;
	}
	kernel.counts.canceled++;
	job__finish(job, -1, ECANCELED);
	return (true);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From an aiocb to a job, by the checks of the kernel and in its order.
 */
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static bool
opcode_is_vectored(int opcode)
{
	return (opcode == LIO_READV || opcode == LIO_WRITEV);
}

static bool
opcode_is_sync(int opcode)
{
	return (opcode == OPCODE_SYNC || opcode == OPCODE_DSYNC);
}

static int
opcode_check(int opcode)
{
	switch (opcode) {
	case LIO_NOP:
	case LIO_READ:
	case LIO_WRITE:
	case OPCODE_SYNC:
	case OPCODE_DSYNC:
	case OPCODE_MLOCK:
		return (0);
	case LIO_READV:
	case LIO_WRITEV:
		return (kernel.options.version >= 1300 ? 0 : EINVAL);
	default:
		return (EINVAL);
	}
}

static int
event_check(const struct sigevent *event)
{
	switch (event->sigev_notify) {
	case SIGEV_NONE:
	case SIGEV_KEVENT:
		return (0);
	case SIGEV_SIGNAL:
	case SIGEV_THREAD_ID:
		return (event->sigev_signo > 0 && event->sigev_signo < NSIG
			? 0
			: EINVAL);
	default: /* SIGEV_THREAD is a matter of librt */
		return (EINVAL);
	}
}

int
job__submit_event(
    const struct sigevent *event, uintptr_t ident, short filter, void *object)
{
	struct kqueue *kqueue;
	struct kevent change;
	unsigned int flags = 0;

	if (filter == EVFILT_AIO) {
		flags = (unsigned int)event->sigev_notify_kevent_flags;
		if ((flags &
			~(unsigned)(EV_CLEAR | EV_DISPATCH | EV_ONESHOT)) !=
		    0) {
			return (EINVAL);
		}
	}
	kqueue = kqueue__find(event->sigev_notify_kqueue);
	if (kqueue == NULL) {
		return (EBADF);
	}
	if (filter == EVFILT_LIO &&
	    knote__find(kqueue, ident, filter) != NULL) {
		kernel.faults.list_reused++;
	}
	EV_SET(&change, ident, filter,
	    (unsigned short)(EV_ADD | EV_ENABLE | flags), 0, 0,
	    event->sigev_value.sival_ptr);
	return (knote__register(kqueue, &change, true, object));
}

static int
job_set_vectors(struct job *job)
{
	const struct iovec *vectors;
	size_t size = 0;
	int i;

	job->vector.iov_base = (void *)(uintptr_t)job->copy.aio_buf;
	job->vector.iov_len = job->copy.aio_nbytes;
	job->vector_count = 1;
	if (!opcode_is_vectored(job->opcode)) {
		return (job->copy.aio_nbytes > SSIZE_MAX ? EINVAL : 0);
	}
	if (job->copy.aio_iovcnt > IOV_MAX) {
		return (EINVAL);
	}
	vectors = (const struct iovec *)(uintptr_t)job->copy.aio_iov;
	job->vector_count = (int)job->copy.aio_iovcnt;
	job->vectors = calloc(job->copy.aio_iovcnt + 1, sizeof(*job->vectors));
	if (job->vectors == NULL) {
		return (ENOMEM);
	}
	for (i = 0; i < job->vector_count; i++) {
		job->vectors[i] = vectors[i];
		if (vectors[i].iov_len > SSIZE_MAX - size) {
			return (EINVAL);
		}
		size += vectors[i].iov_len;
	}
	return (0);
}

static int
job_set_file(struct job *job)
{
	int fd = job->copy.aio_fildes, mode;

	if (job->opcode == OPCODE_MLOCK) {
		return (0);
	}
	mode = fcntl(fd, F_GETFL);
	if (mode < 0 || (mode & O_PATH) != 0) {
		return (EBADF);
	}
	mode &= O_ACCMODE;
	if (!opcode_is_sync(job->opcode) &&
	    (((job->opcode & LIO_READ) != 0 && mode == O_WRONLY) ||
		((job->opcode & LIO_WRITE) != 0 && mode == O_RDONLY))) {
		return (EBADF);
	}
	return (file__get(fd, &job->file));
}

static int
job_check(struct job *job)
{
	if (opcode_is_sync(job->opcode) && !job->file->has_vnode) {
		return (EINVAL);
	}
	if (!opcode_is_sync(job->opcode) && job->opcode != OPCODE_MLOCK &&
	    job->opcode != LIO_NOP && job->copy.aio_offset < 0 &&
	    !job->file->is_device) {
		return (EINVAL);
	}
	return (0);
}

/* It waits for those before it of the same file that are no syncs. */
static int
sync_push(struct job *sync)
{
	struct job *job;

	TAILQ_FOREACH(job, &kernel.pending, order)
	{
		if (job->file == sync->file && !opcode_is_sync(job->opcode)) {
			job->is_check = true;
			sync->pending++;
		}
	}
	if (sync->pending == 0) {
		return (daemon__push(sync));
	}
	sync->state = JOB_SYNC;
	TAILQ_INSERT_TAIL(&kernel.syncs, sync, queue);
	return (0);
}

static int
job_push(struct job *job)
{
	if (job->opcode == OPCODE_MLOCK) {
		return (daemon__push(job));
	}
	if (job->file->kind == FILE_SOCKET) {
		return (socket__push(job));
	}
	if ((job->file->kind == FILE_UNSAFE && !kernel.options.enable_unsafe) ||
	    kernel__draw(CHANCE_EOPNOTSUPP)) {
		return (EOPNOTSUPP);
	}
	return (
	    (opcode_is_sync(job->opcode) ? sync_push(job) : daemon__push(job)));
}

/* Its event is known to the kqueue before it runs. */
static int
job_start(struct job *job)
{
	const struct sigevent *event = &job->copy.aio_sigevent;
	int error = 0;

	if (event->sigev_notify == SIGEV_KEVENT) {
		error = job__submit_event(
		    event, (uintptr_t)job->user, EVFILT_AIO, job);
	}
	if (error == 0) {
		job->user->_aiocb_private.error = EINPROGRESS;
		job->copy._aiocb_private.error = EINPROGRESS;
		job->sequence = ++kernel.sequence;
		error = job_push(job);
	}
	if (error != 0) {
		knote__drop_all(&job->notes);
		return (error);
	}
	TAILQ_INSERT_TAIL(&kernel.all, job, all);
	TAILQ_INSERT_TAIL(&kernel.pending, job, order);
	kernel.counts.submitted++;
	if (job->list != NULL) {
		job->list->count++;
		kernel.counts.listed++;
	}
	if (++kernel.counts.jobs > kernel.counts.jobs_most) {
		kernel.counts.jobs_most = kernel.counts.jobs;
	}
	return (0);
}

static bool
limit_is_reached(void)
{
	uint64_t jobs = kernel.counts.jobs;

	return (jobs >= (uint64_t)kernel.options.max_aio_queue_per_proc ||
	    jobs >= (uint64_t)kernel.options.max_aio_queue ||
	    kernel__draw(CHANCE_EAGAIN));
}

static void
job_discard(struct job *job)
{
	if (job->file != NULL) {
		file__put(job->file);
	}
	free(job->vectors);
	free(job);
}

static int
job_make(struct job *job)
{
	int error;

	error = event_check(&job->copy.aio_sigevent);
	if (error == 0) {
		error = opcode_check(job->opcode);
	}
	if (error == 0) {
		error = job_set_vectors(job);
	}
	if (error == 0) {
		error = job_set_file(job);
	}
	if (error == 0) {
		error = job_check(job);
	}
	return (error);
}

static void
check_reuse(const struct aiocb *user)
{
	struct job *job;

	TAILQ_FOREACH(job, &kernel.all, all)
	{
		if (job->user == user) {
			kernel.faults.aiocb_reused++;
			return;
		}
	}
}

int
job__submit(struct aiocb *user, int opcode, struct list *list)
{
	struct job *job;
	bool is_discarded = true;
	int error;

	check_reuse(user);
	user->_aiocb_private.status = -1;
	user->_aiocb_private.error = 0;
	user->_aiocb_private.kernelinfo = NULL;
	if (limit_is_reached() || (job = calloc(1, sizeof(*job))) == NULL) {
		error = EAGAIN;
		is_discarded = false;
	} else {
		job->user = user;
		job->copy = *user;
		job->opcode = list != NULL ? user->aio_lio_opcode : opcode;
		job->list = list;
		LIST_INIT(&job->notes);
		error = job_make(job);
		if (error == 0 && job->opcode != LIO_NOP) {
			error = job_start(job);
			is_discarded = error != 0;
		}
	}
	if (is_discarded) {
		job_discard(job);
	}
	if (error != 0) {
		user->_aiocb_private.error = error;
		user->_aiocb_private.kernelinfo = AIOCB_REFUSED;
		kernel.counts.refused++;
	}
	return (error);
}

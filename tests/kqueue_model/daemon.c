/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The daemons that do blocking calls for the jobs of files.
 */
#include "kernel.h"

#include <sys/resource.h>
#include <sys/syscall.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

/* The next to run, or a later one when order is played with. */
static struct job *
daemon_select(void)
{
	struct job *job = TAILQ_FIRST(&kernel.ready);

	if (job == NULL ||
	    kernel.servicing >= (unsigned int)kernel.options.max_aio_per_proc) {
		return (NULL);
	}
	while (TAILQ_NEXT(job, queue) != NULL && kernel__draw(CHANCE_REORDER)) {
		job = TAILQ_NEXT(job, queue);
	}
	return (job);
}

static ssize_t
daemon_transfer(struct job *job)
{
	int fd = job->file->fd, count = job->vector_count;
	const struct iovec *vectors =
	    job->vectors != NULL ? job->vectors : &job->vector;
	bool is_read = (job->opcode & LIO_READ) != 0;
	ssize_t size;

	size = is_read ? preadv(fd, vectors, count, job->copy.aio_offset)
		       : pwritev(fd, vectors, count, job->copy.aio_offset);
	if (size < 0 && errno == ESPIPE) {
		size = is_read ? readv(fd, vectors, count)
			       : writev(fd, vectors, count);
	}
	return (size);
}

/*
 * The limit holds for root too, unlike Linux's.  Not by way of mlock(), which
 * does nothing under a sanitizer.
 */
static ssize_t
daemon_lock(const struct iovec *vector)
{
	struct rlimit limit;
	ssize_t result;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 &&
	    vector->iov_len > limit.rlim_cur) {
		errno = ENOMEM;
		return (-1);
	}
	result = syscall(SYS_mlock, vector->iov_base, vector->iov_len);
	if (result < 0 && (errno == EPERM || errno == EAGAIN)) {
		errno = ENOMEM; /* the limit, whatever Linux says */
	}
	return (result);
}

static ssize_t
daemon_run(struct job *job)
{
	switch (job->opcode) {
	case OPCODE_SYNC:
		return (fsync(job->file->fd));
	case OPCODE_DSYNC:
		return (fdatasync(job->file->fd));
	case OPCODE_MLOCK:
		return (daemon_lock(&job->vector));
	default:
		return (daemon_transfer(job));
	}
}

/* A short transfer, which a regular file need not make but may. */
static void
daemon_shorten(struct job *job)
{
	size_t size = job->vector.iov_len;

	if (job->vectors == NULL && size > 1 && job->file != NULL &&
	    (job->opcode & (LIO_READ | LIO_WRITE)) != 0 &&
	    job->opcode < OPCODE_SYNC && kernel__draw(CHANCE_PARTIAL)) {
		job->vector.iov_len = 1 + kernel__random() % (size - 1);
	}
}

static void
daemon_serve(struct job *job)
{
	uint64_t slow_ns = kernel__draw_delay(CHANCE_SLOW);
	uint64_t late_ns = kernel__draw_delay(CHANCE_LATE);
	ssize_t result;
	int error;

	daemon_shorten(job);
	job->state = JOB_RUNNING;
	kernel.servicing++;
	kernel__leave();
	kernel__dally(slow_ns);
	result = daemon_run(job);
	error = result < 0 ? errno : 0;
	kernel__dally(late_ns);
	kernel__enter();
	kernel.servicing--;
	job__finish(job, result, error);
}

static void *
daemon_main(void *unused)
{
	struct job *job;
	uint64_t delay_ns;

	(void)unused;
	kernel__enter();
	for (;;) {
		if (daemon_select() == NULL) {
			kernel.daemons_idle++;
			pthread_cond_wait(&kernel.work, &kernel.lock);
			kernel.daemons_idle--;
			continue;
		}
		delay_ns = kernel__draw_delay(CHANCE_DELAY);
		if (delay_ns > 0) {
			kernel__leave();
			kernel__dally(delay_ns);
			kernel__enter();
		}
		/* another may have taken it, or a cancel */
		job = daemon_select();
		if (job != NULL) {
			TAILQ_REMOVE(&kernel.ready, job, queue);
			daemon_serve(job);
		}
	}
	return (NULL);
}

/* Whether those idle, woken or not, are all needed by the jobs that wait. */
static bool
daemon_is_wanted(void)
{
	unsigned int spare = kernel.daemons_idle;
	struct job *job;

	TAILQ_FOREACH(job, &kernel.ready, queue)
	{
		if (spare > 0) {
			spare--;
		}
	}
	return (spare == 0 &&
	    kernel.daemons < (unsigned int)kernel.options.max_aio_procs);
}

/* With no daemon at all a job would wait for ever. */
int
daemon__push(struct job *job)
{
	if (daemon_is_wanted()) {
		if (kernel__thread(daemon_main) == 0) {
			kernel.daemons++;
		} else if (kernel.daemons == 0) {
			return (EAGAIN);
		}
	}
	job->state = JOB_QUEUED;
	TAILQ_INSERT_TAIL(&kernel.ready, job, queue);
	pthread_cond_signal(&kernel.work);
	return (0);
}

void
daemon__remove(struct job *job)
{
	TAILQ_REMOVE(&kernel.ready, job, queue);
}

void
daemon__forget(void)
{
	TAILQ_INIT(&kernel.ready);
	kernel.daemons = 0;
	kernel.daemons_idle = 0;
	kernel.servicing = 0;
	kernel.has_socket_daemon = false;
	if (kernel.socket_wake_fd >= 0) {
		close(kernel.socket_wake_fd);
		kernel.socket_wake_fd = -1;
	}
	pthread_cond_init(&kernel.work, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The calls of <aio.h> for single jobs.
 */
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int
submit(struct aiocb *aiocb, int opcode, uint64_t *calls)
{
	uint64_t delay_ns;
	int error;

	kernel__enter();
	(*calls)++;
	error = (opcode == LIO_READV || opcode == LIO_WRITEV) &&
		kernel.options.version < 1300
	    ? ENOSYS
	    : job__submit(aiocb, opcode, NULL);
	delay_ns = kernel__draw_delay(CHANCE_LINGER);
	kernel__leave();
	kernel__dally(delay_ns);
	return (error == 0 ? 0 : kernel__fail(error));
}

int
aio_read(struct aiocb *aiocb)
{
	return (submit(aiocb, LIO_READ, &kernel.counts.calls_read));
}

int
aio_readv(struct aiocb *aiocb)
{
	return (submit(aiocb, LIO_READV, &kernel.counts.calls_readv));
}

int
aio_write(struct aiocb *aiocb)
{
	return (submit(aiocb, LIO_WRITE, &kernel.counts.calls_write));
}

int
aio_writev(struct aiocb *aiocb)
{
	return (submit(aiocb, LIO_WRITEV, &kernel.counts.calls_writev));
}

int
aio_fsync(int op, struct aiocb *aiocb)
{
	bool is_dsync;

	kernel__enter();
	is_dsync = op == O_DSYNC && kernel.options.version >= 1300;
	kernel.counts.calls_fsync += op != O_SYNC && !is_dsync;
	kernel__leave();
	if (op != O_SYNC && !is_dsync) {
		return (kernel__fail(EINVAL));
	}
	return (submit(aiocb, is_dsync ? OPCODE_DSYNC : OPCODE_SYNC,
	    &kernel.counts.calls_fsync));
}

int
aio_mlock(struct aiocb *aiocb)
{
	return (submit(aiocb, OPCODE_MLOCK, &kernel.counts.calls_mlock));
}

/* What was not accepted, or is returned, is known by the aiocb alone. */
int
aio_error(const struct aiocb *aiocb)
{
	struct job *job;
	int error = EINVAL;

	kernel__enter();
	kernel.counts.calls_error++;
	TAILQ_FOREACH(job, &kernel.all, all)
	{
		if (job->user == aiocb) {
			break;
		}
	}
	if (job != NULL) {
		error = job->state == JOB_DONE
		    ? (int)job->copy._aiocb_private.error
		    : EINPROGRESS;
	} else if (aiocb->_aiocb_private.status == -1) {
		error = (int)aiocb->_aiocb_private.error;
	}
	kernel__leave();
	return (error);
}

/* Its result, to the user and to the caller; it dies. */
static ssize_t
reap(struct job *job, int *ret_error)
{
	struct aiocb *user = job->user;
	long status = job->copy._aiocb_private.status;
	long error = job->copy._aiocb_private.error;

	job__free(job);
	user->_aiocb_private.status = status;
	user->_aiocb_private.error = error;
	*ret_error = (int)error;
	return (status);
}

/* Of what was refused it says EINVAL as well, and is no fault. */
static void
count_unreturned(struct aiocb *aiocb)
{
	struct job *job;

	if (aiocb->_aiocb_private.kernelinfo == AIOCB_REFUSED) {
		aiocb->_aiocb_private.kernelinfo = NULL;
		return;
	}
	TAILQ_FOREACH(job, &kernel.all, all)
	{
		if (job->user == aiocb) {
			kernel.faults.return_early++;
			return;
		}
	}
	kernel.faults.return_unknown++;
}

ssize_t
aio_return(struct aiocb *aiocb)
{
	struct job *job;
	ssize_t result = -1;
	int error = EINVAL;

	kernel__enter();
	kernel.counts.calls_return++;
	TAILQ_FOREACH(job, &kernel.done, order)
	{
		if (job->user == aiocb) {
			break;
		}
	}
	if (job == NULL) {
		count_unreturned(aiocb);
	} else {
		if (job != TAILQ_FIRST(&kernel.done)) {
			kernel.counts.returns_out_of_order++;
		}
		result = reap(job, &error);
	}
	kernel__leave();
	return (error == 0 ? result : kernel__fail(error));
}

static int
cancel_all(int fd, const struct aiocb *aiocb)
{
	struct job *job, *next;
	bool is_any_canceled = false, is_any_not = false;

	for (job = TAILQ_FIRST(&kernel.pending); job != NULL; job = next) {
		next = TAILQ_NEXT(job, order);
		if (job->copy.aio_fildes != fd ||
		    (aiocb != NULL && job->user != aiocb)) {
			continue;
		}
		if (job__cancel(job)) {
			is_any_canceled = true;
		} else {
			is_any_not = true;
		}
		if (aiocb != NULL) {
			break;
		}
	}
	if (is_any_not) {
		return (AIO_NOTCANCELED);
	}
	return (is_any_canceled ? AIO_CANCELED : AIO_ALLDONE);
}

int
aio_cancel(int fd, struct aiocb *aiocb)
{
	int verdict;

	kernel__enter();
	kernel.counts.calls_cancel++;
	verdict = fcntl(fd, F_GETFD) < 0 ? kernel__fail(EBADF)
					 : cancel_all(fd, aiocb);
	kernel__leave();
	return (verdict);
}

/* Whether one of them is done, or none is a job. */
static bool
suspend_is_over(const struct aiocb *const list[], int count)
{
	struct job *job;
	bool is_any = false;
	int i;

	TAILQ_FOREACH(job, &kernel.all, all)
	{
		for (i = 0; i < count; i++) {
			if (list[i] == job->user) {
				is_any = true;
				if (job->state == JOB_DONE) {
					return (true);
				}
			}
		}
	}
	return (!is_any);
}

/* Sleeps until some job is done: 0 or an errno. */
static int
sleep_for_any(uint64_t deadline_ns)
{
	struct waiter *waiter = waiter__get(&kernel.waiters);
	struct pollfd fd;
	int error;

	if (waiter == NULL) {
		return (ENOMEM);
	}
	error = waiter__sleep(waiter, &fd, 0, deadline_ns);
	waiter__put(&kernel.waiters, waiter);
	return (error);
}

int
aio_suspend(
    const struct aiocb *const list[], int count, const struct timespec *timeout)
{
	uint64_t deadline_ns;
	int error = 0;

	kernel__enter();
	kernel.counts.calls_suspend++;
	if (!kernel__deadline(timeout, &deadline_ns) || count < 0 ||
	    count > kernel.options.max_aio_queue_per_proc) {
		error = EINVAL;
	}
	while (error == 0 && !suspend_is_over(list, count)) {
		error = sleep_for_any(deadline_ns);
	}
	kernel__leave();
	return (
	    error == 0 ? 0 : kernel__fail(error == ETIMEDOUT ? EAGAIN : error));
}

ssize_t
aio_waitcomplete(struct aiocb **ret_aiocb, struct timespec *timeout)
{
	struct aiocb *aiocb = NULL;
	struct job *job = NULL;
	uint64_t deadline_ns;
	ssize_t result = -1;
	int error = 0;

	kernel__enter();
	kernel.counts.calls_waitcomplete++;
	if (!kernel__deadline(timeout, &deadline_ns)) {
		error = EINVAL;
	}
	while (error == 0) {
		job = TAILQ_FIRST(&kernel.done);
		if (job != NULL) {
			break;
		}
		error = sleep_for_any(deadline_ns);
	}
	if (job != NULL) {
		aiocb = job->user;
		result = reap(job, &error);
	} else if (error == ETIMEDOUT) {
		error = EWOULDBLOCK;
	}
	*ret_aiocb = aiocb;
	kernel__leave();
	return (error == 0 ? result : kernel__fail(error));
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a program's own aiocbs end: refused, failed, cancelled in every state, in
 * order, and at the end of their executor.
 */
#include "own_job.h"

#if defined(FILCH_HAVE_KQUEUE)

/* ---- errors ---- */

/* What the kernel refuses is not told, and the source is as good as ever. */
static const char *
refused(struct contract *contract)
{
	struct job job;

	CHECK_OK(job_make_write(contract, &job, EV_ADD));
	CHECK_EQ(aiocb_submit(&job.cb), -EINVAL);
	CHECK_EQ(own_look(contract, &job.own), 1);
	sigevent_bind(&job.cb.aio_sigevent, &job.own.registrar, 0);
	job.cb.aio_fildes = -1;
	CHECK_EQ(aiocb_submit(&job.cb), -EBADF);
	job.cb.aio_fildes = job.fds[0];
	CHECK_EQ(aiocb_return(&job.cb), -EINVAL);
	CHECK_EQ(own_look(contract, &job.own), 1);
	CHECK_EQ(aiocb_submit(&job.cb), 0);
	CHECK_OK(job_is_told(contract, &job));
	CHECK_EQ(aiocb_return(&job.cb), 9);
	job_end(&job);
	return (NULL);
}

/* What fails while it runs is told, with its error, and reaped all the same. */
static const char *
fails(struct contract *contract)
{
	struct job job;

	for (size_t i = 0; i < FLAGS_COUNT; i++) {
		CHECK_OK(job_make_write(contract, &job, kevent_flags[i]));
		job.cb.aio_buf = (void *)1;
		CHECK_EQ(aiocb_submit(&job.cb), 0);
		CHECK_EQ(own_wait(contract, &job.own), 0);
		CHECK_EQ(job.own.event.result, -EFAULT);
		if (kevent_flags[i] == 0) {
			/* not reaped yet: again */
			own_clear(&job.own);
			CHECK_EQ(own_wait(contract, &job.own), 0);
			CHECK_EQ(job.own.event.result, -EFAULT);
		}
		CHECK_EQ(aiocb_return(&job.cb), -EFAULT);
		own_clear(&job.own);
		CHECK_EQ(own_look(contract, &job.own), 1);
		job_end(&job);
	}
	return (NULL);
}

/* ---- cancelling: the event retires the job, never the call ---- */

static const char *
cancel_verdicts(struct contract *contract)
{
	struct job job;

	for (size_t i = 0; i < FLAGS_COUNT; i++) {
		CHECK_OK(job_make_read(contract, &job, kevent_flags[i]));
		CHECK_EQ(aiocb_submit(&job.cb), 0);
		CHECK_EQ(aio_cancel(job.fds[0], &job.cb), AIO_CANCELED);
		CHECK_EQ(own_wait(contract, &job.own), 0);
		CHECK_EQ(job.own.event.result, -ECANCELED);
		CHECK_EQ(aio_error(&job.cb), ECANCELED);
		CHECK_EQ(aio_cancel(job.fds[0], &job.cb), AIO_ALLDONE);
		CHECK_EQ(aiocb_return(&job.cb), -ECANCELED);
		own_clear(&job.own);
		CHECK_EQ(own_look(contract, &job.own), 1);
		/* the job holds the file; its number is gone */
		CHECK_EQ(aiocb_submit(&job.cb), 0);
		CHECK_EQ(close(job.fds[0]), 0);
		CHECK_EQ(aio_cancel(job.cb.aio_fildes, &job.cb), -1);
		CHECK_EQ(errno, EBADF);
		CHECK_EQ(write(job.fds[1], "filch aio", 9), 9);
		CHECK_OK(job_is_told(contract, &job));
		CHECK_EQ(aiocb_return(&job.cb), 9);
		CHECK_EQ(close(job.fds[1]), 0);
		filch_aio_destroy(job.own.aio);
	}
	return (NULL);
}

/* A write to a file, cancelled at once: any verdict, one event. */
static const char *
cancel_race(struct contract *contract)
{
	struct job job;

	CHECK_OK(job_make_write(contract, &job, EV_ONESHOT));
	for (int round = 0; round < ROUNDS; round++) {
		int verdict;
		int64_t result;

		CHECK_EQ(aiocb_submit(&job.cb), 0);
		verdict = aio_cancel(job.fds[0], &job.cb);
		CHECK(verdict == AIO_CANCELED || verdict == AIO_NOTCANCELED ||
		    verdict == AIO_ALLDONE);
		CHECK_EQ(own_wait(contract, &job.own), 0);
		result = aiocb_return(&job.cb);
		CHECK_EQ(result, verdict == AIO_CANCELED ? -ECANCELED : 9);
		CHECK_EQ(job.own.event.result, result < 0 ? result : 0);
		own_clear(&job.own);
		CHECK_EQ(own_look(contract, &job.own), 1);
	}
	job_end(&job);
	return (NULL);
}

#define MANY 32

static const char *
cancel_all_of_descriptor(struct contract *contract)
{
	static struct job jobs[MANY];
	int fds[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	for (int i = 0; i < MANY; i++) {
		CHECK_OK(own_make(contract, &jobs[i].own, 0));
		aiocb_fill(&jobs[i].cb, LIO_READ, fds[0], jobs[i].bytes, 1, 0);
		sigevent_bind(&jobs[i].cb.aio_sigevent, &jobs[i].own.registrar,
		    kevent_flags[i % (int)FLAGS_COUNT]);
		CHECK_EQ(aiocb_submit(&jobs[i].cb), 0);
	}
	CHECK_EQ(aio_cancel(fds[0], NULL), AIO_CANCELED);
	for (int i = 0; i < MANY; i++) {
		CHECK_EQ(own_wait(contract, &jobs[i].own), 0);
		CHECK_EQ(jobs[i].own.event.result, -ECANCELED);
		CHECK_EQ(aiocb_return(&jobs[i].cb), -ECANCELED);
		filch_aio_destroy(jobs[i].own.aio);
	}
	(void)close(fds[0]);
	(void)close(fds[1]);
	return (NULL);
}

static char large[1 << 20];

/* A write that has begun ends short, whatever aio_cancel() says of it. */
static const char *
cancel_partly_written(struct contract *contract)
{
	struct job job;
	int64_t written;
	int64_t received = 0;
	ssize_t n;
	int verdict;

	CHECK_OK(job_make_read(contract, &job, EV_ONESHOT));
	job.cb.aio_buf = large;
	job.cb.aio_nbytes = sizeof(large);
	job.cb.aio_lio_opcode = LIO_WRITE;
	job.cb.aio_fildes = job.fds[1];
	CHECK_EQ(aiocb_submit(&job.cb), 0);
	/* a first byte that arrives tells that it has begun */
	CHECK_EQ(read(job.fds[0], job.bytes, 1), 1);
	verdict = aio_cancel(job.fds[1], &job.cb);
	CHECK(verdict == AIO_CANCELED || verdict == AIO_NOTCANCELED);
	CHECK_EQ(own_wait(contract, &job.own), 0);
	CHECK_EQ(job.own.event.result, 0);
	written = aiocb_return(&job.cb);
	CHECK(written > 0 && written < (int64_t)sizeof(large));
	CHECK_EQ(shutdown(job.fds[1], SHUT_WR), 0);
	while ((n = read(job.fds[0], large, sizeof(large))) > 0) {
		received += n;
	}
	CHECK_EQ(received + 1, written);
	job_end(&job);
	return (NULL);
}

/* ---- order, and the end ---- */

/* aio_fsync() ends after the writes before it: nobody has to wait for them. */
static const char *
fsync_after_writes(struct contract *contract)
{
	static struct aiocb writes[MANY];
	struct job job;

	CHECK_OK(job_make_write(contract, &job, EV_ONESHOT));
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < MANY; i++) {
			aiocb_fill(&writes[i], LIO_WRITE, job.fds[0], job.bytes,
			    9, 9 * i);
			CHECK_EQ(aiocb_submit(&writes[i]), 0);
		}
		CHECK_EQ(aio_fsync(O_SYNC, &job.cb), 0);
		CHECK_OK(job_is_told(contract, &job));
		CHECK_EQ(aiocb_return(&job.cb), 0);
		own_clear(&job.own);
		for (int i = 0; i < MANY; i++) {
			CHECK_EQ(aio_error(&writes[i]), 0);
			CHECK_EQ(aiocb_return(&writes[i]), 9);
		}
	}
	CHECK_EQ(lseek(job.fds[0], 0, SEEK_END), 9 * MANY);
	job_end(&job);
	return (NULL);
}

/*
 * At the end of the executor the kernel keeps the program's jobs: the waiting
 * learn that nobody will tell them, and reap for themselves.
 */
static const char *
shut_down_in_flight(struct contract *contract)
{
	static struct job jobs[FLAGS_COUNT];

	for (size_t i = 0; i < FLAGS_COUNT; i++) {
		struct contract other = *contract;
		struct watcher watcher = { .keeps = true };
		struct job *job = &jobs[i];

		CHECK_EQ(filch_executor_create(NULL, &other.executor), 0);
		CHECK_OK(job_make_read(&other, job, kevent_flags[i]));
		CHECK_EQ(aiocb_submit(&job->cb), 0);
		watcher.aio = job->own.aio;
		CHECK_EQ(watcher_start(&other, &watcher), 0);
		CHECK_EQ(contract_stop(&other, FILCH_NEVER), 0);
		CHECK_EQ(watcher_end(&watcher), -ESHUTDOWN);
		filch_aio_destroy(job->own.aio);
		filch_executor_destroy(other.executor);
		CHECK_EQ(aio_error(&job->cb), EINPROGRESS);
	}
	for (size_t i = 0; i < FLAGS_COUNT; i++) {
		CHECK_EQ(write(jobs[i].fds[1], "filch aio", 9), 9);
		aiocb_await(&jobs[i].cb);
		CHECK_EQ(aiocb_return(&jobs[i].cb), 9);
		(void)close(jobs[i].fds[0]);
		(void)close(jobs[i].fds[1]);
	}
	return (NULL);
}
#endif

static const struct own_row rows[] = {
	OWN_ROW("refused: not told", refused),
	OWN_ROW("failed: told with its error", fails),
	OWN_ROW("aio_cancel: CANCELED, ALLDONE, EBADF", cancel_verdicts),
	OWN_ROW("aio_cancel beside a running write", cancel_race),
	OWN_ROW("aio_cancel of a descriptor's jobs", cancel_all_of_descriptor),
	OWN_ROW(
	    "aio_cancel of a partly written one: short", cancel_partly_written),
	OWN_ROW(
	    "aio_fsync ends after the writes before it", fsync_after_writes),
	OWN_ROW("in flight at shutdown", shut_down_in_flight),
};

int
main(void)
{
	return (own_main(rows, CONTRACT_COUNT(rows), NULL));
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An Aio over one aiocb of the program's own, for the contract programs that
 * are about kqueue(2).
 */
#ifndef FILCH_TESTS_CONTRACT_OWN_JOB_H
#define FILCH_TESTS_CONTRACT_OWN_JOB_H

#include "own.h"

#if defined(FILCH_HAVE_KQUEUE)

#define ROUNDS 200

static const unsigned short kevent_flags[] = { 0, EV_ONESHOT, EV_CLEAR,
	EV_DISPATCH };

#define FLAGS_COUNT CONTRACT_COUNT(kevent_flags)

/* What the tests submit: transfers of a file, or reads of a socket. */
struct job {
	struct own own; /* first: the registrar */
	struct aiocb cb;
	int fds[2]; /* what is written to the second is read from the first */
	char bytes[16];
};

/* Make the Aio of a write to a file of its own. */
static inline const char *
job_make_write(struct contract *contract, struct job *job, unsigned short flags)
{
	memset(job, 0, sizeof(*job));
	job->fds[0] = contract_file(contract, "file", "");
	job->fds[1] = -1;
	CHECK(job->fds[0] >= 0);
	memcpy(job->bytes, "filch aio", 9);
	aiocb_fill(&job->cb, LIO_WRITE, job->fds[0], job->bytes, 9, 0);
	CHECK_OK(own_make(contract, &job->own, 0));
	sigevent_bind(&job->cb.aio_sigevent, &job->own.registrar, flags);
	return (NULL);
}

/* Make the Aio of a read that waits until somebody writes. */
static inline const char *
job_make_read(struct contract *contract, struct job *job, unsigned short flags)
{
	memset(job, 0, sizeof(*job));
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, job->fds), 0);
	aiocb_fill(&job->cb, LIO_READ, job->fds[0], job->bytes, 9, 0);
	CHECK_OK(own_make(contract, &job->own, 0));
	sigevent_bind(&job->cb.aio_sigevent, &job->own.registrar, flags);
	return (NULL);
}

static inline void
job_end(struct job *job)
{
	filch_aio_destroy(job->own.aio);
	(void)close(job->fds[0]);
	if (job->fds[1] >= 0) {
		(void)close(job->fds[1]);
	}
}

/* Wait to be told; the event is that of an aiocb that went well. */
static inline const char *
job_is_told(struct contract *contract, struct job *job)
{
	CHECK_EQ(own_wait(contract, &job->own), 0);
	CHECK_EQ(job->own.event.interest, FILCH_INTEREST_AIO);
	CHECK_EQ(job->own.event.result, 0);
	CHECK_EQ(aio_error(&job->cb), 0);
	return (NULL);
}
#endif

#endif /* FILCH_TESTS_CONTRACT_OWN_JOB_H */

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program's own aiocbs, for the contract programs: what a user of kqueue(2)
 * and aio(4) brings to an Aio.
 */
#ifndef FILCH_TESTS_CONTRACT_AIOCB_H
#define FILCH_TESTS_CONTRACT_AIOCB_H

#include "contract.h"

#if defined(FILCH_HAVE_KQUEUE)
#include <sys/types.h>

#include <sys/event.h>
#include <sys/socket.h>
#include <sys/sysctl.h>

#include <aio.h>

/* A limit of the kernel, or fallback where it tells none. */
static inline int
aio_limit(const char *name, int fallback)
{
	int value = 0;
	size_t size = sizeof(value);

	if (sysctlbyname(name, &value, &size, NULL, 0) < 0 || value <= 0) {
		return (fallback);
	}
	return (value);
}

/* Jobs that this process may have, finished ones counted until returned. */
static inline unsigned
aio_jobs_max(void)
{
	int own = aio_limit("vfs.aio.max_aio_queue_per_proc", 256);
	int all = aio_limit("vfs.aio.max_aio_queue", 1024);

	return ((unsigned)(own < all ? own : all));
}

/* Let *sigevent tell registrar; flags are those of a kevent. */
static inline void
sigevent_bind(struct sigevent *sigevent,
    const struct filch_registrar *registrar, unsigned short flags)
{
	memset(sigevent, 0, sizeof(*sigevent));
	sigevent->sigev_notify = SIGEV_KEVENT;
	sigevent->sigev_notify_kqueue = registrar->kqueue;
	sigevent->sigev_notify_kevent_flags = flags;
	sigevent->sigev_value.sival_ptr = (void *)(uintptr_t)registrar->token;
}

/* A transfer that tells nobody yet.  opcode: LIO_READ or LIO_WRITE. */
static inline void
aiocb_fill(struct aiocb *cb, int opcode, int fd, void *buffer, size_t size,
    off_t offset)
{
	memset(cb, 0, sizeof(*cb));
	cb->aio_lio_opcode = opcode;
	cb->aio_fildes = fd;
	cb->aio_buf = buffer;
	cb->aio_nbytes = size;
	cb->aio_offset = offset;
	cb->aio_sigevent.sigev_notify = SIGEV_NONE;
}

/* Submit a transfer by itself; 0 or -errno. */
static inline int
aiocb_submit(struct aiocb *cb)
{
	int rc = cb->aio_lio_opcode == LIO_READ ? aio_read(cb) : aio_write(cb);

	return (rc < 0 ? -errno : 0);
}

/* Take the result of one that has ended: a count or 0, or -errno. */
static inline int64_t
aiocb_return(struct aiocb *cb)
{
	ssize_t n = aio_return(cb);

	return (n < 0 ? -errno : n);
}

/* Wait until it has ended, whoever is told. */
static inline void
aiocb_await(struct aiocb *cb)
{
	const struct aiocb *one[1] = { cb };

	while (aio_error(cb) == EINPROGRESS) {
		(void)aio_suspend(one, 1, NULL);
	}
}

/* Jobs that wait until they are given back: reads of a socket. */
struct aio_crowd {
	struct aiocb *cbs;
	unsigned count;
	int fds[2];
	char byte;
};

/* Take all jobs that the process may have, but for so many. */
static inline const char *
aio_crowd_take(struct aio_crowd *crowd, unsigned left)
{
	unsigned limit = aio_jobs_max() - left;
	int rc = 0;

	crowd->count = 0;
	crowd->cbs = calloc(limit, sizeof(*crowd->cbs));
	CHECK(crowd->cbs != NULL);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, crowd->fds), 0);
	while (rc == 0 && crowd->count < limit) {
		struct aiocb *cb = &crowd->cbs[crowd->count];

		aiocb_fill(cb, LIO_READ, crowd->fds[0], &crowd->byte, 1, 0);
		rc = aiocb_submit(cb);
		crowd->count += rc == 0;
	}
	CHECK_EQ(rc, 0);
	return (NULL);
}

/* Give back what was taken, if so. */
static inline void
aio_crowd_give(struct aio_crowd *crowd)
{
	if (crowd->cbs == NULL) {
		return;
	}
	(void)aio_cancel(crowd->fds[0], NULL);
	for (unsigned i = 0; i < crowd->count; i++) {
		aiocb_await(&crowd->cbs[i]);
		(void)aiocb_return(&crowd->cbs[i]);
	}
	free(crowd->cbs);
	crowd->cbs = NULL;
	(void)close(crowd->fds[0]);
	(void)close(crowd->fds[1]);
}
#endif

#endif /* FILCH_TESTS_CONTRACT_AIOCB_H */

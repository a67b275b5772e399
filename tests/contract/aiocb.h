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
#endif

#endif /* FILCH_TESTS_CONTRACT_AIOCB_H */

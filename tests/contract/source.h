/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A user's own source, for the contract programs.
 *
 * With io_uring it submits entries; with kqueue it has aiocbs, alone or in a
 * list, which it submits and reaps itself; elsewhere a thread of its own does
 * the I/O and notifies, as a device library would.
 */
#ifndef FILCH_TESTS_CONTRACT_SOURCE_H
#define FILCH_TESTS_CONTRACT_SOURCE_H

#include "aiocb.h"

#include <pthread.h>
#include <sys/uio.h>

#if defined(FILCH_HAVE_URING)
#include <liburing.h>
#endif

enum source_verb {
	SOURCE_FSYNC,
	SOURCE_READ,
	SOURCE_READV,
	SOURCE_WRITE,
	SOURCE_WRITEV
};

#define SOURCE_ENTRIES_MAX 2

struct source {
	struct filch_registrar registrar;
	enum source_verb verb;
	unsigned entries; /* of each submission */
	const int *fds;   /* entries of them */
	uint64_t offset;
	char bytes[16];
	struct iovec iov[2]; /* of bytes; the plain verbs take the first */
	bool is_uring;
	bool is_kqueue;
	bool has_thread;
	bool is_refused; /* what the thread learnt */
	pthread_t thread;
#if defined(FILCH_HAVE_KQUEUE)
	bool is_list; /* submitted by lio_listio(2) */
	bool splits;  /* entry i takes iov[i] of the first file */
	unsigned short kevent_flags;
	struct aiocb cbs[SOURCE_ENTRIES_MAX];
	struct aiocb *list[SOURCE_ENTRIES_MAX];
	struct sigevent sigevent; /* of the list */
#endif
};

static inline int
source_register(void *source, const struct filch_registrar *registrar)
{
	((struct source *)source)->registrar = *registrar;
	return (0);
}

static const struct filch_aio_source_vtable source_vtable = { source_register,
	NULL };

/* Let the buffers be the first bytes, of the given sizes. */
static inline void
source_shape(struct source *source, size_t first, size_t second)
{
	source->iov[0] = (struct iovec){ source->bytes, first };
	source->iov[1] = (struct iovec){ source->bytes + first, second };
}

static inline int64_t
source_carry_out(struct source *source, int fd)
{
	bool current = source->offset == FILCH_OFFSET_CURRENT;
	off_t offset = (off_t)source->offset;
	const struct iovec *iov = source->iov;
	ssize_t n = -1;

	switch (source->verb) {
	case SOURCE_FSYNC:
		n = fsync(fd);
		break;
	case SOURCE_READ:
		n = current ? read(fd, iov->iov_base, iov->iov_len)
			    : pread(fd, iov->iov_base, iov->iov_len, offset);
		break;
	case SOURCE_READV:
		n = preadv(fd, iov, 2, offset);
		break;
	case SOURCE_WRITE:
		n = pwrite(fd, iov->iov_base, iov->iov_len, offset);
		break;
	case SOURCE_WRITEV:
		n = pwritev(fd, iov, 2, offset);
		break;
	}
	return (n < 0 ? -errno : n);
}

/* What the thread does in the place of the kernel. */
static inline void *
source_main(void *arg)
{
	struct source *source = arg;
	int64_t result = 0;

	for (unsigned i = 0; i < source->entries; i++) {
		result = source_carry_out(source, source->fds[i]);
	}
	source->is_refused =
	    filch_registrar_notify(&source->registrar, result) != 0;
	return (NULL);
}

#if defined(FILCH_HAVE_URING)
static inline void
source_fill(struct io_uring_sqe *sqe, unsigned index, void *arg)
{
	struct source *source = arg;
	const struct iovec *iov = source->iov;
	int fd = source->fds[index];

	switch (source->verb) {
	case SOURCE_FSYNC:
		io_uring_prep_fsync(sqe, fd, 0);
		break;
	case SOURCE_READ:
		io_uring_prep_read(sqe, fd, iov->iov_base,
		    (unsigned)iov->iov_len, source->offset);
		break;
	case SOURCE_READV:
		io_uring_prep_readv(sqe, fd, iov, 2, source->offset);
		break;
	case SOURCE_WRITE:
		io_uring_prep_write(sqe, fd, iov->iov_base,
		    (unsigned)iov->iov_len, source->offset);
		break;
	case SOURCE_WRITEV:
		io_uring_prep_writev(sqe, fd, iov, 2, source->offset);
		break;
	}
}
#endif

#if defined(FILCH_HAVE_KQUEUE)
/* Make the aiocb of that index, from 0, anew. */
static inline void
source_fill_aiocb(struct source *source, unsigned index)
{
	struct aiocb *cb = &source->cbs[index];
	const struct iovec *iov = &source->iov[source->splits ? index : 0];
	bool reads =
	    source->verb == SOURCE_READ || source->verb == SOURCE_READV;
	bool current = source->offset == FILCH_OFFSET_CURRENT;
	off_t offset = current ? 0 : (off_t)source->offset;

	if (source->splits && index > 0) {
		offset += (off_t)source->iov[0].iov_len;
	}
	aiocb_fill(cb, reads ? LIO_READ : LIO_WRITE,
	    source->fds[source->splits ? 0 : index], iov->iov_base,
	    iov->iov_len, offset);
	if (!source->is_list) {
		sigevent_bind(&cb->aio_sigevent, &source->registrar,
		    source->kevent_flags);
	}
	source->list[index] = cb;
}

static inline int
source_submit_vectored(struct source *source)
{
#if defined(FILCH_HAVE_AIO_READV)
	struct aiocb *cb = &source->cbs[0];

	cb->aio_iov = source->iov;
	cb->aio_iovcnt = 2;
	return (source->verb == SOURCE_READV ? aio_readv(cb) : aio_writev(cb));
#else
	(void)source;
	errno = ENOSYS;
	return (-1);
#endif
}

static inline int
source_submit_aiocbs(struct source *source)
{
	int rc = -1;

	for (unsigned i = 0; i < source->entries; i++) {
		source_fill_aiocb(source, i);
	}
	if (source->is_list) {
		sigevent_bind(&source->sigevent, &source->registrar,
		    source->kevent_flags);
		rc = lio_listio(LIO_NOWAIT, source->list, (int)source->entries,
		    &source->sigevent);
		return (rc < 0 ? -errno : 0);
	}
	switch (source->verb) {
	case SOURCE_FSYNC:
		rc = aio_fsync(O_SYNC, &source->cbs[0]);
		break;
	case SOURCE_READ:
	case SOURCE_WRITE:
		return (aiocb_submit(&source->cbs[0]));
	case SOURCE_READV:
	case SOURCE_WRITEV:
		rc = source_submit_vectored(source);
		break;
	}
	return (rc < 0 ? -errno : 0);
}
#endif

/*
 * Start the I/O: on a worker, with io_uring; anywhere else.  Returns 0 or
 * -errno.
 */
static inline int
source_submit(struct source *source)
{
#if defined(FILCH_HAVE_URING)
	if (source->is_uring) {
		return (filch_registrar_submit(
		    &source->registrar, source_fill, source, source->entries));
	}
#endif
#if defined(FILCH_HAVE_KQUEUE)
	if (source->is_kqueue) {
		return (source_submit_aiocbs(source));
	}
#endif
	source->has_thread = true;
	return (-pthread_create(&source->thread, NULL, source_main, source));
}

/* Ask for an early end; 0, -ENOENT if it has ended, or -errno. */
static inline int
source_cancel(struct source *source)
{
#if defined(FILCH_HAVE_KQUEUE)
	if (source->is_kqueue) {
		int verdict = aio_cancel(source->fds[0], &source->cbs[0]);

		if (verdict < 0) {
			return (-errno);
		}
		return (verdict == AIO_ALLDONE ? -ENOENT : 0);
	}
#endif
	return (filch_registrar_cancel(&source->registrar));
}

/*
 * The result of an entry that has ended: what aio says of it; with kqueue this
 * gives the entry back to the kernel, and is done once.
 */
static inline int64_t
source_reap(struct source *source, const struct filch_aio *aio, unsigned index)
{
#if defined(FILCH_HAVE_KQUEUE)
	if (source->is_kqueue) {
		return (aiocb_return(&source->cbs[index]));
	}
#endif
	(void)source;
	return (filch_aio_result(aio, index));
}

/* After its end: the source may be submitted again. */
static inline void
source_settle(struct source *source)
{
	if (source->has_thread) {
		(void)pthread_join(source->thread, NULL);
		source->has_thread = false;
	}
}

#endif /* FILCH_TESTS_CONTRACT_SOURCE_H */

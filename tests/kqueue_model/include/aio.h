/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * POSIX AIO as FreeBSD declares it, over the model of its contract.
 *
 * The functions have other names in the object file, so that none of glibc's
 * can be called for one of the model's.  aio_readv, aio_writev and their
 * opcodes are declared for every version and refused before 13.
 */
#ifndef KQUEUE_MODEL_AIO_H
#define KQUEUE_MODEL_AIO_H

#include <sys/types.h>

#include <signal.h>
#include <time.h>
#include <unistd.h>

/* Strict C11 hides it in <signal.h>. */
#include <bits/types/sigevent_t.h>

struct timespec;

/* FreeBSD's numbers; glibc's first two are the other way round. */
#undef SIGEV_NONE
#undef SIGEV_SIGNAL
#undef SIGEV_THREAD
#undef SIGEV_THREAD_ID
#define SIGEV_NONE      0
#define SIGEV_SIGNAL    1
#define SIGEV_THREAD    2
#define SIGEV_KEVENT    3
#define SIGEV_THREAD_ID 4

#define sigev_notify_kqueue       sigev_signo
#define sigev_notify_kevent_flags _sigev_un._tid

#define AIO_CANCELED    1
#define AIO_NOTCANCELED 2
#define AIO_ALLDONE     3

#define LIO_NOP      0x0
#define LIO_WRITE    0x1
#define LIO_READ     0x2
#define LIO_VECTORED 0x4
#define LIO_WRITEV   (LIO_WRITE | LIO_VECTORED)
#define LIO_READV    (LIO_READ | LIO_VECTORED)

#define LIO_NOWAIT 0x0
#define LIO_WAIT   0x1

/* The kernel does not hold to it. */
#define AIO_LISTIO_MAX 16

/* glibc's, if <limits.h> knows one. */
#undef AIO_PRIO_DELTA_MAX

struct kqueue_model_aiocb_private {
	long status;
	long error;
	void *kernelinfo;
};

struct aiocb {
	int aio_fildes;
	off_t aio_offset;
	volatile void *aio_buf;
	size_t aio_nbytes;
	int kqueue_model_spare[2];
	void *kqueue_model_spare2;
	int aio_lio_opcode;
	int aio_reqprio;
	struct kqueue_model_aiocb_private _aiocb_private;
	struct sigevent aio_sigevent;
};

#define aio_iov    aio_buf
#define aio_iovcnt aio_nbytes

#define aio_read         kqueue_model_aio_read
#define aio_readv        kqueue_model_aio_readv
#define aio_write        kqueue_model_aio_write
#define aio_writev       kqueue_model_aio_writev
#define aio_fsync        kqueue_model_aio_fsync
#define aio_mlock        kqueue_model_aio_mlock
#define lio_listio       kqueue_model_lio_listio
#define aio_error        kqueue_model_aio_error
#define aio_return       kqueue_model_aio_return
#define aio_cancel       kqueue_model_aio_cancel
#define aio_suspend      kqueue_model_aio_suspend
#define aio_waitcomplete kqueue_model_aio_waitcomplete
#define sysconf          kqueue_model_sysconf

int aio_read(struct aiocb *aiocb);
int aio_readv(struct aiocb *aiocb);
int aio_write(struct aiocb *aiocb);
int aio_writev(struct aiocb *aiocb);
int aio_fsync(int op, struct aiocb *aiocb);
int aio_mlock(struct aiocb *aiocb);
int lio_listio(
    int mode, struct aiocb *const list[], int count, struct sigevent *event);
int aio_error(const struct aiocb *aiocb);
ssize_t aio_return(struct aiocb *aiocb);
int aio_cancel(int fd, struct aiocb *aiocb);
int aio_suspend(const struct aiocb *const list[], int count,
    const struct timespec *timeout);
ssize_t aio_waitcomplete(struct aiocb **ret_aiocb, struct timespec *timeout);
long sysconf(int name);

#endif

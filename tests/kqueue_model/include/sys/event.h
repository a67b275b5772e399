/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kqueue as FreeBSD 12 declares it, over the model of its contract.
 */
#ifndef KQUEUE_MODEL_SYS_EVENT_H
#define KQUEUE_MODEL_SYS_EVENT_H

#include <stdint.h>
#include <time.h>

struct timespec;

struct kevent {
	uintptr_t ident;
	short filter;
	unsigned short flags;
	unsigned int fflags;
	int64_t data;
	void *udata;
	uint64_t ext[4];
};

#define EVFILT_READ   (-1)
#define EVFILT_WRITE  (-2)
#define EVFILT_AIO    (-3)
#define EVFILT_VNODE  (-4)
#define EVFILT_PROC   (-5)
#define EVFILT_SIGNAL (-6)
#define EVFILT_TIMER  (-7)
#define EVFILT_FS     (-9)
#define EVFILT_LIO    (-10)
#define EVFILT_USER   (-11)

/* Actions. */
#define EV_ADD          0x0001
#define EV_DELETE       0x0002
#define EV_ENABLE       0x0004
#define EV_DISABLE      0x0008
#define EV_FORCEONESHOT 0x0100

/* Flags. */
#define EV_ONESHOT  0x0010
#define EV_CLEAR    0x0020
#define EV_RECEIPT  0x0040
#define EV_DISPATCH 0x0080
#define EV_SYSFLAGS 0xf000
#define EV_DROP     0x1000
#define EV_FLAG1    0x2000
#define EV_FLAG2    0x4000

/* What is returned. */
#define EV_EOF   0x8000
#define EV_ERROR 0x4000

/* EVFILT_USER. */
#define NOTE_FFNOP      0x00000000U
#define NOTE_FFAND      0x40000000U
#define NOTE_FFOR       0x80000000U
#define NOTE_FFCOPY     0xc0000000U
#define NOTE_FFCTRLMASK 0xc0000000U
#define NOTE_FFLAGSMASK 0x00ffffffU
#define NOTE_TRIGGER    0x01000000U

/* EVFILT_READ and EVFILT_WRITE. */
#define NOTE_LOWAT     0x00000001U
#define NOTE_FILE_POLL 0x00000002U

/* EVFILT_TIMER. */
#define NOTE_SECONDS  0x00000001U
#define NOTE_MSECONDS 0x00000002U
#define NOTE_USECONDS 0x00000004U
#define NOTE_NSECONDS 0x00000008U
#define NOTE_ABSTIME  0x00000010U

#define EV_SET(target, id, filt, actions, notes, value, user)                  \
	do {                                                                   \
		*(target) = (struct kevent){                                   \
			.ident = (id),                                         \
			.filter = (filt),                                      \
			.flags = (actions),                                    \
			.fflags = (notes),                                     \
			.data = (value),                                       \
			.udata = (user),                                       \
		};                                                             \
	} while (0)

int kqueue(void);
int kevent(int kq, const struct kevent *changes, int nchanges,
    struct kevent *events, int nevents, const struct timespec *timeout);

#endif

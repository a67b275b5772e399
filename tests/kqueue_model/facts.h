/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the fact programs share.
 *
 * A fact is a row of a table: a sentence about FreeBSD's kernel with the number
 * of its section in docs, and a function that shows it.  The programs use only
 * FreeBSD's API, so that they run against the model and against the kernel.
 *
 * A fact has a kqueue of its own, and what it opens is closed after it.  That
 * something does not happen is shown by an event of EVFILT_USER triggered
 * after the state is known to be reached: it must be the only one.  What never
 * comes is a failure, and the alarm ends a program that is stuck.
 */
#ifndef FILCH_TESTS_FACTS_H
#define FILCH_TESTS_FACTS_H

#include <sys/types.h>

#include <sys/event.h>
#include <sys/socket.h>
#include <sys/sysctl.h>

#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Sanitizers and a busy machine are slow; a kernel answers in milliseconds. */
#if defined(KQUEUE_MODEL_AIO_H)
#define FACT_PROGRAM_S 240
#define FACT_WAIT_S    40
#else
#define FACT_PROGRAM_S 20
#define FACT_WAIT_S    4
#endif

#define FACT_FDS_MAX     64
#define FACT_MARK        0x6d61726bU /* ident of the marker */
#define FACT_COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

/* End the fact as failed unless condition holds. */
#define CHECK(condition)                                                       \
	do {                                                                   \
		if (!(condition)) {                                            \
			fact_fail(__LINE__, #condition);                       \
			return;                                                \
		}                                                              \
	} while (0)

/* The same for two integers, which are printed. */
#define CHECK_EQ(actual, expected)                                             \
	do {                                                                   \
		if (!fact_equal(__LINE__, #actual, (long long)(actual),        \
			(long long)(expected))) {                              \
			return;                                                \
		}                                                              \
	} while (0)

/* The same for a call that must return -1 and set errno. */
#define CHECK_ERRNO(call, expected)                                            \
	do {                                                                   \
		CHECK_EQ(call, -1);                                            \
		CHECK_EQ(errno, expected);                                     \
	} while (0)

/* End the fact without a verdict. */
#define SKIP(reason)                                                           \
	do {                                                                   \
		fact_now.skipped = (reason);                                   \
		return;                                                        \
	} while (0)

struct fact {
	const char *name; /* "2.1 a sentence" */
	void (*run)(void);
};

/* The fact that runs. */
static struct {
	int kq;
	int fds[FACT_FDS_MAX];
	unsigned fd_count;
	bool has_failed;
	bool has_timed_out; /* ever: do not wait as long again */
	const char *skipped;
} fact_now;

static inline void
fact_fail(int line, const char *what)
{
	printf("# line %d: %s\n", line, what);
	fact_now.has_failed = true;
}

static inline bool
fact_equal(int line, const char *what, long long actual, long long expected)
{
	if (actual != expected) {
		printf("# line %d: %s is %lld, expected %lld\n", line, what,
		    actual, expected);
		fact_now.has_failed = true;
	}
	return (actual == expected);
}

/* How long to wait for what must come. */
static inline struct timespec
fact_limit(void)
{
	struct timespec limit = {
		.tv_sec = fact_now.has_timed_out ? 1 : FACT_WAIT_S,
	};

	return (limit);
}

/* Close fd after the fact. */
static inline int
fact_keep(int fd)
{
	if (fd < 0 || fact_now.fd_count == FACT_FDS_MAX) {
		fact_fail(__LINE__, "a descriptor");
	} else {
		fact_now.fds[fact_now.fd_count++] = fd;
	}
	return (fd);
}

/* fd will not be closed after the fact, since it is now. */
static inline void
fact_close(int fd)
{
	for (unsigned i = 0; i < fact_now.fd_count; i++) {
		if (fact_now.fds[i] == fd) {
			fact_now.fds[i] = fact_now.fds[--fact_now.fd_count];
			break;
		}
	}
	(void)close(fd);
}

/* Where files may be made. */
static inline const char *
fact_directory(void)
{
	const char *directory = getenv("TMPDIR");

	return (directory == NULL || *directory == '\0' ? "/tmp" : directory);
}

/* A file without a name, with the given bytes. */
static inline int
fact_file(const char *bytes)
{
	char path[256];
	int fd;

	(void)snprintf(
	    path, sizeof(path), "%s/filch-fact-XXXXXX", fact_directory());
	fd = fact_keep(mkstemp(path));
	if (fd >= 0) {
		(void)unlink(path);
		if (write(fd, bytes, strlen(bytes)) != (ssize_t)strlen(bytes) ||
		    lseek(fd, 0, SEEK_SET) != 0) {
			fact_fail(__LINE__, "a file");
		}
	}
	return (fd);
}

/* Two sockets that are connected. */
static inline void
fact_pair(int ends[2])
{
	ends[0] = ends[1] = -1;
	(void)socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
	(void)fact_keep(ends[0]);
	(void)fact_keep(ends[1]);
}

/* A number that the kernel publishes, or -1. */
static inline int
fact_sysctl(const char *name)
{
	int value = -1;
	size_t size = sizeof(value);

	if (sysctlbyname(name, &value, &size, NULL, 0) != 0 ||
	    size != sizeof(value)) {
		return (-1);
	}
	return (value);
}

/* What the events of cb carry in udata: no address of anything else. */
static inline void *
fact_token(const struct aiocb *cb)
{
	return ((void *)((uintptr_t)cb + 1));
}

/* Make cb ready for aio_read and the like, to tell the fact's kqueue. */
static inline void
fact_prepare(struct aiocb *cb, int fd, void *bytes, size_t size, unsigned flags)
{
	memset(cb, 0, sizeof(*cb));
	cb->aio_fildes = fd;
	cb->aio_buf = bytes;
	cb->aio_nbytes = size;
	cb->aio_sigevent.sigev_notify = SIGEV_KEVENT;
	cb->aio_sigevent.sigev_notify_kqueue = fact_now.kq;
	cb->aio_sigevent.sigev_notify_kevent_flags = (unsigned short)flags;
	cb->aio_sigevent.sigev_value.sival_ptr = fact_token(cb);
}

/* The event that tells of cb, whose sigevent had the given kevent flags. */
static inline struct kevent
fact_told(const struct aiocb *cb, unsigned flags, int error)
{
	struct kevent told;

	EV_SET(&told, (uintptr_t)cb, EVFILT_AIO,
	    (unsigned short)(flags | EV_EOF), 0, error, fact_token(cb));
	return (told);
}

/* True if the two events are the same in all that the manual page names. */
static inline bool
fact_same(const struct kevent *actual, const struct kevent *expected)
{
	bool is_same = actual->ident == expected->ident &&
	    actual->filter == expected->filter &&
	    actual->flags == expected->flags &&
	    actual->fflags == expected->fflags &&
	    actual->data == expected->data && actual->udata == expected->udata;

	if (!is_same) {
		const struct kevent *both[2] = { actual, expected };

		for (int i = 0; i < 2; i++) {
			printf("# %s %#lx filter %d flags %#x fflags %#x "
			       "data %lld udata %p\n",
			    i == 0 ? "is" : "expected",
			    (unsigned long)both[i]->ident, both[i]->filter,
			    both[i]->flags, both[i]->fflags,
			    (long long)both[i]->data, both[i]->udata);
		}
	}
	return (is_same);
}

/* Wait for the next event. */
static inline bool
fact_event(struct kevent *ret_event)
{
	struct timespec limit = fact_limit();
	int count = kevent(fact_now.kq, NULL, 0, ret_event, 1, &limit);

	if (count == 0) {
		fact_now.has_timed_out = true;
		printf("# no event came\n");
	}
	return (count == 1);
}

/* Wait for the next event, which must tell of cb as fact_told() says. */
static inline bool
fact_tells(const struct aiocb *cb, unsigned flags, int error)
{
	struct kevent told = fact_told(cb, flags, error);
	struct kevent event;

	return (fact_event(&event) && fact_same(&event, &told));
}

/* One change of a knote; -1 and errno as kevent(2). */
static inline int
fact_change(uintptr_t ident, short filter, unsigned flags, unsigned fflags,
    int64_t data, void *udata)
{
	struct kevent change;

	EV_SET(
	    &change, ident, filter, (unsigned short)flags, fflags, data, udata);
	return (kevent(fact_now.kq, &change, 1, NULL, 0, NULL));
}

/* True if the kqueue has no event but the one that is triggered here. */
static inline bool
fact_is_quiet(void)
{
	static const struct timespec none;
	struct kevent events[8];
	int count;

	if (fact_change(
		FACT_MARK, EVFILT_USER, EV_ADD | EV_ONESHOT, 0, 0, NULL) != 0 ||
	    fact_change(FACT_MARK, EVFILT_USER, 0, NOTE_TRIGGER, 0, NULL) !=
		0) {
		return (false);
	}
	count = kevent(fact_now.kq, NULL, 0, events, 8, &none);
	for (int i = 0; i < count; i++) {
		if (events[i].filter != EVFILT_USER) {
			printf("# an event of filter %d, ident %#lx\n",
			    events[i].filter, (unsigned long)events[i].ident);
		}
	}
	return (count == 1 && events[0].filter == EVFILT_USER &&
	    events[0].ident == FACT_MARK);
}

/* Wait until cb is no longer in progress; what aio_error() says then. */
static inline int
fact_settle(const struct aiocb *cb)
{
	struct timespec limit = fact_limit();
	const struct aiocb *const list[1] = { cb };

	if (aio_error(cb) == EINPROGRESS && aio_suspend(list, 1, &limit) != 0) {
		fact_now.has_timed_out = true;
		printf("# aio_suspend: %s\n", strerror(errno));
	}
	return (aio_error(cb));
}

static inline void
fact_alarm(int signal)
{
	static const char text[] = "Bail out! stuck: out of time\n";

	(void)signal;
	(void)!write(STDOUT_FILENO, text, sizeof(text) - 1);
	_exit(1);
}

/* Leave nothing of a fact behind: a fact that holds has reaped its jobs. */
static inline void
fact_end(void)
{
	struct timespec limit = { .tv_sec = fact_now.has_failed ? 1 : 0 };
	struct aiocb *cb;

	for (unsigned i = 0; i < fact_now.fd_count; i++) {
		if (fact_now.has_failed) {
			(void)aio_cancel(fact_now.fds[i], NULL);
		}
		(void)close(fact_now.fds[i]);
	}
	while (aio_waitcomplete(&cb, &limit) != -1 || cb != NULL) {
		if (!fact_now.has_failed) {
			fact_fail(__LINE__, "a job was left");
		}
	}
	if (fact_now.kq >= 0) {
		(void)close(fact_now.kq);
	}
}

static inline void
fact_run(const struct fact *fact, size_t number)
{
	fact_now.fd_count = 0;
	fact_now.has_failed = false;
	fact_now.skipped = NULL;
	fact_now.kq = kqueue();
	if (fact_now.kq < 0) {
		fact_fail(__LINE__, "kqueue");
	} else {
		fact->run();
	}
	fact_end();
	printf("%sok %zu - %s%s%s\n", fact_now.has_failed ? "not " : "", number,
	    fact->name, fact_now.skipped == NULL ? "" : " # SKIP ",
	    fact_now.skipped == NULL ? "" : fact_now.skipped);
	(void)fflush(stdout);
}

/* Run all facts; what main() returns. */
static inline int
fact_main(const struct fact *facts, size_t count)
{
	struct sigaction action = { .sa_handler = fact_alarm };
	size_t skipped = 0;
	size_t failed = 0;

	(void)sigaction(SIGALRM, &action, NULL);
	/* an old kernel answers a new system call by SIGSYS, else ENOSYS */
	action.sa_handler = SIG_IGN;
	(void)sigaction(SIGSYS, &action, NULL);
	(void)sigaction(SIGPIPE, &action, NULL);
	(void)alarm(FACT_PROGRAM_S);
	printf("1..%zu\n", count);
	for (size_t i = 0; i < count; i++) {
		fact_run(&facts[i], i + 1);
		failed += fact_now.has_failed;
		skipped += fact_now.skipped != NULL;
	}
	if (failed == 0 && skipped == count) {
		return (77);
	}
	return (failed != 0);
}

#endif /* FILCH_TESTS_FACTS_H */

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How long things live: what the kernel copies when an operation is submitted,
 * what outlives the descriptor and the kqueue, and what a child does not get.
 */
#include "facts.h"

#include <sys/wait.h>

static struct aiocb cb;
static char bytes[16];

/* Start a read of an empty socket; the socket that ends it. */
static int
read_start(unsigned flags)
{
	int ends[2];

	fact_pair(ends);
	memset(bytes, 0, sizeof(bytes));
	fact_prepare(&cb, ends[0], bytes, sizeof(bytes), flags);
	if (aio_read(&cb) != 0) {
		fact_fail(__LINE__, "aio_read");
	}
	return (ends[1]);
}

static void
aiocb_is_copied(void)
{
	static char other[16];
	struct kevent event;
	struct kevent told;
	int fd = read_start(EV_ONESHOT);

	told = fact_told(&cb, EV_ONESHOT, 0);
	memset(other, 0, sizeof(other));
	fact_prepare(&cb, -1, other, 1, 0);
	cb.aio_sigevent.sigev_value.sival_ptr = other;
	CHECK(fact_is_quiet());
	CHECK_EQ(write(fd, "abc", 3), 3);
	CHECK(fact_event(&event));
	CHECK(fact_same(&event, &told));
	CHECK_EQ(aio_return(&cb), 3);
	CHECK_EQ(memcmp(bytes, "abc", 3), 0);
	CHECK_EQ(other[0], 0);
}

static void
address_is_the_key(void)
{
	static struct aiocb copy;
	int fd = read_start(EV_ONESHOT);

	CHECK_EQ(write(fd, "abc", 3), 3);
	CHECK_EQ(fact_settle(&cb), 0);
	memcpy(&copy, &cb, sizeof(copy));
	CHECK_ERRNO(aio_return(&copy), EINVAL);
	CHECK_EQ(aio_return(&cb), 3);
}

static void
error_after_return(void)
{
	int fd = read_start(EV_ONESHOT);

	CHECK_EQ(aio_error(&cb), EINPROGRESS);
	CHECK_EQ(write(fd, "abc", 3), 3);
	CHECK_EQ(fact_settle(&cb), 0);
	CHECK_EQ(aio_return(&cb), 3);
	CHECK_EQ(aio_error(&cb), EINVAL);
}

static void
close_does_not_cancel(void)
{
	int fd = read_start(EV_ONESHOT);

	fact_close(cb.aio_fildes);
	CHECK_EQ(aio_error(&cb), EINPROGRESS);
	CHECK_EQ(write(fd, "abc", 3), 3);
	CHECK(fact_tells(&cb, EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&cb), 3);
	CHECK_EQ(memcmp(bytes, "abc", 3), 0);
}

static void
closed_file_is_written(void)
{
	int fd = fact_file("");
	int again = fact_keep(dup(fd));

	fact_prepare(&cb, fd, bytes, 4, EV_ONESHOT);
	memcpy(bytes, "abcd", 4);
	CHECK_EQ(aio_write(&cb), 0);
	fact_close(fd);
	CHECK(fact_tells(&cb, EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&cb), 4);
	memset(bytes, 0, sizeof(bytes));
	CHECK_EQ(pread(again, bytes, 4, 0), 4);
	CHECK_EQ(memcmp(bytes, "abcd", 4), 0);
}

static void
closed_cannot_be_cancelled(void)
{
	int fd = read_start(EV_ONESHOT);

	fact_close(cb.aio_fildes);
	CHECK_ERRNO(aio_cancel(cb.aio_fildes, &cb), EBADF);
	CHECK_ERRNO(aio_cancel(cb.aio_fildes, NULL), EBADF);
	CHECK_EQ(aio_error(&cb), EINPROGRESS);
	CHECK_EQ(write(fd, "abc", 3), 3);
	CHECK(fact_tells(&cb, EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&cb), 3);
}

/* aio_cancel goes by the number of the descriptor, not by the open file. */
static void
duplicate_cannot_cancel(void)
{
	int fd = read_start(EV_ONESHOT);
	int again = fact_keep(dup(cb.aio_fildes));

	CHECK_EQ(aio_cancel(again, &cb), AIO_ALLDONE);
	CHECK_EQ(aio_cancel(again, NULL), AIO_ALLDONE);
	CHECK_EQ(aio_error(&cb), EINPROGRESS);
	CHECK_EQ(write(fd, "abc", 3), 3);
	CHECK(fact_tells(&cb, EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&cb), 3);
}

static void
kqueue_closed_first(void)
{
	int fd = read_start(EV_ONESHOT);

	CHECK_EQ(close(fact_now.kq), 0);
	fact_now.kq = -1;
	CHECK_EQ(write(fd, "abc", 3), 3);
	CHECK_EQ(fact_settle(&cb), 0);
	CHECK_EQ(aio_return(&cb), 3);
}

static void
kqueue_closed_after_the_event(void)
{
	int fd = read_start(0);

	CHECK_EQ(write(fd, "abc", 3), 3);
	CHECK_EQ(fact_settle(&cb), 0);
	CHECK_EQ(close(fact_now.kq), 0);
	fact_now.kq = -1;
	CHECK_EQ(aio_return(&cb), 3);
}

static void
offset_of_the_file_stays(void)
{
	int fd = fact_file("0123456789");

	fact_prepare(&cb, fd, bytes, 4, EV_ONESHOT);
	cb.aio_offset = 3;
	CHECK_EQ(lseek(fd, 1, SEEK_SET), 1);
	CHECK_EQ(aio_read(&cb), 0);
	CHECK(fact_tells(&cb, EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&cb), 4);
	CHECK_EQ(memcmp(bytes, "3456", 4), 0);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 1);
	CHECK_EQ(aio_write(&cb), 0);
	CHECK(fact_tells(&cb, EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&cb), 4);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 1);
}

static void
append_ignores_the_offset(void)
{
	int fd = fact_file("0123");

	CHECK_EQ(fcntl(fd, F_SETFL, O_APPEND), 0);
	fact_prepare(&cb, fd, bytes, 2, EV_ONESHOT);
	memcpy(bytes, "xy", 2);
	CHECK_EQ(aio_write(&cb), 0);
	CHECK(fact_tells(&cb, EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&cb), 2);
	CHECK_EQ(pread(fd, bytes, sizeof(bytes), 0), 6);
	CHECK_EQ(memcmp(bytes, "0123xy", 6), 0);
}

/* What a child finds; 0 if neither jobs nor the kqueue. */
static int
child_finds(void)
{
	static const struct timespec none;
	struct kevent event;

	if (kevent(fact_now.kq, NULL, 0, &event, 1, &none) != -1 ||
	    errno != EBADF) {
		return (1);
	}
	if (aio_return(&cb) != -1 || errno != EINVAL) {
		return (2);
	}
	if (aio_cancel(cb.aio_fildes, NULL) != AIO_ALLDONE) {
		return (3);
	}
	return (0);
}

static void
child_inherits_nothing(void)
{
	int fd = read_start(EV_ONESHOT);
	int status = -1;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		_exit(child_finds());
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_EQ(aio_error(&cb), EINPROGRESS);
	CHECK_EQ(write(fd, "abc", 3), 3);
	CHECK(fact_tells(&cb, EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&cb), 3);
}

#if defined(KQUEUE_MODEL_AIO_H)
static void
exit_cancels(void)
{
	SKIP("the model does not outlive a process");
}
#else
/* A child ends with a read in flight and many writes. */
static void
exit_cancels(void)
{
	static struct aiocb writes[32];
	static char block[1 << 16];
	int fd = fact_file("");
	int ends[2];
	int status = -1;
	pid_t pid;

	fact_pair(ends);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		fact_prepare(&cb, ends[0], bytes, 1, 0);
		cb.aio_sigevent.sigev_notify = SIGEV_NONE;
		status = aio_read(&cb);
		for (int i = 0; i < 32; i++) {
			fact_prepare(&writes[i], fd, block, sizeof(block), 0);
			writes[i].aio_sigevent.sigev_notify = SIGEV_NONE;
			status |= aio_write(&writes[i]);
		}
		_exit(status != 0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	/* nobody reads from the socket any more, what is written stays */
	CHECK_EQ(write(ends[1], "x", 1), 1);
	CHECK_EQ(read(ends[0], bytes, sizeof(bytes)), 1);
}
#endif

static const struct fact facts[] = {
	{ "2.5 the aiocb is copied when submitted", aiocb_is_copied },
	{ "2.5 its address is the key of aio_return", address_is_the_key },
	{ "2.5 aio_error: EINPROGRESS, 0, and EINVAL after aio_return",
	    error_after_return },
	{ "2.5 close does not cancel: the read ends later",
	    close_does_not_cancel },
	{ "2.5 close does not cancel: the file is written",
	    closed_file_is_written },
	{ "2.5 after close aio_cancel is EBADF", closed_cannot_be_cancelled },
	{ "2.5 aio_cancel goes by number: a duplicate does not reach it",
	    duplicate_cannot_cancel },
	{ "0 AIO: closing the kqueue first is harmless", kqueue_closed_first },
	{ "0 AIO: closing the kqueue with an unread event is harmless",
	    kqueue_closed_after_the_event },
	{ "0 AIO: the file offset does not move", offset_of_the_file_stays },
	{ "0 AIO: O_APPEND ignores aio_offset", append_ignores_the_offset },
	{ "2.11 a child inherits neither jobs nor the kqueue",
	    child_inherits_nothing },
	{ "2.5 exit cancels and waits", exit_cancels },
};

int
main(void)
{
	return (fact_main(facts, FACT_COUNT(facts)));
}

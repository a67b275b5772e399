/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AIO on sockets: reads that stay pending, their order, and writes that end
 * when all is sent.
 */
#include "facts.h"

#define READS 16
#define LARGE (4 << 20)

static struct aiocb cbs[READS];
static char bytes[READS];
static char large[LARGE];

static void
nonblocking_stays_pending(void)
{
	int ends[2];

	fact_pair(ends);
	CHECK_EQ(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	fact_prepare(&cbs[0], ends[0], bytes, 1, EV_ONESHOT);
	CHECK_EQ(aio_read(&cbs[0]), 0);
	CHECK_EQ(aio_error(&cbs[0]), EINPROGRESS);
	CHECK(fact_is_quiet());
	CHECK_EQ(write(ends[1], "x", 1), 1);
	CHECK(fact_tells(&cbs[0], EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&cbs[0]), 1);
}

static void
reads_in_order(void)
{
	int ends[2];

	fact_pair(ends);
	for (int i = 0; i < READS; i++) {
		fact_prepare(&cbs[i], ends[0], &bytes[i], 1, EV_ONESHOT);
		CHECK_EQ(aio_read(&cbs[i]), 0);
	}
	CHECK_EQ(write(ends[1], "abcdefghijklmnop", READS), READS);
	for (int i = 0; i < READS; i++) {
		CHECK(fact_tells(&cbs[i], EV_ONESHOT, 0));
		CHECK_EQ(aio_return(&cbs[i]), 1);
		CHECK_EQ(bytes[i], 'a' + i);
	}
}

/* aio_waitcomplete takes them in the same order, whatever they are. */
static void
waitcomplete_in_order(void)
{
	struct timespec limit = fact_limit();
	struct aiocb *cb;
	int ends[2];

	fact_pair(ends);
	for (int i = 0; i < READS; i++) {
		fact_prepare(&cbs[i], ends[0], &bytes[i], 1, 0);
		cbs[i].aio_sigevent.sigev_notify = SIGEV_NONE;
		CHECK_EQ(aio_read(&cbs[i]), 0);
	}
	CHECK_EQ(write(ends[1], "abcdefghijklmnop", READS), READS);
	for (int i = 0; i < READS; i++) {
		CHECK_EQ(aio_waitcomplete(&cb, &limit), 1);
		CHECK(cb == &cbs[i]);
	}
}

static void
waitcomplete_without_any(void)
{
	struct timespec none = { 0 };
	struct timespec short_while = { .tv_nsec = 1000000 };
	struct aiocb *cb = &cbs[0];

	CHECK_ERRNO(aio_waitcomplete(&cb, &none), EAGAIN);
	CHECK(cb == NULL);
	CHECK_ERRNO(aio_waitcomplete(&cb, &short_while), EAGAIN);
	CHECK(cb == NULL);
}

static void
waitcomplete_of_a_failure(void)
{
	struct timespec limit = fact_limit();
	struct aiocb *cb = NULL;
	int ends[2];

	fact_pair(ends);
	fact_prepare(&cbs[0], ends[0], bytes, 1, EV_ONESHOT);
	CHECK_EQ(aio_read(&cbs[0]), 0);
	CHECK_EQ(aio_cancel(ends[0], &cbs[0]), AIO_CANCELED);
	CHECK_ERRNO(aio_waitcomplete(&cb, &limit), ECANCELED);
	CHECK(cb == &cbs[0]);
	CHECK(fact_is_quiet());
}

static void
read_takes_what_is_there(void)
{
	int ends[2];

	fact_pair(ends);
	CHECK_EQ(write(ends[1], "abc", 3), 3);
	fact_prepare(&cbs[0], ends[0], bytes, READS, EV_ONESHOT);
	CHECK_EQ(aio_read(&cbs[0]), 0);
	CHECK(fact_tells(&cbs[0], EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&cbs[0]), 3);
}

static void
end_of_stream(void)
{
	int ends[2];

	fact_pair(ends);
	fact_prepare(&cbs[0], ends[0], bytes, 1, EV_ONESHOT);
	CHECK_EQ(aio_read(&cbs[0]), 0);
	fact_close(ends[1]);
	CHECK(fact_tells(&cbs[0], EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&cbs[0]), 0);
}

/* Read and drop count bytes of fd. */
static bool
drain(int fd, size_t count)
{
	static char sink[1 << 16];

	while (count > 0) {
		size_t most = count < sizeof(sink) ? count : sizeof(sink);
		ssize_t got = read(fd, sink, most);

		if (got <= 0) {
			return (false);
		}
		count -= (size_t)got;
	}
	return (true);
}

static void
large_write(void)
{
	int ends[2];

	fact_pair(ends);
	fact_prepare(&cbs[0], ends[0], large, LARGE, EV_ONESHOT);
	CHECK_EQ(aio_write(&cbs[0]), 0);
	CHECK(drain(ends[1], LARGE / 2));
	/* what is left does not fit into the socket's buffer */
	CHECK_EQ(aio_error(&cbs[0]), EINPROGRESS);
	CHECK(fact_is_quiet());
	CHECK(drain(ends[1], LARGE - LARGE / 2));
	CHECK(fact_tells(&cbs[0], EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&cbs[0]), LARGE);
}

/* Read in sys_socket.c: a socket with O_NONBLOCK takes what fits. */
static void
large_nonblocking_write(void)
{
	struct kevent event;
	int ends[2];
	ssize_t count;

	fact_pair(ends);
	CHECK_EQ(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	fact_prepare(&cbs[0], ends[0], large, LARGE, EV_ONESHOT);
	CHECK_EQ(aio_write(&cbs[0]), 0);
	CHECK(fact_event(&event));
	CHECK_EQ(event.data, 0);
	count = aio_return(&cbs[0]);
	CHECK(count > 0);
	CHECK(count < LARGE);
}

static void
write_without_a_reader(void)
{
	int ends[2];

	fact_pair(ends);
	fact_close(ends[1]);
	fact_prepare(&cbs[0], ends[0], bytes, 1, EV_ONESHOT);
	CHECK_EQ(aio_write(&cbs[0]), 0);
	CHECK(fact_tells(&cbs[0], EV_ONESHOT, EPIPE));
	CHECK_ERRNO(aio_return(&cbs[0]), EPIPE);
}

static void
read_and_write_at_once(void)
{
	int ends[2];

	fact_pair(ends);
	fact_prepare(&cbs[0], ends[0], bytes, 1, EV_ONESHOT);
	fact_prepare(&cbs[1], ends[0], large, 1, EV_ONESHOT);
	CHECK_EQ(aio_read(&cbs[0]), 0);
	CHECK_EQ(aio_write(&cbs[1]), 0);
	CHECK(fact_tells(&cbs[1], EV_ONESHOT, 0));
	CHECK_EQ(aio_error(&cbs[0]), EINPROGRESS);
	CHECK_EQ(write(ends[1], "x", 1), 1);
	CHECK(fact_tells(&cbs[0], EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&cbs[1]), 1);
	CHECK_EQ(aio_return(&cbs[0]), 1);
}

static const struct fact facts[] = {
	{ "0 sockets: a read stays pending even with O_NONBLOCK",
	    nonblocking_stays_pending },
	{ "0 sockets: several reads end in order", reads_in_order },
	{ "2.6 aio_waitcomplete takes any operation, in the order of their "
	  "ends",
	    waitcomplete_in_order },
	{ "2.6 aio_waitcomplete without any: EAGAIN and no aiocb",
	    waitcomplete_without_any },
	{ "2.6 aio_waitcomplete of a failure: its errno and its aiocb",
	    waitcomplete_of_a_failure },
	{ "0 sockets: a read takes what is there", read_takes_what_is_there },
	{ "0 sockets: a read at the end of the stream is 0", end_of_stream },
	{ "0 sockets: a large write ends only when all is sent", large_write },
	{ "0 sockets: with O_NONBLOCK a large write ends short",
	    large_nonblocking_write },
	{ "0 sockets: a write without a reader is EPIPE",
	    write_without_a_reader },
	{ "0 sockets: a read does not hold up a write",
	    read_and_write_at_once },
};

int
main(void)
{
	return (fact_main(facts, FACT_COUNT(facts)));
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * EVFILT_READ and EVFILT_WRITE: what they say of data, of the end and of
 * errors.
 */
#include "facts.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static char bytes[64];

static int
watch(int fd, short filter, unsigned flags)
{
	return (
	    fact_change((uintptr_t)fd, filter, EV_ADD | flags, 0, 0, &bytes));
}

/* Wait for the event of fd and filter. */
static bool
next_of(struct kevent *ret_event, int fd, short filter)
{
	return (fact_event(ret_event) && ret_event->ident == (uintptr_t)fd &&
	    ret_event->filter == filter && ret_event->udata == &bytes);
}

static void
readable(void)
{
	struct kevent event;
	int ends[2];

	fact_pair(ends);
	CHECK_EQ(watch(ends[0], EVFILT_READ, 0), 0);
	CHECK(fact_is_quiet());
	CHECK_EQ(write(ends[1], "abc", 3), 3);
	for (int i = 0; i < 3; i++) {
		CHECK(next_of(&event, ends[0], EVFILT_READ));
		CHECK_EQ(event.data, 3);
		CHECK_EQ(event.flags & EV_EOF, 0);
	}
	CHECK_EQ(read(ends[0], bytes, 3), 3);
	CHECK(fact_is_quiet());
}

static void
readable_clear(void)
{
	struct kevent event;
	int ends[2];

	fact_pair(ends);
	CHECK_EQ(watch(ends[0], EVFILT_READ, EV_CLEAR), 0);
	CHECK_EQ(write(ends[1], "abc", 3), 3);
	CHECK(next_of(&event, ends[0], EVFILT_READ));
	CHECK_EQ(event.data, 3);
	CHECK(fact_is_quiet());
	CHECK_EQ(write(ends[1], "d", 1), 1);
	CHECK(next_of(&event, ends[0], EVFILT_READ));
	CHECK_EQ(event.data, 4);
	CHECK(fact_is_quiet());
}

static void
readable_oneshot(void)
{
	struct kevent event;
	int ends[2];

	fact_pair(ends);
	CHECK_EQ(write(ends[1], "abc", 3), 3);
	CHECK_EQ(watch(ends[0], EVFILT_READ, EV_ONESHOT), 0);
	CHECK(next_of(&event, ends[0], EVFILT_READ));
	CHECK(fact_is_quiet());
	CHECK_ERRNO(
	    fact_change((uintptr_t)ends[0], EVFILT_READ, EV_DELETE, 0, 0, NULL),
	    ENOENT);
}

static void
end_with_data(void)
{
	struct kevent event;
	int ends[2];

	fact_pair(ends);
	CHECK_EQ(write(ends[1], "abc", 3), 3);
	fact_close(ends[1]);
	CHECK_EQ(watch(ends[0], EVFILT_READ, 0), 0);
	CHECK(next_of(&event, ends[0], EVFILT_READ));
	CHECK_EQ(event.data, 3);
	CHECK((event.flags & EV_EOF) != 0);
	CHECK_EQ(event.fflags, 0);
	CHECK_EQ(read(ends[0], bytes, 8), 3);
	CHECK(next_of(&event, ends[0], EVFILT_READ));
	CHECK_EQ(event.data, 0);
	CHECK((event.flags & EV_EOF) != 0);
}

static void
pipe_with_data(void)
{
	struct kevent event;
	int ends[2];

	CHECK_EQ(pipe(ends), 0);
	(void)fact_keep(ends[0]);
	(void)fact_keep(ends[1]);
	CHECK_EQ(watch(ends[0], EVFILT_READ, EV_CLEAR), 0);
	CHECK(fact_is_quiet());
	CHECK_EQ(write(ends[1], "abc", 3), 3);
	CHECK(next_of(&event, ends[0], EVFILT_READ));
	CHECK_EQ(event.data, 3);
	fact_close(ends[1]);
	CHECK(next_of(&event, ends[0], EVFILT_READ));
	CHECK((event.flags & EV_EOF) != 0);
	CHECK_EQ(event.data, 3);
}

static void
pipe_without_a_reader(void)
{
	struct kevent event;
	int ends[2];

	CHECK_EQ(pipe(ends), 0);
	(void)fact_keep(ends[0]);
	(void)fact_keep(ends[1]);
	CHECK_EQ(watch(ends[1], EVFILT_WRITE, EV_CLEAR), 0);
	CHECK(next_of(&event, ends[1], EVFILT_WRITE));
	CHECK(event.data > 0);
	fact_close(ends[0]);
	CHECK(next_of(&event, ends[1], EVFILT_WRITE));
	CHECK((event.flags & EV_EOF) != 0);
}

static void
writable_and_full(void)
{
	static char block[1 << 16];
	struct kevent event;
	int ends[2];
	ssize_t count;

	fact_pair(ends);
	CHECK_EQ(watch(ends[0], EVFILT_WRITE, 0), 0);
	CHECK(next_of(&event, ends[0], EVFILT_WRITE));
	CHECK(event.data > 0);
	CHECK_EQ(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	do {
		count = write(ends[0], block, sizeof(block));
	} while (count > 0);
	CHECK_EQ(errno, EAGAIN);
	CHECK(fact_is_quiet());
	CHECK_EQ(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
	while (read(ends[1], block, sizeof(block)) > 0) {
		continue;
	}
	CHECK(next_of(&event, ends[0], EVFILT_WRITE));
}

static void
two_filters_two_knotes(void)
{
	struct kevent events[4];
	struct timespec limit = fact_limit();
	int ends[2];

	fact_pair(ends);
	CHECK_EQ(write(ends[1], "abc", 3), 3);
	CHECK_EQ(watch(ends[0], EVFILT_READ, EV_CLEAR), 0);
	CHECK_EQ(watch(ends[0], EVFILT_WRITE, EV_CLEAR), 0);
	CHECK_EQ(kevent(fact_now.kq, NULL, 0, events, 4, &limit), 2);
	CHECK_EQ(events[0].filter, EVFILT_READ);
	CHECK_EQ(events[1].filter, EVFILT_WRITE);
	CHECK(fact_is_quiet());
}

static void
close_deletes(void)
{
	int ends[2];

	fact_pair(ends);
	CHECK_EQ(write(ends[1], "abc", 3), 3);
	CHECK_EQ(watch(ends[0], EVFILT_READ, 0), 0);
	fact_close(ends[0]);
	CHECK(fact_is_quiet());
	CHECK_ERRNO(watch(ends[0], EVFILT_READ, 0), EBADF);
}

static void
regular_file(void)
{
	struct kevent event;
	int fd = fact_file("0123");

	CHECK_EQ(watch(fd, EVFILT_READ, 0), 0);
	CHECK(next_of(&event, fd, EVFILT_READ));
	CHECK_EQ(event.data, 4);
	CHECK_EQ(lseek(fd, 0, SEEK_END), 4);
	CHECK(fact_is_quiet());
}

/* A socket that listens on the loopback; its address. */
static int
listen_on_loopback(struct sockaddr_in *ret_address)
{
	socklen_t size = sizeof(*ret_address);
	int fd = fact_keep(socket(AF_INET, SOCK_STREAM, 0));

	memset(ret_address, 0, sizeof(*ret_address));
	ret_address->sin_family = AF_INET;
	ret_address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)ret_address, size) != 0 ||
	    listen(fd, 1) != 0 ||
	    getsockname(fd, (struct sockaddr *)ret_address, &size) != 0) {
		fact_fail(__LINE__, "listen");
	}
	return (fd);
}

static void
reset(void)
{
	static const struct linger linger = { .l_onoff = 1 };
	struct sockaddr_in address;
	struct kevent event;
	int listener = listen_on_loopback(&address);
	int client = fact_keep(socket(AF_INET, SOCK_STREAM, 0));
	int fd;

	CHECK_EQ(
	    connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
	fd = fact_keep(accept(listener, NULL, NULL));
	CHECK_EQ(
	    setsockopt(client, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)),
	    0);
	CHECK_EQ(watch(fd, EVFILT_READ, EV_CLEAR), 0);
	CHECK(fact_is_quiet());
	fact_close(client);
	CHECK(next_of(&event, fd, EVFILT_READ));
	CHECK((event.flags & EV_EOF) != 0);
	CHECK_EQ(event.fflags, ECONNRESET);
}

static void
refused(void)
{
	struct sockaddr_in address;
	struct kevent event;
	int listener = listen_on_loopback(&address);
	int fd = fact_keep(socket(AF_INET, SOCK_STREAM, 0));

	fact_close(listener);
	CHECK_EQ(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	CHECK_EQ(connect(fd, (struct sockaddr *)&address, sizeof(address)), -1);
	if (errno == ECONNREFUSED) {
		SKIP("the refusal came at once");
	}
	CHECK_EQ(errno, EINPROGRESS);
	CHECK_EQ(watch(fd, EVFILT_WRITE, EV_CLEAR), 0);
	do {
		CHECK(next_of(&event, fd, EVFILT_WRITE));
	} while ((event.flags & EV_EOF) == 0);
	CHECK_EQ(event.fflags, ECONNREFUSED);
}

static void
listener_counts(void)
{
	struct sockaddr_in address;
	struct kevent event;
	int listener = listen_on_loopback(&address);
	int client = fact_keep(socket(AF_INET, SOCK_STREAM, 0));

	CHECK_EQ(watch(listener, EVFILT_READ, EV_CLEAR), 0);
	CHECK(fact_is_quiet());
	CHECK_EQ(
	    connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
	CHECK(next_of(&event, listener, EVFILT_READ));
	CHECK(event.data >= 1);
	(void)fact_keep(accept(listener, NULL, NULL));
}

static const struct fact facts[] = {
	{ "0 kqueue: READ repeats while there are bytes, data is their count",
	    readable },
	{ "0 kqueue: READ with EV_CLEAR comes with new bytes only",
	    readable_clear },
	{ "0 kqueue: READ with EV_ONESHOT comes once, for what is there too",
	    readable_oneshot },
	{ "0 kqueue: READ reports EV_EOF with unread data", end_with_data },
	{ "0 kqueue: READ of a pipe the same", pipe_with_data },
	{ "0 kqueue: WRITE of a pipe without a reader is EV_EOF",
	    pipe_without_a_reader },
	{ "0 kqueue: WRITE comes while there is room, not when full",
	    writable_and_full },
	{ "2.2 READ and WRITE of one descriptor are two knotes",
	    two_filters_two_knotes },
	{ "0 kqueue: close deletes the descriptor's knotes", close_deletes },
	{ "0 kqueue: READ of a file comes unless its offset is at the end",
	    regular_file },
	{ "0 kqueue: READ after a reset is EV_EOF with ECONNRESET in fflags",
	    reset },
	{ "0 kqueue: WRITE of a refused connect is EV_EOF with ECONNREFUSED",
	    refused },
	{ "0 kqueue: READ of a listening socket comes for a connection",
	    listener_counts },
};

int
main(void)
{
	return (fact_main(facts, FACT_COUNT(facts)));
}

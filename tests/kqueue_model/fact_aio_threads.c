/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events of AIO with many threads in kevent(2): who gets them, and what may be
 * read before the submission has returned or after the operation was reaped.
 */
#include "facts.h"

#include <pthread.h>
#include <semaphore.h>

#define THREADS 4
#define STOP    0x73746f70U /* ident that ends the threads */
#define ROUNDS  300

static struct aiocb cb;
static struct aiocb *list[1] = { &cb };
static char bytes[8];

/* A thread that reads one event at a time until STOP. */
struct reader {
	pthread_t thread;
	unsigned told;  /* events of operations */
	unsigned wrong; /* those that are not as they must be */
};

static struct reader readers[THREADS];
static sem_t got; /* posted for each event of an operation */

static void
reader_take(struct reader *reader, const struct kevent *event)
{
	reader->told++;
	reader->wrong += event->udata != fact_token(&cb) || event->data != 0 ||
	    event->ident !=
		(event->filter == EVFILT_AIO ? (uintptr_t)&cb
					     : (uintptr_t)list);
	(void)sem_post(&got);
}

/* Read events; if is_single, only one of an operation. */
static void
reader_loop(struct reader *reader, bool is_single)
{
	struct kevent event;
	bool is_done = false;

	while (!is_done) {
		if (kevent(fact_now.kq, NULL, 0, &event, 1, NULL) != 1) {
			reader->wrong++;
			is_done = true;
		} else if (event.filter != EVFILT_USER) {
			reader_take(reader, &event);
			is_done = is_single;
		} else {
			is_done = true;
		}
	}
}

static void *
reader_all(void *arg)
{
	reader_loop(arg, false);
	return (NULL);
}

static void *
reader_one(void *arg)
{
	reader_loop(arg, true);
	return (NULL);
}

static bool
readers_start(void *(*loop)(void *))
{
	(void)sem_init(&got, 0, 0);
	for (int i = 0; i < THREADS; i++) {
		readers[i].told = 0;
		readers[i].wrong = 0;
		if (pthread_create(
			&readers[i].thread, NULL, loop, &readers[i]) != 0) {
			return (false);
		}
	}
	return (true);
}

/* Wait until the threads have told of count events. */
static bool
readers_wait(unsigned count)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += fact_limit().tv_sec;
	for (unsigned i = 0; i < count; i++) {
		while (sem_timedwait(&got, &until) != 0) {
			if (errno != EINTR) {
				fact_now.has_timed_out = true;
				return (false);
			}
		}
	}
	return (true);
}

/* End the threads; how many events they had, or -1 if one was wrong. */
static int
readers_stop(void)
{
	int told = 0;
	bool is_wrong = false;

	/* without EV_CLEAR it stays, for every thread */
	(void)fact_change(STOP, EVFILT_USER, EV_ADD, 0, 0, NULL);
	(void)fact_change(STOP, EVFILT_USER, 0, NOTE_TRIGGER, 0, NULL);
	for (int i = 0; i < THREADS; i++) {
		(void)pthread_join(readers[i].thread, NULL);
		told += (int)readers[i].told;
		is_wrong = is_wrong || readers[i].wrong != 0;
	}
	(void)sem_destroy(&got);
	(void)fact_change(STOP, EVFILT_USER, EV_DELETE, 0, 0, NULL);
	return (is_wrong ? -1 : told);
}

/* Let a read end while THREADS threads wait; what readers_stop() says. */
static int
read_with_readers(unsigned flags, void *(*loop)(void *), unsigned count)
{
	int ends[2];
	bool is_told;
	int told;

	fact_pair(ends);
	fact_prepare(&cb, ends[0], bytes, sizeof(bytes), flags);
	if (aio_read(&cb) != 0 || !readers_start(loop)) {
		return (-1);
	}
	is_told = write(ends[1], "x", 1) == 1 && readers_wait(count);
	if (is_told && flags != 0) {
		/* were there more, they would come before STOP is read */
		is_told = fact_settle(&cb) == 0;
	}
	told = readers_stop();
	return (is_told && aio_return(&cb) == 1 ? told : -1);
}

static void
level_for_all(void)
{
	CHECK_EQ(read_with_readers(0, reader_one, THREADS), THREADS);
}

static void
oneshot_for_one(void)
{
	CHECK_EQ(read_with_readers(EV_ONESHOT, reader_all, 1), 1);
}

static void
clear_for_one(void)
{
	CHECK_EQ(read_with_readers(EV_CLEAR, reader_all, 1), 1);
}

static void
dispatch_for_one(void)
{
	CHECK_EQ(read_with_readers(EV_DISPATCH, reader_all, 1), 1);
}

static void
list_for_all(void)
{
	struct sigevent told;
	int ends[2];
	bool is_told;

	fact_pair(ends);
	fact_prepare(&cb, ends[0], bytes, 1, 0);
	told = cb.aio_sigevent;
	cb.aio_sigevent.sigev_notify = SIGEV_NONE;
	cb.aio_lio_opcode = LIO_READ;
	CHECK_EQ(lio_listio(LIO_NOWAIT, list, 1, &told), 0);
	CHECK(readers_start(reader_one));
	is_told = write(ends[1], "x", 1) == 1 && readers_wait(THREADS);
	CHECK_EQ(readers_stop(), THREADS);
	CHECK(is_told);
	CHECK_EQ(aio_return(&cb), 1);
}

/*
 * The threads may have the event before aio_read has returned: the next round
 * begins only when it was both returned from and told of.
 */
static void
before_submit_returns(void)
{
	int fd = fact_file("0123456789");
	int submitted = 0;
	bool is_right = true;

	CHECK(readers_start(reader_all));
	while (submitted < ROUNDS && is_right) {
		fact_prepare(&cb, fd, bytes, 4, EV_ONESHOT);
		is_right = aio_read(&cb) == 0;
		submitted += is_right;
		is_right = is_right && readers_wait(1) && aio_return(&cb) == 4;
	}
	CHECK_EQ(readers_stop(), submitted);
	CHECK_EQ(submitted, ROUNDS);
}

/* The same for a list of one entry that has an event of its own. */
static void
list_before_submit_returns(void)
{
	int fd = fact_file("0123456789");
	int submitted = 0;
	bool is_right = true;

	CHECK(readers_start(reader_all));
	while (submitted < ROUNDS && is_right) {
		fact_prepare(&cb, fd, bytes, 4, EV_ONESHOT);
		cb.aio_lio_opcode = LIO_READ;
		is_right = lio_listio(LIO_NOWAIT, list, 1, NULL) == 0;
		submitted += is_right;
		is_right = is_right && readers_wait(1) && aio_return(&cb) == 4;
	}
	CHECK_EQ(readers_stop(), submitted);
	CHECK_EQ(submitted, ROUNDS);
}

/*
 * aio_return races with the threads in kevent: an event may be lost or be read
 * late, but what is read is well formed.
 */
static void
stale_is_well_formed(void)
{
	int fd = fact_file("0123456789");
	int submitted = 0;
	bool is_right = true;
	int told;

	CHECK(readers_start(reader_all));
	while (submitted < ROUNDS && is_right) {
		fact_prepare(&cb, fd, bytes, 4, EV_ONESHOT);
		is_right = aio_read(&cb) == 0 && fact_settle(&cb) == 0 &&
		    aio_return(&cb) == 4;
		submitted += is_right;
	}
	told = readers_stop();
	CHECK_EQ(submitted, ROUNDS);
	CHECK(told >= 0);
	CHECK(told <= submitted);
}

static void
two_kqueues(void)
{
	static struct aiocb other;
	int ends[2];
	int kq = kqueue();
	struct timespec limit = fact_limit();
	struct kevent event;
	struct kevent told;

	CHECK(fact_keep(kq) >= 0);
	fact_pair(ends);
	fact_prepare(&cb, ends[0], bytes, 1, EV_ONESHOT);
	fact_prepare(&other, ends[0], bytes + 1, 1, EV_ONESHOT);
	other.aio_sigevent.sigev_notify_kqueue = kq;
	CHECK_EQ(aio_read(&cb), 0);
	CHECK_EQ(aio_read(&other), 0);
	CHECK_EQ(write(ends[1], "xy", 2), 2);
	CHECK(fact_tells(&cb, EV_ONESHOT, 0));
	CHECK_EQ(kevent(kq, NULL, 0, &event, 1, &limit), 1);
	told = fact_told(&other, EV_ONESHOT, 0);
	CHECK(fact_same(&event, &told));
	CHECK(fact_is_quiet());
	CHECK_EQ(aio_return(&cb), 1);
	CHECK_EQ(aio_return(&other), 1);
}

static const struct fact facts[] = {
	{ "2.1 a level-triggered event comes to each of four threads",
	    level_for_all },
	{ "2.1 an EV_ONESHOT event comes to one of four threads",
	    oneshot_for_one },
	{ "2.1 an EV_CLEAR event comes to one of four threads", clear_for_one },
	{ "2.1 an EV_DISPATCH event comes to one of four threads",
	    dispatch_for_one },
	{ "2.3 the event of a list comes to each of four threads",
	    list_for_all },
	{ "0 AIO: an event that is read before aio_read returns is right",
	    before_submit_returns },
	{ "0 AIO: an event that is read before lio_listio returns is right",
	    list_before_submit_returns },
	{ "0 AIO: an event that races with aio_return is lost or well formed",
	    stale_is_well_formed },
	{ "2.1 each event comes to the kqueue that its aiocb names",
	    two_kqueues },
};

int
main(void)
{
	return (fact_main(facts, FACT_COUNT(facts)));
}

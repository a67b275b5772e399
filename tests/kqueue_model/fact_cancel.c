/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * aio_cancel(2): its three verdicts, and that the event, not the verdict, is
 * the end of an operation.
 */
#include "facts.h"

#define CROWD 128
#define BLOCK (64 * 1024)

_Static_assert(
    AIO_CANCELED == 1 && AIO_NOTCANCELED == 2 && AIO_ALLDONE == 3, "verdicts");

static struct aiocb cbs[CROWD];
static bool has_told[CROWD];
static char bytes[CROWD];
static char block[BLOCK];

static void
crowd_prepare(int fd, void *buffer, size_t size)
{
	for (int i = 0; i < CROWD; i++) {
		fact_prepare(&cbs[i], fd,
		    buffer != NULL ? buffer : (void *)&bytes[i], size,
		    EV_ONESHOT);
		has_told[i] = false;
	}
}

/* Which one of the crowd an event tells of, or -1 if of none or again. */
static int
crowd_member(const struct kevent *event)
{
	for (int i = 0; i < CROWD; i++) {
		if (event->ident == (uintptr_t)&cbs[i]) {
			bool is_new = !has_told[i] &&
			    event->filter == EVFILT_AIO &&
			    event->udata == fact_token(&cbs[i]);

			has_told[i] = true;
			return (is_new ? i : -1);
		}
	}
	return (-1);
}

static void
waiting_is_cancelled(void)
{
	int ends[2];

	fact_pair(ends);
	fact_prepare(&cbs[0], ends[0], bytes, 1, EV_ONESHOT);
	CHECK_EQ(aio_read(&cbs[0]), 0);
	CHECK_EQ(aio_cancel(ends[0], &cbs[0]), AIO_CANCELED);
	CHECK_EQ(aio_error(&cbs[0]), ECANCELED);
	CHECK(fact_tells(&cbs[0], EV_ONESHOT, ECANCELED));
	CHECK(fact_is_quiet());
	CHECK_ERRNO(aio_return(&cbs[0]), ECANCELED);
	/* what is sent now is there for others */
	CHECK_EQ(write(ends[1], "x", 1), 1);
	CHECK_EQ(read(ends[0], bytes, 1), 1);
}

static void
one_of_two(void)
{
	int ends[2];

	fact_pair(ends);
	fact_prepare(&cbs[0], ends[0], &bytes[0], 1, EV_ONESHOT);
	fact_prepare(&cbs[1], ends[0], &bytes[1], 1, EV_ONESHOT);
	CHECK_EQ(aio_read(&cbs[0]), 0);
	CHECK_EQ(aio_read(&cbs[1]), 0);
	CHECK_EQ(aio_cancel(ends[0], &cbs[0]), AIO_CANCELED);
	CHECK(fact_tells(&cbs[0], EV_ONESHOT, ECANCELED));
	CHECK_EQ(write(ends[1], "x", 1), 1);
	CHECK(fact_tells(&cbs[1], EV_ONESHOT, 0));
	CHECK_ERRNO(aio_return(&cbs[0]), ECANCELED);
	CHECK_EQ(aio_return(&cbs[1]), 1);
	CHECK_EQ(bytes[1], 'x');
}

static void
done_is_all_done(void)
{
	int ends[2];

	fact_pair(ends);
	fact_prepare(&cbs[0], ends[0], bytes, 1, EV_ONESHOT);
	CHECK_EQ(aio_read(&cbs[0]), 0);
	CHECK_EQ(write(ends[1], "x", 1), 1);
	CHECK_EQ(fact_settle(&cbs[0]), 0);
	CHECK_EQ(aio_cancel(ends[0], &cbs[0]), AIO_ALLDONE);
	CHECK_EQ(aio_cancel(ends[0], NULL), AIO_ALLDONE);
	CHECK(fact_tells(&cbs[0], EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&cbs[0]), 1);
	CHECK_EQ(aio_cancel(ends[0], &cbs[0]), AIO_ALLDONE);
}

static void
cancelled_twice(void)
{
	int ends[2];

	fact_pair(ends);
	fact_prepare(&cbs[0], ends[0], bytes, 1, EV_ONESHOT);
	CHECK_EQ(aio_read(&cbs[0]), 0);
	CHECK_EQ(aio_cancel(ends[0], &cbs[0]), AIO_CANCELED);
	CHECK_EQ(aio_cancel(ends[0], &cbs[0]), AIO_ALLDONE);
	CHECK(fact_tells(&cbs[0], EV_ONESHOT, ECANCELED));
	CHECK(fact_is_quiet());
	CHECK_ERRNO(aio_return(&cbs[0]), ECANCELED);
}

static void
unknown_is_all_done(void)
{
	int fd = fact_file("");

	memset(&cbs[0], 0, sizeof(cbs[0]));
	CHECK_EQ(aio_cancel(fd, &cbs[0]), AIO_ALLDONE);
	CHECK_EQ(aio_cancel(fd, NULL), AIO_ALLDONE);
	CHECK_ERRNO(aio_cancel(-1, NULL), EBADF);
}

static void
all_of_a_descriptor(void)
{
	struct kevent event;
	int ends[2];
	int other[2];

	fact_pair(ends);
	fact_pair(other);
	crowd_prepare(ends[0], NULL, 1);
	cbs[CROWD - 1].aio_fildes = other[0];
	for (int i = 0; i < CROWD; i++) {
		CHECK_EQ(aio_read(&cbs[i]), 0);
	}
	CHECK_EQ(aio_cancel(ends[0], NULL), AIO_CANCELED);
	for (int i = 0; i < CROWD - 1; i++) {
		CHECK(fact_event(&event));
		CHECK_EQ(event.data, ECANCELED);
		CHECK(crowd_member(&event) >= 0);
	}
	CHECK(fact_is_quiet());
	for (int i = 0; i < CROWD - 1; i++) {
		CHECK_ERRNO(aio_return(&cbs[i]), ECANCELED);
	}
	CHECK_EQ(aio_error(&cbs[CROWD - 1]), EINPROGRESS);
	CHECK_EQ(aio_cancel(other[0], NULL), AIO_CANCELED);
	CHECK_ERRNO(aio_return(&cbs[CROWD - 1]), ECANCELED);
}

/*
 * Writes of a file, cancelled one by one: a verdict of AIO_CANCELED and an
 * event that says ECANCELED are the same, whatever the daemons have begun.
 */
static void
verdicts_agree_with_events(void)
{
	int verdicts[CROWD];
	struct kevent event;
	int fd = fact_file("");

	crowd_prepare(fd, block, BLOCK);
	for (int i = 0; i < CROWD; i++) {
		CHECK_EQ(aio_write(&cbs[i]), 0);
	}
	for (int i = CROWD - 1; i >= 0; i--) {
		verdicts[i] = aio_cancel(fd, &cbs[i]);
	}
	for (int i = 0; i < CROWD; i++) {
		int member;
		bool is_cancelled;

		CHECK(fact_event(&event));
		member = crowd_member(&event);
		CHECK(member >= 0);
		is_cancelled = verdicts[member] == AIO_CANCELED;
		CHECK(is_cancelled || verdicts[member] == AIO_NOTCANCELED ||
		    verdicts[member] == AIO_ALLDONE);
		CHECK_EQ(event.data, is_cancelled ? ECANCELED : 0);
		CHECK_EQ(aio_return(&cbs[member]), is_cancelled ? -1 : BLOCK);
	}
	CHECK(fact_is_quiet());
}

/* The same by descriptor: one verdict for all, one event each. */
static void
verdict_for_many(void)
{
	struct kevent event;
	int fd = fact_file("");
	int verdict;
	int cancelled = 0;

	crowd_prepare(fd, block, BLOCK);
	for (int i = 0; i < CROWD; i++) {
		CHECK_EQ(aio_write(&cbs[i]), 0);
	}
	verdict = aio_cancel(fd, NULL);
	for (int i = 0; i < CROWD; i++) {
		int member;

		CHECK(fact_event(&event));
		CHECK(event.data == 0 || event.data == ECANCELED);
		member = crowd_member(&event);
		CHECK(member >= 0);
		cancelled += event.data == ECANCELED;
		CHECK_EQ(aio_return(&cbs[member]),
		    event.data == ECANCELED ? -1 : BLOCK);
	}
	CHECK(fact_is_quiet());
	CHECK(verdict == AIO_CANCELED || verdict == AIO_NOTCANCELED ||
	    verdict == AIO_ALLDONE);
	CHECK(verdict != AIO_CANCELED || cancelled > 0);
	CHECK(verdict != AIO_ALLDONE || cancelled == 0);
}

/*
 * A sync that waits for writes, cancelled.  Between its wait and its turn it is
 * AIO_NOTCANCELED and yet ends with ECANCELED: only the event tells.
 */
static void
waiting_sync(void)
{
	struct aiocb *sync = &cbs[CROWD - 1];
	struct kevent event;
	int fd = fact_file("");
	int verdict;
	int told = 0;

	crowd_prepare(fd, block, BLOCK);
	for (int i = 0; i < CROWD - 1; i++) {
		CHECK_EQ(aio_write(&cbs[i]), 0);
	}
	CHECK_EQ(aio_fsync(O_SYNC, sync), 0);
	verdict = aio_cancel(fd, sync);
	while (told < CROWD) {
		int member;

		CHECK(fact_event(&event));
		member = crowd_member(&event);
		CHECK(member >= 0);
		told++;
		if (member == CROWD - 1) {
			CHECK(event.data == ECANCELED ||
			    (event.data == 0 && verdict != AIO_CANCELED));
			CHECK_EQ(aio_return(sync), event.data == 0 ? 0 : -1);
		} else {
			CHECK_EQ(event.data, 0);
			CHECK_EQ(aio_return(&cbs[member]), BLOCK);
		}
	}
	CHECK(fact_is_quiet());
}

/*
 * A large write to a socket that nobody reads from: some of it is sent, so
 * that it is not cancelled, but it ends at once and says how much.
 */
static void
partly_sent(void)
{
	static char large[4 << 20];
	struct kevent event;
	int ends[2];
	ssize_t count;

	fact_pair(ends);
	fact_prepare(&cbs[0], ends[0], large, sizeof(large), EV_ONESHOT);
	CHECK_EQ(aio_write(&cbs[0]), 0);
	/* a byte has come, so the write is on its way */
	CHECK_EQ(read(ends[1], bytes, 1), 1);
	CHECK_EQ(aio_cancel(ends[0], &cbs[0]), AIO_NOTCANCELED);
	CHECK(fact_event(&event));
	CHECK_EQ(event.data, 0);
	count = aio_return(&cbs[0]);
	CHECK(count > 0);
	CHECK(count < (ssize_t)sizeof(large));
	CHECK(fact_is_quiet());
}

/* With unsafe AIO a read of a pipe holds a daemon: it is not cancelled. */
static void
running_pipe(void)
{
	struct kevent event;
	int ends[2];
	int verdict;

	if (fact_sysctl("vfs.aio.enable_unsafe") != 1) {
		SKIP("vfs.aio.enable_unsafe is not set");
	}
	CHECK_EQ(pipe(ends), 0);
	(void)fact_keep(ends[0]);
	(void)fact_keep(ends[1]);
	fact_prepare(&cbs[0], ends[0], bytes, 1, EV_ONESHOT);
	CHECK_EQ(aio_read(&cbs[0]), 0);
	verdict = aio_cancel(ends[0], &cbs[0]);
	CHECK(verdict == AIO_CANCELED || verdict == AIO_NOTCANCELED);
	CHECK_EQ(write(ends[1], "x", 1), 1);
	CHECK(fact_event(&event));
	CHECK_EQ(event.data, verdict == AIO_CANCELED ? ECANCELED : 0);
	CHECK_EQ(aio_return(&cbs[0]), verdict == AIO_CANCELED ? -1 : 1);
}

static const struct fact facts[] = {
	{ "2.9 what waits for a socket: AIO_CANCELED, its event ECANCELED",
	    waiting_is_cancelled },
	{ "2.9 one of two is cancelled, the other one runs", one_of_two },
	{ "2.9 what has ended: AIO_ALLDONE", done_is_all_done },
	{ "2.9 what is cancelled already: AIO_ALLDONE, one event",
	    cancelled_twice },
	{ "2.9 what is unknown: AIO_ALLDONE; a bad descriptor: EBADF",
	    unknown_is_all_done },
	{ "2.9 without an aiocb all of the descriptor, an event each",
	    all_of_a_descriptor },
	{ "2.9 AIO_CANCELED is told with ECANCELED, any other as usual",
	    verdicts_agree_with_events },
	{ "2.9 many running and waiting: one verdict, an event each",
	    verdict_for_many },
	{ "2.9 a sync that waits can be cancelled", waiting_sync },
	{ "2.9 a partly sent write: AIO_NOTCANCELED, ends at once, short",
	    partly_sent },
	{ "0 cancel: a blocked read of a pipe: AIO_NOTCANCELED", running_pipe },
};

int
main(void)
{
	return (fact_main(facts, FACT_COUNT(facts)));
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * EVFILT_LIO: when the event of a list comes, how often, and when it never
 * does.
 */
#include "lists.h"

static struct batch batch;

/* Submit a batch of reads of an empty socket; the socket that ends them. */
static int
batch_start(bool entries_tell)
{
	int ends[2];

	fact_pair(ends);
	batch_prepare(&batch, ends[0], entries_tell);
	if (batch_submit(&batch, ENTRIES) != 0) {
		fact_fail(__LINE__, "lio_listio");
	}
	return (ends[1]);
}

/* Wait until all entries have ended. */
static bool
batch_settle(void)
{
	bool is_right = true;

	for (int i = 0; i < ENTRIES; i++) {
		is_right = fact_settle(&batch.cbs[i]) == 0 && is_right;
	}
	return (is_right);
}

static void
fields(void)
{
	int fd = batch_start(false);

	CHECK_EQ(write(fd, "abcd", 4), 4);
	CHECK(batch_tells(&batch));
	CHECK(batch_return(&batch, 0, ENTRIES));
	CHECK(fact_is_quiet());
}

static void
comes_when_all_have_ended(void)
{
	int fd = batch_start(false);

	CHECK_EQ(write(fd, "abc", 3), 3);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(fact_settle(&batch.cbs[i]), 0);
	}
	CHECK(fact_is_quiet());
	CHECK_EQ(write(fd, "d", 1), 1);
	CHECK(batch_tells(&batch));
	CHECK(batch_return(&batch, 0, ENTRIES));
}

static void
repeats_until_the_last_return(void)
{
	int fd = batch_start(false);

	CHECK_EQ(write(fd, "abcd", 4), 4);
	for (int i = 0; i < ENTRIES; i++) {
		CHECK(batch_tells(&batch));
		CHECK(batch_tells(&batch));
		CHECK_EQ(aio_return(&batch.cbs[i]), 1);
	}
	CHECK(fact_is_quiet());
}

static void
early_returns_do_not_count(void)
{
	int fd = batch_start(false);

	CHECK_EQ(write(fd, "abc", 3), 3);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(fact_settle(&batch.cbs[i]), 0);
		CHECK_EQ(aio_return(&batch.cbs[i]), 1);
	}
	CHECK(fact_is_quiet());
	CHECK_EQ(write(fd, "d", 1), 1);
	CHECK(batch_tells(&batch));
	CHECK(batch_return(&batch, 3, 1));
	CHECK(fact_is_quiet());
}

/* Submit with kevent flags in the list's sigevent: they change nothing. */
static void
flags_are_ignored(void)
{
	static const unsigned flags[] = { EV_ONESHOT, EV_CLEAR, EV_DISPATCH,
		EV_DELETE, EV_DISABLE, 0xffff };
	int fd = fact_file("0123456789");

	for (size_t i = 0; i < FACT_COUNT(flags); i++) {
		batch_prepare(&batch, fd, false);
		batch.told.sigev_notify_kevent_flags = (unsigned short)flags[i];
		CHECK_EQ(batch_submit(&batch, ENTRIES), 0);
		CHECK(batch_tells(&batch));
		CHECK(batch_tells(&batch));
		CHECK(batch_return(&batch, 0, ENTRIES));
		CHECK(fact_is_quiet());
	}
}

static void
lost_if_returned_first(void)
{
	int fd = batch_start(false);

	CHECK_EQ(write(fd, "abcd", 4), 4);
	CHECK(batch_settle());
	CHECK(batch_return(&batch, 0, ENTRIES));
	CHECK(fact_is_quiet());
}

static void
user_may_delete(void)
{
	uintptr_t ident = (uintptr_t)batch.list;
	int fd = batch_start(false);

	CHECK_EQ(write(fd, "abcd", 4), 4);
	CHECK(batch_tells(&batch));
	CHECK_EQ(fact_change(ident, EVFILT_LIO, EV_DELETE, 0, 0, NULL), 0);
	CHECK(fact_is_quiet());
	CHECK(batch_return(&batch, 0, ENTRIES));
	CHECK(fact_is_quiet());
}

static void
user_may_not_add(void)
{
	CHECK_ERRNO(
	    fact_change((uintptr_t)batch.list, EVFILT_LIO, EV_ADD, 0, 0, NULL),
	    EPERM);
}

static void
user_may_disable(void)
{
	uintptr_t ident = (uintptr_t)batch.list;
	void *token = batch_token(&batch);
	int fd = batch_start(false);

	CHECK_EQ(write(fd, "abcd", 4), 4);
	CHECK(batch_tells(&batch));
	CHECK_EQ(fact_change(ident, EVFILT_LIO, EV_DISABLE, 0, 0, token), 0);
	CHECK(fact_is_quiet());
	CHECK_EQ(fact_change(ident, EVFILT_LIO, EV_ENABLE, 0, 0, token), 0);
	CHECK(batch_tells(&batch));
	CHECK(batch_return(&batch, 0, ENTRIES));
	CHECK_ERRNO(
	    fact_change(ident, EVFILT_LIO, EV_ENABLE, 0, 0, token), ENOENT);
}

/* Each entry's own event and the list's: one is told beside the other. */
static void
entries_tell_too(void)
{
	unsigned entries = 0;
	unsigned lists = 0;
	int fd = batch_start(true);

	CHECK_EQ(write(fd, "abcd", 4), 4);
	CHECK(batch_settle());
	while (entries < ENTRIES || lists == 0) {
		struct kevent event;

		CHECK(fact_event(&event));
		if (event.filter == EVFILT_LIO) {
			CHECK(event.udata == batch_token(&batch));
			lists = 1;
		} else {
			const struct aiocb *cb =
			    (const struct aiocb *)event.ident;
			struct kevent told = fact_told(cb, EV_ONESHOT, 0);

			CHECK(fact_same(&event, &told));
			entries++;
		}
	}
	CHECK_EQ(entries, ENTRIES);
	CHECK(batch_return(&batch, 0, ENTRIES));
	CHECK(fact_is_quiet());
}

static void
entries_tell_without_a_list(void)
{
	int ends[2];

	fact_pair(ends);
	batch_prepare(&batch, ends[0], true);
	CHECK_EQ(lio_listio(LIO_NOWAIT, batch.list, ENTRIES, NULL), 0);
	CHECK_EQ(write(ends[1], "abcd", 4), 4);
	for (int i = 0; i < ENTRIES; i++) {
		CHECK(fact_tells(&batch.cbs[i], EV_ONESHOT, 0));
		CHECK_EQ(aio_return(&batch.cbs[i]), 1);
	}
	CHECK(fact_is_quiet());
}

static void
nothing_accepted(int count, int error)
{
	if (error == 0) {
		CHECK_EQ(batch_submit(&batch, count), 0);
	} else {
		CHECK_ERRNO(batch_submit(&batch, count), error);
	}
	CHECK(fact_is_quiet());
}

static void
no_event_for_none(void)
{
	batch_prepare(&batch, -1, false);
	nothing_accepted(0, 0);
}

static void
no_event_for_nulls(void)
{
	batch_prepare(&batch, -1, false);
	memset(batch.list, 0, sizeof(batch.list));
	nothing_accepted(ENTRIES, 0);
}

static void
no_event_for_nops(void)
{
	batch_prepare(&batch, fact_file(""), false);
	for (int i = 0; i < ENTRIES; i++) {
		batch.cbs[i].aio_lio_opcode = LIO_NOP;
	}
	nothing_accepted(ENTRIES, 0);
}

static void
no_event_for_refused(void)
{
	batch_prepare(&batch, -1, false);
	nothing_accepted(ENTRIES, EIO);
	for (int i = 0; i < ENTRIES; i++) {
		CHECK_EQ(aio_error(&batch.cbs[i]), EBADF);
	}
}

/* One entry fails while it runs: the list's event does not say so. */
static void
failure_does_not_show(void)
{
	int fd = fact_file("0123456789");

	batch_prepare(&batch, fd, false);
	batch.cbs[1].aio_buf = (void *)8;
	CHECK_EQ(batch_submit(&batch, ENTRIES), 0);
	CHECK(batch_tells(&batch));
	CHECK_EQ(aio_error(&batch.cbs[1]), EFAULT);
	CHECK_ERRNO(aio_return(&batch.cbs[1]), EFAULT);
	CHECK(batch_return(&batch, 0, 1));
	CHECK(batch_return(&batch, 2, ENTRIES - 2));
	CHECK(fact_is_quiet());
}

/* What is done with the array later: only its address was kept. */
static void
array_is_not_kept(void)
{
	int fd = batch_start(false);

	memset(batch.list, 0, sizeof(batch.list));
	CHECK_EQ(write(fd, "abcd", 4), 4);
	CHECK(batch_tells(&batch));
	CHECK(batch_return(&batch, 0, ENTRIES));
}

/*
 * The same array for two lists in flight, the entries 0 and 1 each: the first
 * one's end is told with the udata of the second, whose own is not told.
 */
static void
array_twice(void)
{
	int first[2];
	int second[2];

	fact_pair(first);
	fact_pair(second);
	batch_prepare(&batch, first[0], false);
	batch.told.sigev_value.sival_ptr = NULL;
	CHECK_EQ(batch_submit(&batch, 1), 0);
	batch.cbs[1].aio_fildes = second[0];
	batch.list[0] = &batch.cbs[1];
	batch.told.sigev_value.sival_ptr = batch_token(&batch);
	CHECK_EQ(batch_submit(&batch, 1), 0);

	CHECK_EQ(write(first[1], "x", 1), 1);
	CHECK(batch_tells(&batch));
	CHECK_EQ(aio_error(&batch.cbs[1]), EINPROGRESS);
	CHECK_EQ(aio_return(&batch.cbs[0]), 1);
	CHECK(fact_is_quiet());
	CHECK_EQ(write(second[1], "y", 1), 1);
	CHECK_EQ(fact_settle(&batch.cbs[1]), 0);
	CHECK(fact_is_quiet());
	CHECK_EQ(aio_return(&batch.cbs[1]), 1);
}

/* Told, but not wholly returned: the knote lives, the second list gets none. */
static void
array_again_too_early(void)
{
	int fd = batch_start(false);

	CHECK_EQ(write(fd, "abcd", 4), 4);
	CHECK(batch_tells(&batch));
	CHECK(batch_return(&batch, 1, ENTRIES - 1));
	batch.list[0] = &batch.cbs[1];
	CHECK_EQ(batch_submit(&batch, 1), 0);
	CHECK_EQ(aio_error(&batch.cbs[1]), EINPROGRESS);
	CHECK(batch_tells(&batch)); /* of the first list still */
	CHECK_EQ(aio_return(&batch.cbs[0]), 1);
	CHECK_EQ(write(fd, "e", 1), 1);
	CHECK_EQ(fact_settle(&batch.cbs[1]), 0);
	CHECK(fact_is_quiet());
	CHECK_EQ(aio_return(&batch.cbs[1]), 1);
}

static void
array_after_return(void)
{
	int fd = batch_start(false);

	for (int i = 0; i < 3; i++) {
		CHECK_EQ(write(fd, "abcd", 4), 4);
		CHECK(batch_tells(&batch));
		CHECK(batch_return(&batch, 0, ENTRIES));
		CHECK_EQ(batch_submit(&batch, ENTRIES), 0);
	}
	CHECK_EQ(write(fd, "abcd", 4), 4);
	CHECK(batch_tells(&batch));
	CHECK(batch_return(&batch, 0, ENTRIES));
	CHECK(fact_is_quiet());
}

static void
wait_ignores_the_sigevent(void)
{
	int fd = fact_file("0123456789");

	batch_prepare(&batch, fd, false);
	batch.told.sigev_notify_kqueue = -1;
	CHECK_EQ(lio_listio(LIO_WAIT, batch.list, ENTRIES, &batch.told), 0);
	for (int i = 0; i < ENTRIES; i++) {
		CHECK_EQ(aio_error(&batch.cbs[i]), 0);
	}
	CHECK(fact_is_quiet());
	CHECK(batch_return(&batch, 0, ENTRIES));
}

static void
cancelled_list_is_told(void)
{
	(void)batch_start(false);
	CHECK_EQ(aio_cancel(batch.cbs[0].aio_fildes, NULL), AIO_CANCELED);
	CHECK(batch_tells(&batch));
	for (int i = 0; i < ENTRIES; i++) {
		CHECK_ERRNO(aio_return(&batch.cbs[i]), ECANCELED);
	}
	CHECK(fact_is_quiet());
}

static const struct fact facts[] = {
	{ "2.3 an event: ident the array, flags 0, fflags 0, data 0, udata "
	  "sival_ptr",
	    fields },
	{ "2.3 it comes when all entries have ended",
	    comes_when_all_have_ended },
	{ "2.3 it repeats until the last entry's aio_return",
	    repeats_until_the_last_return },
	{ "2.3 entries returned before the others end do not hold it up",
	    early_returns_do_not_count },
	{ "2.3 the kevent flags of its sigevent are ignored, even bad ones",
	    flags_are_ignored },
	{ "2.3 it is lost if all entries are returned before it is read",
	    lost_if_returned_first },
	{ "2.3 EV_DELETE by a program ends it", user_may_delete },
	{ "2.3 EV_ADD by a program is EPERM", user_may_not_add },
	{ "2.3 EV_DISABLE mutes it, EV_ENABLE brings it back, ENOENT later",
	    user_may_disable },
	{ "2.3 each entry has its own event beside it", entries_tell_too },
	{ "2.3 the entries tell without a sigevent of the list",
	    entries_tell_without_a_list },
	{ "2.3 no entries: no event", no_event_for_none },
	{ "2.3 only NULL entries: no event", no_event_for_nulls },
	{ "2.3 only LIO_NOP: no event", no_event_for_nops },
	{ "2.3 all entries refused: EIO and no event", no_event_for_refused },
	{ "0 LIO: an entry that fails while running leaves data 0",
	    failure_does_not_show },
	{ "2.2 the array may change after the call, its address is the ident",
	    array_is_not_kept },
	{ "2.2 one array for two lists: told early with the second's udata, "
	  "then never",
	    array_twice },
	{ "2.2 one array again before all was returned: its event is lost",
	    array_again_too_early },
	{ "2.2 one array again after all was returned is fine",
	    array_after_return },
	{ "0 LIO: LIO_WAIT ignores the sigevent", wait_ignores_the_sigevent },
	{ "2.3 a cancelled list has its event", cancelled_list_is_told },
};

int
main(void)
{
	return (fact_main(facts, FACT_COUNT(facts)));
}

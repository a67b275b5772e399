/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * EVFILT_AIO: what an event of one operation says, and how often it comes.
 *
 * A read of an empty socket is the operation that stays in progress until the
 * fact wants it to end.
 */
#include "facts.h"

#include <sys/mman.h>

_Static_assert(SIGEV_KEVENT == 3, "notification");

static struct aiocb cb;
static char bytes[64];

/* Start a read of an empty socket; the socket that ends it. */
static int
read_start(unsigned flags)
{
	int ends[2];

	fact_pair(ends);
	fact_prepare(&cb, ends[0], bytes, sizeof(bytes), flags);
	if (aio_read(&cb) != 0) {
		fact_fail(__LINE__, "aio_read");
	}
	return (ends[1]);
}

/* End the read: it has size bytes. */
static bool
read_end(int fd, size_t size)
{
	return (write(fd, "0123456789", size) == (ssize_t)size &&
	    fact_settle(&cb) == 0);
}

static void
fields_with(unsigned flags)
{
	int fd = read_start(flags);

	CHECK(fact_is_quiet());
	CHECK(read_end(fd, 3));
	CHECK(fact_tells(&cb, flags, 0));
	CHECK_EQ(aio_return(&cb), 3);
	CHECK(fact_is_quiet());
}

static void
fields_level(void)
{
	fields_with(0);
}

static void
fields_oneshot(void)
{
	fields_with(EV_ONESHOT);
}

static void
fields_clear(void)
{
	fields_with(EV_CLEAR);
}

static void
fields_dispatch(void)
{
	fields_with(EV_DISPATCH);
}

static void
data_is_no_count(void)
{
	int fd = fact_file("0123456789");

	fact_prepare(&cb, fd, bytes, 7, EV_ONESHOT);
	CHECK_EQ(aio_read(&cb), 0);
	CHECK(fact_tells(&cb, EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&cb), 7);
}

static void
level_repeats(void)
{
	int fd = read_start(0);

	CHECK(read_end(fd, 3));
	for (int i = 0; i < 5; i++) {
		CHECK(fact_tells(&cb, 0, 0));
	}
	CHECK_EQ(aio_return(&cb), 3);
	CHECK(fact_is_quiet());
}

static void
comes_once_with(unsigned flags)
{
	int fd = read_start(flags);

	CHECK(read_end(fd, 3));
	CHECK(fact_tells(&cb, flags, 0));
	CHECK(fact_is_quiet());
	CHECK_EQ(aio_return(&cb), 3);
	CHECK(fact_is_quiet());
}

static void
oneshot_comes_once(void)
{
	comes_once_with(EV_ONESHOT);
}

static void
clear_comes_once(void)
{
	comes_once_with(EV_CLEAR);
}

static void
dispatch_comes_once(void)
{
	comes_once_with(EV_DISPATCH);
}

static void
dispatch_can_be_enabled(void)
{
	int fd = read_start(EV_DISPATCH);

	CHECK(read_end(fd, 3));
	CHECK(fact_tells(&cb, EV_DISPATCH, 0));
	CHECK_EQ(fact_change((uintptr_t)&cb, EVFILT_AIO, EV_ENABLE, 0, 0,
		     fact_token(&cb)),
	    0);
	CHECK(fact_tells(&cb, EV_DISPATCH, 0));
	CHECK_EQ(aio_return(&cb), 3);
	CHECK(fact_is_quiet());
}

static void
other_flags_are_refused(void)
{
	static const unsigned flags[] = { EV_ADD, EV_DELETE, EV_ENABLE,
		EV_DISABLE, EV_RECEIPT, EV_ONESHOT | EV_ADD, 0x0100, 0x2000,
		EV_ERROR, EV_EOF };
	int fd = fact_file("0123456789");

	for (size_t i = 0; i < FACT_COUNT(flags); i++) {
		fact_prepare(&cb, fd, bytes, 7, flags[i]);
		CHECK_ERRNO(aio_read(&cb), EINVAL);
		CHECK_EQ(aio_error(&cb), EINVAL);
	}
	CHECK(fact_is_quiet());
}

static void
return_takes_the_event(void)
{
	int fd = read_start(EV_ONESHOT);

	CHECK(read_end(fd, 3));
	CHECK_EQ(aio_return(&cb), 3);
	CHECK(fact_is_quiet());
}

static void
waitcomplete_takes_the_event(void)
{
	struct timespec limit = fact_limit();
	struct aiocb *done = NULL;
	int fd = read_start(0);

	CHECK(read_end(fd, 3));
	CHECK_EQ(aio_waitcomplete(&done, &limit), 3);
	CHECK(done == &cb);
	CHECK(fact_is_quiet());
	CHECK_ERRNO(aio_return(&cb), EINVAL);
}

static void
return_is_needed_after(void)
{
	int fd = read_start(EV_ONESHOT);

	CHECK(read_end(fd, 3));
	CHECK(fact_tells(&cb, EV_ONESHOT, 0));
	CHECK_EQ(aio_error(&cb), 0);
	CHECK_EQ(aio_return(&cb), 3);
	CHECK_ERRNO(aio_return(&cb), EINVAL);
}

static void
return_too_early(void)
{
	int fd = read_start(EV_ONESHOT);

	CHECK_EQ(aio_error(&cb), EINPROGRESS);
	CHECK_ERRNO(aio_return(&cb), EINVAL);
	CHECK(read_end(fd, 3));
	CHECK(fact_tells(&cb, EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&cb), 3);
}

/* A page that cannot be read nor written. */
static void *
bad_page(void)
{
	void *page = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_NONE,
	    MAP_PRIVATE | MAP_ANON, -1, 0);

	return (page == MAP_FAILED ? NULL : page);
}

static void
failure_while_running(void)
{
	int fd = fact_file("0123456789");

	fact_prepare(&cb, fd, bad_page(), 7, EV_ONESHOT);
	CHECK_EQ(aio_read(&cb), 0);
	CHECK(fact_tells(&cb, EV_ONESHOT, EFAULT));
	CHECK_EQ(aio_error(&cb), EFAULT);
	CHECK_ERRNO(aio_return(&cb), EFAULT);
	CHECK(fact_is_quiet());
}

static void
failure_to_submit(void)
{
	fact_prepare(&cb, -1, bytes, 7, EV_ONESHOT);
	CHECK_ERRNO(aio_read(&cb), EBADF);
	CHECK_EQ(aio_error(&cb), EBADF);
	CHECK_ERRNO(aio_return(&cb), EINVAL);
	CHECK(fact_is_quiet());
}

static void
failure_to_register(void)
{
	int fd = fact_file("0123456789");

	fact_prepare(&cb, fd, bytes, 7, EV_ONESHOT);
	cb.aio_sigevent.sigev_notify_kqueue = -1;
	CHECK_ERRNO(aio_read(&cb), EBADF);
	CHECK_EQ(aio_error(&cb), EBADF);
	CHECK_ERRNO(aio_return(&cb), EINVAL);
}

static void
unknown_notification(void)
{
	int fd = fact_file("0123456789");

	fact_prepare(&cb, fd, bytes, 7, EV_ONESHOT);
	cb.aio_sigevent.sigev_notify = 99;
	CHECK_ERRNO(aio_read(&cb), EINVAL);
	CHECK_EQ(aio_error(&cb), EINVAL);
	CHECK(fact_is_quiet());
}

static void
no_notification(void)
{
	int fd = fact_file("0123456789");

	fact_prepare(&cb, fd, bytes, 7, 0);
	cb.aio_sigevent.sigev_notify = SIGEV_NONE;
	CHECK_EQ(aio_read(&cb), 0);
	CHECK_EQ(fact_settle(&cb), 0);
	CHECK(fact_is_quiet());
	CHECK_EQ(aio_return(&cb), 7);
}

static void
cancelled_is_told(void)
{
	(void)read_start(EV_ONESHOT);
	CHECK_EQ(aio_cancel(cb.aio_fildes, &cb), AIO_CANCELED);
	CHECK(fact_tells(&cb, EV_ONESHOT, ECANCELED));
	CHECK_EQ(aio_error(&cb), ECANCELED);
	CHECK_ERRNO(aio_return(&cb), ECANCELED);
	CHECK(fact_is_quiet());
}

static void
user_may_not_add(void)
{
	CHECK_ERRNO(
	    fact_change((uintptr_t)&cb, EVFILT_AIO, EV_ADD, 0, 0, NULL), EPERM);
}

static void
user_may_delete(void)
{
	int fd = read_start(0);

	CHECK_EQ(
	    fact_change((uintptr_t)&cb, EVFILT_AIO, EV_DELETE, 0, 0, NULL), 0);
	CHECK(read_end(fd, 3));
	CHECK(fact_is_quiet());
	CHECK_EQ(aio_return(&cb), 3);
}

/* A source that forgot EV_ONESHOT is muted like this. */
static void
user_may_disable(void)
{
	void *token = fact_token(&cb);
	int fd = read_start(0);

	CHECK(read_end(fd, 3));
	CHECK(fact_tells(&cb, 0, 0));
	CHECK_EQ(
	    fact_change((uintptr_t)&cb, EVFILT_AIO, EV_DISABLE, 0, 0, token),
	    0);
	CHECK(fact_is_quiet());
	CHECK_EQ(
	    fact_change((uintptr_t)&cb, EVFILT_AIO, EV_ENABLE, 0, 0, token), 0);
	CHECK(fact_tells(&cb, 0, 0));
	CHECK_EQ(aio_return(&cb), 3);
	CHECK(fact_is_quiet());
}

static void
disabled_and_returned(void)
{
	int fd = read_start(0);

	CHECK(read_end(fd, 3));
	CHECK_EQ(
	    fact_change((uintptr_t)&cb, EVFILT_AIO, EV_DISABLE, 0, 0, NULL), 0);
	CHECK_EQ(aio_return(&cb), 3);
	CHECK_ERRNO(
	    fact_change((uintptr_t)&cb, EVFILT_AIO, EV_ENABLE, 0, 0, NULL),
	    ENOENT);
	CHECK(fact_is_quiet());
}

static void
oneshot_leaves_no_knote(void)
{
	int fd = read_start(EV_ONESHOT);

	CHECK(read_end(fd, 3));
	CHECK(fact_tells(&cb, EV_ONESHOT, 0));
	CHECK_ERRNO(
	    fact_change((uintptr_t)&cb, EVFILT_AIO, EV_DISABLE, 0, 0, NULL),
	    ENOENT);
	CHECK_EQ(aio_return(&cb), 3);
}

static void
reuse_after_return(void)
{
	int fd = read_start(EV_ONESHOT);

	for (int i = 0; i < 3; i++) {
		CHECK(read_end(fd, 3));
		CHECK(fact_tells(&cb, EV_ONESHOT, 0));
		CHECK_EQ(aio_return(&cb), 3);
		CHECK_EQ(aio_read(&cb), 0);
	}
	CHECK(read_end(fd, 2));
	CHECK(fact_tells(&cb, EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&cb), 2);
	CHECK(fact_is_quiet());
}

static const struct fact facts[] = {
	{ "2.1 an event: ident aiocb, flags EV_EOF, fflags 0, data errno, "
	  "udata sival_ptr",
	    fields_level },
	{ "2.1 with EV_ONESHOT the flags are EV_ONESHOT and EV_EOF",
	    fields_oneshot },
	{ "2.1 with EV_CLEAR the flags are EV_CLEAR and EV_EOF", fields_clear },
	{ "2.1 with EV_DISPATCH the flags are EV_DISPATCH and EV_EOF",
	    fields_dispatch },
	{ "2.1 data is no count of bytes", data_is_no_count },
	{ "2.1 a level-triggered event repeats until aio_return",
	    level_repeats },
	{ "2.1 an EV_ONESHOT event comes once", oneshot_comes_once },
	{ "2.1 an EV_CLEAR event comes once", clear_comes_once },
	{ "2.1 an EV_DISPATCH event comes once", dispatch_comes_once },
	{ "2.1 EV_ENABLE brings an EV_DISPATCH event again",
	    dispatch_can_be_enabled },
	{ "2.1 other kevent flags are EINVAL", other_flags_are_refused },
	{ "2.1 aio_return before the event is read takes it",
	    return_takes_the_event },
	{ "2.1 aio_waitcomplete before the event is read takes it",
	    waitcomplete_takes_the_event },
	{ "0 AIO: aio_return is needed after the event, once",
	    return_is_needed_after },
	{ "0 AIO: aio_return in progress is EINVAL and takes nothing",
	    return_too_early },
	{ "2.1 what fails while running was accepted; data is its errno",
	    failure_while_running },
	{ "0 AIO: what is not accepted: errno, aio_error, no event, no return",
	    failure_to_submit },
	{ "0 AIO: a kqueue that is none is EBADF", failure_to_register },
	{ "0 AIO: an unknown sigev_notify is EINVAL", unknown_notification },
	{ "0 AIO: SIGEV_NONE brings no event", no_notification },
	{ "2.1 a cancelled operation has its event and its aio_return",
	    cancelled_is_told },
	{ "2.1 EV_ADD by a program is EPERM", user_may_not_add },
	{ "2.1 EV_DELETE by a program ends the event, not the job",
	    user_may_delete },
	{ "2.1 EV_DISABLE mutes a level-triggered event, EV_ENABLE brings it "
	  "back",
	    user_may_disable },
	{ "2.1 EV_ENABLE after aio_return is ENOENT", disabled_and_returned },
	{ "2.1 EV_ONESHOT leaves no knote behind", oneshot_leaves_no_knote },
	{ "2.1 an aiocb may be used again after aio_return",
	    reuse_after_return },
};

int
main(void)
{
	return (fact_main(facts, FACT_COUNT(facts)));
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Limits: how many operations a process may have, when EAGAIN comes, and what
 * it leaves behind.  Reads of an empty socket fill the process up.
 */
#include "facts.h"

#define CROWD_MAX 4096
#define LIST_MAX  64

static struct aiocb crowd[CROWD_MAX + LIST_MAX + 1];
static struct aiocb *list[CROWD_MAX + 1];
static char bytes[CROWD_MAX + LIST_MAX + 1];

/* How many operations this process may have, or 0 if it cannot be tested. */
static int
crowd_size(void)
{
	int own = fact_sysctl("vfs.aio.max_aio_queue_per_proc");
	int all = fact_sysctl("vfs.aio.max_aio_queue");
	int used = fact_sysctl("vfs.aio.num_queue_count");

	if (own < LIST_MAX || own > CROWD_MAX ||
	    all - (used < 0 ? 0 : used) < own) {
		return (0);
	}
	return (own);
}

static void
crowd_prepare(int fd, int from, int to)
{
	for (int i = from; i < to; i++) {
		fact_prepare(&crowd[i], fd, &bytes[i], 1, EV_ONESHOT);
		crowd[i].aio_lio_opcode = LIO_READ;
	}
}

/* Start reads of an empty socket, count of them; how many were accepted. */
static int
crowd_start(int fd, int count)
{
	int started = 0;

	crowd_prepare(fd, 0, count);
	while (started < count && aio_read(&crowd[started]) == 0) {
		started++;
	}
	return (started);
}

/* Cancel the operations and reap them, each after its event. */
static bool
crowd_end(int fd, int first, int count)
{
	int told = 0;

	(void)aio_cancel(fd, NULL);
	while (told < count) {
		struct kevent event;

		if (!fact_event(&event) || event.filter != EVFILT_AIO) {
			return (false);
		}
		told++;
	}
	for (int i = first; i < first + count; i++) {
		if (aio_return(&crowd[i]) != -1 || errno != ECANCELED) {
			return (false);
		}
	}
	return (fact_is_quiet());
}

static void
published(void)
{
	static const char *const names[] = {
		"vfs.aio.max_aio_queue_per_proc",
		"vfs.aio.max_aio_queue",
		"vfs.aio.max_aio_per_proc",
		"vfs.aio.max_aio_procs",
		"vfs.aio.target_aio_procs",
		"vfs.aio.max_buf_aio",
	};

	for (size_t i = 0; i < FACT_COUNT(names); i++) {
		printf("# %s %d\n", names[i], fact_sysctl(names[i]));
	}
	for (size_t i = 0; i < FACT_COUNT(names); i++) {
		CHECK(fact_sysctl(names[i]) > 0);
	}
	CHECK(fact_sysctl("vfs.aio.enable_unsafe") >= 0);
	CHECK(fact_sysctl("vfs.aio.num_queue_count") >= 0);
}

static void
list_limit_is_published(void)
{
	int own = fact_sysctl("vfs.aio.max_aio_queue_per_proc");

	CHECK_EQ(fact_sysctl("p1003_1b.aio_listio_max"), own);
	CHECK_EQ(sysconf(_SC_AIO_LISTIO_MAX), own);
}

static void
one_too_many(void)
{
	int most = crowd_size();
	int ends[2];

	if (most == 0) {
		SKIP("limits that this test is not made for");
	}
	fact_pair(ends);
	CHECK_EQ(crowd_start(ends[0], most + 1), most);
	CHECK_EQ(errno, EAGAIN);
	CHECK_EQ(aio_error(&crowd[most]), EAGAIN);
	CHECK_ERRNO(aio_return(&crowd[most]), EINVAL);
	CHECK(fact_is_quiet());
	CHECK(crowd_end(ends[0], 0, most));
}

/* The limit is looked at before the descriptor, the buffer or the size. */
static void
any_operation_is_refused(void)
{
	int most = crowd_size();
	int file = fact_file("0123");
	struct aiocb *cb = &crowd[most];
	int ends[2];

	if (most == 0) {
		SKIP("limits that this test is not made for");
	}
	fact_pair(ends);
	CHECK_EQ(crowd_start(ends[0], most), most);
	fact_prepare(cb, file, bytes, 1, EV_ONESHOT);
	CHECK_ERRNO(aio_read(cb), EAGAIN);
	CHECK_ERRNO(aio_write(cb), EAGAIN);
	CHECK_ERRNO(aio_fsync(O_SYNC, cb), EAGAIN);
	cb->aio_fildes = -1;
	CHECK_ERRNO(aio_read(cb), EAGAIN);
	CHECK(crowd_end(ends[0], 0, most));
}

static void
unreaped_count(void)
{
	int most = crowd_size();
	int ends[2];

	if (most == 0) {
		SKIP("limits that this test is not made for");
	}
	fact_pair(ends);
	CHECK_EQ(crowd_start(ends[0], most), most);
	CHECK_EQ(write(ends[1], "x", 1), 1);
	CHECK(fact_tells(&crowd[0], EV_ONESHOT, 0));
	crowd_prepare(ends[0], most, most + 1);
	CHECK_ERRNO(aio_read(&crowd[most]), EAGAIN);
	CHECK_EQ(aio_return(&crowd[0]), 1);
	CHECK_EQ(aio_read(&crowd[most]), 0);
	CHECK(crowd_end(ends[0], 1, most));
}

static void
long_list(void)
{
	int most = crowd_size();
	int ends[2];

	if (most == 0) {
		SKIP("limits that this test is not made for");
	}
	fact_pair(ends);
	crowd_prepare(ends[0], 0, most);
	for (int i = 0; i < most; i++) {
		list[i] = &crowd[i];
	}
	CHECK(most > 16);
	CHECK_EQ(lio_listio(LIO_NOWAIT, list, most, NULL), 0);
	CHECK(crowd_end(ends[0], 0, most));
}

static void
list_too_long(void)
{
	int most = crowd_size();

	if (most == 0) {
		SKIP("limits that this test is not made for");
	}
	memset(list, 0, sizeof(list));
	CHECK_EQ(lio_listio(LIO_NOWAIT, list, most, NULL), 0);
	CHECK_ERRNO(lio_listio(LIO_NOWAIT, list, most + 1, NULL), EINVAL);
	CHECK(fact_is_quiet());
}

/* Leave room for 3 operations, then submit a list of 8. */
static void
list_across_the_limit(void)
{
	int most = crowd_size();
	struct kevent event;
	struct sigevent told = { .sigev_notify = SIGEV_KEVENT };
	int pairs[2][2];
	int first = most - 3;

	if (most == 0) {
		SKIP("limits that this test is not made for");
	}
	fact_pair(pairs[0]);
	fact_pair(pairs[1]);
	CHECK_EQ(crowd_start(pairs[0][0], first), first);
	crowd_prepare(pairs[1][0], first, first + 8);
	for (int i = 0; i < 8; i++) {
		list[i] = &crowd[first + i];
	}
	told.sigev_notify_kqueue = fact_now.kq;
	CHECK_ERRNO(lio_listio(LIO_NOWAIT, list, 8, &told), EAGAIN);
	for (int i = 0; i < 8; i++) {
		CHECK_EQ(aio_error(list[i]), i < 3 ? EINPROGRESS : EAGAIN);
	}
	CHECK(fact_is_quiet());
	CHECK_EQ(write(pairs[1][1], "abc", 3), 3);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(fact_settle(list[i]), 0);
	}
	for (int i = 0, lists = 0, entries = 0; lists == 0 || entries < 3;
	     i++) {
		CHECK(i < 16);
		CHECK(fact_event(&event));
		lists += event.filter == EVFILT_LIO;
		entries += event.filter == EVFILT_AIO;
	}
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(aio_return(list[i]), 1);
	}
	CHECK(crowd_end(pairs[0][0], 0, first));
}

/* A hard error of one entry wins over EAGAIN of another. */
static void
list_of_both_errors(void)
{
	int most = crowd_size();
	int ends[2];
	int first = most - 2;

	if (most == 0) {
		SKIP("limits that this test is not made for");
	}
	fact_pair(ends);
	CHECK_EQ(crowd_start(ends[0], first), first);
	crowd_prepare(ends[0], first, first + 4);
	crowd[first].aio_fildes = -1;
	for (int i = 0; i < 4; i++) {
		list[i] = &crowd[first + i];
	}
	CHECK_ERRNO(lio_listio(LIO_NOWAIT, list, 4, NULL), EIO);
	CHECK_EQ(aio_error(list[0]), EBADF);
	CHECK_EQ(aio_error(list[1]), EINPROGRESS);
	CHECK_EQ(aio_error(list[2]), EINPROGRESS);
	CHECK_EQ(aio_error(list[3]), EAGAIN);
	CHECK_EQ(aio_cancel(ends[0], NULL), AIO_CANCELED);
	CHECK_ERRNO(aio_return(list[1]), ECANCELED);
	CHECK_ERRNO(aio_return(list[2]), ECANCELED);
	for (int i = 0; i < first; i++) {
		CHECK_ERRNO(aio_return(&crowd[i]), ECANCELED);
	}
	CHECK(fact_is_quiet());
}

/* A list of which nothing is accepted for want of room has no event. */
static void
list_without_room(void)
{
	int most = crowd_size();
	struct sigevent told = { .sigev_notify = SIGEV_KEVENT };
	int ends[2];

	if (most == 0) {
		SKIP("limits that this test is not made for");
	}
	fact_pair(ends);
	CHECK_EQ(crowd_start(ends[0], most), most);
	crowd_prepare(ends[0], most, most + 2);
	list[0] = &crowd[most];
	list[1] = &crowd[most + 1];
	told.sigev_notify_kqueue = fact_now.kq;
	CHECK_ERRNO(lio_listio(LIO_NOWAIT, list, 2, &told), EAGAIN);
	CHECK_EQ(aio_error(list[0]), EAGAIN);
	CHECK_EQ(aio_error(list[1]), EAGAIN);
	CHECK(fact_is_quiet());
	CHECK(crowd_end(ends[0], 0, most));
}

/* Pending reads of sockets take no daemon that files need. */
static void
sockets_have_their_own_pool(void)
{
	int most = crowd_size();
	int file = fact_file("0123");
	int ends[2];

	if (most == 0) {
		SKIP("limits that this test is not made for");
	}
	fact_pair(ends);
	CHECK_EQ(crowd_start(ends[0], most - 1), most - 1);
	fact_prepare(&crowd[most], file, &bytes[most], 1, EV_ONESHOT);
	CHECK_EQ(aio_read(&crowd[most]), 0);
	CHECK(fact_tells(&crowd[most], EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&crowd[most]), 1);
	CHECK(crowd_end(ends[0], 0, most - 1));
}

/* More file operations than may be serviced at once are carried out. */
static void
more_than_are_serviced(void)
{
	int most = crowd_size();
	int daemons = fact_sysctl("vfs.aio.max_aio_procs");
	int file = fact_file("0123");
	struct kevent event;

	if (most == 0) {
		SKIP("limits that this test is not made for");
	}
	CHECK_EQ(crowd_start(file, most), most);
	CHECK(fact_sysctl("vfs.aio.num_aio_procs") <= daemons);
	for (int i = 0; i < most; i++) {
		struct kevent told;
		struct aiocb *cb;

		CHECK(fact_event(&event));
		cb = (struct aiocb *)event.ident;
		told = fact_told(cb, EV_ONESHOT, 0);
		CHECK(fact_same(&event, &told));
		CHECK_EQ(aio_return(cb), 1);
	}
	CHECK(fact_is_quiet());
}

/* The limit of the whole system, where it is below that of a process. */
static void
limit_of_the_system(void)
{
	int own = fact_sysctl("vfs.aio.max_aio_queue_per_proc");
	int room = fact_sysctl("vfs.aio.max_aio_queue") -
	    fact_sysctl("vfs.aio.num_queue_count");
	int ends[2];

	if (room < 1 || room >= own || room > CROWD_MAX) {
		SKIP("vfs.aio.max_aio_queue does not come first");
	}
	fact_pair(ends);
	CHECK_EQ(crowd_start(ends[0], room + 1), room);
	CHECK_EQ(errno, EAGAIN);
	CHECK_EQ(fact_sysctl("vfs.aio.num_queue_count"),
	    fact_sysctl("vfs.aio.max_aio_queue"));
	CHECK_EQ(aio_error(&crowd[room]), EAGAIN);
	CHECK(crowd_end(ends[0], 0, room));
}

/* Reap count reads of the pipe; not yet the one of the file. */
static bool
reap_reads(int count)
{
	for (int i = 0; i < count; i++) {
		struct kevent event;

		if (!fact_event(&event) || event.data != 0 ||
		    event.ident == (uintptr_t)&crowd[CROWD_MAX] ||
		    aio_return((struct aiocb *)event.ident) != 1) {
			return (false);
		}
	}
	return (true);
}

/*
 * With unsafe AIO 8 reads of an empty pipe more than may be serviced: a read
 * of a file comes behind them all.
 */
static void
daemons_are_used_up(void)
{
	int own = fact_sysctl("vfs.aio.max_aio_per_proc");
	int all = fact_sysctl("vfs.aio.max_aio_procs");
	int most = own < all ? own : all;
	struct aiocb *cb = &crowd[CROWD_MAX];
	int file = fact_file("0123");
	int ends[2];

	if (fact_sysctl("vfs.aio.enable_unsafe") != 1) {
		SKIP("vfs.aio.enable_unsafe is not set");
	}
	if (most < 1 || most + 9 > crowd_size()) {
		SKIP("limits that this test is not made for");
	}
	CHECK_EQ(pipe(ends), 0);
	(void)fact_keep(ends[0]);
	(void)fact_keep(ends[1]);
	CHECK_EQ(crowd_start(ends[0], most + 8), most + 8);
	fact_prepare(cb, file, &bytes[CROWD_MAX], 1, EV_ONESHOT);
	CHECK_EQ(aio_read(cb), 0);
	CHECK_EQ(write(ends[1], "01234567", 8), 8);
	CHECK(reap_reads(8));
	CHECK(fact_is_quiet());
	CHECK_EQ(aio_error(cb), EINPROGRESS);
	CHECK_EQ(write(ends[1], "8", 1), 1);
	CHECK_EQ(fact_settle(cb), 0);
	CHECK_EQ(aio_return(cb), 1);
	for (int i = 1; i < most; i++) {
		CHECK_EQ(write(ends[1], "x", 1), 1);
	}
	CHECK(reap_reads(most));
}

static const struct fact facts[] = {
	{ "2.7 the limits are published in vfs.aio", published },
	{ "2.4 sysconf(_SC_AIO_LISTIO_MAX) is max_aio_queue_per_proc",
	    list_limit_is_published },
	{ "2.7 one more than max_aio_queue_per_proc is EAGAIN", one_too_many },
	{ "2.7 then any operation is EAGAIN, even a bad one",
	    any_operation_is_refused },
	{ "2.7 what has ended counts until aio_return", unreaped_count },
	{ "2.4 a list of max_aio_queue_per_proc entries, more than 16, works",
	    long_list },
	{ "2.4 a list of one more is EINVAL", list_too_long },
	{ "2.4 a list across the limit: EAGAIN, its first part runs, is told",
	    list_across_the_limit },
	{ "2.4 EIO wins over EAGAIN", list_of_both_errors },
	{ "2.4 a list without room: EAGAIN and no event", list_without_room },
	{ "2.7 pending reads of sockets do not hold up files, but count",
	    sockets_have_their_own_pool },
	{ "2.7 more than max_aio_per_proc wait their turn",
	    more_than_are_serviced },
	{ "2.7 max_aio_queue is the limit of the system: EAGAIN",
	    limit_of_the_system },
	{ "0 limits: blocked reads of pipes take all daemons, files wait",
	    daemons_are_used_up },
};

int
main(void)
{
	return (fact_main(facts, FACT_COUNT(facts)));
}

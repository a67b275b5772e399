/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * aio_fsync(2) and aio_mlock(2): what a sync waits for, what is refused, and
 * where the failure of an mlock shows.
 */
#include "facts.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define WRITES 64
#define BLOCK  (64 * 1024)

static struct aiocb writes[WRITES];
static struct aiocb sync_cb;
static struct aiocb other_sync;
static char block[BLOCK];

/* Which kernel has aio_fsync(O_DSYNC). */
#define DSYNC_SINCE 1300000

static void
sync_prepare(int fd)
{
	fact_prepare(&sync_cb, fd, NULL, 0, EV_ONESHOT);
}

/* Start many writes, one behind the other, by the two descriptors in turn. */
static bool
writes_start_both(int even, int odd)
{
	for (int i = 0; i < WRITES; i++) {
		fact_prepare(&writes[i], i % 2 == 0 ? even : odd, block, BLOCK,
		    EV_ONESHOT);
		writes[i].aio_offset = (off_t)i * BLOCK;
		if (aio_write(&writes[i]) != 0) {
			return (false);
		}
	}
	return (true);
}

static bool
writes_start(int fd)
{
	return (writes_start_both(fd, fd));
}

/* The events of the writes come first, then that of the sync. */
static void
writes_then_sync(void)
{
	struct kevent event;

	for (int i = 0; i < WRITES; i++) {
		CHECK(fact_event(&event));
		CHECK(event.ident != (uintptr_t)&sync_cb);
		CHECK_EQ(event.data, 0);
	}
	CHECK(fact_tells(&sync_cb, EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&sync_cb), 0);
	for (int i = 0; i < WRITES; i++) {
		CHECK_EQ(aio_return(&writes[i]), BLOCK);
	}
	CHECK(fact_is_quiet());
}

static void
waits_for_writes(void)
{
	int fd = fact_file("");

	CHECK(writes_start(fd));
	sync_prepare(fd);
	CHECK_EQ(aio_fsync(O_SYNC, &sync_cb), 0);
	writes_then_sync();
}

static void
waits_by_a_duplicate(void)
{
	int fd = fact_file("");

	CHECK(writes_start(fd));
	sync_prepare(fact_keep(dup(fd)));
	CHECK_EQ(aio_fsync(O_SYNC, &sync_cb), 0);
	writes_then_sync();
}

static void
waits_for_a_list(void)
{
	struct aiocb *list[WRITES];
	int fd = fact_file("");

	for (int i = 0; i < WRITES; i++) {
		fact_prepare(&writes[i], fd, block, BLOCK, EV_ONESHOT);
		writes[i].aio_offset = (off_t)i * BLOCK;
		writes[i].aio_lio_opcode = LIO_WRITE;
		list[i] = &writes[i];
	}
	CHECK_EQ(lio_listio(LIO_NOWAIT, list, WRITES, NULL), 0);
	sync_prepare(fd);
	CHECK_EQ(aio_fsync(O_SYNC, &sync_cb), 0);
	writes_then_sync();
}

/* Another open file of the same name is synced, with the others in flight. */
static void
another_open_file(void)
{
	char path[256];
	struct kevent event;
	bool has_synced = false;
	int fds[2];

	(void)snprintf(
	    path, sizeof(path), "%s/filch-fact-XXXXXX", fact_directory());
	fds[0] = fact_keep(mkstemp(path));
	fds[1] = fact_keep(open(path, O_RDWR));
	(void)unlink(path);
	CHECK(fds[1] >= 0);
	CHECK(writes_start(fds[0]));
	sync_prepare(fds[1]);
	CHECK_EQ(aio_fsync(O_SYNC, &sync_cb), 0);
	for (int i = 0; i < WRITES + 1; i++) {
		CHECK(fact_event(&event));
		CHECK_EQ(event.data, 0);
		has_synced |= event.ident == (uintptr_t)&sync_cb;
	}
	CHECK(has_synced);
	CHECK_EQ(aio_return(&sync_cb), 0);
	for (int i = 0; i < WRITES; i++) {
		CHECK_EQ(aio_return(&writes[i]), BLOCK);
	}
}

/* Two files with writes and a sync each: a sync comes after its own. */
static void
two_files(void)
{
	int fds[2] = { fact_file(""), fact_file("") };
	struct aiocb *syncs[2] = { &sync_cb, &other_sync };
	unsigned told[2] = { 0, 0 };
	struct kevent event;

	CHECK(writes_start_both(fds[0], fds[1]));
	for (int i = 0; i < 2; i++) {
		fact_prepare(syncs[i], fds[i], NULL, 0, EV_ONESHOT);
		CHECK_EQ(aio_fsync(O_SYNC, syncs[i]), 0);
	}
	for (int i = 0; i < WRITES + 2; i++) {
		const struct aiocb *cb;

		CHECK(fact_event(&event));
		cb = (const struct aiocb *)event.ident;
		if (cb == syncs[0] || cb == syncs[1]) {
			CHECK_EQ(told[cb == syncs[1]], WRITES / 2);
		} else {
			told[(cb - writes) % 2]++;
		}
	}
	CHECK_EQ(aio_return(syncs[0]), 0);
	CHECK_EQ(aio_return(syncs[1]), 0);
	for (int i = 0; i < WRITES; i++) {
		CHECK_EQ(aio_return(&writes[i]), BLOCK);
	}
}

/* A FIFO, opened twice; false if what is unsafe is not allowed. */
static bool
fifo_open(int fds[2])
{
	static unsigned number;
	char path[256];

	if (fact_sysctl("vfs.aio.enable_unsafe") != 1) {
		return (false);
	}
	(void)snprintf(path, sizeof(path), "%s/filch-fact-fifo-%ld-%u",
	    fact_directory(), (long)getpid(), number++);
	if (mkfifo(path, 0600) != 0) {
		fact_fail(__LINE__, "mkfifo");
	}
	fds[0] = fact_keep(open(path, O_RDWR));
	fds[1] = fact_keep(open(path, O_RDWR));
	(void)unlink(path);
	return (true);
}

/* Sync by fd, again and again: each comes, and no other event does. */
static bool
syncs_come(int fd)
{
	for (int i = 0; i < 20; i++) {
		struct kevent event;

		fact_prepare(&other_sync, fd, NULL, 0, EV_ONESHOT);
		if (aio_fsync(O_SYNC, &other_sync) != 0 ||
		    !fact_event(&event) ||
		    event.ident != (uintptr_t)&other_sync) {
			return (false);
		}
		(void)aio_return(&other_sync);
	}
	return (true);
}

/*
 * With unsafe AIO a read of a FIFO stays in flight for as long as the test
 * wants: a sync by its own open file waits, by another one it does not.
 */
static void
only_its_own_open_file(void)
{
	struct kevent event;
	int fds[2];

	if (!fifo_open(fds)) {
		SKIP("vfs.aio.enable_unsafe is not set");
	}
	fact_prepare(&writes[0], fds[0], block, 1, EV_ONESHOT);
	CHECK_EQ(aio_read(&writes[0]), 0);
	sync_prepare(fds[0]);
	CHECK_EQ(aio_fsync(O_SYNC, &sync_cb), 0);
	CHECK(syncs_come(fds[1]));
	CHECK_EQ(aio_error(&writes[0]), EINPROGRESS);
	CHECK_EQ(aio_error(&sync_cb), EINPROGRESS);
	CHECK(fact_is_quiet());
	CHECK_EQ(write(fds[1], "x", 1), 1);
	CHECK(fact_tells(&writes[0], EV_ONESHOT, 0));
	CHECK(fact_event(&event));
	CHECK_EQ(event.ident, (uintptr_t)&sync_cb);
	(void)aio_return(&sync_cb);
	CHECK_EQ(aio_return(&writes[0]), 1);
}

/* Nor is it the end of another file's read that ends its wait. */
static void
only_its_own_end(void)
{
	struct kevent event;
	int fds[2];
	int other[2];

	if (!fifo_open(fds)) {
		SKIP("vfs.aio.enable_unsafe is not set");
	}
	(void)fifo_open(other);
	fact_prepare(&writes[0], fds[0], block, 1, EV_ONESHOT);
	fact_prepare(&writes[1], other[0], block + 1, 1, EV_ONESHOT);
	CHECK_EQ(aio_read(&writes[0]), 0);
	CHECK_EQ(aio_read(&writes[1]), 0);
	sync_prepare(fds[0]);
	fact_prepare(&other_sync, other[0], NULL, 0, EV_ONESHOT);
	CHECK_EQ(aio_fsync(O_SYNC, &sync_cb), 0);
	CHECK_EQ(aio_fsync(O_SYNC, &other_sync), 0);
	CHECK_EQ(write(other[1], "x", 1), 1);
	CHECK(fact_tells(&writes[1], EV_ONESHOT, 0));
	CHECK(fact_event(&event));
	CHECK_EQ(event.ident, (uintptr_t)&other_sync);
	(void)aio_return(&other_sync);
	CHECK(syncs_come(fds[1]));
	CHECK_EQ(aio_error(&sync_cb), EINPROGRESS);
	CHECK_EQ(write(fds[1], "x", 1), 1);
	CHECK(fact_tells(&writes[0], EV_ONESHOT, 0));
	CHECK(fact_event(&event));
	CHECK_EQ(event.ident, (uintptr_t)&sync_cb);
	(void)aio_return(&sync_cb);
	CHECK_EQ(aio_return(&writes[0]), 1);
	CHECK_EQ(aio_return(&writes[1]), 1);
}

static void
failed_write_does_not_show(void)
{
	void *bad = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_NONE,
	    MAP_PRIVATE | MAP_ANON, -1, 0);
	int fd = fact_file("");

	CHECK(bad != MAP_FAILED);
	fact_prepare(&writes[0], fd, bad, 16, EV_ONESHOT);
	CHECK_EQ(aio_write(&writes[0]), 0);
	sync_prepare(fd);
	CHECK_EQ(aio_fsync(O_SYNC, &sync_cb), 0);
	CHECK(fact_tells(&writes[0], EV_ONESHOT, EFAULT));
	CHECK(fact_tells(&sync_cb, EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&sync_cb), 0);
	CHECK_ERRNO(aio_return(&writes[0]), EFAULT);
}

static void
nothing_to_wait_for(void)
{
	sync_prepare(fact_file("0123"));
	CHECK_EQ(aio_fsync(O_SYNC, &sync_cb), 0);
	CHECK(fact_tells(&sync_cb, EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&sync_cb), 0);
}

static void
read_only(void)
{
	sync_prepare(fact_keep(open(fact_directory(), O_RDONLY)));
	CHECK_EQ(aio_fsync(O_SYNC, &sync_cb), 0);
	CHECK(fact_tells(&sync_cb, EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&sync_cb), 0);
}

static void
other_ops(void)
{
	sync_prepare(fact_file(""));
	CHECK_ERRNO(aio_fsync(0, &sync_cb), EINVAL);
	CHECK_ERRNO(aio_fsync(0x7fff, &sync_cb), EINVAL);
	CHECK_ERRNO(aio_fsync(O_RDWR, &sync_cb), EINVAL);
	CHECK(fact_is_quiet());
}

static void
no_vnode(void)
{
	int ends[2];

	fact_pair(ends);
	sync_prepare(ends[0]);
	CHECK_ERRNO(aio_fsync(O_SYNC, &sync_cb), EINVAL);
	CHECK_EQ(aio_error(&sync_cb), EINVAL);
	CHECK_EQ(pipe(ends), 0);
	(void)fact_keep(ends[0]);
	(void)fact_keep(ends[1]);
	sync_prepare(ends[1]);
	CHECK_ERRNO(aio_fsync(O_SYNC, &sync_cb), EINVAL);
	CHECK(fact_is_quiet());
}

static void
unsafe_vnode(void)
{
	if (fact_sysctl("vfs.aio.enable_unsafe") != 0) {
		SKIP("vfs.aio.enable_unsafe is set");
	}
	sync_prepare(fact_keep(open("/dev/null", O_RDWR)));
	CHECK_ERRNO(aio_fsync(O_SYNC, &sync_cb), EOPNOTSUPP);
	CHECK_EQ(aio_error(&sync_cb), EOPNOTSUPP);
	CHECK(fact_is_quiet());
}

static void
no_descriptor(void)
{
	sync_prepare(-1);
	CHECK_ERRNO(aio_fsync(O_SYNC, &sync_cb), EBADF);
	CHECK_EQ(aio_error(&sync_cb), EBADF);
	CHECK(fact_is_quiet());
}

#if defined(O_DSYNC)
static void
data_only(void)
{
	int version = fact_sysctl("kern.osreldate");
	int fd = fact_file("");
	int rc;

	CHECK(writes_start(fd));
	sync_prepare(fd);
	rc = aio_fsync(O_DSYNC, &sync_cb);
	if (rc == 0) {
		CHECK(version < 0 || version >= DSYNC_SINCE);
		writes_then_sync();
		return;
	}
	CHECK_EQ(errno, EINVAL);
	CHECK(version < DSYNC_SINCE);
	for (int i = 0; i < WRITES; i++) {
		CHECK_EQ(fact_settle(&writes[i]), 0);
		CHECK_EQ(aio_return(&writes[i]), BLOCK);
	}
	CHECK(fact_is_quiet());
}
#else
static void
data_only(void)
{
	SKIP("these headers have no O_DSYNC");
}
#endif

/* Lock what is at buffer; the event's data, or -1 if there is none. */
static long
lock_memory(void *buffer, size_t size)
{
	struct kevent event;

	fact_prepare(&sync_cb, -1, buffer, size, EV_ONESHOT);
	if (aio_mlock(&sync_cb) != 0) {
		printf("# aio_mlock: %s\n", strerror(errno));
		return (-1);
	}
	if (!fact_event(&event) || event.ident != (uintptr_t)&sync_cb) {
		return (-1);
	}
	if (aio_return(&sync_cb) != (event.data == 0 ? 0 : -1)) {
		return (-1);
	}
	return ((long)event.data);
}

/* A page of memory, or NULL. */
static void *
page_map(void)
{
	void *page = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE),
	    PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);

	return (page == MAP_FAILED ? NULL : page);
}

static void
mlock_ignores_the_descriptor(void)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	void *page = page_map();

	CHECK(page != NULL);
	CHECK_EQ(lock_memory(page, size), 0);
	CHECK_EQ(munlock(page, size), 0);
	(void)munmap(page, size);
}

static void
mlock_of_nothing(void)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	void *page = page_map();

	CHECK(page != NULL);
	CHECK_EQ(munmap(page, size), 0);
	CHECK_EQ(lock_memory(page, size), ENOMEM);
}

static void
mlock_beyond_the_limit(void)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	void *page = page_map();
	struct rlimit old;
	struct rlimit none;
	long error;

	CHECK(page != NULL);
	CHECK_EQ(getrlimit(RLIMIT_MEMLOCK, &old), 0);
	none = old;
	none.rlim_cur = 0;
	CHECK_EQ(setrlimit(RLIMIT_MEMLOCK, &none), 0);
	error = lock_memory(page, size);
	CHECK_EQ(setrlimit(RLIMIT_MEMLOCK, &old), 0);
	(void)munmap(page, size);
	CHECK_EQ(error, ENOMEM);
}

static const struct fact facts[] = {
	{ "2.10 a sync comes after the earlier writes", waits_for_writes },
	{ "2.10 a sync by a duplicate comes after them too",
	    waits_by_a_duplicate },
	{ "2.10 a sync comes after the writes of an earlier list",
	    waits_for_a_list },
	{ "2.10 a sync by another open file is carried out",
	    another_open_file },
	{ "2.10 it does not wait for those of another open file",
	    only_its_own_open_file },
	{ "2.10 nor ends its wait with the end of another file's",
	    only_its_own_end },
	{ "2.10 syncs of two files come after the writes of each", two_files },
	{ "2.10 a failed write does not fail the sync",
	    failed_write_does_not_show },
	{ "2.10 a sync with nothing to wait for", nothing_to_wait_for },
	{ "0 sync: a read-only descriptor is fine", read_only },
	{ "0 sync: any other op is EINVAL", other_ops },
	{ "2.10 a socket or a pipe is EINVAL", no_vnode },
	{ "2.10 a device is EOPNOTSUPP", unsafe_vnode },
	{ "2.10 a bad descriptor is EBADF", no_descriptor },
	{ "2.10 O_DSYNC waits as well from 13.0 on, and is EINVAL before",
	    data_only },
	{ "2.11 aio_mlock ignores the descriptor",
	    mlock_ignores_the_descriptor },
	{ "0 mlock: unmapped memory shows as ENOMEM in the event",
	    mlock_of_nothing },
	{ "0 mlock: the limit of locked memory shows as ENOMEM in the event",
	    mlock_beyond_the_limit },
};

int
main(void)
{
	return (fact_main(facts, FACT_COUNT(facts)));
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lio_listio(2): what it refuses, what it starts all the same, and where the
 * verdict of each entry is.
 */
#include "lists.h"

#include <sys/uio.h>

_Static_assert(LIO_NOP == 0 && LIO_WRITE == 1 && LIO_READ == 2, "opcodes");

static struct batch batch;

static void
bad_mode(void)
{
	batch_prepare(&batch, fact_file("0123"), false);
	CHECK_ERRNO(lio_listio(7, batch.list, ENTRIES, NULL), EINVAL);
	CHECK(fact_is_quiet());
}

static void
bad_count(void)
{
	batch_prepare(&batch, fact_file("0123"), false);
	CHECK_ERRNO(batch_submit(&batch, -1), EINVAL);
	CHECK(fact_is_quiet());
}

static void
bad_sigevent(void)
{
	batch_prepare(&batch, fact_file("0123"), false);
	batch.told.sigev_notify = 99;
	CHECK_ERRNO(batch_submit(&batch, ENTRIES), EINVAL);
	batch.told.sigev_notify = SIGEV_KEVENT;
	batch.told.sigev_notify_kqueue = -1;
	CHECK_ERRNO(batch_submit(&batch, ENTRIES), EBADF);
	CHECK(fact_is_quiet());
}

/* Entry 1 is refused, the others are carried out. */
static void
check_entry_1(int error)
{
	CHECK_ERRNO(batch_submit(&batch, ENTRIES), EIO);
	CHECK_EQ(aio_error(&batch.cbs[1]), error);
	CHECK(batch_tells(&batch));
	CHECK(batch_return(&batch, 0, 1));
	CHECK(batch_return(&batch, 2, ENTRIES - 2));
	CHECK_ERRNO(aio_return(&batch.cbs[1]), EINVAL);
	CHECK(fact_is_quiet());
}

static void
refused_descriptor(void)
{
	batch_prepare(&batch, fact_file("0123"), false);
	batch.cbs[1].aio_fildes = -1;
	check_entry_1(EBADF);
}

static void
refused_offset(void)
{
	batch_prepare(&batch, fact_file("0123"), false);
	batch.cbs[1].aio_offset = -1;
	check_entry_1(EINVAL);
}

static void
refused_sigevent(void)
{
	batch_prepare(&batch, fact_file("0123"), false);
	batch.cbs[1].aio_sigevent.sigev_notify = 99;
	check_entry_1(EINVAL);
}

static void
refused_flags(void)
{
	batch_prepare(&batch, fact_file("0123"), false);
	batch.cbs[1].aio_sigevent.sigev_notify = SIGEV_KEVENT;
	batch.cbs[1].aio_sigevent.sigev_notify_kevent_flags = EV_ADD;
	check_entry_1(EINVAL);
}

static void
refused_opcode(void)
{
	batch_prepare(&batch, fact_file("0123"), false);
	batch.cbs[1].aio_lio_opcode = 0x7f00;
	check_entry_1(EINVAL);
}

/*
 * LIO_SYNC, LIO_DSYNC and LIO_MLOCK as headers of 13 and later number them;
 * 12.1 does not know these numbers at all.
 */
static void
refused_sync(void)
{
	static const int opcodes[] = { 0x8, 0x10 | 0x8, 0x20 };

	for (size_t i = 0; i < FACT_COUNT(opcodes); i++) {
		batch_prepare(&batch, fact_file("0123"), false);
		batch.cbs[1].aio_lio_opcode = opcodes[i];
		check_entry_1(EINVAL);
	}
}

/* The refused entry has no event of its own, the others have theirs. */
static void
refused_tells_nothing(void)
{
	batch_prepare(&batch, fact_file("0123"), true);
	batch.cbs[0].aio_fildes = -1;
	CHECK_ERRNO(lio_listio(LIO_NOWAIT, batch.list, 2, NULL), EIO);
	CHECK(fact_tells(&batch.cbs[1], EV_ONESHOT, 0));
	CHECK(fact_is_quiet());
	CHECK_EQ(aio_return(&batch.cbs[1]), 1);
}

static void
refused_is_resubmitted(void)
{
	int fd = fact_file("0123");

	batch_prepare(&batch, fd, true);
	batch.cbs[0].aio_fildes = -1;
	CHECK_ERRNO(lio_listio(LIO_NOWAIT, batch.list, 1, NULL), EIO);
	batch.cbs[0].aio_fildes = fd;
	CHECK_EQ(lio_listio(LIO_NOWAIT, batch.list, 1, NULL), 0);
	CHECK(fact_tells(&batch.cbs[0], EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&batch.cbs[0]), 1);
}

static void
nulls_and_nops(void)
{
	batch_prepare(&batch, fact_file("0123"), true);
	batch.list[0] = NULL;
	batch.cbs[1].aio_lio_opcode = LIO_NOP;
	batch.list[2] = NULL;
	CHECK_EQ(lio_listio(LIO_NOWAIT, batch.list, ENTRIES, NULL), 0);
	CHECK(fact_tells(&batch.cbs[3], EV_ONESHOT, 0));
	CHECK(fact_is_quiet());
	CHECK_EQ(aio_return(&batch.cbs[3]), 1);
}

static void
writes_and_reads(void)
{
	int fd = fact_file("0123");
	char byte;

	batch_prepare(&batch, fd, true);
	batch.cbs[1].aio_lio_opcode = LIO_WRITE;
	batch.cbs[1].aio_offset = 2;
	batch.bytes[1] = 'x';
	CHECK_EQ(batch_submit(&batch, 2), 0);
	CHECK_EQ(fact_settle(&batch.cbs[0]), 0);
	CHECK_EQ(fact_settle(&batch.cbs[1]), 0);
	CHECK(batch_return(&batch, 0, 2));
	CHECK_EQ(batch.bytes[0], '0');
	CHECK_EQ(pread(fd, &byte, 1, 2), 1);
	CHECK_EQ(byte, 'x');
}

static void
wait_reports_refusal(void)
{
	batch_prepare(&batch, fact_file("0123"), false);
	batch.cbs[1].aio_fildes = -1;
	CHECK_ERRNO(lio_listio(LIO_WAIT, batch.list, 3, NULL), EIO);
	CHECK_EQ(aio_error(&batch.cbs[0]), 0);
	CHECK_EQ(aio_error(&batch.cbs[1]), EBADF);
	CHECK_EQ(aio_error(&batch.cbs[2]), 0);
	CHECK(batch_return(&batch, 0, 1));
	CHECK(batch_return(&batch, 2, 1));
}

#if defined(FILCH_HAVE_LIO_READV)
static void
vectored_entries(void)
{
	int fd = fact_file("0123");
	char bytes[2][2] = { "", "" };
	struct iovec iov[2] = { { bytes[0], 2 }, { bytes[1], 1 } };

	batch_prepare(&batch, fd, true);
	batch.cbs[0].aio_lio_opcode = LIO_READV;
	batch.cbs[0].aio_iov = iov;
	batch.cbs[0].aio_iovcnt = 2;
	batch.cbs[0].aio_offset = 1;
	if (lio_listio(LIO_NOWAIT, batch.list, 1, NULL) != 0) {
		SKIP("this kernel has no LIO_READV");
	}
	CHECK(fact_tells(&batch.cbs[0], EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&batch.cbs[0]), 3);
	CHECK_EQ(memcmp(bytes[0], "12", 2), 0);
	CHECK_EQ(bytes[1][0], '3');
}
#else
static void
vectored_entries(void)
{
	SKIP("these headers have no LIO_READV");
}
#endif

/* LIO_FOFFSET: where the kernel knows it, the transfer moves the offset. */
static void
offset_of_the_file(void)
{
	int fd = fact_file("0123");

	batch_prepare(&batch, fd, true);
	batch.cbs[0].aio_lio_opcode = LIO_READ | 0x40;
	CHECK_EQ(lseek(fd, 2, SEEK_SET), 2);
	if (lio_listio(LIO_NOWAIT, batch.list, 1, NULL) != 0) {
		CHECK_EQ(aio_error(&batch.cbs[0]), EINVAL);
		SKIP("this kernel has no LIO_FOFFSET");
	}
	CHECK(fact_tells(&batch.cbs[0], EV_ONESHOT, 0));
	CHECK_EQ(aio_return(&batch.cbs[0]), 1);
	CHECK_EQ(batch.bytes[0], '2');
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 3);
}

static const struct fact facts[] = {
	{ "2.4 a bad mode is EINVAL", bad_mode },
	{ "2.4 a negative count is EINVAL", bad_count },
	{ "2.4 a bad sigevent of the list is EINVAL or EBADF", bad_sigevent },
	{ "2.4 a bad descriptor: EIO, aio_error EBADF, the others run",
	    refused_descriptor },
	{ "2.4 a bad offset: EIO, aio_error EINVAL, the others run",
	    refused_offset },
	{ "2.3 a bad sigevent of an entry: EIO, EINVAL, the others run",
	    refused_sigevent },
	{ "2.3 bad kevent flags of an entry: EIO, EINVAL, the others run",
	    refused_flags },
	{ "2.4 an unknown opcode: EIO, EINVAL, the others run",
	    refused_opcode },
	{ "2.4 LIO_SYNC, LIO_DSYNC and LIO_MLOCK in a list: EIO, EINVAL",
	    refused_sync },
	{ "2.4 a refused entry has no event", refused_tells_nothing },
	{ "2.4 a refused entry may be submitted again",
	    refused_is_resubmitted },
	{ "2.4 NULL and LIO_NOP entries are passed over", nulls_and_nops },
	{ "2.4 LIO_READ is 2 and LIO_WRITE is 1: both in one list",
	    writes_and_reads },
	{ "2.4 LIO_WAIT waits for what was started and says EIO",
	    wait_reports_refusal },
	{ "2.4 LIO_READV in a list", vectored_entries },
	{ "2.4 LIO_FOFFSET is refused or uses the file's offset",
	    offset_of_the_file },
};

int
main(void)
{
	return (fact_main(facts, FACT_COUNT(facts)));
}

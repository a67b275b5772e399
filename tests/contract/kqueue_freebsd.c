/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * FreeBSD's lio_test, lio_kqueue_test and aio_kqueue_test: what they do, told
 * by an Aio.
 */
#include "own_list.h"

#if defined(FILCH_HAVE_KQUEUE)
/*
 * A list of which the first part was taken: that part is told, the rest says
 * EAGAIN and is submitted again when there is room.
 */
static const char *
partial(struct contract *contract)
{
	static struct list list;
	struct aio_crowd crowd;
	unsigned taken = ENTRIES / 2 + 1;

	CHECK_OK(open_file(contract));
	CHECK_OK(list_make(contract, &list, ENTRIES));
	CHECK_OK(aio_crowd_take(&crowd, taken));
	CHECK_EQ(list_submit(&list, ENTRIES), -EAGAIN);
	CHECK_OK(list_is_told(contract, &list));
	for (unsigned i = 0; i < ENTRIES; i++) {
		CHECK_EQ(aio_error(&list.cbs[i]), i < taken ? 0 : EAGAIN);
	}
	CHECK_OK(list_reap(&list, taken));
	own_clear(&list.own);
	CHECK_EQ(own_look(contract, &list.own), 1);
	/* what is reaped has made the room */
	memmove(list.array, list.array + taken,
	    (ENTRIES - taken) * sizeof(list.array[0]));
	CHECK_EQ(list_submit(&list, ENTRIES - taken), 0);
	CHECK_OK(list_is_told(contract, &list));
	for (unsigned i = taken; i < ENTRIES; i++) {
		CHECK_EQ(aiocb_return(&list.cbs[i]), 1);
	}
	aio_crowd_give(&crowd);
	CHECK_EQ(lseek(file, 0, SEEK_END), ENTRIES);
	filch_aio_destroy(list.own.aio);
	(void)close(file);
	return (NULL);
}

/*
 * A list of which nothing was taken: its event is there for a moment, inside of
 * lio_listio(2), where a kevent(2) that is running may catch it.
 */
static const char *
nothing_taken(struct contract *contract, struct list *list)
{
	if (own_look(contract, &list->own) == 0) {
		CHECK_OK(list_is_told(contract, list));
		own_clear(&list->own);
	}
	return (NULL);
}

/*
 * Of such a list nobody has to be told: its owner knows from lio_listio(2)
 * itself.  It is none the worse for it.
 */
static const char *
empty_nowait(struct contract *contract)
{
	static struct list list;

	CHECK_OK(open_file(contract));
	CHECK_OK(list_make(contract, &list, ENTRIES));
	CHECK_EQ(list_submit(&list, 0), 0);
	CHECK_OK(nothing_taken(contract, &list));
	memset(list.array, 0, sizeof(list.array));
	CHECK_EQ(list_submit(&list, ENTRIES), 0);
	CHECK_OK(nothing_taken(contract, &list));
	filch_aio_destroy(list.own.aio);
	CHECK_OK(list_make(contract, &list, ENTRIES));
	for (unsigned i = 0; i < ENTRIES; i++) {
		list.cbs[i].aio_fildes = -1;
	}
	CHECK_EQ(list_submit(&list, ENTRIES), -EIO);
	for (unsigned i = 0; i < ENTRIES; i++) {
		CHECK_EQ(aio_error(&list.cbs[i]), EBADF);
		list.cbs[i].aio_fildes = file;
	}
	CHECK_OK(nothing_taken(contract, &list));
	CHECK_EQ(list_submit(&list, ENTRIES), 0);
	do {
		/* or it was that moment's */
		CHECK_OK(list_is_told(contract, &list));
		own_clear(&list.own);
	} while (list_is_running(&list, ENTRIES));
	CHECK_OK(list_reap(&list, ENTRIES));
	filch_aio_destroy(list.own.aio);
	(void)close(file);
	return (NULL);
}

/* A LIO_WAIT tells by returning, with nothing to wait for at once. */
static const char *
empty_wait(struct contract *contract)
{
	static struct list list;

	CHECK_OK(open_file(contract));
	CHECK_OK(list_make(contract, &list, ENTRIES));
	CHECK_EQ(lio_listio(LIO_WAIT, list.array, 0, &list.sigevent), 0);
	CHECK_EQ(lio_listio(LIO_WAIT, list.array, ENTRIES, &list.sigevent), 0);
	CHECK_OK(list_reap(&list, ENTRIES));
	CHECK_EQ(own_look(contract, &list.own), 1);
	filch_aio_destroy(list.own.aio);
	(void)close(file);
	return (NULL);
}

static const char *
opcodes(struct contract *contract)
{
	static struct list list;
	char read_back[2] = "";

	file = contract_file(contract, "file", "0123456789");
	CHECK(file >= 0);
	CHECK_OK(list_make(contract, &list, 3));
	aiocb_fill(&list.cbs[0], LIO_READ, file, read_back, 1, 7);
	list.cbs[1].aio_lio_opcode = LIO_NOP;
	CHECK_EQ(list_submit(&list, 3), 0);
	CHECK_OK(list_is_told(contract, &list));
	CHECK_EQ(aiocb_return(&list.cbs[0]), 1);
	CHECK_EQ(read_back[0], '7');
	CHECK_EQ(aiocb_return(&list.cbs[2]), 1);
	CHECK_EQ(pread(file, read_back, 2, 1), 2);
	CHECK_EQ(memcmp(read_back, "1c", 2), 0);
	filch_aio_destroy(list.own.aio);
	(void)close(file);
	return (NULL);
}

#if defined(FILCH_HAVE_LIO_READV)
static const char *
vectored_opcodes(struct contract *contract)
{
	static struct list list;
	char read_back[4] = "";
	struct iovec from[2] = { { read_back, 1 }, { read_back + 1, 1 } };
	char abc[] = "abc";
	struct iovec to[2] = { { abc, 2 }, { abc + 2, 1 } };

	file = contract_file(contract, "file", "0123456789");
	CHECK(file >= 0);
	CHECK_OK(list_make(contract, &list, 2));
	list.cbs[0].aio_lio_opcode = LIO_READV;
	list.cbs[0].aio_offset = 8;
	list.cbs[0].aio_iov = from;
	list.cbs[0].aio_iovcnt = 2;
	list.cbs[1].aio_lio_opcode = LIO_WRITEV;
	list.cbs[1].aio_offset = 0;
	list.cbs[1].aio_iov = to;
	list.cbs[1].aio_iovcnt = 2;
	CHECK_EQ(list_submit(&list, 2), 0);
	CHECK_OK(list_is_told(contract, &list));
	CHECK_EQ(aiocb_return(&list.cbs[0]), 2);
	CHECK_EQ(memcmp(read_back, "89", 2), 0);
	CHECK_EQ(aiocb_return(&list.cbs[1]), 3);
	CHECK_EQ(pread(file, read_back, 4, 0), 4);
	CHECK_EQ(memcmp(read_back, "abc3", 4), 0);
	filch_aio_destroy(list.own.aio);
	(void)close(file);
	return (NULL);
}
#else
static const char *
vectored_opcodes(struct contract *contract)
{
	(void)contract;
	SKIP("no LIO_READV here");
}
#endif

static const char *
invalid_opcode(struct contract *contract)
{
	static struct list list;

	CHECK_OK(open_file(contract));
	CHECK_OK(list_make(contract, &list, ENTRIES));
	list.cbs[5].aio_lio_opcode = 3; /* the kernel's own LIO_SYNC */
	CHECK_EQ(list_submit(&list, ENTRIES), -EIO);
	CHECK_OK(list_is_told(contract, &list));
	CHECK_EQ(aio_error(&list.cbs[5]), EINVAL);
	for (unsigned i = 0; i < ENTRIES; i++) {
		CHECK_EQ(aiocb_return(&list.cbs[i]), i == 5 ? -EINVAL : 1);
	}
	filch_aio_destroy(list.own.aio);
	(void)close(file);
	return (NULL);
}

#define RUNS  300
#define LISTS 5

static const char *
lio_kqueue(struct contract *contract)
{
	static struct list lists[LISTS];

	CHECK_OK(open_file(contract));
	for (int i = 0; i < LISTS; i++) {
		CHECK_OK(list_make(contract, &lists[i], ENTRIES));
	}
	for (int run = 0; run < RUNS; run++) {
		for (int i = 0; i < LISTS; i++) {
			CHECK_EQ(list_submit(&lists[i], ENTRIES), 0);
		}
		for (int i = 0; i < LISTS; i++) {
			CHECK_OK(list_is_told(contract, &lists[i]));
			CHECK_OK(list_reap(&lists[i], ENTRIES));
			own_clear(&lists[i].own);
		}
	}
	for (int i = 0; i < LISTS; i++) {
		CHECK_EQ(own_look(contract, &lists[i].own), 1);
		filch_aio_destroy(lists[i].own.aio);
	}
	(void)close(file);
	return (NULL);
}

struct single {
	struct own own;
	struct aiocb cb;
	char byte;
};

/* Each is told once, by its own token; a cancelled one as that, or as done. */
static const char *
singles_run(struct contract *contract, struct single *singles, unsigned count,
    unsigned *random)
{
	for (unsigned i = 0; i < count; i++) {
		CHECK_EQ(aiocb_submit(&singles[i].cb), 0);
		*random = *random * 1103515245 + 12345;
		if (*random / 65536 % 61 == 0) {
			CHECK(aio_cancel(file, &singles[i].cb) >= 0);
		}
	}
	for (unsigned i = 0; i < count; i++) {
		int64_t result;

		CHECK_EQ(own_wait(contract, &singles[i].own), 0);
		result = aiocb_return(&singles[i].cb);
		CHECK(result == 1 || result == -ECANCELED);
		CHECK_EQ(singles[i].own.event.result, result < 0 ? result : 0);
		own_clear(&singles[i].own);
	}
	return (NULL);
}

static const char *
aio_kqueue(struct contract *contract)
{
	unsigned count = aio_jobs_max();
	struct single *singles = calloc(count, sizeof(*singles));
	unsigned random = 1;

	CHECK(singles != NULL);
	CHECK_OK(open_file(contract));
	for (unsigned i = 0; i < count; i++) {
		CHECK_OK(own_make(contract, &singles[i].own, 0));
		aiocb_fill(&singles[i].cb, LIO_WRITE, file, &singles[i].byte, 1,
		    (off_t)i);
		sigevent_bind(&singles[i].cb.aio_sigevent,
		    &singles[i].own.registrar, i % 2 == 0 ? EV_ONESHOT : 0);
	}
	for (int run = 0; run < RUNS; run++) {
		CHECK_OK(singles_run(contract, singles, count, &random));
	}
	for (unsigned i = 0; i < count; i++) {
		filch_aio_destroy(singles[i].own.aio);
	}
	free(singles);
	(void)close(file);
	return (NULL);
}

static const char *
no_signal(struct contract *contract)
{
	(void)contract;
	SKIP("filch is told of no completion by a signal (SIGEV_SIGNAL)");
}

static const char *
no_thread(struct contract *contract)
{
	(void)contract;
	SKIP("filch is told of no completion by a thread (SIGEV_THREAD)");
}
#endif

static const struct own_row rows[] = {
	OWN_ROW("FreeBSD lio_listio_eagain_kevent", partial),
	OWN_ROW("FreeBSD lio_listio_empty_wait", empty_wait),
	OWN_ROW("FreeBSD lio_listio_empty_nowait_kevent", empty_nowait),
	OWN_ROW("FreeBSD lio_listio_empty_nowait_signal", no_signal),
	OWN_ROW("FreeBSD lio_listio_empty_nowait_thread", no_thread),
	OWN_ROW("FreeBSD lio_listio_opcodes", opcodes),
	OWN_ROW("FreeBSD lio_listio_opcodes, vectored", vectored_opcodes),
	OWN_ROW("FreeBSD lio_listio_invalid_opcode", invalid_opcode),
	OWN_ROW("FreeBSD lio_kqueue_test", lio_kqueue),
	OWN_ROW("FreeBSD aio_kqueue_test", aio_kqueue),
};

int
main(void)
{
	return (own_main(rows, CONTRACT_COUNT(rows), NULL));
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lists of a program's own and their Aios, as a user of lio_listio(2) and
 * kqueue(2) expects it.
 *
 * A list's event repeats until all of it is reaped, whatever its flags say,
 * and the kernel knows it by the address of its array alone.
 */
#include "batch_task.h"
#include "own_list.h"

#if defined(FILCH_HAVE_KQUEUE)
/* Submitted before a first poll and after, used again, cleared either way. */
static const char *
reuse(struct contract *contract)
{
	static struct list list;

	CHECK_OK(open_file(contract));
	CHECK_OK(list_make(contract, &list, ENTRIES));
	for (int round = 0; round < 200; round++) {
		CHECK_OK(list_run(contract, &list, ENTRIES));
		CHECK_EQ(list_submit(&list, ENTRIES), 0);
		CHECK_OK(list_is_told(contract, &list));
		own_clear(&list.own);
		CHECK_OK(list_reap(&list, ENTRIES));
	}
	CHECK_EQ(lseek(file, 0, SEEK_END), ENTRIES);
	filch_aio_destroy(list.own.aio);
	(void)close(file);
	return (NULL);
}

static const char *
no_spin(struct contract *contract)
{
	static struct list list;

	CHECK_OK(open_file(contract));
	CHECK_OK(list_make(contract, &list, ENTRIES));
	CHECK_EQ(list_submit(&list, ENTRIES), 0);
	CHECK_OK(list_is_told(contract, &list));
	CHECK(own_wakes(contract) < OWN_WAKES_MAX);
	/* one is left: the kernel still takes the list for alive */
	CHECK_OK(list_reap(&list, ENTRIES - 1));
	own_clear(&list.own);
	CHECK(own_wakes(contract) < OWN_WAKES_MAX);
	CHECK_EQ(aiocb_return(&list.cbs[ENTRIES - 1]), 1);
	CHECK_OK(list_run(contract, &list, ENTRIES));
	filch_aio_destroy(list.own.aio);
	(void)close(file);
	return (NULL);
}

/* As long as one job is not reaped the list is told again, once a clear. */
static const char *
told_again(struct contract *contract)
{
	static struct list list;

	CHECK_OK(open_file(contract));
	CHECK_OK(list_make(contract, &list, ENTRIES));
	CHECK_EQ(list_submit(&list, ENTRIES), 0);
	for (unsigned i = 0; i < ENTRIES; i++) {
		CHECK_OK(list_is_told(contract, &list));
		CHECK_EQ(aiocb_return(&list.cbs[i]), 1);
		own_clear(&list.own);
	}
	CHECK_EQ(own_look(contract, &list.own), 1);
	CHECK_OK(list_run(contract, &list, ENTRIES));
	filch_aio_destroy(list.own.aio);
	(void)close(file);
	return (NULL);
}

/* The Aio goes before the list has ended; then its memory is another's. */
static const char *
given_up_in_flight(struct contract *contract)
{
	static struct list list;
	static struct list other;
	int fds[2];

	CHECK_OK(open_file(contract));
	CHECK_OK(list_make(contract, &other, 1));
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	for (int round = 0; round < 20; round++) {
		CHECK_OK(list_make(contract, &list, ENTRIES));
		aiocb_fill(
		    &list.cbs[0], LIO_READ, fds[0], &list.bytes[0], 1, 0);
		CHECK_EQ(list_submit(&list, ENTRIES), 0);
		filch_aio_destroy(list.own.aio);
		CHECK_EQ(write(fds[1], "x", 1), 1);
		for (int i = 0; i < ENTRIES; i++) {
			aiocb_await(&list.cbs[i]);
		}
		/* when this is told, what came before has been dealt with */
		CHECK_OK(list_run(contract, &other, 1));
		CHECK_OK(list_reap(&list, ENTRIES));
		CHECK_OK(list_make(contract, &list, ENTRIES));
		CHECK_OK(list_run(contract, &list, ENTRIES));
		filch_aio_destroy(list.own.aio);
	}
	filch_aio_destroy(other.own.aio);
	(void)close(fds[0]);
	(void)close(fds[1]);
	(void)close(file);
	return (NULL);
}

/* ---- lists that are not taken as a whole ---- */

/* A wrong entry is its own; the others run, and the list is told of. */
static const char *
bad_entry(struct contract *contract)
{
	static struct list list;

	CHECK_OK(open_file(contract));
	for (unsigned bad = 0; bad < ENTRIES; bad++) {
		CHECK_OK(list_make(contract, &list, ENTRIES));
		list.cbs[bad].aio_fildes = -1;
		CHECK_EQ(list_submit(&list, ENTRIES), -EIO);
		CHECK_OK(list_is_told(contract, &list));
		CHECK_EQ(aio_error(&list.cbs[bad]), EBADF);
		for (unsigned i = 0; i < ENTRIES; i++) {
			CHECK_EQ(
			    aiocb_return(&list.cbs[i]), i == bad ? -EINVAL : 1);
		}
		own_clear(&list.own);
		CHECK_EQ(own_look(contract, &list.own), 1);
		/* repaired, the same list goes well */
		list.cbs[bad].aio_fildes = file;
		CHECK_OK(list_run(contract, &list, ENTRIES));
		filch_aio_destroy(list.own.aio);
	}
	(void)close(file);
	return (NULL);
}

/* An entry that fails while it runs is told by its own result alone. */
static const char *
failing_entry(struct contract *contract)
{
	static struct list list;

	CHECK_OK(open_file(contract));
	CHECK_OK(list_make(contract, &list, ENTRIES));
	list.cbs[3].aio_buf = (void *)1;
	CHECK_EQ(list_submit(&list, ENTRIES), 0);
	CHECK_OK(list_is_told(contract, &list));
	for (unsigned i = 0; i < ENTRIES; i++) {
		CHECK_EQ(aiocb_return(&list.cbs[i]), i == 3 ? -EFAULT : 1);
	}
	filch_aio_destroy(list.own.aio);
	(void)close(file);
	return (NULL);
}

/* The same of filch's own: it ends, with a result of each. */
static const char *
batch_empty(struct contract *contract)
{
	static struct batch_task batch;
	static struct filch_op ops[ENTRIES];
	struct filch_op *pointers[ENTRIES];
	struct filch_file closed = FILCH_FILE_INIT;
	struct filch_file write_only;
	char byte;

	file = contract_file(contract, "file", "x");
	CHECK(file >= 0);
	(void)close(file);
	file = openat(contract->directory, "file", O_WRONLY | O_CLOEXEC);
	CHECK_EQ(filch_file_init(&write_only, file), 0);
	for (unsigned i = 0; i < ENTRIES; i++) {
		filch_op_init_read(
		    &ops[i], i % 2 == 0 ? &closed : &write_only, &byte, 1, 0);
		filch_op_set_flags(&ops[i], FILCH_OP_NO_INLINE);
		pointers[i] = &ops[i];
	}
	CHECK_EQ(batch_task_run(contract, &batch, pointers, ENTRIES), ENTRIES);
	for (unsigned i = 0; i < ENTRIES; i++) {
		CHECK_EQ(filch_op_result(&ops[i]), -EBADF);
		pointers[i] = NULL;
	}
	CHECK_EQ(batch_task_run(contract, &batch, pointers, ENTRIES), 0);
	(void)close(file);
	return (NULL);
}

/* ---- entries that tell for themselves ---- */

/* Each entry has an Aio, and the list has one: all are told, once. */
static const char *
both_told(struct contract *contract)
{
	static const unsigned short flags[] = { EV_ONESHOT, 0, EV_CLEAR,
		EV_DISPATCH };
	static struct list list;
	static struct own owns[ENTRIES];

	CHECK_OK(open_file(contract));
	CHECK_OK(list_make(contract, &list, ENTRIES));
	for (unsigned i = 0; i < ENTRIES; i++) {
		CHECK_OK(own_make(contract, &owns[i], 0));
	}
	for (int round = 0; round < 50; round++) {
		for (unsigned i = 0; i < ENTRIES; i++) {
			sigevent_bind(&list.cbs[i].aio_sigevent,
			    &owns[i].registrar, flags[i % 4]);
		}
		CHECK_EQ(list_submit(&list, ENTRIES), 0);
		CHECK_OK(list_is_told(contract, &list));
		for (unsigned i = 0; i < ENTRIES; i++) {
			CHECK_EQ(own_wait(contract, &owns[i]), 0);
			CHECK_EQ(owns[i].event.interest, FILCH_INTEREST_AIO);
			CHECK_EQ(aiocb_return(&list.cbs[i]), 1);
			own_clear(&owns[i]);
		}
		own_clear(&list.own);
		CHECK_EQ(own_look(contract, &list.own), 1);
		CHECK_EQ(own_look(contract, &owns[round % ENTRIES]), 1);
	}
	for (unsigned i = 0; i < ENTRIES; i++) {
		filch_aio_destroy(owns[i].aio);
	}
	filch_aio_destroy(list.own.aio);
	(void)close(file);
	return (NULL);
}

/* A wrong sigevent of an entry is that entry's; nobody else minds. */
static const char *
bad_entry_sigevent(struct contract *contract)
{
	static struct list list;

	CHECK_OK(open_file(contract));
	CHECK_OK(list_make(contract, &list, ENTRIES));
	sigevent_bind(
	    &list.cbs[2].aio_sigevent, &list.own.registrar, EV_DISABLE);
	CHECK_EQ(list_submit(&list, ENTRIES), -EIO);
	CHECK_OK(list_is_told(contract, &list));
	CHECK_EQ(aio_error(&list.cbs[2]), EINVAL);
	for (unsigned i = 0; i < ENTRIES; i++) {
		CHECK_EQ(aiocb_return(&list.cbs[i]), i == 2 ? -EINVAL : 1);
	}
	filch_aio_destroy(list.own.aio);
	(void)close(file);
	return (NULL);
}
#endif

static const struct own_row rows[] = {
	OWN_ROW("used again, cleared and reaped in either order", reuse),
	OWN_ROW("a list does not make the reactor spin", no_spin),
	OWN_ROW("cleared and not reaped: told again", told_again),
	OWN_ROW("given up in flight, and its memory used again",
	    given_up_in_flight),
	OWN_ROW("a wrong entry: EIO, the others run", bad_entry),
	OWN_ROW("an entry that fails", failing_entry),
	OWN_ROW("a wrong sigevent of an entry", bad_entry_sigevent),
	OWN_ROW("entries and the list are told", both_told),
	OWN_ROW("a batch of which nothing is accepted ends", batch_empty),
};

int
main(void)
{
	return (own_main(rows, CONTRACT_COUNT(rows), NULL));
}

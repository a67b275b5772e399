/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The poll set alone, with pipes.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "../../include/private/atomic.h"
#include "../../include/private/file_flags.h"
#include "../../reactor/driver.h"
#include "../../reactor/poll_set.h"
#include "../../reactor/reactor.h"

/* More than the first slots and descriptors that there is room for. */
#define PIPES 100

static struct filch__poll_set set;
static struct filch__shard shards[2];
static struct filch_file files[PIPES];
static struct filch_op ops[PIPES];
static char bytes[PIPES][8];
static int writers[PIPES];

static void
open_pipe(int i)
{
	int fds[2];

	cr_assert_eq(pipe(fds), 0);
	cr_assert_eq(filch_file_init(&files[i], fds[0]), 0);
	writers[i] = fds[1];
}

static void
setup(void)
{
	cr_assert_eq(filch__poll_set_init(&set), 0);
	open_pipe(0);
}

static void
teardown(void)
{
	cr_assert_eq(set.slot_count, 0);
	filch__poll_set_fini(&set);
}

TestSuite(poll_set, .init = setup, .fini = teardown, .timeout = 60);

static struct filch__poll_slot *
add_read(int i, int pipe_index)
{
	filch_op_init_read(&ops[i], &files[pipe_index], bytes[i],
	    sizeof(bytes[i]), FILCH_OFFSET_CURRENT);
	ops[i].priv.shard = &shards[0];
	return (filch__poll_set_add(&set, &ops[i]));
}

static struct filch__poll_slot *
add_write(int i, struct filch_file *file)
{
	filch_op_init_write(
	    &ops[i], file, bytes[i], sizeof(bytes[i]), FILCH_OFFSET_CURRENT);
	ops[i].priv.shard = &shards[0];
	return (filch__poll_set_add(&set, &ops[i]));
}

Test(poll_set, an_added_operation_is_polling_in_its_descriptors_slot)
{
	int fd = files[0].fd;
	struct filch__poll_slot *slot;

	cr_assert_null(filch__poll_set_find(&set, fd));
	slot = add_read(0, 0);
	cr_assert_not_null(slot);
	cr_assert_eq(slot->fd, fd);
	cr_assert_eq(slot->armed, 0);
	cr_assert_eq(filch__poll_set_find(&set, fd), slot);
	cr_assert_eq(ops[0].priv.state, FILCH__OP_POLLING);
	filch__poll_set_remove(&set, &ops[0]);
	cr_assert_null(filch__poll_set_find(&set, fd));
	cr_assert_neq(ops[0].priv.state, FILCH__OP_POLLING);
}

Test(poll_set, a_descriptor_has_one_slot)
{
	struct filch__poll_slot *slot = add_read(0, 0);

	cr_assert_eq(add_read(1, 0), slot);
	cr_assert_eq(set.slot_count, 1);
	filch__poll_set_remove(&set, &ops[0]);
	cr_assert_eq(filch__poll_set_find(&set, files[0].fd), slot);
	filch__poll_set_remove(&set, &ops[1]);
}

Test(poll_set, unknown_descriptors_have_no_slot)
{
	(void)add_read(0, 0);
	cr_assert_null(filch__poll_set_find(&set, -1));
	cr_assert_null(filch__poll_set_find(&set, writers[0]));
	cr_assert_null(filch__poll_set_find(&set, 1 << 20));
	filch__poll_set_remove(&set, &ops[0]);
}

Test(poll_set, an_empty_slot_is_filled_by_the_last_one)
{
	int i;

	for (i = 1; i < 3; i++) {
		open_pipe(i);
	}
	for (i = 0; i < 3; i++) {
		add_read(i, i)->armed = (unsigned)i + 1;
	}
	filch__poll_set_remove(&set, &ops[0]);
	for (i = 1; i < 3; i++) {
		struct filch__poll_slot *slot =
		    filch__poll_set_find(&set, files[i].fd);

		cr_assert(slot < set.slots + set.slot_count);
		cr_assert_eq(slot->fd, files[i].fd);
		cr_assert_eq(slot->queue.head, &ops[i]);
		cr_assert_eq(slot->armed, (unsigned)i + 1);
	}
	filch__poll_set_remove(&set, &ops[2]);
	filch__poll_set_remove(&set, &ops[1]);
}

Test(poll_set, it_grows_and_keeps_what_it_has)
{
	int i;

	(void)add_read(0, 0);
	for (i = 1; i < PIPES; i++) {
		open_pipe(i);
		cr_assert_not_null(add_read(i, i));
	}
	cr_assert_eq(set.slot_count, PIPES);
	for (i = 0; i < PIPES; i++) {
		cr_assert_eq(
		    filch__poll_set_find(&set, files[i].fd)->queue.head,
		    &ops[i]);
		filch__poll_set_remove(&set, &ops[i]);
	}
}

Test(poll_set, a_large_descriptor_has_a_slot)
{
	int fd = fcntl(files[0].fd, F_DUPFD, 1000);

	cr_assert(fd >= 1000);
	files[0].fd = fd;
	cr_assert_eq(add_read(0, 0)->fd, fd);
	cr_assert_eq(filch__poll_set_find(&set, fd)->queue.head, &ops[0]);
	filch__poll_set_remove(&set, &ops[0]);
}

Test(poll_set, events_are_those_its_operations_wait_for)
{
	struct filch_file other = files[0];
	struct filch__poll_slot *slot = add_read(0, 0);

	cr_assert_eq(filch__poll_slot_events(slot), POLLIN);
	cr_assert_eq(add_write(1, &other), slot);
	cr_assert_eq(filch__poll_slot_events(slot), POLLIN | POLLOUT);
	filch__poll_set_remove(&set, &ops[0]);
	cr_assert_eq(filch__poll_slot_events(slot), POLLOUT);
	filch__poll_set_remove(&set, &ops[1]);
}

/* What has ended, in order. */
static struct filch_op *
ready(short events, struct filch_op **pooled)
{
	struct filch_op *done = NULL;
	struct filch_op *list = NULL;

	filch__poll_set_ready(&set, filch__poll_set_find(&set, files[0].fd),
	    events, &done, pooled);
	while (done != NULL) {
		struct filch_op *op = done;

		done = op->priv.next;
		op->priv.next = list;
		list = op;
	}
	return (list);
}

Test(poll_set, the_first_to_wait_gets_the_bytes)
{
	struct filch_op *pooled = NULL;
	struct filch_op *done;

	(void)add_read(0, 0);
	(void)add_read(1, 0);
	cr_assert_eq(write(writers[0], "abc", 3), 3);
	done = ready(POLLIN, &pooled);
	cr_assert_eq(done, &ops[0]);
	cr_assert_null(done->priv.next);
	cr_assert_eq(done->priv.result, 3);
	cr_assert_eq(memcmp(bytes[0], "abc", 3), 0);
	cr_assert_neq(done->priv.state, FILCH__OP_POLLING);
	cr_assert_null(pooled);
	cr_assert_eq(
	    filch__poll_set_find(&set, files[0].fd)->queue.head, &ops[1]);
	filch__poll_set_remove(&set, &ops[1]);
}

Test(poll_set, a_hangup_ends_all_and_the_slot_goes)
{
	struct filch_op *pooled = NULL;
	struct filch_op *done;

	(void)add_read(0, 0);
	(void)add_read(1, 0);
	close(writers[0]);
	done = ready(POLLHUP, &pooled);
	cr_assert_eq(done, &ops[0]);
	cr_assert_eq(done->priv.next, &ops[1]);
	cr_assert_eq(ops[0].priv.result, 0);
	cr_assert_eq(ops[1].priv.result, 0);
	cr_assert_null(pooled);
	cr_assert_null(filch__poll_set_find(&set, files[0].fd));
}

Test(poll_set, readiness_to_write_lets_no_reader_try)
{
	struct filch_op *pooled = NULL;

	(void)add_read(0, 0);
	cr_assert_eq(write(writers[0], "abc", 3), 3);
	cr_assert_null(ready(POLLOUT, &pooled));
	cr_assert_eq(ops[0].priv.state, FILCH__OP_POLLING);
	filch__poll_set_remove(&set, &ops[0]);
}

Test(poll_set, what_was_ready_after_all_not_goes_on_waiting)
{
	struct filch_op *pooled = NULL;

	(void)add_read(0, 0);
	cr_assert_null(ready(POLLIN, &pooled));
	cr_assert_null(pooled);
	cr_assert_eq(ops[0].priv.state, FILCH__OP_POLLING);
	filch__poll_set_remove(&set, &ops[0]);
}

/* As the file of a pipe, but of a device: it can only be tried in the pool. */
static struct filch_file
device(void)
{
	struct filch_file file = files[0];

	file.priv.flags |= FILCH__FILE_CHARACTER;
	return (file);
}

Test(poll_set, what_might_block_goes_to_the_pool_one_at_a_time)
{
	struct filch_file file = device();
	struct filch_op *pooled = NULL;

	(void)add_read(0, 0);
	ops[0].priv.file = &file;
	(void)add_read(1, 0);
	ops[1].priv.file = &file;
	cr_assert_null(ready(POLLIN, &pooled));
	cr_assert_eq(pooled, &ops[0]);
	cr_assert_null(pooled->priv.next);
	cr_assert_eq(ops[1].priv.state, FILCH__OP_POLLING);
	filch__poll_set_remove(&set, &ops[1]);
}

Test(poll_set, nobody_overtakes_one_that_is_not_ready)
{
	struct filch_file file = device();
	struct filch_op *pooled = NULL;

	(void)add_read(0, 0);
	(void)add_read(1, 0);
	ops[1].priv.file = &file;
	cr_assert_null(ready(POLLIN, &pooled));
	cr_assert_null(pooled);
	cr_assert_eq(ops[1].priv.state, FILCH__OP_POLLING);
	filch__poll_set_remove(&set, &ops[0]);
	filch__poll_set_remove(&set, &ops[1]);
}

Test(poll_set, cancel_takes_out_once)
{
	(void)add_read(0, 0);
	cr_assert(filch__poll_set_cancel(&set, &ops[0]));
	cr_assert_not(filch__poll_set_cancel(&set, &ops[0]));
	cr_assert_null(filch__poll_set_find(&set, files[0].fd));
}

Test(poll_set, cancel_finds_the_slot_of_a_file_closed_meanwhile)
{
	int fd = files[0].fd;

	(void)add_read(0, 0);
	files[0].fd = -1;
	cr_assert(filch__poll_set_cancel(&set, &ops[0]));
	cr_assert_null(filch__poll_set_find(&set, fd));
}

Test(poll_set, cancel_all_and_count_keep_to_the_shard)
{
	struct filch_op *list;
	int count = 0;
	int i;

	open_pipe(1);
	for (i = 0; i < 6; i++) {
		(void)add_read(i, i % 2);
		ops[i].priv.shard = &shards[i == 5];
	}
	cr_assert_eq(filch__poll_set_count(&set, &shards[0]), 5);
	cr_assert_eq(filch__poll_set_count(&set, &shards[1]), 1);
	for (list = filch__poll_set_cancel_all(&set, &shards[0]); list != NULL;
	     list = list->priv.next) {
		cr_assert_eq(list->priv.shard, &shards[0]);
		cr_assert_eq(list->priv.result, -ECANCELED);
		cr_assert_neq(list->priv.state, FILCH__OP_POLLING);
		count++;
	}
	cr_assert_eq(count, 5);
	cr_assert_eq(filch__poll_set_count(&set, &shards[0]), 0);
	cr_assert_null(filch__poll_set_find(&set, files[0].fd));
	cr_assert_eq(
	    filch__poll_set_find(&set, files[1].fd)->queue.head, &ops[5]);
	filch__poll_set_remove(&set, &ops[5]);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A list of one's own on FreeBSD: lio_source FILE
 *
 * A task that reads the first blocks of a file by one lio_listio(2) and tells
 * how many bytes there were.  Exits 77 where kqueue is not the driver.
 *
 * The list has one event, which comes when all that the kernel accepted has
 * ended; each of its aiocbs is reaped by aio_return(2).
 */
#include <filch/filch.h>

#include <sys/event.h>
#include <sys/types.h>

#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define BLOCKS     8
#define BLOCK_SIZE 4096

struct reader {
	struct filch_task task;
	struct filch_aio *aio;
	struct aiocb cbs[BLOCKS];
	struct aiocb *list[BLOCKS]; /* its address is the event's name */
	struct sigevent event;
	bool is_submitted;
	char buffer[BLOCKS * BLOCK_SIZE];
	uintmax_t bytes;
	int error;
};

/* The registration: no I/O yet.  Kevent flags of a list's event do nothing. */
static int
reader_register(void *source, const struct filch_registrar *registrar)
{
	struct reader *reader = source;

	if (registrar->kqueue < 0) {
		return (-EOPNOTSUPP);
	}
	reader->event.sigev_notify = SIGEV_KEVENT;
	reader->event.sigev_notify_kqueue = registrar->kqueue;
	reader->event.sigev_value.sival_ptr =
	    (void *)(uintptr_t)registrar->token;
	return (0);
}

static const struct filch_aio_source_vtable reader_vtable = {
	.register_source = reader_register,
};

/*
 * Submit all.  True if the event will come: also after a failure, for what the
 * kernel took before it ran out of room (EAGAIN) or beside a bad one (EIO).
 */
static bool
reader_submit(struct reader *reader)
{
	bool is_accepted = false;

	if (lio_listio(LIO_NOWAIT, reader->list, BLOCKS, &reader->event) == 0) {
		return (true);
	}
	reader->error = -errno;
	for (unsigned i = 0; i < BLOCKS; i++) {
		int error = aio_error(&reader->cbs[i]);

		/* It runs, or has ended well; else it says why it does not. */
		is_accepted |= error == EINPROGRESS || error == 0;
	}
	return (is_accepted);
}

/* Reap all; of what was not accepted that is EINVAL, and harmless. */
static void
reader_reap(struct reader *reader)
{
	for (unsigned i = 0; i < BLOCKS; i++) {
		ssize_t size = aio_return(&reader->cbs[i]);

		if (size >= 0) {
			reader->bytes += (uintmax_t)size;
		} else if (reader->error == 0) {
			reader->error = -errno;
		}
	}
}

static enum filch_poll
reader_poll(struct filch_task *task)
{
	struct reader *reader = filch_container_of(task, struct reader, task);
	struct filch_aio_event event;
	int status = 0;

	if (!reader->is_submitted) {
		reader->is_submitted = true;
		if (!reader_submit(reader)) {
			/* Nothing was taken, and nothing will be told. */
			reader_reap(reader);
			return (FILCH_READY);
		}
	}
	if (filch_aio_poll_ready(reader->aio, task, &event, &status) ==
	    FILCH_PENDING) {
		return (FILCH_PENDING);
	}
	if (status < 0) {
		reader->error = status;
		return (FILCH_READY);
	}
	/* The same list may be submitted again after these two. */
	filch_aio_clear_ready(reader->aio, event);
	reader_reap(reader);
	return (FILCH_READY);
}

static void
reader_init(struct reader *reader, int fd)
{
	for (unsigned i = 0; i < BLOCKS; i++) {
		struct aiocb *cb = &reader->cbs[i];

		cb->aio_fildes = fd;
		cb->aio_lio_opcode = LIO_READ;
		cb->aio_offset = (off_t)i * BLOCK_SIZE;
		cb->aio_buf = reader->buffer + (size_t)i * BLOCK_SIZE;
		cb->aio_nbytes = BLOCK_SIZE;
		/* The list tells, so that its entries need not. */
		cb->aio_sigevent.sigev_notify = SIGEV_NONE;
		reader->list[i] = cb;
	}
	filch_task_init(&reader->task, reader_poll, NULL);
}

int
main(int argc, char **argv)
{
	static struct reader reader;
	struct filch_executor *executor = NULL;
	int fd = argc > 1 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;
	int rc;

	if (fd < 0) {
		fprintf(stderr, "usage: lio_source FILE\n");
		return (2);
	}
	reader_init(&reader, fd);
	rc = filch_executor_create(NULL, &executor);
	if (rc == 0) {
		rc = filch_aio_new_for_lio(
		    executor, &reader_vtable, &reader, BLOCKS, &reader.aio);
	}
	if (rc == 0) {
		rc = filch_executor_block_on(executor, &reader.task);
	}
	filch_aio_destroy(reader.aio); /* before its executor */
	filch_executor_destroy(executor);
	rc = rc < 0 ? rc : reader.error;
	if (rc < 0) {
		fprintf(stderr, "lio_source: %s\n", strerror(-rc));
		return (rc == -EOPNOTSUPP ? 77 : 1);
	}
	printf("%ju bytes\n", reader.bytes);
	return (0);
}

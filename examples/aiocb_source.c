/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A source of one's own on FreeBSD: aiocb_source [FILE]
 *
 * A task that reads a file, or standard input, with its own aiocb and counts
 * its lines.  Exits 77 where kqueue is not the driver.
 *
 * The source writes into its sigevent how completions find back (the
 * registrar) and calls aio_read(2); its Aio tells when that has ended, and
 * aio_return(2), which is the source's to call, how.
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
#include <unistd.h>

struct counter {
	struct filch_task task;
	struct filch_aio *aio;
	struct aiocb cb;
	bool is_submitted;
	char buffer[16384];
	uintmax_t lines;
	int error;
};

/*
 * The registration: no I/O yet.  EV_ONESHOT tells each completion once; without
 * it, the event would come again and again until aio_return(2).
 */
static int
counter_register(void *source, const struct filch_registrar *registrar)
{
	struct counter *counter = source;
	struct sigevent *event = &counter->cb.aio_sigevent;

	if (registrar->kqueue < 0) {
		return (-EOPNOTSUPP);
	}
	event->sigev_notify = SIGEV_KEVENT;
	event->sigev_notify_kqueue = registrar->kqueue;
	event->sigev_notify_kevent_flags = EV_ONESHOT;
	event->sigev_value.sival_ptr = (void *)(uintptr_t)registrar->token;
	return (0);
}

static const struct filch_aio_source_vtable counter_vtable = {
	.register_source = counter_register,
};

/* What one read brought; how much that was, 0 at the end of the file. */
static ssize_t
counter_reap(struct counter *counter)
{
	ssize_t size = aio_return(&counter->cb);

	for (ssize_t i = 0; i < size; i++) {
		counter->lines += counter->buffer[i] == '\n';
	}
	counter->cb.aio_offset += size > 0 ? size : 0;
	counter->error = size < 0 ? -errno : 0;
	return (size);
}

static enum filch_poll
counter_poll(struct filch_task *task)
{
	struct counter *c = filch_container_of(task, struct counter, task);

	for (;;) {
		struct filch_aio_event event;

		if (!c->is_submitted) {
			if (aio_read(&c->cb) < 0) {
				if (errno == EAGAIN) { /* the kernel's limits */
					return (filch_task_yield(task));
				}
				c->error = -errno;
				return (FILCH_READY);
			}
			c->is_submitted = true;
		}
		if (filch_aio_poll_ready(c->aio, task, &event, &c->error) ==
		    FILCH_PENDING) {
			return (FILCH_PENDING);
		}
		if (c->error < 0) {
			return (FILCH_READY);
		}
		/* Before the aiocb is used again, or its event would count. */
		filch_aio_clear_ready(c->aio, event);
		c->is_submitted = false;
		if (counter_reap(c) <= 0) {
			return (FILCH_READY);
		}
	}
}

int
main(int argc, char **argv)
{
	static struct counter c;
	struct filch_executor *executor = NULL;
	int rc = filch_executor_create(NULL, &executor);

	c.cb.aio_fildes =
	    argc > 1 ? open(argv[1], O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
	c.cb.aio_buf = c.buffer;
	c.cb.aio_nbytes = sizeof(c.buffer);
	if (rc == 0 && c.cb.aio_fildes < 0) {
		rc = -errno;
	}
	if (rc == 0) {
		rc = filch_aio_new_for_aio(
		    executor, &counter_vtable, &c, &c.aio);
	}
	if (rc == 0) {
		filch_task_init(&c.task, counter_poll, NULL);
		rc = filch_executor_block_on(executor, &c.task);
	}
	filch_aio_destroy(c.aio); /* before its executor */
	filch_executor_destroy(executor);
	rc = rc < 0 ? rc : c.error;
	if (rc < 0) {
		fprintf(stderr, "aiocb_source: %s\n", strerror(-rc));
		return (rc == -EOPNOTSUPP ? 77 : 1);
	}
	printf("%ju lines\n", c.lines);
	return (0);
}

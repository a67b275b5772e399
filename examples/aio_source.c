/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A source of one's own: a task that accepts connections by IORING_OP_ACCEPT,
 * which filch has no operation for.  Exits 77 where io_uring is not in use.
 *
 * The source says how its completions find back (the registrar) and submits;
 * its Aio tells when they have come.  The same source serves again and again.
 */
#include <filch/filch.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/io_uring.h>

#define CONNECTIONS 3

struct acceptor {
	struct filch_task task;
	struct filch_registrar registrar;
	struct filch_aio *aio;
	int listener;
	unsigned accepted;
	bool submitted;
	int error;
};

/* The registration: no I/O yet. */
static int
acceptor_register(void *source, const struct filch_registrar *registrar)
{
	struct acceptor *acceptor = source;

	acceptor->registrar = *registrar;
	return (0);
}

static const struct filch_aio_source_vtable acceptor_vtable = {
	.register_source = acceptor_register,
};

/* The entry has been zeroed; filch adds user_data. */
static void
acceptor_fill(struct io_uring_sqe *sqe, unsigned index, void *arg)
{
	const struct acceptor *acceptor = arg;

	(void)index;
	sqe->opcode = IORING_OP_ACCEPT;
	sqe->fd = acceptor->listener;
	sqe->accept_flags = SOCK_CLOEXEC;
}

static enum filch_poll
acceptor_poll(struct filch_task *task)
{
	struct acceptor *a = filch_container_of(task, struct acceptor, task);

	while (a->accepted < CONNECTIONS && a->error == 0) {
		struct filch_aio_event event;

		if (!a->submitted) {
			a->error = filch_registrar_submit(
			    &a->registrar, acceptor_fill, a, 1);
			if (a->error == -EAGAIN) {
				a->error = 0; /* the ring is full just now */
				return (filch_task_yield(task));
			}
			a->submitted = a->error == 0;
			continue;
		}
		if (filch_aio_poll_ready(a->aio, task, &event, &a->error) ==
		    FILCH_PENDING) {
			return (FILCH_PENDING);
		}
		if (a->error == 0) {
			filch_aio_clear_ready(a->aio, event);
			a->submitted = false;
			a->error = event.result < 0 ? (int)event.result : 0;
		}
		if (a->error == 0) {
			a->accepted++;
			close((int)event.result);
		}
	}
	return (FILCH_READY);
}

/* Listen on the loopback address, and be one's own clients. */
static int
listen_and_connect(int *clients, unsigned count)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (listener < 0 ||
	    bind(listener, (struct sockaddr *)&address, size) < 0 ||
	    listen(listener, (int)count) < 0 ||
	    getsockname(listener, (struct sockaddr *)&address, &size) < 0) {
		return (-errno);
	}
	for (unsigned i = 0; i < count; i++) {
		clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (clients[i] < 0 ||
		    connect(clients[i], (struct sockaddr *)&address, size) <
			0) {
			return (-errno);
		}
	}
	return (listener);
}

int
main(void)
{
	struct acceptor a = { .error = 0 };
	struct filch_executor *executor;
	int clients[CONNECTIONS];
	int rc = filch_executor_create(NULL, &executor);

	if (rc < 0) {
		fprintf(stderr, "aio_source: %s\n", strerror(-rc));
		return (1);
	}
	rc = a.listener = listen_and_connect(clients, CONNECTIONS);
	if (rc >= 0) {
		rc = filch_aio_new_for_aio(
		    executor, &acceptor_vtable, &a, &a.aio);
	}
	if (rc == 0) {
		filch_task_init(&a.task, acceptor_poll, NULL);
		rc = filch_executor_block_on(executor, &a.task);
	}
	filch_aio_destroy(a.aio); /* before its executor */
	filch_executor_destroy(executor);
	rc = rc < 0 ? rc : a.error;
	if (rc < 0) {
		fprintf(stderr, "aio_source: %s\n", strerror(-rc));
		return (rc == -EOPNOTSUPP ? 77 : 1);
	}
	printf("accepted %u connections\n", a.accepted);
	return (0);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A small file server: serve DIRECTORY [PORT [CONNECTIONS]]
 *
 * Speaks HTTP/1.0 as far as "GET /NAME" goes, on the loopback address.  The
 * main thread accepts; each connection is a task, which waits for socket and
 * file without holding a thread.  With CONNECTIONS it ends after so many.
 */
#include <filch/filch.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENT_PATIENCE_NS UINT64_C(10000000000)

enum step {
	REQUEST,
	OPEN,
	FSTAT,
	SEND,
	FILL,
	CLOSE_FILE,
	CLOSE_SOCKET,
	END
};

struct connection {
	struct filch_task task;
	struct filch_op op;
	struct filch_file socket;
	struct filch_file file;
	struct filch_stat stat;
	enum step step; /* what op does now */
	int directory;
	uint64_t offset; /* of the file: read so far */
	size_t size;     /* bytes in buffer */
	size_t sent;     /* of them */
	char buffer[65536];
};

/* Put the next operation into op. */
static void
connection_start(struct connection *c, enum step step)
{
	char *path = c->buffer + strlen("GET /");

	c->step = step;
	switch (step) {
	case REQUEST:
		filch_op_init_read(&c->op, &c->socket, c->buffer + c->size,
		    sizeof(c->buffer) - 1 - c->size, FILCH_OFFSET_CURRENT);
		break;
	case OPEN:
		filch_op_init_open(
		    &c->op, &c->file, c->directory, path, O_RDONLY, 0);
		break;
	case FSTAT:
		filch_op_init_fstat(&c->op, &c->file, &c->stat);
		break;
	case SEND:
		filch_op_init_write(&c->op, &c->socket, c->buffer + c->sent,
		    c->size - c->sent, FILCH_OFFSET_CURRENT);
		break;
	case FILL:
		filch_op_init_read(
		    &c->op, &c->file, c->buffer, sizeof(c->buffer), c->offset);
		break;
	case CLOSE_FILE:
		filch_op_init_close(&c->op, &c->file);
		break;
	case CLOSE_SOCKET:
		filch_op_init_close(&c->op, &c->socket);
		break;
	case END:
		break;
	}
	if (step == REQUEST || step == SEND) {
		filch_op_set_deadline(&c->op, filch_now() + CLIENT_PATIENCE_NS);
	}
}

/* Send the head of the answer; of a refusal it is all there is. */
static void
connection_answer(struct connection *c, const char *status, uint64_t length)
{
	c->size = (size_t)snprintf(c->buffer, sizeof(c->buffer),
	    "HTTP/1.0 %s\r\nContent-Length: %llu\r\n\r\n", status,
	    (unsigned long long)length);
	c->sent = 0;
	connection_start(c, SEND);
}

/* True if the request is whole; the name is then cut out in the buffer. */
static bool
connection_has_request(struct connection *c)
{
	c->buffer[c->size] = '\0';
	if (strstr(c->buffer, "\r\n\r\n") == NULL) {
		return (false);
	}
	c->buffer[strcspn(c->buffer + 5, " \r\n") + 5] = '\0';
	return (true);
}

static void
connection_request(struct connection *c, int64_t result)
{
	if (result <= 0) {
		connection_start(c, CLOSE_SOCKET);
		return;
	}
	c->size += (size_t)result;
	if (!connection_has_request(c)) {
		connection_start(c,
		    c->size < sizeof(c->buffer) - 1 ? REQUEST : CLOSE_SOCKET);
	} else if (strncmp(c->buffer, "GET /", 5) != 0 || c->buffer[5] == '/' ||
	    strstr(c->buffer, "..") != NULL) {
		connection_answer(c, "400 Bad Request", 0);
	} else {
		connection_start(c, OPEN);
	}
}

/* The operation of this step has ended: what comes next? */
static void
connection_step(struct connection *c, int64_t result)
{
	switch (c->step) {
	case REQUEST:
		connection_request(c, result);
		break;
	case OPEN:
		if (result < 0) {
			connection_answer(c, "404 Not Found", 0);
		} else {
			connection_start(c, FSTAT);
		}
		break;
	case FSTAT:
		if (result < 0) {
			connection_start(c, CLOSE_FILE);
		} else {
			connection_answer(c, "200 OK", c->stat.size);
		}
		break;
	case SEND:
		c->sent += result > 0 ? (size_t)result : 0;
		if (result > 0 && c->sent < c->size) {
			connection_start(c, SEND);
		} else if (c->file.fd < 0) {
			connection_start(c, CLOSE_SOCKET);
		} else {
			connection_start(c, result > 0 ? FILL : CLOSE_FILE);
		}
		break;
	case FILL:
		c->size = result > 0 ? (size_t)result : 0;
		c->offset += c->size;
		c->sent = 0;
		connection_start(c, c->size > 0 ? SEND : CLOSE_FILE);
		break;
	case CLOSE_FILE:
		connection_start(c, CLOSE_SOCKET);
		break;
	case CLOSE_SOCKET:
	case END:
		connection_start(c, END);
		break;
	}
}

static enum filch_poll
connection_poll(struct filch_task *task)
{
	struct connection *c =
	    filch_container_of(task, struct connection, task);
	int64_t result;

	while (c->step != END) {
		if (filch_op_poll(&c->op, task, &result) == FILCH_PENDING) {
			return (FILCH_PENDING);
		}
		connection_step(c, result);
	}
	return (FILCH_READY);
}

static void
connection_release(struct filch_task *task)
{
	free(filch_container_of(task, struct connection, task));
}

/* A task for the connection; -errno, and it is still the caller's. */
static int
connection_spawn(struct filch_executor *executor, int directory, int fd)
{
	static const struct filch_file closed = FILCH_FILE_INIT;
	struct connection *c = calloc(1, sizeof(*c));
	int rc = -ENOMEM;

	if (c == NULL) {
		return (rc);
	}
	c->directory = directory;
	c->file = closed;
	filch_task_init(&c->task, connection_poll, connection_release);
	rc = filch_file_init(&c->socket, fd);
	if (rc == 0) {
		connection_start(c, REQUEST);
		rc = filch_executor_spawn(executor, &c->task);
	}
	if (rc < 0) {
		free(c);
	}
	return (rc);
}

/* A socket that listens on the loopback address; prints its port. */
static int
listen_on(uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int one = 1;

	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&address, size) < 0 ||
	    listen(fd, 128) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &size) < 0) {
		return (-1);
	}
	printf("listening on 127.0.0.1:%u\n", ntohs(address.sin_port));
	fflush(stdout);
	return (fd);
}

static int
complain(const char *what, int error)
{
	fprintf(stderr, "serve: %s: %s\n", what, strerror(error));
	return (1);
}

int
main(int argc, char **argv)
{
	struct filch_executor *executor = NULL;
	int port = argc > 2 ? atoi(argv[2]) : 0;
	long left = argc > 3 ? atol(argv[3]) : -1;

	if (argc < 2 || argc > 4 || port < 0 || port > UINT16_MAX) {
		fprintf(
		    stderr, "usage: serve DIRECTORY [PORT [CONNECTIONS]]\n");
		return (2);
	}
	int directory = open(argv[1], O_RDONLY | O_DIRECTORY);
	if (directory < 0) {
		return (complain(argv[1], errno));
	}
	int rc = filch_executor_create(NULL, &executor);
	if (rc < 0) {
		return (complain("executor", -rc));
	}
	int listener = listen_on((uint16_t)port);
	if (listener < 0) {
		rc = complain("listen", errno);
		filch_executor_destroy(executor);
		return (rc);
	}
	while (left != 0) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0) {
			if (errno == EINTR || errno == ECONNABORTED) {
				continue;
			}
			(void)complain("accept", errno);
			break;
		}
		left -= left > 0;
		if (connection_spawn(executor, directory, fd) < 0) {
			close(
			    fd); /* too much to do: the client may try again */
		}
	}
	rc = filch_executor_shutdown(
	    executor, FILCH_SHUTDOWN_GRACEFUL, FILCH_NEVER);
	filch_executor_destroy(executor);
	close(listener);
	close(directory);
	return (rc < 0);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files and what may have to wait for somebody else (FIFO, socket, pipe,
 * terminal), for the contract programs: what is written to one end is read at
 * the other.
 */
#ifndef FILCH_TESTS_CONTRACT_STREAM_H
#define FILCH_TESTS_CONTRACT_STREAM_H

#include "contract.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <termios.h>

#define SIZE 512

enum type {
	TYPE_FILE,
	TYPE_MD, /* a file in memory */
	TYPE_FIFO,
	TYPE_SOCKET,
	TYPE_PTY,
	TYPE_PIPE,
	TYPE_COUNT
};

static const char *const type_names[TYPE_COUNT] = { "file", "md", "fifo",
	"socket", "pty", "pipe" };

/* What is written to one end comes out of the other. */
struct stream {
	enum type type;
	uint64_t offset;
	int read_fd;
	int write_fd;
	struct filch_file reader;
	struct filch_file writer;
	char sent[SIZE];
	char received[SIZE];
	struct contract_job read;
	struct contract_job write;
};

static inline int
open_fifo(struct contract *contract, int fds[2])
{
	int both;

	if (mkfifoat(contract->directory, "fifo", 0600) < 0) {
		return (-1);
	}
	/* an end for both, or opening one would wait for the other */
	both = openat(contract->directory, "fifo", O_RDWR | O_CLOEXEC);
	fds[0] = openat(contract->directory, "fifo", O_RDONLY | O_CLOEXEC);
	fds[1] = openat(contract->directory, "fifo", O_WRONLY | O_CLOEXEC);
	(void)close(both);
	return (fds[0] < 0 || fds[1] < 0 ? -1 : 0);
}

static inline int
open_pty(int fds[2])
{
	struct termios raw;

	fds[1] = posix_openpt(O_RDWR | O_NOCTTY);
	if (fds[1] < 0 || grantpt(fds[1]) < 0 || unlockpt(fds[1]) < 0) {
		return (-1);
	}
	fds[0] = open(ptsname(fds[1]), O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fds[0] < 0 || tcgetattr(fds[0], &raw) < 0) {
		return (-1);
	}
	cfmakeraw(&raw);
	return (tcsetattr(fds[0], TCSANOW, &raw));
}

/* The nearest to a disk in memory: a file in memory, or one without a name. */
static inline int
open_md(struct contract *contract, int fds[2])
{
#if defined(MFD_CLOEXEC)
	(void)contract;
	fds[0] = memfd_create("md", MFD_CLOEXEC);
#else
	fds[0] = contract_file(contract, "md", "");
	(void)unlinkat(contract->directory, "md", 0);
#endif
	fds[1] = fds[0] < 0 ? -1 : dup(fds[0]);
	return (fds[1] < 0 ? -1 : 0);
}

static inline int
stream_open_fds(struct contract *contract, enum type type, int fds[2])
{
	switch (type) {
	case TYPE_FILE:
		fds[0] = contract_file(contract, "file", "");
		fds[1] = dup(fds[0]);
		return (fds[1] < 0 ? -1 : 0);
	case TYPE_MD:
		return (open_md(contract, fds));
	case TYPE_FIFO:
		return (open_fifo(contract, fds));
	case TYPE_SOCKET:
		return (socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	case TYPE_PTY:
		return (open_pty(fds));
	case TYPE_PIPE:
	case TYPE_COUNT:
		break;
	}
	return (pipe(fds));
}

static inline const char *
stream_open(struct contract *contract, struct stream *stream, enum type type)
{
	int fds[2];

	memset(stream, 0, sizeof(*stream));
	stream->type = type;
	if (stream_open_fds(contract, type, fds) < 0) {
		printf("# %s\n", strerror(errno));
		SKIP("no such thing here");
	}
	stream->read_fd = fds[0];
	stream->write_fd = fds[1];
	stream->offset = type <= TYPE_MD ? 0 : FILCH_OFFSET_CURRENT;
	for (unsigned i = 0; i < SIZE; i++) {
		stream->sent[i] = (char)('0' + i % 64);
	}
	CHECK_EQ(filch_file_init(&stream->reader, fds[0]), 0);
	CHECK_EQ(filch_file_init(&stream->writer, fds[1]), 0);
	filch_op_init_read(&stream->read.op, &stream->reader, stream->received,
	    SIZE, stream->offset);
	filch_op_init_write(&stream->write.op, &stream->writer, stream->sent,
	    SIZE, stream->offset);
	return (NULL);
}

static inline void
stream_close(const struct stream *stream)
{
	(void)close(stream->read_fd);
	(void)close(stream->write_fd);
}

/* A read that finds nothing is pending, and stays that. */
static inline const char *
read_start(struct contract *contract, struct stream *stream)
{
	CHECK_EQ(contract_job_start(contract, &stream->read), 0);
	CHECK(!contract_job_has_ended(&stream->read));
	return (NULL);
}

enum {
	FILES = 1 << TYPE_FILE | 1 << TYPE_MD,
	STREAMS =
	    1 << TYPE_FIFO | 1 << TYPE_SOCKET | 1 << TYPE_PTY | 1 << TYPE_PIPE,
	/* a terminal hangs up instead of ending, and need not stay full */
	ENDING = STREAMS & ~(1 << TYPE_PTY),
	SOCKETS = 1 << TYPE_SOCKET
};

/* A test, and what it runs on; the type stands in the middle of its name. */
struct family {
	const char *before;
	const char *after;
	const char *(*run)(struct contract *contract, struct stream *stream);
	unsigned types;
};

/* A test's row. */
struct stream_row {
	enum type type;
	const struct family *family;
	char name[64];
};

static inline const char *
stream_run(struct contract *contract)
{
	static struct stream stream;
	const struct stream_row *row = contract->row;
	const char *fault = stream_open(contract, &stream, row->type);

	if (fault == NULL) {
		fault = row->family->run(contract, &stream);
		stream_close(&stream);
	}
	return (fault);
}

#define STREAM_ROWS_MAX 128

/* For the tests of others that have no counterpart here. */
static inline const char *
stream_no_signal(struct contract *contract, struct stream *stream)
{
	(void)contract;
	(void)stream;
	SKIP("filch is told of no completion by a signal (SIGEV_SIGNAL)");
}

static inline const char *
stream_no_thread(struct contract *contract, struct stream *stream)
{
	(void)contract;
	(void)stream;
	SKIP("filch is told of no completion by a thread (SIGEV_THREAD)");
}

/* Run every family on each of its types; what main() returns. */
static inline int
stream_main(const struct family *families, size_t family_count)
{
	static struct stream_row rows[STREAM_ROWS_MAX];
	static struct contract_test tests[STREAM_ROWS_MAX];
	size_t count = 0;

	for (size_t i = 0; i < family_count * TYPE_COUNT; i++) {
		struct stream_row *row = &rows[count];

		row->type = (enum type)(i % TYPE_COUNT);
		row->family = &families[i / TYPE_COUNT];
		if ((row->family->types & 1u << row->type) == 0) {
			continue;
		}
		(void)snprintf(row->name, sizeof(row->name), "%s%s%s",
		    row->family->before, type_names[row->type],
		    row->family->after);
		tests[count].name = row->name;
		tests[count].run = stream_run;
		tests[count].row = row;
		count++;
	}
	return (contract_main(tests, count, NULL));
}

#endif /* FILCH_TESTS_CONTRACT_STREAM_H */

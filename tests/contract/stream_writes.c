/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes to streams that nobody reads, that are full, or that are smaller than
 * what is written.
 *
 * "blocking_short_write" and "short_write_cancel" follow FreeBSD's aio_test;
 * as io_uring does, filch may end such a write short, and says so.
 */
#include "stream.h"

#include <pthread.h>

/* Nobody will read it: an error, and no signal that ends the program. */
static const char *
broken(struct contract *contract, struct stream *stream)
{
	CHECK_EQ(close(stream->read_fd), 0);
	stream->read_fd = -1;
	CHECK_EQ(contract_job_run(contract, &stream->write), -EPIPE);
	return (NULL);
}

/* Fill the stream; how many bytes that took, or -1. */
static int64_t
fill(const struct stream *stream)
{
	int flags = fcntl(stream->write_fd, F_GETFL);
	int64_t total = 0;
	ssize_t n;

	(void)fcntl(stream->write_fd, F_SETFL, flags | O_NONBLOCK);
	while ((n = write(stream->write_fd, stream->sent, SIZE)) > 0) {
		total += n;
	}
	(void)fcntl(stream->write_fd, F_SETFL, flags);
	return (total);
}

/* Read what is there; how many bytes that was. */
static int64_t
drain(const struct stream *stream)
{
	int flags = fcntl(stream->read_fd, F_GETFL);
	char bytes[SIZE];
	int64_t total = 0;
	ssize_t n;

	(void)fcntl(stream->read_fd, F_SETFL, flags | O_NONBLOCK);
	while ((n = read(stream->read_fd, bytes, SIZE)) > 0) {
		total += n;
	}
	(void)fcntl(stream->read_fd, F_SETFL, flags);
	return (total);
}

static const char *
write_cancelled(struct contract *contract, struct stream *stream)
{
	int64_t filled;

	filled = fill(stream);
	CHECK(filled > 0);
	CHECK_EQ(contract_job_start(contract, &stream->write), 0);
	filch_op_cancel(&stream->write.op);
	CHECK_EQ(contract_job_end(&stream->write), -ECANCELED);
	CHECK_EQ(drain(stream), filled);
	return (NULL);
}

static const char *
write_waits(struct contract *contract, struct stream *stream)
{
	int64_t filled;
	int64_t drained;
	int64_t written;

	filled = fill(stream);
	CHECK_EQ(contract_job_start(contract, &stream->write), 0);
	drained = drain(stream);
	written = contract_job_end(&stream->write);
	CHECK(written > 0);
	CHECK_EQ(drained + drain(stream), filled + written);
	return (NULL);
}

/* ---- more than fits ---- */

#define LARGE_SIZE (1 << 20)

static char large[LARGE_SIZE];

/* Prepare a write of what is left of large, in one buffer or in two. */
static void
large_prepare(struct stream *stream, int64_t done, struct iovec iov[2])
{
	size_t left = (size_t)(LARGE_SIZE - done);

	if (iov == NULL) {
		filch_op_init_write(&stream->write.op, &stream->writer,
		    large + done, left, stream->offset);
		return;
	}
	iov[0] = (struct iovec){ large + done, left / 2 };
	iov[1] = (struct iovec){ large + done + left / 2, left - left / 2 };
	filch_op_init_writev(
	    &stream->write.op, &stream->writer, iov, 2, stream->offset);
}

/* Read all of large, and look whether it is. */
static void *
large_main(void *arg)
{
	struct stream *stream = arg;
	size_t seen = 0;

	while (seen < LARGE_SIZE) {
		size_t left =
		    LARGE_SIZE - seen < SIZE ? LARGE_SIZE - seen : SIZE;
		ssize_t n = read(stream->read_fd, stream->received, left);

		if (n <= 0 ||
		    memcmp(stream->received, large + seen, (size_t)n) != 0) {
			break;
		}
		seen += (size_t)n;
	}
	return (seen == LARGE_SIZE ? NULL : arg);
}

/* Writes may be short; together they bring all of it, in order. */
static const char *
large_write(
    struct contract *contract, struct stream *stream, struct iovec iov[2])
{
	pthread_t thread;
	void *fault;
	int64_t done = 0;

	for (size_t i = 0; i < LARGE_SIZE; i++) {
		large[i] = (char)('A' + i % 61);
	}
	CHECK_EQ(pthread_create(&thread, NULL, large_main, stream), 0);
	while (done < LARGE_SIZE) {
		int64_t written;

		large_prepare(stream, done, iov);
		written = contract_job_run(contract, &stream->write);
		CHECK(written > 0);
		done += written;
	}
	CHECK_EQ(pthread_join(thread, &fault), 0);
	CHECK(fault == NULL);
	return (NULL);
}

static const char *
large_write_plain(struct contract *contract, struct stream *stream)
{
	return (large_write(contract, stream, NULL));
}

static const char *
large_write_vectored(struct contract *contract, struct stream *stream)
{
	struct iovec iov[2];

	return (large_write(contract, stream, iov));
}

/* What was sent before the cancel is counted, never denied. */
static const char *
large_write_cancelled(struct contract *contract, struct stream *stream)
{
	int64_t written;

	large_prepare(stream, 0, NULL);
	CHECK_EQ(contract_job_start(contract, &stream->write), 0);
	filch_op_cancel(&stream->write.op);
	written = contract_job_end(&stream->write);
	if (written == -ECANCELED) {
		/* the cancel found it on its way to the kernel */
		written = 0;
	}
	CHECK(written >= 0 && written < LARGE_SIZE);
	CHECK_EQ(drain(stream), written);
	return (NULL);
}

static const struct family families[] = {
	{ "", " broken: EPIPE", broken, ENDING },
	{ "", " full: write waits", write_waits, ENDING },
	{ "", " full: write cancelled", write_cancelled, ENDING },
	{ "FreeBSD aio_", "_blocking_short_write", large_write_plain, SOCKETS },
	{ "FreeBSD aio_", "_blocking_short_write_vectored",
	    large_write_vectored, SOCKETS },
	{ "FreeBSD aio_", "_short_write_cancel", large_write_cancelled,
	    SOCKETS },
};

int
main(void)
{
	return (stream_main(families, CONTRACT_COUNT(families)));
}

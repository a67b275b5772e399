/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Transfers through files and streams, and reads that have to wait.
 *
 * "poll", "suspend" and "waitcomplete" follow FreeBSD's aio_test: the same
 * transfer awaited by a task, by a task that awaits several at once, and by a
 * thread.
 */
#include "stream.h"

#include <sys/uio.h>

/* ---- every type ---- */

static const char *
transfer_by_thread(struct contract *contract, struct stream *stream)
{
	CHECK_EQ(contract_job_run(contract, &stream->write), SIZE);
	CHECK_EQ(contract_job_run(contract, &stream->read), SIZE);
	CHECK_EQ(memcmp(stream->sent, stream->received, SIZE), 0);
	return (NULL);
}

/* The same from two buffers into two others. */
static const char *
transfer_vectored(struct contract *contract, struct stream *stream)
{
	struct iovec from[2] = { { stream->sent, 100 },
		{ stream->sent + 100, SIZE - 100 } };
	struct iovec to[2] = { { stream->received, SIZE - 7 },
		{ stream->received + SIZE - 7, 7 } };
	int64_t written = 0;
	int64_t n;

	/* a pipe may take them one by one */
	while (written < SIZE) {
		bool is_first = written == 0;

		filch_op_init_writev(&stream->write.op, &stream->writer,
		    is_first ? from : from + 1, is_first ? 2 : 1,
		    stream->offset == 0 ? (uint64_t)written : stream->offset);
		n = contract_job_run(contract, &stream->write);
		CHECK(n == SIZE || n == (is_first ? 100 : SIZE - 100));
		written += n;
	}
	filch_op_init_readv(
	    &stream->read.op, &stream->reader, to, 2, stream->offset);
	CHECK_EQ(contract_job_run(contract, &stream->read), SIZE);
	CHECK_EQ(memcmp(stream->sent, stream->received, SIZE), 0);
	return (NULL);
}

/* A task that writes, then reads. */
struct poller {
	struct filch_task task;
	struct stream *stream;
	bool is_written;
	int64_t written;
	int64_t received;
};

static enum filch_poll
poller_poll(struct filch_task *task)
{
	struct poller *poller = filch_container_of(task, struct poller, task);
	struct stream *stream = poller->stream;

	if (!poller->is_written &&
	    filch_op_poll(&stream->write.op, task, &poller->written) ==
		FILCH_PENDING) {
		return (FILCH_PENDING);
	}
	poller->is_written = true;
	return (filch_op_poll(&stream->read.op, task, &poller->received));
}

static const char *
transfer_by_task(struct contract *contract, struct stream *stream)
{
	struct poller poller = { .stream = stream };

	filch_task_init(&poller.task, poller_poll, NULL);
	CHECK_EQ(filch_executor_block_on(contract->executor, &poller.task), 0);
	CHECK_EQ(poller.written, SIZE);
	CHECK_EQ(poller.received, SIZE);
	CHECK_EQ(memcmp(stream->sent, stream->received, SIZE), 0);
	return (NULL);
}

/* A task that awaits a read and a write at once. */
struct suspended {
	struct filch_task task;
	struct filch_batch batch;
	struct filch_op *ops[2];
	size_t failed;
};

static enum filch_poll
suspended_poll(struct filch_task *task)
{
	struct suspended *suspended =
	    filch_container_of(task, struct suspended, task);

	return (filch_batch_poll(&suspended->batch, task, &suspended->failed));
}

static const char *
transfer_by_batch(struct contract *contract, struct stream *stream)
{
	struct suspended suspended = { .failed = 9 };
	bool is_file = stream->type <= TYPE_MD;
	int64_t received;

	suspended.ops[0] = &stream->read.op;
	suspended.ops[1] = &stream->write.op;
	filch_batch_init(&suspended.batch, suspended.ops, 2);
	filch_task_init(&suspended.task, suspended_poll, NULL);
	CHECK_EQ(
	    filch_executor_block_on(contract->executor, &suspended.task), 0);
	CHECK_EQ(suspended.failed, 0);
	CHECK_EQ(filch_op_result(&stream->write.op), SIZE);
	/* a file's read does not wait, and may come before its write */
	received = filch_op_result(&stream->read.op);
	CHECK(received == SIZE || (is_file && received == 0));
	CHECK_EQ(memcmp(stream->sent, stream->received, (size_t)received), 0);
	return (NULL);
}

static const char *
closed_gives_ebadf(struct contract *contract, struct stream *stream)
{
	stream->reader.fd = -1;
	stream->writer.fd = -1;
	CHECK_EQ(contract_job_run(contract, &stream->read), -EBADF);
	CHECK_EQ(contract_job_run(contract, &stream->write), -EBADF);
	return (NULL);
}

static const char *
offset_is_espipe(struct contract *contract, struct stream *stream)
{
	struct iovec iov = { stream->received, SIZE };
	int64_t expected = stream->type <= TYPE_MD ? 0 : -ESPIPE;

	filch_op_init_read(
	    &stream->read.op, &stream->reader, stream->received, SIZE, 7);
	CHECK_EQ(contract_job_run(contract, &stream->read), expected);
	filch_op_init_readv(&stream->read.op, &stream->reader, &iov, 1, 0);
	CHECK_EQ(contract_job_run(contract, &stream->read), expected);
	if (expected < 0) {
		filch_op_init_write(
		    &stream->write.op, &stream->writer, stream->sent, SIZE, 0);
		CHECK_EQ(contract_job_run(contract, &stream->write), -ESPIPE);
		filch_op_init_writev(
		    &stream->write.op, &stream->writer, &iov, 1, 9);
		CHECK_EQ(contract_job_run(contract, &stream->write), -ESPIPE);
	}
	return (NULL);
}

/* ---- those that may have to wait ---- */

static const char *
read_waits(struct contract *contract, struct stream *stream)
{
	CHECK_OK(read_start(contract, stream));
	CHECK_EQ(contract_job_run(contract, &stream->write), SIZE);
	CHECK_EQ(contract_job_end(&stream->read), SIZE);
	CHECK_EQ(memcmp(stream->sent, stream->received, SIZE), 0);
	return (NULL);
}

/* The same on descriptors that say EAGAIN themselves. */
static const char *
nonblocking_waits(struct contract *contract, struct stream *stream)
{
	CHECK_EQ(fcntl(stream->read_fd, F_SETFL, O_NONBLOCK), 0);
	CHECK_EQ(fcntl(stream->write_fd, F_SETFL, O_NONBLOCK), 0);
	CHECK_EQ(filch_file_init(&stream->reader, stream->read_fd), 0);
	CHECK_EQ(filch_file_init(&stream->writer, stream->write_fd), 0);
	return (read_waits(contract, stream));
}

/* After a read that ended early nothing is lost. */
static const char *
read_ends(struct contract *contract, struct stream *stream, int64_t expected)
{
	CHECK_EQ(contract_job_end(&stream->read), expected);
	filch_op_init_read(&stream->read.op, &stream->reader, stream->received,
	    SIZE, stream->offset);
	return (transfer_by_thread(contract, stream));
}

static const char *
read_cancelled(struct contract *contract, struct stream *stream)
{
	CHECK_OK(read_start(contract, stream));
	filch_op_cancel(&stream->read.op);
	return (read_ends(contract, stream, -ECANCELED));
}

static const char *
reader_cancelled(struct contract *contract, struct stream *stream)
{
	CHECK_OK(read_start(contract, stream));
	filch_task_cancel(&stream->read.task);
	return (read_ends(contract, stream, -ECANCELED));
}

static const char *
read_timed_out(struct contract *contract, struct stream *stream)
{
	filch_op_set_deadline(&stream->read.op, filch_now() + 1000000);
	CHECK_EQ(contract_job_start(contract, &stream->read), 0);
	return (read_ends(contract, stream, -ETIMEDOUT));
}

static const char *
read_shut_down(struct contract *contract, struct stream *stream)
{
	CHECK_OK(read_start(contract, stream));
	CHECK_EQ(contract_stop(contract, FILCH_NEVER), 0);
	CHECK_EQ(contract_job_end(&stream->read), -ESHUTDOWN);
	return (NULL);
}

static const char *
two_reads(struct contract *contract, struct stream *stream)
{
	static struct contract_job second;
	static char received[SIZE];

	filch_op_init_read(
	    &second.op, &stream->reader, received, SIZE, stream->offset);
	CHECK_OK(read_start(contract, stream));
	CHECK_EQ(contract_job_start(contract, &second), 0);
	/* one that is cancelled does not hold the other up */
	filch_op_cancel(&stream->read.op);
	CHECK_EQ(contract_job_end(&stream->read), -ECANCELED);
	CHECK_EQ(contract_job_run(contract, &stream->write), SIZE);
	CHECK_EQ(contract_job_end(&second), SIZE);
	CHECK_EQ(memcmp(stream->sent, received, SIZE), 0);
	return (NULL);
}

static const char *
end_of_file(struct contract *contract, struct stream *stream)
{
	CHECK_OK(read_start(contract, stream));
	CHECK_EQ(close(stream->write_fd), 0);
	CHECK_EQ(contract_job_end(&stream->read), 0);
	filch_op_init_read(&stream->read.op, &stream->reader, stream->received,
	    SIZE, stream->offset);
	CHECK_EQ(contract_job_run(contract, &stream->read), 0);
	stream->write_fd = -1;
	return (NULL);
}

static const struct family families[] = {
	{ "FreeBSD aio_test ", "_poll", transfer_by_task, FILES | STREAMS },
	{ "FreeBSD aio_test ", "_signal", stream_no_signal, FILES | STREAMS },
	{ "FreeBSD aio_test ", "_suspend", transfer_by_batch, FILES | STREAMS },
	{ "FreeBSD aio_test ", "_thread", stream_no_thread, FILES | STREAMS },
	{ "FreeBSD aio_test ", "_waitcomplete", transfer_by_thread,
	    FILES | STREAMS },
	{ "FreeBSD aio_test vectored_", "_poll", transfer_vectored,
	    FILES | STREAMS },
	{ "", " closed: EBADF", closed_gives_ebadf, FILES | STREAMS },
	{ "", " at an offset", offset_is_espipe, FILES | STREAMS },
	{ "", " read waits", read_waits, STREAMS },
	{ "", " not blocking: read waits", nonblocking_waits, STREAMS },
	{ "", " read cancelled", read_cancelled, STREAMS },
	{ "", " reader cancelled", reader_cancelled, STREAMS },
	{ "", " read at its deadline", read_timed_out, STREAMS },
	{ "", " read at shutdown", read_shut_down, STREAMS },
	{ "FreeBSD aio_", "_two_reads", two_reads, STREAMS },
	{ "", " end of file", end_of_file, ENDING },
};

int
main(void)
{
	return (stream_main(families, CONTRACT_COUNT(families)));
}

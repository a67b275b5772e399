/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Aio over a user's own source, on the driver that FILCH_DRIVER names.
 *
 * The rows are named after the tests of tokio, mio and mio-aio that they
 * follow.  With io_uring the source submits entries; elsewhere a thread of its
 * own does the I/O and notifies.  A row submits, waits, clears and submits
 * again as often as it says; each completion is one ready and the byte counts
 * are those of the file.
 */
#include <filch/filch.h>

#include <sys/uio.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(FILCH_HAVE_URING)
#include <liburing.h>
#endif

enum verb {
	VERB_FSYNC,
	VERB_READ,
	VERB_READV,
	VERB_WRITE,
	VERB_WRITEV
};

struct row {
	const char *name;
	enum verb verb;
	unsigned entries; /* 0: not a list */
	unsigned rounds;
	int64_t expected;
};

static const struct row rows[] = {
	{ "tokio aio::fsync", VERB_FSYNC, 0, 1, 0 },
	{ "tokio aio::reuse", VERB_FSYNC, 0, 2, 0 },
	{ "mio-aio aio_write::ok", VERB_WRITE, 0, 1, 9 },
	{ "mio-aio aio_writev::ok", VERB_WRITEV, 0, 1, 9 },
	{ "mio-aio aio_read::ok", VERB_READ, 0, 1, 9 },
	{ "mio-aio aio_readv::ok", VERB_READV, 0, 1, 9 },
	{ "mio aio::smoke", VERB_WRITE, 0, 1, 9 },
	{ "tokio lio::onewrite", VERB_WRITE, 1, 1, 9 },
	{ "tokio lio::reuse", VERB_WRITE, 1, 2, 9 },
	{ "mio lio::smoke", VERB_WRITE, 2, 1, 9 },
};

struct run {
	struct filch_task task;
	const struct row *row;
	struct filch_registrar registrar;
	struct filch_aio *aio;
	int fd;
	unsigned round;
	bool is_submitted;
	bool is_uring;
	pthread_t thread;
	char bytes[10];
	struct iovec iov[2];
	const char *fault; /* NULL: all well */
};

static int
run_register(void *source, const struct filch_registrar *registrar)
{
	((struct run *)source)->registrar = *registrar;
	return (0);
}

static const struct filch_aio_source_vtable run_vtable = { run_register, NULL };

/* What the helper thread does in the place of the kernel. */
static void *
run_by_thread(void *arg)
{
	struct run *run = arg;
	int64_t n = 0;
	unsigned count = run->row->entries == 0 ? 1 : run->row->entries;

	for (unsigned i = 0; i < count; i++) {
		switch (run->row->verb) {
		case VERB_FSYNC:
			n = fsync(run->fd);
			break;
		case VERB_READ:
			n = pread(run->fd, run->bytes, 9, 0);
			break;
		case VERB_READV:
			n = preadv(run->fd, run->iov, 2, 0);
			break;
		case VERB_WRITE:
			n = pwrite(run->fd, run->bytes, 9, 0);
			break;
		case VERB_WRITEV:
			n = pwritev(run->fd, run->iov, 2, 0);
			break;
		}
	}
	if (filch_registrar_notify(&run->registrar, n) != 0) {
		run->fault = "notify was refused";
	}
	return (NULL);
}

#if defined(FILCH_HAVE_URING)
static void
run_fill(struct io_uring_sqe *sqe, unsigned index, void *arg)
{
	struct run *run = arg;

	(void)index;
	switch (run->row->verb) {
	case VERB_FSYNC:
		io_uring_prep_fsync(sqe, run->fd, 0);
		break;
	case VERB_READ:
		io_uring_prep_read(sqe, run->fd, run->bytes, 9, 0);
		break;
	case VERB_READV:
		io_uring_prep_readv(sqe, run->fd, run->iov, 2, 0);
		break;
	case VERB_WRITE:
		io_uring_prep_write(sqe, run->fd, run->bytes, 9, 0);
		break;
	case VERB_WRITEV:
		io_uring_prep_writev(sqe, run->fd, run->iov, 2, 0);
		break;
	}
}
#endif

static int
run_submit(struct run *run)
{
	unsigned count = run->row->entries == 0 ? 1 : run->row->entries;

#if defined(FILCH_HAVE_URING)
	if (run->is_uring) {
		return (filch_registrar_submit(
		    &run->registrar, run_fill, run, count));
	}
#endif
	(void)count;
	return (-pthread_create(&run->thread, NULL, run_by_thread, run));
}

static void
run_check(struct run *run, const struct filch_aio_event *event)
{
	int64_t result = event->result;

	if (event->interest !=
	    (run->row->entries == 0 ? FILCH_INTEREST_AIO
				    : FILCH_INTEREST_LIO)) {
		run->fault = "the event is of the wrong interest";
	}
	if (run->is_uring && run->row->entries > 0) {
		result = filch_aio_result(run->aio, run->row->entries - 1);
	} else if (run->row->entries > 0) {
		return;
	}
	if (result != run->row->expected) {
		run->fault = "the result is wrong";
	}
}

static enum filch_poll
run_poll(struct filch_task *task)
{
	struct run *run = filch_container_of(task, struct run, task);
	struct filch_aio_event event;
	int status;

	for (;;) {
		if (filch_aio_poll_ready(run->aio, task, &event, &status) ==
		    FILCH_PENDING) {
			if (!run->is_submitted) {
				run->is_submitted = true;
				if (run_submit(run) != 0) {
					run->fault = "submit was refused";
					return (FILCH_READY);
				}
			}
			return (FILCH_PENDING);
		}
		if (status != 0 || !run->is_submitted) {
			run->fault = "ready too early, or not well";
			return (FILCH_READY);
		}
		run_check(run, &event);
		filch_aio_clear_ready(run->aio, event);
		if (!run->is_uring) {
			pthread_join(run->thread, NULL);
		}
		run->is_submitted = false;
		if (++run->round == run->row->rounds) {
			return (FILCH_READY);
		}
	}
}

static const char *
row_run(struct filch_executor *executor, const struct row *row, int fd)
{
	struct run run = { .row = row, .fd = fd, .bytes = "filch aio" };

	run.is_uring = filch_executor_driver(executor) == FILCH_DRIVER_URING;
#if !defined(FILCH_HAVE_URING)
	run.is_uring = false;
#endif
	run.iov[0] = (struct iovec){ run.bytes, 5 };
	run.iov[1] = (struct iovec){ run.bytes + 5, 4 };
	if (filch_aio_new(executor, &run_vtable, &run,
		row->entries == 0 ? FILCH_INTEREST_AIO : FILCH_INTEREST_LIO,
		row->entries == 0 ? 1 : row->entries, &run.aio) != 0) {
		return ("no Aio could be made");
	}
	filch_task_init(&run.task, run_poll, NULL);
	if (filch_executor_block_on(executor, &run.task) != 0) {
		return ("the task did not run");
	}
	if (filch_aio_into_inner(run.aio) != &run) {
		return ("another source came back");
	}
	if (filch_registrar_notify(&run.registrar, 0) != -ESTALE) {
		return ("the registrar is not stale");
	}
	return (
	    memcmp(run.bytes, "filch aio", 9) == 0 ? run.fault : "wrong bytes");
}

int
main(void)
{
	char path[] = "/tmp/filch-contract-aio-XXXXXX";
	struct filch_executor *executor;
	size_t count = sizeof(rows) / sizeof(rows[0]);
	int failed = 0;
	int fd = mkstemp(path);
	int rc = filch_executor_create(NULL, &executor);

	if (rc < 0) {
		printf("1..0 # SKIP no executor: %s\n", strerror(-rc));
		(void)unlink(path);
		return (77);
	}
	if (fd < 0 || pwrite(fd, "filch aio", 9, 0) != 9) {
		perror(path);
		return (1);
	}
	printf("1..%zu\n", count);
	for (size_t i = 0; i < count; i++) {
		const char *fault = row_run(executor, &rows[i], fd);

		printf("%sok %zu - %s%s%s\n", fault == NULL ? "" : "not ",
		    i + 1, rows[i].name, fault == NULL ? "" : ": ",
		    fault == NULL ? "" : fault);
		failed += fault != NULL;
	}
	filch_executor_destroy(executor);
	(void)unlink(path);
	return (failed != 0);
}

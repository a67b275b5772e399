/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Aio over a user's own source.
 *
 * The rows are named after the tests of tokio, mio and mio-aio that they
 * follow.  A row submits, waits, clears and submits again as often as it says;
 * nothing is ready before a submission, each one makes the source ready once,
 * byte counts and data are those of the file, and nothing comes after it.
 */
#include "source.h"

#include <sys/socket.h>

enum {
	SUBMIT_FIRST = 1 << 0, /* before the first poll */
	CANCEL = 1 << 1,       /* once it is in flight */
	STUCK = 1 << 2,        /* the file is a socket that nobody writes to */
	LEVEL = 1 << 3,        /* the kevent repeats until it is reaped */
	CLEAR_FIRST = 1 << 4   /* before it is reaped */
};

struct row {
	const char *name;
	enum source_verb verb;
	unsigned entries; /* 0: not a list */
	unsigned rounds;
	uint64_t offset;
	size_t first; /* sizes of the buffers */
	size_t second;
	int64_t expected;
	unsigned flags;
};

static const struct row rows[] = {
	{ "tokio aio::fsync", SOURCE_FSYNC, 0, 1, 0, 9, 0, 0, 0 },
	{ "tokio aio::ll_fsync", SOURCE_FSYNC, 0, 1, 0, 9, 0, 0,
	    SUBMIT_FIRST | LEVEL | CLEAR_FIRST },
	{ "tokio aio::reuse", SOURCE_FSYNC, 0, 2, 0, 9, 0, 0, 0 },
	{ "tokio lio::onewrite", SOURCE_WRITE, 1, 1, 0, 9, 0, 9, 0 },
	{ "tokio lio::reuse", SOURCE_WRITE, 1, 2, 0, 9, 0, 9, 0 },
	{ "mio aio::smoke", SOURCE_WRITE, 0, 1, 0, 9, 0, 9, 0 },
	{ "mio lio::smoke", SOURCE_WRITE, 2, 1, 0, 9, 0, 9, 0 },
	{ "mio-aio test_aio_cancel", SOURCE_READ, 0, 1, FILCH_OFFSET_CURRENT, 9,
	    0, -ECANCELED, CANCEL | STUCK },
	{ "mio-aio aio_write::cancel", SOURCE_WRITE, 0, 1, 0, 9, 0, 9, CANCEL },
	{ "mio-aio aio_fsync::ok", SOURCE_FSYNC, 0, 1, 0, 9, 0, 0, 0 },
	{ "mio-aio aio_read::ok", SOURCE_READ, 0, 1, 2, 7, 0, 7, 0 },
	{ "mio-aio aio_readv::ok", SOURCE_READV, 0, 1, 0, 4, 2, 6, 0 },
	{ "mio-aio aio_write::ok", SOURCE_WRITE, 0, 1, 0, 9, 0, 9, 0 },
	{ "mio-aio aio_writev::ok", SOURCE_WRITEV, 0, 1, 0, 5, 4, 9, 0 },
};

static const char text[] = "filch aio";

struct run {
	struct filch_task task;
	const struct row *row;
	unsigned entries; /* of its list; 0: not a list */
	struct source source;
	struct filch_aio *aio;
	int fds[2];
	unsigned round;
	bool is_submitted;
	const char *fault; /* NULL: all well */
};

static bool
row_is_read(const struct row *row)
{
	return (row->verb == SOURCE_READ || row->verb == SOURCE_READV);
}

/* The result of one entry is one that the row may have. */
static bool
result_is_right(const struct row *row, int64_t result)
{
	/* a cancel that comes too late leaves the result */
	return (result == row->expected ||
	    ((row->flags & CANCEL) != 0 && result == -ECANCELED));
}

/* The sum of the entries' results, with kqueue: each is reaped. */
static const char *
run_check_reaped(struct run *run, const struct filch_aio_event *event)
{
	bool splits = run->entries != run->row->entries && run->entries > 0;
	int64_t total = 0;

	for (unsigned i = 0; i < run->source.entries; i++) {
		int64_t result = source_reap(&run->source, run->aio, i);

		CHECK(splits || result_is_right(run->row, result));
		total += result;
	}
	CHECK(!splits || total == run->row->expected);
	/* the event tells of an error, and of no count */
	CHECK_EQ(event->result, run->entries == 0 && total < 0 ? total : 0);
	return (NULL);
}

static const char *
run_check(struct run *run, const struct filch_aio_event *event)
{
	const struct row *row = run->row;
	unsigned interest =
	    run->entries == 0 ? FILCH_INTEREST_AIO : FILCH_INTEREST_LIO;

	CHECK_EQ(event->interest, interest);
	if (run->source.is_kqueue) {
		return (run_check_reaped(run, event));
	}
	if (row->entries == 0) {
		CHECK(result_is_right(row, event->result));
		CHECK_EQ(filch_aio_result(run->aio, 0), event->result);
		return (NULL);
	}
	CHECK_EQ(event->result, 0);
	for (unsigned i = 0; run->source.is_uring && i < row->entries; i++) {
		CHECK(result_is_right(row, filch_aio_result(run->aio, i)));
	}
	return (NULL);
}

static const char *
run_start(struct run *run)
{
	run->is_submitted = true;
	CHECK_EQ(source_submit(&run->source), 0);
	if ((run->row->flags & CANCEL) != 0) {
		int rc = source_cancel(&run->source);

		CHECK(rc == 0 || rc == -ENOENT);
	}
	return (NULL);
}

/* One poll; NULL, with *ret_poll what to return, or what is wrong. */
static const char *
run_step(struct run *run, enum filch_poll *ret_poll)
{
	struct filch_aio_event event;
	int status;

	*ret_poll = FILCH_PENDING;
	if ((run->row->flags & SUBMIT_FIRST) != 0 && !run->is_submitted &&
	    run->round < run->row->rounds) {
		CHECK_OK(run_start(run));
	}
	if (filch_aio_poll_ready(run->aio, &run->task, &event, &status) ==
	    FILCH_PENDING) {
		if (run->round == run->row->rounds) {
			*ret_poll = FILCH_READY; /* and no second event */
			return (NULL);
		}
		return (run->is_submitted ? NULL : run_start(run));
	}
	CHECK_EQ(status, 0);
	CHECK(run->is_submitted);
	if ((run->row->flags & CLEAR_FIRST) != 0) {
		filch_aio_clear_ready(run->aio, event);
	}
	CHECK_OK(run_check(run, &event));
	if ((run->row->flags & CLEAR_FIRST) == 0) {
		filch_aio_clear_ready(run->aio, event);
	}
	source_settle(&run->source);
	CHECK(!run->source.is_refused);
	run->is_submitted = false;
	run->round++;
	(void)filch_task_yield(&run->task);
	return (NULL);
}

static enum filch_poll
run_poll(struct filch_task *task)
{
	struct run *run = filch_container_of(task, struct run, task);
	enum filch_poll poll;

	run->fault = run_step(run, &poll);
	return (run->fault != NULL ? FILCH_READY : poll);
}

/* What the row has read or written. */
static const char *
run_check_data(const struct run *run)
{
	const struct row *row = run->row;
	char bytes[sizeof(text)] = "";

	if (row_is_read(row) && row->expected > 0) {
		CHECK_EQ(memcmp(run->source.bytes, text + row->offset,
			     (size_t)row->expected),
		    0);
		return (NULL);
	}
	for (unsigned i = 0; i < 2 && (row->flags & CANCEL) == 0; i++) {
		bool used = i == 0 || row->entries > 1 || row_is_read(row) ||
		    row->verb == SOURCE_FSYNC;

		CHECK_EQ(pread(run->fds[i], bytes, 9, 0), used ? 9 : 0);
		CHECK_EQ(memcmp(bytes, text, 9), 0);
	}
	return (NULL);
}

static const char *
row_run(struct contract *contract, struct run *run)
{
	const struct row *row = run->row;

	source_shape(&run->source, row->first, row->second);
	filch_task_init(&run->task, run_poll, NULL);
	CHECK_EQ(
	    filch_aio_new(contract->executor, &source_vtable, &run->source,
		run->entries == 0 ? FILCH_INTEREST_AIO : FILCH_INTEREST_LIO,
		run->source.entries, &run->aio),
	    0);
	CHECK_EQ(filch_executor_block_on(contract->executor, &run->task), 0);
	CHECK_OK(run->fault);
	CHECK(filch_aio_source(run->aio) == &run->source);
	CHECK(filch_aio_into_inner(run->aio) == &run->source);
	CHECK_EQ(filch_registrar_notify(&run->source.registrar, 0), -ESTALE);
	return (run_check_data(run));
}

/*
 * What kqueue needs to know more.  Without aio_readv(2) a vectored transfer is
 * a list of plain ones, as it was in mio-aio.
 */
static void
run_shape_kqueue(struct run *run, const struct contract *contract)
{
#if defined(FILCH_HAVE_KQUEUE)
	struct source *source = &run->source;
	bool level = (run->row->flags & LEVEL) != 0;

	source->is_kqueue = contract->is_kqueue;
	source->kevent_flags = level ? 0 : EV_ONESHOT;
#if !defined(FILCH_HAVE_AIO_READV)
	if (source->is_kqueue &&
	    (source->verb == SOURCE_READV || source->verb == SOURCE_WRITEV)) {
		source->splits = true;
		run->entries = SOURCE_ENTRIES_MAX;
	}
#endif
	source->is_list = run->entries > 0;
#else
	(void)run;
	(void)contract;
#endif
}

static const char *
row_open_and_run(struct contract *contract)
{
	const struct row *row = contract->row;
	struct run run = { .row = row, .entries = row->entries };
	bool fresh = row->verb == SOURCE_WRITE || row->verb == SOURCE_WRITEV;
	const char *fault;

	if ((row->flags & CANCEL) != 0 && !contract->is_uring &&
	    !contract->is_kqueue) {
		SKIP("a thread that does the I/O is not cancelled");
	}
	if ((row->flags & STUCK) != 0) {
		CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, run.fds), 0);
	} else {
		run.fds[0] = contract_file(contract, "0", fresh ? "" : text);
		run.fds[1] = contract_file(contract, "1", fresh ? "" : text);
		CHECK(run.fds[0] >= 0 && run.fds[1] >= 0);
	}
	if (!row_is_read(row)) {
		memcpy(run.source.bytes, text, 9);
	}
	run.source.verb = row->verb;
	run.source.fds = run.fds;
	run.source.offset = row->offset;
	run.source.is_uring = contract->is_uring;
	run_shape_kqueue(&run, contract);
	run.source.entries = run.entries == 0 ? 1 : run.entries;
	fault = row_run(contract, &run);
	(void)close(run.fds[0]);
	(void)close(run.fds[1]);
	return (fault);
}

int
main(void)
{
	struct contract_test tests[CONTRACT_COUNT(rows)];

	for (size_t i = 0; i < CONTRACT_COUNT(rows); i++) {
		tests[i].name = rows[i].name;
		tests[i].run = row_open_and_run;
		tests[i].row = &rows[i];
	}
	return (contract_main(tests, CONTRACT_COUNT(rows), NULL));
}

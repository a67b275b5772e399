/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sources that are given up in every state, and io_uring driven by hand: any
 * opcode, chains, each entry's own result.
 */
#include "errand.h"

#include <sched.h>

#define ENTRIES 8

/* A task that only waits for its Aio; its end is told to a semaphore. */
struct waiter {
	struct filch_task task;
	struct filch_aio *aio;
	sem_t polled;
	sem_t released;
};

static enum filch_poll
waiter_poll(struct filch_task *task)
{
	struct waiter *waiter = filch_container_of(task, struct waiter, task);
	struct filch_aio_event event;
	int status;
	enum filch_poll poll =
	    filch_aio_poll_ready(waiter->aio, task, &event, &status);

	(void)sem_post(&waiter->polled);
	return (poll);
}

static void
waiter_release(struct filch_task *task)
{
	struct waiter *waiter = filch_container_of(task, struct waiter, task);

	(void)sem_post(&waiter->released);
}

static void
sem_take(sem_t *sem)
{
	while (sem_wait(sem) < 0) {
		continue;
	}
}

static const char *
drop_untouched(struct contract *contract)
{
	struct source source;
	struct filch_aio *aio;

	CHECK_EQ(filch_aio_new_for_aio(
		     contract->executor, &source_vtable, &source, &aio),
	    0);
	filch_aio_destroy(aio);
	CHECK_EQ(filch_aio_new_for_aio(
		     contract->executor, &source_vtable, &source, &aio),
	    0);
	CHECK_EQ(filch_registrar_notify(&source.registrar, 1), 0);
	filch_aio_destroy(aio);
	return (NULL);
}

/* The Aio's waker was all that kept the task. */
static const char *
drop_waited_for(struct contract *contract)
{
	static struct waiter waiter;
	struct source source;

	(void)sem_init(&waiter.polled, 0, 0);
	(void)sem_init(&waiter.released, 0, 0);
	CHECK_EQ(filch_aio_new_for_aio(
		     contract->executor, &source_vtable, &source, &waiter.aio),
	    0);
	filch_task_init(&waiter.task, waiter_poll, waiter_release);
	CHECK_EQ(filch_executor_spawn(contract->executor, &waiter.task), 0);
	sem_take(&waiter.polled);
	filch_aio_destroy(waiter.aio);
	sem_take(&waiter.released);
	return (NULL);
}

#if defined(FILCH_HAVE_URING)
struct flight {
	struct errand errand;
	struct source source;
	unsigned count;
	void (*fill)(struct io_uring_sqe *sqe, unsigned index, void *arg);
	int fds[2];
	char bytes[ENTRIES];
	struct __kernel_timespec wait;
	unsigned char flags; /* of every entry but the last */
};

static void
fill_flagged(struct io_uring_sqe *sqe, unsigned index, void *arg)
{
	struct flight *flight = arg;

	flight->fill(sqe, index, arg);
	if (index + 1 < flight->count) {
		sqe->flags |= flight->flags;
	}
}

static int
call_fly(struct errand *errand)
{
	struct flight *flight =
	    filch_container_of(errand, struct flight, errand);

	return (filch_registrar_submit(
	    &flight->source.registrar, fill_flagged, flight, flight->count));
}

/* Make the Aio, and submit count entries. */
static const char *
fly(struct contract *contract, struct flight *flight, unsigned count,
    filch_sqe_fill_fn fill)
{
	if (!contract->is_uring) {
		SKIP("not io_uring");
	}
	flight->errand.source = &flight->source;
	flight->count = count;
	flight->fill = fill;
	CHECK_EQ(filch_aio_new_for_lio(contract->executor, &source_vtable,
		     &flight->source, ENTRIES, &flight->errand.aio),
	    0);
	CHECK_EQ(errand_run(contract->executor, &flight->errand, call_fly), 0);
	return (NULL);
}

static const char *
land(struct contract *contract, struct flight *flight)
{
	CHECK_EQ(errand_run(contract->executor, &flight->errand, call_wait), 0);
	CHECK_EQ(flight->errand.event.interest, FILCH_INTEREST_LIO);
	return (NULL);
}

/* Entries of every sort: no file, bad file, a time, data. */
static void
fill_mixed(struct io_uring_sqe *sqe, unsigned index, void *arg)
{
	struct flight *flight = arg;

	switch (index) {
	case 0:
		io_uring_prep_nop(sqe);
		break;
	case 1:
		io_uring_prep_read(sqe, -1, flight->bytes, 1, 0);
		break;
	case 2:
		flight->wait.tv_nsec = 1000;
		io_uring_prep_timeout(sqe, &flight->wait, 0, 0);
		break;
	case 3:
		io_uring_prep_write(sqe, flight->fds[1], "xyz", 3, 0);
		break;
	default:
		io_uring_prep_poll_add(sqe, flight->fds[1], 4 /* POLLOUT */);
		break;
	}
}

static const char *
any_opcode(struct contract *contract)
{
	static struct flight flight;

	CHECK_EQ(pipe(flight.fds), 0);
	CHECK_OK(fly(contract, &flight, 5, fill_mixed));
	CHECK_OK(land(contract, &flight));
	CHECK_EQ(filch_aio_result(flight.errand.aio, 0), 0);
	CHECK_EQ(filch_aio_result(flight.errand.aio, 1), -EBADF);
	CHECK_EQ(filch_aio_result(flight.errand.aio, 2), -ETIME);
	CHECK_EQ(filch_aio_result(flight.errand.aio, 3), 3);
	CHECK(filch_aio_result(flight.errand.aio, 4) > 0);
	filch_aio_destroy(flight.errand.aio);
	return (NULL);
}

static void
fill_chain(struct io_uring_sqe *sqe, unsigned index, void *arg)
{
	struct flight *flight = arg;

	switch (index) {
	case 0:
		io_uring_prep_write(sqe, flight->fds[0], "chain", 5, 0);
		break;
	case 1:
		io_uring_prep_fsync(sqe, flight->fds[0], 0);
		break;
	default:
		io_uring_prep_read(sqe, flight->fds[0], flight->bytes, 5, 0);
		break;
	}
}

/* A chain stays in order; entries that would not tell of their end do. */
static const char *
chain(struct contract *contract)
{
	static struct flight flight;

	flight.fds[0] = contract_file(contract, "file", "");
	flight.flags = IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
	CHECK_OK(fly(contract, &flight, 3, fill_chain));
	CHECK_OK(land(contract, &flight));
	CHECK_EQ(filch_aio_result(flight.errand.aio, 0), 5);
	CHECK_EQ(filch_aio_result(flight.errand.aio, 1), 0);
	CHECK_EQ(filch_aio_result(flight.errand.aio, 2), 5);
	CHECK_EQ(memcmp(flight.bytes, "chain", 5), 0);
	filch_aio_destroy(flight.errand.aio);
	(void)close(flight.fds[0]);
	return (NULL);
}

static void
fill_stuck(struct io_uring_sqe *sqe, unsigned index, void *arg)
{
	struct flight *flight = arg;

	io_uring_prep_read(
	    sqe, flight->fds[0], &flight->bytes[index], 1, (uint64_t)-1);
}

static const char *
fly_stuck(struct contract *contract, struct flight *flight)
{
	memset(flight, 0, sizeof(*flight));
	CHECK_EQ(pipe(flight->fds), 0);
	return (fly(contract, flight, ENTRIES, fill_stuck));
}

static void
fill_open_ended(struct io_uring_sqe *sqe, unsigned index, void *arg)
{
	struct flight *flight = arg;

	fill_stuck(sqe, index, arg);
	sqe->flags |= flight->flags;
}

static int
call_nothing(struct errand *errand)
{
	(void)errand;
	return (0);
}

/* The worker, which is the only one, sleeps, and hears that it is wanted. */
static const char *
hears(struct contract *contract)
{
	struct filch_executor_stats stats;
	struct errand errand = { .source = NULL };

	do {
		sched_yield();
		filch_executor_get_stats(contract->executor, &stats);
	} while (stats.parked == 0);
	CHECK_EQ(errand_run(contract->executor, &errand, call_nothing), 0);
	return (NULL);
}

static const char *
open_ended_with(struct contract *contract, unsigned char flags)
{
	static struct flight flight;

	memset(&flight, 0, sizeof(flight));
	flight.flags = flags;
	CHECK_EQ(pipe(flight.fds), 0);
	CHECK_OK(fly(contract, &flight, 2, fill_open_ended));
	CHECK_OK(hears(contract));
	CHECK_OK(hears(contract));
	CHECK_EQ(write(flight.fds[1], "ab", 2), 2);
	CHECK_OK(land(contract, &flight));
	CHECK_EQ(filch_aio_result(flight.errand.aio, 1), 1);
	filch_aio_destroy(flight.errand.aio);
	(void)close(flight.fds[0]);
	(void)close(flight.fds[1]);
	return (NULL);
}

/* What others submit behind a source's entries does not wait for them. */
static const char *
open_ended(struct contract *contract)
{
	static const unsigned char flags[] = {
		IOSQE_IO_LINK,
		IOSQE_IO_HARDLINK,
		IOSQE_IO_DRAIN,
	};
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;
	struct contract alone = *contract;

	if (!contract->is_uring) {
		SKIP("not io_uring");
	}
	options.worker_count = 1;
	for (unsigned i = 0; i < CONTRACT_COUNT(flags); i++) {
		CHECK_EQ(filch_executor_create(&options, &alone.executor), 0);
		CHECK_OK(open_ended_with(&alone, flags[i]));
		filch_executor_destroy(alone.executor);
	}
	return (NULL);
}

static const char *
cancelled(struct contract *contract)
{
	static struct flight flight;

	CHECK_OK(fly_stuck(contract, &flight));
	CHECK_EQ(filch_registrar_cancel(&flight.source.registrar), 0);
	CHECK_OK(land(contract, &flight));
	for (unsigned i = 0; i < ENTRIES; i++) {
		CHECK_EQ(filch_aio_result(flight.errand.aio, i), -ECANCELED);
	}
	CHECK_EQ(filch_registrar_cancel(&flight.source.registrar), -ENOENT);
	filch_aio_destroy(flight.errand.aio);
	return (NULL);
}

/* The Aio goes, its I/O does not: it ends later, and tells nobody. */
static const char *
drop_in_flight(struct contract *contract)
{
	static struct flight flights[20];
	struct filch_executor_stats stats;
	char bytes[ENTRIES] = "ijklmno";

	for (unsigned i = 0; i < CONTRACT_COUNT(flights); i++) {
		CHECK_OK(fly_stuck(contract, &flights[i]));
		filch_aio_destroy(flights[i].errand.aio);
		CHECK_EQ(filch_registrar_cancel(&flights[i].source.registrar),
		    -ESTALE);
	}
	filch_executor_get_stats(contract->executor, &stats);
	CHECK_EQ(stats.registrations, 0);
	/* some end by themselves, the others with the executor */
	for (unsigned i = 0; i < CONTRACT_COUNT(flights); i += 2) {
		CHECK_EQ(write(flights[i].fds[1], bytes, ENTRIES), ENTRIES);
	}
	return (NULL);
}

/* The end is told when the kernel is through with the source's memory. */
static const char *
stopped_in_flight(struct contract *contract)
{
	static struct flight flight;
	struct errand *errand = &flight.errand;

	CHECK_OK(fly_stuck(contract, &flight));
	errand->call = call_wait;
	filch_task_init(&errand->task, errand_poll, NULL);
	CHECK_EQ(
	    filch_executor_spawn_joinable(contract->executor, &errand->task),
	    0);
	CHECK_EQ(contract_stop(contract, FILCH_NEVER), 0);
	CHECK_EQ(filch_task_join(&errand->task), 0);
	CHECK_EQ(errand->result, 0);
	for (unsigned i = 0; i < ENTRIES; i++) {
		CHECK_EQ(filch_aio_result(errand->aio, i), -ECANCELED);
	}
	filch_aio_destroy(errand->aio);
	return (NULL);
}
#endif

static const struct contract_test tests[] = {
	{ "given up untouched, and ready", drop_untouched, NULL },
	{ "given up while waited for", drop_waited_for, NULL },
#if defined(FILCH_HAVE_URING)
	{ "any opcode", any_opcode, NULL },
	{ "a chain", chain, NULL },
	{ "a chain without an end", open_ended, NULL },
	{ "cancelled", cancelled, NULL },
	{ "given up in flight", drop_in_flight, NULL },
	{ "in flight at shutdown", stopped_in_flight, NULL },
#endif
};

int
main(void)
{
	return (contract_main(tests, CONTRACT_COUNT(tests), NULL));
}

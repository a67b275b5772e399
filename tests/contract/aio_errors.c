/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What include/filch/aio.h refuses, and sources given up at any time.
 */
#include "errand.h"

#if defined(FILCH_HAVE_URING)
static void
fill_nothing(struct io_uring_sqe *sqe, unsigned index, void *arg)
{
	(void)index;
	(void)arg;
	io_uring_prep_nop(sqe);
}
#else
static void
fill_nothing(struct io_uring_sqe *sqe, unsigned index, void *arg)
{
	(void)sqe;
	(void)index;
	(void)arg;
}
#endif

static int
call_submit(struct errand *errand)
{
	return (filch_registrar_submit(
	    &errand->source->registrar, fill_nothing, NULL, errand->count));
}

static int
call_wait_cancelled(struct errand *errand)
{
	filch_task_cancel(&errand->task);
	return (call_wait(errand));
}

/* Submit twice: the second finds the first in flight. */
static int
call_submit_twice(struct errand *errand)
{
	int rc = call_submit(errand);

	return (rc < 0 ? rc : call_submit(errand));
}

static int
submit(struct filch_executor *executor, struct source *source, unsigned count)
{
	struct errand errand = { .source = source, .count = count };

	return (errand_run(executor, &errand, call_submit));
}

static const char *
new_refuses(struct contract *contract)
{
	static const struct {
		unsigned interest;
		unsigned entries;
		int expected;
	} rows[] = {
		{ 0, 1, -EINVAL },
		{ FILCH_INTEREST_READ, 1, -EINVAL },
		{ FILCH_INTEREST_WRITE, 1, -EINVAL },
		{ FILCH_INTEREST_AIO | FILCH_INTEREST_LIO, 1, -EINVAL },
		{ FILCH_INTEREST_AIO | FILCH_INTEREST_READ, 1, -EINVAL },
		{ 1 << 4, 1, -EINVAL },
		{ FILCH_INTEREST_AIO, 0, -EINVAL },
		{ FILCH_INTEREST_AIO, 2, -EINVAL },
		{ FILCH_INTEREST_LIO, 0, -EINVAL },
		{ FILCH_INTEREST_LIO, FILCH_AIO_ENTRIES_MAX + 1, -EINVAL },
		{ FILCH_INTEREST_LIO, FILCH_AIO_ENTRIES_MAX, 0 },
		{ FILCH_INTEREST_LIO, 1, 0 },
		{ FILCH_INTEREST_AIO, 1, 0 },
	};

	for (size_t i = 0; i < CONTRACT_COUNT(rows); i++) {
		struct source source;
		struct filch_aio *aio = NULL;

		CHECK_EQ(filch_aio_new(contract->executor, &source_vtable,
			     &source, rows[i].interest, rows[i].entries, &aio),
		    rows[i].expected);
		CHECK((aio != NULL) == (rows[i].expected == 0));
		filch_aio_destroy(aio);
	}
	return (NULL);
}

static int
register_refuses(void *source, const struct filch_registrar *registrar)
{
	(void)source;
	(void)registrar;
	return (-EDOM);
}

static unsigned deregistered;

static void
deregister_counts(void *source)
{
	(void)source;
	deregistered++;
}

static uint64_t
registrations(struct contract *contract)
{
	struct filch_executor_stats stats;

	filch_executor_get_stats(contract->executor, &stats);
	return (stats.registrations);
}

static const char *
source_refuses(struct contract *contract)
{
	static const struct filch_aio_source_vtable refuses = {
		register_refuses, deregister_counts
	};
	static const struct filch_aio_source_vtable counts = { source_register,
		deregister_counts };
	struct source source;
	struct filch_aio *aio = NULL;

	deregistered = 0;
	CHECK_EQ(
	    filch_aio_new_for_aio(contract->executor, &refuses, &source, &aio),
	    -EDOM);
	CHECK(aio == NULL);
	CHECK_EQ(deregistered, 0);
	CHECK_EQ(registrations(contract), 0);
	CHECK_EQ(filch_aio_new_for_lio(
		     contract->executor, &counts, &source, 3, &aio),
	    0);
	CHECK_EQ(registrations(contract), 1);
	CHECK(filch_aio_source(aio) == &source);
	CHECK(filch_aio_into_inner(aio) == &source);
	CHECK_EQ(deregistered, 1);
	CHECK_EQ(registrations(contract), 0);
	filch_aio_destroy(NULL);
	return (NULL);
}

static const char *
submit_refuses(struct contract *contract)
{
	struct filch_executor *other;
	struct source source;
	struct errand errand = { .source = &source, .count = 2 };

	CHECK_EQ(filch_executor_create(NULL, &other), 0);
	CHECK_EQ(filch_aio_new_for_lio(contract->executor, &source_vtable,
		     &source, FILCH_AIO_ENTRIES_MAX, &errand.aio),
	    0);
	CHECK_EQ(
	    filch_registrar_submit(&source.registrar, fill_nothing, NULL, 1),
	    -EPERM);
	CHECK_EQ(submit(other, &source, 1), -EPERM);
	CHECK_EQ(submit(contract->executor, &source, 0), -EINVAL);
	CHECK_EQ(submit(contract->executor, &source, FILCH_AIO_ENTRIES_MAX + 1),
	    -EINVAL);
	if (contract->is_uring) {
		/* the ring of this program is not that large */
		CHECK_EQ(
		    submit(contract->executor, &source, FILCH_AIO_ENTRIES_MAX),
		    -EAGAIN);
		CHECK_EQ(filch_registrar_cancel(&source.registrar), -ENOENT);
		CHECK_EQ(
		    errand_run(contract->executor, &errand, call_submit_twice),
		    -EBUSY);
		CHECK_EQ(errand_run(contract->executor, &errand, call_wait), 0);
		CHECK_EQ(filch_registrar_cancel(&source.registrar), -ENOENT);
	} else {
		CHECK_EQ(submit(contract->executor, &source, 1), -EOPNOTSUPP);
		CHECK_EQ(
		    filch_registrar_cancel(&source.registrar), -EOPNOTSUPP);
	}
	CHECK_EQ(registrations(contract), 1);
	filch_aio_destroy(errand.aio);
	CHECK_EQ(submit(contract->executor, &source, 1), -ESTALE);
	CHECK_EQ(filch_registrar_cancel(&source.registrar), -ESTALE);
	CHECK_EQ(filch_registrar_notify(&source.registrar, 0), -ESTALE);
	filch_executor_destroy(other);
	return (NULL);
}

static const char *
poll_in_cancelled_task(struct contract *contract)
{
	struct source source;
	struct errand errand = { .source = &source };

	CHECK_EQ(filch_aio_new_for_aio(
		     contract->executor, &source_vtable, &source, &errand.aio),
	    0);
	CHECK_EQ(errand_run(contract->executor, &errand, call_wait_cancelled),
	    -ECANCELED);
	/* a completion is told first */
	CHECK_EQ(filch_registrar_notify(&source.registrar, 5), 0);
	CHECK_EQ(
	    errand_run(contract->executor, &errand, call_wait_cancelled), 0);
	CHECK_EQ(errand.event.result, 5);
	filch_aio_destroy(errand.aio);
	return (NULL);
}

/* Nothing until the executor stops; then it is too late. */
static int
call_submit_late(struct errand *errand)
{
	return (filch_task_is_cancelled(&errand->task) ? call_submit(errand)
						       : -EINPROGRESS);
}

static const char *
shutdown_refuses(struct contract *contract)
{
	struct source source;
	struct errand errand = { .source = &source, .count = 1 };
	struct filch_aio *none = NULL;

	CHECK_EQ(filch_aio_new_for_aio(
		     contract->executor, &source_vtable, &source, &errand.aio),
	    0);
	errand.call = call_submit_late;
	filch_task_init(&errand.task, errand_poll, NULL);
	CHECK_EQ(
	    filch_executor_spawn_joinable(contract->executor, &errand.task), 0);
	CHECK_EQ(contract_stop(contract, FILCH_NEVER), 0);
	filch_task_wake(&errand.task);
	CHECK_EQ(filch_task_join(&errand.task), 0);
	CHECK_EQ(errand.result, -ESHUTDOWN);
	CHECK_EQ(filch_registrar_notify(&source.registrar, 0), -ESHUTDOWN);
	CHECK_EQ(filch_aio_new_for_aio(
		     contract->executor, &source_vtable, &source, &none),
	    -ESHUTDOWN);
	CHECK_EQ(filch_aio_new_for_lio(
		     contract->executor, &source_vtable, &source, 4, &none),
	    -ESHUTDOWN);
	CHECK(none == NULL);
	filch_aio_destroy(errand.aio);
	return (NULL);
}

static const struct contract_test tests[] = {
	{ "new: interest and entries", new_refuses, NULL },
	{ "new: a source that refuses", source_refuses, NULL },
	{ "submit, cancel, notify: errors", submit_refuses, NULL },
	{ "poll_ready in a cancelled task", poll_in_cancelled_task, NULL },
	{ "at shutdown", shutdown_refuses, NULL },
};

int
main(void)
{
	return (contract_main(tests, CONTRACT_COUNT(tests), NULL));
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program's own aiocbs and their Aios, as a user of kqueue(2) expects it:
 * submitted before or after the first poll, cleared and reaped in either
 * order, used again at the same address, given up in flight, with every sort
 * of event.
 *
 * The event of an aiocb repeats until it is reaped unless it has a flag; that
 * must neither keep the reactor's thread busy nor tell a source twice.
 */
#include "own_job.h"

#if defined(FILCH_HAVE_KQUEUE)

static const char *
submit_before_first_poll(struct contract *contract)
{
	struct job job;

	for (size_t i = 0; i < FLAGS_COUNT; i++) {
		CHECK_OK(job_make_write(contract, &job, kevent_flags[i]));
		CHECK_EQ(aiocb_submit(&job.cb), 0);
		CHECK_OK(job_is_told(contract, &job));
		CHECK_EQ(aiocb_return(&job.cb), 9);
		/* it stays ready until it is cleared */
		CHECK_EQ(own_look(contract, &job.own), 0);
		own_clear(&job.own);
		CHECK_EQ(own_look(contract, &job.own), 1);
		job_end(&job);
	}
	return (NULL);
}

static const char *
submit_after_first_poll(struct contract *contract)
{
	struct job job;

	for (size_t i = 0; i < FLAGS_COUNT; i++) {
		struct watcher watcher = { .keeps = true };

		CHECK_OK(job_make_write(contract, &job, kevent_flags[i]));
		watcher.aio = job.own.aio;
		CHECK_EQ(watcher_start(contract, &watcher), 0);
		CHECK_EQ(watcher.status, 1);
		CHECK_EQ(aiocb_submit(&job.cb), 0);
		CHECK_EQ(watcher_end(&watcher), 0);
		CHECK_EQ(watcher.event.result, 0);
		CHECK_EQ(aiocb_return(&job.cb), 9);
		job_end(&job);
	}
	return (NULL);
}

/* Reaped before it is cleared, or after: told once a submission. */
static const char *
reuse(struct contract *contract, bool clears_first)
{
	struct job job;

	for (size_t i = 0; i < FLAGS_COUNT; i++) {
		CHECK_OK(job_make_write(contract, &job, kevent_flags[i]));
		for (int round = 0; round < ROUNDS; round++) {
			CHECK_EQ(aiocb_submit(&job.cb), 0);
			CHECK_OK(job_is_told(contract, &job));
			if (clears_first) {
				own_clear(&job.own);
			}
			CHECK_EQ(aiocb_return(&job.cb), 9);
			if (!clears_first) {
				own_clear(&job.own);
			}
			CHECK_EQ(own_look(contract, &job.own), 1);
		}
		job_end(&job);
	}
	return (NULL);
}

static const char *
return_then_clear(struct contract *contract)
{
	return (reuse(contract, false));
}

static const char *
clear_then_return(struct contract *contract)
{
	return (reuse(contract, true));
}

/* The next submission comes at once, before any other poll. */
static const char *
reuse_at_once(struct contract *contract)
{
	struct job job;

	for (size_t i = 0; i < FLAGS_COUNT; i++) {
		CHECK_OK(job_make_write(contract, &job, kevent_flags[i]));
		for (int round = 0; round < 10 * ROUNDS; round++) {
			CHECK_EQ(aiocb_submit(&job.cb), 0);
			CHECK_OK(job_is_told(contract, &job));
			CHECK_EQ(aiocb_return(&job.cb), 9);
			own_clear(&job.own);
		}
		CHECK_EQ(own_look(contract, &job.own), 1);
		job_end(&job);
	}
	return (NULL);
}

/* ---- events that repeat ---- */

static const char *
no_spin(struct contract *contract)
{
	struct job job;

	for (size_t i = 0; i < FLAGS_COUNT; i++) {
		CHECK_OK(job_make_write(contract, &job, kevent_flags[i]));
		CHECK_EQ(aiocb_submit(&job.cb), 0);
		CHECK_OK(job_is_told(contract, &job));
		CHECK(own_wakes(contract) < OWN_WAKES_MAX);
		own_clear(&job.own);
		CHECK(own_wakes(contract) < OWN_WAKES_MAX);
		CHECK_EQ(aiocb_return(&job.cb), 9);
		job_end(&job);
	}
	return (NULL);
}

/* What repeats its event is told again if it was cleared and not reaped. */
static const char *
told_again(struct contract *contract)
{
	struct job job;

	for (size_t i = 0; i < FLAGS_COUNT; i++) {
		bool repeats = kevent_flags[i] == 0;

		CHECK_OK(job_make_write(contract, &job, kevent_flags[i]));
		CHECK_EQ(aiocb_submit(&job.cb), 0);
		CHECK_OK(job_is_told(contract, &job));
		for (int round = 0; round < 3 && repeats; round++) {
			own_clear(&job.own);
			CHECK_OK(job_is_told(contract, &job));
		}
		own_clear(&job.own);
		if (!repeats) {
			CHECK_EQ(own_look(contract, &job.own), 1);
		}
		CHECK_EQ(aiocb_return(&job.cb), 9);
		CHECK_EQ(own_look(contract, &job.own), 1);
		job_end(&job);
	}
	return (NULL);
}

/* ---- given up in flight ---- */

/*
 * Let an event of another source come through the reactor's thread: what came
 * before it has been dealt with.
 */
static const char *
settle(struct contract *contract)
{
	struct job job;

	CHECK_OK(job_make_write(contract, &job, EV_ONESHOT));
	CHECK_EQ(aiocb_submit(&job.cb), 0);
	CHECK_OK(job_is_told(contract, &job));
	CHECK_EQ(aiocb_return(&job.cb), 9);
	job_end(&job);
	return (NULL);
}

/*
 * The Aio goes while the kernel has the job, which ends later and is reaped by
 * its owner.  Then the same memory is another source's.
 */
static const char *
given_up_in_flight(struct contract *contract)
{
	static struct job job;
	struct filch_executor_stats stats;

	for (size_t i = 0; i < FLAGS_COUNT; i++) {
		CHECK_OK(job_make_read(contract, &job, kevent_flags[i]));
		for (int round = 0; round < 20; round++) {
			CHECK_EQ(aiocb_submit(&job.cb), 0);
			CHECK(filch_aio_into_inner(job.own.aio) == &job.own);
			filch_executor_get_stats(contract->executor, &stats);
			CHECK_EQ(stats.registrations, 0);
			CHECK_EQ(write(job.fds[1], "filch aio", 9), 9);
			aiocb_await(&job.cb);
			CHECK_OK(settle(contract));
			CHECK_EQ(aiocb_return(&job.cb), 9);
			CHECK_OK(own_make(contract, &job.own, 0));
			sigevent_bind(&job.cb.aio_sigevent, &job.own.registrar,
			    kevent_flags[i]);
			CHECK_EQ(own_look(contract, &job.own), 1);
			CHECK_EQ(aiocb_submit(&job.cb), 0);
			CHECK_EQ(write(job.fds[1], "filch aio", 9), 9);
			CHECK_OK(job_is_told(contract, &job));
			CHECK_EQ(aiocb_return(&job.cb), 9);
			own_clear(&job.own);
		}
		CHECK(own_wakes(contract) < OWN_WAKES_MAX);
		job_end(&job);
	}
	return (NULL);
}

/* With EV_ONESHOT nobody has to wait for the reactor before reaping. */
static const char *
reaped_by_surprise(struct contract *contract)
{
	static struct job job;

	CHECK_OK(job_make_write(contract, &job, EV_ONESHOT));
	for (int round = 0; round < 10 * ROUNDS; round++) {
		CHECK_EQ(aiocb_submit(&job.cb), 0);
		(void)filch_aio_into_inner(job.own.aio);
		aiocb_await(&job.cb);
		CHECK_EQ(aiocb_return(&job.cb), 9);
		CHECK_OK(own_make(contract, &job.own, 0));
		sigevent_bind(
		    &job.cb.aio_sigevent, &job.own.registrar, EV_ONESHOT);
	}
	CHECK_EQ(aiocb_submit(&job.cb), 0);
	CHECK_OK(job_is_told(contract, &job));
	CHECK_EQ(aiocb_return(&job.cb), 9);
	job_end(&job);
	return (NULL);
}

/* Events that name no source: told to nobody, and no burden. */
static const char *
stale_tokens(struct contract *contract)
{
	static const uint64_t tokens[] = { 0, 1, UINT64_MAX, UINT64_MAX >> 1,
		UINT64_C(1) << 32, UINT64_C(0xdeadbeefcafe) };
	static struct job jobs[CONTRACT_COUNT(tokens) + 1];
	struct job one;

	CHECK_OK(job_make_write(contract, &one, 0));
	for (size_t i = 0; i < CONTRACT_COUNT(jobs); i++) {
		uint64_t token = i < CONTRACT_COUNT(tokens)
		    ? tokens[i]
		    : one.own.registrar.token;

		/* the marks of filch's own jobs are nobody else's to use */
		token &= ~(UINT64_C(1) << 31);
		jobs[i].cb = one.cb;
		jobs[i].cb.aio_sigevent.sigev_value.sival_ptr =
		    (void *)(uintptr_t)token;
	}
	filch_aio_destroy(one.own.aio);
	for (size_t i = 0; i < CONTRACT_COUNT(jobs); i++) {
		CHECK_EQ(aiocb_submit(&jobs[i].cb), 0);
	}
	CHECK_OK(settle(contract));
	for (size_t i = 0; i < CONTRACT_COUNT(jobs); i++) {
		aiocb_await(&jobs[i].cb);
	}
	CHECK(own_wakes(contract) < OWN_WAKES_MAX);
	for (size_t i = 0; i < CONTRACT_COUNT(jobs); i++) {
		CHECK_EQ(aiocb_return(&jobs[i].cb), 9);
	}
	(void)close(one.fds[0]);
	return (NULL);
}
#endif

static const struct own_row rows[] = {
	OWN_ROW("submitted before the first poll", submit_before_first_poll),
	OWN_ROW("submitted after the first poll", submit_after_first_poll),
	OWN_ROW("used again: reaped, then cleared", return_then_clear),
	OWN_ROW("used again: cleared, then reaped", clear_then_return),
	OWN_ROW("used again at once", reuse_at_once),
	OWN_ROW(
	    "an event that repeats does not make the reactor spin", no_spin),
	OWN_ROW("cleared and not reaped: told again", told_again),
	OWN_ROW("given up in flight, and its memory used again",
	    given_up_in_flight),
	OWN_ROW(
	    "given up in flight, and reaped unannounced", reaped_by_surprise),
	OWN_ROW("events that name no source", stale_tokens),
};

int
main(void)
{
	return (own_main(rows, CONTRACT_COUNT(rows), NULL));
}

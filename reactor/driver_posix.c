/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The portable driver: POSIX only.
 *
 * Files go to the blocking pool.  Transfers on descriptors that may have to
 * wait for somebody else (pipes, sockets, terminals) are tried at once; those
 * that are not ready stand in the poll set, which the reactor thread watches
 * with poll(2), and occupy no thread.
 *
 * Lost?     The poll set is read anew before every poll(2), and an operation is
 *           added before the thread is interrupted, so it sees it.
 * Parking   A shard sleeps on a condition (parker.h).  The reactor thread
 *           sleeps in poll(2); its waker writes to a pipe, which stays
 *           readable.
 * Progress  wake: wait-free unless the other sleeps.  Idle threads sleep
 *           without a time limit.
 */
#include "driver.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <filch/limits.h>

#include "../include/private/assert.h"
#include "../include/private/clock.h"
#include "../include/private/compiler.h"
#include "../include/private/lock.h"
#include "execute.h"
#include "parker.h"
#include "poll_set.h"
#include "reactor.h"

#define LOOKED_FIRST 64

struct posix_driver {
	FILCH__CACHE_ALIGNED filch__u32 park; /* (a) [PP1] of the thread */
	struct filch__parker *parkers;        /* (i) one a shard */
	int pipe[2];                          /* (i) */
	struct filch__poll_set set;
	struct pollfd *looked; /* the thread's */
	struct pollfd *spare;  /* (l) a larger one for it, or NULL */
	unsigned looked_max;   /* (l) room in the larger of the two */
};

static struct posix_driver *posix_driver(const struct filch__shard *);
static int pipe_open(int[2]);
static bool looked_grow(struct posix_driver *);
static unsigned posix_prepare(struct posix_driver *);
static void posix_look(struct filch__reactor *, unsigned);
static void posix_interrupt(struct filch__reactor *);

static struct posix_driver *
posix_driver(const struct filch__shard *shard)
{
	return (shard->reactor->driver_state);
}

/* ---- opening and closing ---- */

static int
posix_open(struct filch__reactor *reactor)
{
	unsigned count = reactor->options.shard_count;
	struct posix_driver *driver =
	    aligned_alloc(FILCH__CACHE_LINE, sizeof(*driver));
	int result = -ENOMEM;
	unsigned i;

	if (driver == NULL) {
		return (-ENOMEM);
	}
	memset(driver, 0, sizeof(*driver));
	driver->parkers =
	    aligned_alloc(FILCH__CACHE_LINE, count * sizeof(*driver->parkers));
	driver->looked = calloc(LOOKED_FIRST, sizeof(*driver->looked));
	driver->looked_max = LOOKED_FIRST;
	if (driver->parkers == NULL || driver->looked == NULL) {
		goto fail;
	}
	result = filch__poll_set_init(&driver->set);
	if (result < 0) {
		goto fail;
	}
	result = pipe_open(driver->pipe);
	if (result < 0) {
		filch__poll_set_fini(&driver->set);
		goto fail;
	}
	for (i = 0; i < count; i++) {
		filch__parker_init(&driver->parkers[i]);
		reactor->shards[i].driver = &driver->parkers[i];
	}
	reactor->driver_state = driver;
	return (0);
fail:
	free(driver->looked);
	free(driver->parkers);
	free(driver);
	return (result);
}

static int
pipe_open(int fds[2])
{
	int i;

	if (pipe(fds) < 0) {
		return (-errno);
	}
	for (i = 0; i < 2; i++) {
		if (fcntl(fds[i], F_SETFD, FD_CLOEXEC) < 0 ||
		    fcntl(fds[i], F_SETFL, O_NONBLOCK) < 0) {
			int error = errno;

			close(fds[0]);
			close(fds[1]);
			return (-error);
		}
	}
	return (0);
}

static void
posix_fini(struct filch__reactor *reactor)
{
	struct posix_driver *driver = reactor->driver_state;
	unsigned i;

	for (i = 0; i < reactor->options.shard_count; i++) {
		filch__parker_fini(&driver->parkers[i]);
	}
	filch__assert(driver->set.slot_count == 0);
	filch__poll_set_fini(&driver->set);
	close(driver->pipe[0]);
	close(driver->pipe[1]);
	free(driver->spare);
	free(driver->looked);
	free(driver->parkers);
	free(driver);
}

/* ---- submitting ---- */

static void
finish(struct filch__shard *shard, struct filch_op *op, int64_t result)
{
	op->priv.result = result;
	op->priv.next = NULL;
	filch__reactor_complete(shard->reactor, op);
}

static void
submit_pool(struct filch__shard *shard, struct filch_op *op)
{
	if (op->priv.opcode != FILCH_OP_CALL) {
		/* [PP2] a counter: no other order needed */
		(void)filch__u64_add_acq_rel(
		    &shard->counters.fallbacks[FILCH_FALLBACK_NO_DRIVER], 1);
	}
	filch__pool_submit(&shard->reactor->pool, op);
}

static void
posix_submit(struct filch__shard *shard, struct filch_op *op)
{
	struct posix_driver *driver = posix_driver(shard);
	int64_t outcome;
	bool is_added;

	if (!filch__execute_is_pollable(op) || op->priv.file->fd < 0) {
		submit_pool(shard, op);
		return;
	}
	if (filch__execute_try(op, &outcome) == FILCH__ATTEMPT_DONE) {
		finish(shard, op, outcome);
		return;
	}
	filch__lock_take(&driver->set.lock);
	is_added = filch__poll_set_add(&driver->set, op) != NULL;
	if (is_added && !looked_grow(driver)) {
		filch__poll_set_remove(&driver->set, op);
		is_added = false;
	}
	filch__lock_leave(&driver->set.lock);
	/* The operation may be gone by now, unless it was not taken. */
	if (is_added) {
		posix_interrupt(shard->reactor);
	} else {
		finish(shard, op, -ENOMEM);
	}
}

/* ---- the reactor thread ---- */

static int
poll_until(struct pollfd *fds, unsigned count, uint64_t deadline_ns)
{
	uint64_t now_ns = deadline_ns == FILCH_NEVER ? 0 : filch__clock_ns();
	uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
#if defined(FILCH_HAVE_PPOLL)
	struct timespec left = {
		.tv_sec = (time_t)(left_ns / FILCH__NS_PER_S),
		.tv_nsec = (long)(left_ns % FILCH__NS_PER_S),
	};

	return (
	    ppoll(fds, count, deadline_ns == FILCH_NEVER ? NULL : &left, NULL));
#else
	/* Rounded up: too early would only make it look again. */
	uint64_t left_ms = left_ns / 1000000 + (left_ns % 1000000 != 0);

	if (left_ms > INT_MAX) {
		left_ms = INT_MAX;
	}
	return (
	    poll(fds, count, deadline_ns == FILCH_NEVER ? -1 : (int)left_ms));
#endif
}

/*
 * Room for all slots and the pipe.  The thread may be using its array now: it
 * finds the larger one later.  Lock of the set held.
 */
static bool
looked_grow(struct posix_driver *driver)
{
	unsigned count = driver->set.slots_max + 1;
	struct pollfd *spare;

	if (driver->set.slot_count < driver->looked_max) {
		return (true);
	}
	spare = calloc(count, sizeof(*spare));
	if (spare == NULL) {
		return (false);
	}
	free(driver->spare);
	driver->spare = spare;
	driver->looked_max = count;
	return (true);
}

/*
 * What to look at: one entry a descriptor that an operation waits for, then the
 * pipe.  Returns how many descriptors.
 */
static unsigned
posix_prepare(struct posix_driver *driver)
{
	struct filch__poll_set *set = &driver->set;
	unsigned count;
	unsigned i;

	filch__lock_take(&set->lock);
	if (driver->spare != NULL) {
		free(driver->looked);
		driver->looked = driver->spare;
		driver->spare = NULL;
	}
	count = set->slot_count;
	for (i = 0; i < count; i++) {
		driver->looked[i].fd = set->slots[i].fd;
		driver->looked[i].events =
		    filch__poll_slot_events(&set->slots[i]);
		driver->looked[i].revents = 0;
	}
	filch__lock_leave(&set->lock);
	driver->looked[count].fd = driver->pipe[0];
	driver->looked[count].events = POLLIN;
	driver->looked[count].revents = 0;
	return (count);
}

static void
posix_wait(struct filch__reactor *reactor, uint64_t deadline_ns)
{
	struct posix_driver *driver = reactor->driver_state;
	unsigned count;

	/* From here on an interrupt writes to the pipe, so what is added after
	 * the look ends the poll. */
	if (!filch__park_begin(&driver->park)) {
		deadline_ns = 0;
	}
	count = posix_prepare(driver);
	if (poll_until(driver->looked, count + 1, deadline_ns) > 0) {
		posix_look(reactor, count);
	}
	filch__park_end(&driver->park);
}

/* Carry out what has become ready. */
static void
posix_look(struct filch__reactor *reactor, unsigned count)
{
	struct posix_driver *driver = reactor->driver_state;
	struct filch_op *done = NULL;
	struct filch_op *pooled = NULL;
	char bytes[64];
	unsigned i;

	if (driver->looked[count].revents != 0) {
		while (read(driver->pipe[0], bytes, sizeof(bytes)) > 0) {
			continue;
		}
	}
	/* [RT1] pairs with filch__reactor_is_quiet, which takes the lock first:
	 * of what is taken out now it knows by this only */
	(void)filch__u64_exchange_seq_cst(&reactor->sleeping_until_ns, 0);
	filch__lock_take(&driver->set.lock);
	for (i = 0; i < count; i++) {
		struct filch__poll_slot *slot;

		if (driver->looked[i].revents == 0) {
			continue;
		}
		slot = filch__poll_set_find(&driver->set, driver->looked[i].fd);
		if (slot != NULL) {
			filch__poll_set_ready(&driver->set, slot,
			    driver->looked[i].revents, &done, &pooled);
		}
	}
	filch__lock_leave(&driver->set.lock);
	filch__reactor_complete(reactor, done);
	while (pooled != NULL) {
		struct filch_op *op = pooled;

		pooled = op->priv.next;
		filch__pool_submit(&reactor->pool, op);
	}
}

static void
posix_interrupt(struct filch__reactor *reactor)
{
	struct posix_driver *driver = reactor->driver_state;
	char byte = 0;
	ssize_t written;

	if (!filch__park_notify(&driver->park)) {
		return;
	}
	do {
		written = write(driver->pipe[1], &byte, 1);
	} while (written < 0 && errno == EINTR);
	/* A full pipe is readable, and that is all that is needed. */
	filch__assert(written == 1 || errno == EAGAIN);
	/* [PP2] a counter: no other order needed */
	(void)filch__u64_add_acq_rel(&reactor->wake_calls, 1);
}

/* ---- parking and waking ---- */

static void
posix_park(struct filch__shard *shard)
{
	filch__parker_park(shard->driver);
}

static void
posix_wake(struct filch__shard *shard)
{
	if (filch__parker_wake(shard->driver)) {
		/* [PP2] a counter: no other order needed */
		(void)filch__u64_add_acq_rel(&shard->reactor->wake_calls, 1);
	}
}

static void
posix_flush(struct filch__shard *shard)
{
	(void)shard;
}

static unsigned
posix_reap(struct filch__shard *shard)
{
	(void)shard;
	return (0);
}

/* ---- cancelling ---- */

static void
posix_cancel(struct filch_op *op)
{
	struct filch__shard *shard = op->priv.shard;

	if (filch__poll_set_cancel(&posix_driver(shard)->set, op) ||
	    filch__pool_cancel(&shard->reactor->pool, op)) {
		finish(shard, op, -ECANCELED);
	}
}

/* What is in the pool's queue is taken out by filch__reactor_stop(). */
static void
posix_cancel_all(struct filch__shard *shard)
{
	filch__reactor_complete(shard->reactor,
	    filch__poll_set_cancel_all(&posix_driver(shard)->set, shard));
}

static void
posix_depths(
    struct filch__shard *shard, uint64_t *ret_in_flight, uint64_t *ret_waiting)
{
	/* relaxed: a figure for people */
	*ret_in_flight =
	    filch__poll_set_count(&posix_driver(shard)->set, shard) +
	    filch__u32_load_relaxed(&shard->pooled);
	*ret_waiting = 0;
}

const struct filch__driver filch__driver_posix = {
	.kind = FILCH_DRIVER_POSIX,
	.system = "the blocking pool",
	.writes_durably = true,
	.open = posix_open,
	.close = posix_fini,
	.submit = posix_submit,
	.park = posix_park,
	.flush = posix_flush,
	.reap = posix_reap,
	.wake = posix_wake,
	.cancel = posix_cancel,
	.cancel_all = posix_cancel_all,
	.depths = posix_depths,
	.wait = posix_wait,
	.interrupt = posix_interrupt,
};

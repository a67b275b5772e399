/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The portable driver: POSIX only.
 *
 * Files go to the blocking pool.  Transfers on descriptors that may have to
 * wait for somebody else (pipes, sockets, terminals) are tried at once; those
 * that are not ready stand in the poll set, which the reactor thread watches
 * with poll(2), and occupy no thread.
 *
 * Poll set  A slot a descriptor, not an operation: poll(2) refuses more
 *           entries than there can be descriptors.  Each slot has a FIFO of
 *           operations.  The lock covers slots, lists, and the move of an
 *           operation out of FILCH__OP_POLLING: who makes it completes it.
 * Lost?     Readiness is level-triggered and the set is read anew before
 *           every poll(2): what was ready while nobody looked is found by the
 *           next look.  An operation is added under the lock and then the
 *           thread is interrupted, so it sees it.  Cancel removes it under the
 *           same lock, and needs no interrupt: a look too many is harmless.
 *
 * Park word EMPTY -> SLEEPING      the sleeper, about to sleep
 *           any   -> NOTIFIED      a waker; SLEEPING: it makes the system call
 *           any   -> EMPTY         the sleeper, awake
 * Orderings [PP1] all by seq_cst read-modify-write: the sleeper sees what the
 *           waker did before, and a waker finds it asleep or leaves NOTIFIED,
 *           which keeps it from sleeping.  A shard sleeps on a condition, and
 *           its waker takes the mutex before it signals, so the signal cannot
 *           fall between look and sleep.  The reactor thread sleeps in
 *           poll(2); its waker writes to a pipe, which stays readable.
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
#include "reactor.h"

#define SLOTS_FIRST 64

enum park {
	PARK_EMPTY = 0,
	PARK_SLEEPING,
	PARK_NOTIFIED
};

struct posix_shard {
	FILCH__CACHE_ALIGNED filch__u32 park; /* (a) [PP1] */
	pthread_mutex_t mutex;
	pthread_cond_t woken;
};

struct slot {
	int fd;
	struct filch__op_queue queue;
};

struct posix_driver {
	FILCH__CACHE_ALIGNED filch__u32 park; /* (a) [PP1] of the thread */
	struct posix_shard *shards;           /* (i) */
	int pipe[2];                          /* (i) */
	struct filch__lock lock;
	struct slot *slots;    /* (l) */
	struct pollfd *spare;  /* (l) a larger array for the thread, or NULL */
	unsigned slot_count;   /* (l) */
	unsigned slots_max;    /* (l) */
	struct pollfd *looked; /* the thread's */
};

static struct posix_driver *posix_driver(const struct filch__shard *);
static int pipe_open(int[2]);
static int set_add(struct posix_driver *, struct filch_op *);
static bool set_grow(struct posix_driver *);
static struct slot *set_find(struct posix_driver *, int);
static void set_remove(struct posix_driver *, struct slot *, struct filch_op *);
static void set_ready(struct filch__reactor *, struct slot *, short,
    struct filch_op **, struct filch_op **);
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
	driver->shards =
	    aligned_alloc(FILCH__CACHE_LINE, count * sizeof(*driver->shards));
	driver->slots = calloc(SLOTS_FIRST, sizeof(*driver->slots));
	driver->looked = calloc(SLOTS_FIRST + 1, sizeof(*driver->looked));
	if (driver->shards == NULL || driver->slots == NULL ||
	    driver->looked == NULL) {
		goto fail;
	}
	driver->slots_max = SLOTS_FIRST;
	result = pipe_open(driver->pipe);
	if (result < 0) {
		goto fail;
	}
	memset(driver->shards, 0, count * sizeof(*driver->shards));
	for (i = 0; i < count; i++) {
		pthread_mutex_init(&driver->shards[i].mutex, NULL);
		pthread_cond_init(&driver->shards[i].woken, NULL);
		reactor->shards[i].driver = &driver->shards[i];
	}
	filch__lock_init(&driver->lock);
	reactor->driver_state = driver;
	return (0);
fail:
	free(driver->looked);
	free(driver->slots);
	free(driver->shards);
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

	filch__assert(driver->slot_count == 0);
	for (i = 0; i < reactor->options.shard_count; i++) {
		pthread_cond_destroy(&driver->shards[i].woken);
		pthread_mutex_destroy(&driver->shards[i].mutex);
	}
	filch__lock_fini(&driver->lock);
	close(driver->pipe[0]);
	close(driver->pipe[1]);
	free(driver->spare);
	free(driver->looked);
	free(driver->slots);
	free(driver->shards);
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
	int result;

	if (!filch__execute_is_pollable(op) || op->priv.file->fd < 0) {
		submit_pool(shard, op);
		return;
	}
	if (filch__execute_try(op, &outcome) == FILCH__ATTEMPT_DONE) {
		finish(shard, op, outcome);
		return;
	}
	filch__lock_take(&driver->lock);
	result = set_add(driver, op);
	filch__lock_leave(&driver->lock);
	/* The operation may be gone by now, unless it was not taken. */
	if (result < 0) {
		finish(shard, op, result);
		return;
	}
	posix_interrupt(shard->reactor);
}

/* Lock held, as in all functions named set. */
static int
set_add(struct posix_driver *driver, struct filch_op *op)
{
	int fd = op->priv.file->fd;
	struct slot *slot = set_find(driver, fd);

	if (slot == NULL) {
		if (driver->slot_count == driver->slots_max &&
		    !set_grow(driver)) {
			return (-ENOMEM);
		}
		slot = &driver->slots[driver->slot_count++];
		*slot = (struct slot){ .fd = fd };
	}
	filch__op_queue_push(&slot->queue, op);
	/* A transfer has no directory: here it keeps the slot's descriptor. */
	op->priv.directory_to = fd;
	/* release [OP1]: who cancels sees the operation's shard */
	filch__u32_store_release(&op->priv.state, FILCH__OP_POLLING);
	return (0);
}

/* The thread may be using its array now: it finds the larger one later. */
static bool
set_grow(struct posix_driver *driver)
{
	unsigned count = driver->slots_max * 2;
	struct pollfd *spare = calloc(count + 1, sizeof(*spare));
	struct slot *slots;

	if (spare == NULL) {
		return (false);
	}
	slots = realloc(driver->slots, count * sizeof(*slots));
	if (slots == NULL) {
		free(spare);
		return (false);
	}
	free(driver->spare);
	driver->spare = spare;
	driver->slots = slots;
	driver->slots_max = count;
	return (true);
}

/* Looking through all costs no more than the poll(2) that follows. */
static struct slot *
set_find(struct posix_driver *driver, int fd)
{
	unsigned i;

	for (i = 0; i < driver->slot_count; i++) {
		if (driver->slots[i].fd == fd) {
			return (&driver->slots[i]);
		}
	}
	return (NULL);
}

static void
set_unlink(struct slot *slot, struct filch_op *op)
{
	filch__op_queue_remove(&slot->queue, op);
	/* relaxed: the lock orders it; no longer POLLING, so nobody else
	 * removes it */
	filch__u32_store_relaxed(&op->priv.state, FILCH__OP_POOL_RUNNING);
}

static void
set_remove(struct posix_driver *driver, struct slot *slot, struct filch_op *op)
{
	set_unlink(slot, op);
	if (slot->queue.head == NULL) {
		*slot = driver->slots[--driver->slot_count];
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

static short
slot_events(const struct slot *slot)
{
	const struct filch_op *op;
	int events = 0;

	for (op = slot->queue.head; op != NULL; op = op->priv.next) {
		events |= filch__execute_poll_events(op);
		if (events == (POLLIN | POLLOUT)) {
			break;
		}
	}
	return ((short)events);
}

static void
posix_wait(struct filch__reactor *reactor, uint64_t deadline_ns)
{
	struct posix_driver *driver = reactor->driver_state;
	uint32_t old = PARK_EMPTY;
	unsigned count;
	unsigned i;

	/* [PP1] pairs with posix_interrupt.  From here on an interrupt writes
	 * to the pipe, so what is added after the look ends the poll. */
	if (!filch__u32_cas_seq_cst(&driver->park, &old, PARK_SLEEPING)) {
		deadline_ns = 0;
	}
	filch__lock_take(&driver->lock);
	if (driver->spare != NULL) {
		free(driver->looked);
		driver->looked = driver->spare;
		driver->spare = NULL;
	}
	count = driver->slot_count;
	for (i = 0; i < count; i++) {
		driver->looked[i].fd = driver->slots[i].fd;
		driver->looked[i].events = slot_events(&driver->slots[i]);
		driver->looked[i].revents = 0;
	}
	filch__lock_leave(&driver->lock);
	driver->looked[count].fd = driver->pipe[0];
	driver->looked[count].events = POLLIN;
	driver->looked[count].revents = 0;
	if (poll_until(driver->looked, count + 1, deadline_ns) > 0) {
		posix_look(reactor, count);
	}
	/* [PP1] pairs with posix_interrupt */
	(void)filch__u32_exchange_seq_cst(&driver->park, PARK_EMPTY);
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
	filch__lock_take(&driver->lock);
	for (i = 0; i < count; i++) {
		struct slot *slot;

		if (driver->looked[i].revents == 0) {
			continue;
		}
		slot = set_find(driver, driver->looked[i].fd);
		if (slot != NULL) {
			set_ready(reactor, slot, driver->looked[i].revents,
			    &done, &pooled);
		}
	}
	filch__lock_leave(&driver->lock);
	filch__reactor_complete(reactor, done);
	while (pooled != NULL) {
		struct filch_op *op = pooled;

		pooled = op->priv.next;
		filch__pool_submit(&reactor->pool, op);
	}
}

/*
 * Try a ready descriptor's operations in order; the first that is not ready
 * after all ends its direction's turn.  An attempt does not block, so the lock
 * may be held meanwhile.
 */
static void
set_ready(struct filch__reactor *reactor, struct slot *slot, short events,
    struct filch_op **done, struct filch_op **pooled)
{
	struct posix_driver *driver = reactor->driver_state;
	struct filch_op *op = slot->queue.head;
	int open = POLLIN | POLLOUT;

	if ((events & (POLLERR | POLLHUP | POLLNVAL)) == 0) {
		open &= events;
	}
	while (op != NULL) {
		struct filch_op *next = op->priv.next;
		short direction = filch__execute_poll_events(op);
		enum filch__attempt attempt = FILCH__ATTEMPT_NOT_READY;

		if ((open & direction) != 0) {
			attempt = filch__execute_try(op, &op->priv.result);
		}
		if (attempt == FILCH__ATTEMPT_NOT_READY) {
			open &= ~direction;
		} else {
			struct filch_op **list =
			    attempt == FILCH__ATTEMPT_DONE ? done : pooled;

			if (attempt == FILCH__ATTEMPT_MAY_BLOCK) {
				/* one at a time: the next might block */
				open &= ~direction;
			}
			set_unlink(slot, op);
			op->priv.next = *list;
			*list = op;
		}
		op = next;
	}
	if (slot->queue.head == NULL) {
		*slot = driver->slots[--driver->slot_count];
	}
}

static void
posix_interrupt(struct filch__reactor *reactor)
{
	struct posix_driver *driver = reactor->driver_state;
	char byte = 0;
	ssize_t written;

	/* [PP1] pairs with posix_wait */
	if (filch__u32_exchange_seq_cst(&driver->park, PARK_NOTIFIED) !=
	    PARK_SLEEPING) {
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
	struct posix_shard *ps = shard->driver;
	uint32_t old = PARK_EMPTY;

	pthread_mutex_lock(&ps->mutex);
	/* [PP1] pairs with posix_wake */
	if (filch__u32_cas_seq_cst(&ps->park, &old, PARK_SLEEPING)) {
		/* [PP1] pairs with posix_wake */
		while (filch__u32_load_seq_cst(&ps->park) == PARK_SLEEPING) {
			pthread_cond_wait(&ps->woken, &ps->mutex);
		}
	}
	/* [PP1] pairs with posix_wake */
	(void)filch__u32_exchange_seq_cst(&ps->park, PARK_EMPTY);
	pthread_mutex_unlock(&ps->mutex);
}

static void
posix_wake(struct filch__shard *shard)
{
	struct posix_shard *ps = shard->driver;

	/* [PP1] pairs with posix_park */
	if (filch__u32_exchange_seq_cst(&ps->park, PARK_NOTIFIED) !=
	    PARK_SLEEPING) {
		return;
	}
	pthread_mutex_lock(&ps->mutex);
	pthread_cond_signal(&ps->woken);
	pthread_mutex_unlock(&ps->mutex);
	/* [PP2] a counter: no other order needed */
	(void)filch__u64_add_acq_rel(&shard->reactor->wake_calls, 1);
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
	struct posix_driver *driver = posix_driver(shard);
	bool removed;

	filch__lock_take(&driver->lock);
	/* relaxed: POLLING changes under the lock only */
	removed = filch__u32_load_relaxed(&op->priv.state) == FILCH__OP_POLLING;
	if (removed) {
		set_remove(driver, set_find(driver, op->priv.directory_to), op);
	}
	filch__lock_leave(&driver->lock);
	if (removed || filch__pool_cancel(&shard->reactor->pool, op)) {
		finish(shard, op, -ECANCELED);
	}
}

/* What is in the pool's queue is taken out by filch__reactor_stop(). */
static void
posix_cancel_all(struct filch__shard *shard)
{
	struct posix_driver *driver = posix_driver(shard);
	struct filch_op *list = NULL;
	unsigned i;

	filch__lock_take(&driver->lock);
	/* Backwards: a slot that empties is filled by the last one. */
	for (i = driver->slot_count; i-- > 0;) {
		struct filch_op *op = driver->slots[i].queue.head;

		while (op != NULL) {
			struct filch_op *next = op->priv.next;

			if (op->priv.shard == shard) {
				set_remove(driver, &driver->slots[i], op);
				op->priv.result = -ECANCELED;
				op->priv.next = list;
				list = op;
			}
			op = next;
		}
	}
	filch__lock_leave(&driver->lock);
	filch__reactor_complete(shard->reactor, list);
}

static void
posix_depths(
    struct filch__shard *shard, uint64_t *ret_in_flight, uint64_t *ret_waiting)
{
	struct posix_driver *driver = posix_driver(shard);
	const struct filch_op *op;
	/* relaxed: a figure for people */
	uint64_t in_flight = filch__u32_load_relaxed(&shard->pooled);
	unsigned i;

	filch__lock_take(&driver->lock);
	for (i = 0; i < driver->slot_count; i++) {
		for (op = driver->slots[i].queue.head; op != NULL;
		     op = op->priv.next) {
			in_flight += op->priv.shard == shard;
		}
	}
	filch__lock_leave(&driver->lock);
	*ret_in_flight = in_flight;
	*ret_waiting = 0;
}

/* ---- sources ---- */

static int
posix_source_submit(struct filch__shard *shard,
    struct filch__registration *registration, filch_sqe_fill_fn fill, void *arg,
    unsigned count)
{
	(void)shard;
	(void)registration;
	(void)fill;
	(void)arg;
	(void)count;
	return (-EOPNOTSUPP);
}

static int
posix_source_cancel(struct filch__registration *registration)
{
	(void)registration;
	return (-EOPNOTSUPP);
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
	.source_submit = posix_source_submit,
	.source_cancel = posix_source_cancel,
};

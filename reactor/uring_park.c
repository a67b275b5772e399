/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * io_uring: how a worker and the reactor thread sleep and are woken.
 *
 * Park word EMPTY -> FUTEX | RING    the worker, about to sleep
 *           any   -> NOTIFIED        a waker; FUTEX: futex wake, RING: eventfd
 *           any   -> EMPTY           the worker, awake
 * Orderings [UP1] all by seq_cst exchange: the worker that slept sees what the
 *           waker did, and a waker either finds it asleep or leaves NOTIFIED,
 *           which keeps it from sleeping.
 *
 * What a wake completes ends the sleep in the ring, and before Linux takes up
 * that sleep it looks for completions: so other threads leave it to a worker
 * that is in its sleep or on its way there (in_sleep).
 */
#include <linux/futex.h>
#include <sys/syscall.h>

#include <time.h>
#include <unistd.h>

#include "../include/private/assert.h"
#include "../include/private/clock.h"
#include "uring.h"

enum uring_park {
	PARK_EMPTY = 0,
	PARK_FUTEX = 1,   /* sleeping on the word itself: nothing in flight */
	PARK_RING = 2,    /* sleeping in the ring */
	PARK_NOTIFIED = 3 /* a wake has come */
};

/*
 * The longest sleep with an end: who wakes too early only looks again.  A
 * deadline near the end of time would overflow, here where time_t is short, or
 * in the kernel, which adds it to now.
 */
#define SLEEP_MAX_NS (3600 * FILCH__NS_PER_S)

/*
 * Operations handed over first, of many, and how many times as many come next.
 * More than two the kernel holds back until the last of them is prepared.
 */
#define PORTION_FIRST  2
#define PORTION_GROWTH 4

/* How long it is until until_ns, as far as a sleep goes. */
static uint64_t
sleep_left(uint64_t now_ns, uint64_t until_ns)
{
	uint64_t left_ns = until_ns > now_ns ? until_ns - now_ns : 0;

	return (left_ns < SLEEP_MAX_NS ? left_ns : SLEEP_MAX_NS);
}

/* Sleep on word, if it is value, until a wake or until_ns. */
static void
futex_sleep(filch__u32 *word, uint32_t value, uint64_t until_ns)
{
	uint64_t now_ns = filch__clock_ns();
	uint64_t end_ns = now_ns + sleep_left(now_ns, until_ns);
	struct timespec end = {
		.tv_sec = (time_t)(end_ns / FILCH__NS_PER_S),
		.tv_nsec = (long)(end_ns % FILCH__NS_PER_S),
	};

	(void)syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG,
	    value, until_ns == FILCH_NEVER ? NULL : &end, NULL,
	    FUTEX_BITSET_MATCH_ANY);
}

static void
futex_wake(filch__u32 *word)
{
	(void)syscall(
	    SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0);
}

/* Have a wake complete an entry, unless there is no room.  Lock held. */
static void
eventfd_arm(struct filch__uring_shard *us)
{
	struct io_uring_sqe *sqe;

	if (us->eventfd_armed || (sqe = filch__uring_entry_get(us)) == NULL) {
		return;
	}
	sqe->opcode = IORING_OP_READ;
	sqe->fd = us->eventfd;
	sqe->addr = (uint64_t)(uintptr_t)&us->eventfd_value;
	sqe->len = sizeof(us->eventfd_value);
	filch__uring_entry_publish(us, sqe, FILCH__URING_EVENT);
	us->eventfd_armed = true;
}

/* Complete the entry that reads the eventfd. */
static void
eventfd_add(const struct filch__uring_shard *us)
{
	uint64_t one = 1;
	ssize_t written = write(us->eventfd, &one, sizeof(one));

	/* cannot fail short of 2^64 wakes */
	filch__assert(written == (ssize_t)sizeof(one));
}

/*
 * The queue is full and the kernel took nothing from it just now: a wake would
 * not end the sleep, or what waits has room and no entry.  Lock held.
 */
static bool
ring_is_stuck(const struct filch__uring_shard *us)
{
	return (!us->eventfd_armed || filch__uring_is_held_up(us));
}

/*
 * Publish what was gathered, and hand it over in portions, all but the last:
 * the device works on one while the kernel prepares the next, which takes a
 * microsecond or two an entry.  Lock held; left meanwhile.
 */
static void
ring_start(struct filch__shard *shard)
{
	struct filch__uring_shard *us = filch__uring_shard(shard);
	unsigned portion = PORTION_FIRST;
	int taken;

	do {
		filch__uring_issue_some(us, portion);
		if (us->waiting.head == NULL || filch__uring_pending(us) == 0) {
			return;
		}
		filch__lock_leave(&us->lock);
		taken = filch__uring_hand_over(us);
		filch__counter_add(&shard->counters.submissions, 1);
		if (portion < us->in_flight_max) {
			portion *= PORTION_GROWTH;
		}
		filch__lock_take(&us->lock);
	} while (taken > 0);
	filch__uring_issue(us);
}

/*
 * Hand over what is published and sleep until a completion or until_ns.  It is
 * counted, since a call that is asked for more than there is does not wait;
 * chains are published by this worker alone, so none is cut.
 */
static void
ring_sleep(struct filch__uring_shard *us, uint64_t until_ns)
{
	unsigned pending = filch__uring_pending(us);
	struct __kernel_timespec timeout;
	struct io_uring_getevents_arg arg = {
		.ts = (uint64_t)(uintptr_t)&timeout,
	};
	uint64_t left_ns;

	if (until_ns == FILCH_NEVER) {
		(void)filch__uring_enter(
		    us, pending, 1, IORING_ENTER_GETEVENTS);
		return;
	}
	left_ns = sleep_left(filch__clock_ns(), until_ns);
	timeout.tv_sec = (int64_t)(left_ns / FILCH__NS_PER_S);
	timeout.tv_nsec = (long long)(left_ns % FILCH__NS_PER_S);
	(void)io_uring_enter2(us->own_fd, pending, 1,
	    IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG | us->own_flags,
	    (sigset_t *)&arg, sizeof(arg));
}

/*
 * Register the ring with this thread, which then names it by a number of its
 * own: that spares each call the look-up of the descriptor, a third of what it
 * costs.  A worker does so when it first parks; until then, and before Linux
 * 5.18, the descriptor has to do.  The kernel forgets the number when the
 * thread ends.
 */
static void
ring_register(struct filch__uring_shard *us)
{
	struct io_uring_rsrc_update update = {
		.offset = UINT32_MAX, /* any number */
		.data = (unsigned)us->ring.ring_fd,
	};

	us->own_asked = true;
	if (io_uring_register((unsigned)us->ring.ring_fd,
		IORING_REGISTER_RING_FDS, &update, 1) == 1) {
		us->own_fd = update.offset;
		us->own_flags = IORING_ENTER_REGISTERED_RING;
	}
}

void
filch__uring_park(struct filch__shard *shard)
{
	struct filch__uring_shard *us = filch__uring_shard(shard);
	/* relaxed: only this worker adds timers to its shard */
	uint64_t until_ns = shard->reactor->standby_ns == 0
	    ? FILCH_NEVER
	    : filch__u64_load_relaxed(&shard->timers.earliest_ns);
	bool is_stuck = false;
	uint32_t how;
	uint32_t old = PARK_EMPTY;

	if (filch__unlikely(!us->own_asked)) {
		ring_register(us);
	}
	filch__lock_take(&us->lock);
	ring_start(shard);
	/* relaxed: changed under the lock.  The armed eventfd is no work. */
	if (filch__u32_load_relaxed(&us->in_flight) ==
	    (us->eventfd_armed ? 1u : 0u)) {
		how = PARK_FUTEX;
	} else {
		how = PARK_RING;
		eventfd_arm(us);
		is_stuck = ring_is_stuck(us);
		/* relaxed: set under the lock, for who looks under it */
		filch__u32_store_relaxed(&us->in_sleep, 1);
	}
	filch__lock_leave(&us->lock);
	/* [UP1] pairs with filch__uring_wake */
	if (filch__u32_cas_seq_cst(&us->park, &old, how)) {
		if (how == PARK_FUTEX) {
			futex_sleep(&us->park, how, until_ns);
		} else if (!is_stuck && filch__uring_cq_is_empty(us)) {
			ring_sleep(us, until_ns);
			filch__counter_add(&shard->counters.submissions, 1);
		} else {
			filch__uring_flush(shard);
		}
	} else {
		filch__uring_flush(shard);
	}
	/* [UP1] pairs with filch__uring_wake */
	(void)filch__u32_exchange_seq_cst(&us->park, PARK_EMPTY);
	/* relaxed: who sees it late leaves a wake to this reap */
	filch__u32_store_relaxed(&us->in_sleep, 0);
	while (filch__uring_reap(shard) > 0) {
		continue;
	}
}

void
filch__uring_wake(struct filch__shard *shard)
{
	struct filch__uring_shard *us = filch__uring_shard(shard);
	/* [UP1] pairs with filch__uring_park */
	uint32_t old = filch__u32_exchange_seq_cst(&us->park, PARK_NOTIFIED);

	if (old == PARK_FUTEX) {
		futex_wake(&us->park);
	} else if (old == PARK_RING) {
		eventfd_add(us);
	} else {
		return;
	}
	/* [ST1] a counter of many threads */
	(void)filch__u64_add_acq_rel(&shard->reactor->wake_calls, 1);
}

void
filch__uring_wait(struct filch__reactor *reactor, uint64_t deadline_ns)
{
	struct filch__uring *driver = reactor->driver_state;
	uint32_t old = PARK_EMPTY;

	/* [UP1] pairs with filch__uring_interrupt */
	if (filch__u32_cas_seq_cst(&driver->park, &old, PARK_FUTEX)) {
		futex_sleep(&driver->park, PARK_FUTEX, deadline_ns);
	}
	/* [UP1] pairs with filch__uring_interrupt */
	(void)filch__u32_exchange_seq_cst(&driver->park, PARK_EMPTY);
}

void
filch__uring_interrupt(struct filch__reactor *reactor)
{
	struct filch__uring *driver = reactor->driver_state;

	/* [UP1] pairs with filch__uring_wait */
	if (filch__u32_exchange_seq_cst(&driver->park, PARK_NOTIFIED) ==
	    PARK_FUTEX) {
		futex_wake(&driver->park);
		/* [ST1] a counter of many threads */
		(void)filch__u64_add_acq_rel(&reactor->wake_calls, 1);
	}
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stress: one thread waits for events through the waker slot and the readiness
 * word, the way a task polls a source; others set the event and take the
 * waker.  The waiter sleeps on a counter that its waker raises, so a lost wake
 * would make it sleep for ever (the test's time-out).  Conserved: events set
 * and seen, and every reference to the waker.
 *
 * waker_slot [--rounds=N] [--threads=N]
 */
#include <semaphore.h>

#include "../../reactor/readiness.h"
#include "../../reactor/waker_slot.h"
#include "stress.h"

#define EVENTS 2000

static struct stress_options options = { "waker_slot", 0, 5, 3 };
static struct filch__waker_slot slot;
static filch__u64 word;
static filch__u64 references;
static filch__u64 announced; /* events, counted before they are set */
static sem_t woken;
static uint64_t written; /* plain: by the only setter of a round that checks */

static void
waiter_clone(void *data)
{
	(void)data;
	(void)filch__u64_add_acq_rel(&references, 1); /* a counter */
}

static void
waiter_drop(void *data)
{
	(void)data;
	(void)filch__u64_add_acq_rel(&references, UINT64_MAX); /* a counter */
}

static void
waiter_wake_by_ref(void *data)
{
	(void)data;
	sem_post(&woken);
}

static void
waiter_wake(void *data)
{
	waiter_wake_by_ref(data);
	waiter_drop(data);
}

static const struct filch_waker_vtable waiter_vtable = {
	.clone = waiter_clone,
	.wake = waiter_wake,
	.wake_by_ref = waiter_wake_by_ref,
	.drop = waiter_drop,
};

static void *
setter_main(void *arg)
{
	bool is_alone = arg != NULL;
	struct filch_waker waker;

	for (uint64_t i = 0; i < EVENTS; i++) {
		(void)filch__u64_add_acq_rel(&announced, 1); /* a counter */
		if (is_alone) {
			written = i + 1;
		}
		(void)filch__readiness_set(&word, FILCH__READY_READ);
		waker = filch__waker_slot_take(&slot);
		filch_waker_wake(&waker);
		/* alone: until it was seen, or the plain store would race */
		while (is_alone &&
		    filch__readiness_bits(filch__readiness_load(&word)) != 0) {
			filch__pause();
		}
	}
	return (NULL);
}

/* One poll: true and the generation if the event is there. */
static bool
poll_event(uint64_t *ret_value)
{
	struct filch_waker self = { &waiter_vtable, NULL };

	*ret_value = filch__readiness_load(&word);
	if (filch__readiness_bits(*ret_value) != 0) {
		return (true);
	}
	filch__waker_slot_register(&slot, &self);
	*ret_value = filch__readiness_load(&word);
	return (filch__readiness_bits(*ret_value) != 0);
}

/* Wait until as many generations as events have been seen. */
static void
wait_for_all(uint64_t events, bool is_alone)
{
	uint64_t seen = 0;
	uint64_t value;

	while (seen < events) {
		while (!poll_event(&value)) {
			while (sem_wait(&woken) != 0) {
				continue;
			}
		}
		seen = filch__readiness_generation(value, FILCH__READY_READ);
		if (is_alone) {
			stress_same(&options, "what came with the event", seen,
			    written);
		}
		(void)filch__readiness_clear(
		    &word, FILCH__READY_READ, (uint32_t)seen);
	}
}

static void
round_run(unsigned setters)
{
	pthread_t *threads = calloc(setters, sizeof(*threads));
	bool is_alone = setters == 1;
	unsigned i;

	if (threads == NULL) {
		abort();
	}
	filch__waker_slot_init(&slot);
	/* relaxed: no other thread yet */
	filch__u64_store_relaxed(&word, 0);
	filch__u64_store_relaxed(&announced, 0);
	for (i = 0; i < setters; i++) {
		threads[i] = stress_start(
		    setter_main, is_alone ? (void *)threads : NULL);
	}
	wait_for_all((uint64_t)setters * EVENTS, is_alone);
	for (i = 0; i < setters; i++) {
		pthread_join(threads[i], NULL);
	}
	filch__waker_slot_clear(&slot);
	/* relaxed: all other threads have been joined */
	stress_same(&options, "events announced", (uint64_t)setters * EVENTS,
	    filch__u64_load_relaxed(&announced));
	stress_same(&options, "references to the waker", 0,
	    filch__u64_load_relaxed(&references));
	free(threads);
}

int
main(int argc, char **argv)
{
	stress_options(&options, argc, argv);
	sem_init(&woken, 0, 0);
	for (uint64_t i = 0; i < options.rounds; i++) {
		round_run(i % 2 == 0 ? options.threads : 1);
	}
	printf("%llu rounds, every event seen\n",
	    (unsigned long long)options.rounds);
	return (0);
}

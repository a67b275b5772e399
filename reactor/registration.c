/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Registrations: the table of slots, and what happens to a bound one.
 */
#include "registration.h"

#include <errno.h>
#include <stdlib.h>

#include "../include/private/assert.h"

#define GENERATION_ONE (UINT64_C(1) << 32)
#define PINS_MASK      (GENERATION_ONE - 1)

_Static_assert(
    (uint64_t)FILCH__REGISTRATION_CHUNK *FILCH__REGISTRATION_CHUNKS <=
	PINS_MASK,
    "an index fits into half of a token");

static int table_grow(struct filch__registrations *table);
static struct filch__registration *table_find(
    struct filch__registrations *table, uint32_t index);
static void slot_bind(struct filch__registration *slot, unsigned interest,
    unsigned entries_max, int32_t *results);
static bool slot_pin(struct filch__registration *slot);
static void slot_wake(struct filch__registration *slot);

void
filch__registrations_init(struct filch__registrations *table)
{
	filch__lock_init(&table->lock);
	table->free = NULL;
	table->chunk_count = 0;
	table->is_shut = false;
	/* relaxed: no other thread knows the table yet */
	filch__u64_store_relaxed(&table->bound, 0);
	for (unsigned i = 0; i < FILCH__REGISTRATION_CHUNKS; i++) {
		filch__ptr_store_relaxed(&table->chunks[i], NULL);
	}
}

void
filch__registrations_fini(struct filch__registrations *table)
{
	/* relaxed: all other threads are gone */
	filch__require(filch__u64_load_relaxed(&table->bound) == 0,
	    "an Aio outlives its executor");
	for (unsigned i = 0; i < table->chunk_count; i++) {
		free(filch__ptr_load_relaxed(&table->chunks[i]));
	}
	filch__lock_fini(&table->lock);
}

int
filch__registration_new(struct filch__registrations *table, unsigned interest,
    unsigned entries_max, struct filch__registration **ret_registration,
    uint64_t *ret_token)
{
	struct filch__registration *slot;
	int32_t *results = NULL;
	int rc = 0;

	if (interest == FILCH_INTEREST_LIO) {
		results = calloc(entries_max, sizeof(*results));
		if (results == NULL) {
			return (-ENOMEM);
		}
	}
	filch__lock_take(&table->lock);
	if (table->is_shut) {
		rc = -ESHUTDOWN;
	} else if (table->free == NULL) {
		rc = table_grow(table);
	}
	if (rc < 0) {
		filch__lock_leave(&table->lock);
		free(results);
		return (rc);
	}
	slot = table->free;
	table->free = slot->next_free;
	slot_bind(slot, interest, entries_max, results);
	/*
	 * [RG1] pairs with every change of the word.  Under the lock, so that
	 * a shutdown that came too late for is_shut finds the slot pinned.
	 */
	*ret_token =
	    /* [RG1] as every change of this word */
	    (filch__u64_add_acq_rel(&slot->pins, 1) & ~PINS_MASK) | slot->index;
	filch__lock_leave(&table->lock);
	/* [RG3] a counter only: no other data hangs on it */
	(void)filch__u64_add_acq_rel(&table->bound, 1);
	*ret_registration = slot;
	return (0);
}

uint64_t
filch__registration_token(const struct filch__registration *registration)
{
	/* relaxed: its generation stays as long as it is pinned */
	return ((filch__u64_load_relaxed(&registration->pins) & ~PINS_MASK) |
	    registration->index);
}

struct filch__registration *
filch__registration_acquire(struct filch__registrations *table, uint64_t token)
{
	struct filch__registration *slot =
	    table_find(table, (uint32_t)(token & PINS_MASK));
	uint64_t word;

	if (slot == NULL) {
		return (NULL);
	}
	word = filch__u64_load_relaxed(&slot->pins); /* the CAS orders */
	do {
		if ((word & ~PINS_MASK) != (token & ~PINS_MASK) ||
		    (word & PINS_MASK) == 0) {
			return (NULL);
		}
		filch__assert((word & PINS_MASK) != PINS_MASK);
		/* [RG1] pairs with every change of the word */
	} while (!filch__u64_cas_acq_rel(&slot->pins, &word, word + 1));
	return (slot);
}

void
filch__registration_release(struct filch__registrations *table,
    struct filch__registration *registration)
{
	/* [RG1] pairs with every change of the word */
	uint64_t old =
	    filch__u64_add_acq_rel(&registration->pins, -UINT64_C(1));

	filch__assert((old & PINS_MASK) != 0);
	if ((old & PINS_MASK) != 1) {
		return;
	}
	/* the owner's pin is gone too: nobody can come to it any more */
	free(registration->results);
	registration->results = NULL;
	filch__lock_take(&table->lock);
	registration->next_free = table->free;
	table->free = registration;
	filch__lock_leave(&table->lock);
}

void
filch__registration_retire(struct filch__registrations *table,
    struct filch__registration *registration)
{
	filch__waker_slot_clear(&registration->waker);
	/* [RG3] a counter only: no other data hangs on it */
	(void)filch__u64_add_acq_rel(&table->bound, -UINT64_C(1));
	/* [RG1] pairs with every change of the word */
	(void)filch__u64_add_acq_rel(&registration->pins, GENERATION_ONE);
	filch__registration_release(table, registration);
}

void
filch__registration_notify(struct filch__registration *registration)
{
	filch__readiness_set(&registration->readiness,
	    registration->interest == FILCH_INTEREST_AIO ? FILCH__READY_AIO
							 : FILCH__READY_LIO);
	slot_wake(registration);
}

void
filch__registration_entry_done(struct filch__registrations *table,
    struct filch__registration *registration, unsigned index, int32_t result)
{
	filch__assert(index < registration->entries_max);
	if (registration->interest == FILCH_INTEREST_AIO) {
		/* relaxed: published by the readiness word */
		filch__u64_store_relaxed(
		    &registration->result, (uint64_t)(int64_t)result);
	} else {
		registration->results[index] = result;
	}
	/* [RG2] pairs with itself and with the submit: the last one has seen
	 * all results */
	if (filch__u32_add_acq_rel(&registration->remaining, (uint32_t)-1) !=
	    1) {
		return;
	}
	filch__registration_notify(registration);
	filch__registration_release(table, registration);
}

void
filch__registrations_shutdown(struct filch__registrations *table)
{
	uint32_t count;

	filch__lock_take(&table->lock);
	table->is_shut = true;
	count = table->chunk_count * FILCH__REGISTRATION_CHUNK;
	filch__lock_leave(&table->lock);
	/*
	 * No slot is bound from here on.  The lock is not held: a wake may
	 * release a task, and that may retire its source.
	 */
	for (uint32_t i = 0; i < count; i++) {
		struct filch__registration *slot = table_find(table, i);

		if (slot_pin(slot)) {
			filch__readiness_shutdown(&slot->readiness);
			slot_wake(slot);
			filch__registration_release(table, slot);
		}
	}
}

/* Make one more chunk of slots, all free.  Under the lock. */
static int
table_grow(struct filch__registrations *table)
{
	struct filch__registration *slots;
	uint32_t chunk = table->chunk_count;

	if (chunk == FILCH__REGISTRATION_CHUNKS) {
		return (-EAGAIN);
	}
	slots = aligned_alloc(
	    FILCH__CACHE_LINE, FILCH__REGISTRATION_CHUNK * sizeof(*slots));
	if (slots == NULL) {
		return (-ENOMEM);
	}
	for (unsigned i = FILCH__REGISTRATION_CHUNK; i-- > 0;) {
		struct filch__registration *slot = &slots[i];

		/* relaxed: published with the chunk */
		filch__u64_store_relaxed(&slot->pins, GENERATION_ONE);
		filch__waker_slot_init(&slot->waker);
		slot->index = chunk * FILCH__REGISTRATION_CHUNK + i;
		slot->results = NULL;
		slot->next_free = table->free;
		table->free = slot;
	}
	/* [RG4] pairs with table_find */
	filch__ptr_store_release(&table->chunks[chunk], slots);
	table->chunk_count = chunk + 1;
	return (0);
}

/* The slot of index; NULL if there never was one. */
static struct filch__registration *
table_find(struct filch__registrations *table, uint32_t index)
{
	struct filch__registration *slots;
	uint32_t chunk = index / FILCH__REGISTRATION_CHUNK;

	if (chunk >= FILCH__REGISTRATION_CHUNKS) {
		return (NULL);
	}
	/* [RG4] pairs with table_grow */
	slots = filch__ptr_load_acquire(&table->chunks[chunk]);
	return (
	    slots == NULL ? NULL : &slots[index % FILCH__REGISTRATION_CHUNK]);
}

/* Set a free slot up for its new owner. */
static void
slot_bind(struct filch__registration *slot, unsigned interest,
    unsigned entries_max, int32_t *results)
{
	slot->interest = interest;
	slot->entries_max = entries_max;
	slot->results = results;
	filch__ptr_store_relaxed(&slot->shard, NULL);
	filch__u32_store_relaxed(&slot->submitted, 0);
	filch__ptr_store_relaxed(&slot->told, NULL);
	slot->next_free = NULL;
	/* relaxed: published by the pin that comes next */
	filch__u64_store_relaxed(&slot->readiness, 0);
	filch__u64_store_relaxed(&slot->result, 0);
	filch__u32_store_relaxed(&slot->remaining, 0);
}

/* Pin slot, whatever its generation; false if it is free. */
static bool
slot_pin(struct filch__registration *slot)
{
	uint64_t word = filch__u64_load_relaxed(&slot->pins); /* CAS orders */

	do {
		if ((word & PINS_MASK) == 0) {
			return (false);
		}
		/* [RG1] pairs with every change of the word */
	} while (!filch__u64_cas_acq_rel(&slot->pins, &word, word + 1));
	return (true);
}

/* Wake who waits for slot, if anybody does. */
static void
slot_wake(struct filch__registration *slot)
{
	struct filch_waker waker = filch__waker_slot_take(&slot->waker);

	filch_waker_wake(&waker);
}

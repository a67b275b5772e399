/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Idle: see idle.h for the protocol.
 */
#include "idle.h"

#include "../include/private/assert.h"

#define PARKED_ONE    (UINT64_C(1) << 32)
#define SEARCHING_ONE UINT64_C(1)

static int sleeper_pop(struct filch__idle *idle);

void
filch__idle_init(struct filch__idle *idle, unsigned workers)
{
	filch__assert(workers > 0);
	filch__assert(workers <= FILCH__IDLE_SLEEPERS_MAX);
	/* relaxed: nobody else knows it yet */
	filch__u64_store_relaxed(&idle->word, 0);
	idle->searching_max = workers < 2 ? 1 : workers / 2;
	filch__lock_init(&idle->lock);
	filch__plain_set(&idle->count, 0);
}

void
filch__idle_fini(struct filch__idle *idle)
{
	filch__lock_fini(&idle->lock);
}

bool
filch__idle_begin_search(struct filch__idle *idle)
{
	/* relaxed: the CAS checks it */
	uint64_t word = filch__u64_load_relaxed(&idle->word);

	do {
		if (filch__idle_word_searching(word) >= idle->searching_max) {
			return (false);
		}
		/* [ID2] what ends the search pairs with claim */
	} while (
	    !filch__u64_cas_seq_cst(&idle->word, &word, word + SEARCHING_ONE));
	return (true);
}

bool
filch__idle_end_search(struct filch__idle *idle)
{
	/* [ID2] pairs with the load in claim */
	uint64_t word = filch__u64_add_seq_cst(&idle->word, -SEARCHING_ONE);

	filch__assert(filch__idle_word_searching(word) > 0);
	if (filch__idle_word_searching(word) > 1) {
		return (false);
	}
	/* [ID2] pairs with the publisher's fence, for the look that follows */
	filch__fence_seq_cst();
	return (true);
}

void
filch__idle_park(struct filch__idle *idle, unsigned worker, bool searching)
{
	uint64_t change = PARKED_ONE - (searching ? SEARCHING_ONE : 0);
	uint64_t word;
	uint32_t count;

	filch__lock_take(&idle->lock);
	count = filch__plain_get(&idle->count);
	filch__assert(count < FILCH__IDLE_SLEEPERS_MAX);
	filch__plain_set(&idle->sleepers[count], (uint16_t)worker);
	filch__plain_set(&idle->count, count + 1);
	/* [ID1] pairs with the load in claim */
	word = filch__u64_add_seq_cst(&idle->word, change);
	filch__lock_leave(&idle->lock);
	filch__assert(!searching || filch__idle_word_searching(word) > 0);
	/* [ID1] pairs with the publisher's fence, for the look that follows */
	filch__fence_seq_cst();
}

bool
filch__idle_unpark_self(struct filch__idle *idle, unsigned worker)
{
	uint32_t count;
	uint32_t i;

	filch__lock_take(&idle->lock);
	count = filch__plain_get(&idle->count);
	for (i = 0; i < count; i++) {
		if (filch__plain_get(&idle->sleepers[i]) == worker) {
			break;
		}
	}
	if (i == count) {
		filch__lock_leave(&idle->lock);
		return (false);
	}
	for (; i + 1 < count; i++) {
		uint16_t above = filch__plain_get(&idle->sleepers[i + 1]);

		filch__plain_set(&idle->sleepers[i], above);
	}
	filch__plain_set(&idle->count, count - 1);
	/* [ID2] pairs with the load in claim; [MO1] with the load in parked */
	(void)filch__u64_add_seq_cst(&idle->word, SEARCHING_ONE - PARKED_ONE);
	filch__lock_leave(&idle->lock);
	return (true);
}

int
filch__idle_claim_slow(struct filch__idle *idle)
{
	uint64_t word;
	int worker = -1;

	filch__lock_take(&idle->lock);
	/* [ID1] pairs with park; [ID2] with end_search: another publisher may
	 * have claimed somebody since the first look */
	word = filch__u64_load_seq_cst(&idle->word);
	if (filch__idle_word_searching(word) == 0) {
		worker = sleeper_pop(idle);
	}
	filch__lock_leave(&idle->lock);
	return (worker);
}

int
filch__idle_claim_any(struct filch__idle *idle)
{
	int worker;

	filch__lock_take(&idle->lock);
	worker = sleeper_pop(idle);
	filch__lock_leave(&idle->lock);
	return (worker);
}

/* Take the latest sleeper, whose caches are warmest; -1 if none.  Lock held. */
static int
sleeper_pop(struct filch__idle *idle)
{
	uint32_t count = filch__plain_get(&idle->count);

	if (count == 0) {
		return (-1);
	}
	filch__plain_set(&idle->count, count - 1);
	/* [ID2] pairs with the load in claim; [MO1] with the load in parked */
	(void)filch__u64_add_seq_cst(&idle->word, SEARCHING_ONE - PARKED_ONE);
	return ((int)filch__plain_get(&idle->sleepers[count - 1]));
}

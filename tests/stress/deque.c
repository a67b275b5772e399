/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stress: an owner pushes and pops at a small deque while thieves steal, in
 * both disciplines that the executor uses (deque.h): a lane that is popped at
 * either end and robbed of single items, and one that is popped at the old end
 * and robbed of halves.  Conserved: each item is taken once, and who takes it
 * sees what its pusher wrote into it.
 *
 * deque [--seed=N] [--rounds=N] [--threads=N]
 */
#include "../../executor/deque.h"
#include "stress.h"

#define CAPACITY 8
#define ITEMS    20000

struct item {
	uint64_t number; /* plain: the deque hands it over */
	uint64_t taken;
};

static struct stress_options options = { "deque", 1, 6, 3 };
static struct filch__deque deque;
static filch__ptr slots[CAPACITY];
static struct item items[ITEMS];
static filch__u32 is_over;
static bool is_fifo = true; /* every round turns it round */

/* Count item as taken; the sum of all is what must be conserved. */
static uint64_t
take(struct item *item)
{
	item->taken++;
	return (item->number);
}

static void *
thief_main(void *arg)
{
	void *taken[CAPACITY];
	uint64_t sum = 0;

	(void)arg;
	/* acquire: pairs with the owner's store at the end */
	while (filch__u32_load_acquire(&is_over) == 0 ||
	    !filch__deque_is_empty(&deque)) {
		unsigned count = 0;

		if (is_fifo) {
			count =
			    filch__deque_steal_half(&deque, taken, CAPACITY);
		} else {
			taken[0] = filch__deque_steal(&deque);
			count = taken[0] != NULL ? 1 : 0;
		}
		for (unsigned i = 0; i < count; i++) {
			sum += take(taken[i]);
		}
	}
	return ((void *)(uintptr_t)sum);
}

/* What the owner does between two pushes. */
static uint64_t
owner_pop(uint64_t random)
{
	struct item *item;

	if (!is_fifo && random % 4 != 0) {
		item = filch__deque_pop_newest(&deque);
	} else {
		item = filch__deque_pop_oldest(&deque);
	}
	return (item != NULL ? take(item) : 0);
}

static uint64_t
owner_run(uint64_t *random)
{
	void *spilt[CAPACITY];
	uint64_t sum = 0;

	for (uint64_t i = 0; i < ITEMS; i++) {
		items[i].number = i + 1;
		items[i].taken = 0;
		while (!filch__deque_push(&deque, &items[i])) {
			unsigned count =
			    filch__deque_take_half(&deque, spilt, CAPACITY);

			for (unsigned k = 0; k < count; k++) {
				sum += take(spilt[k]);
			}
		}
		if (!is_fifo && stress_random(random) % 4 == 0) {
			if (filch__deque_take_back(&deque, &items[i])) {
				sum += take(&items[i]);
			}
		} else if (stress_random(random) % 3 == 0) {
			sum += owner_pop(stress_random(random));
		}
	}
	while (!filch__deque_is_empty(&deque)) {
		sum += owner_pop(0);
	}
	return (sum);
}

static void
round_run(uint64_t *random)
{
	pthread_t *thieves = calloc(options.threads, sizeof(*thieves));
	uint64_t sum;
	void *stolen;

	is_fifo = !is_fifo;
	if (thieves == NULL) {
		abort();
	}
	filch__deque_init(&deque, slots, CAPACITY);
	filch__u32_store_relaxed(&is_over, 0); /* relaxed: no thief yet */
	for (unsigned i = 0; i < options.threads; i++) {
		thieves[i] = stress_start(thief_main, NULL);
	}
	sum = owner_run(random);
	/* release: pairs with the thieves' load */
	filch__u32_store_release(&is_over, 1);
	for (unsigned i = 0; i < options.threads; i++) {
		pthread_join(thieves[i], &stolen);
		sum += (uintptr_t)stolen;
	}
	for (uint64_t i = 0; i < ITEMS; i++) {
		stress_same(
		    &options, "times an item was taken", 1, items[i].taken);
	}
	stress_same(&options, "sum of the items taken",
	    (uint64_t)ITEMS * (ITEMS + 1) / 2, sum);
	free(thieves);
}

int
main(int argc, char **argv)
{
	stress_options(&options, argc, argv);
	stress_rounds(&options, round_run);
	printf(", each of %d items taken once\n", ITEMS);
	return (0);
}

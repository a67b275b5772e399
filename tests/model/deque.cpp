/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Model of executor/deque.h: whatever the interleaving, each item is taken
 * once, and who takes it sees what its pusher did to it.
 */
#include "model.hpp"

#include "../../executor/deque.h"

/* The owner of a LIFO lane of two slots against thieves of single items. */
template <int thieves>
struct lifo_lane : rl::test_suite<lifo_lane<thieves>, thieves + 1> {
	static const int items_count = 4;
	struct filch__deque deque;
	filch__ptr slots[2];
	struct model_item items[items_count];

	void before()
	{
		filch__deque_init(&deque, slots, 2);
		for (int i = 0; i < 2; i++) {
			filch__ptr_store_relaxed(&slots[i], NULL);
		}
		for (int i = 0; i < items_count; i++) {
			items[i].prepare();
		}
	}
	static void take(void *item)
	{
		if (item != NULL) {
			((struct model_item *)item)->take();
		}
	}
	void push(int i)
	{
		items[i].publish();
		if (!filch__deque_push(&deque, &items[i])) {
			items[i].take();
		}
	}
	void thread(unsigned index)
	{
		if (index == 0) {
			push(0);
			push(1);
			take(filch__deque_pop_newest(&deque));
			push(2);
			if (filch__deque_take_back(&deque, &items[2])) {
				items[2].take();
			}
			take(filch__deque_pop_newest(&deque));
			push(3);
		} else {
			take(filch__deque_steal(&deque));
			take(filch__deque_steal(&deque));
		}
	}
	void after()
	{
		void *item;

		while ((item = filch__deque_pop_newest(&deque)) != NULL) {
			take(item);
		}
		for (int i = 0; i < items_count; i++) {
			items[i].check_taken();
		}
		RL_ASSERT(filch__deque_is_empty(&deque));
		RL_ASSERT(filch__deque_count(&deque) == 0);
	}
};

/* The race for the last item alone, small enough for every execution. */
struct last_item : rl::test_suite<last_item, 2> {
	struct filch__deque deque;
	filch__ptr slots[2];
	struct model_item items[2];

	void before()
	{
		filch__deque_init(&deque, slots, 2);
		for (int i = 0; i < 2; i++) {
			filch__ptr_store_relaxed(&slots[i], NULL);
			items[i].prepare();
		}
	}
	void thread(unsigned index)
	{
		void *item;

		if (index == 0) {
			for (int i = 0; i < 2; i++) {
				items[i].publish();
				RL_ASSERT(
				    filch__deque_push(&deque, &items[i]));
			}
			item = filch__deque_pop_newest(&deque);
			if (item != NULL) {
				((struct model_item *)item)->take();
			}
		} else {
			for (int i = 0; i < 2; i++) {
				item = filch__deque_steal(&deque);
				if (item != NULL) {
					((struct model_item *)item)->take();
				}
			}
		}
	}
	void after()
	{
		void *item;

		while ((item = filch__deque_pop_oldest(&deque)) != NULL) {
			((struct model_item *)item)->take();
		}
		items[0].check_taken();
		items[1].check_taken();
	}
};

/* A FIFO lane: thieves take halves, the owner takes oldest and spills. */
struct fifo_lane : rl::test_suite<fifo_lane, 3> {
	static const int items_count = 8;
	struct filch__deque deque;
	filch__ptr slots[4];
	struct model_item items[items_count];

	void before()
	{
		filch__deque_init(&deque, slots, 4);
		for (int i = 0; i < 4; i++) {
			filch__ptr_store_relaxed(&slots[i], NULL);
		}
		for (int i = 0; i < items_count; i++) {
			items[i].prepare();
		}
	}
	void push(int i)
	{
		items[i].publish();
		while (!filch__deque_push(&deque, &items[i])) {
			void *spilled[2];
			unsigned count =
			    filch__deque_take_half(&deque, spilled, 2);

			for (unsigned k = 0; k < count; k++) {
				((struct model_item *)spilled[k])->take();
			}
		}
	}
	void thread(unsigned index)
	{
		void *taken[3];

		if (index == 0) {
			for (int i = 0; i < items_count; i++) {
				push(i);
				if (i % 3 == 2) {
					taken[0] =
					    filch__deque_pop_oldest(&deque);
					if (taken[0] != NULL) {
						((struct model_item *)taken[0])
						    ->take();
					}
				}
			}
		} else {
			for (int i = 0; i < 2; i++) {
				unsigned count = filch__deque_steal_half(
				    &deque, taken, 3);

				RL_ASSERT(count <= 2);
				for (unsigned k = 0; k < count; k++) {
					((struct model_item *)taken[k])->take();
				}
			}
		}
	}
	void after()
	{
		void *item;

		while ((item = filch__deque_pop_oldest(&deque)) != NULL) {
			((struct model_item *)item)->take();
		}
		for (int i = 0; i < items_count; i++) {
			items[i].check_taken();
		}
	}
};

int
main(int argc, char **argv)
{
	bool passed = model_bound<last_item>("deque: last item", 4);

	passed = passed &&
	    model_random<lifo_lane<1> >(
		"deque: LIFO lane, 1 thief", 200000, argc, argv);
	passed = passed &&
	    model_random<lifo_lane<2> >(
		"deque: LIFO lane, 2 thieves", 200000, argc, argv);
	passed = passed &&
	    model_random<fifo_lane>("deque: FIFO lane", 100000, argc, argv);
	return (passed ? 0 : 1);
}

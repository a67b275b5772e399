/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Model of reactor/waker_slot.h: who looks, registers and looks again is woken
 * by every event that it has not seen; each waker is used up once; and the
 * slot's words alone order the events, whose own accesses are all relaxed.
 */
#include "sleeper.hpp"

#include "../../reactor/waker_slot.h"

/* A slot, the events that it stands for, and who waits for all of them. */
template <int events_count> struct events {
	struct filch__waker_slot slot;
	filch__u64 happened[events_count];
	struct model_sleeper *waiting; /* its last poll found too little ... */
	uint64_t waiting_woken;        /* ... and began after so many wakes */

	void prepare()
	{
		filch__waker_slot_init(&slot);
		for (int i = 0; i < events_count; i++) {
			filch__u64_store_relaxed(&happened[i], 0);
		}
		waiting = NULL;
		waiting_woken = 0;
	}
	/* An event, and the end of who waits for it. */
	void happen(int i)
	{
		struct filch_waker waker;

		filch__u64_store_relaxed(&happened[i], 1);
		waker = filch__waker_slot_take(&slot);
		filch_waker_wake(&waker);
	}
	bool look() const
	{
		for (int i = 0; i < events_count; i++) {
			if (filch__u64_load_relaxed(&happened[i]) == 0) {
				return (false);
			}
		}
		return (true);
	}
	/* False: there is more to come, of which sleeper will be told. */
	bool poll(struct model_sleeper *sleeper)
	{
		const struct filch_waker waker = sleeper->waker();

		waiting = NULL;
		waiting_woken = sleeper->woken();
		if (look()) {
			return (true);
		}
		filch__waker_slot_register(&slot, &waker);
		if (look()) {
			return (true);
		}
		waiting = sleeper;
		return (false);
	}
	/* All events have happened: who still waits has been woken. */
	void check_woken() const
	{
		RL_ASSERT(waiting == NULL || waiting->woken() != waiting_woken);
	}
	void check_empty()
	{
		struct filch_waker waker = filch__waker_slot_take(&slot);

		RL_ASSERT(waker.vtable == NULL);
		RL_ASSERT(filch__u64_load_relaxed(&slot.state) == 0);
	}
};

/* A task that is polled whenever it was woken, against takers of each event. */
template <int takers>
struct no_lost_wake : rl::test_suite<no_lost_wake<takers>, takers + 1> {
	struct events<takers> events;
	struct model_sleeper task;

	void before()
	{
		events.prepare();
		task.prepare();
	}
	void thread(unsigned index)
	{
		if (index > 0) {
			events.happen((int)index - 1);
			return;
		}
		/* bounded: it wakes itself for as long as a taker stands still
		 */
		for (int i = 0; i < takers + 2; i++) {
			if (events.poll(&task) ||
			    task.woken() == events.waiting_woken) {
				break;
			}
		}
	}
	void after()
	{
		events.check_woken();
		RL_ASSERT(events.look());
		filch__waker_slot_clear(&events.slot);
		events.check_empty();
		task.check_waker_free();
	}
};

/* Another task polls in place of the first: the latest is woken. */
struct replaced : rl::test_suite<replaced, 3> {
	struct events<2> events;
	struct model_sleeper tasks[2];

	void before()
	{
		events.prepare();
		tasks[0].prepare();
		tasks[1].prepare();
	}
	void thread(unsigned index)
	{
		if (index > 0) {
			events.happen((int)index - 1);
			return;
		}
		(void)events.poll(&tasks[0]);
		(void)events.poll(&tasks[1]);
	}
	void after()
	{
		events.check_woken();
		filch__waker_slot_clear(&events.slot);
		events.check_empty();
		tasks[0].check_waker_free();
		tasks[1].check_waker_free();
	}
};

/* The owner goes away, also from another thread, while events come. */
struct cleared : rl::test_suite<cleared, 4> {
	struct events<2> events;
	struct model_sleeper task;

	void before()
	{
		events.prepare();
		task.prepare();
	}
	void thread(unsigned index)
	{
		switch (index) {
		case 0:
			(void)events.poll(&task);
			(void)events.poll(&task);
			break;
		case 1:
			filch__waker_slot_clear(&events.slot);
			break;
		default:
			events.happen((int)index - 2);
			break;
		}
	}
	void after()
	{
		filch__waker_slot_clear(&events.slot);
		events.check_empty();
		task.check_waker_free();
	}
};

int
main(int argc, char **argv)
{
	bool passed = model_full<no_lost_wake<1>>("waker slot: one taker");

	passed =
	    passed && model_bound<no_lost_wake<2>>("waker slot: two takers", 3);
	passed = passed &&
	    model_random<no_lost_wake<3>>(
		"waker slot: three takers", 200000, argc, argv);
	passed = passed && model_bound<replaced>("waker slot: replaced", 3);
	passed = passed &&
	    model_random<replaced>("waker slot: replaced", 200000, argc, argv);
	passed = passed &&
	    model_random<cleared>("waker slot: cleared", 200000, argc, argv);
	return (passed ? 0 : 1);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Model of include/private/task_word.h, in the steps of executor/task.c: a task
 * is polled by one worker at a time, again after every wake that its poll has
 * not seen, ends once, tells its joiner, and is released once, when nobody
 * looks at it any more.
 */
#include "life.hpp"

/*
 * Two workers; two others with data, one of whom gives his reference up with
 * the wake and one after it.
 */
template <int yields> struct woken : rl::test_suite<woken<yields>, 4> {
	struct life life;

	void before()
	{
		life.prepare(2);
		life.data_needed = 2;
		life.yields = yields;
	}
	void thread(unsigned index)
	{
		switch (index) {
		case 0:
			life.give(0, true);
			break;
		case 1:
			life.give(1, false);
			life.unref();
			break;
		default:
			(void)life.run_queued();
			(void)life.run_queued();
			break;
		}
	}
	void after()
	{
		while (life.run_queued()) {
		}
		life.check_released(true);
	}
};

/* One worker, one waker and a task that wakes itself: [TW2] comes and goes. */
struct alone : rl::test_suite<alone, 2> {
	struct life life;

	void before()
	{
		life.prepare(1);
		life.data_needed = 1;
		life.yields = 1;
	}
	void thread(unsigned index)
	{
		if (index == 0) {
			life.give(0, true);
		} else {
			(void)life.run_queued();
			(void)life.run_queued();
			(void)life.run_queued();
		}
	}
	void after()
	{
		while (life.run_queued()) {
		}
		life.check_released(true);
	}
};

/* A cancel among the wakes; the task takes note of it and goes on. */
struct cancelled : rl::test_suite<cancelled, 4> {
	struct life life;

	void before()
	{
		life.prepare(2);
		life.data_needed = 1;
		life.cancel_needed = true;
	}
	void thread(unsigned index)
	{
		switch (index) {
		case 0:
			life.give(0, true);
			break;
		case 1:
			life.wake(FILCH__TASK_CANCELLED, false);
			life.unref();
			break;
		default:
			(void)life.run_queued();
			(void)life.run_queued();
			break;
		}
	}
	void after()
	{
		while (life.run_queued()) {
		}
		life.check_released(true);
	}
};

/* Nobody wakes the task any more: it goes with the last who could have. */
struct forgotten : rl::test_suite<forgotten, 3> {
	struct life life;

	void before()
	{
		life.prepare(2);
		life.data_needed = 1;
	}
	void thread(unsigned index)
	{
		if (index < 2) {
			life.unref();
		} else {
			(void)life.run_queued();
		}
	}
	void after()
	{
		while (life.run_queued()) {
		}
		life.check_released(false);
	}
};

/* A joiner, who changes waiters once, against worker and waker. */
template <int waiters> struct joined : rl::test_suite<joined<waiters>, 3> {
	struct life life;
	struct joining joining;

	void before()
	{
		life.prepare(2);
		life.data_needed = 1;
		joining.prepare();
	}
	void thread(unsigned index)
	{
		switch (index) {
		case 0:
			life.give(0, true);
			break;
		case 1:
			(void)life.run_queued();
			(void)life.run_queued();
			break;
		default:
			joining.poll(&life);
			if (!joining.is_joined && waiters > 1) {
				joining.waiter = 1;
				joining.poll(&life);
			}
			break;
		}
	}
	void after()
	{
		while (life.run_queued()) {
		}
		joining.finish(&life);
		RL_ASSERT((joining.word & FILCH__TASK_ABANDONED) == 0);
		life.check_released(true);
	}
};

/* Who has joined a task that nobody else knows has its memory back. */
struct owned : rl::test_suite<owned, 2> {
	struct life life;
	struct joining joining;

	void before()
	{
		life.prepare(1);
		joining.prepare();
	}
	void thread(unsigned index)
	{
		if (index == 0) {
			(void)life.run_queued();
			return;
		}
		for (int i = 0; i < 2 && !joining.is_joined; i++) {
			joining.poll(&life);
		}
		if (joining.is_joined) {
			RL_ASSERT(life.alive($).load() == 0);
		}
	}
	void after()
	{
		joining.finish(&life);
		life.check_released(true);
	}
};

/* A joiner who waits no longer; somebody finishes the task, or forgets it. */
template <bool is_finished>
struct detached : rl::test_suite<detached<is_finished>, 3> {
	struct life life;
	struct joining joining;

	void before()
	{
		life.prepare(2);
		life.data_needed = 1;
		joining.prepare();
	}
	void thread(unsigned index)
	{
		switch (index) {
		case 0:
			if (is_finished) {
				life.give(0, true);
			} else {
				life.unref();
			}
			break;
		case 1:
			(void)life.run_queued();
			(void)life.run_queued();
			break;
		default:
			joining.poll(&life);
			if (!joining.is_joined) {
				life.detach();
			}
			break;
		}
	}
	void after()
	{
		while (life.run_queued()) {
		}
		joining.waiters[0].check_waker_free();
		life.check_released(is_finished);
	}
};

/* The executor is closed: whoever wakes the idle task ends it. */
struct closed : rl::test_suite<closed, 3> {
	struct life life;
	struct joining joining;

	void before()
	{
		life.prepare(3);
		life.data_needed = 1;
		(void)life.run_queued();
		life.is_closed = true;
		joining.prepare();
	}
	void thread(unsigned index)
	{
		switch (index) {
		case 0:
			life.give(0, true);
			break;
		case 1:
			life.wake(FILCH__TASK_CANCELLED, false);
			life.unref();
			break;
		default:
			joining.poll(&life);
			break;
		}
	}
	void after()
	{
		joining.finish(&life);
		RL_ASSERT((joining.word & FILCH__TASK_ABANDONED) != 0);
		life.check_released(false);
	}
};

int
main(int argc, char **argv)
{
	bool passed = model_full<alone>("task word: one of each");

	passed = passed && model_full<forgotten>("task word: forgotten");
	passed = passed && model_bound<woken<0>>("task word: woken", 2);
	passed = passed &&
	    model_random<woken<0>>("task word: woken", 200000, argc, argv);
	passed = passed &&
	    model_random<woken<1>>(
		"task word: woken, yields", 200000, argc, argv);
	passed = passed &&
	    model_random<cancelled>("task word: cancelled", 200000, argc, argv);
	passed = passed && model_bound<joined<1>>("task word: joined", 3);
	passed = passed && model_bound<joined<2>>("task word: two waiters", 3);
	passed = passed &&
	    model_random<joined<2>>(
		"task word: two waiters", 200000, argc, argv);
	passed = passed && model_full<owned>("task word: owned");
	passed =
	    passed && model_bound<detached<true>>("task word: detached", 3);
	passed = passed &&
	    model_bound<detached<false>>("task word: detached, forgotten", 3);
	passed = passed && model_bound<closed>("task word: closed", 3);
	passed = passed &&
	    model_random<closed>("task word: closed", 200000, argc, argv);
	return (passed ? 0 : 1);
}

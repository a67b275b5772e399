/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Model of reactor/readiness.h together with reactor/waker_slot.h, in the steps
 * of registration.c and aio.c: every event is reported, with the result that
 * was stored before it; none is reported again once it was cleared; no clear
 * takes a newer event away; and the end is seen by who waits.
 */
#include "sleeper.hpp"

#include "../../reactor/readiness.h"
#include "../../reactor/waker_slot.h"

/* What a poll found. */
struct report {
	bool is_event;
	bool is_shutdown;
	uint32_t generation;
	uint64_t result;
};

/* A registration, and the task that polls it. */
struct source {
	filch__u64 readiness;
	filch__u64 result;
	filch__u32 remaining;
	struct filch__waker_slot waker;
	struct model_sleeper task;
	bool is_pending;        /* the last poll found nothing ... */
	uint64_t pending_woken; /* ... and began after so many wakes */

	void prepare(uint32_t operations)
	{
		filch__u64_store_relaxed(&readiness, 0);
		filch__u64_store_relaxed(&result, 0);
		filch__u32_store_relaxed(&remaining, operations);
		filch__waker_slot_init(&waker);
		task.prepare();
		is_pending = false;
		pending_woken = 0;
	}

	/* ---- the reactor's side ---- */

	void wake()
	{
		struct filch_waker taken = filch__waker_slot_take(&waker);

		filch_waker_wake(&taken);
	}
	void notify()
	{
		(void)filch__readiness_set(&readiness, FILCH__READY_AIO);
		wake();
	}
	void notify(uint64_t value)
	{
		filch__u64_store_relaxed(&result, value);
		notify();
	}
	/* One of the operations is done; the last makes the source ready. */
	void complete()
	{
		if (filch__u32_add_acq_rel(&remaining, UINT32_MAX) == 1) {
			notify();
		}
	}
	void shutdown()
	{
		(void)filch__readiness_shutdown(&readiness);
		wake();
	}

	/* ---- the task's side ---- */

	bool look(struct report *report) const
	{
		uint64_t word = filch__readiness_load(&readiness);
		uint32_t bits = filch__readiness_bits(word);

		report->is_event = (bits & FILCH__READY_AIO) != 0;
		report->is_shutdown = (bits & FILCH__READY_SHUTDOWN) != 0 &&
		    filch__u32_load_acquire(&remaining) == 0;
		report->generation =
		    filch__readiness_generation(word, FILCH__READY_AIO);
		if (report->is_event) {
			report->result = filch__u64_load_relaxed(&result);
		}
		return (report->is_event || report->is_shutdown);
	}
	bool poll(struct report *report)
	{
		const struct filch_waker lent = task.waker();

		is_pending = false;
		pending_woken = task.woken();
		if (look(report)) {
			return (true);
		}
		filch__waker_slot_register(&waker, &lent);
		if (look(report)) {
			return (true);
		}
		is_pending = true;
		return (false);
	}
	/* Not asleep, or woken since. */
	bool is_runnable() const
	{
		return (!is_pending || task.woken() != pending_woken);
	}
	bool clear(const struct report &report)
	{
		return (filch__readiness_clear(
		    &readiness, FILCH__READY_AIO, report.generation));
	}
	/* The end of a model: nobody is left with a waker. */
	void check_retired()
	{
		filch__waker_slot_clear(&waker);
		task.check_waker_free();
	}
};

/*
 * Two notifications, by one thread or by two, against a task that clears what
 * it was told: in the end it knows the last result.
 */
template <int notifiers>
struct notified : rl::test_suite<notified<notifiers>, notifiers + 1> {
	struct source source;
	uint64_t result_seen;
	uint32_t reports;

	void before()
	{
		source.prepare(0);
		result_seen = 0;
		reports = 0;
	}
	/* True if there was an event. */
	bool step()
	{
		struct report report;

		if (!source.poll(&report)) {
			return (false);
		}
		RL_ASSERT(report.result != 0);
		RL_ASSERT(notifiers > 1 || report.result >= result_seen);
		RL_ASSERT(report.generation > reports);
		RL_ASSERT(report.generation <= 2);
		result_seen = report.result;
		reports = report.generation;
		(void)source.clear(report);
		return (true);
	}
	void thread(unsigned index)
	{
		if (index > 0) {
			source.notify(index);
			if (notifiers == 1) {
				source.notify(2);
			}
			return;
		}
		for (int i = 0; i < 4 && source.is_runnable(); i++) {
			(void)step();
		}
	}
	void after()
	{
		while (source.is_runnable()) {
			(void)step();
		}
		RL_ASSERT(
		    result_seen == filch__u64_load_relaxed(&source.result));
		RL_ASSERT(reports == 2);
		RL_ASSERT(filch__readiness_bits(
			      filch__readiness_load(&source.readiness)) == 0);
		source.check_retired();
	}
};

/*
 * Two operations end, each with its own plain result, while the reactor shuts
 * down: whatever the task is told, both results are then its own to read.
 */
struct ended : rl::test_suite<ended, 4> {
	struct source source;
	struct model_item results[2];
	bool is_told;

	void before()
	{
		source.prepare(2);
		results[0].prepare();
		results[1].prepare();
		is_told = false;
	}
	void step()
	{
		struct report report;

		if (!source.poll(&report) || is_told) {
			return;
		}
		is_told = true;
		results[0].take();
		results[1].take();
		if (report.is_event) {
			RL_ASSERT(source.clear(report));
		}
	}
	void thread(unsigned index)
	{
		switch (index) {
		case 0:
			for (int i = 0; i < 4 && !is_told; i++) {
				if (source.is_runnable()) {
					step();
				}
			}
			break;
		case 1:
			source.shutdown();
			break;
		default:
			results[index - 2].publish();
			source.complete();
			break;
		}
	}
	void after()
	{
		RL_ASSERT(is_told || source.is_runnable());
		while (!is_told) {
			step();
		}
		RL_ASSERT((filch__readiness_bits(
			       filch__readiness_load(&source.readiness)) &
			      FILCH__READY_SHUTDOWN) != 0);
		source.check_retired();
	}
};

/*
 * An event, and the end.  The event is reported once, although the end comes
 * between its report and its clear; the end stays whatever is cleared.
 */
struct shut_down : rl::test_suite<shut_down, 3> {
	struct source source;
	int events;
	bool is_shut;

	void before()
	{
		source.prepare(0);
		events = 0;
		is_shut = false;
	}
	void step()
	{
		struct report report;

		if (!source.poll(&report)) {
			return;
		}
		is_shut = report.is_shutdown;
		if (report.is_event) {
			RL_ASSERT(report.result == 1);
			events++;
			RL_ASSERT(filch__readiness_clear(&source.readiness,
			    FILCH__READY_AIO | FILCH__READY_STICKY,
			    report.generation));
		}
	}
	void thread(unsigned index)
	{
		switch (index) {
		case 0:
			for (int i = 0; i < 3 && source.is_runnable(); i++) {
				step();
			}
			break;
		case 1:
			source.notify(1);
			break;
		default:
			source.shutdown();
			break;
		}
	}
	void after()
	{
		for (int i = 0; i < 3 && source.is_runnable(); i++) {
			step();
		}
		RL_ASSERT(events == 1);
		RL_ASSERT(is_shut);
		source.check_retired();
	}
};

/*
 * Events of the write direction come between an event of the read direction
 * and its clear, while the read generation goes round its end.
 */
struct directions : rl::test_suite<directions, 3> {
	filch__u64 readiness;
	struct model_item result;
	bool is_cleared;

	void before()
	{
		filch__u64_store_relaxed(&readiness,
		    FILCH__READY_GENERATION_MASK << FILCH__READY_READ_SHIFT);
		result.prepare();
		is_cleared = false;
	}
	void look()
	{
		uint64_t word = filch__readiness_load(&readiness);

		if (is_cleared ||
		    (filch__readiness_bits(word) & FILCH__READY_READ) == 0) {
			return;
		}
		result.take();
		RL_ASSERT(
		    filch__readiness_generation(word, FILCH__READY_READ) == 0);
		RL_ASSERT(
		    filch__readiness_clear(&readiness, FILCH__READY_READ, 0));
		is_cleared = true;
	}
	void thread(unsigned index)
	{
		switch (index) {
		case 0:
			look();
			look();
			break;
		case 1:
			result.publish();
			(void)filch__readiness_set(
			    &readiness, FILCH__READY_READ);
			break;
		default:
			(void)filch__readiness_set(
			    &readiness, FILCH__READY_WRITE);
			(void)filch__readiness_set(
			    &readiness, FILCH__READY_WRITE);
			break;
		}
	}
	void after()
	{
		look();
		RL_ASSERT(is_cleared);
		RL_ASSERT(filch__readiness_load(&readiness) ==
		    ((UINT64_C(2) << FILCH__READY_WRITE_SHIFT) |
			FILCH__READY_WRITE));
	}
};

int
main(int argc, char **argv)
{
	bool passed = model_full<directions>("readiness: two directions");

	passed =
	    passed && model_bound<notified<1>>("readiness: one notifier", 4);
	passed =
	    passed && model_bound<notified<2>>("readiness: two notifiers", 3);
	passed = passed &&
	    model_random<notified<2>>(
		"readiness: two notifiers", 200000, argc, argv);
	passed = passed && model_bound<shut_down>("readiness: shutdown", 3);
	passed = passed &&
	    model_random<shut_down>("readiness: shutdown", 200000, argc, argv);
	passed = passed &&
	    model_random<ended>("readiness: ended", 200000, argc, argv);
	return (passed ? 0 : 1);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A task by its word, in the steps of executor/task.c, and who joins it: what
 * the models of the task word race.
 */
#ifndef FILCH_TESTS_LIFE_HPP
#define FILCH_TESTS_LIFE_HPP

#include "sleeper.hpp"

#include "../../include/private/plain.h"
#include "../../include/private/task_word.h"

/* A task, with the part of its executor that it needs. */
struct life {
	filch__u64 word;
	filch__u32 queued;           /* 1 while it stands in the queue */
	FILCH__PLAIN(void *) joiner; /* the waiter; all have one vtable */
	filch__u32 data[2];          /* what its wakers have for it */
	rl::var<int> alive;          /* read by who may look at the task */
	rl::var<int> polls;          /* changed by every poll */
	rl::var<int> ends;           /* changed by who ends it */
	rl::var<int> result;         /* stored by the poll that says READY */
	unsigned data_needed;        /* for the poll to say READY */
	unsigned yields;             /* polls that wake the task themselves */
	bool cancel_needed;          /* and a cancel, of which it takes note */
	bool is_closed;              /* the executor is: nothing is queued */

	/* Queued, with references of others. */
	void prepare(uint64_t others)
	{
		filch__u64_store_relaxed(&word,
		    (others + 1) * FILCH__TASK_REF | FILCH__TASK_SCHEDULED);
		filch__u32_store_relaxed(&queued, 1);
		filch__plain_set(&joiner, NULL);
		filch__u32_store_relaxed(&data[0], 0);
		filch__u32_store_relaxed(&data[1], 0);
		alive($).store(1);
		polls($).store(0);
		ends($).store(0);
		result($).store(0);
		data_needed = 0;
		yields = 0;
		cancel_needed = false;
		is_closed = false;
	}
	struct filch_waker stored_joiner()
	{
		struct filch_waker waker = { NULL, filch__plain_get(&joiner) };

		if (waker.data != NULL) {
			waker.vtable = &model_sleeper_vtable;
		}
		return (waker);
	}
	/* The caller has a reference, or the poll has. */
	void look()
	{
		RL_ASSERT(alive($).load() == 1);
	}

	/* ---- running ---- */

	bool poll()
	{
		bool is_ready = true;

		look();
		polls($).store(polls($).load() + 1);
		if (yields > 0) {
			yields--;
			filch__task_word_wake_running(&word);
			return (false);
		}
		if (cancel_needed &&
		    (filch__u64_load_relaxed(&word) & FILCH__TASK_CANCELLED) !=
			0) {
			filch__task_word_uncancel(&word);
			cancel_needed = false;
		}
		for (unsigned i = 0; i < data_needed; i++) {
			if (filch__u32_load_relaxed(&data[i]) == 0) {
				is_ready = false;
			}
		}
		if (cancel_needed) {
			is_ready = false;
		}
		if (is_ready) {
			result($).store(7);
		}
		return (is_ready);
	}
	void run()
	{
		filch__task_word_poll(&word);
		if (poll()) {
			if (complete(0)) {
				release();
			}
			return;
		}
		switch (filch__task_word_pending(&word)) {
		case FILCH__TASK_SCHEDULE:
			schedule();
			break;
		case FILCH__TASK_RELEASE:
			ends($).store(ends($).load() + 1);
			release();
			break;
		default:
			break;
		}
	}
	/* True if it stood in the queue. */
	bool run_queued()
	{
		if (filch__u32_exchange_acq_rel(&queued, 0) == 0) {
			return (false);
		}
		run();
		return (true);
	}
	void schedule()
	{
		look();
		if (is_closed) {
			abandon();
			return;
		}
		/* one queue only */
		RL_ASSERT(filch__u32_exchange_acq_rel(&queued, 1) == 0);
	}
	bool complete(uint64_t flags)
	{
		enum filch__task_next next;
		struct filch_waker taken;

		ends($).store(ends($).load() + 1);
		next = filch__task_word_complete(&word, flags);
		if (next == FILCH__TASK_JOINER) {
			look();
			taken = stored_joiner();
			next = filch__task_word_completed(&word, flags);
			filch_waker_wake(&taken);
		}
		return (next == FILCH__TASK_RELEASE);
	}
	void abandon()
	{
		if (complete(FILCH__TASK_ABANDONED)) {
			release();
		}
	}
	/* Its memory is somebody else's from here on. */
	void release()
	{
		look();
		alive($).store(0);
	}

	/* ---- what others do with it ---- */

	/* The last reference went outside of a poll. */
	void ended()
	{
		if ((filch__u64_load_relaxed(&word) & FILCH__TASK_COMPLETE) ==
		    0) {
			ends($).store(ends($).load() + 1);
		}
		release();
	}
	void wake(uint64_t flags, bool consume)
	{
		look();
		switch (filch__task_word_wake(&word, flags, consume)) {
		case FILCH__TASK_SCHEDULE:
			schedule();
			break;
		case FILCH__TASK_RELEASE:
			ended();
			break;
		default:
			break;
		}
	}
	void unref()
	{
		look();
		if (filch__task_word_unref(&word) == FILCH__TASK_RELEASE) {
			ended();
		}
	}
	/* Leave data and wake; keep or give up the reference with it. */
	void give(int i, bool consume)
	{
		filch__u32_store_relaxed(&data[i], 1);
		wake(0, consume);
	}

	/* ---- joining ---- */

	/* True if the task has ended: *ret_word says how. */
	bool poll_join(struct model_sleeper *waiter, uint64_t *ret_word)
	{
		const struct filch_waker waker = waiter->waker();
		struct filch_waker stored;

		for (;;) {
			look();
			*ret_word = filch__u64_load_acquire(&word);
			if ((*ret_word & FILCH__TASK_COMPLETE) != 0) {
				unref();
				return (true);
			}
			stored = stored_joiner();
			if ((*ret_word & FILCH__TASK_COMPLETING) != 0) {
				if (!filch_waker_is_same(&stored, &waker)) {
					model_sleeper::wake_by_ref(waiter);
				}
				return (false);
			}
			if ((*ret_word & FILCH__TASK_JOIN_WAKER) != 0) {
				if (filch_waker_is_same(&stored, &waker)) {
					return (false);
				}
				if (!filch__task_word_join_withdraw(&word)) {
					continue;
				}
				filch_waker_drop(&stored);
			}
			stored = filch_waker_clone(&waker);
			filch__plain_set(&joiner, stored.data);
			if (filch__task_word_join_publish(&word)) {
				return (false);
			}
			filch__plain_set(&joiner, NULL);
			filch_waker_drop(&stored);
		}
	}

	/* Give the handle up without waiting. */
	void detach()
	{
		struct filch_waker stored;

		look();
		if ((filch__u64_load_acquire(&word) & FILCH__TASK_JOIN_WAKER) !=
			0 &&
		    filch__task_word_join_withdraw(&word)) {
			stored = stored_joiner();
			filch__plain_set(&joiner, NULL);
			filch_waker_drop(&stored);
		}
		unref();
	}

	/* ---- the end of a model ---- */

	void check_released(bool is_finished)
	{
		RL_ASSERT(filch__u32_load_relaxed(&queued) == 0);
		RL_ASSERT(alive($).load() == 0);
		RL_ASSERT(ends($).load() == 1);
		RL_ASSERT((result($).load() == 7) == is_finished);
	}
};

/* Who joins a life, in his own thread and then in after(). */
struct joining {
	struct model_sleeper waiters[2];
	int waiter;         /* who polls next */
	uint64_t polled_at; /* his wakes before his last poll */
	bool is_joined;
	uint64_t word;

	void prepare()
	{
		waiters[0].prepare();
		waiters[1].prepare();
		waiter = 0;
		polled_at = 0;
		is_joined = false;
		word = 0;
	}
	void poll(struct life *life)
	{
		polled_at = waiters[waiter].woken();
		is_joined = life->poll_join(&waiters[waiter], &word);
		if (is_joined && (word & FILCH__TASK_ABANDONED) == 0) {
			RL_ASSERT(life->result($).load() == 7);
		}
	}
	/* The task has ended, and has said so. */
	void finish(struct life *life)
	{
		if (!is_joined) {
			RL_ASSERT(waiters[waiter].woken() != polled_at);
			poll(life);
		}
		RL_ASSERT(is_joined);
		waiters[0].check_waker_free();
		waiters[1].check_waker_free();
	}
};

#endif /* FILCH_TESTS_LIFE_HPP */

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Workers: evening out what they have.
 *
 * Completions come back to the worker that started them, and one that always
 * gets some never searches: what chance has shared out unevenly would stay so.
 * Then one worker makes a system call for few operations, and each of them
 * costs more.
 */
#include "executor.h"

/* A peer has so many more woken tasks before some of them are fetched. */
#define EVEN_OUT_MIN 4

void
filch__worker_even_out(struct filch__worker *worker)
{
	struct filch_executor *executor = worker->executor;
	/* relaxed: a clock, nothing hangs on it */
	uint32_t looks = filch__u32_load_relaxed(&executor->looks);
	size_t own = filch__deque_count(&worker->woken);
	struct filch__worker *peer;
	void *items[FILCH__MOVE_MAX];
	size_t count;
	unsigned i;

	/* seldom, since it takes the peer's lines; without any it searches */
	if (looks == worker->looks_evened || own == 0) {
		return;
	}
	worker->looks_evened = looks;
	peer = &executor
		    ->workers[(worker->index + looks) % executor->worker_count];
	count = filch__deque_count(&peer->woken);
	if (count < own + EVEN_OUT_MIN) {
		return; /* as of its own queue */
	}
	count = (count - own) / 2;
	count = filch__deque_steal_half(&peer->woken, items,
	    (unsigned)(count < FILCH__MOVE_MAX ? count : FILCH__MOVE_MAX));
	if (count == 0) {
		return;
	}
	filch__counter_add(&worker->counters.steals, 1);
	filch__counter_add(&worker->counters.tasks_stolen, count);
	for (i = 0; i < count; i++) {
		filch__worker_push_woken(worker, items[i]);
	}
	if (worker->notify_after == 0) {
		worker->notify_after = FILCH__NOTIFY_AFTER_POLLS;
	}
}

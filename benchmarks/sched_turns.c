/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Taking turns: many tasks that yield, and pairs of tasks that wait for each
 * other.
 */
#include "sched_bench.h"

/* ---- yield_many ---- */

/* Each in lines of its own: neighbours may run on different workers. */
struct yielder {
	_Alignas(SCHED_CACHE_LINE) struct filch_task task;
	struct sched_group *group;
	unsigned left;
};

static struct yielder *yielders;

static enum filch_poll
yielder_poll(struct filch_task *task)
{
	struct yielder *yielder =
	    filch_container_of(task, struct yielder, task);

	if (yielder->left == 0) {
		return (FILCH_READY);
	}
	yielder->left--;
	return (filch_task_yield(task));
}

static void
yielder_release(struct filch_task *task)
{
	sched_group_leave(
	    filch_container_of(task, struct yielder, task)->group);
}

static void
yielders_spawn(struct sched_root *root)
{
	for (unsigned i = 0; i < SCHED_YIELDERS; i++) {
		struct yielder *yielder = &yielders[i];

		filch_task_init(&yielder->task, yielder_poll, yielder_release);
		yielder->group = &root->group;
		yielder->left = SCHED_YIELDS;
		sched_spawn(root->executor, &yielder->task);
	}
}

uint64_t
sched_yield_many(struct filch_executor *executor)
{
	if (yielders == NULL) {
		yielders = sched_slab(SCHED_YIELDERS * sizeof(*yielders));
	}
	uint64_t ns =
	    sched_root_run(executor, yielders_spawn, SCHED_YIELDERS, 1);
	for (unsigned i = 0; i < SCHED_YIELDERS; i++) {
		sched_check(yielders[i].left == 0, "a yield got lost");
	}
	return (ns);
}

/* ---- ping_pong ---- */

/* One event, sent once, that one task waits for. */
struct oneshot {
	atomic_uint state;
	struct filch_waker receiver;
};

enum oneshot_state {
	ONESHOT_EMPTY,
	ONESHOT_WAITED_FOR,
	ONESHOT_SENT
};

static void
oneshot_init(struct oneshot *oneshot)
{
	/* Relaxed: spawning publishes it. */
	atomic_store_explicit(
	    &oneshot->state, ONESHOT_EMPTY, memory_order_relaxed);
}

static enum filch_poll
oneshot_poll(struct oneshot *oneshot, struct filch_task *task)
{
	/* Acquire pairs with the exchange in oneshot_send(). */
	unsigned state =
	    atomic_load_explicit(&oneshot->state, memory_order_acquire);

	if (state != ONESHOT_EMPTY) {
		return (state == ONESHOT_SENT ? FILCH_READY : FILCH_PENDING);
	}
	oneshot->receiver = filch_task_waker(task);
	/* Release hands the waker over; acquire as above. */
	if (atomic_compare_exchange_strong_explicit(&oneshot->state, &state,
		ONESHOT_WAITED_FOR, memory_order_acq_rel,
		memory_order_acquire)) {
		return (FILCH_PENDING);
	}
	filch_waker_drop(&oneshot->receiver);
	return (FILCH_READY);
}

static void
oneshot_send(struct oneshot *oneshot)
{
	/* Acquire and release pair with the exchange in oneshot_poll(). */
	if (atomic_exchange_explicit(&oneshot->state, ONESHOT_SENT,
		memory_order_acq_rel) == ONESHOT_WAITED_FOR) {
		filch_waker_wake(&oneshot->receiver);
	}
}

/* Ping spawns pong, sends, and waits for the answer. */
struct pair {
	struct filch_task ping;
	struct filch_task pong;
	struct sched_root *root;
	struct oneshot there;
	struct oneshot back;
	bool begun;
	bool answered;
};

static struct pair *pairs;

static void
ping_release(struct filch_task *task)
{
	sched_group_leave(
	    &filch_container_of(task, struct pair, ping)->root->group);
}

static void
pong_release(struct filch_task *task)
{
	sched_group_leave(
	    &filch_container_of(task, struct pair, pong)->root->group);
}

static enum filch_poll
pong_poll(struct filch_task *task)
{
	struct pair *pair = filch_container_of(task, struct pair, pong);

	if (oneshot_poll(&pair->there, task) == FILCH_PENDING) {
		return (FILCH_PENDING);
	}
	oneshot_send(&pair->back);
	return (FILCH_READY);
}

static enum filch_poll
ping_poll(struct filch_task *task)
{
	struct pair *pair = filch_container_of(task, struct pair, ping);

	if (!pair->begun) {
		pair->begun = true;
		oneshot_init(&pair->there);
		oneshot_init(&pair->back);
		filch_task_init(&pair->pong, pong_poll, pong_release);
		sched_spawn(pair->root->executor, &pair->pong);
		oneshot_send(&pair->there);
	}
	if (oneshot_poll(&pair->back, task) == FILCH_PENDING) {
		return (FILCH_PENDING);
	}
	pair->answered = true;
	return (FILCH_READY);
}

static void
pairs_spawn(struct sched_root *root)
{
	for (unsigned i = 0; i < SCHED_PINGS; i++) {
		struct pair *pair = &pairs[i];

		filch_task_init(&pair->ping, ping_poll, ping_release);
		pair->root = root;
		pair->begun = false;
		pair->answered = false;
		sched_spawn(root->executor, &pair->ping);
	}
}

uint64_t
sched_ping_pong(struct filch_executor *executor)
{
	if (pairs == NULL) {
		pairs = sched_slab(SCHED_PINGS * sizeof(*pairs));
	}
	uint64_t ns = sched_root_run(executor, pairs_spawn, 2 * SCHED_PINGS, 1);
	for (unsigned i = 0; i < SCHED_PINGS; i++) {
		sched_check(pairs[i].answered, "an answer got lost");
	}
	return (ns);
}

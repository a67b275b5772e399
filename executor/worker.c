/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Workers: finding work, running it, parking.
 *
 * Orderings [WK1] the LIFO slot changes hands by acq_rel exchange: who takes a
 *           task sees what the one who put it there had done.
 *           [WK2] who publishes work fences, then looks for sleepers (idle.h),
 *           but for injected work, whose push is the fence [IJ3]; who parks
 *           says so by a seq_cst change, then looks for work.
 *           [MO1] in monitor.c, [SD1] in shutdown.c.
 */
#include "executor.h"

#include "../include/private/clock.h"
#include "../include/private/task_waker.h"

/* Rounds over all victims before a searching worker goes to sleep. */
#define SEARCH_ROUNDS 4

/*
 * The oldest spawned task gets its turn once in so many looks of the reactor
 * thread, about every 3 ms.  Seldom: in a task tree it is the largest subtree,
 * and each one opened adds its children to what is alive.
 */
#define SPAWNED_OLDEST_LOOKS 8

/*
 * A worker's turn on the CPU, where the system lets it choose: shorter than
 * those of plain threads (0.7 ms and more), so that a worker which wakes need
 * not wait for the thread that woke it to sleep; longer than the reactor
 * thread's, which must get in where a worker computes.
 */
#define WORKER_TURN_NS 500000

FILCH__THREAD_LOCAL struct filch__worker *filch__worker_current
    __attribute__((tls_model("initial-exec")));

static struct filch_task *worker_next(struct filch__worker *);
static void worker_run(struct filch__worker *, struct filch_task *);
static struct filch_task *worker_next_local(struct filch__worker *);
static struct filch_task *worker_take_injected(
    struct filch__worker *, uint64_t);
static struct filch_task *worker_take_oldest(struct filch__worker *);
static void worker_tell_peers(struct filch__worker *);
static inline void worker_tell_of_queued(struct filch__worker *);
static struct filch_task *worker_search(struct filch__worker *) FILCH__NOINLINE;
static inline void worker_found_work(struct filch__worker *);
static void worker_end_search(struct filch__worker *) FILCH__NOINLINE;
static void worker_rest(struct filch__worker *) FILCH__NOINLINE;
static void worker_park(struct filch__worker *);
static void worker_spill(
    struct filch__worker *, struct filch__deque *, struct filch_task *);

void *
filch__worker_main(void *arg)
{
	struct filch__worker *worker = arg;
	struct filch_executor *executor = worker->executor;

	filch__worker_current = worker;
	filch__shard_current = worker->shard;
	filch__thread_be_prompt(WORKER_TURN_NS);
	/* relaxed: for the monitor, which does without it until then */
	filch__u32_store_relaxed(&worker->clock, filch__thread_clock());
	filch__executor_monitor(executor);
	while (filch__executor_state(executor) != FILCH__EXECUTOR_CLOSED) {
		struct filch_task *task = worker_next(worker);

		if (task == NULL) {
			worker_rest(worker);
			continue;
		}
		worker_tell_peers(worker);
		filch__prefetch(filch__deque_guess_oldest(&worker->woken));
		worker_run(worker, task);
	}
	filch__shard_current = NULL;
	filch__worker_current = NULL;
	return (NULL);
}

/* Last of all: who learns of it may take back what the task stood in. */
static void
worker_count_finished(struct filch__worker *worker)
{
	/* relaxed load: only this worker writes it.
	 * [EX3] pairs with filch__executor_alive */
	filch__u64_store_release(&worker->counters.finished,
	    filch__u64_load_relaxed(&worker->counters.finished) + 1);
}

/* Poll task, which was taken from a queue, and do what follows. */
static void
worker_run(struct filch__worker *worker, struct filch_task *task)
{
	filch__task_word_poll(&task->priv.state);
	worker->shard->budget = worker->shard->budget_full;
	filch__counter_add(&worker->counters.polls, 1);
	if (task->priv.poll(task) == FILCH_READY) {
		if (filch__task_complete(task, 0)) {
			filch__task_release(task);
		}
		worker_count_finished(worker);
		return;
	}
	switch (filch__task_word_pending(&task->priv.state)) {
	case FILCH__TASK_SCHEDULE:
		filch__worker_push_woken(worker, task);
		break;
	case FILCH__TASK_RELEASE:
		filch__task_release(task);
		worker_count_finished(worker);
		break;
	case FILCH__TASK_NOTHING:
	case FILCH__TASK_JOINER:
		break;
	}
}

int
filch_worker_index(void)
{
	return (filch__worker_current == NULL
		? -1
		: (int)filch__worker_current->index);
}

/* ---- queues ---- */

void
filch__worker_spill_spawned(
    struct filch__worker *worker, struct filch_task *task)
{
	worker_spill(worker, &worker->spawned, task);
}

void
filch__worker_spill_woken(struct filch__worker *worker, struct filch_task *task)
{
	worker_spill(worker, &worker->woken, task);
	worker->notify = true;
}

/* The lane is full: its older half goes into the injector, then task. */
static void
worker_spill(struct filch__worker *worker, struct filch__deque *lane,
    struct filch_task *task)
{
	void *items[FILCH__MOVE_MAX + 1]; /* and task */
	unsigned count = filch__deque_take_half(lane, items, FILCH__MOVE_MAX);

	if (!filch__deque_push(lane, task)) {
		items[count] = task;
		count++;
	}
	if (count > 0) {
		filch__worker_inject(worker, items, count);
	}
}

void
filch__worker_inject(
    struct filch__worker *worker, void *const *items, unsigned count)
{
	struct filch_task *first = items[0];
	struct filch_task *last = first;
	unsigned i;

	for (i = 1; i < count; i++) {
		last->priv.next = items[i];
		last = items[i];
	}
	filch__injector_push(&worker->executor->injector, first, last, count);
	filch__counter_add(&worker->counters.overflows, count);
}

bool
filch__worker_has_work(const struct filch__worker *worker)
{
	/* [WK1] pairs with the exchanges of the slot */
	return (filch__ptr_load_acquire(&worker->lifo) != NULL ||
	    !filch__deque_is_empty(&worker->woken) ||
	    !filch__deque_is_empty(&worker->spawned));
}

/* True if work is queued anywhere but on the given worker (or NULL). */
static bool
executor_has_work_beside(
    const struct filch_executor *executor, const struct filch__worker *except)
{
	unsigned i;

	if (!filch__injector_is_empty(&executor->injector)) {
		return (true);
	}
	for (i = 0; i < executor->worker_count; i++) {
		const struct filch__worker *worker = &executor->workers[i];

		if (worker != except && filch__worker_has_work(worker)) {
			return (true);
		}
	}
	return (false);
}

bool
filch__executor_has_work(const struct filch_executor *executor)
{
	return (executor_has_work_beside(executor, NULL));
}

void
filch__worker_notify(struct filch_executor *executor)
{
	/* [WK2] pairs with worker_park */
	filch__fence_seq_cst();
	filch__worker_notify_injected(executor);
}

void
filch__worker_notify_injected(struct filch_executor *executor)
{
	int sleeper = filch__idle_claim(&executor->idle);

	if (sleeper >= 0) {
		executor->reactor.driver->wake(
		    executor->workers[sleeper].shard);
	}
}

/* ---- finding work ---- */

/* The next task to run; NULL if there is none anywhere. */
static struct filch_task *
worker_next(struct filch__worker *worker)
{
	/* relaxed: a clock, nothing hangs on it */
	uint32_t looks = filch__u32_load_relaxed(&worker->executor->looks);
	struct filch_task *task;

	/* polls may be long: the reactor thread's looks are the clock */
	if (--worker->polls_left == 0 || looks != worker->looks_driven) {
		bool is_early = filch__worker_drive(worker, looks);

		/* between turns one at a time: the next visit is soon */
		task = worker_take_injected(
		    worker, is_early ? 1 : FILCH__MOVE_MAX);
		if (task == NULL) {
			task = worker_take_oldest(worker);
		}
		if (task != NULL) {
			/* this worker's own get a turn in any case */
			worker->polls_left++;
			worker_found_work(worker);
			return (task);
		}
	}
	task = worker_next_local(worker);
	if (task == NULL && !worker->has_given) {
		task = worker_take_injected(worker, FILCH__MOVE_MAX);
	}
	if (task == NULL) {
		filch__worker_drive_before_sleep(worker);
		filch__worker_even_out(worker);
		task = worker_next_local(worker);
	}
	if (task != NULL) {
		worker_found_work(worker);
		return (task);
	}
	return (worker_search(worker));
}

static struct filch_task *
worker_next_local(struct filch__worker *worker)
{
	struct filch_task *task;

	/* relaxed: only this worker puts tasks there; a thief leaves NULL */
	if (filch__ptr_load_relaxed(&worker->lifo) != NULL) {
		/* [WK1] pairs with the thief's exchange */
		task = filch__ptr_exchange_acq_rel(&worker->lifo, NULL);
		if (task != NULL) {
			if (worker->lifo_runs < FILCH_LIFO_RUNS_MAX) {
				worker->lifo_runs++;
				return (task);
			}
			filch__worker_push_woken(worker, task);
		}
	}
	worker->lifo_runs = 0;
	/* The two lanes take turns, so that neither starves the other.  Not by
	 * tick: runs of the LIFO slot come in fours, and would keep it odd. */
	worker->turn++;
	if ((worker->turn & 1) != 0) {
		task = filch__deque_pop_oldest(&worker->woken);
		if (task != NULL) {
			return (task);
		}
	}
	task = filch__deque_pop_newest(&worker->spawned);
	if (task == NULL) {
		task = filch__deque_pop_oldest(&worker->woken);
	}
	return (task);
}

/* The spawned task that has waited longest, now and then; or NULL. */
static struct filch_task *
worker_take_oldest(struct filch__worker *worker)
{
	/* relaxed: a clock, nothing hangs on it */
	uint32_t looks = filch__u32_load_relaxed(&worker->executor->looks);

	if (looks - worker->looks_seen < SPAWNED_OLDEST_LOOKS) {
		return (NULL);
	}
	worker->looks_seen = looks;
	return (filch__deque_pop_oldest(&worker->spawned));
}

/*
 * This worker's share of the injector, at most max: one task to run, the rest
 * queued.
 */
static struct filch_task *
worker_take_injected(struct filch__worker *worker, uint64_t max)
{
	struct filch_executor *executor = worker->executor;
	struct filch_task *tasks[FILCH__MOVE_MAX];
	uint64_t share = filch__injector_count(&executor->injector);
	uint64_t room = executor->options.deque_capacity / 2;
	unsigned count;
	unsigned i;

	if (share == 0) {
		return (NULL);
	}
	share = share / executor->worker_count + 1;
	if (share > room) {
		share = room;
	}
	if (share > max) {
		share = max;
	}
	count =
	    filch__injector_pop(&executor->injector, tasks, (unsigned)share);
	if (count == 0) {
		return (NULL);
	}
	filch__counter_add(&worker->counters.injector_hits, count);
	for (i = 1; i < count; i++) {
		filch__worker_push_woken(worker, tasks[i]);
	}
	if (count > 1) {
		worker->notify = true;
	}
	return (tasks[0]);
}

/*
 * Tell a peer of what this worker has queued: of spawned tasks at once, since
 * they ask for more hands; of tasks woken by completions and timers only if
 * they are still there some polls later, since waking a peer costs more than
 * most of them need.  If one of them is long, the reactor thread tells.
 *
 * Called with the next task in hand, so that one task which follows another
 * wakes nobody: the peer would find nothing, or drag it over to its own cache.
 */
static void
worker_tell_peers(struct filch__worker *worker)
{
	if (worker->notify_after > 0 && --worker->notify_after == 0 &&
	    !filch__deque_is_empty(&worker->woken)) {
		worker->notify = true;
	}
	if (worker->notify) {
		worker_tell_of_queued(worker);
	}
}

/* Inline: called in the worker's loop it takes 1 ns of 12 a link. */
static inline void
worker_tell_of_queued(struct filch__worker *worker)
{
	worker->notify = false;
	if (!filch__deque_is_empty(&worker->spawned) ||
	    !filch__deque_is_empty(&worker->woken) ||
	    !filch__injector_is_empty(&worker->executor->injector)) {
		filch__worker_notify(worker->executor);
	}
}

void
filch__worker_tell_of_queued(struct filch__worker *worker)
{
	worker_tell_of_queued(worker);
}

/* ---- stealing ---- */

static uint32_t
worker_random(struct filch__worker *worker)
{
	uint32_t x = worker->random;

	/* xorshift: Marsaglia, "Xorshift RNGs", 2003 */
	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	worker->random = x;
	return (x);
}

static struct filch_task *
worker_search(struct filch__worker *worker)
{
	struct filch_executor *executor = worker->executor;
	unsigned count = executor->worker_count;
	struct filch_task *task = NULL;
	unsigned round;
	unsigned start;
	unsigned i;
	bool spawned;

	filch__worker_judge_loot(worker);
	if (!worker->searching) {
		if (count == 1 || !filch__idle_begin_search(&executor->idle)) {
			return (NULL);
		}
		worker->searching = true;
	}
	spawned = filch__worker_steal_is_due(worker);
	for (round = 0; round < SEARCH_ROUNDS && task == NULL; round++) {
		start = worker_random(worker) % count;
		for (i = 0; i < count && task == NULL; i++) {
			struct filch__worker *victim =
			    &executor->workers[(start + i) % count];

			if (victim == worker) {
				continue;
			}
			task = filch__worker_steal(worker, victim, spawned);
			if (task == NULL && round == SEARCH_ROUNDS - 1) {
				task = filch__worker_steal_lifo(worker, victim);
			}
		}
		if (task == NULL) {
			task = worker_take_injected(worker, FILCH__MOVE_MAX);
		}
	}
	if (task != NULL) {
		worker_found_work(worker);
		filch__worker_flush(worker);
		worker->loot_since_ns = filch__clock_ns();
	}
	return (task);
}

static inline void
worker_found_work(struct filch__worker *worker)
{
	if (filch__unlikely(worker->searching)) {
		worker_end_search(worker);
	}
}

/*
 * Leave the search; the last one to do so sees to it that others look on.  Its
 * own queues need no look: of what it put there it tells peers itself.
 */
static void
worker_end_search(struct filch__worker *worker)
{
	struct filch_executor *executor = worker->executor;

	worker->searching = false;
	if (filch__idle_end_search(&executor->idle) &&
	    executor_has_work_beside(executor, worker)) {
		filch__worker_notify(executor);
	}
}

/* ---- parking ---- */

/* There was nothing to run. */
static void
worker_rest(struct filch__worker *worker)
{
	if (!worker->searching || filch__worker_steal_is_due(worker)) {
		worker_park(worker);
		return;
	}
	filch__worker_flush(worker);
	filch__worker_wait_to_steal(worker);
}

static void
worker_park(struct filch__worker *worker)
{
	struct filch_executor *executor = worker->executor;
	const struct filch__driver *driver = executor->reactor.driver;
	bool claimed;

	/* [WK2] pairs with filch__worker_notify */
	filch__idle_park(&executor->idle, worker->index, worker->searching);
	worker->searching = false;
	/* [WK2] as above */
	filch__fence_seq_cst();
	if (!filch__executor_has_work(executor) &&
	    filch__executor_state(executor) != FILCH__EXECUTOR_CLOSED) {
		filch__counter_add(&worker->counters.parks, 1);
		/* [SD1] pairs with round_begin; a hint for the monitor */
		filch__u32_store_release(&worker->awake, 0);
		if (filch__executor_state(executor) !=
		    FILCH__EXECUTOR_RUNNING) {
			filch__executor_signal_shutdown(executor);
		}
		worker->reaping = true;
		driver->park(worker->shard);
		/* what is due does not wait for the polls of what has come */
		(void)filch__reactor_expire(worker->shard);
		worker->reaping = false;
		worker->notify_after = FILCH__NOTIFY_AFTER_POLLS;
		/* relaxed: a hint */
		filch__u32_store_relaxed(&worker->awake, 1);
	}
	claimed = !filch__idle_unpark_self(&executor->idle, worker->index);
	worker->searching = true;
	filch__executor_monitor(executor);
	if (claimed && !filch__executor_has_work(executor)) {
		filch__counter_add(&worker->counters.spurious_wakes, 1);
	}
}

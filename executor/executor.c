/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The executor's life: creating, spawning, shutting down, destroying.
 *
 * Shutdown in steps:
 *   1. DRAINING: spawning says -ESHUTDOWN; the tasks that exist run on.
 *   2. STOPPING (at once only): the reactor stops: operations, sleeps and
 *      sources end with -ESHUTDOWN, and tasks count as cancelled.
 *   3. Wait until no task is alive; at once: until nothing moves any more.
 *   4. CLOSED (destroy): the workers end; what is still queued, or is woken
 *      from now on, is given up.
 *   5. The reactor ends.  The memory goes with the last task.
 *
 * Orderings [EX1] the state is advanced by a seq_cst exchange.  Who spawns
 *           counts the task first and then looks at the state, both seq_cst,
 *           so a shutdown that saw nothing alive cannot be overtaken.
 *           [EX2] who wakes from outside enters, then looks at the state, both
 *           seq_cst; destroy stores CLOSED, then waits until nobody is inside:
 *           a wake either finds CLOSED or has queued its task before the
 *           queues are emptied.
 *           [EX3] a task counts as finished by a release when all of it is
 *           done; who sums up acquires the finished first: he sees what those
 *           tasks did, and has counted what they spawned.
 */
#include "executor.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "../aio/op.h"
#include "../include/private/assert.h"
#include "../include/private/clock.h"
#include "../include/private/executor_link.h"
#include "../include/private/task_waker.h"
#include "cpus.h"

static int options_complete(
    const struct filch_executor_options *, struct filch_executor_options *);
static int workers_init(struct filch_executor *);
static int workers_start(struct filch_executor *);
static void workers_stop(struct filch_executor *, unsigned);
static void executor_give_up_queued(struct filch_executor *);
static void executor_free(struct filch_executor *);
static inline int executor_spawn(
    struct filch_executor *, struct filch_task *, uint64_t);
static int executor_spawn_outside(
    struct filch_executor *, struct filch_task *, uint64_t) FILCH__NOINLINE;
static void executor_schedule_outside(
    struct filch_executor *, struct filch_task *) FILCH__NOINLINE;

/* ---- creating ---- */

static bool
is_power_of_two(unsigned value)
{
	return ((value & (value - 1)) == 0);
}

static unsigned
or_default(unsigned value, unsigned standard)
{
	return (value != 0 ? value : standard);
}

static int
options_complete(const struct filch_executor_options *given,
    struct filch_executor_options *options)
{
	struct filch_executor_options none = FILCH_EXECUTOR_OPTIONS_INIT;

	*options = given != NULL ? *given : none;
	if (options->size != sizeof(*options)) {
		return (-EINVAL);
	}
	options->worker_count =
	    or_default(options->worker_count, filch__cpus_count());
	options->deque_capacity =
	    or_default(options->deque_capacity, FILCH_DEQUE_CAPACITY_DEFAULT);
	options->injector_capacity = or_default(
	    options->injector_capacity, FILCH_INJECTOR_CAPACITY_DEFAULT);
	options->ring_entries =
	    or_default(options->ring_entries, FILCH_RING_ENTRIES_DEFAULT);
	options->pool_threads_max =
	    or_default(options->pool_threads_max, FILCH_POOL_THREADS_DEFAULT);
	options->budget = or_default(options->budget, FILCH_BUDGET_DEFAULT);
	options->event_interval =
	    or_default(options->event_interval, FILCH_EVENT_INTERVAL_DEFAULT);
	if (options->worker_count > FILCH_WORKERS_MAX ||
	    options->deque_capacity < FILCH_DEQUE_CAPACITY_MIN ||
	    options->deque_capacity > FILCH_DEQUE_CAPACITY_MAX ||
	    !is_power_of_two(options->deque_capacity) ||
	    options->injector_capacity > FILCH_INJECTOR_CAPACITY_MAX ||
	    options->ring_entries < FILCH_RING_ENTRIES_MIN ||
	    options->ring_entries > FILCH_RING_ENTRIES_MAX ||
	    !is_power_of_two(options->ring_entries) ||
	    options->pool_threads_max > FILCH_POOL_THREADS_MAX ||
	    options->budget > FILCH_BUDGET_MAX ||
	    options->event_interval > FILCH_EVENT_INTERVAL_MAX ||
	    (unsigned)options->driver > FILCH_DRIVER_KQUEUE) {
		return (-EINVAL);
	}
	return (0);
}

static void
executor_complete(struct filch_op *list)
{
	filch__op_complete(list);
}

int
filch_executor_create(const struct filch_executor_options *given,
    struct filch_executor **ret_executor)
{
	struct filch_executor_options options;
	struct filch__reactor_options reactor_options;
	pthread_condattr_t monotonic;
	struct filch_executor *executor;
	int result = options_complete(given, &options);

	if (result < 0) {
		return (result);
	}
	executor = aligned_alloc(FILCH__CACHE_LINE, sizeof(*executor));
	if (executor == NULL) {
		return (-ENOMEM);
	}
	memset(executor, 0, sizeof(*executor));
	executor->options = options;
	executor->worker_count = options.worker_count;
	executor->host.complete = executor_complete;
	executor->host.tick = filch__executor_tick;
	filch__lock_init(&executor->orphan_lock);
	pthread_mutex_init(&executor->shutdown_mutex, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&executor->shutdown_progress, &monotonic);
	pthread_condattr_destroy(&monotonic);
	filch__injector_init(&executor->injector);
	filch__idle_init(&executor->idle, options.worker_count);
	result = workers_init(executor);
	if (result < 0) {
		goto fail_workers;
	}
	reactor_options = (struct filch__reactor_options){
		.driver = options.driver,
		.shard_count = options.worker_count,
		.ring_entries = options.ring_entries,
		.pool_threads_max = options.pool_threads_max,
		.inline_io_off = options.inline_io_off,
	};
	result = filch__reactor_init(
	    &executor->reactor, &executor->host, &reactor_options);
	if (result < 0) {
		goto fail_reactor;
	}
	result = workers_start(executor);
	if (result < 0) {
		goto fail_start;
	}
	*ret_executor = executor;
	return (0);

fail_start:
	filch__reactor_fini(&executor->reactor);
fail_reactor:
fail_workers:
	executor_free(executor);
	return (result);
}

static int
workers_init(struct filch_executor *executor)
{
	size_t capacity = executor->options.deque_capacity;
	unsigned count = executor->worker_count;
	unsigned i;

	executor->workers = aligned_alloc(
	    FILCH__CACHE_LINE, count * sizeof(*executor->workers));
	executor->slots =
	    calloc((size_t)count * 2 * capacity, sizeof(filch__ptr));
	if (executor->workers == NULL || executor->slots == NULL) {
		return (-ENOMEM);
	}
	memset(executor->workers, 0, count * sizeof(*executor->workers));
	for (i = 0; i < count; i++) {
		struct filch__worker *worker = &executor->workers[i];
		filch__ptr *slots = &executor->slots[(size_t)i * 2 * capacity];

		worker->executor = executor;
		worker->index = i;
		worker->polls_left = executor->options.event_interval;
		worker->pace = worker->polls_left;
		worker->ran_dry = true; /* not paced yet */
		worker->steal_max = FILCH__MOVE_MAX;
		worker->random = i + 1; /* xorshift must not start at 0 */
		worker->awake = 1;
		filch__deque_init(&worker->woken, slots, capacity);
		filch__deque_init(&worker->spawned, slots + capacity, capacity);
	}
	return (0);
}

static int
workers_start(struct filch_executor *executor)
{
	unsigned i;
	int result = 0;

	for (i = 0; i < executor->worker_count; i++) {
		executor->workers[i].shard = &executor->reactor.shards[i];
		executor->reactor.shards[i].budget_full =
		    executor->options.budget;
	}
	for (i = 0; i < executor->worker_count; i++) {
		struct filch__worker *worker = &executor->workers[i];

		result = filch__thread_start(
		    &worker->thread, filch__worker_main, worker);
		if (result < 0) {
			break;
		}
		if (executor->options.pin_workers) {
			filch__cpus_pin(worker->thread, i);
		}
	}
	if (result < 0) {
		workers_stop(executor, i);
	}
	return (result);
}

/* ---- looking ---- */

struct filch__reactor *
filch__executor_reactor(const struct filch_executor *executor)
{
	return ((struct filch__reactor *)(uintptr_t)&executor->reactor);
}

unsigned
filch_executor_worker_count(const struct filch_executor *executor)
{
	return (executor->worker_count);
}

enum filch_driver_kind
filch_executor_driver(const struct filch_executor *executor)
{
	return (executor->reactor.driver->kind);
}

const char *
filch_executor_driver_reason(const struct filch_executor *executor)
{
	return (executor->reactor.reason);
}

/* Finished before spawned, so that a task in between counts as alive. */
uint64_t
filch__executor_alive(const struct filch_executor *executor)
{
	/* [EX3] pairs with filch__executor_finished_outside */
	uint64_t finished =
	    filch__u64_load_acquire(&executor->outside_finished);
	uint64_t spawned;
	unsigned i;

	for (i = 0; i < executor->worker_count; i++) {
		/* [EX3] pairs with worker_count_finished */
		finished += filch__u64_load_acquire(
		    &executor->workers[i].counters.finished);
	}
	/* [EX1] pairs with executor_spawn_outside */
	spawned = filch__u64_load_seq_cst(&executor->outside_spawned);
	for (i = 0; i < executor->worker_count; i++) {
		/* relaxed: what finished ones spawned has come along [EX3] */
		spawned += filch__u64_load_relaxed(
		    &executor->workers[i].counters.spawned);
	}
	return (spawned - finished);
}

/* ---- spawning and queueing ---- */

int
filch_executor_spawn(struct filch_executor *executor, struct filch_task *task)
{
	return (executor_spawn(executor, task, FILCH__TASK_REF));
}

int
filch_executor_spawn_joinable(
    struct filch_executor *executor, struct filch_task *task)
{
	return (executor_spawn(executor, task, 2 * FILCH__TASK_REF));
}

/*
 * The way of a task that spawns others is short and calls nothing, which is
 * why the other way stands apart.
 */
static int
executor_spawn(
    struct filch_executor *executor, struct filch_task *task, uint64_t refs)
{
	struct filch__worker *worker = filch__worker_current;

	filch__require(task->priv.state == FILCH__TASK_REF,
	    "a task is initialised, and spawned once");
	if (worker == NULL || worker->executor != executor) {
		return (executor_spawn_outside(executor, task, refs));
	}
	/* its own poll is alive, so no shutdown can overtake it */
	if (filch__executor_state(executor) != FILCH__EXECUTOR_RUNNING) {
		return (-ESHUTDOWN);
	}
	filch__counter_add(&worker->counters.spawned, 1);
	task->priv.executor = executor;
	/* relaxed: the queue publishes it */
	filch__u64_store_relaxed(
	    &task->priv.state, refs | FILCH__TASK_SCHEDULED);
	filch__worker_push_spawned(worker, task);
	return (0);
}

static int
executor_spawn_outside(
    struct filch_executor *executor, struct filch_task *task, uint64_t refs)
{
	if (filch__injector_count(&executor->injector) >=
	    executor->options.injector_capacity) {
		return (-EAGAIN);
	}
	/* [EX1] pairs with filch__executor_advance */
	(void)filch__u64_add_seq_cst(&executor->outside_spawned, 1);
	if (filch__executor_state_after_entry(executor) !=
	    FILCH__EXECUTOR_RUNNING) {
		filch__executor_finished_outside(executor);
		return (-ESHUTDOWN);
	}
	task->priv.executor = executor;
	task->priv.next = NULL;
	/* relaxed: the queue publishes it */
	filch__u64_store_relaxed(
	    &task->priv.state, refs | FILCH__TASK_SCHEDULED);
	filch__injector_push(&executor->injector, task, task, 1);
	filch__worker_notify_injected(executor);
	return (0);
}

bool
filch_executor_unspawn(struct filch_executor *executor, struct filch_task *task)
{
	struct filch__worker *worker = filch__worker_current;

	if (worker == NULL || worker->executor != executor ||
	    !filch__deque_take_back(&worker->spawned, task)) {
		return (false);
	}
	/* relaxed, here and below: nobody else has the task */
	filch__require(filch__u64_load_relaxed(&task->priv.state) ==
		(FILCH__TASK_REF | FILCH__TASK_SCHEDULED),
	    "what is taken back has no join handle and no waker");
	filch__u64_store_relaxed(&task->priv.state, FILCH__TASK_REF);
	task->priv.executor = NULL;
	/* as if it had never been: the poll that spawned it is alive [EX3] */
	filch__counter_add(&worker->counters.spawned, UINT64_MAX);
	filch__worker_took_back(worker);
	return (true);
}

int
filch_executor_block_on(
    struct filch_executor *executor, struct filch_task *task)
{
	int result;

	if (filch__worker_current != NULL) {
		return (-EDEADLK);
	}
	result = filch_executor_spawn_joinable(executor, task);
	return (result < 0 ? result : filch_task_join(task));
}

void
filch__executor_schedule(
    struct filch_executor *executor, struct filch_task *task)
{
	struct filch__worker *worker = filch__worker_current;
	struct filch_task *displaced;

	if (filch__unlikely(worker == NULL || worker->executor != executor)) {
		executor_schedule_outside(executor, task);
		return;
	}
	/* relaxed: only this worker puts tasks into the slot */
	if (worker->reaping &&
	    (!worker->urgent ||
		filch__ptr_load_relaxed(&worker->lifo) != NULL)) {
		filch__worker_push_woken(worker, task);
		return;
	}
	/* [WK1] pairs with the thief's exchange */
	displaced = filch__ptr_exchange_acq_rel(&worker->lifo, task);
	if (displaced != NULL) {
		filch__worker_push_woken(worker, displaced);
		worker->notify = true;
	}
}

/* The same on a thread that is none of its workers. */
static void
executor_schedule_outside(
    struct filch_executor *executor, struct filch_task *task)
{
	/* [EX2] pairs with filch_executor_destroy */
	(void)filch__u64_add_seq_cst(&executor->entrants, 1);
	if (filch__executor_state_after_entry(executor) ==
	    FILCH__EXECUTOR_CLOSED) {
		/* [EX2] leaves */
		(void)filch__u64_add_seq_cst(&executor->entrants, UINT64_MAX);
		filch__task_abandon(task);
		return;
	}
	task->priv.next = NULL;
	filch__injector_push(&executor->injector, task, task, 1);
	filch__worker_notify_injected(executor);
	/* [EX2] pairs with filch_executor_destroy */
	(void)filch__u64_add_seq_cst(&executor->entrants, UINT64_MAX);
}

void
filch__executor_finished_outside(struct filch_executor *executor)
{
	const struct filch__worker *worker = filch__worker_current;
	bool last;

	filch__lock_take(&executor->orphan_lock);
	/* [EX3] pairs with filch__executor_alive */
	(void)filch__u64_add_acq_rel(&executor->outside_finished, 1);
	last = executor->closed && filch__executor_alive(executor) == 0;
	/* Under the lock, since destroy frees the executor after it has been
	 * here.  A worker of its own signals when it parks. */
	if (!last && (worker == NULL || worker->executor != executor) &&
	    filch__executor_state(executor) != FILCH__EXECUTOR_RUNNING) {
		filch__executor_signal_shutdown(executor);
	}
	filch__lock_leave(&executor->orphan_lock);
	if (last) {
		executor_free(executor);
	}
}

/* ---- shutting down ---- */

void
filch_executor_destroy(struct filch_executor *executor)
{
	bool last;

	if (executor == NULL) {
		return;
	}
	filch__require(filch_executor_shutdown(executor,
			   FILCH_SHUTDOWN_IMMEDIATE, FILCH_NEVER) == 0,
	    "a worker does not destroy its own executor");
	workers_stop(executor, executor->worker_count);
	/* [EX2] pairs with executor_schedule_outside */
	while (filch__u64_load_seq_cst(&executor->entrants) != 0) {
		sched_yield();
	}
	executor_give_up_queued(executor);
	filch__reactor_fini(&executor->reactor);
	filch__lock_take(&executor->orphan_lock);
	executor->closed = true;
	last = filch__executor_alive(executor) == 0;
	filch__lock_leave(&executor->orphan_lock);
	if (last) {
		executor_free(executor);
	}
}

/* End the first count workers. */
static void
workers_stop(struct filch_executor *executor, unsigned count)
{
	unsigned i;

	filch__executor_advance(executor, FILCH__EXECUTOR_CLOSED);
	filch__executor_wake_workers(executor);
	for (i = 0; i < count; i++) {
		pthread_join(executor->workers[i].thread, NULL);
	}
}

static void
executor_give_up_queued(struct filch_executor *executor)
{
	struct filch_task *task;
	unsigned i;

	while (filch__injector_pop(&executor->injector, &task, 1) > 0) {
		filch__task_abandon(task);
	}
	for (i = 0; i < executor->worker_count; i++) {
		struct filch__worker *worker = &executor->workers[i];

		/* [WK1] pairs with the worker's exchange */
		task = filch__ptr_exchange_acq_rel(&worker->lifo, NULL);
		if (task != NULL) {
			filch__task_abandon(task);
		}
		while (
		    (task = filch__deque_pop_oldest(&worker->woken)) != NULL) {
			filch__task_abandon(task);
		}
		while ((task = filch__deque_pop_oldest(&worker->spawned)) !=
		    NULL) {
			filch__task_abandon(task);
		}
	}
}

static void
executor_free(struct filch_executor *executor)
{
	filch__injector_fini(&executor->injector);
	filch__idle_fini(&executor->idle);
	filch__lock_fini(&executor->orphan_lock);
	pthread_mutex_destroy(&executor->shutdown_mutex);
	pthread_cond_destroy(&executor->shutdown_progress);
	free(executor->workers);
	free(executor->slots);
	free(executor);
}

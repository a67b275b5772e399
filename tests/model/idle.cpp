/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Model of executor/idle with the real queues: work that has been published is
 * run at once if a worker can be had, and a worker that sleeps has not missed
 * any.  The jobs of a model wait for one another while they run, so a single
 * lost wake leaves everybody asleep, which the explorer reports.
 */
#define FILCH__IDLE_SLEEPERS_MAX 4

#include "model.hpp"

#include "../../executor/deque.h"
#include "../../executor/idle.c"
#include "../../executor/injector.c"

struct job {
	struct filch_task task;
	struct model_item item;
	int children; /* jobs that it spawns when it runs */
};

/* A worker's sleep, by the word that both drivers have for it. */
struct sleep {
	enum {
		EMPTY,
		SLEEPING,
		NOTIFIED
	};

	filch__u32 park;
	rl::generic_event woken;

	void prepare()
	{
		filch__u32_store_relaxed(&park, EMPTY);
		woken.init(false, false, $);
	}
	void begin()
	{
		uint32_t old = EMPTY;

		if (filch__u32_cas_seq_cst(&park, &old, SLEEPING)) {
			(void)woken.wait(false, false, $);
		}
		(void)filch__u32_exchange_seq_cst(&park, EMPTY);
	}
	void end()
	{
		if (filch__u32_exchange_seq_cst(&park, NOTIFIED) == SLEEPING) {
			woken.set($);
		}
	}
};

struct worker {
	struct filch__deque queue;
	filch__ptr slots[2];
	struct sleep sleep;
	bool searching;
};

/* Workers as in executor/worker.c, reduced to what idle.h asks of them. */
template <int workers_count, int jobs_count> struct crew {
	struct filch__idle idle;
	struct filch__injector injector;
	struct worker workers[workers_count];
	struct job jobs[jobs_count];
	filch__u32 started;
	filch__u32 finished;
	filch__u32 closed;
	rl::generic_event all_started;

	void prepare()
	{
		filch__idle_init(&idle, workers_count);
		filch__injector_init(&injector);
		for (int i = 0; i < workers_count; i++) {
			struct worker *worker = &workers[i];

			filch__deque_init(&worker->queue, worker->slots, 2);
			filch__ptr_store_relaxed(&worker->slots[0], NULL);
			filch__ptr_store_relaxed(&worker->slots[1], NULL);
			worker->sleep.prepare();
			worker->searching = false;
		}
		for (int i = 0; i < jobs_count; i++) {
			jobs[i].task.priv.next = NULL;
			jobs[i].item.prepare();
			jobs[i].children = 0;
		}
		filch__u32_store_relaxed(&started, 0);
		filch__u32_store_relaxed(&finished, 0);
		filch__u32_store_relaxed(&closed, 0);
		all_started.init(true, false, $);
	}

	/* ---- publishing ---- */

	void claim()
	{
		int sleeper = filch__idle_claim(&idle);

		RL_ASSERT(sleeper < workers_count);
		if (sleeper >= 0) {
			workers[sleeper].sleep.end();
		}
	}
	void notify()
	{
		filch__fence_seq_cst();
		claim();
	}
	/* From outside; the push has made the fence. */
	void inject(int i)
	{
		jobs[i].item.publish();
		filch__injector_push(
		    &injector, &jobs[i].task, &jobs[i].task, 1);
		claim();
	}
	void spawn(struct worker *worker, int i)
	{
		jobs[i].item.publish();
		RL_ASSERT(filch__deque_push(&worker->queue, &jobs[i].task));
		notify();
	}

	/* ---- working ---- */

	bool has_work() const
	{
		if (!filch__injector_is_empty(&injector)) {
			return (true);
		}
		for (int i = 0; i < workers_count; i++) {
			if (!filch__deque_is_empty(&workers[i].queue)) {
				return (true);
			}
		}
		return (false);
	}
	bool is_closed() const
	{
		return (filch__u32_load_acquire(&closed) != 0);
	}
	void close()
	{
		(void)filch__u32_exchange_seq_cst(&closed, 1);
		for (int i = 0; i < workers_count; i++) {
			workers[i].sleep.end();
		}
	}
	/* A job ends when all have begun; the last to end closes. */
	void run(struct worker *worker, struct filch_task *task)
	{
		struct job *job = filch_container_of(task, struct job, task);
		int index = (int)(job - jobs);

		job->item.take();
		for (int i = 1; i <= job->children; i++) {
			spawn(worker, index + i);
		}
		if (filch__u32_add_acq_rel(&started, 1) == jobs_count - 1) {
			all_started.set($);
		} else {
			(void)all_started.wait(false, false, $);
		}
		if (filch__u32_add_acq_rel(&finished, 1) == jobs_count - 1) {
			close();
		}
	}
	struct filch_task *take_injected()
	{
		struct filch_task *task = NULL;

		(void)filch__injector_pop(&injector, &task, 1);
		return (task);
	}
	struct filch_task *next(struct worker *worker)
	{
		struct filch_task *task =
		    (struct filch_task *)filch__deque_pop_newest(
			&worker->queue);

		if (task == NULL) {
			task = take_injected();
		}
		if (task == NULL) {
			task = search(worker);
		}
		if (task != NULL && worker->searching) {
			worker->searching = false;
			if (filch__idle_end_search(&idle) && has_work()) {
				notify();
			}
		}
		return (task);
	}
	struct filch_task *search(struct worker *worker)
	{
		struct filch_task *task = NULL;

		if (!worker->searching) {
			if (!filch__idle_begin_search(&idle)) {
				return (NULL);
			}
			worker->searching = true;
		}
		for (int i = 0; i < workers_count && task == NULL; i++) {
			if (&workers[i] != worker) {
				task = (struct filch_task *)filch__deque_steal(
				    &workers[i].queue);
			}
		}
		return (task != NULL ? task : take_injected());
	}
	void park(struct worker *worker)
	{
		unsigned index = (unsigned)(worker - workers);

		filch__idle_park(&idle, index, worker->searching);
		worker->searching = false;
		if (!has_work() && !is_closed()) {
			worker->sleep.begin();
		}
		(void)filch__idle_unpark_self(&idle, index);
		worker->searching = true;
	}
	void work(unsigned index)
	{
		struct worker *worker = &workers[index];

		while (!is_closed()) {
			struct filch_task *task = next(worker);

			if (task != NULL) {
				run(worker, task);
			} else {
				park(worker);
			}
		}
	}

	/* All have run, and the figures are right. */
	void finish()
	{
		uint64_t word = filch__u64_load_relaxed(&idle.word);
		uint32_t searching = 0;

		for (int i = 0; i < jobs_count; i++) {
			jobs[i].item.check_taken();
		}
		for (int i = 0; i < workers_count; i++) {
			searching += workers[i].searching ? 1 : 0;
			workers[i].sleep.woken.deinit($);
		}
		all_started.deinit($);
		RL_ASSERT(filch__idle_word_parked(word) == 0);
		RL_ASSERT(filch__plain_get(&idle.count) == 0);
		RL_ASSERT(filch__idle_word_searching(word) == searching);
		RL_ASSERT(!has_work());
		filch__injector_fini(&injector);
		filch__idle_fini(&idle);
	}
};

/* As many jobs as workers, from outside, by one thread or one each. */
template <int workers, int pushers>
struct injected
    : rl::test_suite<injected<workers, pushers>, workers + pushers> {
	struct crew<workers, workers> crew;

	void before()
	{
		crew.prepare();
	}
	void thread(unsigned index)
	{
		if (index < workers) {
			crew.work(index);
			return;
		}
		for (int i = (int)index - workers; i < workers; i += pushers) {
			crew.inject(i);
		}
	}
	void after()
	{
		crew.finish();
	}
};

/* A job spawns the others, and stays until they run on the other workers. */
template <int workers>
struct spawned : rl::test_suite<spawned<workers>, workers> {
	struct crew<workers, workers> crew;

	void before()
	{
		crew.prepare();
		crew.jobs[0].children = workers - 1;
		crew.inject(0);
	}
	void thread(unsigned index)
	{
		crew.work(index);
	}
	void after()
	{
		crew.finish();
	}
};

/* Somebody wakes workers for no reason; what they count stays right. */
struct disturbed : rl::test_suite<disturbed, 4> {
	struct crew<2, 2> crew;

	void before()
	{
		crew.prepare();
	}
	void thread(unsigned index)
	{
		int sleeper;

		switch (index) {
		case 2:
			crew.inject(0);
			crew.inject(1);
			break;
		case 3:
			sleeper = filch__idle_claim_any(&crew.idle);
			if (sleeper >= 0) {
				crew.workers[sleeper].sleep.end();
			}
			crew.workers[0].sleep.end();
			break;
		default:
			crew.work(index);
			break;
		}
	}
	void after()
	{
		crew.finish();
	}
};

/*
 * The reactor thread ceases to look after the workers when all sleep, while
 * one of them wakes, by a claim or by itself, as worker.c has it [MO1]: it is
 * looked after again.
 */
template <bool is_claimed>
struct monitored : rl::test_suite<monitored<is_claimed>, 3> {
	struct filch__idle idle;
	filch__u32 monitoring;
	struct sleep sleep;

	void before()
	{
		filch__idle_init(&idle, 1);
		filch__u32_store_relaxed(&monitoring, 1);
		sleep.prepare();
		filch__idle_park(&idle, 0, false);
	}
	void thread(unsigned index)
	{
		switch (index) {
		case 0:
			sleep.begin();
			(void)filch__idle_unpark_self(&idle, 0);
			if (filch__u32_load_seq_cst(&monitoring) == 0) {
				(void)filch__u32_exchange_seq_cst(
				    &monitoring, 1);
			}
			break;
		case 1:
			if (!is_claimed || filch__idle_claim(&idle) == 0) {
				sleep.end();
			}
			break;
		default:
			(void)filch__u32_exchange_seq_cst(&monitoring, 0);
			if (filch__idle_parked(&idle) == 0) {
				(void)filch__u32_exchange_seq_cst(
				    &monitoring, 1);
			}
			break;
		}
	}
	void after()
	{
		sleep.woken.deinit($);
		RL_ASSERT(filch__u32_load_relaxed(&monitoring) == 1);
	}
};

int
main(int argc, char **argv)
{
	bool passed = model_bound<spawned<2>>("idle: spawned, 2 workers", 3);

	passed = passed &&
	    model_random<spawned<2>>(
		"idle: spawned, 2 workers", 100000, argc, argv);
	passed = passed &&
	    model_random<spawned<3>>(
		"idle: spawned, 3 workers", 100000, argc, argv);
	passed = passed &&
	    model_random<injected<2, 1>>(
		"idle: 1 pusher, 2 workers", 100000, argc, argv);
	passed = passed &&
	    model_random<injected<2, 2>>(
		"idle: 2 pushers, 2 workers", 100000, argc, argv);
	passed = passed &&
	    model_random<disturbed>("idle: disturbed", 100000, argc, argv);
	passed = passed && model_bound<monitored<true>>("idle: monitored", 4);
	passed = passed &&
	    model_bound<monitored<false>>("idle: monitored, by itself", 4);
	return (passed ? 0 : 1);
}

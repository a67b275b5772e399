/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Model of executor/injector: each task comes out once, pushers' order is
 * kept, the injector never looks empty while it is not, and a pusher and a
 * parking worker never miss each other.
 */
#include "model.hpp"

#include "../../executor/injector.c"

struct job {
	struct filch_task task;
	struct model_item item;

	void prepare()
	{
		task.priv.next = NULL;
		item.prepare();
	}
	static struct job *of(struct filch_task *task)
	{
		return (filch_container_of(task, struct job, task));
	}
};

/* Pushers of one and of three against consumers of one and of two. */
struct hand_over : rl::test_suite<hand_over, 4> {
	static const int jobs_count = 5;
	struct filch__injector injector;
	struct job jobs[jobs_count];
	int last_seen[2];

	void before()
	{
		filch__injector_init(&injector);
		for (int i = 0; i < jobs_count; i++) {
			jobs[i].prepare();
		}
	}
	/* Jobs 0 and 1 are pushed one by one, 2, 3 and 4 as a chain. */
	void push_chain()
	{
		for (int i = 2; i < 5; i++) {
			jobs[i].item.publish();
			jobs[i].task.priv.next = i < 4 ? &jobs[i + 1].task :
							 NULL;
		}
		filch__injector_push(
		    &injector, &jobs[2].task, &jobs[4].task, 3);
	}
	int pop(unsigned max, int *seen)
	{
		struct filch_task *tasks[2];
		unsigned count = filch__injector_pop(&injector, tasks, max);

		RL_ASSERT(count <= max);
		for (unsigned k = 0; k < count; k++) {
			struct job *job = job::of(tasks[k]);
			int index = (int)(job - jobs);

			job->item.take();
			/* the order of one pusher, as one consumer sees it */
			RL_ASSERT(seen[index >= 2] < index);
			seen[index >= 2] = index;
		}
		return ((int)count);
	}
	void thread(unsigned index)
	{
		int seen[2] = { -1, -1 };

		switch (index) {
		case 0:
			for (int i = 0; i < 2; i++) {
				jobs[i].item.publish();
				filch__injector_push(&injector, &jobs[i].task,
				    &jobs[i].task, 1);
				RL_ASSERT(filch__injector_count(&injector) <=
				    jobs_count);
			}
			break;
		case 1:
			push_chain();
			break;
		default:
			(void)pop(index - 1, seen);
			(void)pop(index - 1, seen);
			RL_ASSERT(
			    filch__injector_count(&injector) <= jobs_count);
			break;
		}
	}
	void after()
	{
		int seen[2] = { -1, -1 };

		while (pop(2, seen) > 0) {
		}
		for (int i = 0; i < jobs_count; i++) {
			jobs[i].item.check_taken();
		}
		RL_ASSERT(filch__injector_is_empty(&injector));
		RL_ASSERT(filch__injector_count(&injector) == 0);
	}
};

/* Three are queued, two are taken: it never looks empty, nor counts 0. */
struct never_looks_empty : rl::test_suite<never_looks_empty, 3> {
	struct filch__injector injector;
	struct job jobs[3];

	void before()
	{
		filch__injector_init(&injector);
		for (int i = 0; i < 3; i++) {
			jobs[i].prepare();
			filch__injector_push(
			    &injector, &jobs[i].task, &jobs[i].task, 1);
		}
	}
	void thread(unsigned index)
	{
		struct filch_task *task;

		if (index < 2) {
			RL_ASSERT(
			    filch__injector_pop(&injector, &task, 1) == 1);
		} else {
			RL_ASSERT(!filch__injector_is_empty(&injector));
			RL_ASSERT(filch__injector_count(&injector) >= 1);
		}
	}
};

/* Push and look at a word; change the word and look at the injector. */
struct parking : rl::test_suite<parking, 3> {
	struct filch__injector injector;
	struct job jobs[2];
	filch__u64 word;
	bool pusher_saw_parked;
	bool parker_saw_work;

	void before()
	{
		filch__injector_init(&injector);
		filch__u64_store_relaxed(&word, 0);
		jobs[0].prepare();
		jobs[1].prepare();
		pusher_saw_parked = false;
		parker_saw_work = false;
	}
	void thread(unsigned index)
	{
		struct filch_task *tasks[2];

		if (index == 0) {
			filch__injector_push(
			    &injector, &jobs[0].task, &jobs[0].task, 1);
			filch__injector_push(
			    &injector, &jobs[1].task, &jobs[1].task, 1);
			pusher_saw_parked = filch__u64_load_seq_cst(&word) != 0;
		} else if (index == 1) {
			(void)filch__u64_add_seq_cst(&word, 1);
			parker_saw_work = !filch__injector_is_empty(&injector);
		} else {
			/* another worker moves the stack about meanwhile */
			(void)filch__injector_pop(&injector, tasks, 1);
		}
	}
	void after()
	{
		RL_ASSERT(pusher_saw_parked || parker_saw_work);
	}
};

int
main(int argc, char **argv)
{
	bool passed = model_bound<parking>("injector: parking", 3);

	passed = passed &&
	    model_random<parking>("injector: parking", 200000, argc, argv);
	passed = passed &&
	    model_bound<never_looks_empty>("injector: never looks empty", 3);
	passed = passed &&
	    model_random<never_looks_empty>(
		"injector: never looks empty", 200000, argc, argv);
	passed = passed &&
	    model_random<hand_over>(
		"injector: hand over", 200000, argc, argv);
	return (passed ? 0 : 1);
}

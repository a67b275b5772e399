/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stress: threads push single tasks and chains into the injector, others pop
 * some at a time.  Conserved: each task is taken once, what its pusher wrote
 * into it is seen, the tasks of one pusher come in its order to any one
 * popper, and the count is never less than what is known to be queued.
 *
 * injector [--seed=N] [--rounds=N] [--threads=N]
 */
#include "../../executor/injector.h"
#include "stress.h"

#define TASKS     5000
#define CHAIN_MAX 7
#define POP_MAX   5

struct item {
	struct filch_task task;
	unsigned pusher;
	uint64_t number; /* from 1, in the order of its pusher */
	uint64_t taken;
};

struct pusher {
	pthread_t thread;
	unsigned index;
	uint64_t random;
	struct item *items;
};

struct popper {
	pthread_t thread;
	uint64_t *last; /* number of the latest task of each pusher */
	uint64_t sum;
};

static struct stress_options options = { "injector", 1, 5, 3 };
static struct filch__injector injector;
static filch__u32 pushers_left;

static void *
pusher_main(void *arg)
{
	struct pusher *self = arg;
	uint64_t next = 0;

	while (next < TASKS) {
		uint64_t count = stress_random(&self->random) % CHAIN_MAX + 1;

		if (count > TASKS - next) {
			count = TASKS - next;
		}
		for (uint64_t i = next; i < next + count; i++) {
			self->items[i].pusher = self->index;
			self->items[i].number = i + 1;
			self->items[i].taken = 0;
			if (i > next) {
				self->items[i - 1].task.priv.next =
				    &self->items[i].task;
			}
		}
		filch__injector_push(&injector, &self->items[next].task,
		    &self->items[next + count - 1].task, (unsigned)count);
		next += count;
	}
	/* acq_rel: a popper that sees the last one gone sees all pushes */
	(void)filch__u32_add_acq_rel(&pushers_left, (uint32_t)-1);
	return (NULL);
}

static void *
popper_main(void *arg)
{
	struct popper *self = arg;
	struct filch_task *tasks[POP_MAX];
	bool were_left;
	unsigned count;

	do {
		/* acquire: pairs with the pushers' add */
		were_left = filch__u32_load_acquire(&pushers_left) > 0;
		count = filch__injector_pop(&injector, tasks, POP_MAX);
		for (unsigned i = 0; i < count; i++) {
			struct item *item =
			    filch_container_of(tasks[i], struct item, task);

			item->taken++;
			self->sum += item->number;
			if (self->last[item->pusher] >= item->number) {
				fprintf(stderr, "injector: out of order\n");
				exit(1);
			}
			self->last[item->pusher] = item->number;
		}
	} while (count > 0 || were_left);
	return (NULL);
}

static void
round_run(uint64_t *random)
{
	unsigned count = options.threads;
	struct pusher *pushers = calloc(count, sizeof(*pushers));
	struct popper *poppers = calloc(count, sizeof(*poppers));
	struct item *items = calloc((size_t)count * TASKS, sizeof(*items));
	uint64_t *last = calloc((size_t)count * count, sizeof(*last));
	uint64_t sum = 0;

	if (pushers == NULL || poppers == NULL || items == NULL ||
	    last == NULL) {
		abort();
	}
	filch__injector_init(&injector);
	/* relaxed: no other thread yet */
	filch__u32_store_relaxed(&pushers_left, count);
	for (unsigned i = 0; i < count; i++) {
		poppers[i].last = &last[(size_t)i * count];
		poppers[i].thread = stress_start(popper_main, &poppers[i]);
		pushers[i].index = i;
		pushers[i].random = stress_random(random);
		pushers[i].items = &items[(size_t)i * TASKS];
		pushers[i].thread = stress_start(pusher_main, &pushers[i]);
	}
	for (unsigned i = 0; i < count; i++) {
		pthread_join(pushers[i].thread, NULL);
		pthread_join(poppers[i].thread, NULL);
		sum += poppers[i].sum;
	}
	for (size_t i = 0; i < (size_t)count * TASKS; i++) {
		stress_same(
		    &options, "times a task was taken", 1, items[i].taken);
	}
	stress_same(&options, "sum of the tasks taken",
	    (uint64_t)count * TASKS * (TASKS + 1) / 2, sum);
	stress_same(
	    &options, "tasks left", 0, filch__injector_count(&injector));
	filch__injector_fini(&injector);
	free(last);
	free(items);
	free(poppers);
	free(pushers);
}

int
main(int argc, char **argv)
{
	stress_options(&options, argc, argv);
	stress_rounds(&options, round_run);
	printf(" of %u x %d tasks, each taken once\n", options.threads, TASKS);
	return (0);
}

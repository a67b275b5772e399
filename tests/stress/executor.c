/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stress: threads from outside spawn tasks, each of which spawns two children,
 * spawns two more and takes back which of them it can, yields, and counts
 * itself.  Conserved: every task accepted and not taken back is counted once
 * and released once, over many short-lived executors.
 *
 * executor [--rounds=N]
 */
#include <filch/filch.h>

#include "stress.h"

#define SPAWNERS 3
#define TASKS    500
#define CHILDREN 2

struct node {
	struct filch_task task;
	struct filch_executor *executor;
	int depth;
	int polls;
};

static uint64_t accepted;
static uint64_t finished;
static uint64_t released;

static struct node *node_spawn(struct filch_executor *, int);
static void node_unspawn(struct filch_executor *, struct node *);

static void
add(uint64_t *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

static void
node_release(struct filch_task *task)
{
	add(&released);
	free(filch_container_of(task, struct node, task));
}

static enum filch_poll
node_poll(struct filch_task *task)
{
	struct node *node = filch_container_of(task, struct node, task);
	struct node *parts[CHILDREN];
	int i;

	if (node->polls++ == 0) {
		for (i = 0; node->depth > 0 && i < CHILDREN; i++) {
			(void)node_spawn(node->executor, node->depth - 1);
		}
		for (i = 0; node->depth > 0 && i < CHILDREN; i++) {
			parts[i] = node_spawn(node->executor, 0);
		}
		while (i-- > 0) {
			node_unspawn(node->executor, parts[i]);
		}
		return (filch_task_yield(task));
	}
	add(&finished);
	return (FILCH_READY);
}

/* NULL if a shutdown has begun. */
static struct node *
node_spawn(struct filch_executor *executor, int depth)
{
	struct node *node = calloc(1, sizeof(*node));

	if (node == NULL) {
		abort();
	}
	node->executor = executor;
	node->depth = depth;
	filch_task_init(&node->task, node_poll, node_release);
	add(&accepted);
	if (filch_executor_spawn(executor, &node->task) != 0) {
		__atomic_fetch_sub(&accepted, 1, __ATOMIC_RELAXED);
		free(node);
		return (NULL);
	}
	return (node);
}

static void
node_unspawn(struct filch_executor *executor, struct node *node)
{
	if (node != NULL && filch_executor_unspawn(executor, &node->task)) {
		__atomic_fetch_sub(&accepted, 1, __ATOMIC_RELAXED);
		free(node);
	}
}

static void *
spawner_main(void *executor)
{
	int i;

	for (i = 0; i < TASKS; i++) {
		(void)node_spawn(executor, 2);
	}
	return (NULL);
}

static int
round_run(void)
{
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;
	struct filch_executor *executor;
	pthread_t threads[SPAWNERS];
	int i;

	options.worker_count = 4;
	options.deque_capacity = FILCH_DEQUE_CAPACITY_MIN;
	if (filch_executor_create(&options, &executor) != 0) {
		fprintf(stderr, "executor: cannot create an executor\n");
		return (1);
	}
	for (i = 0; i < SPAWNERS; i++) {
		if (pthread_create(&threads[i], NULL, spawner_main, executor) !=
		    0) {
			abort();
		}
	}
	for (i = 0; i < SPAWNERS; i++) {
		pthread_join(threads[i], NULL);
	}
	if (filch_executor_shutdown(
		executor, FILCH_SHUTDOWN_GRACEFUL, FILCH_NEVER) != 0) {
		return (1);
	}
	filch_executor_destroy(executor);
	if (accepted != finished || accepted != released) {
		fprintf(stderr,
		    "executor: accepted %llu, finished %llu, released %llu\n",
		    (unsigned long long)accepted, (unsigned long long)finished,
		    (unsigned long long)released);
		return (1);
	}
	return (0);
}

int
main(int argc, char **argv)
{
	struct stress_options options = { "executor", 0, 20, 0 };

	stress_options(&options, argc, argv);
	for (uint64_t i = 0; i < options.rounds; i++) {
		if (round_run() != 0) {
			return (1);
		}
	}
	printf("%llu tasks, each run and released once\n",
	    (unsigned long long)finished);
	return (0);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scheduler benchmarks, with the options and the output of sched_tbb, and three
 * more: yield_many and ping_pong, which oneTBB has no way to do, and
 * skynet_1M_join.
 *
 * Tasks come from slabs, as users of intrusive tasks would have them; oneTBB
 * brings its own allocator for the same purpose.
 */
#include "sched_bench.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "sched_report.h"

enum option_id {
	OPT_WORKERS = 256,
	OPT_ROUNDS,
	OPT_PIN,
	OPT_DEQUE,
	OPT_ONLY,
	OPT_HELP
};

struct options {
	unsigned workers;
	unsigned rounds;
	bool pin;
	unsigned deque;
	const char *only;
};

struct bench {
	const char *name;
	uint64_t (*run)(struct filch_executor *executor);
	uint64_t ops;
};

static const struct bench benches[] = {
	{ "spawn_many_worker", sched_spawn_many_worker, SCHED_MANY },
	{ "spawn_many_remote_idle", sched_spawn_many_remote_idle, SCHED_MANY },
	{ "chained_spawn", sched_chained_spawn,
	    (uint64_t)SCHED_CHAIN *SCHED_CHAINS },
	{ "yield_many", sched_yield_many,
	    (uint64_t)SCHED_YIELDERS *SCHED_YIELDS },
	{ "ping_pong", sched_ping_pong, SCHED_PINGS },
	{ "skynet_1M", sched_skynet_1M, SCHED_SKYNET_LEAVES },
	{ "skynet_1M_join", sched_skynet_1M_join, SCHED_SKYNET_LEAVES },
};

void
sched_check(bool right, const char *what)
{
	if (!right) {
		fprintf(stderr, "sched: %s\n", what);
		exit(1);
	}
}

void *
sched_slab(size_t size)
{
	size_t lines = (size + SCHED_CACHE_LINE - 1) / SCHED_CACHE_LINE;
	void *slab = aligned_alloc(SCHED_CACHE_LINE, lines * SCHED_CACHE_LINE);

	sched_check(slab != NULL, "no memory");
	memset(slab, 0, lines * SCHED_CACHE_LINE);
	return (slab);
}

void
sched_spawn(struct filch_executor *executor, struct filch_task *task)
{
	int error = filch_executor_spawn(executor, task);

	if (error < 0) {
		fprintf(stderr, "sched: spawn: %s\n", strerror(-error));
		exit(1);
	}
}

static enum filch_poll
root_poll(struct filch_task *task)
{
	struct sched_root *root =
	    filch_container_of(task, struct sched_root, task);

	if (root->start_ns == 0) {
		root->start_ns = sched_now_ns();
	} else if (!sched_group_is_done(&root->group)) {
		return (FILCH_PENDING);
	}
	if (root->repeats == 0) {
		root->ns = sched_now_ns() - root->start_ns;
		return (FILCH_READY);
	}
	root->repeats--;
	sched_group_begin(&root->group, task, root->count);
	root->spawn(root);
	return (FILCH_PENDING);
}

uint64_t
sched_root_run(struct filch_executor *executor,
    void (*spawn)(struct sched_root *root), unsigned count, unsigned repeats)
{
	struct sched_root root = {
		.executor = executor,
		.spawn = spawn,
		.count = count,
		.repeats = repeats,
	};

	filch_task_init(&root.task, root_poll, NULL);
	sched_check(filch_executor_block_on(executor, &root.task) == 0,
	    "the executor took no task");
	return (root.ns);
}

static struct filch_executor *
executor_create(const struct options *options)
{
	struct filch_executor_options with = FILCH_EXECUTOR_OPTIONS_INIT;
	struct filch_executor *executor = NULL;

	with.worker_count = options->workers;
	with.pin_workers = options->pin;
	with.deque_capacity = options->deque;
	int error = filch_executor_create(&with, &executor);
	if (error < 0) {
		fprintf(stderr, "sched: filch_executor_create: %s\n",
		    strerror(-error));
		exit(1);
	}
	return (executor);
}

static void
bench_run(const struct bench *bench, const struct options *options)
{
	static struct sched_rounds rounds;
	struct filch_executor *executor = executor_create(options);

	rounds.count = 0;
	(void)bench->run(executor);
	for (unsigned i = 0; i < options->rounds; i++) {
		sched_rounds_add(&rounds, bench->run(executor), bench->ops);
	}
	filch_executor_destroy(executor);
	sched_report(&rounds, "sched", bench->name, options->workers);
}

static const struct option names[] = {
	{ "workers", required_argument, NULL, OPT_WORKERS },
	{ "rounds", required_argument, NULL, OPT_ROUNDS },
	{ "pin", required_argument, NULL, OPT_PIN },
	{ "deque", required_argument, NULL, OPT_DEQUE },
	{ "only", required_argument, NULL, OPT_ONLY },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

static int
option_apply(struct options *options, int id)
{
	switch (id) {
	case OPT_WORKERS:
		return (argument_small(
		    "sched", "workers", optarg, 1, 256, &options->workers));
	case OPT_ROUNDS:
		return (argument_small("sched", "rounds", optarg, 1,
		    SCHED_ROUNDS_MAX, &options->rounds));
	case OPT_PIN:
		return (argument_flag("sched", "pin", optarg, &options->pin));
	case OPT_DEQUE:
		return (argument_small("sched", "deque", optarg,
		    FILCH_DEQUE_CAPACITY_MIN, FILCH_DEQUE_CAPACITY_MAX,
		    &options->deque));
	default:
		options->only = optarg;
		return (0);
	}
}

static void
usage(void)
{
	printf("usage: sched [options]\n");
	for (unsigned i = 0; names[i].name != NULL; i++) {
		printf("  --%s%s\n", names[i].name,
		    names[i].has_arg == no_argument ? "" : "=VALUE");
	}
}

/* 0; 1 for --help; 2 after a line that says what is wrong. */
static int
options_parse(struct options *options, int argc, char **argv)
{
	int error = 0;
	int id;

	opterr = 0;
	while (error == 0 &&
	    (id = getopt_long(argc, argv, ":", names, NULL)) != -1) {
		if (id == OPT_HELP) {
			usage();
			return (1);
		}
		error = id == '?' || id == ':'
		    ? argument_refused("sched", id, argv)
		    : option_apply(options, id);
	}
	return (error != 0 ? error : argument_driver_environment("sched"));
}

int
main(int argc, char **argv)
{
	struct options options = { .workers = 2, .rounds = 11 };
	size_t count = sizeof(benches) / sizeof(benches[0]);
	bool found = false;
	int error = options_parse(&options, argc, argv);

	if (error != 0) {
		return (error == 1 ? 0 : error);
	}
	for (size_t i = 0; i < count; i++) {
		if (options.only == NULL ||
		    strcmp(options.only, benches[i].name) == 0) {
			found = true;
			bench_run(&benches[i], &options);
		}
	}
	if (!found) {
		fprintf(stderr, "sched: --only: must name a benchmark\n");
		return (2);
	}
	return (0);
}

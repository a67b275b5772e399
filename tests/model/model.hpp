/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the Relacy models share: running a suite, and items that are handed
 * over from one thread to another exactly once.
 *
 * Every model takes an optional factor, which multiplies the iterations of its
 * random searches: "model_deque 20" for a long run.
 */
#ifndef FILCH_TESTS_MODEL_HPP
#define FILCH_TESTS_MODEL_HPP

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <sstream>

#include <relacy/relacy.hpp>

/*
 * A thing that is published, taken once and used.  Both members are watched:
 * an access that the structure under test leaves unordered is reported.
 */
struct model_item {
	rl::var<int> payload;
	rl::var<int> taken;

	void prepare()
	{
		payload($).store(0);
		taken($).store(0);
	}
	void publish()
	{
		payload($).store(7);
	}
	void take()
	{
		RL_ASSERT(payload($).load() == 7);
		RL_ASSERT(taken($).load() == 0);
		taken($).store(1);
	}
	void check_taken()
	{
		RL_ASSERT(taken($).load() == 1);
	}
};

/* Explore a suite; on failure print the history of the failed execution. */
template <typename suite>
static bool
model_explore(const char *name, rl::scheduler_type_e search, unsigned bound,
    unsigned long iterations)
{
	rl::test_params params;
	std::ostringstream progress;
	bool succeeded;

	params.search_type = search;
	params.context_bound = bound;
	params.iteration_count = (rl::iteration_t)iterations;
	params.progress_stream = &progress;
	params.execution_depth_limit = 4000;
	succeeded = rl::simulate<suite>(params);
	std::printf("%s: %s, %lu executions, %s\n", name, rl::format(search),
	    (unsigned long)params.stop_iteration,
	    succeeded ? "passed" : "FAILED");
	std::fflush(stdout);
	return (succeeded);
}

/* All executions. */
template <typename suite>
static bool
model_full(const char *name)
{
	return (model_explore<suite>(name, rl::sched_full, 0, 0));
}

/* All executions of at most bound preemptions. */
template <typename suite>
static bool
model_bound(const char *name, unsigned bound)
{
	return (model_explore<suite>(name, rl::sched_bound, bound, 0));
}

/* Some executions, drawn at random from a fixed seed. */
template <typename suite>
static bool
model_random(const char *name, unsigned long iterations, int argc, char **argv)
{
	unsigned long factor = argc > 1 ? std::strtoul(argv[1], NULL, 10) : 1;

	return (model_explore<suite>(name, rl::sched_random, 0,
	    iterations * (factor == 0 ? 1 : factor)));
}

#endif /* FILCH_TESTS_MODEL_HPP */

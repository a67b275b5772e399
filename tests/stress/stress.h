/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the stress programs share: options, a generator, threads.
 */
#ifndef FILCH_TESTS_STRESS_STRESS_H
#define FILCH_TESTS_STRESS_STRESS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct stress_options {
	const char *name;
	uint64_t seed;
	uint64_t rounds;
	unsigned threads;
};

/*
 * --rounds=N --seed=N --threads=N over what *options holds; a program that has
 * no use for the seed or the threads starts with 0.  Bad ones: exit 2.
 */
static inline void
stress_options(struct stress_options *options, int argc, char **argv)
{
	bool has_seed = options->seed != 0;
	bool has_threads = options->threads != 0;
	int i;

	for (i = 1; i < argc; i++) {
		const char *equals = strchr(argv[i], '=');
		char *end = NULL;
		uint64_t value =
		    equals == NULL ? 0 : strtoull(equals + 1, &end, 10);

		if (value == 0 || *end != '\0') {
			break;
		}
		if (strncmp(argv[i], "--rounds=", 9) == 0) {
			options->rounds = value;
		} else if (has_seed && strncmp(argv[i], "--seed=", 7) == 0) {
			options->seed = value;
		} else if (has_threads &&
		    strncmp(argv[i], "--threads=", 10) == 0) {
			options->threads = (unsigned)value;
		} else {
			break;
		}
	}
	if (i < argc) {
		fprintf(stderr, "usage: %s [--rounds=N]%s%s\n", options->name,
		    has_seed ? " [--seed=N]" : "",
		    has_threads ? " [--threads=N]" : "");
		exit(2);
	}
}

/* A small generator, so that choices repeat from the seed (xorshift). */
static inline uint64_t
stress_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (*state);
}

static inline pthread_t
stress_start(void *(*function)(void *), void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, function, arg) != 0) {
		fprintf(stderr, "cannot start a thread\n");
		exit(1);
	}
	return (thread);
}

/* End the program if what must be conserved is not. */
static inline void
stress_same(const struct stress_options *options, const char *what,
    uint64_t expected, uint64_t found)
{
	if (expected != found) {
		fprintf(stderr, "%s: seed %llu: %s: %llu, not %llu\n",
		    options->name, (unsigned long long)options->seed, what,
		    (unsigned long long)found, (unsigned long long)expected);
		exit(1);
	}
}

/* All rounds, each from where the last one left the generator. */
static inline void
stress_rounds(
    const struct stress_options *options, void (*run)(uint64_t *random))
{
	uint64_t random = options->seed;

	for (uint64_t i = 0; i < options->rounds; i++) {
		run(&random);
	}
	printf("seed %llu: %llu rounds", (unsigned long long)options->seed,
	    (unsigned long long)options->rounds);
}

#endif /* FILCH_TESTS_STRESS_STRESS_H */

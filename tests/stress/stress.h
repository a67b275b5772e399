/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the stress programs share: options, a generator, threads.
 */
#ifndef FILCH_TESTS_STRESS_STRESS_H
#define FILCH_TESTS_STRESS_STRESS_H

#include <pthread.h>
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

/* --seed=N --rounds=N --threads=N over what *options holds; exits 2 if not. */
static inline void
stress_options(struct stress_options *options, int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++) {
		char *end = NULL;
		const char *equals = strchr(argv[i], '=');
		uint64_t value =
		    equals == NULL ? 0 : strtoull(equals + 1, &end, 10);

		if (end == NULL || *end != '\0' || end == equals + 1) {
			break;
		}
		if (strncmp(argv[i], "--seed=", 7) == 0) {
			options->seed = value;
		} else if (strncmp(argv[i], "--rounds=", 9) == 0) {
			options->rounds = value;
		} else if (strncmp(argv[i], "--threads=", 10) == 0) {
			options->threads = (unsigned)value;
		} else {
			break;
		}
	}
	if (i < argc || options->seed == 0 || options->rounds == 0 ||
	    options->threads == 0) {
		fprintf(stderr,
		    "usage: %s [--seed=N] [--rounds=N] [--threads=N]\n",
		    options->name);
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

#endif /* FILCH_TESTS_STRESS_STRESS_H */

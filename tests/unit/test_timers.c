/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Timers: the heap alone, without a reactor; at the end against a sorted
 * array.
 */
#include <criterion/criterion.h>

#include <signal.h>
#include <stdlib.h>

#include "../../reactor/timers.h"

/* A timer that keeps when, in the order of expiries, it went off. */
struct probe {
	struct filch_timer timer;
	unsigned order; /* from 1; 0: not yet */
};

static unsigned expiries;

static void
probe_expire(struct filch_timer *timer, struct filch__expired *expired)
{
	struct probe *probe = FILCH__CONTAINER_OF(timer, struct probe, timer);

	(void)expired;
	probe->order = ++expiries;
}

static void
probe_init(struct probe *probe, uint64_t deadline_ns)
{
	probe->order = 0;
	filch__timer_init(&probe->timer, deadline_ns, probe_expire);
}

/* An expire function that hands a task over, to see expired run full. */
static void
hand_over(struct filch_timer *timer, struct filch__expired *expired)
{
	(void)timer;
	expired->tasks[expired->count++] = NULL;
}

static bool
expire(struct filch__timers *timers, uint64_t now_ns)
{
	struct filch__expired expired = { .count = 0 };

	return (filch__timers_expire(timers, now_ns, &expired));
}

/* A small generator, so that a failure repeats from its seed. */
static uint64_t
random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (*state);
}

Test(timers, add_says_when_it_is_the_earliest)
{
	struct filch__timers timers;
	struct probe probes[3];

	filch__timers_init(&timers);
	probe_init(&probes[0], 20);
	probe_init(&probes[1], 30);
	probe_init(&probes[2], 10);
	cr_assert(filch__timers_add(&timers, &probes[0].timer));
	cr_assert_not(filch__timers_add(&timers, &probes[1].timer));
	cr_assert(filch__timers_add(&timers, &probes[2].timer));
	cr_assert_eq(filch__u64_load_relaxed(&timers.earliest_ns), 10);
	expire(&timers, FILCH_NEVER);
	cr_assert_eq(filch__u64_load_relaxed(&timers.earliest_ns), FILCH_NEVER);
	filch__timers_fini(&timers);
}

Test(timers, expire_takes_what_is_due_and_no_more)
{
	struct filch__timers timers;
	struct probe probes[3];

	filch__timers_init(&timers);
	expiries = 0;
	for (unsigned i = 0; i < 3; i++) {
		probe_init(&probes[i], 10 + i);
		(void)filch__timers_add(&timers, &probes[i].timer);
	}
	cr_assert_not(expire(&timers, 9));
	cr_assert_eq(expiries, 0);
	cr_assert_not(expire(&timers, 11));
	cr_assert_eq(probes[0].order, 1);
	cr_assert_eq(probes[1].order, 2);
	cr_assert_eq(probes[2].order, 0);
	cr_assert_eq(filch__u64_load_relaxed(&timers.earliest_ns), 12);
	cr_assert(filch__timers_remove(&probes[2].timer));
	filch__timers_fini(&timers);
}

Test(timers, expire_stops_when_expired_is_full_and_says_so)
{
	enum {
		COUNT = FILCH__EXPIRED_MAX + 3
	};
	static struct filch_timer many[COUNT];
	struct filch__timers timers;
	struct filch__expired expired = { .count = 0 };

	filch__timers_init(&timers);
	for (unsigned i = 0; i < COUNT; i++) {
		filch__timer_init(&many[i], i, hand_over);
		(void)filch__timers_add(&timers, &many[i]);
	}
	cr_assert(filch__timers_expire(&timers, COUNT, &expired));
	cr_assert_eq(expired.count, FILCH__EXPIRED_MAX);
	expired.count = 0;
	cr_assert_not(filch__timers_expire(&timers, COUNT, &expired));
	cr_assert_eq(expired.count, 3);
	filch__timers_fini(&timers);
}

Test(timers, never_expires_only_at_never)
{
	struct filch__timers timers;
	struct probe probe;

	filch__timers_init(&timers);
	probe_init(&probe, FILCH_NEVER);
	cr_assert_not(filch__timers_add(&timers, &probe.timer));
	expire(&timers, FILCH_NEVER - 1);
	cr_assert_eq(probe.order, 0);
	expire(&timers, FILCH_NEVER);
	cr_assert_neq(probe.order, 0);
	filch__timers_fini(&timers);
}

Test(timers, remove_of_a_timer_never_added_is_false)
{
	struct probe probe;

	probe_init(&probe, 1);
	cr_assert_not(filch__timers_remove(&probe.timer));
}

Test(timers, remove_after_expiry_is_false)
{
	struct filch__timers timers;
	struct probe probe;

	filch__timers_init(&timers);
	probe_init(&probe, 1);
	(void)filch__timers_add(&timers, &probe.timer);
	expire(&timers, 1);
	cr_assert_not(filch__timers_remove(&probe.timer));
	filch__timers_fini(&timers);
}

Test(timers, a_removed_timer_does_not_expire)
{
	struct filch__timers timers;
	struct probe probes[2];

	filch__timers_init(&timers);
	probe_init(&probes[0], 1);
	probe_init(&probes[1], 2);
	(void)filch__timers_add(&timers, &probes[0].timer);
	(void)filch__timers_add(&timers, &probes[1].timer);
	cr_assert(filch__timers_remove(&probes[0].timer));
	cr_assert_not(filch__timers_remove(&probes[0].timer));
	expire(&timers, 2);
	cr_assert_eq(probes[0].order, 0);
	cr_assert_neq(probes[1].order, 0);
	filch__timers_fini(&timers);
}

Test(timers, a_full_heap_cannot_be_given_up, .signal = SIGABRT)
{
	struct filch__timers timers;
	struct probe probe;

	filch__timers_init(&timers);
	probe_init(&probe, 1);
	(void)filch__timers_add(&timers, &probe.timer);
	filch__timers_fini(&timers);
}

Test(timers, a_long_row_of_children_needs_no_stack)
{
	enum {
		COUNT = 1000000
	};
	struct filch__timers timers;
	struct probe *probes = calloc(COUNT, sizeof(*probes));

	cr_assert_not_null(probes);
	filch__timers_init(&timers);
	expiries = 0;
	for (unsigned i = 0; i < COUNT; i++) {
		probe_init(&probes[i], i);
		(void)filch__timers_add(&timers, &probes[i].timer);
	}
	expire(&timers, COUNT);
	cr_assert_eq(expiries, COUNT);
	for (unsigned i = 0; i < COUNT; i++) {
		cr_assert_eq(probes[i].order, i + 1);
	}
	filch__timers_fini(&timers);
	free(probes);
}

/* The model: which of the probes are in, by index. */
struct model {
	struct probe *probes;
	bool *in;
	unsigned count;
};

static int
deadline_compare(const void *one, const void *two)
{
	uint64_t a = *(const uint64_t *)one;
	uint64_t b = *(const uint64_t *)two;

	return (a < b ? -1 : a > b);
}

/* Expire up to now_ns: exactly the due ones go, in order of deadline. */
static void
model_expire(struct model *model, struct filch__timers *timers, uint64_t now_ns)
{
	uint64_t *expected = calloc(model->count, sizeof(*expected));
	uint64_t *found = calloc(model->count, sizeof(*found));
	unsigned due = 0;

	expiries = 0;
	expire(timers, now_ns);
	for (unsigned i = 0; i < model->count; i++) {
		struct probe *probe = &model->probes[i];

		if (!model->in[i]) {
			continue;
		}
		if (probe->timer.priv.deadline_ns > now_ns) {
			cr_assert_eq(probe->order, 0);
			continue;
		}
		cr_assert_neq(probe->order, 0);
		expected[due++] = probe->timer.priv.deadline_ns;
		found[probe->order - 1] = probe->timer.priv.deadline_ns;
		model->in[i] = false;
	}
	cr_assert_eq(due, expiries);
	qsort(expected, due, sizeof(*expected), deadline_compare);
	cr_assert_arr_eq(expected, found, due * sizeof(*expected));
	free(expected);
	free(found);
}

Test(timers, random_rows_of_calls_behave_like_a_sorted_array)
{
	enum {
		COUNT = 200,
		STEPS = 20000
	};
	struct probe probes[COUNT];
	bool in[COUNT] = { false };
	struct model model = { probes, in, COUNT };
	struct filch__timers timers;
	uint64_t seed = 20260801;

	filch__timers_init(&timers);
	for (unsigned i = 0; i < COUNT; i++) {
		probe_init(&probes[i], 0);
	}
	for (unsigned step = 0; step < STEPS; step++) {
		unsigned i = (unsigned)(random_next(&seed) % COUNT);

		if (random_next(&seed) % 50 == 0) {
			model_expire(&model, &timers, random_next(&seed) % 100);
		} else if (in[i]) {
			cr_assert(filch__timers_remove(&probes[i].timer));
			in[i] = false;
		} else {
			probe_init(&probes[i], random_next(&seed) % 100);
			(void)filch__timers_add(&timers, &probes[i].timer);
			in[i] = true;
		}
	}
	model_expire(&model, &timers, FILCH_NEVER);
	filch__timers_fini(&timers);
}

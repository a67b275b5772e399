/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stress: threads add timers to their own heaps, take many of them out again
 * and expire what is due there, as workers do, while one thread, as the
 * reactor's does, expires what is due on all by a clock that it turns itself.
 * Conserved: a timer that was added is expired or removed, never both, never
 * too early, and once it was not to be removed its expire function has run.
 *
 * timers [--seed=N] [--rounds=N] [--threads=N]
 */
#include "../../reactor/timers.h"
#include "stress.h"

#define PROBES 64
#define ADDS   20000

struct probe {
	struct filch_timer timer;
	uint64_t expired; /* plain: the lock of the heap guards it */
};

struct owner {
	pthread_t thread;
	struct filch__timers timers;
	uint64_t random;
	uint64_t removed;
	uint64_t added;
	struct probe probes[PROBES];
};

static struct stress_options options = { "timers", 1, 2, 3 };
static filch__u64 now_ns;
static filch__u64 expired_count;
static filch__u32 owners_left;

static void
probe_expire(struct filch_timer *timer, struct filch__expired *expired)
{
	struct probe *probe = FILCH__CONTAINER_OF(timer, struct probe, timer);

	(void)expired;
	/* relaxed: only the thread that is here writes it */
	if (timer->priv.deadline_ns > filch__u64_load_relaxed(&now_ns)) {
		fprintf(stderr, "timers: expired too early\n");
		exit(1);
	}
	probe->expired++;
	(void)filch__u64_add_acq_rel(&expired_count, 1); /* a counter */
}

/* Take probe out if it is in, and see that it ended in one way only. */
static void
probe_settle(struct owner *self, struct probe *probe)
{
	bool was_in = filch__timers_remove(&probe->timer);

	self->removed += was_in;
	stress_same(&options, "ends of one timer", 1,
	    probe->expired + (was_in ? 1 : 0));
}

static void *
owner_main(void *arg)
{
	struct owner *self = arg;
	struct filch__expired expired = { .count = 0 };
	uint64_t i;

	for (i = 0; i < ADDS; i++) {
		struct probe *probe = &self->probes[i % PROBES];
		uint64_t ahead = stress_random(&self->random) % 50;

		if (i >= PROBES) {
			probe_settle(self, probe);
		}
		probe->expired = 0;
		/* relaxed: any time does */
		filch__timer_init(&probe->timer,
		    filch__u64_load_relaxed(&now_ns) + ahead, probe_expire);
		(void)filch__timers_add(&self->timers, &probe->timer);
		self->added++;
		if (stress_random(&self->random) % 4 == 0) {
			/* another one, perhaps settled long ago */
			probe = &self->probes[stress_random(&self->random) %
			    (i < PROBES ? i + 1 : PROBES)];
			if (filch__timers_remove(&probe->timer)) {
				self->removed++;
				probe->expired = 1; /* by hand */
			}
		}
		if (stress_random(&self->random) % 4 == 0) {
			/* relaxed: any time does */
			(void)filch__timers_expire(&self->timers,
			    filch__u64_load_relaxed(&now_ns), &expired);
		}
	}
	for (i = 0; i < PROBES; i++) {
		probe_settle(self, &self->probes[i]);
	}
	/* acq_rel: pairs with the clock's load */
	(void)filch__u32_add_acq_rel(&owners_left, (uint32_t)-1);
	return (NULL);
}

static void
clock_run(struct owner *owners)
{
	struct filch__expired expired = { .count = 0 };

	/* acquire: pairs with the owners' end */
	while (filch__u32_load_acquire(&owners_left) > 0) {
		uint64_t now = filch__u64_add_acq_rel(&now_ns, 1) + 1;

		for (unsigned i = 0; i < options.threads; i++) {
			while (filch__timers_expire(
			    &owners[i].timers, now, &expired)) {
				continue;
			}
		}
	}
}

static void
round_run(uint64_t *random)
{
	struct owner *owners =
	    aligned_alloc(FILCH__CACHE_LINE, options.threads * sizeof(*owners));
	uint64_t added = 0;
	uint64_t ended = 0;

	if (owners == NULL) {
		abort();
	}
	memset(owners, 0, options.threads * sizeof(*owners));
	/* relaxed: no other thread yet */
	filch__u64_store_relaxed(&expired_count, 0);
	filch__u32_store_relaxed(&owners_left, options.threads);
	for (unsigned i = 0; i < options.threads; i++) {
		filch__timers_init(&owners[i].timers);
		owners[i].random = stress_random(random);
		owners[i].thread = stress_start(owner_main, &owners[i]);
	}
	clock_run(owners);
	for (unsigned i = 0; i < options.threads; i++) {
		pthread_join(owners[i].thread, NULL);
		filch__timers_fini(&owners[i].timers);
		added += owners[i].added;
		ended += owners[i].removed;
	}
	ended += filch__u64_load_relaxed(&expired_count); /* all joined */
	stress_same(&options, "timers expired or removed", added, ended);
	free(owners);
}

int
main(int argc, char **argv)
{
	stress_options(&options, argc, argv);
	stress_rounds(&options, round_run);
	printf(" of %u x %d timers, each ended once\n", options.threads, ADDS);
	return (0);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A task that computes for 100 ms in one poll, and what that does to others:
 * reads of eventfds that the same worker had submitted, timers, tasks woken
 * from outside, and the task that the computing one itself had woken last.
 * The control is the same without the computing.
 */
#include "wake.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define STUCK_NS  UINT64_C(100000000)
#define SEND_NS   100000 /* between two events from outside */
#define SLEEP_NS  2000000
#define SETTLE_NS 20000000 /* before and after, with everything running */

#define READERS  32
#define SLEEPERS 16
#define TARGETS  16

/* What the probes of one round share. */
struct round {
	struct filch_executor *executor;
	atomic_bool over;
};

/* The latest delay is the probe's own; the largest is read at the end. */
struct probe {
	struct filch_task task;
	struct round *round;
	uint64_t worst_ns;
	union {
		struct {
			struct filch_op op;
			struct filch_file file;
			uint64_t buffer;
		} reader;
		struct {
			struct filch_sleep sleep;
			uint64_t deadline_ns;
		} sleeper;
	} u;
	bool waiting;
	_Alignas(64) atomic_uint_fast64_t sent_ns; /* 0: has arrived */
};

static void
probe_delay(struct probe *probe, uint64_t since_ns)
{
	uint64_t delay = filch_now() - since_ns;

	if (delay > probe->worst_ns) {
		probe->worst_ns = delay;
	}
}

static bool
probe_is_over(const struct probe *probe)
{
	/* Acquire pairs with the store in round_run(). */
	return (
	    atomic_load_explicit(&probe->round->over, memory_order_acquire));
}

/* An event that was sent has arrived. */
static void
probe_arrive(struct probe *probe)
{
	/* Acquire and release: sender and probe take turns. */
	uint64_t sent =
	    atomic_load_explicit(&probe->sent_ns, memory_order_acquire);

	if (sent != 0) {
		probe_delay(probe, sent);
		atomic_store_explicit(&probe->sent_ns, 0, memory_order_release);
	}
}

static enum filch_poll
reader_poll(struct filch_task *task)
{
	struct probe *probe = filch_container_of(task, struct probe, task);
	int64_t got;

	for (;;) {
		if (!probe->waiting) {
			filch_op_init_read(&probe->u.reader.op,
			    &probe->u.reader.file, &probe->u.reader.buffer,
			    sizeof(probe->u.reader.buffer),
			    FILCH_OFFSET_CURRENT);
			probe->waiting = true;
		}
		if (filch_op_poll(&probe->u.reader.op, task, &got) ==
		    FILCH_PENDING) {
			return (FILCH_PENDING);
		}
		probe->waiting = false;
		wake_must((int)got, "read of an eventfd");
		probe_arrive(probe);
		if (probe_is_over(probe)) {
			return (FILCH_READY);
		}
	}
}

static enum filch_poll
sleeper_poll(struct filch_task *task)
{
	struct probe *probe = filch_container_of(task, struct probe, task);
	int result;

	for (;;) {
		if (!probe->waiting) {
			probe->u.sleeper.deadline_ns = filch_now() + SLEEP_NS;
			filch_sleep_init(&probe->u.sleeper.sleep,
			    probe->u.sleeper.deadline_ns);
			probe->waiting = true;
		}
		if (filch_sleep_poll(&probe->u.sleeper.sleep, task, &result) ==
		    FILCH_PENDING) {
			return (FILCH_PENDING);
		}
		wake_must(result, "sleep");
		probe_delay(probe, probe->u.sleeper.deadline_ns);
		probe->waiting = false;
		if (probe_is_over(probe)) {
			return (FILCH_READY);
		}
	}
}

static enum filch_poll
target_poll(struct filch_task *task)
{
	struct probe *probe = filch_container_of(task, struct probe, task);

	probe_arrive(probe);
	return (probe_is_over(probe) ? FILCH_READY : FILCH_PENDING);
}

/* ---- the one that computes ---- */

struct stuck {
	struct filch_task task;
	struct probe *woken;
	uint64_t length_ns;
};

static void
probe_send(struct probe *probe)
{
	/* Release pairs with the load in probe_arrive(). */
	atomic_store_explicit(
	    &probe->sent_ns, filch_now(), memory_order_release);
	filch_task_wake(&probe->task);
}

static enum filch_poll
stuck_poll(struct filch_task *task)
{
	struct stuck *stuck = filch_container_of(task, struct stuck, task);
	uint64_t until = filch_now() + stuck->length_ns;

	probe_send(stuck->woken);
	while (filch_now() < until) {
		continue;
	}
	return (FILCH_READY);
}

/* ---- a round ---- */

#define PROBES (READERS + SLEEPERS + TARGETS + 1)

struct probes {
	struct probe all[PROBES]; /* the last: whom the stuck one wakes */
};

static void
probe_start(struct probe *probe, struct round *round, unsigned index)
{
	filch_task_poll_fn poll = target_poll;

	probe->round = round;
	probe->worst_ns = 0;
	probe->waiting = false;
	atomic_init(&probe->sent_ns, 0);
	if (index < READERS) {
		int fd = eventfd(0, EFD_CLOEXEC);

		wake_must(fd < 0 ? -errno : 0, "eventfd");
		wake_must(filch_file_init(&probe->u.reader.file, fd),
		    "filch_file_init");
		poll = reader_poll;
	} else if (index < READERS + SLEEPERS) {
		poll = sleeper_poll;
	}
	filch_task_init(&probe->task, poll, NULL);
	wake_must(filch_executor_spawn_joinable(round->executor, &probe->task),
	    "spawn");
}

static void
probe_write(struct probe *probe)
{
	uint64_t one = 1;

	wake_must(
	    write(probe->u.reader.file.fd, &one, sizeof(one)) < 0 ? -errno : 0,
	    "write to an eventfd");
}

/* Until then, send to readers and targets in turn; who has one gets none. */
static void
probes_feed(struct probes *probes, uint64_t until_ns)
{
	unsigned turn = 0;

	while (filch_now() < until_ns) {
		unsigned index = turn++ % (READERS + TARGETS);
		bool reads = index < READERS;
		struct probe *probe =
		    &probes->all[reads ? index : index + SLEEPERS];

		/* Acquire pairs with the store in probe_arrive(). */
		if (atomic_load_explicit(
			&probe->sent_ns, memory_order_acquire) != 0) {
			continue;
		}
		if (reads) {
			atomic_store_explicit(
			    &probe->sent_ns, filch_now(), memory_order_release);
			probe_write(probe);
		} else {
			probe_send(probe);
		}
		wake_pause_ns(SEND_NS);
	}
}

static void
probes_end(struct probes *probes, struct round *round)
{
	/* Release pairs with the load in probe_is_over(). */
	atomic_store_explicit(&round->over, true, memory_order_release);
	for (unsigned i = 0; i < PROBES; i++) {
		struct probe *probe = &probes->all[i];

		if (i < READERS) {
			probe_write(probe);
		} else {
			filch_task_wake(&probe->task);
		}
		wake_must(filch_task_join(&probe->task), "join");
		if (i < READERS) {
			close(probe->u.reader.file.fd);
		}
	}
}

/* The largest delay of any probe while a task computes for length_ns. */
static uint64_t
round_run(struct filch_executor *executor, uint64_t length_ns)
{
	static struct probes probes;
	struct round round = { .executor = executor };
	struct stuck stuck = { .woken = &probes.all[PROBES - 1] };
	uint64_t worst = 0;

	stuck.length_ns = length_ns;
	for (unsigned i = 0; i < PROBES; i++) {
		probe_start(&probes.all[i], &round, i);
	}
	probes_feed(&probes, filch_now() + SETTLE_NS);
	filch_task_init(&stuck.task, stuck_poll, NULL);
	wake_must(
	    filch_executor_spawn_joinable(executor, &stuck.task), "spawn");
	probes_feed(&probes, filch_now() + STUCK_NS + SETTLE_NS);
	wake_must(filch_task_join(&stuck.task), "join");
	probes_end(&probes, &round);
	for (unsigned i = 0; i < PROBES; i++) {
		if (probes.all[i].worst_ns > worst) {
			worst = probes.all[i].worst_ns;
		}
	}
	return (worst);
}

static int
compare(const void *one, const void *two)
{
	uint64_t a = *(const uint64_t *)one;
	uint64_t b = *(const uint64_t *)two;

	return ((a > b) - (a < b));
}

static void
rounds_run(const struct wake_options *options, struct wake_report *report,
    uint64_t length_ns, const char *median_name, const char *max_name)
{
	uint64_t *worst = calloc(options->rounds, sizeof(*worst));
	struct filch_executor *executor = wake_executor(options, report);

	wake_must(worst == NULL ? -ENOMEM : 0, "calloc");
	for (unsigned i = 0; i < options->rounds; i++) {
		worst[i] = round_run(executor, length_ns);
	}
	filch_executor_destroy(executor);
	qsort(worst, options->rounds, sizeof(*worst), compare);
	wake_figure(
	    report, median_name, (double)worst[options->rounds / 2] / 1e6);
	wake_figure(report, max_name, (double)worst[options->rounds - 1] / 1e6);
	free(worst);
}

void
wake_stuck(const struct wake_options *options, struct wake_report *report)
{
	rounds_run(
	    options, report, STUCK_NS, "delay_ms_median", "delay_ms_max");
	rounds_run(options, report, 0, "control_ms_median", "control_ms_max");
	wake_figure(report, "rounds", options->rounds);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A task that computes for 100 ms in one poll, and what that does to others:
 * reads of eventfds that the same worker had submitted, timers, tasks woken
 * from outside, and the task that the computing one itself had woken last.
 * The control is a plain thread that computes instead of the task: what the
 * kernel's scheduler does to all others when one CPU is taken.
 */
#include "wake.h"

#include <errno.h>
#include <pthread.h>
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
#define PROBES   (READERS + SLEEPERS + TARGETS + 1)

/* Of probes, in their order; the last probe is woken by the stuck task. */
enum kind {
	KIND_READER,
	KIND_SLEEPER,
	KIND_TARGET,
	KIND_LAST,
	KIND_ANY,
	KIND_COUNT
};

static enum kind
probe_kind(unsigned index)
{
	if (index < READERS) {
		return (KIND_READER);
	}
	if (index < READERS + SLEEPERS) {
		return (KIND_SLEEPER);
	}
	return (index < PROBES - 1 ? KIND_TARGET : KIND_LAST);
}

/* What the probes of one round share. */
struct round {
	struct filch_executor *executor;
	atomic_bool over;
};

/* The delays are the probe's own, and read at the end of a round. */
struct probe {
	struct filch_task task;
	struct round *round;
	struct histogram delays;
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
	histogram_record(&probe->delays, filch_now() - since_ns);
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
	uint64_t until = filch_now() + STUCK_NS;

	probe_send(stuck->woken);
	while (filch_now() < until) {
		continue;
	}
	return (FILCH_READY);
}

/* ---- a round ---- */

struct probes {
	struct probe all[PROBES];
};

static void
probe_start(struct probe *probe, struct round *round, unsigned index)
{
	filch_task_poll_fn poll = target_poll;

	probe->round = round;
	histogram_init(&probe->delays);
	probe->waiting = false;
	atomic_init(&probe->sent_ns, 0);
	if (probe_kind(index) == KIND_READER) {
		int fd = eventfd(0, EFD_CLOEXEC);

		wake_must(fd < 0 ? -errno : 0, "eventfd");
		wake_must(filch_file_init(&probe->u.reader.file, fd),
		    "filch_file_init");
		poll = reader_poll;
	} else if (probe_kind(index) == KIND_SLEEPER) {
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

static void *
control_main(void *arg)
{
	uint64_t until = filch_now() + STUCK_NS;

	(void)arg;
	while (filch_now() < until) {
		continue;
	}
	return (NULL);
}

/* Let a task, or a plain thread, compute while the probes are fed. */
static void
round_compute(struct round *round, struct probes *probes, bool control)
{
	struct stuck stuck = { .woken = &probes->all[PROBES - 1] };
	pthread_t thread;

	if (control) {
		wake_must(-pthread_create(&thread, NULL, control_main, NULL),
		    "pthread_create");
	} else {
		filch_task_init(&stuck.task, stuck_poll, NULL);
		wake_must(
		    filch_executor_spawn_joinable(round->executor, &stuck.task),
		    "spawn");
	}
	probes_feed(probes, filch_now() + STUCK_NS + SETTLE_NS);
	if (control) {
		pthread_join(thread, NULL);
	} else {
		wake_must(filch_task_join(&stuck.task), "join");
	}
}

/* The largest delay of each kind of probe; all delays are added to total. */
static void
round_run(struct filch_executor *executor, bool control,
    uint64_t worst[KIND_COUNT], struct histogram *total)
{
	static struct probes probes;
	struct round round = { .executor = executor };

	for (unsigned i = 0; i < PROBES; i++) {
		probe_start(&probes.all[i], &round, i);
	}
	probes_feed(&probes, filch_now() + SETTLE_NS);
	round_compute(&round, &probes, control);
	probes_end(&probes, &round);
	for (unsigned i = 0; i < PROBES; i++) {
		uint64_t delay = probes.all[i].delays.max;
		enum kind kind = probe_kind(i);

		if (delay > worst[kind]) {
			worst[kind] = delay;
		}
		if (delay > worst[KIND_ANY]) {
			worst[KIND_ANY] = delay;
		}
		histogram_merge(total, &probes.all[i].delays);
	}
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
    bool control, const char *const names[KIND_COUNT], const char *most_name)
{
	static struct histogram total;
	uint64_t(*worst)[KIND_COUNT] =
	    wake_calloc(options->rounds, sizeof(*worst));
	unsigned middle = options->rounds / 2;
	uint64_t *column = wake_calloc(options->rounds, sizeof(*column));
	struct filch_executor *executor = wake_executor(options, report);

	histogram_init(&total);
	for (unsigned i = 0; i < options->rounds; i++) {
		round_run(executor, control, worst[i], &total);
	}
	filch_executor_destroy(executor);
	for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
		for (unsigned i = 0; i < options->rounds; i++) {
			column[i] = worst[i][kind];
		}
		qsort(column, options->rounds, sizeof(*column), compare);
		if (names[kind] != NULL) {
			wake_figure(
			    report, names[kind], (double)column[middle] / 1e6);
		}
	}
	wake_figure(report, most_name,
	    (double)histogram_percentile(&total, 0.99) / 1e6);
	free(column);
	free(worst);
}

void
wake_stuck(const struct wake_options *options, struct wake_report *report)
{
	static const char *const names[KIND_COUNT] = {
		[KIND_READER] = "read_ms",
		[KIND_SLEEPER] = "timer_ms",
		[KIND_TARGET] = "wake_ms",
		[KIND_LAST] = "last_woken_ms",
		[KIND_ANY] = "delay_ms",
	};
	static const char *const control[KIND_COUNT] = {
		[KIND_ANY] = "control_ms",
	};

	rounds_run(options, report, false, names, "delay_p99_ms");
	rounds_run(options, report, true, control, "control_p99_ms");
	wake_figure(report, "rounds", options->rounds);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The options by name, and what a test may ask of the model.
 */
#include "kernel.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTION(name)                                                           \
	{                                                                      \
#name, offsetof(struct kqueue_model_options, name)             \
	}

/* All but the seed, which is wider. */
static const struct option {
	const char *name;
	size_t offset;
} options_known[] = {
	OPTION(version),
	OPTION(max_aio_queue_per_proc),
	OPTION(max_aio_queue),
	OPTION(max_aio_per_proc),
	OPTION(max_aio_procs),
	OPTION(listio_max),
	OPTION(enable_unsafe),
	OPTION(delay),
	OPTION(slow),
	OPTION(late),
	OPTION(linger),
	OPTION(delay_us),
	OPTION(reorder),
	OPTION(eagain),
	OPTION(eopnotsupp),
	OPTION(busy),
	OPTION(partial),
	OPTION(stale),
};

#define OPTION_COUNT (sizeof(options_known) / sizeof(options_known[0]))

static int *
option_value(struct kqueue_model_options *options, size_t index)
{
	return ((int *)(void *)((char *)options + options_known[index].offset));
}

static void
options_reject(const char *text)
{
	size_t i;

	fprintf(stderr, "KQUEUE_MODEL: \"%s\" is none of seed", text);
	for (i = 0; i < OPTION_COUNT; i++) {
		fprintf(stderr, ", %s", options_known[i].name);
	}
	fprintf(stderr, ", each with =NUMBER\n");
	abort();
}

static void
option_set(struct kqueue_model_options *options, char *text)
{
	char *equals = strchr(text, '='), *end;
	uint64_t value;
	size_t i;

	if (equals == NULL) {
		options_reject(text);
		return;
	}
	errno = 0;
	value = strtoull(equals + 1, &end, 10);
	if (end == equals + 1 || *end != '\0' || errno != 0) {
		options_reject(text);
	}
	*equals = '\0';
	if (strcmp(text, "seed") == 0) {
		options->seed = value;
		return;
	}
	for (i = 0; i < OPTION_COUNT; i++) {
		if (strcmp(text, options_known[i].name) == 0 &&
		    value <= INT32_MAX) {
			*option_value(options, i) = (int)value;
			return;
		}
	}
	options_reject(text);
}

void
options__read(struct kqueue_model_options *ret_options)
{
	const char *given = getenv("KQUEUE_MODEL");
	char *copy, *text, *rest;

	*ret_options = (struct kqueue_model_options)KQUEUE_MODEL_OPTIONS_INIT;
	if (given == NULL || *given == '\0') {
		return;
	}
	copy = strdup(given);
	if (copy == NULL) {
		abort();
	}
	for (text = strtok_r(copy, ",", &rest); text != NULL;
	     text = strtok_r(NULL, ",", &rest)) {
		option_set(ret_options, text);
	}
	free(copy);
}

void
kqueue_model_set(const struct kqueue_model_options *options)
{
	uint64_t kqueues, knotes;

	kernel__enter();
	if (kernel.counts.jobs > 0) {
		fprintf(stderr,
		    "kqueue_model_set: %" PRIu64 " jobs are in flight\n",
		    kernel.counts.jobs);
		abort();
	}
	kernel.options = *options;
	kernel.random = options->seed;
	kqueue__sweep();
	kqueues = kernel.counts.kqueues;
	knotes = kernel.counts.knotes;
	kernel.counts = (struct kqueue_model_counts){
		.kqueues = kqueues,
		.knotes = knotes,
	};
	kernel.faults = (struct kqueue_model_faults){ 0 };
	kernel__leave();
}

void
kqueue_model_get(struct kqueue_model_options *ret_options)
{
	kernel__enter();
	*ret_options = kernel.options;
	kernel__leave();
}

void
kqueue_model_counts(struct kqueue_model_counts *ret_counts)
{
	kernel__enter();
	kqueue__sweep();
	*ret_counts = kernel.counts;
	kernel__leave();
}

static uint64_t
faults_sum(const struct kqueue_model_faults *faults)
{
	return (faults->aiocb_reused + faults->aiocb_changed +
	    faults->list_reused + faults->return_unknown +
	    faults->return_early);
}

uint64_t
kqueue_model_faults(struct kqueue_model_faults *ret_faults)
{
	struct kqueue_model_faults faults;

	kernel__enter();
	faults = kernel.faults;
	kernel__leave();
	if (ret_faults != NULL) {
		*ret_faults = faults;
	}
	return (faults_sum(&faults));
}

static void
print(const char *name, uint64_t value)
{
	if (value != 0) {
		fprintf(stderr, " %s=%" PRIu64, name, value);
	}
}

static void
print_counts(const struct kqueue_model_counts *counts)
{
	fprintf(stderr, "\nkqueue_model: counts");
	print("jobs", counts->jobs);
	print("jobs_most", counts->jobs_most);
	print("kqueues", counts->kqueues);
	print("knotes", counts->knotes);
	print("kevent", counts->calls_kevent);
	print("read", counts->calls_read);
	print("readv", counts->calls_readv);
	print("write", counts->calls_write);
	print("writev", counts->calls_writev);
	print("fsync", counts->calls_fsync);
	print("mlock", counts->calls_mlock);
	print("listio", counts->calls_listio);
	print("error", counts->calls_error);
	print("return", counts->calls_return);
	print("cancel", counts->calls_cancel);
	print("suspend", counts->calls_suspend);
	print("waitcomplete", counts->calls_waitcomplete);
	print("sysctl", counts->calls_sysctl);
	print("submitted", counts->submitted);
	print("listed", counts->listed);
	print("refused", counts->refused);
	print("canceled", counts->canceled);
	print("events", counts->events);
	print("events_aio", counts->events_aio);
	print("events_lio", counts->events_lio);
	print("events_stale", counts->events_stale);
	print("events_again", counts->events_again);
	print("calls_again", counts->calls_again);
	print("returns_out_of_order", counts->returns_out_of_order);
}

static void
print_jobs(void)
{
	static const char *const states[] = {
		[JOB_QUEUED] = "queued",
		[JOB_SYNC] = "waits for others",
		[JOB_SOCKET] = "waits in a socket",
		[JOB_RUNNING] = "runs",
		[JOB_DONE] = "is done",
	};
	const struct job *job;

	TAILQ_FOREACH(job, &kernel.all, all)
	{
		fprintf(stderr,
		    "kqueue_model: job of %p, fd %d, opcode %d, %s, error "
		    "%ld\n",
		    (const void *)job->user, job->copy.aio_fildes, job->opcode,
		    states[job->state], job->copy._aiocb_private.error);
	}
}

void
kqueue_model_describe(void)
{
	size_t i;

	kernel__enter();
	fprintf(stderr, "kqueue_model: seed=%" PRIu64, kernel.options.seed);
	for (i = 0; i < OPTION_COUNT; i++) {
		print(options_known[i].name,
		    (uint64_t)*option_value(&kernel.options, i));
	}
	print_counts(&kernel.counts);
	fprintf(stderr, "\nkqueue_model: faults");
	print("aiocb_reused", kernel.faults.aiocb_reused);
	print("aiocb_changed", kernel.faults.aiocb_changed);
	print("list_reused", kernel.faults.list_reused);
	print("return_unknown", kernel.faults.return_unknown);
	print("return_early", kernel.faults.return_early);
	fprintf(stderr, "\n");
	print_jobs();
	kernel__leave();
}

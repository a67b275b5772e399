/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * filch copy: the slots, and how the main thread hands files to them and
 * takes note of how they ended.
 */
#include "copy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "interrupt.h"

/* How often the progress line changes. */
#define PROGRESS_NS UINT64_C(500000000)

static int slots_make(struct copy_run *);
static bool reap(struct copy_run *, bool);
static void file_ended(struct copy_run *, struct copy_file *);

int
copy_run_init(struct copy_run *run)
{
	const struct copy_options *o = &run->options;
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;
	size_t buffers = (size_t)o->jobs * o->iodepth * (o->verify ? 2 : 1);
	pthread_condattr_t attributes;
	int rc;

	pthread_mutex_init(&run->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&run->has_ended, &attributes);
	pthread_condattr_destroy(&attributes);
	run->start_ns = filch_now();
	run->progress_ns = run->start_ns + PROGRESS_NS;
	options.worker_count = o->workers;
	options.driver = o->driver;
	rc = filch_executor_create(&options, &run->executor);
	if (rc == 0) {
		rc = filch_buffer_pool_create(run->executor, o->block_size,
		    buffers, COPY_ALIGNMENT, &run->pool);
	}
	if (rc != 0) {
		return (rc);
	}
	/* Cached pages are had without the ring, so without its buffers. */
	run->is_fixed = o->direct && filch_buffer_pool_is_registered(run->pool);
	return (slots_make(run));
}

static int
slots_make(struct copy_run *run)
{
	const struct copy_options *o = &run->options;
	size_t units = (size_t)o->jobs * o->iodepth;

	run->files = calloc(o->jobs, sizeof(*run->files));
	run->units = aligned_alloc(64, units * sizeof(*run->units));
	if (run->files == NULL || run->units == NULL) {
		return (-ENOMEM);
	}
	memset(run->units, 0, units * sizeof(*run->units));
	for (unsigned i = 0; i < o->jobs; i++) {
		struct copy_file *file = &run->files[i];

		file->run = run;
		file->units = &run->units[(size_t)i * o->iodepth];
		pthread_mutex_init(&file->lock, NULL);
		for (unsigned j = 0; j < o->iodepth; j++) {
			struct copy_unit *unit = &file->units[j];

			unit->file = file;
			unit->buffer = filch_buffer_pool_take(run->pool);
			unit->other = o->verify
			    ? filch_buffer_pool_take(run->pool)
			    : NULL;
		}
		file->next = run->idle;
		run->idle = file;
	}
	return (0);
}

void
copy_run_fini(struct copy_run *run)
{
	while (run->idle != NULL) {
		struct copy_file *file = run->idle;

		run->idle = file->next;
		for (unsigned j = 0; j < run->options.iodepth; j++) {
			struct copy_unit *unit = &file->units[j];

			filch_buffer_pool_give(run->pool, unit->buffer);
			if (unit->other != NULL) {
				filch_buffer_pool_give(run->pool, unit->other);
			}
		}
		pthread_mutex_destroy(&file->lock);
	}
	filch_buffer_pool_destroy(run->pool);
	filch_executor_destroy(run->executor);
	free(run->files);
	free(run->units);
	pthread_cond_destroy(&run->has_ended);
	pthread_mutex_destroy(&run->lock);
}

void
copy_run_file(struct copy_run *run, struct copy_dir *dir,
    const char *source_name, const char *target_name, bool is_present)
{
	struct copy_failure failure = { .kind = COPY_ERROR,
		.operation = "start" };
	struct copy_file *file;

	/* Those that have ended meanwhile are told of now, not at the end. */
	while (reap(run, run->idle == NULL)) {
		continue;
	}
	if (tool_interrupted()) {
		return;
	}
	/* Once started, its place in the lists is the task's. */
	file = run->idle;
	run->idle = file->next;
	file->source_name = strdup(source_name);
	file->target_name = strdup(target_name);
	file->dir = dir;
	file->is_present = is_present;
	if (file->source_name == NULL || file->target_name == NULL) {
		failure.error = ENOMEM;
	} else {
		failure.error = -copy_file_start(file);
	}
	if (failure.error != 0) {
		copy_report(run, dir, source_name, target_name, &failure);
		free(file->source_name);
		free(file->target_name);
		file->next = run->idle;
		run->idle = file;
		return;
	}
	dir->references++;
	run->in_flight++;
}

void
copy_run_drain(struct copy_run *run)
{
	while (run->in_flight > 0) {
		(void)reap(run, true);
	}
}

/*
 * Take note of one file that has ended, waiting for it if asked to; false if
 * there is none.
 */
static bool
reap(struct copy_run *run, bool wait)
{
	struct copy_file *file;

	pthread_mutex_lock(&run->lock);
	while (wait && run->ended == NULL) {
		struct timespec until = { .tv_sec = (time_t)(run->progress_ns /
					      1000000000),
			.tv_nsec = (long)(run->progress_ns % 1000000000) };

		if (!run->shows_progress) {
			pthread_cond_wait(&run->has_ended, &run->lock);
		} else if (pthread_cond_timedwait(&run->has_ended, &run->lock,
			       &until) == ETIMEDOUT) {
			break;
		}
	}
	file = run->ended;
	if (file != NULL) {
		run->ended = file->next;
	}
	pthread_mutex_unlock(&run->lock);
	if (run->shows_progress && filch_now() >= run->progress_ns) {
		copy_report_progress(run, false);
		run->progress_ns = filch_now() + PROGRESS_NS;
	}
	if (file != NULL) {
		file_ended(run, file);
	}
	return (file != NULL || (wait && run->idle == NULL));
}

static void
file_ended(struct copy_run *run, struct copy_file *file)
{
	if (file->failure.kind == COPY_FINE) {
		run->files_copied++;
	} else {
		copy_report(run, file->dir, file->source_name,
		    file->target_name, &file->failure);
	}
	free(file->source_name);
	free(file->target_name);
	copy_dir_release(run, file->dir);
	file->next = run->idle;
	run->idle = file;
	run->in_flight--;
}

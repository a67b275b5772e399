/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * filch copy: the task of one file, a chain of steps.  Each step is told the
 * result of the operation before it, prepares the next one, and names the step
 * that follows.  Whatever fails leads to step_clean.
 */
#include "copy.h"

#include <errno.h>
#include <fcntl.h>

#include "interrupt.h"

static enum filch_poll file_poll(struct filch_task *);
static void file_released(struct filch_task *);
static enum copy_next step_open(struct copy_file *, int64_t);
static enum copy_next step_opened(struct copy_file *, int64_t);
static enum copy_next step_stated(struct copy_file *, int64_t);
static enum copy_next step_created(struct copy_file *, int64_t);
static enum copy_next step_plan(struct copy_file *, int64_t);
static enum copy_next step_planned(struct copy_file *, int64_t);
static enum copy_next step_moved(struct copy_file *, int64_t);
static enum copy_next step_finished(struct copy_file *, int64_t);
static enum copy_next step_synced(struct copy_file *, int64_t);
static enum copy_next step_verify(struct copy_file *);
static enum copy_next step_publish(struct copy_file *);
static enum copy_next step_published(struct copy_file *, int64_t);
static enum copy_next step_clean(struct copy_file *, int64_t);
static enum copy_next step_unlinked(struct copy_file *, int64_t);
static enum copy_next step_target_closed(struct copy_file *, int64_t);
static enum copy_next step_end(struct copy_file *, int64_t);

int
copy_file_start(struct copy_file *file)
{
	file->source = (struct filch_file)FILCH_FILE_INIT;
	file->target = (struct filch_file)FILCH_FILE_INIT;
	file->failure = (struct copy_failure){ .kind = COPY_FINE };
	file->has_temporary = false;
	file->is_endless = false;
	file->is_verifying = false;
	file->is_waiting = false;
	file->step = step_open;
	filch_task_init(&file->task, file_poll, file_released);
	return (filch_executor_spawn(file->run->executor, &file->task));
}

/* Only now, with the task released, the slot may be used again. */
static void
file_released(struct filch_task *task)
{
	struct copy_file *file =
	    filch_container_of(task, struct copy_file, task);
	struct copy_run *run = file->run;

	pthread_mutex_lock(&run->lock);
	file->next = run->ended;
	run->ended = file;
	pthread_cond_signal(&run->has_ended);
	pthread_mutex_unlock(&run->lock);
}

static enum filch_poll
file_poll(struct filch_task *task)
{
	struct copy_file *file =
	    filch_container_of(task, struct copy_file, task);

	for (;;) {
		int64_t result = 0;

		if (file->is_waiting &&
		    filch_op_poll(&file->op, task, &result) == FILCH_PENDING) {
			return (FILCH_PENDING);
		}
		file->is_waiting = false;
		switch (file->step(file, result)) {
		case COPY_NEXT_STEP:
			break;
		case COPY_NEXT_OP:
			file->is_waiting = true;
			break;
		case COPY_NEXT_WAKE:
			return (FILCH_PENDING);
		case COPY_NEXT_END:
			return (FILCH_READY);
		}
	}
}

void
copy_file_fail(struct copy_file *file, struct copy_failure failure)
{
	pthread_mutex_lock(&file->lock);
	if (file->failure.kind == COPY_FINE) {
		file->failure = failure;
	}
	pthread_mutex_unlock(&file->lock);
}

/* Name the step that takes the result of the operation just prepared. */
static enum copy_next
then(struct copy_file *file, copy_step_fn step)
{
	file->step = step;
	return (COPY_NEXT_OP);
}

static enum copy_next
at_once(struct copy_file *file, copy_step_fn step)
{
	file->step = step;
	return (COPY_NEXT_STEP);
}

static enum copy_next
give_up(struct copy_file *file, bool on_target, const char *operation,
    int64_t result)
{
	copy_file_fail(file,
	    (struct copy_failure){ .kind = COPY_ERROR,
		.on_target = on_target,
		.operation = operation,
		.error = (int)-result });
	return (at_once(file, step_clean));
}

static enum copy_next
step_open(struct copy_file *file, int64_t result)
{
	(void)result;
	if (tool_interrupted()) {
		copy_file_fail(
		    file, (struct copy_failure){ .kind = COPY_INTERRUPTED });
		return (at_once(file, step_clean));
	}
	filch_op_init_open(&file->op, &file->source, file->dir->source_fd,
	    file->source_name, O_RDONLY | O_NOFOLLOW, 0);
	return (then(file, step_opened));
}

static enum copy_next
step_opened(struct copy_file *file, int64_t result)
{
	if (result < 0) {
		return (give_up(file, false, "open", result));
	}
	filch_op_init_fstat(&file->op, &file->source, &file->stat);
	return (then(file, step_stated));
}

static enum copy_next
step_stated(struct copy_file *file, int64_t result)
{
	if (result < 0) {
		return (give_up(file, false, "stat", result));
	}
	file->size = file->stat.size;
	file->planned = 0;
	file->is_endless = file->size == 0 && !file->is_present;
	file->is_sparse = file->stat.allocated < file->size;
	if (file->is_present) {
		file->operation = "open";
		filch_op_init_open(&file->op, &file->target,
		    file->dir->target_fd, file->target_name,
		    O_RDONLY | O_NOFOLLOW, 0);
	} else {
		filch_op_init_call(&file->op, copy_target_create, file);
	}
	return (then(file, step_created));
}

static enum copy_next
step_created(struct copy_file *file, int64_t result)
{
	if (result < 0) {
		return (give_up(file, true, file->operation, result));
	}
	if (file->is_present) {
		return (step_verify(file));
	}
	return (at_once(file, step_plan));
}

/* Find out what to move next; where there are no holes, at once. */
static enum copy_next
step_plan(struct copy_file *file, int64_t result)
{
	(void)result;
	if (file->is_sparse && file->planned < file->size) {
		filch_op_init_call(&file->op, copy_holes_find, file);
		return (then(file, step_planned));
	}
	file->segment_count = 0;
	if (file->is_endless || file->planned < file->size) {
		file->segments[0].start = file->planned;
		file->segments[0].end =
		    file->is_endless ? UINT64_MAX : file->size;
		file->segment_count = 1;
		file->planned = file->size;
	}
	return (at_once(file, step_planned));
}

static enum copy_next
step_planned(struct copy_file *file, int64_t result)
{
	uint64_t blocks = 0;
	uint64_t size = file->run->options.block_size;

	if (result < 0) {
		return (give_up(file, false, file->operation, result));
	}
	for (unsigned i = 0; i < file->segment_count; i++) {
		uint64_t bytes =
		    file->segments[i].end - file->segments[i].start;

		blocks += bytes / size + (bytes % size != 0);
	}
	if (blocks == 0) {
		return (at_once(file, step_moved));
	}
	/* Where the end is not known, one after the other finds it. */
	if (file->is_endless) {
		blocks = 1;
	}
	file->step = step_moved;
	copy_units_start(file,
	    blocks < file->run->options.iodepth ? (unsigned)blocks
						: file->run->options.iodepth);
	return (COPY_NEXT_WAKE);
}

static enum copy_next
step_moved(struct copy_file *file, int64_t result)
{
	(void)result;
	if (tool_interrupted()) {
		copy_file_fail(
		    file, (struct copy_failure){ .kind = COPY_INTERRUPTED });
	}
	if (file->failure.kind != COPY_FINE) {
		return (at_once(file, step_clean));
	}
	if (file->planned < file->size && !file->is_endless) {
		return (at_once(file, step_plan));
	}
	if (file->is_verifying) {
		return (step_publish(file));
	}
	filch_op_init_call(&file->op, copy_target_finish, file);
	return (then(file, step_finished));
}

/* Size, mode and time are set; a result of 1: the source has changed. */
static enum copy_next
step_finished(struct copy_file *file, int64_t result)
{
	if (result < 0) {
		return (give_up(file, true, file->operation, result));
	}
	if (result != 0) {
		copy_file_fail(
		    file, (struct copy_failure){ .kind = COPY_CHANGED });
		return (at_once(file, step_clean));
	}
	file->is_endless = false;
	if (file->run->options.fsync) {
		filch_op_init_fsync(&file->op, &file->target);
	} else if (file->run->options.verify) {
		/* What is not on the disk yet could not be read from it. */
		filch_op_init_fdatasync(&file->op, &file->target);
	} else {
		return (step_publish(file));
	}
	return (then(file, step_synced));
}

static enum copy_next
step_synced(struct copy_file *file, int64_t result)
{
	if (result < 0) {
		return (give_up(file, true, "fsync", result));
	}
	if (!file->run->options.verify) {
		return (step_publish(file));
	}
	return (step_verify(file));
}

static enum copy_next
step_verify(struct copy_file *file)
{
	file->is_verifying = true;
	file->planned = 0;
	filch_op_init_call(&file->op, copy_target_forget, file);
	return (then(file, step_plan));
}

/* Give the complete file its name; whether it may replace one was asked. */
static enum copy_next
step_publish(struct copy_file *file)
{
	if (file->is_present) {
		return (at_once(file, step_clean));
	}
	if (file->run->options.overwrite) {
		file->operation = "rename";
		filch_op_init_rename(&file->op, file->dir->target_fd,
		    file->temporary, file->dir->target_fd, file->target_name);
	} else {
		filch_op_init_call(&file->op, copy_target_publish, file);
	}
	return (then(file, step_published));
}

static enum copy_next
step_published(struct copy_file *file, int64_t result)
{
	if (result < 0) {
		return (give_up(file, true, file->operation, result));
	}
	file->has_temporary = false;
	return (at_once(file, step_clean));
}

/* From here on errors tell nothing new: the first one is kept. */
static enum copy_next
step_clean(struct copy_file *file, int64_t result)
{
	(void)result;
	if (!file->has_temporary) {
		return (at_once(file, step_unlinked));
	}
	filch_op_init_unlink(&file->op, file->dir->target_fd, file->temporary);
	return (then(file, step_unlinked));
}

static enum copy_next
step_unlinked(struct copy_file *file, int64_t result)
{
	(void)result;
	if (file->target.fd < 0) {
		return (at_once(file, step_target_closed));
	}
	filch_op_init_close(&file->op, &file->target);
	return (then(file, step_target_closed));
}

static enum copy_next
step_target_closed(struct copy_file *file, int64_t result)
{
	(void)result;
	if (file->source.fd < 0) {
		return (COPY_NEXT_END);
	}
	filch_op_init_close(&file->op, &file->source);
	return (then(file, step_end));
}

static enum copy_next
step_end(struct copy_file *file, int64_t result)
{
	(void)file;
	(void)result;
	return (COPY_NEXT_END);
}

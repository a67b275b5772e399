/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * filch copy: tasks that move blocks.  Each takes the next block of its file,
 * reads it, and writes it, or compares it, until nothing is left.
 */
#include "copy.h"

#include <errno.h>
#include <string.h>

#include "interrupt.h"

static enum filch_poll unit_poll(struct filch_task *);
static void unit_released(struct filch_task *);
static void unit_gone(struct copy_file *);
static bool unit_take(struct copy_unit *);
static void unit_source(struct copy_unit *, int64_t);
static void unit_target(struct copy_unit *, int64_t);
static void unit_fail(struct copy_unit *, bool, int);
static void transfer(struct copy_unit *);

void
copy_units_start(struct copy_file *file, unsigned count)
{
	file->segment_index = 0;
	/* The task lives by this waker while it waits. */
	file->waker = filch_task_waker(&file->task);
	atomic_store_explicit(&file->active, count, memory_order_relaxed);
	for (unsigned i = 0; i < count; i++) {
		struct copy_unit *unit = &file->units[i];
		int rc;

		unit->phase = UNIT_IDLE;
		filch_task_init(&unit->task, unit_poll, unit_released);
		rc = filch_executor_spawn(file->run->executor, &unit->task);
		if (rc != 0) {
			copy_file_fail(file,
			    (struct copy_failure){ .kind = COPY_ERROR,
				.operation = "spawn",
				.error = -rc });
			unit_gone(file);
		}
	}
}

static void
unit_released(struct filch_task *task)
{
	unit_gone(filch_container_of(task, struct copy_unit, task)->file);
}

/*
 * Only here, when nothing of filch refers to a unit any more, may its file's
 * task go on to use it again.
 */
static void
unit_gone(struct copy_file *file)
{
	/* acq_rel: what units did is seen by the last, and by whom it wakes */
	if (atomic_fetch_sub_explicit(&file->active, 1, memory_order_acq_rel) ==
	    1) {
		filch_waker_wake(&file->waker);
	}
}

static enum filch_poll
unit_poll(struct filch_task *task)
{
	struct copy_unit *unit =
	    filch_container_of(task, struct copy_unit, task);

	for (;;) {
		int64_t result;

		if (unit->phase == UNIT_IDLE && !unit_take(unit)) {
			return (FILCH_READY);
		}
		if (filch_op_poll(&unit->op, task, &result) == FILCH_PENDING) {
			return (FILCH_PENDING);
		}
		if (unit->phase == UNIT_SOURCE) {
			unit_source(unit, result);
		} else {
			unit_target(unit, result);
		}
	}
}

/* Take the next block and start to read it; false when none is left. */
static bool
unit_take(struct copy_unit *unit)
{
	struct copy_file *file = unit->file;
	bool taken = false;

	pthread_mutex_lock(&file->lock);
	while (!taken && file->segment_index < file->segment_count &&
	    file->failure.kind == COPY_FINE && !tool_interrupted()) {
		struct copy_segment *segment =
		    &file->segments[file->segment_index];
		uint64_t left = segment->end - segment->start;
		uint64_t block = file->run->options.block_size;

		if (left == 0) {
			file->segment_index++;
			continue;
		}
		unit->offset = segment->start;
		unit->length = (size_t)(left < block ? left : block);
		segment->start += unit->length;
		taken = true;
	}
	pthread_mutex_unlock(&file->lock);
	if (taken) {
		unit->got = 0;
		unit->done = 0;
		unit->phase = UNIT_SOURCE;
		transfer(unit);
	}
	return (taken);
}

/* O_DIRECT takes whole sectors only; buffers have room for them. */
static size_t
whole(const struct copy_unit *unit, size_t size)
{
	if (!unit->file->run->options.direct) {
		return (size);
	}
	return ((size + COPY_ALIGNMENT - 1) & ~(size_t)(COPY_ALIGNMENT - 1));
}

/* Prepare the operation for what the phase still has to move. */
static void
transfer(struct copy_unit *unit)
{
	struct copy_file *file = unit->file;
	size_t done = unit->phase == UNIT_SOURCE ? unit->got : unit->done;
	size_t end = unit->phase == UNIT_SOURCE ? unit->length : unit->got;
	size_t size = whole(unit, end) - done;

	if (unit->phase == UNIT_SOURCE) {
		filch_op_init_read(&unit->op, &file->source,
		    unit->buffer + done, size, unit->offset + done);
	} else if (file->is_verifying) {
		filch_op_init_read(&unit->op, &file->target, unit->other + done,
		    size, unit->offset + done);
	} else {
		filch_op_init_write(&unit->op, &file->target,
		    unit->buffer + done, size, unit->offset + done);
	}
	if (file->run->is_fixed) {
		filch_op_set_pool(&unit->op, file->run->pool);
	}
}

/* A read of the source has ended. */
static void
unit_source(struct copy_unit *unit, int64_t result)
{
	struct copy_file *file = unit->file;

	if (result < 0) {
		unit_fail(unit, false, (int)-result);
		return;
	}
	unit->got += (size_t)result;
	if (unit->got > unit->length) {
		unit->got = unit->length; /* it has grown meanwhile */
	}
	if (result > 0 && unit->got < unit->length) {
		transfer(unit);
		return;
	}
	pthread_mutex_lock(&file->lock);
	if (file->is_endless && file->size < unit->offset + unit->got) {
		file->size = unit->offset + unit->got;
	}
	if (file->is_endless && result == 0) {
		file->segments[0].end = file->segments[0].start;
	}
	pthread_mutex_unlock(&file->lock);
	if (unit->got < unit->length && !file->is_endless) {
		copy_file_fail(file,
		    (struct copy_failure){ .kind = COPY_SHORT,
			.offset = unit->offset + unit->got });
		unit->phase = UNIT_IDLE;
		return;
	}
	if (unit->got == 0) {
		unit->phase = UNIT_IDLE;
		return;
	}
	memset(unit->buffer + unit->got, 0, whole(unit, unit->got) - unit->got);
	unit->phase = UNIT_TARGET;
	transfer(unit);
}

/* A write of the target has ended, or a read. */
static void
unit_target(struct copy_unit *unit, int64_t result)
{
	struct copy_file *file = unit->file;
	size_t end = file->is_verifying ? unit->got : whole(unit, unit->got);
	size_t same = 0;

	if (result < 0 || (result == 0 && !file->is_verifying)) {
		unit_fail(unit, true, result == 0 ? EIO : (int)-result);
		return;
	}
	unit->done += (size_t)result;
	if (result > 0 && unit->done < end) {
		transfer(unit);
		return;
	}
	unit->phase = UNIT_IDLE;
	if (!file->is_verifying || file->is_present) {
		atomic_fetch_add_explicit(
		    &file->run->bytes, unit->got, memory_order_relaxed);
	}
	if (!file->is_verifying ||
	    (unit->done >= end &&
		memcmp(unit->buffer, unit->other, unit->got) == 0)) {
		return;
	}
	while (same < unit->got && same < unit->done &&
	    unit->buffer[same] == unit->other[same]) {
		same++;
	}
	copy_file_fail(file,
	    (struct copy_failure){ .kind = COPY_DIFFERS,
		.on_target = true,
		.operation = "verify",
		.offset = unit->offset + same });
}

static void
unit_fail(struct copy_unit *unit, bool on_target, int error)
{
	bool is_write = on_target && !unit->file->is_verifying;

	unit->phase = UNIT_IDLE;
	copy_file_fail(unit->file,
	    (struct copy_failure){ .kind = COPY_ERROR,
		.on_target = on_target,
		.operation = is_write ? "write" : "read",
		.error = error });
}

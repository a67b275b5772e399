/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operations: preparing, starting, cancelling and finishing them.
 */
#include "op.h"

#include <filch/batch.h>
#include <filch/task.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "../include/private/assert.h"
#include "../include/private/file_flags.h"
#include "../include/private/task_waker.h"
#include "../reactor/inline_read.h"
#include "batch.h"

static void op_prepare(
    struct filch_op *, enum filch_opcode, struct filch_file *);
static bool op_is_refused(const struct filch__shard *, const struct filch_op *,
    const struct filch_task *, int64_t *);
static bool op_read_inline(struct filch__shard *, struct filch_op *);
static void op_ask_to_end(struct filch_op *);
static bool op_is_misplaced(const struct filch_op *);
static void op_expire(struct filch_timer *, struct filch__expired *);
static inline void op_finish(struct filch_op *);

void
filch_op_init_read(struct filch_op *op, struct filch_file *file, void *buffer,
    size_t size, uint64_t offset)
{
	op_prepare(op, FILCH_OP_READ, file);
	op->priv.a.buffer = buffer;
	op->priv.b.size = size;
	op->priv.offset = offset;
}

void
filch_op_init_write(struct filch_op *op, struct filch_file *file,
    const void *buffer, size_t size, uint64_t offset)
{
	op_prepare(op, FILCH_OP_WRITE, file);
	op->priv.a.source = buffer;
	op->priv.b.size = size;
	op->priv.offset = offset;
}

void
filch_op_init_readv(struct filch_op *op, struct filch_file *file,
    const struct iovec *iov, int count, uint64_t offset)
{
	op_prepare(op, FILCH_OP_READV, file);
	op->priv.a.iov = iov;
	op->priv.b.iov_count = count;
	op->priv.offset = offset;
}

void
filch_op_init_writev(struct filch_op *op, struct filch_file *file,
    const struct iovec *iov, int count, uint64_t offset)
{
	op_prepare(op, FILCH_OP_WRITEV, file);
	op->priv.a.iov = iov;
	op->priv.b.iov_count = count;
	op->priv.offset = offset;
}

void
filch_op_init_fsync(struct filch_op *op, struct filch_file *file)
{
	op_prepare(op, FILCH_OP_FSYNC, file);
}

void
filch_op_init_fdatasync(struct filch_op *op, struct filch_file *file)
{
	op_prepare(op, FILCH_OP_FDATASYNC, file);
}

void
filch_op_init_open(struct filch_op *op, struct filch_file *file, int directory,
    const char *path, int flags, mode_t mode)
{
	op_prepare(op, FILCH_OP_OPEN, file);
	op->priv.a.path = path;
	op->priv.b.open.flags = flags;
	op->priv.b.open.mode = mode;
	op->priv.directory = directory;
}

void
filch_op_init_close(struct filch_op *op, struct filch_file *file)
{
	op_prepare(op, FILCH_OP_CLOSE, file);
}

void
filch_op_init_stat(struct filch_op *op, int directory, const char *path,
    struct filch_stat *stat)
{
	op_prepare(op, FILCH_OP_STAT, NULL);
	op->priv.a.path = path;
	op->priv.b.stat = stat;
	op->priv.directory = directory;
}

void
filch_op_init_fstat(
    struct filch_op *op, struct filch_file *file, struct filch_stat *stat)
{
	op_prepare(op, FILCH_OP_STAT, file);
	op->priv.b.stat = stat;
}

void
filch_op_init_fallocate(struct filch_op *op, struct filch_file *file,
    uint64_t offset, uint64_t length)
{
	op_prepare(op, FILCH_OP_FALLOCATE, file);
	op->priv.offset = offset;
	op->priv.b.length = length;
}

void
filch_op_init_truncate(
    struct filch_op *op, struct filch_file *file, uint64_t size)
{
	op_prepare(op, FILCH_OP_TRUNCATE, file);
	op->priv.b.length = size;
}

void
filch_op_init_unlink(struct filch_op *op, int directory, const char *path)
{
	op_prepare(op, FILCH_OP_UNLINK, NULL);
	op->priv.a.path = path;
	op->priv.directory = directory;
}

void
filch_op_init_rename(struct filch_op *op, int directory_from, const char *from,
    int directory_to, const char *to)
{
	op_prepare(op, FILCH_OP_RENAME, NULL);
	op->priv.a.path = from;
	op->priv.b.path = to;
	op->priv.directory = directory_from;
	op->priv.directory_to = directory_to;
}

void
filch_op_init_mlock(struct filch_op *op, const void *address, size_t length)
{
	op_prepare(op, FILCH_OP_MLOCK, NULL);
	op->priv.a.source = address;
	op->priv.b.size = length;
}

void
filch_op_init_call(struct filch_op *op, filch_call_fn call, void *arg)
{
	op_prepare(op, FILCH_OP_CALL, NULL);
	op->priv.a.call = call;
	op->priv.b.arg = arg;
}

static void
op_prepare(
    struct filch_op *op, enum filch_opcode opcode, struct filch_file *file)
{
	op->priv.opcode = (uint8_t)opcode;
	op->priv.flags = 0;
	op->priv.buffer_index = 0;
	op->priv.state = FILCH__OP_IDLE;
	op->priv.file = file;
	op->priv.a.path = NULL;
	op->priv.result = 0;
	op->priv.cancel_asked = 0;
	op->priv.stop_asked = 0;
	op->priv.pool_tried = 0;
	op->priv.pool_stop = 0;
}

void
filch_op_set_flags(struct filch_op *op, unsigned flags)
{
	filch__require(op->priv.state == FILCH__OP_IDLE,
	    "flags are set before the first poll");
	if (op->priv.opcode == FILCH_OP_CLOSE) {
		/* refused, its descriptor would leak */
		flags &= ~(unsigned)FILCH_OP_NOWAIT;
	}
	op->priv.flags &= (uint8_t)~FILCH__OP_USER_FLAGS;
	op->priv.flags |= (uint8_t)(flags & FILCH__OP_USER_FLAGS);
}

void
filch_op_set_deadline(struct filch_op *op, uint64_t deadline_ns)
{
	filch__require(op->priv.state == FILCH__OP_IDLE,
	    "a deadline is set before the first poll");
	op->priv.flags &= (uint8_t)~FILCH__OP_TIMED;
	if (op->priv.opcode != FILCH_OP_CLOSE && deadline_ns != FILCH_NEVER) {
		op->priv.flags |= FILCH__OP_TIMED;
		op->priv.timed_out = 0;
		filch__timer_init(&op->priv.timer, deadline_ns, op_expire);
	}
}

/* It is in flight; or it was not prepared. */
static enum filch_poll
op_poll_early(struct filch_op *op, struct filch_task *task, uint32_t state)
{
	filch__require(
	    state != FILCH__OP_SPENT, "its result was taken; prepare it anew");
	if (filch__task_has_cancel(task) && !op->priv.cancel_asked) {
		op->priv.cancel_asked = 1;
		filch_op_cancel(op);
	}
	return (FILCH_PENDING);
}

enum filch_poll
filch_op_poll(struct filch_op *op, struct filch_task *task, int64_t *ret_result)
{
	struct filch__shard *shard = filch__shard_current;
	/* [OP1] pairs with op_finish */
	uint32_t state = filch__u32_load_acquire(&op->priv.state);

	filch__require(shard != NULL, "an operation is polled by its task");
	if (filch__unlikely(
		state != FILCH__OP_IDLE && state != FILCH__OP_DONE)) {
		return (op_poll_early(op, task, state));
	}
	if (filch__unlikely(shard->budget == 0)) {
		filch__counter_add(&shard->counters.yields, 1);
		return (filch_task_yield(task));
	}
	if (state == FILCH__OP_IDLE && !filch__op_start(shard, op, task)) {
		return (FILCH_PENDING);
	}
	/* the task will most likely prepare it again */
	filch__prefetch(&op->priv.batch);
	shard->budget--;
	filch__counter_add(&shard->counters.operations[op->priv.opcode], 1);
	*ret_result = op->priv.result;
	/* relaxed: the operation is the task's again */
	filch__u32_store_relaxed(&op->priv.state, FILCH__OP_SPENT);
	return (FILCH_READY);
}

bool
filch__op_start(
    struct filch__shard *shard, struct filch_op *op, struct filch_task *task)
{
	struct filch__reactor *reactor = shard->reactor;
	bool timed = (op->priv.flags & FILCH__OP_TIMED) != 0;

	if (filch__unlikely(op_is_refused(shard, op, task, &op->priv.result))) {
		goto done;
	}
	if ((op->priv.opcode == FILCH_OP_READ ||
		op->priv.opcode == FILCH_OP_READV) &&
	    !reactor->options.inline_io_off && op_read_inline(shard, op)) {
		goto done;
	}
	if (op_is_misplaced(op)) {
		op->priv.result = -ESPIPE;
		goto done;
	}
	if (op->priv.opcode == FILCH_OP_CLOSE) {
		filch__require(op->priv.file->priv.mapping == NULL,
		    "a mapped file is unmapped before it is closed");
		op->priv.directory = op->priv.file->fd;
		op->priv.file->fd = -1;
	}
	op->priv.shard = shard;
	op->priv.task = task;
	if ((op->priv.flags & FILCH__OP_BATCHED) == 0) {
		filch__task_hold(task);
	}
	if (timed) {
		filch__reactor_add_timer(shard, &op->priv.timer);
	}
	reactor->driver->submit(shard, op);
	/* [OP2] pairs with op_expire; [RS1] pairs with filch__reactor_stop */
	if ((timed && filch__u32_load_acquire(&op->priv.timed_out) != 0) ||
	    filch__unlikely(filch__reactor_is_stopping(reactor))) {
		op_ask_to_end(op);
	}
	return (false);
done:
	/* relaxed: no other thread knows of it */
	filch__u32_store_relaxed(&op->priv.state, FILCH__OP_DONE);
	return (true);
}

/* True if a read was carried out on the spot. */
static bool
op_read_inline(struct filch__shard *shard, struct filch_op *op)
{
	uint32_t turn;

	if (!filch__inline_read_is_due(op)) {
		return (false);
	}
	/* once trusted, a mapped file has no system calls to share */
	if (op->priv.file->priv.mapping == NULL) {
		shard->reads++;
		if (shard->gathering) {
			shard->waits++;
			return (false);
		}
		/* in its first place, it could as well wait for the ring */
		shard->waits += shard->budget == shard->budget_full;
	}
	/* relaxed: its own counter, which nobody sets back, unlike reads */
	turn = (uint32_t)filch__u64_load_relaxed(&shard->counters.inline_hits);
	if (filch__inline_read(op, turn, &op->priv.result)) {
		filch__counter_add(&shard->counters.inline_hits, 1);
		return (true);
	}
	filch__counter_add(&shard->counters.inline_misses, 1);
	return (false);
}

/* Refuse what cannot be started; closing is never refused. */
static bool
op_is_refused(const struct filch__shard *shard, const struct filch_op *op,
    const struct filch_task *task, int64_t *ret_result)
{
	bool vector = op->priv.opcode == FILCH_OP_READV ||
	    op->priv.opcode == FILCH_OP_WRITEV;

	if (op->priv.opcode == FILCH_OP_CLOSE) {
		return (false);
	}
	if (filch__reactor_is_stopping(shard->reactor)) {
		*ret_result = -ESHUTDOWN;
		return (true);
	}
	if (filch__task_has_cancel(task)) {
		*ret_result = -ECANCELED;
		return (true);
	}
	if (vector &&
	    (op->priv.b.iov_count < 0 ||
		op->priv.b.iov_count > FILCH_IOV_MAX)) {
		*ret_result = -EINVAL;
		return (true);
	}
	return (false);
}

/* A stream has no offsets; io_uring would pass over them in silence. */
static bool
op_is_misplaced(const struct filch_op *op)
{
	const struct filch_file *file = op->priv.file;

	return (op->priv.opcode <= FILCH_OP_WRITEV && file->fd >= 0 &&
	    (file->priv.flags & FILCH__FILE_STREAM) != 0 &&
	    op->priv.offset != FILCH_OFFSET_CURRENT);
}

void
filch_op_cancel(struct filch_op *op)
{
	/* [OP1] pairs with op_finish, and with submit for the shard */
	uint32_t state = filch__u32_load_acquire(&op->priv.state);

	if (state != FILCH__OP_IDLE && state != FILCH__OP_DONE &&
	    state != FILCH__OP_SPENT) {
		op_ask_to_end(op);
	}
}

/* Closing is always carried out, or the descriptor would leak. */
static void
op_ask_to_end(struct filch_op *op)
{
	struct filch__shard *shard = op->priv.shard;

	if (op->priv.opcode != FILCH_OP_CLOSE) {
		shard->reactor->driver->cancel(op);
	}
}

int64_t
filch_op_result(const struct filch_op *op)
{
	return (op->priv.result);
}

/*
 * The deadline has come.  Under the lock of the timers, which op_finish takes
 * to remove the timer: the operation cannot go away meanwhile, nor on this
 * thread, where filch__reactor_complete leaves what ends for later.
 */
static void
op_expire(struct filch_timer *timer, struct filch__expired *expired)
{
	struct filch_op *op =
	    FILCH__CONTAINER_OF(timer, struct filch_op, priv.timer);

	(void)expired;
	/* [OP2] pairs with filch__op_start */
	filch__u32_store_release(&op->priv.timed_out, 1);
	op_ask_to_end(op);
}

void
filch__op_complete(struct filch_op *list)
{
	while (list != NULL) {
		struct filch_op *op = list;

		list = op->priv.next;
		op_finish(op);
	}
}

/* Say what became of an operation that failed, or opened a file. */
static void
op_settle(struct filch_op *op)
{
	struct filch__shard *shard = op->priv.shard;

	if (op->priv.result == -ECANCELED) {
		if (filch__reactor_is_stopping(shard->reactor)) {
			op->priv.result = -ESHUTDOWN;
		} else if ((op->priv.flags & FILCH__OP_TIMED) != 0 &&
		    filch__u32_load_relaxed(&op->priv.timed_out) != 0) {
			/* relaxed: the lock of the timers orders it */
			op->priv.result = -ETIMEDOUT;
		}
	} else if (op->priv.opcode == FILCH_OP_OPEN && op->priv.result >= 0) {
		int fd = (int)op->priv.result;

		op->priv.result = filch_file_init(op->priv.file, fd);
		if (op->priv.result < 0) {
			(void)close(fd);
		}
	}
}

static inline void
op_finish(struct filch_op *op)
{
	struct filch_task *task = op->priv.task;
	struct filch_batch *batch = NULL;

	if (filch__unlikely((op->priv.flags & FILCH__OP_BATCHED) != 0)) {
		batch = op->priv.batch;
	}
	if (filch__unlikely((op->priv.flags & FILCH__OP_TIMED) != 0)) {
		(void)filch__timers_remove(&op->priv.timer);
	}
	if (filch__unlikely(
		op->priv.result < 0 || op->priv.opcode == FILCH_OP_OPEN)) {
		op_settle(op);
	}
	/* [OP1] pairs with filch_op_poll: op is the task's from here on */
	filch__u32_store_release(&op->priv.state, FILCH__OP_DONE);
	if (filch__unlikely(batch != NULL)) {
		filch__batch_element_done(batch);
	} else {
		filch__task_wake_held(task);
	}
}

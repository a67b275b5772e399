/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stress: the kqueue driver on the model of FreeBSD's kernel, which refuses,
 * delays and reorders at random, tells late and tells what is past, under small
 * limits.  Tasks read, write and sync, some with deadlines, some cancelled,
 * some that do not want to wait; others bring aiocbs of their own, with and
 * without EV_ONESHOT, and lists, and let their Aio go now and then.  Half of
 * the rounds end by shutting down at once.  Conserved: each task ends, what was
 * read is what was written, each result is one that fits, and the kernel has no
 * job left.
 *
 * kqueue [--rounds=N] [--seed=N]
 */
#include "stress.h"

#include <filch/filch.h>

#include <sys/types.h>

#include <sys/event.h>

#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "tests/kqueue_model/model.h"

#define TASKS     96
#define STEPS     12
#define SIZE      64
#define LIST      3
#define FILE_SIZE 4096

struct actor {
	struct filch_task task;
	uint64_t random;
	unsigned left;
	uint64_t ends;
	bool is_list;
	bool is_oneshot;
	bool is_submitted;
	struct filch_op op;
	struct filch_aio *aio;
	struct filch_registrar registrar;
	struct aiocb cbs[LIST];
	struct aiocb *list[LIST];
	bool accepted[LIST];
	unsigned char bytes[LIST][SIZE];
};

static struct stress_options options = { "kqueue", 1, 12, 0 };
static struct filch_executor *executor;
static struct filch_file file;
static struct actor actors[TASKS];
static uint64_t steps;

static void
fail(const char *what, int64_t result)
{
	fprintf(stderr, "kqueue: seed %llu: %s: %lld\n",
	    (unsigned long long)options.seed, what, (long long)result);
	kqueue_model_describe();
	exit(1);
}

/* All of the file is of one byte, so that reads and writes may meet. */
static void
bytes_check(const unsigned char *bytes)
{
	for (unsigned i = 0; i < SIZE; i++) {
		if (bytes[i] != 'x') {
			fail("a byte", bytes[i]);
		}
	}
}

static enum filch_poll
actor_end(struct actor *self)
{
	filch_aio_destroy(self->aio);
	self->aio = NULL;
	self->ends++;
	return (FILCH_READY);
}

/* ---- operations ---- */

static void
op_prepare(struct actor *self)
{
	uint64_t choice = stress_random(&self->random);
	uint64_t offset = choice % (FILE_SIZE - SIZE);

	switch (choice >> 32 & 3) {
	case 0:
		memset(self->bytes[0], 'x', SIZE);
		filch_op_init_write(
		    &self->op, &file, self->bytes[0], SIZE, offset);
		break;
	case 1:
		filch_op_init_fdatasync(&self->op, &file);
		break;
	default:
		memset(self->bytes[0], 0, SIZE);
		filch_op_init_read(
		    &self->op, &file, self->bytes[0], SIZE, offset);
	}
	if ((choice >> 40 & 3) == 0) {
		filch_op_set_deadline(
		    &self->op, filch_now() + (choice >> 44 & 0xffff));
	} else if ((choice >> 40 & 15) == 1) {
		filch_op_set_flags(&self->op, FILCH_OP_NOWAIT);
	}
	self->is_submitted = true;
}

static enum filch_poll
op_actor_poll(struct filch_task *task)
{
	struct actor *self = filch_container_of(task, struct actor, task);
	int64_t result;

	while (self->left > 0) {
		if (!self->is_submitted) {
			op_prepare(self);
		}
		if (filch_op_poll(&self->op, task, &result) == FILCH_PENDING) {
			if (stress_random(&self->random) % 8 == 0) {
				filch_op_cancel(&self->op);
			}
			return (FILCH_PENDING);
		}
		if (result == SIZE) {
			bytes_check(self->bytes[0]);
		} else if (result != 0 && result != -ECANCELED &&
		    result != -ETIMEDOUT && result != -EAGAIN &&
		    result != -ESHUTDOWN) {
			fail("an operation", result);
		}
		self->is_submitted = false;
		self->left--;
		__atomic_fetch_add(&steps, 1, __ATOMIC_RELAXED);
	}
	return (actor_end(self));
}

/* ---- sources ---- */

static int
actor_register(void *source, const struct filch_registrar *registrar)
{
	struct actor *self = source;

	self->registrar = *registrar;
	return (0);
}

static const struct filch_aio_source_vtable actor_vtable = {
	.register_source = actor_register,
};

static void
event_fill(const struct actor *self, struct sigevent *event)
{
	memset(event, 0, sizeof(*event));
	event->sigev_notify = SIGEV_KEVENT;
	event->sigev_notify_kqueue = self->registrar.kqueue;
	event->sigev_notify_kevent_flags = self->is_oneshot ? EV_ONESHOT : 0;
	event->sigev_value.sival_ptr = (void *)(uintptr_t)self->registrar.token;
}

/* True if an event will tell. */
static bool
source_submit(struct actor *self)
{
	struct sigevent event;
	unsigned count = self->is_list ? LIST : 1;
	unsigned taken = 0;
	unsigned i;
	int result;

	event_fill(self, &event);
	for (i = 0; i < count; i++) {
		struct aiocb *cb = &self->cbs[i];

		memset(cb, 0, sizeof(*cb));
		memset(self->bytes[i], 0, SIZE);
		cb->aio_fildes = file.fd;
		cb->aio_buf = self->bytes[i];
		cb->aio_nbytes = SIZE;
		cb->aio_offset =
		    (off_t)(stress_random(&self->random) % (FILE_SIZE - SIZE));
		cb->aio_lio_opcode = LIO_READ;
		self->list[i] = cb;
	}
	if (!self->is_list) {
		self->cbs[0].aio_sigevent = event;
		result = aio_read(&self->cbs[0]);
		self->accepted[0] = result == 0;
		return (result == 0);
	}
	result = lio_listio(LIO_NOWAIT, self->list, LIST, &event);
	for (i = 0; i < LIST; i++) {
		int error = result == 0 ? 0 : aio_error(&self->cbs[i]);

		self->accepted[i] = error == 0 || error == EINPROGRESS;
		taken += self->accepted[i];
	}
	return (taken > 0);
}

/* Reap all, after waiting for it; false: not all has ended, but must have. */
static bool
source_reap(struct actor *self, bool must_end)
{
	unsigned count = self->is_list ? LIST : 1;
	unsigned i;

	for (i = 0; i < count; i++) {
		const struct aiocb *one = &self->cbs[i];

		while (self->accepted[i] && aio_error(one) == EINPROGRESS) {
			if (must_end) {
				return (false);
			}
			(void)aio_suspend(&one, 1, NULL);
		}
	}
	for (i = 0; i < count; i++) {
		ssize_t result = SIZE;

		if (self->accepted[i]) {
			result = aio_return(&self->cbs[i]);
			self->accepted[i] = false;
			bytes_check(self->bytes[i]);
		}
		if (result != SIZE) {
			fail("aio_return", result);
		}
	}
	return (true);
}

static int
source_bind(struct actor *self)
{
	if (self->is_list) {
		return (filch_aio_new_for_lio(
		    executor, &actor_vtable, self, LIST, &self->aio));
	}
	return (
	    filch_aio_new_for_aio(executor, &actor_vtable, self, &self->aio));
}

static enum filch_poll
source_actor_poll(struct filch_task *task)
{
	struct actor *self = filch_container_of(task, struct actor, task);
	struct filch_aio_event event;
	int status;

	while (self->left > 0) {
		if (self->aio == NULL && source_bind(self) != 0) {
			break; /* it shuts down */
		}
		if (!self->is_submitted) {
			self->left--;
			self->is_submitted = source_submit(self);
			continue;
		}
		if (filch_aio_poll_ready(self->aio, task, &event, &status) ==
		    FILCH_PENDING) {
			return (FILCH_PENDING);
		}
		if (status != 0) {
			(void)source_reap(self, false);
			break;
		}
		if (!source_reap(self, true)) {
			/* told of what it has reaped already */
			filch_aio_clear_ready(self->aio, event);
			continue;
		}
		filch_aio_clear_ready(self->aio, event);
		self->is_submitted = false;
		__atomic_fetch_add(&steps, 1, __ATOMIC_RELAXED);
		if (stress_random(&self->random) % 4 == 0) {
			filch_aio_destroy(self->aio);
			self->aio = NULL;
		}
	}
	if (self->is_submitted) {
		(void)source_reap(self, false);
	}
	return (actor_end(self));
}

/* ---- rounds ---- */

static void
model_shuffle(uint64_t *random)
{
	struct kqueue_model_options model = KQUEUE_MODEL_OPTIONS_INIT;

	model.seed = stress_random(random);
	model.version = 1400;
	model.max_aio_queue_per_proc = (int)(2 + stress_random(random) % 60);
	model.delay = (int)(stress_random(random) % 300);
	model.slow = (int)(stress_random(random) % 300);
	model.stale = (int)(stress_random(random) % 300);
	model.late = (int)(stress_random(random) % 300);
	model.linger = (int)(stress_random(random) % 300);
	model.reorder = (int)(stress_random(random) % 300);
	model.eagain = (int)(stress_random(random) % 300);
	model.eopnotsupp = (int)(stress_random(random) % 300);
	model.busy = (int)(stress_random(random) % 300);
	kqueue_model_set(&model);
}

static void
round_run(uint64_t *random)
{
	struct filch_executor_options of = FILCH_EXECUTOR_OPTIONS_INIT;
	struct kqueue_model_counts counts;
	bool at_once = stress_random(random) % 2 == 0;
	unsigned i;

	model_shuffle(random);
	of.worker_count = 2 + (unsigned)(stress_random(random) % 3);
	of.driver = FILCH_DRIVER_KQUEUE;
	of.inline_io_off = true;
	if (filch_executor_create(&of, &executor) != 0) {
		fail("an executor", 0);
	}
	for (i = 0; i < TASKS; i++) {
		struct actor *self = &actors[i];

		memset(self, 0, sizeof(*self));
		self->random = stress_random(random) | 1;
		self->left = STEPS;
		self->is_list = i % 6 == 1;
		self->is_oneshot = i % 6 == 2;
		filch_task_init(&self->task,
		    i % 6 < 3 && i % 6 > 0 ? source_actor_poll : op_actor_poll,
		    NULL);
		if (filch_executor_spawn(executor, &self->task) != 0) {
			fail("a task", i);
		}
	}
	if (filch_executor_shutdown(executor,
		at_once ? FILCH_SHUTDOWN_IMMEDIATE : FILCH_SHUTDOWN_GRACEFUL,
		FILCH_NEVER) != 0) {
		fail("the shutdown", at_once);
	}
	filch_executor_destroy(executor);
	for (i = 0; i < TASKS; i++) {
		stress_same(&options, "ends of a task", 1, actors[i].ends);
	}
	kqueue_model_counts(&counts);
	stress_same(&options, "jobs left", 0, counts.jobs);
	stress_same(&options, "knotes left", 0, counts.knotes);
}

int
main(int argc, char **argv)
{
	char path[] = "/tmp/filch-stress-XXXXXX";
	unsigned char bytes[FILE_SIZE];
	int fd = mkstemp(path);

	stress_options(&options, argc, argv);
	memset(bytes, 'x', sizeof(bytes));
	if (fd < 0 || unlink(path) != 0 ||
	    pwrite(fd, bytes, sizeof(bytes), 0) != FILE_SIZE ||
	    filch_file_init(&file, fd) != 0) {
		fprintf(stderr, "kqueue: cannot make a file\n");
		return (1);
	}
	stress_rounds(&options, round_run);
	printf(", %llu steps of tasks that all ended\n",
	    (unsigned long long)steps);
	return (0);
}

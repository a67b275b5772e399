/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * After an executor was created its hot way allocates nothing.  The linker
 * sends the calls of malloc and its like that come from the library or from
 * here to the wrappers below (--wrap), which count while a test says so.
 */
#include <stdlib.h>
#include <unistd.h>

#include "helpers.h"

/* Rounds of whatever is done; none may cost an allocation. */
#define TIMES 200

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void __wrap_free(void *memory);

static int is_counting;
static uint64_t calls;

static void
count_call(void)
{
	if (__atomic_load_n(&is_counting, __ATOMIC_SEQ_CST) != 0) {
		__atomic_fetch_add(&calls, 1, __ATOMIC_SEQ_CST);
	}
}

void *
__wrap_malloc(size_t size)
{
	count_call();
	return (__real_malloc(size));
}

void *
__wrap_calloc(size_t count, size_t size)
{
	count_call();
	return (__real_calloc(count, size));
}

void *
__wrap_realloc(void *memory, size_t size)
{
	count_call();
	return (__real_realloc(memory, size));
}

void *
__wrap_aligned_alloc(size_t alignment, size_t size)
{
	count_call();
	return (__real_aligned_alloc(alignment, size));
}

void
__wrap_free(void *memory)
{
	count_call();
	__real_free(memory);
}

static uint64_t
calls_during(void (*work)(void))
{
	calls = 0;
	__atomic_store_n(&is_counting, 1, __ATOMIC_SEQ_CST);
	work();
	__atomic_store_n(&is_counting, 0, __ATOMIC_SEQ_CST);
	return (calls);
}

static struct filch_executor *executor;
static struct filch_file file;
static struct filch_file ends[2]; /* of a pipe */

/* Called while counting: nothing of Criterion, which allocates. */
static void
must(bool good)
{
	if (!good) {
		abort();
	}
}

static void
executor_make(void)
{
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;

	options.worker_count = 2;
	options.deque_capacity = FILCH_DEQUE_CAPACITY_MIN;
	must(filch_executor_create(&options, &executor) == 0);
}

static void
executor_end(void)
{
	filch_executor_destroy(executor);
}

static void
setup(void)
{
	char path[] = "/tmp/filch-allocation-XXXXXX";
	int fd = mkstemp(path);
	int fds[2];

	cr_assert_geq(fd, 0);
	unlink(path);
	cr_assert_eq(pipe(fds), 0);
	cr_assert_eq(filch_file_init(&file, fd), 0);
	cr_assert_eq(filch_file_init(&ends[0], fds[0]), 0);
	cr_assert_eq(filch_file_init(&ends[1], fds[1]), 0);
	executor_make();
}

TestSuite(allocation, .init = setup, .fini = executor_end, .timeout = 60);

/* If these did not move, the other tests would prove nothing. */
Test(allocation, create_and_destroy_are_seen_to_allocate_and_free)
{
	executor_end();
	cr_assert_gt(calls_during(executor_make), 0);
	cr_assert_gt(calls_during(executor_end), 0);
	executor_make();
}

/* ---- tasks ---- */

static enum filch_poll
poll_ready(struct filch_task *task)
{
	(void)task;
	return (FILCH_READY);
}

struct family {
	struct filch_task task;
	struct filch_task children[50];
};

/* Spawns more than its deque has room for. */
static enum filch_poll
family_poll(struct filch_task *task)
{
	struct family *self = filch_container_of(task, struct family, task);

	for (int i = 0; i < 50; i++) {
		filch_task_init(&self->children[i], poll_ready, NULL);
		must(filch_executor_spawn(executor, &self->children[i]) == 0);
	}
	return (FILCH_READY);
}

static void
work_spawning(void)
{
	static struct family families[TIMES];
	static struct filch_task tasks[TIMES];

	for (int i = 0; i < TIMES; i++) {
		filch_task_init(&families[i].task, family_poll, NULL);
		must(filch_executor_block_on(executor, &families[i].task) == 0);
		filch_task_init(&tasks[i], poll_ready, NULL);
		must(filch_executor_spawn(executor, &tasks[i]) == 0);
	}
}

Test(allocation, spawning_and_joining_do_not_allocate)
{
	cr_assert_eq(calls_during(work_spawning), 0);
}

struct turner {
	struct filch_task task;
	struct filch_waker waker;
	sem_t polled;
	bool may_end;
	int left;
};

/* Yields, then waits to be woken. */
static enum filch_poll
turner_poll(struct filch_task *task)
{
	struct turner *self = filch_container_of(task, struct turner, task);

	if (self->left-- > 0) {
		return (filch_task_yield(task));
	}
	if (__atomic_load_n(&self->may_end, __ATOMIC_ACQUIRE)) {
		return (FILCH_READY);
	}
	if (self->waker.vtable == NULL) {
		self->waker = filch_task_waker(task);
	}
	sem_post(&self->polled);
	return (FILCH_PENDING);
}

static void
work_waking(void)
{
	struct turner self = { .left = TIMES };

	sem_init(&self.polled, 0, 0);
	filch_task_init(&self.task, turner_poll, NULL);
	must(filch_executor_spawn_joinable(executor, &self.task) == 0);
	for (int i = 0; i < TIMES; i++) {
		struct filch_waker clone;

		while (sem_wait(&self.polled) != 0) {
			continue;
		}
		clone = filch_waker_clone(&self.waker);
		filch_waker_wake(&clone);
	}
	__atomic_store_n(&self.may_end, true, __ATOMIC_RELEASE);
	filch_task_cancel(&self.task);
	must(filch_task_join(&self.task) == 0);
	filch_waker_drop(&self.waker);
}

Test(allocation, waking_yielding_and_cancelling_do_not_allocate)
{
	cr_assert_eq(calls_during(work_waking), 0);
}

/* ---- operations ---- */

/* Does one thing after the other, as often as there are rounds. */
struct worker {
	struct filch_task task;
	struct filch_op op;
	struct filch_sleep sleep;
	int step;
	int steps; /* of a round */
	bool is_started;
	void (*prepare)(struct worker *);
	bool sleeps; /* what this step does */
	char data[64];
};

static enum filch_poll
worker_poll(struct filch_task *task)
{
	struct worker *self = filch_container_of(task, struct worker, task);
	enum filch_poll answer;
	int64_t result;
	int slept;

	while (self->step < self->steps * TIMES) {
		if (!self->is_started) {
			self->prepare(self);
			self->is_started = true;
		}
		answer = self->sleeps
		    ? filch_sleep_poll(&self->sleep, task, &slept)
		    : filch_op_poll(&self->op, task, &result);
		if (answer == FILCH_PENDING) {
			return (FILCH_PENDING);
		}
		must(self->sleeps ? slept == 0
				  : result >= 0 || result == -ETIMEDOUT);
		self->is_started = false;
		self->step++;
	}
	return (FILCH_READY);
}

static void
worker_run(int steps, void (*prepare)(struct worker *))
{
	struct worker self = { .steps = steps, .prepare = prepare };

	filch_task_init(&self.task, worker_poll, NULL);
	must(filch_executor_block_on(executor, &self.task) == 0);
}

static void
prepare_file(struct worker *self)
{
	switch (self->step % 4) {
	case 0:
		filch_op_init_write(&self->op, &file, self->data, 64, 0);
		break;
	case 1:
		filch_op_init_read(&self->op, &file, self->data, 64, 0);
		break;
	case 2:
		filch_op_init_read(&self->op, &file, self->data, 64, 0);
		filch_op_set_flags(&self->op, FILCH_OP_NO_INLINE);
		break;
	default:
		filch_op_init_truncate(&self->op, &file, 64);
	}
}

static void
work_files(void)
{
	worker_run(4, prepare_file);
}

Test(allocation, reads_and_writes_of_files_do_not_allocate)
{
	cr_assert_eq(calls_during(work_files), 0);
}

/* A write that a read fetches, and one in a while that comes too late. */
static void
prepare_pipe(struct worker *self)
{
	if (self->step % 3 == 0) {
		filch_op_init_write(
		    &self->op, &ends[1], self->data, 64, FILCH_OFFSET_CURRENT);
		return;
	}
	filch_op_init_read(
	    &self->op, &ends[0], self->data, 64, FILCH_OFFSET_CURRENT);
	filch_op_set_deadline(&self->op,
	    self->step % 3 == 1 ? FILCH_NEVER - 1 : filch_now() + 10000);
}

static void
work_pipes(void)
{
	worker_run(3, prepare_pipe);
}

Test(allocation, pipes_and_deadlines_do_not_allocate)
{
	cr_assert_eq(calls_during(work_pipes), 0);
}

static void
prepare_sleep(struct worker *self)
{
	self->sleeps = true;
	filch_sleep_init(&self->sleep, filch_now() + 10000);
}

static void
work_sleeping(void)
{
	worker_run(1, prepare_sleep);
}

Test(allocation, sleeping_does_not_allocate)
{
	cr_assert_eq(calls_during(work_sleeping), 0);
}

/* ---- batches and commits ---- */

#define ELEMENTS 8

struct list {
	struct filch_task task;
	struct filch_batch batch;
	struct filch_op ops[ELEMENTS];
	struct filch_op *pointers[ELEMENTS];
	struct filch_commit commit;
	struct filch_commit_write writes[ELEMENTS];
	char data[ELEMENTS][64];
	int step;
	bool is_started;
};

static void
list_prepare(struct list *self)
{
	for (int i = 0; i < ELEMENTS; i++) {
		self->pointers[i] = &self->ops[i];
		filch_op_init_write(
		    &self->ops[i], &file, self->data[i], 64, (uint64_t)i * 64);
		self->writes[i] = (struct filch_commit_write){
			.data = self->data[i],
			.size = 64,
			.offset = (uint64_t)i * 64,
		};
	}
	filch_batch_init(&self->batch, self->pointers, ELEMENTS);
	filch_commit_init(&self->commit, &file, self->writes, ELEMENTS,
	    self->pointers, FILCH_COMMIT_FDATASYNC);
}

static enum filch_poll
list_poll(struct filch_task *task)
{
	struct list *self = filch_container_of(task, struct list, task);
	size_t failed = 0;
	int verdict = 0;

	while (self->step < TIMES / 10) {
		enum filch_poll answer;

		if (!self->is_started) {
			list_prepare(self);
			self->is_started = true;
		}
		answer = self->step % 2 == 0
		    ? filch_batch_poll(&self->batch, task, &failed)
		    : filch_commit_poll(&self->commit, task, &verdict);
		if (answer == FILCH_PENDING) {
			return (FILCH_PENDING);
		}
		must(failed == 0 && verdict == 0);
		self->is_started = false;
		self->step++;
	}
	return (FILCH_READY);
}

static void
work_lists(void)
{
	static struct list list;

	list.step = 0;
	filch_task_init(&list.task, list_poll, NULL);
	must(filch_executor_block_on(executor, &list.task) == 0);
}

Test(allocation, batches_do_not_allocate)
{
	cr_assert_eq(calls_during(work_lists), 0);
}

/* ---- buffers ---- */

static struct filch_buffer_pool *buffers;

static void
work_buffers(void)
{
	for (int i = 0; i < TIMES; i++) {
		void *one = filch_buffer_pool_take(buffers);
		void *two = filch_buffer_pool_take(buffers);

		must(one != NULL && two != NULL);
		filch_buffer_pool_give(buffers, one);
		filch_buffer_pool_give(buffers, two);
	}
}

Test(allocation, taking_buffers_does_not_allocate)
{
	cr_assert_eq(
	    filch_buffer_pool_create(executor, 4096, 2, 0, &buffers), 0);
	cr_assert_eq(calls_during(work_buffers), 0);
	filch_buffer_pool_destroy(buffers);
}

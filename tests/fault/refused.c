/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An operation that the ring refuses while its reaper holds the lock of the
 * timers: a deadline asks for a cancel, which has no room in the ring until
 * something is reaped.  The pool can start no thread, so whoever hands the
 * operation on carries it out, and it takes its time; by then that lock must
 * have been left.  The clock jumps to the deadline, when the ring is full.
 *
 * The operation is a read of a pipe.  Its entry is turned into one that does
 * nothing and tells of nothing; what the ring says in its place comes from
 * another ring (IORING_OP_MSG_RING, Linux 5.18), at the right moment.
 */
#include "work.h"

#include <pthread.h>
#include <sched.h>

#if !defined(FILCH_HAVE_URING)

int
main(void)
{
	printf("1..0 # SKIP built without io_uring\n");
	return (77);
}

#else

#include <liburing.h>

#include "include/private/executor_link.h"
#include "reactor/uring.h"

#define CROWD   FILCH_RING_ENTRIES_MIN
#define LATE_S  3600
#define LATE_NS (UINT64_C(1000000000) * LATE_S)

static struct {
	struct filch__uring_shard *us;
	struct filch_op *op; /* the ring is going to refuse it */
	int error;
	bool silenced; /* its entry is */
	bool closed;   /* the ring takes nothing */
	bool told;     /* the operation is refused */
} ring;

static time_t ahead_s; /* of the clock, for all but the kernel */

static pthread_mutex_t entering = PTHREAD_MUTEX_INITIALIZER;

FAULT_WRAP(int, pthread_create,
    (pthread_t * thread, const pthread_attr_t *attributes,
	void *(*start)(void *), void *arg),
    (thread, attributes, start, arg), FAULT_NUMBER)

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

int
__wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	int result = __real_clock_gettime(clock, now);

	if (result == 0) {
		now->tv_sec += __atomic_load_n(&ahead_s, __ATOMIC_RELAXED);
	}
	return (result);
}

int __real_io_uring_enter(unsigned fd, unsigned submit, unsigned wait,
    unsigned flags, sigset_t *mask);
int __wrap_io_uring_enter(unsigned fd, unsigned submit, unsigned wait,
    unsigned flags, sigset_t *mask);

/* The operation's entry is among those that the kernel has not taken yet. */
static void
entries_look(void)
{
	struct io_uring_sq *sq = &ring.us->ring.sq;
	unsigned head = __atomic_load_n(sq->khead, __ATOMIC_ACQUIRE);
	unsigned tail = __atomic_load_n(sq->ktail, __ATOMIC_ACQUIRE);

	for (; head != tail; head++) {
		struct io_uring_sqe *sqe = &sq->sqes[head & sq->ring_mask];

		if (sqe->user_data != (uint64_t)(uintptr_t)ring.op) {
			continue;
		}
		memset(sqe, 0, sizeof(*sqe));
		sqe->opcode = IORING_OP_NOP;
		sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
		__atomic_store_n(&ring.silenced, true, __ATOMIC_RELEASE);
	}
}

/* Have the ring say that it refuses the operation. */
static void
tell(void)
{
	struct io_uring other;
	struct io_uring_cqe *cqe;
	struct io_uring_sqe *sqe;

	FAULT_EQUAL(io_uring_queue_init(2, &other, 0), 0);
	sqe = io_uring_get_sqe(&other);
	io_uring_prep_msg_ring(sqe, ring.us->ring.ring_fd, (unsigned)ring.error,
	    (uint64_t)(uintptr_t)ring.op, 0);
	FAULT_EQUAL(io_uring_submit_and_wait(&other, 1), 1);
	FAULT_EQUAL(io_uring_peek_cqe(&other, &cqe), 0);
	if (cqe->res == -EINVAL || cqe->res == -EOPNOTSUPP) {
		_exit(FAULT_EXIT_SKIP); /* Linux before 5.18 */
	}
	FAULT_EQUAL(cqe->res, 0);
	io_uring_queue_exit(&other);
}

/* True if the ring takes nothing; it does when what it told is reaped. */
static bool
is_closed(void)
{
	if (!__atomic_load_n(&ring.closed, __ATOMIC_ACQUIRE)) {
		return (false);
	}
	if (filch__expired_current == NULL) {
		return (true);
	}
	/* the shard's lock is held: nobody reaps just now */
	if (!__atomic_load_n(&ring.told, __ATOMIC_RELAXED)) {
		__atomic_store_n(&ring.told, true, __ATOMIC_RELEASE);
		tell();
	} else if (filch__uring_cq_is_empty(ring.us)) {
		__atomic_store_n(&ring.closed, false, __ATOMIC_RELEASE);
	}
	return (__atomic_load_n(&ring.closed, __ATOMIC_RELAXED));
}

int
__wrap_io_uring_enter(
    unsigned fd, unsigned submit, unsigned wait, unsigned flags, sigset_t *mask)
{
	int result;

	if (submit > 0 && is_closed()) {
		return (-EAGAIN);
	}
	pthread_mutex_lock(&entering);
	if (ring.us != NULL &&
	    !__atomic_load_n(&ring.silenced, __ATOMIC_RELAXED)) {
		entries_look();
	}
	if (wait == 0) {
		result = __real_io_uring_enter(fd, submit, wait, flags, mask);
		pthread_mutex_unlock(&entering);
		return (result);
	}
	pthread_mutex_unlock(&entering);
	return (__real_io_uring_enter(fd, submit, wait, flags, mask));
}

int __real_io_uring_enter2(unsigned fd, unsigned submit, unsigned wait,
    unsigned flags, sigset_t *mask, size_t size);
int __wrap_io_uring_enter2(unsigned fd, unsigned submit, unsigned wait,
    unsigned flags, sigset_t *mask, size_t size);

/* How a worker sleeps that has a deadline, as those of the crowd have. */
int
__wrap_io_uring_enter2(unsigned fd, unsigned submit, unsigned wait,
    unsigned flags, sigset_t *mask, size_t size)
{
	if (submit > 0 && is_closed()) {
		return (-EAGAIN);
	}
	return (__real_io_uring_enter2(fd, submit, wait, flags, mask, size));
}

static void
pipe_open(struct filch_file ends[2])
{
	int fds[2];

	FAULT_EQUAL(pipe2(fds, O_CLOEXEC), 0);
	for (unsigned i = 0; i < 2; i++) {
		FAULT_EQUAL(filch_file_init(&ends[i], fds[i]), 0);
	}
}

static void
pipe_close(struct filch_file ends[2])
{
	(void)close(ends[0].fd);
	(void)close(ends[1].fd);
}

/* Reads that fill the submission queue, each with a deadline. */
struct crowd {
	struct work_one ones[CROWD];
	struct filch_op ops[CROWD];
	char bytes[CROWD];
};

static void
crowd_start(struct crowd *crowd, struct filch_executor *executor,
    struct filch_file *file, uint64_t deadline_ns)
{
	for (unsigned i = 0; i < CROWD; i++) {
		filch_op_init_read(&crowd->ops[i], file, &crowd->bytes[i], 1,
		    FILCH_OFFSET_CURRENT);
		filch_op_set_deadline(&crowd->ops[i], deadline_ns);
		work_start(executor, &crowd->ones[i], &crowd->ops[i]);
	}
}

/* The ring is full, and stays so until what it refuses is reaped. */
static void
ring_close(const struct fault_case *one, struct filch_executor *executor,
    struct crowd *crowd, struct filch_file *file)
{
	fault_arm(one->symbol, one->error, 1, 1);
	__atomic_store_n(&ring.closed, true, __ATOMIC_RELEASE);
	crowd_start(crowd, executor, file, filch_now() + LATE_NS);
	while (filch__uring_pending(ring.us) < CROWD) {
		sched_yield();
	}
}

static void
refused_while_expiring(const struct fault_case *one, unsigned at)
{
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;
	struct filch_executor *executor;
	struct filch__shard *shard;
	struct filch_file slow[2];
	struct filch_file late[2];
	struct crowd crowd;
	struct work_one reader;
	struct filch_op read;
	char byte;

	if (at > 1) {
		return;
	}
	options.worker_count = 1;
	options.driver = FILCH_DRIVER_URING;
	options.ring_entries = CROWD;
	fault_leak_begin();
	FAULT_EQUAL(filch_executor_create(&options, &executor), 0);
	shard = &filch__executor_reactor(executor)->shards[0];
	pipe_open(slow);
	pipe_open(late);
	filch_op_init_read(&read, &slow[0], &byte, 1, FILCH_OFFSET_CURRENT);
	pthread_mutex_lock(&entering);
	ring.us = filch__uring_shard(shard);
	ring.op = &read;
	ring.error = one->what;
	pthread_mutex_unlock(&entering);
	work_start(executor, &reader, &read);
	while (!__atomic_load_n(&ring.silenced, __ATOMIC_ACQUIRE)) {
		sched_yield();
	}
	ring_close(one, executor, &crowd, &late[0]);
	__atomic_store_n(&ahead_s, LATE_S, __ATOMIC_RELAXED);
	while (!__atomic_load_n(&ring.told, __ATOMIC_ACQUIRE)) {
		sched_yield();
	}
	/* it was told under this lock; the read goes on until it is left */
	(void)filch__timers_is_empty(&shard->timers);
	FAULT_EQUAL(write(slow[1].fd, "x", 1), 1);
	FAULT_EQUAL(work_end(&reader), 1);
	for (unsigned i = 0; i < CROWD; i++) {
		FAULT_EQUAL(work_end(&crowd.ones[i]), -ETIMEDOUT);
	}
	fault_disarm();
	filch_executor_destroy(executor);
	pipe_close(slow);
	pipe_close(late);
	fault_leak_end();
}

static const struct fault_case cases[] = {
	{ "refused while deadlines expire", "pthread_create", EAGAIN, 1,
	    FILCH_DRIVER_URING, refused_while_expiring, -EOPNOTSUPP },
	{ "refused while deadlines expire, unknown", "pthread_create", EAGAIN,
	    1, FILCH_DRIVER_URING, refused_while_expiring, -ENOSYS },
};

FAULT_MAIN(cases)

#endif

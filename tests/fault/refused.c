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
 *
 * And a read whose pipe has nothing yet, which the ring says while it takes
 * nothing either: there is no room to have the pipe watched, so the read has to
 * wait for room, and be tried again.  It may be the reactor's thread that reaps
 * that, while the worker hands over all there is and goes to sleep.
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

#define CROWD         FILCH_RING_ENTRIES_MIN
#define LATE_S        3600
#define LATE_NS       (UINT64_C(1000000000) * LATE_S)
/* What is refused in a race: an entry for the pipe, and one for the read. */
#define RACE_REFUSALS 2
/* Reads that fill the queue together with what a wake completes. */
#define RACE_CROWD    (CROWD - 1)

static struct {
	struct filch__uring_shard *us;
	struct filch_op *op; /* the ring is going to refuse it */
	int error;
	bool silenced; /* its entry is */
	bool closed;   /* the ring takes nothing */
	bool opens;    /* it does again when the operation waits for room */
	bool races;    /* it is refused while the worker goes to sleep */
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

/* The operation is refused when the queue is full; open when it waits. */
static void
is_closed_to_poll(void)
{
	if (filch__shard_current != ring.us->shard) {
		return;
	}
	if (!ring.told && filch__uring_pending(ring.us) == CROWD) {
		ring.told = true;
		tell();
	} else if (filch__u32_load_acquire(&ring.op->priv.state) ==
	    FILCH__OP_WAITING) {
		__atomic_store_n(&ring.closed, false, __ATOMIC_RELEASE);
	}
}

/* True if the ring takes nothing; it does when what it told is reaped. */
static bool
is_closed(void)
{
	if (!__atomic_load_n(&ring.closed, __ATOMIC_ACQUIRE)) {
		return (false);
	}
	if (ring.opens) {
		is_closed_to_poll();
		return (true);
	}
	if (ring.races) {
		return (true);
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

/* The reactor's thread reaps while the worker goes to sleep in the ring. */
static _Thread_local bool is_racing;
static _Thread_local unsigned worker_fd;
static _Thread_local unsigned worker_flags;
static _Thread_local unsigned refusals; /* calls of the reactor's thread */

static void
race(unsigned fd, unsigned flags)
{
	struct filch__shard *shard = filch__shard_current;

	tell();
	worker_fd = fd;
	worker_flags = flags & IORING_ENTER_REGISTERED_RING;
	refusals = 0;
	filch__shard_current = NULL;
	filch__reactor_current = shard->reactor;
	is_racing = true;
	(void)filch__uring_reap(shard);
	is_racing = false;
	filch__reactor_current = NULL;
	filch__shard_current = shard;
	FAULT_EQUAL(refusals, RACE_REFUSALS);
	__atomic_store_n(&ring.told, true, __ATOMIC_RELEASE);
}

/* The third call finds that the worker has handed over all there was. */
static int
race_enter(unsigned fd, unsigned submit)
{
	if (refusals < RACE_REFUSALS) {
		refusals++;
		(void)fault_take("io_uring_enter");
		return (-EAGAIN);
	}
	FAULT_EQUAL(
	    __real_io_uring_enter(worker_fd, CROWD, 0, worker_flags, NULL),
	    CROWD);
	return (__real_io_uring_enter(fd, submit, 0, 0, NULL));
}

/* The worker has filled the queue and is going to sleep. */
static bool
race_begins(unsigned submit, unsigned wait)
{
	return (ring.us != NULL && ring.races && !ring.told && wait > 0 &&
	    submit == CROWD);
}

int
__wrap_io_uring_enter(
    unsigned fd, unsigned submit, unsigned wait, unsigned flags, sigset_t *mask)
{
	int result;

	if (is_racing && submit > 0) {
		return (race_enter(fd, submit));
	}
	if (race_begins(submit, wait)) {
		__atomic_store_n(&ring.closed, false, __ATOMIC_RELEASE);
		race(fd, flags);
		submit = 0; /* it is done */
	}
	if (submit > 0 && is_closed()) {
		(void)fault_take("io_uring_enter");
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
    struct filch_file *file, unsigned count, uint64_t deadline_ns)
{
	for (unsigned i = 0; i < count; i++) {
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
	crowd_start(crowd, executor, file, CROWD, filch_now() + LATE_NS);
	while (filch__uring_pending(ring.us) < CROWD &&
	    __atomic_load_n(&ring.closed, __ATOMIC_ACQUIRE)) {
		sched_yield();
	}
}

struct refusal {
	struct filch_executor *executor;
	struct filch__shard *shard;
	struct filch_file slow[2];
	struct filch_file late[2];
	struct crowd crowd;
	struct work_one reader;
	struct filch_op read;
	char byte;
};

/* A read that the ring keeps silent of. */
static void
refusal_begin(struct refusal *self, const struct fault_case *one)
{
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;

	options.worker_count = 1;
	options.driver = FILCH_DRIVER_URING;
	options.ring_entries = CROWD;
	fault_leak_begin();
	FAULT_EQUAL(filch_executor_create(&options, &self->executor), 0);
	self->shard = &filch__executor_reactor(self->executor)->shards[0];
	pipe_open(self->slow);
	pipe_open(self->late);
	filch_op_init_read(
	    &self->read, &self->slow[0], &self->byte, 1, FILCH_OFFSET_CURRENT);
	pthread_mutex_lock(&entering);
	ring.us = filch__uring_shard(self->shard);
	ring.op = &self->read;
	ring.error = one->what;
	pthread_mutex_unlock(&entering);
	work_start(self->executor, &self->reader, &self->read);
	while (!__atomic_load_n(&ring.silenced, __ATOMIC_ACQUIRE)) {
		sched_yield();
	}
}

/* The read gets its byte after all. */
static void
refusal_read(struct refusal *self)
{
	FAULT_EQUAL(write(self->slow[1].fd, "x", 1), 1);
	FAULT_EQUAL(work_end(&self->reader), 1);
}

/* So many of the crowd end that way. */
static void
refusal_end(struct refusal *self, unsigned count, int64_t crowd_result)
{
	for (unsigned i = 0; i < count; i++) {
		FAULT_EQUAL(work_end(&self->crowd.ones[i]), crowd_result);
	}
	fault_disarm();
	filch_executor_destroy(self->executor);
	pipe_close(self->slow);
	pipe_close(self->late);
	fault_leak_end();
}

static void
refused_while_expiring(const struct fault_case *one, unsigned at)
{
	struct refusal refusal;

	if (at > 1) {
		return;
	}
	refusal_begin(&refusal, one);
	ring_close(one, refusal.executor, &refusal.crowd, &refusal.late[0]);
	__atomic_store_n(&ahead_s, LATE_S, __ATOMIC_RELAXED);
	while (!__atomic_load_n(&ring.told, __ATOMIC_ACQUIRE)) {
		sched_yield();
	}
	/* it was told under this lock; the read goes on until it is left */
	(void)filch__timers_is_empty(&refusal.shard->timers);
	refusal_read(&refusal);
	refusal_end(&refusal, CROWD, -ETIMEDOUT);
}

static void
not_ready_while_full(const struct fault_case *one, unsigned at)
{
	struct refusal refusal;

	if (at > 1) {
		return;
	}
	ring.opens = true;
	refusal_begin(&refusal, one);
	ring_close(one, refusal.executor, &refusal.crowd, &refusal.late[0]);
	while (__atomic_load_n(&ring.closed, __ATOMIC_ACQUIRE)) {
		sched_yield();
	}
	FAULT_EQUAL(write(refusal.late[1].fd, "12345678", CROWD), CROWD);
	refusal_read(&refusal);
	refusal_end(&refusal, CROWD, 1);
}

static void
not_ready_while_going_to_sleep(const struct fault_case *one, unsigned at)
{
	struct refusal refusal;

	if (at > 1) {
		return;
	}
	ring.races = true;
	refusal_begin(&refusal, one);
	fault_arm(one->symbol, one->error, 1, 1);
	__atomic_store_n(&ring.closed, true, __ATOMIC_RELEASE);
	crowd_start(&refusal.crowd, refusal.executor, &refusal.late[0],
	    RACE_CROWD, FILCH_NEVER);
	while (!__atomic_load_n(&ring.told, __ATOMIC_ACQUIRE)) {
		sched_yield();
	}
	/* by itself: nothing else ends the worker's sleep */
	refusal_read(&refusal);
	FAULT_EQUAL(
	    write(refusal.late[1].fd, "12345678", RACE_CROWD), RACE_CROWD);
	refusal_end(&refusal, RACE_CROWD, 1);
}

static const struct fault_case cases[] = {
	{ "refused while deadlines expire", "pthread_create", EAGAIN, 1,
	    FILCH_DRIVER_URING, refused_while_expiring, -EOPNOTSUPP },
	{ "refused while deadlines expire, unknown", "pthread_create", EAGAIN,
	    1, FILCH_DRIVER_URING, refused_while_expiring, -ENOSYS },
	{ "not ready while the ring is full", "io_uring_enter", EAGAIN, 1,
	    FILCH_DRIVER_URING, not_ready_while_full, -EAGAIN },
	{ "not ready while the worker goes to sleep", "io_uring_enter", EAGAIN,
	    1, FILCH_DRIVER_URING, not_ready_while_going_to_sleep, -EAGAIN },
};

FAULT_MAIN(cases)

#endif

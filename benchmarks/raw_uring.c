/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The limit of io_uring by hand: a thread and a ring a worker, iodepth in
 * flight, file and buffers registered; one system call both submits and
 * waits, and completions are taken in batches.
 */
#include "raw.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define REAP_MAX 256

/* What one registered buffer may hold. */
#define FIXED_SIZE_MAX ((size_t)1 << 30)

struct group;

struct slot {
	struct workload_step step;
	struct group *group;
	char *buffer;
	int64_t result;
};

/* A batch: started together, and again when all of it has completed. */
struct group {
	uint64_t start_ns;
	struct slot *slots;
	unsigned size;  /* slots it has */
	unsigned count; /* that were started */
	unsigned left;  /* that are in flight */
	bool asleep;    /* has a timeout in flight, of an open loop */
};

/* Of an open loop, apart: others have two groups in a line. */
struct schedule {
	struct workload_place place;
	struct __kernel_timespec until;
};

struct uring {
	struct io_uring ring;
	struct slot *slots;
	struct group *groups;
	struct schedule *schedules; /* one a group */
	unsigned group_count;
	unsigned flight;
	bool opened;
	bool fixed_file;
	bool fixed_buffers;
};

static unsigned
setup_flags(const struct workload *workload)
{
	if (strcmp(workload->ring_flags, "defer") == 0) {
		return (
		    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
	}
	if (strcmp(workload->ring_flags, "coop") == 0) {
		return (IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN);
	}
	return (0);
}

/* What saves lookups.  Where it is refused the run is valid, and slower. */
static void
uring_register(struct raw_worker *worker, struct uring *uring)
{
	const struct workload *workload = worker->workload;
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
	struct iovec all = { .iov_base = worker->buffers,
		.iov_len = workload->iodepth * workload->block_size };

	/* Buffers count as locked memory. */
	(void)setrlimit(RLIMIT_MEMLOCK, &limit);
	(void)io_uring_register_ring_fd(&uring->ring);
	int file = io_uring_register_files(&uring->ring, &workload->fd, 1);
	int buffers = all.iov_len > FIXED_SIZE_MAX
	    ? -EFBIG
	    : io_uring_register_buffers(&uring->ring, &all, 1);
	uring->fixed_file = file == 0;
	uring->fixed_buffers = buffers == 0;
	if (file != 0) {
		(void)workload_complain(workload, "register file", -file);
	}
	if (buffers != 0) {
		(void)workload_complain(workload, "register buffers", -buffers);
	}
}

static void
groups_init(struct raw_worker *worker, struct uring *uring)
{
	const struct workload *workload = worker->workload;

	for (unsigned i = 0; i < workload->iodepth; i++) {
		struct group *group = &uring->groups[i / workload->batch];

		uring->slots[i].group = group;
		uring->slots[i].buffer =
		    worker->buffers + i * workload->block_size;
		if (group->size++ == 0) {
			group->slots = &uring->slots[i];
			uring->group_count++;
		}
	}
}

static int
uring_open(struct raw_worker *worker)
{
	const struct workload *workload = worker->workload;
	struct io_uring_params params;
	struct uring *uring = calloc(1, sizeof(*uring));

	worker->operation = "slots";
	worker->state = uring;
	if (uring == NULL) {
		return (-ENOMEM);
	}
	uring->slots = calloc(workload->iodepth, sizeof(*uring->slots));
	uring->groups = calloc(workload->iodepth, sizeof(*uring->groups));
	uring->schedules = calloc(workload->iodepth, sizeof(*uring->schedules));
	if (uring->slots == NULL || uring->groups == NULL ||
	    uring->schedules == NULL) {
		return (-ENOMEM);
	}
	groups_init(worker, uring);
	worker->operation = "io_uring_setup";
	memset(&params, 0, sizeof(params));
	params.flags = setup_flags(workload);
	int error = io_uring_queue_init_params(
	    workload->iodepth, &uring->ring, &params);
	if (error == -EINVAL && params.flags != 0) {
		/* A kernel before 6.1: take what it has. */
		memset(&params, 0, sizeof(params));
		error = io_uring_queue_init_params(
		    workload->iodepth, &uring->ring, &params);
	}
	if (error == 0) {
		uring->opened = true;
		uring_register(worker, uring);
	}
	return (error);
}

static void
uring_close(struct raw_worker *worker)
{
	struct uring *uring = worker->state;

	if (uring == NULL) {
		return;
	}
	if (uring->opened) {
		io_uring_queue_exit(&uring->ring);
	}
	free(uring->schedules);
	free(uring->groups);
	free(uring->slots);
	free(uring);
}

static void
slot_prepare(const struct workload *workload, const struct uring *uring,
    const struct slot *slot, struct io_uring_sqe *sqe)
{
	int fd = uring->fixed_file ? 0 : workload->fd;
	unsigned size = (unsigned)workload->block_size;
	uint64_t offset = slot->step.offset;

	if (slot->step.kind == KIND_READ && uring->fixed_buffers) {
		io_uring_prep_read_fixed(
		    sqe, fd, slot->buffer, size, offset, 0);
	} else if (slot->step.kind == KIND_READ) {
		io_uring_prep_read(sqe, fd, slot->buffer, size, offset);
	} else if (slot->step.kind == KIND_WRITE && uring->fixed_buffers) {
		io_uring_prep_write_fixed(
		    sqe, fd, slot->buffer, size, offset, 0);
	} else if (slot->step.kind == KIND_WRITE) {
		io_uring_prep_write(sqe, fd, slot->buffer, size, offset);
	} else {
		io_uring_prep_fsync(sqe, fd,
		    slot->step.kind == KIND_FSYNC ? 0 : IORING_FSYNC_DATASYNC);
	}
	if (uring->fixed_file) {
		sqe->flags |= IOSQE_FIXED_FILE;
	}
}

/* Start what the cursor still has for group, in the queue only. */
static void
group_start(struct raw_worker *worker, struct uring *uring, struct group *group)
{
	const struct workload *workload = worker->workload;
	struct workload_place *place =
	    &uring->schedules[group - uring->groups].place;

	group->count = 0;
	while (group->count < group->size) {
		struct slot *slot = &group->slots[group->count];

		if (!raw_next(worker, place, &slot->step, slot->buffer)) {
			break;
		}
		/* There are as many entries as slots. */
		struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);
		slot_prepare(workload, uring, slot, sqe);
		io_uring_sqe_set_data(sqe, slot);
		group->count++;
	}
	group->left = group->count;
	uring->flight += group->count;
	group->start_ns = workload->rate != 0 ? place->due_ns
	    : workload->latency               ? workload_now_ns()
					      : 0;
}

/* Start group; in an open loop a timeout comes first, if it is not late. */
static void
group_go(struct raw_worker *worker, struct uring *uring, struct group *group,
    uint64_t now_ns)
{
	struct schedule *schedule = &uring->schedules[group - uring->groups];
	uint64_t until_ns = tool_interrupted()
	    ? 0
	    : workload_sleep_until(
		  worker->workload, &worker->cursor, &schedule->place, now_ns);

	if (until_ns == 0) {
		group_start(worker, uring, group);
		return;
	}
	/* Instead of the operation: it is one slot, and one entry. */
	struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);
	schedule->until.tv_sec = (long long)(until_ns / 1000000000);
	schedule->until.tv_nsec = (long long)(until_ns % 1000000000);
	io_uring_prep_timeout(sqe, &schedule->until, 0, IORING_TIMEOUT_ABS);
	io_uring_sqe_set_data(sqe, &group->slots[0]);
	group->asleep = true;
	uring->flight++;
}

static void
group_finish(
    struct raw_worker *worker, const struct group *group, uint64_t now_ns)
{
	for (unsigned i = 0; i < group->count; i++) {
		const struct slot *slot = &group->slots[i];

		workload_account(worker->workload, worker->stats, &slot->step,
		    slot->buffer, slot->result, now_ns - group->start_ns);
	}
}

static void
uring_reap(struct raw_worker *worker, struct uring *uring)
{
	struct io_uring_cqe *cqes[REAP_MAX];
	unsigned count = io_uring_peek_batch_cqe(&uring->ring, cqes, REAP_MAX);
	uint64_t now_ns = workload_now_ns();

	for (unsigned i = 0; i < count; i++) {
		struct slot *slot = io_uring_cqe_get_data(cqes[i]);
		struct group *group = slot->group;

		slot->result = cqes[i]->res;
		uring->flight--;
		if (group->asleep) {
			group->asleep = false;
		} else if (--group->left > 0) {
			continue;
		} else {
			group_finish(worker, group, now_ns);
		}
		if (now_ns < worker->stop_ns) {
			group_go(worker, uring, group, now_ns);
		}
	}
	io_uring_cq_advance(&uring->ring, count);
}

static int
uring_run(struct raw_worker *worker)
{
	struct uring *uring = worker->state;

	worker->operation = "io_uring_enter";
	for (unsigned i = 0; i < uring->group_count; i++) {
		struct group *group = &uring->groups[i];

		raw_place(
		    worker, &uring->schedules[i].place, i, uring->group_count);
		group_go(worker, uring, group, worker->start_ns);
	}
	while (uring->flight > 0) {
		int error = io_uring_submit_and_wait(&uring->ring, 1);

		if (error < 0 && error != -EINTR && error != -EAGAIN) {
			return (error);
		}
		uring_reap(worker, uring);
	}
	return (0);
}

int
main(int argc, char **argv)
{
	static const struct raw_engine engine = {
		.name = "raw_uring",
		.open = uring_open,
		.run = uring_run,
		.close = uring_close,
	};

	return (raw_main(argc, argv, &engine));
}

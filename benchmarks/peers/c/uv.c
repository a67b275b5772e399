/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libuv: a loop a worker, iodepth requests in flight in each.  Files go to the
 * pool that all loops share (UV_THREADPOOL_SIZE), or with --ring=1 to the
 * loop's own ring, which takes a libuv of 1.49 and UV_USE_IO_URING=1.
 */
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "peer.h"
#include "raw.h"
#include "uv_peer.h"

struct slot {
	uv_fs_t request; /* first: the callback gets this */
	struct workload_step step;
	struct raw_worker *worker;
	struct workload_place place;
	uv_timer_t timer; /* with --rate */
	uint64_t start_ns;
	char *buffer;
};

struct loop {
	uv_loop_t loop;
	struct slot *slots;
	uint64_t now_ns; /* of when an operation ended, or one of some */
	uint64_t ended;
	bool opened;
};

static bool with_ring;

static int
loop_open(struct raw_worker *worker)
{
	const struct workload *workload = worker->workload;
	struct loop *state = calloc(1, sizeof(*state));

	worker->operation = "slots";
	worker->state = state;
	if (state == NULL) {
		return (-ENOMEM);
	}
	state->slots = calloc(workload->iodepth, sizeof(*state->slots));
	if (state->slots == NULL) {
		return (-ENOMEM);
	}
	for (unsigned i = 0; i < workload->iodepth; i++) {
		state->slots[i].worker = worker;
		state->slots[i].buffer =
		    worker->buffers + i * workload->block_size;
	}
	worker->operation = "uv_loop_init";
	int error = uv_loop_init(&state->loop);
	state->opened = error == 0;
	for (unsigned i = 0; i < workload->iodepth && error == 0; i++) {
		uv_timer_init(&state->loop, &state->slots[i].timer);
		state->slots[i].timer.data = &state->slots[i];
	}
#ifdef PEER_UV_RING
	if (error == 0 && with_ring) {
		worker->operation = "uv_loop_configure";
		error = uv_loop_configure(
		    &state->loop, UV_LOOP_USE_IO_URING_SQPOLL);
	}
#endif
	return (error);
}

static void
loop_close(struct raw_worker *worker)
{
	struct loop *state = worker->state;

	if (state == NULL) {
		return;
	}
	if (state->opened) {
		for (unsigned i = 0; i < worker->workload->iodepth; i++) {
			uv_close((uv_handle_t *)&state->slots[i].timer, NULL);
		}
		uv_run(&state->loop, UV_RUN_DEFAULT);
		uv_loop_close(&state->loop);
	}
	free(state->slots);
	free(state);
}

static void slot_done(uv_fs_t *request);
static void slot_awake(uv_timer_t *timer);

static void
slot_start(struct slot *slot)
{
	struct raw_worker *worker = slot->worker;
	const struct workload *workload = worker->workload;
	uv_loop_t *loop = &((struct loop *)worker->state)->loop;
	uv_buf_t buffer =
	    uv_buf_init(slot->buffer, (unsigned)workload->block_size);
	int64_t offset = (int64_t)slot->step.offset;
	int error;

	if (slot->step.kind == KIND_READ) {
		error = uv_fs_read(loop, &slot->request, workload->fd, &buffer,
		    1, offset, slot_done);
	} else if (slot->step.kind == KIND_WRITE) {
		error = uv_fs_write(loop, &slot->request, workload->fd, &buffer,
		    1, offset, slot_done);
	} else if (slot->step.kind == KIND_FSYNC) {
		error =
		    uv_fs_fsync(loop, &slot->request, workload->fd, slot_done);
	} else {
		error = uv_fs_fdatasync(
		    loop, &slot->request, workload->fd, slot_done);
	}
	if (error != 0) {
		peer_fail("uv", uv_strerror(error), 0);
	}
}

/* The next operation; in an open loop a timer first, if it is not late. */
static void
slot_go(struct slot *slot, uint64_t now_ns)
{
	struct raw_worker *worker = slot->worker;
	const struct workload *workload = worker->workload;
	uint64_t until_ns;

	if (now_ns >= worker->stop_ns) {
		return;
	}
	until_ns = workload_sleep_until(
	    workload, &worker->cursor, &slot->place, now_ns);
	if (until_ns != 0) {
		/* The loop's clock counts milliseconds: never too early. */
		uint64_t until_ms = (until_ns + 999999) / 1000000;
		uint64_t now_ms = uv_now(slot->timer.loop);

		uv_timer_start(&slot->timer, slot_awake,
		    until_ms > now_ms ? until_ms - now_ms : 0, 0);
	} else if (raw_next(worker, &slot->place, &slot->step, slot->buffer)) {
		slot->start_ns = workload->rate != 0 ? slot->place.due_ns
		    : workload->verify               ? workload_now_ns()
						     : now_ns;
		slot_start(slot);
	}
}

static void
slot_awake(uv_timer_t *timer)
{
	slot_go(timer->data, workload_now_ns());
}

static void
slot_done(uv_fs_t *request)
{
	struct slot *slot = (struct slot *)request;
	struct raw_worker *worker = slot->worker;
	const struct workload *workload = worker->workload;
	struct loop *state = worker->state;

	if (workload->latency || workload->rate != 0 ||
	    ++state->ended % WORKLOAD_CLOCK_INTERVAL == 0) {
		state->now_ns = workload_now_ns();
	}
	workload_account(workload, worker->stats, &slot->step, slot->buffer,
	    request->result, state->now_ns - slot->start_ns);
	uv_fs_req_cleanup(request);
	slot_go(slot, state->now_ns);
}

static int
loop_run(struct raw_worker *worker)
{
	struct loop *state = worker->state;

	worker->operation = "uv_run";
	state->now_ns = workload_now_ns();
	for (unsigned i = 0; i < worker->workload->iodepth; i++) {
		struct slot *slot = &state->slots[i];

		raw_place(worker, &slot->place, i, worker->workload->iodepth);
		slot_go(slot, state->now_ns);
	}
	return (uv_run(&state->loop, UV_RUN_DEFAULT));
}

/* Whether this libuv can read by a ring: the answer to "uv ring". */
static bool
ring_is_there(void)
{
#ifdef PEER_UV_RING
	return (true);
#else
	return (false);
#endif
}

static void
pool_work(uv_work_t *work)
{
	(void)work;
}

/* From here, where nothing is pinned: its threads stay where they start. */
static void
pool_start(void)
{
	uv_loop_t loop;
	uv_work_t work;

	uv_must(uv_loop_init(&loop), "uv_loop_init");
	uv_must(uv_queue_work(&loop, &work, pool_work, NULL), "uv_queue_work");
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_must(uv_loop_close(&loop), "uv_loop_close");
}

int
main(int argc, char **argv)
{
	struct raw_engine engine = {
		.name = "uv",
		.open = loop_open,
		.run = loop_run,
		.close = loop_close,
	};
	const char *what = argc > 1 ? argv[1] : "";

	if (strcmp(what, "ring") == 0) {
		return (ring_is_there() ? 0 : 2);
	}
	if (strcmp(what, "wake") == 0) {
		return (uv_wake(argc - 2, argv + 2));
	}
	if (strcmp(what, "read") != 0 && strcmp(what, "mixed") != 0) {
		peer_refuse("uv", what, "must be read, mixed, wake or ring");
	}
	peer_arguments(argc, argv);
	const char *ring = peer_option("ring");
	with_ring = ring != NULL && strcmp(ring, "1") == 0;
	if (with_ring && !ring_is_there()) {
		peer_refuse("uv", "--ring", "this libuv has none for files");
	}
	engine.who = peer_who("uv", uv_version_string(), what);
	pool_start();
	return (raw_main(peer_argc, peer_argv, &engine));
}

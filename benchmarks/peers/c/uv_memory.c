/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What libuv needs for all that waits.  It has no tasks: a handle with its
 * callback stands for one, a uv_async_t that somebody may wake, a uv_timer_t, a
 * uv_fs_t that the pool reads for or is to.  They are divided among a loop a
 * worker, which runs before they are counted, and stay until the process ends.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "peer.h"
#include "uv_peer.h"

#define HOUR_MS 3600000

struct flight {
	uv_fs_t request;
	uint64_t buffer;
};

/* Kinds of what waits: its size, and of that what is not libuv's. */
struct kind {
	const char *bench;
	size_t size;
	size_t own;
	void (*start)(uv_loop_t *loop, void *handle);
};

struct worker {
	uv_loop_t loop;
	uv_async_t begin; /* to start the handles; keeps uv_run() running */
	const struct kind *kind;
	char *handles;
	unsigned count;
	unsigned index;
	bool pin;
};

static atomic_uint waiting;
static int silent; /* an eventfd that nobody writes to */

static void
on_async(uv_async_t *async)
{
	(void)async;
	peer_fail("uv", "nobody wakes what is parked", 0);
}

static void
on_timer(uv_timer_t *timer)
{
	(void)timer;
	peer_fail("uv", "a timer ended too early to be counted", 0);
}

static void
on_read(uv_fs_t *request)
{
	peer_fail("uv", "a read ended", (int)-request->result);
}

static void
async_start(uv_loop_t *loop, void *handle)
{
	uv_must(uv_async_init(loop, handle, on_async), "uv_async_init");
}

static void
timer_start(uv_loop_t *loop, void *handle)
{
	uv_must(uv_timer_init(loop, handle), "uv_timer_init");
	uv_must(uv_timer_start(handle, on_timer, HOUR_MS, 0), "uv_timer_start");
}

static void
flight_start(uv_loop_t *loop, void *handle)
{
	struct flight *flight = handle;
	uv_buf_t buffer =
	    uv_buf_init((char *)&flight->buffer, sizeof(flight->buffer));

	uv_must(
	    uv_fs_read(loop, &flight->request, silent, &buffer, 1, -1, on_read),
	    "uv_fs_read");
}

static const struct kind kinds[] = {
	{ "parked", sizeof(uv_async_t), 0, async_start },
	{ "parked_timer", sizeof(uv_timer_t), 0, timer_start },
	{ "flight", sizeof(struct flight), sizeof(uint64_t), flight_start },
};

static void
on_begin(uv_async_t *async)
{
	struct worker *worker = async->data;

	for (unsigned i = 0; i < worker->count; i++) {
		worker->kind->start(&worker->loop,
		    worker->handles + (size_t)i * worker->kind->size);
	}
	atomic_fetch_add(&waiting, worker->count);
}

static void *
worker_main(void *context)
{
	struct worker *worker = context;

	if (worker->pin) {
		peer_pin(worker->index);
	}
	uv_run(&worker->loop, UV_RUN_DEFAULT);
	return (NULL);
}

static void
worker_start(struct worker *worker)
{
	pthread_t thread;

	uv_must(uv_loop_init(&worker->loop), "uv_loop_init");
	uv_must(uv_async_init(&worker->loop, &worker->begin, on_begin),
	    "uv_async_init");
	worker->begin.data = worker;
	if (pthread_create(&thread, NULL, worker_main, worker) != 0) {
		peer_fail("uv", "pthread_create", EAGAIN);
	}
}

/* A loop a worker. */
static struct worker *
start(const struct wake_arguments *arguments)
{
	struct worker *workers = calloc(arguments->workers, sizeof(*workers));

	if (workers == NULL) {
		peer_fail("uv", "calloc", ENOMEM);
	}
	for (unsigned i = 0; i < arguments->workers; i++) {
		workers[i].index = i;
		workers[i].pin = arguments->pin;
		worker_start(&workers[i]);
	}
	return (workers);
}

/* A worker's part of the tasks. */
static void
begin(struct worker *worker, const struct kind *kind, unsigned count)
{
	worker->kind = kind;
	worker->count = count;
	if (count > 0) {
		worker->handles = calloc(count, kind->size);
		if (worker->handles == NULL) {
			peer_fail("uv", "calloc", ENOMEM);
		}
	}
	uv_must(uv_async_send(&worker->begin), "uv_async_send");
}

static void
measure_executors(const struct wake_arguments *arguments)
{
	/* The first also pays for what the process needs once. */
	(void)start(arguments);
	peer_pause_ns(WAKE_SETTLE_NS);
	uint64_t before = peer_memory_bytes("VmRSS");
	for (unsigned i = 0; i < WAKE_EXECUTORS; i++) {
		(void)start(arguments);
	}
	peer_pause_ns(WAKE_SETTLE_NS);
	wake_report_executors("uv", uv_version_string(), arguments,
	    peer_memory_bytes("VmRSS") - before);
}

static void
measure_tasks(struct wake_arguments *arguments, const struct kind *kind)
{
	if (kind->start == flight_start) {
		if (arguments->tasks > WAKE_FLIGHT_MAX) {
			arguments->tasks = WAKE_FLIGHT_MAX;
		}
		silent = eventfd(0, EFD_CLOEXEC);
	}
	unsigned count = arguments->workers;
	struct worker *workers = start(arguments);
	peer_pause_ns(WAKE_SETTLE_NS);
	uint64_t before = peer_memory_bytes("RssAnon");
	for (unsigned i = 0; i < count; i++) {
		/* The first ones take what does not divide. */
		begin(&workers[i], kind,
		    arguments->tasks / count + (i < arguments->tasks % count));
	}
	while (atomic_load(&waiting) < arguments->tasks) {
		peer_pause_ns(1000000);
	}
	peer_pause_ns(WAKE_SETTLE_NS);
	wake_report_tasks("uv", uv_version_string(), arguments,
	    peer_memory_bytes("RssAnon") - before, kind->own);
}

bool
uv_memory(struct wake_arguments *arguments)
{
	if (strcmp(arguments->bench, "executor") == 0) {
		measure_executors(arguments);
		return (true);
	}
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(arguments->bench, kinds[i].bench) == 0) {
			measure_tasks(arguments, &kinds[i]);
			/* libuv's own exit waits for the pool's reads. */
			_exit(0);
		}
	}
	return (false);
}

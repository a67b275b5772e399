/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Counters, always on, readable at any time.
 */
#ifndef FILCH_STATS_H
#define FILCH_STATS_H

#include "base.h"
#include "op.h"

FILCH_BEGIN_DECLS

/* Why an operation did not go the driver's asynchronous way. */
enum filch_fallback {
	FILCH_FALLBACK_NO_OPCODE, /* the driver has no such asynchronous form */
	FILCH_FALLBACK_REFUSED,   /* the kernel said EOPNOTSUPP or the like */
	FILCH_FALLBACK_NO_DRIVER, /* the driver has no asynchronous files */
	FILCH_FALLBACK_NOT_REGISTERED, /* buffers could not be registered */
	FILCH_FALLBACK_LIMIT, /* others have used up what the system admits */
	FILCH_FALLBACK_COUNT
};

/* Counts since the executor was created; "now" where one can also fall. */
struct filch_worker_stats {
	uint64_t polls;          /* task polls */
	uint64_t steals;         /* successful steals */
	uint64_t tasks_stolen;   /* tasks they brought */
	uint64_t parks;          /* times the worker went to sleep */
	uint64_t spurious_wakes; /* woken, and found nothing */
	uint64_t injector_hits;  /* tasks taken from the injector */
	uint64_t overflows;      /* tasks spilt, or given, into the injector */
	uint64_t yields;         /* budgets exhausted */
	uint64_t submissions;    /* system calls that submit */
	uint64_t completions;    /* completions reaped */
	uint64_t rescued;        /* of them, by another thread: stuck */
	uint64_t inline_hits;    /* reads served on the worker at once */
	uint64_t inline_misses;
	uint64_t operations[FILCH_OP_COUNT]; /* whose end was told; by kind */
	uint64_t fallbacks[FILCH_FALLBACK_COUNT]; /* by reason */
	uint64_t deque_depth; /* now: tasks queued on this worker */
	uint64_t in_flight;   /* now: operations in the kernel */
	uint64_t waiting;     /* now: operations waiting for room */
};

struct filch_executor_stats {
	unsigned worker_count;
	unsigned parked;         /* now: sleeping workers */
	unsigned searching;      /* now: workers looking for work */
	uint64_t tasks_alive;    /* now, about: spawned and not finished */
	uint64_t injector_depth; /* now */
	uint64_t pool_threads;   /* now: threads of the blocking pool */
	uint64_t pool_depth;     /* now: operations waiting for one */
	uint64_t reactor_wakes;  /* times the reactor thread woke */
	uint64_t timers_fired;
	uint64_t wake_calls;    /* system calls made to wake a thread */
	uint64_t registrations; /* now: sources registered */
};

/*
 * Fill *stats.  Each figure is right by itself; together they need not be of
 * one moment.
 *
 * Threads  any.
 */
FILCH_API void filch_executor_get_stats(
    const struct filch_executor *executor, struct filch_executor_stats *stats);

/*
 * The same for the worker of that index, from 0.
 *
 * Returns  0; -ERANGE no such worker.
 * Threads  any.  It takes the worker's lock for a moment.
 */
FILCH_NODISCARD FILCH_API int filch_executor_get_worker_stats(
    const struct filch_executor *executor, unsigned worker,
    struct filch_worker_stats *stats);

FILCH_END_DECLS

#endif /* FILCH_STATS_H */

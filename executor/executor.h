/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The executor and its workers, inside.  README.md tells the protocol.
 */
#ifndef FILCH_EXECUTOR_EXECUTOR_H
#define FILCH_EXECUTOR_EXECUTOR_H

#include <filch/executor.h>

#include <pthread.h>

#include "../include/private/compiler.h"
#include "../include/private/task_word.h"
#include "../reactor/reactor.h"
#include "deque.h"
#include "idle.h"
#include "injector.h"

/* Tasks moved at once, from the injector or a victim. */
#define FILCH__MOVE_MAX 128

/* How far the end has come; only grows. */
enum filch__executor_state {
	FILCH__EXECUTOR_RUNNING = 0,
	FILCH__EXECUTOR_DRAINING, /* no new tasks */
	FILCH__EXECUTOR_STOPPING, /* and tasks are asked to end */
	FILCH__EXECUTOR_CLOSED    /* workers end; woken tasks are given up */
};

/* Written by the worker alone, read by anyone. */
struct filch__worker_counters {
	filch__u64 polls; /* also the heartbeat that the reactor looks at */
	filch__u64 spawned;
	filch__u64 finished;
	filch__u64 steals;
	filch__u64 tasks_stolen;
	filch__u64 parks;
	filch__u64 spurious_wakes;
	filch__u64 injector_hits;
	filch__u64 overflows;
};

/*
 * A worker.  Its queues, in the order of their rooms:
 *   lifo     the task woken last by the task that runs now; may be stolen
 *   woken    tasks woken or yielded: first in, first out
 *   spawned  tasks spawned here: last in, first out, so that work which
 *            splits itself goes depth first and stays small
 * Each lane is a Chase-Lev deque; one lane cannot serve both: with FIFO only,
 * skynet_1M has all its leaves alive at once, and with LIFO only, a task that
 * yields is the next to run.
 */
struct filch__worker {
	struct filch_executor *executor; /* (i) */
	struct filch__shard *shard;      /* (i) */
	unsigned index;                  /* (i) */
	pthread_t thread;                /* (i) */
	uint32_t polls_left;             /* (w) to the next visit: drive.c */
	uint32_t turn;                   /* (w) of the lanes */
	uint32_t lifo_runs;              /* (w) */
	uint32_t random;                 /* (w) */
	uint32_t looks_seen; /* (w) when the oldest spawned task had its turn */
	uint32_t looks_driven; /* (w) when it last looked at the driver */
	uint32_t looks_evened; /* (w) when it last looked at a peer's tasks */
	uint32_t notify_after; /* (w) polls until peers are told */
	uint32_t sleeps;       /* (w) attempts to, for probes */
	bool is_prompt;        /* (w) operations are finished on the spot */
	bool notify;           /* (w) tell peers after this poll */
	bool reaping;          /* (w) wakes come from completions */
	bool searching;        /* (w) counted as such in idle */
	bool has_given;        /* (w) tasks to a peer, at this look */
	/* of the visits to the driver, drive.c */
	bool urgent;          /* (w) the first task reaped runs next */
	bool ran_dry;         /* (w) of tasks, since it was paced */
	uint32_t turn_left;   /* (w) of the event interval, after polls_left */
	uint32_t pace;        /* (w) polls between visits */
	uint64_t paced_ns;    /* (w) when, and after how many polls */
	uint64_t paced_polls; /* (w) */
	/* of its evening out, even_out.c */
	uint64_t parks_evened; /* (w) its parks at looks_evened */
	/* of its steals, steal.c */
	uint32_t steal_max;      /* (w) spawned tasks, by one steal */
	uint32_t steal_wait_ns;  /* (w) 0 as long as such steals are worth it */
	uint64_t steal_after_ns; /* (w) when that wait ends */
	uint64_t loot_cost_ns;   /* (w) how long the last took; 0: was judged */
	uint64_t loot_since_ns;  /* (w) when what it took began to run */
	const struct filch__worker *victim;   /* (w) from whom */
	FILCH__CACHE_ALIGNED filch__ptr lifo; /* (a) [WK1] */
	filch__u32 awake; /* (a) by the worker; not parked */
	filch__u32 clock; /* (a) by the worker: filch__thread_clock() */
	struct filch__deque woken;
	struct filch__deque spawned;
	FILCH__CACHE_ALIGNED struct filch__worker_counters counters;
	uint64_t polls_seen;     /* the reactor thread's, at its last look */
	uint64_t polls_at_turns; /* the same, at its last look at turns */
	uint64_t parks_seen;     /* the shutdown's, when it asked [SD1] */
	bool queued_seen;        /* the reactor thread's, at its last look */
};

struct filch_executor {
	struct filch__reactor_host host;       /* (i) */
	struct filch_executor_options options; /* (i) all defaults filled in */
	struct filch__worker *workers;         /* (i) */
	unsigned worker_count;                 /* (i) */
	filch__ptr *slots;                     /* (i) of all deques */
	filch__u32 state; /* (a) filch__executor_state [EX1] */
	bool closed;      /* (l) by orphan_lock */
	struct filch__reactor reactor;
	struct filch__idle idle;
	struct filch__injector injector;
	FILCH__CACHE_ALIGNED filch__u64 outside_spawned; /* (a) */
	filch__u64 outside_finished;                     /* (a) */
	filch__u64 entrants; /* (a) outside wakes under way [EX2] */
	FILCH__CACHE_ALIGNED filch__u32 monitoring; /* (a) [MO1] */
	filch__u32 looks;    /* (a) by the reactor thread, at the workers */
	uint64_t tick_ns;    /* the reactor thread's: last look */
	uint64_t turns_ns;   /* the same, at turns */
	unsigned idle_ticks; /* the reactor thread's */
	struct filch__lock orphan_lock;
	pthread_mutex_t shutdown_mutex;
	pthread_cond_t shutdown_progress; /* a worker has gone to sleep */
};

/* The worker that runs this thread; NULL on other threads. */
extern FILCH__THREAD_LOCAL struct filch__worker *filch__worker_current
    __attribute__((tls_model("initial-exec")));

/* ---- worker.c ---- */

void *filch__worker_main(void *arg);
/* The lane has no room for task: half of it goes into the injector. */
void filch__worker_spill_spawned(struct filch__worker *, struct filch_task *);
void filch__worker_spill_woken(struct filch__worker *, struct filch_task *);
/* Put tasks into the injector, in order. */
void filch__worker_inject(
    struct filch__worker *worker, void *const *items, unsigned count);
/* Tell a peer of what is queued, if anything is. */
void filch__worker_tell_of_queued(struct filch__worker *);
/* Wake a peer if one sleeps and nobody searches. */
void filch__worker_notify(struct filch_executor *executor);
/* The same, for what the injector has: its push was the fence [IJ3]. */
void filch__worker_notify_injected(struct filch_executor *executor);
bool filch__worker_has_work(const struct filch__worker *worker);
bool filch__executor_has_work(const struct filch_executor *executor);

/* Queue a task woken by the task that runs on this worker. */
static inline void
filch__worker_push_woken(struct filch__worker *worker, struct filch_task *task)
{
	if (filch__unlikely(!filch__deque_push(&worker->woken, task))) {
		filch__worker_spill_woken(worker, task);
	}
}

/* ---- drive.c ---- */

/* A peer is told of tasks that a visit has woken after so many polls. */
#define FILCH__NOTIFY_AFTER_POLLS 32

/* Hand gathered operations to the kernel. */
void filch__worker_flush(struct filch__worker *worker);
/*
 * The visit to the driver between two polls; looks: the reactor thread's by
 * now.  True if the event interval is not over: the visit was an early one.
 */
bool filch__worker_drive(struct filch__worker *worker, uint32_t looks);
/* The same, for want of tasks. */
void filch__worker_drive_before_sleep(struct filch__worker *worker);

/* ---- even_out.c ---- */

/*
 * The worker ran dry and has just reaped: once in a look of the reactor thread,
 * take tasks from a peer that has more woken ones, or give some to one that
 * sleeps.
 */
void filch__worker_even_out(struct filch__worker *worker);

/* ---- steal.c ---- */

/* Up to half of what victim has queued, of its spawned tasks if so asked. */
struct filch_task *filch__worker_steal(
    struct filch__worker *worker, struct filch__worker *victim, bool spawned);
/* The task in victim's LIFO slot, if victim is busy. */
struct filch_task *filch__worker_steal_lifo(
    struct filch__worker *worker, struct filch__worker *victim);
/* What was stolen last has been run. */
void filch__worker_judge_loot(struct filch__worker *worker);
/* False while spawned tasks of others are not worth stealing. */
bool filch__worker_steal_is_due(const struct filch__worker *worker);
/* Part of that wait. */
void filch__worker_wait_to_steal(struct filch__worker *worker);

/* ---- monitor.c ---- */

/* A worker is awake: the reactor thread shall look after it. */
void filch__executor_monitor(struct filch_executor *executor);
/* The reactor thread's look at the workers. */
uint64_t filch__executor_tick(struct filch__reactor_host *host, uint64_t now);

/* ---- executor.c ---- */

/* Queue a task that became SCHEDULED, with the reference that goes along. */
void filch__executor_schedule(
    struct filch_executor *executor, struct filch_task *task);
/* Tasks spawned and not yet ended; exact once nothing is spawned any more. */
uint64_t filch__executor_alive(const struct filch_executor *executor);
/* A task of executor has ended on a thread that is none of its workers. */
void filch__executor_finished_outside(struct filch_executor *executor);

/* ---- shutdown.c ---- */

/* Go on to state, if that is not reached yet. */
void filch__executor_advance(
    struct filch_executor *executor, enum filch__executor_state state);
/* A worker went to sleep while a shutdown waits. */
void filch__executor_signal_shutdown(struct filch_executor *executor);
/* Make every worker look at the state. */
void filch__executor_wake_workers(struct filch_executor *executor);

/* Queue a task spawned by the task that runs on this worker. */
static inline void
filch__worker_push_spawned(
    struct filch__worker *worker, struct filch_task *task)
{
	worker->notify = true;
	if (filch__unlikely(!filch__deque_push(&worker->spawned, task))) {
		filch__worker_spill_spawned(worker, task);
	}
}

/*
 * The task that runs on this worker has taken one back, and goes on with that,
 * which may take long: peers are told of the others if one of them looks
 * asleep.  If not, they are told when the poll ends, as ever.
 */
static inline void
filch__worker_took_back(struct filch__worker *worker)
{
	if (worker->notify && filch__idle_is_wanting(&worker->executor->idle)) {
		filch__worker_tell_of_queued(worker);
	}
}

static inline enum filch__executor_state
filch__executor_state(const struct filch_executor *executor)
{
	/* [EX1] pairs with filch__executor_advance */
	return ((enum filch__executor_state)filch__u32_load_acquire(
	    &executor->state));
}

/* The same for who has counted or entered before, and must not be missed. */
static inline enum filch__executor_state
filch__executor_state_after_entry(const struct filch_executor *executor)
{
	/* [EX1] [EX2] pairs with filch__executor_advance */
	return ((enum filch__executor_state)filch__u32_load_seq_cst(
	    &executor->state));
}

/* ---- task.c ---- */

/* A joiner waits for the end of task: take his waker, finish, and wake him. */
enum filch__task_next filch__task_wake_joiner(
    struct filch_task *task, uint64_t flags);
/* Give up a queued task of a closed executor. */
void filch__task_abandon(struct filch_task *task);

/* End task; true if that gave up the last reference. */
static inline bool
filch__task_complete(struct filch_task *task, uint64_t flags)
{
	enum filch__task_next next =
	    filch__task_word_complete(&task->priv.state, flags);

	if (next == FILCH__TASK_JOINER) {
		next = filch__task_wake_joiner(task, flags);
	}
	return (next == FILCH__TASK_RELEASE);
}

static inline void
filch__task_release(struct filch_task *task)
{
	if (task->priv.release != NULL) {
		task->priv.release(task);
	}
}

#endif /* FILCH_EXECUTOR_EXECUTOR_H */

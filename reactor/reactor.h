/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reactor: the shards (one a worker), the driver, the blocking pool, the
 * registrations of sources, and the dedicated thread, which keeps the deadlines
 * that workers do not and stands by for what none of them will look after.
 *
 * It knows no executor: what it needs of the layers above is struct
 * filch__reactor_host.
 */
#ifndef FILCH_REACTOR_REACTOR_H
#define FILCH_REACTOR_REACTOR_H

#include <filch/stats.h>

#include <pthread.h>

#include "../include/private/compiler.h"
#include "driver.h"
#include "pool.h"
#include "registration.h"
#include "timers.h"

/* What one worker's I/O has done; written by one thread at a time. */
struct filch__shard_counters {
	filch__u64 submissions;
	filch__u64 completions;
	filch__u64 rescued;
	filch__u64 inline_hits;
	filch__u64 inline_misses;
	filch__u64 yields;
	filch__u64 operations[FILCH_OP_COUNT];
	filch__u64 fallbacks[FILCH_FALLBACK_COUNT]; /* any thread: atomic add */
};

struct filch__shard {
	struct filch__reactor *reactor; /* (i) */
	unsigned index;                 /* (i) */
	uint32_t budget;                /* (w) left in this poll */
	uint32_t budget_full;           /* (i) at its start */
	uint32_t reads; /* (w) that may go inline, since looked_ns */
	uint32_t waits; /* (w) this turn: polls that read, and could wait */
	uint64_t turn_polls; /* (w) when the turn began */
	uint32_t rest;       /* (w) turns before gathering is tried again */
	uint32_t turns;      /* (w) since looked_ns, while gathering */
	bool gathering;      /* (w) reads go to the driver together */
	bool doubtful;       /* (w) it is new, or did not pay once */
	uint64_t looked_ns;  /* (w) at the clock */
	void *driver;        /* (i) the driver's part */
	filch__u32 pooled;   /* (a) its operations in the pool */
	struct filch__timers timers;
	FILCH__CACHE_ALIGNED struct filch__shard_counters counters;
};

/* What the reactor asks of the layers above. */
struct filch__reactor_host {
	/* Finish the operations of a list by next, each with its result. */
	void (*complete)(struct filch_op *list);
	/*
	 * Look after the workers; on the reactor thread, whenever it wakes.
	 * Returns when it wants to be called again at the latest.
	 */
	uint64_t (*tick)(struct filch__reactor_host *host, uint64_t now_ns);
};

struct filch__reactor_options {
	enum filch_driver_kind driver;
	unsigned shard_count;
	unsigned ring_entries;
	unsigned pool_threads_max;
	bool inline_io_off;
};

/*
 * Where workers wake by themselves at the deadlines of their shards, the thread
 * comes so much later: only for those that are stuck.  It would compete with
 * the worker for a CPU, and then wake it.
 */
#define FILCH__STANDBY_NS 100000

/*
 * The same while all workers slept when it last looked at them: no sooner than
 * it looks again anyway.  A wake of the thread for each deadline that a worker
 * has met takes the CPU from what that deadline was for.
 */
#define FILCH__STANDBY_CALM_NS 400000

struct filch__reactor {
	const struct filch__driver *driver;    /* (i) */
	void *driver_state;                    /* (i) */
	struct filch__reactor_host *host;      /* (i) */
	struct filch__reactor_options options; /* (i) */
	struct filch__shard *shards; /* (i) options.shard_count of them */
	struct filch__pool pool;
	struct filch__registrations registrations;
	uint64_t standby_ns; /* (i) by the driver: what it leaves to workers */
	char reason[256];    /* (i) why this driver */
	pthread_t thread;
	bool is_calm; /* the thread's, by tick: all workers slept */
	FILCH__CACHE_ALIGNED filch__u64 sleeping_until_ns; /* (a) [RT1] */
	filch__u64 alarm_ns;   /* (a) by the thread: so long after a deadline */
	filch__u32 stopping;   /* (a) operations end: ESHUTDOWN */
	filch__u32 exiting;    /* (a) the thread shall end */
	filch__u64 wakes;      /* (a) by the thread */
	filch__u64 wake_calls; /* (a) any thread: atomic add */
};

/* The shard of the worker that runs this thread; NULL on other threads. */
extern FILCH__THREAD_LOCAL struct filch__shard *filch__shard_current
    __attribute__((tls_model("initial-exec")));

/* The reactor whose dedicated thread this is; NULL on other threads. */
extern FILCH__THREAD_LOCAL const struct filch__reactor *filch__reactor_current
    __attribute__((tls_model("initial-exec")));

/* What this thread expires just now, under the lock of timers; else NULL. */
extern FILCH__THREAD_LOCAL struct filch__expired *filch__expired_current
    __attribute__((tls_model("initial-exec")));

/*
 * Open the best driver that options and the environment allow and start the
 * thread.  Returns 0 or -errno as filch_executor_create().
 */
int filch__reactor_init(struct filch__reactor *reactor,
    struct filch__reactor_host *host,
    const struct filch__reactor_options *options);

/* End the thread and give all back; nothing is in flight. */
void filch__reactor_fini(struct filch__reactor *reactor);

/*
 * From now on operations, sleeps and sources end with -ESHUTDOWN; ask those in
 * flight to end.  May be called again.
 */
void filch__reactor_stop(struct filch__reactor *reactor);

/* True if a driver has an operation, or an entry of a source. */
bool filch__reactor_has_operations(struct filch__reactor *reactor);

/*
 * True if nothing is in flight, queued in the pool, or timed, and the thread
 * has told all of it.
 */
bool filch__reactor_is_quiet(struct filch__reactor *reactor);

static inline bool
filch__reactor_is_stopping(const struct filch__reactor *reactor)
{
	/* [RS1] pairs with filch__reactor_stop */
	return (filch__u32_load_acquire(&reactor->stopping) != 0);
}

/*
 * The worker has been to the driver, at its event interval or because it ran
 * dry of tasks: decide how it will read what is cached.  polls: its own so far.
 * In gather.c.
 */
void filch__reactor_begin_turn(
    struct filch__shard *shard, bool ran_dry, uint64_t polls);

/* Start a timer on shard, and make the thread know of it. */
void filch__reactor_add_timer(
    struct filch__shard *shard, struct filch_timer *timer);

/*
 * Start a thread of the executor; 0 or -errno.  The program's signals are for
 * its own threads: all are blocked but those of the thread's own faults, which
 * blocked would kill the program without a look at its handler.
 */
int filch__thread_start(
    pthread_t *ret_thread, void *(*main)(void *), void *arg);

/*
 * Have this thread wake on time, and its turns on the CPU end sooner, unless
 * they do.  It gets them sooner for that: a thread that wakes takes the CPU at
 * once from one whose turns are longer (Linux 6.12).
 *
 * Threads that it starts inherit both: those of the pool, and a program's that
 * are made in a poll.  Their share of the CPU is what it was, and even with the
 * workers'; where they compute they are only switched more often.
 */
void filch__thread_be_prompt(uint64_t turn_ns);

/*
 * This thread's CPU clock, and the look whether the turn of the thread whose
 * clock it is has come to its end.  The kernel looks by itself at its ticks,
 * which are milliseconds apart, and when somebody wakes; who reads the clock
 * makes it look at once, and if others wait for that CPU one of them gets it.
 * A clock that has ended with its thread is nothing to look at.
 */
uint32_t filch__thread_clock(void);
void filch__thread_look_at_turn(uint32_t clock);

/*
 * Expire what is due on shard; returns how many tasks that woke.  By its
 * worker; cheap if nothing is timed.
 */
unsigned filch__reactor_expire(struct filch__shard *shard);

/* Leave list for when this thread has left the lock of the timers. */
void filch__reactor_defer(struct filch_op *list);

/*
 * Hand finished operations (list by next, results set) to the host; if this
 * thread expires timers, then only when it has left their lock, which
 * finishing an operation takes.
 */
static inline void
filch__reactor_complete(struct filch__reactor *reactor, struct filch_op *list)
{
	if (list == NULL) {
		return;
	}
	if (filch__unlikely(filch__expired_current != NULL)) {
		filch__reactor_defer(list);
		return;
	}
	reactor->host->complete(list);
}

#endif /* FILCH_REACTOR_REACTOR_H */

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The blocking pool: threads that carry out operations by plain system calls,
 * for what a driver cannot do asynchronously.
 *
 * Threads start when there is work that no idle thread takes, up to a bound,
 * and end after a while without work.  The queue is FIFO and intrusive
 * (op->priv.next, op->priv.previous), so it needs no memory.
 */
#ifndef FILCH_REACTOR_POOL_H
#define FILCH_REACTOR_POOL_H

#include <filch/op.h>

#include <pthread.h>
#include <stdbool.h>

#include "../include/private/atomic.h"
#include "op_queue.h"

struct filch__reactor;

struct filch__pool {
	struct filch__reactor *reactor; /* (i) */
	unsigned threads_max;           /* (i) */
	pthread_mutex_t mutex;
	pthread_cond_t work;  /* the queue has grown, or the end has come */
	pthread_cond_t ended; /* a thread has ended */
	struct filch__op_queue queue; /* (l) */
	unsigned threads;             /* (l) */
	unsigned idle;                /* (l) threads that wait for work */
	bool stopping;                /* (l) */
	bool has_last;                /* (l) */
	pthread_t last; /* (l) the latest to end, not yet joined */
};

/* Returns 0 or -ENOMEM, -EAGAIN.  Starts no thread. */
int filch__pool_init(struct filch__pool *pool, struct filch__reactor *reactor,
    unsigned threads_max);

/* Carry out what is queued, then end all threads. */
void filch__pool_fini(struct filch__pool *pool);

/*
 * Queue op.  Its state is FILCH__OP_POOL until a thread takes it, then
 * FILCH__OP_POOL_RUNNING; the end is filch__reactor_complete().  If not even
 * one thread can be started, the calling thread carries out what is queued:
 * so the caller holds no lock that completing takes.  If it expires timers, op
 * is queued when it has left their lock.  With FILCH_OP_NOWAIT it ends with
 * -EAGAIN if FILCH_POOL_DEPTH_NOWAIT wait before it.
 */
void filch__pool_submit(struct filch__pool *pool, struct filch_op *op);

/*
 * Take op out of the queue, or, if it is on its way there, have it end with
 * -ECANCELED when it arrives.  True if it was taken out, for the caller to
 * complete; false if a thread has it or it has not come yet.
 */
bool filch__pool_cancel(struct filch__pool *pool, struct filch_op *op);

/* Take all but closes out of the queue: a list by next. */
struct filch_op *filch__pool_remove_all(struct filch__pool *pool);

void filch__pool_depths(
    struct filch__pool *pool, uint64_t *ret_threads, uint64_t *ret_depth);

#endif /* FILCH_REACTOR_POOL_H */

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The blocking pool.
 *
 * One lock covers the queue, the counts and the move of an operation from
 * FILCH__OP_POOL to FILCH__OP_POOL_RUNNING; whoever makes that move (a thread,
 * or who removes it) alone may complete it, so it completes once.
 *
 * A wake cannot get lost: the queue grows and a thread decides to sleep under
 * the same lock.  A thread that was signalled counts as idle until it runs, and
 * what it will take counts as depth: depth > idle means that one more thread
 * is needed.
 *
 * Threads are joined in a chain: each that ends joins the one that ended
 * before it, and the last is joined by filch__pool_fini().
 */
#include "pool.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <filch/limits.h>

#include "../include/private/assert.h"
#include "../include/private/clock.h"
#include "execute.h"
#include "reactor.h"

/* Systems that cannot choose the clock of a condition use the wall clock. */
#if defined(FILCH_HAVE_CONDATTR_SETCLOCK)
#define POOL_CLOCK CLOCK_MONOTONIC
#else
#define POOL_CLOCK CLOCK_REALTIME
#endif

static int pool_init_conditions(struct filch__pool *);
static void pool_refuse(struct filch__pool *, struct filch_op *, int);
static void pool_spawn(struct filch__pool *);
static void *pool_main(void *);
static bool pool_wait(struct filch__pool *);
static void pool_run_next(struct filch__pool *);
static void pool_unlink(struct filch__pool *, struct filch_op *);

int
filch__pool_init(struct filch__pool *pool, struct filch__reactor *reactor,
    unsigned threads_max)
{
	int error;

	memset(pool, 0, sizeof(*pool));
	pool->reactor = reactor;
	pool->threads_max = threads_max;
	error = pthread_mutex_init(&pool->mutex, NULL);
	if (error != 0) {
		return (-error);
	}
	error = pool_init_conditions(pool);
	if (error != 0) {
		pthread_mutex_destroy(&pool->mutex);
	}
	return (-error);
}

static int
pool_init_conditions(struct filch__pool *pool)
{
	pthread_condattr_t attributes;
	int error = pthread_condattr_init(&attributes);

	if (error != 0) {
		return (error);
	}
#if defined(FILCH_HAVE_CONDATTR_SETCLOCK)
	(void)pthread_condattr_setclock(&attributes, POOL_CLOCK);
#endif
	error = pthread_cond_init(&pool->work, &attributes);
	if (error == 0) {
		error = pthread_cond_init(&pool->ended, NULL);
		if (error != 0) {
			pthread_cond_destroy(&pool->work);
		}
	}
	pthread_condattr_destroy(&attributes);
	return (error);
}

void
filch__pool_fini(struct filch__pool *pool)
{
	pthread_mutex_lock(&pool->mutex);
	pool->stopping = true;
	pthread_cond_broadcast(&pool->work);
	while (pool->threads > 0) {
		pthread_cond_wait(&pool->ended, &pool->mutex);
	}
	pthread_mutex_unlock(&pool->mutex);
	if (pool->has_last) {
		pthread_join(pool->last, NULL);
	}
	filch__assert(pool->queue.head == NULL);
	pthread_cond_destroy(&pool->ended);
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->mutex);
}

void
filch__pool_submit(struct filch__pool *pool, struct filch_op *op)
{
	struct filch__shard *shard = op->priv.shard;
	int refusal = 0;
	bool spawn = false;

	if (filch__unlikely(filch__expired_current != NULL)) {
		/* it may be carried out here, which must be without the lock */
		filch__op_queue_push(&filch__expired_current->pooled, op);
		return;
	}
	/* [PL1] pairs with pool_unlink: a counter, no other order needed */
	(void)filch__u32_add_acq_rel(&shard->pooled, 1);
	pthread_mutex_lock(&pool->mutex);
	if (op->priv.pool_stop != 0 ||
	    (filch__reactor_is_stopping(pool->reactor) &&
		op->priv.opcode != FILCH_OP_CLOSE)) {
		/* the latter: it was on its way while all else was removed */
		refusal = -ECANCELED;
	} else if ((op->priv.flags & FILCH_OP_NOWAIT) != 0 &&
	    pool->queue.count >= FILCH_POOL_DEPTH_NOWAIT) {
		refusal = -EAGAIN;
	}
	if (refusal != 0) {
		pthread_mutex_unlock(&pool->mutex);
		pool_refuse(pool, op, refusal);
		return;
	}
	filch__op_queue_push(&pool->queue, op);
	/* release [OP1]: who cancels sees the operation's shard */
	filch__u32_store_release(&op->priv.state, FILCH__OP_POOL);
	if (pool->queue.count <= pool->idle) {
		pthread_cond_signal(&pool->work);
	} else if (pool->threads < pool->threads_max) {
		pool->threads++;
		spawn = true;
	}
	pthread_mutex_unlock(&pool->mutex);
	if (spawn) {
		pool_spawn(pool);
	}
}

/* It was cancelled on its way here, or there is no room for it. */
static void
pool_refuse(struct filch__pool *pool, struct filch_op *op, int refusal)
{
	struct filch__shard *shard = op->priv.shard;

	/* [PL1] pairs with filch__pool_submit */
	(void)filch__u32_add_acq_rel(&shard->pooled, (uint32_t)-1);
	op->priv.result = refusal;
	op->priv.next = NULL;
	filch__reactor_complete(pool->reactor, op);
}

/*
 * Start the thread that was counted already.  The operation that asked for it
 * may be finished and gone by now, so a failure looks at the queue only.
 */
static void
pool_spawn(struct filch__pool *pool)
{
	pthread_t thread;

	if (filch__thread_start(&thread, pool_main, pool) == 0) {
		return;
	}
	pthread_mutex_lock(&pool->mutex);
	pool->threads--;
	while (pool->threads == 0 && pool->queue.head != NULL) {
		pool_run_next(pool);
	}
	pthread_cond_broadcast(&pool->ended);
	pthread_mutex_unlock(&pool->mutex);
}

static void *
pool_main(void *arg)
{
	struct filch__pool *pool = arg;
	pthread_t before;
	bool has_before;

	pthread_mutex_lock(&pool->mutex);
	do {
		while (pool->queue.head != NULL) {
			pool_run_next(pool);
		}
	} while (pool_wait(pool));
	before = pool->last;
	has_before = pool->has_last;
	pool->last = pthread_self();
	pool->has_last = true;
	pool->threads--;
	pthread_cond_broadcast(&pool->ended);
	pthread_mutex_unlock(&pool->mutex);
	if (has_before) {
		pthread_join(before, NULL);
	}
	return (NULL);
}

/* Sleep until there is work; false if the thread is to end.  Lock held. */
static bool
pool_wait(struct filch__pool *pool)
{
	struct timespec until;
	int error = 0;

	clock_gettime(POOL_CLOCK, &until);
	until.tv_sec += (time_t)(FILCH_POOL_IDLE_NS / FILCH__NS_PER_S);
	while (pool->queue.head == NULL && !pool->stopping && error == 0) {
		pool->idle++;
		error =
		    pthread_cond_timedwait(&pool->work, &pool->mutex, &until);
		pool->idle--;
	}
	return (pool->queue.head != NULL);
}

/* Carry out the first of the queue.  Lock held, but not meanwhile. */
static void
pool_run_next(struct filch__pool *pool)
{
	struct filch_op *op = pool->queue.head;

	pool_unlink(pool, op);
	pthread_mutex_unlock(&pool->mutex);
	op->priv.result = filch__execute(op);
	op->priv.next = NULL;
	/* [PL1] pairs with filch__pool_submit */
	(void)filch__u32_add_acq_rel(
	    &((struct filch__shard *)op->priv.shard)->pooled, (uint32_t)-1);
	filch__reactor_complete(pool->reactor, op);
	pthread_mutex_lock(&pool->mutex);
}

/* Lock held. */
static void
pool_unlink(struct filch__pool *pool, struct filch_op *op)
{
	filch__op_queue_remove(&pool->queue, op);
	/* relaxed: the lock orders it */
	filch__u32_store_relaxed(&op->priv.state, FILCH__OP_POOL_RUNNING);
}

bool
filch__pool_cancel(struct filch__pool *pool, struct filch_op *op)
{
	bool queued;

	pthread_mutex_lock(&pool->mutex);
	op->priv.pool_stop = 1;
	/* relaxed: this state changes under the lock only */
	queued = filch__u32_load_relaxed(&op->priv.state) == FILCH__OP_POOL;
	if (queued) {
		pool_unlink(pool, op);
	}
	pthread_mutex_unlock(&pool->mutex);
	if (queued) {
		/* [PL1] pairs with filch__pool_submit */
		(void)filch__u32_add_acq_rel(
		    &((struct filch__shard *)op->priv.shard)->pooled,
		    (uint32_t)-1);
	}
	return (queued);
}

struct filch_op *
filch__pool_remove_all(struct filch__pool *pool)
{
	struct filch_op *list;
	struct filch_op *op;

	pthread_mutex_lock(&pool->mutex);
	list = filch__op_queue_take_all(&pool->queue);
	for (op = list; op != NULL; op = op->priv.next) {
		/* relaxed: the lock orders it */
		filch__u32_store_relaxed(
		    &op->priv.state, FILCH__OP_POOL_RUNNING);
		/* [PL1] pairs with filch__pool_submit */
		(void)filch__u32_add_acq_rel(
		    &((struct filch__shard *)op->priv.shard)->pooled,
		    (uint32_t)-1);
	}
	pthread_mutex_unlock(&pool->mutex);
	return (list);
}

void
filch__pool_depths(
    struct filch__pool *pool, uint64_t *ret_threads, uint64_t *ret_depth)
{
	pthread_mutex_lock(&pool->mutex);
	*ret_threads = pool->threads;
	*ret_depth = pool->queue.count;
	pthread_mutex_unlock(&pool->mutex);
}

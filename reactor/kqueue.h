/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the kqueue driver share: driver_kqueue.c (opening, the
 * port, parking, streams), kqueue_slots.c (slots, and who may have how many),
 * kqueue_aio.c (submitting, cancelling) and kqueue_reap.c (events).
 *
 * An operation that the kernel has stands in a slot: its aiocb and what there
 * is to know about it.  There are as many slots as the kernel admits jobs, so
 * a slot is the leave to submit.
 *
 * Slot      free -> taken      by who submits, with the shard's lock
 *           taken -> free      by who submits, if the kernel refused the job
 *           taken -> free      by the reactor thread, which has read its event
 *           The job lives from lio_listio(2) to aio_return(2), inside of taken.
 * Op        KERNEL from before the submission until its slot is free again.
 * Token     of a job, in its sigevent: the slot's index, SLOT_MARK, and in the
 *           upper half its generation, which changes whenever it is freed.  So
 *           an event that comes late (aio_return was quicker) names nothing.
 *           A source's token has no SLOT_MARK (registration.h).
 * Locks     the shard's: its queue, who is in it; held over the submission, so
 *           that a cancel sees an operation either waiting or submitted.
 *           The slot's: generation and op, and that the job is looked at,
 *           cancelled or reaped by one thread at a time, and is the one meant.
 *           The driver's `room`: free slots, and who may have how many.
 *           In this order.  The event of a job may be read before the call
 *           that submitted it returns: so a slot is filled before, and after
 *           it only looked at with its lock, if at all.
 *           The driver's `tell`, outside of all: a source's event that repeats
 *           is either muted and told, or let go on.
 * Fairness  Of those that wait for slots (hungry) none takes more than its
 *           share; the reactor thread, which frees slots, feeds the hungry in
 *           turn, whenever it wakes.  A shard says that it is hungry under
 *           the lock by which slots are freed, so whoever frees one knows, and
 *           interrupts the thread if it is not itself that.
 */
#ifndef FILCH_REACTOR_KQUEUE_H
#define FILCH_REACTOR_KQUEUE_H

#include <sys/types.h>

#include <sys/event.h>

#include <aio.h>
#include <signal.h>

#include "../include/private/atomic.h"
#include "../include/private/compiler.h"
#include "../include/private/lock.h"
#include "op_queue.h"
#include "parker.h"
#include "poll_set.h"
#include "reactor.h"

/* Elements handed over by one lio_listio(2): its arrays are on the stack. */
#define FILCH__KQUEUE_LIST_MAX 64

/* Events read by one kevent(2), likewise. */
#define FILCH__KQUEUE_EVENTS_MAX 128

/*
 * Events that repeat, of users' sources, that are remembered until they come
 * again; and for how many turns of the thread.  They come again with the next
 * events, unless there are more than one turn reads.
 */
#define FILCH__KQUEUE_SIGHTINGS_MAX  64
#define FILCH__KQUEUE_SIGHTING_TURNS 8

/* Locks of slots; a power of two.  Enough to hardly ever meet. */
#define FILCH__KQUEUE_LOCKS 32

#define FILCH__KQUEUE_SLOT_MARK (UINT64_C(1) << 31)

struct filch__kqueue_slot {
	struct aiocb cb;
	struct filch_op *op; /* (l) NULL: none */
	uint32_t generation; /* (l) */
	uint32_t next_free;  /* (l) room */
};

struct filch__kqueue_shard {
	FILCH__CACHE_ALIGNED struct filch__lock lock;
	struct filch__shard *shard;   /* (i) */
	struct filch__op_queue queue; /* (l) waiting for slots, or for flush */
	uint32_t held;                /* (l) room: slots taken */
	bool is_hungry;               /* (l) room: it waits for slots */
	struct filch__parker parker;
};

/* An event that repeats, and has been seen once. */
struct filch__kqueue_sighting {
	uintptr_t ident;
	uint64_t token;
	uint64_t turn; /* 0: none */
	short filter;
};

struct filch__kqueue {
	FILCH__CACHE_ALIGNED filch__u32 park; /* (a) [PP1] of the thread */
	int kq;                               /* (i) */
	uint32_t slot_count;                  /* (i) */
	uint32_t list_max;                    /* (i) elements of a list */
	struct filch__kqueue_slot *slots;     /* (i) */
	struct filch__kqueue_shard *shards;   /* (i) */
	struct filch__poll_set set;
	uint32_t feed_next; /* the thread's: which shard is fed first */
	uint64_t turn;      /* the thread's: batches of events so far */
	struct filch__kqueue_sighting
	    sightings[FILCH__KQUEUE_SIGHTINGS_MAX]; /* the thread's */
	struct filch__lock tell;
	FILCH__CACHE_ALIGNED struct filch__lock room;
	uint32_t free;       /* (l) first free slot; slot_count: none */
	uint32_t free_count; /* (l) */
	uint32_t hungry;     /* (l) shards that are */
	FILCH__CACHE_ALIGNED struct filch__lock locks[FILCH__KQUEUE_LOCKS];
};

/* Operations that leave the driver, to be handed on without a lock. */
struct filch__kqueue_leaving {
	struct filch__op_queue done; /* results set */
	struct filch__op_queue pooled;
	bool has_fed_nobody; /* slots were freed, and somebody waits for some */
};

/* Slots whose jobs have ended. */
struct filch__kqueue_reaped {
	uint32_t indices[FILCH__KQUEUE_EVENTS_MAX];
	uint32_t
	    shards[FILCH__KQUEUE_EVENTS_MAX]; /* by index, whose they were */
	unsigned count;
};

static inline struct filch__kqueue *
filch__kqueue_of(const struct filch__reactor *reactor)
{
	return (reactor->driver_state);
}

static inline struct filch__lock *
filch__kqueue_slot_lock(struct filch__kqueue *kq, uint32_t index)
{
	return (&kq->locks[index % FILCH__KQUEUE_LOCKS]);
}

/* ---- kqueue_slots.c ---- */

/* Make the slots.  Returns 0; -ENOMEM; -ENOSYS the kernel admits no jobs. */
int filch__kqueue_slots_init(
    struct filch__kqueue *kq, const struct filch__reactor_options *options);
void filch__kqueue_slots_fini(struct filch__kqueue *kq);

/*
 * Take slots for what waits on ks, or for the first of it, as far as its share
 * allows; returns how many, up to the elements of a list.  Its lock held.
 */
unsigned filch__kqueue_slots_take(struct filch__kqueue *kq,
    struct filch__kqueue_shard *ks, uint32_t *ret_indices);

/*
 * Free the slots of what the kernel did not take.  True if jobs of ours are
 * there, or on their way: then, if it is_short of room, ks is fed when one of
 * them ends.  *ret_others: others wait, and are to be fed.  Shard's lock held.
 */
bool filch__kqueue_slots_give_back(struct filch__kqueue *kq,
    struct filch__kqueue_shard *ks, const uint32_t *indices, unsigned count,
    bool is_short, bool *ret_others);

/* Free slots that were reaped. */
void filch__kqueue_slots_free(
    struct filch__kqueue *kq, const struct filch__kqueue_reaped *reaped);

/* True if ks, or anybody for NULL, waits for slots. */
bool filch__kqueue_is_hungry(
    struct filch__kqueue *kq, const struct filch__kqueue_shard *ks);

/* The shard's queue has become shorter by other means.  Its lock held. */
void filch__kqueue_settle(
    struct filch__kqueue *kq, struct filch__kqueue_shard *ks);

/* End slot's job; its operation.  The slot's lock held. */
struct filch_op *filch__kqueue_slot_leave(struct filch__kqueue_slot *slot);

/* ---- kqueue_aio.c ---- */

/* True if the kernel may have an asynchronous way for op. */
bool filch__kqueue_is_asynchronous(const struct filch_op *op);

/* Hand over what waits, as far as there are slots.  Shard's lock held. */
void filch__kqueue_issue(struct filch__kqueue *kq,
    struct filch__kqueue_shard *ks, struct filch__kqueue_leaving *leaving);

/* Ask the kernel to cancel the job of op, which is KERNEL.  Shard's lock. */
void filch__kqueue_job_cancel(struct filch__kqueue *kq, struct filch_op *op);

/* The same for all of a shard.  Its lock held. */
void filch__kqueue_jobs_cancel(
    struct filch__kqueue *kq, const struct filch__shard *shard);

/* Let op leave: it has ended, or the pool will carry it out. */
void filch__kqueue_done(
    struct filch__kqueue_leaving *leaving, struct filch_op *op, int64_t result);
void filch__kqueue_fall_back(struct filch__kqueue_leaving *leaving,
    struct filch_op *op, enum filch_fallback reason);

/* Complete what leaves, or give it to the pool.  No lock held. */
void filch__kqueue_hand_on(
    struct filch__reactor *reactor, struct filch__kqueue_leaving *leaving);

/* ---- kqueue_reap.c ---- */

/* Have those who wait for slots served, in turn; on the reactor thread. */
void filch__kqueue_feed(struct filch__reactor *reactor);

/* Deal with events; on the reactor thread. */
void filch__kqueue_events(struct filch__reactor *reactor,
    const struct kevent *events, unsigned count);

/* As filch__driver.source_tell_again. */
void filch__kqueue_source_tell_again(const struct filch__reactor *reactor,
    struct filch__registration *registration);

/* ---- driver_kqueue.c ---- */

/*
 * Have the reactor thread told when slot's descriptor is ready for what waits
 * on it.  Returns 0 or -errno.  The poll set's lock held.
 */
int filch__kqueue_arm(
    struct filch__kqueue *kq, struct filch__poll_slot *slot, short events);

/*
 * Hand over what waits on shard; true if an operation has left meanwhile, to
 * its end or to the pool.  No lock held.
 */
bool filch__kqueue_hand_over(struct filch__shard *shard);

#endif /* FILCH_REACTOR_KQUEUE_H */

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Registrations: what the kernel, and any thread, can name by a token to say
 * that a user's source has completed.
 *
 * Registrations live in chunks that are freed only with the reactor, and are
 * recycled: a token is the slot's index and generation, so one that outlived
 * its source (a stale kevent, a late notify) finds nothing and harms nobody.
 *
 * Word      pins: [63:32] generation  [31:0] pins
 * States    free -> bound        new        pins = 1, the owner's
 *           bound -> bound       acquire    pins + 1, if the generation is the
 *                                           token's; by any thread
 *           bound -> retired     retire     generation + 1, pins - 1; by owner
 *           any -> any           release    pins - 1; who makes it 0 of a
 *                                           retired one puts the slot on the
 *                                           free list
 * Invariant A slot is on the free list only while pins is 0; operations in the
 *           kernel hold a pin, so the kernel never names a slot of another
 *           generation.
 * Orderings [RG1] every change of the word is acq_rel: what was done with a
 *           pin held happens before the slot is bound anew.
 *           [RG2] results are stored before remaining is counted down; the
 *           last one publishes them with the readiness word.
 *           [RG3] bound is a counter only.
 *           [RG4] a chunk is filled before it can be found.
 * Together  acquire, release with anything; retire once.
 * Progress  lock-free; new and the last release take the table's lock.
 * Rejected  tokio's list that only shrinks at shutdown: every Aio leaked.
 */
#ifndef FILCH_REACTOR_REGISTRATION_H
#define FILCH_REACTOR_REGISTRATION_H

#include <filch/aio.h>

#include "../include/private/atomic.h"
#include "../include/private/compiler.h"
#include "../include/private/lock.h"
#include "readiness.h"
#include "waker_slot.h"

struct filch__shard;

struct filch__registration {
	FILCH__CACHE_ALIGNED filch__u64 pins; /* (a) */
	filch__u64 readiness;                 /* (a) */
	struct filch__waker_slot waker;       /* (a) */
	uint32_t index;                       /* (i) of the slot */
	uint32_t interest;                    /* (i) while bound */
	uint32_t entries_max;                 /* (i) while bound */
	filch__u32 remaining;                 /* (a) entries in flight */
	filch__u64 result;                    /* (a) of AIO, or of notify */
	int32_t *results;                     /* entries_max of them, LIO */
	filch__ptr shard;                     /* (a) of the latest submission */
	filch__u32 submitted;                 /* (a) entries of it */
	filch__ptr told; /* (a) the aiocb or list whose event a kqueue mutes */
	struct filch__registration *next_free; /* (l) */
};

#define FILCH__REGISTRATION_CHUNK  256
#define FILCH__REGISTRATION_CHUNKS 4096

struct filch__registrations {
	struct filch__lock lock;
	struct filch__registration *free; /* (l) */
	uint32_t chunk_count;             /* (l) */
	bool is_shut;                     /* (l) nothing is bound any more */
	filch__u64 bound;                 /* (a) now */
	filch__ptr chunks[FILCH__REGISTRATION_CHUNKS]; /* (a) NULL: not yet */
};

void filch__registrations_init(struct filch__registrations *table);
void filch__registrations_fini(struct filch__registrations *table);

/*
 * Bind a slot.  Returns 0; -ENOMEM; -EAGAIN all slots are bound; -ESHUTDOWN.
 * interest: FILCH_INTEREST_AIO or FILCH_INTEREST_LIO.
 */
int filch__registration_new(struct filch__registrations *table,
    unsigned interest, unsigned entries_max,
    struct filch__registration **ret_registration, uint64_t *ret_token);

/* Its token.  By who has it pinned. */
uint64_t filch__registration_token(
    const struct filch__registration *registration);

/* Pin the registration of token; NULL if it is gone. */
struct filch__registration *filch__registration_acquire(
    struct filch__registrations *table, uint64_t token);

/* Give a pin up. */
void filch__registration_release(struct filch__registrations *table,
    struct filch__registration *registration);

/* The owner's end: its token names nothing any more; drops the waker. */
void filch__registration_retire(struct filch__registrations *table,
    struct filch__registration *registration);

/* Make it ready and wake who waits.  The caller holds a pin. */
void filch__registration_notify(struct filch__registration *registration);

/*
 * An entry of its submission has completed.  The last one makes it ready and
 * gives up the pin that the submission held.
 */
void filch__registration_entry_done(struct filch__registrations *table,
    struct filch__registration *registration, unsigned index, int32_t result);

/* Say SHUTDOWN to all that are bound, for good, and wake who waits. */
void filch__registrations_shutdown(struct filch__registrations *table);

#endif /* FILCH_REACTOR_REGISTRATION_H */

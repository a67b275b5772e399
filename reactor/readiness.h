/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Readiness: what has happened to a source, and how often.
 *
 * Word      [63:36] generation of the write direction
 *           [35:8]  generation of the read direction
 *           [7:0]   AIO 1  LIO 2  READ 4  WRITE 8  ERROR 16  CLOSED 32
 *                   SHUTDOWN 64
 *           Read direction: AIO, LIO, READ.  Write direction: WRITE.  ERROR,
 *           CLOSED and SHUTDOWN concern both.
 * Fields    word (a), changed by CAS only.
 * States    any -> ready        set       generation + 1 of the directions
 *                                         concerned; by who saw the event
 *           ready -> not ready  clear     if its generation has not moved on;
 *                                         by who used the event up
 *           any -> shut down    shutdown  for good; by the reactor
 * Invariant A generation never goes back, and counts every set of its
 *           direction modulo 2^28.  CLOSED and SHUTDOWN are never cleared.
 * Orderings [RD1] set (release), load (acquire): who sees the bit sees the
 *           result stored before it.
 *           [RD2] clear and shutdown publish nothing of their own.  They are
 *           RMWs, and so stand in the release sequences of the sets before
 *           them: who loads their value sees those sets' results too.
 *           That a result is read before the next one is stored in its place
 *           is for the submission to order: it follows the clear.
 *           A poll that finds nothing leaves its waker in the slot and then
 *           loads again: the slot's own RMWs order that (waker_slot.h).
 * Together  everything with everything.
 * Progress  load wait-free; set, shutdown and clear lock-free.
 * Rejected  one generation for both directions, as in tokio (a write event
 *           saves stale read readiness from its clear, tokio#8054); comparing
 *           only some of its bits (an event exactly 256 old clears a fresh
 *           one, tokio#8331).  With 28 bits all compared, a clear must be
 *           2^28 events late to be wrong.
 * Source    tokio runtime/io/scheduled_io.rs, for the idea of the tick.
 *           Tests: unit/test_readiness.c model/readiness.cpp.
 */
#ifndef FILCH_REACTOR_READINESS_H
#define FILCH_REACTOR_READINESS_H

#include <stdbool.h>
#include <stdint.h>

#include "../include/private/assert.h"
#include "../include/private/atomic.h"

enum {
	FILCH__READY_AIO = 1,
	FILCH__READY_LIO = 2,
	FILCH__READY_READ = 4,
	FILCH__READY_WRITE = 8,
	FILCH__READY_ERROR = 16,
	FILCH__READY_CLOSED = 32,
	FILCH__READY_SHUTDOWN = 64
};

#define FILCH__READY_ALL UINT32_C(0x7f)
#define FILCH__READY_STICKY                                                    \
	((uint32_t)FILCH__READY_CLOSED | (uint32_t)FILCH__READY_SHUTDOWN)
#define FILCH__READY_BOTH ((uint32_t)FILCH__READY_ERROR | FILCH__READY_STICKY)
#define FILCH__READY_FOR_READ                                                  \
	((uint32_t)FILCH__READY_AIO | (uint32_t)FILCH__READY_LIO |             \
	    (uint32_t)FILCH__READY_READ)
#define FILCH__READY_FOR_WRITE ((uint32_t)FILCH__READY_WRITE)

#define FILCH__READY_GENERATION_MASK UINT64_C(0xfffffff)
#define FILCH__READY_READ_SHIFT      8
#define FILCH__READY_WRITE_SHIFT     36

/* The bits of a loaded word. */
static inline uint32_t
filch__readiness_bits(uint64_t value)
{
	return ((uint32_t)value & FILCH__READY_ALL);
}

/* The generation in a loaded word of the direction to which bits belong. */
static inline uint32_t
filch__readiness_generation(uint64_t value, uint32_t bits)
{
	int shift = (bits & FILCH__READY_FOR_WRITE) != 0
	    ? FILCH__READY_WRITE_SHIFT
	    : FILCH__READY_READ_SHIFT;

	return ((uint32_t)(value >> shift & FILCH__READY_GENERATION_MASK));
}

/* A new value with the generation at shift one further; no carry out of it. */
static inline uint64_t
filch__readiness_bump(uint64_t value, int shift)
{
	uint64_t mask = FILCH__READY_GENERATION_MASK << shift;

	return ((value & ~mask) | ((value + (UINT64_C(1) << shift)) & mask));
}

static inline uint64_t
filch__readiness_load(const filch__u64 *word)
{
	/* [RD1] pairs with the CAS in set */
	return (filch__u64_load_acquire(word));
}

/* An event: set bits, and count it.  Returns the word as it was. */
static inline uint64_t
filch__readiness_set(filch__u64 *word, uint32_t bits)
{
	/* relaxed: the CAS checks it */
	uint64_t old = filch__u64_load_relaxed(word);
	uint64_t value;

	filch__assert((bits & ~FILCH__READY_ALL) == 0);
	do {
		value = old | bits;
		if ((bits & (FILCH__READY_FOR_READ | FILCH__READY_BOTH)) != 0) {
			value = filch__readiness_bump(
			    value, FILCH__READY_READ_SHIFT);
		}
		if ((bits & (FILCH__READY_FOR_WRITE | FILCH__READY_BOTH)) !=
		    0) {
			value = filch__readiness_bump(
			    value, FILCH__READY_WRITE_SHIFT);
		}
		/* [RD1] pairs with load */
	} while (!filch__u64_cas_acq_rel(word, &old, value));
	return (old);
}

/*
 * The reactor is gone: nothing will ever happen to the source again.  That is
 * no event, and is not counted: what was reported before can still be cleared,
 * or it would be reported twice.
 */
static inline uint64_t
filch__readiness_shutdown(filch__u64 *word)
{
	/* relaxed: the CAS checks it */
	uint64_t old = filch__u64_load_relaxed(word);

	/* [RD2] passes on what the sets before it released */
	while (!filch__u64_cas_acq_rel(
	    word, &old, old | (uint64_t)FILCH__READY_SHUTDOWN)) {
		continue;
	}
	return (old);
}

/*
 * The event that was reported with generation has been used up: clear bits, all
 * of one direction, and ERROR if it is named.  False, and nothing is cleared,
 * if another event of that direction has come since.  CLOSED and SHUTDOWN stay
 * whatever bits says.
 */
static inline bool
filch__readiness_clear(filch__u64 *word, uint32_t bits, uint32_t generation)
{
	/* relaxed: the CAS checks it */
	uint64_t old = filch__u64_load_relaxed(word);
	uint64_t cleared = bits & ~FILCH__READY_STICKY;

	filch__assert((bits & ~FILCH__READY_ALL) == 0);
	filch__assert((bits & FILCH__READY_FOR_READ) == 0 ||
	    (bits & FILCH__READY_FOR_WRITE) == 0);
	do {
		if (filch__readiness_generation(old, bits) != generation) {
			return (false);
		}
		/* [RD2] passes on what the sets before it released */
	} while (!filch__u64_cas_acq_rel(word, &old, old & ~cleared));
	return (true);
}

#endif /* FILCH_REACTOR_READINESS_H */

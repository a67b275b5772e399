/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Idle: whom to wake when work has been published.
 *
 * A worker without work first searches (steals, looks at the injector), then
 * parks.  Who publishes work wakes a parked worker, unless somebody searches
 * already and will find it.
 *
 * Word      [63:32] parked  [31:0] searching; changed by RMW only.
 * Fields    word (a), its upper half only under the lock;  sleepers, count
 *           (l): the parked workers, latest on top;  searching_max (i).
 * States    running -> searching  begin_search  the worker   if few search
 *           searching -> running  end_search    the worker   [ID2]
 *           running -> parked     park          the worker   [ID1]
 *           searching -> parked   park          the worker   [ID1]
 *           parked -> searching   claim         the WAKER, so that the next
 *                                               publisher wakes nobody else
 *           parked -> searching   unpark_self   the worker, whom its own shard
 *                                               or its last look gave work
 * Invariant The upper half is count.  Work that is queued while nobody
 *           searches has its publisher still before the load in claim, or a
 *           parker before its last look, or a last searcher between end_search
 *           and the look that follows it, or only running workers, who look
 *           into every queue before they park.
 * Orderings [ID1] publisher: publish, fence, load word; a push into the
 *           injector is both, as a seq_cst RMW [IJ3].  parker: change word,
 *           fence, look into all queues.  Store-load on both sides: either the
 *           publisher sees the worker parked (or no longer searching), or the
 *           worker sees the work.  Acquire and release would let both miss.
 *           [ID2] the same with end_search: a publisher that trusted in the
 *           searcher comes before its RMW, so the look after it sees the work.
 *           The look is what keeps the promise: the last searcher to find work
 *           wakes another only if there is more of it.
 *           begin_search itself needs no order: who trusted in it is caught by
 *           the end_search or park that follows.
 *           [MO1] a worker that wakes has changed the word, or its waker has,
 *           by seq_cst before it loads whether the reactor thread looks after
 *           it; that thread stores the contrary, then loads the word.
 * Together  everything with everything, each worker's own calls in its own
 *           thread; init and fini with nothing.
 * Progress  claim is one load unless it wakes; begin_search lock-free,
 *           end_search wait-free; those that change the list hold a lock for
 *           at most count steps.
 *           A searcher may be one that waits before it steals spawned tasks
 *           again (steal.c).  Beside tiny tasks all searchers may: then up to
 *           searching_max workers spin, and for up to 64 us nobody is woken
 *           for the spawned tasks of another worker, however long these are.
 * Rejected  a wake for every publish (needless wakes, and a storm of them
 *           after each); waking another whenever the last searcher found work,
 *           as tokio and Go do (the woken worker mostly finds nothing and
 *           parks again: an executor with one task at a time would wake two
 *           workers for each); a sleepers' bit set of a word (bounds workers).
 * Source    Go runtime/proc.go, "Worker thread parking/unparking"; tokio
 *           multi_thread/idle.rs.  Tests: unit/test_idle.c model/idle.cpp.
 */
#ifndef FILCH_EXECUTOR_IDLE_H
#define FILCH_EXECUTOR_IDLE_H

#include <stdbool.h>
#include <stdint.h>

#include <filch/base.h>
#include <filch/limits.h>

#include "../include/private/atomic.h"
#include "../include/private/compiler.h"
#include "../include/private/lock.h"
#include "../include/private/plain.h"

/* The list has room for every worker there can be. */
#ifndef FILCH__IDLE_SLEEPERS_MAX
#define FILCH__IDLE_SLEEPERS_MAX FILCH_WORKERS_MAX
#endif

struct filch__idle {
	FILCH__CACHE_ALIGNED filch__u64 word; /* (a) */
	uint32_t searching_max;               /* (i) */
	FILCH__CACHE_ALIGNED struct filch__lock lock;
	FILCH__PLAIN(uint32_t) count;                              /* (l) */
	FILCH__PLAIN(uint16_t) sleepers[FILCH__IDLE_SLEEPERS_MAX]; /* (l) */
};

void filch__idle_init(struct filch__idle *idle, unsigned workers);
void filch__idle_fini(struct filch__idle *idle);

/*
 * The calling worker wants to search.  False if enough do already (half of all
 * workers, but always one may): it parks without having searched.
 */
bool filch__idle_begin_search(struct filch__idle *idle);

/*
 * The calling worker, which searched, found work.  True if it was the last
 * searcher: it must now look at all queues and, if any of them still holds
 * work, call filch__idle_claim() and wake whom that names.  The fence that the
 * look needs has been made.
 */
FILCH_NODISCARD bool filch__idle_end_search(struct filch__idle *idle);

/*
 * The calling worker is about to sleep.  It must look at all queues once more
 * after this call, in which the fence for that look has been made, and call
 * filch__idle_unpark_self() if any holds work.
 */
void filch__idle_park(
    struct filch__idle *idle, unsigned worker, bool searching);

/*
 * The calling worker, which parked, does not (or no longer) want to sleep.
 * Either way it counts as searching from here on.
 * True if it has left the list; false if a waker had claimed it, and that
 * waker's token is under way or has come.
 */
bool filch__idle_unpark_self(struct filch__idle *idle, unsigned worker);

/*
 * Work was published, with a full fence or a sequentially consistent RMW since.
 * Returns the worker whom the caller must wake, which counts as searching from
 * now on; -1 if somebody searches already or nobody is parked.
 */
int filch__idle_claim_slow(struct filch__idle *idle);

/* The same, whoever may be searching: for a stuck worker, or the end. */
int filch__idle_claim_any(struct filch__idle *idle);

static inline uint32_t
filch__idle_word_parked(uint64_t word)
{
	return ((uint32_t)(word >> 32));
}

static inline uint32_t
filch__idle_word_searching(uint64_t word)
{
	return ((uint32_t)word);
}

static inline int
filch__idle_claim(struct filch__idle *idle)
{
	/* [ID1] pairs with park; [ID2] with end_search */
	uint64_t word = filch__u64_load_seq_cst(&idle->word);

	if (filch__likely(filch__idle_word_searching(word) != 0 ||
		filch__idle_word_parked(word) == 0)) {
		return (-1);
	}
	return (filch__idle_claim_slow(idle));
}

/* Any thread, for a publisher who may as well wait: would it wake somebody? */
static inline bool
filch__idle_is_wanting(const struct filch__idle *idle)
{
	/* relaxed: a hint */
	uint64_t word = filch__u64_load_relaxed(&idle->word);

	return (filch__idle_word_searching(word) == 0 &&
	    filch__idle_word_parked(word) != 0);
}

/* Any thread: how many sleep. */
static inline uint32_t
filch__idle_parked(const struct filch__idle *idle)
{
	/* [MO1] pairs with the changes of the word: who stored before it what
	 * a worker loads once awake sees the worker, or is seen by it */
	return (filch__idle_word_parked(filch__u64_load_seq_cst(&idle->word)));
}

/* Any thread, for statistics. */
static inline uint32_t
filch__idle_searching(const struct filch__idle *idle)
{
	/* relaxed: a figure */
	return (
	    filch__idle_word_searching(filch__u64_load_relaxed(&idle->word)));
}

#endif /* FILCH_EXECUTOR_IDLE_H */

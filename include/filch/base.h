/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What every header of filch shares.
 *
 * Conventions of the whole library, which hold where nothing else is said:
 *   Errors    a function that can fail returns 0 or a count, or -errno; what
 *             its ret_ parameters point to is then untouched.  Each function
 *             names its errors.  errno means nothing afterwards.
 *   Misuse    a promise the caller broke stops the program with a message
 *             that starts with "filch: misuse:".
 *   Pointers  are not NULL, and what they point to is the caller's again when
 *             the function returns.
 *   Pinned    a struct that "is pinned" must not move or be freed from the
 *             call named until the moment named.
 *   Time      nanoseconds of CLOCK_MONOTONIC; a point in time, not a length.
 *   Threads   what the calling thread may be.  "Any" allows calls at the same
 *             time from several threads, also for the same object; but who
 *             initialises or destroys an object is alone with it.
 *   priv      members named priv belong to the library.
 *
 * An executor blocks all signals on its threads but those of their own faults
 * (SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP).  A thread-local value
 * (errno too) does not outlive a poll: the next may be on another thread.
 */
#ifndef FILCH_BASE_H
#define FILCH_BASE_H

#include <stddef.h>
#include <stdint.h>

#if defined(FILCH_BUILDING)
#define FILCH_API __attribute__((visibility("default")))
#else
#define FILCH_API
#endif

#define FILCH_NODISCARD __attribute__((warn_unused_result))

#ifdef __cplusplus
#define FILCH_BEGIN_DECLS extern "C" {
#define FILCH_END_DECLS   }
#else
#define FILCH_BEGIN_DECLS
#define FILCH_END_DECLS
#endif

/* No deadline. */
#define FILCH_NEVER UINT64_MAX

/* What a poll function found. */
enum filch_poll {
	FILCH_PENDING = 0, /* not yet; the task will be woken */
	FILCH_READY = 1    /* finished */
};

/* The struct of the given type whose member pointer points to. */
#define filch_container_of(pointer, type, member)                              \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

struct filch_executor;
struct filch_task;
struct filch_op;
struct filch_batch;
struct filch_file;

#endif /* FILCH_BASE_H */

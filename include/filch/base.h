/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What every header of filch shares.
 *
 * Conventions of the whole library:
 *   Errors    a function that can fail returns 0 or a count, or -errno.
 *   Misuse    a promise the caller broke stops the program with a message
 *             that starts with "filch: misuse:".
 *   Time      nanoseconds of CLOCK_MONOTONIC; a point in time, not a length.
 *   Pinned    a struct that "is pinned" must not move or be freed from the
 *             call named until the moment named.
 *   priv      members named priv belong to the library.
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
	FILCH_PENDING = 0, /* not yet; a wake will follow */
	FILCH_READY = 1    /* finished */
};

/* The struct of the given type that holds pointer as its member. */
#define filch_container_of(pointer, type, member)                              \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

struct filch_executor;
struct filch_task;
struct filch_op;
struct filch_batch;
struct filch_file;

#endif /* FILCH_BASE_H */

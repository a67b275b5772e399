/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What differs between compilers and systems, under one name each.
 */
#ifndef FILCH_PRIVATE_COMPILER_H
#define FILCH_PRIVATE_COMPILER_H

/* Two lines: x86 prefetches lines in pairs, so neighbours would still share. */
#define FILCH__CACHE_LINE    128
#define FILCH__CACHE_ALIGNED __attribute__((aligned(FILCH__CACHE_LINE)))

#define filch__likely(condition)   __builtin_expect(!!(condition), 1)
#define filch__unlikely(condition) __builtin_expect(!!(condition), 0)

/* The address need not be valid. */
#define filch__prefetch(address) __builtin_prefetch(address, 1)

#define FILCH__NOINLINE __attribute__((noinline))
#define FILCH__UNUSED   __attribute__((unused))

/* What a mapping's page past the end of its file raises; else SIGSEGV. */
#if defined(__FreeBSD__) && __FreeBSD__ < 13
#define FILCH__PAST_END_IS_SIGBUS 0
#else
#define FILCH__PAST_END_IS_SIGBUS 1
#endif

#ifdef __cplusplus
#define FILCH__THREAD_LOCAL thread_local
#else
#define FILCH__THREAD_LOCAL _Thread_local
#endif

#define FILCH__CONTAINER_OF(pointer, type, member)                             \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif /* FILCH_PRIVATE_COMPILER_H */

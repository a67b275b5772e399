/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every atomic access of filch, by the name of its memory order.
 *
 * One vocabulary, three builds:
 *   production             Concurrency Kit's ck_pr;
 *   FILCH_ATOMIC_C11       the compiler's atomics, for the sanitizers, which
 *                          cannot see into ck's inline assembly;
 *   FILCH_ATOMIC_RELACY    scheduling points of the Relacy race detector
 *                          (C++), which explores interleavings and orders.
 *
 * In the first two builds an atomic object is a plain integer or pointer, so
 * that it can stand in a public struct and a C++ program can include it.
 * The orders are those of C11.  A read-modify-write is acq_rel or seq_cst.
 */
#ifndef FILCH_PRIVATE_ATOMIC_H
#define FILCH_PRIVATE_ATOMIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(FILCH_ATOMIC_RELACY)

#include <relacy/relacy.hpp>

typedef rl::atomic<uint32_t> filch__u32;
typedef rl::atomic<uint64_t> filch__u64;
typedef rl::atomic<void *> filch__ptr;

#define FILCH__ATOMIC_DEFINE(name, type)                                       \
	static inline type filch__##name##_load_relaxed(                       \
	    const filch__##name *object)                                       \
	{                                                                      \
		return (object->load(rl::mo_relaxed, $));                      \
	}                                                                      \
	static inline type filch__##name##_load_acquire(                       \
	    const filch__##name *object)                                       \
	{                                                                      \
		return (object->load(rl::mo_acquire, $));                      \
	}                                                                      \
	static inline type filch__##name##_load_seq_cst(                       \
	    const filch__##name *object)                                       \
	{                                                                      \
		return (object->load(rl::mo_seq_cst, $));                      \
	}                                                                      \
	static inline void filch__##name##_store_relaxed(                      \
	    filch__##name *object, type value)                                 \
	{                                                                      \
		object->store(value, rl::mo_relaxed, $);                       \
	}                                                                      \
	static inline void filch__##name##_store_release(                      \
	    filch__##name *object, type value)                                 \
	{                                                                      \
		object->store(value, rl::mo_release, $);                       \
	}                                                                      \
	static inline type filch__##name##_exchange_acq_rel(                   \
	    filch__##name *object, type value)                                 \
	{                                                                      \
		return (object->exchange(value, rl::mo_acq_rel, $));           \
	}                                                                      \
	static inline type filch__##name##_exchange_seq_cst(                   \
	    filch__##name *object, type value)                                 \
	{                                                                      \
		return (object->exchange(value, rl::mo_seq_cst, $));           \
	}                                                                      \
	static inline bool filch__##name##_cas_acq_rel(                        \
	    filch__##name *object, type *expected, type desired)               \
	{                                                                      \
		return (object->compare_exchange_strong(                       \
		    *expected, desired, rl::mo_acq_rel, $));                   \
	}                                                                      \
	static inline bool filch__##name##_cas_seq_cst(                        \
	    filch__##name *object, type *expected, type desired)               \
	{                                                                      \
		return (object->compare_exchange_strong(                       \
		    *expected, desired, rl::mo_seq_cst, $));                   \
	}

#define FILCH__ATOMIC_DEFINE_ADD(name, type)                                   \
	static inline type filch__##name##_add_acq_rel(                        \
	    filch__##name *object, type value)                                 \
	{                                                                      \
		return (object->fetch_add(value, rl::mo_acq_rel, $));          \
	}                                                                      \
	static inline type filch__##name##_add_seq_cst(                        \
	    filch__##name *object, type value)                                 \
	{                                                                      \
		return (object->fetch_add(value, rl::mo_seq_cst, $));          \
	}

FILCH__ATOMIC_DEFINE(u32, uint32_t)
FILCH__ATOMIC_DEFINE(u64, uint64_t)
FILCH__ATOMIC_DEFINE(ptr, void *)
FILCH__ATOMIC_DEFINE_ADD(u32, uint32_t)
FILCH__ATOMIC_DEFINE_ADD(u64, uint64_t)

static inline void
filch__fence_seq_cst(void)
{
	rl::atomic_thread_fence(rl::mo_seq_cst, $);
}

static inline void
filch__pause(void)
{
	rl::yield(1, $);
}

#else /* plain objects */

typedef uint32_t filch__u32;
typedef uint64_t filch__u64;
typedef void *filch__ptr;

#if defined(FILCH_ATOMIC_C11)

#define FILCH__ATOMIC_DEFINE(name, type)                                       \
	static inline type filch__##name##_load_relaxed(                       \
	    const filch__##name *object)                                       \
	{                                                                      \
		return (__atomic_load_n(object, __ATOMIC_RELAXED));            \
	}                                                                      \
	static inline type filch__##name##_load_acquire(                       \
	    const filch__##name *object)                                       \
	{                                                                      \
		return (__atomic_load_n(object, __ATOMIC_ACQUIRE));            \
	}                                                                      \
	static inline type filch__##name##_load_seq_cst(                       \
	    const filch__##name *object)                                       \
	{                                                                      \
		return (__atomic_load_n(object, __ATOMIC_SEQ_CST));            \
	}                                                                      \
	static inline void filch__##name##_store_relaxed(                      \
	    filch__##name *object, type value)                                 \
	{                                                                      \
		__atomic_store_n(object, value, __ATOMIC_RELAXED);             \
	}                                                                      \
	static inline void filch__##name##_store_release(                      \
	    filch__##name *object, type value)                                 \
	{                                                                      \
		__atomic_store_n(object, value, __ATOMIC_RELEASE);             \
	}                                                                      \
	static inline type filch__##name##_exchange_acq_rel(                   \
	    filch__##name *object, type value)                                 \
	{                                                                      \
		return (__atomic_exchange_n(object, value, __ATOMIC_ACQ_REL)); \
	}                                                                      \
	static inline type filch__##name##_exchange_seq_cst(                   \
	    filch__##name *object, type value)                                 \
	{                                                                      \
		return (__atomic_exchange_n(object, value, __ATOMIC_SEQ_CST)); \
	}                                                                      \
	static inline bool filch__##name##_cas_acq_rel(                        \
	    filch__##name *object, type *expected, type desired)               \
	{                                                                      \
		return (__atomic_compare_exchange_n(object, expected, desired, \
		    false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));               \
	}                                                                      \
	static inline bool filch__##name##_cas_seq_cst(                        \
	    filch__##name *object, type *expected, type desired)               \
	{                                                                      \
		return (__atomic_compare_exchange_n(object, expected, desired, \
		    false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));               \
	}

#define FILCH__ATOMIC_DEFINE_ADD(name, type)                                   \
	static inline type filch__##name##_add_acq_rel(                        \
	    filch__##name *object, type value)                                 \
	{                                                                      \
		return (__atomic_fetch_add(object, value, __ATOMIC_ACQ_REL));  \
	}                                                                      \
	static inline type filch__##name##_add_seq_cst(                        \
	    filch__##name *object, type value)                                 \
	{                                                                      \
		return (__atomic_fetch_add(object, value, __ATOMIC_SEQ_CST));  \
	}

FILCH__ATOMIC_DEFINE(u32, uint32_t)
FILCH__ATOMIC_DEFINE(u64, uint64_t)
FILCH__ATOMIC_DEFINE(ptr, void *)
FILCH__ATOMIC_DEFINE_ADD(u32, uint32_t)
FILCH__ATOMIC_DEFINE_ADD(u64, uint64_t)

static inline void
filch__fence_seq_cst(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static inline void
filch__pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#endif
}

#else /* Concurrency Kit */

#include <ck_pr.h>

/* ck_md.h is made for one processor; another's would drop the fences. */
#if defined(CK_MD_TSO) &&                                                      \
    (defined(__aarch64__) || defined(__arm__) || defined(__powerpc__) ||       \
	defined(__riscv))
#error "ck_md.h promises ordered stores, which this processor has not."
#endif

/*
 * ck's read-modify-writes carry no order of their own; the fences around
 * them give it.  On a total-store-order CPU all of these fences are compiler
 * barriers, since its locked instructions are already sequentially
 * consistent.
 */
static inline void
filch__rmw_before(void)
{
	ck_pr_fence_load_atomic();
	ck_pr_fence_store_atomic();
}

static inline void
filch__rmw_after(void)
{
	ck_pr_fence_atomic_load();
	ck_pr_fence_atomic_store();
}

/*
 * A sequentially consistent load orders after the seq_cst accesses before it.
 * On x86 those are all locked instructions, which drain the store buffer, and
 * nothing is left to do; elsewhere a full fence stands before it.
 */
static inline void
filch__load_before(void)
{
#if !defined(CK_MD_TSO)
	ck_pr_fence_memory();
#endif
}

#define FILCH__ATOMIC_DEFINE(name, type, ck)                                   \
	static inline type filch__##name##_load_relaxed(                       \
	    const filch__##name *object)                                       \
	{                                                                      \
		return ((type)ck_pr_load_##ck(object));                        \
	}                                                                      \
	static inline type filch__##name##_load_acquire(                       \
	    const filch__##name *object)                                       \
	{                                                                      \
		type value = (type)ck_pr_load_##ck(object);                    \
		ck_pr_fence_acquire();                                         \
		return (value);                                                \
	}                                                                      \
	static inline type filch__##name##_load_seq_cst(                       \
	    const filch__##name *object)                                       \
	{                                                                      \
		type value;                                                    \
		filch__load_before();                                          \
		value = (type)ck_pr_load_##ck(object);                         \
		ck_pr_fence_acquire();                                         \
		return (value);                                                \
	}                                                                      \
	static inline void filch__##name##_store_relaxed(                      \
	    filch__##name *object, type value)                                 \
	{                                                                      \
		ck_pr_store_##ck(object, value);                               \
	}                                                                      \
	static inline void filch__##name##_store_release(                      \
	    filch__##name *object, type value)                                 \
	{                                                                      \
		ck_pr_fence_release();                                         \
		ck_pr_store_##ck(object, value);                               \
	}                                                                      \
	static inline type filch__##name##_exchange_acq_rel(                   \
	    filch__##name *object, type value)                                 \
	{                                                                      \
		type old;                                                      \
		filch__rmw_before();                                           \
		old = (type)ck_pr_fas_##ck(object, value);                     \
		filch__rmw_after();                                            \
		return (old);                                                  \
	}                                                                      \
	static inline type filch__##name##_exchange_seq_cst(                   \
	    filch__##name *object, type value)                                 \
	{                                                                      \
		return (filch__##name##_exchange_acq_rel(object, value));      \
	}                                                                      \
	static inline bool filch__##name##_cas_acq_rel(                        \
	    filch__##name *object, type *expected, type desired)               \
	{                                                                      \
		bool done;                                                     \
		type found;                                                    \
		filch__rmw_before();                                           \
		done = ck_pr_cas_##ck##_value(                                 \
		    object, *expected, desired, &found);                       \
		filch__rmw_after();                                            \
		*expected = found;                                             \
		return (done);                                                 \
	}                                                                      \
	static inline bool filch__##name##_cas_seq_cst(                        \
	    filch__##name *object, type *expected, type desired)               \
	{                                                                      \
		return (                                                       \
		    filch__##name##_cas_acq_rel(object, expected, desired));   \
	}

#define FILCH__ATOMIC_DEFINE_ADD(name, type, ck)                               \
	static inline type filch__##name##_add_acq_rel(                        \
	    filch__##name *object, type value)                                 \
	{                                                                      \
		type old;                                                      \
		filch__rmw_before();                                           \
		old = ck_pr_faa_##ck(object, value);                           \
		filch__rmw_after();                                            \
		return (old);                                                  \
	}                                                                      \
	static inline type filch__##name##_add_seq_cst(                        \
	    filch__##name *object, type value)                                 \
	{                                                                      \
		return (filch__##name##_add_acq_rel(object, value));           \
	}

FILCH__ATOMIC_DEFINE(u32, uint32_t, 32)
FILCH__ATOMIC_DEFINE(u64, uint64_t, 64)
FILCH__ATOMIC_DEFINE(ptr, void *, ptr)
FILCH__ATOMIC_DEFINE_ADD(u32, uint32_t, 32)
FILCH__ATOMIC_DEFINE_ADD(u64, uint64_t, 64)

/*
 * On x86 a locked instruction on a line that is here anyway is a full fence as
 * well, for 2 ns instead of the 16 and more of the MFENCE that ck takes: that
 * one is for write-combined memory too, and lets no later instruction begin.
 */
static inline void
filch__fence_seq_cst(void)
{
#if defined(__x86_64__)
	uint64_t here = 0;

	(void)ck_pr_faa_64(&here, 0);
#else
	ck_pr_fence_memory();
#endif
}

static inline void
filch__pause(void)
{
	ck_pr_stall();
}

#endif /* Concurrency Kit */
#endif /* plain objects */

#undef FILCH__ATOMIC_DEFINE
#undef FILCH__ATOMIC_DEFINE_ADD

/*
 * A counter that one thread writes and any thread may read: no other order
 * than that of the counter itself, so relaxed accesses are enough.
 */
static inline void
filch__counter_add(filch__u64 *counter, uint64_t value)
{
	filch__u64_store_relaxed(
	    counter, filch__u64_load_relaxed(counter) + value);
}

#endif /* FILCH_PRIVATE_ATOMIC_H */

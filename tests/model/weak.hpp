/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Accesses weaker than any that include/private/atomic.h offers, for the
 * damages that mutate.sh does.  No model includes this file.
 */
#ifndef FILCH_TESTS_WEAK_HPP
#define FILCH_TESTS_WEAK_HPP

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "../../include/private/atomic.h"

#define WEAK_EXCHANGE_CAS(name, type, order)                                   \
	static inline type filch__##name##_exchange_##order(                   \
	    filch__##name *object, type value)                                 \
	{                                                                      \
		return (object->exchange(value, rl::mo_##order, $));           \
	}                                                                      \
	static inline bool filch__##name##_cas_##order(                        \
	    filch__##name *object, type *expected, type desired)               \
	{                                                                      \
		return (object->compare_exchange_strong(                       \
		    *expected, desired, rl::mo_##order, $));                   \
	}

#define WEAK_ADD(name, type, order)                                            \
	static inline type filch__##name##_add_##order(                        \
	    filch__##name *object, type value)                                 \
	{                                                                      \
		return (object->fetch_add(value, rl::mo_##order, $));          \
	}

#define WEAK(name, type)                                                       \
	WEAK_EXCHANGE_CAS(name, type, relaxed)                                 \
	WEAK_EXCHANGE_CAS(name, type, acquire)                                 \
	WEAK_EXCHANGE_CAS(name, type, release)

#define WEAK_INTEGER(name, type)                                               \
	WEAK(name, type)                                                       \
	WEAK_ADD(name, type, relaxed)                                          \
	WEAK_ADD(name, type, acquire)                                          \
	WEAK_ADD(name, type, release)

WEAK(ptr, void *)
WEAK_INTEGER(u32, uint32_t)
WEAK_INTEGER(u64, uint64_t)

#endif /* FILCH_TESTS_WEAK_HPP */

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Plain members that a lock-free protocol guards: FILCH__PLAIN(type) is type
 * itself, and in the Relacy build a variable of which the explorer reports
 * every access that the protocol leaves unordered.
 */
#ifndef FILCH_PRIVATE_PLAIN_H
#define FILCH_PRIVATE_PLAIN_H

#if defined(FILCH_ATOMIC_RELACY)

#include <relacy/relacy.hpp>

#define FILCH__PLAIN(type)              rl::var<type>
#define filch__plain_get(object)        ((*(object))($).load())
#define filch__plain_set(object, value) ((void)((*(object))($).store(value)))

#else

#define FILCH__PLAIN(type)              type
#define filch__plain_get(object)        (*(object))
#define filch__plain_set(object, value) ((void)(*(object) = (value)))

#endif

#endif /* FILCH_PRIVATE_PLAIN_H */

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two kinds of broken promise.  filch__require: the caller's, a misuse that
 * the documentation rules out.  filch__assert: ours.  Both are checked in
 * every build; neither is ever used for what the world may do (that is an
 * error code).
 */
#ifndef FILCH_PRIVATE_ASSERT_H
#define FILCH_PRIVATE_ASSERT_H

#include <stdio.h>
#include <stdlib.h>

#define filch__require(condition, rule)                                        \
	do {                                                                   \
		if (__builtin_expect(!(condition), 0)) {                       \
			fprintf(stderr, "filch: misuse: %s: %s\n", __func__,   \
			    rule);                                             \
			abort();                                               \
		}                                                              \
	} while (0)

#define filch__assert(condition)                                               \
	do {                                                                   \
		if (__builtin_expect(!(condition), 0)) {                       \
			fprintf(stderr, "filch: bug: %s:%d: %s\n", __FILE__,   \
			    __LINE__, #condition);                             \
			abort();                                               \
		}                                                              \
	} while (0)

#endif /* FILCH_PRIVATE_ASSERT_H */

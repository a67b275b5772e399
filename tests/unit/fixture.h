/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What most suites begin and end with: an executor of two workers.
 */
#ifndef FILCH_TESTS_UNIT_FIXTURE_H
#define FILCH_TESTS_UNIT_FIXTURE_H

#include "helpers.h"

static struct filch_executor *executor;

static inline void
setup(void)
{
	executor = executor_new(2);
}

static inline void
teardown(void)
{
	filch_executor_destroy(executor);
}

#endif /* FILCH_TESTS_UNIT_FIXTURE_H */

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For suites that choose the options themselves: those of an executor of one
 * worker, which each test creates when it has changed them.
 */
#ifndef FILCH_TESTS_UNIT_OPTIONS_FIXTURE_H
#define FILCH_TESTS_UNIT_OPTIONS_FIXTURE_H

#include "helpers.h"

static struct filch_executor_options options;
static struct filch_executor *executor;

static inline void
setup(void)
{
	options = (struct filch_executor_options)FILCH_EXECUTOR_OPTIONS_INIT;
	options.worker_count = 1;
	executor = NULL;
}

static inline void
teardown(void)
{
	filch_executor_destroy(executor);
}

#endif /* FILCH_TESTS_UNIT_OPTIONS_FIXTURE_H */

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ctrl-C, for programs that have something to clean up or to report.
 */
#ifndef BENCH_INTERRUPT_H
#define BENCH_INTERRUPT_H

#include <stdatomic.h>
#include <stdbool.h>

/* Changed by the signal handler alone, which has no other way to speak. */
extern atomic_bool tool_interrupt_flag;

/* From now on SIGINT and SIGTERM only make tool_interrupted() true. */
void tool_interrupt_catch(void);

/* Threads: any. */
static inline bool
tool_interrupted(void)
{
	/* relaxed: it orders nothing */
	return (
	    atomic_load_explicit(&tool_interrupt_flag, memory_order_relaxed));
}

#endif /* BENCH_INTERRUPT_H */

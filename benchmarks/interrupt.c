/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ctrl-C.
 */
#include "interrupt.h"

#include <signal.h>
#include <stddef.h>

_Static_assert(ATOMIC_BOOL_LOCK_FREE == 2, "a signal handler stores it");

atomic_bool tool_interrupt_flag;

static void
on_signal(int number)
{
	(void)number;
	atomic_store_explicit(&tool_interrupt_flag, true, memory_order_relaxed);
}

void
tool_interrupt_catch(void)
{
	struct sigaction action = { .sa_handler = on_signal,
		.sa_flags = SA_RESTART };

	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "apart.h"

void
apart_init(struct apart *apart, bool pin)
{
	apart->random = 1;
	apart->sender = -1;
	apart->matters = pin &&
	    sched_getaffinity(0, sizeof(apart->allowed), &apart->allowed) ==
		0 &&
	    CPU_COUNT(&apart->allowed) > 1;
}

void
apart_move(struct apart *apart)
{
	cpu_set_t one;
	unsigned nth;
	size_t cpu = 0;

	if (!apart->matters) {
		return;
	}
	/* Knuth's multiplicative generator; its low bits are poor. */
	apart->random = apart->random * 1664525U + 1013904223U;
	nth = (apart->random >> 16) % (unsigned)CPU_COUNT(&apart->allowed);
	while (!CPU_ISSET(cpu, &apart->allowed) || nth-- > 0) {
		cpu++;
	}
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	(void)sched_setaffinity(0, sizeof(one), &one);
	apart->sender = (int)cpu;
}

void
apart_fini(const struct apart *apart)
{
	if (apart->matters) {
		(void)sched_setaffinity(
		    0, sizeof(apart->allowed), &apart->allowed);
	}
}

bool
apart_counts(const struct apart *apart)
{
	return (!apart->matters || sched_getcpu() != apart->sender);
}

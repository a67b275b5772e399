/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpus.h"

#include <filch/limits.h>

#include <sched.h>
#include <unistd.h>

/* Where the BSDs keep pthread_setaffinity_np. */
#if defined(__has_include)
#if __has_include(<pthread_np.h>)
#include <pthread_np.h>
#endif
#endif

static unsigned
bounded(long count)
{
	if (count < 1) {
		return (1);
	}
	return (
	    count > FILCH_WORKERS_MAX ? FILCH_WORKERS_MAX : (unsigned)count);
}

#if defined(CPU_COUNT)

unsigned
filch__cpus_count(void)
{
	cpu_set_t allowed;

	/* more CPUs than the set holds: all that are online */
	if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) {
		return (bounded(sysconf(_SC_NPROCESSORS_ONLN)));
	}
	return (bounded(CPU_COUNT(&allowed)));
}

void
filch__cpus_pin(pthread_t thread, unsigned index)
{
	cpu_set_t allowed;
	cpu_set_t one;
	size_t cpu;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) {
		return;
	}
	index %= bounded(CPU_COUNT(&allowed));
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, &allowed) && index-- == 0) {
			CPU_ZERO(&one);
			CPU_SET(cpu, &one);
			(void)pthread_setaffinity_np(thread, sizeof(one), &one);
			return;
		}
	}
}

#else

unsigned
filch__cpus_count(void)
{
	return (bounded(sysconf(_SC_NPROCESSORS_ONLN)));
}

void
filch__cpus_pin(pthread_t thread, unsigned index)
{
	(void)thread;
	(void)index;
}

#endif

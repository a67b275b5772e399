/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpus.h"

#include <filch/limits.h>

#include <sched.h>
#include <stdbool.h>
#include <unistd.h>

/* FreeBSD's own calls: it has had them long before those of Linux. */
#if defined(FILCH_HAVE_CPUSET)
#include <sys/param.h> /* first: the others need it */

#include <sys/cpuset.h>

#include <pthread_np.h>
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

#if defined(FILCH_HAVE_CPUSET) || defined(FILCH_HAVE_SCHED_AFFINITY)

#if defined(FILCH_HAVE_CPUSET)
#define CPUS_SET cpuset_t
#else
#define CPUS_SET cpu_set_t
#endif

/* Those of the calling thread; false if there are more than a set holds. */
static bool
cpus_allowed(CPUS_SET *allowed)
{
#if defined(FILCH_HAVE_CPUSET)
	return (cpuset_getaffinity(CPU_LEVEL_WHICH, CPU_WHICH_TID, -1,
		    sizeof(*allowed), allowed) == 0);
#else
	return (sched_getaffinity(0, sizeof(*allowed), allowed) == 0);
#endif
}

/* CPU_COUNT came to FreeBSD long after the sets. */
static unsigned
cpus_count(CPUS_SET *set)
{
	long count = 0;

	for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		count += CPU_ISSET(cpu, set) ? 1 : 0;
	}
	return (bounded(count));
}

unsigned
filch__cpus_count(void)
{
	CPUS_SET allowed;

	if (!cpus_allowed(&allowed)) {
		return (bounded(sysconf(_SC_NPROCESSORS_ONLN)));
	}
	return (cpus_count(&allowed));
}

void
filch__cpus_pin(pthread_t thread, unsigned index)
{
	CPUS_SET allowed;
	CPUS_SET one;
	size_t cpu;

	if (!cpus_allowed(&allowed)) {
		return;
	}
	index %= cpus_count(&allowed);
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

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The CPUs this process may use, and binding threads to them.
 */
#ifndef FILCH_EXECUTOR_CPUS_H
#define FILCH_EXECUTOR_CPUS_H

#include <pthread.h>

/* How many there are; at least 1, at most FILCH_WORKERS_MAX. */
unsigned filch__cpus_count(void);

/*
 * Bind thread to the index-th of them, counted around.  Where the system
 * cannot, the thread stays free: pinning is a hint.
 */
void filch__cpus_pin(pthread_t thread, unsigned index);

#endif /* FILCH_EXECUTOR_CPUS_H */

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the thread stands that sends events to pinned workers.
 *
 * On the CPU of the worker that it wakes a wake costs a switch of threads, on
 * another one that sleeps an interrupt too, here five times as much; and on
 * which it stands would be chance.  So where workers are pinned the sender
 * stands on a CPU by lot, and only events that come to another CPU count.
 */
#ifndef FILCH_BENCH_APART_H
#define FILCH_BENCH_APART_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The sender's; the receiver reads it after the event that orders the two. */
struct apart {
	bool matters; /* workers are pinned, and there is more than one CPU */
	int sender;   /* its CPU */
	uint32_t random;
	cpu_set_t allowed;
};

/* By the sender, which may use the CPUs that it has now. */
void apart_init(struct apart *apart, bool pin);

/* By the sender, before it pauses. */
void apart_move(struct apart *apart);

/* By the sender, at the end: it may use all its CPUs again. */
void apart_fini(const struct apart *apart);

/* By the receiver: true if the event that it has got counts. */
bool apart_counts(const struct apart *apart);

#ifdef __cplusplus
}
#endif

#endif /* FILCH_BENCH_APART_H */

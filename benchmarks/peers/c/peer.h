/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the peers in C and C++ share: PROGRAM SUBCOMMAND [--option=value ...],
 * and outcomes that name the peer.
 */
#ifndef PEER_H
#define PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct histogram;

/*
 * The arguments of a workload on files, in peer_argc and peer_argv, without
 * subcommand and the options that peer_option() finds; "mixed" gets what it
 * is.
 */
extern int peer_argc;
extern char **peer_argv;
void peer_arguments(int argc, char **argv);

/* The value if the argument is --NAME=VALUE; else NULL. */
const char *peer_value(const char *argument, const char *name);

/* The same of any in peer_argv, which is taken out of there. */
const char *peer_option(const char *name);

/* The start of a JSON object: the peer, its version and the workload. */
const char *peer_who(
    const char *peer, const char *version, const char *workload);

/* Stop the program: with 1 after a failure, 2 because of bad input. */
void peer_fail(const char *peer, const char *what, int error)
    __attribute__((noreturn));
void peer_refuse(const char *peer, const char *argument, const char *rule)
    __attribute__((noreturn));

/* As many descriptors as the hard limit allows. */
void peer_files_allow(void);

void peer_pin(unsigned cpu); /* the calling thread */

/* ---- wake ---- */

struct wake_arguments {
	const char *bench;
	unsigned workers;
	unsigned samples;
	unsigned seconds;
	unsigned tasks;
	bool pin;
};

#define PEER_PAUSE_NS 50000 /* between two events: the workers sleep */

/* Of argv behind the subcommand.  Refuses what is bad. */
struct wake_arguments wake_parse(const char *peer, int argc, char **argv);

/* One line of JSON, as benchmarks/wake prints it. */
void wake_report_latency(const char *peer, const char *version,
    const struct wake_arguments *arguments, const struct histogram *histogram);

/* CPU time and sleeps of the whole process, while it has nothing to do. */
void wake_report_idle(const char *peer, const char *version,
    const struct wake_arguments *arguments);

/* As in benchmarks/wake_cost.c. */
#define WAKE_EXECUTORS  16
#define WAKE_FLIGHT_MAX 8192
#define WAKE_SETTLE_NS  200000000 /* for threads to start and rest */

/*
 * Bytes that the process has more since all tasks wait, own of each of them
 * not the library's; or since there are WAKE_EXECUTORS more.
 */
void wake_report_tasks(const char *peer, const char *version,
    const struct wake_arguments *arguments, uint64_t bytes, size_t own);
void wake_report_executors(const char *peer, const char *version,
    const struct wake_arguments *arguments, uint64_t bytes);

/* A size in /proc/self/status: "RssAnon", or "VmRSS" with what is mapped. */
uint64_t peer_memory_bytes(const char *key);

uint64_t peer_now_ns(void);
void peer_pause_ns(uint64_t ns);

/* How long a timer waits: 0.05 to 1.1 ms, so that it meets no tick. */
uint64_t peer_delay_ns(uint32_t *random);

#ifdef __cplusplus
}
#endif

#endif /* PEER_H */

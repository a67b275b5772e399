/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the parts of wake share: options, a report of named figures, and the
 * executor that the options ask for.
 */
#ifndef FILCH_BENCH_WAKE_H
#define FILCH_BENCH_WAKE_H

#include <stdbool.h>
#include <stdint.h>

#include <filch/filch.h>

#include "histogram.h"

#define WAKE_FIGURES_MAX 12

struct wake_options {
	unsigned workers;
	bool pin;
	enum filch_driver_kind driver;
	unsigned samples; /* of a latency; of create */
	unsigned seconds; /* of idleness */
	unsigned rounds;  /* of a stuck worker */
	unsigned tasks;   /* parked at once */
};

/* NaN stands for a figure that cannot be had here. */
struct wake_report {
	const char *driver; /* NULL where filch takes no part */
	unsigned count;
	struct {
		const char *name;
		double value;
	} figures[WAKE_FIGURES_MAX];
};

void wake_figure(struct wake_report *report, const char *name, double value);

/* p50_ns, p99_ns, p999_ns, max_ns and samples. */
void wake_figures_latency(
    struct wake_report *report, const struct histogram *histogram);

/* An executor as options say; report learns its driver. */
struct filch_executor *wake_executor(
    const struct wake_options *given, struct wake_report *report);

/* Stops the program if result is a -errno. */
int wake_must(int result, const char *what);

/* calloc(3) that stops the program if there is no memory. */
void *wake_calloc(size_t count, size_t size);

/* For this plain thread only; no task calls it. */
void wake_pause_ns(uint64_t ns);

/* ---- wake_latency.c ---- */

void wake_eventfd(const struct wake_options *, struct wake_report *);
void wake_eventfd_busy(const struct wake_options *, struct wake_report *);
void wake_eventfd_raw(const struct wake_options *, struct wake_report *);
void wake_timer(const struct wake_options *, struct wake_report *);
void wake_timer_busy(const struct wake_options *, struct wake_report *);
void wake_timer_raw(const struct wake_options *, struct wake_report *);

/* ---- wake_task.c ---- */

void wake_outside(const struct wake_options *, struct wake_report *);
void wake_task(const struct wake_options *, struct wake_report *);
void wake_across(const struct wake_options *, struct wake_report *);

/* ---- wake_cost.c ---- */

void wake_idle(const struct wake_options *, struct wake_report *);
void wake_create(const struct wake_options *, struct wake_report *);
void wake_parked(const struct wake_options *, struct wake_report *);
void wake_parked_timer(const struct wake_options *, struct wake_report *);
void wake_flight(const struct wake_options *, struct wake_report *);
void wake_executor_size(const struct wake_options *, struct wake_report *);

/* ---- wake_stuck.c ---- */

void wake_stuck(const struct wake_options *, struct wake_report *);

#endif /* FILCH_BENCH_WAKE_H */

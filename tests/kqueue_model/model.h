/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An executable model of FreeBSD's kqueue and POSIX AIO, for Linux: control.
 *
 * The model is what the kernel promises and what it does where it promises
 * nothing, as docs/freebsd.md and the facts beside this file (fact_*.c) state
 * it.  A program that uses <aio.h>, <sys/event.h> and <sys/sysctl.h> needs
 * nothing from here.  The environment variable KQUEUE_MODEL holds options by
 * name, "seed=7,version=1201,delay=200"; it is read at the first use.
 *
 * One process, one model.  After a fork the child has no jobs and no kqueue.
 * The descriptors that the model itself holds are in the upper half of what
 * the process may have, so that its own get the numbers they would.
 * Not for a signal handler: a lock is held during the calls.
 */
#ifndef KQUEUE_MODEL_H
#define KQUEUE_MODEL_H

#include <stdint.h>

/*
 * Chances are in 1/1000 for each time, and 0 unless told.  With equal seeds
 * the draws are equal, but threads draw in the order they come.
 */
struct kqueue_model_options {
	uint64_t seed;
	int version; /* 1201, 1300 or 1400 */

	int max_aio_queue_per_proc; /* jobs that are not yet returned */
	int max_aio_queue;          /* the same, the whole system's */
	int max_aio_per_proc;       /* jobs on files running at a time */
	int max_aio_procs;          /* daemons */
	int listio_max;             /* 0: max_aio_queue_per_proc */
	int enable_unsafe;          /* as vfs.aio.enable_unsafe */

	int delay;      /* a job waits before it runs, up to delay_us */
	int slow;       /* it runs for up to delay_us */
	int late;       /* it is done, and its event up to delay_us late */
	int linger;     /* a submission returns up to delay_us late */
	int delay_us;   /* 0: 500 */
	int reorder;    /* a job is run before those that came earlier */
	int eagain;     /* a submission is refused with EAGAIN */
	int eopnotsupp; /* and with EOPNOTSUPP */
	int busy;       /* a job that waits is not to be cancelled */
	int partial;    /* a transfer of more than a byte is cut short */
	int stale;      /* a kevent running returns an event just reaped */
};

#define KQUEUE_MODEL_OPTIONS_INIT                                              \
	{                                                                      \
		.seed = 1, .version = 1201, .max_aio_queue_per_proc = 256,     \
		.max_aio_queue = 1024, .max_aio_per_proc = 32,                 \
		.max_aio_procs = 32, .delay_us = 500                           \
	}

/* What happened since kqueue_model_set, or since the first use. */
struct kqueue_model_counts {
	uint64_t jobs; /* now, not yet returned ones with them */
	uint64_t jobs_most;
	uint64_t kqueues; /* now */
	uint64_t knotes;  /* now */

	uint64_t calls_kevent;
	uint64_t calls_read; /* aio_read and so on */
	uint64_t calls_readv;
	uint64_t calls_write;
	uint64_t calls_writev;
	uint64_t calls_fsync;
	uint64_t calls_mlock;
	uint64_t calls_listio;
	uint64_t calls_error;
	uint64_t calls_return;
	uint64_t calls_cancel;
	uint64_t calls_suspend;
	uint64_t calls_waitcomplete;
	uint64_t calls_sysctl;

	uint64_t submitted; /* jobs accepted, those of lists with them */
	uint64_t listed;    /* those of lists */
	uint64_t refused;   /* not accepted, whatever the reason */
	uint64_t canceled;  /* ended by aio_cancel */

	uint64_t events; /* returned by kevent, all filters */
	uint64_t events_aio;
	uint64_t events_lio;
	uint64_t events_stale;
	uint64_t events_again; /* AIO's and LIO's, one more time */
	uint64_t calls_again;  /* kevent calls that returned nothing else */
	uint64_t returns_out_of_order; /* not the first of those done */
};

/* Wrong use that the kernel bears in silence, or punishes later. */
struct kqueue_model_faults {
	uint64_t aiocb_reused;   /* submitted while its job lives */
	uint64_t aiocb_changed;  /* other contents when its job is done */
	uint64_t list_reused;    /* submitted while its knote lives */
	uint64_t return_unknown; /* of no job, or of one returned already */
	uint64_t return_early;   /* of a job that is not done */
};

/* No job may be in flight.  Counts and faults start from zero. */
void kqueue_model_set(const struct kqueue_model_options *options);
void kqueue_model_get(struct kqueue_model_options *ret_options);
void kqueue_model_counts(struct kqueue_model_counts *ret_counts);

/* Returns the sum. */
uint64_t kqueue_model_faults(struct kqueue_model_faults *ret_faults);

/* Prints options, counts, faults and the jobs to stderr. */
void kqueue_model_describe(void);

#endif

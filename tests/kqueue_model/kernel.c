/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The model's lock, its chances, and what it asks Linux for.
 */
#include "kernel.h"

#include <sys/eventfd.h>
#include <sys/resource.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct kernel kernel = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.work = PTHREAD_COND_INITIALIZER,
	.socket_wake_fd = -1,
};
static pthread_once_t kernel_once = PTHREAD_ONCE_INIT;

static void
fork_prepare(void)
{
	pthread_mutex_lock(&kernel.lock);
}

static void
fork_parent(void)
{
	pthread_mutex_unlock(&kernel.lock);
}

static void
forget_jobs(void)
{
	struct list *list;
	struct job *job;

	TAILQ_INIT(&kernel.pending);
	TAILQ_INIT(&kernel.done);
	TAILQ_INIT(&kernel.syncs);
	while ((job = TAILQ_FIRST(&kernel.all)) != NULL) {
		TAILQ_REMOVE(&kernel.all, job, all);
		if (job->file != NULL) {
			file__put(job->file);
		}
		free(job->vectors);
		free(job);
	}
	while ((list = TAILQ_FIRST(&kernel.lists)) != NULL) {
		TAILQ_REMOVE(&kernel.lists, list, link);
		free(list);
	}
}

static void
forget_waiters(struct waiters *waiters)
{
	struct waiter *waiter;

	while ((waiter = TAILQ_FIRST(waiters)) != NULL) {
		TAILQ_REMOVE(waiters, waiter, link);
		close(waiter->fd);
		free(waiter);
	}
}

/* Neither jobs nor kqueues nor the threads are a child's. */
static void
fork_child(void)
{
	struct kqueue *kqueue;

	while ((kqueue = TAILQ_FIRST(&kernel.kqueues)) != NULL) {
		forget_waiters(&kqueue->waiters);
		kqueue__close(kqueue);
	}
	forget_jobs();
	forget_waiters(&kernel.free_waiters);
	forget_waiters(&kernel.waiters);
	daemon__forget();
	kernel.counts = (struct kqueue_model_counts){ 0 };
	kernel.faults = (struct kqueue_model_faults){ 0 };
	pthread_mutex_unlock(&kernel.lock);
}

/*
 * The end of a process cancels its jobs and waits for those that run, since
 * they use its memory.  Not for ever: one may wait for a pipe.
 */
static void
rundown(void)
{
	uint64_t deadline_ns = kernel__now_ns() + NS_PER_S;
	struct waiter *waiter;
	struct job *job, *next;
	struct pollfd fd;

	kernel__enter();
	kernel.options.busy = 0;
	for (job = TAILQ_FIRST(&kernel.pending); job != NULL; job = next) {
		next = TAILQ_NEXT(job, order);
		(void)job__cancel(job);
	}
	waiter = waiter__get(&kernel.waiters);
	while (waiter != NULL && !TAILQ_EMPTY(&kernel.pending) &&
	    waiter__sleep(waiter, &fd, 0, deadline_ns) != ETIMEDOUT) {
	}
	if (waiter != NULL) {
		waiter__put(&kernel.waiters, waiter);
	}
	kernel__leave();
}

static void
kernel_init(void)
{
	TAILQ_INIT(&kernel.kqueues);
	TAILQ_INIT(&kernel.files);
	TAILQ_INIT(&kernel.lists);
	TAILQ_INIT(&kernel.all);
	TAILQ_INIT(&kernel.pending);
	TAILQ_INIT(&kernel.done);
	TAILQ_INIT(&kernel.ready);
	TAILQ_INIT(&kernel.syncs);
	TAILQ_INIT(&kernel.waiters);
	TAILQ_INIT(&kernel.free_waiters);
	options__read(&kernel.options);
	kernel.random = kernel.options.seed;
	pthread_atfork(fork_prepare, fork_parent, fork_child);
	(void)atexit(rundown);
}

void
kernel__enter(void)
{
	pthread_once(&kernel_once, kernel_init);
	pthread_mutex_lock(&kernel.lock);
}

void
kernel__leave(void)
{
	pthread_mutex_unlock(&kernel.lock);
}

/* splitmix64: any seed is a good one. */
uint64_t
kernel__random(void)
{
	uint64_t value;

	kernel.random += 0x9e3779b97f4a7c15ULL;
	value = kernel.random;
	value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
	value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
	return (value ^ (value >> 31));
}

bool
kernel__draw(enum chance chance)
{
	const struct kqueue_model_options *options = &kernel.options;
	const int chances[] = {
		[CHANCE_DELAY] = options->delay,
		[CHANCE_SLOW] = options->slow,
		[CHANCE_LATE] = options->late,
		[CHANCE_LINGER] = options->linger,
		[CHANCE_REORDER] = options->reorder,
		[CHANCE_EAGAIN] = options->eagain,
		[CHANCE_EOPNOTSUPP] = options->eopnotsupp,
		[CHANCE_BUSY] = options->busy,
		[CHANCE_PARTIAL] = options->partial,
		[CHANCE_STALE] = options->stale,
	};

	return (chances[chance] > 0 &&
	    kernel__random() % 1000 < (uint64_t)chances[chance]);
}

uint64_t
kernel__now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return ((uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec);
}

uint64_t
kernel__draw_delay(enum chance chance)
{
	uint64_t most_ns = (uint64_t)kernel.options.delay_us * 1000;

	if (most_ns == 0 || !kernel__draw(chance)) {
		return (0);
	}
	return (kernel__random() % most_ns);
}

void
kernel__dally(uint64_t delay_ns)
{
	struct timespec time;

	if (delay_ns == 0) {
		return;
	}
	time.tv_sec = (time_t)(delay_ns / NS_PER_S);
	time.tv_nsec = (long)(delay_ns % NS_PER_S);
	nanosleep(&time, NULL);
}

/* Half of what there may be. */
static int
fd_lowest(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > 1 << 20) {
		return (1 << 19);
	}
	return (int)(limit.rlim_cur / 2);
}

int
kernel__fd_duplicate(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, fd_lowest());

	return (copy >= 0 ? copy : fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

int
kernel__fd_move(int fd)
{
	int copy;

	if (fd < 0) {
		return (fd);
	}
	copy = fcntl(fd, F_DUPFD_CLOEXEC, fd_lowest());
	if (copy < 0) {
		return (fd);
	}
	close(fd);
	return (copy);
}

int
kernel__fail(int error)
{
	errno = error;
	return (-1);
}

int
kernel__thread(void *(*run)(void *))
{
	pthread_attr_t attributes;
	pthread_t thread;
	sigset_t blocked, old;
	int error;

	sigfillset(&blocked);
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_sigmask(SIG_SETMASK, &blocked, &old);
	error = pthread_create(&thread, &attributes, run, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attributes);
	return (error);
}

bool
kernel__deadline(const struct timespec *timeout, uint64_t *ret_ns)
{
	uint64_t now_ns;

	if (timeout == NULL) {
		*ret_ns = NEVER;
		return (true);
	}
	if (timeout->tv_sec < 0 || timeout->tv_nsec < 0 ||
	    (uint64_t)timeout->tv_nsec >= NS_PER_S) {
		return (false);
	}
	now_ns = kernel__now_ns();
	if ((uint64_t)timeout->tv_sec > (NEVER - now_ns) / NS_PER_S - 1) {
		*ret_ns = NEVER;
		return (true);
	}
	*ret_ns = now_ns + (uint64_t)timeout->tv_sec * NS_PER_S +
	    (uint64_t)timeout->tv_nsec;
	return (true);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reactor: the shards, the dedicated thread, stopping.
 *
 * Orderings [RT1] the thread publishes until when it means to sleep, then
 *           looks at the earliest timers once more; who adds a timer stores
 *           it as the earliest, then looks at what was published.  All by
 *           seq_cst: one of them sees the other, so no timer is slept through.
 *           Both count from alarm_ns after the deadline, by when a worker
 *           that is not stuck has met it; if the thread has just changed
 *           that, it comes by the later of the two.
 *           [RS1] stopping is stored, then every shard is cancelled under its
 *           lock; who submits takes that lock and then loads stopping.
 */
#include "reactor.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#if defined(__has_include)
#if __has_include(<sys/prctl.h>)
#include <sys/prctl.h>
#endif
#if __has_include(<sys/syscall.h>)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

#include "../include/private/assert.h"
#include "../include/private/clock.h"
#include "../include/private/task_waker.h"

FILCH__THREAD_LOCAL struct filch__shard *filch__shard_current
    __attribute__((tls_model("initial-exec")));
FILCH__THREAD_LOCAL const struct filch__reactor *filch__reactor_current
    __attribute__((tls_model("initial-exec")));
FILCH__THREAD_LOCAL struct filch__expired *filch__expired_current
    __attribute__((tls_model("initial-exec")));

/*
 * The turn on the CPU that the thread asks for: the shortest there is.  It
 * never needs long ones, and next to a worker that computes it otherwise waited
 * for the end of that worker's turn, about 3 ms.
 */
#define REACTOR_TURN_NS 100000

/*
 * While workers sleep the kernel may wake it so late, and then does so when it
 * wakes a worker on that CPU anyway: a wake at a time of its own interrupts
 * what runs there, for 10 to 40 us.
 */
#define CALM_SLACK_NS 80000

static void *reactor_main(void *);
static void thread_set_slack(unsigned long);
static void reactor_set_alarm(struct filch__reactor *);
static uint64_t reactor_expire(struct filch__reactor *, uint64_t);
static unsigned timers_expire(struct filch__shard *, uint64_t);
static void expired_hand_on(struct filch__reactor *, struct filch__expired *);
static uint64_t reactor_earliest(const struct filch__reactor *);
static uint64_t reactor_stands_by(const struct filch__reactor *, uint64_t);

int
filch__reactor_init(struct filch__reactor *reactor,
    struct filch__reactor_host *host,
    const struct filch__reactor_options *options)
{
	unsigned count = options->shard_count;
	unsigned i;
	int result;

	memset(reactor, 0, sizeof(*reactor));
	reactor->host = host;
	reactor->options = *options;
	reactor->shards =
	    aligned_alloc(FILCH__CACHE_LINE, count * sizeof(*reactor->shards));
	if (reactor->shards == NULL) {
		return (-ENOMEM);
	}
	memset(reactor->shards, 0, count * sizeof(*reactor->shards));
	for (i = 0; i < count; i++) {
		reactor->shards[i].reactor = reactor;
		reactor->shards[i].index = i;
		filch__timers_init(&reactor->shards[i].timers);
	}
	filch__registrations_init(&reactor->registrations);
	result = filch__pool_init(
	    &reactor->pool, reactor, options->pool_threads_max);
	if (result < 0) {
		goto fail_pool;
	}
	result = filch__driver_open(reactor);
	if (result < 0) {
		goto fail_driver;
	}
	result = filch__thread_start(&reactor->thread, reactor_main, reactor);
	if (result < 0) {
		goto fail_thread;
	}
	return (0);

fail_thread:
	reactor->driver->close(reactor);
fail_driver:
	filch__pool_fini(&reactor->pool);
fail_pool:
	filch__registrations_fini(&reactor->registrations);
	for (i = 0; i < count; i++) {
		filch__timers_fini(&reactor->shards[i].timers);
	}
	free(reactor->shards);
	return (result);
}

void
filch__reactor_fini(struct filch__reactor *reactor)
{
	unsigned i;

	/* [RT2] pairs with reactor_main */
	filch__u32_store_release(&reactor->exiting, 1);
	reactor->driver->interrupt(reactor);
	pthread_join(reactor->thread, NULL);
	filch__pool_fini(&reactor->pool);
	reactor->driver->close(reactor);
	filch__registrations_fini(&reactor->registrations);
	for (i = 0; i < reactor->options.shard_count; i++) {
		filch__timers_fini(&reactor->shards[i].timers);
	}
	free(reactor->shards);
}

/* ---- the thread ---- */

#if defined(SYS_sched_getattr) && defined(SYS_sched_setattr)

/* struct sched_attr of sched_setattr(2); libraries do not agree who has it. */
struct schedule {
	uint32_t size;
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime;
	uint64_t deadline;
	uint64_t period;
};

static void
shorten_turns(uint64_t turn_ns)
{
	struct schedule schedule = { .size = sizeof(schedule) };

	if (syscall(SYS_sched_getattr, 0, &schedule, sizeof(schedule), 0) ==
		0 &&
	    schedule.policy == SCHED_OTHER &&
	    (schedule.runtime == 0 || schedule.runtime > turn_ns)) {
		schedule.runtime = turn_ns;
		/* without it all works the same, a little later */
		(void)syscall(SYS_sched_setattr, 0, &schedule, 0);
	}
}

uint32_t
filch__thread_clock(void)
{
	clockid_t clock;

	return (pthread_getcpuclockid(pthread_self(), &clock) == 0
		? (uint32_t)clock
		: 0);
}

void
filch__thread_look_at_turn(uint32_t clock)
{
	struct timespec ran;

	(void)clock_gettime((clockid_t)clock, &ran);
}

#else

static void
shorten_turns(uint64_t turn_ns)
{
	(void)turn_ns;
}

uint32_t
filch__thread_clock(void)
{
	return (0);
}

void
filch__thread_look_at_turn(uint32_t clock)
{
	(void)clock;
}

#endif

int
filch__thread_start(pthread_t *ret_thread, void *(*main)(void *), void *arg)
{
	static const int faults[] = { SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS,
		SIGTRAP };
	sigset_t blocked;
	sigset_t old;
	unsigned i;
	int error;

	sigfillset(&blocked);
	for (i = 0; i < sizeof(faults) / sizeof(*faults); i++) {
		sigdelset(&blocked, faults[i]);
	}
	pthread_sigmask(SIG_SETMASK, &blocked, &old);
	error = pthread_create(ret_thread, NULL, main, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return (-error);
}

void
filch__thread_be_prompt(uint64_t turn_ns)
{
	/* the default lets the kernel wake it 50 us late */
	thread_set_slack(1);
	shorten_turns(turn_ns);
}

static void
thread_set_slack(unsigned long slack_ns)
{
#if defined(PR_SET_TIMERSLACK)
	(void)prctl(PR_SET_TIMERSLACK, slack_ns);
#else
	(void)slack_ns;
#endif
}

static void *
reactor_main(void *arg)
{
	struct filch__reactor *reactor = arg;
	struct filch__reactor_host *host = reactor->host;
	uint64_t tick_ns;
	uint64_t until_ns;
	uint64_t earliest_ns;

	filch__reactor_current = reactor;
	filch__thread_be_prompt(REACTOR_TURN_NS);
	/* [RT2] pairs with filch__reactor_fini */
	while (filch__u32_load_acquire(&reactor->exiting) == 0) {
		tick_ns = host->tick(host, filch__clock_ns());
		reactor_set_alarm(reactor);
		until_ns = reactor_expire(reactor,
		    filch__reactor_is_stopping(reactor)
			? FILCH_NEVER
			: filch__clock_ns() - reactor->standby_ns);
		if (tick_ns < until_ns) {
			until_ns = tick_ns;
		}
		/* [RT1] pairs with filch__reactor_add_timer */
		(void)filch__u64_exchange_seq_cst(
		    &reactor->sleeping_until_ns, until_ns);
		earliest_ns = reactor_earliest(reactor);
		if (earliest_ns < until_ns) {
			until_ns = earliest_ns;
		}
		reactor->driver->wait(reactor, until_ns);
		/* awake: it looks at all timers before it sleeps again [RT1] */
		(void)filch__u64_exchange_seq_cst(
		    &reactor->sleeping_until_ns, 0);
		/* relaxed load: only this thread writes it.
		 * [SD1] pairs with the shutdown, which waits for it */
		filch__u64_store_release(&reactor->wakes,
		    filch__u64_load_relaxed(&reactor->wakes) + 1);
	}
	return (NULL);
}

/* How long after a deadline the thread wakes, if its worker has not met it. */
static void
reactor_set_alarm(struct filch__reactor *reactor)
{
	bool is_calm = reactor->standby_ns != 0 && reactor->is_calm;
	uint64_t alarm_ns =
	    is_calm ? FILCH__STANDBY_CALM_NS : reactor->standby_ns;

	/* relaxed: only this thread writes it */
	if (alarm_ns == filch__u64_load_relaxed(&reactor->alarm_ns)) {
		return;
	}
	thread_set_slack(is_calm ? CALM_SLACK_NS : 1);
	/* relaxed: who reads the old one has the thread wake too early, or by
	 * what is now too late, once */
	filch__u64_store_relaxed(&reactor->alarm_ns, alarm_ns);
}

/* Expire what is due; when to look at the earliest timer that is left. */
static uint64_t
reactor_expire(struct filch__reactor *reactor, uint64_t now_ns)
{
	unsigned i;

	for (i = 0; i < reactor->options.shard_count; i++) {
		(void)timers_expire(&reactor->shards[i], now_ns);
	}
	return (reactor_earliest(reactor));
}

/*
 * Expire what is due, and wake whom it concerns; returns how many, without what
 * goes to the pool.  An operation whose deadline has come is asked to end under
 * the lock, without which it could go away meanwhile.  That may end it at once,
 * and others: a cancel that finds no room in a ring reaps.  They are completed
 * without the lock, or handed on to the pool, which may carry them out on this
 * thread.
 */
static unsigned
timers_expire(struct filch__shard *shard, uint64_t now_ns)
{
	struct filch__expired expired;
	unsigned count = 0;
	unsigned i;
	bool more;

	do {
		expired.count = 0;
		expired.ended = (struct filch__op_queue){ .count = 0 };
		expired.pooled = (struct filch__op_queue){ .count = 0 };
		filch__expired_current = &expired;
		more = filch__timers_expire(&shard->timers, now_ns, &expired);
		filch__expired_current = NULL;
		for (i = 0; i < expired.count; i++) {
			filch__task_wake_held(expired.tasks[i]);
		}
		count += expired.count + expired.ended.count;
		expired_hand_on(shard->reactor, &expired);
	} while (more);
	return (count);
}

static void
expired_hand_on(struct filch__reactor *reactor, struct filch__expired *expired)
{
	struct filch_op *op;

	filch__reactor_complete(reactor, expired->ended.head);
	while ((op = expired->pooled.head) != NULL) {
		filch__op_queue_remove(&expired->pooled, op);
		filch__pool_submit(&reactor->pool, op);
	}
}

void
filch__reactor_defer(struct filch_op *list)
{
	while (list != NULL) {
		struct filch_op *op = list;

		list = op->priv.next;
		filch__op_queue_push(&filch__expired_current->ended, op);
	}
}

/*
 * The thread gets a CPU late where workers need them all, so they look
 * themselves, and the thread comes later.  It is not told of it: it wakes at
 * what it published, and looks then.
 */
unsigned
filch__reactor_expire(struct filch__shard *shard)
{
	/* relaxed: what its own worker has added is seen, and nobody else adds;
	 * what it reads too early is put right under the lock */
	uint64_t earliest_ns =
	    filch__u64_load_relaxed(&shard->timers.earliest_ns);
	uint64_t now_ns;

	if (earliest_ns == FILCH_NEVER) {
		return (0);
	}
	now_ns = filch__clock_ns();
	if (earliest_ns > now_ns) {
		return (0);
	}
	return (timers_expire(shard, now_ns));
}

static uint64_t
reactor_earliest(const struct filch__reactor *reactor)
{
	uint64_t earliest_ns = FILCH_NEVER;
	unsigned i;

	for (i = 0; i < reactor->options.shard_count; i++) {
		/* [RT1] pairs with filch__reactor_add_timer */
		uint64_t deadline_ns = filch__u64_load_seq_cst(
		    &reactor->shards[i].timers.earliest_ns);

		if (deadline_ns < earliest_ns) {
			earliest_ns = deadline_ns;
		}
	}
	return (reactor_stands_by(reactor, earliest_ns));
}

/* When the thread looks after a timer that its worker has not met. */
static uint64_t
reactor_stands_by(const struct filch__reactor *reactor, uint64_t deadline_ns)
{
	/* relaxed: as in reactor_set_alarm */
	uint64_t alarm_ns = filch__u64_load_relaxed(&reactor->alarm_ns);

	return (deadline_ns < FILCH_NEVER - alarm_ns ? deadline_ns + alarm_ns
						     : FILCH_NEVER);
}

void
filch__reactor_add_timer(struct filch__shard *shard, struct filch_timer *timer)
{
	struct filch__reactor *reactor = shard->reactor;
	uint64_t deadline_ns = timer->priv.deadline_ns;

	if (!filch__timers_add(&shard->timers, timer)) {
		return;
	}
	/* [RT1] pairs with reactor_main */
	filch__fence_seq_cst();
	if (reactor_stands_by(reactor, deadline_ns) <
	    filch__u64_load_seq_cst(&reactor->sleeping_until_ns)) {
		reactor->driver->interrupt(reactor);
	}
}

/* ---- stopping ---- */

void
filch__reactor_stop(struct filch__reactor *reactor)
{
	struct filch_op *list;
	struct filch_op *op;
	unsigned i;

	/* [RS1] pairs with filch__reactor_is_stopping */
	(void)filch__u32_exchange_seq_cst(&reactor->stopping, 1);
	filch__registrations_shutdown(&reactor->registrations);
	for (i = 0; i < reactor->options.shard_count; i++) {
		reactor->driver->cancel_all(&reactor->shards[i]);
	}
	list = filch__pool_remove_all(&reactor->pool);
	for (op = list; op != NULL; op = op->priv.next) {
		op->priv.result = -ECANCELED;
	}
	filch__reactor_complete(reactor, list);
	reactor->driver->interrupt(reactor);
}

bool
filch__reactor_has_operations(struct filch__reactor *reactor)
{
	uint64_t in_flight;
	uint64_t waiting;
	unsigned i;

	for (i = 0; i < reactor->options.shard_count; i++) {
		reactor->driver->depths(
		    &reactor->shards[i], &in_flight, &waiting);
		if (in_flight + waiting > 0) {
			return (true);
		}
	}
	return (false);
}

bool
filch__reactor_is_quiet(struct filch__reactor *reactor)
{
	unsigned i;
	bool busy;
	bool is_awake;

	for (i = 0; i < reactor->options.shard_count; i++) {
		/* also a timer without a deadline, which is no earliest */
		if (!filch__timers_is_empty(&reactor->shards[i].timers)) {
			return (false);
		}
	}
	if (filch__reactor_has_operations(reactor)) {
		return (false);
	}
	pthread_mutex_lock(&reactor->pool.mutex);
	busy = reactor->pool.queue.count > 0 ||
	    reactor->pool.threads > reactor->pool.idle;
	pthread_mutex_unlock(&reactor->pool.mutex);
	/*
	 * [RT1] pairs with reactor_main.  Last: what the thread took out before
	 * the looks above, it has told by the time it says that it will sleep.
	 */
	is_awake = filch__u64_load_seq_cst(&reactor->sleeping_until_ns) == 0;
	return (!busy && !is_awake);
}

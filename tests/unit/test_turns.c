/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Turns on the CPU: workers ask for shorter ones than plain threads have.
 */
#include <sched.h>
#include <unistd.h>

#if defined(__has_include)
#if __has_include(<sys/syscall.h>)
#include <sys/syscall.h>
#endif
#endif

#include "helpers.h"

#if defined(SYS_sched_getattr) && defined(SYS_sched_setattr)

/* What a worker asks for; only a thread with longer turns can tell. */
#define WORKER_TURN_NS 500000

/* struct sched_attr of sched_getattr(2) */
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

/* The turn on the CPU of this thread; 0 where it cannot be chosen. */
static uint64_t
turn_ns(void)
{
	struct schedule schedule = { .size = sizeof(schedule) };

	if (syscall(SYS_sched_getattr, 0, &schedule, sizeof(schedule), 0) !=
		0 ||
	    schedule.policy != SCHED_OTHER) {
		return (0);
	}
	return (schedule.runtime);
}

/* Ask for a turn as workers do; false where that has no effect. */
static bool
turn_shorten(void)
{
	struct schedule schedule = { .size = sizeof(schedule) };

	if (syscall(SYS_sched_getattr, 0, &schedule, sizeof(schedule), 0) !=
	    0) {
		return (false);
	}
	schedule.runtime = WORKER_TURN_NS;
	return (syscall(SYS_sched_setattr, 0, &schedule, 0) == 0 &&
	    turn_ns() == WORKER_TURN_NS);
}

struct curious {
	struct filch_task task;
	uint64_t turn_ns;
};

static enum filch_poll
curious_poll(struct filch_task *task)
{
	filch_container_of(task, struct curious, task)->turn_ns = turn_ns();
	return (FILCH_READY);
}

Test(turns, a_worker_that_wakes_may_take_the_cpu_of_a_plain_thread)
{
	struct filch_executor *executor;
	struct curious curious;
	uint64_t plain_ns = turn_ns();

	if (plain_ns <= WORKER_TURN_NS) {
		cr_skip("the system chooses the turns, or has short ones");
	}
	executor = executor_new(1);
	filch_task_init(&curious.task, curious_poll, NULL);
	cr_assert_eq(filch_executor_block_on(executor, &curious.task), 0);
	filch_executor_destroy(executor);
	if (!turn_shorten()) {
		cr_skip("the system does not let a thread choose its turns");
	}
	cr_assert_lt(curious.turn_ns, plain_ns);
}

#endif

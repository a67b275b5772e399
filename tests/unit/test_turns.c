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

#if defined(SYS_sched_getattr)

/* The turn on the CPU of this thread; 0 where it cannot be chosen. */
static uint64_t
turn_ns(void)
{
	/* struct sched_attr of sched_getattr(2) */
	struct {
		uint32_t size;
		uint32_t policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime;
		uint64_t deadline;
		uint64_t period;
	} attributes = { .size = sizeof(attributes) };

	if (syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0) !=
		0 ||
	    attributes.policy != SCHED_OTHER) {
		return (0);
	}
	return (attributes.runtime);
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

	if (turn_ns() == 0) {
		cr_skip("the system chooses the turns, or another did");
	}
	executor = executor_new(1);
	filch_task_init(&curious.task, curious_poll, NULL);
	cr_assert_eq(filch_executor_block_on(executor, &curious.task), 0);
	filch_executor_destroy(executor);
	cr_assert_lt(curious.turn_ns, turn_ns());
}

#endif

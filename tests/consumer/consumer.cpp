/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The same from C++: all headers compile, and what they declare links and
 * runs.
 */
#include <filch/filch.h>

#include <cstdio>
#include <cstring>

struct counter {
	filch_task task;
	filch_sleep sleep;
	int result;
};

static enum filch_poll
counter_poll(filch_task *task)
{
	counter *self = filch_container_of(task, counter, task);

	return (filch_sleep_poll(&self->sleep, task, &self->result));
}

int
main()
{
	filch_executor_options options = filch_executor_options();
	filch_executor *executor = nullptr;
	counter one = counter();

	options.size = sizeof(options);
	options.worker_count = 1;
	int rc = filch_executor_create(&options, &executor);
	if (rc == 0) {
		one.result = 1;
		filch_sleep_init(&one.sleep, filch_now() + 1000000);
		filch_task_init(&one.task, counter_poll, nullptr);
		rc = filch_executor_block_on(executor, &one.task);
	}
	filch_executor_destroy(executor);
	if (rc < 0 || one.result != 0) {
		std::fprintf(stderr, "consumer.cpp: %s\n", std::strerror(-rc));
		return (1);
	}
	return (0);
}

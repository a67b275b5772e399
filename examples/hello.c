/* SPDX-License-Identifier: BSD-2-Clause */
#include <filch/filch.h>
#include <stdio.h>
#include <string.h>
static struct filch_op op;
static char text[4096];
static int64_t count;

static enum filch_poll
hello_poll(struct filch_task *task)
{
	return (filch_op_poll(&op, task, &count));
}

int
main(void)
{
	struct filch_file file;
	struct filch_task task;
	struct filch_executor *executor = NULL;
	int rc = filch_file_init(&file, fileno(stdin));

	filch_op_init_read(&op, &file, text, sizeof(text) - 1, 0);
	filch_task_init(&task, hello_poll, NULL);
	rc = rc < 0 ? rc : filch_executor_create(NULL, &executor);
	rc = rc < 0 ? rc : filch_executor_block_on(executor, &task);
	rc = rc < 0 ? rc : (int)count;
	filch_executor_destroy(executor);
	return (printf("%s\n", rc < 0 ? strerror(-rc) : text) < 0 || rc < 0);
}

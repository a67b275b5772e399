/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commits whose writes or syncs fail.  The case's what is the commit's mode.
 */
#ifndef TESTS_FAULT_COMMITS_H
#define TESTS_FAULT_COMMITS_H

#include "acts.h"

#define COMMIT_WRITES 3
#define COMMIT_SIZE   4096
#define COMMIT_TASKS  8

struct commit_one {
	_Alignas(COMMIT_SIZE) char data[COMMIT_SIZE];
	struct filch_task task;
	struct filch_commit commit;
	struct filch_commit_write writes[COMMIT_WRITES];
	struct filch_op *pointers[COMMIT_WRITES];
	int verdict;
};

static inline enum filch_poll
commit_one_poll(struct filch_task *task)
{
	struct commit_one *one =
	    filch_container_of(task, struct commit_one, task);

	return (filch_commit_poll(&one->commit, task, &one->verdict));
}

/* Start to write letter at the place of commit number index. */
static inline void
commit_start(struct act *act, struct commit_one *one, int mode, unsigned index,
    char letter)
{
	size_t offset = (size_t)index * COMMIT_WRITES * COMMIT_SIZE;

	memset(one->data, letter, sizeof(one->data));
	for (unsigned i = 0; i < COMMIT_WRITES; i++) {
		one->writes[i].data = one->data;
		one->writes[i].size = COMMIT_SIZE;
		one->writes[i].offset = offset + i * COMMIT_SIZE;
	}
	one->verdict = 1;
	filch_commit_init(&one->commit, &act->file, one->writes, COMMIT_WRITES,
	    one->pointers, (enum filch_commit_mode)mode);
	filch_task_init(&one->task, commit_one_poll, NULL);
	FAULT_EQUAL(
	    filch_executor_spawn_joinable(act->executor, &one->task), 0);
}

static inline int
commit_end(struct commit_one *one)
{
	FAULT_EQUAL(filch_task_join(&one->task), 0);
	return (one->verdict);
}

static inline void
commit_check(const struct act *act, unsigned index, char letter)
{
	_Alignas(COMMIT_SIZE) static char got[COMMIT_WRITES * COMMIT_SIZE];

	FAULT_EQUAL(
	    pread(act->fd, got, sizeof(got), (off_t)(index * sizeof(got))),
	    sizeof(got));
	for (unsigned i = 0; i < sizeof(got); i++) {
		FAULT_EQUAL(got[i], letter);
	}
}

/* Room for all; writes that are durable by themselves go past the cache. */
static inline void
commit_open(struct act *act, const struct fault_case *one)
{
	act_open(act, ACT_WRITE, one->driver);
	FAULT_EQUAL(ftruncate(act->fd,
			(off_t)COMMIT_TASKS * COMMIT_WRITES * COMMIT_SIZE),
	    0);
	if (one->what != FILCH_COMMIT_DSYNC) {
		return;
	}
	if (fcntl(act->fd, F_SETFL, O_DIRECT) < 0) {
		act_close(act);
		exit(FAULT_EXIT_SKIP);
	}
	FAULT_EQUAL(filch_file_init(&act->file, act->fd), 0);
}

enum commit_end {
	COMMIT_DURABLE, /* all of it, whatever failed */
	COMMIT_FAILED,  /* the verdict is the error, and the next one is well */
	COMMIT_POISONED /* the verdict is the error for good */
};

static inline void
commit_run(const struct fault_case *one, unsigned at, enum commit_end end)
{
	static struct commit_one commit;
	struct act act;
	int error = 0;

	fault_leak_begin();
	commit_open(&act, one);
	fault_arm(one->symbol, one->error, at, one->every);
	commit_start(&act, &commit, one->what, 0, 'n');
	(void)commit_end(&commit);
	fault_disarm();
	if (fault_met() > 0 && end != COMMIT_DURABLE) {
		error = -one->error;
	}
	FAULT_EQUAL(commit.verdict, error);
	if (error == 0) {
		commit_check(&act, 0, 'n');
	}
	if (end != COMMIT_POISONED) {
		error = 0;
	}
	FAULT_EQUAL(filch_file_poison(&act.file), error);
	commit_start(&act, &commit, one->what, 1, 'm');
	FAULT_EQUAL(commit_end(&commit), error);
	commit_check(&act, 1, error == 0 ? 'm' : '\0');
	act_close(&act);
	fault_leak_end();
}

static inline void
commit_durable(const struct fault_case *one, unsigned at)
{
	commit_run(one, at, COMMIT_DURABLE);
}

static inline void
commit_failed(const struct fault_case *one, unsigned at)
{
	commit_run(one, at, COMMIT_FAILED);
}

static inline void
commit_poisoned(const struct fault_case *one, unsigned at)
{
	commit_run(one, at, COMMIT_POISONED);
}

/* Of commits at the same time none is told that it is durable in vain. */
static inline void
commit_group_poisoned(const struct fault_case *one, unsigned at)
{
	static struct commit_one commits[COMMIT_TASKS];
	struct act act;
	unsigned durable = 0;

	fault_leak_begin();
	commit_open(&act, one);
	fault_arm(one->symbol, one->error, at, one->every);
	for (unsigned i = 0; i < COMMIT_TASKS; i++) {
		commit_start(&act, &commits[i], one->what, i, 'n');
	}
	for (unsigned i = 0; i < COMMIT_TASKS; i++) {
		int verdict = commit_end(&commits[i]);

		FAULT_CHECK(verdict == 0 || verdict == -one->error);
		durable += verdict == 0;
		if (verdict == 0) {
			commit_check(&act, i, 'n');
		}
	}
	fault_disarm();
	if (fault_met() > 0) {
		/* no sync after the one that failed was believed */
		FAULT_EQUAL(
		    __atomic_load_n(&fault.calls, __ATOMIC_RELAXED), at);
		FAULT_CHECK(at > 1 || durable == 0);
		FAULT_EQUAL(filch_file_poison(&act.file), -one->error);
	} else {
		FAULT_EQUAL(durable, COMMIT_TASKS);
	}
	act_close(&act);
	fault_leak_end();
}

#endif /* TESTS_FAULT_COMMITS_H */

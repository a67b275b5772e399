/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the contract programs share.
 *
 * A program is a table of tests.  Each runs on an executor of its own, on the
 * driver that FILCH_DRIVER names, with an empty directory to work in (below
 * TMPDIR or /tmp), and returns NULL, or what went wrong, or why it was skipped.
 * The output is TAP.  A test that hangs ends the program.
 */
#ifndef FILCH_TESTS_CONTRACT_H
#define FILCH_TESTS_CONTRACT_H

#include <filch/filch.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONTRACT_SKIP "# SKIP "

/* For one test; far more than any takes, also under a sanitizer. */
#define CONTRACT_SECONDS_MAX 170

#define CONTRACT_TEXT_OF(line) #line
#define CONTRACT_TEXT(line)    CONTRACT_TEXT_OF(line)

/* End the test as failed unless condition holds. */
#define CHECK(condition)                                                       \
	do {                                                                   \
		if (!(condition)) {                                            \
			return (                                               \
			    "line " CONTRACT_TEXT(__LINE__) ": " #condition);  \
		}                                                              \
	} while (0)

/* The same for two integers, which are printed. */
#define CHECK_EQ(actual, expected)                                             \
	do {                                                                   \
		long long check_a = (long long)(actual);                       \
		long long check_e = (long long)(expected);                     \
                                                                               \
		if (check_a != check_e) {                                      \
			printf(                                                \
			    "# is %lld, expected %lld\n", check_a, check_e);   \
			return ("line " CONTRACT_TEXT(__LINE__) ": " #actual); \
		}                                                              \
	} while (0)

/* End the test as failed if what it calls has failed. */
#define CHECK_OK(call)                                                         \
	do {                                                                   \
		const char *check_fault = (call);                              \
                                                                               \
		if (check_fault != NULL) {                                     \
			return (check_fault);                                  \
		}                                                              \
	} while (0)

#define SKIP(reason) return (CONTRACT_SKIP reason)

struct contract {
	struct filch_executor *executor;
	bool is_uring;
	bool is_kqueue;
	int directory;   /* empty, and the test's own */
	const void *row; /* the test's */
};

struct contract_test {
	const char *name;
	const char *(*run)(struct contract *contract);
	const void *row; /* NULL, or what run finds in contract */
};

/* A task around one operation. */
struct contract_job {
	struct filch_task task;
	struct filch_op op;
	int64_t result;
	unsigned polls;
	bool is_told;
	sem_t pending; /* posted once, when the first poll found it pending */
};

static inline enum filch_poll
contract_job_poll(struct filch_task *task)
{
	struct contract_job *job =
	    filch_container_of(task, struct contract_job, task);
	int64_t result;
	enum filch_poll poll = filch_op_poll(&job->op, task, &result);

	if (poll == FILCH_READY) {
		__atomic_store_n(&job->result, result, __ATOMIC_RELAXED);
	}
	job->polls++;
	if (!job->is_told) {
		job->is_told = true;
		(void)sem_post(&job->pending);
	}
	return (poll);
}

/* Spawn a task for job->op, and return when it was polled once. */
static inline int
contract_job_start(struct contract *contract, struct contract_job *job)
{
	int rc;

	job->result = INT64_MIN;
	job->polls = 0;
	job->is_told = false;
	(void)sem_init(&job->pending, 0, 0);
	filch_task_init(&job->task, contract_job_poll, NULL);
	rc = filch_executor_spawn_joinable(contract->executor, &job->task);
	while (rc == 0 && sem_wait(&job->pending) < 0) {
		continue;
	}
	return (rc);
}

/* True if job has its result already. */
static inline bool
contract_job_has_ended(const struct contract_job *job)
{
	return (__atomic_load_n(&job->result, __ATOMIC_RELAXED) != INT64_MIN);
}

/* Wait for the end of job; the result of its operation. */
static inline int64_t
contract_job_end(struct contract_job *job)
{
	int rc = filch_task_join(&job->task);

	(void)sem_destroy(&job->pending);
	return (rc < 0 ? INT64_MIN : job->result);
}

/* Carry the operation of job out; its result. */
static inline int64_t
contract_job_run(struct contract *contract, struct contract_job *job)
{
	if (contract_job_start(contract, job) < 0) {
		return (INT64_MIN);
	}
	return (contract_job_end(job));
}

/* Shut the executor down at once; how far that has come by deadline_ns. */
static inline int
contract_stop(struct contract *contract, uint64_t deadline_ns)
{
	return (filch_executor_shutdown(
	    contract->executor, FILCH_SHUTDOWN_IMMEDIATE, deadline_ns));
}

/* A new file of the given bytes in the test's directory. */
static inline int
contract_file(struct contract *contract, const char *name, const char *bytes)
{
	int fd = openat(contract->directory, name,
	    O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd >= 0 &&
	    pwrite(fd, bytes, strlen(bytes), 0) != (ssize_t)strlen(bytes)) {
		(void)close(fd);
		return (-1);
	}
	return (fd);
}

/* Remove the directory that the test worked in. */
static inline void
contract_clean(int directory, const char *path)
{
	DIR *names = fdopendir(directory);
	const struct dirent *entry;

	while (names != NULL && (entry = readdir(names)) != NULL) {
		if (entry->d_name[0] != '.') {
			(void)unlinkat(dirfd(names), entry->d_name, 0);
		}
	}
	if (names != NULL) {
		(void)closedir(names);
	}
	(void)rmdir(path);
}

static inline bool
contract_is_skip(const char *fault)
{
	return (strncmp(fault, CONTRACT_SKIP, strlen(CONTRACT_SKIP)) == 0);
}

/* Where test directories are made; "" after the last. */
static inline const char *
contract_root(bool durable, unsigned index)
{
	static const char disk[] = "/data";
	const char *temporary = getenv("TMPDIR");

	if (index == 0) {
		return (temporary == NULL || temporary[0] == '\0' ? "/tmp"
								  : temporary);
	}
	/* a disk, on machines whose /tmp is memory */
	return (durable && index == 1 && access(disk, W_OK | X_OK) == 0 ? disk
									: "");
}

/* Run one test; as contract_test.run. */
static inline const char *
contract_run(const struct contract_test *test,
    const struct filch_executor_options *options, const char *root)
{
	char path[1024];
	struct contract contract = { .directory = -1, .row = test->row };
	const char *fault = "no directory";
	int rc = filch_executor_create(options, &contract.executor);

	if (rc < 0) {
		return (strerror(-rc));
	}
	contract.is_uring =
	    filch_executor_driver(contract.executor) == FILCH_DRIVER_URING;
	contract.is_kqueue =
	    filch_executor_driver(contract.executor) == FILCH_DRIVER_KQUEUE;
	(void)snprintf(path, sizeof(path), "%s/filch-contract-XXXXXX", root);
	if (mkdtemp(path) != NULL) {
		contract.directory =
		    open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (contract.directory >= 0) {
		fault = test->run(&contract);
		if (fault != NULL && !contract_is_skip(fault)) {
			/* what is left undone may stop the program below */
			printf("# %s\n", fault);
			(void)fflush(stdout);
		}
		contract_clean(contract.directory, path);
	}
	filch_executor_destroy(contract.executor);
	return (fault);
}

static inline void
contract_hangs(int signal_number)
{
	static const char text[] = "Bail out! the next test hangs\n";

	(void)signal_number;
	(void)!write(STDOUT_FILENO, text, sizeof(text) - 1);
	_exit(1);
}

/* Run one test and print its line; as contract_test.run. */
static inline const char *
contract_report(const struct contract_test *test, size_t number,
    const struct filch_executor_options *options, unsigned root)
{
	const char *place = contract_root(true, root);
	const char *fault;
	const char *mark = "";

	(void)alarm(CONTRACT_SECONDS_MAX);
	fault = contract_run(test, options, place);
	(void)alarm(0);
	if (fault != NULL) {
		mark = contract_is_skip(fault) ? " " : ": ";
	}
	printf("%sok %zu - %s%s%s%s%s\n", *mark == ':' ? "not " : "", number,
	    test->name, root == 0 ? "" : " in ", root == 0 ? "" : place, mark,
	    fault == NULL ? "" : fault);
	(void)fflush(stdout);
	return (fault);
}

/* Run all tests, if durable also on a disk; what main() returns. */
static inline int
contract_main_on(const struct contract_test *tests, size_t count,
    const struct filch_executor_options *options, bool durable)
{
	size_t roots = *contract_root(durable, 1) == '\0' ? 1 : 2;
	struct filch_executor *executor;
	size_t skipped = 0;
	int failed = 0;
	int rc = filch_executor_create(options, &executor);

	if (rc < 0) {
		printf("1..0 # SKIP no executor: %s\n", strerror(-rc));
		return (77);
	}
	printf("# driver %s: %s\n",
	    filch_driver_name(filch_executor_driver(executor)),
	    filch_executor_driver_reason(executor));
	filch_executor_destroy(executor);
	/* what a test has printed is seen if it hangs */
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	(void)signal(SIGALRM, contract_hangs);
	printf("1..%zu\n", count * roots);
	for (size_t i = 0; i < count * roots; i++) {
		const char *fault = contract_report(
		    &tests[i % count], i + 1, options, (unsigned)(i / count));

		skipped += fault != NULL && contract_is_skip(fault);
		failed += fault != NULL && !contract_is_skip(fault);
	}
	if (failed == 0 && skipped == count * roots) {
		return (77);
	}
	return (failed != 0);
}

static inline int
contract_main(const struct contract_test *tests, size_t count,
    const struct filch_executor_options *options)
{
	return (contract_main_on(tests, count, options, false));
}

#define CONTRACT_COUNT(tests) (sizeof(tests) / sizeof((tests)[0]))

#endif /* FILCH_TESTS_CONTRACT_H */

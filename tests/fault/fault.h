/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Making calls fail: what the fault programs share.
 *
 * A program is linked with --wrap for the symbols it names; its __wrap_
 * functions ask fault_take() whether this call is the one to fail.  A case is
 * run in a child of its own once for every occurrence of the call, until one
 * run sees no failure any more.  The child's alarm turns a hang into a failure
 * that names the case and the occurrence; a leak of descriptors or threads is
 * looked for at its end, one of memory by AddressSanitizer.
 */
#ifndef TESTS_FAULT_FAULT_H
#define TESTS_FAULT_FAULT_H

#include <filch/filch.h>

#include <sys/time.h>
#include <sys/wait.h>

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/*
 * A machine that is busy with other things must not look like a hang; time in
 * which the process is stopped does not count.
 */
#define FAULT_HANG_S 60

/*
 * Of a call that is made often, every one of the first occurrences fails, and
 * then ever fewer, up to the last.
 */
#define FAULT_EVERY_ONE       24
#define FAULT_OCCURRENCES_MAX 1000

/* How the child of a case ends. */
enum {
	FAULT_EXIT_OK = 0,
	FAULT_EXIT_WRONG = 1,
	FAULT_EXIT_NOT_MET = 2, /* all well, and the call was not made */
	FAULT_EXIT_SKIP = 77    /* it cannot be made here */
};

/* The one call that fails, and how; set while no thread is armed. */
static struct {
	const char *symbol;
	int error;
	unsigned at;    /* the first call to fail, from 1 */
	unsigned every; /* then every so many; 0: never again */
	unsigned burst; /* with it, so many in a row */
	bool armed;
	unsigned calls;
	unsigned fired;
	int fds;
	int threads;
} fault;

/* The errno that this call of symbol has to fail with; 0: make it. */
static inline int
fault_take(const char *symbol)
{
	unsigned call;

	if (!__atomic_load_n(&fault.armed, __ATOMIC_ACQUIRE) ||
	    strcmp(symbol, fault.symbol) != 0) {
		return (0);
	}
	call = __atomic_add_fetch(&fault.calls, 1, __ATOMIC_RELAXED);
	if (call < fault.at ||
	    (call > fault.at && call - fault.at >= fault.burst &&
		(fault.every == 0 || (call - fault.at) % fault.every != 0))) {
		return (0);
	}
	__atomic_add_fetch(&fault.fired, 1, __ATOMIC_RELAXED);
	return (fault.error);
}

/* How many calls have failed. */
static inline unsigned
fault_met(void)
{
	return (__atomic_load_n(&fault.fired, __ATOMIC_RELAXED));
}

static inline void
fault_arm(const char *symbol, int error, unsigned at, unsigned every)
{
	fault.symbol = symbol;
	fault.error = error;
	fault.at = at;
	fault.every = every;
	fault.calls = 0;
	fault.fired = 0;
	__atomic_store_n(&fault.armed, true, __ATOMIC_RELEASE);
}

static inline void
fault_disarm(void)
{
	__atomic_store_n(&fault.armed, false, __ATOMIC_RELEASE);
}

/* What a wrapped call does when it is its turn. */
#define FAULT_WRAP(type, symbol, parameters, arguments, failure)               \
	type __real_##symbol parameters;                                       \
	type __wrap_##symbol parameters;                                       \
	type __wrap_##symbol parameters                                        \
	{                                                                      \
		int error = fault_take(#symbol);                               \
                                                                               \
		if (error != 0) {                                              \
			return (failure);                                      \
		}                                                              \
		return (__real_##symbol arguments);                            \
	}

/* The same for a call with one more argument, of that type, after last. */
#define FAULT_WRAP_VARIADIC(                                                   \
    type, symbol, parameters, last, argument_type, arguments)                  \
	type __real_##symbol parameters;                                       \
	type __wrap_##symbol parameters;                                       \
	type __wrap_##symbol parameters                                        \
	{                                                                      \
		int error = fault_take(#symbol);                               \
		va_list list;                                                  \
		argument_type argument;                                        \
                                                                               \
		if (error != 0) {                                              \
			return (FAULT_ERRNO);                                  \
		}                                                              \
		va_start(list, last);                                          \
		argument = va_arg(list, argument_type);                        \
		va_end(list);                                                  \
		return (__real_##symbol arguments);                            \
	}

#define FAULT_WRAP_FCNTL                                                       \
	FAULT_WRAP_VARIADIC(int, fcntl, (int fd, int command, ...), command,   \
	    int, (fd, command, argument))

/* The descriptor is gone whatever close(2) says. */
#define FAULT_WRAP_CLOSE                                                       \
	FAULT_WRAP(                                                            \
	    int, close, (int fd), (fd), ((void)__real_close(fd), FAULT_ERRNO))

/* Not an error: the call transfers half of what it would have. */
#define FAULT_SHORT (-1)

/* The ways in which calls tell their error. */
#define FAULT_ERRNO    (errno = error, -1)
#define FAULT_NEGATIVE (-error)
#define FAULT_NUMBER   (error)
#define FAULT_NULL     (errno = error, NULL)

/* Why this system has no io_uring for us; NULL if it has. */
static inline const char *
fault_uring_refusal(void)
{
	static const char *refusal;
	static bool asked;
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;
	struct filch_executor *executor = NULL;
	int rc;

	if (!asked) {
		asked = true;
		options.worker_count = 1;
		options.driver = FILCH_DRIVER_URING;
		rc = filch_executor_create(&options, &executor);
		refusal = rc < 0 ? strerrordesc_np(-rc) : NULL;
		filch_executor_destroy(executor);
	}
	return (refusal);
}

/* In a child: say what is wrong and end. */
#define FAULT_CHECK(condition)                                                 \
	do {                                                                   \
		if (!(condition)) {                                            \
			fprintf(stderr, "# %s:%d: %s\n", __FILE__, __LINE__,   \
			    #condition);                                       \
			_exit(FAULT_EXIT_WRONG);                               \
		}                                                              \
	} while (0)

/* The same for a value that has to be known to understand the failure. */
#define FAULT_EQUAL(value, expected)                                           \
	do {                                                                   \
		long long value_ = (long long)(value);                         \
		long long expected_ = (long long)(expected);                   \
                                                                               \
		if (value_ != expected_) {                                     \
			fprintf(stderr, "# %s:%d: %s is %lld, not %lld\n",     \
			    __FILE__, __LINE__, #value, value_, expected_);    \
			_exit(FAULT_EXIT_WRONG);                               \
		}                                                              \
	} while (0)

static inline int
fault_entries(const char *path)
{
	DIR *directory = opendir(path);
	int count = 0;

	FAULT_CHECK(directory != NULL);
	while (readdir(directory) != NULL) {
		count++;
	}
	closedir(directory);
	return (count);
}

static inline void
fault_leak_begin(void)
{
	fault.fds = fault_entries("/proc/self/fd");
	fault.threads = fault_entries("/proc/self/task");
}

/*
 * Nothing is left over.  The kernel takes a thread off its list a moment
 * after the join, and a ring's own threads a moment after the ring.
 */
static inline void
fault_leak_end(void)
{
	FAULT_EQUAL(fault_entries("/proc/self/fd"), fault.fds);
#if !defined(__SANITIZE_THREAD__) /* has a thread of its own */
	while (fault_entries("/proc/self/task") != fault.threads) {
		(void)nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
	}
#endif
}

/* One call, one way to fail, and what is to be seen then. */
struct fault_case {
	const char *name;
	const char *symbol;
	int error;
	unsigned every;
	int driver; /* enum filch_driver_kind */
	void (*body)(const struct fault_case *, unsigned at);
	int what; /* for the body */
};

/* A second of the watchdog has passed; the last one ends the child. */
static inline void
fault_tick(int number)
{
	static unsigned ticks;

	if (++ticks == FAULT_HANG_S) {
		(void)signal(number, SIG_DFL);
		(void)kill(getpid(), number);
	}
}

static inline void
fault_watch(void)
{
	struct itimerval second = { { 1, 0 }, { 1, 0 } };
	struct sigaction action = { .sa_handler = fault_tick,
		.sa_flags = SA_RESTART };

	FAULT_EQUAL(sigaction(SIGALRM, &action, NULL), 0);
	FAULT_EQUAL(setitimer(ITIMER_REAL, &second, NULL), 0);
}

/* Run one occurrence in a child; how it ended. */
static inline int
fault_child(const struct fault_case *one, unsigned at)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		fault_watch();
		one->body(one, at);
		/* the leak check of AddressSanitizer runs at exit */
		exit(fault_met() > 0 ? FAULT_EXIT_OK : FAULT_EXIT_NOT_MET);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		perror("fault: child");
		exit(FAULT_EXIT_WRONG);
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) != FAULT_EXIT_OK &&
	    WEXITSTATUS(status) != FAULT_EXIT_NOT_MET &&
	    WEXITSTATUS(status) != FAULT_EXIT_SKIP) {
		printf("# occurrence %u: exit %d\n", at, WEXITSTATUS(status));
		return (FAULT_EXIT_WRONG);
	}
	if (WIFSIGNALED(status)) {
		printf("# occurrence %u: %s\n", at,
		    WTERMSIG(status) == SIGALRM ? "hangs"
						: strsignal(WTERMSIG(status)));
		return (FAULT_EXIT_WRONG);
	}
	return (WEXITSTATUS(status));
}

/* Run a case for every occurrence of its call; true if all went well. */
static inline bool
fault_case_run(const struct fault_case *one, unsigned number)
{
	unsigned met = 0;
	unsigned at;
	int end = FAULT_EXIT_OK;

	for (at = 1; at <= FAULT_OCCURRENCES_MAX && end == FAULT_EXIT_OK;
	     at += at < FAULT_EVERY_ONE ? 1 : at / 4) {
		end = fault_child(one, at);
		met += end == FAULT_EXIT_OK;
	}
	if (met == 0 && end == FAULT_EXIT_NOT_MET) {
		printf("# the call is never made\n");
		end = FAULT_EXIT_WRONG;
	}
	printf("%sok %u - %s: %s %s, %u times%s\n",
	    end == FAULT_EXIT_WRONG ? "not " : "", number, one->name,
	    one->symbol,
	    one->error == FAULT_SHORT ? "half" : strerrorname_np(one->error),
	    met, end == FAULT_EXIT_SKIP ? " # SKIP not possible here" : "");
	return (end != FAULT_EXIT_WRONG);
}

/* Run all cases, or those whose name or symbol has a word of the arguments. */
static inline int
fault_main(
    const struct fault_case *cases, unsigned count, int argc, char **argv)
{
	unsigned failed = 0;
	unsigned i;

	printf("1..%u\n", count);
	for (i = 0; i < count; i++) {
		const struct fault_case *one = &cases[i];

		if (argc > 1 && strstr(one->name, argv[1]) == NULL &&
		    strstr(one->symbol, argv[1]) == NULL) {
			continue;
		}
		if (one->driver != FILCH_DRIVER_POSIX &&
		    fault_uring_refusal() != NULL) {
			printf("ok %u - %s: %s # SKIP io_uring: %s\n", i + 1,
			    one->name, one->symbol, fault_uring_refusal());
			continue;
		}
		failed += !fault_case_run(one, i + 1);
	}
	return (failed > 0);
}

/* The main function of a program whose cases name their driver themselves. */
#define FAULT_MAIN(cases)                                                      \
	int main(int argc, char **argv)                                        \
	{                                                                      \
		(void)unsetenv("FILCH_DRIVER");                                \
		return (fault_main(                                            \
		    cases, sizeof(cases) / sizeof((cases)[0]), argc, argv));   \
	}

#endif /* TESTS_FAULT_FAULT_H */

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the subcommands of the command-line tool share.
 */
#ifndef FILCH_TOOL_H
#define FILCH_TOOL_H

#include <stddef.h>

/* Exit codes: done; a failure of I/O; bad input; stopped by SIGINT. */
enum {
	TOOL_DONE = 0,
	TOOL_FAILED = 1,
	TOOL_USAGE = 2,
	TOOL_INTERRUPTED = 130
};

/* A subcommand; argv[0] is its name.  The result is the exit code. */
int tool_bench(int argc, char **argv);
int tool_copy(int argc, char **argv);
int tool_info(int argc, char **argv);

/*
 * Write the io_uring features this kernel has, as words with a blank between,
 * or why there are none.  Result: 0 or -errno of the kernel's refusal.
 */
int tool_uring_features(char *text, size_t size);

/* A limit of the system's, by the name it has there; -1: it does not tell. */
struct tool_limit {
	const char *name;
	long value;
};

/* More than tool_aio_limits() finds. */
enum {
	TOOL_AIO_LIMITS_MAX = 16
};

/* The limits of POSIX AIO; their number, 0 where there is no such driver. */
unsigned tool_aio_limits(struct tool_limit *ret_limits);

#endif /* FILCH_TOOL_H */

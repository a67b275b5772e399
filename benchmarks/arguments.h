/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Values of options and of the environment, and the one line on standard error
 * that says what is wrong with one: "PROGRAM: --OPTION: 'VALUE' must be RULE".
 * All functions return 0, or 2, the exit code for bad input, after that line;
 * *ret is then untouched.
 */
#ifndef BENCH_ARGUMENTS_H
#define BENCH_ARGUMENTS_H

#include <stdbool.h>
#include <stdint.h>

/* A number in fio's units: k, m and g are powers of 1024. */
int argument_number(const char *program, const char *option, const char *text,
    uint64_t min, uint64_t max, uint64_t *ret_value);

/* The same for what fits an unsigned. */
int argument_small(const char *program, const char *option, const char *text,
    unsigned min, unsigned max, unsigned *ret_value);

/* A time in ns: seconds, or with us, ms, s, m, h or d; fio's units. */
int argument_time(const char *program, const char *option, const char *text,
    uint64_t *ret_ns);

/* 0 or 1. */
int argument_flag(
    const char *program, const char *option, const char *text, bool *ret_value);

/* The place of text in names, which end with NULL. */
int argument_choice(const char *program, const char *option, const char *text,
    const char *const *names, unsigned *ret_index);

/* Names of drivers, in the order of enum filch_driver_kind, then NULL. */
extern const char *const argument_drivers[];

/*
 * That FILCH_DRIVER, of which the library says only that it is wrong, is unset,
 * empty or the name of a driver.
 */
int argument_driver_environment(const char *program);

/*
 * Say what getopt_long() did not like, with opterr 0 and a ':' in front of its
 * option string.
 */
int argument_refused(const char *program, int result, char *const *argv);

#endif /* BENCH_ARGUMENTS_H */

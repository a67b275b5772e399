/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one thing about writing JSON that printf does not know.
 */
#ifndef BENCH_JSON_H
#define BENCH_JSON_H

/* Print text in quotes, with what must not stand in them escaped. */
void json_print_string(const char *text);

#endif /* BENCH_JSON_H */

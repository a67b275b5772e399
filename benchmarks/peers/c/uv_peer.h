/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the libuv peer share.
 */
#ifndef UV_PEER_H
#define UV_PEER_H

#include <stdbool.h>

#include <uv.h>

#if UV_VERSION_HEX >= 0x013100 /* 1.49: the option */
#define PEER_UV_RING
#endif

/* The wake workloads; the arguments behind the subcommand. */
int uv_wake(int argc, char **argv);

/* Those of them that are about memory; false where bench is none. */
struct wake_arguments;
bool uv_memory(struct wake_arguments *arguments);

/* Ends the program if error is one of libuv's. */
void uv_must(int error, const char *what);

#endif /* UV_PEER_H */

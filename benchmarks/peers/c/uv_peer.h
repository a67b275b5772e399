/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the libuv peer share.
 */
#ifndef UV_PEER_H
#define UV_PEER_H

#include <uv.h>

#if UV_VERSION_HEX >= 0x013100 /* 1.49: the option */
#define PEER_UV_RING
#endif

/* The wake workloads; the arguments behind the subcommand. */
int uv_wake(int argc, char **argv);

#endif /* UV_PEER_H */

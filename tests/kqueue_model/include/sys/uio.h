/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * FreeBSD has no transfers with flags: neither reads of what is cached only,
 * nor writes that are durable by themselves.
 */
#ifndef KQUEUE_MODEL_SYS_UIO_H
#define KQUEUE_MODEL_SYS_UIO_H

#pragma GCC system_header
#include_next <sys/uio.h>

#undef RWF_HIPRI
#undef RWF_DSYNC
#undef RWF_SYNC
#undef RWF_NOWAIT
#undef RWF_APPEND

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The part of sysctl that a program on FreeBSD asks for AIO's limits.
 */
#ifndef KQUEUE_MODEL_SYS_SYSCTL_H
#define KQUEUE_MODEL_SYS_SYSCTL_H

/* As on FreeBSD, where its absence is an error less plain to read. */
#if !defined(_SYS_TYPES_H)
#error "<sys/sysctl.h> wants <sys/types.h> before it"
#endif

#include <stddef.h>

int sysctlbyname(const char *name, void *old_value, size_t *old_size,
    const void *new_value, size_t new_size);

#endif

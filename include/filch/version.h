/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The version; the build reads the three numbers from here.
 */
#ifndef FILCH_VERSION_H
#define FILCH_VERSION_H

#include "base.h"

#define FILCH_VERSION_MAJOR 0
#define FILCH_VERSION_MINOR 1
#define FILCH_VERSION_PATCH 0

FILCH_BEGIN_DECLS

/* The version of the library in use, as "0.1.0".  Threads: any. */
FILCH_API const char *filch_version(void);

FILCH_END_DECLS

#endif /* FILCH_VERSION_H */

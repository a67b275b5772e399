/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * filch: a multi-threaded, work-stealing I/O executor.  Includes all of it.
 */
#ifndef FILCH_FILCH_H
#define FILCH_FILCH_H

#include "aio.h"
#include "base.h"
#include "batch.h"
#include "buffer.h"
#include "executor.h"
#include "file.h"
#include "limits.h"
#include "op.h"
#include "stats.h"
#include "task.h"
#include "time.h"
#include "version.h"
#include "waker.h"

#endif /* FILCH_FILCH_H */

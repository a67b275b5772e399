/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The io_uring features of systems that have no io_uring.
 */
#include <errno.h>
#include <stdio.h>

#include "tool.h"

int
tool_uring_features(char *text, size_t size)
{
	snprintf(text, size, "refused: not on this system");
	return (-ENOSYS);
}

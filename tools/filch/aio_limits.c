/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The limits of POSIX AIO in force, and how much of them is in use, where the
 * library has a driver that they bound.
 */
#if defined(FILCH_HAVE_KQUEUE)
#include <sys/types.h>

#include <sys/sysctl.h>
#endif

#include <unistd.h>

#include "tool.h"

#if defined(FILCH_HAVE_KQUEUE)
static const char *const names[] = {
	"vfs.aio.max_aio_queue_per_proc",
	"vfs.aio.max_aio_queue",
	"vfs.aio.num_queue_count",
	"vfs.aio.max_aio_per_proc",
	"vfs.aio.max_aio_procs",
	"vfs.aio.target_aio_procs",
	"vfs.aio.num_aio_procs",
	"vfs.aio.max_buf_aio",
	"vfs.aio.enable_unsafe",
};

_Static_assert(sizeof(names) / sizeof(names[0]) < TOOL_AIO_LIMITS_MAX,
    "one more is AIO_LISTIO_MAX");

unsigned
tool_aio_limits(struct tool_limit *ret_limits)
{
	unsigned count = 0;

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int value = 0;
		size_t size = sizeof(value);

		if (sysctlbyname(names[i], &value, &size, NULL, 0) < 0) {
			value = -1;
		}
		ret_limits[count].name = names[i];
		ret_limits[count++].value = value;
	}
	ret_limits[count].name = "AIO_LISTIO_MAX";
	ret_limits[count++].value = sysconf(_SC_AIO_LISTIO_MAX);
	return (count);
}
#else
unsigned
tool_aio_limits(struct tool_limit *ret_limits)
{
	(void)ret_limits;
	return (0);
}
#endif

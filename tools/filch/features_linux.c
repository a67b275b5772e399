/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which io_uring features the running kernel tells of.  The kernel's own
 * header and call are used, as the tool knows nothing of the drivers inside.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/io_uring.h>

#include "tool.h"

static const struct {
	unsigned bit;
	const char *name;
} features[] = {
	{ IORING_FEAT_SINGLE_MMAP, "single_mmap" },
	{ IORING_FEAT_NODROP, "nodrop" },
	{ IORING_FEAT_SUBMIT_STABLE, "submit_stable" },
	{ IORING_FEAT_RW_CUR_POS, "rw_cur_pos" },
	{ IORING_FEAT_FAST_POLL, "fast_poll" },
	{ IORING_FEAT_EXT_ARG, "ext_arg" },
	{ IORING_FEAT_NATIVE_WORKERS, "native_workers" },
	{ IORING_FEAT_RSRC_TAGS, "rsrc_tags" },
	{ IORING_FEAT_CQE_SKIP, "cqe_skip" },
};

int
tool_uring_features(char *text, size_t size)
{
	struct io_uring_params params = { 0 };
	size_t used = 0;
	int fd = (int)syscall(__NR_io_uring_setup, 1, &params);

	if (fd < 0) {
		int error = errno;

		snprintf(text, size, "refused: %s", strerror(error));
		return (-error);
	}
	close(fd);
	text[0] = '\0';
	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		if ((params.features & features[i].bit) != 0 && used < size) {
			used += (size_t)snprintf(text + used, size - used,
			    "%s%s", used == 0 ? "" : " ", features[i].name);
		}
	}
	return (0);
}

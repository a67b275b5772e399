/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The limits as a program asks for them.
 */
#include "kernel.h"

#include <sys/sysctl.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

static int
number_limit(void)
{
	return (kernel.options.listio_max > 0
		? kernel.options.listio_max
		: kernel.options.max_aio_queue_per_proc);
}

/* The number's place, which can be set, or NULL: then *ret_value has it. */
static int *
number_find(const char *name, int *ret_value, bool *ret_found)
{
	struct kqueue_model_options *options = &kernel.options;
	const struct {
		const char *name;
		int *place;
		int value;
	} numbers[] = {
		{ "vfs.aio.max_aio_queue_per_proc",
		    &options->max_aio_queue_per_proc, 0 },
		{ "vfs.aio.max_aio_queue", &options->max_aio_queue, 0 },
		{ "vfs.aio.max_aio_per_proc", &options->max_aio_per_proc, 0 },
		{ "vfs.aio.max_aio_procs", &options->max_aio_procs, 0 },
		{ "vfs.aio.enable_unsafe", &options->enable_unsafe, 0 },
		{ "vfs.aio.num_queue_count", NULL, (int)kernel.counts.jobs },
		{ "vfs.aio.num_aio_procs", NULL, (int)kernel.daemons },
		{ "vfs.aio.target_aio_procs", NULL, 4 },
		{ "vfs.aio.aiod_lifetime", NULL, 30000 },
		{ "vfs.aio.max_buf_aio", NULL, 16 },
		{ "kern.ipc.aio.num_procs", NULL, kernel.has_socket_daemon },
		{ "kern.ipc.aio.max_procs", NULL, 4 },
		{ "kern.ipc.aio.target_procs", NULL, 4 },
		{ "p1003_1b.aio_listio_max", NULL, number_limit() },
		{ "kern.osreldate", NULL, options->version * 1000 },
	};
	size_t i;

	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (strcmp(name, numbers[i].name) == 0) {
			*ret_found = true;
			*ret_value = numbers[i].value;
			return (numbers[i].place);
		}
	}
	*ret_found = false;
	return (NULL);
}

static int
number_exchange(const char *name, void *old_value, size_t *old_size,
    const void *new_value, size_t new_size)
{
	int *place, value;
	bool is_found;

	place = number_find(name, &value, &is_found);
	if (!is_found) {
		return (ENOENT);
	}
	if (place != NULL) {
		value = *place;
	}
	if (old_value != NULL && *old_size < sizeof(value)) {
		return (ENOMEM);
	}
	if (old_value != NULL) {
		memcpy(old_value, &value, sizeof(value));
	}
	if (old_size != NULL) {
		*old_size = sizeof(value);
	}
	if (new_value == NULL) {
		return (0);
	}
	if (place == NULL || geteuid() != 0) {
		return (EPERM);
	}
	if (new_size != sizeof(*place)) {
		return (EINVAL);
	}
	memcpy(place, new_value, sizeof(*place));
	return (0);
}

int
sysctlbyname(const char *name, void *old_value, size_t *old_size,
    const void *new_value, size_t new_size)
{
	int error;

	kernel__enter();
	kernel.counts.calls_sysctl++;
	error = number_exchange(name, old_value, old_size, new_value, new_size);
	kernel__leave();
	return (error == 0 ? 0 : kernel__fail(error));
}

#undef sysconf

/* All other names are glibc's. */
long
kqueue_model_sysconf(int name)
{
	long value;

	if (name != _SC_AIO_LISTIO_MAX) {
		return (sysconf(name));
	}
	kernel__enter();
	value = number_limit();
	kernel__leave();
	return (value);
}

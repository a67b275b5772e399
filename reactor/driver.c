/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Drivers: which there are, and which one a reactor gets.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reactor.h"

/* Best first: the last one is never refused for what the system is. */
static const struct filch__driver *const drivers[] = {
#if defined(FILCH_HAVE_URING)
	&filch__driver_uring,
#endif
#if defined(FILCH_HAVE_KQUEUE)
	&filch__driver_kqueue,
#endif
	&filch__driver_posix,
};

#define DRIVER_COUNT (sizeof(drivers) / sizeof(drivers[0]))

const char *
filch_driver_name(enum filch_driver_kind kind)
{
	switch (kind) {
	case FILCH_DRIVER_AUTO:
		break;
	case FILCH_DRIVER_URING:
		return ("uring");
	case FILCH_DRIVER_POSIX:
		return ("posix");
	case FILCH_DRIVER_KQUEUE:
		return ("kqueue");
	}
	return ("auto");
}

static int
driver_from_environment(enum filch_driver_kind *ret_kind)
{
	const char *name = getenv("FILCH_DRIVER");
	int kind;

	if (name == NULL || name[0] == '\0') {
		return (0);
	}
	for (kind = FILCH_DRIVER_AUTO; kind <= FILCH_DRIVER_KQUEUE; kind++) {
		if (strcmp(name,
			filch_driver_name((enum filch_driver_kind)kind)) == 0) {
			*ret_kind = (enum filch_driver_kind)kind;
			return (0);
		}
	}
	return (-EINVAL);
}

/* Open the best driver that the system does not refuse. */
static int
driver_open_best(struct filch__reactor *reactor)
{
	const struct filch__driver *refused = NULL;
	int refusal = 0;
	int result = -ENOSYS;
	size_t i;

	for (i = 0; i < DRIVER_COUNT; i++) {
		reactor->driver = drivers[i];
		result = reactor->driver->open(reactor);
		if (result == 0) {
			break;
		}
		refused = drivers[i];
		refusal = result;
	}
	if (refused != NULL) {
		(void)snprintf(reactor->reason, sizeof(reactor->reason),
		    "%s is refused: %s", refused->system, strerror(-refusal));
	} else {
		(void)snprintf(reactor->reason, sizeof(reactor->reason),
		    "%s is available", reactor->driver->system);
	}
	return (result);
}

int
filch__driver_open(struct filch__reactor *reactor)
{
	enum filch_driver_kind kind = reactor->options.driver;
	const char *by = "option";
	int result;
	size_t i;

	if (kind == FILCH_DRIVER_AUTO) {
		result = driver_from_environment(&kind);
		if (result < 0) {
			return (result);
		}
		by = "FILCH_DRIVER";
	}
	if (kind == FILCH_DRIVER_AUTO) {
		return (driver_open_best(reactor));
	}
	(void)snprintf(
	    reactor->reason, sizeof(reactor->reason), "asked for by %s", by);
	for (i = 0; i < DRIVER_COUNT; i++) {
		if (drivers[i]->kind == kind) {
			reactor->driver = drivers[i];
			return (reactor->driver->open(reactor));
		}
	}
	return (-ENOSYS);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program that uses the installed library: it must find the headers, link,
 * run, and meet the version it was compiled for.
 */
#include <filch/filch.h>

#include <stdio.h>
#include <string.h>

int
main(void)
{
	char expected[32];

	(void)snprintf(expected, sizeof(expected), "%d.%d.%d",
	    FILCH_VERSION_MAJOR, FILCH_VERSION_MINOR, FILCH_VERSION_PATCH);
	if (strcmp(expected, filch_version()) != 0) {
		(void)fprintf(stderr, "headers %s, library %s\n", expected,
		    filch_version());
		return (1);
	}
	return (0);
}

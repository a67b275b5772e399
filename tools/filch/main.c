/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * filch, the command-line tool: finds the subcommand.
 */
#include <stdio.h>
#include <string.h>

#include <filch/filch.h>

#include "arguments.h"
#include "tool.h"

static const char usage[] =
    "usage: filch bench [--OPTION=VALUE ...] [FILE]\n"
    "       filch copy [--OPTION ...] SOURCE... TARGET\n"
    "       filch info [--output=table|json]\n"
    "       filch --help | --version\n"
    "filch COMMAND --help lists the options of a command.\n";

static int
command_refuse(const char *name)
{
	fprintf(stderr,
	    "filch: %s: must be bench, copy or info; see filch --help\n", name);
	return (TOOL_USAGE);
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv);
	} commands[] = {
		{ "bench", tool_bench },
		{ "copy", tool_copy },
		{ "info", tool_info },
	};

	if (argc < 2) {
		return (command_refuse("COMMAND"));
	}
	if (argument_driver_environment("filch") != 0) {
		return (TOOL_USAGE);
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(argv[1], commands[i].name) == 0) {
			return (commands[i].run(argc - 1, argv + 1));
		}
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		fputs(usage, stdout);
		return (TOOL_DONE);
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf("filch %s\n", filch_version());
		return (TOOL_DONE);
	}
	return (command_refuse(argv[1]));
}

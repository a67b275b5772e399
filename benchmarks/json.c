/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Strings in JSON.  Bytes above ASCII pass as they are: names are UTF-8
 * nearly always, and where they are not, no escape would make them so.
 */
#include "json.h"

#include <stdio.h>

void
json_print_string(const char *text)
{
	putchar('"');
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\') {
			printf("\\%c", *text);
		} else if ((unsigned char)*text < 0x20) {
			printf("\\u%04x", (unsigned)*text);
		} else {
			putchar(*text);
		}
	}
	putchar('"');
}

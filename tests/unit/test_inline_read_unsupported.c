/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading on the worker where the system cannot tell what is cached: as
 * reactor/inline_read.c is there, which this file includes for that.
 */
#include <sys/uio.h>
#undef RWF_NOWAIT

#include "../../reactor/inline_read.c" /* NOLINT */

#include <string.h>

#include "../../include/private/file_flags.h"
#include "helpers.h"

#define SIZE 4096

static struct filch_op op;
static struct filch_file file = FILCH_FILE_INIT;
static char buffer[SIZE];
static char mapping[SIZE];

static void
setup(void)
{
	file.priv.flags = FILCH__FILE_REGULAR;
	filch_op_init_read(&op, &file, buffer, SIZE, 0);
}

TestSuite(inline_read_unsupported, .init = setup);

static void
map(void)
{
	memset(mapping, 'm', SIZE);
	file.priv.mapping = mapping;
	file.priv.mapping_size = SIZE;
}

Test(inline_read_unsupported, is_for_mapped_files_at_an_offset_only)
{
	cr_assert_not(filch__inline_read_is_due(&op));
	map();
	cr_assert(filch__inline_read_is_due(&op));
	filch_op_set_flags(&op, FILCH_OP_NO_INLINE);
	cr_assert_not(filch__inline_read_is_due(&op));
	filch_op_init_read(&op, &file, buffer, SIZE, FILCH_OFFSET_CURRENT);
	cr_assert_not(filch__inline_read_is_due(&op));
}

Test(inline_read_unsupported, copies_from_the_mapping_at_once)
{
	int64_t result = 0;

	map();
	cr_assert(filch__inline_read(&op, 1, &result));
	cr_assert_eq(result, SIZE);
	cr_assert_eq(buffer[SIZE - 1], 'm');
	filch_op_init_read(&op, &file, buffer, SIZE, 1);
	cr_assert_not(filch__inline_read(&op, 1, &result));
}

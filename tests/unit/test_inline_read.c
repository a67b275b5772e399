/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading cached pages on the worker: when it is tried, and when it is trusted.
 */
#include <criterion/criterion.h>

#include <sys/mman.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../aio/op.h"
#include "../../include/private/file_flags.h"
#include "../../reactor/inline_read.h"

#define SIZE         8192
#define TRUST        256
#define PROBE        16
#define PROBE_MAPPED 64

static struct filch_op op;
static struct filch_file file;
static char buffer[SIZE];
static void *pages; /* locked: the kernel may drop cached ones at any time */

static void
setup(void)
{
	/* on a disk, since a file in memory has no cache to lose */
	char name[] = "filch-inline-XXXXXX";

	memset(&op, 0, sizeof(op));
	memset(&file, 0, sizeof(file));
	file.fd = mkstemp(name);
	cr_assert(file.fd >= 0);
	cr_assert(unlink(name) == 0);
	memset(buffer, 'a', sizeof(buffer));
	cr_assert(write(file.fd, buffer, SIZE) == SIZE);
	/* a page that is being written is not to be had without waiting */
	cr_assert(fsync(file.fd) == 0);
	pages = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, file.fd, 0);
	cr_assert(pages != MAP_FAILED);
	cr_assert(mlock(pages, SIZE) == 0);
	file.priv.flags = FILCH__FILE_REGULAR;
	file.priv.fixed_index = -1;
	op.priv.opcode = FILCH_OP_READ;
	op.priv.file = &file;
	op.priv.a.buffer = buffer;
	op.priv.b.size = SIZE;
}

static bool
is_cached(void)
{
	unsigned char there[SIZE / 4096] = { 0 };
	void *map = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, file.fd, 0);

	cr_assert(map != MAP_FAILED);
	cr_assert(mincore(map, SIZE, there) == 0);
	munmap(map, SIZE);
	return ((there[0] & 1) != 0);
}

static void
evict(void)
{
	if (pages != NULL) {
		cr_assert(munmap(pages, SIZE) == 0);
		pages = NULL;
	}
	cr_assert(fsync(file.fd) == 0);
	cr_assert(posix_fadvise(file.fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
	if (is_cached()) {
		cr_skip_test("this file system keeps its pages");
	}
}

/*
 * Try to read what is not cached until that fails.  An attempt starts to read
 * ahead, and finds the pages after all if the disk is quicker than its look.
 */
static void
miss(uint32_t turn)
{
	int64_t result;

	do {
		evict();
	} while (filch__inline_read(&op, turn, &result));
}

static void
gain_trust(void)
{
	int64_t result;

	while (file.priv.inline_hits < TRUST) {
		(void)filch__inline_read(&op, 1, &result);
	}
}

TestSuite(inline_read, .init = setup);

Test(inline_read, is_for_regular_cached_files_at_an_offset_only)
{
	cr_assert(filch__inline_read_is_due(&op));
	op.priv.flags = FILCH_OP_NO_INLINE;
	cr_assert_not(filch__inline_read_is_due(&op));
	op.priv.flags = 0;
	op.priv.offset = FILCH_OFFSET_CURRENT;
	cr_assert_not(filch__inline_read_is_due(&op));
	op.priv.offset = 0;
	file.priv.flags |= FILCH__FILE_DIRECT;
	cr_assert_not(filch__inline_read_is_due(&op));
}

Test(inline_read, rests_after_misses_then_tries_again)
{
	int i;

	file.priv.inline_misses = 16;
	for (i = 0; i < 64; i++) {
		cr_assert_not(filch__inline_read_is_due(&op));
	}
	cr_assert(filch__inline_read_is_due(&op));
}

Test(inline_read, gives_what_is_left_at_the_end_of_the_file)
{
	int64_t result = -1;

	op.priv.offset = SIZE - 100;
	cr_assert(filch__inline_read(&op, 1, &result));
	cr_assert(result == 100);
	op.priv.offset = SIZE;
	cr_assert(filch__inline_read(&op, 1, &result));
	cr_assert(result == 0);
}

Test(inline_read, reports_an_error)
{
	int64_t result = 0;

	file.fd = -1;
	cr_assert(filch__inline_read(&op, 1, &result));
	cr_assert(result == -EBADF);
}

Test(inline_read, leaves_what_is_not_cached_to_the_driver)
{
	miss(1);
	cr_assert(file.priv.inline_misses == 1);
}

Test(inline_read, trusts_a_file_after_many_hits_and_reads_it_plainly)
{
	int64_t result = 0;

	gain_trust();
	evict();
	cr_assert(filch__inline_read(&op, 1, &result));
	cr_assert(result == SIZE);
	cr_assert(file.priv.inline_hits == TRUST);
}

Test(inline_read, a_probe_that_misses_ends_the_trust)
{
	gain_trust();
	miss(PROBE);
	cr_assert(file.priv.inline_hits == 0);
}

Test(inline_read, a_miss_begins_the_count_anew)
{
	file.priv.inline_hits = TRUST - 1;
	miss(1);
	cr_assert(file.priv.inline_hits == 0);
}

/* Another content than the file's shows who has read. */
static void
map_other(char *other)
{
	memset(other, 'm', SIZE);
	file.priv.mapping = other;
	file.priv.mapping_size = SIZE;
}

Test(inline_read, copies_from_the_mapping_of_a_trusted_file)
{
	static char other[SIZE];
	int64_t result = 0;

	map_other(other);
	cr_assert(filch__inline_read(&op, 1, &result));
	cr_assert(result == SIZE);
	cr_assert(buffer[0] == 'a');
	gain_trust();
	cr_assert(filch__inline_read(&op, 1, &result));
	cr_assert(result == SIZE);
	cr_assert(buffer[0] == 'm');
	cr_assert(filch__inline_read(&op, PROBE, &result));
	cr_assert(buffer[0] == 'm');
	cr_assert(filch__inline_read(&op, PROBE_MAPPED, &result));
	cr_assert(buffer[0] == 'a');
}

Test(inline_read, reads_plainly_what_a_mapping_does_not_have)
{
	static char other[SIZE];
	int64_t result = 0;

	map_other(other);
	gain_trust();
	op.priv.offset = SIZE - 100;
	cr_assert(filch__inline_read(&op, 1, &result));
	cr_assert(result == 100);
	cr_assert(buffer[0] == 'a');
}

Test(inline_read, believes_a_mapping_where_the_system_tells_nothing)
{
	static char other[SIZE];
	int64_t result = 0;

	file.priv.inline_misses = UINT32_MAX;
	cr_assert_not(filch__inline_read_is_due(&op));
	map_other(other);
	cr_assert(filch__inline_read_is_due(&op));
	cr_assert(filch__inline_read(&op, 1, &result));
	cr_assert(result == SIZE);
	cr_assert(buffer[0] == 'm');
	op.priv.offset = SIZE - 100;
	cr_assert_not(filch__inline_read(&op, 1, &result));
}

Test(inline_read, a_mapped_file_that_misses_rests_too)
{
	static char other[SIZE];

	map_other(other);
	gain_trust();
	miss(PROBE_MAPPED);
	cr_assert(file.priv.inline_hits == 0);
	file.priv.inline_misses = 16;
	cr_assert_not(filch__inline_read_is_due(&op));
}

/* The reads of a turn are counted anew wherever others are gathered. */
Test(inline_read, probes_a_mapped_file_beside_reads_that_are_gathered)
{
	static char other[SIZE];
	static struct filch__reactor reactor;
	static struct filch__shard shard = { .reactor = &reactor };
	static struct filch_task task;
	int probes = 0;
	int i;

	map_other(other);
	gain_trust();
	shard.gathering = true;
	for (i = 0; i < PROBE_MAPPED; i++) {
		shard.reads = 0;
		op.priv.state = FILCH__OP_IDLE;
		cr_assert(filch__op_start(&shard, &op, &task));
		cr_assert(op.priv.result == SIZE);
		probes += buffer[0] == 'a';
	}
	cr_assert(probes == 1);
}

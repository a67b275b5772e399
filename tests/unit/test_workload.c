/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the I/O benchmarks do, in what order, and how they account for it.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <string.h>

#include "../../benchmarks/workload.h"

#define BLOCK  512
#define BLOCKS 64

static struct workload
workload_of(enum workload_rw rw)
{
	return ((struct workload){ .rw = rw,
	    .block_size = BLOCK,
	    .size = BLOCK * BLOCKS,
	    .seed = 7,
	    .read_percent = 50,
	    .workers = 3,
	    .latency = true,
	    .verify = true });
}

/* How many steps of a kind there are until the end. */
static unsigned
count(struct workload_cursor *cursor, const struct workload *workload,
    enum workload_kind kind)
{
	struct workload_step step;
	unsigned found = 0;

	while (workload_next(cursor, workload, &step)) {
		cr_assert_lt(step.offset, workload->size);
		cr_assert_eq(step.offset % BLOCK, 0);
		found += step.kind == kind;
	}
	return (found);
}

Test(sequence, shares_of_workers_sum_up_to_number_ios)
{
	struct workload workload = workload_of(RW_RANDREAD);
	struct workload_cursor cursor;
	unsigned sum = 0;

	workload.number_ios = 1000;
	for (unsigned i = 0; i < workload.workers; i++) {
		workload_cursor_init(&cursor, &workload, i);
		sum += count(&cursor, &workload, KIND_READ);
	}
	cr_assert_eq(sum, 1000);
}

Test(sequence, sequential_goes_through_the_file_and_starts_anew)
{
	struct workload workload = workload_of(RW_READ);
	struct workload_cursor cursor;
	struct workload_step step;

	workload_cursor_init(&cursor, &workload, 0);
	for (unsigned i = 0; i < BLOCKS + 2; i++) {
		cr_assert(workload_next(&cursor, &workload, &step));
		cr_assert_eq(step.offset, i % BLOCKS * BLOCK);
	}
}

Test(sequence, random_reaches_every_block)
{
	struct workload workload = workload_of(RW_RANDREAD);
	struct workload_cursor cursor;
	struct workload_step step;
	bool reached[BLOCKS] = { false };

	workload_cursor_init(&cursor, &workload, 0);
	for (unsigned i = 0; i < 100 * BLOCKS; i++) {
		cr_assert(workload_next(&cursor, &workload, &step));
		reached[step.offset / BLOCK] = true;
	}
	for (unsigned i = 0; i < BLOCKS; i++) {
		cr_assert(reached[i], "block %u", i);
	}
}

Test(sequence, follows_from_the_seed)
{
	struct workload workload = workload_of(RW_RANDRW);
	struct workload_cursor first;
	struct workload_cursor again;
	struct workload_step a;
	struct workload_step b;
	unsigned same = 0;

	workload_cursor_init(&first, &workload, 1);
	workload_cursor_init(&again, &workload, 1);
	for (unsigned i = 0; i < 100; i++) {
		(void)workload_next(&first, &workload, &a);
		(void)workload_next(&again, &workload, &b);
		cr_assert_eq(a.offset, b.offset);
		cr_assert_eq(a.kind, b.kind);
	}
	workload.seed++;
	workload_cursor_init(&again, &workload, 1);
	for (unsigned i = 0; i < 100; i++) {
		(void)workload_next(&first, &workload, &a);
		(void)workload_next(&again, &workload, &b);
		same += a.offset == b.offset;
	}
	cr_assert_lt(same, 50);
}

Test(sequence, mixed_is_about_half_writes)
{
	struct workload workload = workload_of(RW_RANDRW);
	struct workload_cursor cursor;

	workload.number_ios = 30000;
	workload_cursor_init(&cursor, &workload, 0);
	unsigned writes = count(&cursor, &workload, KIND_WRITE);
	cr_assert_gt(writes, 4500);
	cr_assert_lt(writes, 5500);
}

Test(sequence, mixed_has_the_share_of_reads_it_was_told)
{
	struct workload workload = workload_of(RW_RANDRW);
	struct workload_cursor cursor;

	workload.number_ios = 30000;
	workload.read_percent = 70;
	workload_cursor_init(&cursor, &workload, 0);
	unsigned reads = count(&cursor, &workload, KIND_READ);
	cr_assert_gt(reads, 6700);
	cr_assert_lt(reads, 7300);
}

Test(sequence, a_sync_follows_every_nth_write_the_last_too)
{
	struct workload workload = workload_of(RW_WRITE);
	struct workload_cursor cursor;
	struct workload_step step;

	workload.workers = 1;
	workload.number_ios = 6;
	workload.fsync_every = 3;
	workload.fdatasync_every = 2;
	workload_cursor_init(&cursor, &workload, 0);
	static const enum workload_kind wanted[] = { KIND_WRITE, KIND_WRITE,
		KIND_FDATASYNC, KIND_WRITE, KIND_FSYNC, KIND_WRITE,
		KIND_FDATASYNC, KIND_WRITE, KIND_WRITE, KIND_FSYNC };
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		cr_assert(workload_next(&cursor, &workload, &step));
		cr_assert_eq(step.kind, wanted[i], "step %zu", i);
	}
	cr_assert_not(workload_next(&cursor, &workload, &step));
}

/* Slot 1 of 4, at 2 operations a second, in a run of 10 s from 100 ns on. */
static struct workload_place
open_loop(struct workload *workload, struct workload_cursor *cursor)
{
	workload->rate = 2;
	workload->runtime_ns = UINT64_C(10000000000);
	workload_cursor_init(cursor, workload, 0);
	return (
	    (struct workload_place){ .start_ns = 100, .next = 1, .slots = 4 });
}

Test(open_loop, operations_are_due_where_their_places_are)
{
	struct workload workload = workload_of(RW_RANDREAD);
	struct workload_cursor cursor;
	struct workload_place place = open_loop(&workload, &cursor);
	struct workload_step step;

	cr_assert(workload_next_at(&cursor, &workload, &place, &step));
	cr_assert_eq(place.due_ns, 500000100);
	cr_assert(workload_next_at(&cursor, &workload, &place, &step));
	cr_assert_eq(place.due_ns, 2500000100);
}

Test(open_loop, a_slot_sleeps_in_naps_until_it_is_due)
{
	struct workload workload = workload_of(RW_RANDREAD);
	struct workload_cursor cursor;
	struct workload_place place = open_loop(&workload, &cursor);

	cr_assert_eq(
	    workload_sleep_until(&workload, &cursor, &place, 100), 100000100);
	cr_assert_eq(
	    workload_sleep_until(&workload, &cursor, &place, 450000000),
	    500000100);
	cr_assert_eq(
	    workload_sleep_until(&workload, &cursor, &place, 500000100), 0);
}

Test(open_loop, nobody_sleeps_past_the_end)
{
	struct workload workload = workload_of(RW_RANDREAD);
	struct workload_cursor cursor;
	struct workload_place place = open_loop(&workload, &cursor);

	place.next = 1000;
	cr_assert_eq(workload_sleep_until(
			 &workload, &cursor, &place, UINT64_C(9999000000)),
	    UINT64_C(10000000100));
	cr_assert_eq(workload_sleep_until(
			 &workload, &cursor, &place, UINT64_C(10000000100)),
	    0);
}

Test(open_loop, a_sync_waits_for_nothing_and_takes_no_place)
{
	struct workload workload = workload_of(RW_WRITE);
	struct workload_cursor cursor;
	struct workload_place place = open_loop(&workload, &cursor);
	struct workload_step step;

	workload.fdatasync_every = 1;
	cr_assert(workload_next_at(&cursor, &workload, &place, &step));
	cr_assert_eq(step.kind, KIND_WRITE);
	cr_assert_eq(workload_sleep_until(&workload, &cursor, &place, 100), 0);
	cr_assert(workload_next_at(&cursor, &workload, &place, &step));
	cr_assert_eq(step.kind, KIND_FDATASYNC);
	cr_assert_eq(place.next, 5);
}

Test(open_loop, whose_operation_is_due_leaves_the_sync_to_others)
{
	struct workload workload = workload_of(RW_WRITE);
	struct workload_cursor cursor;
	struct workload_place place = open_loop(&workload, &cursor);
	struct workload_place other = place;
	struct workload_step step;

	workload.fdatasync_every = 1;
	cr_assert_neq(workload_sleep_until(&workload, &cursor, &other, 100), 0);
	cr_assert(workload_next_at(&cursor, &workload, &place, &step));
	cr_assert(workload_next_at(&cursor, &workload, &other, &step));
	cr_assert_eq(step.kind, KIND_WRITE);
	cr_assert(workload_next_at(&cursor, &workload, &other, &step));
	cr_assert_eq(step.kind, KIND_FDATASYNC);
}

Test(content, any_other_byte_is_noticed)
{
	struct workload workload = workload_of(RW_READ);
	unsigned char block[BLOCK];

	workload_fill(&workload, block, 3 * BLOCK, BLOCK);
	for (size_t i = 0; i < BLOCK; i++) {
		block[i] ^= 1;
		cr_assert_not(
		    workload_check(&workload, block, 3 * BLOCK, BLOCK));
		block[i] ^= 1;
		cr_assert(workload_check(&workload, block, 3 * BLOCK, BLOCK));
	}
}

Test(content, another_place_or_seed_has_another)
{
	struct workload workload = workload_of(RW_READ);
	unsigned char block[BLOCK];

	workload_fill(&workload, block, BLOCK, BLOCK);
	cr_assert_not(workload_check(&workload, block, 2 * BLOCK, BLOCK));
	workload.seed++;
	cr_assert_not(workload_check(&workload, block, BLOCK, BLOCK));
}

Test(accounting, tells_operations_from_syncs_and_errors)
{
	struct workload workload = workload_of(RW_RANDRW);
	static struct workload_stats stats;
	unsigned char block[BLOCK];
	struct workload_step read = { .kind = KIND_READ, .offset = BLOCK };
	struct workload_step sync = { .kind = KIND_FSYNC };

	workload_fill(&workload, block, BLOCK, BLOCK);
	workload_account(&workload, &stats, &read, block, BLOCK, 100);
	workload_account(&workload, &stats, &sync, block, 0, 100);
	cr_assert_eq(stats.operations, 1);
	cr_assert_eq(stats.bytes, BLOCK);
	cr_assert_eq(stats.syncs, 1);
	cr_assert_eq(stats.latency.count, 1);
	cr_assert_eq(stats.errors, 0);

	workload_account(&workload, &stats, &read, block, BLOCK - 1, 100);
	workload_account(&workload, &stats, &sync, block, -EIO, 100);
	memset(block, 0, BLOCK);
	workload_account(&workload, &stats, &read, block, BLOCK, 100);
	cr_assert_eq(stats.errors, 3);
	cr_assert_eq(stats.mismatches, 1);
	cr_assert_eq(stats.error_result, BLOCK - 1, "the first is kept");
	cr_assert_eq(stats.error_kind, KIND_READ);
	cr_assert_eq(stats.error_offset, BLOCK);
}

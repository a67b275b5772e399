/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A benchmark's course, its sequence of operations and their accounting.
 */
#include "workload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "interrupt.h"

#define NS_PER_S UINT64_C(1000000000)

/* Sleeps of an open loop, at most: so soon an interrupt is noticed. */
#define NAP_NS (NS_PER_S / 10)

static int measure(const struct workload *, workload_run_fn, void *);

int
workload_main(const struct workload_program *program, int argc, char **argv)
{
	struct workload workload;
	int status = workload_parse(&workload, program->name, argc, argv);

	if (status != 0) {
		return (status < 0 ? WORKLOAD_DONE : status);
	}
	if (workload.map && !program->maps) {
		fprintf(stderr, "%s: --map: only of filch and raw_pread\n",
		    program->name);
		return (WORKLOAD_USAGE);
	}
	tool_interrupt_catch();
	status = workload_open(&workload);
	if (status == 0) {
		status = measure(&workload, program->run, program->context);
	}
	workload_close(&workload);
	if (fflush(stdout) != 0) {
		fprintf(stderr, "%s: standard output: write: %s\n",
		    program->name, strerror(errno));
		return (WORKLOAD_FAILED);
	}
	return (status == WORKLOAD_DONE && tool_interrupted()
		? WORKLOAD_INTERRUPTED
		: status);
}

static void
stats_merge(struct workload_stats *sum, const struct workload_stats *stats)
{
	sum->operations += stats->operations;
	sum->bytes += stats->bytes;
	sum->syncs += stats->syncs;
	if (sum->errors == 0) {
		sum->error_kind = stats->error_kind;
		sum->error_offset = stats->error_offset;
		sum->error_result = stats->error_result;
	}
	sum->errors += stats->errors;
	sum->mismatches += stats->mismatches;
	histogram_merge(&sum->latency, &stats->latency);
}

static int
measure(const struct workload *workload, workload_run_fn run, void *context)
{
	size_t size = (workload->workers + 1) * sizeof(struct workload_stats);
	struct workload_outcome outcome = { .driver = NULL };
	struct workload_stats *stats = aligned_alloc(64, size);

	if (stats == NULL) {
		return (workload_complain(workload, "start", ENOMEM));
	}
	memset(stats, 0, size);
	int status = run(workload, stats, &outcome, context);
	if (status == WORKLOAD_DONE) {
		struct workload_stats *sum = &stats[workload->workers];

		for (unsigned i = 0; i < workload->workers; i++) {
			stats_merge(sum, &stats[i]);
		}
		workload_report(workload, sum, &outcome);
		status = sum->errors == 0 ? WORKLOAD_DONE : WORKLOAD_FAILED;
	}
	free(stats);
	return (status);
}

/* ---- content ---- */

static uint64_t
mix(uint64_t value)
{
	value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (value ^ (value >> 31));
}

void
workload_fill(const struct workload *workload, void *buffer, uint64_t offset,
    uint64_t size)
{
	char *at = buffer;

	for (uint64_t i = 0; i < size; i += sizeof(uint64_t)) {
		uint64_t word = mix(workload->seed ^ (offset + i));

		memcpy(at + i, &word, sizeof(word));
	}
}

bool
workload_check(const struct workload *workload, const void *buffer,
    uint64_t offset, uint64_t size)
{
	const char *at = buffer;
	uint64_t difference = 0;

	/* Without a branch a word, the compiler makes vectors of it. */
	for (uint64_t i = 0; i < size; i += sizeof(uint64_t)) {
		uint64_t word;

		memcpy(&word, at + i, sizeof(word));
		difference |= word ^ mix(workload->seed ^ (offset + i));
	}
	return (difference == 0);
}

/* ---- the sequence ---- */

void
workload_cursor_init(struct workload_cursor *cursor,
    const struct workload *workload, unsigned worker)
{
	memset(cursor, 0, sizeof(*cursor));
	cursor->random = mix(workload->seed + worker + 1) | 1;
	cursor->blocks = workload->size / workload->block_size;
	/* Sequential workers start apart, so that they do not share blocks. */
	cursor->next = cursor->blocks / workload->workers * worker;
	cursor->left = UINT64_MAX;
	if (workload->number_ios != 0) {
		cursor->left = workload->number_ios / workload->workers +
		    (worker < workload->number_ios % workload->workers);
	}
}

static uint64_t
cursor_random(struct workload_cursor *cursor)
{
	/* xorshift: Marsaglia, "Xorshift RNGs", 2003 */
	cursor->random ^= cursor->random << 13;
	cursor->random ^= cursor->random >> 7;
	cursor->random ^= cursor->random << 17;
	return (cursor->random);
}

static bool
sync_is_due(const struct workload_cursor *cursor, unsigned every)
{
	return (every != 0 && cursor->writes % every == 0);
}

static void
sync_becomes_due(
    struct workload_cursor *cursor, const struct workload *workload)
{
	if (sync_is_due(cursor, workload->fsync_every)) {
		cursor->sync_due = true;
		cursor->sync_kind = KIND_FSYNC;
	} else if (sync_is_due(cursor, workload->fdatasync_every)) {
		cursor->sync_due = true;
		cursor->sync_kind = KIND_FDATASYNC;
	}
}

static bool
next_sync(struct workload_cursor *cursor, struct workload_step *step)
{
	if (!cursor->sync_due) {
		return (false);
	}
	cursor->sync_due = false;
	step->offset = 0;
	step->kind = cursor->sync_kind;
	return (true);
}

static bool
next_transfer(struct workload_cursor *cursor, const struct workload *workload,
    struct workload_step *step)
{
	if (cursor->left == 0) {
		return (false);
	}
	cursor->left--;
	uint64_t random = cursor_random(cursor);
	uint64_t block;
	if (workload->rw == RW_READ || workload->rw == RW_WRITE) {
		block = cursor->next++;
		if (cursor->next == cursor->blocks) {
			cursor->next = 0;
		}
	} else {
		/* Multiplying scales without the cost of a division. */
		block = ((random >> 32) * cursor->blocks) >> 32;
	}
	step->offset = block * workload->block_size;
	step->kind = KIND_READ;
	if (workload->rw == RW_RANDWRITE || workload->rw == RW_WRITE ||
	    (workload->rw == RW_RANDRW &&
		(random & 0xffff) % 100 >= workload->read_percent)) {
		step->kind = KIND_WRITE;
		cursor->writes++;
		sync_becomes_due(cursor, workload);
	}
	return (true);
}

bool
workload_next(struct workload_cursor *cursor, const struct workload *workload,
    struct workload_step *step)
{
	return (
	    next_sync(cursor, step) || next_transfer(cursor, workload, step));
}

/* ---- the schedule of an open loop ---- */

static uint64_t
place_due_ns(
    const struct workload *workload, const struct workload_place *place)
{
	uint64_t rate = workload->rate;

	return (place->start_ns + place->next / rate * NS_PER_S +
	    place->next % rate * NS_PER_S / rate);
}

bool
workload_next_at(struct workload_cursor *cursor,
    const struct workload *workload, struct workload_place *place,
    struct workload_step *step)
{
	if (workload->rate == 0) {
		return (workload_next(cursor, workload, step));
	}
	/* Whose own operation is due leaves a sync to the next that is done. */
	if (!place->slept && next_sync(cursor, step)) {
		return (true);
	}
	place->slept = false;
	place->due_ns = place_due_ns(workload, place);
	place->next += place->slots;
	return (next_transfer(cursor, workload, step));
}

uint64_t
workload_sleep_until(const struct workload *workload,
    const struct workload_cursor *cursor, struct workload_place *place,
    uint64_t now_ns)
{
	if (workload->rate == 0 || (cursor->sync_due && !place->slept)) {
		return (0);
	}
	uint64_t until_ns = place_due_ns(workload, place);
	uint64_t end_ns = place->start_ns + workload->runtime_ns;
	if (until_ns > end_ns) {
		until_ns = end_ns;
	}
	if (until_ns <= now_ns) {
		return (0);
	}
	place->slept = true;
	return (until_ns < now_ns + NAP_NS ? until_ns : now_ns + NAP_NS);
}

/* ---- accounting ---- */

static void
account_error(struct workload_stats *stats, const struct workload_step *step,
    int64_t result)
{
	if (stats->errors++ == 0) {
		stats->error_kind = step->kind;
		stats->error_offset = step->offset;
		stats->error_result = result;
	}
}

void
workload_account(const struct workload *workload, struct workload_stats *stats,
    const struct workload_step *step, const void *buffer, int64_t result,
    uint64_t latency_ns)
{
	bool moves = step->kind == KIND_READ || step->kind == KIND_WRITE;

	if (result < 0 || (moves && (uint64_t)result != workload->block_size)) {
		account_error(stats, step, result);
		return;
	}
	if (!moves) {
		stats->syncs++;
		return;
	}
	stats->operations++;
	stats->bytes += (uint64_t)result;
	if (workload->latency) {
		histogram_record(&stats->latency, latency_ns);
	}
	if (workload->verify && step->kind == KIND_READ &&
	    !workload_check(
		workload, buffer, step->offset, workload->block_size)) {
		stats->mismatches++;
		account_error(stats, step, result);
	}
}

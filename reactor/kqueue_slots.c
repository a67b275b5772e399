/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kqueue: slots, and who may have how many.
 */
#include "kqueue.h"

#include <sys/sysctl.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "../include/private/assert.h"

/* What the kernel admits where it does not tell (in capability mode). */
#define JOBS_DEFAULT 256
#define LIST_DEFAULT 16

/* Of so many jobs one is left to the program's own. */
#define RESERVE_SHARE 8

static unsigned limit_read(const char *, unsigned);
static unsigned jobs_max(const struct filch__reactor_options *);
static void room_settle(
    struct filch__kqueue *, struct filch__kqueue_shard *, bool);
static void room_free(struct filch__kqueue *, uint32_t);

/* A limit by its name; what the kernel does not know it does not have. */
static unsigned
limit_read(const char *name, unsigned otherwise)
{
	int value = 0;
	size_t size = sizeof(value);

	if (sysctlbyname(name, &value, &size, NULL, 0) < 0) {
		return (errno == ENOENT ? 0 : otherwise);
	}
	return (value > 0 ? (unsigned)value : 0);
}

/* Jobs that the driver may have in the kernel at a time. */
static unsigned
jobs_max(const struct filch__reactor_options *options)
{
	unsigned own =
	    limit_read("vfs.aio.max_aio_queue_per_proc", JOBS_DEFAULT);
	unsigned all = limit_read("vfs.aio.max_aio_queue", JOBS_DEFAULT);
	uint64_t useful =
	    UINT64_C(4) * options->ring_entries * options->shard_count;
	unsigned jobs = own < all ? own : all;

	jobs -= jobs / RESERVE_SHARE;
	return (jobs < useful ? jobs : (unsigned)useful);
}

int
filch__kqueue_slots_init(
    struct filch__kqueue *kq, const struct filch__reactor_options *options)
{
	long list_max = sysconf(_SC_AIO_LISTIO_MAX);
	uint32_t i;

	kq->slot_count = jobs_max(options);
	if (kq->slot_count == 0) {
		return (-ENOSYS);
	}
	kq->list_max = FILCH__KQUEUE_LIST_MAX;
	if (list_max < FILCH__KQUEUE_LIST_MAX) {
		kq->list_max = list_max > 0 ? (uint32_t)list_max : LIST_DEFAULT;
	}
	kq->slots = calloc(kq->slot_count, sizeof(*kq->slots));
	if (kq->slots == NULL) {
		return (-ENOMEM);
	}
	for (i = 0; i < kq->slot_count; i++) {
		kq->slots[i].next_free = i + 1;
	}
	kq->free_count = kq->slot_count;
	filch__lock_init(&kq->room);
	filch__lock_init(&kq->tell);
	for (i = 0; i < FILCH__KQUEUE_LOCKS; i++) {
		filch__lock_init(&kq->locks[i]);
	}
	return (0);
}

void
filch__kqueue_slots_fini(struct filch__kqueue *kq)
{
	uint32_t i;

	filch__assert(kq->free_count == kq->slot_count);
	for (i = 0; i < FILCH__KQUEUE_LOCKS; i++) {
		filch__lock_fini(&kq->locks[i]);
	}
	filch__lock_fini(&kq->tell);
	filch__lock_fini(&kq->room);
	free(kq->slots);
}

unsigned
filch__kqueue_slots_take(struct filch__kqueue *kq,
    struct filch__kqueue_shard *ks, uint32_t *ret_indices)
{
	uint32_t waiting = ks->queue.count;
	uint32_t count = waiting < kq->list_max ? waiting : kq->list_max;
	uint32_t others;
	uint32_t share;
	uint32_t i;

	filch__lock_take(&kq->room);
	others = kq->hungry - (ks->is_hungry ? 1 : 0);
	share = kq->slot_count / (others + 1);
	if (share == 0) {
		share = 1;
	}
	share = share > ks->held ? share - ks->held : 0;
	count = count < share ? count : share;
	count = count < kq->free_count ? count : kq->free_count;
	for (i = 0; i < count; i++) {
		ret_indices[i] = kq->free;
		kq->free = kq->slots[kq->free].next_free;
	}
	kq->free_count -= count;
	ks->held += count;
	room_settle(kq, ks, waiting > count);
	filch__lock_leave(&kq->room);
	return (count);
}

bool
filch__kqueue_slots_give_back(struct filch__kqueue *kq,
    struct filch__kqueue_shard *ks, const uint32_t *indices, unsigned count,
    bool is_short, bool *ret_others)
{
	bool is_fed;
	unsigned i;

	filch__lock_take(&kq->room);
	ks->held -= count;
	for (i = 0; i < count; i++) {
		room_free(kq, indices[i]);
	}
	is_fed = kq->free_count < kq->slot_count;
	if (is_short) {
		room_settle(kq, ks, is_fed);
	}
	/* the kernel has no room for others either, until a job ends */
	*ret_others =
	    (!is_fed || !is_short) && kq->hungry > (ks->is_hungry ? 1u : 0u);
	filch__lock_leave(&kq->room);
	return (is_fed);
}

void
filch__kqueue_settle(struct filch__kqueue *kq, struct filch__kqueue_shard *ks)
{
	filch__lock_take(&kq->room);
	room_settle(kq, ks, ks->is_hungry && ks->queue.count > 0);
	filch__lock_leave(&kq->room);
}

/* Lock of the room held, as in all functions named room. */
static void
room_settle(
    struct filch__kqueue *kq, struct filch__kqueue_shard *ks, bool is_hungry)
{
	if (ks->is_hungry != is_hungry) {
		ks->is_hungry = is_hungry;
		kq->hungry += is_hungry ? 1 : UINT32_MAX;
	}
}

static void
room_free(struct filch__kqueue *kq, uint32_t index)
{
	kq->slots[index].next_free = kq->free;
	kq->free = index;
	kq->free_count++;
}

struct filch_op *
filch__kqueue_slot_leave(struct filch__kqueue_slot *slot)
{
	struct filch_op *op = slot->op;

	slot->op = NULL;
	slot->generation++;
	return (op);
}

void
filch__kqueue_slots_free(
    struct filch__kqueue *kq, const struct filch__kqueue_reaped *reaped)
{
	unsigned i;

	filch__lock_take(&kq->room);
	for (i = 0; i < reaped->count; i++) {
		kq->shards[reaped->shards[i]].held--;
		room_free(kq, reaped->indices[i]);
	}
	filch__lock_leave(&kq->room);
}

bool
filch__kqueue_is_hungry(
    struct filch__kqueue *kq, const struct filch__kqueue_shard *ks)
{
	bool is_hungry;

	filch__lock_take(&kq->room);
	is_hungry = ks == NULL ? kq->hungry > 0 : ks->is_hungry;
	filch__lock_leave(&kq->room);
	return (is_hungry);
}

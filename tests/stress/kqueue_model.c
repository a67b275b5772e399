/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The model of FreeBSD's kernel under all its chances at once.
 *
 * Threads submit, one by one and in lists, cancel at random and now and then
 * take the result themselves; others reap by the events of one kqueue.  Every
 * job that was accepted is returned once, with all of what it should have read
 * unless it was cancelled or cut short, and nothing is left in the end.
 */
#include "stress.h"

#include <sys/types.h>

#include <sys/event.h>
#include <sys/socket.h>

#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include "tests/kqueue_model/model.h"

#define THREADS_MAX   8
#define REAPERS       2
#define SLOTS         24 /* of a thread */
#define OPS           400
#define SIZE          48
#define EVENTS_MAX    4
#define IDENT_STOP    1
#define FILE_SIZE     (SIZE * SLOTS)
#define GENERATION(t) ((uint32_t)((t) >> 32))

enum slot_state {
	SLOT_FREE,
	SLOT_SUBMITTED,
	SLOT_REAPED, /* by a thread that has not looked at it yet */
};

struct slot {
	enum slot_state state;
	uint32_t generation;
	struct aiocb aiocb;
	unsigned char bytes[SIZE];
};

/* A thread that submits, with its own slots. */
struct submitter {
	unsigned index;
	uint64_t random;
	int pair[2];
	struct slot slots[SLOTS];
	struct aiocb *list[SLOTS];
	pthread_t thread;
};

static struct stress_options options = {
	.name = "kqueue_model",
	.seed = 1,
	.rounds = 40,
	.threads = 3,
};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct submitter submitters[THREADS_MAX];
static int kq, fd;
static uint64_t accepted, returned, stolen, mismatched, cut, lists_told;

static void
fail(const char *what)
{
	fprintf(stderr, "kqueue_model: seed %llu: %s: %s\n",
	    (unsigned long long)options.seed, what, strerror(errno));
	kqueue_model_describe();
	exit(1);
}

static uint64_t
token_of(const struct submitter *submitter, unsigned slot)
{
	return ((uint64_t)submitter->slots[slot].generation << 32 |
	    submitter->index << 16 | slot);
}

/* Whether the caller is the one to return it. */
static bool
slot_claim(struct slot *slot, uint32_t generation)
{
	bool is_claimed;

	pthread_mutex_lock(&lock);
	is_claimed =
	    slot->state == SLOT_SUBMITTED && slot->generation == generation;
	if (is_claimed) {
		slot->state = SLOT_REAPED;
	}
	pthread_mutex_unlock(&lock);
	return (is_claimed);
}

static void
slot_release(struct slot *slot)
{
	pthread_mutex_lock(&lock);
	slot->state = SLOT_FREE;
	pthread_mutex_unlock(&lock);
}

static bool
slot_is(struct slot *slot, enum slot_state state)
{
	bool is_so;

	pthread_mutex_lock(&lock);
	is_so = slot->state == state;
	pthread_mutex_unlock(&lock);
	return (is_so);
}

static void
check_bytes(const struct slot *slot, ssize_t size)
{
	ssize_t i;

	for (i = 0; i < size; i++) {
		if (slot->bytes[i] !=
		    (unsigned char)(slot->aiocb.aio_offset + i)) {
			fail("bytes");
		}
	}
}

/* The slot is the caller's. */
static void
slot_return(struct slot *slot, bool is_stolen)
{
	ssize_t size = aio_return(&slot->aiocb);
	bool is_read = slot->aiocb.aio_lio_opcode == LIO_READ &&
	    slot->aiocb.aio_fildes == fd;

	if (size < 0 && errno != ECANCELED) {
		fail("aio_return");
	}
	if (is_read && size > 0) {
		check_bytes(slot, size);
	}
	pthread_mutex_lock(&lock);
	returned++;
	stolen += is_stolen;
	cut += is_read && size >= 0 && size < SIZE;
	slot->state = SLOT_FREE;
	pthread_mutex_unlock(&lock);
}

static void
reap(const struct kevent *event)
{
	uint64_t token = (uintptr_t)event->udata;
	struct submitter *submitter = &submitters[token >> 16 & 0xffff];
	struct slot *slot = &submitter->slots[token & 0xffff];

	if (event->filter == EVFILT_LIO) {
		pthread_mutex_lock(&lock);
		lists_told++;
		pthread_mutex_unlock(&lock);
		return;
	}
	if (event->filter != EVFILT_AIO || (event->flags & EV_EOF) == 0) {
		fail("a foreign event");
	}
	if (slot_claim(slot, GENERATION(token))) {
		slot_return(slot, false);
	} else {
		/* stale, or of a job that its submitter has taken */
		pthread_mutex_lock(&lock);
		mismatched++;
		pthread_mutex_unlock(&lock);
	}
}

static void *
reaper_run(void *unused)
{
	struct kevent events[EVENTS_MAX];
	int count, i;

	(void)unused;
	for (;;) {
		count = kevent(kq, NULL, 0, events, EVENTS_MAX, NULL);
		if (count < 1) {
			fail("kevent");
		}
		for (i = 0; i < count; i++) {
			if (events[i].filter == EVFILT_USER) {
				return (NULL);
			}
			reap(&events[i]);
		}
	}
}

/* A read, a write to nowhere, a sync or a read of a socket. */
static void
slot_prepare(struct submitter *submitter, unsigned index, bool in_list)
{
	struct slot *slot = &submitter->slots[index];
	struct aiocb *aiocb = &slot->aiocb;
	uint64_t choice = stress_random(&submitter->random) % 8;
	int opcode = choice == 0 ? LIO_WRITE : LIO_READ;

	memset(slot->bytes, 0xff, SIZE);
	memset(aiocb, 0, sizeof(*aiocb));
	aiocb->aio_fildes = choice == 1 ? submitter->pair[0] : fd;
	if (opcode == LIO_WRITE) {
		aiocb->aio_fildes = submitter->pair[0];
	}
	aiocb->aio_lio_opcode = choice == 2 && !in_list ? LIO_NOP : opcode;
	aiocb->aio_buf = slot->bytes;
	aiocb->aio_nbytes = SIZE;
	aiocb->aio_offset =
	    (off_t)(stress_random(&submitter->random) % (FILE_SIZE - SIZE));
	aiocb->aio_sigevent.sigev_notify = SIGEV_KEVENT;
	aiocb->aio_sigevent.sigev_notify_kqueue = kq;
	aiocb->aio_sigevent.sigev_notify_kevent_flags = EV_ONESHOT;
	pthread_mutex_lock(&lock);
	slot->generation++;
	slot->state = SLOT_SUBMITTED;
	pthread_mutex_unlock(&lock);
	aiocb->aio_sigevent.sigev_value.sival_ptr =
	    (void *)(uintptr_t)token_of(submitter, index);
}

static void
count_accepted(unsigned count)
{
	pthread_mutex_lock(&lock);
	accepted += count;
	pthread_mutex_unlock(&lock);
}

static void
submit_one(struct submitter *submitter, unsigned index)
{
	struct slot *slot = &submitter->slots[index];
	struct aiocb *aiocb = &slot->aiocb;
	int opcode, result;

	slot_prepare(submitter, index, false);
	opcode = aiocb->aio_lio_opcode;
	result = opcode == LIO_READ ? aio_read(aiocb)
	    : opcode == LIO_WRITE   ? aio_write(aiocb)
				    : aio_fsync(O_SYNC, aiocb);
	if (result == 0) {
		count_accepted(1);
		return;
	}
	if (errno != EAGAIN && errno != EOPNOTSUPP) {
		fail("a submission");
	}
	if (aio_error(aiocb) != errno) {
		fail("aio_error of what was refused");
	}
	slot_release(slot);
}

/* Whether all jobs of the last list are returned: only then it is free. */
static bool
list_is_free(struct submitter *submitter)
{
	unsigned i;

	for (i = 0; i < SLOTS; i++) {
		if (submitter->list[i] != NULL &&
		    !slot_is(&submitter->slots[i], SLOT_FREE)) {
			return (false);
		}
	}
	memset(submitter->list, 0, sizeof(submitter->list));
	return (true);
}

/* Those of the list that were refused; what is returned already was not. */
static unsigned
list_refused(struct submitter *submitter)
{
	unsigned i, count = 0;
	int error;

	for (i = 0; i < SLOTS; i++) {
		struct slot *slot = &submitter->slots[i];

		if (submitter->list[i] == NULL ||
		    !slot_is(slot, SLOT_SUBMITTED)) {
			continue;
		}
		error = aio_error(submitter->list[i]);
		if (error == EAGAIN || error == EOPNOTSUPP) {
			slot_release(slot);
			count++;
		}
	}
	return (count);
}

/* The free slots, all at once, with an event for the list as well. */
static void
submit_list(struct submitter *submitter)
{
	struct sigevent event = { .sigev_notify = SIGEV_KEVENT };
	unsigned i, count = 0;

	for (i = 0; i < SLOTS; i++) {
		submitter->list[i] = NULL;
		if (slot_is(&submitter->slots[i], SLOT_FREE)) {
			slot_prepare(submitter, i, true);
			submitter->list[i] = &submitter->slots[i].aiocb;
			count++;
		}
	}
	event.sigev_notify_kqueue = kq;
	if (lio_listio(LIO_NOWAIT, submitter->list, SLOTS, &event) != 0) {
		if (errno != EIO && errno != EAGAIN) {
			fail("lio_listio");
		}
		count -= list_refused(submitter);
	}
	count_accepted(count);
}

/* Now and then the submitter does not wait to be told. */
static void
disturb(struct submitter *submitter)
{
	uint64_t random = stress_random(&submitter->random);
	struct slot *slot = &submitter->slots[random % SLOTS];
	int error;

	if ((random >> 8) % 4 == 0 && slot->generation > 0) {
		if (aio_cancel(slot->aiocb.aio_fildes, &slot->aiocb) < 0) {
			fail("aio_cancel");
		}
	}
	if ((random >> 16) % 4 == 0 && slot_is(slot, SLOT_SUBMITTED)) {
		error = aio_error(&slot->aiocb);
		if ((error == 0 || error == ECANCELED) &&
		    slot_claim(slot, slot->generation)) {
			slot_return(slot, true);
		}
	}
}

/* What its reads wait for, and what its writes have sent. */
static void
feed(struct submitter *submitter)
{
	char byte = 0, sink[SIZE * SLOTS];

	(void)!write(submitter->pair[1], &byte, 1);
	(void)!read(submitter->pair[1], sink, sizeof(sink));
}

static void
finish(struct submitter *submitter)
{
	unsigned i;

	for (i = 0; i < SLOTS; i++) {
		while (!slot_is(&submitter->slots[i], SLOT_FREE)) {
			feed(submitter);
			sched_yield();
		}
	}
}

static void *
submitter_run(void *argument)
{
	struct submitter *submitter = argument;
	unsigned i, index;

	for (i = 0; i < OPS; i++) {
		index = (unsigned)(stress_random(&submitter->random) % SLOTS);
		if (index == 0 && list_is_free(submitter)) {
			submit_list(submitter);
		} else if (slot_is(&submitter->slots[index], SLOT_FREE) &&
		    list_is_free(submitter)) {
			submit_one(submitter, index);
		} else {
			sched_yield();
		}
		disturb(submitter);
		feed(submitter);
	}
	finish(submitter);
	return (NULL);
}

static void
set_chances(uint64_t *random)
{
	struct kqueue_model_options model = KQUEUE_MODEL_OPTIONS_INIT;
	int *const chances[] = {
		&model.delay,
		&model.slow,
		&model.late,
		&model.linger,
		&model.reorder,
		&model.eagain,
		&model.eopnotsupp,
		&model.busy,
		&model.partial,
		&model.stale,
	};
	size_t i;

	for (i = 0; i < sizeof(chances) / sizeof(chances[0]); i++) {
		if (stress_random(random) % 2 == 0) {
			*chances[i] = (int)(stress_random(random) % 300);
		}
	}
	model.seed = stress_random(random);
	model.version = stress_random(random) % 2 == 0 ? 1201 : 1400;
	model.delay_us = 200;
	model.max_aio_queue_per_proc = 8 + (int)(stress_random(random) % 100);
	model.max_aio_per_proc = 1 + (int)(stress_random(random) % 32);
	model.listio_max = 256;
	kqueue_model_set(&model);
}

static void
change(unsigned short flags, unsigned notes)
{
	struct kevent event;

	EV_SET(&event, IDENT_STOP, EVFILT_USER, flags, notes, 0, NULL);
	if (kevent(kq, &event, 1, NULL, 0, NULL) != 0) {
		fail("kevent");
	}
}

/* One event that stays is for all of them. */
static void
stop_reapers(pthread_t *reapers)
{
	unsigned i;

	change(EV_ADD, 0);
	change(0, NOTE_TRIGGER);
	for (i = 0; i < REAPERS; i++) {
		pthread_join(reapers[i], NULL);
	}
	change(EV_DELETE, 0);
}

static void
check_end(void)
{
	struct kqueue_model_counts counts;

	kqueue_model_counts(&counts);
	stress_same(&options, "jobs left", 0, counts.jobs);
	stress_same(&options, "knotes left", 0, counts.knotes);
	stress_same(&options, "faults", 0, kqueue_model_faults(NULL));
	stress_same(&options, "accepted", counts.submitted, accepted);
	stress_same(&options, "returned", accepted, returned);
	if (mismatched > stolen) {
		fail("an event twice");
	}
	if (lists_told < counts.events_lio ||
	    lists_told > counts.events_lio + counts.events_stale) {
		fail("the lists' events");
	}
}

static void
round_run(uint64_t *random)
{
	pthread_t reapers[REAPERS];
	unsigned i;

	set_chances(random);
	accepted = returned = stolen = mismatched = cut = lists_told = 0;
	kq = kqueue();
	if (kq < 0) {
		fail("kqueue");
	}
	for (i = 0; i < REAPERS; i++) {
		reapers[i] = stress_start(reaper_run, NULL);
	}
	for (i = 0; i < options.threads; i++) {
		submitters[i].index = i;
		submitters[i].random = stress_random(random);
		submitters[i].thread =
		    stress_start(submitter_run, &submitters[i]);
	}
	for (i = 0; i < options.threads; i++) {
		pthread_join(submitters[i].thread, NULL);
	}
	stop_reapers(reapers);
	check_end();
	(void)close(kq);
}

int
main(int argc, char **argv)
{
	char path[] = "/tmp/filch-stress-XXXXXX";
	unsigned char bytes[FILE_SIZE];
	unsigned i;

	stress_options(&options, argc, argv);
	if (options.threads > THREADS_MAX) {
		options.threads = THREADS_MAX;
	}
	for (i = 0; i < FILE_SIZE; i++) {
		bytes[i] = (unsigned char)i;
	}
	fd = mkstemp(path);
	if (fd < 0 || unlink(path) != 0 ||
	    write(fd, bytes, sizeof(bytes)) != (ssize_t)sizeof(bytes)) {
		fail("a file");
	}
	for (i = 0; i < options.threads; i++) {
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, submitters[i].pair) !=
			0 ||
		    fcntl(submitters[i].pair[1], F_SETFL, O_NONBLOCK) != 0) {
			fail("a socket");
		}
	}
	stress_rounds(&options, round_run);
	printf(", the last one: %llu jobs, %llu taken early, %llu events late, "
	       "%llu short\n",
	    (unsigned long long)returned, (unsigned long long)stolen,
	    (unsigned long long)mismatched, (unsigned long long)cut);
	return (0);
}

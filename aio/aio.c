/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Aio: a user's source and its registration.
 */
#include <filch/aio.h>

#include <filch/limits.h>
#include <filch/task.h>

#include <errno.h>
#include <stdlib.h>

#include "../include/private/assert.h"
#include "../include/private/executor_link.h"
#include "../include/private/task_waker.h"
#include "../reactor/reactor.h"

struct filch_aio {
	const struct filch_aio_source_vtable *vtable; /* (i) */
	void *source;                                 /* (i) */
	struct filch__reactor *reactor;               /* (i) */
	struct filch__registration *registration;     /* (i) */
};

static bool aio_look(const struct filch_aio *aio, const struct filch_task *task,
    struct filch_aio_event *ret_event, int *ret_status);
static void aio_tell_again(const struct filch_aio *aio);

int
filch_registrar_submit(const struct filch_registrar *registrar,
    filch_sqe_fill_fn fill, void *arg, unsigned count)
{
	struct filch__shard *shard = filch__shard_current;
	struct filch__reactor *reactor =
	    filch__executor_reactor(registrar->executor);
	struct filch__registration *registration;
	int rc;

	if (shard == NULL || shard->reactor != reactor) {
		return (-EPERM);
	}
	if (filch__reactor_is_stopping(reactor)) {
		return (-ESHUTDOWN);
	}
	registration = filch__registration_acquire(
	    &reactor->registrations, registrar->token);
	if (registration == NULL) {
		return (-ESTALE);
	}
	if (count == 0 || count > registration->entries_max) {
		rc = -EINVAL;
	} else if (reactor->driver->source_submit == NULL) {
		rc = -EOPNOTSUPP;
	} else {
		rc = reactor->driver->source_submit(
		    shard, registration, fill, arg, count);
	}
	if (rc < 0) {
		filch__registration_release(
		    &reactor->registrations, registration);
	} else if (filch__reactor_is_stopping(reactor)) {
		/*
		 * It may have come after all others were asked to end; that it
		 * has completed meanwhile is fine.
		 */
		int ignored = filch_registrar_cancel(registrar);

		(void)ignored;
	}
	return (rc);
}

int
filch_registrar_cancel(const struct filch_registrar *registrar)
{
	struct filch__reactor *reactor =
	    filch__executor_reactor(registrar->executor);
	struct filch__registration *registration = filch__registration_acquire(
	    &reactor->registrations, registrar->token);
	int rc;

	if (registration == NULL) {
		return (-ESTALE);
	}
	rc = reactor->driver->source_cancel == NULL
	    ? -EOPNOTSUPP
	    : reactor->driver->source_cancel(registration);
	filch__registration_release(&reactor->registrations, registration);
	return (rc);
}

int
filch_registrar_notify(const struct filch_registrar *registrar, int64_t result)
{
	struct filch__reactor *reactor =
	    filch__executor_reactor(registrar->executor);
	struct filch__registration *registration;

	if (filch__reactor_is_stopping(reactor)) {
		return (-ESHUTDOWN);
	}
	registration = filch__registration_acquire(
	    &reactor->registrations, registrar->token);
	if (registration == NULL) {
		return (-ESTALE);
	}
	/* relaxed: published by the readiness word */
	filch__u64_store_relaxed(&registration->result, (uint64_t)result);
	filch__registration_notify(registration);
	filch__registration_release(&reactor->registrations, registration);
	return (0);
}

int
filch_aio_new_for_aio(struct filch_executor *executor,
    const struct filch_aio_source_vtable *vtable, void *source,
    struct filch_aio **ret_aio)
{
	return (filch_aio_new(
	    executor, vtable, source, FILCH_INTEREST_AIO, 1, ret_aio));
}

int
filch_aio_new_for_lio(struct filch_executor *executor,
    const struct filch_aio_source_vtable *vtable, void *source,
    unsigned entries_max, struct filch_aio **ret_aio)
{
	return (filch_aio_new(executor, vtable, source, FILCH_INTEREST_LIO,
	    entries_max, ret_aio));
}

int
filch_aio_new(struct filch_executor *executor,
    const struct filch_aio_source_vtable *vtable, void *source,
    unsigned interest, unsigned entries_max, struct filch_aio **ret_aio)
{
	struct filch__reactor *reactor = filch__executor_reactor(executor);
	struct filch_registrar registrar = { executor, 0, -1 };
	struct filch_aio *aio;
	int rc;

	filch__require(vtable != NULL && vtable->register_source != NULL,
	    "a source has a register function");
	if (interest != FILCH_INTEREST_AIO && interest != FILCH_INTEREST_LIO) {
		return (-EINVAL);
	}
	if (entries_max == 0 || entries_max > FILCH_AIO_ENTRIES_MAX ||
	    (interest == FILCH_INTEREST_AIO && entries_max != 1)) {
		return (-EINVAL);
	}
	aio = malloc(sizeof(*aio));
	if (aio == NULL) {
		return (-ENOMEM);
	}
	aio->vtable = vtable;
	aio->source = source;
	aio->reactor = reactor;
	rc = filch__registration_new(&reactor->registrations, interest,
	    entries_max, &aio->registration, &registrar.token);
	if (rc < 0) {
		free(aio);
		/* a table that is full is no other than memory at its end */
		return (rc == -EAGAIN ? -ENOMEM : rc);
	}
	if (reactor->driver->source_kqueue != NULL) {
		registrar.kqueue = reactor->driver->source_kqueue(reactor);
	}
	rc = vtable->register_source(source, &registrar);
	if (rc < 0) {
		filch__registration_retire(
		    &reactor->registrations, aio->registration);
		free(aio);
		return (rc);
	}
	*ret_aio = aio;
	return (0);
}

enum filch_poll
filch_aio_poll_ready(struct filch_aio *aio, struct filch_task *task,
    struct filch_aio_event *ret_event, int *ret_status)
{
	struct filch__shard *shard = filch__shard_current;

	filch__require(shard != NULL, "an Aio is polled by a task");
	if (filch__unlikely(shard->budget == 0)) {
		filch__counter_add(&shard->counters.yields, 1);
		return (filch_task_yield(task));
	}
	if (!aio_look(aio, task, ret_event, ret_status)) {
		const struct filch_waker waker = { &filch__task_waker_vtable,
			task };

		filch__waker_slot_register(&aio->registration->waker, &waker);
		aio_tell_again(aio);
		/* what came before the waker stood there woke nobody */
		if (!aio_look(aio, task, ret_event, ret_status)) {
			return (FILCH_PENDING);
		}
	}
	shard->budget--;
	return (FILCH_READY);
}

void
filch_aio_clear_ready(struct filch_aio *aio, struct filch_aio_event event)
{
	(void)filch__readiness_clear(&aio->registration->readiness,
	    event.interest == FILCH_INTEREST_AIO ? FILCH__READY_AIO
						 : FILCH__READY_LIO,
	    event.priv.generation);
}

int64_t
filch_aio_result(const struct filch_aio *aio, unsigned index)
{
	const struct filch__registration *registration = aio->registration;

	filch__require(index < registration->entries_max,
	    "index is below the source's entries_max");
	if (registration->interest == FILCH_INTEREST_AIO) {
		/* relaxed: published by the readiness word */
		return (
		    (int64_t)filch__u64_load_relaxed(&registration->result));
	}
	return (registration->results[index]);
}

void *
filch_aio_source(const struct filch_aio *aio)
{
	return (aio->source);
}

void *
filch_aio_into_inner(struct filch_aio *aio)
{
	void *source = aio->source;

	if (aio->vtable->deregister_source != NULL) {
		aio->vtable->deregister_source(source);
	}
	filch__registration_retire(
	    &aio->reactor->registrations, aio->registration);
	free(aio);
	return (source);
}

void
filch_aio_destroy(struct filch_aio *aio)
{
	if (aio != NULL) {
		(void)filch_aio_into_inner(aio);
	}
}

/*
 * What was told and cleared may still be to be reaped.  A kernel that repeats
 * such an event until then was kept from it, and may go on now.
 */
static void
aio_tell_again(const struct filch_aio *aio)
{
	struct filch__registration *registration = aio->registration;

	/* relaxed: published by the readiness word, when it was told */
	if (filch__ptr_load_relaxed(&registration->told) != NULL) {
		aio->reactor->driver->source_tell_again(
		    aio->reactor, registration);
	}
}

/*
 * True if there is something to report.  A completion comes before a cancel
 * and before the end of the executor; that end is reported only when the
 * kernel is through with the source's memory.
 */
static bool
aio_look(const struct filch_aio *aio, const struct filch_task *task,
    struct filch_aio_event *ret_event, int *ret_status)
{
	struct filch__registration *registration = aio->registration;
	uint64_t word = filch__readiness_load(&registration->readiness);
	uint32_t bits = filch__readiness_bits(word);

	if ((bits & (FILCH__READY_AIO | FILCH__READY_LIO)) != 0) {
		ret_event->interest = registration->interest;
		ret_event->result = registration->interest == FILCH_INTEREST_AIO
		    ? filch_aio_result(aio, 0)
		    : 0;
		ret_event->priv.generation =
		    filch__readiness_generation(word, FILCH__READY_AIO);
		*ret_status = 0;
		return (true);
	}
	if (filch__task_has_cancel(task)) {
		*ret_status = -ECANCELED;
		return (true);
	}
	/* [RG2] pairs with filch__registration_entry_done */
	if ((bits & FILCH__READY_SHUTDOWN) != 0 &&
	    filch__u32_load_acquire(&registration->remaining) == 0) {
		*ret_status = -ESHUTDOWN;
		return (true);
	}
	return (false);
}

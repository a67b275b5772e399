/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Aios over aiocbs and lists of the program's own, for the contract programs
 * that are about kqueue(2).
 *
 * Their tests are rows of a table of their own: where there is no kqueue, or
 * another driver was chosen, each is skipped by its name.
 */
#ifndef FILCH_TESTS_CONTRACT_OWN_H
#define FILCH_TESTS_CONTRACT_OWN_H

#include "nap.h"
#include "watcher.h"

#include <sys/socket.h>

struct own_row {
	const char *name;
	const char *(*run)(struct contract *contract);
};

static inline const char *
own_row_run(struct contract *contract)
{
	const struct own_row *row = contract->row;

	if (!contract->is_kqueue || row->run == NULL) {
		SKIP("not the kqueue driver");
	}
	return (row->run(contract));
}

#define OWN_ROWS_MAX 64

/* Run all rows, also on a disk; what main() returns. */
static inline int
own_main(const struct own_row *rows, size_t count,
    const struct filch_executor_options *options)
{
	static struct contract_test tests[OWN_ROWS_MAX];

	for (size_t i = 0; i < count; i++) {
		tests[i].name = rows[i].name;
		tests[i].run = own_row_run;
		tests[i].row = &rows[i];
	}
	return (contract_main_on(tests, count, options, true));
}

#if !defined(FILCH_HAVE_KQUEUE)
#define OWN_ROW(name, run)                                                     \
	{                                                                      \
		name, NULL                                                     \
	}
#else
#define OWN_ROW(name, run)                                                     \
	{                                                                      \
		name, run                                                      \
	}

/* Wakes of the reactor thread in a nap, if it has nothing to do. */
#define OWN_WAKES_MAX 1000
#define OWN_NAP_NS    UINT64_C(100000000)

/* All of a source; the registrar comes first. */
struct own {
	struct filch_registrar registrar;
	struct filch_aio *aio;
	struct filch_aio_event event; /* the latest */
};

static inline int
own_register(void *source, const struct filch_registrar *registrar)
{
	*(struct filch_registrar *)source = *registrar;
	return (0);
}

static const struct filch_aio_source_vtable own_vtable = { own_register, NULL };

/* entries: 0 for an aiocb, else those of a list. */
static inline const char *
own_make(struct contract *contract, struct own *own, unsigned entries)
{
	CHECK_EQ(filch_aio_new(contract->executor, &own_vtable, own,
		     entries == 0 ? FILCH_INTEREST_AIO : FILCH_INTEREST_LIO,
		     entries == 0 ? 1 : entries, &own->aio),
	    0);
	CHECK(own->registrar.kqueue >= 0);
	CHECK_EQ(fcntl(own->registrar.kqueue, F_GETFD), FD_CLOEXEC);
	return (NULL);
}

/*
 * Wait until it is ready, and keep it so; the status.  The task is seen to end
 * while the reactor may be about to wake it: its memory stays until then.
 */
static inline int
own_wait(struct contract *contract, struct own *own)
{
	struct watcher *watcher = calloc(1, sizeof(*watcher));
	int status;

	if (watcher == NULL) {
		return (-ENOMEM);
	}
	watcher->aio = own->aio;
	watcher->keeps = true;
	watcher->release = watcher_release;
	status = watcher_start(contract, watcher);
	if (status < 0) {
		free(watcher);
		return (status);
	}
	filch_task_ref(&watcher->task);
	status = watcher_end(watcher);
	own->event = watcher->event;
	filch_task_unref(&watcher->task);
	return (status);
}

static inline void
own_clear(const struct own *own)
{
	filch_aio_clear_ready(own->aio, own->event);
}

/* Poll once; the status, 1 if it is not ready. */
static inline int
own_look(struct contract *contract, const struct own *own)
{
	return (watch_once(contract, own->aio));
}

/* Times that the reactor thread wakes while nobody has anything to do. */
static inline uint64_t
own_wakes(struct contract *contract)
{
	struct filch_executor_stats before;
	struct filch_executor_stats after;

	filch_executor_get_stats(contract->executor, &before);
	if (nap_take(contract, OWN_NAP_NS) < 0) {
		return (UINT64_MAX);
	}
	filch_executor_get_stats(contract->executor, &after);
	return (after.reactor_wakes - before.reactor_wakes);
}
#endif

#endif /* FILCH_TESTS_CONTRACT_OWN_H */

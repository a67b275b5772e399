/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Aio: asynchronous sources that the user brings along.
 *
 * A source is anything of which the kernel, or another thread, reports the
 * completion: an aiocb or a lio_listio(2) list on FreeBSD, any opcode of
 * io_uring on Linux, a device library elsewhere.  Registering it starts no
 * I/O; it tells the source how its completions find back.  The user submits
 * whenever he likes, before or after the first poll.
 *
 * The contract is that of tokio::io::bsd (AioSource, Aio, AioEvent).
 *
 * With the kqueue driver (FreeBSD) a source puts the registrar's kqueue and
 * token into its aio_sigevent, or that of its list, as SIGEV_KEVENT with
 * EV_ONESHOT; submits for itself, by aio_read(2), lio_listio(2) and the like,
 * on any thread, before or after the first poll; and reaps for itself, by
 * aio_return(2) of each aiocb, when it is told that it is ready.  Then:
 * - An aiocb, its buffer and the array of a list stay pinned until they are
 *   reaped, also if the Aio has gone or the executor has shut down; neither
 *   cancels anything.  Cancel by aio_cancel(2), then wait to be told.
 * - Without EV_ONESHOT, EV_CLEAR or EV_DISPATCH the kernel repeats the event of
 *   an aiocb until it is reaped, and it repeats that of a list in any case.  It
 *   is kept from that, and the source is told once; of what was not reaped,
 *   again by the poll after filch_aio_clear_ready().  Such an aiocb or list is
 *   reaped only after the source was told, and before its Aio goes; and before
 *   FreeBSD 14 its memory is not another source's until this one is polled
 *   again after it was cleared: the kernel knows it by its address alone.
 * - The same aiocb or array is submitted again only after all of it was reaped.
 * - aio_waitcomplete(2) takes any job of the process, also the library's own,
 *   which then never end: do not call it.
 * - A list of which nothing was accepted is not told: lio_listio(2) has failed,
 *   and aio_error(2) says why for each.  Of one that was accepted in part the
 *   source is told when that part has ended.
 */
#ifndef FILCH_AIO_H
#define FILCH_AIO_H

#include <stdbool.h>

#include "base.h"

FILCH_BEGIN_DECLS

struct io_uring_sqe; /* <linux/io_uring.h> has it, and <liburing.h> */

/* A source that is bound to an executor. */
struct filch_aio;

/*
 * How a registered source reports its completions.  It is a value: copy it
 * into the source in register_source.  It stays safe to use as long as its
 * executor lives; once its Aio is gone, its functions do nothing and return
 * -ESTALE.
 */
struct filch_registrar {
	struct filch_executor *executor;
	uint64_t token;
	/*
	 * For sigev_notify_kqueue, with token in sigev_value.sival_ptr; -1
	 * where there is none.  It is the executor's: close it not, wait on it
	 * not.
	 */
	int kqueue;
};

/*
 * Fill the index-th entry, from 0, of a submission; it is zeroed, and
 * user_data is the library's.  IOSQE_CQE_SKIP_SUCCESS is taken out again, since
 * every entry has to complete; and so is what would hold up others' entries:
 * IOSQE_IO_DRAIN, and of the last entry the link to the next.  Of a multishot
 * entry only the last completion is told.  arg is that of
 * filch_registrar_submit().
 *
 * Threads  the one that submits, before that returns, under a lock of the
 *          driver: it must call nothing of filch.
 */
typedef void (*filch_sqe_fill_fn)(
    struct io_uring_sqe *sqe, unsigned index, void *arg);

/*
 * Submit count io_uring operations whose completions belong to the source.
 * They leave together, in order, with what else this worker submits; the
 * source is ready when all have completed, each with its result.
 *
 * Returns  0; -EINVAL count is 0, or more than the source was made for;
 *          -EBUSY its earlier submission is still in flight; -EAGAIN the ring
 *          has no room for count entries now, and then nothing was submitted;
 *          -EOPNOTSUPP the driver is not io_uring; -EPERM not on a worker of
 *          the executor; -ESHUTDOWN; -ESTALE.
 * Memory   what the entries point to stays pinned until the source is ready,
 *          also if its Aio has gone meanwhile.
 * Threads  a worker of the registrar's executor only.
 */
FILCH_NODISCARD FILCH_API int filch_registrar_submit(
    const struct filch_registrar *registrar, filch_sqe_fill_fn fill, void *arg,
    unsigned count);

/*
 * Ask the kernel to cancel what the source submitted to io_uring
 * (IORING_OP_ASYNC_CANCEL).  The source still becomes ready, with -ECANCELED
 * or a result in each entry.
 *
 * Returns  0; -ENOENT nothing is in flight; -EOPNOTSUPP; -ESTALE.
 * Threads  any.
 */
FILCH_NODISCARD FILCH_API int filch_registrar_cancel(
    const struct filch_registrar *registrar);

/*
 * Report that the source has completed, with result for its event (0 for a LIO
 * source, whatever result is): for sources that learn of it in another way
 * than through the driver.
 *
 * Returns  0; -ESHUTDOWN; -ESTALE.
 * Threads  any; not a signal handler.
 */
FILCH_NODISCARD FILCH_API int filch_registrar_notify(
    const struct filch_registrar *registrar, int64_t result);

/*
 * A source's two functions.  register_source stores the registrar, or what of
 * it the source needs, and does no I/O; a negative errno refuses.
 * deregister_source is called when the Aio goes, and may be NULL.
 *
 * Memory   *registrar is valid during the call; the vtable outlives the Aio.
 * Threads  the one that makes or ends the Aio.
 */
struct filch_aio_source_vtable {
	int (*register_source)(
	    void *source, const struct filch_registrar *registrar);
	void (*deregister_source)(void *source);
};

/* What a source has completed: kept for filch_aio_clear_ready(). */
struct filch_aio_event {
	/* FILCH_INTEREST_AIO or FILCH_INTEREST_LIO. */
	unsigned interest;
	/*
	 * Of the one entry of an AIO source; with a kqueue 0 or -errno, and
	 * the count is what aio_return(2) returns.  0 for a LIO source.
	 */
	int64_t result;
	struct {
		uint32_t generation;
	} priv;
};

/* Interests.  A source has AIO or LIO; the others are refused. */
enum {
	FILCH_INTEREST_AIO = 1 << 0,
	FILCH_INTEREST_LIO = 1 << 1,
	FILCH_INTEREST_READ = 1 << 2,
	FILCH_INTEREST_WRITE = 1 << 3
};

/*
 * Bind a source that completes operations one by one (AIO), or lists of at
 * most entries_max operations (LIO), to executor.
 *
 * Returns  0; -ENOMEM; -ESHUTDOWN; -EINVAL entries_max is 0 or more than
 *          FILCH_AIO_ENTRIES_MAX; whatever register_source returned.
 * Memory   source stays the caller's and is pinned until filch_aio_into_inner()
 *          or filch_aio_destroy(), one of which comes before
 *          filch_executor_destroy().  A vtable without register_source is a
 *          misuse.
 * Threads  any.
 */
FILCH_NODISCARD FILCH_API int filch_aio_new_for_aio(
    struct filch_executor *executor,
    const struct filch_aio_source_vtable *vtable, void *source,
    struct filch_aio **ret_aio);
FILCH_NODISCARD FILCH_API int filch_aio_new_for_lio(
    struct filch_executor *executor,
    const struct filch_aio_source_vtable *vtable, void *source,
    unsigned entries_max, struct filch_aio **ret_aio);

/*
 * The general form of the two: interest is exactly one of FILCH_INTEREST_AIO
 * and FILCH_INTEREST_LIO, anything else is refused with -EINVAL, as is more
 * than one entry for FILCH_INTEREST_AIO.
 */
FILCH_NODISCARD FILCH_API int filch_aio_new(struct filch_executor *executor,
    const struct filch_aio_source_vtable *vtable, void *source,
    unsigned interest, unsigned entries_max, struct filch_aio **ret_aio);

/*
 * See whether the source has completed; if not, task is woken when it has.
 * Only the task of the latest poll is woken.  Ready says that the operation
 * has ended, not that it went well; it stays ready until cleared.
 *
 * Result   *ret_status is 0 and *ret_event tells what completed; or, with
 *          *ret_event untouched, it is -ESHUTDOWN: the executor shuts down at
 *          once and no entry of the source's is in flight (a user's own job
 *          may be); or
 *          -ECANCELED: the task was cancelled, and what was submitted is in
 *          flight as before.
 * Threads  task's own poll function only (on no worker: a misuse); one task
 *          at a time polls an Aio.
 */
FILCH_API enum filch_poll filch_aio_poll_ready(struct filch_aio *aio,
    struct filch_task *task, struct filch_aio_event *ret_event,
    int *ret_status);

/*
 * Forget the completion that event reported; one that came after it is kept.
 * Call it before the same operation is submitted again.
 *
 * Threads  any.
 */
FILCH_API void filch_aio_clear_ready(
    struct filch_aio *aio, struct filch_aio_event event);

/*
 * The result of entry index, from 0, of the latest io_uring submission that
 * completed: a count or 0, or -errno.  An index of entries_max or more is a
 * misuse.
 *
 * Threads  any, after filch_aio_poll_ready() said ready and before the next
 *          submission.
 */
FILCH_API int64_t filch_aio_result(const struct filch_aio *aio, unsigned index);

/* The source.  Threads: any. */
FILCH_API void *filch_aio_source(const struct filch_aio *aio);

/*
 * Deregister the source, free the Aio and return the source.  I/O may still be
 * in flight: its completion is then dropped, but what it points to stays
 * pinned until then.  A task that waits is not woken any more.
 *
 * Threads  any; nobody else may be using aio.
 */
FILCH_API void *filch_aio_into_inner(struct filch_aio *aio);

/*
 * The same for a source that nobody wants back.  NULL is fine.
 * Threads: as filch_aio_into_inner().
 */
FILCH_API void filch_aio_destroy(struct filch_aio *aio);

FILCH_END_DECLS

#endif /* FILCH_AIO_H */

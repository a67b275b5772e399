/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a test may ask of the model of FreeBSD's kernel: chances, counts and
 * faults.  What the model does as the kernel, the facts state.
 */
#include <criterion/criterion.h>

#include <sys/types.h>

#include <sys/event.h>
#include <sys/socket.h>
#include <sys/sysctl.h>

#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/kqueue_model/model.h"

#define CERTAIN 1000

static struct kqueue_model_options options;
static struct kqueue_model_counts counts;
static struct kqueue_model_faults faults;
static struct aiocb control;
static char bytes[64];
static int kq, fd;

static void
setup(void)
{
	char path[] = "/tmp/filch-model-XXXXXX";

	options = (struct kqueue_model_options)KQUEUE_MODEL_OPTIONS_INIT;
	fd = mkstemp(path);
	kq = kqueue();
	cr_assert(fd >= 0 && kq >= 0);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(pwrite(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
}

static void
teardown(void)
{
	cr_assert_eq(close(fd), 0);
	cr_assert_eq(close(kq), 0);
	kqueue_model_counts(&counts);
	cr_assert_eq(counts.jobs, 0);
	cr_assert_eq(counts.kqueues, 0);
	cr_assert_eq(counts.knotes, 0);
}

TestSuite(kqueue_model, .init = setup, .fini = teardown, .timeout = 60);

static void
prepare(struct aiocb *aiocb, unsigned short flags)
{
	*aiocb = (struct aiocb){
		.aio_fildes = fd,
		.aio_buf = bytes,
		.aio_nbytes = sizeof(bytes),
		.aio_lio_opcode = LIO_READ,
	};
	aiocb->aio_sigevent.sigev_notify = SIGEV_KEVENT;
	aiocb->aio_sigevent.sigev_notify_kqueue = kq;
	aiocb->aio_sigevent.sigev_notify_kevent_flags = flags;
}

static void
expect_event(uintptr_t ident)
{
	struct kevent event;

	cr_assert_eq(kevent(kq, NULL, 0, &event, 1, NULL), 1);
	cr_assert_eq(event.ident, ident);
}

static void
reap(struct aiocb *aiocb, ssize_t expected)
{
	const struct aiocb *const list[] = { aiocb };

	cr_assert_eq(aio_suspend(list, 1, NULL), 0);
	cr_assert_eq(aio_return(aiocb), expected);
}

/* The model is not in use yet. */
Test(kqueue_model_environment, a_name_it_does_not_know_ends_the_program,
    .signal = SIGABRT)
{
	cr_assert_eq(setenv("KQUEUE_MODEL", "seed=3,dealy=10", 1), 0);
	(void)kqueue();
}

Test(kqueue_model_environment, a_value_that_is_no_number_ends_the_program,
    .signal = SIGABRT)
{
	cr_assert_eq(setenv("KQUEUE_MODEL", "delay=10ms", 1), 0);
	(void)kqueue();
}

Test(kqueue_model_environment, options_by_name)
{
	cr_assert_eq(setenv("KQUEUE_MODEL",
			 "seed=77,version=1300,eagain=5,listio_max=9", 1),
	    0);
	kqueue_model_get(&options);
	cr_assert_eq(options.seed, 77);
	cr_assert_eq(options.version, 1300);
	cr_assert_eq(options.eagain, 5);
	cr_assert_eq(options.max_aio_queue, 1024);
	cr_assert_eq(sysconf(_SC_AIO_LISTIO_MAX), 9);
}

Test(kqueue_model, limits_are_sysctls)
{
	int value = 0, more = 300;
	size_t size = sizeof(value);

	options.max_aio_queue_per_proc = 100;
	kqueue_model_set(&options);
	cr_assert_eq(sysctlbyname("vfs.aio.max_aio_queue_per_proc", &value,
			 &size, geteuid() == 0 ? &more : NULL,
			 geteuid() == 0 ? sizeof(more) : 0),
	    0);
	cr_assert_eq(value, 100);
	if (geteuid() == 0) {
		cr_assert_eq(sysconf(_SC_AIO_LISTIO_MAX), 300);
	}
	cr_assert_eq(sysctlbyname("vfs.aio.no", &value, &size, NULL, 0), -1);
	cr_assert_eq(errno, ENOENT);
}

Test(kqueue_model, refusals_are_chances)
{
	options.eagain = CERTAIN;
	kqueue_model_set(&options);
	prepare(&control, EV_ONESHOT);
	cr_assert_eq(aio_read(&control), -1);
	cr_assert_eq(errno, EAGAIN);
	cr_assert_eq(aio_error(&control), EAGAIN);
	options.eagain = 0;
	options.eopnotsupp = CERTAIN;
	kqueue_model_set(&options);
	cr_assert_eq(aio_read(&control), -1);
	cr_assert_eq(errno, EOPNOTSUPP);
	kqueue_model_counts(&counts);
	cr_assert_eq(counts.refused, 1);
	cr_assert_eq(counts.calls_read, 1);
	cr_assert_eq(aio_return(&control), -1);
	cr_assert_eq(errno, EINVAL);
	cr_assert_eq(kqueue_model_faults(NULL), 0, "it was refused");
}

Test(kqueue_model, a_transfer_can_be_short)
{
	ssize_t size;

	options.partial = CERTAIN;
	kqueue_model_set(&options);
	prepare(&control, EV_ONESHOT);
	cr_assert_eq(aio_read(&control), 0);
	expect_event((uintptr_t)&control);
	size = aio_return(&control);
	cr_assert(size > 0 && size < (ssize_t)sizeof(bytes));
}

Test(kqueue_model, a_job_that_waits_can_be_too_busy_to_cancel)
{
	int pair[2];

	options.busy = CERTAIN;
	kqueue_model_set(&options);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	prepare(&control, EV_ONESHOT);
	control.aio_fildes = pair[0];
	cr_assert_eq(aio_read(&control), 0);
	cr_assert_eq(aio_cancel(pair[0], &control), AIO_NOTCANCELED);
	expect_event((uintptr_t)&control);
	cr_assert_eq(aio_return(&control), -1);
	cr_assert_eq(errno, ECANCELED, "it ends nevertheless");
	cr_assert_eq(close(pair[0]), 0);
	cr_assert_eq(close(pair[1]), 0);
}

Test(kqueue_model, events_told_again_are_counted)
{
	kqueue_model_set(&options);
	prepare(&control, 0);
	cr_assert_eq(aio_read(&control), 0);
	expect_event((uintptr_t)&control);
	kqueue_model_counts(&counts);
	cr_assert_eq(counts.events_again, 0);
	expect_event((uintptr_t)&control);
	kqueue_model_counts(&counts);
	cr_assert_eq(counts.events_again, 1);
	cr_assert_eq(counts.calls_again, 1);
	cr_assert_eq(counts.events_aio, 2);
	reap(&control, sizeof(bytes));
}

Test(kqueue_model, returns_out_of_order_are_counted)
{
	struct aiocb second;

	kqueue_model_set(&options);
	prepare(&control, EV_ONESHOT);
	cr_assert_eq(aio_read(&control), 0);
	expect_event((uintptr_t)&control);
	prepare(&second, EV_ONESHOT);
	cr_assert_eq(aio_read(&second), 0);
	expect_event((uintptr_t)&second);
	reap(&second, sizeof(bytes));
	reap(&control, sizeof(bytes));
	kqueue_model_counts(&counts);
	cr_assert_eq(counts.returns_out_of_order, 1);
	cr_assert_eq(counts.jobs_most, 2);
}

Test(kqueue_model, an_aiocb_used_again_is_a_fault)
{
	kqueue_model_set(&options);
	prepare(&control, EV_ONESHOT);
	cr_assert_eq(aio_read(&control), 0);
	cr_assert_eq(aio_read(&control), 0);
	cr_assert_eq(kqueue_model_faults(&faults), 1);
	cr_assert_eq(faults.aiocb_reused, 1);
	reap(&control, sizeof(bytes));
	reap(&control, sizeof(bytes));
}

Test(kqueue_model, an_aiocb_changed_in_flight_is_a_fault)
{
	int pair[2];

	kqueue_model_set(&options);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	prepare(&control, EV_ONESHOT);
	control.aio_fildes = pair[0];
	cr_assert_eq(aio_read(&control), 0);
	control.aio_nbytes = 1;
	cr_assert_eq(aio_cancel(pair[0], &control), AIO_CANCELED);
	cr_assert_eq(kqueue_model_faults(&faults), 1);
	cr_assert_eq(faults.aiocb_changed, 1);
	cr_assert_eq(aio_return(&control), -1);
	cr_assert_eq(close(pair[0]), 0);
	cr_assert_eq(close(pair[1]), 0);
}

Test(kqueue_model, a_list_used_again_is_a_fault)
{
	struct aiocb second;
	struct aiocb *list[1] = { &control };
	struct sigevent event;

	kqueue_model_set(&options);
	prepare(&control, 0);
	event = control.aio_sigevent;
	control.aio_sigevent.sigev_notify = SIGEV_NONE;
	cr_assert_eq(lio_listio(LIO_NOWAIT, list, 1, &event), 0);
	expect_event((uintptr_t)list);
	prepare(&second, 0);
	second.aio_sigevent.sigev_notify = SIGEV_NONE;
	list[0] = &second;
	cr_assert_eq(lio_listio(LIO_NOWAIT, list, 1, &event), 0);
	cr_assert_eq(kqueue_model_faults(&faults), 1);
	cr_assert_eq(faults.list_reused, 1);
	reap(&control, sizeof(bytes));
	reap(&second, sizeof(bytes));
}

Test(kqueue_model, a_return_too_many_or_too_early_is_a_fault)
{
	int pair[2];

	kqueue_model_set(&options);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	prepare(&control, EV_ONESHOT);
	control.aio_fildes = pair[0];
	cr_assert_eq(aio_read(&control), 0);
	cr_assert_eq(aio_return(&control), -1);
	cr_assert_eq(errno, EINVAL);
	cr_assert_eq(aio_cancel(pair[0], NULL), AIO_CANCELED);
	cr_assert_eq(aio_return(&control), -1);
	cr_assert_eq(errno, ECANCELED);
	cr_assert_eq(aio_return(&control), -1);
	cr_assert_eq(errno, EINVAL);
	cr_assert_eq(kqueue_model_faults(&faults), 2);
	cr_assert_eq(faults.return_early, 1);
	cr_assert_eq(faults.return_unknown, 1);
	kqueue_model_describe();
	cr_assert_eq(close(pair[0]), 0);
	cr_assert_eq(close(pair[1]), 0);
}

/* Takes one event, of whatever. */
static void *
take_one(void *event)
{
	cr_assert_eq(kevent(kq, NULL, 0, event, 1, NULL), 1);
	return (NULL);
}

/*
 * The thread takes the event, or it sleeps when the job is returned and is told
 * of it, or it comes later; until it was the second.
 */
Test(kqueue_model, a_thread_that_sleeps_may_get_what_is_gone)
{
	struct kevent change, event;
	pthread_t thread;

	options.stale = CERTAIN;
	kqueue_model_set(&options);
	do {
		prepare(&control, EV_ONESHOT);
		cr_assert_eq(
		    pthread_create(&thread, NULL, take_one, &event), 0);
		cr_assert_eq(aio_read(&control), 0);
		reap(&control, sizeof(bytes));
		EV_SET(
		    &change, 1, EVFILT_USER, EV_ADD | EV_ONESHOT, 0, 0, NULL);
		cr_assert_eq(kevent(kq, &change, 1, NULL, 0, NULL), 0);
		EV_SET(&change, 1, EVFILT_USER, 0, NOTE_TRIGGER, 0, NULL);
		cr_assert_eq(kevent(kq, &change, 1, NULL, 0, NULL), 0);
		cr_assert_eq(pthread_join(thread, NULL), 0);
		if (event.filter != EVFILT_USER) {
			expect_event(1);
		}
		kqueue_model_counts(&counts);
	} while (counts.events_stale == 0);
	cr_assert_eq(event.ident, (uintptr_t)&control);
	cr_assert_eq(event.filter, EVFILT_AIO);
}

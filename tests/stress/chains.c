/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stress: tasks submit chains of linked io_uring entries to small rings, among
 * the single reads of others, while threads cancel them and look at the
 * figures, which publishes what was gathered, and now and then a task keeps its
 * worker, also in the midst of a chain, so that the reactor thread hands over
 * for it.
 *
 * The end of io_uring_enter(2) ends a chain, so one that is handed over in two
 * parts becomes two.  Every other chain begins with an entry that fails: the
 * rest must not be carried out.  In the others each read finds what the write
 * before it wrote.  Conserved: each chain ends once, as one.
 *
 * chains [--rounds=N] [--seed=N] [--threads=N]
 */
#include <filch/filch.h>

#include <errno.h>
#include <unistd.h>

#include "stress.h"

#if !defined(FILCH_HAVE_URING)

int
main(void)
{
	printf("built without io_uring\n");
	return (77);
}

#else

#include <liburing.h>

#define CHAINERS  8
#define CHAINS    200 /* of each, one after the other */
#define LINKS_MAX 6
#define READERS   16
#define READS     200
#define KEPT_NS   1000000

struct chainer {
	struct filch_task task;
	struct filch_registrar registrar;
	struct filch_aio *aio;
	uint64_t random;
	unsigned index;
	unsigned ended;
	unsigned links;
	unsigned kept_at; /* this entry's turn; 0: nowhere */
	bool fails;       /* its first entry */
	bool slowly;      /* by the kernel's own threads */
	bool in_flight;
	uint64_t written[LINKS_MAX];
	uint64_t read[LINKS_MAX];
};

struct reader {
	struct filch_task task;
	struct filch_op op;
	uint64_t value;
	unsigned reads;
	bool begun;
};

static struct stress_options options = { "chains", 1, 10, 2 };
static struct filch_file file;
static struct filch_executor *executor;
static struct chainer chainers[CHAINERS];
static struct reader readers[READERS];
static unsigned working; /* chainers that have not ended */

static int
chainer_register(void *source, const struct filch_registrar *registrar)
{
	((struct chainer *)source)->registrar = *registrar;
	return (0);
}

static const struct filch_aio_source_vtable vtable = {
	.register_source = chainer_register,
};

/* Longer than the reactor thread waits for a worker. */
static void
worker_keep(void)
{
	uint64_t until_ns = filch_now() + KEPT_NS;

	while (filch_now() < until_ns) {
		continue;
	}
}

/* Even entries write, odd ones read what the one before wrote. */
static void
chainer_fill(struct io_uring_sqe *sqe, unsigned index, void *arg)
{
	struct chainer *self = arg;
	uint64_t offset = self->index * sizeof(uint64_t);

	if (index > 0 && index == self->kept_at) {
		worker_keep();
	}
	if (self->fails) {
		io_uring_prep_nop(sqe);
		if (index == 0) {
			io_uring_prep_read(sqe, -1, self->read, 1, 0);
		}
	} else if (index % 2 == 0) {
		self->written[index] = self->ended * LINKS_MAX + index + 1;
		io_uring_prep_write(sqe, file.fd, &self->written[index],
		    sizeof(uint64_t), offset);
		sqe->flags |= self->slowly ? IOSQE_ASYNC : 0;
	} else {
		self->read[index] = 0;
		io_uring_prep_read(
		    sqe, file.fd, &self->read[index], sizeof(uint64_t), offset);
	}
	if (index + 1 < self->links) {
		sqe->flags |= IOSQE_IO_LINK;
	}
}

static void
wrong(const struct chainer *self, unsigned index, const char *what)
{
	fprintf(stderr, "chains: seed %llu: chain %u of task %u: %s\n",
	    (unsigned long long)options.seed, self->ended, self->index, what);
	for (unsigned i = 0; i < self->links; i++) {
		fprintf(stderr, "%s entry %u: %lld\n", i == index ? "*" : " ",
		    i, (long long)filch_aio_result(self->aio, i));
	}
	exit(1);
}

/* What comes after an entry that failed was not carried out. */
static void
chainer_check(const struct chainer *self)
{
	bool failed = false;

	for (unsigned i = 0; i < self->links; i++) {
		int64_t result = filch_aio_result(self->aio, i);

		if (failed) {
			if (result != -ECANCELED) {
				wrong(self, i, "it was cut");
			}
		} else if (self->fails) {
			if (result != -EBADF && result != -ECANCELED) {
				wrong(self, i, "it began well");
			}
			failed = true;
		} else if (result == -ECANCELED || result == -EINTR) {
			failed = true;
		} else if (result != (int64_t)sizeof(uint64_t)) {
			wrong(self, i, "it was not carried out");
		} else if (i % 2 != 0 &&
		    self->read[i] != self->written[i - 1]) {
			wrong(self, i, "it was not in order");
		}
	}
}

static enum filch_poll
chainer_poll(struct filch_task *task)
{
	struct chainer *self = filch_container_of(task, struct chainer, task);
	struct filch_aio_event event;
	uint64_t choice;
	int result;

	if (self->in_flight) {
		if (filch_aio_poll_ready(self->aio, task, &event, &result) ==
		    FILCH_PENDING) {
			return (FILCH_PENDING);
		}
		stress_same(&options, "status", 0, (uint64_t)result);
		filch_aio_clear_ready(self->aio, event);
		chainer_check(self);
		self->in_flight = false;
		self->ended++;
	}
	if (self->ended == CHAINS) {
		__atomic_fetch_sub(&working, 1, __ATOMIC_ACQ_REL);
		return (FILCH_READY);
	}
	choice = stress_random(&self->random);
	self->links = 2 + (unsigned)(choice % (LINKS_MAX - 1));
	self->fails = choice >> 8 & 1;
	self->slowly = (choice >> 9 & 7) == 0;
	self->kept_at = (choice >> 12 & 127) == 0 ? self->links - 1 : 0;
	result = filch_registrar_submit(
	    &self->registrar, chainer_fill, self, self->links);
	if (result == -EAGAIN) {
		return (
		    filch_task_yield(task)); /* no room; not a part either */
	}
	stress_same(&options, "submission", 0, (uint64_t)result);
	self->in_flight = true;
	if ((choice >> 12 & 127) == 1) {
		worker_keep();
	}
	return (filch_task_yield(task));
}

static enum filch_poll
reader_poll(struct filch_task *task)
{
	struct reader *self = filch_container_of(task, struct reader, task);
	int64_t result;

	while (self->reads > 0) {
		if (!self->begun) {
			filch_op_init_read(&self->op, &file, &self->value,
			    sizeof(self->value), 0);
			filch_op_set_flags(&self->op, FILCH_OP_NO_INLINE);
			self->begun = true;
		}
		if (filch_op_poll(&self->op, task, &result) == FILCH_PENDING) {
			return (FILCH_PENDING);
		}
		stress_same(
		    &options, "a read", sizeof(self->value), (uint64_t)result);
		self->begun = false;
		self->reads--;
	}
	return (FILCH_READY);
}

/* Cancels one now and then, and looks at the figures of a worker. */
static void *
troubler_main(void *arg)
{
	uint64_t random = (uint64_t)(uintptr_t)arg;
	struct filch_worker_stats stats;

	while (__atomic_load_n(&working, __ATOMIC_ACQUIRE) > 0) {
		uint64_t choice = stress_random(&random);

		if (filch_executor_get_worker_stats(
			executor, choice & 1, &stats) != 0) {
			abort();
		}
		if ((choice >> 1 & 15) == 0) {
			/* in flight or not */
			int result = filch_registrar_cancel(
			    &chainers[(choice >> 8) % CHAINERS].registrar);

			(void)result;
		}
	}
	return (NULL);
}

/* In the first round the system may not have what it takes. */
static void
executor_start(void)
{
	struct filch_executor_options of = FILCH_EXECUTOR_OPTIONS_INIT;
	static bool is_known;
	int rc;

	of.worker_count = 2;
	of.ring_entries = FILCH_RING_ENTRIES_MIN;
	of.driver = FILCH_DRIVER_URING;
	rc = filch_executor_create(&of, &executor);
	if (rc == 0) {
		is_known = true;
		return;
	}
	if (!is_known &&
	    (rc == -ENOSYS || rc == -EPERM || rc == -EOPNOTSUPP ||
		rc == -EINVAL)) {
		printf("no io_uring\n");
		exit(77);
	}
	fprintf(stderr, "chains: cannot create an executor: %d\n", rc);
	exit(1);
}

static void
round_begin(uint64_t *random)
{
	executor_start();
	working = CHAINERS;
	for (unsigned i = 0; i < CHAINERS; i++) {
		struct chainer *self = &chainers[i];

		memset(self, 0, sizeof(*self));
		self->index = i;
		self->random = stress_random(random) | 1;
		filch_task_init(&self->task, chainer_poll, NULL);
		if (filch_aio_new_for_lio(
			executor, &vtable, self, LINKS_MAX, &self->aio) != 0) {
			abort();
		}
	}
	for (unsigned i = 0; i < READERS; i++) {
		memset(&readers[i], 0, sizeof(readers[i]));
		readers[i].reads = READS;
		filch_task_init(&readers[i].task, reader_poll, NULL);
	}
}

static void
round_run(uint64_t *random)
{
	pthread_t *threads = calloc(options.threads, sizeof(*threads));
	unsigned i;

	if (threads == NULL) {
		abort();
	}
	round_begin(random);
	for (i = 0; i < options.threads; i++) {
		threads[i] = stress_start(troubler_main,
		    (void *)(uintptr_t)(stress_random(random) | 1));
	}
	for (i = 0; i < CHAINERS; i++) {
		if (filch_executor_spawn(executor, &chainers[i].task) != 0) {
			abort();
		}
	}
	for (i = 0; i < READERS; i++) {
		if (filch_executor_spawn(executor, &readers[i].task) != 0) {
			abort();
		}
	}
	if (filch_executor_shutdown(
		executor, FILCH_SHUTDOWN_GRACEFUL, FILCH_NEVER) != 0) {
		exit(1);
	}
	for (i = 0; i < options.threads; i++) {
		pthread_join(threads[i], NULL);
	}
	for (i = 0; i < CHAINERS; i++) {
		stress_same(&options, "chains", CHAINS, chainers[i].ended);
		filch_aio_destroy(chainers[i].aio);
	}
	filch_executor_destroy(executor);
	free(threads);
}

int
main(int argc, char **argv)
{
	char path[] = "/tmp/filch-chains-XXXXXX";
	int fd;

	stress_options(&options, argc, argv);
	fd = mkstemp(path);
	if (fd < 0 || unlink(path) != 0 ||
	    ftruncate(fd, CHAINERS * sizeof(uint64_t)) != 0 ||
	    filch_file_init(&file, fd) != 0) {
		fprintf(stderr, "chains: cannot make a file\n");
		return (1);
	}
	stress_rounds(&options, round_run);
	printf(" of %d chains, each ended as one\n", CHAINERS * CHAINS);
	return (0);
}

#endif

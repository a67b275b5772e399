/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Visits to the driver beside long polls.  All is counted in polls: a crowd of
 * tasks keeps the only worker busy; some of its polls outlast a look of the
 * reactor thread, so that the worker takes all of them for long, and then what
 * the test waits for has to come within the next few, however short they are.
 */
#include <pthread.h>
#include <unistd.h>

#include "executor/executor.h"
#include "helpers.h"
#include "reactor_hold.h"

#define ROUNDS 10
/* Of a crowd: a task queued behind the others waits for so many polls. */
#define CROWD 8
/* What has come is polled before half of the crowd is. */
#define POLLS_MAX (CROWD / 2)
/* The worker knows that polls are long when it has made so many of them. */
#define LONG_POLLS 4

TestSuite(drive, .timeout = 120);

struct crowd;
typedef void (*crowd_fn)(struct crowd *crowd);

struct member {
	struct filch_task task;
	struct crowd *crowd;
};

/* All but the members' tasks is the worker's. */
struct crowd {
	struct member members[CROWD];
	struct filch_executor *executor;
	crowd_fn happen; /* in a poll of a round */
	crowd_fn look;   /* or NULL: when all have been polled since */
	void *arg;
	unsigned rounds;     /* done */
	unsigned long_polls; /* of this round */
	bool is_awaited;     /* something may happen now */
	bool has_happened;   /* in this round */
	unsigned polls;      /* since then */
	unsigned polls_most; /* of a round */
};

static uint32_t
looks(const struct filch_executor *executor)
{
	return (filch__u32_load_relaxed(&executor->looks));
}

/*
 * By which look the worker has last been at its driver.  The reactor thread
 * may have looked again since, in the midst of a poll.
 */
static uint32_t
looks_driven(const struct filch_executor *executor)
{
	return (executor->workers[0].looks_driven);
}

static enum filch_poll
member_poll(struct filch_task *task)
{
	struct crowd *crowd =
	    filch_container_of(task, struct member, task)->crowd;
	uint32_t start = looks(crowd->executor);

	if (crowd->rounds == ROUNDS) {
		return (FILCH_READY);
	}
	if (crowd->long_polls < LONG_POLLS || !crowd->is_awaited) {
		crowd->long_polls++;
		while (looks(crowd->executor) == start) {
			continue;
		}
	} else if (!crowd->has_happened) {
		crowd->has_happened = true;
		crowd->polls = 0;
		crowd->happen(crowd);
	} else {
		crowd->polls++;
		if (crowd->polls == CROWD && crowd->look != NULL) {
			crowd->look(crowd);
		}
	}
	return (filch_task_yield(task));
}

/* What the test waits for has come: the next round. */
static void
crowd_next(struct crowd *crowd)
{
	if (crowd->polls > crowd->polls_most) {
		crowd->polls_most = crowd->polls;
	}
	crowd->rounds++;
	crowd->long_polls = 0;
	crowd->is_awaited = false;
	crowd->has_happened = false;
}

static void
crowd_start(struct crowd *crowd)
{
	for (int i = 0; i < CROWD; i++) {
		struct member *member = &crowd->members[i];

		member->crowd = crowd;
		filch_task_init(&member->task, member_poll, NULL);
		cr_assert_eq(filch_executor_spawn_joinable(
				 crowd->executor, &member->task),
		    0);
	}
}

static void
crowd_join(struct crowd *crowd)
{
	for (int i = 0; i < CROWD; i++) {
		cr_assert_eq(filch_task_join(&crowd->members[i].task), 0);
	}
}

/* ---- a completion, while the reactor thread is kept from taking it ---- */

struct reader {
	struct filch_task task;
	struct crowd *crowd;
	int pipe[2];
	struct filch_file file;
	struct filch_op op;
	uint64_t buffer;
	bool waiting;
	bool holds;
	bool again; /* the read was not yet handed over when it happened */
};

static void
reader_send(struct reader *reader)
{
	uint64_t one = 1;

	cr_assert_eq(
	    write(reader->pipe[1], &one, sizeof(one)), (ssize_t)sizeof(one));
}

static void
reader_happen(struct crowd *crowd)
{
	reader_send(crowd->arg);
}

static enum filch_poll
reader_poll(struct filch_task *task)
{
	struct reader *reader = filch_container_of(task, struct reader, task);
	int64_t got;

	for (;;) {
		if (reader->crowd->long_polls < LONG_POLLS) {
			return (filch_task_yield(task));
		}
		if (!reader->holds) {
			/* or it may be preempted with the worker's lock */
			reactor_hold(reader->crowd->executor);
			reader->holds = true;
		}
		if (!reader->waiting) {
			filch_op_init_read(&reader->op, &reader->file,
			    &reader->buffer, sizeof(reader->buffer),
			    FILCH_OFFSET_CURRENT);
			reader->waiting = true;
		}
		if (filch_op_poll(&reader->op, task, &got) == FILCH_PENDING) {
			reader->crowd->is_awaited = true;
			return (FILCH_PENDING);
		}
		reader->waiting = false;
		cr_assert_eq(got, (int64_t)sizeof(reader->buffer));
		if (!reader->again) {
			reader->again = true;
			reader_send(reader); /* before the next is gathered */
			continue;
		}
		reader->again = false;
		reader->holds = false;
		reactor_release();
		crowd_next(reader->crowd);
		if (reader->crowd->rounds == ROUNDS) {
			return (FILCH_READY);
		}
	}
}

static void
reader_init(struct reader *reader, struct crowd *crowd)
{
	*reader = (struct reader){ .crowd = crowd };
	cr_assert_eq(pipe(reader->pipe), 0);
	cr_assert_eq(filch_file_init(&reader->file, reader->pipe[0]), 0);
	filch_task_init(&reader->task, reader_poll, NULL);
}

/* True if a completion is the worker's to find, and needs no other thread. */
static bool
worker_reaps(const struct filch_executor *executor)
{
	return (filch_executor_driver(executor) == FILCH_DRIVER_URING);
}

Test(drive, what_is_read_between_long_polls_is_handed_over_and_taken_soon)
{
	struct filch_executor *executor = executor_new(1);
	struct reader reader;
	struct crowd crowd = {
		.executor = executor,
		.happen = reader_happen,
		.arg = &reader,
	};

	if (!worker_reaps(executor)) {
		filch_executor_destroy(executor);
		cr_skip("here the reactor thread takes completions");
	}
	reactor_hold_init(executor);
	reader_init(&reader, &crowd);
	crowd_start(&crowd);
	cr_assert_eq(filch_executor_block_on(executor, &reader.task), 0);
	crowd_join(&crowd);
	filch_executor_destroy(executor);
	close(reader.pipe[0]);
	close(reader.pipe[1]);
	cr_assert_leq(crowd.polls_most, 2 * POLLS_MAX);
}

/* ---- a deadline, while the reactor thread is kept from meeting it ---- */

struct sleeper {
	struct filch_task task;
	struct crowd *crowd;
	struct filch_sleep sleep;
	uint64_t deadline_ns;
	bool waiting;
	bool holds;
};

#define SLEEP_NS 20000

static void
sleeper_release(struct sleeper *sleeper)
{
	if (sleeper->holds) {
		sleeper->holds = false;
		reactor_release();
	}
}

/* The deadline passes, in one poll. */
static void
sleeper_happen(struct crowd *crowd)
{
	const struct sleeper *sleeper = crowd->arg;

	while (filch_now() <= sleeper->deadline_ns) {
		continue;
	}
}

/* Too late: let the reactor thread end the round. */
static void
sleeper_look(struct crowd *crowd)
{
	sleeper_release(crowd->arg);
}

static enum filch_poll
sleeper_poll(struct filch_task *task)
{
	struct sleeper *sleeper =
	    filch_container_of(task, struct sleeper, task);
	struct crowd *crowd = sleeper->crowd;
	int result;

	while (crowd->rounds < ROUNDS) {
		if (crowd->long_polls < LONG_POLLS) {
			return (filch_task_yield(task));
		}
		if (!sleeper->waiting) {
			reactor_hold(crowd->executor);
			sleeper->holds = true;
			sleeper->deadline_ns = filch_now() + SLEEP_NS;
			filch_sleep_init(&sleeper->sleep, sleeper->deadline_ns);
			sleeper->waiting = true;
		}
		if (filch_sleep_poll(&sleeper->sleep, task, &result) ==
		    FILCH_PENDING) {
			crowd->is_awaited = true;
			return (FILCH_PENDING);
		}
		cr_assert_eq(result, 0);
		sleeper->waiting = false;
		sleeper_release(sleeper);
		if (crowd->has_happened) {
			crowd_next(crowd);
		}
	}
	return (FILCH_READY);
}

Test(drive, a_deadline_between_long_polls_is_met_by_the_worker)
{
	struct filch_executor *executor = executor_new(1);
	struct sleeper sleeper = { .waiting = false };
	struct crowd crowd = {
		.executor = executor,
		.happen = sleeper_happen,
		.look = sleeper_look,
		.arg = &sleeper,
	};

	reactor_hold_init(executor);
	sleeper.crowd = &crowd;
	filch_task_init(&sleeper.task, sleeper_poll, NULL);
	crowd_start(&crowd);
	cr_assert_eq(filch_executor_block_on(executor, &sleeper.task), 0);
	crowd_join(&crowd);
	filch_executor_destroy(executor);
	cr_assert_leq(crowd.polls_most, POLLS_MAX);
}

/* ---- a wake from outside ---- */

struct target {
	struct filch_task task;
	struct crowd *crowd;
	sem_t ask;
	sem_t woken;
};

static void *
outsider_main(void *arg)
{
	struct target *target = arg;

	for (int i = 0; i < ROUNDS; i++) {
		wait_for(&target->ask);
		filch_task_wake(&target->task);
		sem_post(&target->woken);
	}
	return (NULL);
}

static void
target_happen(struct crowd *crowd)
{
	struct target *target = crowd->arg;

	sem_post(&target->ask);
	wait_for(&target->woken);
}

static enum filch_poll
target_poll(struct filch_task *task)
{
	struct target *target = filch_container_of(task, struct target, task);

	if (target->crowd->has_happened) {
		crowd_next(target->crowd);
	}
	target->crowd->is_awaited = true;
	return (target->crowd->rounds == ROUNDS ? FILCH_READY : FILCH_PENDING);
}

Test(drive, a_wake_from_outside_between_long_polls_is_seen_soon)
{
	struct filch_executor *executor = executor_new(1);
	struct target target = { .crowd = NULL };
	struct crowd crowd = {
		.executor = executor,
		.happen = target_happen,
		.arg = &target,
	};
	pthread_t outsider;

	sem_init(&target.ask, 0, 0);
	sem_init(&target.woken, 0, 0);
	filch_task_init(&target.task, target_poll, NULL);
	cr_assert_eq(
	    pthread_create(&outsider, NULL, outsider_main, &target), 0);
	target.crowd = &crowd;
	crowd_start(&crowd);
	cr_assert_eq(filch_executor_block_on(executor, &target.task), 0);
	crowd_join(&crowd);
	pthread_join(outsider, NULL);
	filch_executor_destroy(executor);
	cr_assert_leq(crowd.polls_most, POLLS_MAX);
}

/* ---- what must wait for the turn ---- */

/*
 * Reads as if many did, so that its reads share a system call; and while the
 * reactor thread is kept from handing them over for a worker that looks stuck.
 */
struct gatherer {
	struct filch_task task;
	struct crowd *crowd;
	int pipe[2];
	struct filch_file file;
	struct filch_op op;
	uint64_t buffer;
	uint32_t looks;
	bool waiting;
	bool holds;
	bool has_looked;
	bool was_handed_over;
};

static void
nothing_happens(struct crowd *crowd)
{
	(void)crowd;
}

static void
gatherer_release(struct gatherer *gatherer)
{
	if (gatherer->holds) {
		gatherer->holds = false;
		reactor_release();
	}
}

/* What a look of the reactor thread sets off does not count. */
static void
gatherer_look(struct crowd *crowd)
{
	struct gatherer *gatherer = crowd->arg;

	if (looks_driven(crowd->executor) == gatherer->looks) {
		gatherer->has_looked = true;
		gatherer->was_handed_over = gatherer->was_handed_over ||
		    gatherer->op.priv.state != FILCH__OP_GATHERED;
	}
	gatherer_release(gatherer);
}

static enum filch_poll
gatherer_poll(struct filch_task *task)
{
	struct gatherer *gatherer =
	    filch_container_of(task, struct gatherer, task);
	struct crowd *crowd = gatherer->crowd;
	uint64_t one = 1;
	int64_t got;

	if (!gatherer->waiting) {
		if (crowd->long_polls < LONG_POLLS) {
			return (filch_task_yield(task));
		}
		cr_assert_eq(write(gatherer->pipe[1], &one, sizeof(one)),
		    (ssize_t)sizeof(one));
		reactor_hold(crowd->executor);
		gatherer->holds = true;
		filch__shard_current->gathering = true;
		gatherer->looks = looks_driven(crowd->executor);
		gatherer->waiting = true;
		crowd->is_awaited = true;
		filch_op_init_read(&gatherer->op, &gatherer->file,
		    &gatherer->buffer, sizeof(gatherer->buffer),
		    FILCH_OFFSET_CURRENT);
	}
	if (filch_op_poll(&gatherer->op, task, &got) == FILCH_PENDING) {
		return (FILCH_PENDING);
	}
	gatherer_release(gatherer);
	filch__shard_current->gathering = false;
	gatherer->waiting = false;
	crowd_next(crowd);
	return (crowd->rounds == ROUNDS ? FILCH_READY : filch_task_yield(task));
}

Test(drive, what_is_gathered_waits_for_its_turn_beside_long_polls)
{
	struct filch_executor *executor = executor_new(1);
	struct gatherer gatherer = { .crowd = NULL };
	struct crowd crowd = {
		.executor = executor,
		.happen = nothing_happens,
		.look = gatherer_look,
		.arg = &gatherer,
	};

	if (!worker_reaps(executor)) {
		filch_executor_destroy(executor);
		cr_skip("here reads are not gathered");
	}
	cr_assert_eq(pipe(gatherer.pipe), 0);
	cr_assert_eq(filch_file_init(&gatherer.file, gatherer.pipe[0]), 0);
	filch_task_init(&gatherer.task, gatherer_poll, NULL);
	gatherer.crowd = &crowd;
	reactor_hold_init(executor);
	crowd_start(&crowd);
	cr_assert_eq(filch_executor_block_on(executor, &gatherer.task), 0);
	crowd_join(&crowd);
	filch_executor_destroy(executor);
	close(gatherer.pipe[0]);
	close(gatherer.pipe[1]);
	cr_assert(gatherer.has_looked);
	cr_assert_not(gatherer.was_handed_over);
}

/* When the turn began, and at which look. */
struct turn {
	uint64_t polls;
	uint32_t looks;
	bool has_looked;
	bool has_turned;
};

static void
turn_happen(struct crowd *crowd)
{
	struct turn *turn = crowd->arg;

	turn->polls = filch__shard_current->turn_polls;
	turn->looks = looks_driven(crowd->executor);
}

static void
turn_look(struct crowd *crowd)
{
	struct turn *turn = crowd->arg;

	if (looks_driven(crowd->executor) == turn->looks) {
		turn->has_looked = true;
		turn->has_turned = turn->has_turned ||
		    filch__shard_current->turn_polls != turn->polls;
	}
	crowd_next(crowd);
	crowd->is_awaited = true;
}

Test(drive, visits_between_long_polls_begin_no_turn_and_end_with_them)
{
	struct filch_executor *executor = executor_new(1);
	struct turn turn = { .has_looked = false };
	struct filch_executor_stats stats;
	uint32_t pace;
	struct crowd crowd = {
		.executor = executor,
		.happen = turn_happen,
		.look = turn_look,
		.arg = &turn,
		.is_awaited = true,
	};

	crowd_start(&crowd);
	crowd_join(&crowd);
	do {
		filch_executor_get_stats(executor, &stats);
	} while (stats.parked != 1);
	pace = executor->workers[0].pace;
	filch_executor_destroy(executor);
	cr_assert_eq(pace, FILCH_EVENT_INTERVAL_DEFAULT,
	    "it ran dry, and tasks may come of another kind");
	cr_assert(turn.has_looked);
	cr_assert_not(turn.has_turned);
}

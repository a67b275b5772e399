/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Taking back what a poll has spawned: each task is either the caller's again,
 * as it was before, or it runs, once.
 */
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include "reactor_hold.h"

TestSuite(unspawn, .timeout = 60);

static int ran;

static enum filch_poll
count_poll(struct filch_task *task)
{
	(void)task;
	__atomic_fetch_add(&ran, 1, __ATOMIC_RELAXED);
	return (FILCH_READY);
}

static void
count_release(struct filch_task *task)
{
	(void)task;
	__atomic_fetch_add(&ran, 1, __ATOMIC_RELAXED);
}

/* A task that plays a part with others, and notes what came of it. */
#define PARTS 1000

struct player {
	struct filch_task task;
	struct filch_executor *executor;
	void (*play)(struct player *player);
	struct filch_task parts[PARTS];
	int taken_back;
	bool is_in_time; /* what its poll waits for has come */
	struct guest guest;
};

static enum filch_poll
player_poll(struct filch_task *task)
{
	struct player *player = filch_container_of(task, struct player, task);

	player->play(player);
	return (FILCH_READY);
}

static void
part_spawn(struct player *player, int i)
{
	if (filch_executor_spawn(player->executor, &player->parts[i]) != 0) {
		abort();
	}
}

static void
part_unspawn(struct player *player, int i)
{
	player->taken_back +=
	    filch_executor_unspawn(player->executor, &player->parts[i]);
}

/* Has it played, and everybody run who is to. */
static void
play(unsigned workers, unsigned deque, struct player *player,
    void (*how)(struct player *player))
{
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;
	struct filch_executor_stats stats;

	options.worker_count = workers;
	options.deque_capacity = deque;
	cr_assert_eq(filch_executor_create(&options, &player->executor), 0);
	player->play = how;
	for (int i = 0; i < PARTS; i++) {
		filch_task_init(&player->parts[i], count_poll, NULL);
	}
	filch_task_init(&player->task, player_poll, NULL);
	cr_assert_eq(
	    filch_executor_block_on(player->executor, &player->task), 0);
	cr_assert_eq(filch_executor_shutdown(
			 player->executor, FILCH_SHUTDOWN_GRACEFUL, patience()),
	    0);
	filch_executor_get_stats(player->executor, &stats);
	cr_assert_eq(stats.tasks_alive, 0);
	filch_executor_destroy(player->executor);
}

static void
play_one(struct player *player)
{
	filch_task_init(&player->parts[0], count_poll, count_release);
	part_spawn(player, 0);
	part_unspawn(player, 0);
}

Test(unspawn, a_task_taken_back_neither_runs_nor_is_released)
{
	static struct player player;

	play(1, 0, &player, play_one);
	cr_assert_eq(player.taken_back, 1);
	cr_assert_eq(ran, 0);
}

static void
play_and_give_up(struct player *player)
{
	part_spawn(player, 0);
	part_unspawn(player, 0);
	filch_task_unref(&player->parts[0]);
}

Test(unspawn, a_task_taken_back_can_be_given_up)
{
	static struct player player;

	play(1, 0, &player, play_and_give_up);
	cr_assert_eq(player.taken_back, 1);
	cr_assert_eq(ran, 0);
}

static void
play_joinable(struct player *player)
{
	if (filch_executor_spawn_joinable(
		player->executor, &player->parts[0]) != 0) {
		_exit(1);
	}
	part_unspawn(player, 0);
}

Test(unspawn, of_a_task_with_a_join_handle_is_a_bug, .signal = SIGABRT)
{
	static struct player player;

	play(1, 0, &player, play_joinable);
}

static void
play_again(struct player *player)
{
	for (int i = 0; i < 3; i++) {
		part_spawn(player, 0);
		part_unspawn(player, 0);
	}
	part_spawn(player, 0);
}

Test(unspawn, a_task_taken_back_can_be_spawned_again)
{
	static struct player player;

	play(1, 0, &player, play_again);
	cr_assert_eq(player.taken_back, 3);
	cr_assert_eq(ran, 1);
}

static void
play_out_of_order(struct player *player)
{
	for (int i = 0; i < 3; i++) {
		part_spawn(player, i);
	}
	for (int i = 0; i < 3; i++) {
		part_unspawn(player, i);
	}
	part_unspawn(player, 0);
	part_unspawn(player, 1);
}

Test(unspawn, takes_the_last_one_first)
{
	static struct player player;

	play(1, 0, &player, play_out_of_order);
	cr_assert_eq(player.taken_back, 2);
	cr_assert_eq(ran, 1);
}

static void
play_many(struct player *player)
{
	for (int i = 0; i < PARTS; i++) {
		part_spawn(player, i);
	}
	for (int i = PARTS; i-- > 0;) {
		part_unspawn(player, i);
	}
}

Test(unspawn, what_the_queue_had_no_room_for_runs)
{
	static struct player player;

	play(1, FILCH_DEQUE_CAPACITY_MIN, &player, play_many);
	cr_assert_geq(player.taken_back, 1);
	cr_assert_leq(player.taken_back, FILCH_DEQUE_CAPACITY_MIN);
	cr_assert_eq(player.taken_back + ran, PARTS);
}

Test(unspawn, with_thieves_each_task_runs_or_is_taken_back)
{
	static struct player player;

	play(4, 0, &player, play_many);
	cr_assert_eq(player.taken_back + ran, PARTS);
}

/* Waits in its poll until another worker has begun the guest. */
static void
play_stolen(struct player *player)
{
	guest_init(&player->guest);
	guest_let_finish(&player->guest);
	if (filch_executor_spawn(player->executor, &player->guest.task) != 0) {
		abort();
	}
	wait_for(&player->guest.polled);
	player->taken_back +=
	    filch_executor_unspawn(player->executor, &player->guest.task);
}

Test(unspawn, what_another_worker_has_is_not_taken_back)
{
	static struct player player;

	play(2, 0, &player, play_stolen);
	cr_assert_eq(player.taken_back, 0);
	cr_assert_eq(player.guest.polls, 1);
}

/* False if it does not come: the poll must end, or the test never does. */
static bool
comes(bool (*has_come)(struct player *player), struct player *player)
{
	uint64_t until_ns = patience();

	while (!has_come(player)) {
		if (filch_now() > until_ns) {
			return (false);
		}
		sched_yield();
	}
	return (true);
}

/* The other worker of two has had its last look at the queues. */
static bool
peer_sleeps(struct player *player)
{
	struct filch_executor *executor = player->executor;
	const struct filch__worker *peer =
	    &executor->workers[1 - filch_worker_index()];

	return (filch__idle_parked(&executor->idle) == 1 &&
	    __atomic_load_n(&peer->awake, __ATOMIC_ACQUIRE) == 0);
}

static bool
guest_is_polled(struct player *player)
{
	return (sem_trywait(&player->guest.polled) == 0);
}

/*
 * Takes one back, and waits in its poll for the other.  The reactor thread is
 * held meanwhile, or it would find the worker stuck, and wake the peer.
 */
static void
play_both(struct player *player)
{
	guest_init(&player->guest);
	guest_let_finish(&player->guest);
	reactor_hold_init(player->executor);
	reactor_hold(player->executor);
	player->is_in_time = comes(peer_sleeps, player);
	if (filch_executor_spawn(player->executor, &player->guest.task) != 0) {
		abort();
	}
	part_spawn(player, 0);
	part_unspawn(player, 0);
	player->is_in_time =
	    player->is_in_time && comes(guest_is_polled, player);
	reactor_release();
}

Test(unspawn, others_run_what_stays_while_the_poll_goes_on)
{
	static struct player player;

	play(2, 0, &player, play_both);
	cr_assert(player.is_in_time);
	cr_assert_leq(player.taken_back, 1);
	cr_assert_eq(player.taken_back + ran, 1);
	cr_assert_eq(player.guest.polls, 1);
}

Test(unspawn, outside_of_workers_takes_nothing)
{
	struct filch_executor *executor = executor_new(1);
	struct blocker blocker;
	struct guest guest;

	blocker_start(executor, &blocker);
	guest_init(&guest);
	guest_let_finish(&guest);
	cr_assert_eq(filch_executor_spawn(executor, &guest.task), 0);
	cr_assert_not(filch_executor_unspawn(executor, &guest.task));
	blocker_end(&blocker);
	wait_for(&guest.released);
	filch_executor_destroy(executor);
}

static struct filch_executor *other;

static void
play_elsewhere(struct player *player)
{
	part_spawn(player, 0);
	player->taken_back += filch_executor_unspawn(other, &player->parts[0]);
}

Test(unspawn, from_another_executor_takes_nothing)
{
	static struct player player;

	other = executor_new(1);
	play(1, 0, &player, play_elsewhere);
	filch_executor_destroy(other);
	cr_assert_eq(player.taken_back, 0);
	cr_assert_eq(ran, 1);
}

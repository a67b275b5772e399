/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The blocking pool alone, with a host that counts what completes.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <semaphore.h>

#include "../../reactor/driver.h"
#include "../../reactor/pool.h"
#include "../../reactor/reactor.h"

#define OPS 5

static struct filch__reactor_host host;
static struct filch__reactor reactor;
static struct filch__shard shard;
static struct filch_op ops[OPS];
static sem_t started;
static sem_t go;
static sem_t completed;
static struct filch_op *order[OPS]; /* of completion, with one thread */
static int order_count;

static void
take_event(sem_t *event)
{
	while (sem_wait(event) != 0) {
		continue;
	}
}

static void
host_complete(struct filch_op *list)
{
	for (; list != NULL; list = list->priv.next) {
		order[order_count++] = list;
		sem_post(&completed);
	}
}

static int64_t
call(void *arg)
{
	sem_post(&started);
	take_event(&go);
	return ((struct filch_op *)arg - ops);
}

/* A pool of one thread, so that there is an order. */
static void
setup(void)
{
	host.complete = host_complete;
	reactor.host = &host;
	shard.reactor = &reactor;
	sem_init(&started, 0, 0);
	sem_init(&go, 0, 0);
	sem_init(&completed, 0, 0);
	cr_assert_eq(filch__pool_init(&reactor.pool, &reactor, 1), 0);
}

static void
submit_all(void)
{
	for (int i = 0; i < OPS; i++) {
		filch_op_init_call(&ops[i], call, &ops[i]);
		ops[i].priv.shard = &shard;
		filch__pool_submit(&reactor.pool, &ops[i]);
	}
	take_event(&started);
}

static void
let_go(int count)
{
	for (int i = 0; i < count; i++) {
		sem_post(&go);
	}
}

static uint64_t
depth(void)
{
	uint64_t threads;
	uint64_t queued;

	filch__pool_depths(&reactor.pool, &threads, &queued);
	cr_assert_leq(threads, 1);
	return (queued);
}

TestSuite(pool, .init = setup, .timeout = 60);

Test(pool, without_work_has_no_thread)
{
	uint64_t threads;
	uint64_t queued;

	filch__pool_depths(&reactor.pool, &threads, &queued);
	cr_assert_eq(threads, 0);
	cr_assert_eq(queued, 0);
	filch__pool_fini(&reactor.pool);
}

Test(pool, carries_out_in_order_each_with_its_result)
{
	submit_all();
	cr_assert_eq(depth(), OPS - 1);
	let_go(OPS);
	for (int i = 0; i < OPS; i++) {
		take_event(&completed);
	}
	for (int i = 0; i < OPS; i++) {
		cr_assert_eq(order[i], &ops[i]);
		cr_assert_eq(ops[i].priv.result, i);
	}
	filch__pool_fini(&reactor.pool);
	cr_assert_eq(filch__u32_load_relaxed(&shard.pooled), 0);
}

Test(pool, gives_back_what_is_queued_and_not_what_runs)
{
	submit_all();
	cr_assert_not(filch__pool_cancel(&reactor.pool, &ops[0]));
	cr_assert(filch__pool_cancel(&reactor.pool, &ops[2]));
	cr_assert_not(filch__pool_cancel(&reactor.pool, &ops[2]));
	cr_assert_eq(depth(), OPS - 2);
	/* first and last of the queue */
	cr_assert(filch__pool_cancel(&reactor.pool, &ops[1]));
	cr_assert(filch__pool_cancel(&reactor.pool, &ops[4]));
	let_go(2);
	filch__pool_fini(&reactor.pool);
	cr_assert_eq(order_count, 2);
	cr_assert_eq(order[0], &ops[0]);
	cr_assert_eq(order[1], &ops[3]);
	cr_assert_eq(filch__u32_load_relaxed(&shard.pooled), 0);
}

Test(pool, an_operation_cancelled_on_its_way_ends_when_it_arrives)
{
	filch_op_init_call(&ops[0], call, &ops[0]);
	ops[0].priv.shard = &shard;
	cr_assert_not(filch__pool_cancel(&reactor.pool, &ops[0]));
	filch__pool_submit(&reactor.pool, &ops[0]);
	cr_assert_eq(order_count, 1);
	cr_assert_eq(ops[0].priv.result, -ECANCELED);
	cr_assert_neq(sem_trywait(&started), 0);
	filch__pool_fini(&reactor.pool);
	cr_assert_eq(filch__u32_load_relaxed(&shard.pooled), 0);
}

Test(pool, keeps_a_close_when_all_is_taken_out_of_the_queue)
{
	struct filch_file file = FILCH_FILE_INIT;
	struct filch_op close_op;
	struct filch_op *list;

	submit_all();
	filch_op_init_close(&close_op, &file);
	close_op.priv.directory = -1;
	close_op.priv.shard = &shard;
	filch__pool_submit(&reactor.pool, &close_op);
	list = filch__pool_remove_all(&reactor.pool);
	for (; list != NULL; list = list->priv.next) {
		cr_assert_neq(list, &close_op);
	}
	cr_assert_eq(depth(), 1);
	let_go(1);
	filch__pool_fini(&reactor.pool);
	cr_assert_eq(order_count, 2);
	cr_assert_eq(order[1], &close_op);
	cr_assert_eq(close_op.priv.result, -EBADF);
}

Test(pool, gives_back_the_whole_queue_in_order)
{
	struct filch_op *list;
	int count = 1;

	submit_all();
	list = filch__pool_remove_all(&reactor.pool);
	for (; list != NULL; list = list->priv.next) {
		cr_assert_eq(list, &ops[count]);
		count++;
	}
	cr_assert_eq(count, OPS);
	cr_assert_eq(depth(), 0);
	cr_assert_null(filch__pool_remove_all(&reactor.pool));
	let_go(1);
	filch__pool_fini(&reactor.pool);
	cr_assert_eq(order_count, 1);
	cr_assert_eq(filch__u32_load_relaxed(&shard.pooled), 0);
}

Test(pool, carries_out_what_is_queued_before_it_ends)
{
	submit_all();
	let_go(OPS);
	filch__pool_fini(&reactor.pool);
	cr_assert_eq(order_count, OPS);
}

Test(pool, work_that_comes_as_the_thread_goes_idle_is_carried_out)
{
	for (int i = 0; i < 1000; i++) {
		order_count = 0;
		filch_op_init_call(&ops[0], call, &ops[0]);
		ops[0].priv.shard = &shard;
		sem_post(&go);
		filch__pool_submit(&reactor.pool, &ops[0]);
		take_event(&completed);
	}
	filch__pool_fini(&reactor.pool);
	cr_assert_eq(filch__u32_load_relaxed(&shard.pooled), 0);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Somebody who can be woken, for the models of what wakes him: counts wakes,
 * and counts references the way a task does.
 */
#ifndef FILCH_TESTS_SLEEPER_HPP
#define FILCH_TESTS_SLEEPER_HPP

#include <filch/waker.h>

#include "model.hpp"

#include "../../include/private/atomic.h"

struct model_sleeper {
	filch__u64 wakes;
	filch__u64 references;

	/* One reference, its own. */
	void prepare()
	{
		filch__u64_store_relaxed(&wakes, 0);
		filch__u64_store_relaxed(&references, 1);
	}
	/* Wakes until now: what their wakers did is seen by who counts them. */
	uint64_t woken() const
	{
		return (filch__u64_load_acquire(&wakes));
	}
	/* Every waker that was ever made of it has been used up, once. */
	void check_waker_free() const
	{
		RL_ASSERT(filch__u64_load_relaxed(&references) == 1);
	}
	struct filch_waker waker();

	static struct model_sleeper *of(void *data)
	{
		return ((struct model_sleeper *)data);
	}
	static void clone(void *data)
	{
		RL_ASSERT(filch__u64_add_acq_rel(&of(data)->references, 1) > 0);
	}
	static void wake(void *data)
	{
		wake_by_ref(data);
		drop(data);
	}
	static void wake_by_ref(void *data)
	{
		RL_ASSERT(filch__u64_load_relaxed(&of(data)->references) > 0);
		(void)filch__u64_add_acq_rel(&of(data)->wakes, 1);
	}
	/* It is never the last: the sleeper's own comes after all wakers. */
	static void drop(void *data)
	{
		RL_ASSERT(filch__u64_add_acq_rel(
			      &of(data)->references, UINT64_MAX) > 1);
	}
};

static const struct filch_waker_vtable model_sleeper_vtable = {
	model_sleeper::clone,
	model_sleeper::wake,
	model_sleeper::wake_by_ref,
	model_sleeper::drop,
};

/* A waker without a reference: to be lent, or cloned. */
inline struct filch_waker
model_sleeper::waker()
{
	struct filch_waker lent = { &model_sleeper_vtable, this };

	return (lent);
}

#endif /* FILCH_TESTS_SLEEPER_HPP */

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Parking on a condition.
 */
#include "parker.h"

void
filch__parker_init(struct filch__parker *parker)
{
	/* relaxed: no other thread knows it yet */
	filch__u32_store_relaxed(&parker->word, FILCH__PARK_EMPTY);
	pthread_mutex_init(&parker->mutex, NULL);
	pthread_cond_init(&parker->woken, NULL);
}

void
filch__parker_fini(struct filch__parker *parker)
{
	pthread_cond_destroy(&parker->woken);
	pthread_mutex_destroy(&parker->mutex);
}

void
filch__parker_park(struct filch__parker *parker)
{
	pthread_mutex_lock(&parker->mutex);
	if (filch__park_begin(&parker->word)) {
		/* [PP1] pairs with filch__park_notify */
		while (filch__u32_load_seq_cst(&parker->word) ==
		    FILCH__PARK_SLEEPING) {
			pthread_cond_wait(&parker->woken, &parker->mutex);
		}
	}
	filch__park_end(&parker->word);
	pthread_mutex_unlock(&parker->mutex);
}

bool
filch__parker_wake(struct filch__parker *parker)
{
	if (!filch__park_notify(&parker->word)) {
		return (false);
	}
	pthread_mutex_lock(&parker->mutex);
	pthread_cond_signal(&parker->woken);
	pthread_mutex_unlock(&parker->mutex);
	return (true);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Injector: see injector.h for the protocol.
 */
#include "injector.h"

#include "../include/private/assert.h"

static struct filch_task *chain_reverse(struct filch_task *first);
static void list_refill(struct filch__injector *injector);

void
filch__injector_init(struct filch__injector *injector)
{
	/* relaxed: nobody else knows the injector yet */
	filch__ptr_store_relaxed(&injector->stack, NULL);
	filch__u64_store_relaxed(&injector->pushed, 0);
	filch__u64_store_relaxed(&injector->popped, 0);
	filch__u32_store_relaxed(&injector->left, 0);
	filch__plain_set(&injector->head, NULL);
	filch__lock_init(&injector->lock);
}

void
filch__injector_fini(struct filch__injector *injector)
{
	filch__assert(filch__injector_is_empty(injector));
	filch__lock_fini(&injector->lock);
}

void
filch__injector_push(struct filch__injector *injector, struct filch_task *first,
    struct filch_task *last, unsigned count)
{
	void *top;

	filch__assert(count > 0);
	/* The stack has the newest on top: the chain goes in upside down. */
	last->priv.next = NULL;
	if (first != last) {
		(void)chain_reverse(first);
	}
	/* [IJ4] pairs with the loads in count */
	(void)filch__u64_add_acq_rel(&injector->pushed, count);
	/* relaxed: the CAS checks it, and pushers read no link */
	top = filch__ptr_load_relaxed(&injector->stack);
	do {
		first->priv.next = (struct filch_task *)top;
		/* [IJ1] pairs with the exchange in list_refill;
		 * [IJ3] with the load of stack in is_empty */
	} while (!filch__ptr_cas_seq_cst(&injector->stack, &top, last));
}

unsigned
filch__injector_pop(
    struct filch__injector *injector, struct filch_task **tasks, unsigned max)
{
	struct filch_task *head;
	unsigned count = 0;

	if (filch__injector_is_empty(injector)) {
		return (0);
	}
	filch__lock_take(&injector->lock);
	while (count < max) {
		if (filch__plain_get(&injector->head) == NULL) {
			list_refill(injector);
		}
		head = filch__plain_get(&injector->head);
		if (head == NULL) {
			break;
		}
		tasks[count] = head;
		count++;
		filch__plain_set(&injector->head, head->priv.next);
	}
	head = filch__plain_get(&injector->head);
	/* relaxed: early or late, it only makes a worker look in vain */
	filch__u32_store_relaxed(&injector->left, head != NULL ? 1 : 0);
	/* relaxed load: only the lock's holder writes it.
	 * [IJ4] pairs with the load of popped in count */
	filch__u64_store_release(&injector->popped,
	    filch__u64_load_relaxed(&injector->popped) + count);
	filch__lock_leave(&injector->lock);
	return (count);
}

/* Turn a chain that ends in NULL round; returns its new first. */
static struct filch_task *
chain_reverse(struct filch_task *first)
{
	struct filch_task *reversed = NULL;

	while (first != NULL) {
		struct filch_task *next = first->priv.next;

		first->priv.next = reversed;
		reversed = first;
		first = next;
	}
	return (reversed);
}

/* Move the whole stack into the list, which is empty.  Lock held. */
static void
list_refill(struct filch__injector *injector)
{
	void *top;

	/* relaxed: a hint that saves the exchange */
	if (filch__ptr_load_relaxed(&injector->stack) == NULL) {
		return;
	}
	/* relaxed: the exchange releases it [IJ2] */
	filch__u32_store_relaxed(&injector->left, 1);
	/* [IJ1] pairs with the CAS in push; [IJ2] with the load in is_empty */
	top = filch__ptr_exchange_acq_rel(&injector->stack, NULL);
	filch__plain_set(
	    &injector->head, chain_reverse((struct filch_task *)top));
}

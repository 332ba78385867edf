/*
 * mpsc.h - lock-free queue: many threads push, one takes everything
 *
 * A stack of nodes; mpsc_take_all() returns it reversed, so oldest first. The
 * taker swaps the whole stack out at once, so there is no ABA problem.
 *
 * Invariants:  M1 a node is in at most one queue, and at most once
 *              M2 what was written before mpsc_push() is seen by the taker
 */
#ifndef RS_BASE_MPSC_H
#define RS_BASE_MPSC_H

#include "base/atomic.h"
#include "base/types.h"

struct mpsc_node {
	struct mpsc_node *next;
};

struct mpsc_queue {
	struct mpsc_node *head; /* (a) newest first */
};

static inline bool mpsc_is_empty(const struct mpsc_queue *queue)
{
	return load_relaxed(&queue->head) == NULL;
}

/* Any thread. Returns whether the queue was empty before. Full barrier. */
static inline bool mpsc_push(struct mpsc_queue *queue, struct mpsc_node *node)
{
	struct mpsc_node *head = load_relaxed(&queue->head);

	do {
		node->next = head;
	} while (!compare_exchange(&queue->head, &head, node));
	return head == NULL;
}

/* The one consumer. Returns the nodes linked by `next`, oldest first, or NULL. */
static inline struct mpsc_node *mpsc_take_all(struct mpsc_queue *queue)
{
	struct mpsc_node *node, *oldest_first = NULL;

	if (mpsc_is_empty(queue))
		return NULL;
	node = exchange_acquire(&queue->head, NULL); /* pairs with mpsc_push() */
	while (node != NULL) {
		struct mpsc_node *next = node->next;

		node->next = oldest_first;
		oldest_first = node;
		node = next;
	}
	return oldest_first;
}

#endif

/*
 * list.h - doubly linked list whose links live in the elements
 *
 * An empty list and an unlinked node point to themselves, so list_del() of an
 * unlinked node is harmless and list_is_linked() tells the truth.
 */
#ifndef RS_BASE_LIST_H
#define RS_BASE_LIST_H

#include "base/types.h"

struct list_node {
	struct list_node *next, *prev;
};

static inline void list_init(struct list_node *node)
{
	node->next = node->prev = node;
}

static inline bool list_is_empty(const struct list_node *head)
{
	return head->next == head;
}

static inline bool list_is_linked(const struct list_node *node)
{
	return node->next != node;
}

static inline void list_insert_before(struct list_node *node, struct list_node *at)
{
	node->prev = at->prev;
	node->next = at;
	at->prev->next = node;
	at->prev = node;
}

static inline void list_add(struct list_node *head, struct list_node *node)
{
	list_insert_before(node, head->next);
}

static inline void list_add_tail(struct list_node *head, struct list_node *node)
{
	list_insert_before(node, head);
}

static inline void list_del(struct list_node *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

/* Moves all of `from` to the tail of `to`; `from` is empty afterwards. */
static inline void list_splice_tail(struct list_node *to, struct list_node *from)
{
	if (list_is_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

#define list_entry(node, type, member) container_of(node, type, member)
#define list_first(head, type, member) list_entry((head)->next, type, member)
#define list_last(head, type, member)  list_entry((head)->prev, type, member)

#define list_for_each(pos, head) for ((pos) = (head)->next; (pos) != (head); (pos) = (pos)->next)

/* The node in `pos`, by arithmetic: behind the last element `pos` is no element, and not aligned
 * as one. */
#define list_node_in(pos, member)                                                                  \
	((struct list_node *)(void *)((char *)(pos) + offsetof(__typeof__(*(pos)), member)))
#define list_next_entry(pos, member)                                                               \
	list_first(list_node_in(pos, member), __typeof__(*(pos)), member)

/* The element at `pos` may be unlinked in the body; no other element may. */
#define list_for_each_entry_safe(pos, tmp, head, member)                                           \
	for ((pos) = list_first((head), __typeof__(*(pos)), member),                               \
	    (tmp) = list_next_entry(pos, member);                                                  \
	     list_node_in(pos, member) != (head);                                                  \
	     (pos) = (tmp), (tmp) = list_next_entry(pos, member))

#define list_for_each_entry(pos, head, member)                                                     \
	for ((pos) = list_first((head), __typeof__(*(pos)), member);                               \
	     list_node_in(pos, member) != (head); (pos) = list_next_entry(pos, member))

#endif

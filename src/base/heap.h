/*
 * heap.h - 4-ary min-heap of nodes that know their place
 *
 * Ordered by `key`; nodes of one key leave in no promised order. Insertion
 * and removal are O(log n); the array grows by doubling and never shrinks.
 * The owner of the heap serialises all calls.
 */
#ifndef RS_BASE_HEAP_H
#define RS_BASE_HEAP_H

#include "base/types.h"

#define HEAP_NOWHERE UINT32_MAX

struct heap_node {
	u64 key;
	u32 index; /* place in the array, HEAP_NOWHERE when in no heap */
};

struct heap {
	struct heap_node **nodes;
	u32 count, capacity;
};

static inline void heap_node_init(struct heap_node *node)
{
	node->index = HEAP_NOWHERE;
}

static inline bool heap_has(const struct heap_node *node)
{
	return node->index != HEAP_NOWHERE;
}

static inline struct heap_node *heap_first(const struct heap *heap)
{
	return heap->count ? heap->nodes[0] : NULL;
}

/* 0, or -ENOMEM and the node is not in the heap. */
int heap_insert(struct heap *heap, struct heap_node *node);
void heap_remove(struct heap *heap, struct heap_node *node);
void heap_destroy(struct heap *heap);

#endif

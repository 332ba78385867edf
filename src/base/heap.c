/*
 * heap.c - 4-ary min-heap
 *
 * Four children a node: half the depth of a binary heap, and the children of
 * a node share a cache line.
 *
 * Invariants:  H1 nodes[i]->index == i
 *              H2 a parent's key is not above its child's
 */
#include "base/heap.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "base/pages.h"

#define ARITY        4
#define FIRST_GROWTH 512 /* nodes: one page of pointers */

static void heap_place(struct heap *heap, u32 index, struct heap_node *node)
{
	heap->nodes[index] = node;
	node->index = index;
}

static void heap_sift_up(struct heap *heap, u32 index, struct heap_node *node)
{
	while (index > 0) {
		u32 parent = (index - 1) / ARITY;

		if (heap->nodes[parent]->key <= node->key)
			break;
		heap_place(heap, index, heap->nodes[parent]);
		index = parent;
	}
	heap_place(heap, index, node);
}

static void heap_sift_down(struct heap *heap, u32 index, struct heap_node *node)
{
	for (;;) {
		u32 child = index * ARITY + 1, end, smallest;

		if (child >= heap->count)
			break;
		end = min_of(child + ARITY, heap->count);
		for (smallest = child++; child < end; child++)
			if (heap->nodes[child]->key < heap->nodes[smallest]->key)
				smallest = child;
		if (node->key <= heap->nodes[smallest]->key)
			break;
		heap_place(heap, index, heap->nodes[smallest]);
		index = smallest;
	}
	heap_place(heap, index, node);
}

static int heap_grow(struct heap *heap)
{
	u32 capacity = heap->capacity ? heap->capacity * 2 : FIRST_GROWTH;
	struct heap_node **nodes = pages_grow(heap->nodes, heap->capacity * sizeof(*nodes),
					      (size_t)capacity * sizeof(*nodes));

	if (nodes == NULL)
		return -ENOMEM;
	heap->nodes = nodes;
	heap->capacity = capacity;
	return 0;
}

int heap_insert(struct heap *heap, struct heap_node *node)
{
	rs_assert(!heap_has(node));
	if (heap->count == heap->capacity) {
		int err = heap_grow(heap);

		if (err)
			return err;
	}
	heap_sift_up(heap, heap->count++, node);
	return 0;
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
	struct heap_node *last;
	u32 index = node->index;

	rs_assert(index < heap->count && heap->nodes[index] == node);
	node->index = HEAP_NOWHERE;
	last = heap->nodes[--heap->count];
	if (last == node)
		return;
	if (index > 0 && last->key < heap->nodes[(index - 1) / ARITY]->key)
		heap_sift_up(heap, index, last);
	else
		heap_sift_down(heap, index, last);
}

void heap_destroy(struct heap *heap)
{
	pages_free(heap->nodes, heap->capacity * sizeof(*heap->nodes));
	*heap = (struct heap){0};
}

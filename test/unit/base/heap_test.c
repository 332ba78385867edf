/*
 * heap_test.c - the heap against a plain array
 */
#include "base/heap.h"

#include "unit.h"

#define NODES 2000

static struct heap_node nodes[NODES];

/* H1 and H2 of heap.c. */
static void assert_is_heap(const struct heap *heap)
{
	for (u32 i = 0; i < heap->count; i++) {
		assert_int_equal(heap->nodes[i]->index, i);
		if (i > 0)
			assert_true(heap->nodes[(i - 1) / 4]->key <= heap->nodes[i]->key);
	}
}

static u64 smallest_key_by_search(void)
{
	u64 smallest = UINT64_MAX;

	for (int i = 0; i < NODES; i++)
		if (heap_has(&nodes[i]))
			smallest = min_of(smallest, nodes[i].key);
	return smallest;
}

static void an_empty_heap_has_no_first(void **state)
{
	struct heap heap = {0};

	(void)state;
	assert_null(heap_first(&heap));
	heap_destroy(&heap);
}

static void nodes_leave_in_the_order_of_their_keys(void **state)
{
	struct heap heap = {0};
	u64 random = 1, last = 0;

	(void)state;
	for (int i = 0; i < NODES; i++) {
		heap_node_init(&nodes[i]);
		nodes[i].key = unit_random(&random) % 500; /* with many equal ones */
		assert_int_equal(heap_insert(&heap, &nodes[i]), 0);
	}
	assert_is_heap(&heap);
	for (int i = 0; i < NODES; i++) {
		struct heap_node *first = heap_first(&heap);

		assert_true(first->key >= last);
		last = first->key;
		heap_remove(&heap, first);
		assert_false(heap_has(first));
	}
	assert_null(heap_first(&heap));
	heap_destroy(&heap);
}

static void random_insertions_and_removals_agree_with_a_search(void **state)
{
	struct heap heap = {0};
	u64 random = 2;
	u32 present = 0;

	(void)state;
	for (int i = 0; i < NODES; i++)
		heap_node_init(&nodes[i]);
	for (int step = 0; step < 20000; step++) {
		struct heap_node *node = &nodes[unit_random(&random) % NODES];

		if (heap_has(node)) {
			heap_remove(&heap, node);
			present--;
		} else {
			node->key = unit_random(&random);
			assert_int_equal(heap_insert(&heap, node), 0);
			present++;
		}
		assert_int_equal(heap.count, present);
		if (step % 64 == 0) {
			assert_is_heap(&heap);
			if (present)
				assert_int_equal(heap_first(&heap)->key, smallest_key_by_search());
		}
	}
	heap_destroy(&heap);
	assert_int_equal(heap.count, 0);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(an_empty_heap_has_no_first),
	cmocka_unit_test(nodes_leave_in_the_order_of_their_keys),
	cmocka_unit_test(random_insertions_and_removals_agree_with_a_search),
};

unit_main(tests)

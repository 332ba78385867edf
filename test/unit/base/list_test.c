/*
 * list_test.c - the doubly linked list
 */
#include "base/list.h"

#include "unit.h"

struct element {
	struct list_node node;
	int number;
};

static struct element elements[8];
static struct list_node list;

static int setup(void **state)
{
	(void)state;
	list_init(&list);
	for (int i = 0; i < (int)ARRAY_SIZE(elements); i++) {
		list_init(&elements[i].node);
		elements[i].number = i;
	}
	return 0;
}

/* The list's numbers are those of `expected`, forward and backward; -1 ends it. */
static void assert_numbers(const struct list_node *head, const int *expected)
{
	const struct list_node *node;
	int count = 0;

	list_for_each (node, head)
		assert_int_equal(list_entry(node, struct element, node)->number, expected[count++]);
	assert_int_equal(expected[count], -1);
	for (node = head; count > 0; count--) {
		node = node->prev;
		assert_int_equal(list_entry(node, struct element, node)->number,
				 expected[count - 1]);
	}
	assert_ptr_equal(node->prev, head);
}

static void adding_at_both_ends_and_before_a_node_keeps_the_order(void **state)
{
	(void)state;
	assert_true(list_is_empty(&list));
	list_add_tail(&list, &elements[2].node);
	list_add(&list, &elements[0].node);
	list_insert_before(&elements[1].node, &elements[2].node);
	list_add_tail(&list, &elements[3].node);
	assert_numbers(&list, (const int[]){0, 1, 2, 3, -1});
	assert_int_equal(list_first(&list, struct element, node)->number, 0);
	assert_int_equal(list_last(&list, struct element, node)->number, 3);
}

static void a_deleted_node_is_unlinked_and_may_be_deleted_again(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		list_add_tail(&list, &elements[i].node);
	assert_true(list_is_linked(&elements[1].node));
	list_del(&elements[1].node);
	assert_false(list_is_linked(&elements[1].node));
	list_del(&elements[1].node);
	assert_numbers(&list, (const int[]){0, 2, -1});
}

static void a_spliced_list_is_appended_and_leaves_its_source_empty(void **state)
{
	struct list_node other;

	(void)state;
	list_init(&other);
	list_splice_tail(&list, &other);
	assert_true(list_is_empty(&list));
	list_add_tail(&list, &elements[0].node);
	list_add_tail(&other, &elements[1].node);
	list_add_tail(&other, &elements[2].node);
	list_splice_tail(&list, &other);
	assert_true(list_is_empty(&other));
	assert_numbers(&list, (const int[]){0, 1, 2, -1});
}

static void the_safe_loop_survives_unlinking_each_element(void **state)
{
	struct element *element, *next;
	int seen = 0;

	(void)state;
	for (int i = 0; i < 8; i++)
		list_add_tail(&list, &elements[i].node);
	list_for_each_entry_safe (element, next, &list, node) {
		assert_int_equal(element->number, seen++);
		list_del(&element->node);
	}
	assert_int_equal(seen, 8);
	assert_true(list_is_empty(&list));
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test_setup(adding_at_both_ends_and_before_a_node_keeps_the_order, setup),
	cmocka_unit_test_setup(a_deleted_node_is_unlinked_and_may_be_deleted_again, setup),
	cmocka_unit_test_setup(a_spliced_list_is_appended_and_leaves_its_source_empty, setup),
	cmocka_unit_test_setup(the_safe_loop_survives_unlinking_each_element, setup),
};

unit_main(tests)

/*
 * sq_test.c - fetching SQEs from memory that the program may overwrite at any time
 */
#include "ring/sq.h"

#include "unit.h"

#define ENTRIES 8u

static struct {
	struct ring_header header;
	u32 array[ENTRIES];
	struct io_uring_sqe sqes[ENTRIES];
} shared;
static struct ring_memory memory;
static struct sq sq;

static int start(void **state)
{
	(void)state;
	memset(&shared, 0, sizeof(shared));
	memory = (struct ring_memory){
		.header = &shared.header,
		.sq_array = shared.array,
		.sqes = (char *)shared.sqes,
		.sq_entries = ENTRIES,
		.sqe_shift = 6,
	};
	for (u32 i = 0; i < ENTRIES; i++) {
		shared.array[i] = i;
		shared.sqes[i].user_data = i;
	}
	sq = (struct sq){0};
	return 0;
}

static void an_empty_queue_has_nothing_ready(void **state)
{
	(void)state;
	assert_int_equal(sq_ready(&sq, &memory), 0);
	shared.header.sq_tail = 3;
	assert_int_equal(sq_ready(&sq, &memory), 3);
}

static void entries_come_in_order_across_the_wrap_of_queue_and_counter(void **state)
{
	(void)state;
	sq.head = shared.header.sq_head = shared.header.sq_tail = UINT32_MAX - 2;
	for (u32 i = 0; i < 3 * ENTRIES; i++) {
		const struct io_uring_sqe *sqe;

		shared.header.sq_tail++;
		assert_int_equal(sq_ready(&sq, &memory), 1);
		assert_ptr_equal(sq_peek(&sq, &memory), sq_peek(&sq, &memory));
		sqe = sq_fetch(&sq, &memory);
		assert_ptr_equal(sqe, &shared.sqes[(UINT32_MAX - 2 + i) % ENTRIES]);
	}
	assert_int_equal(sq.head, 3 * ENTRIES - 3);
}

static void the_head_is_published_by_the_commit_only(void **state)
{
	(void)state;
	shared.header.sq_tail = 2;
	sq_fetch(&sq, &memory);
	sq_fetch(&sq, &memory);
	assert_int_equal(shared.header.sq_head, 0);
	sq_commit(&sq, &memory);
	assert_int_equal(shared.header.sq_head, 2);
}

static void a_tail_far_ahead_or_behind_counts_as_a_full_queue_at_most(void **state)
{
	static const u32 tails[] = {ENTRIES + 1, 1000, INT32_MAX, 1u << 31, UINT32_MAX};

	(void)state;
	for (u32 i = 0; i < ARRAY_SIZE(tails); i++) {
		shared.header.sq_tail = tails[i];
		assert_int_equal(sq_ready(&sq, &memory), ENTRIES);
	}
}

static void a_head_that_the_program_overwrites_changes_nothing(void **state)
{
	(void)state;
	shared.header.sq_tail = 2;
	shared.header.sq_head = 77;
	assert_int_equal(sq_ready(&sq, &memory), 2);
	assert_ptr_equal(sq_fetch(&sq, &memory), &shared.sqes[0]);
	sq_commit(&sq, &memory);
	assert_int_equal(shared.header.sq_head, 1);
}

static void sizes_and_masks_in_shared_memory_are_not_believed(void **state)
{
	(void)state;
	shared.header.sq_ring_entries = 1u << 20;
	shared.header.sq_ring_mask = (1u << 20) - 1;
	shared.header.sq_tail = 1u << 19;
	sq.head = ENTRIES + 1;
	assert_int_equal(sq_ready(&sq, &memory), ENTRIES);
	assert_ptr_equal(sq_fetch(&sq, &memory), &shared.sqes[1]);
}

static void an_index_beyond_the_queue_is_dropped_and_counted(void **state)
{
	static const u32 indices[] = {ENTRIES, ENTRIES + 1, 1u << 31, UINT32_MAX};

	(void)state;
	for (u32 i = 0; i < ARRAY_SIZE(indices); i++) {
		shared.array[sq.head % ENTRIES] = indices[i];
		assert_null(sq_peek(&sq, &memory));
		assert_null(sq_fetch(&sq, &memory));
		assert_int_equal(shared.header.sq_dropped, i + 1);
	}
	assert_int_equal(sq.head, ARRAY_SIZE(indices));
	assert_ptr_equal(sq_fetch(&sq, &memory), &shared.sqes[ARRAY_SIZE(indices)]);
}

static void the_array_may_name_entries_in_any_order_and_twice(void **state)
{
	(void)state;
	shared.array[0] = 5;
	shared.array[1] = 5;
	shared.array[2] = 0;
	assert_ptr_equal(sq_fetch(&sq, &memory), &shared.sqes[5]);
	assert_ptr_equal(sq_fetch(&sq, &memory), &shared.sqes[5]);
	assert_ptr_equal(sq_fetch(&sq, &memory), &shared.sqes[0]);
}

static void without_an_array_entries_are_taken_as_they_lie(void **state)
{
	(void)state;
	memory.sq_array = NULL;
	shared.array[1] = 99;
	sq.head = ENTRIES + 1;
	assert_ptr_equal(sq_fetch(&sq, &memory), &shared.sqes[1]);
	assert_int_equal(shared.header.sq_dropped, 0);
}

static void entries_of_128_bytes_are_that_far_apart(void **state)
{
	(void)state;
	memory.sqe_shift = 7;
	sq.head = 2;
	assert_ptr_equal(sq_fetch(&sq, &memory), &shared.sqes[4]);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test_setup(an_empty_queue_has_nothing_ready, start),
	cmocka_unit_test_setup(entries_come_in_order_across_the_wrap_of_queue_and_counter, start),
	cmocka_unit_test_setup(the_head_is_published_by_the_commit_only, start),
	cmocka_unit_test_setup(a_tail_far_ahead_or_behind_counts_as_a_full_queue_at_most, start),
	cmocka_unit_test_setup(a_head_that_the_program_overwrites_changes_nothing, start),
	cmocka_unit_test_setup(sizes_and_masks_in_shared_memory_are_not_believed, start),
	cmocka_unit_test_setup(an_index_beyond_the_queue_is_dropped_and_counted, start),
	cmocka_unit_test_setup(the_array_may_name_entries_in_any_order_and_twice, start),
	cmocka_unit_test_setup(without_an_array_entries_are_taken_as_they_lie, start),
	cmocka_unit_test_setup(entries_of_128_bytes_are_that_far_apart, start),
};

unit_main(tests)

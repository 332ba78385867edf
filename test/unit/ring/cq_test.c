/*
 * cq_test.c - posting CQEs, the backlog of a full queue, and its flag
 */
#include "ring/cq.h"

#include "unit.h"

#define ENTRIES 4u

static struct {
	struct ring_header header;
	u64 cqes[ENTRIES * 4];
} shared;
static struct ring_memory memory;
static struct cq cq;

static int start(void **state)
{
	(void)state;
	memset(&shared, 0, sizeof(shared));
	memory = (struct ring_memory){
		.header = &shared.header,
		.cqes = (char *)shared.cqes,
		.cq_entries = ENTRIES,
		.cqe_shift = 4,
	};
	cq_init(&cq);
	return 0;
}

static int end(void **state)
{
	(void)state;
	cq_destroy(&cq);
	return 0;
}

static bool post(u64 user_data)
{
	return cq_post(&cq, &memory, user_data, (s32)user_data * 10, (u32)user_data * 100, NULL);
}

static void expect_at(u32 position, u64 user_data)
{
	const struct io_uring_cqe *cqe =
		(const void *)(memory.cqes + ((size_t)(position % ENTRIES) << memory.cqe_shift));

	assert_int_equal(cqe->user_data, user_data);
	assert_int_equal(cqe->res, (s32)user_data * 10);
	assert_int_equal(cqe->flags, (u32)user_data * 100);
}

static bool has_flag(void)
{
	return shared.header.sq_flags & IORING_SQ_CQ_OVERFLOW;
}

static void a_cqe_is_shown_by_the_commit_only(void **state)
{
	(void)state;
	assert_true(post(1));
	assert_int_equal(shared.header.cq_tail, 0);
	cq_commit(&cq, &memory);
	assert_int_equal(shared.header.cq_tail, 1);
	assert_int_equal(cq_ready(&cq, &memory), 1);
	expect_at(0, 1);
}

static void cqes_keep_their_order_across_the_wrap_of_the_counter(void **state)
{
	u32 first = UINT32_MAX - 5;

	(void)state;
	cq.tail = cq.limit = shared.header.cq_head = first;
	for (u32 i = 0; i < 20; i++) {
		assert_true(post(i));
		expect_at(first + i, i);
		shared.header.cq_head++;
	}
	assert_int_equal(cq.tail, first + 20);
}

static void a_full_queue_sends_cqes_to_the_backlog_and_raises_the_flag(void **state)
{
	(void)state;
	for (u32 i = 0; i < ENTRIES; i++)
		assert_true(post(i));
	assert_false(has_flag());
	assert_false(post(ENTRIES));
	assert_true(has_flag());
	assert_int_equal(cq.backlog_count, 1);
	assert_int_equal(cq.tail, ENTRIES);
	assert_int_equal(shared.header.cq_overflow, 0);
	for (u32 i = 0; i < ENTRIES; i++)
		expect_at(i, i);
}

static void a_cqe_lines_up_behind_the_backlog_though_there_is_room_again(void **state)
{
	(void)state;
	for (u32 i = 0; i < ENTRIES + 2; i++)
		post(i);
	shared.header.cq_head = ENTRIES;
	assert_false(post(ENTRIES + 2));
	assert_int_equal(cq.backlog_count, 3);
	cq_flush_backlog(&cq, &memory);
	assert_int_equal(cq.backlog_count, 0);
	assert_false(has_flag());
	for (u32 i = 0; i < 3; i++)
		expect_at(ENTRIES + i, ENTRIES + i);
	assert_true(post(7));
	expect_at(7, 7);
	assert_false(post(8));
}

static void a_flush_moves_what_fits_and_leaves_the_flag_for_the_rest(void **state)
{
	(void)state;
	for (u32 i = 0; i < 3 * ENTRIES; i++)
		post(i);
	cq_flush_backlog(&cq, &memory);
	assert_int_equal(cq.backlog_count, 2 * ENTRIES);
	shared.header.cq_head = 1;
	cq_flush_backlog(&cq, &memory);
	assert_int_equal(cq.backlog_count, 2 * ENTRIES - 1);
	assert_true(has_flag());
	expect_at(ENTRIES, ENTRIES);
	/* No CQE may pass the ones that still wait. */
	shared.header.cq_head = 2;
	assert_false(post(99));
	shared.header.cq_head = cq.tail;
	cq_flush_backlog(&cq, &memory);
	for (u32 i = ENTRIES + 1; i < 2 * ENTRIES + 1; i++)
		expect_at(i, i);
}

static void heads_that_make_no_sense_overwrite_nothing(void **state)
{
	static const u32 heads[] = {1000, UINT32_MAX, 1u << 31, ENTRIES + 1};

	(void)state;
	for (u32 i = 0; i < ENTRIES; i++)
		post(i);
	for (u32 i = 0; i < ARRAY_SIZE(heads); i++) {
		shared.header.cq_head = heads[i];
		assert_false(post(50 + i));
		cq_flush_backlog(&cq, &memory);
	}
	for (u32 i = 0; i < ENTRIES; i++)
		expect_at(i, i);
	assert_int_equal(cq.backlog_count, ARRAY_SIZE(heads));
}

static void a_tail_that_the_program_overwrites_changes_nothing(void **state)
{
	(void)state;
	assert_true(post(0));
	cq_commit(&cq, &memory);
	shared.header.cq_tail = 12345;
	shared.header.cq_ring_mask = UINT32_MAX;
	shared.header.cq_ring_entries = UINT32_MAX;
	for (u32 i = 1; i < ENTRIES; i++)
		assert_true(post(i));
	assert_false(post(9));
	cq_commit(&cq, &memory);
	assert_int_equal(shared.header.cq_tail, ENTRIES);
}

static void a_cqe_of_32_bytes_carries_its_second_half_also_through_the_backlog(void **state)
{
	const u64 extra[2] = {11, 22};

	(void)state;
	memory.cqe_shift = 5;
	for (u32 i = 0; i < ENTRIES; i++)
		assert_true(cq_post(&cq, &memory, i, 0, 0, i == 1 ? extra : NULL));
	assert_int_equal(shared.cqes[2], 0);
	assert_int_equal(shared.cqes[6], 11);
	assert_int_equal(shared.cqes[7], 22);
	assert_false(cq_post(&cq, &memory, 4, 0, 0, extra));
	assert_false(cq_post(&cq, &memory, 5, 0, 0, NULL));
	shared.header.cq_head = ENTRIES;
	cq_flush_backlog(&cq, &memory);
	assert_int_equal(shared.cqes[0], 4);
	assert_int_equal(shared.cqes[2], 11);
	assert_int_equal(shared.cqes[3], 22);
	assert_int_equal(shared.cqes[6], 0);
}

static void without_memory_for_the_backlog_a_lost_cqe_is_counted(void **state)
{
	(void)state;
	cq.slab.limit = cq.slab.total; /* no chunk may be added */
	for (u32 i = 0; i < ENTRIES + 2; i++)
		post(i);
	assert_int_equal(shared.header.cq_overflow, 2);
	assert_true(cq.is_dropped);
	assert_int_equal(cq.backlog_count, 0);
	assert_false(has_flag());
	shared.header.cq_head = ENTRIES;
	assert_true(post(1));
}

static void a_queue_with_a_backlog_can_be_destroyed(void **state)
{
	(void)state;
	for (u32 i = 0; i < 1000; i++)
		post(i);
	cq_destroy(&cq);
	assert_int_equal(cq.backlog_count, 0);
	cq_init(&cq);
}

/* A CQE of 32 bytes in a queue of both sizes. */
static bool post_wide(u64 user_data)
{
	u64 extra[2] = {user_data + 1, user_data + 2};

	memory.has_mixed_cqes = true;
	return cq_post(&cq, &memory, user_data, 0, 0, extra);
}

static void expect_wide_at(u32 position, u64 user_data)
{
	const struct io_uring_cqe *cqe =
		(const void *)(memory.cqes + ((size_t)(position % ENTRIES) << memory.cqe_shift));

	assert_int_equal(cqe->user_data, user_data);
	assert_int_equal(cqe->flags, IORING_CQE_F_32);
	assert_int_equal(cqe->big_cqe[0], user_data + 1);
	assert_int_equal(cqe->big_cqe[1], user_data + 2);
}

static void a_wide_cqe_takes_two_entries(void **state)
{
	(void)state;
	assert_true(post_wide(1));
	assert_true(post(2));
	assert_int_equal(cq.tail, 3);
	expect_wide_at(0, 1);
	expect_at(2, 2);
}

static void the_last_entry_is_filled_where_a_wide_cqe_would_wrap(void **state)
{
	const struct io_uring_cqe *filler = (const void *)(shared.cqes + 6);

	(void)state;
	for (u64 i = 1; i <= 3; i++)
		assert_true(post(i));
	shared.header.cq_head = 2;
	assert_true(post_wide(7));
	assert_int_equal(cq.tail, 6);
	assert_int_equal(filler->flags, IORING_CQE_F_SKIP);
	assert_int_equal(filler->user_data, 0);
	expect_wide_at(4, 7);
	assert_false(has_flag());
}

static void wide_and_small_cqes_keep_their_order_in_the_backlog(void **state)
{
	(void)state;
	assert_true(post_wide(1));
	assert_true(post(2));
	assert_false(post_wide(3)); /* only the filler fits */
	assert_false(post(4));      /* and nothing goes past it */
	assert_false(post_wide(5));
	assert_int_equal(cq.tail, 4);
	shared.header.cq_head = 3; /* the filler is still there */
	cq_flush_backlog(&cq, &memory);
	assert_int_equal(cq.tail, 7);
	expect_wide_at(4, 3);
	expect_at(6, 4);
	assert_true(has_flag());
	shared.header.cq_head = 7;
	cq_flush_backlog(&cq, &memory);
	expect_wide_at(8, 5);
	assert_int_equal(cq.tail, 10);
	assert_false(has_flag());
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test_setup_teardown(a_cqe_is_shown_by_the_commit_only, start, end),
	cmocka_unit_test_setup_teardown(cqes_keep_their_order_across_the_wrap_of_the_counter, start,
					end),
	cmocka_unit_test_setup_teardown(a_full_queue_sends_cqes_to_the_backlog_and_raises_the_flag,
					start, end),
	cmocka_unit_test_setup_teardown(
		a_cqe_lines_up_behind_the_backlog_though_there_is_room_again, start, end),
	cmocka_unit_test_setup_teardown(a_flush_moves_what_fits_and_leaves_the_flag_for_the_rest,
					start, end),
	cmocka_unit_test_setup_teardown(heads_that_make_no_sense_overwrite_nothing, start, end),
	cmocka_unit_test_setup_teardown(a_tail_that_the_program_overwrites_changes_nothing, start,
					end),
	cmocka_unit_test_setup_teardown(
		a_cqe_of_32_bytes_carries_its_second_half_also_through_the_backlog, start, end),
	cmocka_unit_test_setup_teardown(without_memory_for_the_backlog_a_lost_cqe_is_counted, start,
					end),
	cmocka_unit_test_setup_teardown(a_queue_with_a_backlog_can_be_destroyed, start, end),
	cmocka_unit_test_setup_teardown(a_wide_cqe_takes_two_entries, start, end),
	cmocka_unit_test_setup_teardown(the_last_entry_is_filled_where_a_wide_cqe_would_wrap, start,
					end),
	cmocka_unit_test_setup_teardown(wide_and_small_cqes_keep_their_order_in_the_backlog, start,
					end),
};

unit_main(tests)

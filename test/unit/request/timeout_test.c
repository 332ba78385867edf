/*
 * timeout_test.c - TIMEOUT by time and by count, repeated, updated, removed
 */
#include <errno.h>

#include "host/clock.h"
#include "request/timer.h"
#include "unit_ring.h"

static struct unit_ring ring;

static int start(void **state)
{
	(void)state;
	unit_ring_open(&ring, 32, 0);
	return 0;
}

static int end(void **state)
{
	(void)state;
	assert_int_equal(unit_ring_field(&ring, requests.used), 0);
	assert_int_equal(unit_ring_field(&ring, timers.count), 0);
	assert_ptr_equal(unit_ring_field(&ring, count_timeouts.next),
			 &unit_ring_inside(&ring)->count_timeouts);
	unit_ring_close(&ring);
	return 0;
}

static void sqe_remove(u64 user_data, u64 target)
{
	unit_sqe(&ring, IORING_OP_TIMEOUT_REMOVE, user_data)->addr = target;
}

static void sqe_update(u64 user_data, u64 target, const struct abi_timespec *ts, u32 flags)
{
	struct io_uring_sqe *sqe = unit_sqe(&ring, IORING_OP_TIMEOUT_REMOVE, user_data);

	sqe->addr = target;
	sqe->addr2 = (u64)ts;
	sqe->timeout_flags = IORING_TIMEOUT_UPDATE | flags;
}

static void a_timeout_fires_not_before_its_time(void **state)
{
	static const struct abi_timespec pause = {.tv_nsec = 20 * UNIT_MS};
	u64 begin = clock_ns(CLOCK_MONOTONIC);

	(void)state;
	unit_sqe_timeout(&ring, 0, &pause, 0, 0);
	unit_submit(&ring);
	unit_expect(&ring, 0, -ETIME);
	assert_true(clock_ns(CLOCK_MONOTONIC) - begin >= 20 * UNIT_MS);
}

static void timeouts_fire_in_the_order_of_their_times(void **state)
{
	static const u32 order[] = {3, 0, 4, 1, 2};
	struct abi_timespec ts[5];

	(void)state;
	for (u32 i = 0; i < 5; i++) {
		ts[i] = (struct abi_timespec){.tv_nsec = (1 + order[i]) * 3 * UNIT_MS};
		unit_sqe_timeout(&ring, order[i], &ts[i], 0, 0);
	}
	unit_submit(&ring);
	memset(ts, 0xff, sizeof(ts)); /* it was copied when it was submitted */
	for (u32 i = 0; i < 5; i++)
		unit_expect(&ring, i, -ETIME);
}

static void an_absolute_time_is_of_the_clock_it_names(void **state)
{
	static const struct {
		u32 flag;
		clockid_t clock;
	} clocks[] = {
		{0, CLOCK_MONOTONIC},
		{IORING_TIMEOUT_BOOTTIME, CLOCK_BOOTTIME},
		{IORING_TIMEOUT_REALTIME, CLOCK_REALTIME},
	};

	(void)state;
	for (u32 i = 0; i < ARRAY_SIZE(clocks); i++) {
		u64 at = clock_ns(clocks[i].clock) + 5 * UNIT_MS;
		struct abi_timespec ts = {.tv_sec = (s64)(at / NS_PER_SEC),
					  .tv_nsec = (s64)(at % NS_PER_SEC)};

		unit_sqe_timeout(&ring, i, &ts, 0, IORING_TIMEOUT_ABS | clocks[i].flag);
		unit_submit(&ring);
		unit_expect(&ring, i, -ETIME);
		assert_true(clock_ns(clocks[i].clock) >= at);
		/* What has been is due at once. */
		unit_sqe_timeout(&ring, i, &unit_millisecond, 0,
				 IORING_TIMEOUT_ABS | clocks[i].flag);
		unit_submit(&ring);
		unit_expect(&ring, i, -ETIME);
	}
}

static void arguments_that_make_no_sense_are_refused(void **state)
{
	static const struct abi_timespec negative = {.tv_sec = -1}, nanoseconds = {.tv_nsec = -1};
	struct io_uring_sqe *sqe;

	(void)state;
	unit_catch_faults();
#define EXPECT_INVALID()                                                                           \
	do {                                                                                       \
		assert_int_equal(unit_enter(&ring, 0, 0), 1);                                      \
		unit_expect(&ring, 0, -EINVAL);                                                    \
	} while (0)
	unit_sqe_timeout(&ring, 0, &negative, 0, 0);
	EXPECT_INVALID();
	unit_sqe_timeout(&ring, 0, &nanoseconds, 0, 0);
	EXPECT_INVALID();
	unit_sqe_timeout(&ring, 0, &unit_hour, 0,
			 IORING_TIMEOUT_REALTIME | IORING_TIMEOUT_BOOTTIME);
	EXPECT_INVALID();
	unit_sqe_timeout(&ring, 0, &unit_hour, 0, IORING_TIMEOUT_MULTISHOT | IORING_TIMEOUT_ABS);
	EXPECT_INVALID();
	unit_sqe_timeout(&ring, 0, &unit_hour, 0, 1u << 30);
	EXPECT_INVALID();
	sqe = unit_sqe_timeout(&ring, 0, &unit_hour, 0, 0);
	sqe->len = 2;
	EXPECT_INVALID();
	sqe = unit_sqe_timeout(&ring, 0, &unit_hour, 0, 0);
	sqe->buf_index = 1;
	EXPECT_INVALID();
	unit_sqe_timeout(&ring, 0, NULL, 0, 0);
	assert_int_equal(unit_enter(&ring, 0, 0), 1);
	unit_expect(&ring, 0, -EFAULT);
}

static void times_that_overflow_are_far_in_the_future(void **state)
{
	u64 now = clock_ns(CLOCK_MONOTONIC);

	(void)state;
	assert_int_equal(timer_deadline(TIMER_NEVER - 1, 0), TIMER_NEVER - 1);
	assert_true(timer_deadline(TIMER_NEVER - 1, IORING_TIMEOUT_ABS) > TIMER_NEVER - NS_PER_SEC);
	assert_true(timer_deadline(0, IORING_TIMEOUT_ABS) >= now);
	assert_true(timer_deadline(5, 0) >= now + 5);
}

/* By count */

static void a_count_is_reached_by_that_many_cqes(void **state)
{
	(void)state;
	unit_sqe_timeout(&ring, 9, &unit_hour, 3, 0);
	unit_sqe(&ring, IORING_OP_NOP, 0);
	unit_sqe(&ring, IORING_OP_NOP, 1);
	unit_submit(&ring);
	unit_expect(&ring, 0, 0);
	unit_expect(&ring, 1, 0);
	unit_expect_none(&ring);
	unit_sqe(&ring, IORING_OP_NOP, 2);
	unit_submit(&ring);
	unit_expect(&ring, 2, 0);
	unit_expect(&ring, 9, 0);
}

static void counts_are_served_in_their_order_and_timeouts_do_not_count(void **state)
{
	(void)state;
	unit_sqe_timeout(&ring, 12, &unit_hour, 2, 0);
	unit_sqe_timeout(&ring, 11, &unit_hour, 1, 0);
	unit_sqe_timeout(&ring, 13, &unit_hour, 3, 0);
	unit_sqe_timeout(&ring, 20, &unit_millisecond, 0, 0);
	unit_submit(&ring);
	unit_expect(&ring, 20, -ETIME);
	unit_expect_none(&ring);
	for (u64 i = 1; i <= 3; i++) {
		unit_sqe(&ring, IORING_OP_NOP, i);
		unit_submit(&ring);
		unit_expect(&ring, i, 0);
		unit_expect(&ring, 10 + i, 0);
	}
}

static void a_count_that_is_not_reached_in_time_fires(void **state)
{
	(void)state;
	unit_sqe_timeout(&ring, 5, &unit_millisecond, 2, 0);
	unit_sqe(&ring, IORING_OP_NOP, 0);
	unit_submit(&ring);
	unit_expect(&ring, 0, 0);
	unit_expect(&ring, 5, -ETIME);
	unit_sqe(&ring, IORING_OP_NOP, 1);
	unit_submit(&ring);
	unit_expect(&ring, 1, 0);
}

static void counting_survives_the_wrap_of_its_counter(void **state)
{
	struct ring *inside = unit_ring_inside(&ring);

	(void)state;
	ring_lock(inside);
	inside->count_cqes = inside->count_flushed = UINT32_MAX - 1;
	ring_unlock(inside);
	a_count_is_reached_by_that_many_cqes(state);
	ring_lock(inside);
	inside->count_cqes = inside->count_flushed = UINT32_MAX - 2;
	ring_unlock(inside);
	counts_are_served_in_their_order_and_timeouts_do_not_count(state);
}

/* Repeated */

static void a_repeated_timeout_fires_so_often_and_marks_that_more_come(void **state)
{
	struct io_uring_cqe cqe;

	(void)state;
	unit_sqe_timeout(&ring, 7, &unit_millisecond, 3, IORING_TIMEOUT_MULTISHOT);
	unit_submit(&ring);
	for (u32 i = 0; i < 3; i++) {
		cqe = unit_cqe(&ring);
		assert_int_equal(cqe.user_data, 7);
		assert_int_equal(cqe.res, -ETIME);
		assert_int_equal(cqe.flags, i < 2 ? IORING_CQE_F_MORE : 0);
	}
	unit_expect_none(&ring);
}

static void a_timeout_repeated_for_ever_ends_when_it_is_removed(void **state)
{
	struct io_uring_cqe cqe;
	u32 more = 0;

	(void)state;
	unit_sqe_timeout(&ring, 7, &unit_millisecond, 0, IORING_TIMEOUT_MULTISHOT);
	unit_submit(&ring);
	while (more < 5) {
		cqe = unit_cqe(&ring);
		assert_int_equal(cqe.flags, IORING_CQE_F_MORE);
		more++;
	}
	sqe_remove(8, 7);
	unit_submit(&ring);
	for (u32 ends = 0; ends < 2;) {
		cqe = unit_cqe(&ring);
		if (cqe.flags & IORING_CQE_F_MORE)
			continue; /* fired before it was removed */
		assert_int_equal(cqe.res, cqe.user_data == 7 ? -ECANCELED : 0);
		ends++;
	}
	unit_expect_none(&ring);
}

static void a_repeated_timeout_ends_when_its_cqes_find_no_room(void **state)
{
	struct unit_ring small;
	struct io_uring_cqe cqe;

	(void)state;
	unit_ring_open(&small, 1, 0);
	unit_sqe_timeout(&small, 7, &unit_millisecond, 0, IORING_TIMEOUT_MULTISHOT);
	unit_submit(&small);
	/* Two CQEs fit. The third, which says that no more come, is the first that finds no
	 * room. */
	unit_wait_until(load_relaxed(&small.header->sq_flags) & IORING_SQ_CQ_OVERFLOW);
	for (u32 i = 0; i < 3; i++) {
		cqe = unit_cqe(&small);
		assert_int_equal(cqe.res, -ETIME);
		assert_int_equal(cqe.flags, i < 2 ? IORING_CQE_F_MORE : 0);
	}
	unit_expect_none(&small);
	unit_ring_close(&small);
}

/* Updated and removed */

static void an_update_changes_the_time(void **state)
{
	s32 results[3];

	(void)state;
	unit_sqe_timeout(&ring, 0, &unit_hour, 0, 0);
	sqe_update(1, 0, &unit_millisecond, 0);
	unit_submit(&ring);
	unit_collect(&ring, 2, results, 2);
	assert_int_equal(results[0], -ETIME);
	assert_int_equal(results[1], 0);
	unit_sqe_timeout(&ring, 0, &unit_millisecond, 0, 0);
	sqe_update(1, 0, &unit_hour, 0);
	sqe_remove(2, 0);
	unit_submit(&ring);
	unit_collect(&ring, 3, results, 3);
	assert_memory_equal(results, ((s32[]){-ECANCELED, 0, 0}), sizeof(results));
}

static void what_is_not_there_cannot_be_updated_or_removed(void **state)
{
	(void)state;
	sqe_update(1, 77, &unit_millisecond, 0);
	unit_submit(&ring);
	unit_expect(&ring, 1, -ENOENT);
	sqe_remove(2, 77);
	unit_submit(&ring);
	unit_expect(&ring, 2, -ENOENT);
}

static void a_removed_count_counts_no_more(void **state)
{
	s32 results[3];

	(void)state;
	unit_sqe_timeout(&ring, 0, &unit_hour, 2, 0);
	sqe_remove(1, 0);
	unit_submit(&ring);
	unit_collect(&ring, 2, results, 3);
	assert_int_equal(results[0], -ECANCELED);
	unit_sqe(&ring, IORING_OP_NOP, 2);
	unit_submit(&ring);
	unit_expect(&ring, 2, 0);
	unit_expect_none(&ring);
}

static void a_link_goes_on_behind_a_timeout_if_it_is_a_success(void **state)
{
	(void)state;
	unit_sqe_timeout(&ring, 0, &unit_millisecond, 0, 0)->flags = IOSQE_IO_LINK;
	unit_sqe(&ring, IORING_OP_NOP, 1);
	unit_submit(&ring);
	unit_expect(&ring, 0, -ETIME);
	unit_expect(&ring, 1, -ECANCELED);
	unit_sqe_timeout(&ring, 0, &unit_millisecond, 0, IORING_TIMEOUT_ETIME_SUCCESS)->flags =
		IOSQE_IO_LINK;
	unit_sqe(&ring, IORING_OP_NOP, 1);
	unit_submit(&ring);
	unit_expect(&ring, 0, -ETIME);
	unit_expect(&ring, 1, 0);
}

static void thousands_of_timeouts_all_fire(void **state)
{
	struct unit_ring large;
	static bool seen[4096];

	(void)state;
	unit_ring_open(&large, 4096, 0);
	for (u32 i = 0; i < 4096; i++)
		unit_sqe_timeout(&large, i, &unit_millisecond, 0, 0);
	unit_submit(&large);
	for (u32 i = 0; i < 4096; i++) {
		struct io_uring_cqe cqe = unit_cqe(&large);

		assert_true(cqe.user_data < 4096 && !seen[cqe.user_data]);
		seen[cqe.user_data] = true;
	}
	unit_ring_close(&large);
}

/* Waiting with a time limit */

static void a_wait_ends_at_its_time_limit(void **state)
{
	struct io_uring_getevents_arg arg = {.ts = (u64)&unit_millisecond};

	(void)state;
	for (u32 i = 0; i < 20; i++)
		assert_int_equal(syscall_enter((u32)ring.fd, 0, 1,
					       IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg,
					       sizeof(arg)),
				 -ETIME);
}

static void after_the_minimum_wait_one_cqe_is_enough(void **state)
{
	struct io_uring_getevents_arg arg = {.ts = (u64)&unit_hour, .min_wait_usec = 2000};

	(void)state;
	unit_sqe(&ring, IORING_OP_NOP, 0);
	unit_submit(&ring);
	assert_int_equal(syscall_enter((u32)ring.fd, 0, 8,
				       IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg,
				       sizeof(arg)),
			 0);
	unit_expect(&ring, 0, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, end)

static const struct CMUnitTest tests[] = {
	CASE(a_timeout_fires_not_before_its_time),
	CASE(timeouts_fire_in_the_order_of_their_times),
	CASE(an_absolute_time_is_of_the_clock_it_names),
	CASE(arguments_that_make_no_sense_are_refused),
	CASE(times_that_overflow_are_far_in_the_future),
	CASE(a_count_is_reached_by_that_many_cqes),
	CASE(counts_are_served_in_their_order_and_timeouts_do_not_count),
	CASE(a_count_that_is_not_reached_in_time_fires),
	CASE(counting_survives_the_wrap_of_its_counter),
	CASE(a_repeated_timeout_fires_so_often_and_marks_that_more_come),
	CASE(a_timeout_repeated_for_ever_ends_when_it_is_removed),
	CASE(a_repeated_timeout_ends_when_its_cqes_find_no_room),
	CASE(an_update_changes_the_time),
	CASE(what_is_not_there_cannot_be_updated_or_removed),
	CASE(a_removed_count_counts_no_more),
	CASE(a_link_goes_on_behind_a_timeout_if_it_is_a_success),
	CASE(thousands_of_timeouts_all_fire),
	CASE(a_wait_ends_at_its_time_limit),
	CASE(after_the_minimum_wait_one_cqe_is_enough),
};

unit_main(tests)

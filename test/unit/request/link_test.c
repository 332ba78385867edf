/*
 * link_test.c - links, link timeouts, drain and skipped CQEs
 */
#include <errno.h>
#include <pthread.h>

#include "unit_ring.h"

#define LINK  IOSQE_IO_LINK
#define HARD  IOSQE_IO_HARDLINK
#define DRAIN IOSQE_IO_DRAIN
#define SKIP  IOSQE_CQE_SKIP_SUCCESS

static struct unit_ring ring;
static int ends[2];
static char buffer[8192];
static const char zeroes[64];

static int start(void **state)
{
	(void)state;
	unit_ring_open(&ring, 32, 0);
	return pipe(ends);
}

static int end(void **state)
{
	(void)state;
	unit_close(ends[0]);
	unit_close(ends[1]);
	unit_ring_close(&ring);
	return 0;
}

static void sqe_read_pipe(u64 user_data, u8 flags)
{
	unit_sqe_rw(&ring, IORING_OP_READ, user_data, ends[0], buffer, 1, 0)->flags = flags;
}

static void sqe_link_timeout(u64 user_data, const struct abi_timespec *ts, u8 flags)
{
	struct io_uring_sqe *sqe = unit_sqe_timeout(&ring, user_data, ts, 0, 0);

	sqe->opcode = IORING_OP_LINK_TIMEOUT;
	sqe->flags = flags;
}

static void feed_pipe(u32 bytes)
{
	assert_int_equal(write(ends[1], zeroes, bytes), bytes);
}

static void expect_nothing_more(void)
{
	unit_expect_none(&ring);
	assert_int_equal(unit_ring_field(&ring, requests.used), 0);
}

static void the_requests_of_a_link_run_one_after_another(void **state)
{
	(void)state;
	sqe_read_pipe(0, LINK);
	unit_sqe_flags(&ring, IORING_OP_NOP, 1, LINK);
	unit_sqe_flags(&ring, IORING_OP_NOP, 2, 0);
	unit_sqe_flags(&ring, IORING_OP_NOP, 3, 0); /* not of the link */
	unit_submit(&ring);
	unit_expect(&ring, 3, 0);
	unit_expect_none(&ring);
	feed_pipe(1);
	unit_expect(&ring, 0, 1);
	unit_expect(&ring, 1, 0);
	unit_expect(&ring, 2, 0);
	expect_nothing_more();
}

static void a_failure_cancels_what_is_linked_behind_it_and_nothing_before(void **state)
{
	(void)state;
	unit_sqe_flags(&ring, IORING_OP_NOP, 0, LINK);
	unit_sqe_result(&ring, 1, -EIO)->flags = LINK;
	unit_sqe_flags(&ring, IORING_OP_NOP, 2, LINK);
	unit_sqe_flags(&ring, IORING_OP_NOP, 3, 0);
	unit_sqe_flags(&ring, IORING_OP_NOP, 4, 0);
	unit_submit(&ring);
	s32 results[5];
	unit_collect(&ring, 5, results, 5);
	assert_memory_equal(results, ((s32[]){0, -EIO, -ECANCELED, -ECANCELED, 0}),
			    sizeof(results));
	expect_nothing_more();
}

static void a_hard_link_goes_on_behind_a_failure(void **state)
{
	s32 results[4];

	(void)state;
	unit_sqe_result(&ring, 0, -EIO)->flags = HARD;
	unit_sqe_result(&ring, 1, -ENXIO)->flags = HARD;
	unit_sqe_result(&ring, 2, -EPERM)->flags = LINK;
	unit_sqe(&ring, IORING_OP_NOP, 3);
	unit_submit(&ring);
	unit_collect(&ring, 4, results, 4);
	assert_memory_equal(results, ((s32[]){-EIO, -ENXIO, -EPERM, -ECANCELED}), sizeof(results));
	expect_nothing_more();
}

/* A refused SQE in a link: nothing of the link runs, hard or not, and all of it is consumed. */
static void refused_in_the_middle(u8 flags)
{
	struct io_uring_cqe cqe;

	unit_sqe_flags(&ring, IORING_OP_NOP, 0, flags);
	unit_sqe_flags(&ring, IORING_OP_NOP, 1, flags)->nop_flags = 1u << 31;
	unit_sqe_flags(&ring, IORING_OP_NOP, 2, flags);
	unit_sqe(&ring, IORING_OP_NOP, 3);
	assert_int_equal(unit_enter(&ring, 0, 0), 4);
	for (u64 i = 0; i < 4; i++) {
		cqe = unit_cqe(&ring);
		assert_int_equal(cqe.user_data, i);
		assert_int_equal(cqe.res, i == 1 ? -EINVAL : -ECANCELED);
	}
	expect_nothing_more();
}

static void a_refused_sqe_fails_its_whole_link(void **state)
{
	(void)state;
	refused_in_the_middle(LINK);
	refused_in_the_middle(HARD);
}

static void a_refused_sqe_alone_ends_the_batch(void **state)
{
	(void)state;
	unit_sqe(&ring, IORING_OP_NOP, 0);
	unit_sqe(&ring, IORING_OP_LAST, 1);
	unit_sqe(&ring, IORING_OP_NOP, 2);
	assert_int_equal(unit_enter(&ring, 0, 0), 2);
	unit_expect(&ring, 0, 0);
	unit_expect(&ring, 1, -EINVAL);
	unit_expect_none(&ring);
	ring.unsubmitted = 1;
	unit_submit(&ring);
	unit_expect(&ring, 2, 0);
}

static void a_refused_sqe_does_not_end_the_batch_with_submit_all(void **state)
{
	struct unit_ring all;

	(void)state;
	unit_ring_open(&all, 8, IORING_SETUP_SUBMIT_ALL);
	unit_sqe(&all, IORING_OP_LAST, 0);
	unit_sqe(&all, IORING_OP_NOP, 1);
	unit_submit(&all);
	unit_expect(&all, 0, -EINVAL);
	unit_expect(&all, 1, 0);
	unit_ring_close(&all);
}

static void a_short_read_breaks_a_soft_link_and_not_a_hard_one(void **state)
{
	int fd = unit_scratch_file(4096, O_RDONLY);
	s32 results[4];

	(void)state;
	unit_sqe_rw(&ring, IORING_OP_READ, 0, fd, buffer, 8192, 0)->flags = LINK;
	unit_sqe(&ring, IORING_OP_NOP, 1);
	unit_sqe_rw(&ring, IORING_OP_READ, 2, fd, buffer, 8192, 0)->flags = HARD;
	unit_sqe(&ring, IORING_OP_NOP, 3);
	unit_submit(&ring);
	unit_collect(&ring, 4, results, 4);
	assert_memory_equal(results, ((s32[]){4096, -ECANCELED, 4096, 0}), sizeof(results));
	unit_close(fd);
	expect_nothing_more();
}

static void a_link_ends_with_its_batch(void **state)
{
	(void)state;
	sqe_read_pipe(0, LINK);
	unit_submit(&ring);
	unit_sqe(&ring, IORING_OP_NOP, 1);
	unit_submit(&ring);
	unit_expect(&ring, 1, 0);
	feed_pipe(1);
	unit_expect(&ring, 0, 1);
	expect_nothing_more();
}

static void a_long_link_completes_in_order(void **state)
{
	struct unit_ring large;

	(void)state;
	unit_ring_open(&large, 4096, 0);
	for (u32 i = 0; i < 4096; i++)
		unit_sqe_flags(&large, IORING_OP_NOP, i, i == 4095 ? 0 : LINK);
	unit_submit(&large);
	for (u32 i = 0; i < 4096; i++)
		unit_expect(&large, i, 0);
	unit_ring_close(&large);
}

/* CQE_SKIP_SUCCESS */

static void a_skipped_success_posts_nothing_and_a_failure_is_posted(void **state)
{
	(void)state;
	unit_sqe_flags(&ring, IORING_OP_NOP, 0, SKIP);
	unit_sqe_result(&ring, 1, -EIO)->flags = SKIP;
	unit_sqe_flags(&ring, IORING_OP_NOP, 2, SKIP | LINK);
	unit_sqe(&ring, IORING_OP_NOP, 3);
	unit_submit(&ring);
	unit_expect(&ring, 1, -EIO);
	unit_expect(&ring, 3, 0);
	expect_nothing_more();
}

static void behind_a_skipped_request_that_fails_the_cancelled_are_silent(void **state)
{
	(void)state;
	unit_sqe_result(&ring, 0, -EIO)->flags = SKIP | LINK;
	unit_sqe_flags(&ring, IORING_OP_NOP, 1, LINK);
	unit_sqe(&ring, IORING_OP_NOP, 2);
	unit_submit(&ring);
	unit_expect(&ring, 0, -EIO);
	expect_nothing_more();
}

static void a_ring_that_skipped_a_cqe_takes_no_drain(void **state)
{
	(void)state;
	unit_sqe_flags(&ring, IORING_OP_NOP, 0, SKIP);
	unit_sqe_flags(&ring, IORING_OP_NOP, 1, DRAIN);
	unit_submit(&ring);
	unit_expect(&ring, 1, -EOPNOTSUPP);
	expect_nothing_more();
}

/* Drain */

static void a_drain_waits_for_all_before_it_and_all_behind_wait_for_it(void **state)
{
	(void)state;
	sqe_read_pipe(0, 0);
	sqe_read_pipe(1, 0);
	unit_sqe_flags(&ring, IORING_OP_NOP, 2, DRAIN);
	unit_sqe(&ring, IORING_OP_NOP, 3);
	unit_submit(&ring);
	unit_sqe(&ring, IORING_OP_NOP, 4); /* a later batch waits too */
	unit_submit(&ring);
	unit_expect_none(&ring);
	feed_pipe(1);
	unit_cqe(&ring);
	unit_expect_none(&ring);
	feed_pipe(1);
	unit_cqe(&ring);
	for (u64 i = 2; i < 5; i++)
		unit_expect(&ring, i, 0);
	expect_nothing_more();
	/* And then the drain is over. */
	sqe_read_pipe(5, 0);
	unit_sqe(&ring, IORING_OP_NOP, 6);
	unit_submit(&ring);
	unit_expect(&ring, 6, 0);
	feed_pipe(1);
	unit_expect(&ring, 5, 1);
}

static void drains_wait_for_each_other(void **state)
{
	(void)state;
	for (u64 i = 0; i < 6; i++)
		sqe_read_pipe(i, DRAIN);
	unit_submit(&ring);
	for (u64 i = 0; i < 6; i++) {
		unit_expect_none(&ring);
		feed_pipe(1);
		unit_expect(&ring, i, 1);
	}
	expect_nothing_more();
}

static void a_drain_in_a_link_holds_the_whole_link_and_what_follows_it(void **state)
{
	(void)state;
	sqe_read_pipe(0, 0);
	unit_sqe_flags(&ring, IORING_OP_NOP, 1, LINK);
	unit_sqe_flags(&ring, IORING_OP_NOP, 2, DRAIN);
	unit_sqe(&ring, IORING_OP_NOP, 3);
	unit_submit(&ring);
	unit_expect_none(&ring);
	feed_pipe(1);
	unit_expect(&ring, 0, 1);
	unit_expect(&ring, 1, 0);
	unit_expect(&ring, 2, 0);
	unit_expect(&ring, 3, 0);
	expect_nothing_more();
}

static void a_refused_drain_holds_nothing_back(void **state)
{
	(void)state;
	unit_sqe_flags(&ring, IORING_OP_NOP, 0, DRAIN)->nop_flags = 1u << 31;
	assert_int_equal(unit_enter(&ring, 0, 0), 1);
	unit_expect(&ring, 0, -EINVAL);
	unit_sqe(&ring, IORING_OP_NOP, 1);
	unit_submit(&ring);
	unit_expect(&ring, 1, 0);
	expect_nothing_more();
}

static void a_ring_can_be_closed_with_requests_behind_a_drain(void **state)
{
	struct unit_ring other;

	(void)state;
	unit_ring_open(&other, 8, 0);
	unit_sqe_rw(&other, IORING_OP_READ, 0, ends[0], buffer, 1, 0)->flags = LINK;
	unit_sqe(&other, IORING_OP_NOP, 1);
	unit_sqe_flags(&other, IORING_OP_NOP, 2, DRAIN | LINK);
	unit_sqe(&other, IORING_OP_NOP, 3);
	unit_sqe_timeout(&other, 4, &unit_hour, 0, 0);
	unit_submit(&other);
	unit_ring_close(&other);
}

/* Link timeouts */

static void a_link_timeout_cancels_what_it_guards(void **state)
{
	s32 results[3];

	(void)state;
	sqe_read_pipe(0, LINK);
	sqe_link_timeout(1, &unit_millisecond, LINK);
	unit_sqe(&ring, IORING_OP_NOP, 2);
	unit_submit(&ring);
	unit_collect(&ring, 3, results, 3);
	assert_memory_equal(results, ((s32[]){-ECANCELED, -ETIME, -ECANCELED}), sizeof(results));
	expect_nothing_more();
}

static void a_link_timeout_is_cancelled_by_what_it_guards(void **state)
{
	s32 results[3];

	(void)state;
	sqe_read_pipe(0, LINK);
	sqe_link_timeout(1, &unit_hour, LINK);
	unit_sqe(&ring, IORING_OP_NOP, 2);
	unit_submit(&ring);
	unit_expect_none(&ring);
	feed_pipe(1);
	unit_collect(&ring, 3, results, 3);
	assert_memory_equal(results, ((s32[]){1, -ECANCELED, 0}), sizeof(results));
	expect_nothing_more();
	assert_int_equal(unit_ring_field(&ring, timers.count), 0);
}

static void a_link_timeout_behind_what_completes_at_once_never_starts(void **state)
{
	s32 results[3];

	(void)state;
	unit_sqe_flags(&ring, IORING_OP_NOP, 0, LINK);
	sqe_link_timeout(1, &unit_millisecond, LINK);
	sqe_read_pipe(2, 0);
	feed_pipe(1);
	unit_submit(&ring);
	unit_collect(&ring, 3, results, 3);
	assert_memory_equal(results, ((s32[]){0, -ECANCELED, 1}), sizeof(results));
	expect_nothing_more();
}

static void a_link_timeout_guards_a_request_in_the_middle_of_a_link(void **state)
{
	s32 results[4];

	(void)state;
	unit_sqe_flags(&ring, IORING_OP_NOP, 0, LINK);
	sqe_read_pipe(1, HARD);
	sqe_link_timeout(2, &unit_millisecond, LINK);
	unit_sqe(&ring, IORING_OP_NOP, 3);
	unit_submit(&ring);
	unit_collect(&ring, 4, results, 4);
	assert_int_equal(results[0], 0);
	assert_int_equal(results[1], -ECANCELED);
	assert_int_equal(results[2], -ETIME);
	assert_int_equal(results[3], 0); /* linked hard */
	expect_nothing_more();
}

static void a_link_timeout_that_guards_nothing_is_refused(void **state)
{
	s32 results[3];

	(void)state;
	sqe_link_timeout(0, &unit_hour, 0);
	assert_int_equal(unit_enter(&ring, 0, 0), 1);
	unit_expect(&ring, 0, -EINVAL);
	unit_sqe_flags(&ring, IORING_OP_NOP, 0, LINK);
	sqe_link_timeout(1, &unit_hour, LINK);
	sqe_link_timeout(2, &unit_hour, 0);
	assert_int_equal(unit_enter(&ring, 0, 0), 3);
	unit_collect(&ring, 3, results, 3);
	assert_memory_equal(results, ((s32[]){-ECANCELED, -ECANCELED, -EINVAL}), sizeof(results));
	expect_nothing_more();
}

struct writer {
	pthread_barrier_t barrier;
	u32 rounds;
};

static void *write_at_the_barrier(void *argument)
{
	struct writer *writer = argument;

	for (u32 i = 0; i < writer->rounds; i++) {
		pthread_barrier_wait(&writer->barrier);
		for (u32 spin = 0; spin < (i * 97) % 4000; spin++)
			cpu_relax();
		feed_pipe(1);
	}
	return NULL;
}

/* Whoever wins, both complete once, and the byte is read or still there. */
static void a_link_timeout_and_its_request_race_and_both_complete_once(void **state)
{
	static const struct abi_timespec soon = {.tv_nsec = 20000};
	struct writer writer = {.rounds = 2000};
	pthread_t thread;

	(void)state;
	pthread_barrier_init(&writer.barrier, NULL, 2);
	assert_int_equal(pthread_create(&thread, NULL, write_at_the_barrier, &writer), 0);
	for (u32 i = 0; i < writer.rounds; i++) {
		s32 results[2];

		sqe_read_pipe(0, LINK);
		sqe_link_timeout(1, &soon, 0);
		pthread_barrier_wait(&writer.barrier);
		unit_submit(&ring);
		unit_collect(&ring, 2, results, 2);
		if (results[0] == 1) {
			assert_true(results[1] == -ECANCELED || results[1] == -EALREADY ||
				    results[1] == -ENOENT);
			continue;
		}
		assert_int_equal(results[0], -ECANCELED);
		assert_int_equal(results[1], -ETIME);
		assert_int_equal(read(ends[0], buffer, 1), 1);
	}
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&writer.barrier);
	expect_nothing_more();
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, end)

static const struct CMUnitTest tests[] = {
	CASE(the_requests_of_a_link_run_one_after_another),
	CASE(a_failure_cancels_what_is_linked_behind_it_and_nothing_before),
	CASE(a_hard_link_goes_on_behind_a_failure),
	CASE(a_refused_sqe_fails_its_whole_link),
	CASE(a_refused_sqe_alone_ends_the_batch),
	CASE(a_refused_sqe_does_not_end_the_batch_with_submit_all),
	CASE(a_short_read_breaks_a_soft_link_and_not_a_hard_one),
	CASE(a_link_ends_with_its_batch),
	CASE(a_long_link_completes_in_order),
	CASE(a_skipped_success_posts_nothing_and_a_failure_is_posted),
	CASE(behind_a_skipped_request_that_fails_the_cancelled_are_silent),
	CASE(a_ring_that_skipped_a_cqe_takes_no_drain),
	CASE(a_drain_waits_for_all_before_it_and_all_behind_wait_for_it),
	CASE(drains_wait_for_each_other),
	CASE(a_drain_in_a_link_holds_the_whole_link_and_what_follows_it),
	CASE(a_refused_drain_holds_nothing_back),
	CASE(a_ring_can_be_closed_with_requests_behind_a_drain),
	CASE(a_link_timeout_cancels_what_it_guards),
	CASE(a_link_timeout_is_cancelled_by_what_it_guards),
	CASE(a_link_timeout_behind_what_completes_at_once_never_starts),
	CASE(a_link_timeout_guards_a_request_in_the_middle_of_a_link),
	CASE(a_link_timeout_that_guards_nothing_is_refused),
	CASE(a_link_timeout_and_its_request_race_and_both_complete_once),
};

unit_main(tests)

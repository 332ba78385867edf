/*
 * poll_test.c - requests that wait for a file: once, repeatedly, and many for one
 */
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "unit_ring.h"

static struct unit_ring ring;
static int ends[2];
static char bytes[256];

static int start(void **state)
{
	(void)state;
	unit_ring_open(&ring, 256, 0);
	return pipe(ends);
}

static int end(void **state)
{
	(void)state;
	assert_int_equal(unit_ring_field(&ring, requests.used), 0);
	for (u32 i = 0; i < 2; i++)
		if (ends[i] >= 0)
			unit_close(ends[i]);
	unit_ring_close(&ring);
	return 0;
}

static void close_end(u32 i)
{
	unit_close(ends[i]);
	ends[i] = -1;
}

static void feed_pipe(u32 count)
{
	assert_int_equal(write(ends[1], bytes, count), count);
}

static void empty_pipe(u32 count)
{
	assert_int_equal(read(ends[0], bytes, count), count);
}

static void what_is_ready_completes_at_once(void **state)
{
	(void)state;
	feed_pipe(1);
	unit_sqe_poll(&ring, 0, ends[0], POLLIN, 0);
	unit_sqe_poll(&ring, 1, ends[1], POLLOUT, 0);
	unit_submit(&ring);
	assert_int_equal(unit_cqes_ready(&ring), 2);
	unit_expect(&ring, 0, POLLIN);
	unit_expect(&ring, 1, POLLOUT);
	empty_pipe(1);
}

static void a_poll_completes_once_when_the_file_becomes_ready(void **state)
{
	(void)state;
	for (u32 i = 0; i < 50; i++) {
		unit_sqe_poll(&ring, i, ends[0], POLLIN, 0);
		unit_submit(&ring);
		unit_expect_none(&ring);
		feed_pipe(2);
		unit_expect(&ring, i, POLLIN);
		unit_expect_none(&ring);
		empty_pipe(2);
	}
}

static void a_hang_up_is_reported_though_nobody_asked(void **state)
{
	(void)state;
	unit_sqe_poll(&ring, 0, ends[0], POLLPRI, 0);
	unit_submit(&ring);
	unit_expect_none(&ring);
	close_end(1);
	unit_expect(&ring, 0, POLLHUP);
}

static void a_file_that_cannot_be_waited_for_is_always_ready(void **state)
{
	int fd = unit_scratch_file(10, O_RDWR);

	(void)state;
	unit_sqe_poll(&ring, 0, fd, POLLIN | POLLOUT, 0);
	unit_sqe_poll(&ring, 1, fd, POLLIN, IORING_POLL_ADD_MULTI);
	unit_submit(&ring);
	unit_expect(&ring, 0, POLLIN | POLLOUT);
	unit_expect(&ring, 1, POLLIN);
	unit_expect_none(&ring);
	unit_close(fd);
}

static void a_bad_descriptor_is_told(void **state)
{
	(void)state;
	unit_sqe_poll(&ring, 0, 1000000, POLLIN, 0);
	unit_sqe_poll(&ring, 1, -1, POLLIN, 0);
	unit_sqe_poll(&ring, 2, 1000000, POLLIN, IORING_POLL_ADD_MULTI);
	unit_submit(&ring);
	for (u64 i = 0; i < 3; i++)
		unit_expect(&ring, i, -EBADF);
}

static void many_polls_of_one_file_all_complete(void **state)
{
	bool seen[200] = {false};

	(void)state;
	for (u32 i = 0; i < 200; i++)
		unit_sqe_poll(&ring, i, ends[0], i % 2 ? POLLIN : POLLIN | POLLPRI, 0);
	unit_submit(&ring);
	unit_expect_none(&ring);
	feed_pipe(1);
	for (u32 i = 0; i < 200; i++) {
		struct io_uring_cqe cqe = unit_cqe(&ring);

		assert_true(cqe.user_data < 200 && !seen[cqe.user_data]);
		assert_int_equal(cqe.res, POLLIN);
		seen[cqe.user_data] = true;
	}
	unit_expect_none(&ring);
	empty_pipe(1);
}

static void many_reads_of_one_pipe_share_what_comes(void **state)
{
	u32 done = 0;

	(void)state;
	for (u32 i = 0; i < 100; i++)
		unit_sqe_rw(&ring, IORING_OP_READ, i, ends[0], &bytes[i], 1, 0);
	unit_submit(&ring);
	unit_expect_none(&ring);
	for (u32 i = 0; i < 20; i++) {
		feed_pipe(5);
		for (u32 j = 0; j < 5; j++, done++)
			assert_int_equal(unit_cqe(&ring).res, 1);
		unit_expect_none(&ring);
	}
	assert_int_equal(done, 100);
}

static void waiters_for_different_events_of_one_file_are_woken_apart(void **state)
{
	int pair[2], size = 4096;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	while (send(pair[0], bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	unit_sqe_poll(&ring, 0, pair[0], POLLOUT, 0);
	unit_sqe_poll(&ring, 1, pair[0], POLLIN, 0);
	unit_submit(&ring);
	unit_expect_none(&ring);
	assert_int_equal(write(pair[1], "x", 1), 1);
	unit_expect(&ring, 1, POLLIN);
	unit_expect_none(&ring);
	while (recv(pair[1], bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	unit_expect(&ring, 0, POLLOUT);
	unit_close(pair[0]);
	unit_close(pair[1]);
}

/* Repeated polls */

static void sqe_poll_cancel(u64 user_data, u64 target)
{
	unit_sqe(&ring, IORING_OP_POLL_REMOVE, user_data)->addr = target;
}

static void a_repeated_poll_sees_each_edge_and_marks_that_more_come(void **state)
{
	struct io_uring_cqe cqe;
	s32 results[2];

	(void)state;
	unit_sqe_poll(&ring, 0, ends[0], POLLIN, IORING_POLL_ADD_MULTI);
	unit_submit(&ring);
	unit_expect_none(&ring);
	for (u32 i = 0; i < 50; i++) {
		feed_pipe(1);
		cqe = unit_cqe(&ring);
		assert_int_equal(cqe.res, POLLIN);
		assert_int_equal(cqe.flags, IORING_CQE_F_MORE);
		unit_expect_none(&ring);
	}
	sqe_poll_cancel(1, 0);
	unit_submit(&ring);
	unit_collect(&ring, 2, results, 2);
	assert_int_equal(results[0], -ECANCELED);
	assert_int_equal(results[1], 0);
	unit_expect_none(&ring);
	empty_pipe(50);
}

static void repeated_and_single_polls_of_one_file_do_not_disturb_each_other(void **state)
{
	s32 results[3];

	(void)state;
	for (u32 i = 0; i < 10; i++) {
		unit_sqe_poll(&ring, 0, ends[0], POLLIN, IORING_POLL_ADD_MULTI);
		unit_sqe_poll(&ring, 1, ends[0], POLLIN, 0);
		unit_submit(&ring);
		feed_pipe(1);
		unit_collect(&ring, 2, results, 3);
		assert_int_equal(results[0], POLLIN);
		assert_int_equal(results[1], POLLIN);
		sqe_poll_cancel(2, 0);
		unit_submit(&ring);
		unit_collect(&ring, 2, results, 3);
		assert_int_equal(results[0], -ECANCELED);
		empty_pipe(1);
	}
}

static void a_repeated_poll_ends_when_the_queue_is_full_and_loses_nothing(void **state)
{
	struct unit_ring small;
	int event_fd = eventfd(0, EFD_NONBLOCK);
	u64 one = 1;
	u32 more = 0;
	struct io_uring_cqe cqe;

	(void)state;
	unit_ring_open(&small, 1, 0); /* two CQEs */
	unit_sqe_poll(&small, 0, event_fd, POLLIN, IORING_POLL_ADD_MULTI);
	unit_submit(&small);
	for (u32 i = 0; i < 5; i++) {
		assert_int_equal(write(event_fd, &one, sizeof(one)), sizeof(one));
		assert_int_equal(
			syscall_enter((u32)small.fd, 0, 0, IORING_ENTER_GETEVENTS, NULL, 0), 0);
	}
	for (;; more++) {
		cqe = unit_cqe(&small);
		if (!(cqe.flags & IORING_CQE_F_MORE))
			break;
	}
	assert_int_equal(cqe.res, POLLIN);
	assert_int_equal(more, 2);
	unit_expect_none(&small);
	unit_ring_close(&small);
	unit_close(event_fd);
}

/* Updates */

static void an_update_changes_events_and_user_data(void **state)
{
	struct io_uring_sqe *sqe;
	s32 results[8];

	(void)state;
	unit_sqe_poll(&ring, 0, ends[0], POLLPRI, 0);
	sqe = unit_sqe(&ring, IORING_OP_POLL_REMOVE, 1);
	sqe->addr = 0;
	sqe->off = 7;
	sqe->len = IORING_POLL_UPDATE_EVENTS | IORING_POLL_UPDATE_USER_DATA;
	sqe->poll32_events = POLLIN;
	unit_submit(&ring);
	unit_expect(&ring, 1, 0);
	unit_expect_none(&ring);
	feed_pipe(1);
	unit_expect(&ring, 7, POLLIN);
	/* An update to what is true already completes at once. */
	unit_sqe_poll(&ring, 0, ends[0], POLLPRI, 0);
	sqe = unit_sqe(&ring, IORING_OP_POLL_REMOVE, 1);
	sqe->len = IORING_POLL_UPDATE_EVENTS;
	sqe->poll32_events = POLLIN;
	unit_submit(&ring);
	unit_collect(&ring, 2, results, 8);
	assert_int_equal(results[0], POLLIN);
	assert_int_equal(results[1], 0);
	empty_pipe(1);
}

static void what_is_not_there_cannot_be_removed(void **state)
{
	(void)state;
	sqe_poll_cancel(0, 99);
	unit_submit(&ring);
	unit_expect(&ring, 0, -ENOENT);
}

/* Descriptors that go away */

static void a_poll_outlives_its_descriptor(void **state)
{
	(void)state;
	unit_sqe_poll(&ring, 0, ends[0], POLLIN, 0);
	unit_sqe_poll(&ring, 1, ends[0], POLLIN, IORING_POLL_ADD_MULTI);
	unit_sqe_rw(&ring, IORING_OP_READ, 2, ends[0], bytes, 1, 0);
	unit_submit(&ring);
	close_end(0);
	unit_expect_none(&ring);
	feed_pipe(1);
	s32 results[3];
	unit_collect(&ring, 3, results, 3);
	assert_memory_equal(results, ((s32[]){POLLIN, POLLIN, 1}), sizeof(results));
	sqe_poll_cancel(0, 1);
	unit_submit(&ring);
	unit_collect(&ring, 2, results, 3);
	assert_int_equal(results[1], -ECANCELED);
}

static void a_number_used_again_is_another_file(void **state)
{
	int other[2], number = ends[0];

	(void)state;
	unit_sqe_rw(&ring, IORING_OP_READ, 0, ends[0], bytes, 1, 0);
	unit_submit(&ring);
	close_end(0);
	assert_int_equal(pipe(other), 0);
	assert_int_equal(other[0], number);
	unit_sqe_rw(&ring, IORING_OP_READ, 1, other[0], &bytes[1], 1, 0);
	unit_submit(&ring);
	assert_int_equal(write(other[1], "b", 1), 1);
	unit_expect(&ring, 1, 1);
	assert_int_equal(bytes[1], 'b');
	unit_expect_none(&ring);
	assert_int_equal(write(ends[1], "a", 1), 1);
	unit_expect(&ring, 0, 1);
	assert_int_equal(bytes[0], 'a');
	unit_close(other[0]);
	unit_close(other[1]);
}

static void a_number_replaced_behind_our_back_is_another_file(void **state)
{
	int other[2];

	(void)state;
	unit_sqe_poll(&ring, 0, ends[0], POLLIN, 0);
	unit_submit(&ring);
	feed_pipe(1);
	unit_expect(&ring, 0, POLLIN);
	assert_int_equal(pipe(other), 0);
	assert_int_equal(syscall(SYS_dup2, other[0], ends[0]), ends[0]); /* nobody is told */
	unit_sqe_poll(&ring, 1, ends[0], POLLIN, 0);
	unit_submit(&ring);
	unit_expect_none(&ring);
	assert_int_equal(write(other[1], "x", 1), 1);
	unit_expect(&ring, 1, POLLIN);
	unit_close(other[0]);
	unit_close(other[1]);
}

/* A ring as the file */

static void a_ring_can_be_polled_by_another_ring(void **state)
{
	struct unit_ring other;

	(void)state;
	unit_ring_open(&other, 8, 0);
	unit_sqe_poll(&ring, 0, other.fd, POLLIN, 0);
	unit_submit(&ring);
	unit_expect_none(&ring);
	unit_sqe(&other, IORING_OP_NOP, 5);
	unit_submit(&other);
	unit_expect(&ring, 0, POLLIN);
	unit_expect(&other, 5, 0);
	unit_ring_close(&other);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, end)

static const struct CMUnitTest tests[] = {
	CASE(what_is_ready_completes_at_once),
	CASE(a_poll_completes_once_when_the_file_becomes_ready),
	CASE(a_hang_up_is_reported_though_nobody_asked),
	CASE(a_file_that_cannot_be_waited_for_is_always_ready),
	CASE(a_bad_descriptor_is_told),
	CASE(many_polls_of_one_file_all_complete),
	CASE(many_reads_of_one_pipe_share_what_comes),
	CASE(waiters_for_different_events_of_one_file_are_woken_apart),
	CASE(a_repeated_poll_sees_each_edge_and_marks_that_more_come),
	CASE(repeated_and_single_polls_of_one_file_do_not_disturb_each_other),
	CASE(a_repeated_poll_ends_when_the_queue_is_full_and_loses_nothing),
	CASE(an_update_changes_events_and_user_data),
	CASE(what_is_not_there_cannot_be_removed),
	CASE(a_poll_outlives_its_descriptor),
	CASE(a_number_used_again_is_another_file),
	CASE(a_number_replaced_behind_our_back_is_another_file),
	CASE(a_ring_can_be_polled_by_another_ring),
};

unit_main(tests)

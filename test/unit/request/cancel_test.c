/*
 * cancel_test.c - ASYNC_CANCEL: what it finds, and its races with completion
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>

#include "request/cancel.h"
#include "request/pending.h"
#include "request/poll.h"
#include "unit_ring.h"

static struct unit_ring ring;
static int ends[2];
static char bytes[64];

static int start(void **state)
{
	(void)state;
	unit_ring_open(&ring, 64, 0);
	return pipe(ends);
}

static int end(void **state)
{
	(void)state;
	assert_int_equal(unit_ring_field(&ring, requests.used), 0);
	unit_close(ends[0]);
	unit_close(ends[1]);
	unit_ring_close(&ring);
	return 0;
}

static void sqe_read_pipe(u64 user_data)
{
	unit_sqe_rw(&ring, IORING_OP_READ, user_data, ends[0], bytes, 1, 0);
}

static void a_waiting_request_is_cancelled(void **state)
{
	s32 results[4];

	(void)state;
	sqe_read_pipe(0);
	unit_sqe_timeout(&ring, 1, &unit_hour, 0, 0);
	unit_submit(&ring);
	unit_sqe_cancel(&ring, 2, 0, 0);
	unit_sqe_cancel(&ring, 3, 1, 0);
	unit_submit(&ring);
	unit_collect(&ring, 4, results, 4);
	assert_memory_equal(results, ((s32[]){-ECANCELED, -ECANCELED, 0, 0}), sizeof(results));
}

static bool take_it(struct request *req, void *found)
{
	*(struct request **)found = req;
	return false;
}

/* It would wait again if others took what made its file ready, and the cancel were lost. */
static void a_request_whose_file_is_ready_is_cancelled_before_its_next_try(void **state)
{
	struct ring *inside = unit_ring_inside(&ring);
	struct request *req = NULL;
	u64 user_data = 0;

	(void)state;
	sqe_read_pipe(user_data);
	unit_submit(&ring);
	ring_lock(inside);
	pending_for_each(inside, &user_data, take_it, &req);
	assert_non_null(req);
	poll_event(inside, req->poll.target, POLLIN);
	assert_int_equal(req->state, REQUEST_QUEUED);
	assert_int_equal(request_cancel(req), 0);
	ring_unlock(inside);
	assert_int_equal(write(ends[1], "x", 1), 1);
	unit_expect(&ring, 0, -ECANCELED);
	assert_int_equal(read(ends[0], bytes, 1), 1);
}

static void what_is_not_there_cannot_be_cancelled(void **state)
{
	(void)state;
	unit_sqe_cancel(&ring, 0, 99, 0);
	unit_submit(&ring);
	unit_expect(&ring, 0, -ENOENT);
	unit_sqe_cancel(&ring, 1, 99, IORING_ASYNC_CANCEL_ALL);
	unit_submit(&ring);
	unit_expect(&ring, 1, 0); /* none */
	unit_sqe_cancel(&ring, 2, 2, 0);
	unit_submit(&ring);
	unit_expect(&ring, 2, -ENOENT); /* not itself */
}

static void of_several_with_one_user_data_one_is_cancelled_or_all(void **state)
{
	(void)state;
	for (u32 i = 0; i < 5; i++)
		sqe_read_pipe(7);
	unit_sqe_cancel(&ring, 8, 7, 0);
	unit_submit(&ring);
	s32 results[9] = {0};
	unit_collect(&ring, 2, results, 9);
	assert_int_equal(results[7], -ECANCELED);
	assert_int_equal(results[8], 0);
	unit_expect_none(&ring);
	unit_sqe_cancel(&ring, 8, 7, IORING_ASYNC_CANCEL_ALL);
	unit_submit(&ring);
	unit_collect(&ring, 5, results, 9);
	assert_int_equal(results[8], 4);
}

static void any_cancels_whatever_waits(void **state)
{
	s32 results[4];

	(void)state;
	sqe_read_pipe(0);
	unit_sqe_timeout(&ring, 1, &unit_hour, 0, 0);
	unit_sqe_poll(&ring, 2, ends[0], POLLIN, IORING_POLL_ADD_MULTI);
	unit_sqe_cancel(&ring, 3, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
	unit_submit(&ring);
	unit_collect(&ring, 4, results, 4);
	assert_memory_equal(results, ((s32[]){-ECANCELED, -ECANCELED, -ECANCELED, 3}),
			    sizeof(results));
}

static void a_descriptor_selects_its_own_requests(void **state)
{
	struct io_uring_sqe *sqe;
	int other[2];
	s32 results[4] = {0};

	(void)state;
	assert_int_equal(pipe(other), 0);
	sqe_read_pipe(0);
	unit_sqe_rw(&ring, IORING_OP_READ, 1, other[0], bytes, 1, 0);
	unit_sqe_poll(&ring, 2, other[0], POLLIN, 0);
	sqe = unit_sqe_cancel(&ring, 3, 0, IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_ALL);
	sqe->fd = other[0];
	unit_submit(&ring);
	unit_collect(&ring, 3, results, 4);
	assert_int_equal(results[1], -ECANCELED);
	assert_int_equal(results[2], -ECANCELED);
	assert_int_equal(results[3], 2);
	assert_int_equal(write(ends[1], "x", 1), 1);
	unit_expect(&ring, 0, 1);
	sqe = unit_sqe_cancel(&ring, 3, 0, IORING_ASYNC_CANCEL_FD);
	sqe->fd = 1000000;
	unit_submit(&ring);
	unit_expect(&ring, 3, -EBADF);
	unit_close(other[0]);
	unit_close(other[1]);
}

static void an_opcode_selects_its_own_requests(void **state)
{
	struct io_uring_sqe *sqe;
	s32 results[3] = {0};

	(void)state;
	sqe_read_pipe(0);
	unit_sqe_poll(&ring, 1, ends[0], POLLIN, 0);
	sqe = unit_sqe_cancel(&ring, 2, 0, IORING_ASYNC_CANCEL_OP);
	sqe->len = IORING_OP_POLL_ADD;
	unit_submit(&ring);
	unit_collect(&ring, 2, results, 3);
	assert_int_equal(results[1], -ECANCELED);
	assert_int_equal(results[2], 0);
	assert_int_equal(write(ends[1], "x", 1), 1);
	unit_expect(&ring, 0, 1);
}

static void what_is_held_by_a_link_goes_with_its_first(void **state)
{
	s32 results[3];

	(void)state;
	unit_sqe_rw(&ring, IORING_OP_READ, 0, ends[0], bytes, 1, 0)->flags = IOSQE_IO_LINK;
	unit_sqe(&ring, IORING_OP_NOP, 1);
	unit_sqe_cancel(&ring, 2, 0, 0);
	unit_submit(&ring);
	unit_collect(&ring, 3, results, 3);
	assert_memory_equal(results, ((s32[]){-ECANCELED, -ECANCELED, 0}), sizeof(results));
}

/* A call that blocks in the punt pool is interrupted. */
static void a_call_that_blocks_is_interrupted(void **state)
{
	char directory[] = "/tmp/ringside-unit-XXXXXX", path[64];
	struct io_uring_sqe *sqe;
	s32 results[2];

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/fifo", directory);
	assert_int_equal(mkfifo(path, 0600), 0);
	sqe = unit_sqe(&ring, IORING_OP_OPENAT, 0);
	sqe->fd = AT_FDCWD;
	sqe->addr = (u64)path;
	/* truncating goes to the pool, where it waits for a writer */
	sqe->open_flags = O_RDONLY | O_TRUNC;
	unit_submit(&ring);
	unit_sqe_cancel(&ring, 1, 0, 0);
	unit_submit(&ring);
	unit_collect(&ring, 2, results, 2);
	if (results[1] == 0) { /* no worker had taken it up yet */
		assert_int_equal(results[0], -ECANCELED);
	} else {
		assert_int_equal(results[1], -EALREADY);
		assert_true(results[0] == -EINTR || results[0] == -ECANCELED);
	}
	unlink(path);
	rmdir(directory);
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
		for (u32 spin = 0; spin < i * 13 % 700; spin++)
			cpu_relax();
		assert_int_equal(write(ends[1], "x", 1), 1);
	}
	return NULL;
}

/* What the cancel says is what happened. */
static void cancel_and_completion_race_and_agree(void **state)
{
	struct writer writer = {.rounds = 3000};
	u32 cancelled = 0;
	pthread_t thread;

	(void)state;
	pthread_barrier_init(&writer.barrier, NULL, 2);
	assert_int_equal(pthread_create(&thread, NULL, write_at_the_barrier, &writer), 0);
	for (u32 i = 0; i < writer.rounds; i++) {
		s32 results[2];

		sqe_read_pipe(0);
		unit_submit(&ring);
		pthread_barrier_wait(&writer.barrier);
		for (u32 spin = 0; spin < i * 7 % 1500; spin++)
			cpu_relax();
		unit_enter(&ring, 0, IORING_ENTER_GETEVENTS);
		unit_sqe_cancel(&ring, 1, 0, 0);
		unit_submit(&ring);
		unit_collect(&ring, 2, results, 2);
		if (results[1] == 0) {
			assert_int_equal(results[0], -ECANCELED);
			assert_int_equal(read(ends[0], bytes, 1), 1);
			cancelled++;
		} else {
			assert_true(results[1] == -ENOENT || results[1] == -EALREADY);
			assert_int_equal(results[0], 1);
		}
	}
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&writer.barrier);
	unit_expect_none(&ring);
	print_message("%u of %u were cancelled\n", cancelled, writer.rounds);
}

/* The same against a worker of the punt pool, by user_data and by descriptor. */
static void cancel_and_a_worker_race_and_both_requests_complete_once(void **state)
{
	int fd = unit_scratch_file(4096, O_RDWR);

	(void)state;
	for (u32 i = 0; i < 3000; i++) {
		struct io_uring_sqe *sqe = unit_sqe(&ring, IORING_OP_SYNC_FILE_RANGE, 0);
		s32 results[2];

		sqe->fd = fd;
		unit_submit(&ring);
		for (u32 spin = 0; spin < i % 300; spin++)
			cpu_relax();
		sqe = unit_sqe_cancel(&ring, 1, 0, i % 2 ? IORING_ASYNC_CANCEL_FD : 0);
		sqe->fd = i % 2 ? fd : -1;
		unit_submit(&ring);
		unit_collect(&ring, 2, results, 2);
		if (results[1] == 0)
			assert_int_equal(results[0], -ECANCELED);
		else
			assert_true(results[0] == 0 || results[0] == -EINTR);
	}
	unit_close(fd);
}

static void a_ring_is_closed_with_everything_in_flight(void **state)
{
	static const u32 flags[] = {0, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
				    IORING_SETUP_SQPOLL};
	int fd = unit_scratch_file(1 << 16, O_RDONLY);
	static char buffer[1 << 16];

	(void)state;
	for (u32 i = 0; i < 60; i++) {
		struct unit_ring busy;
		struct io_uring_sqe *sqe;

		unit_ring_open(&busy, 16, flags[i % ARRAY_SIZE(flags)]);
		unit_sqe_rw(&busy, IORING_OP_READ, 0, ends[0], bytes, 1, 0);
		unit_sqe_poll(&busy, 1, ends[0], POLLIN, IORING_POLL_ADD_MULTI);
		unit_sqe_timeout(&busy, 2, &unit_hour, 0, 0);
		unit_sqe_timeout(&busy, 3, &unit_hour, 9, 0);
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		unit_sqe_rw(&busy, IORING_OP_READ, 4, fd, buffer, sizeof(buffer), 0);
		sqe = unit_sqe(&busy, IORING_OP_SYNC_FILE_RANGE, 5);
		sqe->fd = fd;
		unit_submit(&busy);
		unit_ring_close(&busy);
	}
	unit_close(fd);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, end)

static const struct CMUnitTest tests[] = {
	CASE(a_waiting_request_is_cancelled),
	CASE(a_request_whose_file_is_ready_is_cancelled_before_its_next_try),
	CASE(what_is_not_there_cannot_be_cancelled),
	CASE(of_several_with_one_user_data_one_is_cancelled_or_all),
	CASE(any_cancels_whatever_waits),
	CASE(a_descriptor_selects_its_own_requests),
	CASE(an_opcode_selects_its_own_requests),
	CASE(what_is_held_by_a_link_goes_with_its_first),
	CASE(a_call_that_blocks_is_interrupted),
	CASE(cancel_and_completion_race_and_agree),
	CASE(cancel_and_a_worker_race_and_both_requests_complete_once),
	CASE(a_ring_is_closed_with_everything_in_flight),
};

unit_main(tests)

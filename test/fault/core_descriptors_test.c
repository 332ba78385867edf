/*
 * core_descriptors_test.c - bad descriptors, and such as are closed or used again in flight
 */
#include "core.h"

static struct io_uring ring;
static char buffer[64];

static int setup(void **state)
{
	(void)state;
	core_ring(&ring, 32, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	core_works(&ring);
	io_uring_queue_exit(&ring);
	return 0;
}

static void every_operation_on_a_bad_descriptor_says_so(void **state)
{
	static const int bad[] = {-1, 9999, INT32_MAX, INT32_MIN};
	static const unsigned char opcodes[] = {
		IORING_OP_READ,     IORING_OP_WRITE,           IORING_OP_FSYNC,
		IORING_OP_POLL_ADD, IORING_OP_SYNC_FILE_RANGE, IORING_OP_SEND,
		IORING_OP_RECV,     IORING_OP_ACCEPT,          IORING_OP_FALLOCATE,
		IORING_OP_FADVISE,  IORING_OP_SHUTDOWN,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		for (size_t j = 0; j < sizeof(opcodes); j++) {
			struct io_uring_sqe *sqe = core_sqe(&ring, 1);

			sqe->opcode = opcodes[j];
			sqe->fd = bad[i];
			assert_int_equal(core_run(&ring, 1), -EBADF);
		}
		CORE_PREP(&ring, 2, io_uring_prep_close, bad[i]);
		assert_int_equal(core_run(&ring, 2), -EBADF);
	}
}

static void fixed_files_beyond_the_table_are_bad(void **state)
{
	int fds[2] = {-1, STDIN_FILENO};

	(void)state;
	CORE_PREP(&ring, 1, io_uring_prep_read, 0, buffer, 1, 0)->flags = IOSQE_FIXED_FILE;
	assert_int_equal(core_run(&ring, 1), -EBADF);
	assert_int_equal(io_uring_register_files(&ring, fds, 2), 0);
	CORE_PREP(&ring, 2, io_uring_prep_read, 0, buffer, 1, 0)->flags = IOSQE_FIXED_FILE;
	assert_int_equal(core_run(&ring, 2), -EBADF);
	CORE_PREP(&ring, 3, io_uring_prep_read, 2, buffer, 1, 0)->flags = IOSQE_FIXED_FILE;
	assert_int_equal(core_run(&ring, 3), -EBADF);
	CORE_PREP(&ring, 4, io_uring_prep_read, -1, buffer, 1, 0)->flags = IOSQE_FIXED_FILE;
	assert_int_equal(core_run(&ring, 4), -EBADF);
	assert_int_equal(io_uring_unregister_files(&ring), 0);
}

/* A read of an empty pipe, then the number is closed, and what comes through the pipe still
 * arrives. */
static void read_then_close(bool is_close_requested)
{
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	CORE_PREP(&ring, 1, io_uring_prep_read, fds[0], buffer, sizeof(buffer), 0);
	assert_int_equal(io_uring_submit(&ring), 1);
	if (is_close_requested) {
		CORE_PREP(&ring, 2, io_uring_prep_close, fds[0]);
		assert_int_equal(core_run(&ring, 2), 0);
	} else {
		assert_int_equal(close(fds[0]), 0);
	}
	assert_int_equal(write(fds[1], "hello", 5), 5);
	assert_int_equal(core_result(&ring, 1), 5);
	assert_memory_equal(buffer, "hello", 5);
	close(fds[1]);
}

static void a_request_in_flight_outlives_the_close_of_its_descriptor(void **state)
{
	(void)state;
	read_then_close(false);
	read_then_close(true);
}

/* The number means another pipe now; the old request stays with the old one. */
static void a_request_in_flight_stays_with_its_file_when_the_number_is_used_again(void **state)
{
	int old[2], new[2];

	(void)state;
	assert_int_equal(pipe(old), 0);
	assert_int_equal(pipe(new), 0);
	CORE_PREP(&ring, 1, io_uring_prep_read, old[0], buffer, sizeof(buffer), 0);
	assert_int_equal(io_uring_submit(&ring), 1);
	assert_int_equal(dup2(new[0], old[0]), old[0]);
	assert_int_equal(write(new[1], "new", 3), 3);
	assert_int_equal(write(old[1], "old!", 4), 4);
	assert_int_equal(core_result(&ring, 1), 4);
	assert_memory_equal(buffer, "old!", 4);
	CORE_PREP(&ring, 2, io_uring_prep_read, old[0], buffer, sizeof(buffer), 0);
	assert_int_equal(core_run(&ring, 2), 3);
	assert_memory_equal(buffer, "new", 3);
	for (int i = 0; i < 2; i++) {
		close(old[i]);
		close(new[i]);
	}
}

/* POLL_ADD and a multishot POLL_ADD, on a number that is closed and given out again. */
static void polls_stay_with_their_file_when_the_number_is_used_again(void **state)
{
	int old[2], new[2];

	(void)state;
	assert_int_equal(pipe(old), 0);
	CORE_PREP(&ring, 1, io_uring_prep_poll_add, old[0], POLLIN);
	CORE_PREP(&ring, 2, io_uring_prep_poll_multishot, old[0], POLLIN);
	assert_int_equal(io_uring_submit(&ring), 2);
	close(old[0]);
	assert_int_equal(pipe(new), 0);
	assert_int_equal(new[0], old[0]);
	assert_int_equal(write(new[1], "x", 1), 1);
	core_sqe(&ring, 3)->opcode = IORING_OP_NOP;
	assert_int_equal(core_run(&ring, 3), 0);
	CORE_PREP(&ring, 4, io_uring_prep_cancel64, 2, 0);
	assert_int_equal(io_uring_submit(&ring), 1);
	for (int i = 0; i < 2; i++) {
		struct io_uring_cqe *cqe;

		assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
		assert_true(cqe->user_data == 2 ? cqe->res == -ECANCELED
						: cqe->user_data == 4 && cqe->res == 0);
		io_uring_cqe_seen(&ring, cqe);
	}
	/* The read end is open in the poll alone: a write still finds a reader. */
	assert_int_equal(write(old[1], "x", 1), 1);
	assert_int_equal(core_result(&ring, 1), POLLIN);
	close(old[1]);
	close(new[0]);
	close(new[1]);
}

static void a_fixed_file_outlives_its_descriptor(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(io_uring_register_files(&ring, fds, 2), 0);
	close(fds[0]);
	close(fds[1]);
	CORE_PREP(&ring, 1, io_uring_prep_write, 1, "fixed", 5, 0)->flags = IOSQE_FIXED_FILE;
	assert_int_equal(core_run(&ring, 1), 5);
	CORE_PREP(&ring, 2, io_uring_prep_read, 0, buffer, sizeof(buffer), 0)->flags =
		IOSQE_FIXED_FILE;
	assert_int_equal(core_run(&ring, 2), 5);
	assert_memory_equal(buffer, "fixed", 5);
	assert_int_equal(io_uring_unregister_files(&ring), 0);
}

/* A fixed file's slot is changed under a request that uses it. */
static void a_request_in_flight_outlives_its_fixed_files_slot(void **state)
{
	int fds[2], none = -1;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(io_uring_register_files(&ring, fds, 1), 0);
	CORE_PREP(&ring, 1, io_uring_prep_read, 0, buffer, sizeof(buffer), 0)->flags =
		IOSQE_FIXED_FILE;
	assert_int_equal(io_uring_submit(&ring), 1);
	assert_int_equal(io_uring_register_files_update(&ring, 0, &none, 1), 1);
	close(fds[0]);
	assert_int_equal(write(fds[1], "slot", 4), 4);
	assert_int_equal(core_result(&ring, 1), 4);
	assert_int_equal(io_uring_unregister_files(&ring), 0);
	close(fds[1]);
}

/* A new file of another kind under a number that was used before: what was known of it is wrong
 * now. */
static void a_number_may_change_its_kind(void **state)
{
	char name[] = "/tmp/core-descriptors-XXXXXX";
	int fds[2], file = mkstemp(name);

	(void)state;
	assert_true(file >= 0);
	unlink(name);
	assert_int_equal(write(file, "regular", 7), 7);
	CORE_PREP(&ring, 1, io_uring_prep_read, file, buffer, sizeof(buffer), 0);
	assert_int_equal(core_run(&ring, 1), 7);
	assert_int_equal(core_call(SYS_close, file, 0, 0, 0, 0, 0), 0);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(fds[0], file);
	CORE_PREP(&ring, 2, io_uring_prep_read, fds[0], buffer, sizeof(buffer), 0);
	assert_int_equal(io_uring_submit(&ring), 1);
	assert_int_equal(write(fds[1], "pipe", 4), 4);
	assert_int_equal(core_result(&ring, 2), 4);
	close(fds[0]);
	close(fds[1]);
}

/* Opens into a fixed file's slot: the one that was found, or 0 if it was named. */
static int open_into(unsigned slot)
{
	CORE_PREP(&ring, 1, io_uring_prep_openat_direct, AT_FDCWD, "/", O_RDONLY, 0, slot);
	return core_run(&ring, 1);
}

static void the_search_for_a_free_slot_goes_on_behind_the_last_taken(void **state)
{
	int files[] = {0, -1, -1, 0, -1, 0, -1, -1}, zero = 0;

	(void)state;
	assert_int_equal(io_uring_register_files(&ring, files, 8), 0);
	assert_int_equal(open_into(5), 0); /* replaces: takes no slot */
	assert_int_equal(open_into(IORING_FILE_INDEX_ALLOC - 1), 1);
	assert_int_equal(open_into(4), 0);
	assert_int_equal(open_into(IORING_FILE_INDEX_ALLOC - 1), 6);
	assert_int_equal(io_uring_register_files_update(&ring, 3, &zero, 1), 1);
	assert_int_equal(open_into(IORING_FILE_INDEX_ALLOC - 1), 7);
	assert_int_equal(open_into(IORING_FILE_INDEX_ALLOC - 1), 2);
	assert_int_equal(io_uring_unregister_files(&ring), 0);
}

/* What a request waited for is there before its ring is closed: its CQE is in the mapping. */
static void what_arrived_in_time_is_told_by_a_ring_that_ends(void **state)
{
	struct io_uring_cqe *cqe;
	struct io_uring closed;
	int fds[2];

	(void)state;
	core_ring(&closed, 4, 0);
	assert_int_equal(pipe(fds), 0);
	CORE_PREP(&closed, 1, io_uring_prep_read, fds[0], buffer, sizeof(buffer), 0);
	CORE_PREP(&closed, 2, io_uring_prep_poll_add, fds[0], POLLPRI);
	assert_int_equal(io_uring_submit(&closed), 2);
	assert_int_equal(write(fds[1], "late", 4), 4);
	assert_int_equal(close(closed.ring_fd), 0);
	assert_int_equal(io_uring_cq_ready(&closed), 1); /* what is cancelled is not told */
	assert_int_equal(io_uring_peek_cqe(&closed, &cqe), 0);
	assert_int_equal(cqe->user_data, 1);
	assert_int_equal(cqe->res, 4);
	close(fds[0]);
	close(fds[1]);
	munmap(closed.sq.sqes, *closed.sq.kring_entries * sizeof(struct io_uring_sqe));
	munmap(closed.sq.ring_ptr, closed.sq.ring_sz);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_operation_on_a_bad_descriptor_says_so),
		cmocka_unit_test(fixed_files_beyond_the_table_are_bad),
		cmocka_unit_test(a_request_in_flight_outlives_the_close_of_its_descriptor),
		cmocka_unit_test(
			a_request_in_flight_stays_with_its_file_when_the_number_is_used_again),
		cmocka_unit_test(polls_stay_with_their_file_when_the_number_is_used_again),
		cmocka_unit_test(a_fixed_file_outlives_its_descriptor),
		cmocka_unit_test(a_request_in_flight_outlives_its_fixed_files_slot),
		cmocka_unit_test(a_number_may_change_its_kind),
		cmocka_unit_test(the_search_for_a_free_slot_goes_on_behind_the_last_taken),
		cmocka_unit_test(what_arrived_in_time_is_told_by_a_ring_that_ends),
	};

	core_require_rings();
	return cmocka_run_group_tests(tests, setup, teardown);
}

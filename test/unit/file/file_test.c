/*
 * file_test.c - what a descriptor is, and holding on to it while its number goes away
 */
#include "file/file.h"

#include <errno.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "unit.h"

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static u64 inode_of(int fd)
{
	struct stat status;

	assert_int_equal(fstat(fd, &status), 0);
	return status.st_ino;
}

/* What close() of a program does: entry/ tells us first. */
static struct file *close_told(int fd)
{
	struct file *file = file_detach(fd);

	assert_int_equal(close(fd), 0);
	return file;
}

static void expect_kind(int fd, enum file_kind kind)
{
	assert_true(fd >= 0);
	file_forget(fd);
	assert_int_equal(file_kind_hint(fd), kind);
	assert_int_equal(file_classify(fd), kind);
	assert_int_equal(fd_slot(fd)->kind, kind);
	close_told(fd);
	assert_int_equal(fd_slot(fd)->kind, FILE_UNKNOWN);
	assert_int_equal(file_kind_hint(fd), FILE_UNKNOWN);
}

static void a_descriptor_is_of_the_kind_that_decides_how_it_is_read(void **state)
{
	int pair[2], direct;

	(void)state;
	expect_kind(unit_scratch_file(10, O_RDWR), FILE_REGULAR);
	direct = unit_scratch_file(4096, O_RDWR | O_DIRECT);
	if (direct >= 0)
		expect_kind(direct, FILE_DIRECT);
	expect_kind(open("/tmp", O_RDONLY), FILE_OTHER);
	expect_kind(open("/tmp", O_PATH), FILE_OTHER);
	expect_kind(open("/dev/null", O_RDWR), FILE_STREAM);
	expect_kind(eventfd(0, 0), FILE_STREAM);
	expect_kind(epoll_create1(0), FILE_STREAM);
	assert_int_equal(pipe(pair), 0);
	expect_kind(pair[0], FILE_STREAM);
	expect_kind(pair[1], FILE_STREAM);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	expect_kind(pair[0], FILE_STREAM);
	expect_kind(pair[1], FILE_STREAM);
	expect_kind(posix_openpt(O_RDWR | O_NOCTTY), FILE_STREAM);
}

static void the_memory_of_a_kind_is_a_hint_until_the_kernel_is_asked(void **state)
{
	int regular = unit_scratch_file(10, O_RDWR), null = open("/dev/null", O_RDWR);

	(void)state;
	assert_int_equal(file_kind_hint(regular), FILE_REGULAR);
	assert_int_equal(dup2(null, regular), regular); /* nobody is told */
	assert_int_equal(file_kind_hint(regular), FILE_REGULAR);
	assert_int_equal(file_classify(regular), FILE_STREAM);
	assert_int_equal(file_kind_hint(regular), FILE_STREAM);
	close_told(regular);
	close_told(null);
}

static void numbers_outside_the_table_are_asked_for_each_time(void **state)
{
	(void)state;
	assert_null(fd_slot(-1));
	assert_null(fd_slot(FD_SLOTS));
	assert_int_equal(file_kind_hint(-1), FILE_UNKNOWN);
	assert_int_equal(file_kind_hint(FD_SLOTS), FILE_UNKNOWN);
	file_forget(-1);
	file_forget(FD_SLOTS);
	assert_null(file_detach(-1));
	assert_null(file_detach(FD_SLOTS));
}

static void whether_it_blocks_is_asked_each_time(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_false(file_is_nonblocking(ends[0]));
	assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	assert_true(file_is_nonblocking(ends[0]));
	close_told(ends[0]);
	close_told(ends[1]);
	assert_false(file_is_nonblocking(ends[0]));
}

static void holders_of_one_number_share_one_file(void **state)
{
	int fd = open("/dev/null", O_RDWR);
	struct file *first = file_hold(fd), *second = file_hold(fd);

	(void)state;
	assert_ptr_equal(first, second);
	assert_ptr_equal(fd_slot(fd)->file, first);
	assert_int_equal(first->refs, 2);
	file_get(first);
	assert_int_equal(first->refs, 3);
	for (int i = 0; i < 3; i++)
		file_put(first);
	assert_null(fd_slot(fd)->file);
	assert_true(is_open(fd)); /* it is the program's */
	assert_null(close_told(fd));
}

static void closing_moves_a_held_file_to_a_private_duplicate(void **state)
{
	int fd = unit_scratch_file(10, O_RDWR), private_fd;
	u64 inode = inode_of(fd);
	struct file *file = file_hold(fd), *moved = close_told(fd);

	(void)state;
	assert_ptr_equal(moved, file);
	assert_int_equal(file->refs, 2);
	private_fd = file_fd(file);
	assert_int_not_equal(private_fd, fd);
	assert_true(fd_is_private(private_fd));
	assert_int_equal(inode_of(private_fd), inode);
	assert_int_equal(fcntl(private_fd, F_GETFD), FD_CLOEXEC);
	assert_null(fd_slot(fd)->file);
	file_put(moved);
	assert_true(is_open(private_fd));
	file_put(file);
	assert_false(is_open(private_fd));
	assert_false(fd_is_private(private_fd));
}

static void a_number_used_again_is_held_anew(void **state)
{
	int fd = unit_scratch_file(10, O_RDWR), null = open("/dev/null", O_RDWR);
	struct file *old = file_hold(fd), *new;

	(void)state;
	file_put(close_told(fd));
	assert_int_equal(dup2(null, fd), fd);
	new = file_hold(fd);
	assert_ptr_not_equal(new, old);
	assert_int_equal(file_fd(new), fd);
	assert_int_not_equal(file_fd(old), fd);
	/* The old one's end does not touch the new one's slot. */
	file_put(old);
	assert_ptr_equal(fd_slot(fd)->file, new);
	file_put(new);
	close_told(fd);
	close_told(null);
}

static void a_number_that_nobody_holds_is_closed_without_a_duplicate(void **state)
{
	int fd = open("/dev/null", O_RDWR), highest = fd_private_next(0);

	(void)state;
	file_kind_hint(fd);
	assert_null(close_told(fd));
	assert_int_equal(fd_slot(fd)->kind, FILE_UNKNOWN);
	assert_int_equal(fd_private_next(0), highest);
}

static void without_a_descriptor_to_be_had_the_file_is_lost_and_says_so(void **state)
{
	struct rlimit limit, none;
	int fd = open("/dev/null", O_RDWR);
	struct file *file = file_hold(fd), *moved;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = (struct rlimit){.rlim_cur = 0, .rlim_max = limit.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	moved = file_detach(fd);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(close(fd), 0);
	assert_ptr_equal(moved, file);
	assert_int_equal(file_fd(file), -1);
	file_put(moved);
	file_put(file);
}

static void a_duplicate_is_a_file_of_its_own(void **state)
{
	int fd = unit_scratch_file(10, O_RDWR), err = 0, copy;
	struct file *held = file_hold(fd), *own = file_duplicate(fd, &err);

	(void)state;
	assert_non_null(own);
	assert_ptr_not_equal(own, held);
	copy = file_fd(own);
	assert_true(fd_is_private(copy));
	assert_int_equal(inode_of(copy), inode_of(fd));
	file_put(held);
	assert_null(close_told(fd)); /* it is not in the slot: nothing moves */
	assert_true(is_open(copy));
	file_put(own);
	assert_false(is_open(copy));
	assert_null(file_duplicate(fd, &err));
	assert_int_equal(err, -EBADF);
}

static void a_descriptor_that_is_adopted_becomes_private(void **state)
{
	int fd = open("/dev/null", O_RDWR), err = 0, private_fd;
	struct file *file = file_adopt(fd, &err);

	(void)state;
	assert_non_null(file);
	private_fd = file_fd(file);
	assert_true(fd_is_private(private_fd));
	assert_true(private_fd == fd || !is_open(fd));
	file_put(file);
	assert_false(is_open(private_fd));
}

static struct {
	int fd;
	u32 rounds;
} race;

static void *hold_and_put(void *unused)
{
	for (u32 i = 0; i < race.rounds; i++) {
		struct file *file = file_hold(race.fd);

		assert_true(is_open(file_fd(file)));
		file_put(file);
	}
	return unused;
}

/* A holder's file is open at each moment, whatever becomes of its number. */
static void a_held_file_stays_open_while_its_number_is_replaced(void **state)
{
	pthread_t threads[2];
	int null = open("/dev/null", O_RDWR), highest = fd_private_next(0);

	(void)state;
	race.fd = dup(null);
	race.rounds = 20000;
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hold_and_put, NULL), 0);
	for (u32 i = 0; i < 2000; i++) {
		struct file *file = file_detach(race.fd);

		assert_int_equal(dup2(null, race.fd), race.fd);
		if (file)
			file_put(file);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_null(fd_slot(race.fd)->file);
	close_told(race.fd);
	close_told(null);
	assert_int_equal(fd_private_next(0), highest); /* every duplicate was closed */
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_descriptor_is_of_the_kind_that_decides_how_it_is_read),
	cmocka_unit_test(the_memory_of_a_kind_is_a_hint_until_the_kernel_is_asked),
	cmocka_unit_test(numbers_outside_the_table_are_asked_for_each_time),
	cmocka_unit_test(whether_it_blocks_is_asked_each_time),
	cmocka_unit_test(holders_of_one_number_share_one_file),
	cmocka_unit_test(closing_moves_a_held_file_to_a_private_duplicate),
	cmocka_unit_test(a_number_used_again_is_held_anew),
	cmocka_unit_test(a_number_that_nobody_holds_is_closed_without_a_duplicate),
	cmocka_unit_test(without_a_descriptor_to_be_had_the_file_is_lost_and_says_so),
	cmocka_unit_test(a_duplicate_is_a_file_of_its_own),
	cmocka_unit_test(a_descriptor_that_is_adopted_becomes_private),
	cmocka_unit_test(a_held_file_stays_open_while_its_number_is_replaced),
};

unit_main(tests)

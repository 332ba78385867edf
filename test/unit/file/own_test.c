/*
 * own_test.c - which files are owned, when they are lost, and what a closed number means
 *
 * Leases, locks and the keeper are the kernel's and ours in earnest; the cache is filled by
 * nobody, since only bindings are looked at.
 */
#include "file/own.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/clock.h"
#include "unit.h"

#define SIZE 16384

static char path[512];

/* A file that has a name; closed. */
static int make_file(void **state)
{
	const char *base = getenv("TMPDIR");
	int fd;

	(void)state;
	assert_int_equal(own_start(8 << 20, NULL), 0);
	snprintf(path, sizeof(path), "%s/ringside-own-XXXXXX", base ? base : "/var/tmp");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, SIZE), 0);
	close(fd);
	return 0;
}

static int remove_file(void **state)
{
	(void)state;
	unlink(path);
	return 0;
}

static int open_it(int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* What close() of a program does: entry/ tells us first. */
static void close_it(int fd)
{
	own_close_begin(fd);
	file_forget(fd);
	close(fd);
	own_close_end(fd);
}

static cache_binding binding_of(int fd)
{
	return file_kind_hint(fd) == FILE_OWNED ? own_binding(fd) : 0;
}

/* Asks as requests do, until back-off lets it have the file. */
static cache_binding wait_for_binding(int fd)
{
	unit_wait_until(binding_of(fd) != 0);
	return binding_of(fd);
}

static void a_file_that_is_only_read_is_owned_once_however_often_it_is_opened(void **state)
{
	int first = open_it(O_RDONLY), second = open_it(O_RDONLY);
	cache_binding binding = binding_of(first);

	(void)state;
	assert_true(binding != 0);
	assert_true(cache_file_is_current(binding));
	assert_int_equal(cache_file_size(binding), SIZE);
	assert_int_equal(binding_of(second), binding);
	close_it(first);
	assert_int_equal(binding_of(second), binding);
	close_it(second);
	unit_wait_until(!cache_file_is_current(binding)); /* the keeper */
}

static void what_is_written_to_is_not_owned(void **state)
{
	int writer = open_it(O_RDWR), reader = open_it(O_RDONLY);

	(void)state;
	assert_int_equal(file_kind_hint(writer), FILE_REGULAR);
	/* Somebody writes: it may be had later. */
	assert_int_equal(file_kind_hint(reader), FILE_OWNED);
	assert_int_equal(own_binding(reader), 0);
	close_it(writer);
	wait_for_binding(reader);
	close_it(reader);
}

static void an_open_for_writing_waits_until_the_file_is_lost(void **state)
{
	int reader = open_it(O_RDONLY), writer;
	cache_binding binding = wait_for_binding(reader);

	(void)state;
	writer = open_it(O_WRONLY);
	assert_false(cache_file_is_current(binding));
	assert_int_equal(binding_of(reader), 0);
	assert_int_equal(ftruncate(writer, SIZE / 2), 0);
	close_it(writer);
	assert_int_equal(cache_file_size(wait_for_binding(reader)), SIZE / 2);
	close_it(reader);
}

static void nothing_is_attached_to_a_number_while_it_is_closed(void **state)
{
	int fd = open_it(O_RDONLY);

	(void)state;
	wait_for_binding(fd);
	own_close_begin(fd);
	file_forget(fd);
	file_classify(fd); /* another thread's request, at the wrong moment */
	assert_int_equal(fd_slot(fd)->binding, 0);
	assert_int_equal(fd_slot(fd)->owned, 0);
	assert_int_equal(fd_slot(fd)->kind, FILE_UNKNOWN);
	close(fd);
	own_close_end(fd);
}

static void a_number_that_was_closed_unseen_is_found_out_in_the_next_enter(void **state)
{
	int fd = open_it(O_RDONLY), other = unit_scratch_file(SIZE, O_RDONLY);
	cache_binding binding = wait_for_binding(fd);
	u32 before = own_enter_begin();

	(void)state;
	assert_int_equal(own_binding(fd), binding);
	own_enter_end(before);
	assert_int_equal(syscall(SYS_dup3, other, fd, 0), fd);
	before = own_enter_begin();
	assert_true(own_binding(fd) != binding);
	own_enter_end(before);
	close_it(fd);
	close_it(other);
}

static void a_private_duplicate_keeps_the_file_owned(void **state)
{
	int fd = open_it(O_RDONLY);
	cache_binding binding = wait_for_binding(fd);
	struct file *held = file_hold(fd), *moved;

	(void)state;
	own_close_begin(fd);
	moved = file_detach(fd);
	assert_ptr_equal(moved, held);
	close(fd);
	own_close_end(fd);
	assert_int_equal(own_binding(file_fd(held)), binding);
	file_put(moved);
	file_put(held);
	unit_wait_until(!cache_file_is_current(binding));
}

static void an_exclusive_file_hears_of_changes(void **state)
{
	int fd = open_it(O_RDWR), blind = open_it(O_WRONLY);
	struct own_change change;
	cache_binding binding;

	(void)state;
	assert_int_equal(file_kind_hint(blind), FILE_REGULAR); /* found out when it was nobody's */
	assert_int_equal(own_own(fd, OWN_EXCLUSIVE), 0);
	binding = own_binding(fd);
	assert_true(binding != 0);
	assert_int_equal(own_exclusive_count, 1);
	assert_true(own_change_begin(&change, blind, 0, 100));
	assert_int_equal(own_change_try(&change), CACHE_DONE);
	assert_int_equal(ftruncate(fd, 2 * SIZE), 0);
	own_changed(fd, 2 * SIZE, UINT64_MAX);
	assert_int_equal(cache_file_size(binding), 2 * SIZE);
	assert_int_equal(own_disown(fd), 0);
	assert_false(cache_file_is_current(binding));
	close_it(fd);
	close_it(blind);
	unit_wait_until(load_relaxed(&own_exclusive_count) == 0);
}

static void the_range_of_a_write_is_known_whatever_says_where(void **state)
{
	int fd = open_it(O_RDWR), append = open_it(O_WRONLY | O_APPEND);
	struct own_writer writer;
	struct own_range range;

	(void)state;
	assert_int_equal(own_own(fd, OWN_EXCLUSIVE), 0);
	own_write_begin(&writer, fd, 100, 0);
	range = own_write_range(&writer, fd, 100, 50);
	assert_int_equal(range.offset, 100);
	assert_int_equal(range.end, 150);
	assert_int_equal(lseek(fd, 1000, SEEK_SET), 1000);
	own_write_begin(&writer, fd, OWN_AT_POSITION, 0);
	assert_int_equal(lseek(fd, 1010, SEEK_SET), 1010); /* ten bytes were written */
	range = own_write_range(&writer, fd, OWN_AT_POSITION, 10);
	assert_int_equal(range.offset, 1000);
	assert_int_equal(range.end, 1010);
	own_write_begin(&writer, append, 0, 0);
	range = own_write_range(&writer, append, 0, 10);
	assert_int_equal(range.offset, SIZE);
	assert_int_equal(range.end, UINT64_MAX);
	close_it(append);
	close_it(fd);
	unit_wait_until(load_relaxed(&own_exclusive_count) == 0);
}

/* Whether another process finds a lock on the file. */
static bool is_locked(void)
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
		int fd = open(path, O_RDWR);

		_exit(fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WEXITSTATUS(status);
}

static void a_posix_lock_of_the_program_outlives_a_try_to_own(void **state)
{
	int fd = open_it(O_RDONLY);
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};

	(void)state;
	own_lock_begin(fd, true);
	assert_int_equal(fcntl(fd, F_SETLK, &lock), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(binding_of(fd), 0);
	assert_true(is_locked());
	close_it(fd);
}

static void advice_is_remembered_before_the_first_read(void **state)
{
	int fd = open_it(O_RDONLY);

	(void)state;
	assert_false(own_advise(fd, 0, 0, POSIX_FADV_RANDOM)); /* the kernel is to hear it too */
	wait_for_binding(fd);
	assert_int_equal(own_readahead(fd)->advice, READAHEAD_RANDOM);
	assert_true(own_advise(fd, 0, 0, POSIX_FADV_WILLNEED));
	close_it(fd);
}

static int child_owns_nothing(void)
{
	own_fork_child();
	return own_is_on || fd_slots[0].binding;
}

static void a_forked_child_owns_nothing(void **state)
{
	int fd = open_it(O_RDONLY);

	(void)state;
	wait_for_binding(fd);
	assert_int_equal(unit_in_child(child_owns_nothing), 0);
	assert_true(binding_of(fd) != 0);
	close_it(fd);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, make_file, remove_file)
	const struct CMUnitTest tests[] = {
		CASE(a_file_that_is_only_read_is_owned_once_however_often_it_is_opened),
		CASE(what_is_written_to_is_not_owned),
		CASE(an_open_for_writing_waits_until_the_file_is_lost),
		CASE(nothing_is_attached_to_a_number_while_it_is_closed),
		CASE(a_number_that_was_closed_unseen_is_found_out_in_the_next_enter),
		CASE(a_private_duplicate_keeps_the_file_owned),
		CASE(an_exclusive_file_hears_of_changes),
		CASE(the_range_of_a_write_is_known_whatever_says_where),
		CASE(a_posix_lock_of_the_program_outlives_a_try_to_own),
		CASE(advice_is_remembered_before_the_first_read),
		CASE(a_forked_child_owns_nothing),
	};

	alarm(UNIT_SECONDS);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

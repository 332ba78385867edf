/*
 * core_files_test.c - what a request keeps of its file, and requests that are about other rings
 */
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <sys/un.h>

#include "core.h"

#define BLOCK 4096

static struct io_uring ring;

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

/* The results of the next two CQEs, of requests 1 and 2 in whatever order. */
static void two_results(int results[2])
{
	for (int i = 0; i < 2; i++) {
		struct io_uring_cqe cqe = core_cqe(&ring);

		assert_in_range(cqe.user_data, 1, 2);
		results[cqe.user_data - 1] = cqe.res;
	}
}

static void direct_read_outlives_a_close_in_the_same_batch(void **state)
{
	char path[] = "core_files.XXXXXX";
	int results[2], fd = mkostemp(path, O_DIRECT);
	void *block = NULL;

	(void)state;
	if (fd < 0)
		skip(); /* the file system knows no O_DIRECT */
	unlink(path);
	assert_int_equal(posix_memalign(&block, BLOCK, BLOCK), 0);
	memset(block, 'x', BLOCK);
	assert_int_equal(pwrite(fd, block, BLOCK, 0), BLOCK);
	CORE_PREP(&ring, 1, io_uring_prep_read, fd, block, BLOCK, 0);
	CORE_PREP(&ring, 2, io_uring_prep_close, fd);
	assert_int_equal(io_uring_submit(&ring), 2);
	two_results(results);
	assert_int_equal(results[0], BLOCK);
	assert_int_equal(results[1], 0);
	free(block);
}

/* The handler's own descriptor, on which a request waits. */
static volatile sig_atomic_t handled;
static int handlers_fd;

/* Closes the number and gives it to the same file again: requests on it never know. */
static void close_and_reopen(int signal)
{
	int saved = errno, copy = dup(handlers_fd);

	(void)signal;
	close(handlers_fd);
	dup2(copy, handlers_fd);
	close(copy);
	handled++;
	errno = saved;
}

static void handlers_may_close_what_requests_use(void **state)
{
	const struct itimerval often = {{.tv_usec = 50}, {.tv_usec = 50}}, never = {0};
	struct sigaction action = {.sa_handler = close_and_reopen, .sa_flags = SA_RESTART};
	int results[2], fds[2];
	char byte;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	handlers_fd = fds[0];
	assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
	while (handled < 5000) {
		CORE_PREP(&ring, 1, io_uring_prep_read, fds[0], &byte, 1, 0);
		CORE_PREP(&ring, 2, io_uring_prep_write, fds[1], "x", 1, 0);
		while (io_uring_sq_ready(&ring) > 0)
			io_uring_submit(&ring);
		for (int i = 0; i < 2; i++) {
			struct io_uring_cqe *cqe;

			while (io_uring_wait_cqe(&ring, &cqe) != 0)
				;
			results[cqe->user_data - 1] = cqe->res;
			io_uring_cqe_seen(&ring, cqe);
		}
		assert_int_equal(results[1], 1);
	}
	assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
	close(fds[0]);
	close(fds[1]);
}

static void other_rings_cannot_be_read_or_written(void **state)
{
	char bytes[64] = "";
	struct io_uring other;

	(void)state;
	core_ring(&other, 8, 0);
	CORE_PREP(&ring, 1, io_uring_prep_write, other.ring_fd, bytes, sizeof(bytes), 0);
	assert_int_equal(core_run(&ring, 1), -EINVAL);
	core_works(&other);
	io_uring_queue_exit(&other);
}

static void poll_of_a_ring_forgets_what_was_taken_from_it(void **state)
{
	struct __kernel_timespec moment = {.tv_nsec = 10000000};
	struct pollfd entry = {.events = POLLIN};
	struct io_uring_cqe *cqe;
	struct io_uring other;

	(void)state;
	core_ring(&other, 8, 0);
	entry.fd = other.ring_fd;
	assert_int_equal(poll(&entry, 1, 0), 0);
	core_sqe(&other, 1)->opcode = IORING_OP_NOP;
	assert_int_equal(io_uring_submit(&other), 1);
	assert_int_equal(poll(&entry, 1, 0), 1);
	assert_int_equal(core_result(&other, 1), 0);
	CORE_PREP(&ring, 1, io_uring_prep_poll_add, other.ring_fd, POLLIN);
	assert_int_equal(io_uring_submit(&ring), 1);
	assert_int_equal(io_uring_wait_cqe_timeout(&ring, &cqe, &moment), -ETIME);
	core_sqe(&other, 2)->opcode = IORING_OP_NOP;
	assert_int_equal(io_uring_submit(&other), 1);
	assert_int_equal(core_result(&ring, 1), POLLIN);
	io_uring_queue_exit(&other);
}

/* No wait and no sleep between: what the other ring's program sees is as old as this call. */
static void poll_of_a_ring_completes_with_the_call_that_posts(void **state)
{
	struct io_uring polled, polling;

	core_ring(&polled, 4, 0);
	core_ring(&polling, 4, 0);
	CORE_PREP(&polling, 1, io_uring_prep_poll_add, polled.ring_fd, POLLIN);
	assert_int_equal(io_uring_submit(&polling), 1);
	assert_int_equal(io_uring_cq_ready(&polling), 0);
	core_sqe(&polled, 2)->opcode = IORING_OP_NOP;
	assert_int_equal(io_uring_submit(&polled), 1);
	assert_int_equal(io_uring_cq_ready(&polling), 1);
	assert_int_equal(core_result(&polling, 1), POLLIN);
	io_uring_queue_exit(&polled);
	io_uring_queue_exit(&polling);
	(void)state;
}

static void polls_may_be_exclusive(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	CORE_PREP(&ring, 1, io_uring_prep_poll_add, fds[0], POLLIN | EPOLLEXCLUSIVE);
	assert_int_equal(io_uring_submit(&ring), 1);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(core_result(&ring, 1), POLLIN);
	close(fds[0]);
	close(fds[1]);
}

static void iopoll_takes_direct_files_only(void **state)
{
	int fd = open("/proc/self/exe", O_RDONLY);
	struct io_uring polled;
	char bytes[16];

	(void)state;
	assert_true(fd >= 0);
	core_ring(&polled, 8, IORING_SETUP_IOPOLL);
	CORE_PREP(&polled, 1, io_uring_prep_read, fd, bytes, sizeof(bytes), 0);
	assert_int_equal(core_run(&polled, 1), -EOPNOTSUPP);
	io_uring_queue_exit(&polled);
	close(fd);
}

static void deferred_links_are_told_to_the_eventfd(void **state)
{
	unsigned flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
	int event_fd = eventfd(0, EFD_NONBLOCK);
	struct io_uring deferred;
	eventfd_t counter;

	(void)state;
	core_ring(&deferred, 8, flags);
	assert_int_equal(io_uring_register_eventfd(&deferred, event_fd), 0);
	/* NOPs. The first leaves no CQE; the second waits for the program to enter. */
	core_sqe(&deferred, 1)->flags = IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
	core_sqe(&deferred, 2);
	assert_int_equal(io_uring_submit(&deferred), 2);
	assert_int_equal(eventfd_read(event_fd, &counter), 0);
	assert_int_equal(core_result(&deferred, 2), 0);
	io_uring_queue_exit(&deferred);
	close(event_fd);
}

static void a_child_closes_what_the_parent_waits_on(void **state)
{
	char page[4096] = "";
	int fds[2], gate[2], status;
	pid_t child;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(pipe(gate), 0);
	assert_int_equal(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
	while (write(fds[1], page, sizeof(page)) > 0)
		;
	assert_int_equal(fcntl(fds[1], F_SETFL, 0), 0);
	CORE_PREP(&ring, 1, io_uring_prep_write, fds[1], page, sizeof(page), -1);
	assert_int_equal(io_uring_submit(&ring), 1);
	child = fork();
	if (child == 0) {
		close(fds[1]);
		close(ring.ring_fd);
		close(gate[1]);
		_exit((int)read(gate[0], page, 1));
	}
	CORE_PREP(&ring, 2, io_uring_prep_cancel, (void *)1, 0);
	assert_int_equal(io_uring_submit(&ring), 1);
	for (int i = 0; i < 2; i++) {
		struct io_uring_cqe *cqe;

		assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
		io_uring_cqe_seen(&ring, cqe);
	}
	close(fds[1]);
	/* Both have closed it: once it is empty the pipe has ended. The child may not be so far
	 * yet. */
	for (;;) {
		struct pollfd entry = {.fd = fds[0], .events = POLLIN};

		assert_int_equal(poll(&entry, 1, 10000), 1);
		if (read(fds[0], page, sizeof(page)) == 0)
			break;
	}
	close(gate[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	close(gate[0]);
	close(fds[0]);
}

/* A connect to a Unix socket whose queue is full can only block. */
static void a_blocked_call_is_found_by_its_descriptor(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), results[2], clients[3];
	socklen_t size = offsetof(struct sockaddr_un, sun_path) + 16;

	(void)state;
	snprintf(address.sun_path + 1, 16, "core-files-%d", getpid());
	assert_int_equal(bind(listener, (void *)&address, size), 0);
	assert_int_equal(listen(listener, 0), 0);
	for (int i = 0; i < 3; i++)
		clients[i] = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(connect(clients[0], (void *)&address, size), 0);
	CORE_PREP(&ring, 1, io_uring_prep_connect, clients[1], (void *)&address, size);
	assert_int_equal(io_uring_submit(&ring), 1);
	usleep(20000); /* until it blocks; if it does not yet, the cancel is only easier */
	CORE_PREP(&ring, 2, io_uring_prep_cancel_fd, clients[1], 0);
	assert_int_equal(io_uring_submit(&ring), 1);
	two_results(results);
	assert_true(results[0] == -EINTR || results[0] == -ECANCELED);
	assert_true(results[1] == -EALREADY || results[1] == 0);
	for (int i = 0; i < 3; i++)
		close(clients[i]);
	close(listener);
}

#ifndef RWF_ATOMIC
#define RWF_ATOMIC 0x40
#endif
#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE 0x80 /* since Linux 6.14 */
#endif

static int read_with_flags(int fd, unsigned length, __u64 offset, int flags)
{
	static char memory[16];
	struct io_uring_sqe *sqe =
		CORE_PREP(&ring, 1, io_uring_prep_read, fd, memory, length, offset);

	sqe->rw_flags = flags;
	return core_run(&ring, 1);
}

/* With and without bytes to read, at an offset that is none. */
static void refused(int fd, int flags)
{
	assert_int_equal(read_with_flags(fd, 8, 0, flags), -EOPNOTSUPP);
	assert_int_equal(read_with_flags(fd, 0, 0, flags), -EOPNOTSUPP);
	assert_int_equal(read_with_flags(fd, 8, (__u64)-5, flags), -EOPNOTSUPP);
}

static void a_flag_is_refused_before_the_file_is_read(void **state)
{
	int directory = open("/", O_RDONLY | O_DIRECTORY), full = open("/dev/full", O_RDONLY);
	int version = open("/proc/version", O_RDONLY);

	(void)state;
	refused(directory, RWF_NOWAIT);
	refused(directory, RWF_ATOMIC);
	refused(directory, RWF_DONTCACHE);
	refused(directory, 0x40000000);
	refused(full, RWF_NOWAIT);
	refused(full, RWF_DONTCACHE);
	assert_int_equal(read_with_flags(version, 0, 0, RWF_NOWAIT), -EOPNOTSUPP);
	refused(version, RWF_DONTCACHE);
	assert_int_equal(read_with_flags(directory, 8, 0, RWF_DSYNC), -EISDIR);
	assert_int_equal(read_with_flags(full, 8, 0, RWF_DSYNC), 8);
	close(directory);
	close(full);
	close(version);
}

static void no_file_has_negative_offsets_but_the_current(void **state)
{
	int null = open("/dev/null", O_RDONLY), fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(read_with_flags(null, 8, 0, 0), 0);
	assert_int_equal(read_with_flags(null, 8, (__u64)-5, 0), -EINVAL);
	assert_int_equal(read_with_flags(fds[0], 8, (__u64)-5, 0), -EINVAL);
	assert_int_equal(read_with_flags(fds[0], 0, (__u64)-5, 0), -EINVAL);
	assert_int_equal(read_with_flags(fds[0], 8, (__u64)-1, 0), 1);
	close(null);
	close(fds[0]);
	close(fds[1]);
}

/* Whether another process finds a record lock of this one. A lock belongs to a process: the child
 * has none. */
static bool is_locked(const char *path)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
		int fd = open(path, O_RDWR);

		_exit(fd < 0 || fcntl(fd, F_GETLK, &range) ? 2 : range.l_type != F_UNLCK);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
	return WEXITSTATUS(status);
}

static int lock_file(int fd, short type, off_t start, off_t len)
{
	struct flock range = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};

	return fcntl(fd, F_SETLK, &range);
}

static int count_descriptors(void)
{
	int count = 0;

	for (int fd = 0; fd < 2000; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* A close of a file takes the process's record locks on it; the end of a request closes nothing. */
static void record_locks_outlive_requests(void **state)
{
	char path[] = "core_locks.XXXXXX";
	int before = 0, results[2], fd = mkostemp(path, 0);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(lock_file(fd, F_WRLCK, 0, 0), 0);
	for (int i = 0; i < 100; i++) {
		CORE_PREP(&ring, 1, io_uring_prep_fsync, fd, 0);
		CORE_PREP(&ring, 2, io_uring_prep_fallocate, fd, 0, 0, BLOCK);
		assert_int_equal(io_uring_submit(&ring), 2);
		two_results(results);
		assert_int_equal(results[0], 0);
		assert_true(results[1] == 0 || results[1] == -EOPNOTSUPP);
		if (i == 0)
			before = count_descriptors();
	}
	assert_true(is_locked(path));
	/* What keeps the lock is used again, not piled up. */
	assert_true(count_descriptors() <= before + 1);
	assert_int_equal(lock_file(fd, F_UNLCK, 0, 0), 0);
	assert_false(is_locked(path));
	assert_int_equal(lock_file(fd, F_RDLCK, 100, 10), 0);
	CORE_PREP(&ring, 1, io_uring_prep_fsync, fd, 0);
	CORE_PREP(&ring, 2, io_uring_prep_fsync, fd, 0);
	assert_int_equal(io_uring_submit(&ring), 2);
	two_results(results);
	assert_true(is_locked(path));
	close(fd);
	assert_false(is_locked(path));
	unlink(path);
}

/* So does none of a direct descriptor's that is opened and closed. */
static void record_locks_outlive_direct_descriptors(void **state)
{
	char path[] = "core_locks.XXXXXX";
	int fd = mkostemp(path, 0);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(io_uring_register_files_sparse(&ring, 2), 0);
	assert_int_equal(lock_file(fd, F_WRLCK, 0, 1), 0);
	CORE_PREP(&ring, 1, io_uring_prep_openat_direct, AT_FDCWD, path, O_RDWR, 0, 0);
	assert_int_equal(io_uring_submit(&ring), 1);
	assert_int_equal(core_result(&ring, 1), 0);
	assert_true(is_locked(path));
	CORE_PREP(&ring, 2, io_uring_prep_close_direct, 0);
	assert_int_equal(io_uring_submit(&ring), 1);
	assert_int_equal(core_result(&ring, 2), 0);
	assert_true(is_locked(path));
	close(fd);
	assert_false(is_locked(path));
	unlink(path);
}

/* A number that was closed, or stands for another file by now, gets no request of the old one. */
static void a_locked_number_can_be_given_to_another_file(void **state)
{
	char path[] = "core_locks.XXXXXX", other[] = "core_locks.XXXXXX";
	int fd = mkostemp(path, 0), to = mkostemp(other, 0);
	struct stat status;

	(void)state;
	assert_true(fd >= 0 && to >= 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(lock_file(fd, F_WRLCK, 0, 0), 0);
		CORE_PREP(&ring, 1, io_uring_prep_fsync, fd, 0);
		assert_int_equal(io_uring_submit(&ring), 1);
		assert_int_equal(core_result(&ring, 1), 0);
		/* Seen, and then unseen. */
		if (i == 0)
			assert_int_equal(dup2(to, fd), fd);
		else
			assert_int_equal(core_call(SYS_dup2, to, fd, 0, 0, 0, 0), fd);
		assert_false(is_locked(path));
		CORE_PREP(&ring, 1, io_uring_prep_fallocate, fd, 0, 0, (i + 1) * BLOCK);
		assert_int_equal(io_uring_submit(&ring), 1);
		assert_int_equal(core_result(&ring, 1), 0);
		assert_int_equal(fstat(to, &status), 0);
		assert_int_equal(status.st_size, (i + 1) * BLOCK);
		close(fd);
		fd = open(path, O_RDWR);
		assert_true(fd >= 0);
	}
	close(fd);
	close(to);
	unlink(path);
	unlink(other);
}

/* The size of what `path` names, or -errno. */
static long size_by_path(const char *path, int flags)
{
	struct statx status = {0};
	int err;

	CORE_PREP(&ring, 1, io_uring_prep_statx, AT_FDCWD, path, flags, STATX_SIZE, &status);
	err = core_run(&ring, 1);
	return err ? err : (long)status.stx_size;
}

/* However often it was asked, and however lately. */
static void a_path_is_looked_up_anew_for_each_statx(void **state)
{
	char path[] = "core_statx.XXXXXX", other[] = "core_other.XXXXXX";
	int fd = mkstemp(path), bigger = mkstemp(other);

	(void)state;
	assert_true(fd >= 0 && bigger >= 0);
	assert_int_equal(ftruncate(fd, 1), 0);
	assert_int_equal(ftruncate(bigger, 1000), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(size_by_path(path, 0), 1);
	assert_int_equal(ftruncate(fd, 2), 0);
	assert_int_equal(size_by_path(path, 0), 2);
	assert_int_equal(rename(other, path), 0);
	assert_int_equal(size_by_path(path, 0), 1000);
	assert_int_equal(size_by_path(other, 0), -ENOENT);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(size_by_path(path, 0), -ENOENT);
	assert_int_equal(symlink("core_other.gone", path), 0);
	assert_int_equal(size_by_path(path, 0), -ENOENT);
	assert_int_equal(size_by_path(path, AT_SYMLINK_NOFOLLOW), strlen("core_other.gone"));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_true(size_by_path(path, AT_SYMLINK_NOFOLLOW) >= 0);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(size_by_path(path, AT_SYMLINK_NOFOLLOW), -ENOENT);
	close(fd);
	close(bigger);
}

/* So may the program's pointers have gone bad since. */
static void a_statx_that_worked_fails_for_a_bad_pointer(void **state)
{
	char path[] = "core_statx.XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(size_by_path(path, 0), 0);
	CORE_PREP(&ring, 1, io_uring_prep_statx, AT_FDCWD, path, 0, STATX_SIZE, BAD_POINTER);
	assert_int_equal(core_run(&ring, 1), -EFAULT);
	CORE_PREP(&ring, 1, io_uring_prep_statx, fd, path, 0, STATX_SIZE, BAD_POINTER);
	assert_int_equal(core_run(&ring, 1), -ENOTDIR);
	close(fd);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(direct_read_outlives_a_close_in_the_same_batch,
						setup, teardown),
		cmocka_unit_test_setup_teardown(handlers_may_close_what_requests_use, setup,
						teardown),
		cmocka_unit_test_setup_teardown(other_rings_cannot_be_read_or_written, setup,
						teardown),
		cmocka_unit_test_setup_teardown(poll_of_a_ring_forgets_what_was_taken_from_it,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_child_closes_what_the_parent_waits_on, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_blocked_call_is_found_by_its_descriptor, setup,
						teardown),
		cmocka_unit_test(poll_of_a_ring_completes_with_the_call_that_posts),
		cmocka_unit_test_setup_teardown(polls_may_be_exclusive, setup, teardown),
		cmocka_unit_test_setup_teardown(record_locks_outlive_requests, setup, teardown),
		cmocka_unit_test_setup_teardown(record_locks_outlive_direct_descriptors, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_locked_number_can_be_given_to_another_file, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_flag_is_refused_before_the_file_is_read, setup,
						teardown),
		cmocka_unit_test_setup_teardown(no_file_has_negative_offsets_but_the_current, setup,
						teardown),
		cmocka_unit_test_setup_teardown(iopoll_takes_direct_files_only, setup, teardown),
		cmocka_unit_test_setup_teardown(deferred_links_are_told_to_the_eventfd, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_path_is_looked_up_anew_for_each_statx, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_statx_that_worked_fails_for_a_bad_pointer, setup,
						teardown),
	};

	core_require_rings();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

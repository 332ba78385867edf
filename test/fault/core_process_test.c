/*
 * core_process_test.c - fork, exit and close with requests in flight; set-ups that cannot be
 */
#include "core.h"

#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "base/raw.h"

static int exit_status(pid_t child)
{
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

static pid_t fork_quietly(void)
{
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child == 0)
		alarm(30);
	return child;
}

/* A child makes a ring of its own and uses it: 0, or what went wrong. */
static int ring_of_its_own(void)
{
	struct io_uring_cqe *cqe;
	struct io_uring_sqe *sqe;
	struct io_uring ring;
	char byte;
	int fds[2];

	if (io_uring_queue_init(4, &ring, 0) || pipe(fds))
		return 1;
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_read(sqe, fds[0], &byte, 1, 0);
	if (io_uring_submit(&ring) != 1 || write(fds[1], "c", 1) != 1)
		return 2;
	if (io_uring_wait_cqe(&ring, &cqe) || cqe->res != 1)
		return 3;
	io_uring_queue_exit(&ring);
	return 0;
}

static void requests_in_flight_outlive_a_fork_and_belong_to_the_parent(void **state)
{
	struct __kernel_timespec time = {.tv_nsec = 50000000};
	char name[] = "/tmp/core-process-XXXXXX", buffer[16], block[4096] = "";
	int fds[2], file = mkstemp(name);
	struct io_uring ring;
	pid_t child;

	(void)state;
	assert_true(file >= 0);
	unlink(name);
	assert_int_equal(write(file, block, sizeof(block)), sizeof(block));
	core_ring(&ring, 8, 0);
	assert_int_equal(pipe(fds), 0);
	CORE_PREP(&ring, 1, io_uring_prep_read, fds[0], buffer, sizeof(buffer), 0);
	CORE_PREP(&ring, 2, io_uring_prep_timeout, &time, 0, 0);
	CORE_PREP(&ring, 3, io_uring_prep_fsync, file, 0)->flags = IOSQE_ASYNC;
	assert_int_equal(io_uring_submit(&ring), 3);
	child = fork_quietly();
	assert_true(child >= 0);
	if (child == 0)
		_exit(ring_of_its_own());
	assert_int_equal(exit_status(child), 0);
	assert_int_equal(write(fds[1], "parent", 6), 6);
	for (int i = 0; i < 3; i++) {
		struct io_uring_cqe cqe = core_cqe(&ring);

		assert_int_equal(cqe.res, cqe.user_data == 1 ? 6 : cqe.user_data == 2 ? -ETIME : 0);
	}
	core_works(&ring);
	io_uring_queue_exit(&ring);
	close(fds[0]);
	close(fds[1]);
	close(file);
}

/* An inherited ring is refused, and what the child does to it does not reach the parent's. */
static void an_inherited_ring_is_refused_and_left_alone(void **state)
{
	struct io_uring ring;
	pid_t child;

	(void)state;
	if (!core_is_ringside())
		skip(); /* the kernel shares it */
	core_ring(&ring, 8, 0);
	child = fork_quietly();
	assert_true(child >= 0);
	if (child == 0) {
		if (core_enter(&ring, 0, 0, 0, NULL, 8) != -EOWNERDEAD)
			_exit(1);
		if (core_register(&ring, IORING_UNREGISTER_FILES, NULL, 0) != -EOWNERDEAD)
			_exit(2);
		close(ring.ring_fd);
		_exit(0);
	}
	assert_int_equal(exit_status(child), 0);
	core_works(&ring);
	io_uring_queue_exit(&ring);
}

/* Puts requests of every kind of wait in flight, then ends as it is told. */
static void end_with_requests_in_flight(int how)
{
	struct __kernel_timespec time = {.tv_sec = 100};
	static char buffer[16], block[1 << 20];
	char name[] = "/tmp/core-process-XXXXXX";
	int fds[2], file = mkstemp(name);
	struct io_uring ring;

	if (file < 0 || unlink(name) || pipe(fds) || io_uring_queue_init(16, &ring, 0))
		_exit(1);
	if (write(file, block, sizeof(block)) != sizeof(block))
		_exit(2);
	CORE_PREP(&ring, 1, io_uring_prep_read, fds[0], buffer, sizeof(buffer), 0);
	CORE_PREP(&ring, 2, io_uring_prep_timeout, &time, 0, 0);
	CORE_PREP(&ring, 3, io_uring_prep_fsync, file, 0);
	CORE_PREP(&ring, 4, io_uring_prep_poll_multishot, fds[0], POLLIN);
	CORE_PREP(&ring, 5, io_uring_prep_read, file, block, sizeof(block), 0)->flags = IOSQE_ASYNC;
	CORE_PREP(&ring, 6, io_uring_prep_read, fds[0], buffer, 1, 0)->flags = IOSQE_ASYNC;
	if (io_uring_submit(&ring) != 6)
		_exit(3);
	switch (how) {
	case 0:
		exit(0);
	case 1:
		_exit(0);
	case 2:
		kill(getpid(), SIGKILL);
		break;
	case 3:
		execl("/bin/true", "true", NULL);
		break;
	case 4:
		io_uring_queue_exit(&ring);
		_exit(0);
	default:
		break;
	}
	_exit(4);
}

static void a_process_ends_at_once_whatever_is_in_flight(void **state)
{
	static const int expected[] = {0, 0, 256 + SIGKILL, 0, 0};

	(void)state;
	for (int how = 0; how < 5; how++) {
		pid_t child = fork_quietly();

		assert_true(child >= 0);
		if (child == 0)
			end_with_requests_in_flight(how);
		assert_int_equal(exit_status(child), expected[how]);
	}
}

/* The ring ends with its last descriptor, by a close() that is seen. */
static void a_busy_ring_can_be_closed(void **state)
{
	static char buffer[16];
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	for (int i = 0; i < 50; i++) {
		struct __kernel_timespec time = {.tv_sec = 100};
		struct io_uring ring;

		core_ring(&ring, 8, 0);
		CORE_PREP(&ring, 1, io_uring_prep_read, fds[0], buffer, sizeof(buffer), 0);
		CORE_PREP(&ring, 2, io_uring_prep_timeout, &time, 0, 0);
		CORE_PREP(&ring, 3, io_uring_prep_read, fds[0], buffer, sizeof(buffer), 0)->flags =
			IOSQE_ASYNC;
		assert_int_equal(io_uring_submit(&ring), 3);
		io_uring_queue_exit(&ring);
	}
	/* Nobody reads from the pipe any more; the kernel ends its rings a moment later. */
	if (core_is_ringside()) {
		assert_int_equal(write(fds[1], "x", 1), 1);
		assert_int_equal(read(fds[0], buffer, 1), 1);
	}
	close(fds[0]);
	close(fds[1]);
}

/* The same by a system call of the program's own, which nobody sees; the next ring finds it out. */
static void a_busy_ring_can_be_closed_behind_our_back(void **state)
{
	static char buffer[16];
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	for (int i = 0; i < 50; i++) {
		struct io_uring ring;

		core_ring(&ring, 8, 0);
		CORE_PREP(&ring, 1, io_uring_prep_read, fds[0], buffer, sizeof(buffer), 0);
		CORE_PREP(&ring, 2, io_uring_prep_poll_add, fds[0], POLLIN);
		assert_int_equal(io_uring_submit(&ring), 2);
		assert_int_equal(raw_syscall6(SYS_close, ring.ring_fd, 0, 0, 0, 0, 0), 0);
	}
	for (int i = 0; i < 2; i++) {
		struct io_uring ring;

		core_ring(&ring, 8, 0);
		core_works(&ring);
		io_uring_queue_exit(&ring);
	}
	close(fds[0]);
	close(fds[1]);
}

/* The number of a ring that was closed so is a file's now: it is read and written as one. */
static void a_number_that_was_a_ring_is_a_file_like_others(void **state)
{
	char name[] = "/tmp/core-process-XXXXXX", buffer[8];
	struct io_uring ring;
	int file;

	(void)state;
	core_ring(&ring, 8, 0);
	core_works(&ring);
	assert_int_equal(raw_syscall6(SYS_close, ring.ring_fd, 0, 0, 0, 0, 0), 0);
	file = mkstemp(name);
	assert_int_equal(file, ring.ring_fd);
	unlink(name);
	assert_int_equal(write(file, "file", 4), 4);
	assert_int_equal(pread(file, buffer, sizeof(buffer), 0), 4);
	close(file);
}

/* With so few descriptors that a ring cannot be had, or just so; never anything but a clean
 * answer. */
static void setup_without_descriptors_says_emfile(void **state)
{
	pid_t child = fork_quietly();

	(void)state;
	assert_true(child >= 0);
	if (child == 0) {
		struct rlimit limit = {8, 8};
		struct io_uring ring;
		int err = 0, rings = 0;

		if (setrlimit(RLIMIT_NOFILE, &limit))
			_exit(1);
		while (rings < 16 && (err = io_uring_queue_init(2, &ring, 0)) == 0)
			rings++;
		_exit(err == -EMFILE ? 0 : 2);
	}
	assert_int_equal(exit_status(child), 0);
}

static void setup_without_memory_says_enomem(void **state)
{
	pid_t child = fork_quietly();

	(void)state;
	assert_true(child >= 0);
	if (child == 0) {
		struct rlimit limit = {1 << 20, 1 << 20};
		struct io_uring ring;

		if (setrlimit(RLIMIT_AS, &limit))
			_exit(1);
		_exit(io_uring_queue_init(4096, &ring, 0) == -ENOMEM ? 0 : 2);
	}
	assert_int_equal(exit_status(child), 0);
}

static volatile sig_atomic_t forks;

static void fork_in_a_handler(int signal)
{
	pid_t child = fork();

	(void)signal;
	if (child == 0)
		_exit(0);
	waitpid(child, NULL, 0);
	forks++;
}

/* NOPs without end: most signals find the thread inside the ring. */
static void a_handler_may_fork_while_its_thread_is_inside_a_ring(void **state)
{
	const struct sigaction action = {.sa_handler = fork_in_a_handler};
	const struct itimerval soon = {.it_value = {0, 700}};
	struct io_uring ring;
	int seen = -1;

	(void)state;
	if (!core_is_ringside())
		skip(); /* in the kernel no handler can come between */
	core_ring(&ring, 32, 0);
	assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
	while (forks < 100) {
		/* One signal at a time: a slow fork must not keep the ring from going on. */
		if (seen != forks) {
			seen = forks;
			assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
		}
		for (unsigned i = 0; i < 32; i++)
			io_uring_prep_nop(core_sqe(&ring, i));
		assert_int_equal(io_uring_submit_and_wait(&ring, 32), 32);
		io_uring_cq_advance(&ring, 32);
	}
	signal(SIGALRM, SIG_DFL);
	alarm(100);
	io_uring_queue_exit(&ring);
}

/* The duplicate that a multishot poll keeps must not live on in the child: only we have such. */
static void a_forked_child_keeps_no_pipe_open(void **state)
{
	struct pollfd reader = {.events = POLLIN};
	struct io_uring ring;
	int fds[2], gate[2];
	pid_t child;

	(void)state;
	if (!core_is_ringside())
		skip();
	core_ring(&ring, 4, 0);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(pipe(gate), 0);
	io_uring_prep_poll_multishot(core_sqe(&ring, 1), fds[1], POLLERR);
	assert_int_equal(io_uring_submit(&ring), 1);
	child = fork_quietly();
	assert_true(child >= 0);
	if (child == 0) {
		char byte;

		close(fds[1]);
		close(gate[1]);
		_exit(read(gate[0], &byte, 1) == 0 ? 0 : 1);
	}
	io_uring_queue_exit(&ring);
	close(fds[1]);
	reader.fd = fds[0];
	assert_int_equal(poll(&reader, 1, 10000), 1);
	assert_true(reader.revents & POLLHUP);
	close(gate[1]);
	assert_int_equal(exit_status(child), 0);
	close(fds[0]);
	close(gate[0]);
}

/* Under limits of a file's size; 12: they are not what they were, 13: they cannot be had. */
static int ring_under_limits(rlim_t soft, rlim_t hard)
{
	struct rlimit limit = {.rlim_cur = soft, .rlim_max = hard}, after;
	int wrong;

	if (setrlimit(RLIMIT_FSIZE, &limit))
		return 13;
	wrong = ring_of_its_own();
	if (getrlimit(RLIMIT_FSIZE, &after) || after.rlim_cur != soft || after.rlim_max != hard)
		return 12;
	return wrong;
}

/* Nor is the process killed by SIGXFSZ. A ring of ours is a file, and raises the limit while it is
 * sized; the hard one, where it may: who may do that may take a lowered one back. */
static void a_limit_of_files_is_none_of_rings(void **state)
{
	struct rlimit limit, lower;
	pid_t child;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	child = fork_quietly();
	if (child == 0)
		_exit(ring_under_limits(4096, limit.rlim_max));
	assert_int_equal(exit_status(child), 0);
	child = fork_quietly();
	if (child == 0) {
		int wrong = ring_under_limits(4096, 4096);

		lower = (struct rlimit){.rlim_cur = 4096, .rlim_max = limit.rlim_max};
		if (core_is_ringside() && setrlimit(RLIMIT_FSIZE, &lower) && wrong != 12)
			wrong = 0;
		_exit(wrong);
	}
	assert_int_equal(exit_status(child), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_in_flight_outlive_a_fork_and_belong_to_the_parent),
		cmocka_unit_test(an_inherited_ring_is_refused_and_left_alone),
		cmocka_unit_test(a_process_ends_at_once_whatever_is_in_flight),
		cmocka_unit_test(a_busy_ring_can_be_closed),
		cmocka_unit_test(a_busy_ring_can_be_closed_behind_our_back),
		cmocka_unit_test(a_number_that_was_a_ring_is_a_file_like_others),
		cmocka_unit_test(setup_without_descriptors_says_emfile),
		cmocka_unit_test(setup_without_memory_says_enomem),
		cmocka_unit_test(a_handler_may_fork_while_its_thread_is_inside_a_ring),
		cmocka_unit_test(a_forked_child_keeps_no_pipe_open),
		cmocka_unit_test(a_limit_of_files_is_none_of_rings),
	};

	core_require_rings();
	alarm(100);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

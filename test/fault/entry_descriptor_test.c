/*
 * entry_descriptor_test.c - a ring's descriptor is closed, copied, replaced, polled and read
 *
 * And ringside's own descriptors survive a program that closes whatever it
 * finds. Expected values are those of the kernel's own rings.
 */
#include <linux/close_range.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/uio.h>

#include "entry.h"

#define FD_LIMIT 4096

static struct small_ring new_ring(void)
{
	struct small_ring ring;

	assert_int_equal(ring_setup(&ring, WAY_SYSCALL), 0);
	return ring;
}

static void reading_and_writing_a_ring_fail_as_the_kernels(void **state)
{
	struct small_ring ring = new_ring();
	char byte = 0;
	struct iovec vector = {&byte, 1};
	const struct {
		long ret;
		int error, expected;
	} tried[] = {
#define TRY(call, expected) {(errno = 0, call), errno, expected}
		TRY(read(ring.fd, &byte, 1), EINVAL),
		TRY(write(ring.fd, &byte, 1), EINVAL),
		TRY(readv(ring.fd, &vector, 1), EINVAL),
		TRY(writev(ring.fd, &vector, 1), EINVAL),
		TRY(pread(ring.fd, &byte, 1, 0), ESPIPE),
		TRY(pwrite(ring.fd, &byte, 1, 0), ESPIPE),
		TRY(preadv(ring.fd, &vector, 1, 0), ESPIPE),
		TRY(pwritev(ring.fd, &vector, 1, 0), ESPIPE),
		TRY(preadv2(ring.fd, &vector, 1, 0, 0), ESPIPE),
		TRY(preadv2(ring.fd, &vector, 1, -1, 0), EINVAL),
		TRY(pwritev2(ring.fd, &vector, 1, -1, 0), EINVAL),
		TRY(syscall(SYS_read, ring.fd, &byte, 1), EINVAL),
		TRY(syscall(SYS_pwrite64, ring.fd, &byte, 1, 0), ESPIPE),
#undef TRY
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(tried); i++) {
		assert_int_equal(tried[i].ret, -1);
		assert_int_equal(tried[i].error, tried[i].expected);
	}
	assert_true(ring_works(&ring));
	close(ring.fd);
}

/* Asks whether the ring is readable, in every way there is. */
static int ways_that_say_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct timespec zero = {0, 0};
	struct timeval none = {0, 0};
	fd_set set;
	int count = 0;

	count += poll(&p, 1, 0) == 1 && p.revents == POLLIN;
	count += ppoll(&p, 1, &zero, NULL) == 1 && p.revents == POLLIN;
	count += syscall(SYS_ppoll, &p, 1, &zero, NULL, 8) == 1 && p.revents == POLLIN;
	FD_ZERO(&set);
	FD_SET(fd, &set);
	count += select(fd + 1, &set, NULL, NULL, &none) == 1 && FD_ISSET(fd, &set);
	FD_ZERO(&set);
	FD_SET(fd, &set);
	count += pselect(fd + 1, &set, NULL, NULL, &zero, NULL) == 1 && FD_ISSET(fd, &set);
	FD_ZERO(&set);
	FD_SET(fd, &set);
	zero = (struct timespec){0, 0};
	count += syscall(SYS_pselect6, fd + 1, &set, NULL, NULL, &zero, NULL) == 1 &&
		 FD_ISSET(fd, &set);
	return count;
}

static void a_ring_is_readable_exactly_while_it_has_a_completion(void **state)
{
	struct small_ring ring = new_ring();
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = 5};
	int epoll = epoll_create1(0);

	(void)state;
	assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, ring.fd, &event), 0);
	for (int round = 0; round < 3; round++) {
		assert_int_equal(ways_that_say_readable(ring.fd), 0);
		assert_int_equal(epoll_wait(epoll, &event, 1, 0), 0);
		assert_int_equal(ring_submit_nop(&ring, 1), 1);
		assert_int_equal(ways_that_say_readable(ring.fd), 6);
		assert_int_equal(epoll_wait(epoll, &event, 1, 0), 1);
		assert_int_equal(event.data.u32, 5);
		assert_int_equal(epoll_pwait(epoll, &event, 1, 0, NULL), 1);
		assert_int_equal(syscall(SYS_epoll_pwait, epoll, &event, 1, 0, NULL, 8), 1);
		assert_int_equal(ring_take(&ring), 1);
	}
	assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_DEL, ring.fd, NULL), 0);
	assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_DEL, ring.fd, NULL), -1);
	assert_int_equal(errno, ENOENT);
	close(epoll);
	close(ring.fd);
}

static void polling_a_ring_among_others_keeps_the_others(void **state)
{
	struct small_ring ring = new_ring();
	struct pollfd p[100];
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], "x", 1), 1);
	for (int i = 0; i < 100; i++)
		p[i] = (struct pollfd){.fd = -1, .events = POLLIN, .revents = 77};
	p[3].fd = ring.fd;
	p[50].fd = ends[0];
	p[98] = (struct pollfd){.fd = ring.fd, .events = POLLRDNORM};
	p[99] = (struct pollfd){.fd = ring.fd, .events = POLLIN | POLLRDNORM | POLLOUT};
	assert_int_equal(poll(p, 100, 0), 2);
	assert_int_equal(p[3].revents, 0);
	assert_int_equal(p[50].revents, POLLIN);
	assert_int_equal(p[99].revents, POLLOUT);
	assert_int_equal(p[0].revents, 0);
	assert_int_equal(ring_submit_nop(&ring, 2), 1);
	assert_int_equal(poll(p, 100, 0), 4);
	assert_int_equal(p[3].revents, POLLIN);
	assert_int_equal(p[98].revents, POLLRDNORM);
	assert_int_equal(p[99].revents, POLLIN | POLLRDNORM | POLLOUT);
	assert_int_equal(p[3].fd, ring.fd);
	assert_int_equal(p[3].events, POLLIN);
	close(ends[0]);
	close(ends[1]);
	close(ring.fd);
}

static void polling_with_bad_pointers_is_efault(void **state)
{
	struct small_ring ring = new_ring();

	(void)state;
	errno = 0;
	assert_int_equal(syscall(SYS_ppoll, 16, 1, NULL, NULL, 8), -1);
	assert_int_equal(errno, EFAULT);
	errno = 0;
	assert_int_equal(syscall(SYS_pselect6, ring.fd + 1, 16, NULL, NULL, NULL, NULL), -1);
	assert_int_equal(errno, EFAULT);
	close(ring.fd);
}

static void a_duplicate_of_a_ring_is_the_ring(void **state)
{
	struct small_ring ring = new_ring(), other;
	int copies[4];

	(void)state;
	copies[0] = dup(ring.fd);
	copies[1] = dup2(ring.fd, 200);
	copies[2] = dup3(ring.fd, 201, O_CLOEXEC);
	copies[3] = fcntl(ring.fd, F_DUPFD_CLOEXEC, 202);
	assert_int_equal(copies[1], 200);
	assert_int_equal(copies[2], 201);
	assert_true(copies[3] >= 202);
	close(ring.fd);
	for (int i = 0; i < 4; i++) {
		assert_true(copies[i] >= 0);
		other = ring;
		other.fd = copies[i];
		assert_true(ring_works(&other));
		assert_int_equal(close(copies[i]), 0);
	}
	assert_int_equal(syscall(SYS_io_uring_enter, copies[3], 0, 0, 0, NULL, 0), -1);
	assert_int_equal(errno, EBADF);
}

static void a_closed_ring_is_gone_and_its_number_a_files(void **state)
{
	struct small_ring ring = new_ring();
	int fd, error;

	(void)state;
	assert_int_equal(close(ring.fd), 0);
	fd = open("/dev/zero", O_RDONLY);
	assert_int_equal(fd, ring.fd);
	assert_int_equal(read(fd, &error, sizeof(error)), sizeof(error));
	assert_int_equal(syscall(SYS_io_uring_enter, fd, 0, 0, 0, NULL, 0), -1);
	assert_int_equal(errno, EOPNOTSUPP);
	assert_int_equal(close(fd), 0);
	assert_int_equal(close(fd), -1);
	assert_int_equal(errno, EBADF);
}

static void replacing_a_ring_by_dup2_ends_it(void **state)
{
	struct small_ring ring = new_ring();
	int null = open("/dev/null", O_RDWR);

	(void)state;
	errno = 0;
	assert_int_equal(dup2(999, ring.fd), -1);
	assert_int_equal(errno, EBADF);
	assert_true(ring_works(&ring));
	assert_int_equal(dup2(ring.fd, ring.fd), ring.fd);
	assert_true(ring_works(&ring));
	assert_int_equal(dup2(null, ring.fd), ring.fd);
	assert_int_equal(write(ring.fd, "x", 1), 1);
	assert_int_equal(syscall(SYS_io_uring_enter, ring.fd, 0, 0, 0, NULL, 0), -1);
	assert_int_equal(errno, EOPNOTSUPP);
	close(ring.fd);
	close(null);
}

static int close_each_body(void)
{
	struct small_ring before, after;

	CHECK(!ring_setup(&before, WAY_SYSCALL) && ring_works(&before));
	for (int fd = 3; fd < FD_LIMIT; fd++)
		close(fd);
	CHECK(syscall(SYS_io_uring_enter, before.fd, 0, 0, 0, NULL, 0) == -1 && errno == EBADF);
	CHECK(!ring_setup(&after, WAY_ASM) && ring_works(&after));
	CHECK(ways_that_say_readable(after.fd) == 0);
	return 0;
}

/* Descriptors that the kernel knows and libc does not. */
static int hidden_descriptors(void)
{
	int count = 0;

	for (int fd = 3; fd < FD_LIMIT; fd++)
		count += raw_syscall6(SYS_fcntl, fd, F_GETFD, 0, 0, 0, 0) >= 0 &&
			 fcntl(fd, F_GETFD) < 0;
	return count;
}

static int close_range_body(void)
{
	struct small_ring before, after;
	int hidden;

	CHECK(!ring_setup(&before, WAY_SYSCALL) && ring_works(&before));
	CHECK(ways_that_say_readable(before.fd) == 0);
	hidden = hidden_descriptors();
	CHECK(hidden > 0);
	CHECK(!close_range((unsigned)before.fd + 1, ~0u, 0));
	CHECK(!close_range((unsigned)before.fd + 1, FD_LIMIT, CLOSE_RANGE_UNSHARE));
	CHECK(!close_range((unsigned)before.fd + 1, ~0u, CLOSE_RANGE_CLOEXEC));
	CHECK(hidden_descriptors() == hidden);
	CHECK(ring_submit_nop(&before, 9) == 1 && ways_that_say_readable(before.fd) == 6);
	CHECK(!close_range(3, ~0u, 0));
	CHECK(syscall(SYS_io_uring_enter, before.fd, 0, 0, 0, NULL, 0) == -1 && errno == EBADF);
	CHECK(!ring_setup(&after, WAY_ASM) && ring_works(&after));
	CHECK(!syscall(SYS_close_range, 3, ~0u, 0));
	CHECK(!ring_setup(&after, WAY_ASM) && ring_works(&after));
	closefrom(3);
	CHECK(!ring_setup(&after, WAY_ASM) && ring_works(&after));
	CHECK(close_range(5, 4, 0) == -1 && errno == EINVAL);
	CHECK(close_range(3, 4, 64) == -1 && errno == EINVAL);
	return 0;
}

static int hidden_body(void)
{
	struct small_ring ring;
	int fd;

	CHECK(!ring_setup(&ring, WAY_SYSCALL) && ring_works(&ring));
	ways_that_say_readable(ring.fd);
	/* One that the kernel knows and libc does not. */
	for (fd = FD_LIMIT; fd-- > 3;)
		if (raw_syscall6(SYS_fcntl, fd, F_GETFD, 0, 0, 0, 0) >= 0 && fcntl(fd, F_GETFD) < 0)
			break;
	CHECK(fd > 2);
	CHECK(close(fd) == -1 && errno == EBADF);
	CHECK(dup(fd) == -1 && errno == EBADF);
	CHECK(dup2(0, fd) == -1 && errno == EBADF);
	CHECK(dup2(fd, 0) == -1 && errno == EBADF);
	CHECK(fcntl(fd, F_GETFD) == -1 && errno == EBADF);
	CHECK(syscall(SYS_close, fd) == -1 && errno == EBADF);
	CHECK(raw_syscall6(SYS_fcntl, fd, F_GETFD, 0, 0, 0, 0) >= 0);
	return 0;
}

static void closing_every_number_leaves_ringside_alive(void **state)
{
	(void)state;
	assert_int_equal(in_bare_child(close_each_body), 0);
}

static void close_range_of_everything_leaves_ringside_alive(void **state)
{
	(void)state;
	assert_int_equal(in_bare_child(close_range_body), 0);
}

static void ringsides_descriptors_look_closed(void **state)
{
	(void)state;
	assert_int_equal(in_bare_child(hidden_body), 0);
}

/* The child has its own descriptors, but the memory is the parent's. */
static void a_vfork_child_that_closes_a_ring_leaves_it_to_its_parent(void **state)
{
	struct small_ring ring = new_ring();
	sigset_t all, set;
	int status;
	pid_t child;

	(void)state;
	sigfillset(&all);
	child = vfork();
	if (child == 0) {
		sigprocmask(SIG_SETMASK, &all, NULL);
		signal(SIGSEGV, SIG_IGN);
		close(ring.fd);
		dup2(0, ring.fd);
		close_range(3, ~0u, 0);
		_exit(3);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(WEXITSTATUS(status), 3);
	assert_true(ring_works(&ring));
	ring.way = WAY_ASM;
	assert_true(ring_works(&ring));
	assert_int_equal(sigprocmask(SIG_BLOCK, NULL, &set), 0);
	assert_false(sigismember(&set, SIGSYS));
	assert_true(signal(SIGSEGV, SIG_DFL) != SIG_IGN);
	close(ring.fd);
}

static int fork_body(void)
{
	struct small_ring ring;

	CHECK(!ring_setup(&ring, WAY_ASM));
	CHECK(ring_works(&ring));
	CHECK(!close(ring.fd));
	return 0;
}

static void a_forked_child_makes_rings_of_its_own(void **state)
{
	struct small_ring ring = new_ring();

	(void)state;
	assert_true(ring_works(&ring));
	assert_int_equal(in_bare_child(fork_body), 0);
	assert_true(ring_works(&ring));
	close(ring.fd);
}

static void a_child_of_a_bare_clone_makes_rings_of_its_own(void **state)
{
	struct small_ring ring = new_ring();
	int status;
	long child;

	(void)state;
	assert_true(ring_works(&ring));
#if defined(__x86_64__)
	child = raw_syscall6(SYS_clone, SIGCHLD, 0, 0, 0, 0, 0);
#else
	child = raw_syscall6(SYS_clone, SIGCHLD, 0, 0, 0, 0, 0);
#endif
	if (child == 0)
		_exit(fork_body());
	assert_true(child > 0);
	assert_int_equal(waitpid((pid_t)child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_true(ring_works(&ring));
	close(ring.fd);
}

static void fclose_of_a_ring_ends_it(void **state)
{
	struct small_ring ring = new_ring();
	FILE *file = fdopen(ring.fd, "r");

	(void)state;
	assert_non_null(file);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(syscall(SYS_io_uring_enter, ring.fd, 0, 0, 0, NULL, 0), -1);
	assert_int_equal(errno, EBADF);
}

static void *cancelled_in_read(void *fd)
{
	char byte;

	read(*(int *)fd, &byte, 1);
	return NULL;
}

static void read_stays_a_cancellation_point(void **state)
{
	pthread_t thread;
	void *result;
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(pthread_create(&thread, NULL, cancelled_in_read, &ends[0]), 0);
	assert_int_equal(pthread_cancel(thread), 0);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_ptr_equal(result, PTHREAD_CANCELED);
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reading_and_writing_a_ring_fail_as_the_kernels),
		cmocka_unit_test(a_ring_is_readable_exactly_while_it_has_a_completion),
		cmocka_unit_test(polling_a_ring_among_others_keeps_the_others),
		cmocka_unit_test(polling_with_bad_pointers_is_efault),
		cmocka_unit_test(a_duplicate_of_a_ring_is_the_ring),
		cmocka_unit_test(a_closed_ring_is_gone_and_its_number_a_files),
		cmocka_unit_test(replacing_a_ring_by_dup2_ends_it),
		cmocka_unit_test(closing_every_number_leaves_ringside_alive),
		cmocka_unit_test(close_range_of_everything_leaves_ringside_alive),
		cmocka_unit_test(ringsides_descriptors_look_closed),
		cmocka_unit_test(a_vfork_child_that_closes_a_ring_leaves_it_to_its_parent),
		cmocka_unit_test(a_forked_child_makes_rings_of_its_own),
		cmocka_unit_test(a_child_of_a_bare_clone_makes_rings_of_its_own),
		cmocka_unit_test(fclose_of_a_ring_ends_it),
		cmocka_unit_test(read_stays_a_cancellation_point),
	};

	alarm(UNIT_SECONDS);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

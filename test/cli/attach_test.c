/*
 * attach_test.c - a program that links ringside and attaches it by itself
 *
 * Built twice, with the shared and with the static library. Attaching cannot be
 * undone, so each test is a child process of its own.
 */
#include <errno.h>
#include <limits.h>
#include <liburing.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "ringside.h"

/* In a child: leaves with the line as its message. */
#define check(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "line %d is not true: %s\n", __LINE__, #condition);        \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

static void run_in_child(void (*body)(void))
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		alarm(30);
		body();
		_exit(0);
	}
	assert_true(child > 0);
	assert_true(waitpid(child, &status, 0) == child);
	assert_int_equal(status, 0);
}

static int kernel_refuses(void)
{
	static int answer = -1;
	int status;
	pid_t child;

	if (answer >= 0)
		return answer;
	child = fork();
	if (child == 0) {
		struct io_uring_params p = {0};

		_exit(syscall(SYS_io_uring_setup, 1, &p) < 0);
	}
	assert_true(waitpid(child, &status, 0) == child);
	answer = status != 0;
	return answer;
}

static int is_kernels(const struct io_uring *ring)
{
	char path[64], target[PATH_MAX];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", ring->ring_fd);
	len = readlink(path, target, sizeof(target) - 1);
	check(len > 0);
	target[len] = '\0';
	return !strncmp(target, "anon_inode:", 11);
}

static void use(struct io_uring *ring)
{
	struct io_uring_cqe *cqe;

	io_uring_prep_nop(io_uring_get_sqe(ring));
	check(io_uring_submit_and_wait(ring, 1) == 1);
	check(!io_uring_wait_cqe(ring, &cqe));
	check(cqe->res == 0);
	io_uring_cqe_seen(ring, cqe);
}

static void use_kernels_unattached(void)
{
	struct io_uring ring;

	check(!io_uring_queue_init(8, &ring, 0));
	check(is_kernels(&ring));
	use(&ring);
	io_uring_queue_exit(&ring);
}

static void linked_and_not_attached_the_kernel_answers(void **state)
{
	(void)state;
	if (kernel_refuses())
		skip();
	run_in_child(use_kernels_unattached);
}

static void attach_always(void)
{
	struct io_uring ring;

	check(rs_attach(RS_ATTACH_ALWAYS) == 0);
	check(rs_attach(RS_ATTACH_ALWAYS) == 0);
	check(!io_uring_queue_init(8, &ring, 0));
	check(!is_kernels(&ring));
	use(&ring);
	io_uring_queue_exit(&ring);
}

static void attached_always_ringside_answers(void **state)
{
	(void)state;
	run_in_child(attach_always);
}

static void attach_if_refused(void)
{
	struct io_uring ring;
	int answer = rs_attach(RS_ATTACH_IF_REFUSED);

	check(answer == !kernel_refuses());
	check(rs_attach(RS_ATTACH_IF_REFUSED) == answer);
	check(!io_uring_queue_init(8, &ring, 0));
	check(is_kernels(&ring) == answer);
	use(&ring);
	io_uring_queue_exit(&ring);
}

static void attached_if_refused_the_kernel_answers_where_it_does(void **state)
{
	(void)state;
	kernel_refuses();
	run_in_child(attach_if_refused);
}

static void keep_kernels_ring(void)
{
	struct io_uring before, after;

	check(!io_uring_queue_init(8, &before, 0));
	check(is_kernels(&before));
	check(rs_attach(RS_ATTACH_ALWAYS) == 0);
	check(!io_uring_queue_init(8, &after, 0));
	check(!is_kernels(&after));
	for (int i = 0; i < 10; i++) {
		use(&before);
		use(&after);
	}
	check(!io_uring_register_files_sparse(&before, 4));
	check(!io_uring_register_files_sparse(&after, 4));
	io_uring_queue_exit(&before);
	use(&after);
	io_uring_queue_exit(&after);
}

static void a_ring_from_before_goes_on_working(void **state)
{
	(void)state;
	if (kernel_refuses())
		skip();
	run_in_child(keep_kernels_ring);
}

static void raw_setup(void)
{
	struct io_uring_params p = {0};
	char path[64], target[PATH_MAX] = "";
	int fd;

	check(rs_attach(RS_ATTACH_ALWAYS) == 0);
	fd = (int)syscall(SYS_io_uring_setup, 4, &p);
	check(fd >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	check(readlink(path, target, sizeof(target) - 1) > 0);
	check(strncmp(target, "anon_inode:", 11) != 0);
	check(syscall(SYS_io_uring_enter, fd, 0, 0, 0, NULL, 0) == 0);
	check(close(fd) == 0);
}

static void calls_by_syscall_are_answered_too(void **state)
{
	(void)state;
	run_in_child(raw_setup);
}

static void wrong_use(void)
{
	check(rs_attach(0) == -EINVAL);
	check(rs_attach(RS_ATTACH_ALWAYS | RS_ATTACH_IF_REFUSED) == -EINVAL);
	check(rs_attach(4) == -EINVAL);
	setenv("RINGSIDE", "engine=best", 1);
	check(rs_attach(RS_ATTACH_ALWAYS) == -EINVAL);
	/* Nothing is decided by a failure. */
	unsetenv("RINGSIDE");
	check(rs_attach(RS_ATTACH_ALWAYS) == 0);
}

static void wrong_flags_and_options_are_refused(void **state)
{
	(void)state;
	run_in_child(wrong_use);
}

static void operator_decides(void)
{
	setenv("RINGSIDE", "engine=auto,trap=off", 1);
	check(rs_attach(RS_ATTACH_ALWAYS) == !kernel_refuses());
}

static void the_operators_engine_counts_more(void **state)
{
	(void)state;
	kernel_refuses();
	run_in_child(operator_decides);
}

static void write_stats(void)
{
	char path[] = "/tmp/ringside-attach.XXXXXX", text[8192] = "";
	struct io_uring ring;
	FILE *file;

	check(mkstemp(path) >= 0);
	check(rs_attach(RS_ATTACH_ALWAYS) == 0);
	check(!io_uring_queue_init(8, &ring, 0));
	for (int i = 0; i < 5; i++)
		use(&ring);
	check(rs_stats_write(path) == 0);
	file = fopen(path, "r");
	check(file && fread(text, 1, sizeof(text) - 1, file) > 0);
	fclose(file);
	unlink(path);
	check(strstr(text, "\"sqes\": 5,"));
	check(strstr(text, "\"NOP\": {\"count\": 5, \"errors\": 0, \"p50_ns\": null"));
	check(rs_stats_write(NULL) == -EINVAL);
	check(rs_stats_write("/nonexistent/x") == -ENOENT);
	io_uring_queue_exit(&ring);
}

static void figures_can_be_written_at_any_time(void **state)
{
	(void)state;
	run_in_child(write_stats);
}

static void the_version_is_a_version(void **state)
{
	int major, minor, patch;

	(void)state;
	assert_int_equal(sscanf(rs_version(), "%d.%d.%d", &major, &minor, &patch), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(linked_and_not_attached_the_kernel_answers),
		cmocka_unit_test(attached_always_ringside_answers),
		cmocka_unit_test(attached_if_refused_the_kernel_answers_where_it_does),
		cmocka_unit_test(a_ring_from_before_goes_on_working),
		cmocka_unit_test(calls_by_syscall_are_answered_too),
		cmocka_unit_test(wrong_flags_and_options_are_refused),
		cmocka_unit_test(the_operators_engine_counts_more),
		cmocka_unit_test(figures_can_be_written_at_any_time),
		cmocka_unit_test(the_version_is_a_version),
	};

	unsetenv("RINGSIDE");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

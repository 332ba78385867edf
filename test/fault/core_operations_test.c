/*
 * core_operations_test.c - SPLICE, TEE, extended attributes, PIPE, FIXED_FD_INSTALL, EPOLL_WAIT,
 * WAITID, updates of polls, and what a NOP can be asked for
 */
#include "core_newer.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/xattr.h>

static struct io_uring ring;
static char directory[] = "/var/tmp/ringside-operations-XXXXXX";
static char path[sizeof(directory) + 16];

static int setup(void **state)
{
	(void)state;
	core_ring(&ring, 8, 0);
	if (mkdtemp(directory) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/file", directory);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	core_works(&ring);
	io_uring_queue_exit(&ring);
	unlink(path);
	return rmdir(directory);
}

static int file_with(const char *content)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, strlen(content)), (ssize_t)strlen(content));
	return fd;
}

static struct io_uring_sqe *splice_sqe(int in, __s64 offset_in, int out, __s64 offset_out,
				       unsigned len)
{
	struct io_uring_sqe *sqe = newer_sqe(&ring, IORING_OP_SPLICE, out, NULL, len, 1);

	sqe->splice_fd_in = in;
	sqe->splice_off_in = (__u64)offset_in;
	sqe->off = (__u64)offset_out;
	return sqe;
}

static struct io_uring_sqe *tee_sqe(int in, int out, unsigned len)
{
	struct io_uring_sqe *sqe = newer_sqe(&ring, IORING_OP_TEE, out, NULL, len, 1);

	sqe->splice_fd_in = in;
	return sqe;
}

static void holds(int fd, const char *expected)
{
	char buffer[64] = "";

	assert_int_equal(read(fd, buffer, sizeof(buffer) - 1), (ssize_t)strlen(expected));
	assert_string_equal(buffer, expected);
}

static void bytes_go_from_a_file_through_a_pipe_to_a_file(void **state)
{
	int file = file_with("0123456789"), fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	splice_sqe(file, 2, fds[1], -1, 4);
	assert_int_equal(core_run(&ring, 1), 4);
	splice_sqe(fds[0], -1, file, 0, 4);
	assert_int_equal(core_run(&ring, 1), 4);
	assert_int_equal(lseek(file, 0, SEEK_SET), 0);
	holds(file, "2345456789");
	assert_int_equal(lseek(file, 8, SEEK_SET), 8);
	splice_sqe(file, -1, fds[1], -1, 4); /* from where it stands */
	assert_int_equal(core_run(&ring, 1), 2);
	holds(fds[0], "89");
	splice_sqe(file, -1, fds[1], -1, 4);
	assert_int_equal(core_run(&ring, 1), 0); /* its end */
	splice_sqe(file, 0, fds[1], 5, 4);
	assert_int_equal(core_run(&ring, 1), -ESPIPE);
	splice_sqe(file, 0, file, 5, 4);
	assert_int_equal(core_run(&ring, 1), -EINVAL); /* no pipe */
	splice_sqe(-1, -1, fds[1], -1, 4);
	assert_int_equal(core_run(&ring, 1), -EBADF);
	splice_sqe(fds[0], -1, -1, -1, 4);
	assert_int_equal(core_run(&ring, 1), -EBADF);
	splice_sqe(-1, -1, fds[1], -1, 0);
	assert_int_equal(core_run(&ring, 1), -EBADF);
	splice_sqe(fds[0], -1, fds[1], -1, 0);
	assert_int_equal(core_run(&ring, 1), 0);
	splice_sqe(fds[0], -1, fds[1], -1, 4)->splice_flags = 0x100;
	assert_int_equal(core_run(&ring, 1), -EINVAL);
	close(fds[0]);
	close(fds[1]);
	close(file);
}

static void a_splice_between_pipes_waits_for_bytes(void **state)
{
	int from[2], to[2];

	(void)state;
	assert_int_equal(pipe(from), 0);
	assert_int_equal(pipe(to), 0);
	splice_sqe(from[0], -1, to[1], -1, 10);
	assert_int_equal(io_uring_submit(&ring), 1);
	newer_nothing_comes(&ring);
	assert_int_equal(write(from[1], "late", 4), 4);
	assert_int_equal(core_result(&ring, 1), 4);
	holds(to[0], "late");
	splice_sqe(from[0], -1, to[1], -1, 10)->splice_flags = SPLICE_F_NONBLOCK;
	assert_int_equal(core_run(&ring, 1), -EAGAIN);
	/* the number goes away while it waits, the file does not */
	splice_sqe(from[0], -1, to[1], -1, 10);
	assert_int_equal(io_uring_submit(&ring), 1);
	newer_nothing_comes(&ring);
	close(from[0]);
	close(to[1]);
	assert_int_equal(write(from[1], "kept", 4), 4);
	assert_int_equal(core_result(&ring, 1), 4);
	holds(to[0], "kept");
	close(from[1]);
	close(to[0]);
}

static void a_splice_between_pipes_waits_for_room(void **state)
{
	int from[2], to[2];
	long filled = 0;
	char page[4096] = "";

	(void)state;
	assert_int_equal(pipe(from), 0);
	assert_int_equal(pipe(to), 0);
	assert_int_equal(fcntl(to[1], F_SETPIPE_SZ, 4096), 4096);
	filled = write(to[1], page, sizeof(page));
	assert_int_equal(filled, 4096);
	assert_int_equal(write(from[1], "room", 4), 4);
	splice_sqe(from[0], -1, to[1], -1, 4);
	assert_int_equal(io_uring_submit(&ring), 1);
	newer_nothing_comes(&ring);
	assert_int_equal(read(to[0], page, sizeof(page)), filled);
	assert_int_equal(core_result(&ring, 1), 4);
	holds(to[0], "room");
	for (int i = 0; i < 2; i++) {
		close(from[i]);
		close(to[i]);
	}
}

static void a_splice_takes_a_fixed_file(void **state)
{
	int from[2], to[2], none = -1;

	(void)state;
	assert_int_equal(pipe(from), 0);
	assert_int_equal(pipe(to), 0);
	assert_int_equal(io_uring_register_files(&ring, from, 1), 0);
	assert_int_equal(write(from[1], "fixed", 5), 5);
	splice_sqe(0, -1, to[1], -1, 5)->splice_flags = SPLICE_F_FD_IN_FIXED;
	assert_int_equal(core_run(&ring, 1), 5);
	holds(to[0], "fixed");
	splice_sqe(1, -1, to[1], -1, 5)->splice_flags = SPLICE_F_FD_IN_FIXED;
	assert_int_equal(core_run(&ring, 1), -EBADF);
	assert_int_equal(io_uring_register_files_update(&ring, 0, &none, 1), 1);
	splice_sqe(0, -1, to[1], -1, 5)->splice_flags = SPLICE_F_FD_IN_FIXED;
	assert_int_equal(core_run(&ring, 1), -EBADF);
	assert_int_equal(io_uring_unregister_files(&ring), 0);
	for (int i = 0; i < 2; i++) {
		close(from[i]);
		close(to[i]);
	}
}

static void a_fixed_file_is_in_use_until_a_splice_from_it_is_done(void **state)
{
	int sockets[2], pipes[2], fds[2], none = -1;
	__u64 tags[2] = {10, 11}, no_tag = 0;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(
		io_uring_register_files_tags(&ring, (int[]){pipes[0], sockets[0]}, tags, 2), 0);
	for (unsigned i = 0; i < 2; i++) {
		splice_sqe((int)i, -1, fds[1], -1, 8)->splice_flags = SPLICE_F_FD_IN_FIXED;
		assert_int_equal(io_uring_submit(&ring), 1);
		newer_nothing_comes(&ring);
		assert_int_equal(io_uring_register_files_update_tag(&ring, i, &none, &no_tag, 1),
				 1);
		newer_nothing_comes(&ring);
		assert_int_equal(write(i ? sockets[1] : pipes[1], "spliced", 7), 7);
		assert_int_equal(core_result(&ring, 1), 7);
		assert_int_equal(core_result(&ring, tags[i]), 0);
		holds(fds[0], "spliced");
	}
	assert_int_equal(io_uring_unregister_files(&ring), 0);
	for (int i = 0; i < 2; i++) {
		close(sockets[i]);
		close(pipes[i]);
		close(fds[i]);
	}
}

static void a_splice_from_a_socket_waits_too(void **state)
{
	int sockets[2], fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	assert_int_equal(pipe(fds), 0);
	splice_sqe(sockets[0], -1, fds[1], -1, 16);
	assert_int_equal(io_uring_submit(&ring), 1);
	newer_nothing_comes(&ring);
	assert_int_equal(write(sockets[1], "socket", 6), 6);
	assert_int_equal(core_result(&ring, 1), 6);
	splice_sqe(fds[0], -1, sockets[0], -1, 6);
	assert_int_equal(core_run(&ring, 1), 6);
	holds(sockets[1], "socket");
	for (int i = 0; i < 2; i++) {
		close(sockets[i]);
		close(fds[i]);
	}
}

static void a_tee_leaves_the_bytes_where_they_are(void **state)
{
	int from[2], to[2];

	(void)state;
	assert_int_equal(pipe(from), 0);
	assert_int_equal(pipe(to), 0);
	assert_int_equal(write(from[1], "twice", 5), 5);
	tee_sqe(from[0], to[1], 5);
	assert_int_equal(core_run(&ring, 1), 5);
	holds(to[0], "twice");
	holds(from[0], "twice");
	tee_sqe(from[0], to[1], 5);
	assert_int_equal(io_uring_submit(&ring), 1);
	newer_nothing_comes(&ring);
	assert_int_equal(write(from[1], "later", 5), 5);
	assert_int_equal(core_result(&ring, 1), 5);
	holds(to[0], "later");
	tee_sqe(from[0], to[1], 5)->off = 1;
	assert_int_equal(core_run(&ring, 1), -EINVAL);
	tee_sqe(from[0], from[1], 5);
	assert_int_equal(core_run(&ring, 1), -EINVAL); /* one pipe */
	for (int i = 0; i < 2; i++) {
		close(from[i]);
		close(to[i]);
	}
}

static int xattr_run(unsigned opcode, int fd, const char *name, const void *value, unsigned len,
		     const char *of, unsigned flags)
{
	struct io_uring_sqe *sqe = newer_sqe(&ring, opcode, fd, name, len, 1);

	sqe->off = (unsigned long)value;
	sqe->xattr_flags = flags;
	newer_set_addr3(sqe, (unsigned long)of);
	return core_run(&ring, 1);
}

static void attributes_are_set_and_read_by_file_and_by_path(void **state)
{
	const unsigned set = IORING_OP_SETXATTR, get = IORING_OP_GETXATTR;
	const unsigned fset = IORING_OP_FSETXATTR, fget = IORING_OP_FGETXATTR;
	const char *name = "user.one";
	char value[64] = "", long_name[300];
	int fd = file_with("x");

	(void)state;
	if (fsetxattr(fd, name, "a", 1, 0) && errno == EOPNOTSUPP)
		skip();
	memset(long_name, 'n', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = 0;
	assert_int_equal(xattr_run(set, 0, name, "first", 5, path, 0), 0);
	assert_int_equal(xattr_run(fget, fd, name, value, sizeof(value), NULL, 0), 5);
	assert_string_equal(value, "first");
	assert_int_equal(xattr_run(fset, fd, name, "2nd", 3, NULL, 0), 0);
	assert_int_equal(xattr_run(get, 0, name, value, sizeof(value), path, 0), 3);
	assert_memory_equal(value, "2ndst", 5);
	assert_int_equal(xattr_run(get, 0, name, NULL, 0, path, 0), 3); /* how much there is */
	assert_int_equal(xattr_run(get, 0, name, value, 1, path, 0), -ERANGE);
	assert_int_equal(xattr_run(set, 0, name, "x", 1, path, XATTR_CREATE), -EEXIST);
	assert_int_equal(xattr_run(set, 0, "user.no", "x", 1, path, XATTR_REPLACE), -ENODATA);
	assert_int_equal(xattr_run(get, 0, "user.no", value, 9, path, 0), -ENODATA);
	assert_int_equal(xattr_run(set, 0, name, "x", 1, path, 4), -EINVAL);
	assert_int_equal(xattr_run(get, 0, name, value, 1, path, 1), -EINVAL);
	assert_int_equal(xattr_run(get, 0, "", value, 1, path, 0), -ERANGE);
	assert_int_equal(xattr_run(get, 0, long_name, value, 1, path, 0), -ERANGE);
	assert_int_equal(xattr_run(get, 0, BAD_POINTER, value, 1, path, 0), -EFAULT);
	assert_int_equal(xattr_run(get, 0, name, value, 1, BAD_POINTER, 0), -EFAULT);
	assert_int_equal(xattr_run(get, 0, name, value, 1, "", 0), -ENOENT);
	assert_int_equal(xattr_run(set, 0, name, BAD_POINTER, 1, path, 0), -EFAULT);
	assert_int_equal(xattr_run(set, 0, name, value, 65537, path, 0), -E2BIG);
	assert_int_equal(xattr_run(fget, -1, name, value, 1, NULL, 0), -EBADF);
	assert_int_equal(xattr_run(fget, fd, name, BAD_POINTER, 9, NULL, 0), -EFAULT);
	close(fd);
}

static int pipe_run(int *fds, unsigned flags, unsigned slot)
{
	struct io_uring_sqe *sqe = newer_sqe(&ring, NEWER_OP_PIPE, 0, fds, 0, 1);

	sqe->rw_flags = (int)flags;
	sqe->file_index = slot;
	return core_run(&ring, 1);
}

static void a_pipe_is_made_as_descriptors(void **state)
{
	int fds[2] = {-1, -1};

	(void)state;
	newer_require(&ring, NEWER_OP_PIPE);
	assert_int_equal(pipe_run(fds, O_CLOEXEC | O_NONBLOCK, 0), 0);
	assert_int_equal(write(fds[1], "made", 4), 4);
	holds(fds[0], "made");
	assert_int_equal(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
	assert_true(fcntl(fds[1], F_GETFL) & O_NONBLOCK);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(pipe_run(fds, O_APPEND, 0), -EINVAL);
	assert_int_equal(pipe_run(BAD_POINTER, 0, 0), -EFAULT);
}

static int run_fixed(unsigned opcode, int slot, void *buffer, unsigned len)
{
	newer_sqe(&ring, opcode, slot, buffer, len, 1)->flags = IOSQE_FIXED_FILE;
	return core_run(&ring, 1);
}

static void a_pipe_is_made_as_fixed_files(void **state)
{
	int none[6] = {-1, -1, -1, -1, -1, -1}, fds[2] = {-1, -1};
	char buffer[8] = "";

	(void)state;
	newer_require(&ring, NEWER_OP_PIPE);
	assert_int_equal(pipe_run(fds, 0, 1), -ENXIO);
	assert_int_equal(io_uring_register_files(&ring, none, 6), 0);
	assert_int_equal(pipe_run(fds, O_CLOEXEC, 1), -EINVAL);
	/* A pipe for notifications, where none can be had: that is said first. */
	if (pipe2(fds, O_EXCL) < 0)
		assert_int_equal(pipe_run(fds, O_CLOEXEC | O_EXCL, 1), -errno);
	assert_int_equal(pipe_run(fds, 0, 2), 0);
	assert_int_equal(run_fixed(IORING_OP_WRITE, 2, "slot", 4), 4);
	assert_int_equal(run_fixed(IORING_OP_READ, 1, buffer, 4), 4);
	assert_string_equal(buffer, "slot");
	assert_int_equal(pipe_run(fds, 0, IORING_FILE_INDEX_ALLOC), 0);
	assert_int_equal(run_fixed(IORING_OP_WRITE, fds[1], "more", 4), 4);
	assert_int_equal(run_fixed(IORING_OP_READ, fds[0], buffer, 4), 4);
	assert_string_equal(buffer, "more");
	assert_int_equal(pipe_run(fds, 0, IORING_FILE_INDEX_ALLOC), 0);
	assert_int_equal(pipe_run(fds, 0, IORING_FILE_INDEX_ALLOC), -ENFILE);
	assert_int_equal(pipe_run(fds, 0, 6), -EINVAL); /* the second slot is one too far */
	assert_int_equal(io_uring_unregister_files(&ring), 0);
}

static int install(int slot, unsigned flags)
{
	struct io_uring_sqe *sqe = newer_sqe(&ring, NEWER_OP_FIXED_FD_INSTALL, slot, NULL, 0, 1);

	sqe->flags = IOSQE_FIXED_FILE;
	sqe->rw_flags = (int)flags;
	return core_run(&ring, 1);
}

static void a_fixed_file_becomes_a_descriptor(void **state)
{
	int fds[2], fd;

	(void)state;
	newer_require(&ring, NEWER_OP_FIXED_FD_INSTALL);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(io_uring_register_files(&ring, &fds[1], 1), 0);
	close(fds[1]);
	fd = install(0, 0);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(write(fd, "back", 4), 4);
	holds(fds[0], "back");
	close(fd);
	fd = install(0, 1); /* IORING_FIXED_FD_NO_CLOEXEC */
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), 0);
	close(fd);
	assert_int_equal(install(1, 0), -EBADF);
	assert_int_equal(install(0, 2), -EINVAL);
	newer_sqe(&ring, NEWER_OP_FIXED_FD_INSTALL, 0, NULL, 0, 1);
	assert_int_equal(core_run(&ring, 1), -EBADF); /* not a fixed file */
	assert_int_equal(io_uring_unregister_files(&ring), 0);
	close(fds[0]);
}

static void an_epoll_set_is_waited_for(void **state)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 4711}, events[4];
	int epoll = epoll_create1(0), fds[2];

	(void)state;
	newer_require(&ring, NEWER_OP_EPOLL_WAIT);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, fds[0], &event), 0);
	newer_sqe(&ring, NEWER_OP_EPOLL_WAIT, epoll, events, 4, 1);
	assert_int_equal(io_uring_submit(&ring), 1);
	newer_nothing_comes(&ring);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(core_result(&ring, 1), 1);
	assert_int_equal(events[0].data.u64, 4711);
	assert_int_equal(events[0].events, EPOLLIN);
	newer_sqe(&ring, NEWER_OP_EPOLL_WAIT, epoll, events, 4, 1);
	assert_int_equal(core_run(&ring, 1), 1); /* still */
	newer_sqe(&ring, NEWER_OP_EPOLL_WAIT, epoll, events, 0, 1);
	assert_int_equal(core_run(&ring, 1), -EINVAL);
	newer_sqe(&ring, NEWER_OP_EPOLL_WAIT, fds[0], events, 4, 1);
	assert_int_equal(core_run(&ring, 1), -EINVAL);
	newer_sqe(&ring, NEWER_OP_EPOLL_WAIT, epoll, BAD_POINTER, 4, 1);
	assert_int_equal(core_run(&ring, 1), -EFAULT);
	newer_sqe(&ring, NEWER_OP_EPOLL_WAIT, epoll, events, 4, 1)->off = 1;
	assert_int_equal(core_run(&ring, 1), -EINVAL);
	close(epoll);
	close(fds[0]);
	close(fds[1]);
}

/* A child that ends when the pipe does. */
static pid_t child_until(const int fds[2], int status)
{
	pid_t child = fork();
	char byte;

	assert_true(child >= 0);
	if (child > 0)
		return child;
	close(fds[1]);
	_exit(read(fds[0], &byte, 1) == 0 ? status : 99);
}

static struct io_uring_sqe *waitid_sqe(int which, int id, siginfo_t *info, int options)
{
	struct io_uring_sqe *sqe = newer_sqe(&ring, NEWER_OP_WAITID, id, NULL, (unsigned)which, 1);

	sqe->file_index = (unsigned)options;
	sqe->off = (unsigned long)info;
	return sqe;
}

static void the_end_of_a_child_is_waited_for(void **state)
{
	static const int which[] = {P_PID, P_ALL};

	(void)state;
	newer_require(&ring, NEWER_OP_WAITID);
	for (int i = 0; i < 2; i++) {
		siginfo_t info;
		int fds[2];
		pid_t child;

		assert_int_equal(pipe(fds), 0);
		child = child_until(fds, 17);
		memset(&info, 0x55, sizeof(info));
		waitid_sqe(which[i], which[i] == P_PID ? child : 0, &info, WEXITED);
		assert_int_equal(io_uring_submit(&ring), 1);
		newer_nothing_comes(&ring);
		close(fds[1]);
		assert_int_equal(core_result(&ring, 1), 0);
		assert_int_equal(info.si_signo, SIGCHLD);
		assert_int_equal(info.si_code, CLD_EXITED);
		assert_int_equal(info.si_pid, child);
		assert_int_equal(info.si_status, 17);
		/* what waitid() does not set stays as it was */
		assert_int_equal(((unsigned char *)&info)[sizeof(info) - 1], 0x55);
		assert_int_equal(waitpid(child, NULL, WNOHANG), -1);
		close(fds[0]);
	}
}

static void a_wait_for_a_child_may_be_cancelled_or_not_begin(void **state)
{
	int fds[2], seen = 0;
	siginfo_t info;
	pid_t child;

	(void)state;
	newer_require(&ring, NEWER_OP_WAITID);
	waitid_sqe(P_ALL, 0, &info, WEXITED);
	assert_int_equal(core_run(&ring, 1), -ECHILD);
	waitid_sqe(P_PID, getpid(), &info, WEXITED);
	assert_int_equal(core_run(&ring, 1), -ECHILD);
	waitid_sqe(P_PID, 1, &info, 0);
	assert_int_equal(core_run(&ring, 1), -EINVAL);
	waitid_sqe(77, 1, &info, WEXITED);
	assert_int_equal(core_run(&ring, 1), -EINVAL);
	waitid_sqe(P_ALL, 0, &info, WEXITED)->len = P_ALL;
	assert_int_equal(core_run(&ring, 1), -ECHILD);

	assert_int_equal(pipe(fds), 0);
	child = child_until(fds, 0);
	memset(&info, 0x55, sizeof(info));
	waitid_sqe(P_PID, child, &info, WEXITED | WNOHANG);
	assert_int_equal(core_run(&ring, 1), 0);
	assert_int_equal(info.si_pid, 0);
	waitid_sqe(P_PID, child, &info, WEXITED);
	assert_int_equal(io_uring_submit(&ring), 1);
	newer_sqe(&ring, IORING_OP_ASYNC_CANCEL, -1, (void *)1, 0, 2);
	assert_int_equal(io_uring_submit(&ring), 1);
	for (int i = 0; i < 2; i++) {
		struct io_uring_cqe *cqe;

		assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
		assert_int_equal(cqe->res, cqe->user_data == 1 ? -ECANCELED : 1);
		seen |= 1 << cqe->user_data;
		io_uring_cqe_seen(&ring, cqe);
	}
	assert_int_equal(seen, 1 << 1 | 1 << 2);
	close(fds[1]);
	assert_int_equal(waitpid(child, NULL, 0), child);
	close(fds[0]);
}

static void a_stopped_child_is_waited_for(void **state)
{
	siginfo_t info;
	int fds[2];
	pid_t child;

	(void)state;
	newer_require(&ring, NEWER_OP_WAITID);
	assert_int_equal(pipe(fds), 0);
	child = child_until(fds, 0);
	waitid_sqe(P_PID, child, &info, WSTOPPED);
	assert_int_equal(io_uring_submit(&ring), 1);
	newer_nothing_comes(&ring);
	assert_int_equal(kill(child, SIGSTOP), 0);
	assert_int_equal(core_result(&ring, 1), 0);
	assert_int_equal(info.si_code, CLD_STOPPED);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	close(fds[0]);
	close(fds[1]);
}

static int nop_run(unsigned flags, int result, int fd, unsigned buffer)
{
	struct io_uring_sqe *sqe = newer_sqe(&ring, IORING_OP_NOP, fd, NULL, (unsigned)result, 1);

	sqe->rw_flags = (int)flags;
	sqe->buf_index = (__u16)buffer;
	return core_run(&ring, 1);
}

/* The same with the flag that other operations have. */
static int nop_run_fixed(unsigned flags, int slot)
{
	struct io_uring_sqe *sqe = newer_sqe(&ring, IORING_OP_NOP, slot, NULL, 0, 1);

	sqe->rw_flags = (int)flags;
	sqe->flags = IOSQE_FIXED_FILE;
	return core_run(&ring, 1);
}

static void a_nop_looks_for_what_it_is_asked_to(void **state)
{
	const unsigned inject = 1, file = NEWER_NOP_FILE, fixed = NEWER_NOP_FIXED_FILE;
	const unsigned buffer = NEWER_NOP_FIXED_BUFFER, tw = NEWER_NOP_TW;
	static char memory[4096];
	struct iovec vector = {memory, sizeof(memory)};
	int zero = 0;

	(void)state;
	newer_require(&ring, NEWER_OP_PIPE);
	assert_int_equal(nop_run(inject, 5, -1, 0), 5);
	assert_int_equal(nop_run(inject, -EIO, -1, 0), -EIO);
	assert_int_equal(nop_run(inject | tw, 6, -1, 0), 6);
	assert_int_equal(nop_run(file, 0, 0, 0), 0);
	assert_int_equal(nop_run(file | inject, 7, 0, 0), 7);
	assert_int_equal(nop_run(file | inject, 7, -1, 0), -EBADF);
	assert_int_equal(nop_run(file | fixed, 0, 0, 0), -EBADF);
	assert_int_equal(nop_run(fixed, 0, 0, 0), 0); /* means nothing alone */
	assert_int_equal(io_uring_register_files(&ring, &zero, 1), 0);
	assert_int_equal(nop_run(file | fixed | tw, 0, 0, 0), 0);
	assert_int_equal(nop_run(file | fixed, 0, 1, 0), -EBADF);
	assert_int_equal(nop_run_fixed(file, 0), 0);
	assert_int_equal(nop_run_fixed(file, 1), -EBADF); /* open, but no fixed file */
	assert_int_equal(nop_run_fixed(tw, 1), 0);
	assert_int_equal(io_uring_unregister_files(&ring), 0);
	assert_int_equal(nop_run(buffer, 0, 0, 0), -EFAULT);
	assert_int_equal(io_uring_register_buffers(&ring, &vector, 1), 0);
	assert_int_equal(nop_run(buffer | inject, 8, 0, 0), 8);
	assert_int_equal(nop_run(buffer, 0, 0, 1), -EFAULT);
	assert_int_equal(io_uring_unregister_buffers(&ring), 0);
	assert_int_equal(nop_run(64, 0, 0, 0), -EINVAL);
}

static void update_events(__u64 user_data, unsigned flags)
{
	struct io_uring_sqe *sqe = newer_sqe(&ring, IORING_OP_POLL_REMOVE, -1, (void *)user_data,
					     IORING_POLL_UPDATE_EVENTS | flags, 2);

	sqe->poll32_events = POLLIN | POLLPRI;
	assert_int_equal(core_run(&ring, 2), 0);
}

static int next_of_poll(unsigned *flags)
{
	struct io_uring_cqe cqe = core_cqe(&ring);

	assert_int_equal(cqe.user_data, 1);
	*flags = cqe.flags;
	return cqe.res;
}

static void a_poll_stays_multishot_or_not_when_its_events_are_updated(void **state)
{
	unsigned flags;
	char byte;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	newer_sqe(&ring, IORING_OP_POLL_ADD, fds[0], NULL, IORING_POLL_ADD_MULTI, 1)
		->poll32_events = POLLIN;
	assert_int_equal(io_uring_submit(&ring), 1);
	update_events(1, 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(write(fds[1], "x", 1), 1);
		assert_int_equal(next_of_poll(&flags), POLLIN);
		assert_int_equal(flags, IORING_CQE_F_MORE);
		assert_int_equal(read(fds[0], &byte, 1), 1);
	}
	newer_sqe(&ring, IORING_OP_POLL_REMOVE, -1, (void *)1, 0, 2)->flags =
		IOSQE_CQE_SKIP_SUCCESS;
	assert_int_equal(io_uring_submit(&ring), 1);
	assert_int_equal(next_of_poll(&flags), -ECANCELED);

	newer_sqe(&ring, IORING_OP_POLL_ADD, fds[0], NULL, 0, 1)->poll32_events = POLLIN;
	assert_int_equal(io_uring_submit(&ring), 1);
	update_events(1, IORING_POLL_ADD_MULTI);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(next_of_poll(&flags), POLLIN);
	assert_int_equal(flags, 0);
	close(fds[0]);
	close(fds[1]);
}

/* Nobody without such a network device has it: the kernel then misses its queue first. */
static void a_receive_into_memory_of_a_device_is_not_to_be_had(void **state)
{
	(void)state;
	newer_sqe(&ring, 58 /* RECV_ZC */, 0, NULL, 0, 1);
	assert_int_equal(core_run(&ring, 1), core_is_ringside() ? -EOPNOTSUPP : -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_go_from_a_file_through_a_pipe_to_a_file),
		cmocka_unit_test(a_splice_between_pipes_waits_for_bytes),
		cmocka_unit_test(a_splice_between_pipes_waits_for_room),
		cmocka_unit_test(a_splice_takes_a_fixed_file),
		cmocka_unit_test(a_fixed_file_is_in_use_until_a_splice_from_it_is_done),
		cmocka_unit_test(a_splice_from_a_socket_waits_too),
		cmocka_unit_test(a_tee_leaves_the_bytes_where_they_are),
		cmocka_unit_test(attributes_are_set_and_read_by_file_and_by_path),
		cmocka_unit_test(a_pipe_is_made_as_descriptors),
		cmocka_unit_test(a_pipe_is_made_as_fixed_files),
		cmocka_unit_test(a_fixed_file_becomes_a_descriptor),
		cmocka_unit_test(an_epoll_set_is_waited_for),
		cmocka_unit_test(the_end_of_a_child_is_waited_for),
		cmocka_unit_test(a_wait_for_a_child_may_be_cancelled_or_not_begin),
		cmocka_unit_test(a_stopped_child_is_waited_for),
		cmocka_unit_test(a_nop_looks_for_what_it_is_asked_to),
		cmocka_unit_test(a_poll_stays_multishot_or_not_when_its_events_are_updated),
		cmocka_unit_test(a_receive_into_memory_of_a_device_is_not_to_be_had),
	};

	core_require_rings();
	alarm(100);
	return cmocka_run_group_tests(tests, setup, teardown);
}

/*
 * core_pointers_test.c - bad pointers in every structure and every buffer
 *
 * Each is answered with -EFAULT where the kernel answers so, and the ring goes on working.
 */
#include "core.h"

#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/uio.h>

static struct io_uring ring;
static int pipe_fds[2], sockets[2], file;

static int setup(void **state)
{
	char name[] = "/tmp/core-pointers-XXXXXX", block[4096];

	(void)state;
	core_ring(&ring, 8, 0);
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	memset(block, 'x', sizeof(block));
	file = mkstemp(name);
	assert_true(file >= 0);
	unlink(name);
	assert_int_equal(write(file, block, sizeof(block)), sizeof(block));
	assert_int_equal(write(pipe_fds[1], block, 100), 100);
	assert_int_equal(write(sockets[1], block, 100), 100);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	core_works(&ring);
	io_uring_queue_exit(&ring);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	close(sockets[0]);
	close(sockets[1]);
	close(file);
	return 0;
}

static void setup_refuses_a_bad_parameter_pointer(void **state)
{
	(void)state;
	assert_int_equal(core_call(SYS_io_uring_setup, 8, (long)BAD_POINTER, 0, 0, 0, 0), -EFAULT);
	assert_int_equal(core_call(SYS_io_uring_setup, 8, 0, 0, 0, 0, 0), -EFAULT);
	assert_int_equal(core_call(SYS_io_uring_setup, 8, -4096, 0, 0, 0, 0), -EFAULT);
}

static void enter_refuses_bad_arguments(void **state)
{
	struct io_uring_getevents_arg arg = {.ts = (__u64)BAD_POINTER};
	unsigned ext = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;

	(void)state;
	assert_int_equal(core_enter(&ring, 0, 1, ext, BAD_POINTER, sizeof(arg)), -EFAULT);
	assert_int_equal(core_enter(&ring, 0, 1, ext, &arg, sizeof(arg)), -EFAULT);
	assert_int_equal(core_enter(&ring, 0, 1, ext, &arg, sizeof(arg) - 1), -EINVAL);
	arg = (struct io_uring_getevents_arg){.sigmask = (__u64)BAD_POINTER, .sigmask_sz = 8};
	assert_int_equal(core_enter(&ring, 0, 1, ext, &arg, sizeof(arg)), -EFAULT);
	assert_int_equal(core_enter(&ring, 0, 1, IORING_ENTER_GETEVENTS, BAD_POINTER, 8), -EFAULT);
	assert_int_equal(core_enter(&ring, 0, 1, IORING_ENTER_GETEVENTS, BAD_POINTER, 7), -EINVAL);
}

static void register_refuses_bad_arguments(void **state)
{
	struct iovec bad = {BAD_POINTER, 4096};
	struct io_uring_rsrc_register rsrc = {.nr = 1, .data = (__u64)BAD_POINTER};

	(void)state;
	assert_int_equal(core_register(&ring, IORING_REGISTER_BUFFERS, BAD_POINTER, 1), -EFAULT);
	assert_int_equal(core_register(&ring, IORING_REGISTER_BUFFERS, &bad, 1), -EFAULT);
	assert_int_equal(core_register(&ring, IORING_REGISTER_FILES, BAD_POINTER, 1), -EFAULT);
	assert_int_equal(core_register(&ring, IORING_REGISTER_FILES2, BAD_POINTER, sizeof(rsrc)),
			 -EFAULT);
	assert_int_equal(core_register(&ring, IORING_REGISTER_FILES2, &rsrc, sizeof(rsrc)),
			 -EFAULT);
	assert_int_equal(core_register(&ring, IORING_REGISTER_BUFFERS2, &rsrc, sizeof(rsrc)),
			 -EFAULT);
	assert_int_equal(core_register(&ring, IORING_REGISTER_EVENTFD, BAD_POINTER, 1), -EFAULT);
	assert_int_equal(core_register(&ring, IORING_REGISTER_PROBE, BAD_POINTER, 8), -EFAULT);
	assert_int_equal(core_register(&ring, IORING_REGISTER_RING_FDS, BAD_POINTER, 1), -EFAULT);
	assert_int_equal(core_register(&ring, IORING_UNREGISTER_RING_FDS, BAD_POINTER, 1), -EFAULT);
	assert_int_equal(core_register(&ring, IORING_REGISTER_IOWQ_MAX_WORKERS, BAD_POINTER, 2),
			 -EFAULT);
	assert_int_equal(core_register(&ring, IORING_REGISTER_FILES_UPDATE, BAD_POINTER, 1),
			 -EFAULT);
	assert_int_equal(core_call(SYS_io_uring_register, -1, IORING_REGISTER_BUFFERS, 0, 0, 0, 0),
			 -EINVAL);
	assert_int_equal(core_call(SYS_io_uring_register, -2, IORING_REGISTER_BUFFERS, 0, 0, 0, 0),
			 -EBADF);
}

/* A registration that fails in its middle leaves nothing behind. */
static void a_failed_registration_leaves_nothing(void **state)
{
	int fds[2] = {file, 9999};

	(void)state;
	assert_int_equal(core_register(&ring, IORING_REGISTER_FILES, fds, 2), -EBADF);
	assert_int_equal(core_register(&ring, IORING_UNREGISTER_FILES, NULL, 0), -ENXIO);
	fds[1] = -1;
	assert_int_equal(core_register(&ring, IORING_REGISTER_FILES, fds, 2), 0);
	assert_int_equal(core_register(&ring, IORING_UNREGISTER_FILES, NULL, 0), 0);
}

static void transfers_to_bad_buffers_fail(void **state)
{
	struct iovec bad = {BAD_POINTER, 64};
	unsigned async[] = {0, IOSQE_ASYNC};

	(void)state;
	for (int i = 0; i < 2; i++) {
		CORE_PREP(&ring, 1, io_uring_prep_read, file, BAD_POINTER, 64, 0)->flags = async[i];
		assert_int_equal(core_run(&ring, 1), -EFAULT);
		CORE_PREP(&ring, 2, io_uring_prep_write, file, BAD_POINTER, 64, 0)->flags =
			async[i];
		assert_int_equal(core_run(&ring, 2), -EFAULT);
		CORE_PREP(&ring, 3, io_uring_prep_read, pipe_fds[0], BAD_POINTER, 64, -1)->flags =
			async[i];
		assert_int_equal(core_run(&ring, 3), -EFAULT);
		CORE_PREP(&ring, 4, io_uring_prep_readv, file, &bad, 1, 0)->flags = async[i];
		assert_int_equal(core_run(&ring, 4), -EFAULT);
		CORE_PREP(&ring, 5, io_uring_prep_readv, file, BAD_POINTER, 1, 0)->flags = async[i];
		assert_int_equal(core_run(&ring, 5), -EFAULT);
		CORE_PREP(&ring, 6, io_uring_prep_writev, file, BAD_POINTER, 1024, 0)->flags =
			async[i];
		assert_int_equal(core_run(&ring, 6), -EFAULT);
		CORE_PREP(&ring, 7, io_uring_prep_send, sockets[0], BAD_POINTER, 64, 0)->flags =
			async[i];
		assert_int_equal(core_run(&ring, 7), -EFAULT);
		CORE_PREP(&ring, 8, io_uring_prep_recv, sockets[0], BAD_POINTER, 64, 0)->flags =
			async[i];
		assert_int_equal(core_run(&ring, 8), -EFAULT);
	}
}

/* The first half of the buffer is memory: so much is transferred, as by read(2). */
static void a_buffer_that_ends_early_gives_a_short_read(void **state)
{
	long page = sysconf(_SC_PAGESIZE);
	char *memory = mmap(NULL, (size_t)page * 2, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_true(memory != MAP_FAILED);
	assert_int_equal(munmap(memory + page, (size_t)page), 0);
	CORE_PREP(&ring, 1, io_uring_prep_read, file, memory + page - 1000, 4096, 0);
	assert_int_equal(core_run(&ring, 1), 1000);
	munmap(memory, (size_t)page);
}

/* A fixed buffer that the program unmapped: the kernel pinned its pages, we cannot. */
static void a_fixed_buffer_that_was_unmapped_does_not_crash(void **state)
{
	long page = sysconf(_SC_PAGESIZE);
	struct iovec iov = {.iov_len = (size_t)page};

	(void)state;
	iov.iov_base =
		mmap(NULL, iov.iov_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(iov.iov_base != MAP_FAILED);
	assert_int_equal(io_uring_register_buffers(&ring, &iov, 1), 0);
	munmap(iov.iov_base, iov.iov_len);
	CORE_PREP(&ring, 1, io_uring_prep_read_fixed, file, iov.iov_base, 64, 0, 0);
	assert_int_equal(core_run(&ring, 1), core_is_ringside() ? -EFAULT : 64);
	assert_int_equal(io_uring_unregister_buffers(&ring), 0);
}

static void structures_of_requests_are_checked(void **state)
{
	struct msghdr bad_vector = {.msg_iov = BAD_POINTER, .msg_iovlen = 1};
	struct __kernel_timespec *bad_time = BAD_POINTER;
	struct statx status;

	(void)state;
	CORE_PREP(&ring, 1, io_uring_prep_sendmsg, sockets[0], BAD_POINTER, 0);
	assert_int_equal(core_run(&ring, 1), -EFAULT);
	CORE_PREP(&ring, 2, io_uring_prep_recvmsg, sockets[0], BAD_POINTER, 0);
	assert_int_equal(core_run(&ring, 2), -EFAULT);
	CORE_PREP(&ring, 3, io_uring_prep_recvmsg, sockets[0], &bad_vector, 0);
	assert_int_equal(core_run(&ring, 3), -EFAULT);
	CORE_PREP(&ring, 4, io_uring_prep_timeout, bad_time, 0, 0);
	assert_int_equal(core_run(&ring, 4), -EFAULT);
	CORE_PREP(&ring, 5, io_uring_prep_timeout_update, bad_time, 99, 0);
	assert_int_equal(core_run(&ring, 5), -EFAULT);
	CORE_PREP(&ring, 6, io_uring_prep_openat, AT_FDCWD, BAD_POINTER, O_RDONLY, 0);
	assert_int_equal(core_run(&ring, 6), -EFAULT);
	CORE_PREP(&ring, 7, io_uring_prep_openat2, AT_FDCWD, "/", BAD_POINTER);
	assert_int_equal(core_run(&ring, 7), -EFAULT);
	CORE_PREP(&ring, 8, io_uring_prep_statx, AT_FDCWD, "/", 0, STATX_SIZE, BAD_POINTER);
	assert_int_equal(core_run(&ring, 8), -EFAULT);
	CORE_PREP(&ring, 9, io_uring_prep_statx, AT_FDCWD, BAD_POINTER, 0, STATX_SIZE, &status);
	assert_int_equal(core_run(&ring, 9), -EFAULT);
	CORE_PREP(&ring, 10, io_uring_prep_connect, sockets[0], BAD_POINTER, 16);
	assert_int_equal(core_run(&ring, 10), -EFAULT);
	CORE_PREP(&ring, 11, io_uring_prep_epoll_ctl, file, pipe_fds[0], EPOLL_CTL_ADD,
		  BAD_POINTER);
	assert_int_equal(core_run(&ring, 11), -EFAULT);
	CORE_PREP(&ring, 12, io_uring_prep_unlinkat, AT_FDCWD, BAD_POINTER, 0);
	assert_int_equal(core_run(&ring, 12), -EFAULT);
	CORE_PREP(&ring, 13, io_uring_prep_renameat, AT_FDCWD, "a", AT_FDCWD, BAD_POINTER, 0);
	assert_int_equal(core_run(&ring, 13), -EFAULT);
	CORE_PREP(&ring, 14, io_uring_prep_mkdirat, AT_FDCWD, BAD_POINTER, 0700);
	assert_int_equal(core_run(&ring, 14), -EFAULT);
}

/* The index array is the program's to write, too. */
static void an_index_beyond_the_ring_is_dropped_and_counted(void **state)
{
	unsigned dropped = *ring.sq.kdropped, tail = *ring.sq.ktail, mask = 7;

	(void)state;
	ring.sq.array[tail & mask] = 0xfffffff0;
	__atomic_store_n(ring.sq.ktail, tail + 1, __ATOMIC_RELEASE);
	assert_int_equal(core_enter(&ring, 1, 0, 0, NULL, 8), 0);
	assert_int_equal(*ring.sq.kdropped, dropped + 1);
	ring.sq.array[tail & mask] = tail & mask;
	ring.sq.sqe_head = ring.sq.sqe_tail = tail + 1;
}

static struct io_uring_sqe *sqe_of(int opcode, int fd, const void *addr, unsigned len)
{
	struct io_uring_sqe *sqe = core_sqe(&ring, 1);

	sqe->opcode = (__u8)opcode;
	sqe->fd = fd;
	sqe->addr = (unsigned long)addr;
	sqe->len = len;
	return sqe;
}

static void lengths_that_are_none_are_refused_and_those_of_nothing_need_no_memory(void **state)
{
	struct msghdr header = {0};
	void *nowhere = (void *)-1l;
	char byte = 0;

	(void)state;
	sqe_of(IORING_OP_SEND, sockets[0], &byte, -1u);
	assert_int_equal(core_run(&ring, 1), -EINVAL);
	sqe_of(IORING_OP_RECV, sockets[0], &byte, -1u);
	assert_int_equal(core_run(&ring, 1), -EINVAL);
	sqe_of(IORING_OP_RECV, sockets[0], NULL, -1u)->flags = IOSQE_BUFFER_SELECT;
	assert_int_equal(core_run(&ring, 1), -EINVAL);
	sqe_of(IORING_OP_SENDMSG, sockets[0], &header, -1u);
	assert_int_equal(core_run(&ring, 1), -EINVAL);
	sqe_of(IORING_OP_RECVMSG, sockets[0], &header, -1u);
	assert_int_equal(core_run(&ring, 1), -EINVAL);
	sqe_of(IORING_OP_SEND, -1, nowhere, 1);
	assert_int_equal(core_run(&ring, 1), -EFAULT);
	sqe_of(IORING_OP_PROVIDE_BUFFERS, 1, &byte, 0);
	assert_int_equal(core_run(&ring, 1), -EINVAL);
	sqe_of(IORING_OP_CONNECT, -1, nowhere, 0);
	assert_int_equal(core_run(&ring, 1), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(setup_refuses_a_bad_parameter_pointer),
		cmocka_unit_test(enter_refuses_bad_arguments),
		cmocka_unit_test(register_refuses_bad_arguments),
		cmocka_unit_test(a_failed_registration_leaves_nothing),
		cmocka_unit_test(transfers_to_bad_buffers_fail),
		cmocka_unit_test(a_buffer_that_ends_early_gives_a_short_read),
		cmocka_unit_test(a_fixed_buffer_that_was_unmapped_does_not_crash),
		cmocka_unit_test(structures_of_requests_are_checked),
		cmocka_unit_test(an_index_beyond_the_ring_is_dropped_and_counted),
		cmocka_unit_test(
			lengths_that_are_none_are_refused_and_those_of_nothing_need_no_memory),
	};

	core_require_rings();
	return cmocka_run_group_tests(tests, setup, teardown);
}

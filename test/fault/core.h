/*
 * core.h - what the tests of faults in rings and requests share
 *
 * Each of these programs runs twice (meson.build): where the kernel refuses
 * io_uring, with ringside preloaded; and on the kernel's own io_uring, where
 * that is allowed, so that every expectation is the kernel's and not our guess.
 * What only one of the two can promise asks core_is_ringside() and says why.
 */
#ifndef RS_TEST_FAULT_CORE_H
#define RS_TEST_FAULT_CORE_H

/* cmocka wants these first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* No memory is there, whatever a program maps: user addresses begin higher. */
#define BAD_POINTER ((void *)16)

#define TEST_SKIPPED 77

static inline bool core_is_ringside(void)
{
	const char *preload = getenv("LD_PRELOAD");

	return preload != NULL && strstr(preload, "libringside") != NULL;
}

/* First thing in main(). */
static inline void core_require_rings(void)
{
	struct io_uring ring;
	int err = io_uring_queue_init(1, &ring, 0);

	if (err == 0) {
		io_uring_queue_exit(&ring);
		return;
	}
	printf("skipped: no io_uring here: %s\n", strerror(-err));
	exit(TEST_SKIPPED);
}

static inline long core_call(long nr, long a, long b, long c, long d, long e, long f)
{
	long ret = syscall(nr, a, b, c, d, e, f);

	return ret == -1 ? -errno : ret;
}

static inline long core_enter(const struct io_uring *ring, unsigned to_submit,
			      unsigned min_complete, unsigned flags, const void *arg, size_t size)
{
	return core_call(SYS_io_uring_enter, ring->ring_fd, to_submit, min_complete, flags,
			 (long)arg, (long)size);
}

static inline long core_register(const struct io_uring *ring, unsigned opcode, const void *arg,
				 unsigned count)
{
	return core_call(SYS_io_uring_register, ring->ring_fd, opcode, (long)arg, count, 0, 0);
}

static inline void core_ring(struct io_uring *ring, unsigned entries, unsigned flags)
{
	assert_int_equal(io_uring_queue_init(entries, ring, flags), 0);
}

static inline struct io_uring_sqe *core_sqe(struct io_uring *ring, __u64 user_data)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	if (sqe == NULL)
		abort(); /* more SQEs than entries: the test's own mistake */
	memset(sqe, 0, sizeof(*sqe));
	sqe->user_data = user_data;
	return sqe;
}

/* The preparing functions of liburing clear user_data before 2.5 and leave it from then on. */
#define CORE_PREP(ring, tag, prep, ...)                                                            \
	({                                                                                         \
		struct io_uring_sqe *core_prepared = core_sqe(ring, 0);                            \
		prep(core_prepared, __VA_ARGS__);                                                  \
		core_prepared->user_data = (tag);                                                  \
		core_prepared;                                                                     \
	})

/* The next CQE (its first 16 bytes), which is to come soon. */
static inline struct io_uring_cqe core_cqe(struct io_uring *ring)
{
	struct __kernel_timespec limit = {.tv_sec = 10};
	struct io_uring_cqe *cqe, copy;

	assert_int_equal(io_uring_wait_cqe_timeout(ring, &cqe, &limit), 0);
	copy = *cqe;
	io_uring_cqe_seen(ring, cqe);
	return copy;
}

/* The result of the next CQE; it must be of request `user_data`. */
static inline int core_result(struct io_uring *ring, __u64 user_data)
{
	struct io_uring_cqe cqe = core_cqe(ring);

	assert_int_equal(cqe.user_data, user_data);
	return cqe.res;
}

/* Submits what was prepared, one SQE, and waits for its result. */
static inline int core_run(struct io_uring *ring, __u64 user_data)
{
	assert_int_equal(io_uring_submit(ring), 1);
	return core_result(ring, user_data);
}

/* A TCP socket that listens on a port of loopback, which is told. */
static inline int core_listen(struct sockaddr_in *address, int backlog)
{
	socklen_t size = sizeof(*address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	*address = (struct sockaddr_in){.sin_family = AF_INET,
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(bind(fd, (void *)address, sizeof(*address)), 0);
	assert_int_equal(listen(fd, backlog), 0);
	assert_int_equal(getsockname(fd, (void *)address, &size), 0);
	return fd;
}

static inline int core_connect(const struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, (const void *)address, sizeof(*address)), 0);
	return fd;
}

static inline void core_works(struct io_uring *ring)
{
	core_sqe(ring, 4711)->opcode = IORING_OP_NOP;
	io_uring_cq_advance(ring, io_uring_cq_ready(ring));
	assert_int_equal(core_run(ring, 4711), 0);
}

#endif

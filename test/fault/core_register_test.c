/*
 * core_register_test.c - registrations: what they change, and what they refuse
 *
 * Newer than the liburing that this is built with, so numbers and structures are stated here.
 */
#include "core.h"

#include <sched.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>

enum {
	REGISTER_SYNC_CANCEL = 24,
	REGISTER_CLOCK = 29,
	REGISTER_CLONE_BUFFERS = 30,
	REGISTER_RESIZE_RINGS = 33,
	REGISTER_MEM_REGION = 34,
	REGISTER_QUERY = 35,
	OP_READV_FIXED = 60,
	OP_WRITEV_FIXED = 61,
};

#define DEFERRED        (1u << 12 | 1u << 13) /* SINGLE_ISSUER, DEFER_TASKRUN */
#define CANCEL_FD_FIXED 8u
#define CANCEL_KNOWN    63u
#define SRC_REGISTERED  1u
#define DST_REPLACE     2u
#define REGION_IS_USERS 1u
#define REGION_IS_WAIT  1u
#define WAIT_HAS_TIME   1u
#define EXT_ARG_REG     64u
#define ABS_TIMER       32u
#define BUFFERS         4
#define BUFFER_SIZE     8192u

struct sync_cancel {
	__u64 addr;
	__s32 fd;
	__u32 flags;
	struct __kernel_timespec timeout;
	__u8 opcode, pad[7];
	__u64 pad2[3];
};

struct clone {
	__u32 src_fd, flags, src_off, dst_off, nr, pad[3];
};

struct region_desc {
	__u64 user_addr, size;
	__u32 flags, id;
	__u64 mmap_offset, resv[4];
};

struct region {
	__u64 desc, flags, resv[2];
};

struct wait_arg {
	struct __kernel_timespec ts;
	__u32 min_wait_usec, flags;
	__u64 sigmask;
	__u32 sigmask_size, pad[3];
	__u64 pad2[2];
};

struct query {
	__u64 next, data;
	__u32 op, size;
	__s32 result;
	__u32 resv[3];
};

static char memory[BUFFERS][BUFFER_SIZE] __attribute__((aligned(4096)));

static long query(void *entry, unsigned count)
{
	return core_call(SYS_io_uring_register, -1, REGISTER_QUERY, (long)entry, count, 0, 0);
}

/* These two liburing.so 2.3 does not export. */
static long enable(const struct io_uring *ring)
{
	return core_register(ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

static long restrict_ring(const struct io_uring *ring, const struct io_uring_restriction *list,
			  unsigned count)
{
	return core_register(ring, IORING_REGISTER_RESTRICTIONS, list, count);
}

/* Polls of an empty pipe, with one user_data. */
static void poll_pipe(struct io_uring *ring, int fd, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		CORE_PREP(ring, 7, io_uring_prep_poll_add, fd, POLLIN);
	assert_int_equal(io_uring_submit(ring), count);
}

static struct sync_cancel cancel_of(__u64 user_data, __s32 fd, __u32 flags)
{
	return (struct sync_cancel){
		.addr = user_data,
		.fd = fd,
		.flags = flags,
		.timeout = {.tv_sec = -1, .tv_nsec = -1},
	};
}

static long sync_cancel(struct io_uring *ring, struct sync_cancel arg)
{
	return core_register(ring, REGISTER_SYNC_CANCEL, &arg, 1);
}

static void a_synchronous_cancel_says_what_it_found(void **state)
{
	struct io_uring ring;
	int fds[2];

	(void)state;
	core_ring(&ring, 8, 0);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(sync_cancel(&ring, cancel_of(7, 0, 0)), -ENOENT);
	assert_int_equal(sync_cancel(&ring, cancel_of(7, 0, IORING_ASYNC_CANCEL_ALL)), 0);
	poll_pipe(&ring, fds[0], 1);
	assert_int_equal(sync_cancel(&ring, cancel_of(8, 0, 0)), -ENOENT);
	assert_int_equal(sync_cancel(&ring, cancel_of(7, 0, 0)), 0);
	assert_int_equal(core_result(&ring, 7), -ECANCELED);
	poll_pipe(&ring, fds[0], 3);
	assert_int_equal(sync_cancel(&ring,
				     cancel_of(0, fds[0],
					       IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_ALL)),
			 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(core_result(&ring, 7), -ECANCELED);
	core_works(&ring);
	close(fds[0]);
	close(fds[1]);
	io_uring_queue_exit(&ring);
}

static void a_synchronous_cancel_by_fixed_file_takes_its_requests(void **state)
{
	const __u32 by_slot = IORING_ASYNC_CANCEL_FD | CANCEL_FD_FIXED;
	struct io_uring ring;
	int fds[2];

	(void)state;
	core_ring(&ring, 8, 0);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(sync_cancel(&ring, cancel_of(0, 0, by_slot)), -EBADF);
	assert_int_equal(io_uring_register_files(&ring, fds, 1), 0);
	CORE_PREP(&ring, 7, io_uring_prep_poll_add, 0, POLLIN)->flags = IOSQE_FIXED_FILE;
	assert_int_equal(io_uring_submit(&ring), 1);
	assert_int_equal(sync_cancel(&ring, cancel_of(0, 1, by_slot)), -EBADF);
	assert_int_equal(sync_cancel(&ring, cancel_of(0, 0, by_slot)), 0);
	assert_int_equal(core_result(&ring, 7), -ECANCELED);
	close(fds[0]);
	close(fds[1]);
	io_uring_queue_exit(&ring);
}

static void bad_arguments_of_a_synchronous_cancel_are_refused(void **state)
{
	struct sync_cancel arg = cancel_of(0, -1, IORING_ASYNC_CANCEL_FD);
	struct io_uring ring;

	(void)state;
	core_ring(&ring, 8, 0);
	assert_int_equal(sync_cancel(&ring, arg), -EBADF);
	assert_int_equal(core_register(&ring, REGISTER_SYNC_CANCEL, NULL, 1), -EINVAL);
	assert_int_equal(core_register(&ring, REGISTER_SYNC_CANCEL, &arg, 0), -EINVAL);
	assert_int_equal(core_register(&ring, REGISTER_SYNC_CANCEL, BAD_POINTER, 1), -EFAULT);
	arg.flags = CANCEL_KNOWN + 1;
	assert_int_equal(sync_cancel(&ring, arg), -EINVAL);
	arg.flags = 0;
	arg.pad[6] = 1;
	assert_int_equal(sync_cancel(&ring, arg), -EINVAL);
	arg.pad[6] = 0;
	arg.pad2[2] = 1;
	assert_int_equal(sync_cancel(&ring, arg), -EINVAL);
	io_uring_queue_exit(&ring);
}

static long clone_buffers(struct io_uring *to, const struct io_uring *from, struct clone arg)
{
	arg.src_fd = (__u32)from->ring_fd;
	return core_register(to, REGISTER_CLONE_BUFFERS, &arg, 1);
}

static void register_memory(struct io_uring *ring)
{
	struct iovec iovs[BUFFERS];

	for (int i = 0; i < BUFFERS; i++)
		iovs[i] = (struct iovec){memory[i], BUFFER_SIZE};
	assert_int_equal(io_uring_register_buffers(ring, iovs, BUFFERS), 0);
}

/* A read of /dev/zero into buffer `index`, which is memory[which]. */
static int use_buffer(struct io_uring *ring, int which, int index)
{
	int fd = open("/dev/zero", O_RDONLY), result;

	CORE_PREP(ring, 5, io_uring_prep_read_fixed, fd, memory[which], 64, 0, index);
	result = core_run(ring, 5);
	close(fd);
	return result;
}

static void cloned_buffers_outlive_their_source(void **state)
{
	struct io_uring from, to;

	(void)state;
	core_ring(&from, 4, 0);
	core_ring(&to, 4, 0);
	assert_int_equal(clone_buffers(&to, &from, (struct clone){0}), -ENXIO);
	register_memory(&from);
	assert_int_equal(clone_buffers(&to, &from, (struct clone){0}), 0);
	io_uring_queue_exit(&from);
	for (int i = 0; i < BUFFERS; i++)
		assert_int_equal(use_buffer(&to, i, i), 64);
	assert_int_equal(io_uring_unregister_buffers(&to), 0);
	assert_int_equal(use_buffer(&to, 0, 0), -EFAULT);
	io_uring_queue_exit(&to);
}

static void a_range_of_buffers_is_cloned_among_those_there_are(void **state)
{
	struct io_uring from, to;

	(void)state;
	core_ring(&from, 4, 0);
	core_ring(&to, 4, 0);
	register_memory(&from);
	assert_int_equal(clone_buffers(&to, &from, (struct clone){.src_off = 2, .nr = 2}), 0);
	assert_int_equal(use_buffer(&to, 2, 0), 64);
	assert_int_equal(use_buffer(&to, 0, 0), -EFAULT);
	/* Only by replacing, and then the others stay and the table grows. */
	assert_int_equal(clone_buffers(&to, &from, (struct clone){.dst_off = 1, .nr = 3}), -EBUSY);
	assert_int_equal(clone_buffers(&to, &from,
				       (struct clone){.dst_off = 1, .nr = 3, .flags = DST_REPLACE}),
			 0);
	assert_int_equal(use_buffer(&to, 2, 0), 64);
	for (int i = 0; i < 3; i++)
		assert_int_equal(use_buffer(&to, i, i + 1), 64);
	/* A ring's own buffers, into a hole behind them. */
	assert_int_equal(
		clone_buffers(
			&to, &to,
			(struct clone){.src_off = 1, .dst_off = 8, .nr = 1, .flags = DST_REPLACE}),
		0);
	assert_int_equal(use_buffer(&to, 0, 8), 64);
	assert_int_equal(use_buffer(&to, 0, 7), -EFAULT);
	io_uring_queue_exit(&from);
	io_uring_queue_exit(&to);
}

static void impossible_clones_are_refused(void **state)
{
	struct io_uring from, to;

	(void)state;
	core_ring(&from, 4, 0);
	core_ring(&to, 4, 0);
	register_memory(&from);
	assert_int_equal(clone_buffers(&to, &from, (struct clone){.nr = BUFFERS + 1}), -EINVAL);
	assert_int_equal(clone_buffers(&to, &from, (struct clone){.src_off = 1}), -EINVAL);
	assert_int_equal(clone_buffers(&to, &from, (struct clone){.src_off = 2, .nr = 3}),
			 -EOVERFLOW);
	assert_int_equal(clone_buffers(&to, &from,
				       (struct clone){.dst_off = UINT32_MAX - 1, .nr = 3}),
			 -EOVERFLOW);
	assert_int_equal(clone_buffers(&to, &from, (struct clone){.flags = 4}), -EINVAL);
	assert_int_equal(clone_buffers(&to, &from, (struct clone){.pad = {0, 0, 1}}), -EINVAL);
	assert_int_equal(clone_buffers(&to, &from, (struct clone){.flags = SRC_REGISTERED}),
			 from.ring_fd < 16 ? -EBADF : -EINVAL);
	assert_int_equal(core_register(&to, REGISTER_CLONE_BUFFERS, BAD_POINTER, 1), -EFAULT);
	io_uring_queue_exit(&from);
	io_uring_queue_exit(&to);
}

/* Maps the ring anew, as liburing does after a resize. `old_entries`: SQEs that were mapped; the
 * old mapping may say what is new. */
static void map_again(struct io_uring *ring, unsigned old_entries,
		      const struct io_uring_params *params)
{
	struct io_uring_params mapped = *params;
	unsigned flags = ring->flags, features = ring->features;
	int fd = ring->ring_fd;

	munmap(ring->sq.sqes, old_entries * sizeof(struct io_uring_sqe));
	munmap(ring->sq.ring_ptr, ring->sq.ring_sz);
	mapped.features = IORING_FEAT_SINGLE_MMAP;
	/* The kernel names the index array's place at setup only: it is the next cache line. */
	assert_int_equal(mapped.sq_off.array, 0);
	mapped.sq_off.array = (mapped.cq_off.cqes + mapped.cq_entries * 16 + 63) / 64 * 64;
	assert_int_equal(io_uring_queue_mmap(fd, &mapped, ring), 0);
	ring->flags = flags;
	ring->features = features;
	for (unsigned i = 0; i < params->sq_entries; i++)
		ring->sq.array[i] = i;
	ring->sq.sqe_head = ring->sq.sqe_tail = *ring->sq.ktail;
}

static long resize(struct io_uring *ring, unsigned sq_entries, unsigned cq_entries)
{
	struct io_uring_params params = {
		.flags = cq_entries ? IORING_SETUP_CQSIZE : 0,
		.sq_entries = sq_entries,
		.cq_entries = cq_entries,
	};
	unsigned old_entries = *ring->sq.kring_entries;
	long err = core_register(ring, REGISTER_RESIZE_RINGS, &params, 1);

	if (err == 0)
		map_again(ring, old_entries, &params);
	return err;
}

static void submit_nops(struct io_uring *ring, __u64 first, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		core_sqe(ring, first + i)->opcode = IORING_OP_NOP;
	assert_int_equal(io_uring_submit(ring), count);
}

static void a_resized_ring_keeps_its_completions_in_order(void **state)
{
	struct io_uring ring;

	(void)state;
	core_ring(&ring, 8, DEFERRED);
	submit_nops(&ring, 0, 5);
	for (int i = 0; i < 3; i++)
		assert_int_equal(core_result(&ring, (__u64)i), 0);
	assert_int_equal(resize(&ring, 64, 0), 0);
	assert_int_equal(*ring.cq.kring_entries, 128);
	submit_nops(&ring, 5, 60);
	assert_int_equal(resize(&ring, 32, 64), 0);
	for (__u64 i = 3; i < 65; i++)
		assert_int_equal(core_result(&ring, i), 0);
	assert_int_equal(resize(&ring, 1, 1), 0);
	core_works(&ring);
	core_works(&ring);
	io_uring_queue_exit(&ring);
}

static void a_ring_too_small_for_what_is_in_it_stays_as_it_is(void **state)
{
	struct io_uring ring;

	(void)state;
	core_ring(&ring, 32, DEFERRED);
	submit_nops(&ring, 0, 32);
	assert_int_equal(resize(&ring, 8, 16), -EOVERFLOW);
	assert_int_equal(*ring.cq.kring_entries, 64);
	assert_int_equal(resize(&ring, 8, 32), 0);
	for (__u64 i = 0; i < 32; i++)
		assert_int_equal(core_result(&ring, i), 0);
	core_works(&ring);
	io_uring_queue_exit(&ring);
}

static void a_request_that_waits_completes_into_the_resized_ring(void **state)
{
	struct io_uring ring;
	int fds[2];

	(void)state;
	core_ring(&ring, 4, DEFERRED);
	assert_int_equal(pipe(fds), 0);
	poll_pipe(&ring, fds[0], 1);
	assert_int_equal(resize(&ring, 4096, 0), 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(core_result(&ring, 7), POLLIN);
	close(fds[0]);
	close(fds[1]);
	io_uring_queue_exit(&ring);
}

static void impossible_sizes_are_refused(void **state)
{
	struct io_uring_params flags = {.flags = IORING_SETUP_CQE32, .sq_entries = 8};
	struct io_uring ring, other;

	(void)state;
	core_ring(&ring, 8, DEFERRED);
	core_ring(&other, 8, 0);
	assert_int_equal(resize(&other, 16, 0), -EINVAL);
	assert_int_equal(resize(&ring, 0, 0), -EINVAL);
	assert_int_equal(resize(&ring, 1 << 20, 0), -EINVAL);
	assert_int_equal(resize(&ring, 64, 32), -EINVAL);
	assert_int_equal(core_register(&ring, REGISTER_RESIZE_RINGS, &flags, 1), -EINVAL);
	assert_int_equal(core_register(&ring, REGISTER_RESIZE_RINGS, BAD_POINTER, 1), -EFAULT);
	core_works(&ring);
	io_uring_queue_exit(&ring);
	io_uring_queue_exit(&other);
}

static struct io_uring_restriction restriction(unsigned opcode, unsigned value)
{
	return (struct io_uring_restriction){.opcode = (__u16)opcode, .sqe_op = (__u8)value};
}

static void a_restricted_ring_does_what_it_may_and_no_more(void **state)
{
	struct io_uring_restriction list[] = {
		restriction(IORING_RESTRICTION_SQE_OP, IORING_OP_NOP),
		restriction(IORING_RESTRICTION_REGISTER_OP, IORING_REGISTER_PROBE),
		restriction(IORING_RESTRICTION_SQE_FLAGS_ALLOWED, IOSQE_IO_LINK),
		restriction(IORING_RESTRICTION_SQE_FLAGS_REQUIRED, IOSQE_ASYNC),
	};
	struct io_uring_probe probe = {0};
	struct io_uring ring;

	(void)state;
	core_ring(&ring, 8, IORING_SETUP_R_DISABLED);
	assert_int_equal(restrict_ring(&ring, list, 4), 0);
	assert_int_equal(restrict_ring(&ring, list, 4), -EBUSY);
	/* Not yet in force. */
	assert_int_equal(io_uring_register_eventfd(&ring, -1), -EBADF);
	assert_int_equal(enable(&ring), 0);
	core_sqe(&ring, 1)->opcode = IORING_OP_NOP;
	assert_int_equal(core_run(&ring, 1), -EACCES);
	core_sqe(&ring, 2)->flags = IOSQE_ASYNC;
	assert_int_equal(core_run(&ring, 2), 0);
	core_sqe(&ring, 3)->flags = IOSQE_ASYNC | IOSQE_IO_LINK;
	assert_int_equal(core_run(&ring, 3), 0);
	core_sqe(&ring, 4)->flags = IOSQE_ASYNC | IOSQE_IO_HARDLINK;
	assert_int_equal(core_run(&ring, 4), -EACCES);
	CORE_PREP(&ring, 5, io_uring_prep_close, -1)->flags = IOSQE_ASYNC;
	assert_int_equal(core_run(&ring, 5), -EACCES);
	assert_int_equal(io_uring_register_eventfd(&ring, -1), -EACCES);
	assert_int_equal(core_register(&ring, IORING_REGISTER_PROBE, &probe, 0), 0);
	io_uring_queue_exit(&ring);
}

static void a_restriction_comes_before_the_ring_is_enabled_or_never(void **state)
{
	struct io_uring_restriction one = restriction(IORING_RESTRICTION_SQE_OP, IORING_OP_NOP);
	struct io_uring_restriction bad[] = {
		restriction(IORING_RESTRICTION_LAST, 0),
		restriction(IORING_RESTRICTION_SQE_OP, 255),
		restriction(IORING_RESTRICTION_REGISTER_OP, 255),
	};
	struct io_uring ring;

	(void)state;
	core_ring(&ring, 8, 0);
	assert_int_equal(restrict_ring(&ring, &one, 1), -EBADFD);
	io_uring_queue_exit(&ring);
	core_ring(&ring, 8, IORING_SETUP_R_DISABLED);
	for (int i = 0; i < 3; i++)
		assert_int_equal(restrict_ring(&ring, &bad[i], 1), -EINVAL);
	assert_int_equal(core_register(&ring, IORING_REGISTER_RESTRICTIONS, NULL, 1), -EINVAL);
	assert_int_equal(core_register(&ring, IORING_REGISTER_RESTRICTIONS, BAD_POINTER, 1),
			 -EFAULT);
	assert_int_equal(core_register(&ring, IORING_REGISTER_RESTRICTIONS, &one, 10000), -EINVAL);
	/* What failed has left nothing. */
	assert_int_equal(enable(&ring), 0);
	core_works(&ring);
	io_uring_queue_exit(&ring);
}

static long register_clock(struct io_uring *ring, __u32 clock)
{
	__u32 arg[4] = {clock};

	return core_register(ring, REGISTER_CLOCK, arg, 0);
}

static void a_wait_until_a_moment_is_by_the_rings_clock(void **state)
{
	static const clockid_t clocks[] = {CLOCK_MONOTONIC, CLOCK_BOOTTIME};
	struct io_uring_getevents_arg arg = {0};
	struct __kernel_timespec until;
	struct timespec now;
	struct io_uring ring;

	(void)state;
	core_ring(&ring, 8, 0);
	arg.ts = (__u64)(uintptr_t)&until;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(register_clock(&ring, (__u32)clocks[i]), 0);
		clock_gettime(clocks[i], &now);
		until.tv_sec = now.tv_sec + (now.tv_nsec + 20000000) / 1000000000;
		until.tv_nsec = (now.tv_nsec + 20000000) % 1000000000;
		assert_int_equal(core_enter(&ring, 0, 1,
					    IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG |
						    ABS_TIMER,
					    &arg, sizeof(arg)),
				 -ETIME);
		clock_gettime(clocks[i], &now);
		assert_true(now.tv_sec > until.tv_sec ||
			    (now.tv_sec == until.tv_sec && now.tv_nsec >= until.tv_nsec));
	}
	assert_int_equal(register_clock(&ring, CLOCK_REALTIME), -EINVAL);
	assert_int_equal(core_register(&ring, REGISTER_CLOCK, BAD_POINTER, 0), -EFAULT);
	io_uring_queue_exit(&ring);
}

static long register_region(struct io_uring *ring, struct region_desc *desc, __u64 flags)
{
	struct region arg = {.desc = (__u64)(uintptr_t)desc, .flags = flags};

	return core_register(ring, REGISTER_MEM_REGION, &arg, 1);
}

static long wait_by_region(struct io_uring *ring, size_t offset)
{
	return core_enter(ring, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG | EXT_ARG_REG,
			  (void *)offset, sizeof(struct wait_arg));
}

static void wait_arguments_lie_in_the_programs_region(void **state)
{
	struct wait_arg *args = (struct wait_arg *)(void *)memory;
	struct region_desc desc = {
		.user_addr = (__u64)(uintptr_t)memory,
		.size = 4096,
		.flags = REGION_IS_USERS,
	};
	struct io_uring ring;

	(void)state;
	memset(memory, 0, sizeof(memory));
	args[3] = (struct wait_arg){.ts = {.tv_nsec = 1000000}, .flags = WAIT_HAS_TIME};
	args[4] = (struct wait_arg){.flags = 2};
	core_ring(&ring, 8, IORING_SETUP_R_DISABLED);
	assert_int_equal(register_region(&ring, &desc, REGION_IS_WAIT), 0);
	assert_int_equal(register_region(&ring, &desc, REGION_IS_WAIT), -EBUSY);
	assert_int_equal(enable(&ring), 0);
	assert_int_equal(wait_by_region(&ring, 3 * sizeof(*args)), -ETIME);
	assert_int_equal(wait_by_region(&ring, 4 * sizeof(*args)), -EINVAL);
	assert_int_equal(wait_by_region(&ring, 4096), -EFAULT);
	assert_int_equal(wait_by_region(&ring, 4096 - 8), -EFAULT);
	assert_int_equal(wait_by_region(&ring, (size_t)-8), -EFAULT);
	io_uring_queue_exit(&ring);
}

static void a_region_may_be_memory_that_the_ring_gives(void **state)
{
	struct region_desc desc = {.size = 8192};
	struct io_uring ring;
	struct wait_arg *args;

	(void)state;
	core_ring(&ring, 8, IORING_SETUP_R_DISABLED);
	assert_int_equal(register_region(&ring, &desc, REGION_IS_WAIT), 0);
	args = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, ring.ring_fd,
		    (off_t)desc.mmap_offset);
	assert_true(args != MAP_FAILED);
	args[100] = (struct wait_arg){.ts = {.tv_nsec = 1000000}, .flags = WAIT_HAS_TIME};
	assert_int_equal(enable(&ring), 0);
	assert_int_equal(wait_by_region(&ring, 100 * sizeof(*args)), -ETIME);
	munmap(args, 8192);
	core_works(&ring);
	io_uring_queue_exit(&ring);
}

static void a_region_that_cannot_be_is_refused(void **state)
{
	const __u64 here = (__u64)(uintptr_t)memory;
	struct region_desc bad[] = {
		{.user_addr = here, .size = 4096},
		{.user_addr = 0, .size = 4096, .flags = REGION_IS_USERS},
		{.user_addr = here, .size = 0, .flags = REGION_IS_USERS},
		{.user_addr = here + 16, .size = 4096, .flags = REGION_IS_USERS},
		{.user_addr = here, .size = 4096, .flags = 3},
		{.user_addr = here, .size = 4096, .flags = REGION_IS_USERS, .resv = {1}},
		{.user_addr = 4096, .size = 4096, .flags = REGION_IS_USERS},
	};
	static const long errors[] = {-EFAULT, -EFAULT, -EINVAL, -EINVAL,
				      -EINVAL, -EINVAL, -EFAULT};
	struct region_desc good = {.user_addr = here, .size = 4096, .flags = REGION_IS_USERS};
	struct io_uring ring;

	(void)state;
	core_ring(&ring, 8, IORING_SETUP_R_DISABLED);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(register_region(&ring, &bad[i], REGION_IS_WAIT), errors[i]);
	assert_int_equal(register_region(&ring, &good, 2), -EINVAL);
	assert_int_equal(register_region(&ring, BAD_POINTER, 0), -EFAULT);
	assert_int_equal(core_register(&ring, REGISTER_MEM_REGION, BAD_POINTER, 1), -EFAULT);
	assert_int_equal(enable(&ring), 0);
	assert_int_equal(register_region(&ring, &good, REGION_IS_WAIT), -EINVAL);
	assert_int_equal(wait_by_region(&ring, 0), -EFAULT);
	assert_int_equal(register_region(&ring, &good, 0), 0);
	io_uring_queue_exit(&ring);
}

static void a_query_is_answered_as_far_as_it_has_room(void **state)
{
	__u64 answer[16];
	struct query entry = {.data = (__u64)(uintptr_t)answer, .size = sizeof(answer)};

	(void)state;
	memset(answer, 0xff, sizeof(answer));
	assert_int_equal(query(&entry, 0), 0);
	assert_int_equal(entry.result, 0);
	assert_true(entry.size >= 40 && entry.size < sizeof(answer));
	assert_true((__u32)answer[0] > IORING_OP_NOP && answer[0] >> 32 > REGISTER_QUERY);
	assert_int_equal(answer[15], 0);
	entry.size = 8;
	answer[1] = 4711;
	assert_int_equal(query(&entry, 0), 0);
	assert_int_equal(entry.size, 8);
	assert_int_equal(answer[1], 4711);
	entry.op = 1000;
	assert_int_equal(query(&entry, 0), 0);
	assert_int_equal(entry.result, -EOPNOTSUPP);
}

static void questions_form_a_chain_but_no_circle(void **state)
{
	__u64 answer[2][8];
	struct query entries[2] = {
		{.data = (__u64)(uintptr_t)answer[0], .size = sizeof(answer[0])},
		{.data = (__u64)(uintptr_t)answer[1], .size = sizeof(answer[1])},
	};

	(void)state;
	memset(answer, 0, sizeof(answer));
	entries[0].next = (__u64)(uintptr_t)&entries[1];
	assert_int_equal(query(entries, 0), 0);
	assert_memory_equal(answer[0], answer[1], sizeof(answer[0]));
	assert_true(answer[1][0] != 0);
	entries[1].next = (__u64)(uintptr_t)&entries[0];
	assert_int_equal(query(entries, 0), -ERANGE);
	entries[1].next = (__u64)(uintptr_t)BAD_POINTER;
	assert_int_equal(query(entries, 0), -EFAULT);
	assert_int_equal(query(NULL, 0), 0);
	assert_int_equal(query(NULL, 1), -EINVAL);
}

static int run_vector(struct io_uring *ring, __u8 opcode, int fd, const struct iovec *iovs,
		      unsigned count)
{
	struct io_uring_sqe *sqe = core_sqe(ring, 9);

	sqe->opcode = opcode;
	sqe->fd = fd;
	sqe->addr = (__u64)(uintptr_t)iovs;
	sqe->len = count;
	sqe->buf_index = 1;
	return core_run(ring, 9);
}

static void a_vector_in_a_fixed_buffer_is_written_and_read(void **state)
{
	struct iovec good[] = {{memory[1], 1000}, {memory[1] + 4000, 3000}};
	struct iovec outside[] = {{memory[1], 10}, {memory[2], 10}};
	struct iovec empty[] = {{memory[1], 10}, {memory[1], 0}};
	struct iovec negative[] = {{memory[1], 10}, {memory[1], (size_t)-1}};
	char name[] = "/tmp/core_register.XXXXXX";
	int fd = mkstemp(name);
	struct io_uring ring;

	(void)state;
	assert_true(fd >= 0);
	unlink(name);
	core_ring(&ring, 8, 0);
	assert_int_equal(run_vector(&ring, OP_READV_FIXED, fd, good, 2), -EFAULT);
	register_memory(&ring);
	memset(memory[1], 'a', 1000);
	memset(memory[1] + 4000, 'b', 3000);
	assert_int_equal(run_vector(&ring, OP_WRITEV_FIXED, fd, good, 2), 4000);
	memset(memory[1], 0, BUFFER_SIZE);
	assert_int_equal(run_vector(&ring, OP_READV_FIXED, fd, good, 2), 4000);
	assert_int_equal(memory[1][999], 'a');
	assert_int_equal(memory[1][1000], 0);
	assert_int_equal(memory[1][4000], 'b');
	assert_int_equal(memory[1][6999], 'b');
	assert_int_equal(run_vector(&ring, OP_READV_FIXED, fd, outside, 2), -EFAULT);
	assert_int_equal(run_vector(&ring, OP_READV_FIXED, fd, empty, 2), -EFAULT);
	assert_int_equal(run_vector(&ring, OP_READV_FIXED, fd, negative, 2), -EINVAL);
	assert_int_equal(run_vector(&ring, OP_READV_FIXED, fd, good, 1025), -EINVAL);
	assert_int_equal(run_vector(&ring, OP_READV_FIXED, fd, NULL, 0), 0);
	assert_int_equal(run_vector(&ring, OP_READV_FIXED, -1, good, 2), -EBADF);
	close(fd);
	io_uring_queue_exit(&ring);
}

static void workers_are_bound_to_processors_and_their_maker_is_not(void **state)
{
	cpu_set_t before, one, after;
	struct io_uring ring;
	int cpu = 0;

	(void)state;
	core_ring(&ring, 8, 0);
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	while (!CPU_ISSET(cpu, &before))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	assert_int_equal(io_uring_register_iowq_aff(&ring, sizeof(one), &one), 0);
	assert_int_equal(sched_getaffinity(0, sizeof(after), &after), 0);
	assert_true(CPU_EQUAL(&before, &after));
	CORE_PREP(&ring, 1, io_uring_prep_fsync, -1, 0);
	assert_int_equal(core_run(&ring, 1), -EBADF);
	assert_int_equal(io_uring_unregister_iowq_aff(&ring), 0);
	assert_int_equal(core_register(&ring, IORING_REGISTER_IOWQ_AFF, NULL, 8), -EINVAL);
	assert_int_equal(core_register(&ring, IORING_REGISTER_IOWQ_AFF, BAD_POINTER, 8), -EFAULT);
	io_uring_queue_exit(&ring);
}

static char *map_pages(size_t size)
{
	char *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(pages, MAP_FAILED);
	return pages;
}

/* Nothing that the call itself maps may take the place of what is missing, though the other gaps
 * are filled. */
static void a_buffer_with_a_gap_is_no_buffer(void **state)
{
	enum { PAGE = 4096, FILLERS = 256 };
	char *fillers[FILLERS];
	struct io_uring ring;
	struct iovec iov;

	core_ring(&ring, 1, 0);
	for (int i = 0; i < FILLERS; i++)
		fillers[i] = map_pages(PAGE);
	iov = (struct iovec){.iov_base = map_pages(3 * PAGE), .iov_len = 3 * PAGE};
	munmap((char *)iov.iov_base + PAGE, PAGE);
	assert_int_equal(io_uring_register_buffers(&ring, &iov, 1), -EFAULT);
	iov.iov_len = PAGE;
	assert_int_equal(io_uring_register_buffers(&ring, &iov, 1), 0);
	io_uring_queue_exit(&ring);
	munmap(iov.iov_base, PAGE);
	munmap((char *)iov.iov_base + 2 * PAGE, PAGE);
	for (int i = 0; i < FILLERS; i++)
		munmap(fillers[i], PAGE);
	(void)state;
}

/* What the kernel says to any vector of iovecs, before it asks what a buffer may be. */
static void a_buffer_of_negative_length_is_invalid(void **state)
{
	struct iovec iov = {.iov_base = memory[0], .iov_len = (size_t)-1};
	struct iovec second[] = {{memory[0], BUFFER_SIZE}, {memory[1], (size_t)1 << 63}};
	struct io_uring ring;

	(void)state;
	core_ring(&ring, 1, 0);
	assert_int_equal(io_uring_register_buffers(&ring, &iov, 1), -EINVAL);
	assert_int_equal(io_uring_register_buffers(&ring, second, 2), -EINVAL);
	iov.iov_base = NULL;
	assert_int_equal(io_uring_register_buffers(&ring, &iov, 1), -EINVAL);
	iov = (struct iovec){.iov_base = memory[0], .iov_len = (size_t)1 << 40};
	assert_int_equal(io_uring_register_buffers(&ring, &iov, 1), -EFAULT);
	assert_int_equal(io_uring_register_buffers_sparse(&ring, 2), 0);
	iov.iov_len = (size_t)-1;
	assert_int_equal(io_uring_register_buffers_update_tag(&ring, 0, &iov, NULL, 1), -EINVAL);
	assert_int_equal(io_uring_register_buffers_update_tag(&ring, 0, second, NULL, 2), 1);
	io_uring_queue_exit(&ring);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_synchronous_cancel_says_what_it_found),
		cmocka_unit_test(a_synchronous_cancel_by_fixed_file_takes_its_requests),
		cmocka_unit_test(bad_arguments_of_a_synchronous_cancel_are_refused),
		cmocka_unit_test(cloned_buffers_outlive_their_source),
		cmocka_unit_test(a_range_of_buffers_is_cloned_among_those_there_are),
		cmocka_unit_test(impossible_clones_are_refused),
		cmocka_unit_test(a_resized_ring_keeps_its_completions_in_order),
		cmocka_unit_test(a_ring_too_small_for_what_is_in_it_stays_as_it_is),
		cmocka_unit_test(a_request_that_waits_completes_into_the_resized_ring),
		cmocka_unit_test(impossible_sizes_are_refused),
		cmocka_unit_test(a_restricted_ring_does_what_it_may_and_no_more),
		cmocka_unit_test(a_restriction_comes_before_the_ring_is_enabled_or_never),
		cmocka_unit_test(a_wait_until_a_moment_is_by_the_rings_clock),
		cmocka_unit_test(wait_arguments_lie_in_the_programs_region),
		cmocka_unit_test(a_region_may_be_memory_that_the_ring_gives),
		cmocka_unit_test(a_region_that_cannot_be_is_refused),
		cmocka_unit_test(a_query_is_answered_as_far_as_it_has_room),
		cmocka_unit_test(questions_form_a_chain_but_no_circle),
		cmocka_unit_test(a_vector_in_a_fixed_buffer_is_written_and_read),
		cmocka_unit_test(workers_are_bound_to_processors_and_their_maker_is_not),
		cmocka_unit_test(a_buffer_with_a_gap_is_no_buffer),
		cmocka_unit_test(a_buffer_of_negative_length_is_invalid),
	};

	core_require_rings();
	return cmocka_run_group_tests_name("core_register", tests, NULL, NULL);
}

/*
 * unit_ring.h - a program's side of a ring, on the core's calls: no preload, no liburing
 *
 * Everything that fails ends the test. A ring is the test's own memory; the
 * core's half of it is found with unit_ring_inside().
 */
#ifndef RS_TEST_UNIT_RING_H
#define RS_TEST_UNIT_RING_H

#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/abi.h"
#include "base/atomic.h"
#include "file/file.h"
#include "host/sigaction.h"
#include "host/usercopy.h"
#include "request/ring.h"
#include "ring/memory.h"
#include "syscall/descriptor.h"
#include "syscall/syscall.h"
#include "unit.h"

#define UNIT_MS 1000000ull

struct unit_ring {
	int fd;
	struct io_uring_params params;
	struct ring_header *header;
	char *sqes, *cqes;
	u32 *array;
	size_t header_size, sqes_size;
	u32 tail;        /* SQEs filled */
	u32 unsubmitted; /* of these, not yet given to enter */
};

static inline size_t unit_sqe_size(const struct unit_ring *ring)
{
	return ring->params.flags & IORING_SETUP_SQE128 ? 128 : 64;
}

static inline size_t unit_cqe_size(const struct unit_ring *ring)
{
	return ring->params.flags & IORING_SETUP_CQE32 ? 32 : 16;
}

static inline void unit_ring_open_params(struct unit_ring *ring, u32 entries)
{
	struct io_uring_params *params = &ring->params;
	char *base;

	ring->fd = (int)syscall_setup(entries, params);
	if (ring->fd < 0)
		fail_msg("no ring: %d", ring->fd);
	ring->header_size = params->sq_off.array + params->sq_entries * sizeof(u32);
	ring->header_size = max_of(ring->header_size,
				   params->cq_off.cqes + params->cq_entries * unit_cqe_size(ring));
	ring->sqes_size = params->sq_entries * unit_sqe_size(ring);
	base = mmap(NULL, ring->header_size, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd,
		    IORING_OFF_SQ_RING);
	ring->sqes = mmap(NULL, ring->sqes_size, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd,
			  IORING_OFF_SQES);
	assert_true((void *)base != MAP_FAILED && (void *)ring->sqes != MAP_FAILED);
	ring->header = (struct ring_header *)(void *)base;
	ring->cqes = base + params->cq_off.cqes;
	ring->array = params->sq_off.array ? (u32 *)(void *)(base + params->sq_off.array) : NULL;
	ring->tail = ring->unsubmitted = 0;
}

static inline void unit_ring_open(struct unit_ring *ring, u32 entries, u32 flags)
{
	*ring = (struct unit_ring){.params.flags = flags};
	unit_ring_open_params(ring, entries);
}

static inline void unit_close(int fd)
{
	descriptor_closing(fd);
	assert_int_equal(close(fd), 0);
}

static inline void unit_ring_close(struct unit_ring *ring)
{
	munmap(ring->header, ring->header_size);
	munmap(ring->sqes, ring->sqes_size);
	unit_close(ring->fd);
}

/* The core's struct of the ring. What is read of it without its lock is a snapshot. */
static inline struct ring *unit_ring_inside(const struct unit_ring *ring)
{
	return fd_slot(ring->fd)->ring;
}

/* A field of it, read with the ring's lock. */
#define unit_ring_field(of, field)                                                                 \
	({                                                                                         \
		struct ring *inside_ = unit_ring_inside(of);                                       \
		__typeof__(inside_->field) value_;                                                 \
                                                                                                   \
		ring_lock(inside_);                                                                \
		value_ = inside_->field;                                                           \
		ring_unlock(inside_);                                                              \
		value_;                                                                            \
	})

/* The next SQE, all zero but these, in the array already; the tail moves in unit_submit(). */
static inline struct io_uring_sqe *unit_sqe(struct unit_ring *ring, u8 opcode, u64 user_data)
{
	u32 index = ring->tail & (ring->params.sq_entries - 1);
	struct io_uring_sqe *sqe = (void *)(ring->sqes + index * unit_sqe_size(ring));

	assert_true(ring->unsubmitted < ring->params.sq_entries);
	memset(sqe, 0, unit_sqe_size(ring));
	sqe->opcode = opcode;
	sqe->user_data = user_data;
	if (ring->array)
		ring->array[index] = index;
	ring->tail++;
	ring->unsubmitted++;
	return sqe;
}

static inline struct io_uring_sqe *unit_sqe_flags(struct unit_ring *ring, u8 opcode, u64 user_data,
						  u8 flags)
{
	struct io_uring_sqe *sqe = unit_sqe(ring, opcode, user_data);

	sqe->flags = flags;
	return sqe;
}

/* Shows the SQEs and enters; what enter returned. */
static inline long unit_enter(struct unit_ring *ring, u32 min_complete, u32 flags)
{
	u32 count = ring->unsubmitted;

	ring->unsubmitted = 0;
	store_release(&ring->header->sq_tail, ring->tail);
	return syscall_enter((u32)ring->fd, count, min_complete, flags, NULL, 0);
}

/* The same, and all of them were taken. */
static inline void unit_submit(struct unit_ring *ring)
{
	u32 count = ring->unsubmitted;

	assert_int_equal(unit_enter(ring, 0, 0), count);
}

static inline u32 unit_cqes_ready(const struct unit_ring *ring)
{
	return load_acquire(&ring->header->cq_tail) - ring->header->cq_head;
}

/* Takes one CQE, if there is one. */
static inline bool unit_cqe_try(struct unit_ring *ring, struct io_uring_cqe *cqe)
{
	u32 head = ring->header->cq_head;

	if (unit_cqes_ready(ring) == 0)
		return false;
	memcpy(cqe, ring->cqes + (head & (ring->params.cq_entries - 1)) * unit_cqe_size(ring),
	       sizeof(*cqe));
	store_release(&ring->header->cq_head, head + 1);
	return true;
}

/* Takes one CQE, waiting for it in enter. */
static inline struct io_uring_cqe unit_cqe(struct unit_ring *ring)
{
	struct io_uring_cqe cqe;

	while (!unit_cqe_try(ring, &cqe)) {
		long err = syscall_enter((u32)ring->fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0);

		if (err < 0)
			fail_msg("waiting for a CQE: %ld", err);
	}
	return cqe;
}

/* The next CQE is this one. */
static inline void unit_expect(struct unit_ring *ring, u64 user_data, s32 res)
{
	struct io_uring_cqe cqe = unit_cqe(ring);

	if (cqe.user_data != user_data || cqe.res != res)
		fail_msg("CQE %llu with %d, not %llu with %d", (unsigned long long)cqe.user_data,
			 cqe.res, (unsigned long long)user_data, res);
}

/* There is no CQE, also after everything that is ready was looked at. */
static inline void unit_expect_none(struct unit_ring *ring)
{
	struct io_uring_cqe cqe;

	assert_int_equal(syscall_enter((u32)ring->fd, 0, 0, IORING_ENTER_GETEVENTS, NULL, 0), 0);
	if (unit_cqe_try(ring, &cqe))
		fail_msg("a CQE too many: %llu with %d", (unsigned long long)cqe.user_data,
			 cqe.res);
}

/* Takes `count` CQEs and puts the result of user_data u (< size) into results[u]. */
static inline void unit_collect(struct unit_ring *ring, u32 count, s32 *results, u32 size)
{
	while (count-- > 0) {
		struct io_uring_cqe cqe = unit_cqe(ring);

		assert_true(cqe.user_data < size);
		results[cqe.user_data] = cqe.res;
	}
}

/* SQEs of the common kinds. */

static inline struct io_uring_sqe *unit_sqe_timeout(struct unit_ring *ring, u64 user_data,
						    const struct abi_timespec *ts, u32 count,
						    u32 flags)
{
	struct io_uring_sqe *sqe = unit_sqe(ring, IORING_OP_TIMEOUT, user_data);

	sqe->addr = (u64)ts;
	sqe->len = 1;
	sqe->off = count;
	sqe->timeout_flags = flags;
	return sqe;
}

static inline struct io_uring_sqe *unit_sqe_rw(struct unit_ring *ring, u8 opcode, u64 user_data,
					       int fd, void *buffer, u32 size, u64 offset)
{
	struct io_uring_sqe *sqe = unit_sqe(ring, opcode, user_data);

	sqe->fd = fd;
	sqe->addr = (u64)buffer;
	sqe->len = size;
	sqe->off = offset;
	return sqe;
}

static inline struct io_uring_sqe *unit_sqe_poll(struct unit_ring *ring, u64 user_data, int fd,
						 u32 events, u32 flags)
{
	struct io_uring_sqe *sqe = unit_sqe(ring, IORING_OP_POLL_ADD, user_data);

	sqe->fd = fd;
	sqe->poll32_events = events;
	sqe->len = flags;
	return sqe;
}

static inline struct io_uring_sqe *unit_sqe_cancel(struct unit_ring *ring, u64 user_data,
						   u64 target, u32 flags)
{
	struct io_uring_sqe *sqe = unit_sqe(ring, IORING_OP_ASYNC_CANCEL, user_data);

	sqe->addr = target;
	sqe->cancel_flags = flags;
	return sqe;
}

/* A NOP that completes with `res`. */
static inline struct io_uring_sqe *unit_sqe_result(struct unit_ring *ring, u64 user_data, s32 res)
{
	struct io_uring_sqe *sqe = unit_sqe(ring, IORING_OP_NOP, user_data);

	sqe->nop_flags = IORING_NOP_INJECT_RESULT;
	sqe->len = (u32)res;
	return sqe;
}

/* cmocka takes SIGSEGV and SIGBUS for itself around each test: one that gives bad addresses
 * takes them back. */
static inline void unit_catch_faults(void)
{
	static struct kernel_sigaction ours[2];
	static bool is_known;

	if (!is_known) {
		assert_int_equal(usercopy_init(), 0);
		assert_int_equal(sigaction_set(SIGSEGV, NULL, &ours[0]), 0);
		assert_int_equal(sigaction_set(SIGBUS, NULL, &ours[1]), 0);
		is_known = true;
	}
	assert_int_equal(sigaction_set(SIGSEGV, &ours[0], NULL), 0);
	assert_int_equal(sigaction_set(SIGBUS, &ours[1], NULL), 0);
}

static const struct abi_timespec unit_millisecond __attribute__((unused)) = {.tv_nsec = UNIT_MS};
static const struct abi_timespec unit_hour __attribute__((unused)) = {.tv_sec = 3600};

/* Calls of the real kernel, past every filter of ours (none is installed in unit tests). */
static inline long unit_kernel_setup(u32 entries, struct io_uring_params *params)
{
	long fd = syscall(425, entries, params);

	return fd < 0 ? -errno : fd;
}

static inline bool unit_kernel_has_uring(void)
{
	struct io_uring_params params = {0};
	long fd = unit_kernel_setup(1, &params);

	if (fd >= 0)
		close((int)fd);
	return fd >= 0;
}

#endif

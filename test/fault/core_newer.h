/*
 * core_newer.h - names that liburing 2.3 lacks, for the tests of newer operations
 */
#ifndef RS_TEST_FAULT_CORE_NEWER_H
#define RS_TEST_FAULT_CORE_NEWER_H

#include "core.h"

enum {
	NEWER_OP_WAITID = 50,
	NEWER_OP_FUTEX_WAIT = 51,
	NEWER_OP_FUTEX_WAKE = 52,
	NEWER_OP_FUTEX_WAITV = 53,
	NEWER_OP_FIXED_FD_INSTALL = 54,
	NEWER_OP_FTRUNCATE = 55,
	NEWER_OP_EPOLL_WAIT = 59,
	NEWER_OP_PIPE = 62,
	NEWER_OP_NOP128 = 63,
	NEWER_REGISTER_SEND_MSG_RING = 31,
};

#define NEWER_NOP_FILE         2u
#define NEWER_NOP_FIXED_FILE   4u
#define NEWER_NOP_FIXED_BUFFER 8u
#define NEWER_NOP_TW           16u
#define NEWER_NOP_CQE32        32u

#define NEWER_MSG_RING_FLAGS_PASS 2u

#define NEWER_SETUP_CQE_MIXED  (1u << 18)
#define NEWER_SETUP_SQE_MIXED  (1u << 19)
#define NEWER_SETUP_SQ_REWIND  (1u << 20)
#define NEWER_SETUP_NO_SQARRAY (1u << 16)
#define NEWER_CQE_F_SKIP       32u
#define NEWER_CQE_F_32         0x8000u

/* sqe->addr3, which liburing 2.3 has in a union without a name everywhere. */
static inline void newer_set_addr3(struct io_uring_sqe *sqe, __u64 value)
{
	memcpy((char *)sqe + 48, &value, sizeof(value));
}

/* Skips the test where the kernel does not know the operation. */
static inline void newer_require(const struct io_uring *ring, unsigned opcode)
{
	struct {
		struct io_uring_probe head;
		struct io_uring_probe_op ops[256];
	} probe;

	memset(&probe, 0, sizeof(probe));
	assert_int_equal(core_register(ring, IORING_REGISTER_PROBE, &probe, 256), 0);
	if (opcode >= probe.head.ops_len || !(probe.ops[opcode].flags & IO_URING_OP_SUPPORTED))
		skip();
}

/* An SQE of `opcode` with its commonest fields. */
static inline struct io_uring_sqe *newer_sqe(struct io_uring *ring, unsigned opcode, int fd,
					     const void *addr, unsigned len, __u64 user_data)
{
	struct io_uring_sqe *sqe = core_sqe(ring, user_data);

	sqe->opcode = (__u8)opcode;
	sqe->fd = fd;
	sqe->addr = (unsigned long)addr;
	sqe->len = len;
	return sqe;
}

/* Nothing is in the CQ, and nothing comes soon. */
static inline void newer_nothing_comes(struct io_uring *ring)
{
	struct __kernel_timespec limit = {.tv_nsec = 20000000};
	struct io_uring_cqe *cqe;

	assert_int_equal(io_uring_wait_cqe_timeout(ring, &cqe, &limit), -ETIME);
}

#endif

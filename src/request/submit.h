/*
 * submit.h - consuming a batch of SQEs
 */
#ifndef RS_REQUEST_SUBMIT_H
#define RS_REQUEST_SUBMIT_H

#include "base/abi.h"
#include "request/ring.h"

#define SQE_FLAGS_VALID                                                                            \
	(IOSQE_FIXED_FILE | IOSQE_IO_DRAIN | IOSQE_IO_LINK | IOSQE_IO_HARDLINK | IOSQE_ASYNC |     \
	 IOSQE_BUFFER_SELECT | IOSQE_CQE_SKIP_SUCCESS)

/* No flag, nor anything else that changes how a request behaves whatever it does. */
static inline bool sqe_is_plain(const struct io_uring_sqe *sqe)
{
	return load_relaxed(&sqe->flags) == 0 && load_relaxed(&sqe->ioprio) == 0 &&
	       load_relaxed(&sqe->personality) == 0;
}

/* Driver, from op->bare(): the next SQE is done, and its CQE has room. */
static inline void submit_bare_done(struct ring *ring, u8 opcode, u64 user_data, s32 result)
{
	ring->sq.head++;
	cq_write(&ring->cq, &ring->memory, user_data, result, 0, NULL);
	stats_count_op(ring->stats, opcode, result);
}

/* Driver. Consumes up to `count` SQEs; returns how many were consumed, or -EAGAIN (no memory for
 * even one request). CQEs are not yet committed. */
long submit_batch(struct ring *ring, u32 count);

#endif

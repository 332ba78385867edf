/*
 * cancel.c - ASYNC_CANCEL: by user_data, descriptor, opcode, one or all
 *
 * Not here: how a request is taken from where it waits (request/cancel.c).
 * The kernel: io_uring/cancel.c
 */
#include "op/ops.h"
#include "request/cancel.h"
#include "request/ring.h"

OP_PREP(async_cancel)
{
	struct cancel_match *match = request_data(req, struct cancel_match);

	if (req->flags & IOSQE_BUFFER_SELECT)
		return -EINVAL;
	if (load_relaxed(&sqe->off) || load_relaxed(&sqe->file_index))
		return -EINVAL;
	*match = (struct cancel_match){
		.user_data = load_relaxed(&sqe->addr),
		.flags = load_relaxed(&sqe->cancel_flags),
		.self = req,
	};
	if (match->flags & ~CANCEL_FLAGS)
		return -EINVAL;
	if (match->flags & IORING_ASYNC_CANCEL_FD) {
		if (match->flags & IORING_ASYNC_CANCEL_ANY)
			return -EINVAL;
		match->fd = load_relaxed(&sqe->fd);
	}
	if (match->flags & IORING_ASYNC_CANCEL_OP) {
		if (match->flags & IORING_ASYNC_CANCEL_ANY)
			return -EINVAL;
		match->opcode = (u8)load_relaxed(&sqe->len);
	}
	return 0;
}

OP_ISSUE(async_cancel)
{
	struct cancel_match *match = request_data(req, struct cancel_match);
	struct ring *ring = req->ring;
	bool is_fixed =
		req->flags & IOSQE_FIXED_FILE || match->flags & IORING_ASYNC_CANCEL_FD_FIXED;

	if (match->flags & IORING_ASYNC_CANCEL_FD && cancel_resolve(ring, match, is_fixed))
		return request_done(req, -EBADF);
	return request_done(req, cancel_matching(ring, match));
}

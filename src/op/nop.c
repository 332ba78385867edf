/*
 * nop.c - NOP and NOP128
 *
 * Does nothing, on request with a result, a file, a buffer, a detour through task
 * work or a CQE of 32 bytes: a program can measure and test with it what these cost.
 *
 * A plain NOP does not come here: request/submit.c.
 * The kernel: io_uring/nop.c
 */
#include "op/ops.h"
#include "request/resource.h"
#include "request/ring.h"

#define NOP_FLAGS                                                                                  \
	(IORING_NOP_INJECT_RESULT | IORING_NOP_FILE | IORING_NOP_FIXED_FILE |                      \
	 IORING_NOP_FIXED_BUFFER | IORING_NOP_TW | IORING_NOP_CQE32)

struct nop {
	u64 extra[2]; /* of a CQE of 32 bytes: first, see REQ_WIDE_CQE */
	u32 flags;
	s32 result;
};

OP_PREP(nop)
{
	struct nop *nop = request_data(req, struct nop);
	u32 wide = IORING_SETUP_CQE32 | IORING_SETUP_CQE_MIXED;

	nop->flags = load_relaxed(&sqe->nop_flags);
	if (unlikely(nop->flags & ~NOP_FLAGS))
		return -EINVAL;
	nop->result = nop->flags & IORING_NOP_INJECT_RESULT ? (s32)load_relaxed(&sqe->len) : 0;
	req->buf_index = load_relaxed(&sqe->buf_index);
	if (!(nop->flags & IORING_NOP_CQE32))
		return 0;
	if (!(req->ring->setup_flags & wide))
		return -EINVAL;
	nop->extra[0] = load_relaxed(&sqe->off);
	nop->extra[1] = load_relaxed(&sqe->addr);
	return 0;
}

/* IORING_NOP_FILE: the file must be there, and that is all. Either flag makes it a fixed one. */
static bool has_file(const struct request *req, u32 nop_flags)
{
	const struct resource *resource;

	if (!(nop_flags & IORING_NOP_FIXED_FILE || req->flags & IOSQE_FIXED_FILE))
		return file_classify(req->fd) != FILE_UNKNOWN;
	resource = resource_lookup(&req->ring->files, (u32)req->fd);
	return resource != NULL && resource->file != NULL;
}

OP_ISSUE(nop)
{
	struct nop *nop = request_data(req, struct nop);
	s32 result = nop->result;

	if (nop->flags & IORING_NOP_CQE32)
		req->flags |= REQ_WIDE_CQE; /* one that is cancelled has the usual size */
	if (nop->flags & IORING_NOP_FILE && !has_file(req, nop->flags))
		result = -EBADF;
	else if (nop->flags & IORING_NOP_FIXED_BUFFER &&
		 resource_lookup(&req->ring->buffers, req->buf_index) == NULL)
		result = -EFAULT;
	if (!(nop->flags & IORING_NOP_TW))
		return request_done(req, result);
	request_end(req, result);
	return ISSUE_WAITING;
}

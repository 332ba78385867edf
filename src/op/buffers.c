/*
 * buffers.c - PROVIDE_BUFFERS and REMOVE_BUFFERS
 *
 * Not here: how requests take them (request/buffers.c).
 * The kernel: io_uring/kbuf.c
 */
#include "request/buffers.h"

#include "op/ops.h"
#include "request/ring.h"

struct buffers {
	struct provided_buffer first;
	u32 count;
};

OP_PREP(provide_buffers)
{
	struct buffers *buffers = request_data(req, struct buffers);
	u32 count = (u32)load_relaxed(&sqe->fd), len = load_relaxed(&sqe->len);
	u64 addr = load_relaxed(&sqe->addr), id = load_relaxed(&sqe->off), size, end;

	if (load_relaxed(&sqe->rw_flags) || load_relaxed(&sqe->file_index))
		return -EINVAL;
	if (count == 0 || count > BUFFERS_PER_GROUP)
		return -E2BIG;
	if (len == 0)
		return -EINVAL;
	size = (u64)len * count;
	if (__builtin_add_overflow(addr, size, &end))
		return -EOVERFLOW;
	if (end > USER_ADDRESS_END)
		return -EFAULT;
	if (id > UINT16_MAX)
		return -E2BIG;
	if (id + count > BUFFERS_PER_GROUP)
		return -EINVAL;
	*buffers = (struct buffers){
		.first = {.addr = addr, .len = len, .id = (u16)id},
		.count = count,
	};
	buffers->first.group = load_relaxed(&sqe->buf_index);
	return 0;
}

OP_ISSUE(provide_buffers)
{
	const struct buffers *buffers = request_data(req, struct buffers);

	return request_done(req, buffers_provide(req->ring, &buffers->first, buffers->count));
}

OP_PREP(remove_buffers)
{
	struct buffers *buffers = request_data(req, struct buffers);
	u32 count = (u32)load_relaxed(&sqe->fd);

	if (load_relaxed(&sqe->rw_flags) || load_relaxed(&sqe->addr) || load_relaxed(&sqe->len) ||
	    load_relaxed(&sqe->off) || load_relaxed(&sqe->file_index))
		return -EINVAL;
	if (count == 0 || count > BUFFERS_PER_GROUP)
		return -EINVAL;
	*buffers = (struct buffers){.count = count};
	buffers->first.group = load_relaxed(&sqe->buf_index);
	return 0;
}

OP_ISSUE(remove_buffers)
{
	const struct buffers *buffers = request_data(req, struct buffers);

	return request_done(req, buffers_remove(req->ring, buffers->first.group, buffers->count));
}

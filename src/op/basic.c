/*
 * basic.c - operations that never wait: CLOSE, FILES_UPDATE, EPOLL_CTL; and MADVISE
 *
 * The kernel: io_uring/openclose.c, epoll.c, advise.c
 */
#include <sys/epoll.h>

#include "file/own.h"
#include "host/kernel.h"
#include "host/usercopy.h"
#include "op/ops.h"
#include "request/hooks.h"
#include "request/resource.h"

OP_PREP(close)
{
	if (load_relaxed(&sqe->off) || load_relaxed(&sqe->addr) || load_relaxed(&sqe->len) ||
	    load_relaxed(&sqe->op_flags) || load_relaxed(&sqe->buf_index))
		return -EINVAL;
	if (req->flags & IOSQE_FIXED_FILE)
		return -EBADF;
	*request_data(req, u32) = load_relaxed(&sqe->file_index);
	return *request_data(req, u32) && load_relaxed(&sqe->fd) ? -EINVAL : 0;
}

OP_ISSUE(close)
{
	u32 file_slot = *request_data(req, u32);
	long err;

	if (file_slot)
		return request_done(req, resource_remove_file(req->ring, file_slot));
	/* A ring is not closed by a request, nor is what is not the program's. */
	if (hooks.is_ring(req->ring, req->fd) || fd_is_private(req->fd))
		return request_done(req, -EBADF);
	own_close_begin(req->fd);
	hooks.closing_in_driver(req->ring, req->fd);
	err = host_call(SYS_close, req->fd);
	own_close_end(req->fd);
	file_closed();
	return request_done(req, err);
}

struct files_update {
	u64 user_fds;
	u32 offset, count;
};

OP_PREP(files_update)
{
	struct files_update *update = request_data(req, struct files_update);

	if (req->flags & (IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT))
		return -EINVAL;
	if (load_relaxed(&sqe->rw_flags) || load_relaxed(&sqe->file_index))
		return -EINVAL;
	*update = (struct files_update){
		.user_fds = load_relaxed(&sqe->addr),
		.offset = (u32)load_relaxed(&sqe->off),
		.count = load_relaxed(&sqe->len),
	};
	return update->count ? 0 : -EINVAL;
}

OP_ISSUE(files_update)
{
	const struct files_update *update = request_data(req, struct files_update);

	return request_done(req, hooks.files_update(req->ring, update->offset, update->user_fds,
						    update->count));
}

struct epoll_ctl {
	struct epoll_event event;
	s32 op;
	s32 target;
};

OP_PREP(epoll_ctl)
{
	struct epoll_ctl *ctl = request_data(req, struct epoll_ctl);

	if (load_relaxed(&sqe->buf_index) || load_relaxed(&sqe->file_index))
		return -EINVAL;
	ctl->op = (s32)load_relaxed(&sqe->len);
	ctl->target = (s32)load_relaxed(&sqe->off);
	if (ctl->op == EPOLL_CTL_DEL)
		return 0;
	return copy_from_user(&ctl->event, (void *)load_relaxed(&sqe->addr), sizeof(ctl->event));
}

OP_ISSUE(epoll_ctl)
{
	const struct epoll_ctl *ctl = request_data(req, struct epoll_ctl);
	int target = hooks.pollable(req->ring, ctl->target);

	return request_done(req, host_call(SYS_epoll_ctl, req->fd, ctl->op, target, &ctl->event));
}

struct madvise {
	u64 addr, len;
	u32 advice;
};

OP_PREP(madvise)
{
	struct madvise *madvise = request_data(req, struct madvise);

	if (load_relaxed(&sqe->buf_index) || load_relaxed(&sqe->file_index))
		return -EINVAL;
	madvise->addr = load_relaxed(&sqe->addr);
	/* A 64-bit length stands in `off`, an older 32-bit one in `len`. */
	madvise->len = load_relaxed(&sqe->off);
	if (madvise->len == 0)
		madvise->len = load_relaxed(&sqe->len);
	madvise->advice = load_relaxed(&sqe->fadvise_advice);
	return 0;
}

OP_BLOCK(madvise)
{
	const struct madvise *madvise = request_data(req, struct madvise);

	request_set_result_only(req, (s32)punt_call(SYS_madvise, (long)madvise->addr,
						    (long)madvise->len, madvise->advice));
}

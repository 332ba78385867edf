/*
 * descriptors.c - operations that make or ask descriptors: FIXED_FD_INSTALL, PIPE, EPOLL_WAIT
 *
 * A descriptor that a request makes is the program's, like one it opened itself;
 * what was remembered of its number is forgotten.
 *
 * The kernel: io_uring/openclose.c, epoll.c
 */
#include <fcntl.h>
#include <sys/epoll.h>

#include "host/kernel.h"
#include "host/usercopy.h"
#include "op/ops.h"
#include "request/resource.h"
#include "request/ring.h"

OP_PREP(fixed_fd_install)
{
	u32 flags = load_relaxed(&sqe->install_fd_flags);

	if (load_relaxed(&sqe->off) || load_relaxed(&sqe->addr) || load_relaxed(&sqe->len) ||
	    load_relaxed(&sqe->buf_index) || load_relaxed(&sqe->splice_fd_in) ||
	    load_relaxed(&sqe->addr3))
		return -EINVAL;
	if (!(req->flags & IOSQE_FIXED_FILE))
		return -EBADF;
	if (flags & ~IORING_FIXED_FD_NO_CLOEXEC)
		return -EINVAL;
	*request_data(req, u32) = flags;
	return 0;
}

OP_ISSUE(fixed_fd_install)
{
	bool is_inherited = *request_data(req, u32) & IORING_FIXED_FD_NO_CLOEXEC;
	long fd =
		host_call(SYS_fcntl, request_fd(req), is_inherited ? F_DUPFD : F_DUPFD_CLOEXEC, 0);

	if (fd >= 0)
		file_forget((int)fd);
	return request_done(req, fd);
}

#define PIPE_FLAGS (O_CLOEXEC | O_NONBLOCK | O_DIRECT | O_EXCL)

struct pipe {
	u64 user_fds;
	u32 flags;
	u32 file_slot; /* sqe->file_index */
};

OP_PREP(pipe)
{
	struct pipe *pipe = request_data(req, struct pipe);

	if (load_relaxed(&sqe->fd) || load_relaxed(&sqe->off) || load_relaxed(&sqe->addr3))
		return -EINVAL;
	*pipe = (struct pipe){
		.user_fds = load_relaxed(&sqe->addr),
		.flags = load_relaxed(&sqe->pipe_flags),
		.file_slot = load_relaxed(&sqe->file_index),
	};
	return pipe->flags & ~PIPE_FLAGS ? -EINVAL : 0;
}

/* Both ends into fixed files: the second behind the first, if slots were named. Takes over fds. */
static int pipe_install(struct request *req, const int fds[2])
{
	const struct pipe *pipe = request_data(req, struct pipe);
	bool is_allocated = pipe->file_slot == IORING_FILE_INDEX_ALLOC;
	u32 slots[2] = {pipe->file_slot, is_allocated ? pipe->file_slot : pipe->file_slot + 1};
	s32 indices[2];
	int err;

	err = resource_install_file(req->ring, fds[0], slots[0]);
	if (err < 0) {
		host_call(SYS_close, fds[1]);
		return err;
	}
	indices[0] = is_allocated ? err : (s32)(slots[0] - 1);
	slots[0] = (u32)indices[0] + 1;
	err = resource_install_file(req->ring, fds[1], slots[1]);
	if (err < 0) {
		resource_remove_file(req->ring, slots[0]);
		return err;
	}
	indices[1] = is_allocated ? err : (s32)(slots[1] - 1);
	slots[1] = (u32)indices[1] + 1;
	err = copy_to_user((void *)pipe->user_fds, indices, sizeof(indices));
	if (err) {
		resource_remove_file(req->ring, slots[0]);
		resource_remove_file(req->ring, slots[1]);
	}
	return err;
}

OP_ISSUE(pipe)
{
	const struct pipe *pipe = request_data(req, struct pipe);
	bool is_refused = pipe->file_slot && pipe->flags & O_CLOEXEC;
	u32 flags = pipe->flags;
	int fds[2];
	long err;

	if (pipe->file_slot)
		flags |= O_CLOEXEC; /* for the moment until they are private */
	err = host_call(SYS_pipe2, fds, flags);
	if (err)
		return request_done(req, err);
	if (pipe->file_slot && !is_refused)
		return request_done(req, pipe_install(req, fds));
	file_forget(fds[0]);
	file_forget(fds[1]);
	/* Refused late, as there: a pipe that cannot be made at all says so first. */
	err = is_refused ? -EINVAL : copy_to_user((void *)pipe->user_fds, fds, sizeof(fds));
	if (err) {
		host_call(SYS_close, fds[0]);
		host_call(SYS_close, fds[1]);
	}
	return request_done(req, err);
}

struct epoll_wait {
	u64 user_events;
	s32 max_events;
};

OP_PREP(epoll_wait)
{
	struct epoll_wait *wait = request_data(req, struct epoll_wait);

	if (load_relaxed(&sqe->off) || load_relaxed(&sqe->op_flags) ||
	    load_relaxed(&sqe->buf_index) || load_relaxed(&sqe->splice_fd_in))
		return -EINVAL;
	wait->user_events = load_relaxed(&sqe->addr);
	wait->max_events = (s32)load_relaxed(&sqe->len);
	return 0;
}

OP_ISSUE(epoll_wait)
{
	const struct epoll_wait *wait = request_data(req, struct epoll_wait);
	long n = host_call(SYS_epoll_pwait, request_fd(req), wait->user_events, wait->max_events, 0,
			   NULL, 8);

	return n == 0 ? ISSUE_POLL : request_done(req, n);
}

/*
 * splice.c - SPLICE and TEE: moving bytes through pipes without copying
 *
 * Two files, of which one at least is a pipe. Between two pipes the call can be made without
 * blocking, so that is tried; if it would block, the request waits for the side that is not
 * ready. With any other file the call may block whatever its flags say (a socket obeys its
 * own O_NONBLOCK alone, a regular file none), so it goes to the punt pool.
 *
 * The kernel: io_uring/splice.c. There every call is made by a worker. So a request that
 * waits between two pipes is cancelled with -ECANCELED here, and interrupted there.
 */
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include "file/own.h"
#include "host/kernel.h"
#include "op/ops.h"
#include "request/poll.h"
#include "request/resource.h"
#include "request/ring.h"

#define SPLICE_FLAGS                                                                               \
	(SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT | SPLICE_F_FD_IN_FIXED)

struct splice {
	s64 offset_in, offset_out; /* -1: the file's own position */
	u32 len, flags;
	s32 fd_in;
	bool is_tee;
	struct file *in;              /* from the first wait on: a reference */
	struct resource *in_resource; /* FD_IN_FIXED: the fixed file in use, or NULL */
};

static int splice_prep_common(struct request *req, const struct io_uring_sqe *sqe)
{
	struct splice *splice = request_data(req, struct splice);

	*splice = (struct splice){
		.offset_in = -1,
		.offset_out = -1,
		.len = load_relaxed(&sqe->len),
		.flags = load_relaxed(&sqe->splice_flags),
		.fd_in = load_relaxed(&sqe->splice_fd_in),
	};
	return splice->flags & ~SPLICE_FLAGS ? -EINVAL : 0;
}

OP_PREP(splice)
{
	struct splice *splice = request_data(req, struct splice);
	int err = splice_prep_common(req, sqe);

	splice->offset_in = (s64)load_relaxed(&sqe->splice_off_in);
	splice->offset_out = (s64)load_relaxed(&sqe->off);
	return err;
}

OP_PREP(tee)
{
	int err = splice_prep_common(req, sqe);

	request_data(req, struct splice)->is_tee = true;
	return load_relaxed(&sqe->splice_off_in) || load_relaxed(&sqe->off) ? -EINVAL : err;
}

OP_CLEANUP(splice)
{
	struct splice *splice = request_data(req, struct splice);

	if (splice->in != NULL)
		file_put(splice->in);
	if (splice->in_resource != NULL)
		resource_put(req->ring, splice->in_resource);
}

/* What is not all that was asked for breaks links. */
static void splice_done(struct request *req, long n)
{
	if (n < 0 || (u64)n != request_data(req, struct splice)->len)
		request_fail(req);
	req->result = (s32)n;
}

/* The number of the file to read from, for now: -EBADF. */
static int input_fd(struct request *req)
{
	struct splice *splice = request_data(req, struct splice);
	struct resource *resource;

	if (splice->in != NULL)
		return file_fd(splice->in);
	if (!(splice->flags & SPLICE_F_FD_IN_FIXED))
		return splice->fd_in;
	resource = resource_lookup(&req->ring->files, (u32)splice->fd_in);
	if (resource == NULL || resource->file == NULL)
		return -EBADF;
	resource->refs++; /* its tag is posted when this request, too, is done with it */
	splice->in_resource = resource;
	file_get(resource->file);
	splice->in = resource->file;
	return file_fd(splice->in);
}

static long splice_call(struct request *req, int in, u32 more_flags, bool is_worker)
{
	struct splice *splice = request_data(req, struct splice);
	u32 flags = (splice->flags & ~SPLICE_F_FD_IN_FIXED) | more_flags;
	s64 *offset_in = splice->offset_in == -1 ? NULL : &splice->offset_in;
	s64 *offset_out = splice->offset_out == -1 ? NULL : &splice->offset_out;
	int out = request_fd(req);

	if (splice->is_tee && is_worker)
		return punt_call(SYS_tee, in, out, splice->len, flags);
	if (splice->is_tee)
		return host_call(SYS_tee, in, out, splice->len, flags);
	if (is_worker)
		return punt_call(SYS_splice, in, (long)offset_in, out, (long)offset_out,
				 splice->len, flags);
	return host_call(SYS_splice, in, offset_in, out, offset_out, splice->len, flags);
}

static bool is_pipe(int fd)
{
	/* All but a pipe answer -EBADF. */
	return host_call(SYS_fcntl, fd, F_GETPIPE_SZ) > 0;
}

/* A file that is given to a wait or to a worker is held. 0 or -errno. */
static int hold_input(struct request *req, int in, bool for_worker)
{
	struct splice *splice = request_data(req, struct splice);
	struct file *file;
	int err = -ENOMEM;

	if (!for_worker && splice->in != NULL)
		return 0;
	file = for_worker ? file_duplicate(in, &err) : file_hold(in);
	if (file == NULL)
		return err;
	if (splice->in != NULL)
		file_put(splice->in);
	splice->in = file;
	return 0;
}

/* One of two pipes is not ready: it is waited for, and then everything is looked at again. */
static enum issue_verdict wait_for_pipe(struct request *req, int in)
{
	int err = hold_input(req, in, false);

	if (err == 0)
		err = request_hold_file(req); /* the side that is ready must not go away either */
	if (err == 0 && poll_now(in, EPOLLIN) == 0)
		err = poll_arm_file(req, request_data(req, struct splice)->in, EPOLLIN);
	else if (err == 0)
		err = poll_arm(req, EPOLLOUT);
	return err ? request_done(req, err) : ISSUE_WAITING;
}

/* Asked where nothing is to be moved: else the call says it. */
static bool are_open(int in, int out)
{
	return host_call(SYS_fcntl, in, F_GETFD) >= 0 && host_call(SYS_fcntl, out, F_GETFD) >= 0;
}

OP_ISSUE(splice)
{
	const struct splice *splice = request_data(req, struct splice);
	int in = input_fd(req), err;
	long n;

	if (in < 0)
		return request_done(req, -EBADF);
	if (splice->len == 0) {
		splice_done(req, are_open(in, request_fd(req)) ? 0 : -EBADF);
		return ISSUE_DONE;
	}
	if (!is_pipe(in) || !is_pipe(request_fd(req))) {
		err = hold_input(req, in, true);
		return err ? request_done(req, err) : ISSUE_PUNT;
	}
	n = splice_call(req, in, SPLICE_F_NONBLOCK, false);
	if (n == -EAGAIN && !(splice->flags & SPLICE_F_NONBLOCK) && !file_is_nonblocking(in) &&
	    !file_is_nonblocking(request_fd(req)))
		return wait_for_pipe(req, in);
	splice_done(req, n);
	return ISSUE_DONE;
}

OP_BLOCK(splice)
{
	const struct splice *splice = request_data(req, struct splice);
	u64 offset = (u64)splice->offset_out; /* -1: at the position */
	struct own_writer writer;
	long n;

	own_write_begin(&writer, request_fd(req), offset, 0);
	n = splice_call(req, file_fd(splice->in), 0, true);
	if (n > 0)
		own_wrote(&writer, request_fd(req), offset, (u64)n);
	splice_done(req, n);
}

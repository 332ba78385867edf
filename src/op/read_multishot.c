/*
 * read_multishot.c - READ_MULTISHOT: a read of all that comes, each into a provided buffer
 *
 * For files that can be waited for. It posts a marked CQE for each read, until there is no
 * buffer, no room in the CQ, an error, or the end of the file.
 *
 * Not here: multishot receives (transfer.c, message.c).
 * The kernel: io_read_mshot() in io_uring/rw.c
 */
#include <sys/epoll.h>
#include <sys/uio.h>

#include "host/kernel.h"
#include "op/net.h"
#include "op/ops.h"
#include "op/rw.h"
#include "request/buffers.h"
#include "request/poll.h"
#include "request/ring.h"

struct read_multishot {
	u64 offset;   /* has no meaning, but must be one */
	s32 rw_flags; /* RWF_* */
};

OP_PREP(read_multishot)
{
	struct read_multishot *read = request_data(req, struct read_multishot);

	read->offset = load_relaxed(&sqe->off);
	read->rw_flags = (s32)load_relaxed(&sqe->rw_flags);
	req->buf_index = load_relaxed(&sqe->buf_index);
	if (!(req->flags & IOSQE_BUFFER_SELECT))
		return -EINVAL;
	if (load_relaxed(&sqe->addr) || load_relaxed(&sqe->len))
		return -EINVAL;
	/* sqe->attr_type_mask: no attribute is supported */
	if (load_relaxed(&sqe->pad2))
		return -EINVAL;
	if (read->rw_flags & RWF_NOWAIT)
		req->flags |= REQ_NOWAIT;
	req->flags |= REQ_MULTISHOT;
	return 0;
}

/* An offset that is none, or polled completion: the call, which is made for a stream, would not
 * mind. Flags that nobody knows it refuses itself, and before these. */
static bool is_impossible(const struct read_multishot *read)
{
	bool has_offset = (s64)read->offset >= 0 || read->offset == OFFSET_CURRENT;

	return !(read->rw_flags & ~RWF_KNOWN) && (!has_offset || read->rw_flags & RWF_HIPRI);
}

/* -EAGAIN: there is nothing to read. */
static long read_now(int fd, const struct iovec *buffer, int rw_flags)
{
	long n = host_call(SYS_preadv2, fd, buffer, 1, -1, 0, rw_flags | RWF_NOWAIT);
	int ready;

	if (n != -EOPNOTSUPP || rw_flags)
		return n;
	/* Its driver knows no RWF_NOWAIT (a tty, inotify, ...). */
	ready = poll_now(fd, EPOLLIN);
	if (ready <= 0)
		return ready ? ready : -EAGAIN;
	return host_call(SYS_preadv2, fd, buffer, 1, -1, 0, 0);
}

OP_ISSUE(read_multishot)
{
	const struct read_multishot *read = request_data(req, struct read_multishot);
	int fd = request_fd(req);

	switch (file_kind_hint(fd)) {
	case FILE_STREAM:
		break;
	case FILE_UNKNOWN:
		return request_done(req, -EBADF);
	default:
		return request_done(req, -EBADFD);
	}
	for (u32 tries = 0; tries < NET_MULTISHOT_TRIES; tries++) {
		struct iovec buffer;
		int err = buffers_take(req, 0, &buffer);
		long n;

		if (err)
			return request_done(req, err);
		if (is_impossible(read)) {
			buffers_put_back(req);
			return rw_refuse(req, false, -EINVAL);
		}
		n = rw_is_place_in_socket(fd, read->offset) ? -ESPIPE
							    : read_now(fd, &buffer, read->rw_flags);
		if (n <= 0)
			buffers_put_back(req);
		if (n == -EAGAIN)
			return ISSUE_POLL;
		if (n <= 0)
			return request_done(req, n);
		buffers_used(req, n, 1);
		if (!ring_cq_has_room(req->ring))
			return request_done(req, n);
		request_post_more(req, (s32)n, req->cqe_flags);
		req->cqe_flags = 0;
	}
	return net_let_others(req);
}

/*
 * net.c - sockets: ACCEPT, CONNECT, SEND, RECV, SHUTDOWN
 *
 * Each is tried without blocking; if it would block the request waits for
 * readiness and is tried again. MSG_DONTWAIT does that for send and recv.
 * accept() and connect() have no such flag, only the file's O_NONBLOCK, which
 * is not ours to change while others use the socket. So an accept on a blocking
 * socket is made in the punt pool once poll() promises a connection (another
 * thread may be faster, and then it blocks there, not here). A socket that is to
 * be connected is of no use to others yet: there the flag is set for one call.
 *
 * Not here: SENDMSG, RECVMSG (message.c).
 * The kernel: io_uring/net.c
 */
#include "op/net.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include "host/kernel.h"
#include "host/usercopy.h"
#include "op/ops.h"
#include "request/buffers.h"
#include "request/poll.h"
#include "request/ring.h"

static int socket_option(int fd, int option)
{
	int value = -1;
	socklen_t size = sizeof(value);

	if (host_call(SYS_getsockopt, fd, SOL_SOCKET, option, &value, &size))
		return -1;
	return value;
}

static bool is_tcp(int fd)
{
	return socket_option(fd, SO_PROTOCOL) == IPPROTO_TCP;
}

/* Bytes that are ready for the next receive, as a CQE flag. Asked only if the buffer was filled,
 * else the queue is empty; or at the end of TCP, which the kernel counts as something to
 * receive. */
u32 net_nonempty_flag(int fd, long received, u64 wanted, u32 msg_flags)
{
	int queued = 0;

	if (received == 0 && wanted > 0)
		return is_tcp(fd) ? IORING_CQE_F_SOCK_NONEMPTY : 0;
	if (received <= 0 || ((u64)received < wanted && !(msg_flags & MSG_PEEK)))
		return 0;
	if (host_call(SYS_ioctl, fd, SIOCINQ, &queued) < 0 || queued <= 0)
		return 0;
	return socket_option(fd, SO_TYPE) == SOCK_STREAM ? IORING_CQE_F_SOCK_NONEMPTY : 0;
}

bool net_is_stream_socket(int fd)
{
	int type = socket_option(fd, SO_TYPE);

	return type == SOCK_STREAM || type == SOCK_SEQPACKET;
}

struct sendrecv {
	u64 addr;
	u64 len;                        /* bytes left */
	u64 done;                       /* bytes transferred by earlier tries (MSG_WAITALL) */
	u32 flags;                      /* MSG_* */
	u32 ioprio;                     /* IORING_RECVSEND_* */
	u32 to_len;                     /* SEND: length of the destination, 0: none */
	struct provided_buffer *buffer; /* BUFFER_SELECT: taken for this try, or NULL */
	u32 select_len;                 /* BUFFER_SELECT: bytes at the most; 0: all of the buffer */
	bool is_polled;
	char address[32]; /* enough for IPv4 and IPv6; longer ones are refused */
};

OP_PREP(sendrecv)
{
	struct sendrecv *sr = request_data(req, struct sendrecv);
	bool is_send = req->opcode == IORING_OP_SEND;

	*sr = (struct sendrecv){
		.addr = load_relaxed(&sqe->addr),
		.len = load_relaxed(&sqe->len),
		.flags = load_relaxed(&sqe->msg_flags) | (is_send ? MSG_NOSIGNAL : 0),
		.ioprio = load_relaxed(&sqe->ioprio),
	};
	if (!is_send && (load_relaxed(&sqe->off) || load_relaxed(&sqe->file_index)))
		return -EINVAL;
	if (sr->ioprio & ~IORING_RECVSEND_POLL_FIRST)
		return -EINVAL;
	if ((s32)sr->len < 0)
		return -EFAULT;
	sr->select_len = (u32)sr->len;
	req->buf_index = load_relaxed(&sqe->buf_index);
	if (sr->flags & MSG_DONTWAIT)
		req->flags |= REQ_NOWAIT;
	if (is_send && load_relaxed(&sqe->addr2)) {
		sr->to_len = load_relaxed(&sqe->addr_len);
		if (sr->to_len > sizeof(sr->address))
			return -EINVAL;
		return copy_from_user(sr->address, (void *)load_relaxed(&sqe->addr2), sr->to_len);
	}
	return 0;
}

/* POLL_FIRST: the program knows that there is nothing yet. */
static bool polls_first(struct sendrecv *sr)
{
	if (!(sr->ioprio & IORING_RECVSEND_POLL_FIRST) || sr->is_polled)
		return false;
	sr->is_polled = true;
	return true;
}

static long call_send(const struct request *req, const struct sendrecv *sr, int extra)
{
	return host_call(SYS_sendto, request_fd(req), sr->addr, sr->len, sr->flags | extra,
			 sr->to_len ? sr->address : NULL, sr->to_len);
}

/* Ends a transfer: what earlier tries moved counts; less than MSG_WAITALL asked for breaks
 * links. */
static enum issue_verdict sendrecv_done(struct request *req, struct sendrecv *sr, long n)
{
	if (n >= 0) {
		if (sr->flags & MSG_WAITALL && (u64)n < sr->len)
			request_fail(req);
		req->result = (s32)(sr->done + (u64)n);
		return ISSUE_DONE;
	}
	request_fail(req);
	req->result = sr->done ? (s32)sr->done : (s32)n;
	return ISSUE_DONE;
}

/* A part was moved of what MSG_WAITALL wants whole: true if the rest is to be waited for. */
static bool goes_on(struct request *req, struct sendrecv *sr, long n)
{
	if (n <= 0 || (u64)n >= sr->len || !(sr->flags & MSG_WAITALL))
		return false;
	if (!net_is_stream_socket(request_fd(req)))
		return false;
	sr->addr += (u64)n;
	sr->len -= (u64)n;
	sr->done += (u64)n;
	return true;
}

static enum issue_verdict send_now(struct request *req)
{
	struct sendrecv *sr = request_data(req, struct sendrecv);
	long n;

	n = call_send(req, sr, MSG_DONTWAIT);
	if ((n == -EAGAIN && !(req->flags & REQ_NOWAIT)) || goes_on(req, sr, n))
		return ISSUE_POLL;
	return sendrecv_done(req, sr, n);
}

OP_BLOCK(send)
{
	struct sendrecv *sr = request_data(req, struct sendrecv);

	sendrecv_done(req, sr,
		      punt_call(SYS_sendto, request_fd(req), (long)sr->addr, (long)sr->len,
				sr->flags, (long)(sr->to_len ? sr->address : NULL), sr->to_len));
}

OP_CLEANUP(sendrecv)
{
	buffers_free(req->ring, request_data(req, struct sendrecv)->buffer);
}

static enum issue_verdict recv_now(struct request *req)
{
	struct sendrecv *sr = request_data(req, struct sendrecv);
	u32 flags = sr->flags & ~(u32)MSG_WAITALL;
	long n;

	n = host_call(SYS_recvfrom, request_fd(req), sr->addr, sr->len, flags | MSG_DONTWAIT, NULL,
		      NULL);
	if ((n == -EAGAIN && !(req->flags & REQ_NOWAIT)) || goes_on(req, sr, n))
		return ISSUE_POLL;
	req->cqe_flags |= net_nonempty_flag(request_fd(req), n, sr->len, sr->flags);
	return sendrecv_done(req, sr, n);
}

/* What a buffer may be taken for: 0, -EBADF or -ENOTSOCK. */
int net_check_socket(int fd)
{
	if (file_kind_hint(fd) == FILE_UNKNOWN)
		return -EBADF;
	return socket_option(fd, SO_TYPE) < 0 ? -ENOTSOCK : 0;
}

/* BUFFER_SELECT: 0, -ENOTSOCK, -EBADF or -ENOBUFS. */
static int take_provided_buffer(struct request *req, struct sendrecv *sr)
{
	int err = net_check_socket(request_fd(req));

	if (err)
		return err;
	sr->buffer = buffers_take(req, req->buf_index);
	if (sr->buffer == NULL)
		return -ENOBUFS;
	sr->addr = sr->buffer->addr;
	sr->len = sr->select_len ? min_of(sr->select_len, sr->buffer->len) : sr->buffer->len;
	return 0;
}

static enum issue_verdict transfer_provided(struct request *req,
					    enum issue_verdict (*transfer)(struct request *req))
{
	struct sendrecv *sr = request_data(req, struct sendrecv);
	int err = sr->buffer ? 0 : take_provided_buffer(req, sr);
	enum issue_verdict verdict;

	if (err)
		return request_done(req, err);
	verdict = transfer(req);
	/* Not if a part of what MSG_WAITALL wants is done. */
	if (verdict == ISSUE_POLL && sr->done == 0) {
		buffers_put_back(req, sr->buffer);
		sr->buffer = NULL;
	}
	return verdict;
}

OP_ISSUE(send)
{
	if (polls_first(request_data(req, struct sendrecv)))
		return ISSUE_POLL;
	if (unlikely(req->flags & IOSQE_BUFFER_SELECT))
		return transfer_provided(req, send_now);
	return send_now(req);
}

OP_ISSUE(recv)
{
	if (polls_first(request_data(req, struct sendrecv)))
		return ISSUE_POLL;
	if (unlikely(req->flags & IOSQE_BUFFER_SELECT))
		return transfer_provided(req, recv_now);
	return recv_now(req);
}

OP_BLOCK(recv)
{
	struct sendrecv *sr = request_data(req, struct sendrecv);

	sendrecv_done(req, sr,
		      punt_call(SYS_recvfrom, request_fd(req), (long)sr->addr, (long)sr->len,
				sr->flags, 0, 0));
}

struct accept {
	u64 addr, addr_len; /* the program's, written by accept4() */
	s32 flags;
	u32 file_slot; /* sqe->file_index */
	bool is_polled;
};

OP_PREP(accept)
{
	struct accept *accept = request_data(req, struct accept);
	u32 ioprio = load_relaxed(&sqe->ioprio);

	if (load_relaxed(&sqe->len) || load_relaxed(&sqe->buf_index))
		return -EINVAL;
	if (ioprio & ~(IORING_ACCEPT_MULTISHOT | IORING_ACCEPT_DONTWAIT | IORING_ACCEPT_POLL_FIRST))
		return -EINVAL;
	*accept = (struct accept){
		.addr = load_relaxed(&sqe->addr),
		.addr_len = load_relaxed(&sqe->addr2),
		.flags = (s32)load_relaxed(&sqe->accept_flags),
		.file_slot = load_relaxed(&sqe->file_index),
		.is_polled = !(ioprio & IORING_ACCEPT_POLL_FIRST),
	};
	if (accept->flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK))
		return -EINVAL;
	if (accept->file_slot && accept->flags & SOCK_CLOEXEC)
		return -EINVAL; /* a fixed file is in no descriptor table */
	if (accept->file_slot && accept->file_slot != IORING_FILE_INDEX_ALLOC &&
	    ioprio & IORING_ACCEPT_MULTISHOT)
		return -EINVAL;
	if (ioprio & IORING_ACCEPT_MULTISHOT)
		req->flags |= REQ_MULTISHOT;
	if (accept->file_slot)
		accept->flags |= SOCK_CLOEXEC; /* for the moment until it is private */
	if (ioprio & IORING_ACCEPT_DONTWAIT)
		req->flags |= REQ_NOWAIT;
	return 0;
}

/* A new connection, or why there is none, is in req->result. True: it was told of, and the
 * request goes on to the next. */
static bool accept_goes_on(struct request *req)
{
	const struct accept *accept = request_data(req, struct accept);
	int fd = request_fd(req);

	if (req->result < 0)
		return false;
	if (accept->file_slot)
		request_set_result(req, resource_install_file(req->ring, req->result,
							      accept->file_slot));
	else
		file_forget(req->result);
	/* TCP says whether there is another one. */
	req->cqe_flags =
		poll_now(fd, EPOLLIN) & EPOLLIN && is_tcp(fd) ? IORING_CQE_F_SOCK_NONEMPTY : 0;
	if (req->result < 0 || !(req->flags & REQ_MULTISHOT) || !ring_cq_has_room(req->ring))
		return false;
	request_post_more(req, req->result, req->cqe_flags);
	req->cqe_flags = 0;
	return true;
}

OP_FINISH(accept)
{
	if (accept_goes_on(req))
		req->flags &= ~REQ_FINISHED;
}

OP_ISSUE(accept)
{
	struct accept *accept = request_data(req, struct accept);
	int fd = request_fd(req);
	long n;

	if (!accept->is_polled) {
		accept->is_polled = true;
		return ISSUE_POLL;
	}
	if (!file_is_nonblocking(fd)) {
		int ready = poll_now(fd, EPOLLIN);

		if (ready < 0)
			return request_done(req, ready);
		if (ready & EPOLLIN)
			return ISSUE_PUNT;
		/* What does not listen, or is broken, the call says so of at once. */
		if (ready == 0 && socket_option(fd, SO_ACCEPTCONN) == 1)
			return req->flags & REQ_NOWAIT ? request_done(req, -EAGAIN) : ISSUE_POLL;
	}
	do {
		n = host_call(SYS_accept4, fd, accept->addr, accept->addr_len, accept->flags);
		if (n == -EAGAIN && !(req->flags & REQ_NOWAIT))
			return ISSUE_POLL;
		request_set_result(req, (s32)n);
	} while (accept_goes_on(req));
	return ISSUE_DONE;
}

OP_BLOCK(accept)
{
	const struct accept *accept = request_data(req, struct accept);

	request_set_result(req, (s32)punt_call(SYS_accept4, request_fd(req), (long)accept->addr,
					       (long)accept->addr_len, accept->flags));
}

struct connect {
	struct sockaddr_storage *address; /* ring_alloc()ed copy */
	u32 len;
	bool is_in_progress;
};

OP_PREP(connect)
{
	struct connect *connect = request_data(req, struct connect);
	u64 len = load_relaxed(&sqe->off);

	connect->address = NULL;
	if (load_relaxed(&sqe->len) || load_relaxed(&sqe->buf_index) ||
	    load_relaxed(&sqe->rw_flags) || load_relaxed(&sqe->file_index))
		return -EINVAL;
	connect->is_in_progress = false;
	connect->len = (u32)len;
	if ((s32)connect->len < 0 || connect->len > sizeof(*connect->address))
		return -EINVAL;
	connect->address = ring_alloc(req->ring, sizeof(*connect->address));
	if (connect->address == NULL)
		return -ENOMEM;
	return copy_from_user(connect->address, (void *)load_relaxed(&sqe->addr), connect->len);
}

OP_CLEANUP(connect)
{
	ring_free(req->ring, request_data(req, struct connect)->address,
		  sizeof(struct sockaddr_storage));
}

/* One connect() that does not block, whatever the file's O_NONBLOCK says. Nobody else has a use
 * for a socket that is being connected, so nobody misses the flag for the time of one call. */
static long connect_nonblocking(int fd, const struct connect *connect)
{
	long flags = host_call(SYS_fcntl, fd, F_GETFL), err;

	if (flags < 0 || flags & O_NONBLOCK)
		return host_call(SYS_connect, fd, connect->address, connect->len);
	host_call(SYS_fcntl, fd, F_SETFL, flags | O_NONBLOCK);
	err = host_call(SYS_connect, fd, connect->address, connect->len);
	host_call(SYS_fcntl, fd, F_SETFL, flags);
	return err;
}

/* It was begun before: an error is the socket's, else connect() is asked once more, and says 0. */
static enum issue_verdict connect_go_on(struct request *req, const struct connect *connect)
{
	int fd = request_fd(req), error = 0;
	socklen_t size = sizeof(error);
	int ready = poll_now(fd, EPOLLOUT);
	long err;

	if (ready == 0)
		return ISSUE_POLL;
	err = host_call(SYS_getsockopt, fd, SOL_SOCKET, SO_ERROR, &error, &size);
	if (err || error)
		return request_done(req, err ? err : -error);
	err = connect_nonblocking(fd, connect);
	return request_done(req, err == -EISCONN ? 0 : err);
}

OP_ISSUE(connect)
{
	struct connect *connect = request_data(req, struct connect);
	int fd = request_fd(req);
	long err;

	if (connect->is_in_progress)
		return connect_go_on(req, connect);
	err = connect_nonblocking(fd, connect);
	if (err == -EINPROGRESS) {
		connect->is_in_progress = true;
		return ISSUE_POLL;
	}
	/* A Unix socket whose peer has no room: no poll tells when there is some. */
	if (err == -EAGAIN && !file_is_nonblocking(fd))
		return ISSUE_PUNT;
	return request_done(req, err);
}

OP_BLOCK(connect)
{
	const struct connect *connect = request_data(req, struct connect);

	request_set_result(req, (s32)punt_call(SYS_connect, request_fd(req), (long)connect->address,
					       connect->len));
}

OP_PREP(shutdown)
{
	if (load_relaxed(&sqe->off) || load_relaxed(&sqe->addr) || load_relaxed(&sqe->rw_flags) ||
	    load_relaxed(&sqe->buf_index) || load_relaxed(&sqe->file_index))
		return -EINVAL;
	*request_data(req, u32) = load_relaxed(&sqe->len);
	return 0;
}

OP_BLOCK(shutdown)
{
	long err = punt_call(SYS_shutdown, request_fd(req), *request_data(req, u32));

	/* What is no socket breaks links, what the socket says does not. */
	if (err == -ENOTSOCK || err == -EBADF)
		request_set_result(req, (s32)err);
	else
		request_set_result_only(req, (s32)err);
}

/*
 * net.c - sockets: ACCEPT, CONNECT, SHUTDOWN, and what is asked of a socket
 *
 * Each is tried without blocking; if it would block the request waits for
 * readiness and is tried again.
 * accept() and connect() have no flag for that, only the file's O_NONBLOCK, which
 * is not ours to change while others use the socket. So an accept on a blocking
 * socket is made in the punt pool once poll() promises a connection (another
 * thread may be faster, and then it blocks there, not here); for a multishot one
 * the worker goes on while there are more. A socket that is to be connected is of
 * no use to others yet: there the flag is set for one call.
 *
 * Not here: SEND, RECV (transfer.c), SENDMSG, RECVMSG (message.c), SOCKET and the like (socket.c).
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

/* The option, which is never negative, or -errno. */
static int socket_option(int fd, int option)
{
	int value = -1;
	socklen_t size = sizeof(value);
	long err = host_call(SYS_getsockopt, fd, SOL_SOCKET, option, &value, &size);

	return err ? (int)err : value;
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

int net_check_socket(int fd)
{
	int type = socket_option(fd, SO_TYPE);

	if (type >= 0)
		return 0;
	return type == -EBADF ? -EBADF : -ENOTSOCK; /* EBADF: closed, or opened with O_PATH */
}

enum issue_verdict net_let_others(struct request *req)
{
	if (req->flags & REQ_POLL_LASTING)
		poll_leave(req); /* coming back looks at what is there */
	return ISSUE_POLL;
}

static u8 ask_trait(int fd)
{
	switch (socket_option(fd, SO_TYPE)) {
	case SOCK_STREAM:
		return NET_BYTES;
	case SOCK_SEQPACKET:
		return NET_SEQUENCE;
	default:
		return NET_OTHER;
	}
}

bool net_is_stream(int fd, u8 *trait)
{
	if (*trait == NET_UNKNOWN)
		*trait = ask_trait(fd);
	return *trait != NET_OTHER;
}

bool net_is_byte_stream(int fd, u8 *trait)
{
	return net_is_stream(fd, trait) && *trait == NET_BYTES;
}

s32 net_queued(int fd)
{
	int queued = 0;

	return host_call(SYS_ioctl, fd, SIOCINQ, &queued) < 0 ? -1 : queued;
}

int net_notify_prep(struct request *req, const struct io_uring_sqe *sqe, u32 ioprio)
{
	if (load_relaxed(&sqe->pad2) || load_relaxed(&sqe->addr3))
		return -EINVAL;
	if (req->flags & IOSQE_CQE_SKIP_SUCCESS)
		return -EINVAL;
	/* What is refused from here on has two CQEs as well. */
	req->flags |= REQ_NOTIFIES;
	if (ioprio & ~(IORING_RECVSEND_POLL_FIRST | IORING_RECVSEND_FIXED_BUF |
		       IORING_SEND_ZC_REPORT_USAGE | IORING_SEND_VECTORIZED))
		return -EINVAL;
	if (ioprio & IORING_SEND_ZC_REPORT_USAGE)
		req->flags |= REQ_NOTIFIES_USAGE;
	return 0;
}

int net_check_zerocopy(int fd)
{
	int err = net_check_socket(fd), domain, protocol;

	if (err)
		return err;
	domain = socket_option(fd, SO_DOMAIN);
	protocol = socket_option(fd, SO_PROTOCOL);
	if (domain != AF_INET && domain != AF_INET6)
		return -EOPNOTSUPP;
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP ? 0 : -EOPNOTSUPP;
}

int net_take_fixed(struct request *req, const struct iovec *vector, u32 count)
{
	struct resource *buffer = resource_lookup(&req->ring->buffers, req->buf_index);

	if (buffer == NULL)
		return -EFAULT;
	for (u32 i = 0; i < count; i++) {
		u64 start = (u64)vector[i].iov_base, end = start + vector[i].iov_len;

		if (end < start || start < buffer->addr || end > buffer->addr + buffer->len)
			return -EFAULT;
	}
	buffer->refs++;
	req->buffer_resource = buffer;
	return 0;
}

/* Connections that a worker has fetched and the driver not yet told of. */
#define ACCEPT_FETCHED 16u

struct accept {
	u64 addr, addr_len; /* (c) the program's, written by accept4() */
	s32 flags;          /* (c) */
	u32 file_slot;      /* (c) sqe->file_index */
	bool is_multishot;  /* (c) as REQ_MULTISHOT, which the driver cannot read while PUNTED */
	bool is_polled;     /* the driver's */
	bool is_stopped;    /* the driver's: it was cancelled, and does not go on */
	bool is_last; /* (a) the CQ was full when the worker's connection was seen, or since */
	u32 room;     /* (o) how many more connections the worker may fetch */
	u32 fetched;  /* (a) counts what the worker has put into `fds` */
	u32 told;     /* (a) counts what the driver has taken from there */
	s32 fds[ACCEPT_FETCHED];
};

OP_PREP(accept)
{
	struct accept *accept = request_data(req, struct accept);
	u32 ioprio = load_relaxed(&sqe->ioprio);

	*accept = (struct accept){
		.addr = load_relaxed(&sqe->addr),
		.addr_len = load_relaxed(&sqe->addr2),
		.flags = (s32)load_relaxed(&sqe->accept_flags),
		.file_slot = load_relaxed(&sqe->file_index),
		.is_multishot = ioprio & IORING_ACCEPT_MULTISHOT,
		.is_polled = !(ioprio & IORING_ACCEPT_POLL_FIRST),
	};
	if (load_relaxed(&sqe->len) || load_relaxed(&sqe->buf_index))
		return -EINVAL;
	if (ioprio & ~(IORING_ACCEPT_MULTISHOT | IORING_ACCEPT_DONTWAIT | IORING_ACCEPT_POLL_FIRST))
		return -EINVAL;
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
	if (req->result < 0 || !(req->flags & REQ_MULTISHOT) || accept->is_last ||
	    !ring_cq_has_room(req->ring))
		return false;
	request_post_more(req, req->result, req->cqe_flags);
	req->cqe_flags = 0;
	return true;
}

/* What a worker fetched goes to the backlog if the CQ has been filled since. That ends the request;
 * no more come than were fetched by then. */
OP_PROGRESS(accept)
{
	struct accept *accept = request_data(req, struct accept);
	u32 fetched = load_acquire(&accept->fetched), told = accept->told;
	/* Each had another one behind it. */
	u32 cqe_flags = told != fetched && is_tcp(request_fd(req)) ? IORING_CQE_F_SOCK_NONEMPTY : 0;

	rs_assert(fetched - told <= ACCEPT_FETCHED);
	for (; told != fetched; told++) {
		s32 fd = accept->fds[told % ACCEPT_FETCHED];

		file_forget(fd);
		if (!request_post_more(req, fd, cqe_flags))
			store_relaxed(&accept->is_last, true);
		store_release(&accept->told, told + 1);
	}
}

OP_STOP(accept)
{
	struct accept *accept = request_data(req, struct accept);
	bool is_first = !accept->is_stopped;

	accept->is_stopped = true;
	return accept->is_multishot && is_first;
}

OP_FINISH(accept)
{
	const struct accept *accept = request_data(req, struct accept);
	bool goes_on;

	accept_progress(req);
	goes_on = accept_goes_on(req);
	if (accept->is_stopped && (goes_on || req->result == -EINTR))
		request_set_result(req, -ECANCELED);
	else if (goes_on)
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
		if (ready & EPOLLIN) {
			accept->room = min_of(ring_cq_room(req->ring), NET_MULTISHOT_TRIES);
			accept->is_last = accept->room == 0;
			return ISSUE_PUNT;
		}
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

/*
 * Worker. There is a connection, and another one behind it to go on with: it is put down for the
 * driver. Who else accepts here may be faster, and then the next call blocks: the driver takes what
 * is put down in any case.
 */
static bool accept_fetches_on(struct request *req, long fd)
{
	struct accept *accept = request_data(req, struct accept);
	u32 fetched = accept->fetched;

	if (fd < 0 || !accept->is_multishot || !punt_is_on_worker(&req->punt))
		return false;
	/* One at a time where there may be no slot, which ends the request; and where it is not to
	 * block. */
	if (accept->file_slot || req->flags & REQ_NOWAIT)
		return false;
	if (accept->room == 0 || load_relaxed(&accept->is_last) ||
	    fetched - load_acquire(&accept->told) == ACCEPT_FETCHED ||
	    !(poll_now(request_fd(req), EPOLLIN) & EPOLLIN))
		return false;
	accept->room--;
	accept->fds[fetched % ACCEPT_FETCHED] = (s32)fd;
	store_release(&accept->fetched, fetched + 1);
	request_tell_progress(req);
	return true;
}

OP_BLOCK(accept)
{
	const struct accept *accept = request_data(req, struct accept);
	long n;

	do {
		n = punt_call(SYS_accept4, request_fd(req), (long)accept->addr,
			      (long)accept->addr_len, accept->flags);
	} while (accept_fetches_on(req, n));
	request_set_result(req, (s32)n);
}

struct connect {
	struct sockaddr_storage *address; /* ring_alloc()ed copy */
	u32 len;
	bool is_in_progress;
	bool was_aborted; /* the socket told of an earlier attempt, and was asked once more */
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
	connect->was_aborted = false;
	connect->len = (u32)len;
	if ((s32)connect->len < 0 || connect->len > sizeof(*connect->address))
		return -EINVAL;
	connect->address = ring_alloc(req->ring, sizeof(*connect->address));
	if (connect->address == NULL)
		return -ENOMEM;
	if (connect->len == 0)
		return 0; /* wherever it is */
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
	/* So says, once, a socket whose last attempt failed without a connect() that told of it:
	 * its error was taken by connect_go_on(). It is ready for this one at once. */
	if (err == -ECONNABORTED && !connect->was_aborted) {
		connect->was_aborted = true;
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

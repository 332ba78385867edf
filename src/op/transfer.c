/*
 * transfer.c - SEND, SEND_ZC and RECV: bytes to and from a socket
 *
 * Each is tried without blocking (MSG_DONTWAIT); if it would block the request
 * waits for readiness and is tried again. What MSG_WAITALL wants whole goes on
 * from where it was. Two things happen more than once:
 *
 *   a bundle     moves as many provided buffers at once as there are, with one CQE that names the
 *                first: the others follow it in their ring. A SEND goes on until the ring is empty.
 *   a multishot  RECV posts a marked CQE for all that comes, until there is no buffer, no room in
 *                the CQ, an error, the end of the stream, or what optlen allowed is used up.
 *
 * SEND_ZC copies as SEND does. Its two CQEs come one after the other, and the second says that
 * it was copied, to those who ask.
 *
 * Not here: SENDMSG, RECVMSG (message.c); sockets themselves (net.c, socket.c).
 * The kernel: io_send(), io_send_zc() and io_recv() in io_uring/net.c
 */
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "host/kernel.h"
#include "host/usercopy.h"
#include "op/net.h"
#include "op/ops.h"
#include "request/buffers.h"
#include "request/poll.h"
#include "request/ring.h"
#include "request/submit.h"

#define BUNDLE_SIZE  (BUFFERS_PER_BUNDLE * sizeof(struct iovec))
#define TRANSFER_MAX 0x7ffff000u /* bytes: what the kernel takes of one piece at the most */

struct transfer {
	u64 addr, len;        /* what is left, if it is one piece */
	struct iovec *vector; /* ring_alloc()ed: what is left, if it is several; or NULL */
	struct sockaddr_storage *to;
	u64 done;         /* bytes transferred by earlier tries */
	u32 vector_count; /* pieces left, in front of `vector_next`; 0: it is one piece */
	u32 vector_next;
	u32 vector_total; /* as allocated */
	u32 flags;        /* MSG_* */
	u32 select_len;   /* sqe->len: BUFFER_SELECT, bytes at the most; 0: all of the buffer */
	u32 limit;        /* multishot RECV: bytes that may still be received; 0: no limit */
	u16 ioprio;       /* IORING_RECVSEND_* */
	u16 to_len;
	bool is_polled;  /* POLL_FIRST was heeded */
	bool has_waited; /* it would have blocked once */
	bool is_kept;    /* a part of the buffer is done: it stays this request's */
	bool was_filled; /* the last receive took all that there was room for */
	bool is_emptied; /* ... and left nothing behind, if it is a stream */
	bool is_plain;   /* multishot RECV: no flag, no limit, no bundle */
	u8 trait;        /* enum net_trait, once the socket was asked */
};

static bool is_send(const struct request *req)
{
	return req->opcode != IORING_OP_RECV;
}

static bool is_bundle(const struct transfer *transfer)
{
	return transfer->ioprio & IORING_RECVSEND_BUNDLE;
}

/* The destination of a datagram. */
static int copy_address(struct request *req, struct transfer *transfer, u64 user_addr)
{
	if (user_addr == 0 || transfer->to_len == 0)
		return 0;
	if (transfer->to_len > sizeof(*transfer->to))
		return -EINVAL;
	transfer->to = ring_alloc(req->ring, sizeof(*transfer->to));
	if (transfer->to == NULL)
		return -ENOMEM;
	return copy_from_user(transfer->to, (void *)user_addr, transfer->to_len);
}

/* SEND_VECTORIZED: `addr` and `len` are a vector. */
static int copy_vector(struct request *req, struct transfer *transfer)
{
	u32 count = (u32)transfer->len;

	if (count > UIO_MAXIOV)
		return -EINVAL;
	transfer->len = 0;
	if (count == 0)
		return 0;
	transfer->vector = ring_alloc(req->ring, count * sizeof(struct iovec));
	if (transfer->vector == NULL)
		return -ENOMEM;
	transfer->vector_count = transfer->vector_total = count;
	if (copy_from_user(transfer->vector, (void *)transfer->addr, count * sizeof(struct iovec)))
		return -EFAULT;
	for (u32 i = 0; i < count; i++) {
		if ((s64)transfer->vector[i].iov_len < 0)
			return -EINVAL;
		transfer->len += transfer->vector[i].iov_len;
	}
	return 0;
}

static void transfer_init(struct request *req, const struct io_uring_sqe *sqe)
{
	struct transfer *transfer = request_data(req, struct transfer);

	*transfer = (struct transfer){
		.addr = load_relaxed(&sqe->addr),
		.len = load_relaxed(&sqe->len),
		.flags = load_relaxed(&sqe->msg_flags),
		.ioprio = load_relaxed(&sqe->ioprio),
	};
	transfer->select_len = (u32)transfer->len;
	req->buf_index = load_relaxed(&sqe->buf_index);
	if (transfer->flags & MSG_DONTWAIT)
		req->flags |= REQ_NOWAIT;
}

/* What the SQE says of memory and destination. */
static int send_setup(struct request *req, const struct io_uring_sqe *sqe)
{
	struct transfer *transfer = request_data(req, struct transfer);
	u64 end;
	int err;

	if (load_relaxed(&sqe->pad3))
		return -EINVAL;
	transfer->to_len = load_relaxed(&sqe->addr_len);
	err = copy_address(req, transfer, load_relaxed(&sqe->addr2));
	if (err || req->flags & IOSQE_BUFFER_SELECT)
		return err;
	if (transfer->ioprio & IORING_SEND_VECTORIZED)
		return copy_vector(req, transfer);
	if (transfer->ioprio & IORING_RECVSEND_FIXED_BUF)
		return 0;
	transfer->len = min_of(transfer->len, (u64)TRANSFER_MAX);
	end = transfer->addr + transfer->len;
	return end < transfer->addr || end > USER_ADDRESS_END ? -EFAULT : 0;
}

OP_PREP(send)
{
	struct transfer *transfer = request_data(req, struct transfer);

	transfer_init(req, sqe);
	if (transfer->ioprio &
	    ~(IORING_RECVSEND_POLL_FIRST | IORING_RECVSEND_BUNDLE | IORING_SEND_VECTORIZED))
		return -EINVAL;
	if ((s32)transfer->select_len < 0)
		return -EINVAL;
	transfer->flags |= MSG_NOSIGNAL;
	if (is_bundle(transfer))
		transfer->flags |= MSG_WAITALL;
	return send_setup(req, sqe);
}

OP_PREP(send_zc)
{
	struct transfer *transfer = request_data(req, struct transfer);
	int err;

	transfer_init(req, sqe);
	err = net_notify_prep(req, sqe, transfer->ioprio);
	if (err)
		return err;
	transfer->flags |= MSG_NOSIGNAL;
	return send_setup(req, sqe);
}

OP_PREP(recv)
{
	struct transfer *transfer = request_data(req, struct transfer);
	u32 optlen = load_relaxed(&sqe->optlen);

	transfer_init(req, sqe);
	if (load_relaxed(&sqe->off) || (s32)transfer->select_len < 0)
		return -EINVAL;
	if (transfer->ioprio &
	    ~(IORING_RECVSEND_POLL_FIRST | IORING_RECV_MULTISHOT | IORING_RECVSEND_BUNDLE))
		return -EINVAL;
	if (transfer->flags & MSG_ERRQUEUE)
		req->flags |= REQ_POLL_URGENT;
	if (transfer->ioprio & IORING_RECV_MULTISHOT) {
		if (!(req->flags & IOSQE_BUFFER_SELECT) || transfer->flags & MSG_WAITALL)
			return -EINVAL;
		transfer->limit = optlen;
		transfer->is_plain = transfer->ioprio == IORING_RECV_MULTISHOT && optlen == 0 &&
				     transfer->flags == 0;
		req->flags |= REQ_MULTISHOT;
	} else if (optlen) {
		return -EINVAL;
	}
	return 0;
}

OP_CLEANUP(transfer)
{
	struct transfer *transfer = request_data(req, struct transfer);

	ring_free(req->ring, transfer->to, sizeof(*transfer->to));
	ring_free(req->ring, transfer->vector, transfer->vector_total * sizeof(struct iovec));
}

static long call_transfer(const struct request *req, const struct transfer *transfer, u32 flags)
{
	struct msghdr header;

	if (transfer->vector_count == 0)
		return host_call(is_send(req) ? SYS_sendto : SYS_recvfrom, request_fd(req),
				 transfer->addr, transfer->len, flags | MSG_DONTWAIT, transfer->to,
				 transfer->to_len);
	header = (struct msghdr){
		.msg_name = transfer->to,
		.msg_namelen = transfer->to_len,
		.msg_iov = &transfer->vector[transfer->vector_next],
		.msg_iovlen = transfer->vector_count,
	};
	return host_call(is_send(req) ? SYS_sendmsg : SYS_recvmsg, request_fd(req), &header,
			 flags | MSG_DONTWAIT);
}

/* `bytes` more are transferred: the rest begins behind them. */
static void advance(struct transfer *transfer, u64 bytes)
{
	struct iovec *piece = &transfer->vector[transfer->vector_next];

	transfer->done += bytes;
	transfer->len -= bytes;
	if (transfer->vector_count == 0) {
		transfer->addr += bytes;
		return;
	}
	for (; bytes > 0 && bytes >= piece->iov_len; piece++) {
		bytes -= piece->iov_len;
		transfer->vector_next++;
		transfer->vector_count--;
	}
	piece->iov_base = (char *)piece->iov_base + bytes;
	piece->iov_len -= bytes;
}

/* How many of the pieces `bytes` lie in; at least one. */
static u32 pieces_of(const struct transfer *transfer, u64 bytes)
{
	const struct iovec *piece = &transfer->vector[transfer->vector_next];
	u32 count = 1;

	for (; count < transfer->vector_count && bytes > piece->iov_len; piece++) {
		bytes -= piece->iov_len;
		count++;
	}
	return count;
}

/* A part was moved of what is wanted whole: true if the rest is to be waited for. The buffers are
 * used up, so that nobody else takes what this request still has in hand. */
static bool goes_on(struct request *req, struct transfer *transfer, long n)
{
	if (n <= 0 || (u64)n >= transfer->len || !(transfer->flags & MSG_WAITALL))
		return false;
	if (!net_is_stream(request_fd(req), &transfer->trait))
		return false;
	if (buffers_has(req) && !transfer->is_kept) {
		/* A buffer of a list stays the request's until it ends. */
		if (req->buffer == NULL)
			buffers_used(req, (s64)transfer->len, max_of(transfer->vector_count, 1u));
		transfer->is_kept = true;
	}
	advance(transfer, (u64)n);
	return true;
}

/* Ends a transfer: what earlier tries moved counts; less than was asked for breaks links. */
static enum issue_verdict transfer_done(struct request *req, struct transfer *transfer, long n)
{
	if (n < 0 || (transfer->flags & MSG_WAITALL && (u64)n < transfer->len))
		request_fail(req);
	req->result =
		n >= 0 || transfer->done ? (s32)(transfer->done + (u64)max_of(n, 0L)) : (s32)n;
	return ISSUE_DONE;
}

static enum issue_verdict wait_for_socket(struct request *req, struct transfer *transfer)
{
	transfer->has_waited = true;
	if (buffers_has(req) && !transfer->is_kept)
		buffers_put_back(req);
	return ISSUE_POLL;
}

/* POLL_FIRST: the program knows that nothing can be done yet. Not of what is no socket. */
static bool polls_first(const struct request *req, struct transfer *transfer)
{
	if (!(transfer->ioprio & IORING_RECVSEND_POLL_FIRST) || transfer->is_polled)
		return false;
	transfer->is_polled = transfer->has_waited = true;
	return net_check_socket(request_fd(req)) == 0;
}

/* Memory for the pieces of a bundle, kept for the next. */
static int bundle_alloc(struct request *req, struct transfer *transfer)
{
	if (transfer->vector == NULL)
		transfer->vector = ring_alloc(req->ring, BUNDLE_SIZE);
	if (transfer->vector == NULL)
		return -ENOMEM;
	transfer->vector_total = BUFFERS_PER_BUNDLE;
	return 0;
}

/* `count` buffers of at most `wanted` bytes (0: no limit) are what is to be transferred. 0, or
 * -ENOBUFS, -ENOMEM. */
static int take_bundle(struct request *req, struct transfer *transfer, u64 wanted, u32 count)
{
	int n = bundle_alloc(req, transfer);

	if (n)
		return n;
	n = buffers_take_many(req, wanted, transfer->vector, count);
	if (n < 0)
		return n;
	transfer->vector_next = 0;
	transfer->vector_count = n > 1 ? (u32)n : 0;
	transfer->addr = (u64)transfer->vector[0].iov_base;
	transfer->len = 0;
	for (int i = 0; i < n; i++)
		transfer->len += transfer->vector[i].iov_len;
	return 0;
}

static int take_one(struct request *req, struct transfer *transfer, u64 wanted)
{
	struct iovec buffer;
	int err = buffers_take(req, wanted, &buffer);

	if (err)
		return err;
	transfer->addr = (u64)buffer.iov_base;
	transfer->len = buffer.iov_len;
	return 0;
}

/* BUFFER_SELECT. 0, or -errno: of several faults the file's is told first. */
static int send_take_buffers(struct request *req, struct transfer *transfer)
{
	u64 wanted = transfer->select_len ? transfer->select_len : INT32_MAX;
	int err, file_err;

	if (transfer->is_kept)
		return 0;
	err = take_bundle(req, transfer, wanted, is_bundle(transfer) ? BUFFERS_PER_BUNDLE : 1);
	file_err = err ? net_check_socket(request_fd(req)) : 0;
	return file_err ? file_err : err;
}

/* A bundle was sent and there may be another: true if it was told of, and the next is to come. */
static bool send_bundle_goes_on(struct request *req, struct transfer *transfer)
{
	bool is_last = req->flags & (REQ_BUFFERS_LAST | REQ_FAILED) || transfer->has_waited;

	if (!is_bundle(transfer) || req->result <= 0 || is_last || !ring_cq_has_room(req->ring))
		return false;
	request_post_more(req, req->result, req->cqe_flags);
	req->cqe_flags = 0;
	transfer->done = 0;
	transfer->is_kept = false;
	return true;
}

OP_ISSUE(send)
{
	struct transfer *transfer = request_data(req, struct transfer);
	bool has_select = req->flags & IOSQE_BUFFER_SELECT;
	u32 buffers;
	long n;

	if (polls_first(req, transfer))
		return ISSUE_POLL;
	do {
		int err = has_select ? send_take_buffers(req, transfer) : 0;

		if (err)
			return request_done(req, err);
		n = call_transfer(req, transfer, transfer->flags);
		if (n == -EAGAIN && !(req->flags & REQ_NOWAIT))
			return wait_for_socket(req, transfer);
		if (goes_on(req, transfer, n))
			return wait_for_socket(req, transfer);
		buffers = pieces_of(transfer, n > 0 ? (u64)n : 0);
		transfer_done(req, transfer, n);
		if (has_select)
			buffers_used(req, n, buffers);
	} while (send_bundle_goes_on(req, transfer));
	return ISSUE_DONE;
}

/* A SEND to where its socket is connected, of one piece, that may be cut. */
static bool is_bare_send(const struct io_uring_sqe *sqe)
{
	return load_relaxed(&sqe->opcode) == IORING_OP_SEND && sqe_is_plain(sqe) &&
	       load_relaxed(&sqe->addr2) == 0 && load_relaxed(&sqe->file_index) == 0 &&
	       (s32)load_relaxed(&sqe->len) >= 0 && !(load_relaxed(&sqe->msg_flags) & MSG_WAITALL);
}

/* The processor fetches what the next SQE sends, while this one's data are on their way. */
static void prefetch_next_data(const struct ring *ring)
{
	const struct io_uring_sqe *sqe = sq_peek_ahead(&ring->sq, &ring->memory, 1);

	if (sqe != NULL)
		__builtin_prefetch((void *)load_relaxed(&sqe->addr));
}

/* Nearly every send is done at once: those are not made requests. */
OP_BARE(send)
{
	u32 done = 0;

	while (done < count) {
		const struct io_uring_sqe *sqe = sq_peek(&ring->sq, &ring->memory);
		long n;

		if (sqe == NULL || !is_bare_send(sqe))
			break;
		if (done + 1 < count)
			prefetch_next_data(ring);
		n = host_call(SYS_sendto, load_relaxed(&sqe->fd), load_relaxed(&sqe->addr),
			      load_relaxed(&sqe->len),
			      load_relaxed(&sqe->msg_flags) | MSG_NOSIGNAL | MSG_DONTWAIT, NULL, 0);
		if (n == -EAGAIN) {
			*would_block = true;
			break;
		}
		submit_bare_done(ring, IORING_OP_SEND, load_relaxed(&sqe->user_data), (s32)n);
		done++;
	}
	return done;
}

/* The memory that a FIXED_BUF request names lies in its fixed buffer: 0, -EFAULT or -EINVAL. */
static int check_fixed(struct request *req, const struct transfer *transfer)
{
	struct iovec one = {.iov_base = (void *)transfer->addr, .iov_len = transfer->len};

	if (!(transfer->ioprio & IORING_RECVSEND_FIXED_BUF) || req->buffer_resource != NULL)
		return 0;
	if (transfer->vector_count)
		return net_take_fixed(req, transfer->vector, transfer->vector_count);
	return net_take_fixed(req, &one, 1);
}

OP_ISSUE(send_zc)
{
	struct transfer *transfer = request_data(req, struct transfer);
	int err = net_check_zerocopy(request_fd(req));

	if (err)
		return request_done(req, err);
	if (polls_first(req, transfer))
		return ISSUE_POLL;
	err = check_fixed(req, transfer);
	return err ? request_done(req, err) : send_issue(req);
}

/* The first buffer of a receive, or as many as the `queued` bytes fill. */
static int recv_take_buffers(struct request *req, struct transfer *transfer, u32 queued)
{
	u64 wanted = transfer->select_len;

	if (queued)
		wanted = wanted ? min_of(wanted, (u64)queued) : queued;
	if (!is_bundle(transfer))
		return take_one(req, transfer, wanted); /* the limit is for when it ends */
	if (transfer->limit)
		wanted = wanted ? min_of(wanted, (u64)transfer->limit) : transfer->limit;
	return take_bundle(req, transfer, wanted, wanted ? BUFFERS_PER_BUNDLE : 1);
}

/*
 * A bundle's first try was into one buffer, for nobody knew how much there would be. If more is
 * queued, the buffers for it are filled too, and it is one transfer.
 */
static long recv_bundle_rest(struct request *req, struct transfer *transfer, long n)
{
	u32 named = req->cqe_flags, buffers;
	s32 queued;
	long more;

	if ((u64)n < transfer->len || transfer->select_len || transfer->limit ||
	    req->flags & REQ_BUFFERS_LAST)
		return n;
	if (!net_is_byte_stream(request_fd(req), &transfer->trait))
		return n;
	queued = net_queued(request_fd(req));
	if (queued <= 1 || recv_take_buffers(req, transfer, (u32)queued))
		return n;
	more = call_transfer(req, transfer, transfer->flags & ~(u32)MSG_WAITALL);
	if (more <= 0) {
		buffers_put_back(req);
		req->cqe_flags = named;
		return n;
	}
	buffers = pieces_of(transfer, (u64)more);
	buffers_used(req, more, buffers);
	/* The CQE names the first buffer, and says of the last whether there is more in it. */
	req->cqe_flags = named | (req->cqe_flags & IORING_CQE_F_BUF_MORE);
	transfer->was_filled = (u64)more >= transfer->len;
	return n + more;
}

/* What was received is in the buffers, or they are the group's again. */
static long recv_give_buffers(struct request *req, struct transfer *transfer, long n)
{
	if (n <= 0 && transfer->done == 0) {
		buffers_put_back(req);
		return n;
	}
	buffers_used(req, n, pieces_of(transfer, n > 0 ? (u64)n : 0));
	if (is_bundle(transfer) && n > 0)
		return recv_bundle_rest(req, transfer, n);
	return n;
}

/* Part of a multishot receive: true if it was told of and the request goes on. */
static bool recv_goes_on(struct request *req, struct transfer *transfer)
{
	if (!(req->flags & REQ_MULTISHOT) || req->result <= 0)
		return false;
	if (transfer->limit) {
		transfer->limit -= min_of((u32)req->result, transfer->limit);
		if (transfer->limit == 0)
			return false;
	}
	if (is_bundle(transfer) && req->flags & REQ_BUFFERS_LAST)
		return false;
	if (!ring_cq_has_room(req->ring))
		return false;
	request_post_more(req, req->result, req->cqe_flags);
	req->cqe_flags = 0;
	transfer->done = 0;
	transfer->is_kept = false;
	return true;
}

/* BUFFER_SELECT: 0, or -errno: of several faults the file's is told first. */
static int recv_select(struct request *req, struct transfer *transfer)
{
	int err, file_err;

	if (!(req->flags & IOSQE_BUFFER_SELECT) || transfer->is_kept)
		return 0;
	err = recv_take_buffers(req, transfer, 0);
	file_err = err ? net_check_socket(request_fd(req)) : 0;
	return file_err ? file_err : err;
}

/* Says in the CQE whether more is queued; remembers whether it is known that nothing is. */
static void recv_look_behind(struct request *req, struct transfer *transfer, long n)
{
	int fd = request_fd(req);
	s32 queued;

	transfer->is_emptied = !transfer->was_filled;
	if (!transfer->was_filled || transfer->flags & MSG_PEEK) {
		req->cqe_flags |= net_nonempty_flag(fd, n, (u64)n + 1, transfer->flags);
		return;
	}
	queued = net_queued(fd);
	transfer->is_emptied = queued == 0;
	if (queued > 0 && net_is_byte_stream(fd, &transfer->trait))
		req->cqe_flags |= IORING_CQE_F_SOCK_NONEMPTY;
}

/* A bundle that received as much as one try may (sqe->len) is to let others receive. */
static bool is_capped(const struct request *req, const struct transfer *transfer)
{
	return is_bundle(transfer) && transfer->select_len &&
	       (u32)req->result >= transfer->select_len;
}

/*
 * What a multishot receive nearly always comes to: its stream had something, the buffer took it all
 * and has room left, so there is nothing to look at before it waits on. True: that is told, and it
 * is to wait. False: nothing is done about the `n` bytes yet. The rest of recv_issue() does the
 * same, and everything else.
 */
static bool recv_tells_all(struct request *req, const struct transfer *transfer, long n)
{
	if (!transfer->is_plain || transfer->trait != NET_BYTES || n <= 0 ||
	    (u64)n >= transfer->len)
		return false;
	if (!poll_tells_what_comes(req) || !ring_cq_has_room(req->ring))
		return false;
	buffers_used(req, n, 1);
	request_post_more(req, (s32)n, req->cqe_flags);
	req->cqe_flags = 0;
	return true;
}

OP_ISSUE(recv)
{
	struct transfer *transfer = request_data(req, struct transfer);
	u32 tries = 0;
	u32 flags = transfer->flags & ~(u32)MSG_WAITALL;
	int fd = request_fd(req);
	long n;

	if (polls_first(req, transfer))
		return ISSUE_POLL;
	do {
		int err = recv_select(req, transfer);

		if (err)
			return request_done(req, err);
		n = call_transfer(req, transfer, flags);
		if (likely(recv_tells_all(req, transfer, n)))
			return ISSUE_POLL;
		if ((n == -EAGAIN && !(req->flags & REQ_NOWAIT)) || goes_on(req, transfer, n))
			return wait_for_socket(req, transfer);
		transfer->was_filled = n > 0 && (u64)n >= transfer->len;
		if (req->flags & IOSQE_BUFFER_SELECT)
			n = recv_give_buffers(req, transfer, n);
		recv_look_behind(req, transfer, n);
		transfer_done(req, transfer, n);
		if (!recv_goes_on(req, transfer))
			return ISSUE_DONE;
		if (++tries == NET_MULTISHOT_TRIES || is_capped(req, transfer))
			return net_let_others(req);
		/* If the socket is empty, it will tell when it no longer is. */
	} while (!transfer->is_emptied || !poll_tells_what_comes(req) ||
		 !net_is_byte_stream(fd, &transfer->trait));
	return wait_for_socket(req, transfer);
}

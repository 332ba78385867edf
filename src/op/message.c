/*
 * message.c - SENDMSG, SENDMSG_ZC and RECVMSG
 *
 * The program's msghdr, its vector and its destination address are copied when
 * the SQE is prepared; buffers, control data and a received address stay the
 * program's, and the system call reads and writes them there.
 *
 * A multishot RECVMSG puts a header of its own, the address and the control data
 * into the buffer, in front of the payload: each at the offset that the lengths
 * in the program's msghdr give.
 *
 * Not here: SEND and RECV (transfer.c).
 * The kernel: io_sendmsg() and io_recvmsg() in io_uring/net.c
 */
#include <sys/epoll.h>
#include <sys/uio.h>

#include "host/kernel.h"
#include "host/usercopy.h"
#include "op/net.h"
#include "op/ops.h"
#include "request/buffers.h"
#include "request/ring.h"

struct message {
	struct msghdr *header; /* ring_alloc()ed copy, with `vector` and `address` behind it */
	u64 user_header;
	u64 done;             /* bytes moved by earlier tries (MSG_WAITALL) */
	struct iovec *vector; /* the whole copy; header->msg_iov advances in it */
	u32 vector_count;
	u32 flags, ioprio;
	u64 select_len; /* BUFFER_SELECT: bytes at the most; 0: all of the buffer */
	bool is_polled;
	bool is_kept; /* a part of the buffer is done: it stays this request's */
	u8 trait;     /* enum net_trait, once the socket was asked */
};

struct message_copy {
	struct msghdr header;
	struct sockaddr_storage address;
};

static bool is_send(const struct request *req)
{
	return req->opcode != IORING_OP_RECVMSG;
}

static int copy_vector(struct request *req, struct message *message)
{
	struct msghdr *header = message->header;
	size_t count = header->msg_iovlen, size = count * sizeof(struct iovec);

	if (req->flags & IOSQE_BUFFER_SELECT) {
		if (count > 1)
			return -EINVAL;
		count = 1; /* of which only the length is the program's */
		size = sizeof(struct iovec);
	}
	if (count > UIO_MAXIOV)
		return -EMSGSIZE;
	if (count == 0)
		return 0;
	message->vector = ring_alloc(req->ring, size);
	if (message->vector == NULL)
		return -ENOMEM;
	message->vector_count = (u32)count;
	message->vector[0] = (struct iovec){0};
	if (header->msg_iovlen && copy_from_user(message->vector, header->msg_iov, size))
		return -EFAULT;
	header->msg_iov = message->vector;
	header->msg_iovlen = count;
	message->select_len = message->vector[0].iov_len;
	for (size_t i = 0; i < count; i++)
		if ((s64)message->vector[i].iov_len < 0)
			return -EINVAL;
	return 0;
}

static int copy_header(struct request *req, struct message *message)
{
	struct message_copy *copy = ring_alloc(req->ring, sizeof(*copy));
	struct msghdr *header;

	if (copy == NULL)
		return -ENOMEM;
	message->header = header = &copy->header;
	if (copy_from_user(header, (void *)message->user_header, sizeof(*header)))
		return -EFAULT;
	/* A multishot's address has its place in the buffer. */
	if (header->msg_name == NULL && !(req->flags & REQ_MULTISHOT))
		header->msg_namelen = 0;
	if ((s32)header->msg_namelen < 0)
		return -EINVAL;
	if (is_send(req) && header->msg_name != NULL) {
		header->msg_namelen = min_of(header->msg_namelen, (socklen_t)sizeof(copy->address));
		if (copy_from_user(&copy->address, header->msg_name, header->msg_namelen))
			return -EFAULT;
		header->msg_name = &copy->address;
	}
	return copy_vector(req, message);
}

static void message_init(struct request *req, const struct io_uring_sqe *sqe)
{
	struct message *message = request_data(req, struct message);

	*message = (struct message){
		.user_header = load_relaxed(&sqe->addr),
		.flags = load_relaxed(&sqe->msg_flags),
		.ioprio = load_relaxed(&sqe->ioprio),
	};
	req->buf_index = load_relaxed(&sqe->buf_index);
	if (message->flags & MSG_DONTWAIT)
		req->flags |= REQ_NOWAIT;
}

OP_PREP(sendmsg)
{
	struct message *message = request_data(req, struct message);

	message_init(req, sqe);
	message->flags |= MSG_NOSIGNAL;
	if (message->ioprio & ~(IORING_RECVSEND_POLL_FIRST | IORING_SEND_VECTORIZED))
		return -EINVAL;
	if (load_relaxed(&sqe->off) || load_relaxed(&sqe->file_index))
		return -EINVAL;
	if ((s32)load_relaxed(&sqe->len) < 0) /* though it says nothing */
		return -EINVAL;
	return copy_header(req, message);
}

OP_PREP(sendmsg_zc)
{
	struct message *message = request_data(req, struct message);
	int err;

	message_init(req, sqe);
	message->flags |= MSG_NOSIGNAL;
	err = net_notify_prep(req, sqe, message->ioprio);
	if (err)
		return err;
	if (load_relaxed(&sqe->off) || load_relaxed(&sqe->file_index))
		return -EINVAL;
	return copy_header(req, message);
}

/* What a multishot puts in front of the payload must have a size at all. */
static int check_front(const struct message *message)
{
	u64 size = sizeof(struct io_uring_recvmsg_out) + message->header->msg_namelen;

	if (__builtin_add_overflow(size, message->header->msg_controllen, &size) ||
	    size > INT32_MAX)
		return -EOVERFLOW;
	return 0;
}

OP_PREP(recvmsg)
{
	struct message *message = request_data(req, struct message);
	int err;

	message_init(req, sqe);
	if (load_relaxed(&sqe->off) || load_relaxed(&sqe->file_index))
		return -EINVAL;
	if ((s32)load_relaxed(&sqe->len) < 0) /* though it says nothing */
		return -EINVAL;
	if (message->ioprio & ~(IORING_RECVSEND_POLL_FIRST | IORING_RECV_MULTISHOT))
		return -EINVAL;
	if (message->flags & MSG_ERRQUEUE)
		/* data that is there would wake it again and again */
		req->flags |= REQ_POLL_URGENT;
	if (!(message->ioprio & IORING_RECV_MULTISHOT))
		return copy_header(req, message);
	if (!(req->flags & IOSQE_BUFFER_SELECT) || message->flags & MSG_WAITALL)
		return -EINVAL;
	req->flags |= REQ_MULTISHOT;
	err = copy_header(req, message);
	return err ? err : check_front(message);
}

OP_CLEANUP(message)
{
	struct message *message = request_data(req, struct message);

	ring_free(req->ring, message->vector, message->vector_count * sizeof(struct iovec));
	ring_free(req->ring, message->header, sizeof(struct message_copy));
}

static u64 bytes_left(const struct msghdr *header)
{
	u64 total = 0;

	for (size_t i = 0; i < header->msg_iovlen; i++)
		total += header->msg_iov[i].iov_len;
	return total;
}

static void advance(struct msghdr *header, u64 bytes)
{
	while (bytes > 0 && bytes >= header->msg_iov->iov_len) {
		bytes -= header->msg_iov->iov_len;
		header->msg_iov++;
		header->msg_iovlen--;
	}
	if (bytes > 0) {
		header->msg_iov->iov_base = (char *)header->msg_iov->iov_base + bytes;
		header->msg_iov->iov_len -= bytes;
	}
}

/* A received address' length, the control data's and the flags are the program's to know. */
static long give_back(const struct request *req, const struct message *message, long n)
{
	struct msghdr *user = (struct msghdr *)message->user_header;
	const struct msghdr *header = message->header;

	if (n < 0 || is_send(req))
		return n;
	if (copy_to_user(&user->msg_namelen, &header->msg_namelen, sizeof(header->msg_namelen)) ||
	    copy_to_user(&user->msg_controllen, &header->msg_controllen,
			 sizeof(header->msg_controllen)) ||
	    copy_to_user(&user->msg_flags, &header->msg_flags, sizeof(header->msg_flags)))
		return -EFAULT;
	return n;
}

static enum issue_verdict message_done(struct request *req, struct message *message, long n)
{
	n = give_back(req, message, n);
	if (n < 0 || (message->flags & MSG_WAITALL && (u64)n < bytes_left(message->header)))
		request_fail(req);
	if (n >= 0)
		req->result = (s32)(message->done + (u64)n);
	else
		req->result = message->done ? (s32)message->done : (s32)n;
	return ISSUE_DONE;
}

/* POLL_FIRST: the program knows that nothing can be done yet. Not of what is no socket. */
static bool polls_first(const struct request *req, struct message *message)
{
	if (!(message->ioprio & IORING_RECVSEND_POLL_FIRST) || message->is_polled)
		return false;
	message->is_polled = true;
	return net_check_socket(request_fd(req)) == 0;
}

/* A part was moved of what MSG_WAITALL wants whole: true if the rest is to be waited for. The
 * buffer is used up, so that nobody else takes what this request still has in hand. */
static bool goes_on(struct request *req, struct message *message, long n, u64 wanted)
{
	if (n <= 0 || (u64)n >= wanted || !(message->flags & MSG_WAITALL))
		return false;
	if (!net_is_stream(request_fd(req), &message->trait))
		return false;
	if (buffers_has(req) && !message->is_kept) {
		/* A buffer of a list stays the request's until it ends. */
		if (req->buffer == NULL)
			buffers_used(req, (s64)wanted, 1);
		message->is_kept = true;
	}
	advance(message->header, (u64)n);
	message->done += (u64)n;
	return true;
}

OP_ISSUE(sendmsg)
{
	struct message *message = request_data(req, struct message);
	long n;

	if (polls_first(req, message))
		return ISSUE_POLL;
	n = host_call(SYS_sendmsg, request_fd(req), message->header, message->flags | MSG_DONTWAIT);
	if (n == -EAGAIN && !(req->flags & REQ_NOWAIT))
		return ISSUE_POLL;
	if (goes_on(req, message, n, bytes_left(message->header)))
		return ISSUE_POLL;
	return message_done(req, message, n);
}

OP_ISSUE(sendmsg_zc)
{
	struct message *message = request_data(req, struct message);
	int err = net_check_zerocopy(request_fd(req)), fixed_err = 0;

	/* The kernel looks for the buffer before it asks what the file can do. */
	if (err != -EBADF && message->ioprio & IORING_RECVSEND_FIXED_BUF &&
	    req->buffer_resource == NULL)
		fixed_err = net_take_fixed(req, message->vector, message->vector_count);
	if (fixed_err)
		err = fixed_err;
	return err ? request_done(req, err) : sendmsg_issue(req);
}

/* BUFFER_SELECT: the message is for the next buffer. 0, or -errno: of several faults the file's is
 * told first. */
static int take_buffer(struct request *req, struct message *message)
{
	int err, file_err;

	if (!(req->flags & IOSQE_BUFFER_SELECT) || message->is_kept)
		return 0;
	err = buffers_take(req, message->select_len, &message->vector[0]);
	file_err = err ? net_check_socket(request_fd(req)) : 0;
	return file_err ? file_err : err;
}

/*
 * Receives into `front` and what is behind it: first the header, then the address and the control
 * data in the room that the program's lengths give, then the payload. Bytes of the message, which
 * may be more than fit, or -errno.
 */
static long receive_with_front(int fd, const struct message *message, char *front,
			       struct iovec *payload)
{
	const struct msghdr *wanted = message->header;
	struct msghdr header = {
		.msg_name =
			wanted->msg_namelen ? front + sizeof(struct io_uring_recvmsg_out) : NULL,
		.msg_namelen = wanted->msg_namelen,
		.msg_iov = payload,
		.msg_iovlen = 1,
		.msg_control =
			wanted->msg_controllen
				? front + sizeof(struct io_uring_recvmsg_out) + wanted->msg_namelen
				: NULL,
		.msg_controllen = wanted->msg_controllen,
	};
	struct io_uring_recvmsg_out out;
	long n = host_call(SYS_recvmsg, fd, &header, message->flags | MSG_DONTWAIT);

	if (n < 0)
		return n;
	out = (struct io_uring_recvmsg_out){
		.namelen = header.msg_name ? header.msg_namelen : 0,
		.controllen = (u32)header.msg_controllen,
		.payloadlen = (u32)n,
		.flags = (u32)header.msg_flags,
	};
	return copy_to_user(front, &out, sizeof(out)) ? -EFAULT : n;
}

static enum issue_verdict recvmsg_multishot_issue(struct request *req)
{
	struct message *message = request_data(req, struct message);
	const struct msghdr *wanted = message->header;
	u32 front = (u32)(sizeof(struct io_uring_recvmsg_out) + wanted->msg_namelen +
			  wanted->msg_controllen);
	int fd = request_fd(req);

	for (u32 tries = 0; tries < NET_MULTISHOT_TRIES; tries++) {
		struct iovec *buffer = &message->vector[0], payload;
		int err = take_buffer(req, message);
		long n;

		if (err == 0 && buffer->iov_len < front) {
			buffers_put_back(req);
			err = -EFAULT;
		}
		if (err)
			return request_done(req, err);
		payload = (struct iovec){
			.iov_base = (char *)buffer->iov_base + front,
			.iov_len = buffer->iov_len - front,
		};
		n = receive_with_front(fd, message, buffer->iov_base, &payload);
		if (n == -EAGAIN && !(req->flags & REQ_NOWAIT)) {
			buffers_put_back(req);
			return ISSUE_POLL;
		}
		if (n < 0) {
			buffers_put_back(req);
			return request_done(req, n);
		}
		req->result = (s32)(front + min_of((u64)n, payload.iov_len));
		buffers_used(req, req->result, 1);
		req->cqe_flags |= net_nonempty_flag(fd, n, payload.iov_len, message->flags);
		if (n == 0 || !ring_cq_has_room(req->ring)) {
			if (n == 0)
				request_fail(req);
			return ISSUE_DONE;
		}
		request_post_more(req, req->result, req->cqe_flags);
		req->cqe_flags = 0;
	}
	return net_let_others(req);
}

OP_ISSUE(recvmsg)
{
	struct message *message = request_data(req, struct message);
	u32 flags = (message->flags & ~(u32)MSG_WAITALL) | MSG_DONTWAIT;
	int fd = request_fd(req), err;
	u64 wanted;
	long n;

	if (polls_first(req, message))
		return ISSUE_POLL;
	if (req->flags & REQ_MULTISHOT)
		return recvmsg_multishot_issue(req);
	err = take_buffer(req, message);
	if (err)
		return request_done(req, err);
	wanted = bytes_left(message->header);
	n = host_call(SYS_recvmsg, fd, message->header, flags);
	if (n == -EAGAIN && !(req->flags & REQ_NOWAIT)) {
		if (!message->is_kept)
			buffers_put_back(req);
		return ISSUE_POLL;
	}
	if (goes_on(req, message, n, wanted))
		return ISSUE_POLL;
	if (n <= 0 && message->done == 0)
		buffers_put_back(req);
	else
		buffers_used(req, n, 1);
	req->cqe_flags |= net_nonempty_flag(fd, n, wanted, flags);
	return message_done(req, message, n);
}

/*
 * message.c - SENDMSG and RECVMSG
 *
 * The program's msghdr, its vector and its destination address are copied when
 * the SQE is prepared; buffers, control data and a received address stay the
 * program's, and the system call reads and writes them there.
 *
 * The kernel: io_uring/net.c
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
	struct provided_buffer *buffer; /* BUFFER_SELECT: taken for this try, or NULL */
	u64 select_len;                 /* BUFFER_SELECT: bytes at the most; 0: all of the buffer */
	bool is_polled;
};

struct message_copy {
	struct msghdr header;
	struct sockaddr_storage address;
};

static bool is_send(const struct request *req)
{
	return req->opcode == IORING_OP_SENDMSG;
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
	if (header->msg_name == NULL)
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

OP_PREP(message)
{
	struct message *message = request_data(req, struct message);

	*message = (struct message){
		.user_header = load_relaxed(&sqe->addr),
		.flags = load_relaxed(&sqe->msg_flags) | (is_send(req) ? MSG_NOSIGNAL : 0),
		.ioprio = load_relaxed(&sqe->ioprio),
	};
	req->buf_index = load_relaxed(&sqe->buf_index);
	if (load_relaxed(&sqe->off) || load_relaxed(&sqe->file_index))
		return -EINVAL;
	if (message->ioprio & ~IORING_RECVSEND_POLL_FIRST)
		return -EINVAL;
	if (message->flags & MSG_DONTWAIT)
		req->flags |= REQ_NOWAIT;
	if (!is_send(req) && message->flags & MSG_ERRQUEUE)
		/* data that is there would wake it again and again */
		req->flags |= REQ_POLL_URGENT;
	return copy_header(req, message);
}

OP_CLEANUP(message)
{
	struct message *message = request_data(req, struct message);

	buffers_free(req->ring, message->buffer);
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

static enum issue_verdict message_issue(struct request *req, long nr)
{
	struct message *message = request_data(req, struct message);
	u32 flags = message->flags | MSG_DONTWAIT;
	u64 wanted = bytes_left(message->header);
	int fd = request_fd(req);
	long n;

	if (message->ioprio & IORING_RECVSEND_POLL_FIRST && !message->is_polled) {
		message->is_polled = true;
		return ISSUE_POLL;
	}
	if (nr == SYS_recvmsg)
		flags &= ~(u32)MSG_WAITALL;
	n = host_call(nr, fd, message->header, flags);
	if (n == -EAGAIN && !(req->flags & REQ_NOWAIT))
		return ISSUE_POLL;
	if (message->flags & MSG_WAITALL && n > 0 && (u64)n < wanted && net_is_stream_socket(fd)) {
		advance(message->header, (u64)n);
		message->done += (u64)n;
		return ISSUE_POLL;
	}
	if (nr == SYS_recvmsg)
		req->cqe_flags |= net_nonempty_flag(fd, n, wanted, flags);
	return message_done(req, message, n);
}

OP_ISSUE(sendmsg)
{
	return message_issue(req, SYS_sendmsg);
}

/* BUFFER_SELECT: 0, -ENOTSOCK, -EBADF or -ENOBUFS. */
static int take_provided_buffer(struct request *req, struct message *message)
{
	int err = net_check_socket(request_fd(req));
	u64 len;

	if (err)
		return err;
	message->buffer = buffers_take(req, req->buf_index);
	if (message->buffer == NULL)
		return -ENOBUFS;
	len = message->buffer->len;
	if (message->select_len)
		len = min_of(message->select_len, len);
	message->vector[0].iov_base = (void *)message->buffer->addr;
	message->vector[0].iov_len = len;
	return 0;
}

static enum issue_verdict recvmsg_into_provided(struct request *req)
{
	struct message *message = request_data(req, struct message);
	bool is_polled = message->is_polled || !(message->ioprio & IORING_RECVSEND_POLL_FIRST);
	int err = message->buffer || !is_polled ? 0 : take_provided_buffer(req, message);
	enum issue_verdict verdict;

	if (err)
		return request_done(req, err);
	verdict = message_issue(req, SYS_recvmsg);
	/* Not if a part of what MSG_WAITALL wants is in it. */
	if (verdict == ISSUE_POLL && message->done == 0 && message->buffer) {
		buffers_put_back(req, message->buffer);
		message->buffer = NULL;
	}
	return verdict;
}

OP_ISSUE(recvmsg)
{
	if (unlikely(req->flags & IOSQE_BUFFER_SELECT))
		return recvmsg_into_provided(req);
	return message_issue(req, SYS_recvmsg);
}

static void message_block(struct request *req, long nr)
{
	struct message *message = request_data(req, struct message);

	message_done(req, message,
		     punt_call(nr, request_fd(req), (long)message->header, message->flags));
}

OP_BLOCK(sendmsg)
{
	message_block(req, SYS_sendmsg);
}

OP_BLOCK(recvmsg)
{
	message_block(req, SYS_recvmsg);
}

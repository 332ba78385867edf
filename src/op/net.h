/*
 * net.h - what the files of socket operations share
 */
#ifndef RS_OP_NET_H
#define RS_OP_NET_H

#include <sys/socket.h>
#include <sys/uio.h>

#include "request/request.h"

/* IORING_CQE_F_SOCK_NONEMPTY if `received` filled the `wanted` bytes, or left them queued
 * (MSG_PEEK), and more is queued; else 0. */
u32 net_nonempty_flag(int fd, long received, u64 wanted, u32 msg_flags);

/* 0, -EBADF or -ENOTSOCK. */
int net_check_socket(int fd);

/* What the type of a socket says of its transfers; remembered by the request, zero at first. */
enum net_trait {
	NET_UNKNOWN,
	NET_BYTES,    /* SOCK_STREAM */
	NET_SEQUENCE, /* SOCK_SEQPACKET */
	NET_OTHER,
};

/* Whether a partial transfer may go on (MSG_WAITALL): stream and seqpacket sockets. */
bool net_is_stream(int fd, u8 *trait);

/* Whether a receive of less than it had room for has emptied the socket. */
bool net_is_byte_stream(int fd, u8 *trait);

/* Bytes that the next receive of a stream socket would find; less than 0 if it does not say. */
s32 net_queued(int fd);

/* SEND_ZC, SENDMSG_ZC: what their SQEs may say, and that they notify. 0 or -EINVAL. */
int net_notify_prep(struct request *req, const struct io_uring_sqe *sqe, u32 ioprio);

/* Whether the socket sends without copying in the kernel, so that the request is not refused: 0,
 * -EBADF, -ENOTSOCK or -EOPNOTSUPP. */
int net_check_zerocopy(int fd);

/* Receives of one multishot request in a row. */
#define NET_MULTISHOT_TRIES 32

/* A multishot request that could go on lets others have their turn: it is told again of what there
 * is to receive when the ring next looks. */
enum issue_verdict net_let_others(struct request *req);

/* The fixed buffer req->buf_index is the request's, and all pieces lie in it: 0 or -EFAULT. */
int net_take_fixed(struct request *req, const struct iovec *vector, u32 count);

#endif

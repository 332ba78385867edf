/*
 * net.h - what the two files of socket operations share
 */
#ifndef RS_OP_NET_H
#define RS_OP_NET_H

#include <sys/socket.h>

#include "base/types.h"

/* IORING_CQE_F_SOCK_NONEMPTY if `received` filled the `wanted` bytes, or left them queued
 * (MSG_PEEK), and more is queued; else 0. */
u32 net_nonempty_flag(int fd, long received, u64 wanted, u32 msg_flags);

/* 0, -EBADF or -ENOTSOCK. */
int net_check_socket(int fd);

/* Whether a partial transfer may go on (MSG_WAITALL): stream and seqpacket sockets. */
bool net_is_stream_socket(int fd);

#endif

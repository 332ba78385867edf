/*
 * msg_ring.h - IORING_REGISTER_SEND_MSG_RING
 */
#ifndef RS_OP_MSG_RING_H
#define RS_OP_MSG_RING_H

#include "base/abi.h"

/* Sends the message that `sqe`, a copy of the program's, describes. No ring lock held. 0 or
 * -errno. */
long msg_ring_without_ring(const struct io_uring_sqe *sqe);

#endif

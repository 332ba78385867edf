/*
 * cancel.h - taking requests from where they wait. All calls: driver.
 */
#ifndef RS_REQUEST_CANCEL_H
#define RS_REQUEST_CANCEL_H

#include "request/request.h"

#define CANCEL_FLAGS                                                                               \
	(IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_ANY |              \
	 IORING_ASYNC_CANCEL_FD_FIXED | IORING_ASYNC_CANCEL_USERDATA | IORING_ASYNC_CANCEL_OP)

/* What to cancel: IORING_ASYNC_CANCEL_* in `flags`. */
struct cancel_match {
	u64 user_data;
	u32 flags;
	int fd;                     /* ASYNC_CANCEL_FD: the number that its file has now */
	u8 opcode;                  /* ASYNC_CANCEL_OP */
	const struct request *self; /* is not matched */
};

/* 0, or 1 if its operation is counted: it will complete with -ECANCELED. -EALREADY: it is being
 * executed (and interrupted, if it can be) or about to complete. -ENOENT: it cannot be stopped and
 * will complete normally. */
int request_cancel(struct request *req);

/* Makes of match->fd, as the program gave it, the number that its file has now. 0 or -EBADF. */
int cancel_resolve(const struct ring *ring, struct cancel_match *match, bool is_fixed);

/* Cancels the first that matches: 0 or 1, -ENOENT, -EALREADY. With ALL or ANY, all: how many. */
int cancel_matching(struct ring *ring, const struct cancel_match *match);

/* Cancels everything that can be; for a ring that ends. Call again until nothing is pending. */
void cancel_everything(struct ring *ring);

#endif

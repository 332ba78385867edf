/*
 * submit.h - consuming a batch of SQEs
 */
#ifndef RS_REQUEST_SUBMIT_H
#define RS_REQUEST_SUBMIT_H

#include "base/abi.h"

struct ring;

#define SQE_FLAGS_VALID                                                                            \
	(IOSQE_FIXED_FILE | IOSQE_IO_DRAIN | IOSQE_IO_LINK | IOSQE_IO_HARDLINK | IOSQE_ASYNC |     \
	 IOSQE_BUFFER_SELECT | IOSQE_CQE_SKIP_SUCCESS)

/* Driver. Consumes up to `count` SQEs; returns how many were consumed, or -EAGAIN (no memory for
 * even one request). CQEs are not yet committed. */
long submit_batch(struct ring *ring, u32 count);

#endif

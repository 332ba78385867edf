/*
 * submit.h - consuming a batch of SQEs
 */
#ifndef RS_REQUEST_SUBMIT_H
#define RS_REQUEST_SUBMIT_H

#include "base/types.h"

struct ring;

/* Driver. Consumes up to `count` SQEs; returns how many were consumed, or -EAGAIN (no memory for
 * even one request). CQEs are not yet committed. */
long submit_batch(struct ring *ring, u32 count);

#endif

/*
 * timer.h - requests that wait for a time, or for a number of CQEs. All calls: driver.
 */
#ifndef RS_REQUEST_TIMER_H
#define RS_REQUEST_TIMER_H

#include "request/request.h"

#define TIMER_NEVER UINT64_MAX

/* What a TIMEOUT keeps in req->data; here because ring_commit() serves the counting ones. */
struct timeout {
	struct list_node count_node; /* in ring->count_timeouts, or unlinked */
	u64 ns;                      /* the timespec, as given */
	u32 flags;                   /* IORING_TIMEOUT_* */
	u32 off;                     /* CQEs to wait for; multishot: how many times, 0 for ever */
	u32 target;                  /* value of ring->count_cqes that completes it */
	u32 repeats;
	u64 deadline; /* CLOCK_MONOTONIC ns of the next firing */
};

/* In nanoseconds; what lies in the past is 0, what is farther than can be said is nearly for
 * ever. */
u64 timespec_ns(const struct abi_timespec *ts);

/* The moment on CLOCK_MONOTONIC of a time given with these IORING_TIMEOUT_ flags; never
 * overflows. */
u64 timer_deadline(u64 ns, u32 flags);

/* The request waits for `deadline` (WAIT_TIMER). 0 or -ENOMEM. */
int timer_arm(struct request *req, u64 deadline);

/* True: it was armed and the caller owns it. False: it has fired. */
bool timer_disarm(struct request *req);

/* Earliest deadline, or TIMER_NEVER. */
u64 timer_next(const struct ring *ring);

/* Fires what is due: op->expire() of each. */
void timer_expire(struct ring *ring, u64 now);

/* CQEs were posted: completes the TIMEOUTs whose count is reached. Returns whether there were
 * any. */
bool timer_count_flush(struct ring *ring);

#endif

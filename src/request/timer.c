/*
 * timer.c - requests that wait for a time, or for a number of CQEs
 *
 * One heap a ring, by CLOCK_MONOTONIC. A time of another clock is converted
 * when it is armed, so setting the realtime clock does not move it; the
 * kernel's hrtimers follow such a jump.
 *
 * Count timeouts compare wrapping u32 counters of CQEs, in which the CQEs of
 * timeouts themselves do not count.
 *
 * The kernel: io_uring/timeout.c
 */
#include "request/timer.h"

#include <errno.h>

#include "host/clock.h"
#include "request/pending.h"
#include "request/ring.h"

static clockid_t clock_of(u32 flags)
{
	if (flags & IORING_TIMEOUT_BOOTTIME)
		return CLOCK_BOOTTIME;
	if (flags & IORING_TIMEOUT_REALTIME)
		return CLOCK_REALTIME;
	return CLOCK_MONOTONIC;
}

u64 timespec_ns(const struct abi_timespec *ts)
{
	s64 ns;

	if (__builtin_mul_overflow(ts->tv_sec, (s64)NS_PER_SEC, &ns) ||
	    __builtin_add_overflow(ns, ts->tv_nsec, &ns))
		return ts->tv_sec < 0 ? 0 : TIMER_NEVER - 1;
	return ns < 0 ? 0 : (u64)ns;
}

static u64 add_saturating(u64 a, u64 b)
{
	u64 sum = a + b;

	return sum < a || sum == TIMER_NEVER ? TIMER_NEVER - 1 : sum;
}

u64 timer_deadline(u64 ns, u32 flags)
{
	u64 now = clock_ns(CLOCK_MONOTONIC), base;

	if (!(flags & IORING_TIMEOUT_ABS))
		return add_saturating(now, ns);
	base = clock_ns(clock_of(flags));
	return ns <= base ? now : add_saturating(now, ns - base);
}

int timer_arm(struct request *req, u64 deadline)
{
	struct ring *ring = req->ring;

	heap_node_init(&req->timer);
	req->timer.key = deadline;
	if (heap_insert(&ring->timers, &req->timer))
		return -ENOMEM;
	request_set_state(req, REQUEST_WAIT_TIMER);
	pending_add(req);
	stats_count(ring->stats, COUNTER_WAITS_TIMER, 1);
	return 0;
}

static void count_unlink(struct request *req)
{
	if (req->opcode == IORING_OP_TIMEOUT)
		list_del(&request_data(req, struct timeout)->count_node);
}

bool timer_disarm(struct request *req)
{
	if (!heap_has(&req->timer))
		return false;
	heap_remove(&req->ring->timers, &req->timer);
	count_unlink(req);
	return true;
}

u64 timer_next(const struct ring *ring)
{
	const struct heap_node *first = heap_first(&ring->timers);

	return first ? first->key : TIMER_NEVER;
}

void timer_expire(struct ring *ring, u64 now)
{
	/* Bounded: what is armed again while it expires (multishot) is due later than now. */
	while (timer_next(ring) <= now) {
		struct request *req =
			container_of(heap_first(&ring->timers), struct request, timer);

		heap_remove(&ring->timers, &req->timer);
		count_unlink(req);
		req->op->expire(req);
	}
}

bool timer_count_flush(struct ring *ring)
{
	u32 since = ring->count_cqes - ring->count_flushed;
	struct timeout *timeout, *tmp;
	bool any = false;

	list_for_each_entry_safe (timeout, tmp, &ring->count_timeouts, count_node) {
		struct request *req = container_of((void *)timeout, struct request, data);

		if (timeout->target - ring->count_flushed > since)
			break;
		timer_disarm(req);
		req->flags |= REQ_FINISHED;
		req->result = 0;
		ring_ready_add(ring, req);
		any = true;
	}
	ring->count_flushed = ring->count_cqes;
	return any;
}

/*
 * timeout.c - TIMEOUT, TIMEOUT_REMOVE (which also updates), LINK_TIMEOUT
 *
 * A TIMEOUT completes with -ETIME when its time has come, with 0 when the number
 * of CQEs it was to wait for have been posted, with -ECANCELED when removed.
 *
 * Not here: the heap and the counting (request/timer.c), what a link timeout
 * does when it fires (request/link.c).
 * The kernel: io_uring/timeout.c
 */
#include "host/clock.h"
#include "host/usercopy.h"
#include "op/ops.h"
#include "request/pending.h"
#include "request/ring.h"
#include "request/timer.h"

#define TIMEOUT_FLAGS                                                                              \
	(IORING_TIMEOUT_ABS | IORING_TIMEOUT_CLOCK_MASK | IORING_TIMEOUT_ETIME_SUCCESS |           \
	 IORING_TIMEOUT_MULTISHOT)

static bool has_two_clocks(u32 flags)
{
	return (flags & IORING_TIMEOUT_CLOCK_MASK) == IORING_TIMEOUT_CLOCK_MASK;
}

/* The program's timespec in nanoseconds, TIMER_NEVER - 1 at the most. 0, -EFAULT, -EINVAL. */
static int timespec_from_user(u64 *ns, u64 user_timespec)
{
	struct abi_timespec ts;

	if (copy_from_user(&ts, (void *)user_timespec, sizeof(ts)))
		return -EFAULT;
	if (ts.tv_sec < 0 || ts.tv_nsec < 0)
		return -EINVAL;
	*ns = TIMER_NEVER - 1;
	if ((u64)ts.tv_sec < (TIMER_NEVER - 1) / NS_PER_SEC - NS_PER_SEC)
		*ns = min_of(*ns, (u64)ts.tv_sec * NS_PER_SEC + (u64)ts.tv_nsec);
	return 0;
}

/* Fields that most operations ignore must be zero here. */
static bool has_more(const struct io_uring_sqe *sqe)
{
	return load_relaxed(&sqe->addr3) || load_relaxed(&sqe->pad2);
}

static int timeout_prep_common(struct request *req, const struct io_uring_sqe *sqe)
{
	struct timeout *timeout = request_data(req, struct timeout);

	if (load_relaxed(&sqe->buf_index) || load_relaxed(&sqe->len) != 1 ||
	    load_relaxed(&sqe->file_index) || has_more(sqe))
		return -EINVAL;
	timeout->off = (u32)load_relaxed(&sqe->off);
	timeout->flags = load_relaxed(&sqe->timeout_flags);
	if (timeout->flags & ~TIMEOUT_FLAGS || has_two_clocks(timeout->flags))
		return -EINVAL;
	/* A repeated timeout is a relative one. */
	if (timeout->flags & IORING_TIMEOUT_MULTISHOT && timeout->flags & IORING_TIMEOUT_ABS)
		return -EINVAL;
	timeout->repeats = timeout->off;
	list_init(&timeout->count_node);
	heap_node_init(&req->timer);
	return timespec_from_user(&timeout->ns, load_relaxed(&sqe->addr));
}

OP_PREP(timeout)
{
	int err = timeout_prep_common(req, sqe);

	if (request_data(req, struct timeout)->flags & IORING_TIMEOUT_MULTISHOT)
		req->flags |= REQ_MULTISHOT;
	return err;
}

/* In order of the counts they wait for. */
static void count_insert(struct ring *ring, struct timeout *timeout)
{
	struct list_node *at;

	timeout->target = ring->count_cqes + timeout->off;
	ring->count_flushed = ring->count_cqes;
	for (at = ring->count_timeouts.prev; at != &ring->count_timeouts; at = at->prev) {
		const struct timeout *before = list_entry(at, struct timeout, count_node);

		if (before->target - ring->count_cqes <= timeout->off)
			break;
	}
	list_add(at, &timeout->count_node);
}

static enum issue_verdict arm(struct request *req, u64 deadline)
{
	int err = timer_arm(req, deadline);

	return err ? request_done(req, err) : ISSUE_WAITING;
}

OP_ISSUE(timeout)
{
	struct timeout *timeout = request_data(req, struct timeout);
	enum issue_verdict verdict;

	timeout->deadline = timer_deadline(timeout->ns, timeout->flags);
	verdict = arm(req, timeout->deadline);
	if (verdict == ISSUE_WAITING && timeout->off &&
	    !(timeout->flags & IORING_TIMEOUT_MULTISHOT))
		count_insert(req->ring, timeout);
	return verdict;
}

static bool goes_on(struct timeout *timeout)
{
	if (!(timeout->flags & IORING_TIMEOUT_MULTISHOT))
		return false;
	return timeout->off == 0 || (timeout->repeats && --timeout->repeats);
}

void timeout_expire(struct request *req)
{
	struct timeout *timeout = request_data(req, struct timeout);
	struct ring *ring = req->ring;

	if (goes_on(timeout) && ring_cq_has_room(ring)) {
		request_post_more(req, -ETIME, 0);
		ring->count_cqes--;
		timeout->deadline += max_of(timeout->ns, (u64)1);
		req->timer.key = max_of(timeout->deadline, clock_ns(CLOCK_MONOTONIC) + 1);
		if (heap_insert(&ring->timers, &req->timer) == 0)
			return;
	}
	req->flags |= REQ_FINISHED;
	if (!(timeout->flags & IORING_TIMEOUT_ETIME_SUCCESS))
		request_fail(req);
	req->result = -ETIME;
	ring_ready_add(ring, req);
}

struct timeout_remove {
	u64 user_data;
	u64 ns;
	u32 flags;
};

OP_PREP(timeout_remove)
{
	struct timeout_remove *remove = request_data(req, struct timeout_remove);

	if (req->flags & (IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT))
		return -EINVAL;
	if (load_relaxed(&sqe->buf_index) || load_relaxed(&sqe->len) ||
	    load_relaxed(&sqe->file_index) || has_more(sqe))
		return -EINVAL;
	remove->user_data = load_relaxed(&sqe->addr);
	remove->flags = load_relaxed(&sqe->timeout_flags);
	if (!(remove->flags & IORING_TIMEOUT_UPDATE_MASK))
		return remove->flags ? -EINVAL : 0;
	if (has_two_clocks(remove->flags))
		return -EINVAL;
	if (remove->flags & ~(IORING_TIMEOUT_UPDATE_MASK | IORING_TIMEOUT_ABS))
		return -EINVAL;
	return timespec_from_user(&remove->ns, load_relaxed(&sqe->addr2));
}

/* Of the requests that this one is about, the first. */
struct timer_search {
	struct request *found;
	u8 opcode;
};

static bool find_timer(struct request *req, void *arg)
{
	struct timer_search *search = arg;

	if (req->opcode != search->opcode)
		return true;
	search->found = req;
	return false;
}

static int timeout_update(struct request *target, const struct timeout_remove *update)
{
	struct timeout *timeout = request_data(target, struct timeout);

	if (!timer_disarm(target))
		return -EALREADY;
	timeout->off = 0; /* from now on it is for the time alone */
	timeout->ns = update->ns;
	timeout->flags &= ~IORING_TIMEOUT_ABS;
	timeout->flags |= update->flags & IORING_TIMEOUT_ABS;
	timeout->deadline = timer_deadline(timeout->ns, timeout->flags);
	target->timer.key = timeout->deadline;
	return heap_insert(&target->ring->timers, &target->timer);
}

OP_ISSUE(timeout_remove)
{
	const struct timeout_remove *remove = request_data(req, struct timeout_remove);
	bool is_update = remove->flags & IORING_TIMEOUT_UPDATE;
	bool is_link = remove->flags & IORING_LINK_TIMEOUT_UPDATE;
	struct timer_search search = {
		.opcode = is_update && is_link ? IORING_OP_LINK_TIMEOUT : IORING_OP_TIMEOUT,
	};
	int err;

	if (is_link)
		search.opcode = IORING_OP_LINK_TIMEOUT;
	pending_for_each(req->ring, &remove->user_data, find_timer, &search);
	if (search.found == NULL)
		return request_done(req, -ENOENT);
	if (is_update || is_link)
		err = timeout_update(search.found, remove);
	else if (!timer_disarm(search.found))
		err = -EALREADY;
	else {
		request_end(search.found, -ECANCELED);
		err = 0;
	}
	return request_done(req, err);
}

OP_PREP(link_timeout)
{
	struct ring *ring = req->ring;
	int err = timeout_prep_common(req, sqe);

	if (err == 0 && load_relaxed(&sqe->off))
		err = -EINVAL;
	if (err)
		return err;
	/* It guards the request before it, which must be there and not be one itself. */
	if (ring->link_head == NULL || ring->link_last->opcode == IORING_OP_LINK_TIMEOUT)
		return -EINVAL;
	ring->link_last->flags |= REQ_ARM_LTIMEOUT;
	return 0;
}

/* By link_timeout_start(), when the guarded request waits. */
OP_ISSUE(link_timeout)
{
	struct timeout *timeout = request_data(req, struct timeout);

	enum issue_verdict verdict;

	timeout->deadline = timer_deadline(timeout->ns, timeout->flags);
	verdict = arm(req, timeout->deadline);
	if (verdict == ISSUE_DONE) /* no memory: the request goes unguarded */
		req->ltimeout_of->ltimeout = NULL;
	return verdict;
}

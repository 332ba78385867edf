/*
 * poll.c - POLL_ADD and POLL_REMOVE (which also updates)
 *
 * Not here: how a request waits for a file (request/poll.c).
 * The kernel: io_uring/poll.c
 */
#include <sys/epoll.h>

#include "op/ops.h"
#include "request/pending.h"
#include "request/poll.h"
#include "request/ring.h"

/* What the kernel reports though nobody asked. */
#define EVENTS_ALWAYS (EPOLLERR | EPOLLHUP | EPOLLRDHUP)

struct poll_add {
	u32 events;
	bool is_multi;
};

struct poll_remove {
	u64 old_user_data, new_user_data;
	u32 flags; /* IORING_POLL_* */
	u32 events;
};

static u32 parse_events(const struct io_uring_sqe *sqe)
{
	u32 events = load_relaxed(&sqe->poll32_events);

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	events = events >> 16 | events << 16;
#endif
	/* EPOLLEXCLUSIVE spares other waiters a wake-up; one-shot registrations cannot have it. */
	return events & 0xffff;
}

OP_PREP(poll_add)
{
	struct poll_add *poll = request_data(req, struct poll_add);
	u32 flags = load_relaxed(&sqe->len);

	if (load_relaxed(&sqe->buf_index) || load_relaxed(&sqe->off) || load_relaxed(&sqe->addr))
		return -EINVAL;
	if (flags & ~(IORING_POLL_ADD_MULTI | IORING_POLL_ADD_LEVEL))
		return -EINVAL;
	if (flags & IORING_POLL_ADD_MULTI && req->flags & IOSQE_CQE_SKIP_SUCCESS)
		return -EINVAL;
	poll->events = parse_events(sqe);
	/* IORING_POLL_ADD_LEVEL changes nothing: one CQE comes for each wake-up, as without it. */
	poll->is_multi = flags & IORING_POLL_ADD_MULTI;
	if (poll->is_multi)
		req->flags |= REQ_MULTISHOT;
	return 0;
}

static enum issue_verdict poll_result(struct request *req, int err)
{
	return err ? request_done(req, err) : ISSUE_WAITING;
}

OP_ISSUE(poll_add)
{
	const struct poll_add *poll = request_data(req, struct poll_add);
	u32 events = poll->events | EVENTS_ALWAYS;
	int fd = poll_substitute(request_fd(req)), ready;

	if (poll->is_multi) {
		int err = poll_arm_multi(req, events);

		/* A file that is never waited for is always ready, once. */
		if (err != -EPERM)
			return poll_result(req, err);
	}
	ready = fd < 0 ? fd : poll_now(fd, events);
	if (ready)
		return request_done(req, ready);
	return poll_result(req, poll_arm(req, events));
}

OP_PREP(poll_remove)
{
	struct poll_remove *remove = request_data(req, struct poll_remove);
	u32 flags = load_relaxed(&sqe->len);

	if (load_relaxed(&sqe->buf_index) || load_relaxed(&sqe->file_index))
		return -EINVAL;
	if (flags &
	    ~(IORING_POLL_UPDATE_EVENTS | IORING_POLL_UPDATE_USER_DATA | IORING_POLL_ADD_MULTI))
		return -EINVAL;
	if (flags == IORING_POLL_ADD_MULTI)
		return -EINVAL; /* means nothing without an update */
	remove->old_user_data = load_relaxed(&sqe->addr);
	remove->new_user_data = load_relaxed(&sqe->off);
	remove->flags = flags;
	if (!(flags & IORING_POLL_UPDATE_USER_DATA) && remove->new_user_data)
		return -EINVAL;
	if (flags & IORING_POLL_UPDATE_EVENTS)
		remove->events = parse_events(sqe);
	else if (load_relaxed(&sqe->poll32_events))
		return -EINVAL;
	return 0;
}

static bool find_poll(struct request *req, void *arg)
{
	struct request **found = arg;

	if (req->opcode != IORING_OP_POLL_ADD)
		return true;
	*found = req;
	return false;
}

/* The poll was taken out: it is changed, and starts again as if it were new. Whether it is a
 * multishot one it keeps, whatever the update's flags say of that. */
static void poll_update(struct request *poll_req, const struct poll_remove *update)
{
	struct poll_add *poll = request_data(poll_req, struct poll_add);

	pending_remove(poll_req);
	if (update->flags & IORING_POLL_UPDATE_EVENTS)
		poll->events = update->events;
	if (update->flags & IORING_POLL_UPDATE_USER_DATA)
		poll_req->user_data = update->new_user_data;
	ring_ready_add(poll_req->ring, poll_req);
}

OP_ISSUE(poll_remove)
{
	const struct poll_remove *remove = request_data(req, struct poll_remove);
	struct request *poll_req = NULL;

	pending_for_each(req->ring, &remove->old_user_data, find_poll, &poll_req);
	if (poll_req == NULL)
		return request_done(req, -ENOENT);
	if (load_relaxed(&poll_req->state) != REQUEST_WAIT_POLL)
		return request_done(req, -EALREADY);
	poll_disarm(poll_req);
	if (remove->flags & (IORING_POLL_UPDATE_EVENTS | IORING_POLL_UPDATE_USER_DATA))
		poll_update(poll_req, remove);
	else
		request_end(poll_req, -ECANCELED);
	return request_done(req, 0);
}

/*
 * cancel.c - taking requests from where they wait
 *
 * Whoever unlinks a request from where it waits owns it: each owner has a call
 * that unlinks and says whether it did. Against a wake-up, a timer or a
 * worker on another thread that one answer settles the race.
 *
 * A read at the device or of a page that is being read cannot be stopped,
 * neither here nor in the kernel; ASYNC_CANCEL says -ENOENT to it, as there.
 *
 * The kernel: io_try_cancel()
 */
#include "request/cancel.h"

#include <errno.h>

#include "request/futex.h"
#include "request/pending.h"
#include "request/poll.h"
#include "request/ring.h"
#include "request/timer.h"

/* 0: it completes with -ECANCELED, now or very soon. */
static int cancel_one(struct request *req)
{
	switch (load_relaxed(&req->state)) {
	case REQUEST_WAIT_POLL:
		poll_disarm(req);
		request_end(req, -ECANCELED);
		return 0;
	case REQUEST_WAIT_TIMER:
		if (!timer_disarm(req))
			return -EALREADY;
		request_end(req, -ECANCELED);
		return 0;
	case REQUEST_PUNTED:
		if (punt_cancel(&req->punt)) {
			request_end(req, -ECANCELED);
			return 0;
		}
		punt_interrupt(&req->punt);
		return req->op->is_counted_if_cancelled ? 0 : -EALREADY;
	case REQUEST_WAIT_FUTEX:
		return futex_wait_cancel(req);
	case REQUEST_QUEUED:
		return -EALREADY;
	default:
		return -ENOENT;
	}
}

int request_cancel(struct request *req)
{
	bool is_counted = req->op->is_counted_if_cancelled;
	int err = cancel_one(req);

	return err == 0 && is_counted ? 1 : err;
}

/* The number by which the program knows the request's file; -1: none. */
static int file_number(const struct request *req)
{
	if (req->file == NULL)
		return -1;
	if (load_relaxed(&req->state) != REQUEST_PUNTED)
		return file_fd(req->file);
	/* The worker's call is on a duplicate of its own. */
	return req->file_resource != NULL ? file_fd(req->file_resource->file) : req->fd;
}

static bool is_match(const struct request *req, const struct cancel_match *match)
{
	bool by_user_data = match->flags & IORING_ASYNC_CANCEL_USERDATA;

	if (req == match->self)
		return false;
	if (match->flags & IORING_ASYNC_CANCEL_ANY)
		return true;
	if (!(match->flags & (IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_OP)))
		by_user_data = true;
	if (match->flags & IORING_ASYNC_CANCEL_FD && file_number(req) != match->fd)
		return false;
	if (match->flags & IORING_ASYNC_CANCEL_OP && req->opcode != match->opcode)
		return false;
	return !by_user_data || req->user_data == match->user_data;
}

struct cancel_walk {
	const struct cancel_match *match;
	int result; /* the first answer that is not -ENOENT */
	u32 count;
	bool is_all;
};

static bool cancel_visit(struct request *req, void *arg)
{
	struct cancel_walk *walk = arg;
	int err;

	/* A link timeout is its request's; a timeout is not on any descriptor. */
	if (req->opcode == IORING_OP_LINK_TIMEOUT)
		return true;
	if (req->opcode == IORING_OP_TIMEOUT && walk->match->flags & IORING_ASYNC_CANCEL_FD)
		return true;
	if (!is_match(req, walk->match))
		return true;
	err = request_cancel(req);
	if (err == -ENOENT)
		return true;
	if (err >= 0)
		walk->count++;
	if (walk->result == -ENOENT || err >= 0)
		walk->result = err;
	return walk->is_all;
}

int cancel_matching(struct ring *ring, const struct cancel_match *match)
{
	struct cancel_walk walk = {
		.match = match,
		.result = -ENOENT,
		.is_all = match->flags & (IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY),
	};
	u32 without_key = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_OP;
	bool has_key =
		!(match->flags & without_key) || (match->flags & IORING_ASYNC_CANCEL_USERDATA &&
						  !(match->flags & IORING_ASYNC_CANCEL_ANY));

	pending_for_each(ring, has_key ? &match->user_data : NULL, cancel_visit, &walk);
	return walk.is_all ? (int)walk.count : walk.result;
}

static bool end_visit(struct request *req, void *arg)
{
	(void)arg;
	request_cancel(req);
	return true;
}

void cancel_everything(struct ring *ring)
{
	pending_for_each(ring, NULL, end_visit, NULL);
}

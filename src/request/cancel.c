/*
 * cancel.c - taking requests from where they wait
 *
 * Whoever unlinks a request from where it waits owns it: each owner has a call
 * that unlinks and says whether it did. Against a wake-up, a timer or a
 * worker on another thread that one answer settles the race.
 *
 * A read at the device, or of a page that the kernel reads, cannot be stopped,
 * neither here nor in the kernel; ASYNC_CANCEL says -ENOENT to it, as there. One that
 * waits for a page of our own cache is taken from the page's queue.
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

/* What was or is in a worker's hands may be done: whether it ends all the same. */
static bool stops(struct request *req)
{
	return req->op->stop != NULL && req->op->stop(req);
}

/* 0: it completes with -ECANCELED, now or very soon. */
static int cancel_one(struct request *req)
{
	switch (load_acquire(&req->state)) { /* pairs with request_set_state() */
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
		return stops(req) || req->op->is_counted_if_cancelled ? 0 : -EALREADY;
	case REQUEST_WAIT_FUTEX:
		return futex_wait_cancel(req);
	case REQUEST_WAIT_PAGE:
		if (req->op->unwait == NULL || !req->op->unwait(req))
			return -ENOENT;
		request_end(req, -ECANCELED);
		return 0;
	case REQUEST_QUEUED:
		if (req->flags & REQ_POLL_WOKEN) {
			/* Not issued again: it might wait once more, the cancel forgotten. */
			req->flags = (req->flags & ~REQ_POLL_WOKEN) | REQ_FINISHED;
			request_set_result(req, -ECANCELED);
			return 0;
		}
		return stops(req) ? 0 : -EALREADY;
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
	/* A worker's call is on a duplicate of its own, and so are later tries of a multishot
	 * request. (While it runs, the flags are the worker's; when it is QUEUED, what it wrote is
	 * to be seen: request_set_state().) */
	if (load_acquire(&req->state) != REQUEST_PUNTED && !(req->flags & REQ_FILE_DUPLICATE))
		return file_fd(req->file);
	return req->file_resource != NULL ? file_fd(req->file_resource->file) : req->fd;
}

int cancel_resolve(const struct ring *ring, struct cancel_match *match, bool is_fixed)
{
	const struct resource *slot;

	if (!is_fixed)
		return file_classify(match->fd) == FILE_UNKNOWN ? -EBADF : 0;
	slot = resource_lookup(&ring->files, (u32)match->fd);
	if (slot == NULL || slot->file == NULL)
		return -EBADF;
	match->fd = file_fd(slot->file);
	return 0;
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

/*
 * The kernel asks its workers first, for the calls that match and have not begun; then, unless it
 * looks for one request and found it there, it interrupts those that run; then it looks elsewhere.
 * So a worker that an interrupt sets free never begins a call that is to be cancelled as well.
 */
struct cancel_walk {
	const struct cancel_match *match;
	int result; /* the first answer that is not -ENOENT */
	u32 count;
	bool is_all;
	bool any_unbegun, any_running; /* of the punted ones; any_running: to be interrupted */
	bool any_waitid, any_futex;    /* of those with ASYNC_CANCEL_ALL all count as one */
};

/* Not of WAITID and ACCEPT: those wait in the pool here only. */
static bool is_punted_call(const struct request *req)
{
	return load_relaxed(&req->state) == REQUEST_PUNTED && !req->op->is_counted_if_cancelled &&
	       req->op->stop == NULL;
}

static bool cancel_visit_unbegun(struct request *req, void *arg)
{
	struct cancel_walk *walk = arg;

	if (!is_punted_call(req) || !is_match(req, walk->match))
		return true;
	if (!punt_cancel(&req->punt)) {
		walk->any_running = true;
		return true;
	}
	request_end(req, -ECANCELED);
	walk->any_unbegun = true;
	return walk->is_all;
}

static bool cancel_visit_running(struct request *req, void *arg)
{
	struct cancel_walk *walk = arg;

	if (!is_punted_call(req) || !is_match(req, walk->match))
		return true;
	punt_interrupt(&req->punt);
	return walk->is_all;
}

static void cancel_count(struct cancel_walk *walk, const struct request *req)
{
	bool *any = req->opcode == IORING_OP_WAITID ? &walk->any_waitid : &walk->any_futex;

	if (!req->op->is_counted_if_cancelled || !(walk->match->flags & IORING_ASYNC_CANCEL_ALL)) {
		walk->count++;
		return;
	}
	walk->count += !*any;
	*any = true;
}

static bool cancel_visit(struct request *req, void *arg)
{
	struct cancel_walk *walk = arg;
	int err;

	/* A link timeout is its request's; a timeout is not on any descriptor. */
	if (req->opcode == IORING_OP_LINK_TIMEOUT)
		return true;
	if (req->opcode == IORING_OP_TIMEOUT && walk->match->flags & IORING_ASYNC_CANCEL_FD)
		return true;
	if (!is_match(req, walk->match) || is_punted_call(req))
		return true;
	err = request_cancel(req);
	if (err == -ENOENT)
		return true;
	if (err >= 0)
		cancel_count(walk, req);
	if (walk->result == -ENOENT || walk->any_running || err >= 0)
		walk->result = err;
	return walk->is_all;
}

static bool cancel_visit_all(struct request *req, void *arg)
{
	return is_punted_call(req) ? cancel_visit_unbegun(req, arg) : cancel_visit(req, arg);
}

/* How many, as the kernel counts: calls that had not begun are one; none, if others were running.
 * Only a running call makes a second walk necessary. */
static u32 cancel_all_matching(struct ring *ring, const u64 *key, struct cancel_walk *walk)
{
	pending_for_each(ring, key, cancel_visit_all, walk);
	if (walk->any_running)
		pending_for_each(ring, key, cancel_visit_running, walk);
	return walk->count + (walk->any_unbegun && !walk->any_running);
}

static int cancel_one_matching(struct ring *ring, const u64 *key, struct cancel_walk *walk)
{
	pending_for_each(ring, key, cancel_visit_unbegun, walk);
	if (walk->any_unbegun)
		return 0;
	if (walk->any_running) {
		pending_for_each(ring, key, cancel_visit_running, walk);
		walk->result = -EALREADY;
	}
	pending_for_each(ring, key, cancel_visit, walk);
	return walk->result;
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
	const u64 *key = has_key ? &match->user_data : NULL;

	if (walk.is_all)
		return (int)cancel_all_matching(ring, key, &walk);
	return cancel_one_matching(ring, key, &walk);
}

static bool end_visit(struct request *req, void *arg)
{
	(void)arg;
	request_cancel(req);
	return true;
}

void cancel_everything(struct ring *ring)
{
	static const struct cancel_match all = {.flags = IORING_ASYNC_CANCEL_ANY};
	struct cancel_walk walk = {.match = &all, .is_all = true};

	pending_for_each(ring, NULL, cancel_visit_unbegun, &walk);
	pending_for_each(ring, NULL, end_visit, NULL);
}

/*
 * link.c - links, link timeouts and drain
 *
 * A link is a list by req->link; its first request stands for it, the others
 * are HELD until their predecessor completes. A failed request (a negative
 * result, or a short transfer) fails what is linked behind it, unless it was
 * linked hard. A request whose SQE is refused does not break the link that is
 * being built: it is marked, so is the first, and the whole link fails when it
 * is complete.
 *
 * A link timeout stands behind the request it guards. It starts when that one
 * waits, leaves the link then, and whichever of the two ends first takes the
 * other: the guarded one by link_continue(), the timeout by link_timeout_expired().
 *
 * Drain: a request marked IO_DRAIN, and all that come after it, go to
 * ring->drain in order. The first of that list starts when every request that is
 * not in it is gone; after a drained one the next waits again (drain_check()).
 *
 * The kernel: io_submit_sqe(), io_disarm_next(), io_drain_req(). There a request in the
 * list is allocated anew, and links are counted by walking; here too.
 */
#include "request/link.h"

#include <errno.h>

#include "request/cancel.h"
#include "request/pending.h"
#include "request/ring.h"
#include "request/timer.h"

static u32 link_length(const struct request *req)
{
	u32 length = 0;

	for (; req != NULL; req = req->link)
		length++;
	return length;
}

static void drain_hold(struct ring *ring, struct request *head)
{
	ring->drain_held += link_length(head);
	head->ready_next = NULL;
	*ring->drain_tail = head;
	ring->drain_tail = &head->ready_next;
	drain_check(ring);
	/* Nothing is held any more and this one did not ask for a drain: the drain is over. */
	if (!(head->flags & (IOSQE_IO_DRAIN | REQ_DRAIN_LATER)) && ring->drain_head == NULL)
		ring->drain_active = false;
}

void drain_check(struct ring *ring)
{
	bool is_first = true, drain_seen = false;

	while (ring->drain_head != NULL) {
		struct request *head = ring->drain_head;

		drain_seen |= (head->flags & (IOSQE_IO_DRAIN | REQ_DRAIN_LATER)) != 0;
		if ((drain_seen || is_first) && ring->requests.used != ring->drain_held)
			return;
		ring->drain_head = head->ready_next;
		if (ring->drain_head == NULL)
			ring->drain_tail = &ring->drain_head;
		ring->drain_held -= link_length(head);
		ring_ready_add(ring, head);
		is_first = false;
	}
}

void drain_begin(struct ring *ring)
{
	ring->drain_active = true;
	/* In the middle of a link: its first request is drained, and so is what follows the
	 * link. */
	if (ring->link_head != NULL) {
		ring->link_head->flags |= IOSQE_IO_DRAIN | REQ_FORCE_ASYNC;
		ring->drain_next = true;
	}
}

void drain_mark(struct ring *ring, struct request *req)
{
	if (ring->drain_active)
		req->flags |= REQ_FORCE_ASYNC;
	if (ring->drain_next && ring->link_head == NULL) {
		ring->drain_next = false;
		ring->drain_active = true;
		req->flags |= REQ_DRAIN_LATER | REQ_FORCE_ASYNC;
	}
}

/* A request alone, or the first of a complete link. */
static void start(struct ring *ring, struct request *head)
{
	if (unlikely(head->flags & REQ_FAILED)) {
		/* Nothing of a link with a refused SQE runs: hard links fail like the others. */
		head->flags &= ~IOSQE_IO_HARDLINK;
		head->flags |= IOSQE_IO_LINK;
		head->result = head->errno_of_prep;
		request_complete(head);
	} else if (unlikely(head->flags & REQ_FORCE_ASYNC && ring->drain_active)) {
		request_set_state(head, REQUEST_HELD);
		drain_hold(ring, head);
	} else {
		request_issue(head);
	}
}

static void mark_refused(struct request *req, int err)
{
	request_fail(req);
	req->errno_of_prep = err;
}

int link_submit(struct ring *ring, struct request *req, int err)
{
	struct request *head = ring->link_head;

	if (unlikely(err)) {
		mark_refused(req, err);
		if (head != NULL && !(head->flags & REQ_FAILED))
			mark_refused(head, -ECANCELED);
	}
	if (likely(head == NULL && !(req->flags & REQ_LINKED))) {
		start(ring, req);
		return err;
	}
	if (head != NULL) {
		ring->link_last->link = req;
		request_set_state(req, REQUEST_HELD);
	} else {
		ring->link_head = req;
	}
	ring->link_last = req;
	if (req->flags & REQ_LINKED)
		return 0; /* a refused SQE ends the batch only where it ends its link */
	link_submit_end(ring);
	return err;
}

void link_submit_end(struct ring *ring)
{
	struct request *head = ring->link_head;

	ring->link_head = ring->link_last = NULL;
	if (head != NULL)
		start(ring, head);
}

/* Everything behind a failed request. `is_silent`: that one had CQE_SKIP, so have these. */
static void fail_links(struct request *req, bool is_silent)
{
	while (req != NULL) {
		struct request *next = req->link;

		req->link = NULL;
		req->flags &= ~(REQ_LINKED | REQ_ARM_LTIMEOUT | IOSQE_CQE_SKIP_SUCCESS);
		if (is_silent)
			req->flags |= IOSQE_CQE_SKIP_SUCCESS;
		req->result = req->flags & REQ_FAILED ? req->errno_of_prep : -ECANCELED;
		/* Behind the link timeout, if there is one, that goes with the request that
		 * failed. */
		req->flags |= REQ_FINISHED;
		ring_ready_add(req->ring, req);
		req = next;
	}
}

static bool is_link_timeout(const struct request *req)
{
	return req != NULL && req->opcode == IORING_OP_LINK_TIMEOUT;
}

/* Takes the link timeout behind `req` out of the link; what was behind it follows `req`. */
static struct request *unlink_timeout(struct request *req)
{
	struct request *timeout = req->link;

	req->flags &= ~REQ_ARM_LTIMEOUT;
	if (!is_link_timeout(timeout))
		return NULL;
	req->link = timeout->link;
	timeout->link = NULL;
	timeout->flags &= ~REQ_LINKED;
	return timeout;
}

void link_continue(struct request *req)
{
	struct ring *ring = req->ring;
	struct request *timeout = NULL, *next;

	if (req->flags & REQ_ARM_LTIMEOUT) {
		timeout = unlink_timeout(req);
	} else if (req->flags & REQ_LTIMEOUT_ARMED && req->ltimeout != NULL) {
		timeout = req->ltimeout;
		req->ltimeout = NULL;
		timeout->ltimeout_of = NULL;
		/* Not armed any more: it fired, and completes by itself. */
		if (!timer_disarm(timeout))
			timeout = NULL;
	}
	if (timeout != NULL) {
		timeout->result = -ECANCELED;
		timeout->flags |= REQ_FINISHED;
		ring_ready_add(ring, timeout);
	}
	next = req->link;
	req->link = NULL;
	if (next == NULL)
		return;
	if (req->flags & REQ_FAILED && !(req->flags & IOSQE_IO_HARDLINK))
		fail_links(next, req->flags & REQ_SKIP_LINK_CQES);
	else
		ring_ready_add(ring, next);
}

void link_timeout_start(struct request *req)
{
	struct request *timeout;

	if (likely(!(req->flags & REQ_ARM_LTIMEOUT)))
		return;
	timeout = unlink_timeout(req);
	if (timeout == NULL)
		return;
	req->flags |= REQ_LTIMEOUT_ARMED;
	req->ltimeout = timeout;
	timeout->ltimeout_of = req;
	/* From HELD by way of ISSUED to WAIT_TIMER: as if it had been submitted alone. */
	request_issue(timeout);
}

void link_timeout_expired(struct request *timeout)
{
	struct request *guarded = timeout->ltimeout_of;
	int err = 0;

	if (guarded != NULL) {
		/* Not its flags: a worker or the page-in waiter may own it, and set them now. */
		guarded->ltimeout = NULL;
		timeout->ltimeout_of = NULL;
		err = request_cancel(guarded);
	}
	/* Not request_end(): a link timeout that fired did what it was for, so CQE_SKIP holds
	 * for it. */
	timeout->flags |= REQ_FINISHED;
	timeout->result = err ? err : -ETIME;
	ring_ready_add(timeout->ring, timeout);
}

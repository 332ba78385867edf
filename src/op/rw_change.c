/*
 * rw_change.c - what a write to an exclusive file has still to do when the kernel has its bytes
 *
 * The pages that it changed are dropped, and only then the write completes. One that is
 * being filled may be getting the old bytes: the request waits for it like a read does,
 * WAIT_PAGE, with the write's result kept, and is issued again; the write itself is not.
 *
 *      the system call returned, or the device --> own_change_try() --DONE--> rw_done()
 *                                                    ^        |
 *                        unlocked: task work, retry  '-- CAUGHT
 *
 * Threads: the driver's; page_is_unlocked() is called by any thread, with a wait queue locked
 * Not here: which bytes those are (file/own_change.c)
 */
#include "file/own.h"
#include "op/rw.h"
#include "request/link.h"
#include "request/pending.h"
#include "request/ring.h"

/* From the write's end until its pages are dropped. */
struct rw_change {
	struct own_change change;
	struct cache_waiter waiter;
	struct request *req;
	long result;  /* of the write */
	bool is_done; /* the pages are dropped */
};

static void page_is_unlocked(struct cache_waiter *waiter)
{
	request_task_work_add(container_of(waiter, struct rw_change, waiter)->req);
}

/* The pages that are left are waited for here: there is no memory to wait otherwise, or no time
 * left, since the ring ends. */
static void drop_now(struct own_change *change)
{
	while (own_change_try(change) == CACHE_CAUGHT)
		cache_drop_range(change->drop.binding, change->drop.offset, change->drop.end);
}

void rw_change_free(struct request *req)
{
	struct rw *rw = request_data(req, struct rw);

	if (likely(rw->change == NULL))
		return;
	if (!rw->change->is_done)
		drop_now(&rw->change->change);
	ring_free(req->ring, rw->change, sizeof(*rw->change));
}

enum issue_verdict rw_change_go_on(struct request *req)
{
	struct rw_change *change = request_data(req, struct rw)->change;

	if (own_change_try(&change->change) == CACHE_DONE) {
		change->is_done = true;
		return rw_done(req, change->result);
	}
	request_set_state(req, REQUEST_WAIT_PAGE);
	pending_add(req);
	stats_count(req->ring->stats, COUNTER_WAITS_PAGE, 1);
	link_timeout_start(req);
	req->ring->waits_for_cache = true;
	if (own_change_wait(&change->change, &change->waiter) != CACHE_WAITING)
		ring_ready_add(req->ring, req); /* as if it had been woken */
	return ISSUE_WAITING;
}

bool rw_change_begin(struct request *req, const struct own_writer *writer, long written)
{
	struct rw *rw = request_data(req, struct rw);
	struct own_change change;
	struct own_range range;
	int fd = request_fd(req);

	if (written <= 0 || likely(load_acquire(&own_exclusive_count) == 0))
		return false;
	range = own_write_range(writer, fd, rw->offset, (u64)written);
	if (!own_change_begin(&change, fd, range.offset, range.end))
		return false;
	if (own_change_try(&change) == CACHE_DONE)
		return false;
	rw->change = ring_alloc(req->ring, sizeof(*rw->change));
	if (rw->change == NULL) {
		drop_now(&change);
		return false;
	}
	*rw->change = (struct rw_change){
		.change = change,
		.waiter.retry = page_is_unlocked,
		.req = req,
		.result = written,
	};
	list_init(&rw->change->waiter.entry.node);
	return true;
}

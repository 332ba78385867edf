/*
 * rw_owned.c - reads of files that our own page cache holds
 *
 * What a request is while cache/read.c does the reading: ISSUED during the try,
 * WAIT_PAGE from before it enqueues, for it may be woken before that call returns;
 * then QUEUED, by whoever unlocks the page, and issued again from where it was. What the cache
 * refuses goes through the kernel's cache, from where it was, too.
 *
 * Threads: issue is the driver's. page_is_unlocked() is called by any thread, with a wait
 * queue locked: it hands over by request_task_work_add() and nothing else.
 * The kernel: io_read(), where it meets IOCB_WAITQ
 */
#include "cache/read.h"
#include "file/own.h"
#include "op/ops.h"
#include "op/rw.h"
#include "request/link.h"
#include "request/pending.h"
#include "request/ring.h"

/* From the first page that caught the read to its end. */
struct rw_cached {
	struct cache_waiter waiter;
	struct request *req;
	bool is_refused; /* the rest goes through the kernel's cache */
};

void rw_cached_free(struct request *req)
{
	struct rw *rw = request_data(req, struct rw);

	ring_free(req->ring, rw->cached, sizeof(*rw->cached));
}

static void page_is_unlocked(struct cache_waiter *waiter)
{
	request_task_work_add(container_of(waiter, struct rw_cached, waiter)->req);
}

bool rw_cached_unwait(struct request *req)
{
	const struct rw *rw = request_data(req, struct rw);

	return rw->cached != NULL && !rw->cached->is_refused &&
	       cache_read_cancel(&rw->cached->waiter);
}

static struct rw_cached *cached_alloc(struct request *req)
{
	struct rw *rw = request_data(req, struct rw);

	if (rw->cached == NULL) {
		rw->cached = ring_alloc(req->ring, sizeof(*rw->cached));
		if (rw->cached == NULL)
			return NULL;
		*rw->cached = (struct rw_cached){.waiter.retry = page_is_unlocked, .req = req};
		list_init(&rw->cached->waiter.entry.node);
		stats_count(req->ring->stats, COUNTER_CACHE_MISSES, 1);
	}
	return rw->cached;
}

/* A page caught it. */
static enum issue_verdict wait_for_page(struct request *req, struct cache_read *read)
{
	struct rw_cached *cached = cached_alloc(req);

	if (cached == NULL || request_hold_file(req))
		return rw_done(req, -ENOMEM);
	request_set_state(req, REQUEST_WAIT_PAGE);
	pending_add(req);
	stats_count(req->ring->stats, COUNTER_WAITS_PAGE, 1);
	link_timeout_start(req);
	req->ring->waits_for_cache = true;
	switch (cache_read_wait(read, &cached->waiter)) {
	case CACHE_WAITING:
		return ISSUE_WAITING;
	case CACHE_RETRY:
		break;
	default:
		/* CACHE_FAILED, too: what a direct read could not have, a buffered one may, or it
		 * says what the program is to be told. On a failing disk that is -EIO again. */
		cached->is_refused = true;
		break;
	}
	/* It does not wait after all: as if it had been woken. */
	ring_ready_add(req->ring, req);
	return ISSUE_WAITING;
}

enum issue_verdict read_owned(struct request *req)
{
	struct rw *rw = request_data(req, struct rw);
	int fd = request_fd(req);
	struct cache_read read = {
		.binding = own_binding(fd),
		.readahead = own_readahead(fd),
		.iov = rw->iov,
		.iov_count = rw->iov_count,
		.offset = rw->offset,
	};
	enum cache_verdict verdict;

	/* The position of the file is the kernel's, and so are flags but that of not waiting, and
	 * to refuse an end that no offset can name. */
	if (unlikely(read.binding == 0 || rw->offset == OFFSET_CURRENT ||
		     rw->rw_flags & ~RWF_NOWAIT ||
		     (s64)(rw->offset + rw->wanted - rw->copied) < 0 ||
		     (rw->cached && rw->cached->is_refused)))
		return read_regular(req);
	verdict = cache_read_try(&read);
	rw->iov = read.iov;
	rw->iov_count = read.iov_count;
	rw->offset = read.offset;
	rw->copied += (u32)read.copied;
	switch (verdict) {
	case CACHE_DONE:
		if (likely(rw->cached == NULL))
			stats_count(req->ring->stats, COUNTER_CACHE_HITS, 1);
		return rw_done(req, 0);
	case CACHE_FAULT:
		return rw_done(req, -EFAULT);
	case CACHE_CAUGHT:
		if (!(req->flags & REQ_NOWAIT))
			return wait_for_page(req, &read);
		break;
	default:
		break;
	}
	return read_regular(req);
}

/* What our cache knows the number by, if it does; asks nobody. */
static cache_binding binding_hint(int fd)
{
	const struct fd_slot *slot = fd_slot(fd);

	return slot != NULL ? load_relaxed(&slot->binding) : 0;
}

bool read_hit(const struct ring *ring, const struct io_uring_sqe *sqe, struct cache_hit *hit)
{
	int fd = load_relaxed(&sqe->fd);
	u64 offset = load_relaxed(&sqe->off), user = load_relaxed(&sqe->addr);
	u32 count = load_relaxed(&sqe->len);
	cache_binding binding;

	if (binding_hint(fd) == 0 || (s64)offset < 0 || user > USER_ADDRESS_END - count ||
	    ring->setup_flags & IORING_SETUP_IOPOLL)
		return false;
	hit->user = (void *)user;
	binding = own_binding(fd);
	return binding != 0 && cache_hit_look(hit, binding, own_readahead(fd), offset, count);
}

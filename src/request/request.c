/*
 * request.c - the life of a request (see request.h for its drawing)
 *
 * A request is issued by request_issue(), the one place where an operation's
 * verdict is acted upon; it ends in request_complete(), the one place where
 * CQEs of requests come from.
 *
 * Not here: links and drain (link.c), polls (poll.c), timers (timer.c), the
 * submission of a batch (syscall/enter.c).
 */
#include "request/request.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include "host/kernel.h"
#include "observe/ticks.h"
#include "request/buffers.h"
#include "request/link.h"
#include "request/pending.h"
#include "request/poll.h"
#include "request/ring.h"
#include "request/timer.h"
#include "request/wait.h"

#define BIT(state) (1u << REQUEST_##state)

/* Where each state may go: T1 of request.h. */
const u16 request_legal_moves[REQUEST_COMPLETE + 1] = {
	[REQUEST_SUBMITTED] = BIT(ISSUED) | BIT(HELD) | BIT(COMPLETE),
	[REQUEST_HELD] = BIT(QUEUED) | BIT(ISSUED) | BIT(COMPLETE),
	[REQUEST_QUEUED] = BIT(ISSUED) | BIT(COMPLETE) | BIT(HELD) | BIT(WAIT_POLL) |
			   BIT(WAIT_PAGE) | BIT(WAIT_DEVICE) | BIT(WAIT_TIMER) | BIT(WAIT_FUTEX) |
			   BIT(PUNTED),
	[REQUEST_ISSUED] = BIT(QUEUED) | BIT(COMPLETE) | BIT(WAIT_POLL) | BIT(WAIT_PAGE) |
			   BIT(WAIT_DEVICE) | BIT(WAIT_TIMER) | BIT(WAIT_FUTEX) | BIT(PUNTED),
	[REQUEST_WAIT_PAGE] = BIT(QUEUED),
	[REQUEST_WAIT_DEVICE] = BIT(QUEUED),
	[REQUEST_WAIT_POLL] = BIT(QUEUED),
	[REQUEST_WAIT_TIMER] = BIT(QUEUED),
	[REQUEST_WAIT_FUTEX] = BIT(QUEUED),
	[REQUEST_PUNTED] = BIT(QUEUED),
	[REQUEST_COMPLETE] = 0,
};

static const char *const state_names[] = {
	[REQUEST_SUBMITTED] = "SUBMITTED",   [REQUEST_HELD] = "HELD",
	[REQUEST_QUEUED] = "QUEUED",         [REQUEST_ISSUED] = "ISSUED",
	[REQUEST_WAIT_PAGE] = "WAIT_PAGE",   [REQUEST_WAIT_DEVICE] = "WAIT_DEVICE",
	[REQUEST_WAIT_POLL] = "WAIT_POLL",   [REQUEST_WAIT_TIMER] = "WAIT_TIMER",
	[REQUEST_WAIT_FUTEX] = "WAIT_FUTEX", [REQUEST_PUNTED] = "PUNTED",
	[REQUEST_COMPLETE] = "COMPLETE",
};

const char *request_state_name(enum request_state state)
{
	return state_names[state];
}

void ring_ready_add(struct ring *ring, struct request *req)
{
	rs_assert(ring_is_mine(ring));
	request_set_state(req, REQUEST_QUEUED);
	req->ready_next = NULL;
	*ring->ready_tail = req;
	ring->ready_tail = &req->ready_next;
}

static void task_work_push(struct request *req)
{
	/* req may be gone as soon as it is pushed, if it is handed over; rings never are */
	struct ring *ring = req->ring;

	/* From the push on the driver may complete the request and end the ring; it waits for us
	 * before it closes what we wake it by. */
	add_full(&ring->wakers, 1);
	if (mpsc_push(&ring->task_work, &req->task_work) && load_relaxed(&ring->wants_wake))
		wait_wake(ring);    /* the push is a full barrier; pairs with wait_wants_wake() */
	sub_full(&ring->wakers, 1); /* pairs with ring_delete() */
}

void request_task_work_add(struct request *req)
{
	request_set_state(req, REQUEST_QUEUED);
	task_work_push(req);
}

/*
 * What a worker has to say of a request, whose task work can be queued only once:
 *
 *                 request_tell_progress()           punt_done()
 *   NEWS_NONE ----------------------------> NEWS_PROGRESS ---------> NEWS_DONE
 *     ^   ^  |    (queues the task work)      |  (queues nothing)      |  ^
 *     |   |  '--------------------------------+------------------------+--'
 *     |   |          punt_done() (queues the task work)                |
 *     |   '-----------------------------------'                        |
 *     |        run_task_work(): op->progress()                         |
 *     '----------------------------------------------------------------'
 *              run_task_work(): the request, which is the driver's now
 *
 * Who replaces NEWS_NONE queues, and the driver puts NEWS_NONE back when it has come to it. Behind
 * NEWS_DONE the worker touches the request no more. Only requests whose operation has a progress()
 * are asked for news; they come to the task work by way of the pool alone.
 */
enum { NEWS_NONE, NEWS_PROGRESS, NEWS_DONE };

void request_tell_progress(struct request *req)
{
	if (exchange_full(&req->news, NEWS_PROGRESS) == NEWS_NONE)
		task_work_push(req);
}

void ring_post(struct ring *ring, u64 user_data, s32 result, u32 cqe_flags, const u64 *extra)
{
	stats_count(ring->stats, COUNTER_CQES, 1);
	ring->event_is_due |= !ring->event_async_only || !ring->is_submitting;
	ring->count_cqes++;
	if (!cq_post(&ring->cq, &ring->memory, user_data, result, cqe_flags, extra))
		stats_count(ring->stats, COUNTER_CQ_OVERFLOWS, 1);
}

bool request_post_more(struct request *req, s32 result, u32 cqe_flags)
{
	struct ring *ring = req->ring;
	u32 backlog = ring->cq.backlog_count;

	ring_post(ring, req->user_data, result, cqe_flags | IORING_CQE_F_MORE, NULL);
	return ring->cq.backlog_count == backlog;
}

int request_hold_file(struct request *req)
{
	if (req->file != NULL)
		return 0;
	req->file = file_hold(req->fd);
	if (req->file == NULL)
		return -ENOMEM;
	req->flags |= REQ_FILE_OWNED;
	return 0;
}

void request_free(struct request *req)
{
	struct ring *ring = req->ring;

	if (req->op != NULL && req->op->cleanup != NULL)
		req->op->cleanup(req);
	if (req->flags & REQ_FILE_OWNED)
		file_put(req->file);
	if (req->file_resource)
		resource_put(ring, req->file_resource);
	if (req->buffer_resource)
		resource_put(ring, req->buffer_resource);
	if (unlikely(req->flags & REQ_POLL_LASTING))
		poll_leave(req);
	if (unlikely(req->buffer != NULL))
		buffers_free(ring, req->buffer);
	slab_free(&ring->requests, req);
}

static void complete_stats(struct ring *ring, const struct request *req)
{
	stats_count_op(ring->stats, req->opcode, req->result);
	if (ring->is_submitting)
		stats_count(ring->stats, COUNTER_INLINE, 1);
	if (unlikely(stats_has_latency))
		stats_latency_record(ring->stats, req->opcode, ticks_now() - req->submit_ticks);
}

/* The CQE of a request that borrowed memory, and the one that gives it back: it was copied. */
static void post_with_notification(struct request *req)
{
	struct ring *ring = req->ring;
	u32 usage = req->flags & REQ_NOTIFIES_USAGE ? IORING_NOTIF_USAGE_ZC_COPIED : 0;

	ring_post(ring, req->user_data, req->result, req->cqe_flags | IORING_CQE_F_MORE, NULL);
	ring_post(ring, req->user_data, (s32)usage, IORING_CQE_F_NOTIF, NULL);
}

void request_complete(struct request *req)
{
	struct ring *ring = req->ring;

	if (req->flags & REQ_PENDING)
		pending_remove(req);
	request_set_state(req, REQUEST_COMPLETE);
	complete_stats(ring, req);
	if (unlikely(req->flags & REQ_NOTIFIES))
		post_with_notification(req);
	else if (likely(!(req->flags & IOSQE_CQE_SKIP_SUCCESS)))
		ring_post(ring, req->user_data, req->result, req->cqe_flags,
			  req->flags & REQ_WIDE_CQE ? request_data(req, u64) : NULL);
	if (unlikely(req->opcode == IORING_OP_TIMEOUT))
		ring->count_cqes--; /* timeouts do not count as the CQEs that they count */
	if (unlikely(req->flags & (REQ_LINKED | REQ_ARM_LTIMEOUT | REQ_LTIMEOUT_ARMED)))
		link_continue(req);
	request_free(req);
	if (unlikely(ring->drain_active))
		drain_check(ring);
}

void request_end(struct request *req, s32 result)
{
	req->flags |= REQ_FINISHED;
	request_set_result(req, result);
	ring_ready_add(req->ring, req);
}

/* What the worker runs. The request is its own until punt_done() hands it over. */
static void punt_run(struct punt_work *work)
{
	struct request *req = container_of(work, struct request, punt);

	req->op->block(req);
}

static void punt_done(struct punt_work *work)
{
	struct request *req = container_of(work, struct request, punt);

	req->flags |= REQ_FINISHED;
	request_set_state(req, REQUEST_QUEUED);
	if (exchange_full(&req->news, NEWS_DONE) == NEWS_NONE)
		task_work_push(req);
}

/* The worker makes its call when it comes to it, so it gets a descriptor that only it can close. */
static int punt_take_file(struct request *req)
{
	struct file *file;
	int err;

	if (!req->op->needs_file)
		return 0;
	file = file_duplicate(request_fd(req), &err);
	if (file == NULL)
		return err;
	if (req->flags & REQ_FILE_OWNED)
		file_put(req->file);
	req->file = file;
	req->flags |= REQ_FILE_OWNED | REQ_FILE_DUPLICATE;
	return 0;
}

/*
 * The submitting thread's pool, as in the kernel. What waited first, and is punted by whoever
 * drives the ring then (the reactor has no pool), goes to the creator's at worst.
 */
static struct punt_pool *punt_choose_pool(const struct ring *ring)
{
	struct punt_pool *pool = punt_pool_of_thread();
	u32 ignored[2];

	if (ring_is_sqpoll(ring) || (pool == NULL && !ring->is_submitting))
		return ring->pool;
	if (pool != NULL)
		return pool;
	pool = punt_pool_start(ring->memory.sq_entries);
	if (pool == NULL)
		return ring->pool;
	punt_limits(pool, ring->worker_limits, ignored);
	return pool;
}

/*
 * Whether the call ends by itself, which those on regular files do, and which calls it must not
 * overtake, or run beside: on one regular file some wait for each other, on an IOPOLL ring all.
 */
static u64 punt_serial_key(const struct request *req, bool *is_bounded)
{
	bool is_serial = req->op->is_serial || req->ring->setup_flags & IORING_SETUP_IOPOLL;
	struct stat status;

	*is_bounded = !req->op->is_unbounded;
	if (!req->op->needs_file || (*is_bounded && !is_serial))
		return 0;
	if (host_call(SYS_newfstatat, request_fd(req), "", &status, AT_EMPTY_PATH) != 0)
		return 0;
	if (S_ISREG(status.st_mode) || S_ISBLK(status.st_mode))
		*is_bounded = true;
	if (!S_ISREG(status.st_mode) || !is_serial)
		return 0;
	return status.st_dev << 40 ^ status.st_ino ^ 1ull << 63; /* not 0 */
}

void request_punt(struct request *req)
{
	struct ring *ring = req->ring;
	int err = punt_take_file(req);
	bool is_bounded;
	u64 key;

	if (err) {
		request_set_result(req, err);
		request_complete(req);
		return;
	}
	key = punt_serial_key(req, &is_bounded);
	punt_work_init(&req->punt, punt_run, punt_done, key);
	req->news = NEWS_NONE;
	request_set_state(req, REQUEST_PUNTED);
	pending_add(req);
	stats_count(ring->stats, COUNTER_PUNTS, 1);
	link_timeout_start(req);
	if (punt_queue(punt_choose_pool(ring), &req->punt, is_bounded) == 0)
		return;
	/* No thread to be had: the call is made here. Slow, but nothing is lost. */
	req->op->block(req);
	req->flags |= REQ_FINISHED;
	ring_ready_add(ring, req);
}

/* Finds what sqe->fd names. Only a fixed file is looked up here: a bad number is found by the
 * call itself. */
static int resolve_file(struct request *req)
{
	if (!(req->flags & IOSQE_FIXED_FILE) || req->file != NULL)
		return 0;
	req->file_resource = resource_lookup(&req->ring->files, (u32)req->fd);
	if (req->file_resource == NULL || req->file_resource->file == NULL) {
		req->file_resource = NULL;
		return -EBADF;
	}
	req->file_resource->refs++;
	req->file = req->file_resource->file;
	return 0;
}

/* Its operation said to wait for the file. */
static void issue_poll(struct request *req)
{
	int err;

	if (req->flags & REQ_NOWAIT) {
		request_set_result(req, -EAGAIN);
		request_complete(req);
		return;
	}
	if (poll_arm_again(req))
		return;
	err = poll_arm(req, req->flags & REQ_POLL_URGENT ? EPOLLPRI : req->op->poll_events);
	if (err == -EPERM && req->op->block != NULL) {
		request_punt(req); /* a file that cannot be polled: the call can only block */
		return;
	}
	if (err) {
		request_set_result(req, err);
		request_complete(req);
	}
}

void request_issue(struct request *req)
{
	struct ring *ring = req->ring;

	request_set_state(req, REQUEST_ISSUED);
	if (unlikely(req->flags & REQ_ISSUED_ONCE))
		stats_count(ring->stats, COUNTER_RETRIES, 1);
	req->flags |= REQ_ISSUED_ONCE;
	if (req->op->needs_file) {
		int err = resolve_file(req);

		if (unlikely(err)) {
			request_set_result(req, err);
			request_complete(req);
			return;
		}
	}
	switch (req->op->issue ? req->op->issue(req) : ISSUE_PUNT) {
	case ISSUE_DONE:
		request_complete(req);
		break;
	case ISSUE_POLL:
		issue_poll(req);
		break;
	case ISSUE_PUNT:
		request_punt(req);
		break;
	case ISSUE_WAITING:
		break;
	}
}

/* One QUEUED request: finished where it waited, to be issued, or caught again. */
static void run_one(struct request *req)
{
	/* One that waits again and again (poll.c) stays among those that wait. */
	if ((req->flags & (REQ_PENDING | REQ_POLL_LASTING)) == REQ_PENDING)
		pending_remove(req);
	req->flags &= ~REQ_POLL_WOKEN;
	if (req->flags & REQ_FINISHED && req->op != NULL && req->op->finish != NULL)
		req->op->finish(req);
	if (unlikely(req->ring->life != RING_ALIVE && !(req->flags & REQ_FINISHED))) {
		req->flags |= REQ_FINISHED; /* the ring ends: nothing begins or goes on any more */
		request_set_result(req, -ECANCELED);
	}
	if (req->flags & REQ_FINISHED)
		request_complete(req);
	else
		request_issue(req);
}

/* What another thread queued: the request itself, or word of its progress. */
static void run_task_work(struct request *req)
{
	const struct op_def *op = req->op;

	/* Pairs with request_tell_progress(), punt_done(). */
	if (op != NULL && unlikely(op->progress != NULL)) {
		u32 news = exchange_full(&req->news, NEWS_NONE);

		rs_assert(news != NEWS_NONE);
		if (news == NEWS_PROGRESS) {
			op->progress(req);
			return;
		}
	}
	run_one(req);
}

/* The processor fetches what the next one's issue will read, while this one's is in the kernel. */
static void request_prefetch(const struct request *req)
{
	const char *data = (const char *)req->data;

	__builtin_prefetch(req);
	__builtin_prefetch(&req->poll);
	__builtin_prefetch(data);
	__builtin_prefetch(data + CACHE_LINE);
}

void ring_run(struct ring *ring)
{
	rs_assert(ring_is_mine(ring));
	for (;;) {
		struct mpsc_node *node = mpsc_take_all(&ring->task_work);
		struct request *req;

		while (node != NULL) {
			req = container_of(node, struct request, task_work);
			node = node->next;
			run_task_work(req);
		}
		req = ring->ready_head;
		if (req == NULL)
			return;
		ring->ready_head = req->ready_next;
		if (ring->ready_head == NULL)
			ring->ready_tail = &ring->ready_head;
		else
			request_prefetch(ring->ready_head);
		run_one(req);
	}
}

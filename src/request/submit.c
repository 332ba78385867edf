/*
 * submit.c - consuming a batch of SQEs
 *
 * Each SQE becomes a request, is checked, prepared (everything it points to is
 * copied, so that the program may reuse it: FEAT_SUBMIT_STABLE) and entered.
 * A refused SQE gets a CQE with its error and ends the batch, unless the ring
 * was set up with SUBMIT_ALL.
 *
 * Some need no request, if nothing of them could be seen before they are done: plain NOPs, reads
 * that hit our page cache, and what an operation can do from its SQEs at once (op->bare()).
 *
 * Direct reads and writes are staged meanwhile and go to the device together.
 *
 * The kernel: io_submit_sqes()
 */
#include "request/submit.h"

#include "cache/read.h"
#include "observe/ticks.h"
#include "request/link.h"
#include "request/ring.h"

/* Reads that are looked up at a time: enough for the processor to fetch what they need. */
#define HITS_AT_A_TIME 16

#define SQE_FLAGS_COMMON (IOSQE_FIXED_FILE | REQ_LINKED | IOSQE_ASYNC)

static struct request *request_alloc(struct ring *ring)
{
	struct request *req = slab_alloc(&ring->requests);

	if (unlikely(req == NULL))
		return NULL;
	req->ring = ring;
	req->op = NULL;
	req->flags = 0;
	req->result = 0;
	req->cqe_flags = 0;
	req->state = REQUEST_SUBMITTED;
	req->errno_of_prep = 0;
	req->link = NULL;
	req->file = NULL;
	req->file_resource = NULL;
	req->buffer_resource = NULL;
	req->buffer = NULL;
	return req;
}

/* Flags that few SQEs have. 0 or -errno. */
static int check_rare_flags(struct ring *ring, const struct op_def *op, u32 sqe_flags)
{
	if (sqe_flags & ~SQE_FLAGS_VALID)
		return -EINVAL;
	if (sqe_flags & IOSQE_BUFFER_SELECT && !op->allows_buffer_select)
		return -EOPNOTSUPP;
	if (sqe_flags & IOSQE_CQE_SKIP_SUCCESS)
		ring->drain_disabled = true;
	if (sqe_flags & IOSQE_IO_DRAIN) {
		if (ring->drain_disabled)
			return -EOPNOTSUPP;
		drain_begin(ring);
	}
	return 0;
}

/* IORING_REGISTER_RESTRICTIONS, in force. */
static bool is_allowed(const struct restrictions *allowed, u8 opcode, u32 sqe_flags)
{
	u32 required = allowed->sqe_flags_required;

	return allowed->sqe_ops[opcode / 64] >> opcode % 64 & 1 &&
	       (sqe_flags & required) == required &&
	       !(sqe_flags & ~(allowed->sqe_flags_allowed | required));
}

/* The SQEs of one call that become requests. */
struct batch {
	u32 count;        /* to be submitted */
	u32 submitted;    /* entries fetched */
	bool would_block; /* one that was tried without a request had to become one */
};

/* An operation of 128 bytes. In a ring with SQEs of both sizes it takes two entries. */
static bool fetch_rest(struct ring *ring, struct batch *batch, const struct io_uring_sqe *sqe)
{
	if (ring->setup_flags & IORING_SETUP_SQE128)
		return true;
	if (batch->submitted == batch->count || !sq_fetch_second(&ring->sq, &ring->memory, sqe))
		return false;
	batch->submitted++;
	return true;
}

static int request_prepare(struct ring *ring, struct request *req, const struct io_uring_sqe *sqe,
			   struct batch *batch)
{
	u32 sqe_flags = load_relaxed(&sqe->flags);
	u8 opcode = load_relaxed(&sqe->opcode);
	const struct op_def *op;

	req->opcode = opcode;
	req->flags = sqe_flags;
	req->user_data = load_relaxed(&sqe->user_data);
	if (unlikely(opcode >= IORING_OP_LAST)) {
		req->opcode = 0;
		return -EINVAL;
	}
	op = &op_table[opcode];
	if (unlikely(op->prep == NULL))
		/* Only a kernel can do it; or it is a later kernel's. */
		return opcode == IORING_OP_RECV_ZC ? -EOPNOTSUPP : -EINVAL;
	if (unlikely(op->is_wide) && !fetch_rest(ring, batch, sqe))
		return -EINVAL;
	if (unlikely(sqe_flags & ~SQE_FLAGS_COMMON)) {
		int err = check_rare_flags(ring, op, sqe_flags);

		if (err)
			return err;
	}
	if (unlikely(ring->restrictions.is_active) &&
	    !is_allowed(&ring->restrictions, opcode, sqe_flags))
		return -EACCES;
	if (unlikely(ring->drain_active || ring->drain_next))
		drain_mark(ring, req);
	if (unlikely(load_relaxed(&sqe->ioprio)) && !op->allows_ioprio)
		return -EINVAL;
	if (unlikely(ring->setup_flags & IORING_SETUP_IOPOLL) && !op->allows_iopoll)
		return -EINVAL;
	if (unlikely(load_relaxed(&sqe->personality)))
		return -EINVAL; /* none can be registered */
	req->fd = load_relaxed(&sqe->fd);
	if (unlikely(stats_has_latency))
		req->submit_ticks = ticks_now();
	req->op = op; /* from here on op->cleanup() has something to clean up */
	return op->prep(req, sqe);
}

/*
 * A NOP with no flag and no option: nothing of it has to be remembered. Field by
 * field, as the program wrote them a moment ago: a wider load would have to wait
 * until the narrow stores have left the store buffer.
 */
static bool is_plain_nop(const struct io_uring_sqe *sqe)
{
	return load_relaxed(&sqe->opcode) == IORING_OP_NOP && load_relaxed(&sqe->flags) == 0 &&
	       load_relaxed(&sqe->ioprio) == 0 && load_relaxed(&sqe->nop_flags) == 0 &&
	       load_relaxed(&sqe->personality) == 0;
}

/* A READ with no flag and no option. */
static bool is_plain_read(const struct io_uring_sqe *sqe)
{
	return load_relaxed(&sqe->opcode) == IORING_OP_READ && load_relaxed(&sqe->flags) == 0 &&
	       load_relaxed(&sqe->ioprio) == 0 && load_relaxed(&sqe->rw_flags) == 0 &&
	       load_relaxed(&sqe->personality) == 0 && load_relaxed(&sqe->pad2) == 0;
}

/*
 * Completes the plain NOPs that are next in the queue. They, and submit_hits()'s reads, do
 * without a request: what they would become, between SUBMITTED and COMPLETE, nobody
 * could see. Only where no link is open, no drain is going on and no latency is
 * measured, and as far as the CQ is known to have room. Returns how many.
 */
static u32 submit_nops(struct ring *ring, u32 count)
{
	u32 done = 0;

	count = min_of(count, ring->cq.limit - ring->cq.tail);
	while (done < count) {
		const struct io_uring_sqe *sqe = sq_peek(&ring->sq, &ring->memory);

		if (sqe == NULL || !is_plain_nop(sqe))
			break;
		ring->sq.head++;
		cq_write(&ring->cq, &ring->memory, load_relaxed(&sqe->user_data), 0, 0, NULL);
		done++;
	}
	stats_add(ring->stats, &ring->stats->ops[IORING_OP_NOP].count, done);
	return done;
}

/* Looks up what the next SQEs read, as far as they are plain reads that hit. Returns how many. They
 * may have become others when these are copied: what is to be known of them is in user_data. */
static u32 look_up_hits(struct ring *ring, u32 count, struct cache_hit *hits, u64 *user_data)
{
	u32 found = 0;

	while (found < count) {
		const struct io_uring_sqe *sqe = sq_peek_ahead(&ring->sq, &ring->memory, found);

		if (sqe == NULL || !is_plain_read(sqe) ||
		    !op_table[IORING_OP_READ].hit(ring, sqe, &hits[found]))
			break;
		user_data[found++] = load_relaxed(&sqe->user_data);
	}
	return found;
}

/*
 * Completes the plain reads that are next in the queue and hit our page cache, some at a
 * time: each is looked up, and its memory announced to the processor, while others
 * are still to be copied. One that faults, or whose page went meanwhile, becomes a request, as
 * those behind it do. Returns how many.
 */
static u32 submit_hits(struct ring *ring, u32 count)
{
	struct cache_hit hits[HITS_AT_A_TIME];
	u64 user_data[HITS_AT_A_TIME];
	u32 found, copied;

	count = min_of(count, ring->cq.limit - ring->cq.tail);
	found = look_up_hits(ring, min_of(count, (u32)HITS_AT_A_TIME), hits, user_data);
	for (copied = 0; copied < found && cache_hit_copy(&hits[copied]); copied++) {
		ring->sq.head++;
		cq_write(&ring->cq, &ring->memory, user_data[copied], (s32)hits[copied].count, 0,
			 NULL);
	}
	stats_add(ring->stats, &ring->stats->ops[IORING_OP_READ].count, copied);
	if (copied > 0)
		stats_count(ring->stats, COUNTER_CACHE_HITS, copied);
	return copied;
}

/* Completes what is next in the queue and its operation can do without a request. One that would
 * block ends that for its batch: the next ones would too, and would be tried twice. */
static u32 submit_bare(struct ring *ring, struct batch *batch, u32 count)
{
	const struct io_uring_sqe *sqe = sq_peek(&ring->sq, &ring->memory);
	u8 opcode = sqe ? load_relaxed(&sqe->opcode) : IORING_OP_LAST;

	if (opcode >= IORING_OP_LAST || op_table[opcode].bare == NULL || batch->would_block)
		return 0;
	if (ring->setup_flags & IORING_SETUP_IOPOLL)
		return 0;
	count = min_of(count, cq_look_for_room(&ring->cq, &ring->memory, count));
	return count ? op_table[opcode].bare(ring, count, &batch->would_block) : 0;
}

/* What is next in the queue and needs no request. Returns how many. */
static u32 submit_plain(struct ring *ring, struct batch *batch, bool has_cache)
{
	u32 count = batch->count - batch->submitted, done = 0, more;

	do {
		more = submit_nops(ring, count - done);
		if (has_cache && done + more < count)
			more += submit_hits(ring, count - done - more);
		if (done + more < count)
			more += submit_bare(ring, batch, count - done - more);
		done += more;
	} while (unlikely(more > 0 && done < count));
	if (done > 0) {
		stats_count(ring->stats, COUNTER_CQES, done);
		stats_count(ring->stats, COUNTER_INLINE, done);
		ring->count_cqes += done;
		ring->event_is_due |= !ring->event_async_only;
	}
	return done;
}

static bool takes_plain(const struct ring *ring)
{
	return ring->link_head == NULL && !ring->drain_active && !ring->drain_next &&
	       !stats_has_latency && !ring->restrictions.is_active;
}

/* The lock was let go in the midst of the batch, and another thread may have submitted. */
static void batch_go_on(struct ring *ring, struct batch *batch)
{
	ring->is_submitting = true;
	/* That thread's batch began at entry 0 as well. */
	if (ring->memory.is_rewound)
		ring->sq.head = batch->submitted;
	batch->count = min_of(batch->count, batch->submitted + sq_ready(&ring->sq, &ring->memory));
}

long submit_batch(struct ring *ring, u32 count)
{
	struct batch batch = {0};
	u32 releases = ring->releases;
	bool has_cache = cache_is_on();

	batch.count = min_of(count, sq_ready(&ring->sq, &ring->memory));
	if (batch.count == 0)
		return 0;
	ring->is_submitting = true;
	while (batch.submitted < batch.count) {
		struct request *req;
		const struct io_uring_sqe *sqe;
		int err;

		if (takes_plain(ring)) {
			batch.submitted += submit_plain(ring, &batch, has_cache);
			if (batch.submitted == batch.count)
				break;
		}
		req = request_alloc(ring);
		if (unlikely(req == NULL))
			break;
		sqe = sq_fetch(&ring->sq, &ring->memory);
		if (unlikely(sqe == NULL)) {
			slab_free(&ring->requests, req);
			break;
		}
		batch.submitted++;
		err = link_submit(ring, req, request_prepare(ring, req, sqe, &batch));
		if (unlikely(err) && !(ring->setup_flags & IORING_SETUP_SUBMIT_ALL))
			break;
		/* A CLOSE let go of the lock: another thread may have taken the rest. */
		if (unlikely(ring->releases != releases)) {
			releases = ring->releases;
			batch_go_on(ring, &batch);
		}
	}
	link_submit_end(ring);
	ring->is_submitting = false;
	stats_count(ring->stats, COUNTER_SQES, batch.submitted);
	sq_commit(&ring->sq, &ring->memory);
	if (batch.submitted == 0 && ring->requests.free == NULL)
		return -EAGAIN;
	return batch.submitted;
}

/*
 * msg_ring.c - MSG_RING, and IORING_REGISTER_SEND_MSG_RING's message without a ring
 *
 * Two ring locks are never held together, so the sender lets go of its own while
 * it is in the target (as CLOSE does: the batch is looked at afresh afterwards).
 *
 * Not here: what happens in the target (request/ring_message.c).
 * The kernel: io_uring/msg_ring.c
 */
#include "op/msg_ring.h"

#include "op/ops.h"
#include "request/ring.h"
#include "request/ring_message.h"

struct msg_ring {
	u64 command; /* IORING_MSG_DATA, IORING_MSG_SEND_FD */
	struct ring_message message;
	u64 source_slot;
	u32 target_slot; /* or the CQE's flags */
	u32 flags;
};

static int msg_ring_parse(struct msg_ring *msg, const struct io_uring_sqe *sqe)
{
	if (load_relaxed(&sqe->buf_index) || load_relaxed(&sqe->personality))
		return -EINVAL;
	*msg = (struct msg_ring){
		.command = load_relaxed(&sqe->addr),
		.message.user_data = load_relaxed(&sqe->off),
		.message.result = (s32)load_relaxed(&sqe->len),
		.source_slot = load_relaxed(&sqe->addr3),
		.target_slot = load_relaxed(&sqe->file_index),
		.flags = load_relaxed(&sqe->msg_ring_flags),
	};
	return msg->flags & ~(IORING_MSG_RING_CQE_SKIP | IORING_MSG_RING_FLAGS_PASS) ? -EINVAL : 0;
}

OP_PREP(msg_ring)
{
	return msg_ring_parse(request_data(req, struct msg_ring), sqe);
}

/* MSG_DATA: 0 or -EINVAL. */
static int data_check(struct msg_ring *msg)
{
	bool passes_flags = msg->flags & IORING_MSG_RING_FLAGS_PASS;

	if ((u32)msg->source_slot || msg->flags & ~IORING_MSG_RING_FLAGS_PASS)
		return -EINVAL;
	if (msg->target_slot && !passes_flags)
		return -EINVAL;
	msg->message.cqe_flags = passes_flags ? msg->target_slot : 0;
	return 0;
}

static void release_own(struct ring *ring)
{
	ring->releases++;
	ring_unlock(ring);
}

static int send_data(struct request *req, struct ring *target)
{
	struct msg_ring *msg = request_data(req, struct msg_ring);
	int err = data_check(msg);

	if (err)
		return err;
	if (target == req->ring)
		return ring_message_put(target, &msg->message);
	release_own(req->ring);
	err = ring_message_send(target, &msg->message);
	ring_lock(req->ring);
	return err;
}

static int send_file(struct request *req, struct ring *target)
{
	struct msg_ring *msg = request_data(req, struct msg_ring);
	bool is_silent = msg->flags & IORING_MSG_RING_CQE_SKIP;
	const struct resource *resource;
	struct file *file;
	int result;

	if (msg->message.result || target == req->ring)
		return -EINVAL;
	if (load_relaxed(&target->is_disabled))
		return -EBADFD;
	resource = resource_lookup(&req->ring->files, (u32)msg->source_slot);
	if (resource == NULL || resource->file == NULL)
		return -EBADF;
	file = resource->file;
	file_get(file);
	release_own(req->ring);
	result = ring_message_send_file(target, file, msg->target_slot,
					is_silent ? NULL : &msg->message);
	ring_lock(req->ring);
	return result;
}

OP_ISSUE(msg_ring)
{
	const struct msg_ring *msg = request_data(req, struct msg_ring);
	int err = -EBADFD;
	/* No ring can be a fixed file. */
	struct ring *target = req->file ? NULL : ring_message_target(req->fd, &err);

	if (target == NULL)
		return request_done(req, err);
	switch (msg->command) {
	case IORING_MSG_DATA:
		return request_done(req, send_data(req, target));
	case IORING_MSG_SEND_FD:
		return request_done(req, send_file(req, target));
	default:
		return request_done(req, -EINVAL);
	}
}

long msg_ring_without_ring(const struct io_uring_sqe *sqe)
{
	struct msg_ring msg;
	struct ring *target;
	int err = 0;

	if (sqe->flags || sqe->opcode != IORING_OP_MSG_RING)
		return -EINVAL;
	err = msg_ring_parse(&msg, sqe);
	if (err)
		return err;
	if (msg.command != IORING_MSG_DATA)
		return -EINVAL;
	target = ring_message_target(sqe->fd, &err);
	if (target == NULL)
		return err;
	err = data_check(&msg);
	return err ? err : ring_message_send(target, &msg.message);
}

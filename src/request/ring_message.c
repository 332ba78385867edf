/*
 * ring_message.c - messages from one ring to another
 *
 * The sender becomes the driver of the target for the moment: it takes its lock (and holds no
 * other ring's), posts, and wakes whoever sleeps there. So the CQE is there when the
 * sender's own is, also for a program that only looks at its CQ.
 *
 * A DEFER_TASKRUN ring shows CQEs only to the thread that enters it. A message to
 * it, from itself too, is a finished request on its ready list; a descriptor is
 * installed at once, and told at once, as by the kernel.
 *
 * Locks:       the target's ring lock
 * The kernel:  io_uring/msg_ring.c
 * Not here:    the SQE, and letting go of the sender's lock (op/msg_ring.c)
 */
#include "request/ring_message.h"

#include <fcntl.h>

#include "host/kernel.h"
#include "request/ring.h"
#include "request/wait.h"

struct ring *ring_message_target(int fd, int *err)
{
	const struct fd_slot *slot = fd_slot(fd);
	struct ring *ring = slot ? load_acquire(&slot->ring) : NULL;

	if (ring == NULL)
		*err = host_call(SYS_fcntl, fd, F_GETFD) < 0 ? -EBADF : -EBADFD;
	return ring;
}

/* Driver of a DEFER_TASKRUN ring. 0 or -ENOMEM. */
static int put_deferred(struct ring *ring, const struct ring_message *message)
{
	struct request *req = slab_alloc(&ring->requests);

	if (req == NULL)
		return -ENOMEM;
	*req = (struct request){
		.ring = ring,
		.user_data = message->user_data,
		.flags = REQ_FINISHED,
		.result = message->result,
		.cqe_flags = message->cqe_flags,
		.opcode = IORING_OP_MSG_RING,
		.state = REQUEST_ISSUED,
	};
	ring_ready_add(ring, req);
	return 0;
}

int ring_message_put(struct ring *ring, const struct ring_message *message)
{
	rs_assert(ring_is_mine(ring));
	if (ring->is_disabled)
		return -EBADFD;
	if (ring_is_deferred(ring))
		return put_deferred(ring, message);
	ring_post(ring, message->user_data, message->result, message->cqe_flags, NULL);
	return 0;
}

static int lock_target(struct ring *ring)
{
	enum ring_life life;

	if (ring_is_mine(ring))
		return -EBUSY;
	ring_lock(ring);
	life = ring->life;
	if (life == RING_ALIVE)
		return 0;
	ring_unlock(ring);
	return life == RING_INHERITED ? -EOWNERDEAD : -EBADF;
}

static void unlock_target(struct ring *ring)
{
	if (ring_is_deferred(ring) && ring->ready_head != NULL)
		wait_deferred_ready(ring);
	ring_commit_message(ring);
}

int ring_message_send(struct ring *ring, const struct ring_message *message)
{
	int err = lock_target(ring);

	if (err)
		return err;
	err = ring_message_put(ring, message);
	unlock_target(ring);
	return err;
}

int ring_message_send_file(struct ring *ring, struct file *file, u32 file_slot,
			   struct ring_message *message)
{
	int result = lock_target(ring);

	if (result) {
		file_put(file);
		return result;
	}
	result = resource_install_held(ring, file, file_slot);
	if (result >= 0 && message != NULL)
		ring_post(ring, message->user_data, result, 0, NULL);
	unlock_target(ring);
	return result;
}

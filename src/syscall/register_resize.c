/*
 * register_resize.c - IORING_REGISTER_RESIZE_RINGS: other sizes for a ring in use
 *
 * The program maps the rings anew afterwards. Until then its old mappings are not to be used: in
 * the kernel they show the rings that were, here the new ones.
 *
 * Not here: laying the memory out anew (ring/memory.c)
 * The kernel: io_register_resize_rings()
 */
#include "host/usercopy.h"
#include "syscall/internal.h"

#define RESIZE_FLAGS (IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP)

/* What a ring keeps. */
#define INHERITED_FLAGS                                                                            \
	(IORING_SETUP_NO_SQARRAY | IORING_SETUP_SQE128 | IORING_SETUP_CQE32 |                      \
	 IORING_SETUP_NO_MMAP | IORING_SETUP_CQE_MIXED | IORING_SETUP_SQE_MIXED |                  \
	 IORING_SETUP_SQ_REWIND)

long register_resize_rings(struct ring *ring, void *user_params)
{
	struct io_uring_params params, answer;
	struct ring_memory layout = {0};
	int err;

	if (!ring_is_deferred(ring))
		return -EINVAL;
	if (copy_from_user(&params, user_params, sizeof(params)))
		return -EFAULT;
	if (params.flags & ~RESIZE_FLAGS)
		return -EINVAL;
	params.flags |= ring->setup_flags & INHERITED_FLAGS;
	err = setup_check_entries(params.sq_entries, &params);
	if (err)
		return err;
	/* Told first, for then there is no way back. */
	answer = params;
	ring_memory_layout(&layout, &answer);
	answer.sq_off.array = 0; /* named at setup only */
	if (copy_to_user(user_params, &answer, sizeof(answer)))
		return -EFAULT;
	params.flags |= IORING_SETUP_DEFER_TASKRUN; /* as set_room() was told at the setup */
	err = ring_memory_resize(&ring->memory, &params, ring->sq.head, ring->cq.tail);
	if (err)
		return err;
	ring->cq.limit = ring->cq.tail; /* the room is counted anew with the next CQE */
	return 0;
}

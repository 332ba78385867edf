/*
 * register_clone.c - IORING_REGISTER_CLONE_BUFFERS: one ring's fixed buffers become another's too
 *
 * Two ring locks are never held together, so what is to be cloned is noted under the source's lock
 * and entered under the destination's. A fixed buffer is a range of addresses here: a clone
 * needs nothing of the original, and outlives it.
 *
 * The kernel: io_register_clone_buffers() in io_uring/rsrc.c
 */
#include "base/pages.h"
#include "host/usercopy.h"
#include "syscall/internal.h"

#define CLONE_FLAGS (IORING_REGISTER_SRC_REGISTERED | IORING_REGISTER_DST_REPLACE)

/* A buffer of the source; `len` 0: an empty slot. */
struct cloned_buffer {
	u64 addr, len;
};

/* What was noted: arg->nr buffers. */
struct clone {
	struct cloned_buffer *buffers;
	size_t size;
};

/* Driver of the source. Fills in arg->nr if it was 0. 0 or -errno. */
static int clone_take(struct clone *clone, const struct resource_table *source,
		      struct io_uring_clone_buffers *arg)
{
	u32 end;

	if (arg->nr == 0 && (arg->dst_off || arg->src_off))
		return -EINVAL;
	if (source->count == 0)
		return -ENXIO;
	if (arg->nr == 0)
		arg->nr = source->count;
	else if (arg->nr > source->count)
		return -EINVAL;
	if (__builtin_add_overflow(arg->nr, arg->src_off, &end) || end > source->count)
		return -EOVERFLOW;
	if (__builtin_add_overflow(arg->nr, arg->dst_off, &end))
		return -EOVERFLOW;
	if (end > FIXED_BUFFERS_MAX)
		return -EINVAL;
	clone->size = arg->nr * sizeof(*clone->buffers);
	clone->buffers = pages_alloc(clone->size);
	if (clone->buffers == NULL)
		return -ENOMEM;
	for (u32 i = 0; i < arg->nr; i++) {
		const struct resource *buffer = source->slots[arg->src_off + i];

		if (buffer != NULL)
			clone->buffers[i] = (struct cloned_buffer){buffer->addr, buffer->len};
	}
	return 0;
}

/* Notes what is to be cloned, from whichever ring arg names. Driver of `ring`. 0 or -errno. */
static int clone_take_from(struct clone *clone, struct ring *ring,
			   struct io_uring_clone_buffers *arg)
{
	bool is_registered = arg->flags & IORING_REGISTER_SRC_REGISTERED;
	struct ring *source;
	int err;

	if (!is_registered && descriptor_ring((int)arg->src_fd) == ring)
		return clone_take(clone, &ring->buffers, arg);
	/* It does not end meanwhile, and so is no other ring afterwards. */
	add_full(&ring->callers, 1);
	ring_unlock(ring);
	err = descriptor_lock_ring(arg->src_fd, is_registered, &source);
	if (!err) {
		if (source != ring && source->submitter_tid && source->submitter_tid != thread_id())
			err = -EEXIST;
		else
			err = clone_take(clone, &source->buffers, arg);
		ring_unlock(source);
	}
	ring_lock(ring);
	sub_full(&ring->callers, 1);
	return err;
}

/* The new table holds on to what the old one has outside of the cloned range. */
static int clone_enter(struct ring *ring, const struct clone *clone,
		       const struct io_uring_clone_buffers *arg)
{
	u32 end = arg->dst_off + arg->nr, old_count = ring->buffers.count;
	struct resource_table table = {0};
	int err = resource_table_create(&table, max_of(end, old_count));

	for (u32 i = 0; i < old_count && !err; i++) {
		if ((i >= arg->dst_off && i < end) || ring->buffers.slots[i] == NULL)
			continue;
		table.slots[i] = ring->buffers.slots[i];
		table.slots[i]->refs++;
	}
	for (u32 i = 0; i < arg->nr && !err; i++) {
		struct resource *buffer;

		if (clone->buffers[i].len == 0)
			continue;
		buffer = resource_create(ring, 0);
		if (buffer == NULL) {
			err = -ENOMEM;
			break;
		}
		buffer->addr = clone->buffers[i].addr;
		buffer->len = clone->buffers[i].len;
		table.slots[arg->dst_off + i] = buffer;
	}
	if (err) {
		resource_table_destroy(ring, &table);
		return err;
	}
	resource_table_destroy(ring, &ring->buffers);
	ring->buffers = table;
	return 0;
}

long register_clone_buffers(struct ring *ring, const void *user_arg)
{
	struct io_uring_clone_buffers arg;
	struct clone clone = {0};
	int err;

	if (copy_from_user(&arg, user_arg, sizeof(arg)))
		return -EFAULT;
	if (arg.flags & ~CLONE_FLAGS)
		return -EINVAL;
	if (!(arg.flags & IORING_REGISTER_DST_REPLACE) && ring->buffers.count)
		return -EBUSY;
	if (arg.pad[0] || arg.pad[1] || arg.pad[2])
		return -EINVAL;
	err = clone_take_from(&clone, ring, &arg);
	/* The lock was released: another thread may have registered buffers. */
	if (!err && !(arg.flags & IORING_REGISTER_DST_REPLACE) && ring->buffers.count)
		err = -EBUSY;
	if (!err)
		err = clone_enter(ring, &clone, &arg);
	pages_free(clone.buffers, clone.size);
	return err;
}

/*
 * register_pbuf.c - io_uring_register(): rings of provided buffers
 *
 * The memory of such a ring is the program's, or with IOU_PBUF_RING_MMAP a part of the ring's
 * file, which the program maps by the group's id (entry/ puts the offset right: descriptor.h).
 *
 * Not here: how requests take buffers (request/buffers.c).
 * The kernel: io_uring/kbuf.c
 */
#include "base/pages.h"
#include "host/kernel.h"
#include "host/usercopy.h"
#include "request/buffers.h"
#include "syscall/internal.h"

#define PAGE_MASK   4095ull
#define ENTRIES_MAX 32768u /* with more, a full ring and an empty one look the same */
#define KNOWN_FLAGS (IOU_PBUF_RING_MMAP | IOU_PBUF_RING_INC)

static bool is_zero(const void *memory, size_t size)
{
	const unsigned char *bytes = memory;

	for (size_t i = 0; i < size; i++)
		if (bytes[i])
			return false;
	return true;
}

/* The kernel's part of the memory: in the ring's file, or if that has no name any more, where no
 * program can map it. */
static void *map_memory(int fd, const struct io_uring_buf_reg *reg)
{
	size_t size = (reg->ring_entries * sizeof(struct io_uring_buf) + PAGE_MASK) & ~PAGE_MASK;

	return fd >= 0 ? ring_memory_map_buffers(fd, reg->bgid, size) : pages_alloc(size);
}

/* The program's memory: 0 or -errno. */
static int check_memory(const struct io_uring_buf_reg *reg)
{
	if (reg->ring_addr == 0)
		return -EFAULT;
	if (reg->ring_addr & PAGE_MASK)
		return -EINVAL;
	return user_range_check((void *)reg->ring_addr,
				reg->ring_entries * sizeof(struct io_uring_buf), 1);
}

long register_pbuf_ring(struct ring *ring, int fd, const void *user_reg, u32 count)
{
	struct io_uring_buf_reg reg;
	void *memory;
	int err;

	if (user_reg == NULL || count != 1)
		return -EINVAL;
	if (copy_from_user(&reg, user_reg, sizeof(reg)))
		return -EFAULT;
	if (!is_zero(reg.resv, sizeof(reg.resv)) || reg.flags & ~KNOWN_FLAGS)
		return -EINVAL;
	if (reg.min_left && !(reg.flags & IOU_PBUF_RING_INC))
		return -EINVAL;
	if (reg.ring_entries == 0 || reg.ring_entries & (reg.ring_entries - 1) ||
	    reg.ring_entries > ENTRIES_MAX)
		return -EINVAL;
	err = buffers_ring_check(ring, reg.bgid);
	if (err)
		return err;
	if (reg.flags & IOU_PBUF_RING_MMAP) {
		memory = map_memory(fd, &reg);
		if (memory == NULL)
			return -ENOMEM;
	} else {
		err = check_memory(&reg);
		if (err)
			return err;
		memory = (void *)reg.ring_addr;
	}
	return buffers_ring_add(ring, memory, &reg);
}

long unregister_pbuf_ring(struct ring *ring, const void *user_reg, u32 count)
{
	struct io_uring_buf_reg reg;

	if (user_reg == NULL || count != 1)
		return -EINVAL;
	if (copy_from_user(&reg, user_reg, sizeof(reg)))
		return -EFAULT;
	if (!is_zero(reg.resv, sizeof(reg.resv)) || reg.flags)
		return -EINVAL;
	return buffers_ring_remove(ring, reg.bgid);
}

long register_pbuf_status(struct ring *ring, void *user_status, u32 count)
{
	struct io_uring_buf_status status;
	int head;

	if (user_status == NULL || count != 1)
		return -EINVAL;
	if (copy_from_user(&status, user_status, sizeof(status)))
		return -EFAULT;
	if (!is_zero(status.resv, sizeof(status.resv)))
		return -EINVAL;
	if (status.buf_group >= BUFFER_GROUPS)
		return -ENOENT;
	head = buffers_ring_head(ring, (u16)status.buf_group);
	if (head < 0)
		return head;
	status.head = (u32)head;
	return copy_to_user(user_status, &status, sizeof(status));
}

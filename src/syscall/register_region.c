/*
 * register_region.c - IORING_REGISTER_MEM_REGION: memory that calls refer to by offset
 *
 * Its one use is IORING_ENTER_EXT_ARG_REG: the arguments of a wait lie in the region, which must
 * be registered before the ring is enabled. The region is the program's own memory, or
 * ours: then a part of the ring's memfd, which the program maps.
 *
 * The kernel: io_register_mem_region(), io_create_region(). There the program's memory is pinned;
 * here each look at it is a copy that may fail.
 */
#include "base/pages.h"
#include "host/usercopy.h"
#include "syscall/internal.h"

#define PAGE_SIZE 4096ull

static bool is_zero(const u64 *words, u32 count)
{
	for (u32 i = 0; i < count; i++)
		if (words[i])
			return false;
	return true;
}

static int check_region(const struct io_uring_region_desc *desc)
{
	u64 end;

	if (!is_zero(desc->resv, ARRAY_SIZE(desc->resv)) ||
	    desc->flags & ~IORING_MEM_REGION_TYPE_USER)
		return -EINVAL;
	if ((desc->flags & IORING_MEM_REGION_TYPE_USER) != (desc->user_addr != 0))
		return -EFAULT;
	if (desc->size == 0 || desc->mmap_offset || desc->id)
		return -EINVAL;
	if (desc->size / PAGE_SIZE > INT32_MAX)
		return -E2BIG;
	if ((desc->user_addr | desc->size) % PAGE_SIZE)
		return -EINVAL;
	return __builtin_add_overflow(desc->user_addr, desc->size, &end) ? -EOVERFLOW : 0;
}

/* 0 or -errno. */
static int make_region(struct ring *ring, struct ring_region *region,
		       struct io_uring_region_desc *desc)
{
	region->size = desc->size;
	if (desc->flags & IORING_MEM_REGION_TYPE_USER) {
		region->addr = (void *)desc->user_addr;
		return user_range_check(region->addr, region->size, 1);
	}
	/* Behind the largest SQEs, and before the rings of provided buffers. */
	if (desc->size > IORING_OFF_PBUF_RING - IORING_OFF_PARAM_REGION)
		return -ENOMEM;
	region->addr = ring_memory_map_more(ring->fd, IORING_OFF_PARAM_REGION, desc->size);
	if (region->addr == NULL)
		return -ENOMEM;
	region->is_ours = true;
	desc->mmap_offset = IORING_OFF_PARAM_REGION;
	return 0;
}

long register_mem_region(struct ring *ring, const void *user_arg)
{
	struct io_uring_mem_region_reg arg;
	struct io_uring_region_desc desc;
	struct ring_region region = {0};
	int err;

	if (ring->region.addr != NULL)
		return -EBUSY;
	if (copy_from_user(&arg, user_arg, sizeof(arg)) ||
	    copy_from_user(&desc, (void *)arg.region_uptr, sizeof(desc)))
		return -EFAULT;
	if (!is_zero(arg.resv, ARRAY_SIZE(arg.resv)) ||
	    arg.flags & ~(u64)IORING_MEM_REGION_REG_WAIT_ARG)
		return -EINVAL;
	/* Nobody waits in a ring that is not enabled. */
	if (arg.flags & IORING_MEM_REGION_REG_WAIT_ARG && !ring->is_disabled)
		return -EINVAL;
	err = check_region(&desc);
	if (!err)
		err = make_region(ring, &region, &desc);
	if (err)
		return err;
	if (copy_to_user((void *)arg.region_uptr, &desc, sizeof(desc))) {
		if (region.is_ours)
			ring_memory_unmap_more(region.addr, region.size);
		return -EFAULT;
	}
	region.has_wait_args = arg.flags & IORING_MEM_REGION_REG_WAIT_ARG;
	ring->region = region;
	return 0;
}

/*
 * liburing_register.c - in place of liburing.so's functions that register
 *
 * Each fills the argument of one io_uring_register() opcode; the structures and
 * results are those of io_uring_register(2).
 *
 * Entry:     io_uring_register_*(), io_uring_unregister_*()
 * Not here:  what a registration does (syscall/)
 */
#define _GNU_SOURCE
#include "entry/liburing.h"

#include <errno.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "entry/route.h"
#include "host/kernel.h"

int liburing_register(const struct io_uring *ring, u32 opcode, const void *arg, u32 nr_args)
{
	u32 fd = (u32)ring->ring_fd;

	if (ring->int_flags & RING_REGISTERS_BY_INDEX) {
		fd = (u32)ring->enter_ring_fd;
		opcode |= IORING_REGISTER_USE_REGISTERED_RING;
	}
	if (likely(ring->int_flags & RING_IS_USER))
		return (int)syscall_register(fd, opcode, (void *)arg, nr_args);
	return (int)route_register(fd, opcode, (void *)arg, nr_args);
}

LIBURING(int, io_uring_register, unsigned fd, unsigned opcode, const void *arg, unsigned nr_args)
{
	return (int)route_register(fd, opcode, (void *)arg, nr_args);
}

/* Buffers */

LIBURING(int, io_uring_register_buffers, struct io_uring *ring, const struct iovec *iovecs,
	 unsigned nr)
{
	return liburing_register(ring, IORING_REGISTER_BUFFERS, iovecs, nr);
}

LIBURING(int, io_uring_register_buffers_tags, struct io_uring *ring, const struct iovec *iovecs,
	 const u64 *tags, unsigned nr)
{
	struct io_uring_rsrc_register arg = {.nr = nr, .data = (u64)iovecs, .tags = (u64)tags};

	return liburing_register(ring, IORING_REGISTER_BUFFERS2, &arg, sizeof(arg));
}

LIBURING(int, io_uring_register_buffers_sparse, struct io_uring *ring, unsigned nr)
{
	struct io_uring_rsrc_register arg = {.nr = nr, .flags = IORING_RSRC_REGISTER_SPARSE};

	return liburing_register(ring, IORING_REGISTER_BUFFERS2, &arg, sizeof(arg));
}

LIBURING(int, io_uring_register_buffers_update_tag, struct io_uring *ring, unsigned offset,
	 const struct iovec *iovecs, const u64 *tags, unsigned nr)
{
	struct io_uring_rsrc_update2 arg = {
		.offset = offset, .data = (u64)iovecs, .tags = (u64)tags, .nr = nr};

	return liburing_register(ring, IORING_REGISTER_BUFFERS_UPDATE, &arg, sizeof(arg));
}

LIBURING(int, io_uring_unregister_buffers, struct io_uring *ring)
{
	return liburing_register(ring, IORING_UNREGISTER_BUFFERS, NULL, 0);
}

LIBURING(int, __io_uring_clone_buffers_offset, struct io_uring *to, struct io_uring *from,
	 unsigned to_offset, unsigned from_offset, unsigned nr, unsigned flags)
{
	struct io_uring_clone_buffers arg = {
		.src_fd = (u32)from->ring_fd,
		.flags = flags,
		.src_off = from_offset,
		.dst_off = to_offset,
		.nr = nr,
	};

	if (flags & IORING_REGISTER_SRC_REGISTERED)
		arg.src_fd = (u32)from->enter_ring_fd;
	return liburing_register(to, IORING_REGISTER_CLONE_BUFFERS, &arg, 1);
}

static u32 clone_source_flags(const struct io_uring *from)
{
	return from->int_flags & RING_REGISTERS_BY_INDEX ? IORING_REGISTER_SRC_REGISTERED : 0;
}

LIBURING(int, __io_uring_clone_buffers, struct io_uring *to, struct io_uring *from, unsigned flags)
{
	return __io_uring_clone_buffers_offset(to, from, 0, 0, 0, flags);
}

LIBURING(int, io_uring_clone_buffers_offset, struct io_uring *to, struct io_uring *from,
	 unsigned to_offset, unsigned from_offset, unsigned nr, unsigned flags)
{
	return __io_uring_clone_buffers_offset(to, from, to_offset, from_offset, nr,
					       flags | clone_source_flags(from));
}

LIBURING(int, io_uring_clone_buffers, struct io_uring *to, struct io_uring *from)
{
	return __io_uring_clone_buffers(to, from, clone_source_flags(from));
}

/* Files */

/*
 * The kernel wants the table within RLIMIT_NOFILE; liburing raises the soft limit for the program.
 */
static int file_limit_raise(u32 nr)
{
	struct rlimit limit;
	long err = host_call(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit);

	if (err || limit.rlim_cur >= nr)
		return (int)err;
	limit.rlim_cur += nr;
	return (int)host_call(SYS_prlimit64, 0, RLIMIT_NOFILE, &limit, NULL);
}

static int files_register(struct io_uring *ring, u32 opcode, const void *arg, u32 nr_args,
			  u32 files)
{
	int ret = liburing_register(ring, opcode, arg, nr_args);

	if (ret != -EMFILE || file_limit_raise(files))
		return ret;
	return liburing_register(ring, opcode, arg, nr_args);
}

LIBURING(int, io_uring_register_files, struct io_uring *ring, const int *files, unsigned nr)
{
	return files_register(ring, IORING_REGISTER_FILES, files, nr, nr);
}

LIBURING(int, io_uring_register_files_tags, struct io_uring *ring, const int *files,
	 const u64 *tags, unsigned nr)
{
	struct io_uring_rsrc_register arg = {.nr = nr, .data = (u64)files, .tags = (u64)tags};

	return files_register(ring, IORING_REGISTER_FILES2, &arg, sizeof(arg), nr);
}

LIBURING(int, io_uring_register_files_sparse, struct io_uring *ring, unsigned nr)
{
	struct io_uring_rsrc_register arg = {.nr = nr, .flags = IORING_RSRC_REGISTER_SPARSE};

	return files_register(ring, IORING_REGISTER_FILES2, &arg, sizeof(arg), nr);
}

LIBURING(int, io_uring_register_files_update, struct io_uring *ring, unsigned offset,
	 const int *files, unsigned nr)
{
	struct io_uring_files_update arg = {.offset = offset, .fds = (u64)files};

	return liburing_register(ring, IORING_REGISTER_FILES_UPDATE, &arg, nr);
}

LIBURING(int, io_uring_register_files_update_tag, struct io_uring *ring, unsigned offset,
	 const int *files, const u64 *tags, unsigned nr)
{
	struct io_uring_rsrc_update2 arg = {
		.offset = offset, .data = (u64)files, .tags = (u64)tags, .nr = nr};

	return liburing_register(ring, IORING_REGISTER_FILES_UPDATE2, &arg, sizeof(arg));
}

LIBURING(int, io_uring_unregister_files, struct io_uring *ring)
{
	return liburing_register(ring, IORING_UNREGISTER_FILES, NULL, 0);
}

LIBURING(int, io_uring_register_file_alloc_range, struct io_uring *ring, unsigned offset,
	 unsigned len)
{
	struct io_uring_file_index_range arg = {.off = offset, .len = len};

	return liburing_register(ring, IORING_REGISTER_FILE_ALLOC_RANGE, &arg, 0);
}

/* The ring's own descriptor */

LIBURING(int, io_uring_register_ring_fd, struct io_uring *ring)
{
	struct io_uring_rsrc_update arg = {.offset = ~0u, .data = (u64)ring->ring_fd};
	int ret;

	if (ring->int_flags & RING_REGISTERED)
		return -EEXIST;
	ret = liburing_register(ring, IORING_REGISTER_RING_FDS, &arg, 1);
	if (ret != 1)
		return ret;
	ring->enter_ring_fd = (s32)arg.offset;
	ring->int_flags |= RING_REGISTERED;
	if (ring->features & IORING_FEAT_REG_REG_RING)
		ring->int_flags |= RING_REGISTERS_BY_INDEX;
	return ret;
}

LIBURING(int, io_uring_unregister_ring_fd, struct io_uring *ring)
{
	struct io_uring_rsrc_update arg = {.offset = (u32)ring->enter_ring_fd};
	int ret;

	if (!(ring->int_flags & RING_REGISTERED))
		return -EINVAL;
	ret = liburing_register(ring, IORING_UNREGISTER_RING_FDS, &arg, 1);
	if (ret != 1)
		return ret;
	ring->enter_ring_fd = ring->ring_fd;
	ring->int_flags &= (u8) ~(RING_REGISTERED | RING_REGISTERS_BY_INDEX);
	return ret;
}

/* Provided buffers */

LIBURING(int, io_uring_register_buf_ring, struct io_uring *ring, struct io_uring_buf_reg *reg,
	 unsigned flags)
{
	reg->flags |= (u16)flags;
	return liburing_register(ring, IORING_REGISTER_PBUF_RING, reg, 1);
}

LIBURING(int, io_uring_unregister_buf_ring, struct io_uring *ring, int bgid)
{
	struct io_uring_buf_reg arg = {.bgid = (u16)bgid};

	return liburing_register(ring, IORING_UNREGISTER_PBUF_RING, &arg, 1);
}

#define BUF_SIZE 16 /* one provided buffer's entry in the ring */

/* NULL and the reason in *err where there is no memory or the registration fails. */
LIBURING(struct io_uring_buf_ring *, io_uring_setup_buf_ring, struct io_uring *ring,
	 unsigned entries, int bgid, unsigned flags, int *err)
{
	struct io_uring_buf_reg reg = {.ring_entries = entries, .bgid = (u16)bgid};
	size_t size = (size_t)entries * BUF_SIZE;
	long addr = host_call(SYS_mmap, NULL, size, PROT_READ | PROT_WRITE,
			      MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);

	if (addr < 0 && addr > -4096) {
		*err = (int)addr;
		return NULL;
	}
	reg.ring_addr = (u64)addr;
	*err = io_uring_register_buf_ring(ring, &reg, flags);
	if (*err) {
		host_call(SYS_munmap, addr, size);
		return NULL;
	}
	return (void *)addr; /* fresh memory: the tail is 0 */
}

LIBURING(int, io_uring_free_buf_ring, struct io_uring *ring, struct io_uring_buf_ring *buf_ring,
	 unsigned entries, int bgid)
{
	int err = io_uring_unregister_buf_ring(ring, bgid);

	if (!err)
		host_call(SYS_munmap, buf_ring, (size_t)entries * BUF_SIZE);
	return err;
}

LIBURING(int, io_uring_buf_ring_head, struct io_uring *ring, int buf_group, u16 *head)
{
	struct io_uring_buf_status arg = {.buf_group = (u32)buf_group};
	int err = liburing_register(ring, IORING_REGISTER_PBUF_STATUS, &arg, 1);

	if (!err)
		*head = (u16)arg.head;
	return err;
}

/* Notification, workers and the rest */

LIBURING(int, io_uring_register_eventfd, struct io_uring *ring, int event_fd)
{
	return liburing_register(ring, IORING_REGISTER_EVENTFD, &event_fd, 1);
}

LIBURING(int, io_uring_register_eventfd_async, struct io_uring *ring, int event_fd)
{
	return liburing_register(ring, IORING_REGISTER_EVENTFD_ASYNC, &event_fd, 1);
}

LIBURING(int, io_uring_unregister_eventfd, struct io_uring *ring)
{
	return liburing_register(ring, IORING_UNREGISTER_EVENTFD, NULL, 0);
}

LIBURING(int, io_uring_register_probe, struct io_uring *ring, struct io_uring_probe *probe,
	 unsigned nr)
{
	return liburing_register(ring, IORING_REGISTER_PROBE, probe, nr);
}

LIBURING(int, io_uring_register_personality, struct io_uring *ring)
{
	return liburing_register(ring, IORING_REGISTER_PERSONALITY, NULL, 0);
}

LIBURING(int, io_uring_unregister_personality, struct io_uring *ring, int id)
{
	return liburing_register(ring, IORING_UNREGISTER_PERSONALITY, NULL, (u32)id);
}

LIBURING(int, io_uring_register_restrictions, struct io_uring *ring,
	 struct io_uring_restriction *restrictions, unsigned nr)
{
	return liburing_register(ring, IORING_REGISTER_RESTRICTIONS, restrictions, nr);
}

LIBURING(int, io_uring_enable_rings, struct io_uring *ring)
{
	return liburing_register(ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

LIBURING(int, io_uring_register_iowq_aff, struct io_uring *ring, size_t size, const cpu_set_t *mask)
{
	if (size >= 1u << 31)
		return -EINVAL;
	return liburing_register(ring, IORING_REGISTER_IOWQ_AFF, mask, (u32)size);
}

LIBURING(int, io_uring_unregister_iowq_aff, struct io_uring *ring)
{
	return liburing_register(ring, IORING_UNREGISTER_IOWQ_AFF, NULL, 0);
}

LIBURING(int, io_uring_register_iowq_max_workers, struct io_uring *ring, unsigned *values)
{
	return liburing_register(ring, IORING_REGISTER_IOWQ_MAX_WORKERS, values, 2);
}

LIBURING(int, io_uring_register_sync_cancel, struct io_uring *ring,
	 struct io_uring_sync_cancel_reg *reg)
{
	return liburing_register(ring, IORING_REGISTER_SYNC_CANCEL, reg, 1);
}

LIBURING(int, io_uring_register_napi, struct io_uring *ring, struct io_uring_napi *napi)
{
	return liburing_register(ring, IORING_REGISTER_NAPI, napi, 1);
}

LIBURING(int, io_uring_unregister_napi, struct io_uring *ring, struct io_uring_napi *napi)
{
	return liburing_register(ring, IORING_UNREGISTER_NAPI, napi, 1);
}

LIBURING(int, io_uring_register_clock, struct io_uring *ring, struct io_uring_clock_register *arg)
{
	return liburing_register(ring, IORING_REGISTER_CLOCK, arg, 0);
}

LIBURING(int, io_uring_register_region, struct io_uring *ring, struct io_uring_mem_region_reg *reg)
{
	return liburing_register(ring, IORING_REGISTER_MEM_REGION, reg, 1);
}

LIBURING(int, io_uring_register_ifq, struct io_uring *ring, struct io_uring_zcrx_ifq_reg *reg)
{
	return liburing_register(ring, IORING_REGISTER_ZCRX_IFQ, reg, 1);
}

LIBURING(int, io_uring_register_zcrx_ctrl, struct io_uring *ring, struct zcrx_ctrl *ctrl)
{
	return liburing_register(ring, IORING_REGISTER_ZCRX_CTRL, ctrl, 0);
}

LIBURING(int, io_uring_register_bpf_filter, struct io_uring *ring, struct io_uring_bpf *filter)
{
	return liburing_register(ring, IORING_REGISTER_BPF_FILTER, filter, 1);
}

/* What belongs to no ring */

LIBURING(int, io_uring_register_bpf_filter_task, struct io_uring_bpf *filter)
{
	return (int)route_register(~0u, IORING_REGISTER_BPF_FILTER, filter, 1);
}

LIBURING(int, io_uring_register_query, struct io_uring_query_hdr *query)
{
	return (int)route_register(~0u, IORING_REGISTER_QUERY, query, 0);
}

LIBURING(int, io_uring_register_sync_msg, struct io_uring_sqe *sqe)
{
	return (int)route_register(~0u, IORING_REGISTER_SEND_MSG_RING, sqe, 1);
}

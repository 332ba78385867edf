/*
 * liburing_setup.c - in place of liburing.so's functions that make and end rings
 *
 * A ring of ringside is mapped as a kernel's ring is: its descriptor is a file
 * of memory. Only the decision who makes it differs (route.h), and that is
 * noted in the structure for the functions of liburing.c.
 *
 * Entry:      io_uring_queue_init() and its kin, io_uring_queue_exit(), the probe
 * Locks:      none; malloc() is called where liburing calls it, on the program's behalf
 * Not here:   the memory behind the descriptor (ring/), registrations (liburing_register.c)
 */
#define _GNU_SOURCE
#include "entry/liburing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/pages.h"
#include "entry/route.h"
#include "host/gate.h"
#include "host/kernel.h"

/* Of the rings' shared memory: what lies before the CQEs. */
#define RING_HEADER_SIZE 64

#define HUGE_PAGE_SIZE (2ul << 20)

#define SQ_ENTRIES_MAX 32768u
#define CQ_ENTRIES_MAX (2 * SQ_ENTRIES_MAX)

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t round_up(size_t size, size_t unit)
{
	return (size + unit - 1) / unit * unit;
}

static size_t sqe_size(u32 flags)
{
	return sizeof(struct io_uring_sqe) << (flags & IORING_SETUP_SQE128 ? 1 : 0);
}

static size_t cqe_size(u32 flags)
{
	return sizeof(struct io_uring_cqe) << (flags & IORING_SETUP_CQE32 ? 1 : 0);
}

static bool is_error(const void *addr)
{
	return (unsigned long)addr > -4096ul;
}

/* Through the gate: the CQ offset of a kernel's ring is one that our filter traps. */
static void *ring_map(int fd, size_t size, u64 offset)
{
	return (void *)gate_call(SYS_mmap, 0, (long)size, PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_POPULATE, fd, (long)offset);
}

static void ring_unmap(const void *addr, size_t size)
{
	if (addr != NULL)
		host_call(SYS_munmap, addr, size);
}

/* Points the structure into the rings at sq_ring, cq_ring and the SQEs at sqes. */
static void ring_point(struct io_uring *ring, const struct io_uring_params *p, char *sq_ring,
		       char *cq_ring, struct io_uring_sqe *sqes)
{
	struct io_uring_sq *sq = &ring->sq;
	struct io_uring_cq *cq = &ring->cq;

	sq->ring_ptr = sq_ring;
	sq->khead = (u32 *)(sq_ring + p->sq_off.head);
	sq->ktail = (u32 *)(sq_ring + p->sq_off.tail);
	sq->kring_mask = (u32 *)(sq_ring + p->sq_off.ring_mask);
	sq->kring_entries = (u32 *)(sq_ring + p->sq_off.ring_entries);
	sq->kflags = (u32 *)(sq_ring + p->sq_off.flags);
	sq->kdropped = (u32 *)(sq_ring + p->sq_off.dropped);
	if (!(p->flags & IORING_SETUP_NO_SQARRAY))
		sq->array = (u32 *)(sq_ring + p->sq_off.array);
	sq->sqes = sqes;
	sq->sqes_sz = (u32)(p->sq_entries * sqe_size(p->flags));
	/* What the call said, not what stands in memory that other processes may share. */
	sq->ring_mask = p->sq_entries - 1;
	sq->ring_entries = p->sq_entries;

	cq->ring_ptr = cq_ring;
	cq->khead = (u32 *)(cq_ring + p->cq_off.head);
	cq->ktail = (u32 *)(cq_ring + p->cq_off.tail);
	cq->kring_mask = (u32 *)(cq_ring + p->cq_off.ring_mask);
	cq->kring_entries = (u32 *)(cq_ring + p->cq_off.ring_entries);
	cq->koverflow = (u32 *)(cq_ring + p->cq_off.overflow);
	cq->cqes = (struct io_uring_cqe *)(cq_ring + p->cq_off.cqes);
	if (p->cq_off.flags)
		cq->kflags = (u32 *)(cq_ring + p->cq_off.flags);
	cq->ring_mask = p->cq_entries - 1;
	cq->ring_entries = p->cq_entries;

	for (u32 i = 0; sq->array && i < sq->ring_entries; i++)
		sq->array[i] = i;
}

/* Who made fd, and what it can do. */
static void ring_name(struct io_uring *ring, const struct io_uring_params *p, int fd)
{
	ring->flags = p->flags;
	ring->features = p->features;
	ring->ring_fd = fd;
	ring->enter_ring_fd = fd;
	if (p->flags & IORING_SETUP_REGISTERED_FD_ONLY) {
		ring->ring_fd = -1;
		ring->int_flags |= RING_REGISTERED | RING_REGISTERS_BY_INDEX;
	}
	if (route_is_user((u32)fd, ring->int_flags & RING_REGISTERED))
		ring->int_flags |= RING_IS_USER;
}

static int rings_map(int fd, const struct io_uring_params *p, struct io_uring *ring)
{
	size_t sq_size = p->sq_off.array + p->sq_entries * sizeof(u32);
	size_t cq_size = p->cq_off.cqes + p->cq_entries * cqe_size(p->flags);
	bool is_single = p->features & IORING_FEAT_SINGLE_MMAP;
	void *sq_ring, *cq_ring, *sqes;

	if (is_single)
		sq_size = cq_size = max_of(sq_size, cq_size);
	sq_ring = ring_map(fd, sq_size, IORING_OFF_SQ_RING);
	if (is_error(sq_ring))
		return (int)(long)sq_ring;
	cq_ring = is_single ? sq_ring : ring_map(fd, cq_size, IORING_OFF_CQ_RING);
	if (is_error(cq_ring)) {
		ring_unmap(sq_ring, sq_size);
		return (int)(long)cq_ring;
	}
	sqes = ring_map(fd, p->sq_entries * sqe_size(p->flags), IORING_OFF_SQES);
	if (is_error(sqes)) {
		ring_unmap(sq_ring, sq_size);
		if (!is_single)
			ring_unmap(cq_ring, cq_size);
		return (int)(long)sqes;
	}
	ring->sq.ring_sz = sq_size;
	ring->cq.ring_sz = cq_size;
	ring_point(ring, p, sq_ring, cq_ring, sqes);
	return 0;
}

static void rings_unmap(struct io_uring *ring)
{
	struct io_uring_sq *sq = &ring->sq;
	struct io_uring_cq *cq = &ring->cq;

	/* Not what the ring's memory says: after a resize the old rings' contents are nobody's. */
	ring_unmap(sq->sqes, sq->sqes_sz);
	if (cq->ring_ptr != sq->ring_ptr)
		ring_unmap(cq->ring_ptr, cq->ring_sz);
	ring_unmap(sq->ring_ptr, sq->ring_sz);
}

/*
 * The program's close() would end the ring; it is not called, for liburing does not call it either.
 */
static void ring_close(int fd)
{
	descriptor_closing(fd);
	host_call(SYS_close, fd);
}

LIBURING(int, io_uring_queue_mmap, int fd, struct io_uring_params *p, struct io_uring *ring)
{
	int err;

	memset(ring, 0, sizeof(*ring));
	err = rings_map(fd, p, ring);
	if (!err)
		ring_name(ring, p, fd);
	return err;
}

/* What a ring without mmap() takes: the SQEs, and behind them the two rings. */
struct layout {
	size_t sqes_size;
	size_t rings_size;
};

static u32 power_of_two(u32 n)
{
	return n <= 1 ? 1 : 1u << (32 - __builtin_clz(n - 1));
}

/*
 * The sizes that the kernel will arrive at from these arguments; -EINVAL where it will refuse them.
 */
static int layout_of(u32 entries, const struct io_uring_params *p, struct layout *layout)
{
	bool is_clamped = p->flags & IORING_SETUP_CLAMP;
	u32 cq_entries;

	if (entries == 0 || (entries > SQ_ENTRIES_MAX && !is_clamped))
		return -EINVAL;
	entries = power_of_two(min_of(entries, SQ_ENTRIES_MAX));
	cq_entries = 2 * entries;
	if (p->flags & IORING_SETUP_CQSIZE) {
		if (p->cq_entries == 0 || (p->cq_entries > CQ_ENTRIES_MAX && !is_clamped))
			return -EINVAL;
		cq_entries = power_of_two(min_of(p->cq_entries, CQ_ENTRIES_MAX));
		if (cq_entries < entries)
			return -EINVAL;
	}
	layout->sqes_size = round_up(entries * sqe_size(p->flags), page_size());
	layout->rings_size = RING_HEADER_SIZE + cq_entries * cqe_size(p->flags);
	if (!(p->flags & IORING_SETUP_NO_SQARRAY))
		layout->rings_size += entries * sizeof(u32);
	layout->rings_size = round_up(layout->rings_size, page_size());
	return 0;
}

/* A huge page where more than a page is needed: older kernels want contiguous memory. */
static void *program_memory(size_t *size)
{
	const int prot = PROT_READ | PROT_WRITE, flags = MAP_SHARED | MAP_ANONYMOUS;
	void *addr;

	if (*size > page_size()) {
		size_t huge = round_up(*size, HUGE_PAGE_SIZE);

		addr = (void *)host_call(SYS_mmap, NULL, huge, prot, flags | MAP_HUGETLB, -1, 0);
		if (!is_error(addr)) {
			*size = huge;
			return addr;
		}
	}
	return (void *)host_call(SYS_mmap, NULL, *size, prot, flags, -1, 0);
}

/*
 * Makes a ring whose memory is at `memory`: the rings first in a page of their own, then the SQEs.
 */
static int init_in_memory(u32 entries, struct io_uring *ring, struct io_uring_params *p,
			  char *memory, const struct layout *layout)
{
	char *sqes = memory + layout->rings_size;
	int fd;

	p->cq_off.user_addr = (u64)memory;
	p->sq_off.user_addr = (u64)sqes;
	fd = (int)route_setup(entries, p);
	if (fd < 0)
		return fd;
	ring->sq.ring_sz = ring->cq.ring_sz = layout->rings_size;
	ring_point(ring, p, memory, memory, (void *)sqes);
	ring_name(ring, p, fd);
	return 0;
}

static int init_without_mmap(u32 entries, struct io_uring *ring, struct io_uring_params *p)
{
	struct layout layout;
	size_t size;
	char *memory;
	int err = layout_of(entries, p, &layout);

	if (err)
		return err;
	size = layout.rings_size + layout.sqes_size;
	memory = program_memory(&size);
	if (is_error(memory))
		return (int)(long)memory;
	err = init_in_memory(entries, ring, p, memory, &layout);
	if (err) {
		ring_unmap(memory, size);
		return err;
	}
	/* One mapping: io_uring_queue_exit() gives it back as the rings'. */
	ring->sq.ring_sz = ring->cq.ring_sz = size;
	return 0;
}

/* A program that rewinds its SQ is built for a liburing that fills no index array, and does not
 * ask for none. */
static void drop_sq_array(struct io_uring_params *p)
{
	if (p->flags & IORING_SETUP_SQ_REWIND)
		p->flags |= IORING_SETUP_NO_SQARRAY;
}

LIBURING(int, io_uring_queue_init_mem, unsigned entries, struct io_uring *ring,
	 struct io_uring_params *p, void *memory, size_t size)
{
	struct layout layout;
	int err;

	p->flags |= IORING_SETUP_NO_MMAP;
	drop_sq_array(p);
	memset(ring, 0, sizeof(*ring));
	err = layout_of(entries, p, &layout);
	if (err)
		return err;
	if (layout.rings_size + layout.sqes_size > size)
		return -ENOMEM;
	ring->int_flags |= RING_MEMORY_IS_PROGRAMS;
	err = init_in_memory(entries, ring, p, memory, &layout);
	return err ? err : (int)(layout.rings_size + layout.sqes_size);
}

/*
 * With the index array, though it says nothing (L4): programs built for a
 * liburing older than 2.6 fill it.
 */
LIBURING(int, io_uring_queue_init_params, unsigned entries, struct io_uring *ring,
	 struct io_uring_params *p)
{
	int fd, err;

	drop_sq_array(p);
	if (p->flags & IORING_SETUP_NO_MMAP) {
		memset(ring, 0, sizeof(*ring));
		return init_without_mmap(entries, ring, p);
	}
	fd = (int)route_setup(entries, p);
	if (fd < 0)
		return fd;
	err = io_uring_queue_mmap(fd, p, ring);
	if (err)
		ring_close(fd);
	return err;
}

LIBURING(int, io_uring_queue_init, unsigned entries, struct io_uring *ring, unsigned flags)
{
	struct io_uring_params p = {.flags = flags};

	return io_uring_queue_init_params(entries, ring, &p);
}

LIBURING(void, io_uring_queue_exit, struct io_uring *ring)
{
	if (ring->int_flags & RING_REGISTERED)
		io_uring_unregister_ring_fd(ring);
	if (ring->int_flags & RING_MEMORY_IS_PROGRAMS) {
		/* Nothing of it may be written to once the program has it back. */
	} else if (ring->flags & IORING_SETUP_NO_MMAP) {
		ring_unmap(ring->sq.ring_ptr, ring->sq.ring_sz);
	} else {
		rings_unmap(ring);
	}
	if (ring->ring_fd >= 0)
		ring_close(ring->ring_fd);
}

/* The ring goes on by its registered index alone. */
LIBURING(int, io_uring_close_ring_fd, struct io_uring *ring)
{
	if (!(ring->features & IORING_FEAT_REG_REG_RING))
		return -EOPNOTSUPP;
	if (!(ring->int_flags & RING_REGISTERED))
		return -EINVAL;
	if (ring->ring_fd < 0)
		return -EBADF;
	ring_close(ring->ring_fd);
	ring->ring_fd = -1;
	return 1;
}

/*
 * The kernel made rings of other sizes behind the same descriptor: they are
 * mapped in place of the old. Of the ring's own flags the kernel says nothing here.
 */
LIBURING(int, io_uring_resize_rings, struct io_uring *ring, struct io_uring_params *p)
{
	struct io_uring_params mapped = *p;
	struct io_uring old = *ring, resized = *ring;
	int err;

	if (ring->flags & IORING_SETUP_NO_MMAP)
		return -EINVAL;
	err = liburing_register(ring, IORING_REGISTER_RESIZE_RINGS, &mapped, 1);
	if (err < 0)
		return err;
	/*
	 * The rest of *p is not the program's concern, and would be in its way at the next resize.
	 */
	p->sq_entries = mapped.sq_entries;
	p->cq_entries = mapped.cq_entries;
	mapped.flags = ring->flags;
	mapped.features = ring->features;
	/* The kernel names the index array's place at setup only. It lies behind the CQEs. */
	if (!(ring->flags & IORING_SETUP_NO_SQARRAY) && mapped.sq_off.array == 0)
		mapped.sq_off.array = (u32)round_up(
			mapped.cq_off.cqes + mapped.cq_entries * cqe_size(ring->flags), CACHE_LINE);
	err = rings_map(ring->ring_fd, &mapped, &resized);
	if (err)
		return err;
	resized.sq.sqe_head = *resized.sq.khead;
	resized.sq.sqe_tail = *resized.sq.ktail;
	*ring = resized;
	/* Last: another thread may be waiting on this ring, and looks at it when it wakes. */
	rings_unmap(&old);
	return 0;
}

/* The memory of a ring counts against RLIMIT_MEMLOCK only in kernels before 5.12. */
LIBURING(ssize_t, io_uring_mlock_size_params, unsigned entries, struct io_uring_params *p)
{
	struct io_uring_params probe = {0};
	struct layout layout;
	struct io_uring ring;
	int err = layout_of(entries, p, &layout);

	if (err)
		return err;
	if (!io_uring_queue_init_params(2, &ring, &probe)) {
		io_uring_queue_exit(&ring);
		if (probe.features & IORING_FEAT_NATIVE_WORKERS)
			return 0;
	}
	return (ssize_t)(layout.rings_size + layout.sqes_size);
}

LIBURING(ssize_t, io_uring_mlock_size, unsigned entries, unsigned flags)
{
	struct io_uring_params p = {.flags = flags};

	return io_uring_mlock_size_params(entries, &p);
}

/* A probe is 256 slots, however many operations there are. */
#define PROBE_OPS 256

LIBURING(struct io_uring_probe *, io_uring_get_probe_ring, struct io_uring *ring)
{
	size_t size = sizeof(struct io_uring_probe) + PROBE_OPS * sizeof(struct io_uring_probe_op);
	struct io_uring_probe *probe = calloc(1, size);

	if (probe && io_uring_register_probe(ring, probe, PROBE_OPS) < 0) {
		free(probe);
		probe = NULL;
	}
	return probe;
}

LIBURING(struct io_uring_probe *, io_uring_get_probe, void)
{
	struct io_uring_probe *probe;
	struct io_uring ring;

	if (io_uring_queue_init(2, &ring, 0) < 0)
		return NULL;
	probe = io_uring_get_probe_ring(&ring);
	io_uring_queue_exit(&ring);
	return probe;
}

LIBURING(void, io_uring_free_probe, struct io_uring_probe *probe)
{
	free(probe);
}

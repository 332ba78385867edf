/*
 * ring.c - raw system calls and ring memory
 *
 * Entry:       see ring.h
 * Invariants:  R1 nothing here interprets a result: what the ring says is reported
 *              R2 the ways of entry differ in the instruction only, never in arguments
 */
#define _GNU_SOURCE
#include "ring.h"

#include <assert.h>
#include <errno.h>
#include <linux/time_types.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NR_SETUP    425
#define NR_ENTER    426
#define NR_REGISTER 427

static enum entry_way entry_way;

void entry_select(enum entry_way way)
{
	entry_way = way;
}

#if defined(__x86_64__)
static long syscall_asm(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}
#elif defined(__aarch64__)
static long syscall_asm(long nr, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}
#else
#error "no system call instruction for this machine"
#endif

static long call(long nr, long a, long b, long c, long d, long e, long f)
{
	long ret;

	if (entry_way == ENTRY_ASM)
		return syscall_asm(nr, a, b, c, d, e, f);
	ret = syscall(nr, a, b, c, d, e, f);
	return ret < 0 ? -errno : ret;
}

long call_setup(uint32_t entries, struct io_uring_params *params)
{
	return call(NR_SETUP, entries, (long)params, 0, 0, 0, 0);
}

long call_enter(int fd, uint32_t submit, uint32_t wait, uint32_t flags, const void *arg,
		size_t size)
{
	return call(NR_ENTER, fd, submit, wait, flags, (long)arg, (long)size);
}

long call_register(int fd, uint32_t opcode, const void *arg, uint32_t count)
{
	return call(NR_REGISTER, fd, opcode, (long)arg, count, 0, 0);
}

/* mmap goes the same way: the CQ offset means something to the other side. */
static void *map_ring(size_t size, int fd, uint64_t offset)
{
	const int prot = PROT_READ | PROT_WRITE;
	const int flags = MAP_SHARED | MAP_POPULATE;
	long ret;

	if (entry_way == ENTRY_LIBC)
		return mmap(NULL, size, prot, flags, fd, (off_t)offset);
	ret = syscall_asm(SYS_mmap, 0, (long)size, prot, flags, fd, (long)offset);
	return ret < 0 && ret > -4096 ? MAP_FAILED : (void *)ret;
}

static uint32_t *sq_word(const struct ring *ring, uint32_t offset)
{
	return (uint32_t *)(void *)(ring->sq_map + offset);
}

static uint32_t *cq_word(const struct ring *ring, uint32_t offset)
{
	return (uint32_t *)(void *)(ring->cq_map + offset);
}

static size_t max_size(size_t a, size_t b)
{
	return a > b ? a : b;
}

int ring_open(struct ring *ring, uint32_t entries, const struct io_uring_params *params,
	      bool map_cq_apart)
{
	struct io_uring_params *p = &ring->params;
	size_t sq_size, cq_size;
	long ret;

	memset(ring, 0, sizeof(*ring));
	ring->params = *params;
	ret = call_setup(entries, p);
	if (ret < 0)
		return (int)ret;
	ring->fd = (int)ret;
	ring->sqe_stride = p->flags & IORING_SETUP_SQE128 ? 128 : 64;
	ring->cqe_stride = p->flags & IORING_SETUP_CQE32 ? 32 : 16;
	sq_size = p->sq_off.array;
	if (!(p->flags & IORING_SETUP_NO_SQARRAY))
		sq_size += p->sq_entries * sizeof(uint32_t);
	cq_size = p->cq_off.cqes + p->cq_entries * ring->cqe_stride;
	/* The fields shared by both rings lie before the CQEs. */
	ring->sq_map_size =
		map_cq_apart ? max_size(sq_size, p->cq_off.cqes) : max_size(sq_size, cq_size);
	ring->sqes_size = p->sq_entries * ring->sqe_stride;
	ring->sq_map = map_ring(ring->sq_map_size, ring->fd, IORING_OFF_SQ_RING);
	if (ring->sq_map == MAP_FAILED)
		goto fail_close;
	ring->cq_map = ring->sq_map;
	if (map_cq_apart) {
		ring->cq_map_size = cq_size;
		ring->cq_map = map_ring(cq_size, ring->fd, IORING_OFF_CQ_RING);
		if (ring->cq_map == MAP_FAILED)
			goto fail_sq;
	}
	ring->sqes = map_ring(ring->sqes_size, ring->fd, IORING_OFF_SQES);
	if (ring->sqes == MAP_FAILED)
		goto fail_cq;
	return 0;

fail_cq:
	if (map_cq_apart)
		munmap(ring->cq_map, ring->cq_map_size);
fail_sq:
	munmap(ring->sq_map, ring->sq_map_size);
fail_close:
	close(ring->fd);
	return -ENOMEM;
}

void ring_close(struct ring *ring)
{
	munmap(ring->sqes, ring->sqes_size);
	if (ring->cq_map != ring->sq_map)
		munmap(ring->cq_map, ring->cq_map_size);
	munmap(ring->sq_map, ring->sq_map_size);
	close(ring->fd);
}

uint32_t ring_sq_pending(const struct ring *ring)
{
	const uint32_t head =
		__atomic_load_n(sq_word(ring, ring->params.sq_off.head), __ATOMIC_ACQUIRE);

	return ring->sq_tail - head;
}

uint32_t ring_sq_flags(const struct ring *ring)
{
	return __atomic_load_n(sq_word(ring, ring->params.sq_off.flags), __ATOMIC_SEQ_CST);
}

uint32_t ring_sq_dropped(const struct ring *ring)
{
	return __atomic_load_n(sq_word(ring, ring->params.sq_off.dropped), __ATOMIC_RELAXED);
}

uint32_t ring_cq_overflow(const struct ring *ring)
{
	return __atomic_load_n(cq_word(ring, ring->params.cq_off.overflow), __ATOMIC_RELAXED);
}

uint32_t ring_cq_ready(const struct ring *ring)
{
	const uint32_t tail =
		__atomic_load_n(cq_word(ring, ring->params.cq_off.tail), __ATOMIC_ACQUIRE);

	return tail - *cq_word(ring, ring->params.cq_off.head);
}

struct io_uring_sqe *ring_next_sqe(struct ring *ring)
{
	const uint32_t index = ring->sq_tail & (ring->params.sq_entries - 1);
	uint8_t *sqe = ring->sqes + index * ring->sqe_stride;

	assert(ring_sq_pending(ring) < ring->params.sq_entries);
	if (!(ring->params.flags & IORING_SETUP_NO_SQARRAY))
		sq_word(ring, ring->params.sq_off.array)[index] = index;
	memset(sqe, 0, ring->sqe_stride);
	ring->sq_tail++;
	return (struct io_uring_sqe *)(void *)sqe;
}

void ring_publish(struct ring *ring)
{
	__atomic_store_n(sq_word(ring, ring->params.sq_off.tail), ring->sq_tail, __ATOMIC_RELEASE);
}

bool ring_take_cqe(struct ring *ring, struct io_uring_cqe *cqe, uint64_t extra[2])
{
	uint32_t *head = cq_word(ring, ring->params.cq_off.head);
	const bool is_mixed = ring->params.flags & ORACLE_SETUP_CQE_MIXED;
	const uint8_t *entry;
	bool is_wide;

again:
	if (!ring_cq_ready(ring))
		return false;
	entry = ring->cq_map + ring->params.cq_off.cqes +
		(size_t)(*head & (ring->params.cq_entries - 1)) * ring->cqe_stride;
	memcpy(cqe, entry, 16);
	extra[0] = 0;
	extra[1] = 0;
	is_wide = is_mixed && cqe->flags & ORACLE_CQE_F_32;
	if (ring->cqe_stride == 32 || is_wide)
		memcpy(extra, entry + 16, 16);
	__atomic_store_n(head, *head + 1 + is_wide, __ATOMIC_RELEASE);
	if (is_mixed && cqe->flags & ORACLE_CQE_F_SKIP)
		goto again;
	return true;
}

int ring_wait(struct ring *ring, uint32_t submit, uint32_t wait, unsigned int milliseconds)
{
	struct __kernel_timespec ts = {
		.tv_sec = milliseconds / 1000,
		.tv_nsec = (long long)(milliseconds % 1000) * 1000000,
	};
	struct io_uring_getevents_arg arg = {
		.sigmask_sz = _NSIG / 8,
		.ts = (uint64_t)(uintptr_t)&ts,
	};

	return (int)call_enter(ring->fd, submit, wait,
			       IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, sizeof(arg));
}

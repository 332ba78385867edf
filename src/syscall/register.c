/*
 * register.c - io_uring_register(): what goes where, and what needs no file of its own
 *
 * Argument checks and their order are the kernel's. An opcode that is not here
 * is refused with -EINVAL, as by a kernel that does not know it.
 *
 * Personalities are refused so too: requests of a personality would have to be made with
 * credentials that this process had once and may have given up, and only the kernel can keep those.
 *
 * The kernel: io_uring/register.c
 */
#include <fcntl.h>
#include <string.h>

#include "host/clock.h"
#include "host/kernel.h"
#include "host/usercopy.h"
#include "op/msg_ring.h"
#include "request/reactor.h"
#include "request/wait.h"
#include "syscall/internal.h"
#include "syscall/syscall.h"

#define PROBE_OPS_MAX 256
/* The last operation that is here. Kernel 6.18 ends with PIPE. */
#define PROBE_LAST_OP IORING_OP_NOP128

/* What the kernel calls the file: "anon_inode:[eventfd]". */
static bool is_eventfd(int fd)
{
	static const char wanted[] = "anon_inode:[eventfd]";
	char path[32] = "/proc/self/fd/", link[sizeof(wanted)] = "";
	char digits[12];
	size_t len = 14, n = 0;
	enum file_kind kind = file_kind_hint(fd);
	long got;

	do {
		digits[n++] = (char)('0' + fd % 10);
		fd /= 10;
	} while (fd > 0);
	while (n > 0)
		path[len++] = digits[--n];
	path[len] = 0;
	got = host_call(SYS_readlinkat, AT_FDCWD, path, link, sizeof(link));
	if (got < 0)
		return kind == FILE_STREAM; /* no /proc: anything that can be waited for will do */
	return got == sizeof(wanted) - 1 && memcmp(link, wanted, (size_t)got) == 0;
}

static long register_eventfd(struct ring *ring, const void *user_fd, u32 count, bool is_async_only)
{
	long copy;
	s32 fd;

	if (count != 1)
		return -EINVAL;
	if (ring->event_fd >= 0)
		return -EBUSY;
	if (copy_from_user(&fd, user_fd, sizeof(fd)))
		return -EFAULT;
	if (file_classify(fd) == FILE_UNKNOWN)
		return -EBADF;
	if (!is_eventfd(fd))
		return -EINVAL;
	copy = fd_duplicate_private(fd);
	if (copy < 0)
		return copy;
	ring->event_fd = (int)copy;
	ring->event_async_only = is_async_only;
	ring->event_is_due = false;
	return 0;
}

static long unregister_eventfd(struct ring *ring)
{
	if (ring->event_fd < 0)
		return -ENXIO;
	fd_close_private(ring->event_fd);
	ring->event_fd = -1;
	return 0;
}

static long register_probe(void *user_probe, u32 count)
{
	struct {
		struct io_uring_probe probe;
		struct io_uring_probe_op ops[PROBE_LAST_OP + 1];
	} answer;
	u32 ops = min_of(count, PROBE_LAST_OP + 1);
	size_t size = sizeof(answer.probe) + ops * sizeof(answer.ops[0]);
	const unsigned char *bytes = (const void *)&answer;

	if (user_probe == NULL || count > PROBE_OPS_MAX)
		return -EINVAL;
	if (copy_from_user(&answer, user_probe, size))
		return -EFAULT;
	for (size_t i = 0; i < size; i++)
		if (bytes[i])
			return -EINVAL;
	answer.probe.last_op = PROBE_LAST_OP;
	answer.probe.ops_len = (u8)ops;
	for (u32 i = 0; i < ops; i++) {
		answer.ops[i].op = (u8)i;
		if (op_table[i].prep != NULL)
			answer.ops[i].flags = IO_URING_OP_SUPPORTED;
	}
	return copy_to_user(user_probe, &answer, size);
}

static long enable_rings(struct ring *ring)
{
	if (!ring->is_disabled)
		return -EBADFD;
	ring->is_disabled = false;
	ring->restrictions.is_active = ring->restrictions.is_registered;
	if (ring->setup_flags & IORING_SETUP_SINGLE_ISSUER && ring->submitter_tid == 0)
		ring->submitter_tid = thread_id();
	if (ring_is_sqpoll(ring))
		reactor_kick();
	return 0;
}

/* Of what concerns workers, registering says something of these: the calling thread's, or those of
 * an SQPOLL ring. NULL: the thread has none. */
static struct punt_pool *workers_meant(const struct ring *ring)
{
	return ring_is_sqpoll(ring) ? ring->pool : punt_pool_of_thread();
}

/*
 * The limits are a thread's: those of the one that asks are told, and set. What was ever set by
 * this ring is then set, again as well, for the ring's creator, and later for each thread that
 * submits to it and has no workers yet. Of an SQPOLL ring the limits are its own.
 */
static long register_worker_limits(struct ring *ring, void *user_limits, u32 count)
{
	struct punt_pool *mine = workers_meant(ring);
	u32 limits[2], old[2] = {0}, ignored[2];

	if (user_limits == NULL || count != 2)
		return -EINVAL;
	if (copy_from_user(limits, user_limits, sizeof(limits)))
		return -EFAULT;
	if (limits[0] > INT32_MAX || limits[1] > INT32_MAX)
		return -EINVAL;
	for (int i = 0; i < 2; i++)
		if (limits[i] > 0)
			ring->worker_limits[i] = limits[i];
	if (mine != NULL)
		punt_limits(mine, limits, old);
	if (!ring_is_sqpoll(ring))
		punt_limits(ring->pool, ring->worker_limits, ignored);
	return copy_to_user(user_limits, old, sizeof(old));
}

/*
 * IORING_REGISTER_IOWQ_AFF. The kernel refuses processors that the process may not use: that is
 * found out by trying, on this thread, which then gets its own set back.
 */
static long register_affinity(struct ring *ring, const void *user_mask, u32 size)
{
	u64 mask[PUNT_CPU_WORDS] = {0}, old[PUNT_CPU_WORDS] = {0}, got[PUNT_CPU_WORDS] = {0};
	struct punt_pool *pool = workers_meant(ring);
	bool is_possible;

	if (user_mask == NULL || size == 0)
		return -EINVAL;
	if (copy_from_user(mask, user_mask, min_of(size, (u32)sizeof(mask))))
		return -EFAULT;
	if (host_call(SYS_sched_getaffinity, 0, sizeof(old), old) < 0)
		return -EINVAL;
	is_possible = host_call(SYS_sched_setaffinity, 0, sizeof(mask), mask) == 0 &&
		      host_call(SYS_sched_getaffinity, 0, sizeof(got), got) > 0 &&
		      memcmp(mask, got, sizeof(mask)) == 0;
	host_call(SYS_sched_setaffinity, 0, sizeof(old), old);
	if (!is_possible || pool == NULL)
		return -EINVAL;
	punt_affinity(pool, mask);
	return 0;
}

static long unregister_affinity(struct ring *ring)
{
	struct punt_pool *pool = workers_meant(ring);
	u64 all[PUNT_CPU_WORDS];

	if (pool == NULL)
		return -EINVAL;

	memset(all, 0xff, sizeof(all));
	punt_affinity(pool, all);
	return 0;
}

/* What absolute times of io_uring_enter() are times of. */
static long register_clock(struct ring *ring, const void *user_clock)
{
	struct io_uring_clock_register arg;

	if (copy_from_user(&arg, user_clock, sizeof(arg)))
		return -EFAULT;
	if (arg.resv[0] || arg.resv[1] || arg.resv[2])
		return -EINVAL;
	if (arg.clockid != CLOCK_MONOTONIC && arg.clockid != CLOCK_BOOTTIME)
		return -EINVAL;
	ring->waits_by_boottime = arg.clockid == CLOCK_BOOTTIME;
	return 0;
}

/* One element of IORING_REGISTER_RING_FDS. The lock of `self` is held, and may be that ring's. */
static long register_ring_fd(struct ring *self, struct io_uring_rsrc_update *slot)
{
	u32 start = 0, end = REGISTERED_RINGS;
	struct ring *ring;
	int index;

	if (slot->resv)
		return -EINVAL;
	if (slot->offset != UINT32_MAX) {
		if (slot->offset >= REGISTERED_RINGS)
			return -EINVAL;
		start = slot->offset;
		end = start + 1;
	}
	ring = descriptor_ring((int)slot->data);
	if (ring == NULL)
		return file_classify((int)slot->data) == FILE_UNKNOWN ? -EBADF : -EOPNOTSUPP;
	if (ring != self) {
		/* Two ring locks are never held together. */
		ring_unlock(self);
		ring_lock(ring);
	}
	index = ring->life == RING_ALIVE ? descriptor_register_ring(ring, start, end) : -EBADF;
	if (ring != self) {
		ring_unlock(ring);
		ring_lock(self);
	}
	if (index >= 0)
		slot->offset = (u32)index;
	return min_of(index, 0);
}

static long register_ring_fds(struct ring *self, void *user_slots, u32 count)
{
	struct io_uring_rsrc_update slot;
	long err = 0;
	u32 i;

	if (count == 0 || count > REGISTERED_RINGS)
		return -EINVAL;
	for (i = 0; i < count; i++) {
		if (copy_from_user(&slot, user_element((u64)user_slots, i, sizeof(slot)),
				   sizeof(slot))) {
			err = -EFAULT;
			break;
		}
		err = register_ring_fd(self, &slot);
		if (err)
			break;
		if (copy_to_user(user_element((u64)user_slots, i, sizeof(slot)), &slot,
				 sizeof(slot))) {
			ring_unlock(self);
			descriptor_unregister_ring(slot.offset);
			ring_lock(self);
			err = -EFAULT;
			break;
		}
	}
	return i ? (long)i : err;
}

static long unregister_ring_fds(struct ring *self, const void *user_slots, u32 count)
{
	struct io_uring_rsrc_update slot;
	long err = 0;
	u32 i;

	if (count == 0 || count > REGISTERED_RINGS)
		return -EINVAL;
	for (i = 0; i < count; i++) {
		if (copy_from_user(&slot, user_element((u64)user_slots, i, sizeof(slot)),
				   sizeof(slot))) {
			err = -EFAULT;
			break;
		}
		if (slot.resv || slot.data || slot.offset >= REGISTERED_RINGS) {
			err = -EINVAL;
			break;
		}
		ring_unlock(self);
		descriptor_unregister_ring(slot.offset);
		ring_lock(self);
	}
	return i ? (long)i : err;
}

static long register_op(struct ring *ring, u32 opcode, void *arg, u32 count)
{
	bool has_no_argument = arg == NULL && count == 0;
	bool has_one_argument = arg != NULL && count == 1;

	switch (opcode) {
	case IORING_REGISTER_BUFFERS:
		return arg ? register_buffers(ring, (u64)arg, count, 0) : -EFAULT;
	case IORING_UNREGISTER_BUFFERS:
		return has_no_argument ? resource_table_destroy(ring, &ring->buffers) : -EINVAL;
	case IORING_REGISTER_FILES:
		return arg ? register_files(ring, (u64)arg, count, 0) : -EFAULT;
	case IORING_UNREGISTER_FILES:
		return has_no_argument ? resource_table_destroy(ring, &ring->files) : -EINVAL;
	case IORING_REGISTER_FILES_UPDATE:
		return register_files_update(ring, arg, count);
	case IORING_REGISTER_EVENTFD:
		return register_eventfd(ring, arg, count, false);
	case IORING_REGISTER_EVENTFD_ASYNC:
		return register_eventfd(ring, arg, count, true);
	case IORING_UNREGISTER_EVENTFD:
		return has_no_argument ? unregister_eventfd(ring) : -EINVAL;
	case IORING_REGISTER_PROBE:
		return register_probe(arg, count);
	case IORING_REGISTER_ENABLE_RINGS:
		return has_no_argument ? enable_rings(ring) : -EINVAL;
	case IORING_REGISTER_FILES2:
		return register_rsrc(ring, arg, count, true);
	case IORING_REGISTER_BUFFERS2:
		return register_rsrc(ring, arg, count, false);
	case IORING_REGISTER_FILES_UPDATE2:
		return register_rsrc_update(ring, arg, count, true);
	case IORING_REGISTER_BUFFERS_UPDATE:
		return register_rsrc_update(ring, arg, count, false);
	case IORING_REGISTER_FILE_ALLOC_RANGE:
		return arg == NULL || count ? -EINVAL : register_file_alloc_range(ring, arg);
	case IORING_REGISTER_RESTRICTIONS:
		return register_restrictions(ring, arg, count);
	case IORING_REGISTER_SYNC_CANCEL:
		return has_one_argument ? register_sync_cancel(ring, arg) : -EINVAL;
	case IORING_REGISTER_CLONE_BUFFERS:
		return has_one_argument ? register_clone_buffers(ring, arg) : -EINVAL;
	case IORING_REGISTER_RESIZE_RINGS:
		return has_one_argument ? register_resize_rings(ring, arg) : -EINVAL;
	case IORING_REGISTER_MEM_REGION:
		return has_one_argument ? register_mem_region(ring, arg) : -EINVAL;
	case IORING_REGISTER_CLOCK:
		return arg == NULL || count ? -EINVAL : register_clock(ring, arg);
	case IORING_REGISTER_QUERY:
		return register_query(arg, count);
	case IORING_REGISTER_IOWQ_AFF:
		return register_affinity(ring, arg, count);
	case IORING_UNREGISTER_IOWQ_AFF:
		return has_no_argument ? unregister_affinity(ring) : -EINVAL;
	case IORING_REGISTER_NAPI:
	case IORING_UNREGISTER_NAPI:
		/* As a kernel without busy polling. */
		return has_one_argument ? -EOPNOTSUPP : -EINVAL;
	case IORING_REGISTER_IOWQ_MAX_WORKERS:
		return register_worker_limits(ring, arg, count);
	case IORING_REGISTER_RING_FDS:
		return register_ring_fds(ring, arg, count);
	case IORING_UNREGISTER_RING_FDS:
		return unregister_ring_fds(ring, arg, count);
	case IORING_REGISTER_PBUF_RING:
		return register_pbuf_ring(ring, ring->fd, arg, count);
	case IORING_UNREGISTER_PBUF_RING:
		return unregister_pbuf_ring(ring, arg, count);
	case IORING_REGISTER_PBUF_STATUS:
		return register_pbuf_status(ring, arg, count);
	default:
		return -EINVAL;
	}
}

static long send_msg_ring(const void *user_sqe, u32 count)
{
	struct io_uring_sqe sqe;

	if (user_sqe == NULL || count != 1)
		return -EINVAL;
	if (copy_from_user(&sqe, user_sqe, sizeof(sqe)))
		return -EFAULT;
	return msg_ring_without_ring(&sqe);
}

static long register_without_ring(u32 opcode, void *arg, u32 count)
{
	switch (opcode) {
	case IORING_REGISTER_SEND_MSG_RING:
		return send_msg_ring(arg, count);
	case IORING_REGISTER_QUERY:
		return register_query(arg, count);
	default:
		return -EINVAL;
	}
}

long syscall_register(u32 fd, u32 opcode, void *user_arg, u32 nr_args)
{
	bool is_registered = opcode & IORING_REGISTER_USE_REGISTERED_RING;
	struct ring *ring;
	long result;
	int err;

	opcode &= ~IORING_REGISTER_USE_REGISTERED_RING;
	if (opcode >= IORING_REGISTER_LAST)
		return -EINVAL;
	/* Descriptor -1 is no bad descriptor but asks for what needs no ring. */
	if (fd == UINT32_MAX)
		return register_without_ring(opcode, user_arg, nr_args);
	err = descriptor_lock_ring(fd, is_registered, &ring);
	if (err)
		return err;
	if (ring->submitter_tid && ring->submitter_tid != thread_id())
		result = -EEXIST;
	else if (ring->restrictions.is_active &&
		 !(ring->restrictions.register_ops[0] >> opcode & 1))
		result = -EACCES;
	else
		result = register_op(ring, opcode, user_arg, nr_args);
	/* Tags may have been posted. */
	if (ring->life == RING_ALIVE)
		ring_commit(ring);
	else
		wait_wake(ring); /* ring_end() may sleep for a request that ran here */
	descriptor_end_if_unnamed(ring);
	ring_unlock(ring);
	return result;
}

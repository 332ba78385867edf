/*
 * setup.c - io_uring_setup()
 *
 * Checks the parameters as the kernel does, in its order, makes the shared
 * memory and its descriptor, and brings the ring to life.
 *
 * The kernel: io_uring_setup() in io_uring/io_uring.c
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "host/clock.h"
#include "host/kernel.h"
#include "host/usercopy.h"
#include "request/reactor.h"
#include "request/rings.h"
#include "syscall/descriptor.h"
#include "syscall/internal.h"
#include "syscall/syscall.h"

#define SETUP_FLAGS                                                                                \
	(IORING_SETUP_IOPOLL | IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF | IORING_SETUP_CQSIZE |   \
	 IORING_SETUP_CLAMP | IORING_SETUP_ATTACH_WQ | IORING_SETUP_R_DISABLED |                   \
	 IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG |         \
	 IORING_SETUP_SQE128 | IORING_SETUP_CQE32 | IORING_SETUP_SINGLE_ISSUER |                   \
	 IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_NO_MMAP | IORING_SETUP_REGISTERED_FD_ONLY |     \
	 IORING_SETUP_NO_SQARRAY | IORING_SETUP_HYBRID_IOPOLL | IORING_SETUP_CQE_MIXED |           \
	 IORING_SETUP_SQE_MIXED | IORING_SETUP_SQ_REWIND)

/* Only what works. Not here: RW_ATTR, for no attribute is supported. */
#define FEATURES                                                                                   \
	(IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE |                \
	 IORING_FEAT_RW_CUR_POS | IORING_FEAT_CUR_PERSONALITY | IORING_FEAT_FAST_POLL |            \
	 IORING_FEAT_POLL_32BITS | IORING_FEAT_SQPOLL_NONFIXED | IORING_FEAT_EXT_ARG |             \
	 IORING_FEAT_NATIVE_WORKERS | IORING_FEAT_RSRC_TAGS | IORING_FEAT_CQE_SKIP |               \
	 IORING_FEAT_LINKED_FILE | IORING_FEAT_REG_REG_RING | IORING_FEAT_RECVSEND_BUNDLE |        \
	 IORING_FEAT_MIN_TIMEOUT | IORING_FEAT_NO_IOWAIT)

const u32 setup_known_flags = SETUP_FLAGS, setup_features = FEATURES;

static u32 round_up_power_of_two(u32 value)
{
	return value <= 1 ? 1 : 1u << (32 - __builtin_clz(value - 1));
}

static bool has_both(u32 flags, u32 one, u32 other)
{
	return flags & one && flags & other;
}

static int check_flags(u32 flags)
{
	if (flags & ~SETUP_FLAGS)
		return -EINVAL;
	if (flags & IORING_SETUP_REGISTERED_FD_ONLY && !(flags & IORING_SETUP_NO_MMAP))
		return -EINVAL;
	if (flags & IORING_SETUP_SQPOLL &&
	    flags & (IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
		     IORING_SETUP_DEFER_TASKRUN))
		return -EINVAL;
	if (flags & IORING_SETUP_TASKRUN_FLAG &&
	    !(flags & (IORING_SETUP_COOP_TASKRUN | IORING_SETUP_DEFER_TASKRUN)))
		return -EINVAL;
	if (flags & IORING_SETUP_DEFER_TASKRUN && !(flags & IORING_SETUP_SINGLE_ISSUER))
		return -EINVAL;
	if (flags & IORING_SETUP_HYBRID_IOPOLL && !(flags & IORING_SETUP_IOPOLL))
		return -EINVAL;
	if (has_both(flags, IORING_SETUP_CQE32, IORING_SETUP_CQE_MIXED) ||
	    has_both(flags, IORING_SETUP_SQE128, IORING_SETUP_SQE_MIXED))
		return -EINVAL;
	if (flags & IORING_SETUP_SQ_REWIND &&
	    (flags & IORING_SETUP_SQPOLL || !(flags & IORING_SETUP_NO_SQARRAY)))
		return -EINVAL;
	return 0;
}

/* What takes two neighbouring entries needs two. */
static int check_mixed(const struct io_uring_params *params)
{
	if (params->flags & IORING_SETUP_CQE_MIXED && params->cq_entries < 2)
		return -EOVERFLOW;
	if (params->flags & IORING_SETUP_SQE_MIXED && params->sq_entries < 2)
		return -EOVERFLOW;
	return 0;
}

int setup_check_entries(u32 entries, struct io_uring_params *params)
{
	if (entries == 0)
		return -EINVAL;
	if (entries > RING_MAX_ENTRIES) {
		if (!(params->flags & IORING_SETUP_CLAMP))
			return -EINVAL;
		entries = RING_MAX_ENTRIES;
	}
	params->sq_entries = round_up_power_of_two(entries);
	if (!(params->flags & IORING_SETUP_CQSIZE)) {
		params->cq_entries = 2 * params->sq_entries;
		return 0;
	}
	if (params->cq_entries == 0)
		return -EINVAL;
	if (params->cq_entries > RING_MAX_CQ_ENTRIES) {
		if (!(params->flags & IORING_SETUP_CLAMP))
			return -EINVAL;
		params->cq_entries = RING_MAX_CQ_ENTRIES;
	}
	params->cq_entries = round_up_power_of_two(params->cq_entries);
	return params->cq_entries < params->sq_entries ? -EINVAL : 0;
}

/* ATTACH_WQ shares the thread of another SQPOLL ring, and its workers. All our SQPOLL rings share
 * one thread, and each has workers of its own: only the check is left. */
static int check_attach(const struct io_uring_params *params)
{
	const struct ring *ring;

	if (!(params->flags & IORING_SETUP_ATTACH_WQ))
		return 0;
	ring = descriptor_ring((int)params->wq_fd);
	if (ring == NULL)
		return file_classify((int)params->wq_fd) == FILE_UNKNOWN ? -ENXIO : -EINVAL;
	/* A ring without a thread has none to share. */
	return params->flags & IORING_SETUP_SQPOLL && !ring_is_sqpoll(ring) ? -EINVAL : 0;
}

static int check_affinity(const struct io_uring_params *params)
{
	long cpus[16];
	long size;

	if (!(params->flags & IORING_SETUP_SQ_AFF))
		return 0;
	if (!(params->flags & IORING_SETUP_SQPOLL))
		return -EINVAL;
	if (params->flags & IORING_SETUP_ATTACH_WQ)
		return 0; /* a thread that is shared stays where it is */
	size = host_call(SYS_sched_getaffinity, 0, sizeof(cpus), cpus);
	if (size <= 0 || params->sq_thread_cpu >= (u32)size * 8)
		return -EINVAL;
	return cpus[params->sq_thread_cpu / 64] >> (params->sq_thread_cpu % 64) & 1 ? 0 : -EINVAL;
}

/* Memory, and its descriptor in *fd: -1 if the program wants none. 0 or -errno. */
static int make_memory(struct ring *ring, const struct io_uring_params *params, int *fd)
{
	int err = 0;

	*fd = -1;
	if (params->flags & IORING_SETUP_NO_MMAP)
		err = ring_memory_adopt(&ring->memory, params);
	if (err || params->flags & IORING_SETUP_REGISTERED_FD_ONLY)
		return err;
	*fd = params->flags & IORING_SETUP_NO_MMAP ? ring_memory_name()
						   : ring_memory_create(&ring->memory);
	return min_of(*fd, 0);
}

/* The thread that sets a ring up has workers from then on. */
static int give_workers(struct ring *ring, u32 sq_entries)
{
	if (punt_pool_start(sq_entries) != NULL)
		ring->pool = punt_pool_get(sq_entries, ring_is_sqpoll(ring));
	return ring->pool != NULL ? 0 : -ENOMEM;
}

/* With the ring's lock held: it comes to life. Returns what io_uring_setup() returns. */
static long bring_to_life(struct ring *ring, const struct io_uring_params *params, int fd)
{
	struct stat status;
	int err;

	ring->is_disabled = params->flags & IORING_SETUP_R_DISABLED;
	if (params->flags & IORING_SETUP_SINGLE_ISSUER && !ring->is_disabled)
		ring->submitter_tid = thread_id();
	ring->sq_idle_ns =
		(u64)(params->sq_thread_idle ? params->sq_thread_idle : 1000) * NS_PER_MS;
	if (fd >= 0 && host_call(SYS_newfstatat, fd, "", &status, AT_EMPTY_PATH) == 0)
		ring->inode = status.st_ino;
	ring_memory_start(&ring->memory);
	ring->fd = fd;
	store_relaxed(&ring->life, RING_ALIVE);
	if (fd >= 0) {
		descriptor_name(ring, fd);
	} else {
		fd = descriptor_register_ring(ring, 0, REGISTERED_RINGS);
		if (fd < 0)
			return fd;
	}
	if (ring_is_sqpoll(ring)) {
		err = reactor_start_sqpoll(ring);
		if (err) {
			descriptor_forget_ring(ring);
			return err;
		}
	}
	return fd;
}

long syscall_setup(u32 entries, struct io_uring_params *user_params)
{
	struct io_uring_params params;
	struct ring *ring;
	long result;
	int fd, err;

	if (copy_from_user(&params, user_params, sizeof(params)))
		return -EFAULT;
	for (u32 i = 0; i < ARRAY_SIZE(params.resv); i++)
		if (params.resv[i])
			return -EINVAL;
	err = check_flags(params.flags);
	if (!err)
		err = setup_check_entries(entries, &params);
	if (!err)
		err = check_mixed(&params);
	if (!err)
		err = check_attach(&params);
	if (!err)
		err = check_affinity(&params);
	if (err)
		return err;
	descriptor_init();
	descriptor_sweep();
	ring = ring_new(params.flags);
	if (ring == NULL)
		return -ENOMEM;
	ring_memory_layout(&ring->memory, &params);
	params.features = FEATURES;
	ring_lock(ring);
	result = make_memory(ring, &params, &fd);
	if (result == 0)
		result = give_workers(ring, params.sq_entries);
	if (result == 0 && copy_to_user(user_params, &params, sizeof(params)))
		result = -EFAULT;
	if (result == 0)
		result = bring_to_life(ring, &params, fd);
	if (result < 0) {
		descriptor_unname(ring, fd);
		store_relaxed(&ring->life, RING_DYING);
		ring_delete(ring);
		if (fd >= 0)
			host_call(SYS_close, fd);
	}
	ring_unlock(ring);
	return result;
}

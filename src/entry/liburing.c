/*
 * liburing.c - in place of liburing.so's functions that submit and wait
 *
 * For a preloaded library these are called instead of liburing's, so a call
 * costs a function call where liburing's makes a system call. A ring of
 * ringside is told by a bit in the structure; any other ring goes on to the
 * kernel, so a program that uses both notices nothing.
 *
 * The whole of submitting: publish the SQ tail, and enter if there is somebody
 * to be told (always, but for an SQPOLL ring whose thread is awake). The whole
 * of waiting is cq_wait(): look at the CQ; enter if what is there is not
 * enough; look again.
 *
 * Entry:      the functions of liburing's API; results are theirs (man section 3): values or -errno
 * Locks:      none. As with liburing, one thread at a time may use a side (SQ, CQ) of a ring
 * liburing:   submits and waits alike; there a system call ends each path
 * Not here:   making and ending rings (liburing_setup.c), registering (liburing_register.c)
 */
#include "entry/liburing.h"

#include <errno.h>

#include "entry/route.h"

#define SIGSET_SIZE 8 /* the kernel's sigset_t */

int liburing_enter(const struct io_uring *ring, u32 to_submit, u32 min_complete, u32 flags,
		   const void *arg, size_t arg_size)
{
	u32 fd = (u32)ring->enter_ring_fd;

	if (ring->int_flags & RING_REGISTERED)
		flags |= IORING_ENTER_REGISTERED_RING;
	if (min_complete && unlikely(ring->int_flags & RING_NO_IOWAIT))
		flags |= IORING_ENTER_NO_IOWAIT;
	if (likely(ring->int_flags & RING_IS_USER))
		return (int)syscall_enter(fd, to_submit, min_complete, flags, arg, arg_size);
	return (int)route_enter(fd, to_submit, min_complete, flags, arg, arg_size);
}

/* Publishes the SQEs that the program prepared; how many the kernel's side has not taken yet. */
static inline u32 sq_flush(struct io_uring *ring)
{
	struct io_uring_sq *sq = &ring->sq;
	u32 tail = sq->sqe_tail;

	if (unlikely(ring->flags & IORING_SETUP_SQ_REWIND)) {
		sq->sqe_tail = 0; /* the next batch begins at the first entry again */
		return tail;
	}
	if (sq->sqe_head != tail) {
		sq->sqe_head = tail;
		store_release(sq->ktail, tail); /* pairs with the acquire where SQEs are fetched */
	}
	return tail - load_relaxed(sq->khead);
}

/*
 * Whether somebody must be told of `count` published SQEs; for an SQPOLL ring adds the flag to wake
 * it.
 */
static inline bool sq_needs_enter(const struct io_uring *ring, u32 count, u32 *flags)
{
	if (count == 0)
		return false;
	if (likely(!(ring->flags & IORING_SETUP_SQPOLL)))
		return true;
	/* The tail is visible before the flag is looked at; the thread does the reverse. */
	barrier_full();
	if (!(load_relaxed(ring->sq.kflags) & IORING_SQ_NEED_WAKEUP))
		return false;
	*flags |= IORING_ENTER_SQ_WAKEUP;
	return true;
}

/* Whether completions may be there that only an enter brings into the CQ's memory. */
static inline bool cq_has_hidden(const struct io_uring *ring)
{
	return load_relaxed(ring->sq.kflags) & (IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN);
}

static inline bool cq_needs_enter(const struct io_uring *ring)
{
	return ring->flags & IORING_SETUP_IOPOLL || cq_has_hidden(ring);
}

static inline int submit(struct io_uring *ring, u32 wait_nr, u32 flags)
{
	u32 count = sq_flush(ring);
	bool must_enter;

	if (wait_nr || cq_needs_enter(ring))
		flags |= IORING_ENTER_GETEVENTS;
	must_enter = sq_needs_enter(ring, count, &flags);
	if (!must_enter && !(flags & IORING_ENTER_GETEVENTS))
		return (int)count;
	return liburing_enter(ring, count, wait_nr, flags, NULL, SIGSET_SIZE);
}

LIBURING(int, io_uring_submit, struct io_uring *ring)
{
	return submit(ring, 0, 0);
}

LIBURING(int, io_uring_submit_and_wait, struct io_uring *ring, unsigned wait_nr)
{
	return submit(ring, wait_nr, 0);
}

LIBURING(int, io_uring_submit_and_get_events, struct io_uring *ring)
{
	return submit(ring, 0, IORING_ENTER_GETEVENTS);
}

LIBURING(int, io_uring_get_events, struct io_uring *ring)
{
	return liburing_enter(ring, 0, 0, IORING_ENTER_GETEVENTS, NULL, SIGSET_SIZE);
}

LIBURING(int, __io_uring_sqring_wait, struct io_uring *ring)
{
	return liburing_enter(ring, 0, 0, IORING_ENTER_SQ_WAIT, NULL, SIGSET_SIZE);
}

static inline struct io_uring_cqe *cq_at(const struct io_uring *ring, u32 position)
{
	u32 shift = ring->flags & IORING_SETUP_CQE32 ? 1 : 0;

	/* In bytes: a CQE is a structure with a flexible tail. */
	return (void *)((char *)ring->cq.cqes + ((size_t)(position & ring->cq.ring_mask) << shift) *
							sizeof(struct io_uring_cqe));
}

/* Slots that a CQE takes: two for a large one in a CQ of mixed sizes. */
static inline u32 cqe_slots(const struct io_uring *ring, const struct io_uring_cqe *cqe)
{
	return ring->flags & IORING_SETUP_CQE_MIXED && cqe->flags & IORING_CQE_F_32 ? 2 : 1;
}

/* Fills the end of a CQ of mixed sizes, where a large CQE had no room. */
static inline bool cqe_is_filler(const struct io_uring *ring, const struct io_uring_cqe *cqe)
{
	return ring->flags & IORING_SETUP_CQE_MIXED && cqe->flags & IORING_CQE_F_SKIP;
}

/*
 * A CQE that is not for the program: a filler, or the end of our own timeout (then
 * *timeout_result).
 */
static bool cqe_is_ours(const struct io_uring *ring, const struct io_uring_cqe *cqe,
			int *timeout_result)
{
	if (cqe_is_filler(ring, cqe))
		return true;
	if (ring->features & IORING_FEAT_EXT_ARG || cqe->user_data != RING_TIMEOUT_USER_DATA)
		return false;
	if (cqe->res < 0)
		*timeout_result = cqe->res;
	return true;
}

/* The oldest CQE of the program's, or NULL; *available: how many there are. */
static inline struct io_uring_cqe *cq_peek(struct io_uring *ring, u32 *available,
					   int *timeout_result)
{
	for (;;) {
		u32 tail = load_acquire(
			ring->cq.ktail); /* pairs with the release where CQEs are posted */
		u32 head = *ring->cq.khead;
		struct io_uring_cqe *cqe;

		*available = tail - head;
		if (head == tail)
			return NULL;
		cqe = cq_at(ring, head);
		if (likely(!cqe_is_ours(ring, cqe, timeout_result)))
			return cqe;
		store_release(ring->cq.khead, head + cqe_slots(ring, cqe));
		if (*timeout_result)
			return NULL;
	}
}

/* What to wait for, and how. */
struct wait {
	u32 submit;       /* SQEs published and not taken */
	u32 wait_nr;      /* CQEs that must be there; 0: only look */
	u32 flags;        /* of the enter */
	bool has_timeout; /* the enter may end without wait_nr CQEs: do not wait twice */
	const void *arg;
	size_t arg_size;
};

/*
 * Brings wait->wait_nr CQEs into the CQ and leaves the oldest in *cqe_ptr. The
 * number of SQEs that were taken by the way (0 if there were none), or -errno:
 * -EAGAIN if there is none and nothing was to be waited for, -ETIME.
 */
static int cq_wait(struct io_uring *ring, struct io_uring_cqe **cqe_ptr, const struct wait *wait)
{
	u32 to_submit = wait->submit;
	bool has_entered = false, has_waited = false;
	int submitted = 0;

	for (;;) {
		u32 available, flags = wait->flags;
		int ret = 0;
		bool must_enter;

		*cqe_ptr = cq_peek(ring, &available, &ret);
		if (unlikely(ret))
			return ret;
		if (available < wait->wait_nr || (!*cqe_ptr && !to_submit && !wait->wait_nr)) {
			if (has_waited && (*cqe_ptr || wait->has_timeout))
				return *cqe_ptr || submitted ? submitted : -ETIME;
			if (!wait->wait_nr && (has_entered || !cq_needs_enter(ring)))
				return submitted ? submitted : -EAGAIN;
			flags |= IORING_ENTER_GETEVENTS;
		}
		must_enter = sq_needs_enter(ring, to_submit, &flags);
		if (!must_enter && !(flags & IORING_ENTER_GETEVENTS))
			return submitted;
		ret = liburing_enter(ring, to_submit, wait->wait_nr, flags, wait->arg,
				     wait->arg_size);
		if (ret < 0)
			return ret;
		has_entered = true;
		/*
		 * An enter that took SQEs may have left its wait early (a signal) and cannot say
		 * so.
		 */
		has_waited = wait->wait_nr && (ret == 0 || wait->has_timeout);
		submitted += ret;
		to_submit = ret ? to_submit - min_of((u32)ret, to_submit) : 0;
	}
}

LIBURING(int, __io_uring_get_cqe, struct io_uring *ring, struct io_uring_cqe **cqe_ptr,
	 unsigned to_submit, unsigned wait_nr, sigset_t *sigmask)
{
	struct wait wait = {
		.submit = to_submit, .wait_nr = wait_nr, .arg = sigmask, .arg_size = SIGSET_SIZE};

	return cq_wait(ring, cqe_ptr, &wait);
}

/* Where the kernel has no EXT_ARG (before 5.11) a TIMEOUT request ends the wait. */
static int timeout_queue(struct io_uring *ring, const struct abi_timespec *timeout, u32 wait_nr)
{
	struct io_uring_sq *sq = &ring->sq;
	struct io_uring_sqe *sqe;

	if (sq->sqe_tail - load_acquire(sq->khead) >= sq->ring_entries) {
		int ret = submit(ring, 0, 0);

		if (ret < 0)
			return ret;
		if (sq->sqe_tail - load_acquire(sq->khead) >= sq->ring_entries)
			return -EAGAIN;
	}
	sqe = &sq->sqes[sq->sqe_tail++ & sq->ring_mask]; /* such a kernel has no SQE128 either */
	*sqe = (struct io_uring_sqe){
		.opcode = IORING_OP_TIMEOUT,
		.fd = -1,
		.addr = (u64)timeout,
		.len = 1,
		.off = wait_nr,
		.user_data = RING_TIMEOUT_USER_DATA,
	};
	return 0;
}

/* A wait that may be limited by `timeout` and begins, if so asked, with a submission. */
static int wait_timeout(struct io_uring *ring, struct io_uring_cqe **cqe_ptr, u32 wait_nr,
			const struct abi_timespec *timeout, u32 min_wait_usec,
			const sigset_t *sigmask, bool with_submit)
{
	struct io_uring_getevents_arg arg = {
		.sigmask = (u64)sigmask,
		.sigmask_sz = SIGSET_SIZE,
		.min_wait_usec = min_wait_usec,
		.ts = (u64)timeout,
	};
	struct wait wait = {.wait_nr = wait_nr, .arg = sigmask, .arg_size = SIGSET_SIZE};

	if (timeout && ring->features & IORING_FEAT_EXT_ARG) {
		wait.flags = IORING_ENTER_EXT_ARG;
		wait.arg = &arg;
		wait.arg_size = sizeof(arg);
		wait.has_timeout = true;
	} else if (timeout) {
		int err = min_wait_usec ? -EINVAL : timeout_queue(ring, timeout, wait_nr);

		if (err)
			return err;
		with_submit = true;
	}
	if (with_submit)
		wait.submit = sq_flush(ring);
	return cq_wait(ring, cqe_ptr, &wait);
}

LIBURING(int, io_uring_wait_cqes, struct io_uring *ring, struct io_uring_cqe **cqe_ptr,
	 unsigned wait_nr, struct abi_timespec *timeout, sigset_t *sigmask)
{
	return wait_timeout(ring, cqe_ptr, wait_nr, timeout, 0, sigmask, false);
}

LIBURING(int, io_uring_wait_cqes_min_timeout, struct io_uring *ring, struct io_uring_cqe **cqe_ptr,
	 unsigned wait_nr, struct abi_timespec *timeout, unsigned min_wait_usec, sigset_t *sigmask)
{
	return wait_timeout(ring, cqe_ptr, wait_nr, timeout, min_wait_usec, sigmask, false);
}

LIBURING(int, io_uring_wait_cqe_timeout, struct io_uring *ring, struct io_uring_cqe **cqe_ptr,
	 struct abi_timespec *timeout)
{
	return wait_timeout(ring, cqe_ptr, 1, timeout, 0, NULL, false);
}

LIBURING(int, io_uring_submit_and_wait_timeout, struct io_uring *ring,
	 struct io_uring_cqe **cqe_ptr, unsigned wait_nr, struct abi_timespec *timeout,
	 sigset_t *sigmask)
{
	return wait_timeout(ring, cqe_ptr, wait_nr, timeout, 0, sigmask, true);
}

LIBURING(int, io_uring_submit_and_wait_min_timeout, struct io_uring *ring,
	 struct io_uring_cqe **cqe_ptr, unsigned wait_nr, struct abi_timespec *timeout,
	 unsigned min_wait_usec, sigset_t *sigmask)
{
	return wait_timeout(ring, cqe_ptr, wait_nr, timeout, min_wait_usec, sigmask, true);
}

/*
 * Like io_uring_submit_and_wait_timeout(), the argument being number `index` of a registered
 * region.
 */
LIBURING(int, io_uring_submit_and_wait_reg, struct io_uring *ring, struct io_uring_cqe **cqe_ptr,
	 unsigned wait_nr, int index)
{
	struct wait wait = {
		.wait_nr = wait_nr,
		.flags = IORING_ENTER_EXT_ARG | IORING_ENTER_EXT_ARG_REG,
		.has_timeout = true,
		.arg = (void *)((size_t)index * sizeof(struct io_uring_reg_wait)),
		.arg_size = sizeof(struct io_uring_reg_wait),
	};

	if (!(ring->features & IORING_FEAT_EXT_ARG))
		return -EINVAL;
	wait.submit = sq_flush(ring);
	return cq_wait(ring, cqe_ptr, &wait);
}

/*
 * Up to `count` CQEs that lie in one piece for the program, which moves the head
 * over what it was given: so a filler ends the piece, and one at the head is
 * taken away first.
 */
static u32 cq_take_batch(struct io_uring *ring, struct io_uring_cqe **cqes, u32 count)
{
	u32 tail = load_acquire(ring->cq.ktail); /* pairs with the release where CQEs are posted */
	u32 position = *ring->cq.khead;
	u32 taken = 0;

	while (taken < count && position != tail) {
		struct io_uring_cqe *cqe = cq_at(ring, position);

		if (!cqe_is_filler(ring, cqe))
			cqes[taken++] = cqe;
		else if (taken)
			break;
		position += cqe_slots(ring, cqe);
		if (!taken)
			store_release(ring->cq.khead, position);
	}
	return taken;
}

LIBURING(unsigned, io_uring_peek_batch_cqe, struct io_uring *ring, struct io_uring_cqe **cqes,
	 unsigned count)
{
	u32 taken = cq_take_batch(ring, cqes, count);

	if (taken || !cq_has_hidden(ring))
		return taken;
	liburing_enter(ring, 0, 0, IORING_ENTER_GETEVENTS, NULL, SIGSET_SIZE);
	return cq_take_batch(ring, cqes, count);
}

/* Whether waits count as the CPU's waiting for I/O. */
LIBURING(int, io_uring_set_iowait, struct io_uring *ring, bool is_enabled)
{
	if (!(ring->features & IORING_FEAT_NO_IOWAIT))
		return -EOPNOTSUPP;
	if (is_enabled)
		ring->int_flags &= (u8)~RING_NO_IOWAIT;
	else
		ring->int_flags |= RING_NO_IOWAIT;
	return 0;
}

/* The system calls by name. Results are -errno, not errno. */

LIBURING(int, io_uring_enter2, unsigned fd, unsigned to_submit, unsigned min_complete,
	 unsigned flags, sigset_t *arg, size_t arg_size)
{
	return (int)route_enter(fd, to_submit, min_complete, flags, arg, arg_size);
}

LIBURING(int, io_uring_enter, unsigned fd, unsigned to_submit, unsigned min_complete,
	 unsigned flags, sigset_t *sigmask)
{
	return (int)route_enter(fd, to_submit, min_complete, flags, sigmask, SIGSET_SIZE);
}

LIBURING(int, io_uring_setup, unsigned entries, struct io_uring_params *params)
{
	return (int)route_setup(entries, params);
}

/*
 * enter.c - io_uring_enter(): submitting and waiting
 *
 * The calling thread is the ring's driver from the lock to its release. It
 * submits, runs what became ready, and sleeps (wait.c) only if there are not yet
 * as many CQEs as were asked for. A NOP or a cached read costs no system call
 * of ringside's own.
 *
 * The kernel: io_uring_enter(), io_cqring_wait()
 */
#include <signal.h>

#include "cache/cache.h"
#include "host/clock.h"
#include "host/futex.h"
#include "host/usercopy.h"
#include "request/reactor.h"
#include "request/submit.h"
#include "request/wait.h"
#include "syscall/internal.h"
#include "syscall/syscall.h"

#define ENTER_FLAGS                                                                                \
	(IORING_ENTER_GETEVENTS | IORING_ENTER_SQ_WAKEUP | IORING_ENTER_SQ_WAIT |                  \
	 IORING_ENTER_EXT_ARG | IORING_ENTER_REGISTERED_RING | IORING_ENTER_ABS_TIMER |            \
	 IORING_ENTER_EXT_ARG_REG | IORING_ENTER_NO_IOWAIT)

/* These bring arguments that are to be checked even if nothing is waited for. */
#define ENTER_FLAGS_RARE (IORING_ENTER_EXT_ARG | IORING_ENTER_EXT_ARG_REG)

/* A program whose waits are always satisfied at once still gets its polls looked at: each so
 * many enters. */
#define ENTERS_PER_LOOK 32

const u32 enter_known_flags = ENTER_FLAGS;

/* The signal mask and timeout of a wait, copied from the program. */
struct wait_args {
	u64 user_sigmask;
	u32 sigmask_size;
	u64 min_wait_ns;
	bool has_timeout;
	u64 timeout_ns;
};

/* The arguments lie in the registered region, at an offset. */
static int wait_args_from_region(struct wait_args *args, const struct ring_region *region,
				 u64 offset, size_t size)
{
	struct io_uring_reg_wait wait;
	size_t room = region->has_wait_args ? region->size : 0;

	if (size != sizeof(wait))
		return -EINVAL;
	if (offset % sizeof(long) || room < sizeof(wait) || offset > room - sizeof(wait))
		return -EFAULT;
	if (copy_from_user(&wait, region->addr + offset, sizeof(wait)))
		return -EFAULT;
	if (wait.flags & ~IORING_REG_WAIT_TS)
		return -EINVAL;
	args->user_sigmask = wait.sigmask;
	args->sigmask_size = wait.sigmask_sz;
	args->min_wait_ns = (u64)wait.min_wait_usec * 1000;
	args->has_timeout = wait.flags & IORING_REG_WAIT_TS;
	args->timeout_ns = timespec_ns(&wait.ts);
	return 0;
}

static int wait_args_copy(struct wait_args *args, const struct ring *ring, u32 flags,
			  const void *user_arg, size_t size)
{
	struct io_uring_getevents_arg arg;
	struct abi_timespec ts;

	*args = (struct wait_args){0};
	if (!(flags & IORING_ENTER_EXT_ARG)) {
		args->user_sigmask = (u64)user_arg;
		args->sigmask_size = (u32)size;
		return 0;
	}
	if (flags & IORING_ENTER_EXT_ARG_REG)
		return wait_args_from_region(args, &ring->region, (u64)user_arg, size);
	if (size != sizeof(arg))
		return -EINVAL;
	if (copy_from_user(&arg, user_arg, sizeof(arg)))
		return -EFAULT;
	args->user_sigmask = arg.sigmask;
	args->sigmask_size = arg.sigmask_sz;
	args->min_wait_ns = (u64)arg.min_wait_usec * 1000;
	if (arg.ts == 0)
		return 0;
	if (copy_from_user(&ts, (void *)arg.ts, sizeof(ts)))
		return -EFAULT;
	args->has_timeout = true;
	args->timeout_ns = timespec_ns(&ts);
	return 0;
}

/* Our own signals are never blocked (entry/signals.c): SIGSYS, and what a bad pointer raises. */
static int sigmask_copy(sigset_t *mask, const struct wait_args *args)
{
	u64 bits;

	if (args->sigmask_size != sizeof(bits))
		return -EINVAL;
	if (copy_from_user(&bits, (void *)args->user_sigmask, sizeof(bits)))
		return -EFAULT;
	bits &= ~(1ull << (SIGSYS - 1) | 1ull << (SIGSEGV - 1) | 1ull << (SIGBUS - 1));
	*(u64 *)(void *)mask = bits;
	return 0;
}

/*
 * Whether the CQ is nearly full, once `coming` more CQEs are in it, and something may post in it
 * any time. A multishot request ends with the first CQE that finds no room, so what has happened
 * already must be posted while there still is room, or while there is none yet: whichever
 * it was when it happened. Otherwise nobody can tell, and events may wait for a better time.
 */
static bool is_filling(const struct ring *ring, u32 coming)
{
	u32 entries = ring->memory.cq_entries;

	if (!ring_has_pending(ring))
		return false;
	return ring->cq.backlog_count > 0 ||
	       cq_ready(&ring->cq, &ring->memory) + coming >= entries - entries / 4;
}

/* The program asked for CQEs: everything that is known to be ready becomes visible. */
static void look(struct ring *ring, u32 min_complete)
{
	ring->deferred_is_ready = false;
	if (unlikely(is_filling(ring, 0)))
		wait_look_events(ring);
	else if (min_complete > 0)
		wait_look_some(ring);
	else
		wait_look(ring);
	if (ring->cq.backlog_count)
		cq_flush_backlog(&ring->cq, &ring->memory);
	ring_commit(ring);
	if (ring_has_pending(ring) &&
	    (min_complete == 0 || ++ring->enters_since_poll >= ENTERS_PER_LOOK)) {
		wait_look_events(ring);
		ring_commit(ring);
	}
}

/* What the time of a wait is measured by, as flags of a TIMEOUT. */
static u32 clock_flags(const struct ring *ring, u32 flags)
{
	if (!(flags & IORING_ENTER_ABS_TIMER))
		return 0;
	return IORING_TIMEOUT_ABS | (ring->waits_by_boottime ? IORING_TIMEOUT_BOOTTIME : 0);
}

static int wait_cqes(struct ring *ring, u32 min_complete, u32 flags, const void *user_arg,
		     size_t arg_size)
{
	struct wait_until until = {.deadline = TIMER_NEVER};
	struct wait_args args;
	sigset_t sigmask;
	int err = wait_args_copy(&args, ring, flags, user_arg, arg_size);

	if (unlikely(err))
		return err;
	if (ring_is_deferred(ring) && ring->submitter_tid != thread_id())
		return -EEXIST;
	until.min_complete = min_of(min_complete, ring->memory.cq_entries);
	look(ring, until.min_complete);
	if (cq_ready(&ring->cq, &ring->memory) >= until.min_complete)
		goto done;
	if (args.user_sigmask) {
		err = sigmask_copy(&sigmask, &args);
		if (err)
			return err;
		until.sigmask = &sigmask;
	}
	if (args.has_timeout)
		until.deadline = timer_deadline(args.timeout_ns, clock_flags(ring, flags));
	until.min_wait_ns = args.min_wait_ns;
	err = wait_for_cqes(ring, &until);
	/* What there is counts more than why the wait ended. */
	if ((err == -ETIME || err == -EINTR) && cq_ready(&ring->cq, &ring->memory) > 0)
		err = 0;
done:
	if (err == 0 && unlikely(ring->cq.is_dropped))
		return -EBADR;
	return err;
}

static long submit(struct ring *ring, u32 to_submit)
{
	long submitted;

	if (ring->setup_flags & IORING_SETUP_SINGLE_ISSUER && ring->submitter_tid != thread_id())
		return -EEXIST;
	submitted = submit_batch(ring, to_submit);
	if (aio_in_flight(&ring->aio))
		aio_queue_submit(&ring->aio);
	cache_submit();
	return submitted;
}

/* SQPOLL: waits until the reactor has made room in the SQ. The lock is released meanwhile. */
static int wait_for_sq_space(struct ring *ring)
{
	while (ring->life == RING_ALIVE &&
	       sq_ready(&ring->sq, &ring->memory) >= ring->memory.sq_entries) {
		int err;

		store_relaxed(&ring->sq_space_wanted, 1);
		ring->sq_waiters++;
		ring_unlock(ring);
		reactor_kick();
		err = futex_wait(&ring->sq_space_wanted, 1, NS_PER_SEC);
		ring_lock(ring);
		ring->sq_waiters--;
		if (err == -EINTR)
			return -EINTR;
	}
	return ring->life == RING_ALIVE ? 0 : -EBADF;
}

static long enter_sqpoll(struct ring *ring, u32 to_submit, u32 flags)
{
	if (flags & IORING_ENTER_SQ_WAKEUP)
		reactor_kick();
	if (flags & IORING_ENTER_SQ_WAIT) {
		int err = wait_for_sq_space(ring);

		if (err)
			return err;
	}
	return to_submit;
}

static long enter(struct ring *ring, u32 to_submit, u32 min_complete, u32 flags,
		  const void *user_arg, size_t arg_size)
{
	long result = 0;

	if (unlikely(ring->is_disabled))
		return -EBADFD;
	if (unlikely(ring_is_sqpoll(ring))) {
		result = enter_sqpoll(ring, to_submit, flags);
		if (result < 0)
			return result;
	} else if (to_submit) {
		if (!ring_is_deferred(ring) && unlikely(is_filling(ring, to_submit)))
			wait_look_events(ring);
		result = submit(ring, to_submit);
		if (result != to_submit)
			return result;
	}
	if (flags & IORING_ENTER_GETEVENTS) {
		int err;

		/* Everything completed while it was submitted, and is enough: nothing to look
		 * at. */
		if (likely(!(flags & ENTER_FLAGS_RARE) && ring_is_quiet(ring) &&
			   !ring_is_deferred(ring) &&
			   cq_ready(&ring->cq, &ring->memory) >=
				   min_of(min_complete, ring->memory.cq_entries)))
			return result;
		err = wait_cqes(ring, min_complete, flags, user_arg, arg_size);

		if (result == 0) {
			result = err;
			if (unlikely(err == -EBADR))
				ring->cq.is_dropped = false; /* told now, and once */
		}
	}
	return result;
}

/* Last thing under the lock: what was posted is shown, and somebody looks after what waits. */
static void leave(struct ring *ring)
{
	if (unlikely(ring->life != RING_ALIVE)) {
		/* ring_end() may sleep for a request that this thread had in hand */
		wait_wake(ring);
		return;
	}
	if (likely(ring_is_quiet(ring)) && !(ring->setup_flags & IORING_SETUP_TASKRUN_FLAG)) {
		ring_commit(ring);
		return;
	}
	if (!ring_is_deferred(ring)) {
		/* What a wait left is for the next enter; if none comes, the reactor looks. */
		if (unlikely(is_filling(ring, 0)))
			wait_look_events(ring);
		else if (likely(!ring->ready_is_left))
			wait_look(ring);
	} else if (unlikely(ring->setup_flags & IORING_SETUP_TASKRUN_FLAG)) {
		/* A program that looks at its CQ without entering must enter to see more. */
		if (ring_has_pending(ring) || !mpsc_is_empty(&ring->task_work) || ring->ready_head)
			or_full(&ring->memory.header->sq_flags, IORING_SQ_TASKRUN);
		else
			and_full(&ring->memory.header->sq_flags, ~IORING_SQ_TASKRUN);
	}
	ring_commit(ring);
	if (ring_is_deferred(ring) && ring->ready_head != NULL)
		wait_deferred_ready(ring);
	if (unlikely(ring->sleepers > 0))
		wait_hand_over(ring);
	reactor_attend(ring);
}

long syscall_enter(u32 fd, u32 to_submit, u32 min_complete, u32 flags, const void *user_arg,
		   size_t arg_size)
{
	struct ring *ring;
	bool is_polled;
	u32 cq_tail;
	long result;
	int err;

	if (unlikely(flags & ~ENTER_FLAGS))
		return -EINVAL;
	err = descriptor_lock_ring(fd, flags & IORING_ENTER_REGISTERED_RING, &ring);
	if (unlikely(err))
		return err;
	if (likely(!ring_is_sqpoll(ring)))
		biased_lock_may_bias(&ring->lock);
	ring->enter_count++;
	cq_tail = ring->cq.tail;
	stats_count(ring->stats, COUNTER_ENTERS, 1);
	result = enter(ring, to_submit, min_complete, flags, user_arg, arg_size);
	leave(ring);
	is_polled = load_relaxed(&ring->is_polled_by_rings) && ring->cq.tail != cq_tail;
	descriptor_end_if_unnamed(ring);
	ring_unlock(ring);
	if (unlikely(is_polled))
		reactor_look_at_others(ring);
	return result;
}

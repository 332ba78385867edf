/*
 * register_cancel.c - IORING_REGISTER_SYNC_CANCEL: cancelling without a request of one's own
 *
 * Does what ASYNC_CANCEL does, and if what it found is being executed waits until that is over,
 * however long it takes, or for the time given. While it sleeps the lock is released.
 *
 * Not here: matching and cancelling (request/cancel.c)
 * The kernel: io_sync_cancel()
 */
#include "host/usercopy.h"
#include "request/cancel.h"
#include "request/reactor.h"
#include "request/wait.h"
#include "syscall/internal.h"

static bool has_no_padding(const struct io_uring_sync_cancel_reg *arg)
{
	for (u32 i = 0; i < ARRAY_SIZE(arg->pad); i++)
		if (arg->pad[i])
			return false;
	for (u32 i = 0; i < ARRAY_SIZE(arg->pad2); i++)
		if (arg->pad2[i])
			return false;
	return true;
}

/* Both fields -1: no limit. */
static u64 deadline_of(const struct abi_timespec *timeout)
{
	if (timeout->tv_sec == -1 && timeout->tv_nsec == -1)
		return TIMER_NEVER;
	return timer_deadline(timespec_ns(timeout), 0);
}

static int try_cancel(struct ring *ring, struct cancel_match *match, s32 fd)
{
	/* Each time: what the number means may have changed while we slept. */
	if (match->flags & IORING_ASYNC_CANCEL_FD) {
		match->fd = fd;
		if (cancel_resolve(ring, match, match->flags & IORING_ASYNC_CANCEL_FD_FIXED))
			return -EBADF;
	}
	return cancel_matching(ring, match);
}

/* It is being executed: until it is over. */
static int wait_until_gone(struct ring *ring, struct cancel_match *match, s32 fd, u64 deadline)
{
	int result;

	do {
		result = wait_for_change(ring, deadline);
		if (result)
			return result;
		result = try_cancel(ring, match, fd);
	} while (result == -EALREADY);
	return result == -ENOENT ? 0 : min_of(result, 0);
}

long register_sync_cancel(struct ring *ring, const void *user_arg)
{
	struct io_uring_sync_cancel_reg arg;
	struct cancel_match match;
	int result;

	if (copy_from_user(&arg, user_arg, sizeof(arg)))
		return -EFAULT;
	if (arg.flags & ~CANCEL_FLAGS || !has_no_padding(&arg))
		return -EINVAL;
	match = (struct cancel_match){.user_data = arg.addr,
				      .flags = arg.flags,
				      .opcode = arg.opcode};
	result = try_cancel(ring, &match, arg.fd);
	if (result == -EALREADY)
		result = wait_until_gone(ring, &match, arg.fd, deadline_of(&arg.timeout));
	if (ring->life != RING_ALIVE)
		return result;
	/* What was cancelled completes now, or when the program enters. */
	if (!ring_is_deferred(ring))
		ring_run(ring);
	else if (ring->ready_head != NULL)
		wait_deferred_ready(ring);
	reactor_attend(ring);
	return result;
}

/*
 * poll.c - waiting for descriptors, of which some may be rings
 *
 * A ring descriptor is a memfd, always readable for poll() and refused by
 * epoll. So where the program names a ring, the kernel is given the ring's
 * eventfd instead (readable exactly while the CQ is not empty), in a copy of
 * what the program passed; results are carried back. A call that names no ring
 * goes on untouched.
 *
 * These calls also set signal masks, out of which our signals are kept.
 *
 * Entry:       poll(), select(), epoll_wait() and their kind; call_wait() for syscall()
 * Invariants:  P1 descriptor_poll_refresh() comes before every wait
 *              P2 the program's memory is touched only by copies that cannot fault
 * Locks:       none
 * The kernel:  a ring is pollable by itself; it also says POLLRDNORM and POLLWRNORM, which an
 *              eventfd does not: added for poll(), not for epoll
 * Not here:    when the eventfd is signalled (descriptor_poll_fd())
 */
#include <string.h>
#include <sys/uio.h>

#include "base/pages.h"
#include "entry/calls.h"
#include "entry/next.h"
#include "entry/signals.h"
#include "host/kernel.h"
#include "host/usercopy.h"
#include "syscall/descriptor.h"

#define POLL_ON_STACK 64
#define POLL_MAX      (1 << 20)

/* The program's array of pollfd and the one for the kernel. */
struct poll_plan {
	struct pollfd *user;
	struct pollfd *copy; /* NULL: no ring among them, pass `user` */
	nfds_t count;
	size_t pages; /* bytes at `copy` that are not on the stack; 0: none */
	struct pollfd small[POLL_ON_STACK];
};

static bool plan_fill(struct poll_plan *plan)
{
	bool has_ring = false;

	if (copy_from_user(plan->copy, plan->user, plan->count * sizeof(struct pollfd)))
		return false;
	for (nfds_t i = 0; i < plan->count; i++) {
		struct pollfd *p = &plan->copy[i];
		int fd;

		if (!call_is_ring(p->fd))
			continue;
		fd = descriptor_poll_fd(p->fd);
		if (fd < 0)
			continue;
		p->fd = fd;
		p->events |= p->events & POLLRDNORM ? POLLIN : 0;
		p->events |= p->events & POLLWRNORM ? POLLOUT : 0;
		has_ring = true;
	}
	return has_ring;
}

static void plan_end(struct poll_plan *plan)
{
	if (plan->pages)
		pages_free(plan->copy, plan->pages);
	plan->copy = NULL;
	plan->pages = 0;
}

/*
 * What to pass in place of `user`. A bad array is passed as it is: the kernel knows what to say.
 */
static struct pollfd *plan_begin(struct poll_plan *plan, struct pollfd *user, nfds_t count)
{
	plan->user = user;
	plan->count = count;
	plan->copy = plan->small;
	plan->pages = 0;
	call_poll_refresh();
	if (count > POLL_ON_STACK) {
		if (count > POLL_MAX)
			return plan->copy = NULL, user;
		plan->pages = count * sizeof(struct pollfd);
		plan->copy = pages_alloc(plan->pages);
		if (!plan->copy)
			return plan->pages = 0, user;
	}
	if (plan_fill(plan))
		return plan->copy;
	plan_end(plan);
	return user;
}

static short revents_of_ring(const struct pollfd *user, short revents)
{
	if (revents & POLLIN)
		revents |= POLLRDNORM;
	if (revents & POLLOUT)
		revents |= POLLWRNORM;
	return revents & (user->events | POLLERR | POLLHUP | POLLNVAL);
}

/* Carries revents back; `ret` is the result of the call. */
static long plan_finish(struct poll_plan *plan, long ret)
{
	int saved = errno;

	if (!plan->copy)
		return ret;
	for (nfds_t i = 0; ret >= 0 && i < plan->count; i++) {
		struct pollfd *copy = &plan->copy[i], user;
		short revents = copy->revents;

		if (copy_from_user(&user, &plan->user[i], sizeof(user)))
			ret = -EFAULT;
		if (user.fd != copy->fd)
			revents = revents_of_ring(&user, revents);
		if (copy_to_user(&plan->user[i].revents, &revents, sizeof(revents)))
			ret = -EFAULT;
	}
	plan_end(plan);
	errno = saved;
	return ret;
}

/*
 * select(): a private eventfd's number may lie beyond the program's sets (and
 * beyond FD_SETSIZE), so the kernel is given larger sets of our own.
 */
#define SELECT_BITS     (1 << 16)
#define SELECT_WORDS    (SELECT_BITS / 64)
#define SELECT_ON_STACK (4096 / 64)

struct select_plan {
	u64 *user[3]; /* read, write, except; NULL as the program's are */
	u64 *copy[3];
	int user_count, count;
	size_t words; /* of each copy */
	bool is_used;
	u64 *pages;
	u64 small[3][SELECT_ON_STACK];
};

static bool bit_is_set(const u64 *set, int bit)
{
	return set[bit / 64] >> (bit % 64) & 1;
}

/* Moves the bits of the rings to those of their eventfds; whether there was one. */
static bool select_move(struct select_plan *plan)
{
	bool has_ring = false;

	for (int fd = 0; fd < plan->user_count; fd++) {
		int other;

		if (!call_is_ring(fd))
			continue;
		other = descriptor_poll_fd(fd);
		if (other < 0 || (size_t)other >= plan->words * 64)
			continue;
		for (int i = 0; i < 3; i++) {
			if (!plan->user[i] || !bit_is_set(plan->copy[i], fd))
				continue;
			plan->copy[i][fd / 64] &= ~(1ull << (fd % 64));
			plan->copy[i][other / 64] |= 1ull << (other % 64);
			plan->count = max_of(plan->count, other + 1);
			has_ring = true;
		}
	}
	return has_ring;
}

static bool select_any_ring(int count)
{
	for (int fd = 0; fd < count; fd++)
		if (call_is_ring(fd))
			return true;
	return false;
}

static size_t select_bytes(int count)
{
	return ((size_t)count + 63) / 64 * sizeof(u64);
}

/*
 * Larger sets, if some eventfd's number needs them; the program's own sets if there is no memory.
 */
static bool select_allocate(struct select_plan *plan)
{
	int highest = plan->user_count - 1;

	for (int fd = 0; fd < plan->user_count; fd++)
		if (call_is_ring(fd))
			highest = max_of(highest, descriptor_poll_fd(fd));
	plan->words = select_bytes(highest + 1) / sizeof(u64);
	if (plan->words > SELECT_WORDS)
		return false;
	if (plan->words <= SELECT_ON_STACK) {
		for (int i = 0; i < 3; i++)
			plan->copy[i] = plan->small[i];
		return true;
	}
	plan->pages = pages_alloc(3 * plan->words * sizeof(u64));
	for (int i = 0; plan->pages && i < 3; i++)
		plan->copy[i] = plan->pages + (size_t)i * plan->words;
	return plan->pages;
}

static void select_free(struct select_plan *plan)
{
	if (plan->pages)
		pages_free(plan->pages, 3 * plan->words * sizeof(u64));
}

/* Fills plan->is_used, and if so plan->copy and plan->count, which the kernel gets. */
static void select_begin(struct select_plan *plan, int count, void *in, void *out, void *except)
{
	plan->user[0] = in;
	plan->user[1] = out;
	plan->user[2] = except;
	plan->user_count = plan->count = count;
	plan->is_used = false;
	plan->pages = NULL;
	call_poll_refresh();
	if (likely(!select_any_ring(count)) || !select_allocate(plan))
		return;
	for (int i = 0; i < 3; i++) {
		memset(plan->copy[i], 0, plan->words * sizeof(u64));
		if (plan->user[i] &&
		    copy_from_user(plan->copy[i], plan->user[i], select_bytes(count)))
			return select_free(plan);
	}
	plan->is_used = select_move(plan);
	if (!plan->is_used)
		select_free(plan);
}

static long select_finish(struct select_plan *plan, long ret)
{
	int saved = errno;

	if (!plan->is_used)
		return ret;
	for (int fd = 0; ret >= 0 && fd < plan->user_count; fd++) {
		int other = call_is_ring(fd) ? descriptor_poll_fd(fd) : -1;

		for (int i = 0; other >= 0 && i < 3; i++)
			if (plan->user[i] && bit_is_set(plan->copy[i], other))
				plan->copy[i][fd / 64] |= 1ull << (fd % 64);
	}
	for (int i = 0; ret >= 0 && i < 3; i++)
		if (plan->user[i] &&
		    copy_to_user(plan->user[i], plan->copy[i], select_bytes(plan->user_count)))
			ret = -EFAULT;
	select_free(plan);
	errno = saved;
	return ret;
}

static void *select_set(struct select_plan *plan, int i)
{
	return plan->is_used && plan->user[i] ? (void *)plan->copy[i] : (void *)plan->user[i];
}

/*
 * A mask for the time of a wait: what to pass in place of the program's mask
 * (user_mask itself, if there is nothing to change).
 */
struct mask_plan {
	struct signals_wait wait;
	bool is_used;
	sigset_t set;
};

static const void *mask_begin(struct mask_plan *plan, const void *user_mask)
{
	u64 mask;

	plan->is_used = false;
	if (!user_mask || !signals_ours || copy_from_user(&mask, user_mask, sizeof(mask)))
		return user_mask;
	if (likely(!((mask | signals_view() | signals_held()) & signals_ours)))
		return user_mask;
	signals_wait_begin(&plan->wait, mask);
	memset(&plan->set, 0, sizeof(plan->set));
	memcpy(&plan->set, &plan->wait.mask, sizeof(mask));
	plan->is_used = true;
	return &plan->set;
}

static long mask_finish(struct mask_plan *plan, long ret)
{
	if (plan->is_used)
		signals_wait_end(&plan->wait);
	return ret;
}

long call_epoll_ctl(int epoll, int op, int fd, void *event)
{
	int other = call_is_ring(fd) ? descriptor_poll_fd(fd) : fd;

	return host_call(SYS_epoll_ctl, epoll, op, other < 0 ? fd : other, event);
}

static long wait_poll(long nr, long fds, long count, long c, long d, long e)
{
	struct poll_plan plan;
	struct mask_plan mask = {.is_used = false};
	void *copy = plan_begin(&plan, (void *)fds, (nfds_t)(u32)count);
	const void *set = nr == SYS_ppoll ? mask_begin(&mask, (void *)d) : (void *)d;

	return mask_finish(&mask, plan_finish(&plan, host_call(nr, copy, count, c, set, e)));
}

/* pselect6() takes its mask as a pointer to {mask, size}. */
static long wait_select(long nr, long count, long in, long out, long except, long timeout,
			long mask_arg)
{
	struct select_plan plan;
	struct mask_plan mask = {.is_used = false};
	struct {
		const void *set;
		size_t size;
	} sized, *user_sized = (void *)mask_arg;
	long ret;

	if (nr == SYS_pselect6 && user_sized &&
	    !copy_from_user(&sized, user_sized, sizeof(sized)) && sized.size == sizeof(u64)) {
		sized.set = mask_begin(&mask, sized.set);
		user_sized = &sized;
	}
	select_begin(&plan, (int)count, (void *)in, (void *)out, (void *)except);
	ret = host_call(nr, plan.count, select_set(&plan, 0), select_set(&plan, 1),
			select_set(&plan, 2), timeout, user_sized);
	return mask_finish(&mask, select_finish(&plan, ret));
}

static long wait_masked(long nr, long a, long b, long c, long d, long set, long size)
{
	struct mask_plan mask;
	const void *kernel_set = mask_begin(&mask, (void *)set);

	return mask_finish(&mask, host_call(nr, a, b, c, d, kernel_set, size));
}

long call_wait(long nr, long a, long b, long c, long d, long e, long f)
{
	switch (nr) {
#ifdef SYS_poll
	case SYS_poll:
#endif
	case SYS_ppoll:
		return wait_poll(nr, a, b, c, d, e);
#ifdef SYS_select
	case SYS_select:
#endif
	case SYS_pselect6:
		return wait_select(nr, a, b, c, d, e, f);
#ifdef SYS_epoll_wait
	case SYS_epoll_wait:
		call_poll_refresh();
		return host_call(nr, a, b, c, d);
#endif
	case SYS_epoll_pwait:
#ifdef SYS_epoll_pwait2
	case SYS_epoll_pwait2:
#endif
		call_poll_refresh();
		return wait_masked(nr, a, b, c, d, e, f);
	case SYS_rt_sigsuspend: {
		struct mask_plan mask;

		a = (long)mask_begin(&mask, (void *)a);
		return mask_finish(&mask, host_call(nr, a, b));
	}
	default:
		return -ENOSYS;
	}
}

/*
 * libc's functions: the same plans around the next definition, for the sake of
 * cancellation. That one returned -1 and errno; our own error, on the way back
 * to the program's memory, is below.
 */
static int waited(long ret)
{
	return (int)(ret < -1 ? libc_result(ret) : ret);
}

RS_EXPORT int poll(struct pollfd *fds, nfds_t count, int timeout)
{
	struct poll_plan plan;

	fds = plan_begin(&plan, fds, count);
	return waited(plan_finish(&plan, next_get(poll)(fds, count, timeout)));
}

RS_EXPORT int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
		    const sigset_t *set)
{
	struct poll_plan plan;
	struct mask_plan mask;

	fds = plan_begin(&plan, fds, count);
	set = mask_begin(&mask, set);
	return waited(
		mask_finish(&mask, plan_finish(&plan, next_get(ppoll)(fds, count, timeout, set))));
}

/* The fortified forms, which know how large the array is. */
_Noreturn void __chk_fail(void);
int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t size);
int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
		const sigset_t *set, size_t size);

RS_EXPORT int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t size)
{
	if (size / sizeof(*fds) < count)
		__chk_fail();
	return poll(fds, count, timeout);
}

RS_EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
			  const sigset_t *set, size_t size)
{
	if (size / sizeof(*fds) < count)
		__chk_fail();
	return ppoll(fds, count, timeout, set);
}

RS_EXPORT int select(int count, fd_set *in, fd_set *out, fd_set *except, struct timeval *timeout)
{
	struct select_plan plan;
	int ret;

	select_begin(&plan, count, in, out, except);
	ret = next_get(select)(plan.count, select_set(&plan, 0), select_set(&plan, 1),
			       select_set(&plan, 2), timeout);
	return waited(select_finish(&plan, ret));
}

RS_EXPORT int pselect(int count, fd_set *in, fd_set *out, fd_set *except,
		      const struct timespec *timeout, const sigset_t *set)
{
	struct select_plan plan;
	struct mask_plan mask;
	int ret;

	select_begin(&plan, count, in, out, except);
	set = mask_begin(&mask, set);
	ret = next_get(pselect)(plan.count, select_set(&plan, 0), select_set(&plan, 1),
				select_set(&plan, 2), timeout, set);
	return waited(mask_finish(&mask, select_finish(&plan, ret)));
}

RS_EXPORT int epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
	return (int)libc_result(call_epoll_ctl(epoll, op, fd, event));
}

RS_EXPORT int epoll_wait(int epoll, struct epoll_event *events, int count, int timeout)
{
	call_poll_refresh();
	return next_get(epoll_wait)(epoll, events, count, timeout);
}

RS_EXPORT int epoll_pwait(int epoll, struct epoll_event *events, int count, int timeout,
			  const sigset_t *set)
{
	struct mask_plan mask;

	call_poll_refresh();
	set = mask_begin(&mask, set);
	return waited(
		mask_finish(&mask, next_get(epoll_pwait)(epoll, events, count, timeout, set)));
}

RS_EXPORT int epoll_pwait2(int epoll, struct epoll_event *events, int count,
			   const struct timespec *timeout, const sigset_t *set)
{
	struct mask_plan mask;

	call_poll_refresh();
	set = mask_begin(&mask, set);
	return waited(
		mask_finish(&mask, next_get(epoll_pwait2)(epoll, events, count, timeout, set)));
}

RS_EXPORT int sigsuspend(const sigset_t *set)
{
	struct mask_plan mask;

	set = mask_begin(&mask, set);
	return waited(mask_finish(&mask, next_get(sigsuspend)(set)));
}

/*
 * signal_calls.c - libc's signal functions, over the view that signals.c keeps
 *
 * Until ringside takes its signals (signals_ours is 0), and for signals and
 * masks that have nothing to do with them, the next definition is called.
 *
 * Entry:       the interposed functions; call_signal() for syscall()
 * Invariants:  those of signals.c
 * Locks:       none of its own
 * Not here:    masks of waits (poll.c)
 */
#include <string.h>

#include "base/pages.h"
#include "entry/calls.h"
#include "entry/next.h"
#include "entry/signals.h"
#include "host/usercopy.h"

/* libc keeps two signals for itself and does not let a program block them. */
#define LIBC_SIGNALS (SIGNAL_BIT(32) | SIGNAL_BIT(33))

static bool is_held(int sig)
{
	return sig >= 1 && sig <= 64 && (signals_ours & SIGNAL_BIT(sig));
}

static u64 mask_of(const sigset_t *set)
{
	u64 mask;

	memcpy(&mask, set, sizeof(mask));
	return mask;
}

static void mask_to(sigset_t *set, u64 mask)
{
	memset(set, 0, sizeof(*set));
	memcpy(set, &mask, sizeof(mask));
}

static void action_from_libc(struct kernel_sigaction *to, const struct sigaction *from)
{
	*to = (struct kernel_sigaction){
		.handler = (u64)from->sa_handler,
		.flags = (u64)(u32)from->sa_flags,
		.mask = mask_of(&from->sa_mask),
	};
#if defined(__x86_64__)
	to->flags |= KERNEL_SA_RESTORER;
	to->restorer = (u64)sigaction_restorer;
#endif
}

static void action_to_libc(struct sigaction *to, const struct kernel_sigaction *from)
{
	memset(to, 0, sizeof(*to));
	to->sa_handler = (sighandler_t)from->handler;
	to->sa_flags = (int)from->flags;
	mask_to(&to->sa_mask, from->mask);
#if defined(__x86_64__)
	to->sa_restorer = (void (*)(void))from->restorer;
#endif
}

static int action_of_held(int sig, const struct sigaction *action, struct sigaction *old)
{
	struct kernel_sigaction kernel_action, kernel_old;
	long err;

	if (action)
		action_from_libc(&kernel_action, action);
	err = signals_action(sig, action ? &kernel_action : NULL, old ? &kernel_old : NULL);
	if (!err && old)
		action_to_libc(old, &kernel_old);
	return (int)libc_result(err);
}

/* Another signal: its handler must not run with ours blocked, and the program must not notice. */
static int action_of_other(int sig, const struct sigaction *action, struct sigaction *old)
{
	struct sigaction stripped;
	u64 left_out = signals_left_out(sig);
	int ret;

	if (action && (mask_of(&action->sa_mask) & signals_ours)) {
		stripped = *action;
		mask_to(&stripped.sa_mask, mask_of(&action->sa_mask) & ~signals_ours);
		ret = next_get(sigaction)(sig, &stripped, old);
	} else {
		ret = next_get(sigaction)(sig, action, old);
	}
	if (ret)
		return ret;
	if (action)
		signals_leave_out(sig, mask_of(&action->sa_mask) & signals_ours);
	if (old && left_out)
		mask_to(&old->sa_mask, mask_of(&old->sa_mask) | left_out);
	return 0;
}

RS_EXPORT int sigaction(int sig, const struct sigaction *action, struct sigaction *old)
{
	if (is_held(sig))
		return action_of_held(sig, action, old);
	if (!signals_ours || sig < 1 || sig > 64)
		return next_get(sigaction)(sig, action, old);
	return action_of_other(sig, action, old);
}

/* The older functions: each is a sigaction() with its own flags. */
static sighandler_t handler_set(int sig, sighandler_t handler, int flags, bool has_mask)
{
	struct sigaction action, old;

	memset(&action, 0, sizeof(action));
	action.sa_handler = handler;
	action.sa_flags = flags;
	if (has_mask)
		sigaddset(&action.sa_mask, sig);
	return handler == SIG_ERR || action_of_held(sig, &action, &old) ? SIG_ERR : old.sa_handler;
}

RS_EXPORT sighandler_t signal(int sig, sighandler_t handler)
{
	return is_held(sig) ? handler_set(sig, handler, SA_RESTART, true)
			    : next_get(signal)(sig, handler);
}

sighandler_t bsd_signal(int sig, sighandler_t handler);

RS_EXPORT sighandler_t bsd_signal(int sig, sighandler_t handler)
{
	return signal(sig, handler);
}

RS_EXPORT sighandler_t ssignal(int sig, sighandler_t handler)
{
	return signal(sig, handler);
}

sighandler_t __sysv_signal(int sig, sighandler_t handler);

RS_EXPORT sighandler_t __sysv_signal(int sig, sighandler_t handler)
{
	return is_held(sig) ? handler_set(sig, handler, (int)(SA_RESETHAND | SA_NODEFER), false)
			    : next_get(sysv_signal)(sig, handler);
}

RS_EXPORT sighandler_t sysv_signal(int sig, sighandler_t handler)
{
	return __sysv_signal(sig, handler);
}

static int mask_change(int how, const sigset_t *set, sigset_t *old)
{
	u64 mask = set ? mask_of(set) & ~LIBC_SIGNALS : 0;
	u64 before;
	long err = signals_mask(how, set ? &mask : NULL, old ? &before : NULL);

	if (!err && old)
		mask_to(old, before);
	return (int)err;
}

RS_EXPORT int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
	if (!signals_ours && next.sigprocmask)
		return next.sigprocmask(how, set, old);
	return (int)libc_result(mask_change(how, set, old));
}

RS_EXPORT int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	if (!signals_ours && next.pthread_sigmask)
		return next.pthread_sigmask(how, set, old);
	return -mask_change(how, set, old);
}

RS_EXPORT int sighold(int sig)
{
	sigset_t set;

	sigemptyset(&set);
	return sigaddset(&set, sig) ? -1 : sigprocmask(SIG_BLOCK, &set, NULL);
}

RS_EXPORT int sigrelse(int sig)
{
	sigset_t set;

	sigemptyset(&set);
	return sigaddset(&set, sig) ? -1 : sigprocmask(SIG_UNBLOCK, &set, NULL);
}

RS_EXPORT int sigignore(int sig)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_handler = SIG_IGN;
	return sigaction(sig, &action, NULL);
}

/*
 * System V: SIG_HOLD blocks; anything else sets the handler and unblocks. Returns what was there.
 */
RS_EXPORT sighandler_t sigset(int sig, sighandler_t handler)
{
	struct sigaction action, old;
	sigset_t set, before;
	bool is_hold = handler == SIG_HOLD;

	memset(&action, 0, sizeof(action));
	action.sa_handler = handler;
	sigemptyset(&set);
	if (handler == SIG_ERR || sigaddset(&set, sig)) {
		errno = EINVAL;
		return SIG_ERR;
	}
	if (sigaction(sig, is_hold ? NULL : &action, &old) ||
	    sigprocmask(is_hold ? SIG_BLOCK : SIG_UNBLOCK, &set, &before))
		return SIG_ERR;
	return sigismember(&before, sig) ? SIG_HOLD : old.sa_handler;
}

/* BSD's masks have 32 bits; the declarations are deprecated, the functions are there. */
static int bsd_mask(int how, int mask)
{
	sigset_t set, old;

	mask_to(&set, (u32)mask);
	return sigprocmask(how, &set, &old) ? -1 : (int)(u32)mask_of(&old);
}

int sigblock(int mask);
int sigsetmask(int mask);
int siggetmask(void);

RS_EXPORT int sigblock(int mask)
{
	return bsd_mask(SIG_BLOCK, mask);
}

RS_EXPORT int sigsetmask(int mask)
{
	return bsd_mask(SIG_SETMASK, mask);
}

RS_EXPORT int siggetmask(void)
{
	return bsd_mask(SIG_BLOCK, 0);
}

RS_EXPORT int sigpending(sigset_t *set)
{
	u64 pending = 0;
	long err = host_call(SYS_rt_sigpending, &pending, sizeof(pending));

	if (!err)
		mask_to(set, pending | signals_held());
	return (int)libc_result(err);
}

/* A jump out of a handler; with a saved mask it also ends what the handler had blocked. */
_Noreturn void __longjmp_chk(jmp_buf env, int value);
_Noreturn void _longjmp(jmp_buf env, int value);

RS_EXPORT _Noreturn void siglongjmp(sigjmp_buf env, int value)
{
	if (env[0].__mask_was_saved)
		signals_jump();
	next_get(siglongjmp)(env, value);
	__builtin_unreachable();
}

RS_EXPORT _Noreturn void longjmp(jmp_buf env, int value)
{
	siglongjmp(env, value);
}

RS_EXPORT _Noreturn void _longjmp(jmp_buf env, int value)
{
	siglongjmp(env, value);
}

RS_EXPORT _Noreturn void __longjmp_chk(jmp_buf env, int value)
{
	if (env[0].__mask_was_saved)
		signals_jump();
	next_get(longjmp_chk)(env, value);
	__builtin_unreachable();
}

/* Threads inherit the mask, so they inherit the view. */
struct thread_start {
	void *(*body)(void *);
	void *argument;
	u64 view;
};

static void *thread_begin(void *start_page)
{
	struct thread_start start = *(struct thread_start *)start_page;

	pages_free(start_page, sizeof(start));
	signals_view_inherit(start.view);
	return start.body(start.argument);
}

RS_EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
			     void *(*body)(void *), void *argument)
{
	u64 view = signals_view();
	struct thread_start *start;
	int err;

	if (likely(!view))
		return next_get(pthread_create)(thread, attributes, body, argument);
	start = pages_alloc(sizeof(*start));
	if (!start)
		return EAGAIN;
	*start = (struct thread_start){body, argument, view};
	err = next_get(pthread_create)(thread, attributes, thread_begin, start);
	if (err)
		pages_free(start, sizeof(*start));
	return err;
}

/* The mask that a thread will start with. Its view of our signals starts as unblocked. */
RS_EXPORT int pthread_attr_setsigmask_np(pthread_attr_t *attributes, const sigset_t *set)
{
	sigset_t stripped;

	if (set && signals_ours) {
		mask_to(&stripped, mask_of(set) & ~signals_ours);
		set = &stripped;
	}
	return next_get(pthread_attr_setsigmask_np)(attributes, set);
}

/* The raw calls, from syscall(). */

static long raw_action(int sig, const void *user_action, void *user_old)
{
	struct kernel_sigaction action, old;
	long err;

	if (user_action && copy_from_user(&action, user_action, sizeof(action)))
		return -EFAULT;
	err = signals_action(sig, user_action ? &action : NULL, user_old ? &old : NULL);
	if (!err && user_old && copy_to_user(user_old, &old, sizeof(old)))
		return -EFAULT;
	return err;
}

static long raw_mask(int how, const void *user_set, void *user_old)
{
	u64 set, old;
	long err;

	if (user_set && copy_from_user(&set, user_set, sizeof(set)))
		return -EFAULT;
	err = signals_mask(how, user_set ? &set : NULL, user_old ? &old : NULL);
	if (!err && user_old && copy_to_user(user_old, &old, sizeof(old)))
		return -EFAULT;
	return err;
}

static long raw_pending(void *user_set, size_t size)
{
	u64 pending = 0;
	long err = host_call(SYS_rt_sigpending, &pending, size);

	pending |= signals_held();
	if (!err && copy_to_user(user_set, &pending, size))
		return -EFAULT;
	return err;
}

long call_signal(long nr, long a, long b, long c, long d)
{
	switch (nr) {
	case SYS_rt_sigaction:
		return d == sizeof(u64) ? raw_action((int)a, (void *)b, (void *)c) : -EINVAL;
	case SYS_rt_sigprocmask:
		return d == sizeof(u64) ? raw_mask((int)a, (void *)b, (void *)c) : -EINVAL;
	case SYS_rt_sigpending:
		return (size_t)b <= sizeof(u64) ? raw_pending((void *)a, (size_t)b) : -EINVAL;
	default:
		return -ENOSYS;
	}
}

/*
 * signals.c - keeps our three handlers under the program's, and our bits out of its masks
 *
 * The kernel kills a process whose SIGSYS, SIGSEGV or SIGBUS is raised by an
 * instruction while it is blocked. Programs block "all" signals as a matter of
 * course, so for these three the mask is kept here, per thread, and a signal
 * that somebody sends meanwhile is held here until it is unblocked.
 *
 *	raised by an instruction, ours          mended, the program sees nothing
 *	raised by an instruction, not ours      the program's handler; none, ignored or blocked:
 *	                                        death by it
 *	sent, blocked in the program's view     held, sent again when unblocked
 *	sent, otherwise                         the program's handler; ignored; death by it
 *
 * Entry:       fault_signal() and trap_signal() from the kernel; signals_action(),
 *              signals_mask() from libc.c and calls.c
 * Invariants:  S1 outside exec, the kernel's action of a signal of ours is our handler
 *              S2 no mask the program sets through libc, sa_mask included, has a signal of ours
 *              S3 the program reads back the actions and masks that it set
 * Locks:       actions_lock, with all signals blocked; nothing is taken under it
 * The kernel:  force_sig_fault() and get_signal()
 * Not here:    masks set by inline assembly, by a handler that edits its context's mask with
 *              another signal, and by libc's inner calls (posix_spawn blocks all around its
 *              child, which makes no io_uring call). A sent signal is held by the thread that
 *              got it, not given to another.
 */
#include "entry/signals.h"

#include <string.h>
#include <ucontext.h>

#include "base/atomic.h"
#include "base/lock.h"
#include "entry/entry.h"
#include "host/usercopy.h"

#define SIGNALS 65

#define BIT_KILL_STOP (SIGNAL_BIT(SIGKILL) | SIGNAL_BIT(SIGSTOP))

#define THREAD_LOCAL static __thread __attribute__((tls_model("initial-exec")))

u64 signals_ours;

/* What the program asked for; of others than ours only the bits of sa_mask that we left out. */
static struct kernel_sigaction actions[SIGNALS]; /* under actions_lock */
static struct lock actions_lock;

THREAD_LOCAL u64 view_blocked;    /* blocked by the program's wish */
THREAD_LOCAL u64 view_in_handler; /* blocked because a handler runs, until it returns or jumps */

/* The process id of the vfork() child, if any, whose kernel mask has taken over the view. */
THREAD_LOCAL u32 view_borrower;

/*
 * A sent signal waits here: as much of its siginfo as a sender can give. One of a kind, as in the
 * kernel.
 */
struct held {
	s32 code, pid;
	u32 uid;
	union sigval value;
};
THREAD_LOCAL u64 held_bits;
THREAD_LOCAL struct held held[3];

static bool is_ours(int sig)
{
	return sig >= 1 && sig < SIGNALS && (signals_ours & SIGNAL_BIT(sig));
}

static int held_slot(int sig)
{
	return sig == SIGSYS ? 0 : sig == SIGSEGV ? 1 : 2;
}

static u64 actions_guard(void)
{
	u64 all = ~0ull, mask = 0;

	sigmask_set(SIG_SETMASK, &all, &mask);
	lock_acquire(&actions_lock);
	return mask;
}

static void actions_unguard(u64 mask)
{
	lock_release(&actions_lock);
	sigmask_set(SIG_SETMASK, &mask, NULL);
}

/* Sends a signal to the calling thread with the siginfo of another. */
static void signal_requeue(int sig, siginfo_t *info)
{
	host_call(SYS_rt_tgsigqueueinfo, host_call(SYS_getpid), host_call(SYS_gettid), sig, info);
}

static void held_send(int sig)
{
	struct held *h = &held[held_slot(sig)];
	siginfo_t info;

	memset(&info, 0, sizeof(info));
	info.si_signo = sig;
	info.si_code = h->code;
	info.si_pid = h->pid;
	info.si_uid = h->uid;
	info.si_value = h->value;
	held_bits &= ~SIGNAL_BIT(sig);
	signal_requeue(sig, &info);
}

static void held_add(int sig, const siginfo_t *info)
{
	if (held_bits & SIGNAL_BIT(sig))
		return;
	held[held_slot(sig)] = (struct held){
		.code = info->si_code,
		.pid = info->si_pid,
		.uid = info->si_uid,
		.value = info->si_value,
	};
	held_bits |= SIGNAL_BIT(sig);
}

static void held_send_all(u64 signals)
{
	u64 bits = held_bits & signals;

	while (bits) {
		held_send(__builtin_ctzll(bits) + 1);
		bits &= bits - 1;
	}
}

u64 signals_held(void)
{
	return held_bits;
}

u64 signals_view(void)
{
	return view_blocked | view_in_handler;
}

void signals_view_inherit(u64 view)
{
	view_blocked = view & signals_ours;
	view_in_handler = 0;
}

void signals_jump(void)
{
	if (unlikely(view_in_handler))
		view_in_handler = 0;
}

/*
 * The program dies of `sig` as it would have without us: default action, and
 * the signal at the instruction it belongs to, so that the core shows that.
 */
static void signal_die(int sig, siginfo_t *info, ucontext_t *uc, bool faults_again)
{
	struct kernel_sigaction action = {.handler = (u64)SIG_DFL};
	u64 bit = SIGNAL_BIT(sig);
	u64 mask;

	sigaction_set(sig, &action, NULL);
	memcpy(&mask, &uc->uc_sigmask, sizeof(mask));
	mask &= ~bit;
	memcpy(&uc->uc_sigmask, &mask, sizeof(mask));
	if (faults_again)
		return;
	/* Pending until the return from this handler. */
	sigmask_set(SIG_BLOCK, &bit, NULL);
	signal_requeue(sig, info);
}

static struct kernel_sigaction action_take(int sig)
{
	u64 mask = actions_guard();
	struct kernel_sigaction action = actions[sig];

	if ((action.flags & SA_RESETHAND) && action.handler != (u64)SIG_IGN)
		actions[sig].handler = (u64)SIG_DFL;
	actions_unguard(mask);
	return action;
}

static void handler_call(int sig, siginfo_t *info, ucontext_t *uc,
			 const struct kernel_sigaction *action)
{
	u64 before_blocked = view_blocked, before_in_handler = view_in_handler;
	u64 bits = action->mask | (action->flags & SA_NODEFER ? 0 : SIGNAL_BIT(sig));
	u64 mask, shown, in_handler;

	memcpy(&mask, &uc->uc_sigmask, sizeof(mask));
	shown = mask | before_blocked | before_in_handler;
	memcpy(&uc->uc_sigmask, &shown, sizeof(shown));
	in_handler = (mask | bits) & ~signals_ours;
	view_in_handler |= bits & signals_ours;
	sigmask_set(SIG_SETMASK, &in_handler, NULL);

	if (action->flags & SA_SIGINFO)
		((void (*)(int, siginfo_t *, void *))action->handler)(sig, info, uc);
	else
		((void (*)(int))action->handler)(sig);

	/*
	 * The handler may have edited its context: what it says of our signals becomes the view.
	 */
	memcpy(&mask, &uc->uc_sigmask, sizeof(mask));
	view_in_handler = before_in_handler & mask;
	view_blocked = mask & signals_ours & ~view_in_handler;
	mask &= ~signals_ours;
	memcpy(&uc->uc_sigmask, &mask, sizeof(mask));
	held_send_all(~signals_view());
}

void signals_chain(int sig, siginfo_t *info, void *context)
{
	/*
	 * Raised for an instruction: cannot be blocked or ignored. SIGBUS for memory found bad is
	 * only sent.
	 */
	bool is_forced = info->si_code > 0 && !(sig == SIGBUS && info->si_code == BUS_MCEERR_AO);
	bool is_blocked = signals_view() & SIGNAL_BIT(sig);
	struct kernel_sigaction action;

	if (is_blocked && !is_forced) {
		held_add(sig, info);
		return;
	}
	action = action_take(sig);
	if (action.handler == (u64)SIG_IGN && !is_forced)
		return;
	if (is_blocked || action.handler == (u64)SIG_DFL || action.handler == (u64)SIG_IGN)
		signal_die(sig, info, context,
			   is_forced && sig != SIGSYS && info->si_code != BUS_MCEERR_AR);
	else
		handler_call(sig, info, context, &action);
}

static void fault_signal(int sig, siginfo_t *info, void *context)
{
	int saved = errno;

	if (!usercopy_fixup(info, context))
		signals_chain(sig, info, context);
	errno = saved;
}

/* Our handler for `sig`, on the stack and with the restart that the program's action wants. */
static long handler_install(int sig, const struct kernel_sigaction *wish)
{
	struct kernel_sigaction action = {.flags = SA_SIGINFO | SA_NODEFER};

	action.handler = sig == SIGSYS ? (u64)trap_signal : (u64)fault_signal;
	action.flags |= wish->flags & SA_RESTART;
	/*
	 * A trapped call runs on the stack of its caller: it may wait, or start something that
	 * does.
	 */
	if (sig != SIGSYS)
		action.flags |= wish->flags & SA_ONSTACK;
	/* A sent signal that is ignored must not interrupt calls. */
	if (wish->handler == (u64)SIG_IGN)
		action.flags |= SA_RESTART;
	return sigaction_set(sig, &action, NULL);
}

static long action_of_ours(int sig, const struct kernel_sigaction *action,
			   struct kernel_sigaction *old)
{
	u64 mask = actions_guard();
	long err = 0;

	if (old)
		*old = actions[sig];
	if (action) {
		actions[sig] = *action;
		actions[sig].mask &= ~BIT_KILL_STOP;
		err = handler_install(sig, &actions[sig]);
		if (action->handler == (u64)SIG_IGN)
			held_bits &= ~SIGNAL_BIT(sig);
	}
	actions_unguard(mask);
	return err;
}

u64 signals_left_out(int sig)
{
	return load_relaxed(&actions[sig].mask);
}

void signals_leave_out(int sig, u64 bits)
{
	if (load_relaxed(&actions[sig].mask) != bits && !process_is_borrowed())
		store_relaxed(&actions[sig].mask, bits);
}

static long action_of_other(int sig, const struct kernel_sigaction *action,
			    struct kernel_sigaction *old)
{
	struct kernel_sigaction stripped;
	u64 mask, left_out;
	long err;

	if (action) {
		stripped = *action;
		stripped.mask &= ~signals_ours;
	}
	mask = actions_guard();
	left_out = actions[sig].mask;
	err = sigaction_set(sig, action ? &stripped : NULL, old);
	if (!err && action)
		signals_leave_out(sig, action->mask & signals_ours);
	actions_unguard(mask);
	if (!err && old)
		old->mask |= left_out;
	return err;
}

/*
 * A process that borrows our memory has handlers and a mask of its own, though
 * the table and the view are its parent's. So it uses the kernel directly: for
 * an action, what is not our handler is its own; for the mask, the view is given
 * to the kernel before the first change.
 */
static bool is_our_handler(u64 handler)
{
	return handler == (u64)trap_signal || handler == (u64)fault_signal;
}

static long action_of_borrower(int sig, const struct kernel_sigaction *action,
			       struct kernel_sigaction *old)
{
	struct kernel_sigaction current;
	long err = sigaction_set(sig, action, &current);

	if (!err && old)
		*old = is_our_handler(current.handler) ? actions[sig] : current;
	return err;
}

static void view_lend(void)
{
	u32 borrower = (u32)host_call(SYS_getpid);
	u64 view = signals_view();

	if (view_borrower == borrower)
		return;
	view_borrower = borrower;
	sigmask_set(SIG_BLOCK, &view, NULL);
}

long signals_action(int sig, const struct kernel_sigaction *action, struct kernel_sigaction *old)
{
	if (!signals_ours || sig < 1 || sig >= SIGNALS)
		return sigaction_set(sig, action, old);
	if (!is_ours(sig))
		return action_of_other(sig, action, old);
	return process_is_borrowed() ? action_of_borrower(sig, action, old)
				     : action_of_ours(sig, action, old);
}

long signals_mask(int how, const u64 *set, u64 *old)
{
	u64 before = signals_view();
	u64 ours, stripped;
	long err;

	if (!signals_ours)
		return sigmask_set(how, set, old);
	if (((set ? *set & signals_ours : 0) | before) && process_is_borrowed()) {
		view_lend();
		return sigmask_set(how, set, old);
	}
	if (!set) {
		err = sigmask_set(how, NULL, old);
	} else {
		stripped = how == SIG_UNBLOCK ? *set : *set & ~signals_ours;
		ours = *set & signals_ours;
		err = sigmask_set(how, &stripped, old);
		if (err)
			return err;
		if (how == SIG_BLOCK) {
			view_blocked |= ours;
		} else if (how == SIG_UNBLOCK) {
			view_blocked &= ~ours;
			view_in_handler &= ~ours;
		} else {
			view_blocked = ours;
			view_in_handler = 0;
		}
	}
	if (!err && old)
		*old |= before;
	if (unlikely(held_bits & ~signals_view()))
		held_send_all(~signals_view());
	return err;
}

void signals_wait_begin(struct signals_wait *wait, u64 mask)
{
	u64 release;

	wait->mask = mask & ~signals_ours;
	wait->saved_blocked = view_blocked;
	wait->saved_in_handler = view_in_handler;
	wait->is_released = false;
	view_blocked = mask & signals_ours;
	view_in_handler = 0;
	release = held_bits & ~view_blocked;
	if (likely(!release))
		return;
	/* Pending in the kernel, so that the wait itself delivers them and is interrupted. */
	sigmask_set(SIG_BLOCK, &release, NULL);
	held_send_all(release);
	wait->is_released = true;
}

void signals_wait_end(struct signals_wait *wait)
{
	u64 ours = signals_ours;

	view_blocked = wait->saved_blocked;
	view_in_handler = wait->saved_in_handler;
	if (unlikely(wait->is_released))
		sigmask_set(SIG_UNBLOCK, &ours, NULL);
}

void signals_exec_prepare(struct signals_exec *exec)
{
	struct kernel_sigaction ignore = {.handler = (u64)SIG_IGN};
	struct kernel_sigaction current;

	exec->ignored = 0;
	for (int sig = 1; sig < SIGNALS; sig++) {
		if (!is_ours(sig) || actions[sig].handler != (u64)SIG_IGN)
			continue;
		if (sigaction_raw(sig, NULL, &current) || !is_our_handler(current.handler))
			continue;
		exec->ignored |= SIGNAL_BIT(sig);
		sigaction_set(sig, &ignore, NULL);
	}
	exec->is_masked = signals_view() != 0;
	if (!exec->is_masked)
		return;
	sigmask_set(SIG_BLOCK, NULL, &exec->mask);
	if (process_is_borrowed()) {
		view_lend();
	} else {
		u64 view = signals_view();

		sigmask_set(SIG_BLOCK, &view, NULL);
	}
}

void signals_exec_failed(const struct signals_exec *exec)
{
	for (int sig = 1; sig < SIGNALS; sig++)
		if (exec->ignored & SIGNAL_BIT(sig))
			handler_install(sig, &actions[sig]);
	if (exec->is_masked && !process_is_borrowed())
		sigmask_set(SIG_SETMASK, &exec->mask, NULL);
}

/* The actions that were there before us: ours become the program's, others lose our bits. */
static void actions_adopt(u64 ours)
{
	for (int sig = 1; sig < SIGNALS; sig++) {
		struct kernel_sigaction action;

		if (sigaction_raw(sig, NULL, &action))
			continue;
		if (ours & SIGNAL_BIT(sig)) {
			actions[sig] = action;
			continue;
		}
		actions[sig].mask = action.mask & ours;
		if (action.mask & ours) {
			action.mask &= ~ours;
			sigaction_raw(sig, &action, NULL);
		}
	}
}

int signals_init(bool with_trap)
{
	u64 ours = SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGBUS) | (with_trap ? SIGNAL_BIT(SIGSYS) : 0);
	u64 mask = 0;
	int err;

	if (signals_ours)
		return 0;
	actions_adopt(ours);
	/* From here on the layers below find their handlers in place: these of ours. */
	err = usercopy_init();
	for (int sig = 1; !err && sig < SIGNALS; sig++)
		if (ours & SIGNAL_BIT(sig))
			err = (int)handler_install(sig, &actions[sig]);
	if (err)
		return err;
	sigmask_set(SIG_UNBLOCK, &ours, &mask);
	view_blocked = mask & ours;
	signals_ours = ours;
	return 0;
}

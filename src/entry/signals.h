/*
 * signals.h - the signals that ringside lives on, and the program's view of them
 *
 * SIGSYS is how a trapped call comes in, SIGSEGV and SIGBUS are how a bad
 * pointer is noticed. For these three the kernel has our handler and never a
 * blocked bit; the program's own actions and mask bits are kept here, obeyed,
 * and read back to it.
 */
#ifndef RS_ENTRY_SIGNALS_H
#define RS_ENTRY_SIGNALS_H

#include <signal.h>

#include "host/sigaction.h"

/* The signals we hold: 0 until signals_init(). (c) */
extern u64 signals_ours;

/* Takes SIGSEGV and SIGBUS, and SIGSYS if `with_trap`; once. 0 or -errno. */
int signals_init(bool with_trap);

/*
 * Does with a signal of ours what the kernel would have done for the program. From our handlers.
 */
void signals_chain(int sig, siginfo_t *info, void *context);

/* rt_sigaction() and rt_sigprocmask() as the program is to see them. Pointers are trusted. */
long signals_action(int sig, const struct kernel_sigaction *action, struct kernel_sigaction *old);
long signals_mask(int how, const u64 *set, u64 *old);

/* Of another signal's sa_mask: our bits, which the kernel was not given. */
u64 signals_left_out(int sig);
void signals_leave_out(int sig, u64 bits);

/* Signals held back because the program blocks them: to be added to sigpending()'s. */
u64 signals_held(void);

/* What the program believes to block, of ours, and the same for a thread that is being made. */
u64 signals_view(void);
void signals_view_inherit(u64 view);

/* A jump out of a handler that restores the mask: what the handler had blocked is over. */
void signals_jump(void);

/*
 * Around a wait that sets a mask of its own (ppoll, epoll_pwait, sigsuspend):
 * the mask to give the kernel is wait->mask; the program's view is the
 * program's mask until signals_wait_end().
 */
struct signals_wait {
	u64 mask;
	u64 saved_blocked, saved_in_handler;
	bool is_released; /* held signals were queued, and are blocked until the wait */
};

void signals_wait_begin(struct signals_wait *wait, u64 mask);
void signals_wait_end(struct signals_wait *wait);

/*
 * Around an exec: what the new program inherits (ignored signals, the mask) is
 * given to the kernel as the program set it, and taken back if exec failed.
 */
struct signals_exec {
	u64 mask, ignored;
	bool is_masked;
};

void signals_exec_prepare(struct signals_exec *exec);
void signals_exec_failed(const struct signals_exec *exec);

#endif

/*
 * sigaction.h - rt_sigaction() and rt_sigprocmask() as the kernel knows them
 *
 * The C library's sigaction() is interposed (by us, by sanitizers), and its
 * structure is not the kernel's. A signal mask is one u64 here: bit sig - 1.
 */
#ifndef RS_HOST_SIGACTION_H
#define RS_HOST_SIGACTION_H

#include "base/types.h"
#include "host/kernel.h"

struct kernel_sigaction {
	u64 handler; /* SIG_DFL, SIG_IGN or a function */
	u64 flags;
	u64 restorer; /* aarch64 has the field too, and no use for it */
	u64 mask;
};

#if defined(__x86_64__)
#define KERNEL_SA_RESTORER 0x04000000ul

/* Returns from a handler (sigaction_return.S); debuggers and unwinders know it by its bytes. */
void sigaction_restorer(void);
#endif

#define SIGNAL_BIT(sig) (1ull << ((sig)-1))

/*
 * Raw rt_sigaction(): what the program asked for, its restorer too. Either may be NULL. 0 or
 * -errno.
 */
static inline long sigaction_raw(int sig, const struct kernel_sigaction *action,
				 struct kernel_sigaction *old)
{
	return host_call(SYS_rt_sigaction, sig, action, old, sizeof(u64));
}

/* The same, with our restorer where `action` brings none. */
static inline long sigaction_set(int sig, const struct kernel_sigaction *action,
				 struct kernel_sigaction *old)
{
	struct kernel_sigaction ready;

	if (!action)
		return sigaction_raw(sig, NULL, old);
	ready = *action;
#if defined(__x86_64__)
	if (!(ready.flags & KERNEL_SA_RESTORER)) {
		ready.flags |= KERNEL_SA_RESTORER;
		ready.restorer = (u64)sigaction_restorer;
	}
#endif
	return sigaction_raw(sig, &ready, old);
}

static inline long sigmask_set(int how, const u64 *set, u64 *old)
{
	return host_call(SYS_rt_sigprocmask, how, set, old, sizeof(u64));
}

#endif

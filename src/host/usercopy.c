/*
 * usercopy.c - copies that answer a bad address with -EFAULT, and the handler's half of that
 *
 * Entry:       copy_from_user() and its family; usercopy_fixup() from the SIGSEGV/SIGBUS handler
 * Invariants:  U1 only usercopy_fault.S touches an untrusted address
 *              U2 a fault anywhere else is none of ours: the program's handler, or its death, as
 *              without us
 * Locks:       none
 * The kernel:  copy_from_user() with its exception table; here the table has one entry
 * Not here:    the handlers that chain to the program's (entry/signals.c). The plain ones here
 *              serve until those are in place, and where the layers below entry/ run alone.
 */
#define _GNU_SOURCE
#include "host/usercopy.h"

#include <errno.h>
#include <string.h>
#include <ucontext.h>

#include "base/atomic.h"
#include "base/types.h"
#include "host/kernel.h"
#include "host/sigaction.h"

long usercopy_bytes(void *dst, const void *src, size_t size);
long usercopy_string(char *dst, const char *src, size_t size);
long usercopy_touch(const void *addr, size_t size, int writable);

/* (c) after usercopy_init(); read by usercopy_bytes() */
bool usercopy_has_avx;

extern const char usercopy_fault_begin[], usercopy_fault_end[], usercopy_fault_fixup[];

/* The end of the part of the address space that user mode may hold on any kernel. */
#define USER_END (1ul << 56)

static u32 init_state;
static struct kernel_sigaction earlier_segv, earlier_bus;

/* The kernel refuses these before it touches them; a fault there would not say so by itself. */
static bool range_is_possible(const void *addr, size_t size)
{
	u64 end;

	return !__builtin_add_overflow((u64)addr, (u64)size, &end) && end <= USER_END;
}

int copy_from_user(void *dst, const void *user_src, size_t size)
{
	if (unlikely(!range_is_possible(user_src, size)))
		return -EFAULT;
	return (int)usercopy_bytes(dst, user_src, size);
}

int copy_to_user(void *user_dst, const void *src, size_t size)
{
	if (unlikely(!range_is_possible(user_dst, size)))
		return -EFAULT;
	return (int)usercopy_bytes(user_dst, src, size);
}

long string_from_user(char *dst, const char *user_src, size_t size)
{
	return usercopy_string(dst, user_src, size);
}

int user_range_check(const void *user_addr, size_t size, int writable)
{
	if (unlikely(!range_is_possible(user_addr, size)))
		return -EFAULT;
	return (int)usercopy_touch(user_addr, size, writable);
}

int usercopy_fixup(siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	/* Positive: raised by the kernel for an instruction; the rest was sent by somebody. */
	bool is_fault = info->si_code > 0;
#if defined(__x86_64__)
	u64 pc = (u64)uc->uc_mcontext.gregs[REG_RIP];
#else
	u64 pc = uc->uc_mcontext.pc;
#endif

	if (!is_fault || pc < (u64)usercopy_fault_begin || pc >= (u64)usercopy_fault_end)
		return 0;
#if defined(__x86_64__)
	uc->uc_mcontext.gregs[REG_RIP] = (greg_t)usercopy_fault_fixup;
#else
	uc->uc_mcontext.pc = (u64)usercopy_fault_fixup;
#endif
	return 1;
}

static void fault_signal(int sig, siginfo_t *info, void *context)
{
	if (usercopy_fixup(info, context))
		return;
	/* Not ours: the action from before us, and the instruction faults again under it. */
	sigaction_set(sig, sig == SIGSEGV ? &earlier_segv : &earlier_bus, NULL);
	if (info->si_code <= 0)
		host_call(SYS_rt_tgsigqueueinfo, host_call(SYS_getpid), host_call(SYS_gettid), sig,
			  info);
}

int usercopy_init(void)
{
	struct kernel_sigaction action = {
		.handler = (u64)fault_signal,
		.flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK,
	};
	long err;

	if (exchange_full(&init_state, 1))
		return 0;
#if defined(__x86_64__)
	__builtin_cpu_init();
	usercopy_has_avx = __builtin_cpu_supports("avx");
#endif
	err = sigaction_set(SIGSEGV, &action, &earlier_segv);
	if (!err)
		err = sigaction_set(SIGBUS, &action, &earlier_bus);
	return (int)err;
}

/*
 * trap.c - a call made by inline assembly, caught by the filter and answered here
 *
 * The SIGSYS is synchronous: it comes at the call, on the caller's thread and
 * stack, before the call did anything. The handler does the call, puts the
 * result where the kernel would have, and returns behind the `syscall`.
 *
 * Entry:       trap_signal(), from the kernel
 * Invariants:  T1 the interrupted code sees what a system call changes and nothing else: errno
 *              is kept
 *              T2 a SIGSYS that is no trap of our filter goes where it would have gone without us
 * Locks:       none held; the call takes its own. It may block, and a handler of the program may
 *              run meanwhile
 * Not here:    the filter (host/filter.c), the program's view of SIGSYS (signals.c)
 */
#include "entry/entry.h"

#include <sys/mman.h>
#include <ucontext.h>

#include "entry/route.h"
#include "entry/signals.h"
#include "file/own.h"
#include "host/filter.h"
#include "host/gate.h"
#include "observe/stats.h"

struct registers {
	long nr;
	long args[6];
	u64 pc;
};

/* Set around the one call of trap_probe(). */
static __thread __attribute__((tls_model("initial-exec"))) bool is_probing, has_trapped;

#if defined(__x86_64__)
static void registers_load(const ucontext_t *uc, struct registers *regs)
{
	const greg_t *g = uc->uc_mcontext.gregs;

	*regs = (struct registers){
		.nr = g[REG_RAX],
		.args = {g[REG_RDI], g[REG_RSI], g[REG_RDX], g[REG_R10], g[REG_R8], g[REG_R9]},
		.pc = (u64)g[REG_RIP],
	};
}

static void result_store(ucontext_t *uc, long result)
{
	uc->uc_mcontext.gregs[REG_RAX] = result;
}
#elif defined(__aarch64__)
static void registers_load(const ucontext_t *uc, struct registers *regs)
{
	const unsigned long long *x = uc->uc_mcontext.regs;

	*regs = (struct registers){
		.nr = (long)x[8],
		.args = {(long)x[0], (long)x[1], (long)x[2], (long)x[3], (long)x[4], (long)x[5]},
		.pc = uc->uc_mcontext.pc,
	};
}

static void result_store(ucontext_t *uc, long result)
{
	uc->uc_mcontext.regs[0] = (unsigned long long)result;
}
#endif

/* An mmap() of an offset that rings show elsewhere: of anything else the kernel's business. */
static long trapped_mmap(const long *args)
{
	s64 offset = args[5];

	if (!(args[3] & MAP_ANONYMOUS) && descriptor_is_ring((int)args[4]))
		offset = descriptor_map_offset((int)args[4], (u64)offset, (size_t)args[1]);
	if (offset < 0)
		return offset;
	return gate_call(SYS_mmap, args[0], args[1], args[2], args[3], args[4], offset);
}

static long trapped_call(const struct registers *regs)
{
	const long *a = regs->args;
	long result;
	u32 enter;

	/* A filter inherited from an image whose gate was elsewhere: there is no way through. */
	if (regs->pc == gate_return_address())
		return -ENOSYS;
	process_check_fork();
	switch (regs->nr) {
	case SYS_io_uring_setup:
		return route_setup((u32)a[0], (struct io_uring_params *)a[1]);
	case SYS_io_uring_enter:
		enter = own_enter_begin(); /* what it closed by such calls, nobody has seen */
		result = route_enter((u32)a[0], (u32)a[1], (u32)a[2], (u32)a[3], (const void *)a[4],
				     (size_t)a[5]);
		own_enter_end(enter);
		return result;
	case SYS_io_uring_register:
		return route_register((u32)a[0], (u32)a[1], (void *)a[2], (u32)a[3]);
	case SYS_mmap:
		return trapped_mmap(a);
	default:
		return -ENOSYS;
	}
}

void trap_signal(int sig, siginfo_t *info, void *context)
{
	int saved = errno;
	struct registers regs;

	if (!filter_is_trap(info)) {
		signals_chain(sig, info, context);
	} else if (is_probing) {
		has_trapped = true;
		result_store(context, -EBADF);
	} else {
		registers_load(context, &regs);
		stats_count_process(COUNTER_TRAPS, 1);
		result_store(context, trapped_call(&regs));
	}
	errno = saved;
}

bool trap_probe(void)
{
	has_trapped = false;
	is_probing = true;
	/* Allowed by every policy, and EBADF where no filter of ours is. */
	host_call(SYS_mmap, NULL, 4096, PROT_READ, MAP_SHARED, -1, IORING_OFF_CQ_RING);
	is_probing = false;
	return has_trapped;
}

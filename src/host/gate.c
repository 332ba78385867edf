/*
 * gate.c - the page of code through which trapped calls reach the kernel
 *
 * Entry:       gate_init(), gate_call()
 * Invariants:  G1 the page is never unmapped and never writable once it is executable
 * Not here:    the filter that knows the page's address (filter.c)
 */
#include "host/gate.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/abi.h"
#include "base/atomic.h"
#include "host/kernel.h"

#define GATE_PAGE 4096ul

#if defined(__x86_64__)
/* syscall; ret */
static const u8 gate_code[] = {0x0f, 0x05, 0xc3};
#define GATE_AFTER_SYSCALL 2

/*
 * A call of the gate's code: what a `syscall` instruction clobbers, and what a call does. The red
 * zone is skipped, because `call` pushes and this function may be a leaf.
 */
static long gate_enter(u64 page, long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("lea -128(%%rsp), %%rsp\n\t"
			 "call *%[page]\n\t"
			 "lea 128(%%rsp), %%rsp"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8),
			   "r"(r9), [page] "b"(page)
			 : "rcx", "r11", "memory", "cc");
	return ret;
}
#elif defined(__aarch64__)
/* svc #0; ret */
static const u32 gate_code[] = {0xd4000001, 0xd65f03c0};
#define GATE_AFTER_SYSCALL 4

static long gate_enter(u64 page, long nr, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;
	register u64 x9 __asm__("x9") = page;

	__asm__ volatile("blr x9"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5), "r"(x9)
			 : "x30", "memory", "cc");
	return x0;
}
#endif

static u64 gate_page; /* (c) after gate_init() */

static bool is_error(long ret)
{
	return (unsigned long)ret > -4096ul;
}

static long gate_map(void)
{
	long prot = PROT_READ | PROT_WRITE;
	long flags = MAP_PRIVATE | MAP_ANONYMOUS;
	long addr;

	addr = host_call(SYS_mmap, GATE_ADDRESS, GATE_PAGE, prot, flags | MAP_FIXED_NOREPLACE, -1,
			 0);
	/* A kernel without MAP_FIXED_NOREPLACE takes the address as a hint: any page is fine. */
	if (is_error(addr))
		addr = host_call(SYS_mmap, 0, GATE_PAGE, prot, flags, -1, 0);
	return addr;
}

int gate_init(void)
{
	long addr;
	long err;

	if (gate_page)
		return 0;
	addr = gate_map();
	if (is_error(addr))
		return (int)addr;
	__builtin_memcpy((void *)addr, gate_code, sizeof(gate_code));
	__builtin___clear_cache((char *)addr, (char *)addr + sizeof(gate_code));
	err = host_call(SYS_mprotect, addr, GATE_PAGE, PROT_READ | PROT_EXEC);
	if (err) {
		host_call(SYS_munmap, addr, GATE_PAGE);
		return (int)err;
	}
	store_release(&gate_page, (u64)addr);
	return 0;
}

u64 gate_return_address(void)
{
	return gate_page ? gate_page + GATE_AFTER_SYSCALL : 0;
}

long gate_call(long nr, long a, long b, long c, long d, long e, long f)
{
	u64 page = load_acquire(&gate_page); /* pairs with gate_init() */

	if (!page)
		return raw_syscall6(nr, a, b, c, d, e, f);
	return gate_enter(page, nr, a, b, c, d, e, f);
}

/* The child's whole life: its exit status is the errno value, 0 if the ring could be made. */
static _Noreturn void probe_child(void)
{
	struct io_uring_params params = {0};
	long ret = gate_call(SYS_io_uring_setup, 1, (long)&params, 0, 0, 0, 0);

	host_call(SYS_exit_group, ret < 0 ? -ret : 0);
	__builtin_unreachable();
}

int gate_probe_uring(void)
{
	int status = 0;
	long child, ret;

	/* No exit signal: the program's SIGCHLD handler and its wait() must not see this child. */
#if defined(__x86_64__)
	child = host_call(SYS_clone, 0, 0, NULL, NULL, 0);
#else
	child = host_call(SYS_clone, 0, 0, NULL, 0, NULL);
#endif
	if (child < 0)
		return (int)child;
	if (child == 0)
		probe_child();
	do {
		ret = host_call(SYS_wait4, child, &status, __WCLONE, NULL);
	} while (ret == -EINTR);
	if (ret < 0)
		return (int)ret;
	if (!WIFEXITED(status))
		return -EPERM;
	return -WEXITSTATUS(status);
}

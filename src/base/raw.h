/*
 * raw.h - one system call, without the C library
 *
 * The C library's functions set errno (a program's handler may be looking at
 * it), may be interposed (by us) and may be cancellation points; ringside wants
 * none of that. The result is what the kernel returned: a value, or -errno.
 *
 * Not here: what to call. That is host/'s business; base/ uses this for the
 * futex of its lock and nothing else.
 */
#ifndef RS_BASE_RAW_H
#define RS_BASE_RAW_H

#if defined(__clang_analyzer__)

/* An analyser that saw the assembly would believe that the kernel writes to no memory but `ret`. */
long raw_syscall6(long nr, long a, long b, long c, long d, long e, long f);

#elif defined(__x86_64__)

static inline long raw_syscall6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

#elif defined(__aarch64__)

static inline long raw_syscall6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}

#endif

#define raw_syscall0(nr)                raw_syscall6((nr), 0, 0, 0, 0, 0, 0)
#define raw_syscall1(nr, a)             raw_syscall6((nr), (a), 0, 0, 0, 0, 0)
#define raw_syscall2(nr, a, b)          raw_syscall6((nr), (a), (b), 0, 0, 0, 0)
#define raw_syscall3(nr, a, b, c)       raw_syscall6((nr), (a), (b), (c), 0, 0, 0)
#define raw_syscall4(nr, a, b, c, d)    raw_syscall6((nr), (a), (b), (c), (d), 0, 0)
#define raw_syscall5(nr, a, b, c, d, e) raw_syscall6((nr), (a), (b), (c), (d), (e), 0)

#endif

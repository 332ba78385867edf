/*
 * kernel.h - the only way ringside calls the real kernel
 *
 * host_call(SYS_name, args...) makes one raw system call and returns its value
 * or -errno. It never touches errno, is never a cancellation point and never
 * meets an interposed function (ours or another library's).
 *
 * A call of io_uring itself, or an mmap() of the CQ ring's offset, would be
 * trapped by our own filter; those go through gate_call() (gate.h).
 */
#ifndef RS_HOST_KERNEL_H
#define RS_HOST_KERNEL_H

#include <errno.h>
#include <sys/syscall.h>

#include "base/raw.h"
#include "base/types.h"

#define HOST_CALL_PICK(_1, _2, _3, _4, _5, _6, _7, name, ...) name

#define HOST_CALL_0(n)             raw_syscall0(n)
#define HOST_CALL_1(n, a)          raw_syscall1(n, (long)(a))
#define HOST_CALL_2(n, a, b)       raw_syscall2(n, (long)(a), (long)(b))
#define HOST_CALL_3(n, a, b, c)    raw_syscall3(n, (long)(a), (long)(b), (long)(c))
#define HOST_CALL_4(n, a, b, c, d) raw_syscall4(n, (long)(a), (long)(b), (long)(c), (long)(d))
#define HOST_CALL_5(n, a, b, c, d, e)                                                              \
	raw_syscall5(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e))
#define HOST_CALL_6(n, a, b, c, d, e, f)                                                           \
	raw_syscall6(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

#define host_call(...)                                                                             \
	HOST_CALL_PICK(__VA_ARGS__, HOST_CALL_6, HOST_CALL_5, HOST_CALL_4, HOST_CALL_3,            \
		       HOST_CALL_2, HOST_CALL_1, HOST_CALL_0)                                      \
	(__VA_ARGS__)

#endif

/*
 * gate.h - the one place from which our own seccomp filter lets a trapped call pass
 *
 * A page with `syscall; ret` at a fixed address, so that a filter inherited
 * through exec names the gate of the new image as well. Calls through it reach
 * the kernel: real io_uring calls (engine=auto, doctor), and an mmap() of offset
 * 0x8000000 that is not about a ring of ours.
 */
#ifndef RS_HOST_GATE_H
#define RS_HOST_GATE_H

#include "base/types.h"

#if defined(__x86_64__)
#define GATE_ADDRESS 0x7e9000000000ul
#elif defined(__aarch64__)
#define GATE_ADDRESS 0x7e90000000ul /* below 2^39: kernels with three levels of page tables */
#endif

/*
 * Maps the page, once; 0 or -errno. If the address is taken the gate is elsewhere: fine for a
 * filter installed by this image, closed under an inherited one (filter_install() tells).
 */
int gate_init(void);

/* What the filter sees as instruction pointer in a call through the gate; 0 before gate_init(). */
u64 gate_return_address(void);

/* One raw system call through the gate: value or -errno. Without a gate an ordinary raw call. */
long gate_call(long nr, long a, long b, long c, long d, long e, long f);

/*
 * Whether the kernel's own io_uring works here: 0, -EPERM, -ENOSYS, ... A child
 * process makes the call, because a policy may kill the caller (then -EPERM).
 */
int gate_probe_uring(void);

#endif

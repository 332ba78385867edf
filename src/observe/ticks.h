/*
 * ticks.h - the CPU's own clock, for latencies
 *
 * One instruction, constant rate on every CPU that ringside runs on, equal in
 * all processes of a machine. How long a tick is, the statistics region finds
 * out by itself: it notes both clocks when it is made and compares when it is
 * read.
 */
#ifndef RS_OBSERVE_TICKS_H
#define RS_OBSERVE_TICKS_H

#include "base/types.h"

static inline u64 ticks_now(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#else
	u64 ticks;

	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
	return ticks;
#endif
}

#endif

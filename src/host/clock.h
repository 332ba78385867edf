/*
 * clock.h - the kernel's clocks, in nanoseconds
 */
#ifndef RS_HOST_CLOCK_H
#define RS_HOST_CLOCK_H

#include <time.h>

#include "base/types.h"

#define NS_PER_SEC 1000000000ull
#define NS_PER_MS  1000000ull
#define NS_PER_US  1000ull

/* Nanoseconds of CLOCK_MONOTONIC, _BOOTTIME or _REALTIME; through the vDSO, no system call. */
static inline u64 clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (u64)now.tv_sec * NS_PER_SEC + (u64)now.tv_nsec;
}

#endif

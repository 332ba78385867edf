/*
 * clock.c - calibration of the tick counter
 *
 * Latencies are measured in CPU ticks because two clock_gettime() cost more
 * than a NOP. The rate is found over the life of the process: the longer it
 * ran, the more exact it is.
 */
#include "host/clock.h"

static u64 start_ticks, start_ns;

void clock_ticks_start(void)
{
	start_ns = clock_ns(CLOCK_MONOTONIC);
	start_ticks = clock_ticks();
}

u64 clock_ticks_to_ns(u64 ticks)
{
	u64 elapsed_ns = clock_ns(CLOCK_MONOTONIC) - start_ns;
	u64 elapsed_ticks = clock_ticks() - start_ticks;

	if (elapsed_ticks == 0)
		return 0;
	return (u64)((double)ticks * (double)elapsed_ns / (double)elapsed_ticks);
}

/*
 * latency.c - log-linear histograms of latencies
 *
 * Below 8 ticks a bucket is one tick; from there on every power of two is cut
 * into 8 equal buckets. So the middle of a bucket is at most 1/16 from any
 * value in it, at any scale, and recording is a count of leading zeros, a shift
 * and an addition: about 2 ns.
 *
 *	ticks    0 1 .. 7 | 8 9 .. 15 | 16-17 18-19 .. 30-31 | 32-35 .. 60-63 | ...
 *	bucket   0 1 .. 7 | 8 9 .. 15 | 16    17    .. 23    | 24    .. 31    | ...
 *
 * Entry:     stats_latency_record(), histogram_quantile()
 * Not here:  ticks to nanoseconds (stats.c)
 */
#include "observe/stats.h"

#define STEPS_LOG2 3

_Static_assert(1 << STEPS_LOG2 == HISTOGRAM_STEPS, "steps of an octave");

u32 histogram_bucket(u64 ticks)
{
	u32 octave, bucket;

	if (ticks < HISTOGRAM_STEPS)
		return (u32)ticks;
	octave = 63 - (u32)__builtin_clzll(ticks);
	bucket = (octave - STEPS_LOG2 + 1) * HISTOGRAM_STEPS +
		 (u32)(ticks >> (octave - STEPS_LOG2) & (HISTOGRAM_STEPS - 1));
	return min_of(bucket, (u32)HISTOGRAM_BUCKETS - 1);
}

u64 histogram_middle(u32 bucket)
{
	u32 octave = bucket / HISTOGRAM_STEPS; /* 0 and 1 have buckets of one tick */
	u64 step = bucket % HISTOGRAM_STEPS;

	if (octave <= 1)
		return bucket;
	return ((HISTOGRAM_STEPS + step) << (octave - 1)) + (1ull << (octave - 2));
}

void stats_latency_record(struct stats_block *block, u8 opcode, u64 ticks)
{
	stats_add(block, &block->latency[opcode][histogram_bucket(ticks)], 1);
}

u64 histogram_quantile(const u64 *buckets, u32 per_mille)
{
	u64 total = 0, seen = 0, rank;

	for (u32 i = 0; i < HISTOGRAM_BUCKETS; i++)
		total += buckets[i];
	if (total == 0)
		return 0;
	/* The smallest value that at least per_mille thousandths do not exceed. */
	rank = total / 1000 * per_mille + (total % 1000 * per_mille + 999) / 1000;
	rank = max_of(rank, (u64)1);
	for (u32 i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += buckets[i];
		if (seen >= rank)
			return histogram_middle(i);
	}
	return histogram_middle(HISTOGRAM_BUCKETS - 1);
}

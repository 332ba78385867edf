/*
 * stats.h - counters and latencies, always counted, shown when asked
 *
 * A block of counters belongs to one ring and is changed by the holder of that
 * ring's lock with plain additions; one more block a process, changed
 * atomically, takes what belongs to no ring. Blocks lie in a region that
 * `ringside run --stats` shares with the program and all its children, so
 * that nothing is lost when one of them calls _exit() or is killed; without
 * --stats the region is private memory.
 *
 * Latencies (submission to completion) are measured only if stats_has_latency.
 * They go into log-linear histograms: 8 steps an octave, so a reported value is
 * within 6.25% of the true one.
 *
 * Invariants:  O1 a block that more than one thread may change at a time has
 *                 is_shared set, from before it is handed out
 *              O2 figures are only ever added to or raised: a block that is
 *                 released, or whose owner died, keeps them, and the next
 *                 owner goes on from there
 *              O3 block 0 belongs to everybody and is shared: who finds no
 *                 block free uses it
 *
 * Not here: who counts what (each layer counts what it does); the region
 * (stats.c), the histogram (latency.c), the output (json.c).
 */
#ifndef RS_OBSERVE_STATS_H
#define RS_OBSERVE_STATS_H

#include "base/abi.h"
#include "base/atomic.h"
#include "base/types.h"

enum counter {
#define COUNTER(name, json, combine) COUNTER_##name,
#include "observe/counters.def"
#undef COUNTER
	COUNTER_LAST
};

#define HISTOGRAM_STEPS   8                            /* a power of two */
#define HISTOGRAM_BUCKETS (HISTOGRAM_STEPS * (48 - 2)) /* up to 2^48 ticks */

struct stats_op {
	u64 count;  /* requests completed */
	u64 errors; /* of these, with a negative result */
};

/* Owned by a ring from stats_block_claim() to stats_block_release(), or by the process. */
struct stats_block {
	u64 is_shared; /* additions are atomic; set before it is handed out, never cleared */
	u64 counters[COUNTER_LAST];
	struct stats_op ops[IORING_OP_LAST];
	u64 latency[IORING_OP_LAST]
		   [HISTOGRAM_BUCKETS]; /* untouched, so without memory, when latencies are off */
} __attribute__((aligned(CACHE_LINE)));

extern bool stats_has_latency; /* (c) after stats_init() */
extern struct stats_block
	*stats_process; /* this process's own block; atomic additions only; never NULL */

/*
 * shared_fd: descriptor of the region made by stats_region_create(), or -1 for
 * memory of this process and, with latencies, its forked children. Called once,
 * before the first ring, with no other thread counting. 0, or -errno: then the
 * region is private memory all the same. shared_fd stays open, for programs that
 * are executed; it is the program's to be kept from (host/fd.h).
 */
int stats_init(int shared_fd, bool with_latency);

/* Whether this process, and not a parent of it, made the region: so it writes it down. */
bool stats_region_is_mine(void);

/*
 * The child's first act: a process block of its own. It must not count in or
 * release blocks that its parent's rings claimed: they are the parent's.
 */
void stats_after_fork(void);

/* The process ends, or is about to execute another program: others may have its process block. */
void stats_process_exit(void);

/*
 * A block for a ring: never NULL, not zeroed (O2), the shared one when the region is full. Any
 * thread.
 */
struct stats_block *stats_block_claim(void);

/* The block's figures stay in the totals. Any thread of the process that claimed it. */
void stats_block_release(struct stats_block *block);

/* The caller holds the lock of the ring that owns the block. */
static inline void stats_add(struct stats_block *block, u64 *figure, u64 n)
{
	if (unlikely(block->is_shared))
		add_relaxed(figure, n);
	else
		store_relaxed(figure,
			      *figure + n); /* read by others meanwhile (stats_write_json()) */
}

/* The caller holds the lock of the ring that owns the block. */
static inline void stats_count(struct stats_block *block, enum counter counter, u64 n)
{
	stats_add(block, &block->counters[counter], n);
}

/*
 * A request of a known opcode is complete. The caller holds the lock of the ring that owns the
 * block.
 */
static inline void stats_count_op(struct stats_block *block, u8 opcode, s32 result)
{
	stats_add(block, &block->ops[opcode].count, 1);
	if (unlikely(result < 0))
		stats_add(block, &block->ops[opcode].errors, 1);
}

/* Any thread: for what belongs to no ring. */
static inline void stats_count_process(enum counter counter, u64 n)
{
	add_relaxed(&load_relaxed(&stats_process)->counters[counter], n);
}

/* Any thread: raises the process's figure to n if it is below. */
void stats_peak_process(enum counter counter, u64 n);

/* The bucket of a latency, and the latency in the middle of a bucket. */
u32 histogram_bucket(u64 ticks);
u64 histogram_middle(u32 bucket);

/* The caller holds the lock of the ring that owns the block. `ticks` as ticks_now() counts. */
void stats_latency_record(struct stats_block *block, u8 opcode, u64 ticks);

/* The latency in ticks that `per_mille` of the recorded ones do not exceed; 0 if there are none. */
u64 histogram_quantile(const u64 *buckets, u32 per_mille);

/*
 * For `ringside run`: a region (memfd, inherited by children) mapped here too; its descriptor or
 * -errno.
 */
int stats_region_create(void);

/*
 * Writes the totals of the region as JSON to `path`: a regular file is replaced
 * atomically (a temporary file beside it, and rename), anything else (a pipe,
 * a terminal, /dev/stdout) is written to. 0 or -errno. Any thread.
 */
int stats_write_json(const char *path);

/* Name of an operation as in io_uring_enter(2) without IORING_OP_, e.g. "READ"; "?" if unknown. */
const char *stats_op_name(u8 opcode);

/* What json.c adds up; stats.c keeps it. */
struct stats_totals {
	u64 counters[COUNTER_LAST];
	struct stats_op ops[IORING_OP_LAST];
	u64 p50_ns[IORING_OP_LAST]; /* valid where has_latency[] */
	u64 p99_ns[IORING_OP_LAST];
	bool has_latency[IORING_OP_LAST];
};

/* Adds up every block of the region, also while rings are counting. */
void stats_totals(struct stats_totals *totals);

#endif

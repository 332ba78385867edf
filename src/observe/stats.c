/*
 * stats.c - the region of counters: made, mapped, handed out, added up
 *
 *	page 0       header: what region this is, who has which block
 *	then         up to STATS_BLOCKS blocks; block 0 is everybody's
 *
 * The shared region is one memfd, sealed against resizing, so that no process
 * that has it can make another one fault. It is sparse: a block costs memory
 * where something was counted. Any number of processes may have it mapped,
 * each at its own address; the program's children get the descriptor by
 * inheritance and its number by RINGSIDE=stats_fd=N.
 *
 * A block is claimed by a compare-and-exchange of its owner word (a process
 * id) in the header, and released by storing 0. The block of a process that
 * was killed stays claimed, and keeps its figures (O2); a run that kills more
 * processes than there are blocks goes on in block 0, atomically.
 *
 * Entry:     stats_init(), stats_block_claim(), stats_totals()
 * Locks:     none; every word of the header is atomic
 * Not here:  histograms (latency.c), JSON (json.c)
 */
#define _GNU_SOURCE
#include "observe/stats.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/assert.h"
#include "base/pages.h"
#include "base/raw.h"
#include "observe/ticks.h"

#define STATS_MAGIC   0x7374617473737231ull /* "1rsstats" in memory */
#define STATS_VERSION 1

#define STATS_BLOCKS         512 /* in a shared region */
#define STATS_BLOCKS_PRIVATE 32

/* Nobody who has the descriptor can cut the file short under another's mapping. */
#define REGION_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW)

struct region_header {
	u64 magic;          /* (c) */
	u32 version;        /* (c) */
	u32 blocks;         /* (c) */
	u64 block_size;     /* (c) */
	u64 ticks_at_start; /* (c) both clocks when the region was made */
	u64 ns_at_start;    /* (c) */
	u32 high_water;     /* (a) blocks from here on were never claimed */
	u32 unused;
	u32 owners[STATS_BLOCKS]; /* (a) process id, 0 when free */
};

#define HEADER_SIZE 4096
_Static_assert(sizeof(struct region_header) <= HEADER_SIZE, "the header is one page");

#define REGION_SIZE(blocks) (HEADER_SIZE + (size_t)(blocks) * sizeof(struct stats_block))

/* Counted in until stats_init() has run, and where there is no memory for a region. */
static struct {
	struct region_header header;
	struct stats_block block;
} spare = {.block = {.is_shared = 1}};

static struct region_header *region;                     /* (c) NULL before stats_init() */
static struct stats_block *region_blocks = &spare.block; /* (c) */
static u32 region_capacity;                              /* (c) blocks that are mapped */
static bool region_is_shared;                            /* (c) */
static bool process_has_block; /* (a) stats_process is no longer block 0 */

bool stats_has_latency;
struct stats_block *stats_process = &spare.block;

static u64 now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (u64)now.tv_sec * 1000000000 + (u64)now.tv_nsec;
}

static u32 process_id(void)
{
	return (u32)raw_syscall0(SYS_getpid);
}

static void header_fill(struct region_header *header, u32 blocks)
{
	header->magic = STATS_MAGIC;
	header->version = STATS_VERSION;
	header->blocks = blocks;
	header->block_size = sizeof(struct stats_block);
	header->ticks_at_start = ticks_now();
	header->ns_at_start = now_ns();
	header->high_water = 1;
	header->owners[0] = process_id(); /* never released */
}

/* From here on nothing in the header is trusted: every process of the run can write to it. */
static void region_use(struct region_header *header, struct stats_block *blocks, u32 capacity,
		       bool is_shared)
{
	region = header;
	region_blocks = blocks;
	region_capacity = capacity;
	region_is_shared = is_shared;
	blocks[0].is_shared = 1;
	process_has_block = false;
	stats_process = &blocks[0];
}

static int region_map(int fd, size_t size)
{
	long addr =
		raw_syscall6(SYS_mmap, 0, (long)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (addr < 0 && addr > -4096)
		return (int)addr;
	region_use((void *)addr, (void *)(addr + HEADER_SIZE), STATS_BLOCKS, true);
	return 0;
}

int stats_region_create(void)
{
	size_t size = REGION_SIZE(STATS_BLOCKS);
	long fd = raw_syscall2(SYS_memfd_create, (long)"ringside-stats", MFD_ALLOW_SEALING);
	struct region_header header = {0};
	long err;

	if (fd < 0)
		return (int)fd;
	header_fill(&header, STATS_BLOCKS);
	err = raw_syscall2(SYS_ftruncate, fd, (long)size);
	if (!err && raw_syscall4(SYS_pwrite64, fd, (long)&header, sizeof(header), 0) !=
			    (long)sizeof(header))
		err = -EIO;
	if (!err)
		err = raw_syscall3(SYS_fcntl, fd, F_ADD_SEALS, REGION_SEALS);
	if (!err)
		err = region_map((int)fd, size);
	if (err) {
		raw_syscall1(SYS_close, fd);
		return (int)err;
	}
	return (int)fd;
}

/* The number may by now be another file of the program's, or the region of another version. */
static int region_check(int fd)
{
	struct region_header header;

	if (raw_syscall2(SYS_fcntl, fd, F_GET_SEALS) != REGION_SEALS)
		return -EBADF;
	if (raw_syscall4(SYS_pread64, fd, (long)&header, sizeof(header), 0) != (long)sizeof(header))
		return -EBADF;
	if (header.magic != STATS_MAGIC)
		return -EBADF;
	if (header.version != STATS_VERSION || header.blocks != STATS_BLOCKS ||
	    header.block_size != sizeof(struct stats_block))
		return -EPROTO;
	return 0;
}

static void region_make_private(void)
{
	size_t size = REGION_SIZE(STATS_BLOCKS_PRIVATE);
	char *addr = pages_reserve(size);

	if (addr == NULL) {
		header_fill(&spare.header, 1);
		region_use(&spare.header, &spare.block, 1, false);
		return;
	}
	/* A huge page for a few counters would be a hundred times what they need. */
	raw_syscall3(SYS_madvise, (long)addr, (long)size, MADV_NOHUGEPAGE);
	header_fill((void *)addr, STATS_BLOCKS_PRIVATE);
	region_use((void *)addr, (void *)(addr + HEADER_SIZE), STATS_BLOCKS_PRIVATE, false);
}

static int region_join(int fd)
{
	int err = region_check(fd);

	return err ? err : region_map(fd, REGION_SIZE(STATS_BLOCKS));
}

/* Shared with forked children through the mapping alone. */
static int region_make_for_family(void)
{
	int fd = stats_region_create();

	return fd < 0 ? fd : (int)raw_syscall1(SYS_close, fd);
}

int stats_init(int shared_fd, bool with_latency)
{
	int err = 0;

	stats_has_latency = with_latency;
	if (shared_fd >= 0)
		err = region_join(shared_fd);
	else if (with_latency)
		err = region_make_for_family();
	if (err || (shared_fd < 0 && !with_latency))
		region_make_private();
	return err;
}

bool stats_region_is_mine(void)
{
	return region && load_relaxed(&region->owners[0]) == process_id();
}

/* The parent's figures are in the child's copy; the child begins at nothing. */
static void region_clear(void)
{
	u32 maker = region->owners[0];

	if (region == &spare.header)
		memset(&spare, 0, sizeof(spare));
	else
		raw_syscall3(SYS_madvise, (long)region, (long)REGION_SIZE(region_capacity),
			     MADV_DONTNEED);
	header_fill(region, region_capacity);
	region->owners[0] = maker;
}

void stats_after_fork(void)
{
	if (region == NULL)
		return;
	if (!region_is_shared)
		region_clear();
	region_use(region, region_blocks, region_capacity, region_is_shared);
}

static u32 region_high_water(void)
{
	return min_of(load_relaxed(&region->high_water), region_capacity);
}

static void high_water_raise(u32 blocks)
{
	u32 old = load_relaxed(&region->high_water);

	while (old < blocks && !compare_exchange(&region->high_water, &old, blocks))
		;
}

static bool block_take_try(u32 index, u32 pid)
{
	u32 expected = 0;

	/* Pairs with the release in stats_block_release(): the figures of the last owner. */
	return load_relaxed(&region->owners[index]) == 0 &&
	       compare_exchange_acquire(&region->owners[index], &expected, pid);
}

/*
 * A free block, from now on this process's; block 0 if there is none. A block
 * that was a process's stays shared for good (a thread of a process that is
 * ending may still be about to add to it), so rings take those last.
 */
static struct stats_block *block_take(u64 is_shared)
{
	u32 pid = process_id();

	if (region == NULL)
		return region_blocks;
	for (int any = 0; any <= 1; any++) {
		u32 blocks = any || !is_shared ? region_capacity : region_high_water();

		for (u32 i = 1; i < blocks; i++) {
			if (!any && (load_relaxed(&region->owners[i]) ||
				     load_relaxed(&region_blocks[i].is_shared) != is_shared))
				continue;
			if (!block_take_try(i, pid))
				continue;
			high_water_raise(i + 1);
			if (is_shared)
				store_release(&region_blocks[i].is_shared, 1);
			return &region_blocks[i];
		}
	}
	return &region_blocks[0];
}

static void process_block_claim(void)
{
	bool expected = false;

	if (load_relaxed(&process_has_block) ||
	    !compare_exchange(&process_has_block, &expected, true))
		return;
	store_release(&stats_process, block_take(1));
}

struct stats_block *stats_block_claim(void)
{
	/* Not before the first ring: most processes that inherit the region never make one. */
	process_block_claim();
	return block_take(0);
}

void stats_block_release(struct stats_block *block)
{
	size_t index = (size_t)(block - region_blocks);

	if (index == 0)
		return;
	rs_assert(region && index < region_capacity);
	/* After fork() the child may not give away what its parent's rings count in. */
	if (load_relaxed(&region->owners[index]) == process_id())
		store_release(&region->owners[index], 0);
}

void stats_process_exit(void)
{
	struct stats_block *block = stats_process;

	if (!load_relaxed(&process_has_block))
		return;
	/*
	 * What is still counted after this belongs to everybody. process_has_block stays set: no
	 * new one.
	 */
	store_release(&stats_process, &region_blocks[0]);
	stats_block_release(block);
}

void stats_peak_process(enum counter counter, u64 n)
{
	u64 *figure = &stats_process->counters[counter];
	u64 old = load_relaxed(figure);

	while (old < n && !compare_exchange(figure, &old, n))
		;
}

enum combine { SUM, PEAK };

static const u8 counter_combine[COUNTER_LAST] = {
#define COUNTER(name, json, combine) [COUNTER_##name] = combine,
#include "observe/counters.def"
#undef COUNTER
};

/* Ticks to nanoseconds by how far both clocks went since the region was made. */
static u64 region_ticks_to_ns(u64 ticks)
{
	u64 ticks_passed = ticks_now() - region->ticks_at_start;
	u64 ns_passed = now_ns() - region->ns_at_start;

	if (ticks_passed == 0)
		return 0;
	return (u64)((unsigned __int128)ticks * ns_passed / ticks_passed);
}

static void op_latency(struct stats_totals *totals, u32 opcode, u32 blocks)
{
	u64 sum[HISTOGRAM_BUCKETS] = {0};
	u64 samples = 0;

	for (u32 i = 0; i < blocks; i++) {
		/*
		 * Looking at a page of a sparse file gives it memory: only where something was
		 * counted.
		 */
		if (load_relaxed(&region_blocks[i].ops[opcode].count) == 0)
			continue;
		for (u32 bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++)
			sum[bucket] += load_relaxed(&region_blocks[i].latency[opcode][bucket]);
	}
	for (u32 bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++)
		samples += sum[bucket];
	totals->has_latency[opcode] = samples != 0;
	totals->p50_ns[opcode] = region_ticks_to_ns(histogram_quantile(sum, 500));
	totals->p99_ns[opcode] = region_ticks_to_ns(histogram_quantile(sum, 990));
}

void stats_totals(struct stats_totals *totals)
{
	u32 blocks = region ? region_high_water() : 1;

	memset(totals, 0, sizeof(*totals));
	for (u32 i = 0; i < blocks; i++) {
		const struct stats_block *block = &region_blocks[i];

		for (u32 c = 0; c < COUNTER_LAST; c++) {
			u64 value = load_relaxed(&block->counters[c]);

			if (counter_combine[c] == SUM)
				totals->counters[c] += value;
			else
				totals->counters[c] = max_of(totals->counters[c], value);
		}
		for (u32 op = 0; op < IORING_OP_LAST; op++) {
			totals->ops[op].count += load_relaxed(&block->ops[op].count);
			totals->ops[op].errors += load_relaxed(&block->ops[op].errors);
		}
	}
	if (region == NULL)
		return;
	for (u32 op = 0; op < IORING_OP_LAST; op++)
		if (totals->ops[op].count)
			op_latency(totals, op, blocks);
}

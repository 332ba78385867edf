/*
 * frames.c - the arena of frames, which frame goes next, and the size limit
 *
 * Frames are pages of one anonymous mapping, taken from it in order, so that huge
 * pages back them; a frame that was used once stays in memory. A frame is free,
 * lent, or bound to a page, and then in one of two queues:
 *
 *     bound anew ----> small (a tenth) --touched twice or more--> main --+
 *          |             | else                                   ^  |    | touched: to the end,
 *          |             v                                        |  |<---+ a touch less
 *          |           goes, remembered as a ghost                |  v else
 *          +--- it is a ghost's page -----------------------------+ goes
 *
 * which is S3-FIFO: a scan passes through the small queue and leaves the main one alone.
 * Touches are counted in the page word, by whoever copies; the queues are looked at
 * only when a frame is needed.
 *
 * Everything that the cache takes counts against the limit: this table and the
 * ghosts, what fills and waiting reads may take (reserved), the arena as far as it was
 * touched, and page words. If words need more than is left, frames make room: a frame is
 * emptied, given back to the kernel and *lent* until the words go.
 *
 * Entry:       frame_alloc(), frame_bind(), frame_unbind(); frames_charge()
 * Invariants:  F1 a frame is bound exactly while its page's word names it
 *              F2 used <= limit, always
 *              F3 a frame that is locked or waited for is passed by, never taken
 * Locks:       the cache lock is held by every caller
 * The kernel:  mm/vmscan.c; active and inactive lists there, moved on at each mark_page_accessed()
 * Not here:    who waits for a frame (read.c)
 */
#include <sys/mman.h>

#include "base/pages.h"
#include "cache/internal.h"
#include "host/kernel.h"
#include "observe/stats.h"

#define CHUNK (2ull << 20) /* a huge page: the arena is touched in such steps */

/* Room for words beside the frames: 1/256 of the limit; a file whose pages are all there needs
 * 1/512. */
#define WORDS_SHARE 256

/* No one file's bookkeeping takes more of the limit at a time: it would cost the others' pages. */
#define CHARGE_SHARE 8

enum frame_queue { QUEUE_NONE, QUEUE_SMALL, QUEUE_MAIN };

/* One a frame. All fields (k). */
struct frame {
	u64 page : 40;  /* of the file */
	u64 file : 22;  /* index in cache_files */
	u64 queue : 2;  /* enum frame_queue */
	u32 prev, next; /* in its queue, by frame number; `next` in the free list too; 0: none */
};
_Static_assert(sizeof(struct frame) == 16, "bookkeeping stays below 1% of the cache");

/* Frame 0 of the table is the head of no queue: queues have heads of their own. */
struct frame_fifo {
	u32 first, last; /* 0: none; the first goes next */
	u32 count;
};

static struct {
	struct frame *table; /* (c) by frame number; 0 is not used */
	u32 *ghosts;         /* (c) fingerprints of pages that went from the small queue */
	void *mapping;       /* (c) the arena, with what aligns it */
	u64 mapping_bytes, table_bytes, ghost_count; /* (c) */
	u32 total;                                   /* (c) frames; numbers 1 to total */
	u32 fresh;                                   /* (k) the next number that was never used */
	u32 free_first, free_count;                  /* (k) */
	u32 lent;                    /* (k) frames whose memory words have; in the lent list */
	u32 lent_first;              /* (k) */
	struct frame_fifo queues[3]; /* (k) by enum frame_queue */
	u64 limit;                   /* (c) bytes */
	u64 used;                    /* (k) bytes */
	u64 touched;                 /* (k) bytes of the arena, from its begin */
	u64 words;                   /* (k) bytes charged */
} frames;

char *frames_arena;
u32 frames_wanted;
const char frames_key;
u64 frames_changes[FRAME_COUNTS];

void frames_wake_slow(void)
{
	store_relaxed(&frames_wanted,
		      0); /* who sets it later is woken as well, or looks once more */
	/* All: who gets none enqueues again, and who was cancelled keeps nobody waiting. */
	wait_queue_wake_all(&frames_key);
}

int frames_init(u64 limit, u64 reserved)
{
	u64 per_frame = PAGE_BYTES + sizeof(struct frame) + sizeof(u32);
	u64 room = limit - reserved - limit / WORDS_SHARE;

	if (reserved + limit / WORDS_SHARE + 64 * per_frame > limit)
		return -EINVAL;
	frames.total = (u32)min_of(room / per_frame, (u64)UINT32_MAX - 1);
	frames.ghost_count = 1ull << (63 - __builtin_clzll(frames.total));
	frames.table_bytes = (frames.total + 1ull) * sizeof(struct frame);
	frames.mapping_bytes = (frames.total + 1ull) * PAGE_BYTES + CHUNK;
	frames.table = pages_reserve(frames.table_bytes);
	frames.ghosts = pages_reserve(frames.ghost_count * sizeof(u32));
	frames.mapping = pages_reserve(frames.mapping_bytes);
	if (frames.table == NULL || frames.ghosts == NULL || frames.mapping == NULL) {
		frames_destroy();
		return -ENOMEM;
	}
	frames_arena = (char *)(((uintptr_t)frames.mapping + CHUNK - 1) & ~(CHUNK - 1));
	/* Refused where the kernel has no huge pages: then they are small. */
	host_call(SYS_madvise, frames.mapping, frames.mapping_bytes, MADV_HUGEPAGE);
	/* A child has no cache, and is not to carry this one's memory. */
	host_call(SYS_madvise, frames.mapping, frames.mapping_bytes, MADV_DONTFORK);
	host_call(SYS_madvise, frames.table, frames.table_bytes, MADV_DONTFORK);
	host_call(SYS_madvise, frames.ghosts, frames.ghost_count * sizeof(u32), MADV_DONTFORK);
	frames.fresh = 1;
	frames.limit = limit;
	frames.used = reserved + frames.table_bytes + frames.ghost_count * sizeof(u32);
	return 0;
}

void frames_destroy(void)
{
	pages_free(frames.table, frames.table_bytes);
	pages_free(frames.ghosts, frames.ghost_count * sizeof(u32));
	pages_free(frames.mapping, frames.mapping_bytes);
	frames_fork_child();
}

void frames_fork_child(void)
{
	memset(&frames, 0, sizeof(frames));
	frames_arena = NULL;
	frames_wanted = 0;
}

static struct cached_file *frame_file(const struct frame *frame)
{
	return &cache_files[frame->file];
}

static u64 *frame_word(const struct frame *frame)
{
	return &frame_file(frame)->words[frame->page];
}

/* The queues. */

static void fifo_remove(u32 number)
{
	struct frame *frame = &frames.table[number];
	struct frame_fifo *fifo = &frames.queues[frame->queue];

	if (frame->prev)
		frames.table[frame->prev].next = frame->next;
	else
		fifo->first = frame->next;
	if (frame->next)
		frames.table[frame->next].prev = frame->prev;
	else
		fifo->last = frame->prev;
	fifo->count--;
	frame->queue = QUEUE_NONE;
}

static void fifo_add(u32 number, enum frame_queue queue)
{
	struct frame *frame = &frames.table[number];
	struct frame_fifo *fifo = &frames.queues[queue];

	frame->queue = queue;
	frame->prev = fifo->last;
	frame->next = 0;
	if (fifo->last)
		frames.table[fifo->last].next = number;
	else
		fifo->first = number;
	fifo->last = number;
	fifo->count++;
}

static u64 page_hash(const struct cached_file *file, u64 page)
{
	u64 hash =
		(page ^ (u64)file_index(file) << 40 ^ file->serial << 52) * 0x9e3779b97f4a7c15ull;

	return hash ^ hash >> 29;
}

static u32 *ghost_of(u64 hash)
{
	return &frames.ghosts[hash & (frames.ghost_count - 1)];
}

/* Never 0, which is no ghost. */
static u32 ghost_fingerprint(u64 hash)
{
	return (u32)(hash >> 32) | 1;
}

/* The page of that frame goes: the frame is nobody's. */
static void frame_evicted(u32 number)
{
	struct frame *frame = &frames.table[number];
	struct cached_file *file = frame_file(frame);
	u64 hash = page_hash(file, frame->page);

	if (frame->queue == QUEUE_SMALL)
		*ghost_of(hash) = ghost_fingerprint(hash);
	fifo_remove(number);
	leaf_put(file, frame->page);
	stats_count_process(COUNTER_CACHE_EVICTIONS, 1);
}

/* Which queue is to give a frame; `stuck`: frames of each that could not be taken. */
static enum frame_queue queue_to_evict(const u32 *stuck)
{
	bool has_small = stuck[QUEUE_SMALL] < frames.queues[QUEUE_SMALL].count;
	bool has_main = stuck[QUEUE_MAIN] < frames.queues[QUEUE_MAIN].count;

	if (has_small && (!has_main || frames.queues[QUEUE_SMALL].count > frames.total / 10))
		return QUEUE_SMALL;
	return has_main ? QUEUE_MAIN : QUEUE_NONE;
}

/*
 * A frame whose page went, or 0. Ends: each step takes a frame, or makes one stuck, or moves
 * one to the main queue for good, or takes back a touch that somebody gave.
 */
static u32 frame_evict(void)
{
	u32 stuck[3] = {0};
	enum frame_queue queue;

	while ((queue = queue_to_evict(stuck)) != QUEUE_NONE) {
		u32 number = frames.queues[queue].first;
		u64 *word = frame_word(&frames.table[number]);
		u32 refs = page_refs(load_relaxed(word));

		if (queue == QUEUE_SMALL && refs > 1) {
			fifo_remove(number);
			fifo_add(number, QUEUE_MAIN);
		} else if (queue == QUEUE_MAIN && refs > 0) {
			page_age(word);
			fifo_remove(number);
			fifo_add(number, QUEUE_MAIN);
		} else if (page_evict(word)) {
			frame_evicted(number);
			return number;
		} else {
			fifo_remove(number);
			fifo_add(number, queue);
			stuck[queue]++;
		}
	}
	return 0;
}

/* The free ones, and those that were never used. */

static u32 pop(u32 *first)
{
	u32 number = *first;

	if (number)
		*first = frames.table[number].next;
	return number;
}

static void push(u32 *first, u32 number)
{
	frames.table[number].next = *first;
	*first = number;
}

static void use_more(u64 bytes)
{
	frames.used += bytes;
	rs_assert(frames.used <= frames.limit);
	stats_peak_process(COUNTER_CACHE_BYTES, frames.used);
}

/* The arena is touched in whole huge pages; where the limit, or the arena, has no room for one, in
 * small pages. */
static bool touch_more(void)
{
	u64 whole = CHUNK - frames.touched % CHUNK;
	u64 rest = (frames.total + 1ull) * PAGE_BYTES - frames.touched;
	u64 room = (frames.limit - frames.used) & ~((u64)PAGE_BYTES - 1);
	u64 most = min_of(whole, rest), step = min_of(most, room);

	if (step == 0)
		return false;
	if (step < CHUNK)
		host_call(SYS_madvise, frames_arena + frames.touched, most, MADV_NOHUGEPAGE);
	use_more(step);
	frames.touched += step;
	return true;
}

static u32 take_fresh(void)
{
	if (frames.fresh > frames.total)
		return 0;
	if ((frames.fresh + 1ull) * PAGE_BYTES > frames.touched && !touch_more())
		return 0;
	return frames.fresh++;
}

static u32 take_lent(void)
{
	if (frames.lent == 0 || frames.used + PAGE_BYTES > frames.limit)
		return 0;
	frames.lent--;
	use_more(PAGE_BYTES);
	return pop(&frames.lent_first);
}

static u32 take_free(void)
{
	if (frames.free_count == 0)
		return 0;
	frames.free_count--;
	return pop(&frames.free_first);
}

u32 frame_alloc(void)
{
	u32 number = take_free();

	if (number == 0)
		number = take_fresh();
	if (number == 0)
		number = take_lent();
	if (number == 0)
		number = frame_evict();
	return number;
}

void frame_free(u32 number)
{
	push(&frames.free_first, number);
	frames.free_count++;
}

void frame_bind(u32 number, struct cached_file *file, u64 page)
{
	struct frame *frame = &frames.table[number];
	u64 hash = page_hash(file, page);
	bool was_here = *ghost_of(hash) == ghost_fingerprint(hash);

	rs_assert(page >> 40 == 0);
	frame->file = file_index(file);
	frame->page = page;
	if (was_here)
		*ghost_of(hash) = 0;
	fifo_add(number, was_here ? QUEUE_MAIN : QUEUE_SMALL);
}

void frame_unbind(u32 number)
{
	struct frame *frame = &frames.table[number];

	leaf_put(frame_file(frame), frame->page);
	fifo_remove(number);
	frame_free(number);
}

/* Gives a frame's memory back to the kernel. Its huge page is not to be made whole again. */
static void lend(u32 number)
{
	char *address = frame_address(number);
	u64 begin = max_of((u64)(uintptr_t)address & ~(CHUNK - 1), (u64)(uintptr_t)frames.mapping);

	host_call(SYS_madvise, begin, CHUNK, MADV_NOHUGEPAGE);
	frame_changes_begin(number); /* to zeros */
	host_call(SYS_madvise, address, PAGE_BYTES, MADV_DONTNEED);
	push(&frames.lent_first, number);
	frames.lent++;
	frames.used -= PAGE_BYTES;
}

int frames_charge(u64 bytes)
{
	if (bytes > frames.limit / CHARGE_SHARE)
		return -ENOMEM;
	while (frames.used + bytes > frames.limit) {
		u32 number = take_free();

		if (number == 0)
			number = frame_evict();
		if (number == 0)
			return -ENOMEM;
		lend(number);
	}
	frames.words += bytes;
	use_more(bytes);
	return 0;
}

void frames_uncharge(u64 bytes)
{
	frames.words -= bytes;
	frames.used -= bytes;
}

u32 frames_total(void)
{
	return frames.total;
}

void frames_usage(struct cache_usage *usage)
{
	usage->limit = frames.limit;
	usage->bytes = frames.used;
	usage->words = frames.words;
	usage->pages = frames.queues[QUEUE_SMALL].count + frames.queues[QUEUE_MAIN].count;
	usage->frames = usage->pages * PAGE_BYTES;
	usage->bookkeeping = frames.used - frames.touched + (u64)frames.lent * PAGE_BYTES;
}

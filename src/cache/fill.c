/*
 * fill.c - pages that are to be filled
 *
 * A fill is one request for neighbouring pages, locked by whoever missed them. It is
 *
 *     staged     appended to by neighbouring misses, until the batch ends
 *     begun      asked for from the kernel's cache (RWF_NOWAIT); what is resident there is
 *                copied at once, and what is dirty there would hold up the device
 *     at device  the rest: one read into many frames
 *     finished   each page unlocked: FILLED, FAILED or DROPPED
 *
 * Anybody moves it on: fills are the process's, not a ring's, so no ring waits for
 * another ring's thread.
 *
 * A short read is continued from the last whole page that it filled. One that
 * brings nothing is the end of a file that became shorter (the rest is DROPPED, and
 * readers see the new size), or else an error after SHORT_READS_MAX tries.
 *
 * Entry:       fill_missing(), fill_more() stage; cache_submit(), cache_look() move on
 * Invariants:  G1 every page of a fill is locked, by the fill, until it finishes
 *              G2 fills are bounded (fill_init()); who finds none waits as for a frame
 *              G3 after the last page is unlocked nothing of its file is touched: the file may
 *                 be another's by then
 * Locks:       staging: the cache lock. Moving on: the device lock, under it the cache
 *              lock, under it (unlocking pages) a wait queue's
 * The kernel:  struct bio and readahead_control; a folio batch is its own fill there
 */
#include "cache/fill.h"

#include <sys/stat.h>

#include "base/slab.h"
#include "cache/internal.h"
#include "host/kernel.h"
#include "observe/stats.h"

#define SHORT_READS_MAX 3
#define REAP_LIMIT      256

/* Devices complete a batch of reads all at once. Taken all at once, they would be copied while the
 * device has nothing to do, and then it would have all to do again. */
#define REAP_SOME 8

/* While the kernel's cache has nothing of a file so many times in a row, it is asked only now and
 * then: the question costs as much as a hit. */
#define COLD_ASKS   16
#define COLD_PERIOD 16

/* The kernel's readahead is not that far ahead of a reader: two windows of read_ahead_kb. */
#define BEYOND_READAHEAD (32ull << 20)

/* The kernel's cachestat(2), newer than some headers. Bytes; then pages. */
#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

struct cachestat_range {
	u64 offset, length;
};

struct cachestat {
	u64 cached, dirty, writeback, evicted, recently_evicted;
};

/* From staging to finish. Staged: (k); then (d). */
struct fill {
	struct device_read read;
	struct list_node node; /* in fills.staged */
	struct cached_file *file;
	u64 serial; /* (c) of the file */
	u64 page;   /* the first that is not yet unlocked */
	u32 count;  /* pages that are not yet unlocked */
	u32 room;   /* (c) pages that `iov` has room for */
	u32 short_reads;
	struct iovec iov[];
};

#define FILL_BYTES(pages) ((sizeof(struct fill) + (pages) * sizeof(struct iovec) + 15) & ~15ull)

static struct {
	struct device *device;   /* (c) */
	struct slab few, many;   /* (k) by pages */
	struct list_node staged; /* (k) oldest first */
	u32 staged_count;        /* (k) to store; (a) */
	u32 busy;                /* (a) fills that are staged or under way */
} fills;

struct lock device_lock, cache_lock;

static u32 few_limit(u64 limit)
{
	u64 wanted = limit / (256ull * PAGE_BYTES);

	return wanted < 128 ? 128 : (u32)min_of(wanted, 1024ull);
}

static u32 many_limit(u64 limit)
{
	u64 wanted = limit / (1024ull * PAGE_BYTES);

	return wanted < 4 ? 4 : (u32)min_of(wanted, 64ull);
}

u64 fill_reserved_bytes(u64 limit)
{
	return few_limit(limit) * FILL_BYTES(FEW_PAGES) +
	       many_limit(limit) * FILL_BYTES(FILL_PAGES) + 4ull * PAGE_BYTES;
}

void fill_init(u64 limit, struct device *device)
{
	fills.device = device;
	list_init(&fills.staged);
	slab_init(&fills.few, (u32)FILL_BYTES(FEW_PAGES), few_limit(limit));
	slab_init(&fills.many, (u32)FILL_BYTES(FILL_PAGES), many_limit(limit));
}

void fill_destroy(void)
{
	rs_assert(!cache_is_busy());
	slab_destroy(&fills.few);
	slab_destroy(&fills.many);
	fills.device = NULL;
}

void fill_fork_child(void)
{
	memset(&fills, 0, sizeof(fills));
	device_lock = cache_lock = LOCK_INIT;
}

bool cache_is_busy(void)
{
	return load_relaxed(&fills.busy) > 0;
}

int cache_event_fd(void)
{
	return fills.device ? fills.device->event_fd : -1;
}

/* Staging. */

static struct slab *slab_of_room(u32 room)
{
	return room == FEW_PAGES ? &fills.few : &fills.many;
}

static struct fill *fill_alloc(u64 pages)
{
	u32 room = pages <= FEW_PAGES ? FEW_PAGES : FILL_PAGES;
	struct fill *fill = slab_alloc(slab_of_room(room));

	if (fill != NULL)
		fill->room = room;
	return fill;
}

bool fill_is_available(void)
{
	struct fill *fill = fill_alloc(1);

	if (fill == NULL)
		return false;
	slab_free(slab_of_room(fill->room), fill);
	return true;
}

static void fill_free(struct fill *fill)
{
	lock_acquire(&cache_lock);
	slab_free(slab_of_room(fill->room), fill);
	lock_release(&cache_lock);
	sub_full(&fills.busy, 1);
	frames_wake();
}

/* Neighbouring frames are one element. */
static void fill_append(struct fill *fill, u32 frame)
{
	struct iovec *last = &fill->iov[fill->read.iov_count];
	char *address = frame_address(frame);

	fill->count++;
	if (fill->read.iov_count > 0 && (char *)last[-1].iov_base + last[-1].iov_len == address) {
		last[-1].iov_len += PAGE_BYTES;
		return;
	}
	*last = (struct iovec){address, PAGE_BYTES};
	fill->read.iov_count++;
}

/* The fill staged last, if that page continues it. */
static struct fill *fill_to_continue(const struct cached_file *file, u64 page)
{
	struct fill *fill;

	if (list_is_empty(&fills.staged))
		return NULL;
	fill = list_last(&fills.staged, struct fill, node);
	return fill->file == file && fill->page + fill->count == page && fill->count < fill->room
		       ? fill
		       : NULL;
}

/* A new fill, without pages, for `count` of them. */
static struct fill *fill_stage(struct cached_file *file, u64 page, u64 count)
{
	struct fill *fill = fill_alloc(count);

	if (fill == NULL)
		return NULL;
	fill->file = file;
	fill->serial = file->serial;
	fill->page = page;
	fill->count = 0;
	fill->short_reads = 0;
	fill->read.iov = fill->iov;
	fill->read.iov_count = 0;
	list_init(&fill->node);
	list_add_tail(&fills.staged, &fill->node);
	store_relaxed(&fills.staged_count, fills.staged_count + 1);
	add_full(&fills.busy, 1);
	return fill;
}

/* It has got no page. Nobody is told that a fill can be had: it was not missed since it was taken,
 * for the cache lock was held, and who waits for a frame would ask in vain, again and again. */
static void fill_unstage(struct fill *fill)
{
	rs_assert(fill->count == 0);
	list_del(&fill->node);
	store_relaxed(&fills.staged_count, fills.staged_count - 1);
	slab_free(slab_of_room(fill->room), fill);
	sub_full(&fills.busy, 1);
}

/* A frame and a leaf for that absent page: it is locked now, and the frame's number returned. */
static u32 page_make(struct cached_file *file, u64 page)
{
	u32 frame = frame_alloc();

	if (frame == 0)
		return 0;
	if (leaf_get(file, page)) {
		frame_free(frame);
		return 0;
	}
	page_install(&file->words[page], frame);
	frame_bind(frame, file, page);
	return frame;
}

/* Locks that page, which is missing, to fill it: its frame's number. 0: no frame, or it is locked
 * by another or up to date by now. */
static u32 page_take(struct cached_file *file, u64 page)
{
	u64 *word = &file->words[page];
	u32 frame = 0;

	if (load_relaxed(word) == 0)
		frame = page_make(file, page);
	else if (page_lock_try(word))
		frame = page_frame(load_relaxed(word));
	if (frame)
		frame_changes_begin(frame);
	return frame;
}

/* Absent, or present and neither up to date nor anybody's. A page that failed is left to those who
 * want it. */
static bool is_missing(const u64 *word)
{
	u64 now = load_relaxed(word);

	return !(now & (PAGE_UPTODATE | PAGE_LOCKED | PAGE_ERROR));
}

u32 fill_missing(struct cached_file *file, u64 page, u64 count)
{
	u64 end = (file->size + PAGE_BYTES - 1) >> PAGE_SHIFT, first = page;

	end = min_of(end, file->capacity);
	end = min_of(end, page + count);
	for (; page < end && (page == first || is_missing(&file->words[page])); page++) {
		struct fill *fill = fill_to_continue(file, page);
		u32 frame;

		if (fill == NULL)
			fill = fill_stage(file, page, end - page);
		if (fill == NULL)
			break;
		frame = page_take(file, page);
		if (frame == 0) {
			if (fill->count == 0)
				fill_unstage(fill);
			break;
		}
		fill_append(fill, frame);
	}
	return (u32)(page - first);
}

u32 fill_more(struct cached_file *file, u64 page, u64 end)
{
	u32 sum = 0;

	end = min_of(end, file->capacity);
	while (page < end) {
		u32 made =
			is_missing(&file->words[page]) ? fill_missing(file, page, end - page) : 0;

		/* What is there is passed by; where there is no frame, the reader will miss. */
		if (made == 0 && is_missing(&file->words[page]))
			break;
		page += max_of(made, 1u);
		sum += made;
	}
	return sum;
}

void cache_prefetch(cache_binding binding, u64 offset, u64 bytes)
{
	u64 page = offset >> PAGE_SHIFT;
	u64 end = (offset + bytes + PAGE_BYTES - 1) >> PAGE_SHIFT;
	struct cached_file *file = binding_file(binding);

	end = min_of(end, page + frames_total() / 8);
	if (cache_is_interrupted())
		return;
	lock_acquire(&cache_lock);
	if (cache_file_is_current(binding))
		fill_more(file, page, end);
	lock_release(&cache_lock);
	cache_submit();
}

/* Moving on. The device lock is held. */

static u64 *fill_word(const struct fill *fill)
{
	return &fill->file->words[fill->page];
}

/* Bytes of the file that the fill's pages hold. 0: the file became shorter meanwhile. */
static u64 fill_bytes(const struct fill *fill)
{
	u64 size = load_acquire(&fill->file->size), begin = fill->page << PAGE_SHIFT;

	return size <= begin ? 0 : min_of(size - begin, (u64)fill->count << PAGE_SHIFT);
}

/* The first `count` pages are not the fill's any more. */
static void fill_unlock(struct fill *fill, u32 count, enum page_outcome outcome)
{
	while (count-- > 0) {
		u64 *word = fill_word(fill);

		fill->page++;
		fill->count--;
		page_unlock(word, outcome);
	}
}

static void fill_finish(struct fill *fill, enum page_outcome outcome)
{
	fill_unlock(fill, fill->count, outcome);
	fill_free(fill);
}

/* `bytes` are there, from the first page on: they are unlocked, the others remain. */
static void fill_take(struct fill *fill, u64 bytes)
{
	u32 in_page = bytes % PAGE_BYTES;
	u64 pages = bytes / PAGE_BYTES;

	if (bytes == fill_bytes(fill) && in_page) {
		/* The file ends in this page. */
		u32 frame = page_frame(load_relaxed(fill_word(fill) + pages));

		memset(frame_address(frame) + in_page, 0, PAGE_BYTES - in_page);
		pages++;
	}
	fill_unlock(fill, (u32)pages, PAGE_FILLED);
}

static void fill_read_done(struct device_read *read, long result);

/* To the device: all that is not yet unlocked. */
static void fill_send(struct fill *fill)
{
	fill->read.iov_count = 0;
	for (u32 i = 0, count = fill->count; i < count; i++) {
		fill->count = i;
		fill_append(fill, page_frame(load_relaxed(fill_word(fill) + i)));
	}
	fill->read.fd = fill->file->direct_fd;
	fill->read.offset = fill->page << PAGE_SHIFT;
	fill->read.done = fill_read_done;
	device_add(fills.device, &fill->read);
}

/*
 * Nothing more comes where the file should go on. Did it become shorter? The lock is held from
 * before it is asked: whoever asks later and finds it grown is believed later.
 */
static bool file_shrank(const struct fill *fill)
{
	struct cached_file *file = fill->file;
	struct stat status;
	bool is_shorter;

	lock_acquire(&cache_lock);
	is_shorter = host_call(SYS_fstat, file->direct_fd, &status) == 0 &&
		     (u64)status.st_size < (fill->page << PAGE_SHIFT) + fill_bytes(fill);
	if (is_shorter && file->serial == fill->serial)
		store_release(&file->size, (u64)status.st_size);
	lock_release(&cache_lock);
	return is_shorter;
}

static void fill_read_done(struct device_read *read, long result)
{
	struct fill *fill = container_of(read, struct fill, read);
	u64 wanted = fill_bytes(fill), got = result > 0 ? min_of((u64)result, wanted) : 0;

	if (result < 0) {
		fill_finish(fill, PAGE_FAILED);
		return;
	}
	fill_take(fill, got);
	if (got == wanted)
		/* What may be left lies behind the end of a file that became shorter. */
		fill_finish(fill, PAGE_DROPPED);
	else if (got < PAGE_BYTES && file_shrank(fill))
		fill_finish(fill, PAGE_DROPPED);
	else if (got < PAGE_BYTES && ++fill->short_reads >= SHORT_READS_MAX)
		fill_finish(fill, PAGE_FAILED);
	else
		fill_send(fill);
}

/* Whether some of the range is in the kernel's cache. Where the call is unknown (before Linux 6.5)
 * or refused, the answer is yes. */
static bool kernel_has_some(const struct fill *fill, u64 offset, u64 bytes)
{
	struct cachestat_range range = {offset, bytes};
	struct cachestat found;

	return host_call(SYS_cachestat, fill->file->buffered_fd, &range, &found, 0) != 0 ||
	       found.cached > 0;
}

/*
 * Whether the kernel's cache may have some of it. Asked first, because a read, even one that
 * does not wait, has the kernel start its own readahead of what it has not: the device
 * would do everything twice. So would it if we followed a readahead that somebody else
 * began: each read of its last window starts the next. A sequence is read there only if the
 * kernel has what lies beyond any window, too.
 */
static bool kernel_may_have(const struct fill *fill)
{
	u64 begin = fill->page << PAGE_SHIFT, bytes = fill_bytes(fill), last;

	if (bytes == 0 || !kernel_has_some(fill, begin, bytes))
		return false;
	if (fill->count <= FEW_PAGES)
		return true;
	last = (load_acquire(&fill->file->size) - 1) & ~((u64)PAGE_BYTES - 1);
	return kernel_has_some(fill, min_of(begin + BEYOND_READAHEAD, last), PAGE_BYTES);
}

/* Copies what the kernel has of it: how many bytes. */
static u64 fill_from_kernel(struct fill *fill)
{
	struct cached_file *file = fill->file;
	u64 wanted = fill_bytes(fill);
	long n = 0;

	if (file->buffered_fd < 0)
		return 0;
	if (file->cold_asks >= COLD_ASKS && file->cold_asks < COLD_ASKS + COLD_PERIOD - 1) {
		file->cold_asks++;
		return 0;
	}
	if (kernel_may_have(fill))
		n = host_call(SYS_preadv2, file->buffered_fd, fill->iov, fill->read.iov_count,
			      fill->page << PAGE_SHIFT, 0, RWF_NOWAIT);
	if (n > 0)
		file->cold_asks = 0;
	else
		file->cold_asks = file->cold_asks < COLD_ASKS ? file->cold_asks + 1 : COLD_ASKS;
	if (n <= 0)
		return 0;
	/* A page of which a part is there is read anew. */
	return (u64)n >= wanted ? wanted : (u64)n & ~((u64)PAGE_BYTES - 1);
}

static void fill_begin(struct fill *fill)
{
	u64 bytes;

	if (load_full(&fill->file->serial) != fill->serial) {
		fill_finish(fill, PAGE_DROPPED);
		return;
	}
	stats_count_process(COUNTER_CACHE_FILLS, 1);
	bytes = fill_from_kernel(fill);
	fill_take(fill, bytes);
	if (fill_bytes(fill) == 0)
		fill_finish(fill, PAGE_DROPPED);
	else
		fill_send(fill);
}

static struct fill *take_staged(void)
{
	struct fill *fill = NULL;

	lock_acquire(&cache_lock);
	if (!list_is_empty(&fills.staged)) {
		fill = list_first(&fills.staged, struct fill, node);
		list_del(&fill->node);
		store_relaxed(&fills.staged_count, fills.staged_count - 1);
	}
	lock_release(&cache_lock);
	return fill;
}

static void begin_staged(void)
{
	struct fill *fill;

	while ((fill = take_staged()) != NULL)
		fill_begin(fill);
	device_submit(fills.device);
}

void cache_submit(void)
{
	if (load_relaxed(&fills.staged_count) == 0 || cache_is_interrupted())
		return;
	lock_acquire(&device_lock);
	begin_staged();
	lock_release(&device_lock);
	frames_wake();
}

static u32 look(u32 limit)
{
	u32 reaped;

	if (!cache_is_busy() || cache_is_interrupted())
		return 0;
	lock_acquire(&device_lock);
	begin_staged();
	reaped = device_reap(fills.device, limit);
	lock_release(&device_lock);
	frames_wake();
	return reaped;
}

void cache_look(void)
{
	while (look(REAP_LIMIT) >= REAP_LIMIT)
		;
}

bool cache_look_some(void)
{
	return look(REAP_SOME) >= REAP_SOME;
}

/*
 * internal.h - what the files of the cache share; nobody else includes it
 *
 * Locks: (k) the cache lock, (d) the device lock. Order: device lock, cache lock, a wait
 * queue's lock.
 */
#ifndef RS_CACHE_INTERNAL_H
#define RS_CACHE_INTERNAL_H

#include <errno.h>
#include <string.h>

#include "base/lock.h"
#include "cache/cache.h"
#include "cache/page.h"
#include "cache/readahead.h"

/* Words of one page of memory: the unit in which the array of a file's words comes and goes. */
#define LEAF_WORDS (PAGE_BYTES / sizeof(u64))

/* Pages of one fill: 128 KiB, which a device takes as one request. */
#define FILL_PAGES 32u

/* A fill of few pages is what random reads make; they are many. */
#define FEW_PAGES 2u

/*
 * From cache_file_open() to cache_file_lose(), and then again for another file: its
 * memory stays, and stays what it is, so that a reader with a stale binding may look.
 */
struct cached_file {
	u64 *words;                 /* (k) to store; (a) */
	u64 capacity;               /* (k) to store; (a) pages that `words` has room for */
	u64 size;                   /* (a) bytes */
	u64 serial;                 /* (k) to store; (a) changes when the binding goes stale */
	u16 *leaf_counts;           /* (k) pages present, by leaf */
	u64 pages;                  /* (k) present */
	int direct_fd, buffered_fd; /* (c) */
	bool is_open;               /* (k) */
	u16 cold_asks;              /* (d) times in a row that the kernel's cache had nothing */
};

/* A file as a reader sees it at one moment. */
struct file_view {
	const struct cached_file *file;
	u64 *words;
	u64 capacity, size, serial;
};

extern struct cached_file cache_files[CACHE_FILES];
extern struct lock cache_lock;

/* files.c */

static inline struct cached_file *binding_file(cache_binding binding)
{
	return &cache_files[binding % CACHE_FILES];
}

static inline u64 binding_serial(cache_binding binding)
{
	return binding / CACHE_FILES;
}

static inline u32 file_index(const struct cached_file *file)
{
	return (u32)(file - cache_files);
}

/* False: the binding is stale. The view may be used until the serial changes: whoever acts on it
 * looks at the serial again, with the cache lock held or after the page was looked at. */
static inline bool file_view(cache_binding binding, struct file_view *view)
{
	const struct cached_file *file = binding_file(binding);

	view->file = file;
	view->words = load_acquire(&file->words);
	view->capacity = load_acquire(&file->capacity);
	view->size = load_acquire(&file->size);
	view->serial = binding_serial(binding);
	/* The serial changes before the rest does (files.c), so if it is the same now, what was
	 * loaded before belongs to it. */
	return load_relaxed(&file->serial) == view->serial;
}

/*
 * After a page's word was loaded (acquire): whether what stood there was the binding's. What
 * another file put there came after the serial had changed, and is seen after it.
 */
static inline bool file_view_is_current(const struct file_view *view)
{
	return load_full(&view->file->serial) == view->serial;
}

/* No page is left. Cache lock. */
void file_closed_locked(struct cached_file *file);

void files_destroy(void);
void files_fork_child(void);

/* A page became present, or absent: its leaf is charged, or given back. Cache lock. -ENOMEM: the
 * limit has no room for the leaf. */
int leaf_get(struct cached_file *file, u64 page);
void leaf_put(struct cached_file *file, u64 page);

/* frames.c */

extern char *frames_arena;

static inline char *frame_address(u32 frame)
{
	return frames_arena + ((u64)frame << PAGE_SHIFT);
}

static inline u32 frame_of_address(const char *address)
{
	return (u32)((u64)(address - frames_arena) >> PAGE_SHIFT);
}

/*
 * How often the bytes of frames changed: what readers have in place of a lock (P3 of page.h).
 * Frames share counts, which costs a copy that is made again for nothing, now and then, and less
 * than counts that do not fit in the processor's first cache. They are never reset, and have
 * 64 bits: a count that is as it was has not changed.
 */
#define FRAME_COUNTS 1024u

extern u64 frames_changes[FRAME_COUNTS]; /* (a) */

static inline u64 *frame_changes(u32 frame)
{
	return &frames_changes[frame % FRAME_COUNTS];
}

/*
 * The caller is about to change the bytes of a frame, and owns it: the frame is no page's, or one's
 * that it has locked. Who sees the bytes sees the count: pairs with hit_is_good() (read.c).
 */
static inline void frame_changes_begin(u32 frame)
{
	add_full(frame_changes(frame), 1);
	barrier_full();
}

int frames_init(u64 limit, u64 reserved);
void frames_destroy(void);
void frames_fork_child(void);

/* A frame for that page, from the free ones or by eviction; 0: all are in use at this moment.
 * Cache lock. The caller installs it: frame_bind(). */
u32 frame_alloc(void);
/* The frame now holds that page, and may be reclaimed when its word allows it. Cache lock. */
void frame_bind(u32 frame, struct cached_file *file, u64 page);
/* The page that it held is absent: the frame is free. Cache lock. */
void frame_unbind(u32 frame);
/* It was allocated and not bound. Cache lock. */
void frame_free(u32 frame);

/* `bytes` (whole pages) of other memory count against the limit, frames make room. Cache lock.
 * 0 or -ENOMEM: no frame can be had at this moment. */
int frames_charge(u64 bytes);
void frames_uncharge(u64 bytes);

u32 frames_total(void);
void frames_usage(struct cache_usage *usage);

/*
 * Who wants a frame, and found none, enqueues under frames_key, with frames_wanted set
 * under the queue's lock; and asks once more. Whoever unlocks a page, or frees a frame or a
 * fill, and finds frames_wanted set afterwards, wakes them.
 */
extern u32 frames_wanted; /* (a) */
extern const char frames_key;

void frames_wake_slow(void);

/* After the page's word changed, which is a full barrier. Takes a wait queue's lock. */
static inline void frames_wake(void)
{
	if (unlikely(load_full(&frames_wanted)))
		frames_wake_slow();
}

/* fill.c */

void fill_init(u64 limit, struct device *device);
u64 fill_reserved_bytes(u64 limit);
void fill_destroy(void);
void fill_fork_child(void);
/* Whether there is a fill for one page. Cache lock. */
bool fill_is_available(void);

/*
 * Case L (read.c), for neighbours: locks missing pages from `page` on, absent (those it
 * installs) or present and not up to date, and stages their fill; at most `count`, up to one
 * that is not missing or the end of the file. A page whose fill failed is missing only as
 * the first.
 * Returns how many; 0: no frame or no fill is to be had at this moment, or the first is not
 * missing (any more). Cache lock.
 */
u32 fill_missing(struct cached_file *file, u64 page, u64 count);

/* The same for all that is missing in [page, end), as far as frames and fills are to be had. */
u32 fill_more(struct cached_file *file, u64 page, u64 end);

extern struct lock device_lock;

/* read.c */

u64 waiters_reserved_bytes(u64 limit);
void waiters_init(u64 limit);

/* This thread is inside the cache with a lock held: a signal handler came between. */
static inline bool cache_is_interrupted(void)
{
	return unlikely(wait_queue_is_entered() || lock_is_mine(&cache_lock) ||
			lock_is_mine(&device_lock));
}

/* readahead.c: all with the cache lock held */

/* `page` is missing, the read wants `wanted` pages from it on: how many to fill. */
u32 readahead_on_miss(struct readahead *readahead, u64 page, u64 wanted);

/* A read came to `page`, a page of the window started last: the next one is started. */
void readahead_continue(struct readahead *readahead, struct cached_file *file, u64 page);

static inline bool readahead_is_due(const struct readahead *readahead, u64 page)
{
	return unlikely(page >= load_relaxed(&readahead->next_start) &&
			page < load_relaxed(&readahead->ahead_end));
}

#endif

/*
 * cache.h - the page cache of this process: files, size limit, device
 *
 * One cache a process. It holds pages of files that somebody (file/own.c) made sure
 * nobody else changes. A file is named by its *binding*: the index of its struct
 * cached_file and that struct's serial number, in one u64. A binding goes stale, all at
 * once, when the serial number changes: that is how a file is taken away from
 * readers that are in the midst of it. Who uses a page looks at the serial after the
 * page's word.
 *
 * Files of the cache:
 *    page        the page word, the page lock, its two kinds of waiters
 *    frames      the arena, which frame goes next (S3-FIFO), the size limit
 *    files       struct cached_file, its array of page words, bindings
 *    fill        pages that are to be filled: merging, the kernel's cache, the device
 *    readahead   when to fill more than was asked for
 *    read        the asynchronous read
 *    drop        taking pages away: writes, lost ownership
 *
 * Lock order: ring lock -> device lock -> cache lock -> wait queue lock (a leaf)
 *
 * The kernel: struct address_space, and mm/filemap.c
 */
#ifndef RS_CACHE_CACHE_H
#define RS_CACHE_CACHE_H

#include "base/types.h"
#include "device/device.h"

/* Bindings: 0 is none. */
typedef u64 cache_binding;

#define CACHE_LIMIT_MIN (4ull << 20)
#define CACHE_FILES     4096u

/*
 * Once, before the first file; any thread. `limit`: bytes that frames, page words, fills and
 * waiting reads may take together, never exceeded. `device`: where bytes come from; it
 * belongs to the cache from now on. 0, -EINVAL (limit below CACHE_LIMIT_MIN), -ENOMEM
 * (no address space for it).
 */
int cache_init(u64 limit, struct device *device);
bool cache_is_on(void);

/* The calling thread is inside the cache: a signal handler came between, and leaves it alone. */
bool cache_is_entered(void);

/* For tests: everything is given back; nobody uses the cache, no read is under way. */
void cache_destroy(void);

/* In the child of a fork(): the cache stayed with the parent, memory included. It is off. */
void cache_fork_child(void);

/* What cache_file_open() is told. */
struct cache_source {
	int direct_fd;   /* opened O_DIRECT for reading; private */
	int buffered_fd; /* the same file without O_DIRECT; private */
	u64 size;        /* bytes */
};

/* A new file without pages. Any thread. 0: no room (CACHE_FILES, address space). The descriptors
 * stay the caller's, open until cache_file_lose() has returned. */
cache_binding cache_file_open(const struct cache_source *source);

/* The ownership has ended: the binding goes stale, requests on it go on through the
 * kernel's cache, and when this returns no page of the file is in the cache, no read that begins
 * then gets a byte of one, and no fill of it is under way. Waits for the device, and moves it on
 * itself: a thread that holds no lock and is no ring's driver. */
void cache_file_lose(cache_binding binding);

bool cache_file_is_current(cache_binding binding);
u64 cache_file_size(cache_binding binding);

/* The file became longer or shorter, by the program's own doing. Any thread. */
void cache_file_resize(cache_binding binding, u64 size);

/* Any thread: completes fills that the device has finished, and sends what is staged. No system
 * call when there is neither. Event functions of waiting reads are called from here. */
void cache_look(void);

/* The same, but completes only some of the fills: the caller goes on with what that gives it, and
 * the device with what that makes it ask for, while the rest waits. True: there may be more, of
 * which no event will tell; who does not look again before it sleeps calls cache_look(). */
bool cache_look_some(void);

/* Sends fills that were staged; for the end of a batch. Any thread. */
void cache_submit(void);

/* Whether anything is staged or under way. */
bool cache_is_busy(void);

/* The eventfd of the device: edge-triggered, signalled when cache_look() has something to do. */
int cache_event_fd(void);

struct cache_usage {
	u64 limit, bytes;  /* bytes: all that counts against the limit, now */
	u64 frames, words; /* of it: frames that hold pages; page words, in bytes */
	u64 bookkeeping;   /* all but frames, in bytes */
	u64 pages;         /* pages present */
};
void cache_usage(struct cache_usage *usage);

#endif

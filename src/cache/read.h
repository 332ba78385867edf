/*
 * read.h - the asynchronous buffered read of a file that the cache holds (read.c tells how)
 */
#ifndef RS_CACHE_READ_H
#define RS_CACHE_READ_H

#include <sys/uio.h>

#include "cache/cache.h"
#include "cache/readahead.h"
#include "wait/wait_queue.h"

/* One try of a read; the driver's, on its stack. */
struct cache_read {
	cache_binding binding;       /* (c) */
	struct readahead *readahead; /* (c) of the descriptor */
	struct iovec *iov;           /* what is left; advanced as bytes are copied */
	u32 iov_count;
	u64 offset; /* where `iov` begins in the file; advanced */
	u64 copied; /* bytes, of this try; the caller sets it to 0 */
};

/* What a read needs that was caught; from its first wait to its end. */
struct cache_waiter {
	struct wait_entry entry;
	/* (c) The read is to be tried again: cache_read_try(), from where it was. Called once a
	 * wait, any thread, the wait queue's lock held: takes no lock, hands the request on. */
	void (*retry)(struct cache_waiter *waiter);
	u32 wakes;  /* (o) since a byte was copied last */
	u32 errors; /* (o) failed fills that it saw since then */
};

enum cache_verdict {
	CACHE_DONE,    /* all is copied that there is: less than asked for is the end of the file */
	CACHE_CAUGHT,  /* a page is not there: cache_read_wait() */
	CACHE_WAITING, /* waiter->retry() will be called, or was */
	CACHE_RETRY,   /* it is there by now: try again */
	CACHE_FAULT,   /* the program's memory: -EFAULT unless a byte was copied */
	CACHE_FAILED,  /* the device, twice: -EIO, unless there is another way to read it */
	CACHE_REFUSED, /* not held (any more), or cannot be had here: through the kernel's cache */
};

/* Copies what is there. Never waits. DONE, CAUGHT, FAULT or REFUSED. A ring's driver, or any
 * thread. */
enum cache_verdict cache_read_try(struct cache_read *read);

/*
 * A read of at most one page, all of which is there. Many of them are made in two steps: all are
 * looked up, and their memory announced to the processor; then all are copied.
 */
struct cache_hit {
	const char *bytes; /* in the page's frame */
	u64 changes;       /* of the frame, before the page was looked up */
	void *user;
	u32 frame;
	u32 count; /* fewer than asked for at the end of the file */
};

/* True: it is there, and may be copied by cache_hit_copy(), or not. Any thread. */
bool cache_hit_look(struct cache_hit *hit, cache_binding binding, const struct readahead *readahead,
		    u64 offset, u32 count);
/* False: the program's memory cannot be written, or the page was changed since; something may have
 * been written. cache_read_try() tells which, and goes on. */
bool cache_hit_copy(const struct cache_hit *hit);

/* After CAUGHT: makes sure that the page is being filled, and enqueues. WAITING, RETRY, FAILED or
 * REFUSED. `waiter` is zeroed but for `retry` before the first wait. cache_submit() follows, at
 * the end of the batch. */
enum cache_verdict cache_read_wait(struct cache_read *read, struct cache_waiter *waiter);

/* True: it waited, waits no more, and retry() will not be called. False also in a signal handler
 * that cannot look. */
bool cache_read_cancel(struct cache_waiter *waiter);

#endif

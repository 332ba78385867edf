/*
 * drop.h - pages that are not to be believed any more
 */
#ifndef RS_CACHE_DROP_H
#define RS_CACHE_DROP_H

#include "cache/read.h"

/* Bytes of a file that were, or are to be, changed past the cache. */
struct cache_drop {
	cache_binding binding; /* (c) */
	u64 offset;            /* advanced */
	u64 end;               /* (c) the first byte that is not dropped; UINT64_MAX: to the end */
};

/* Forgets the pages. DONE, or CAUGHT: a page is being filled, perhaps with old bytes;
 * cache_drop_wait(), then again. Any thread. */
enum cache_verdict cache_drop_try(struct cache_drop *drop);

/* WAITING or RETRY; as cache_read_wait(). */
enum cache_verdict cache_drop_wait(struct cache_drop *drop, struct cache_waiter *waiter);

/* The same for a thread that may block: the pages are forgotten when it returns. Holds no lock, is
 * no ring's driver. */
void cache_drop_range(cache_binding binding, u64 offset, u64 end);

#endif

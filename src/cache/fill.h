/*
 * fill.h - filling pages before somebody reads them
 */
#ifndef RS_CACHE_FILL_H
#define RS_CACHE_FILL_H

#include "cache/cache.h"

/* posix_fadvise(POSIX_FADV_WILLNEED): starts to fill the absent pages of the range, as far as
 * frames can be had without waiting, at most an eighth of the cache. Any thread. */
void cache_prefetch(cache_binding binding, u64 offset, u64 bytes);

#endif

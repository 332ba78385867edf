/*
 * pages.h - memory straight from the kernel
 *
 * ringside never calls malloc() on behalf of a request: the program may call
 * us from a signal handler, or from a thread that holds malloc's lock.
 */
#ifndef RS_BASE_PAGES_H
#define RS_BASE_PAGES_H

#include "base/types.h"

/* Zeroed, page aligned, private memory of `size` bytes; NULL when there is none. Not inherited as
 * shared: a forked child gets its own copy. */
void *pages_alloc(size_t size);

/* Like pages_alloc(), but memory is only charged when it is touched. */
void *pages_reserve(size_t size);

/* `old` (may be NULL with old_size 0) grown to new_size, possibly moved; NULL leaves `old` as it
 * was. */
void *pages_grow(void *old, size_t old_size, size_t new_size);

/* NULL is fine. */
void pages_free(void *addr, size_t size);

#endif

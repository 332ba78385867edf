/*
 * readahead.h - when to fill more than was asked for
 *
 * One struct a descriptor. It watches the reads that come by; a sequential reader
 * gets a window that doubles up to 512 KiB, and the next window is started when the
 * reader enters the one before (at full size the one before that), so that it never
 * waits. Not exact when several threads read one descriptor at a time: they then look
 * random.
 *
 * The kernel: struct file_ra_state and mm/readahead.c, with a page flag in place of `next_start`
 */
#ifndef RS_CACHE_READAHEAD_H
#define RS_CACHE_READAHEAD_H

#include "base/types.h"

enum readahead_advice { READAHEAD_NORMAL, READAHEAD_SEQUENTIAL, READAHEAD_RANDOM };

/* All zero: nothing read yet. (a) all fields, relaxed: a hint. Pages. */
struct readahead {
	u64 ahead_end;  /* filled or being filled up to here; 0: no window */
	u64 next_start; /* a read of this page or beyond starts the next window */
	u32 window;     /* pages of the window that was started last */
	u8 advice;      /* enum readahead_advice, of posix_fadvise() */
};

#endif

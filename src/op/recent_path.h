/*
 * recent_path.h - paths whose look-up lately asked nobody but the kernel's memory
 *
 * To ask whether a path is all in the kernel's caches takes as many system calls again as
 * the call that is meant. What was so a moment ago is nearly always so still.
 *
 * It is a guess: the caches may have been emptied since, another file system mounted, the
 * directory changed, and two paths may share a key. So nothing may hang on it but who makes a call
 * that is right in either case: the driver, or a worker because it might block.
 *
 * A table of fixed size for all threads, one word an entry: a key's own bits, and when.
 */
#ifndef RS_OP_RECENT_PATH_H
#define RS_OP_RECENT_PATH_H

#include "base/types.h"

/* A second, in the table's units. */
#define RECENT_PATH_UNIT_NS (1ull << 26)
#define RECENT_PATH_UNITS   15

/* What tells this look-up from others: where it begins, how, and the path itself. */
u64 recent_path_key(int dir, u32 flags, const char *path);

/* The look-up found all in memory, at `now` of CLOCK_MONOTONIC. Any thread. */
void recent_path_add(u64 key, u64 now);

/* Whether it did within the last RECENT_PATH_UNITS. Any thread. */
bool recent_path_has(u64 key, u64 now);

#endif

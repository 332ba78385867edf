/*
 * rings.h - all rings of the process: making them and ending them
 */
#ifndef RS_REQUEST_RINGS_H
#define RS_REQUEST_RINGS_H

#include "request/ring.h"

#define RINGS_LIMIT 65536

/* Any thread. A ring, without memory or descriptor, not alive yet; NULL: too many, or no memory. */
struct ring *ring_new(u32 setup_flags);

/* With the ring's lock held. Frees everything of a ring that has no requests. The lock stays
 * held. */
void ring_delete(struct ring *ring);

/* With the ring's lock held (released while waiting). Cancels, waits, deletes. */
void ring_end(struct ring *ring);

/* The index-th ring, in whatever life; NULL behind the last. Any thread, no lock. */
struct ring *rings_get(u32 index);

void rings_fork_prepare(void);
void rings_fork_parent(void);
void rings_fork_child(void);

#endif

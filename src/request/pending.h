/*
 * pending.h - the requests of a ring that wait, findable by user_data
 *
 * A hash table that doubles as it fills. A request is in it from the moment it
 * waits (WAIT_*, PUNTED) until the driver takes it up again. Requests behind a
 * link or a drain are not: nothing can be said to them.
 *
 * All calls: driver.
 */
#ifndef RS_REQUEST_PENDING_H
#define RS_REQUEST_PENDING_H

#include "request/request.h"

/* Harmless if `req` is in it. */
void pending_add(struct request *req);
void pending_remove(struct request *req);
void pending_destroy(struct ring *ring);

/* Calls `visit` for each request with this user_data (oldest first), or for all if `user_data`
 * is NULL, until it returns false. `visit` may take the request it was given out of the table,
 * and no other. */
void pending_for_each(struct ring *ring, const u64 *user_data,
		      bool (*visit)(struct request *req, void *arg), void *arg);

#endif

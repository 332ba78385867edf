/*
 * link.h - what ties requests together: links, link timeouts, drain
 *
 * All calls: driver.
 */
#ifndef RS_REQUEST_LINK_H
#define RS_REQUEST_LINK_H

#include "request/request.h"

/*
 * A freshly prepared request enters: it becomes part of the link that is being
 * submitted, or is issued, or is held by a drain. `err`: why its SQE was
 * refused, or 0. Returns `err`, but 0 if the link goes on behind a refused SQE:
 * the batch then goes on too, so that the link is whole.
 */
int link_submit(struct ring *ring, struct request *req, int err);

/* The batch ended: a link that the program left open ends here. */
void link_submit_end(struct ring *ring);

/* The SQE asks for a drain. */
void drain_begin(struct ring *ring);

/* `req` is to be held back by a drain that is going on; sets its flags. */
void drain_mark(struct ring *ring, struct request *req);

/* A request completed while a drain is going on: starts what may start. */
void drain_check(struct ring *ring);

/* `req` completed (its CQE is posted): its link timeout is disarmed, its link starts or fails. */
void link_continue(struct request *req);

/* `req` waits from now on: its link timeout starts to run. */
void link_timeout_start(struct request *req);

/* op->expire of LINK_TIMEOUT: cancels the request it guards. */
void link_timeout_expired(struct request *req);

#endif

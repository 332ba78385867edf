/*
 * reactor.h - the one thread that drives rings whose program is not in enter
 */
#ifndef RS_REQUEST_REACTOR_H
#define RS_REQUEST_REACTOR_H

#include "request/ring.h"

/* Driver, when the program leaves enter: if something may complete meanwhile, the reactor
 * attends. */
void reactor_attend(struct ring *ring);

/* Driver, before it sleeps in the ring itself: the reactor lets it be. */
void reactor_release(struct ring *ring);

/* Driver. A new SQPOLL ring. 0, or -errno if there can be no thread. */
int reactor_start_sqpoll(struct ring *ring);

/* Any thread. Wakes the reactor: an SQPOLL ring has SQEs (IORING_ENTER_SQ_WAKEUP). */
void reactor_kick(void);

/* Driver, after files were registered: from now on the reactor, if there is one, looks now and
 * then whether the ring was closed behind our back, for then its files are to be closed too. */
void reactor_keep_watch(struct ring *ring);

/*
 * No lock held. CQEs were posted in a ring that requests poll: those of rings whose program is not
 * inside complete before the caller's enter returns, as the kernel's do.
 */
void reactor_look_at_others(const struct ring *posted);

/* What to do with a ring whose descriptor was closed behind our back; set by syscall/. Called by
 * the reactor without locks; true if the ring is (now) gone. */
void reactor_set_sweep(bool (*sweep)(struct ring *ring));

/* In the child of a fork(): the thread stayed with the parent. */
void reactor_fork_child(void);

#endif

/*
 * wait.h - where a driver sleeps, and who wakes it
 */
#ifndef RS_REQUEST_WAIT_H
#define RS_REQUEST_WAIT_H

#include <signal.h>

#include "request/ring.h"
#include "request/timer.h"

struct wait_until {
	u32 min_complete;        /* CQEs to wait for */
	u64 deadline;            /* CLOCK_MONOTONIC ns, or TIMER_NEVER */
	u64 min_wait_ns;         /* after this time one CQE is enough; 0: not used */
	const sigset_t *sigmask; /* signal mask while asleep, or NULL */
};

/* Driver. Makes the ring's epoll set. 0 or -errno (-EMFILE, -ENFILE, -ENOMEM). */
int wait_events_init(struct ring *ring);
/* Driver. The set of multishot polls, too. */
int wait_multi_init(struct ring *ring);
void wait_events_destroy(struct ring *ring);

/* Driver. Takes up what is finished: device, timers, task work. No system call when nothing is. */
void wait_look(struct ring *ring);

/*
 * Driver, for a thread that waits for CQEs: the same, but of many fills of the cache only some, so
 * that the program goes on with those, and the device with what it asks for next. The rest is
 * taken up by the next look; nobody sleeps in this ring before.
 */
void wait_look_some(struct ring *ring);

/* Driver. The same as wait_look(), and asks the epoll set, without waiting. */
void wait_look_events(struct ring *ring);

/*
 * Driver; the ring's lock is released while asleep. 0: enough CQEs. -ETIME,
 * -EINTR (a signal handler of the program ran), -EBADF (the ring was closed meanwhile).
 */
int wait_for_cqes(struct ring *ring, const struct wait_until *until);

/* Driver; the lock is released while asleep. Until something happened, which is taken up: 0;
 * -ETIME, -EINTR, -EBADF as above. */
int wait_for_change(struct ring *ring, u64 deadline);

/* Driver; the lock is released while asleep. Sleeps until something may have changed. */
void wait_once(struct ring *ring);

/* Driver. Completions of the AIO queue, if there is one, and of our page cache's device, if a
 * request waited for it, wake the ring's epoll set from now on. */
void wait_watch_devices(struct ring *ring);

/* Driver. Signals the registered eventfd and those who poll the ring's descriptor. */
void wait_notify(struct ring *ring);

/* Driver of a DEFER_TASKRUN ring: something can be run. The program is to enter; those who asked
 * are told once, as if a CQE had been posted. */
void wait_deferred_ready(struct ring *ring);

/*
 * Driver, before it leaves a ring in which others sleep: they see to the timers and
 * direct requests that it leaves behind.
 */
void wait_hand_over(struct ring *ring);

/* Any thread: whoever sleeps on the ring's epoll set looks again. */
void wait_wake(struct ring *ring);

/* Any thread. Sleepers and the reactor must be woken by task work from now on; a full barrier. */
void wait_wants_wake(struct ring *ring, bool is_wanted);

#endif

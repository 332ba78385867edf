/*
 * poll.h - requests that wait for a file to be ready. All calls: driver.
 */
#ifndef RS_REQUEST_POLL_H
#define RS_REQUEST_POLL_H

#include "request/request.h"

/*
 * The request waits (WAIT_POLL) until one of `events` (EPOLL*; errors and
 * hang-up always) is true of its file, which it holds from now on. It is
 * issued again then, with poll.revents saying what was seen. If it is true
 * already the wake-up comes at once. 0, or -errno and it does not wait: -EBADF,
 * -EPERM (such files are never polled: regular files, directories), -ENOMEM, -EMFILE.
 */
int poll_arm(struct request *req, u32 events);

/* A request waits as it did the last time, if its registration lasts (REQ_POLL_LASTING) and is
 * still good. False: it does not wait, and poll_arm() is to be asked. */
bool poll_arm_again(struct request *req);

/* The same as poll_arm() for another file than the request's own, held by the request until it is
 * freed. */
int poll_arm_file(struct request *req, const struct file *file, u32 events);

/*
 * poll_arm(), but each new edge of readiness calls poll_multi_event() and the
 * request goes on waiting.
 */
int poll_arm_multi(struct request *req, u32 events);

/*
 * Of a request that waits again and again (REQ_MULTISHOT) the registration lasts, and each edge of
 * readiness is told once. Whether it is sure to be told of all that comes after this moment: not if
 * the other side is gone, for that was told already.
 */
bool poll_tells_what_comes(const struct request *req);

/* The request ends (REQ_POLL_LASTING): it waits no more. */
void poll_leave(struct request *req);

/* Takes a WAIT_POLL request out. Always possible: wake-ups happen under the ring's lock. */
void poll_disarm(struct request *req);

/* What poll(2) says now of `fd`: the events among `events` that are true, EPOLLERR and EPOLLHUP
 * included, or -EBADF. Never blocks. */
int poll_now(int fd, u32 events);

/* The descriptor to poll in place of fd: a ring's eventfd if it is a ring (ring_poll_fd()), else
 * fd; -errno, -EBADF if fd is negative. */
int poll_substitute(int fd);

/* The ring's pollable eventfd, made when first asked for; -errno. Any thread, no lock needed. */
int ring_poll_fd(struct ring *ring);

/* An event of the ring's epoll set (wait.c) for `target`. */
void poll_event(struct ring *ring, struct poll_target *target, u32 revents);

/* An event of `target` is going to be told soon: the processor fetches who waits for it. */
void poll_prefetch(const struct poll_target *target);

/* Events of the set of multishot polls. */
void poll_multi_events(struct ring *ring);

/* The program is about to close old_fd; its file has moved to file->fd. Waiters follow. */
void poll_file_moved(struct ring *ring, int old_fd, struct file *file);

void poll_destroy(struct ring *ring);

#endif

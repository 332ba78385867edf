/*
 * poll.c - requests that wait for a file to be ready
 *
 * One epoll set a ring. A descriptor is in it once, with the union of what its
 * waiters want, and EPOLLONESHOT: after a wake-up it is silent until somebody
 * arms it again, by one epoll_ctl(), which also looks at the file's state: so
 * readiness between the attempt that failed and the arming is not missed.
 *
 * A multishot receive, read or accept waits again and again, so its registration lasts as long as
 * the request: edge-triggered, made when it first waits, and then it costs nothing to wait again.
 * No edge is lost: one that comes while the request is not in the list comes before its next try.
 *
 * Other registrations are never trusted to be there: EPOLL_CTL_MOD says ENOENT if the
 * program closed the descriptor behind our back (and perhaps opened another file
 * under its number), and then it is added.
 *
 * Multishot polls see each edge of readiness once, so they cannot share a
 * registration that is armed again at will. Each has its own, on a private
 * duplicate, edge-triggered, in a second set inside the first.
 *
 * Invariants:  L1 a request is in a target's list exactly while it is WAIT_POLL
 *              L2 a one-shot target is never freed before its ring: an event may be on its way
 * The kernel:  io_uring/poll.c, wait queue entries on each file; no descriptors
 */
#include "request/poll.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/pages.h"
#include "host/kernel.h"
#include "host/membarrier.h"
#include "request/pending.h"
#include "request/link.h"
#include "request/ring.h"
#include "request/wait.h"

/* The waiters of one descriptor number, or one multishot poll. */
struct poll_target {
	struct list_node waiters; /* (r) struct poll_wait */
	s32 fd;                   /* (r) as registered */
	u32 armed;                /* (r) events armed, 0: silent */
	u32 lasting;              /* (r) requests with REQ_POLL_LASTING: edge-triggered */
	bool is_multi;            /* (c) fd is a private duplicate of its own */
	bool has_ended;           /* (r) lasting: an error, or the end of what comes, was told */
	bool is_edge;             /* (r) as registered: goes on telling, though nobody may wait */
	u8 unused[1];
};
_Static_assert(sizeof(struct poll_target) % 16 == 0, "slab object");

#define TARGETS_SIZE (FD_SLOTS * sizeof(struct poll_target *))

int poll_now(int fd, u32 events)
{
	struct pollfd entry = {.fd = fd, .events = (short)events};
	struct timespec zero = {0};
	long n = host_call(SYS_ppoll, &entry, 1, &zero, NULL, 8);

	if (n <= 0)
		return 0;
	return entry.revents & POLLNVAL ? -EBADF : (unsigned short)entry.revents;
}

int ring_poll_fd(struct ring *ring)
{
	int fd = load_acquire(&ring->poll_fd), none = -1;
	const struct ring_header *header = ring->memory.header;

	if (fd >= 0)
		return fd;
	fd = fd_make_private((int)host_call(SYS_eventfd2, 0, EFD_NONBLOCK | EFD_CLOEXEC));
	if (fd < 0)
		return fd;
	if (!compare_exchange(&ring->poll_fd, &none, fd)) {
		fd_close_private(fd);
		return none;
	}
	/* Either we see the CQEs posted so far, or ring_commit() sees the descriptor: both sides
	 * store, then load. Where that cannot be had, an empty wake-up is better than a lost
	 * one. */
	if (!barrier_all_threads() ||
	    load_acquire(&header->cq_tail) != load_relaxed(&header->cq_head)) {
		u64 one = 1;

		host_call(SYS_write, fd, &one, sizeof(one));
	}
	return fd;
}

/*
 * The ring's eventfd was signalled for CQEs that the program may have taken since. It is reset
 * before its CQ is looked at, without the lock: what is posted meanwhile signals it again.
 */
static void poll_fd_agree(struct ring *ring, int fd)
{
	const struct ring_header *header = ring->memory.header;
	u64 counter, one = 1;

	if (load_relaxed(&ring->deferred_is_ready))
		return;
	host_call(SYS_read, fd, &counter, sizeof(counter));
	barrier_full();
	if (load_acquire(&header->cq_tail) != load_relaxed(&header->cq_head))
		host_call(SYS_write, fd, &one, sizeof(one));
}

int poll_substitute(int fd)
{
	const struct fd_slot *slot = fd_slot(fd);
	struct ring *ring = slot ? load_acquire(&slot->ring) : NULL;

	if (likely(ring == NULL))
		return fd < 0 ? -EBADF : fd;
	store_relaxed(&ring->is_polled_by_rings, 1);
	fd = ring_poll_fd(ring);
	if (fd >= 0)
		poll_fd_agree(ring, fd);
	return fd;
}

static struct poll_target *target_create(struct ring *ring, int fd, bool is_multi)
{
	struct poll_target *target;

	if (ring->poll_slab.object_size == 0)
		slab_init(&ring->poll_slab, sizeof(struct poll_target), RING_REQUESTS_LIMIT);
	target = slab_alloc(&ring->poll_slab);
	if (target == NULL)
		return NULL;
	*target = (struct poll_target){.fd = fd, .is_multi = is_multi};
	list_init(&target->waiters);
	return target;
}

static struct poll_target *target_of(struct ring *ring, int fd)
{
	if (fd < 0 || fd >= FD_SLOTS)
		return NULL;
	if (ring->poll_targets == NULL) {
		ring->poll_targets = pages_reserve(TARGETS_SIZE);
		if (ring->poll_targets == NULL)
			return NULL;
	}
	if (ring->poll_targets[fd] == NULL)
		ring->poll_targets[fd] = target_create(ring, fd, false);
	return ring->poll_targets[fd];
}

static u32 wanted(const struct poll_target *target)
{
	const struct poll_wait *wait;
	u32 events = 0;

	list_for_each_entry (wait, &target->waiters, node)
		events |= wait->events;
	return events;
}

/* Arms the target for `events`. 0 or -errno. */
static int target_arm(struct ring *ring, struct poll_target *target, u32 events)
{
	struct epoll_event event = {
		.events = events | (target->lasting ? EPOLLET : EPOLLONESHOT),
		.data.ptr = target,
	};
	int epoll_fd = ring->events.epoll_fd;
	long err;

	err = host_call(SYS_epoll_ctl, epoll_fd, EPOLL_CTL_MOD, target->fd, &event);
	if (err == -ENOENT)
		err = host_call(SYS_epoll_ctl, epoll_fd, EPOLL_CTL_ADD, target->fd, &event);
	target->armed = err ? 0 : events;
	target->is_edge = err == 0 && target->lasting;
	target->has_ended = false;
	return (int)err;
}

bool poll_tells_what_comes(const struct request *req)
{
	return !(req->flags & REQ_POLL_LASTING) || !req->poll.target->has_ended;
}

void poll_leave(struct request *req)
{
	struct poll_target *target = req->poll.target;

	req->flags &= ~REQ_POLL_LASTING;
	/* The registration stays until an event finds nobody, or somebody makes another of it. */
	if (--target->lasting == 0)
		target->armed = 0;
}

/* A multishot request waits: 0 or -errno. Armed anew only when it comes, or its file has moved. */
static int target_join_lasting(struct request *req, struct poll_target *target, u32 events)
{
	int err;

	if (likely(req->flags & REQ_POLL_LASTING)) {
		if (likely(req->poll.target == target && (target->armed & events) == events))
			return 0;
		poll_leave(req);
	}
	target->lasting++;
	err = target_arm(req->ring, target, wanted(target) | events);
	if (err) {
		target->lasting--;
		return err;
	}
	req->poll.target = target;
	req->flags |= REQ_POLL_LASTING;
	return 0;
}

/*
 * One more waiter, that wants `events`. If others wait for as much already there is
 * nothing to do: an event since then is on its way, and will find this one too.
 */
static int target_join(struct ring *ring, struct poll_target *target, u32 events)
{
	if (!list_is_empty(&target->waiters) && (target->armed & events) == events &&
	    target->lasting == 0)
		return 0;
	return target_arm(ring, target, target->armed | events);
}

static void start_waiting(struct request *req, struct poll_target *target)
{
	request_set_state(req, REQUEST_WAIT_POLL);
	pending_add(req);
	stats_count(req->ring->stats, COUNTER_WAITS_POLL, 1);
	req->poll.target = target;
	link_timeout_start(req);
}

int poll_arm(struct request *req, u32 events)
{
	int err = request_hold_file(req);

	return err ? err : poll_arm_file(req, req->file, events);
}

bool poll_arm_again(struct request *req)
{
	struct poll_target *target = req->poll.target;

	if (!(req->flags & REQ_POLL_LASTING) || target->fd != request_fd(req) ||
	    (target->armed & req->poll.events) != req->poll.events)
		return false;
	list_add_tail(&target->waiters, &req->poll.node);
	start_waiting(req, target);
	return true;
}

int poll_arm_file(struct request *req, const struct file *file, u32 events)
{
	struct ring *ring = req->ring;
	struct poll_target *target;
	int fd, err = wait_events_init(ring);

	if (err)
		return err;
	fd = poll_substitute(file_fd(file));
	if (fd < 0)
		return fd;
	target = target_of(ring, fd);
	if (target == NULL)
		return -ENOMEM;
	if (req->flags & REQ_MULTISHOT) {
		events |= EPOLLRDHUP;
		err = target_join_lasting(req, target, events);
	} else {
		err = target_join(ring, target, events);
	}
	if (err)
		return err;
	req->poll.events = events;
	list_add_tail(&target->waiters, &req->poll.node);
	start_waiting(req, target);
	return 0;
}

static void multi_target_free(struct ring *ring, struct poll_target *target)
{
	host_call(SYS_epoll_ctl, ring->events.multi_fd, EPOLL_CTL_DEL, target->fd, NULL);
	fd_close_private(target->fd);
	slab_free(&ring->poll_slab, target);
}

int poll_arm_multi(struct request *req, u32 events)
{
	struct ring *ring = req->ring;
	struct epoll_event event = {.events = events | EPOLLET};
	struct poll_target *target;
	int fd, err = wait_multi_init(ring);

	if (err == 0)
		err = request_hold_file(req);
	if (err)
		return err;
	fd = poll_substitute(request_fd(req));
	if (fd >= 0)
		fd = fd_duplicate_private(fd);
	if (fd < 0)
		return fd;
	target = target_create(ring, fd, true);
	if (target == NULL) {
		fd_close_private(fd);
		return -ENOMEM;
	}
	req->poll.events = events;
	list_add_tail(&target->waiters, &req->poll.node);
	event.data.ptr = target;
	err = (int)host_call(SYS_epoll_ctl, ring->events.multi_fd, EPOLL_CTL_ADD, fd, &event);
	if (err) {
		list_del(&req->poll.node);
		multi_target_free(ring, target);
		return err;
	}
	start_waiting(req, target);
	return 0;
}

void poll_disarm(struct request *req)
{
	struct poll_target *target = req->poll.target;

	rs_assert(list_is_linked(&req->poll.node));
	list_del(&req->poll.node);
	/* A one-shot registration stays armed: one empty wake-up at the most. */
	if (target->is_multi)
		multi_target_free(req->ring, target);
}

/* Nobody waits, and the last who did so wanted each edge. */
static void target_silence(struct ring *ring, struct poll_target *target)
{
	struct epoll_event event = {.events = EPOLLONESHOT, .data.ptr = target};

	if (target->is_edge)
		host_call(SYS_epoll_ctl, ring->events.epoll_fd, EPOLL_CTL_MOD, target->fd, &event);
	target->is_edge = false;
}

void poll_prefetch(const struct poll_target *target)
{
	const struct poll_wait *wait = list_first(&target->waiters, struct poll_wait, node);

	/* If nobody waits these are no such things, and nothing comes of it. */
	__builtin_prefetch(wait);
	__builtin_prefetch(container_of(wait, struct request, poll));
}

static void poll_wake(struct ring *ring, struct poll_wait *wait, u32 revents)
{
	struct request *req = container_of(wait, struct request, poll);

	list_del(&wait->node);
	wait->revents = revents;
	req->flags |= REQ_POLL_WOKEN;
	ring_ready_add(ring, req);
}

void poll_event(struct ring *ring, struct poll_target *target, u32 revents)
{
	struct poll_wait *wait, *tmp;

	if (target->lasting == 0)
		target->armed = 0;
	else if (revents & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		target->has_ended = true;
	list_for_each_entry_safe (wait, tmp, &target->waiters, node) {
		u32 seen = revents & (wait->events | EPOLLERR | EPOLLHUP);

		if (seen != 0)
			poll_wake(ring, wait, seen);
	}
	if (target->lasting)
		return; /* the others are told of the next edge */
	if (list_is_empty(&target->waiters)) {
		target_silence(ring, target);
		return;
	}
	/* The others wait on. If the file went away meanwhile they are issued again, and see it. */
	if (target_arm(ring, target, wanted(target)) == 0)
		return;
	list_for_each_entry_safe (wait, tmp, &target->waiters, node)
		poll_wake(ring, wait, EPOLLERR);
}

/* One edge. The request posts a marked CQE and goes on; if the CQ is full it ends with this one. */
static void multi_event(struct ring *ring, struct poll_target *target, u32 revents)
{
	struct request *req = container_of(list_first(&target->waiters, struct poll_wait, node),
					   struct request, poll);
	u32 seen = revents & (req->poll.events | EPOLLERR | EPOLLHUP);

	if (seen == 0)
		return;
	if (ring_cq_has_room(ring)) {
		request_post_more(req, (s32)seen, 0);
		return;
	}
	poll_disarm(req);
	request_end(req, (s32)seen);
}

#define MULTI_BATCH 64

void poll_multi_events(struct ring *ring)
{
	struct epoll_event events[MULTI_BATCH];
	long n;

	do {
		n = host_call(SYS_epoll_pwait, ring->events.multi_fd, events, MULTI_BATCH, 0, NULL,
			      8);
		for (long i = 0; i < n; i++)
			multi_event(ring, events[i].data.ptr, events[i].events);
	} while (n == MULTI_BATCH);
}

void poll_file_moved(struct ring *ring, int old_fd, struct file *file)
{
	struct poll_target *old, *target;
	int fd = file_fd(file);

	if (ring->poll_targets == NULL || old_fd >= FD_SLOTS)
		return;
	old = ring->poll_targets[old_fd];
	if (old == NULL)
		return;
	/* The duplicate keeps the file open, so the registration would outlive the number. */
	host_call(SYS_epoll_ctl, ring->events.epoll_fd, EPOLL_CTL_DEL, old_fd, NULL);
	old->armed = 0;
	if (list_is_empty(&old->waiters))
		return;
	target = fd >= 0 ? target_of(ring, fd) : NULL;
	while (!list_is_empty(&old->waiters)) {
		struct poll_wait *wait = list_first(&old->waiters, struct poll_wait, node);
		struct request *req = container_of(wait, struct request, poll);
		bool is_lasting = req->flags & REQ_POLL_LASTING;

		list_del(&wait->node);
		if (is_lasting)
			poll_leave(req);
		if (target != NULL) {
			list_add_tail(&target->waiters, &wait->node);
			wait->target = target;
			target->lasting += is_lasting;
			req->flags |= is_lasting ? REQ_POLL_LASTING : 0;
		} else {
			request_end(req, -EBADF);
		}
	}
	if (target != NULL && target_arm(ring, target, wanted(target)))
		poll_event(ring, target, EPOLLERR);
}

void poll_destroy(struct ring *ring)
{
	if (ring->poll_targets != NULL)
		pages_free(ring->poll_targets, TARGETS_SIZE);
	ring->poll_targets = NULL;
	ring->poll_slab.used = 0; /* one-shot targets end with their ring (L2) */
	slab_destroy(&ring->poll_slab);
}

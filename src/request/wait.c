/*
 * wait.c - where a driver sleeps, and who wakes it
 *
 * A wait blocks in one epoll_pwait2() on the ring's set:
 *
 *     wake_fd    another thread pushed task work, or posted CQEs that a sleeper waits for
 *     AIO        the device completed something
 *     cache      the device completed a fill of our page cache, of this ring's or another's
 *     targets    descriptors that requests wait for (poll.c)
 *     multi_fd   the set of multishot polls
 *
 * and its timeout is the earliest of the ring's timers and the caller's own.
 *
 * No wake-up is missed: the sleeper announces itself (wants_wake), then looks
 * at the task work once more; who pushes does it the other way round; both
 * with a full barrier between. All eventfds are edge-triggered and never read.
 *
 * Several threads may sleep in one ring. An event wakes one of them; when it
 * posts CQEs it starts a round of kicks: each sleeper that wakes passes the
 * kick on until all have looked once at what was posted. One that has looked and
 * sleeps again may get the kick that was meant for another: it passes that on, too.
 *
 * Where threads answer each other by messages, a driver looks for the next one a
 * moment before it sleeps (await_message()).
 *
 * A sleeper knows the timers that were armed when it went to sleep, and the
 * device's completions if the queue existed by then. Who arms more and leaves
 * the ring while others sleep, or was the one who slept until the earliest, wakes
 * one of them to look again (slept_until, wait_hand_over()).
 *
 * The kernel: io_cqring_wait()
 */
#include "request/wait.h"

#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "cache/cache.h"
#include "host/clock.h"
#include "host/kernel.h"
#include "request/poll.h"
#include "request/reactor.h"

/* epoll_event.data of what is no poll target; no pointer is that small. */
enum { EVENT_WAKE = 1, EVENT_AIO, EVENT_CACHE, EVENT_MULTI, EVENT_SPECIAL_LAST };

/* How long a sleep takes that the end of a read may not end. */
#define DEAF_NS NS_PER_MS

#define EVENT_BATCH 128
/* So many events before its turn a target's waiter is announced to the processor, and the target
 * twice as many. */
#define EVENTS_AHEAD 4

/*
 * Awaiting a message before a sleep (await_message()). It begins after so many answers in a row.
 * A thread that sleeps on another CPU runs some microseconds after its wake, in a virtual machine
 * up to a hundred; that is how long the first answer may take, and is waited for. If
 * it comes later than GOOD the other thread slept, which may happen a few times. After that, or
 * after a wait in vain, or if others had the processor all the time, waits sleep for a pause, which
 * doubles: at most 0.15 of 4, in the end of 128, milliseconds are lost. Pauses end at
 * multiples of their length, so that two threads begin again together: it takes both.
 */
#define AWAIT_ANSWERS   8
#define AWAIT_NS        (150 * NS_PER_US)
#define AWAIT_GOOD_NS   (20 * NS_PER_US)
#define AWAIT_LATE_MOST 3
#define AWAIT_PAUSE_NS  (4 * NS_PER_MS)
#define AWAIT_DOUBLINGS 5

static int event_add(int epoll_fd, int fd, u32 events, u64 data)
{
	struct epoll_event event = {.events = events, .data.u64 = data};

	return (int)host_call(SYS_epoll_ctl, epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static int epoll_create_private(void)
{
	return fd_make_private((int)host_call(SYS_epoll_create1, EPOLL_CLOEXEC));
}

int wait_events_init(struct ring *ring)
{
	struct ring_events *events = &ring->events;
	int epoll_fd, wake_fd, err;

	if (likely(events->epoll_fd >= 0))
		return 0;
	epoll_fd = epoll_create_private();
	if (epoll_fd < 0)
		return epoll_fd;
	wake_fd = fd_make_private((int)host_call(SYS_eventfd2, 0, EFD_NONBLOCK | EFD_CLOEXEC));
	err = wake_fd;
	if (wake_fd >= 0)
		err = event_add(epoll_fd, wake_fd, EPOLLIN | EPOLLET, EVENT_WAKE);
	if (err < 0) {
		fd_close_private(wake_fd);
		fd_close_private(epoll_fd);
		return err;
	}
	store_release(&events->wake_fd, wake_fd); /* pairs with wait_wake() */
	events->epoll_fd = epoll_fd;
	return 0;
}

int wait_multi_init(struct ring *ring)
{
	int err = wait_events_init(ring), fd;

	if (err || ring->events.multi_fd >= 0)
		return err;
	fd = epoll_create_private();
	if (fd < 0)
		return fd;
	err = event_add(ring->events.epoll_fd, fd, EPOLLIN, EVENT_MULTI);
	if (err) {
		fd_close_private(fd);
		return err;
	}
	ring->events.multi_fd = fd;
	return 0;
}

void wait_events_destroy(struct ring *ring)
{
	fd_close_private(ring->events.multi_fd);
	fd_close_private(ring->events.wake_fd);
	fd_close_private(ring->events.epoll_fd);
	ring->events = (struct ring_events){.epoll_fd = -1, .wake_fd = -1, .multi_fd = -1};
}

static void eventfd_signal(int fd)
{
	u64 one = 1;

	host_call(SYS_write, fd, &one, sizeof(one));
}

void wait_wake(struct ring *ring)
{
	int fd = load_acquire(&ring->events.wake_fd); /* pairs with wait_events_init() */

	if (fd >= 0)
		eventfd_signal(fd);
}

void wait_wants_wake(struct ring *ring, bool is_wanted)
{
	store_relaxed(&ring->wants_wake, is_wanted);
	barrier_full(); /* pairs with task_work_push() */
}

static void notify_event_fd(struct ring *ring)
{
	ring->event_is_due = false;
	if (!(load_relaxed(&ring->memory.header->cq_flags) & IORING_CQ_EVENTFD_DISABLED))
		eventfd_signal(ring->event_fd);
}

static bool has_new_cqes(const struct ring *ring)
{
	return ring->cq.tail != load_relaxed(&ring->memory.header->cq_tail);
}

/* Runs what is ready, and sends what that staged; what the device refuses is ready at once. */
static void run_and_send(struct ring *ring)
{
	do {
		ring_run(ring);
		if (aio_in_flight(&ring->aio))
			aio_queue_submit(&ring->aio);
		cache_submit();
	} while (unlikely(ring->ready_head != NULL));
}

/* All sleepers are to look. */
static void kicks_begin(struct ring *ring)
{
	ring->kicks = ring->sleepers;
	ring->kick_round++;
}

/* A sleeper woke, who fell asleep in that `round`: it looks now. Others may be left. */
static void kicks_go_on(struct ring *ring, u32 round)
{
	rs_assert(ring->kicks <= ring->sleepers);
	if (ring->kicks == 0)
		return;
	if (round != ring->kick_round)
		ring->kicks--;
	if (ring->kicks > 0)
		wait_wake(ring);
}

/* True: other threads sleep in this ring while CQEs were posted, and one is to be woken, so that
 * each of them looks once. */
static bool commit(struct ring *ring)
{
	bool is_new, has_sleepers = ring->sleepers > 0;

	while (unlikely(!list_is_empty(&ring->count_timeouts)) && timer_count_flush(ring))
		run_and_send(ring);
	is_new = has_new_cqes(ring);
	cq_commit(&ring->cq, &ring->memory);
	if (unlikely(ring->event_fd >= 0 && ring->event_is_due))
		notify_event_fd(ring);
	if (!is_new)
		return false;
	if (unlikely(has_sleepers))
		kicks_begin(ring);
	barrier_compiler(); /* the full barrier is in ring_poll_fd(), on behalf of all threads */
	if (unlikely(load_relaxed(&ring->poll_fd) >= 0)) {
		eventfd_signal(ring->poll_fd);
		ring->poll_fd_is_set = true;
	}
	return has_sleepers;
}

void ring_commit(struct ring *ring)
{
	if (unlikely(commit(ring)))
		wait_wake(ring);
}

void ring_commit_message(struct ring *ring)
{
	bool must_wake = commit(ring);

	store_relaxed(&ring->await.messages, ring->await.messages + 1);
	/* One that waits for its task work to be run. */
	must_wake |= ring->ready_head != NULL && ring->sleepers > 0;
	if (!must_wake) {
		ring_unlock(ring);
		return;
	}
	add_full(&ring->wakers, 1);
	ring_unlock(ring);
	wait_wake(ring);
	sub_full(&ring->wakers, 1); /* pairs with ring_delete() */
}

void wait_notify(struct ring *ring)
{
	if (ring->event_fd >= 0)
		notify_event_fd(ring);
	if (load_relaxed(&ring->poll_fd) >= 0) {
		eventfd_signal(ring->poll_fd);
		ring->poll_fd_is_set = true;
	}
}

void wait_deferred_ready(struct ring *ring)
{
	if (unlikely(ring->setup_flags & IORING_SETUP_TASKRUN_FLAG))
		or_full(&ring->memory.header->sq_flags, IORING_SQ_TASKRUN);
	if (ring->deferred_is_ready)
		return;
	ring->deferred_is_ready = true;
	wait_notify(ring);
}

void ring_flush_backlog(struct ring *ring)
{
	cq_flush_backlog(&ring->cq, &ring->memory);
	ring_commit(ring);
}

/* What is left was announced by an edge that is gone: no sleep before the next look. */
static void look(struct ring *ring, bool at_all)
{
	u32 limit = at_all ? UINT32_MAX : ring->memory.cq_entries;

	ring->ready_is_left = false;
	if (ring->timers.count)
		timer_expire(ring, clock_ns(CLOCK_MONOTONIC));
	if (aio_in_flight(&ring->aio))
		ring->ready_is_left = aio_queue_reap(&ring->aio, limit) >= limit;
	if (at_all)
		cache_look();
	else
		ring->ready_is_left |= cache_look_some();
	run_and_send(ring);
}

void wait_look(struct ring *ring)
{
	look(ring, true);
}

void wait_look_some(struct ring *ring)
{
	/* This thread may leave with what it got. Who sleeps here was not woken for the rest, and
	 * only a ring that the reactor looks at by the clock needs no event to be seen again. */
	look(ring, ring->sleepers > 0 || ring->attendance == ATTEND_EPOLL ||
			   ring_is_deferred(ring) || ring_is_sqpoll(ring));
}

static void handle_events(struct ring *ring, const struct epoll_event *events, long count)
{
	for (long i = 0; i < count; i++) {
		if (i + 2 * EVENTS_AHEAD < count)
			__builtin_prefetch(events[i + 2 * EVENTS_AHEAD].data.ptr);
		if (i + EVENTS_AHEAD < count &&
		    events[i + EVENTS_AHEAD].data.u64 >= EVENT_SPECIAL_LAST)
			poll_prefetch(events[i + EVENTS_AHEAD].data.ptr);
		if (events[i].data.u64 >= EVENT_SPECIAL_LAST)
			poll_event(ring, events[i].data.ptr, events[i].events);
		else if (events[i].data.u64 == EVENT_MULTI)
			poll_multi_events(ring);
		/* EVENT_WAKE, EVENT_AIO, EVENT_CACHE: wait_look() follows */
	}
}

/* AIO completions wake the set from the first direct request on, fills from the first page on. */
void wait_watch_devices(struct ring *ring)
{
	struct ring_events *events = &ring->events;

	if (!events->aio_is_added && aio_queue_is_ready(&ring->aio) && wait_events_init(ring) == 0)
		events->aio_is_added = event_add(events->epoll_fd, ring->aio.event_fd,
						 EPOLLIN | EPOLLET, EVENT_AIO) == 0;
	if (!events->cache_is_added && ring->waits_for_cache && cache_event_fd() >= 0 &&
	    wait_events_init(ring) == 0)
		events->cache_is_added = event_add(events->epoll_fd, cache_event_fd(),
						   EPOLLIN | EPOLLET, EVENT_CACHE) == 0;
}

void wait_look_events(struct ring *ring)
{
	struct epoll_event events[EVENT_BATCH];

	ring->enters_since_poll = 0;
	if (ring->events.epoll_fd >= 0) {
		long n = host_call(SYS_epoll_pwait, ring->events.epoll_fd, events, EVENT_BATCH, 0,
				   NULL, 8);

		handle_events(ring, events, n);
		/* The edge of a kick may have come to us in place of the sleeper that it was
		 * meant for. */
		if (unlikely(ring->kicks > 0))
			wait_wake(ring);
	}
	wait_look(ring);
}

void wait_hand_over(struct ring *ring)
{
	wait_watch_devices(ring);
	if (timer_next(ring) < ring->slept_until)
		wait_wake(ring);
}

/* epoll_pwait2(), or where that is refused epoll_pwait() with the time rounded up to
 * milliseconds. */
static long sleep_in_epoll(int epoll_fd, struct epoll_event *events, u64 timeout_ns,
			   const sigset_t *sigmask)
{
	static u8 is_refused; /* (a) */
	struct timespec timeout = {
		.tv_sec = (time_t)(timeout_ns / NS_PER_SEC),
		.tv_nsec = (long)(timeout_ns % NS_PER_SEC),
	};
	u64 ms = timeout_ns / NS_PER_MS + 1;

	if (!load_relaxed(&is_refused)) {
		long n = host_call(SYS_epoll_pwait2, epoll_fd, events, EVENT_BATCH,
				   timeout_ns == TIMER_NEVER ? NULL : &timeout, sigmask, 8);

		if (n != -ENOSYS && n != -EPERM)
			return n;
		store_relaxed(&is_refused, 1);
	}
	return host_call(SYS_epoll_pwait, epoll_fd, events, EVENT_BATCH,
			 timeout_ns == TIMER_NEVER ? -1 : (int)min_of(ms, (u64)INT32_MAX), sigmask,
			 8);
}

/* A device that the kernel would not add to the epoll set (no memory, or its user has too many
 * watches) wakes nobody. */
static bool is_deaf(const struct ring *ring)
{
	const struct ring_events *events = &ring->events;

	return (!events->aio_is_added && aio_queue_is_ready(&ring->aio)) ||
	       (!events->cache_is_added && ring->waits_for_cache && cache_event_fd() >= 0);
}

/* Sleeps until something happens or `wake_at`. Returns -EINTR or 0. */
static int sleep_once(struct ring *ring, u64 wake_at, const sigset_t *sigmask)
{
	struct epoll_event events[EVENT_BATCH];
	u64 now = wake_at == TIMER_NEVER ? 0 : clock_ns(CLOCK_MONOTONIC);
	u32 round;
	long n = 0;

	wait_watch_devices(ring);
	if (unlikely(is_deaf(ring))) {
		now = clock_ns(CLOCK_MONOTONIC);
		wake_at = min_of(wake_at, now + DEAF_NS);
	}
	wait_wants_wake(ring, true);
	ring->sleepers++;
	round = ring->kick_round;
	/* What was pushed before the announcement did not wake us: look before sleeping. */
	if (mpsc_is_empty(&ring->task_work) && wake_at > now && !ring->ready_is_left) {
		int epoll_fd = ring->events.epoll_fd;

		ring->slept_until = min_of(ring->slept_until, wake_at);
		ring_unlock(ring);
		n = sleep_in_epoll(epoll_fd, events,
				   wake_at == TIMER_NEVER ? TIMER_NEVER : wake_at - now, sigmask);
		ring_lock(ring);
		ring->slept_until = TIMER_NEVER;
	}
	kicks_go_on(ring, round);
	ring->sleepers--;
	if (ring->sleepers == 0 && ring->attendance != ATTEND_EPOLL)
		store_relaxed(&ring->wants_wake, 0);
	handle_events(ring, events, n);
	return n == -EINTR ? -EINTR : 0;
}

void wait_once(struct ring *ring)
{
	if (wait_events_init(ring) == 0) {
		sleep_once(ring, timer_next(ring), NULL);
		return;
	}
	/* Without descriptors to sleep on, let the others run. */
	ring_unlock(ring);
	sched_yield();
	ring_lock(ring);
}

/* The last waits ended with messages, and nothing but another thread can end this one. */
static bool is_message_expected(const struct ring *ring, const sigset_t *sigmask)
{
	return ring->await.answers >= AWAIT_ANSWERS && ring->requests.used == 0 &&
	       ring->sleepers == 0 && sigmask == NULL && !ring_is_sqpoll(ring);
}

/* Without the lock: another message came, there are CQEs enough, or something is to be run. */
static bool has_come(const struct ring *ring, u32 messages, u32 min_complete)
{
	const struct ring_header *header = ring->memory.header;

	return load_relaxed(&ring->await.messages) != messages ||
	       load_relaxed(&header->cq_tail) - load_relaxed(&header->cq_head) >= min_complete ||
	       !mpsc_is_empty(&ring->task_work);
}

static void await_rate(struct ring_await *await, bool came, u64 start, u64 now)
{
	u64 pause = AWAIT_PAUSE_NS << await->doublings, took = now - start;

	if (came && took < AWAIT_GOOD_NS) {
		await->late = 0;
		await->doublings = 0;
		return;
	}
	if (came && took < AWAIT_NS && ++await->late <= AWAIT_LATE_MOST)
		return;
	await->late = 0;
	await->not_before = (now / pause + 1) * pause;
	if (await->doublings < AWAIT_DOUBLINGS)
		await->doublings++;
}

/*
 * Lets others run, and looks whether one of them sent a message. Of two threads that do this
 * neither sleeps, so neither must wake the other: on one CPU that leaves one call of two for each
 * message, on two none that waits for an interrupt. Who sends sees no sleeper meanwhile and wakes
 * nobody; anything may have happened, and the caller looks. False: it is no time for this.
 */
static bool await_message(struct ring *ring, u32 min_complete, u64 wake_at)
{
	u64 start = clock_ns(CLOCK_MONOTONIC), now;
	u32 messages = ring->await.messages;
	bool came;

	if (start < ring->await.not_before)
		return false;
	add_full(&ring->callers, 1); /* nobody ends the ring */
	ring_unlock(ring);
	do {
		host_call(SYS_sched_yield);
		came = has_come(ring, messages, min_complete);
		now = clock_ns(CLOCK_MONOTONIC);
	} while (!came && now - start < AWAIT_NS && now < wake_at);
	ring_lock(ring);
	sub_full(&ring->callers, 1);
	await_rate(&ring->await, came, start, now);
	return true;
}

/* The wait that began when so many messages had come is over. */
static void await_learn(struct ring_await *await, u32 messages)
{
	if (await->messages == messages)
		await->answers = 0;
	else if (await->answers < AWAIT_ANSWERS)
		await->answers++;
}

int wait_for_cqes(struct ring *ring, const struct wait_until *until)
{
	u32 messages = ring->await.messages;
	u64 min_wait_end =
		until->min_wait_ns ? clock_ns(CLOCK_MONOTONIC) + until->min_wait_ns : TIMER_NEVER;
	u32 min_complete = until->min_complete;
	int err = wait_events_init(ring);

	if (err)
		return err;
	reactor_release(ring);
	for (;;) {
		/* The time limit counts only once the least wait is over. */
		bool is_least = min_wait_end != TIMER_NEVER;
		u64 end = is_least ? min_wait_end : until->deadline;
		u64 wake_at = min_of(end, timer_next(ring)), now = 0;

		err = 0;
		if (!is_message_expected(ring, until->sigmask) ||
		    !await_message(ring, min_complete, wake_at))
			err = sleep_once(ring, wake_at, until->sigmask);
		if (ring->life != RING_ALIVE)
			return -EBADF;
		wait_look_some(ring);
		if (ring->cq.backlog_count)
			cq_flush_backlog(&ring->cq, &ring->memory);
		ring_commit(ring);
		if (end != TIMER_NEVER)
			now = clock_ns(CLOCK_MONOTONIC);
		if (min_wait_end <= now) {
			min_wait_end = TIMER_NEVER;
			min_complete = 1;
		}
		if (cq_ready(&ring->cq, &ring->memory) >= min_complete) {
			await_learn(&ring->await, messages);
			return 0;
		}
		if (err)
			return err;
		if (min_wait_end == TIMER_NEVER && until->deadline <= now)
			return -ETIME;
	}
}

int wait_for_change(struct ring *ring, u64 deadline)
{
	int err = wait_events_init(ring);

	if (err)
		return err;
	reactor_release(ring);
	err = sleep_once(ring, min_of(deadline, timer_next(ring)), NULL);
	if (ring->life != RING_ALIVE)
		return -EBADF;
	wait_look(ring);
	ring_commit(ring);
	if (!err && deadline != TIMER_NEVER && clock_ns(CLOCK_MONOTONIC) >= deadline)
		err = -ETIME;
	return err;
}

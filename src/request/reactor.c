/*
 * reactor.c - the one thread that drives rings whose program is not in enter
 *
 * A program that waits in enter drives its ring itself, and the reactor must not
 * wake up with it. A program that only looks at its CQ must see a completion
 * within a millisecond. A program does not say which of the two it is, and
 * telling the reactor at each enter would cost a system call. So:
 *
 *   ATTEND_NOBODY --(enter returns, requests wait)--> ATTEND_TICK
 *   ATTEND_TICK:  each millisecond the reactor drives the ring, if nobody is in it. If nobody
 *                 was since the last tick, the next ones come sooner, and after TICKS_TO_EPOLL
 *                 of them it is ATTEND_EPOLL; if the program has waited inside for
 *                 TICKS_TO_LEAVE ticks it is ATTEND_NOBODY.
 *   ATTEND_EPOLL: the ring's epoll set is in the reactor's; no more ticks. A wait of the
 *                 program takes it out again (reactor_release()).
 *
 *   ATTEND_FILES: as nobody, but the ring has fixed files: once a second the reactor sees whether
 *                 it was closed behind our back, for then somebody may wait for their end.
 *   ATTEND_SPIN:  an SQPOLL ring that was not idle long enough to be watched (ATTEND_EPOLL).
 *
 * DEFER_TASKRUN rings are not driven, only watched, and only if somebody is to
 * be told (a registered eventfd, a poller of the descriptor). SQPOLL rings are
 * looked at without pause until they were idle for sq_thread_idle; then
 * NEED_WAKEUP is set.
 *
 * Invariants:  A1 a ring with requests that wait, that is neither deferred nor IOPOLL, and whose
 *                 program is not inside, is ATTEND_TICK or ATTEND_EPOLL
 *              A2 the reactor sleeps without a limit only if no ring is ATTEND_TICK
 * Locks:       takes ring locks, one at a time
 * The kernel:  task work run by the interrupted task itself, and the SQPOLL thread
 */
#include "request/reactor.h"

#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "file/own.h"
#include "host/clock.h"
#include "host/futex.h"
#include "host/kernel.h"
#include "host/thread.h"
#include "request/rings.h"
#include "request/submit.h"
#include "request/wait.h"

#define TICK_NS        NS_PER_MS
#define TICK_SOON_NS   (TICK_NS / 4)
#define TICKS_TO_EPOLL 3
#define TICKS_TO_LEAVE 20
#define SWEEP_NS       NS_PER_SEC
#define EVENT_BATCH    32
/* Looks at an SQPOLL ring's SQ between two looks at its events. */
#define SPINS_PER_LOOK 32

static struct lock start_lock;
static struct {
	bool is_running;                  /* (q: start_lock) */
	u32 is_asleep;                    /* (a) it sleeps without ticking: must be kicked */
	int epoll_fd, wake_fd;            /* (c) once running */
	bool (*sweep)(struct ring *ring); /* (c) */
} reactor = {.epoll_fd = -1, .wake_fd = -1};

void reactor_set_sweep(bool (*sweep)(struct ring *ring))
{
	reactor.sweep = sweep;
}

void reactor_kick(void)
{
	u64 one = 1;

	host_call(SYS_write, reactor.wake_fd, &one, sizeof(one));
}

/* When there is nothing to look after. */
static enum ring_attendance attendance_at_rest(const struct ring *ring)
{
	if (ring_is_sqpoll(ring))
		return ATTEND_SPIN;
	return ring->files.count ? ATTEND_FILES : ATTEND_NOBODY;
}

/* Takes up what completed, and shows it. */
static void drive(struct ring *ring)
{
	wait_look_events(ring);
	ring_commit(ring);
}

/* Last thing with a ring that it drove. */
static void let_go(struct ring *ring)
{
	/* A request may have let go of the lock, and the ring's last descriptor was closed:
	 * ring_end() may sleep until that request, or one behind it, is done. */
	if (unlikely(ring->life != RING_ALIVE))
		wait_wake(ring);
	ring_unlock(ring);
}

void reactor_look_at_others(const struct ring *posted)
{
	struct ring *ring;

	for (u32 i = 0; (ring = rings_get(i)) != NULL; i++) {
		if (ring == posted || load_relaxed(&ring->life) != RING_ALIVE ||
		    !ring_lock_try(ring))
			continue;
		/* Who sleeps in it was woken, and a deferred ring's program must enter. */
		if (ring->life == RING_ALIVE && ring_has_pending(ring) && ring->sleepers == 0 &&
		    !ring_is_deferred(ring))
			drive(ring);
		let_go(ring);
	}
}

/* Puts the ring's epoll set into the reactor's. */
static void watch(struct ring *ring)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = ring};

	if (wait_events_init(ring))
		return; /* no descriptor to be had: it goes on ticking */
	wait_watch_devices(ring);
	if (host_call(SYS_epoll_ctl, reactor.epoll_fd, EPOLL_CTL_ADD, ring->events.epoll_fd,
		      &event))
		return;
	store_relaxed(&ring->attendance, ATTEND_EPOLL);
	wait_wants_wake(ring, true);
	/* What was pushed before that woke nobody, and then what follows it wakes nobody either. */
	if (!mpsc_is_empty(&ring->task_work))
		wait_wake(ring);
}

static void unwatch(struct ring *ring)
{
	host_call(SYS_epoll_ctl, reactor.epoll_fd, EPOLL_CTL_DEL, ring->events.epoll_fd, NULL);
	store_relaxed(&ring->attendance, attendance_at_rest(ring));
	if (ring->sleepers == 0)
		store_relaxed(&ring->wants_wake, 0);
}

void reactor_release(struct ring *ring)
{
	/* An SQPOLL ring is the reactor's until it ends. */
	if (unlikely(ring->attendance == ATTEND_EPOLL) &&
	    (!ring_is_sqpoll(ring) || ring->life != RING_ALIVE))
		unwatch(ring);
}

/* Something of a deferred ring is ready: those who asked are told; the program will enter and
 * run it. */
static void tell_deferred(struct ring *ring)
{
	unwatch(ring);
	ring->deferred_is_ready = true;
	wait_notify(ring);
}

static u64 tick(struct ring *ring)
{
	if (ring->sleepers > 0) {
		if (++ring->idle_ticks > TICKS_TO_LEAVE) {
			store_relaxed(&ring->attendance, attendance_at_rest(ring));
			return 0;
		}
		return TICK_NS;
	}
	if (ring_is_deferred(ring)) {
		watch(ring);
		return 0;
	}
	drive(ring);
	if (!ring_has_pending(ring)) {
		store_relaxed(&ring->attendance, attendance_at_rest(ring));
		return 0;
	}
	if (ring->enter_count != ring->tick_enter_count) {
		ring->tick_enter_count = ring->enter_count;
		ring->idle_ticks = 1;
		return TICK_NS;
	}
	if (++ring->idle_ticks >= TICKS_TO_EPOLL) {
		watch(ring);
		return 0;
	}
	/* It seems to have left for longer: the next ticks come sooner, to watch it soon. */
	return TICK_SOON_NS;
}

/* How long the reactor may sleep for the sake of a watched ring's timers. */
static u64 watched_sleep(struct ring *ring)
{
	u64 next = timer_next(ring), now;

	ring->watched_until = next;
	if (next == TIMER_NEVER)
		return TIMER_NEVER;
	now = clock_ns(CLOCK_MONOTONIC);
	if (next > now)
		return next - now;
	if (ring_is_deferred(ring)) {
		tell_deferred(ring);
		return TIMER_NEVER;
	}
	drive(ring);
	return ring_has_pending(ring) ? 0 : TIMER_NEVER;
}

/* SQEs of an SQPOLL ring. Returns how long until it wants to be looked at again. */
static u64 sqpoll(struct ring *ring)
{
	struct ring_header *header = ring->memory.header;
	u64 now = clock_ns(CLOCK_MONOTONIC);
	u32 ready = ring->is_disabled ? 0 : sq_ready(&ring->sq, &ring->memory);

	if (ready > 0) {
		if (ring->attendance == ATTEND_EPOLL)
			unwatch(ring);
		and_full(&header->sq_flags, ~IORING_SQ_NEED_WAKEUP);
		submit_batch(ring, ready);
		ring->sq_active_ns = now;
		if (exchange_full(&ring->sq_space_wanted, 0))
			futex_wake(&ring->sq_space_wanted, FUTEX_ALL);
	}
	if (ready > 0 || ++ring->idle_ticks % SPINS_PER_LOOK == 0) {
		drive(ring);
		if (ring->cq.backlog_count)
			ring_flush_backlog(ring);
	}
	if (now - ring->sq_active_ns < ring->sq_idle_ns)
		return 0;
	if (load_relaxed(&header->sq_flags) & IORING_SQ_NEED_WAKEUP)
		return ring->attendance == ATTEND_EPOLL ? watched_sleep(ring) : TICK_NS;
	or_full(&header->sq_flags, IORING_SQ_NEED_WAKEUP);
	/* The program stores its tail, then loads the flag; we set the flag, then load the tail. */
	if (!ring->is_disabled && sq_ready(&ring->sq, &ring->memory) > 0)
		return 0;
	watch(ring);
	return 0;
}

/* One look at one ring. Returns how long the reactor may sleep for its sake. */
static u64 visit(struct ring *ring)
{
	u64 sleep_ns = TIMER_NEVER;

	if (load_relaxed(&ring->life) != RING_ALIVE)
		return TIMER_NEVER;
	if (load_relaxed(&ring->attendance) == ATTEND_NOBODY)
		return TIMER_NEVER;
	if (load_relaxed(&ring->attendance) == ATTEND_FILES)
		return SWEEP_NS;
	if (!ring_lock_try(ring))
		return TICK_SOON_NS; /* its program is inside */
	if (ring->life == RING_ALIVE) {
		if (ring_is_sqpoll(ring))
			sleep_ns = sqpoll(ring);
		else if (ring->attendance == ATTEND_TICK)
			sleep_ns = tick(ring);
		else if (ring->attendance == ATTEND_EPOLL)
			sleep_ns = watched_sleep(ring);
	}
	let_go(ring);
	return sleep_ns;
}

static u64 visit_all(void)
{
	u64 sleep_ns = TIMER_NEVER;
	struct ring *ring;

	for (u32 i = 0; (ring = rings_get(i)) != NULL; i++)
		sleep_ns = min_of(sleep_ns, visit(ring));
	return sleep_ns;
}

/* Events of a watched ring. */
static void watched_event(struct ring *ring)
{
	ring_lock(ring);
	if (ring->life == RING_ALIVE && ring->attendance == ATTEND_EPOLL) {
		if (ring_is_deferred(ring)) {
			tell_deferred(ring);
		} else {
			drive(ring);
			if (!ring_has_pending(ring) && !ring_is_sqpoll(ring))
				unwatch(ring);
		}
	}
	let_go(ring);
}

/* Each ring's descriptor is looked at by a system call: once a second is enough. */
static void sweep_all(void)
{
	static u64 next_sweep; /* (o) the reactor's */
	u64 now = clock_ns(CLOCK_MONOTONIC);
	struct ring *ring;

	if (now < next_sweep)
		return;
	next_sweep = now + SWEEP_NS;
	for (u32 i = 0; (ring = rings_get(i)) != NULL; i++)
		if (load_relaxed(&ring->life) == RING_ALIVE)
			reactor.sweep(ring);
}

static void reactor_sleep(u64 sleep_ns)
{
	struct epoll_event events[EVENT_BATCH];
	struct timespec timeout = {
		.tv_sec = (time_t)(sleep_ns / NS_PER_SEC),
		.tv_nsec = (long)(sleep_ns % NS_PER_SEC),
	};
	long n;

	n = host_call(SYS_epoll_pwait2, reactor.epoll_fd, events, EVENT_BATCH,
		      sleep_ns == TIMER_NEVER ? NULL : &timeout, NULL, 8);
	if (n == -ENOSYS || n == -EPERM)
		n = host_call(SYS_epoll_pwait, reactor.epoll_fd, events, EVENT_BATCH,
			      sleep_ns == TIMER_NEVER
				      ? -1
				      : (int)min_of(sleep_ns / NS_PER_MS + 1, (u64)INT32_MAX),
			      NULL, 8);
	if (sleep_ns > 0)
		stats_count_process(COUNTER_REACTOR_WAKEUPS, 1);
	store_relaxed(&reactor.is_asleep, 0);
	for (long i = 0; i < n; i++) {
		u64 counter;

		if (events[i].data.ptr == NULL)
			host_call(SYS_read, reactor.wake_fd, &counter, sizeof(counter));
		else
			watched_event(events[i].data.ptr);
	}
}

static void *reactor_body(void *unused)
{
	thread_set_name("ringside/react");
	for (u64 round = 0;; round++) {
		u64 sleep_ns;

		own_enter_begin(); /* what the program closed meanwhile, nobody has seen */
		sleep_ns = visit_all();

		if (sleep_ns == 0) {
			/* SQPOLL: spin, but let others have the processor, and events their
			 * turn. */
			if (round % SPINS_PER_LOOK == 0)
				reactor_sleep(0);
			sched_yield();
			continue;
		}
		if (sleep_ns > TICK_NS) {
			store_relaxed(&reactor.is_asleep, 1);
			barrier_full(); /* pairs with the one in reactor_attend() */
			if (visit_all() < sleep_ns) {
				store_relaxed(&reactor.is_asleep, 0);
				continue;
			}
		}
		reactor_sleep(sleep_ns);
		sweep_all();
	}
	return unused;
}

static int reactor_start_locked(void)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
	int err;

	if (reactor.is_running)
		return 0;
	reactor.epoll_fd = fd_make_private((int)host_call(SYS_epoll_create1, EPOLL_CLOEXEC));
	reactor.wake_fd =
		fd_make_private((int)host_call(SYS_eventfd2, 0, EFD_NONBLOCK | EFD_CLOEXEC));
	err = min_of(reactor.epoll_fd, reactor.wake_fd);
	if (err >= 0)
		err = (int)host_call(SYS_epoll_ctl, reactor.epoll_fd, EPOLL_CTL_ADD,
				     reactor.wake_fd, &event);
	if (err >= 0)
		err = thread_start(reactor_body, NULL);
	if (err < 0) {
		fd_close_private(max_of(reactor.epoll_fd, -1));
		fd_close_private(max_of(reactor.wake_fd, -1));
		reactor.epoll_fd = reactor.wake_fd = -1;
		return err;
	}
	store_release(&reactor.is_running, true); /* pairs with reactor_start() */
	return 0;
}

static int reactor_start(void)
{
	int err;

	if (likely(load_acquire(&reactor.is_running)))
		return 0;
	lock_acquire(&start_lock);
	err = reactor_start_locked();
	lock_release(&start_lock);
	return err;
}

void reactor_attend(struct ring *ring)
{
	if (!ring_has_pending(ring) || ring_is_sqpoll(ring))
		return;
	if (ring->setup_flags & IORING_SETUP_IOPOLL)
		return;
	if (ring_is_deferred(ring) && ring->event_fd < 0 && load_relaxed(&ring->poll_fd) < 0)
		return;
	if (unlikely(ring->attendance == ATTEND_EPOLL)) {
		wait_watch_devices(ring);
		if (timer_next(ring) < ring->watched_until)
			reactor_kick();
		return;
	}
	if (ring->attendance == ATTEND_NOBODY || ring->attendance == ATTEND_FILES) {
		if (reactor_start())
			return; /* no thread to be had: completions wait for the next enter */
		ring->idle_ticks = 0;
		ring->tick_enter_count = ring->enter_count;
		store_relaxed(&ring->attendance, ATTEND_TICK);
	}
	barrier_full(); /* pairs with the one in reactor_body() */
	if (unlikely(load_relaxed(&reactor.is_asleep)))
		reactor_kick();
}

void reactor_keep_watch(struct ring *ring)
{
	if (ring->attendance == ATTEND_NOBODY)
		store_relaxed(&ring->attendance, ATTEND_FILES);
	barrier_full(); /* pairs with the one in reactor_body() */
	if (load_acquire(&reactor.is_running) && load_relaxed(&reactor.is_asleep))
		reactor_kick();
}

int reactor_start_sqpoll(struct ring *ring)
{
	int err = reactor_start();

	if (err)
		return err;
	ring->sq_active_ns = clock_ns(CLOCK_MONOTONIC);
	reactor_kick();
	return 0;
}

void reactor_fork_child(void)
{
	bool (*sweep)(struct ring * ring) = reactor.sweep;

	fd_close_private(reactor.epoll_fd);
	fd_close_private(reactor.wake_fd);
	reactor.epoll_fd = reactor.wake_fd = -1;
	reactor.is_running = false;
	reactor.is_asleep = 0;
	reactor.sweep = sweep;
	start_lock = LOCK_INIT;
}

/*
 * ring.c - making rings and ending them, and their memory for copies
 *
 * Rings live in a table that only grows; a slot is used again after its ring
 * ended. So anybody may keep a pointer to a ring, take its lock, and see
 * whether it is still alive.
 *
 * A ring ends (ring_end()) in the thread that closed its last descriptor:
 * everything that waits is cancelled, and what cannot be (a read at the
 * device) is waited for, so that afterwards nothing writes to the program's
 * memory. The kernel leaves that to a worker, after close() has returned.
 */
#include "request/ring.h"

#include <sched.h>
#include <string.h>

#include "base/pages.h"
#include "host/futex.h"
#include "host/kernel.h"
#include "request/buffers.h"
#include "request/cancel.h"
#include "request/pending.h"
#include "request/poll.h"
#include "request/reactor.h"
#include "request/rings.h"
#include "request/wait.h"

static struct lock rings_lock;
static struct ring *rings[RINGS_LIMIT];
static u32 rings_count;            /* (a) slots ever used */
static bool rings_locked_for_fork; /* (q: rings_lock) by rings_fork_prepare() */

/* Bytes at the beginning of a ring that ring_new() does not clear. */
#define RING_LOOKED_AT offsetof(struct ring, setup_flags)

static const u32 alloc_sizes[RING_ALLOC_CLASSES] = {128, 512, 4096, 16384};

struct ring *rings_get(u32 index)
{
	/* Pairs with the release in ring_take_slot(). */
	return index < load_acquire(&rings_count) ? rings[index] : NULL;
}

/* A ring that nobody uses, locked, with life RING_DYING so that nobody else takes it. */
static struct ring *ring_take_slot(void)
{
	struct ring *ring = NULL;

	lock_acquire(&rings_lock);
	/* One that somebody just looks at is left alone: this may be a handler in its midst. */
	for (u32 i = 0; i < rings_count && ring == NULL; i++)
		if (load_relaxed(&rings[i]->life) == RING_FREE && ring_lock_try(rings[i]))
			ring = rings[i];
	if (ring == NULL && rings_count < RINGS_LIMIT) {
		ring = pages_alloc(sizeof(*ring));
		if (ring != NULL) {
			ring_lock(ring);
			rings[rings_count] = ring;
			store_release(&rings_count, rings_count + 1);
		}
	}
	if (ring != NULL)
		store_relaxed(&ring->life, RING_DYING);
	lock_release(&rings_lock);
	return ring;
}

struct ring *ring_new(u32 setup_flags)
{
	struct ring *ring = ring_take_slot();

	if (ring == NULL)
		return NULL;
	/* All but what somebody who looked this ring up long ago may just be looking at. */
	memset((char *)ring + RING_LOOKED_AT, 0, sizeof(*ring) - RING_LOOKED_AT);
	store_relaxed(&ring->attendance,
		      setup_flags & IORING_SETUP_SQPOLL ? ATTEND_SPIN : ATTEND_NOBODY);
	store_relaxed(&ring->poll_fd, -1);
	store_relaxed(&ring->is_polled_by_rings, 0);
	ring->setup_flags = setup_flags;
	ring->events = (struct ring_events){.epoll_fd = -1, .wake_fd = -1, .multi_fd = -1};
	ring->event_fd = ring->fd = -1;
	ring->stats = stats_block_claim();
	ring->ready_tail = &ring->ready_head;
	ring->drain_tail = &ring->drain_head;
	list_init(&ring->count_timeouts);
	ring->slept_until = TIMER_NEVER;
	cq_init(&ring->cq);
	slab_init(&ring->requests, sizeof(struct request), RING_REQUESTS_LIMIT);
	for (u32 i = 0; i < RING_ALLOC_CLASSES; i++)
		slab_init(&ring->alloc[i], alloc_sizes[i], RING_REQUESTS_LIMIT);
	ring_unlock(ring);
	return ring;
}

void ring_delete(struct ring *ring)
{
	rs_assert(ring_is_mine(ring) && ring->life == RING_DYING);
	rs_assert(ring->pending.count == 0 && ring->requests.used == 0);
	/* A thread that pushed the last request may still be about to wake us: one write(2) at
	 * the most. */
	while (load_acquire(&ring->wakers) > 0)
		host_call(SYS_sched_yield);
	resource_table_destroy(ring, &ring->files);
	resource_table_destroy(ring, &ring->buffers);
	if (ring->resource_slab.object_size)
		slab_destroy(&ring->resource_slab);
	aio_queue_destroy(&ring->aio);
	poll_destroy(ring);
	buffers_destroy(ring);
	pending_destroy(ring);
	heap_destroy(&ring->timers);
	cq_destroy(&ring->cq);
	slab_destroy(&ring->requests);
	for (u32 i = 0; i < RING_ALLOC_CLASSES; i++)
		slab_destroy(&ring->alloc[i]);
	fd_close_private(ring->event_fd);
	fd_close_private(exchange_full(&ring->poll_fd, -1));
	wait_events_destroy(ring);
	if (ring->region.is_ours)
		ring_memory_unmap_more(ring->region.addr, ring->region.size);
	ring_memory_unmap(&ring->memory);
	stats_block_release(ring->stats);
	if (ring->pool != NULL)
		punt_pool_put(ring->pool);
	store_relaxed(&ring->life, RING_FREE);
}

/*
 * Threads that sleep in the ring see that it ends, and leave. Not with wait_once(): each of them
 * needs an edge, and a thread that sleeps beside them would take them, or be the last to sleep.
 */
static void ring_expel_sleepers(struct ring *ring)
{
	while (ring->sleepers > 0 || ring->sq_waiters > 0) {
		wait_wake(ring);
		if (exchange_full(&ring->sq_space_wanted, 0))
			futex_wake(&ring->sq_space_wanted, FUTEX_ALL);
		ring_unlock(ring);
		sched_yield();
		ring_lock(ring);
	}
}

/*
 * What requests waited for may be there, seen by nobody yet: they complete, and their CQEs stay in
 * the program's mapping, as in the kernel, where they would be there already. To be a caller keeps
 * others from ending the ring, should one of them let go of the lock.
 */
static void ring_look_once_more(struct ring *ring)
{
	add_full(&ring->callers, 1);
	wait_look_events(ring);
	ring_commit(ring);
	sub_full(&ring->callers, 1);
}

void ring_end(struct ring *ring)
{
	rs_assert(ring_is_mine(ring));
	if (ring_has_pending(ring) && !ring_is_deferred(ring))
		ring_look_once_more(ring);
	store_relaxed(&ring->life, RING_DYING);
	reactor_release(ring);
	ring_expel_sleepers(ring);
	for (;;) {
		cancel_everything(ring);
		wait_look(ring);
		if (ring->requests.used == 0)
			break;
		wait_once(ring);
	}
	ring_delete(ring);
}

void *ring_alloc(struct ring *ring, size_t size)
{
	for (u32 i = 0; i < RING_ALLOC_CLASSES; i++)
		if (size <= alloc_sizes[i])
			return slab_alloc(&ring->alloc[i]);
	return pages_alloc(size);
}

void ring_free_memory(struct ring *ring, void *ptr, size_t size)
{
	for (u32 i = 0; i < RING_ALLOC_CLASSES; i++) {
		if (size <= alloc_sizes[i]) {
			slab_free(&ring->alloc[i], ptr);
			return;
		}
	}
	pages_free(ptr, size);
}

/* fork() in a signal handler that interrupted its own thread inside a ring finds that ring's lock
 * taken by itself: nobody else is inside then, and the interrupted code will release it. */
void rings_fork_prepare(void)
{
	rings_locked_for_fork = !lock_is_mine(&rings_lock);
	if (rings_locked_for_fork)
		lock_acquire(&rings_lock);
	for (u32 i = 0; i < rings_count; i++) {
		rings[i]->locked_for_fork = !ring_is_mine(rings[i]);
		if (rings[i]->locked_for_fork)
			ring_lock(rings[i]);
	}
}

void rings_fork_parent(void)
{
	for (u32 i = rings_count; i-- > 0;)
		if (rings[i]->locked_for_fork)
			ring_unlock(rings[i]);
	if (rings_locked_for_fork)
		lock_release(&rings_lock);
}

void rings_fork_child(void)
{
	aio_fork_child();
	for (u32 i = 0; i < rings_count; i++) {
		struct ring *ring = rings[i];

		/* The threads, the device queue and the sleepers stayed with the parent. Its
		 * memory stays mapped, and untouched: it is the parent's ring. */
		aio_queue_fork_child(&ring->aio);
		if (ring->life != RING_FREE)
			store_relaxed(&ring->life, RING_INHERITED);
		ring->pool = NULL;
		ring->lock = BIASED_LOCK_INIT;
		store_relaxed(&ring->callers, 0);
	}
	rings_lock = LOCK_INIT;
}

/*
 * ring.h - one io_uring instance
 *
 * Lock legend: (c) constant after setup, (r) the ring's lock, (a) atomic.
 * Lock order:  ring lock -> file_lock, page-in lock, punt lock (all leaves). Two
 * ring locks are never held together, but by fork() (rings_fork_prepare()), which
 * takes rings_lock and then all of them.
 *
 * Rings are never freed, only used again (type-stable), so a lookup needs no
 * reference: take the lock, then look whether it is still the ring you meant.
 *
 * The kernel: struct io_ring_ctx
 */
#ifndef RS_REQUEST_RING_H
#define RS_REQUEST_RING_H

#include "base/biased_lock.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/mpsc.h"
#include "base/slab.h"
#include "device/aio.h"
#include "observe/stats.h"
#include "request/request.h"
#include "request/resource.h"
#include "ring/cq.h"
#include "ring/sq.h"

struct buffer_group;

/* Requests that may exist in one ring at a time. */
#define RING_REQUESTS_LIMIT (1u << 22)
#define RING_ALLOC_CLASSES  4

enum ring_life {
	RING_FREE, /* on the free list, nobody's */
	RING_ALIVE,
	RING_INHERITED, /* the parent's, seen from a fork()ed child: every call is refused */
	RING_DYING,     /* its last descriptor was closed; requests are being cancelled */
};

/* Who looks after the completions of a ring whose program is not inside enter. */
enum ring_attendance {
	/* nothing waits, or completions only appear in enter (DEFER_TASKRUN, IOPOLL) */
	ATTEND_NOBODY,
	/* as nobody, but its fixed files are to be closed if it was closed behind our back */
	ATTEND_FILES,
	ATTEND_SPIN,  /* SQPOLL: the reactor looks all the time */
	ATTEND_TICK,  /* the reactor looks each millisecond */
	ATTEND_EPOLL, /* the reactor waits on the ring's epoll descriptor */
};

/* Requests that wait, findable by user_data (pending.c). */
struct pending_table {
	struct list_node *buckets; /* (r) power of two, NULL at first */
	struct list_node fallback; /* (r) used while there is no memory for buckets */
	u32 bucket_count;
	u32 count;
};

/* Event sets that the driver waits for; made when first needed (wait.c). */
struct ring_events {
	int epoll_fd; /* (c) -1 until needed; the one thing a wait blocks in */
	int wake_fd;  /* (c) eventfd: another thread has task work for us */
	int multi_fd; /* (c) -1 or the epoll set of multishot polls (poll.c), inside epoll_fd */
	bool aio_is_added;
	bool cache_is_added;
};

/* Whether a wait awaits a message before it sleeps (wait.c). */
struct ring_await {
	u32 messages;   /* (a) sent to the ring, ever */
	u32 answers;    /* waits in a row that ended with one, up to a limit */
	u32 late;       /* answers in a row that took long */
	u32 doublings;  /* of the next pause */
	u64 not_before; /* CLOCK_MONOTONIC, nanoseconds: the end of the last one */
};

/* What an enabled ring is limited to (IORING_REGISTER_RESTRICTIONS). Bits by number. */
struct restrictions {
	bool is_registered;
	bool is_active; /* the ring was enabled since */
	u8 sqe_flags_allowed, sqe_flags_required;
	u64 register_ops[1];
	u64 sqe_ops[2];
};
_Static_assert(IORING_REGISTER_LAST <= 64 && IORING_OP_LAST <= 128, "one bit each");

/* IORING_REGISTER_MEM_REGION: the program's memory, or a part of the memfd. */
struct ring_region {
	char *addr; /* NULL: there is none */
	size_t size;
	bool is_ours;       /* mapped by us, and to be unmapped */
	bool has_wait_args; /* of io_uring_enter(), by offset */
};

struct ring {
	/* What others look at without the lock, as a hint, even while the ring is made anew
	 * (ring_new()). */
	struct biased_lock lock;         /* ring_lock() */
	enum ring_life life;             /* (r) to store; (a) */
	enum ring_attendance attendance; /* (r) to store; (a) */
	/* (a) eventfd for those who poll the ring's descriptor, or -1 */
	int poll_fd;
	u32 wakers;           /* (a) threads that push task work at this moment */
	u32 callers;          /* (a) threads in a call of theirs, kept waiting for the lock */
	bool locked_for_fork; /* (o: the forking thread) by rings_fork_prepare() */
	/* (a) a request has polled its descriptor */
	u8 is_polled_by_rings;

	/* What every enter and every SQE touches, together. */
	u32 setup_flags; /* (c) */
	/* (r) SINGLE_ISSUER: the only thread that may submit; 0 not yet known */
	u32 submitter_tid;
	bool is_disabled; /* (r) R_DISABLED and not yet enabled */
	/* (r) inside a batch: inline completions are counted, AIO is staged */
	bool is_submitting;
	bool drain_active, drain_next, drain_disabled; /* (r) */
	bool event_is_due; /* (r) a CQE was posted since event_fd was last signalled */
	/* (r) event_fd is signalled only for CQEs not posted while submitting */
	bool event_async_only;
	/* (r) DEFER_TASKRUN: something can be run, and those who asked were told */
	bool deferred_is_ready;
	struct sq sq;
	u32 sleepers;    /* (r) threads inside the wait */
	int event_fd;    /* (r) registered eventfd: a private duplicate, or -1 */
	u32 releases;    /* (r) how often a request let go of the lock while it was issued */
	u64 enter_count; /* (r) calls of enter, for the reactor to see activity */
	struct stats_block *stats; /* (r) */
	struct ring_memory memory;
	struct cq cq;
	struct slab requests; /* (r) */

	/* Requests and their order (request.c, link.c) */
	struct request *link_head, *link_last; /* (r) the link that is being submitted */
	struct request *ready_head;            /* (r) QUEUED by the driver itself, oldest first */
	struct request **ready_tail;
	struct mpsc_queue task_work; /* (a) QUEUED by others */
	/* (r) HELD by a drain, in order, chained by ready_next */
	struct request *drain_head, **drain_tail;
	u32 drain_held; /* (r) requests behind the drain, their links included */

	/* Where requests wait */
	struct pending_table pending;    /* (r) */
	struct aio_queue aio;            /* (r) */
	bool waits_for_cache;            /* (r) a request of it waited for a page of our cache */
	bool ready_is_left;              /* (r) the last look left completions: no sleep now */
	struct heap timers;              /* (r) by CLOCK_MONOTONIC nanoseconds */
	struct list_node count_timeouts; /* (r) TIMEOUTs that wait for a number of CQEs (timer.c) */
	/* (r) CQEs, less those of timeouts, when the list was last looked at */
	u32 count_flushed;
	u32 count_cqes;                    /* (r) CQEs posted, less those of timeouts */
	struct poll_target **poll_targets; /* (r) by descriptor number; NULL until needed */
	struct slab poll_slab;             /* (r) of struct poll_target */
	/* (r) provided buffers by group (buffers.c); NULL until needed */
	struct buffer_group *buffer_groups;
	u32 buffer_rings_mapped;               /* (r) groups whose memory is a mapping of ours */
	struct slab buffer_slab;               /* (r) of struct provided_buffer */
	struct slab alloc[RING_ALLOC_CLASSES]; /* (r) ring_alloc() */

	/* Waiting and waking (wait.c, reactor.c) */
	struct ring_events events;
	/* (a) somebody sleeps on epoll_fd: task work must write wake_fd */
	u32 wants_wake;
	struct ring_await await; /* (r) to store */
	u32 kicks;               /* (r) sleepers that have not looked since CQEs were posted */
	u32 kick_round;          /* (r) counts the posts that found sleepers */
	u64 slept_until;         /* (r) a sleeper wakes by then; TIMER_NEVER: none may */
	u32 enters_since_poll;   /* (r) enters since the events were last looked at */
	u32 idle_ticks;          /* (r) ticks of the reactor without an enter */
	u64 tick_enter_count;    /* (r) enter_count at the last tick */
	u64 watched_until;       /* (r) ATTEND_EPOLL: when the reactor wakes for a timer */

	/* Registered things (resource.c, syscall/register.c) */
	struct resource_table files, buffers; /* (r) */
	struct slab resource_slab;            /* (r) of struct resource */
	struct restrictions restrictions;     /* (r) */
	struct ring_region region;            /* (r) */
	bool waits_by_boottime;               /* (r) enter's absolute times are of CLOCK_BOOTTIME */

	/* Its creator's workers, or, of SQPOLL, its own. (c) */
	struct punt_pool *pool;
	/* (r) IORING_REGISTER_IOWQ_MAX_WORKERS: of threads that have no pool yet; 0: not set */
	u32 worker_limits[2];

	/* The descriptor (syscall/descriptor.c) */
	int fd;              /* (r) one name of it, -1: registered only */
	u32 names;           /* (r) descriptors and registered-ring slots that name it */
	u64 inode;           /* (c) of the memfd: tells whether a number still is this ring */
	bool poll_fd_is_set; /* (r) */

	/* SQPOLL (reactor.c) */
	u64 sq_idle_ns;      /* (c) */
	u64 sq_active_ns;    /* (r) when an SQE was last seen */
	u32 sq_space_wanted; /* (a) a program waits in SQ_WAIT: futex */
	u32 sq_waiters;      /* (r) threads that do */
};

static inline void ring_lock(struct ring *ring)
{
	biased_lock_acquire(&ring->lock);
}

static inline bool ring_lock_try(struct ring *ring)
{
	return biased_lock_acquire_try(&ring->lock);
}

static inline void ring_unlock(struct ring *ring)
{
	biased_lock_release(&ring->lock);
}

static inline bool ring_is_mine(const struct ring *ring)
{
	return biased_lock_is_mine(&ring->lock);
}

static inline bool ring_is_deferred(const struct ring *ring)
{
	return ring->setup_flags & IORING_SETUP_DEFER_TASKRUN;
}

static inline bool ring_is_sqpoll(const struct ring *ring)
{
	return ring->setup_flags & IORING_SETUP_SQPOLL;
}

/* Driver. The request runs when the driver next comes to ring_run(). State QUEUED. */
void ring_ready_add(struct ring *ring, struct request *req);

/* Driver. Posts a CQE that belongs to no request (a resource's tag). */
void ring_post(struct ring *ring, u64 user_data, s32 result, u32 cqe_flags, const u64 *extra);

/* Driver. Runs task work until there is none; no system call but those of the requests
 * themselves. */
void ring_run(struct ring *ring);

/* Driver. Makes posted CQEs visible: tail, backlog, registered eventfd, pollers, other sleepers. */
void ring_commit(struct ring *ring);

/* Driver, who is no program's thread of this ring: the same for a message, and the lock is released
 * before anybody is woken, who would need it. */
void ring_commit_message(struct ring *ring);

/* Driver. Moves what fits from the backlog into the CQ, and shows it. */
void ring_flush_backlog(struct ring *ring);

/* Driver. Memory for an operation's copies, freed with the same size; NULL if there is none. */
void *ring_alloc(struct ring *ring, size_t size);
void ring_free_memory(struct ring *ring, void *ptr, size_t size);

static inline void ring_free(struct ring *ring, void *ptr, size_t size)
{
	if (unlikely(ptr != NULL))
		ring_free_memory(ring, ptr, size);
}

/* Nothing waits, is to be run, or has to be moved to the CQ: what was posted is all there is. */
static inline bool ring_is_quiet(const struct ring *ring)
{
	return ring->requests.used == 0 && ring->cq.backlog_count == 0 && !ring->cq.is_dropped;
}

/* How many CQEs posted now go into the CQ, not into the backlog. */
static inline u32 ring_cq_room(const struct ring *ring)
{
	u32 ready = cq_ready(&ring->cq, &ring->memory);

	/* The program may have moved its head anywhere. */
	if (ring->cq.backlog_count > 0 || ready >= ring->memory.cq_entries)
		return 0;
	return ring->memory.cq_entries - ready;
}

static inline bool ring_cq_has_room(const struct ring *ring)
{
	return ring_cq_room(ring) > 0;
}

/* Whether anything of the ring can complete without the program. */
static inline bool ring_has_pending(const struct ring *ring)
{
	return ring->pending.count > 0;
}

#endif

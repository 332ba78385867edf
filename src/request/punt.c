/*
 * punt.c - the punt pool: threads for calls that can only block
 *
 * A pool is a thread's: of the works that it submits. It has the thread's limits, and nothing that
 * another thread's works block in is in its way. An SQPOLL ring has one of its own.
 *
 * Entry:       punt_queue(), punt_cancel(), punt_interrupt() from a ring's driver; worker_main()
 * Invariants:  U1 a work is in one list, and that by its state: QUEUED in its class's queue,
 *                 HELD in its lane's; whoever unlinks it under the lock owns it
 *              U2 a class with queued work has a worker: one stays until the queue is empty
 *              U3 a lane is busy exactly while one work of it is QUEUED or RUNNING
 *              U4 worker->work is set, and punt_interrupt() may signal the worker, exactly while
 *                 that work is RUNNING; before the worker takes other work the signal has been
 *                 handled (interrupt_settle())
 *              U5 after done() a worker does not touch the work: it may be freed
 *              U6 a pool is used again only without workers (so, by U2 and U3, without works) and
 *                 when no ring names it and its thread has ended; pools are never freed
 * Locks:       punt_lock, one for all pools: a leaf, taken with ring locks held; run() and done()
 *              are called without
 * The kernel:  io-wq, one of each task that uses rings; its hashed work is our lanes
 * Not here:    which operations come here, and what done() leads to (op/, request/)
 */
#include "request/punt.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#include "base/lock.h"
#include "base/pages.h"
#include "host/futex.h"
#include "host/interrupt.h"
#include "host/kernel.h"
#include "host/thread.h"
#include "observe/stats.h"

#define IDLE_NS (5 * NS_PER_SEC)

/* Workers of all pools, whatever their limits: a stack takes two mappings of memory, and a process
 * has 65530. A class without any may have its first all the same (U2). */
#define WORKERS_LIMIT 4096

/* Pools of threads that are looked at for one to be used again, each time that one is wanted. */
#define POOLS_LOOKED_AT 8

/* Keys that share a lane wait for each other without need: it costs time, and nothing else. */
#define LANES 64

enum { BOUNDED, UNBOUNDED, CLASSES };

struct punt_class {
	struct punt_pool *pool; /* (c) */
	struct list_node queue; /* (lock) PUNT_QUEUED, oldest first */
	struct list_node idle;  /* (lock) workers that sleep, the last to fall asleep first */
	u32 workers;            /* (lock) */
	u32 limit;              /* (lock) as it is told; see workers_allowed() */
};

/* Works whose keys fall into one lane run one after another. */
struct punt_lane {
	struct list_node held; /* (lock) PUNT_HELD, oldest first; next is NULL until first used */
	bool is_busy;          /* (lock) */
};

/* Lives on its thread's stack. */
struct punt_worker {
	struct list_node node;      /* (lock) in class->idle */
	struct punt_class *class;   /* (c) */
	struct punt_work *work;     /* (lock) what it runs */
	struct interrupt interrupt; /* see interrupt.h */
	u32 is_woken;               /* (a) it sleeps on this; set with the worker unlinked */
	bool is_retired;            /* (lock) it is to end, and is counted no more */
	u32 moves;                  /* (o) pool.moves that it has followed */
};

struct punt_pool {
	struct punt_pool *next; /* (c) in all_pools */
	struct punt_class classes[CLASSES];
	struct punt_lane lanes[LANES];
	u32 rings;                /* (lock) that name it, punt_pool_get() */
	u32 owner;                /* (lock) its thread; 0: none */
	u32 moves;                /* (lock) how often the processors were set */
	u64 cpus[PUNT_CPU_WORDS]; /* (lock) which; workers follow before their next work */
};

static struct lock punt_lock;
static struct punt_pool *all_pools;  /* (lock) to add; the newest first */
static struct punt_pool *pools_hand; /* (lock) the next to be looked at for use again */
static u32 all_workers;              /* (lock) of all pools */
static u64 worker_idle_ns = IDLE_NS; /* (a) */

static __thread struct punt_pool *pool_of_thread __attribute__((tls_model("initial-exec")));
static __thread struct punt_worker *worker_of_thread __attribute__((tls_model("initial-exec")));

static void *worker_main(void *argument);

static struct punt_lane *lane_of(const struct punt_work *work)
{
	struct punt_lane *lane;

	if (work->serial_key == 0)
		return NULL;
	/* Fibonacci hashing: the top six bits of the product. */
	lane = &work->class->pool->lanes[work->serial_key * 0x9e3779b97f4a7c15ull >> 58];
	if (lane->held.next == NULL)
		list_init(&lane->held);
	return lane;
}

/* One even where the user may have no process more (RLIMIT_NPROC is 0): without any, works would
 * wait for ever. In the kernel they do, but there fewer need a worker. */
static u32 workers_allowed(const struct punt_class *class)
{
	return max_of(class->limit, 1u);
}

static bool can_add_worker(const struct punt_class *class)
{
	return class->workers < workers_allowed(class) &&
	       (all_workers < WORKERS_LIMIT || class->workers == 0);
}

/* Adds a worker if the class may have one more. 0, or -errno and there is none at all. */
static int worker_add_locked(struct punt_class *class)
{
	int err;

	if (!can_add_worker(class))
		return 0;
	class->workers++;
	all_workers++;
	err = thread_start(worker_main, class);
	if (err) {
		class->workers--;
		all_workers--;
		return class->workers > 0 ? 0 : err;
	}
	stats_peak_process(COUNTER_PUNT_THREADS_PEAK, all_workers);
	return 0;
}

/* Unlinks a sleeping worker and wakes it; it comes to the lock. */
static void worker_wake_locked(struct punt_worker *worker)
{
	list_del(&worker->node);
	store_release(&worker->is_woken, 1);
	futex_wake(&worker->is_woken, 1);
}

/* Queues the work and sees to it that somebody takes it. 0, or -errno and it is not queued. */
static int enqueue_locked(struct punt_work *work)
{
	struct punt_class *class = work->class;

	if (!list_is_empty(&class->idle)) {
		worker_wake_locked(list_first(&class->idle, struct punt_worker, node));
	} else {
		int err = worker_add_locked(class);

		if (err)
			return err;
	}
	list_add_tail(&class->queue, &work->node);
	work->state = PUNT_QUEUED;
	return 0;
}

/* The lane's present work is over or cancelled: the next one's turn. */
static void lane_release_locked(const struct punt_work *work)
{
	struct punt_lane *lane = lane_of(work);
	struct punt_work *next;

	if (lane == NULL)
		return;
	rs_assert(lane->is_busy);
	if (list_is_empty(&lane->held)) {
		lane->is_busy = false;
		return;
	}
	next = list_first(&lane->held, struct punt_work, node);
	list_del(&next->node);
	/* Cannot fail: both are bounded, having keys, so their class has a worker (U2). */
	rs_assert(enqueue_locked(next) == 0);
}

int punt_queue(struct punt_pool *pool, struct punt_work *work, bool is_bounded)
{
	struct punt_lane *lane;
	int err = 0;

	rs_assert(work->serial_key == 0 || is_bounded);
	lock_acquire(&punt_lock);
	rs_assert(work->state == PUNT_IDLE);
	work->class = &pool->classes[is_bounded ? BOUNDED : UNBOUNDED];
	lane = lane_of(work);
	if (lane && lane->is_busy) {
		list_add_tail(&lane->held, &work->node);
		work->state = PUNT_HELD;
	} else {
		err = enqueue_locked(work);
		if (lane && !err)
			lane->is_busy = true;
	}
	lock_release(&punt_lock);
	return err ? -EAGAIN : 0;
}

bool punt_cancel(struct punt_work *work)
{
	bool is_ours = false;

	lock_acquire(&punt_lock);
	if (work->state == PUNT_QUEUED || work->state == PUNT_HELD) {
		list_del(&work->node);
		if (work->state == PUNT_QUEUED)
			lane_release_locked(work);
		work->state = PUNT_IDLE;
		is_ours = true;
	}
	lock_release(&punt_lock);
	return is_ours;
}

bool punt_interrupt(struct punt_work *work)
{
	bool is_running;

	lock_acquire(&punt_lock);
	is_running = work->state == PUNT_RUNNING;
	if (is_running) {
		rs_assert(work->worker->work == work);
		interrupt_send(&work->worker->interrupt);
	}
	lock_release(&punt_lock);
	return is_running;
}

bool punt_is_interrupted(void)
{
	return worker_of_thread && load_relaxed(&worker_of_thread->interrupt.is_requested);
}

long punt_call_array(long nr, const long args[6])
{
	if (worker_of_thread == NULL)
		return host_call(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
	return interrupt_call(&worker_of_thread->interrupt, nr, args);
}

/* A new one, too: its thread has begun on the processors of the thread that started it. */
static void worker_move_locked(struct punt_worker *self)
{
	const struct punt_pool *pool = self->class->pool;

	if (likely(self->moves == pool->moves))
		return;
	self->moves = pool->moves;
	host_call(SYS_sched_setaffinity, 0, sizeof(pool->cpus), pool->cpus);
}

/* Takes the oldest work and runs it. Called and left with the lock held, which it drops between. */
static void worker_run_locked(struct punt_worker *self)
{
	struct punt_work *work = list_first(&self->class->queue, struct punt_work, node);

	list_del(&work->node);
	interrupt_open(&self->interrupt);
	work->state = PUNT_RUNNING;
	work->worker = self;
	self->work = work;
	worker_move_locked(self);
	lock_release(&punt_lock);

	work->run(work);

	lock_acquire(&punt_lock);
	self->work = NULL;
	work->worker = NULL;
	work->state = PUNT_IDLE;
	lane_release_locked(work);
	lock_release(&punt_lock);

	interrupt_settle(&self->interrupt);
	work->done(work);
	lock_acquire(&punt_lock);
}

/* Sleeps until woken for work; false: none came for idle_ns. */
static bool worker_sleep_locked(struct punt_worker *self)
{
	int err;

	list_add(&self->class->idle, &self->node);
	store_relaxed(&self->is_woken, 0);
	do {
		lock_release(&punt_lock);
		err = futex_wait(&self->is_woken, 0, load_relaxed(&worker_idle_ns));
		lock_acquire(&punt_lock);
	} while (!load_relaxed(&self->is_woken) && err != -ETIMEDOUT);
	list_del(&self->node);
	return load_relaxed(&self->is_woken);
}

static void *worker_main(void *argument)
{
	struct punt_worker self = {.class = argument};
	struct punt_class *class = self.class;

	thread_set_name("ringside/punt");
	list_init(&self.node);
	worker_of_thread = &self;
	lock_acquire(&punt_lock);
	while (!self.is_retired) {
		if (!list_is_empty(&class->queue)) {
			worker_run_locked(&self);
			/* Not before: one that was woken is counted on to take the work. */
			if (class->workers > workers_allowed(class))
				break;
		} else if (!worker_sleep_locked(&self) && list_is_empty(&class->queue)) {
			break;
		}
	}
	if (!self.is_retired) {
		class->workers--;
		all_workers--;
	}
	lock_release(&punt_lock);
	interrupt_close(&self.interrupt);
	worker_of_thread = NULL;
	return NULL;
}

/* The limit was raised: threads for what has waited for it. */
static void class_grow_locked(struct punt_class *class)
{
	struct list_node *node;

	list_for_each (node, &class->queue) {
		if (!can_add_worker(class) || worker_add_locked(class))
			break;
	}
}

/* The limit was lowered: sleepers go at once, those that work when they have finished. */
static void class_shrink_locked(struct punt_class *class)
{
	while (class->workers > workers_allowed(class) && !list_is_empty(&class->idle)) {
		struct punt_worker *worker = list_last(&class->idle, struct punt_worker, node);

		worker->is_retired = true;
		class->workers--;
		all_workers--;
		worker_wake_locked(worker);
	}
}

/* RLIMIT_NPROC as the kernel's pool takes it: without a limit all bits are set. */
static u32 threads_allowed(void)
{
	struct rlimit limit = {.rlim_cur = RLIM_INFINITY};

	host_call(SYS_prlimit64, 0, RLIMIT_NPROC, NULL, &limit);
	return (u32)limit.rlim_cur;
}

void punt_limits(struct punt_pool *pool, const u32 limits[2], u32 old[2])
{
	u32 most = threads_allowed();

	lock_acquire(&punt_lock);
	for (int i = 0; i < CLASSES; i++) {
		struct punt_class *class = &pool->classes[i];

		/* As the kernel says it, also "no limit". */
		old[i] = class->limit > INT32_MAX ? 0 : class->limit;
		if (limits[i] == 0)
			continue;
		class->limit = min_of(limits[i], most);
		class_grow_locked(class);
		class_shrink_locked(class);
	}
	lock_release(&punt_lock);
}

static void pool_move_locked(struct punt_pool *pool, const u64 mask[PUNT_CPU_WORDS])
{
	memcpy(pool->cpus, mask, sizeof(pool->cpus));
	pool->moves++;
}

void punt_affinity(struct punt_pool *pool, const u64 mask[PUNT_CPU_WORDS])
{
	lock_acquire(&punt_lock);
	pool_move_locked(pool, mask);
	lock_release(&punt_lock);
}

static u32 usable_cpus(void)
{
	u64 mask[128] = {0}; /* 8192 CPUs, the kernel's largest configuration */
	long bytes = host_call(SYS_sched_getaffinity, 0, sizeof(mask), mask);
	u32 cpus = 0;

	for (long i = 0; i < bytes / (long)sizeof(mask[0]); i++)
		cpus += (u32)__builtin_popcountll(mask[i]);
	return max_of(cpus, 1u);
}

static bool is_unused(const struct punt_pool *pool)
{
	for (int i = 0; i < CLASSES; i++)
		if (pool->classes[i].workers > 0)
			return false;
	if (pool->rings > 0)
		return false;
	return pool->owner == 0 ||
	       host_call(SYS_tgkill, host_call(SYS_getpid), pool->owner, 0) == -ESRCH;
}

/* One that was another thread's, or a new one; NULL: no memory. */
static struct punt_pool *pool_find_locked(void)
{
	struct punt_pool *pool;

	for (int i = 0; i < POOLS_LOOKED_AT; i++) {
		pool = pools_hand ? pools_hand : all_pools;
		if (pool == NULL)
			break;
		pools_hand = pool->next;
		if (is_unused(pool))
			return pool;
	}
	pool = pages_alloc(sizeof(*pool));
	if (pool != NULL) {
		pool->next = all_pools;
		store_release(&all_pools, pool); /* a fork() may come at any time */
	}
	return pool;
}

static void pool_clear_locked(struct punt_pool *pool)
{
	pool->rings = 0;
	pool->owner = 0;
	for (int i = 0; i < CLASSES; i++) {
		struct punt_class *class = &pool->classes[i];

		*class = (struct punt_class){.pool = pool};
		list_init(&class->queue);
		list_init(&class->idle);
	}
	memset(pool->lanes, 0, sizeof(pool->lanes));
}

static struct punt_pool *pool_start_locked(u32 owner, u32 sq_entries)
{
	struct punt_pool *pool = pool_find_locked();
	u64 all[PUNT_CPU_WORDS];

	if (pool == NULL)
		return NULL;
	pool_clear_locked(pool);
	pool->owner = owner;
	pool->classes[BOUNDED].limit = min_of(sq_entries, 4 * usable_cpus());
	pool->classes[UNBOUNDED].limit = threads_allowed();
	memset(all, 0xff, sizeof(all));
	pool_move_locked(pool, all);
	return pool;
}

struct punt_pool *punt_pool_of_thread(void)
{
	return pool_of_thread;
}

struct punt_pool *punt_pool_start(u32 sq_entries)
{
	if (pool_of_thread != NULL)
		return pool_of_thread;
	lock_acquire(&punt_lock);
	pool_of_thread = pool_start_locked((u32)host_call(SYS_gettid), sq_entries);
	lock_release(&punt_lock);
	return pool_of_thread;
}

struct punt_pool *punt_pool_get(u32 sq_entries, bool is_own)
{
	struct punt_pool *pool = is_own ? NULL : punt_pool_start(sq_entries);

	lock_acquire(&punt_lock);
	if (is_own)
		pool = pool_start_locked(0, sq_entries);
	if (pool != NULL)
		pool->rings++;
	lock_release(&punt_lock);
	return pool;
}

void punt_pool_put(struct punt_pool *pool)
{
	lock_acquire(&punt_lock);
	rs_assert(pool->rings > 0);
	pool->rings--;
	lock_release(&punt_lock);
}

void punt_set_idle(u64 idle_ns)
{
	store_relaxed(&worker_idle_ns, idle_ns);
}

void punt_fork_child(void)
{
	punt_lock = LOCK_INIT;
	all_workers = 0;
	pools_hand = NULL;
	pool_of_thread = NULL;
	for (struct punt_pool *pool = all_pools; pool != NULL; pool = pool->next)
		pool_clear_locked(pool);
}

/*
 * punt.c - the punt pool: threads for calls that can only block
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
 * Locks:       pool.lock: a leaf, taken with ring locks held; run() and done() are called without
 * The kernel:  io-wq: there the pool is a task's, here the process's; its hashed work is our lanes
 * Not here:    which operations come here, and what done() leads to (op/, request/)
 */
#include "request/punt.h"

#include <string.h>

#include "base/lock.h"
#include "host/futex.h"
#include "host/interrupt.h"
#include "host/kernel.h"
#include "host/thread.h"
#include "observe/stats.h"

#define IDLE_NS (5 * NS_PER_SEC)

/* Threads that may be blocked for ever at a time. The kernel's limit is RLIMIT_NPROC. */
#define UNBOUNDED_LIMIT 256u

/* Keys that share a lane wait for each other without need: it costs time, and nothing else. */
#define LANES 64

enum { BOUNDED, UNBOUNDED, CLASSES };

struct punt_class {
	struct list_node queue; /* (lock) PUNT_QUEUED, oldest first */
	struct list_node idle;  /* (lock) workers that sleep, the last to fall asleep first */
	u32 workers;            /* (lock) */
	u32 limit;              /* (lock) at least 1 */
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

#define CLASS_INIT(which, most)                                                                    \
	{                                                                                          \
		.queue = {&pool.classes[which].queue, &pool.classes[which].queue},                 \
		.idle = {&pool.classes[which].idle, &pool.classes[which].idle}, .limit = (most)    \
	}

static struct punt_pool {
	struct lock lock;
	struct punt_class classes[CLASSES];
	struct punt_lane lanes[LANES];
	bool is_limit_set;        /* (lock) by punt_limits(): rings set up later do not change it */
	u32 workers;              /* (lock) of both classes */
	u32 moves;                /* (lock) how often punt_affinity() was called */
	u64 cpus[PUNT_CPU_WORDS]; /* (lock) the last one's; workers follow before their next work */
	u64 idle_ns;              /* (a) */
} pool = {
	.classes = {CLASS_INIT(BOUNDED, 1), CLASS_INIT(UNBOUNDED, UNBOUNDED_LIMIT)},
	.idle_ns = IDLE_NS,
};

static __thread struct punt_worker *worker_of_thread __attribute__((tls_model("initial-exec")));

static void *worker_main(void *argument);

static struct punt_class *class_of(const struct punt_work *work)
{
	return &pool.classes[work->is_bounded ? BOUNDED : UNBOUNDED];
}

static struct punt_lane *lane_of(const struct punt_work *work)
{
	struct punt_lane *lane;

	if (work->serial_key == 0)
		return NULL;
	/* Fibonacci hashing: the top six bits of the product. */
	lane = &pool.lanes[work->serial_key * 0x9e3779b97f4a7c15ull >> 58];
	if (lane->held.next == NULL)
		list_init(&lane->held);
	return lane;
}

/* Adds a worker if the class may have one more. 0, or -errno and there is none at all. */
static int worker_add_locked(struct punt_class *class)
{
	int err;

	if (class->workers >= class->limit)
		return 0;
	class->workers++;
	pool.workers++;
	err = thread_start(worker_main, class);
	if (err) {
		class->workers--;
		pool.workers--;
		return class->workers > 0 ? 0 : err;
	}
	stats_peak_process(COUNTER_PUNT_THREADS_PEAK, pool.workers);
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
	struct punt_class *class = class_of(work);

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

int punt_queue(struct punt_work *work, bool is_bounded)
{
	struct punt_lane *lane;
	int err = 0;

	rs_assert(work->serial_key == 0 || is_bounded);
	lock_acquire(&pool.lock);
	rs_assert(work->state == PUNT_IDLE);
	work->is_bounded = is_bounded;
	lane = lane_of(work);
	if (lane && lane->is_busy) {
		list_add_tail(&lane->held, &work->node);
		work->state = PUNT_HELD;
	} else {
		err = enqueue_locked(work);
		if (lane && !err)
			lane->is_busy = true;
	}
	lock_release(&pool.lock);
	return err ? -EAGAIN : 0;
}

bool punt_cancel(struct punt_work *work)
{
	bool is_ours = false;

	lock_acquire(&pool.lock);
	if (work->state == PUNT_QUEUED || work->state == PUNT_HELD) {
		list_del(&work->node);
		if (work->state == PUNT_QUEUED)
			lane_release_locked(work);
		work->state = PUNT_IDLE;
		is_ours = true;
	}
	lock_release(&pool.lock);
	return is_ours;
}

bool punt_interrupt(struct punt_work *work)
{
	bool is_running;

	lock_acquire(&pool.lock);
	is_running = work->state == PUNT_RUNNING;
	if (is_running) {
		rs_assert(work->worker->work == work);
		interrupt_send(&work->worker->interrupt);
	}
	lock_release(&pool.lock);
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

static void worker_move_locked(struct punt_worker *self)
{
	if (likely(self->moves == pool.moves))
		return;
	self->moves = pool.moves;
	host_call(SYS_sched_setaffinity, 0, sizeof(pool.cpus), pool.cpus);
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
	lock_release(&pool.lock);

	work->run(work);

	lock_acquire(&pool.lock);
	self->work = NULL;
	work->worker = NULL;
	work->state = PUNT_IDLE;
	lane_release_locked(work);
	lock_release(&pool.lock);

	interrupt_settle(&self->interrupt);
	work->done(work);
	lock_acquire(&pool.lock);
}

/* Sleeps until woken for work; false: none came for idle_ns. */
static bool worker_sleep_locked(struct punt_worker *self)
{
	int err;

	list_add(&self->class->idle, &self->node);
	store_relaxed(&self->is_woken, 0);
	do {
		lock_release(&pool.lock);
		err = futex_wait(&self->is_woken, 0, load_relaxed(&pool.idle_ns));
		lock_acquire(&pool.lock);
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
	lock_acquire(&pool.lock);
	while (!self.is_retired) {
		if (!list_is_empty(&class->queue)) {
			worker_run_locked(&self);
			/* Not before: one that was woken is counted on to take the work. */
			if (class->workers > class->limit)
				break;
		} else if (!worker_sleep_locked(&self) && list_is_empty(&class->queue)) {
			break;
		}
	}
	if (!self.is_retired) {
		class->workers--;
		pool.workers--;
	}
	lock_release(&pool.lock);
	interrupt_close(&self.interrupt);
	worker_of_thread = NULL;
	return NULL;
}

/* The limit was raised: threads for what has waited for it. */
static void class_grow_locked(struct punt_class *class)
{
	struct list_node *node;

	list_for_each (node, &class->queue) {
		if (class->workers >= class->limit || worker_add_locked(class))
			break;
	}
}

/* The limit was lowered: sleepers go at once, those that work when they have finished. */
static void class_shrink_locked(struct punt_class *class)
{
	while (class->workers > class->limit && !list_is_empty(&class->idle)) {
		struct punt_worker *worker = list_last(&class->idle, struct punt_worker, node);

		worker->is_retired = true;
		class->workers--;
		pool.workers--;
		worker_wake_locked(worker);
	}
}

void punt_limits(const u32 limits[2], u32 old[2])
{
	lock_acquire(&pool.lock);
	for (int i = 0; i < CLASSES; i++) {
		old[i] = pool.classes[i].limit;
		if (limits[i] == 0)
			continue;
		pool.classes[i].limit = limits[i];
		pool.is_limit_set = true;
		class_grow_locked(&pool.classes[i]);
		class_shrink_locked(&pool.classes[i]);
	}
	lock_release(&pool.lock);
}

void punt_affinity(const u64 mask[PUNT_CPU_WORDS])
{
	lock_acquire(&pool.lock);
	memcpy(pool.cpus, mask, sizeof(pool.cpus));
	pool.moves++;
	lock_release(&pool.lock);
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

void punt_ring_created(u32 sq_entries)
{
	u32 limit = min_of(sq_entries, 4 * usable_cpus());

	lock_acquire(&pool.lock);
	if (!pool.is_limit_set)
		pool.classes[BOUNDED].limit = max_of(pool.classes[BOUNDED].limit, limit);
	lock_release(&pool.lock);
}

void punt_set_idle(u64 idle_ns)
{
	store_relaxed(&pool.idle_ns, idle_ns);
}

void punt_fork_child(void)
{
	pool.lock = LOCK_INIT;
	pool.workers = 0;
	for (int i = 0; i < CLASSES; i++) {
		list_init(&pool.classes[i].queue);
		list_init(&pool.classes[i].idle);
		pool.classes[i].workers = 0;
	}
	for (int i = 0; i < LANES; i++) {
		list_init(&pool.lanes[i].held);
		pool.lanes[i].is_busy = false;
	}
}

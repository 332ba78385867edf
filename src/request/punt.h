/*
 * punt.h - the punt pool: threads for calls that can only block
 *
 * Work is bounded (it ends by itself: file system calls) or unbounded (it may
 * block for ever: a read of a tty, an accept). Each kind has its own threads
 * and its own limit, so the second cannot starve the first.
 *
 *                 punt_queue()                    taken by a worker
 *   PUNT_IDLE ---------------------> PUNT_QUEUED -------------------> PUNT_RUNNING
 *     ^    |                          ^   |                              |
 *     |    | key in use               |   | punt_cancel() == true        | run() returned;
 *     |    +----------> PUNT_HELD ----+   |                              | then done()
 *     |                     |  its turn   |                              |
 *     +---------------------+-------------+------------------------------+
 */
#ifndef RS_REQUEST_PUNT_H
#define RS_REQUEST_PUNT_H

#include "base/list.h"
#include "base/types.h"

enum punt_state {
	PUNT_IDLE,    /* owner: the caller */
	PUNT_HELD,    /* owner: the pool; work of the same key goes first */
	PUNT_QUEUED,  /* owner: the pool */
	PUNT_RUNNING, /* owner: a worker */
};

/*
 * Lives in a request, from punt_queue() until done() is called or punt_cancel()
 * returns true. run() and done() are called on a worker's thread with no lock
 * held, done() in state PUNT_IDLE.
 */
struct punt_work {
	struct list_node node;                /* (q) the pool's lock */
	void (*run)(struct punt_work *work);  /* (c) makes the calls, keeps the result */
	void (*done)(struct punt_work *work); /* (c) hands it back, may free it */
	struct punt_class *class;             /* (q) whose it is, but in PUNT_IDLE */
	struct punt_worker *worker;           /* (q) while PUNT_RUNNING */
	u64 serial_key;                       /* (c) works of one key run one by one; 0: free */
	u8 state;                             /* (q) enum punt_state */
};

static inline void punt_work_init(struct punt_work *work, void (*run)(struct punt_work *),
				  void (*done)(struct punt_work *), u64 serial_key)
{
	*work = (struct punt_work){.run = run, .done = done, .serial_key = serial_key};
	list_init(&work->node);
}

/* For run(): whether a worker called it, or who queued it, for want of one. */
static inline bool punt_is_on_worker(const struct punt_work *work)
{
	return work->worker != NULL;
}

/* The calling thread's pool, or NULL: it has none. */
struct punt_pool *punt_pool_of_thread(void);

/*
 * The same, made if it has none: its bounded limit is then min(sq_entries, 4 * CPUs), the other
 * RLIMIT_NPROC. NULL: no memory. It stays the thread's until the thread ends.
 */
struct punt_pool *punt_pool_start(u32 sq_entries);

/* A new ring of the calling thread names a pool, until punt_pool_put(): the thread's, or one of
 * its own. NULL: no memory. */
struct punt_pool *punt_pool_get(u32 sq_entries, bool is_own);
void punt_pool_put(struct punt_pool *pool);

/*
 * The pool's thread, or the driver of a ring that names it. 0, or -EAGAIN: there is no worker
 * and no thread can be made; the caller owns `work` and may run it itself. Work with a
 * serial_key is bounded.
 */
int punt_queue(struct punt_pool *pool, struct punt_work *work, bool is_bounded);

/* True: it had not begun, the caller owns it, and neither run() nor done() is called. */
bool punt_cancel(struct punt_work *work);

/*
 * Makes the punt_call() that `work` is in, and each later one of this work, return -EINTR.
 * True if it was running. It never reaches other work, and never a handler of the program's.
 * The caller knows that `work` is not yet freed.
 */
bool punt_interrupt(struct punt_work *work);

/* Whether punt_interrupt() was called for the work that runs on this thread. For run(). */
bool punt_is_interrupted(void);

/*
 * One system call from run(), like host_call(), that punt_interrupt() can end.
 * A call that was not begun when the interrupt came returns -EINTR and has done nothing.
 * On a thread that is no worker's (work run by the caller) it is host_call().
 */
long punt_call_array(long nr, const long args[6]);

#define PUNT_ARG(a)                                       ((long)(a))
#define PUNT_ARGS_PICK(_1, _2, _3, _4, _5, _6, name, ...) name
#define PUNT_ARGS_1(a)                                    PUNT_ARG(a)
#define PUNT_ARGS_2(a, ...)                               PUNT_ARG(a), PUNT_ARGS_1(__VA_ARGS__)
#define PUNT_ARGS_3(a, ...)                               PUNT_ARG(a), PUNT_ARGS_2(__VA_ARGS__)
#define PUNT_ARGS_4(a, ...)                               PUNT_ARG(a), PUNT_ARGS_3(__VA_ARGS__)
#define PUNT_ARGS_5(a, ...)                               PUNT_ARG(a), PUNT_ARGS_4(__VA_ARGS__)
#define PUNT_ARGS_6(a, ...)                               PUNT_ARG(a), PUNT_ARGS_5(__VA_ARGS__)

/* punt_call(SYS_name, one to six arguments) */
#define punt_call(nr, ...)                                                                         \
	punt_call_array((nr),                                                                      \
			(const long[6]){PUNT_ARGS_PICK(__VA_ARGS__, PUNT_ARGS_6, PUNT_ARGS_5,      \
						       PUNT_ARGS_4, PUNT_ARGS_3, PUNT_ARGS_2,      \
						       PUNT_ARGS_1, 0)(__VA_ARGS__)})

/* As IORING_REGISTER_IOWQ_MAX_WORKERS: indices IO_WQ_BOUND and IO_WQ_UNBOUND; gives back what the
 * limits were, sets those that are not 0 in `limits`. */
void punt_limits(struct punt_pool *pool, const u32 limits[2], u32 old[2]);

#define PUNT_CPU_WORDS 16 /* of 64 processors each */

/* IORING_REGISTER_IOWQ_AFF: the workers run on these processors from now on. */
void punt_affinity(struct punt_pool *pool, const u64 mask[PUNT_CPU_WORDS]);

/* How long a worker stays without work; for tests. */
void punt_set_idle(u64 idle_ns);

/* In the child of a fork(): the workers and all work stayed with the parent. */
void punt_fork_child(void);

#endif

/*
 * lock.h - the lock of ringside: a futex word that knows its owner
 *
 * Uncontended, taking and releasing it are one atomic operation each and no
 * system call. The word is the owner's thread id, so that lock_is_mine() can be
 * asserted, and so that a signal handler that calls into ringside while its
 * own thread is inside can be told apart from contention. Both change in one
 * instruction: there is none at which a thread has the lock and does not know it.
 *
 * States of `word`: 0 free, else the holder's thread id, with LOCK_SLEEPERS if
 * somebody sleeps on it.
 * The kernel's counterpart: ctx->uring_lock, a mutex; a signal handler cannot
 * find it held, because handlers run in user mode only.
 */
#ifndef RS_BASE_LOCK_H
#define RS_BASE_LOCK_H

#include "base/assert.h"
#include "base/atomic.h"
#include "base/types.h"

#define LOCK_SLEEPERS (1u << 31) /* thread ids are smaller */

struct lock {
	u32 word; /* (a) */
};

#define LOCK_INIT ((struct lock){0})

extern __thread u32 lock_thread_id __attribute__((tls_model("initial-exec")));

/* Fills lock_thread_id; returns it. */
u32 lock_thread_id_slow(void);

static inline u32 thread_id(void)
{
	u32 tid = lock_thread_id;

	return likely(tid) ? tid : lock_thread_id_slow();
}

void lock_acquire_slow(struct lock *lock);
void lock_wake_one(struct lock *lock);

static inline bool lock_is_mine(const struct lock *lock)
{
	return (load_relaxed(&lock->word) & ~LOCK_SLEEPERS) == thread_id();
}

static inline bool lock_acquire_try(struct lock *lock)
{
	u32 expected = 0;

	return compare_exchange_acquire(&lock->word, &expected, thread_id());
}

/* Pairs with lock_release(). Not recursive: asserts that the caller does not hold it. */
static inline void lock_acquire(struct lock *lock)
{
	if (likely(lock_acquire_try(lock)))
		return;
	rs_assert(!lock_is_mine(lock));
	lock_acquire_slow(lock);
}

static inline void lock_release(struct lock *lock)
{
	rs_assert(lock_is_mine(lock));
	if (unlikely(exchange_release(&lock->word, 0) & LOCK_SLEEPERS))
		lock_wake_one(lock);
}

#endif

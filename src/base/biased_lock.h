/*
 * biased_lock.h - a lock that costs its usual owner no atomic operation
 *
 * A ring is nearly always entered by one thread, and what it does there may take
 * less time than two atomic operations. So the lock can be biased to a thread:
 * that one takes it by a plain store to `inside` and a look at `revoked`. Any
 * other thread takes the ordinary lock, sets `revoked`, makes every thread pass a
 * full barrier (membarrier(2)), and waits until the owner is outside:
 *
 *     the owner              another, with `word` held
 *     inside = 1             revoked = 1
 *     (compiler barrier)     barrier in all threads
 *     revoked? then retreat  inside? then wait
 *
 * At least one sees the other's store, so they are never both inside. The same
 * holds on the way out: inside = 0, then a look at `revoked` tells the owner whether
 * somebody is to be woken.
 *
 * The bias is given once, after BIAS_AFTER acquisitions in a row by one thread, and
 * never moves to another: a lock whose bias costs more than it saves loses it for
 * good (`revoked` stays set). So a thread that saw an old bias cannot be wrong.
 *
 * A signal handler may run at any instruction of this. Its thread has the lock from the
 * instruction that stores `inside`, or that takes `word`, and biased_lock_is_mine() says so from
 * there on: a word beside them that named the owner would be late by some instructions, in which
 * the handler would take the lock once more and release it under its thread's feet.
 *
 * Invariants:  B1 the holder is `bias` if inside is 1 and revoked was 0, else who holds `word`
 *              B2 `bias` changes from 0 to a thread once, and only with `word` held
 *              B3 inside is stored by the thread `bias` only
 * ThreadSanitizer does not know membarrier(2): built for it, no lock is ever biased.
 */
#ifndef RS_BASE_BIASED_LOCK_H
#define RS_BASE_BIASED_LOCK_H

#include "base/lock.h"

struct biased_lock {
	u32 bias;         /* (a) thread that may take it by `inside`, or 0 */
	u32 inside;       /* (a) 1: the biased thread holds it */
	u32 revoked;      /* (a) 1: it must take `word` like everybody else */
	struct lock word; /* held by every holder but the one that is `inside` */
	u32 candidate;    /* (holder) who took it last */
	u32 streak;       /* (holder) how often in a row */
	u32 revocations;  /* (holder) */
};

#define BIASED_LOCK_INIT ((struct biased_lock){0})

void biased_lock_acquire_slow(struct biased_lock *lock);
void biased_lock_release_slow(struct biased_lock *lock);
void biased_lock_wake_revoker(struct biased_lock *lock);
/* The owner stored `inside` and found that it may not. */
void biased_lock_retreat(struct biased_lock *lock);

static inline bool biased_lock_is_mine(const struct biased_lock *lock)
{
	if (load_relaxed(&lock->inside) && load_relaxed(&lock->bias) == thread_id())
		return true;
	return lock_is_mine(&lock->word);
}

/* Not recursive: asserted. Pairs with biased_lock_release(). */
static inline void biased_lock_acquire(struct biased_lock *lock)
{
	u32 self = thread_id();

	/* A bias that was lost for good costs one look. */
	if (likely(load_relaxed(&lock->bias) == self && !load_relaxed(&lock->revoked))) {
		rs_assert(!biased_lock_is_mine(lock));
		store_relaxed(&lock->inside, 1);
		barrier_compiler(); /* the processor's barrier is in biased_lock_revoke() */
		if (likely(!load_acquire(&lock->revoked)))
			return;
		biased_lock_retreat(lock);
	}
	biased_lock_acquire_slow(lock);
}

static inline void biased_lock_release(struct biased_lock *lock)
{
	if (likely(load_relaxed(&lock->inside) && load_relaxed(&lock->bias) == thread_id())) {
		store_release(&lock->inside, 0);
		barrier_compiler(); /* as above */
		if (unlikely(load_relaxed(&lock->revoked)))
			biased_lock_wake_revoker(lock);
		return;
	}
	biased_lock_release_slow(lock);
}

/* Whether it is the calling thread's to take without an atomic instruction, as it seems now. */
static inline bool biased_lock_is_biased_here(const struct biased_lock *lock)
{
	return load_relaxed(&lock->bias) == thread_id() && !load_relaxed(&lock->revoked);
}

/* False if anybody holds it. Does not wait. */
bool biased_lock_acquire_try(struct biased_lock *lock);

/* The holder takes it again and again: after BIAS_AFTER calls in a row by one thread it is
 * biased to it. Not for locks that several threads take often. */
void biased_lock_may_bias(struct biased_lock *lock);

#endif

/*
 * biased_lock.c - taking a biased lock from its owner (see biased_lock.h)
 */
#include "base/biased_lock.h"

#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/raw.h"

#if defined(__SANITIZE_THREAD__)
#define CAN_BIAS false
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CAN_BIAS false
#endif
#endif
#ifndef CAN_BIAS
#define CAN_BIAS true
#endif

#define BIAS_AFTER 16
/* More than this, and the bias costs more than it saves. */
#define REVOCATIONS_MAX 1000
#define SPINS           200

static long membarrier(int command)
{
	return raw_syscall3(SYS_membarrier, command, 0, 0);
}

/* The program forbade itself membarrier(2) after the bias was given (a late seccomp filter). A
 * millisecond holds a timer interrupt or a context switch for whoever runs: its stores are out
 * by then. */
static RS_COLD void barrier_by_time(void)
{
	struct timespec millisecond = {.tv_nsec = 1000000};

	raw_syscall4(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, (long)&millisecond, 0);
	barrier_full();
}

/* The biased thread is kept out from now on, and is outside when this returns true. With `wait`
 * false it may return false: the thread is inside, and nothing has changed. The caller holds
 * `word`. */
static bool biased_lock_revoke(struct biased_lock *lock, bool wait)
{
	if (load_relaxed(&lock->bias) == 0 || load_relaxed(&lock->revoked))
		return true; /* not biased, or no longer */
	store_relaxed(&lock->revoked, 1);
	barrier_full();
	if (membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED))
		barrier_by_time();
	for (int spin = 0; load_acquire(&lock->inside); spin++) {
		if (!wait) {
			store_release(&lock->revoked, 0);
			return false;
		}
		if (spin < SPINS)
			cpu_relax();
		else
			raw_syscall4(SYS_futex, (long)&lock->inside, FUTEX_WAIT_PRIVATE, 1, 0);
	}
	return true;
}

/* The owner may take it by `inside` again; unless that was asked for too often. */
static void biased_lock_rebias(struct biased_lock *lock)
{
	if (lock->bias != 0 && lock->revocations < REVOCATIONS_MAX)
		store_release(&lock->revoked, 0);
}

void biased_lock_acquire_slow(struct biased_lock *lock)
{
	lock_acquire(&lock->word);
	if (load_relaxed(&lock->bias) == thread_id())
		return;
	if (load_relaxed(&lock->bias) && !load_relaxed(&lock->revoked))
		lock->revocations++;
	biased_lock_revoke(lock, true);
}

bool biased_lock_acquire_try(struct biased_lock *lock)
{
	if (load_relaxed(&lock->inside) || !lock_acquire_try(&lock->word))
		return false;
	if (load_relaxed(&lock->bias) != thread_id() && !biased_lock_revoke(lock, false)) {
		lock_release(&lock->word);
		return false;
	}
	return true;
}

void biased_lock_retreat(struct biased_lock *lock)
{
	store_release(&lock->inside, 0);
	biased_lock_wake_revoker(lock);
}

void biased_lock_wake_revoker(struct biased_lock *lock)
{
	raw_syscall4(SYS_futex, (long)&lock->inside, FUTEX_WAKE_PRIVATE, 1, 0);
}

void biased_lock_release_slow(struct biased_lock *lock)
{
	rs_assert(biased_lock_is_mine(lock));
	biased_lock_rebias(lock);
	lock_release(&lock->word);
}

void biased_lock_may_bias(struct biased_lock *lock)
{
	u32 self = thread_id();

	if (!CAN_BIAS || load_relaxed(&lock->bias) != 0)
		return;
	if (lock->candidate != self) {
		lock->candidate = self;
		lock->streak = 0;
	}
	if (++lock->streak != BIAS_AFTER)
		return;
	/* Where it is refused the lock stays an ordinary one. */
	if (membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0)
		store_relaxed(&lock->bias, self);
}

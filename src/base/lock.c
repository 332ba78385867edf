/*
 * lock.c - the contended half of lock.h
 *
 * Not here: waiting for anything but a lock (host/futex.h, request/wait.c).
 */
#include "base/lock.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/raw.h"

/* Spinning bridges a short critical section on another core; longer ones are slept through. */
#define SPINS 100

__thread u32 lock_thread_id __attribute__((tls_model("initial-exec")));

u32 lock_thread_id_slow(void)
{
	lock_thread_id = (u32)raw_syscall0(SYS_gettid);
	return lock_thread_id;
}

void lock_acquire_slow(struct lock *lock)
{
	for (int spin = 0; spin < SPINS; spin++) {
		if (load_relaxed(&lock->word) == 0 && lock_acquire_try(lock))
			return;
		cpu_relax();
	}
	/* Taken with SLEEPERS: somebody else may sleep too, and nobody counts the sleepers. */
	for (;;) {
		u32 word = 0;

		if (compare_exchange_acquire(&lock->word, &word, thread_id() | LOCK_SLEEPERS))
			return;
		if (!(word & LOCK_SLEEPERS)) {
			if (!compare_exchange(&lock->word, &word, word | LOCK_SLEEPERS))
				continue;
			word |= LOCK_SLEEPERS;
		}
		raw_syscall4(SYS_futex, (long)&lock->word, FUTEX_WAIT_PRIVATE, word, 0);
	}
}

void lock_wake_one(struct lock *lock)
{
	raw_syscall4(SYS_futex, (long)&lock->word, FUTEX_WAKE_PRIVATE, 1, 0);
}

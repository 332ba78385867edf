/*
 * futex.h - sleeping on a word, and waking who sleeps on it
 *
 * Private futexes: all sleepers are threads of this process. A wake-up may be
 * spurious; the caller looks at its condition again.
 */
#ifndef RS_HOST_FUTEX_H
#define RS_HOST_FUTEX_H

#include <linux/futex.h>
#include <time.h>

#include "host/clock.h"
#include "host/kernel.h"

#define FUTEX_FOREVER UINT64_MAX
#define FUTEX_ALL     INT32_MAX

/* Sleeps while *word is `value`, at most timeout_ns from now. 0, -EAGAIN (it was another value),
 * -ETIMEDOUT or -EINTR. */
static inline int futex_wait(const u32 *word, u32 value, u64 timeout_ns)
{
	struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / NS_PER_SEC),
				   .tv_nsec = (long)(timeout_ns % NS_PER_SEC)};

	return (int)host_call(SYS_futex, word, FUTEX_WAIT_PRIVATE, value,
			      timeout_ns == FUTEX_FOREVER ? NULL : &timeout);
}

/* Wakes at most `count` sleepers. */
static inline void futex_wake(const u32 *word, int count)
{
	host_call(SYS_futex, word, FUTEX_WAKE_PRIVATE, count);
}

#endif

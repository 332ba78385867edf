/*
 * cache.c - the cache as a whole: beginning, end, fork
 */
#include "cache/internal.h"
#include "cache/read.h"

static bool is_on; /* (k) to store; (a) */

int cache_init(u64 limit, struct device *device)
{
	int err;

	limit &= ~((u64)PAGE_BYTES - 1);
	if (limit < CACHE_LIMIT_MIN)
		return -EINVAL;
	lock_acquire(&cache_lock);
	rs_assert(!is_on);
	err = frames_init(limit, fill_reserved_bytes(limit) + waiters_reserved_bytes(limit));
	if (err == 0) {
		fill_init(limit, device);
		waiters_init(limit);
		store_release(&is_on, true);
	}
	lock_release(&cache_lock);
	return err;
}

bool cache_is_on(void)
{
	return load_acquire(&is_on);
}

bool cache_is_entered(void)
{
	return cache_is_interrupted();
}

void cache_destroy(void)
{
	fill_destroy();
	files_destroy();
	frames_destroy();
	is_on = false;
}

void cache_fork_child(void)
{
	if (!is_on)
		return;
	fill_fork_child();
	files_fork_child();
	frames_fork_child();
	wait_queue_fork_child();
	is_on = false;
}

void cache_usage(struct cache_usage *usage)
{
	lock_acquire(&cache_lock);
	frames_usage(usage);
	lock_release(&cache_lock);
}

/*
 * readahead.c - when to fill more than was asked for (see readahead.h)
 *
 *     pages   ...........[=== window before ===][===== window started last =====]
 *                                               ^ next_start                     ^ ahead_end
 *
 * A miss at ahead_end goes on where the last fill ended: sequential, and the window
 * doubles. A miss anywhere else is random: only what it wants is filled, and the
 * next miss decides. A read that reaches next_start, hit or not, starts the
 * next window: a whole window lies between the reader and the device. Once windows
 * have their full size, next_start is the begin of the window before, and one more lies
 * between them: a fast device has enough to do at a time while a window is used up.
 * Hits that reach no window write nothing here, so threads that share a descriptor do
 * not share a cache line that changes.
 *
 * Locks: the cache lock is held; readahead_is_due() is asked without
 */
#include "cache/internal.h"
#include "observe/stats.h"

#define WINDOW_FIRST 4u   /* pages: 16 KiB */
#define WINDOW_MAX   128u /* pages: 512 KiB */

#define NEVER UINT64_MAX

/* No more than an eighth of the cache, however small it is. */
static u32 window_max(void)
{
	u32 share = frames_total() / 8;

	return min_of(WINDOW_MAX, share + (share == 0));
}

/* `next`: where a read starts the window after it. */
static void window_set(struct readahead *readahead, u64 start, u32 pages, u64 next)
{
	store_relaxed(&readahead->window, pages);
	store_relaxed(&readahead->ahead_end, start + pages);
	store_relaxed(&readahead->next_start, next);
}

static bool is_sequential(const struct readahead *readahead, u64 page)
{
	switch (load_relaxed(&readahead->advice)) {
	case READAHEAD_SEQUENTIAL:
		return true;
	case READAHEAD_RANDOM:
		return false;
	default:
		return page == load_relaxed(&readahead->ahead_end);
	}
}

u32 readahead_on_miss(struct readahead *readahead, u64 page, u64 wanted)
{
	u32 most = window_max(), pages = (u32)min_of(wanted, (u64)most);

	if (!is_sequential(readahead, page)) {
		window_set(readahead, page, pages, NEVER);
		store_relaxed(&readahead->window, 0);
		return pages;
	}
	pages = max_of(2 * readahead->window, 2 * pages);
	pages = max_of(pages, WINDOW_FIRST);
	if (load_relaxed(&readahead->advice) == READAHEAD_SEQUENTIAL)
		pages = most;
	window_set(readahead, page, min_of(pages, most), page);
	return readahead->window;
}

void readahead_continue(struct readahead *readahead, struct cached_file *file, u64 page)
{
	u64 start = load_relaxed(&readahead->ahead_end), end;
	u32 before = readahead->window, most = window_max();

	/* Another thread may have been faster. */
	if (!readahead_is_due(readahead, page))
		return;
	window_set(readahead, start, min_of(2 * before, most),
		   before < most ? start : start - before);
	end = readahead->ahead_end;
	stats_count_process(COUNTER_CACHE_READAHEAD_PAGES, fill_more(file, start, end));
}

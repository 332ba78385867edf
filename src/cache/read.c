/*
 * read.c - the asynchronous buffered read of a file that the cache holds
 *
 * A read copies from pages that are up to date. Where a page is not, the page
 * catches the read, in one of two ways:
 *
 *   U, wait for unlock   The page is locked: somebody fills it. We want to hear that the fill is
 *                        over, and never take the lock.
 *   L, lock now          Nobody has the page's lock: it is absent, or it is present and not up to
 *                        date (a fill failed, a write went past it). We need the lock, to
 *                        start the fill ourselves: absent, it is installed locked; present,
 *                        page_lock_try() (both in fill_missing(), with the pages behind it that
 *                        the read wants too). The lock is the fill's. If somebody was faster,
 *                        that is case U.
 *
 * The two differ in who starts the fill, and in nothing after: the fill owns the
 * lock, and the read waits for its unlock like any other. So both continue alike:
 *
 *   try ----------------------------------------------> DONE, FAULT, REFUSED
 *    ^  \ page not up to date: CAUGHT
 *    |   v
 *    |  wait: (L: start the fill) -> enqueue -> WAITING ...... page_unlocked_for_read()
 *    |         |  unlocked meanwhile                                       |
 *    +---------+-- RETRY                                                   |
 *    +------------------------ the request's task work <-------------------+
 *
 * The retry runs the whole try again, from the first byte that was not copied: what the
 * page was when it was unlocked is stale by then. It may find it filled; or gone again
 * or dropped, and is caught anew; or failed, and then it is case L once, and FAILED the
 * second time; or the file is not held any more, and the read goes on through the
 * kernel's cache (REFUSED), from where it is.
 *
 * After a partial copy the read is behind what was copied (iov, offset, copied), so
 * it never copies twice and never returns less than it could: an error behind the
 * first byte ends it with what it has.
 *
 * A read that finds no frame for its page waits for one in the same way, under
 * frames_key in place of the page's word.
 *
 * Copying takes no lock, writes nothing but touches, and keeps nobody from taking the page away:
 *
 *    reader                                  who changes the frame's bytes next (P3 of page.h)
 *    (1) the frame's count of changes        (a) the page is not up to date any more
 *    (2) is the page up to date, in it?      (b) the count is raised; barrier
 *    (3) is the file the binding's?          (c) other bytes
 *    (4) copy
 *    (5) barrier; is the count as in (1)?
 *
 * If (4) saw any of (c), (5) sees (b). And (1) did not yet, or (2) would have seen (a): that is why
 * the count comes before the word. So then nothing counts as copied, and the page has
 * caught the read. Otherwise the read has the bytes that the page had at (2): a write, or a loss of
 * the file, that ended before the read began is seen, and a later one came while the read went on.
 *
 * Entry:       cache_read_try(), cache_read_wait() by the ring's driver;
 *              page_unlocked_for_read() by whoever unlocks the page, or frees a frame
 * Invariants:  R1 bytes count as copied only if their page was up to date, then its file the
 *                 binding's, and its frame's count of changes was the same before and after
 *              R2 a read waits in one queue at a time, and retry() is called once a wait
 *              R3 a read that was woken WAKES_MAX times without copying a byte is REFUSED: there
 *                 is always an end
 * Locks:       no lock on a hit, and nothing is written but touches. A miss takes the cache lock,
 *              then a wait queue's lock
 * The kernel:  filemap_read(), io_read() and io_async_buf_func(), in three files
 * Not here:    how a fill goes on (fill.c); how much is filled (readahead.c); what the request's
 *              states are meanwhile (op/rw.c)
 */
#include "cache/read.h"

#include "cache/internal.h"
#include "host/usercopy.h"
#include "observe/stats.h"

#define WAKES_MAX 16

/* Of a page that will be copied soon: the processor's own prefetcher sees the rest coming. */
#define PREFETCH_BYTES 512u

/* Reads that may wait at a time: their memory counts against the limit. */
static u32 waiters_max;     /* (c) */
static u32 waiters_waiting; /* (a) */

static u32 waiters_limit(u64 limit)
{
	u64 wanted = limit / (128ull * PAGE_BYTES);

	return wanted < 256 ? 256 : (u32)min_of(wanted, 1ull << 20);
}

u64 waiters_reserved_bytes(u64 limit)
{
	return waiters_limit(limit) * sizeof(struct cache_waiter);
}

void waiters_init(u64 limit)
{
	waiters_max = waiters_limit(limit);
	waiters_waiting = 0;
}

/* The try. */

static void read_advance(struct cache_read *read, u64 bytes)
{
	read->offset += bytes;
	read->copied += bytes;
	read->iov->iov_base = (char *)read->iov->iov_base + bytes;
	read->iov->iov_len -= bytes;
}

/* The program's memory ends somewhere in the range: what fits before is copied. */
static RS_COLD u64 copy_up_to_fault(char *user, const char *bytes, u64 count)
{
	u64 copied = 0;

	while (copied < count) {
		u64 step = PAGE_BYTES - ((uintptr_t)(user + copied) & (PAGE_BYTES - 1));

		step = min_of(step, count - copied);
		if (copy_to_user(user + copied, bytes + copied, step))
			break;
		copied += step;
	}
	return copied;
}

/*
 * A sequential reader that takes a page in pieces uses it once: there only the piece
 * with the page's first byte counts as a touch.
 */
static bool is_touch(const struct readahead *readahead, u64 page, u32 in_page)
{
	u64 window = load_relaxed(&readahead->window), end = load_relaxed(&readahead->ahead_end);

	return in_page == 0 || page >= end || page + 2 * window < end;
}

static void start_next_window(const struct cache_read *read, u64 page)
{
	if (cache_is_interrupted())
		return;
	lock_acquire(&cache_lock);
	if (cache_file_is_current(read->binding))
		readahead_continue(read->readahead, binding_file(read->binding), page);
	lock_release(&cache_lock);
}

/* Steps (1) to (3), for at most `count` bytes of one page. False: nothing was done. */
static inline bool hit_look(struct cache_hit *hit, const struct file_view *view,
			    const struct readahead *readahead, u64 offset, u64 count)
{
	u32 in_page = (u32)(offset & (PAGE_BYTES - 1));
	u64 page = offset >> PAGE_SHIFT, *word = &view->words[page], now;

	hit->frame = page_frame(load_relaxed(word));
	/* The one pairs with frame_changes_begin(), the other with page_unlock(). */
	hit->changes = load_acquire(frame_changes(hit->frame));
	now = load_acquire(word);
	page_check(now);
	if (unlikely(!(now & PAGE_UPTODATE) || page_frame(now) != hit->frame ||
		     !file_view_is_current(view)))
		return false;
	if (unlikely(page_refs(now) < PAGE_REFS_MAX) && is_touch(readahead, page, in_page))
		page_touch(word, now);
	hit->bytes = frame_address(hit->frame) + in_page;
	hit->count = (u32)min_of(count, view->size - offset);
	return true;
}

/* Step (5). The copy is a race with (c) by intention, which ThreadSanitizer does not see: it is
 * made in assembly. */
static inline bool hit_is_good(const struct cache_hit *hit)
{
	barrier_acquire(); /* pairs with that of frame_changes_begin() */
	return load_relaxed(frame_changes(hit->frame)) == hit->changes;
}

/*
 * At most `count` bytes, from one page. DONE: they are copied, and the read is behind them. CAUGHT
 * by a page that changed meanwhile: the program's buffer may have bytes of another page by
 * now, behind what the read's result will cover. They are of a file that this process has
 * opened for reading too, and io_uring promises nothing of a buffer behind the result.
 */
static inline enum cache_verdict copy_from_page(struct cache_read *read,
						const struct file_view *view, u64 count)
{
	enum cache_verdict verdict = CACHE_DONE;
	struct cache_hit hit;

	if (unlikely(!hit_look(&hit, view, read->readahead, read->offset, count)))
		return file_view_is_current(view) ? CACHE_CAUGHT : CACHE_REFUSED;
	count = hit.count;
	if (unlikely(copy_to_user(read->iov->iov_base, hit.bytes, count))) {
		count = copy_up_to_fault(read->iov->iov_base, hit.bytes, count);
		verdict = CACHE_FAULT;
	}
	if (unlikely(!hit_is_good(&hit)))
		return CACHE_CAUGHT;
	read_advance(read, count);
	return verdict;
}

enum cache_verdict cache_read_try(struct cache_read *read)
{
	struct file_view view;

	if (unlikely(!file_view(read->binding, &view)))
		return CACHE_REFUSED;
	for (;;) {
		enum cache_verdict verdict;
		u64 page, count;

		while (read->iov_count > 0 && read->iov->iov_len == 0) {
			read->iov++;
			read->iov_count--;
		}
		if (read->iov_count == 0 || read->offset >= view.size)
			return CACHE_DONE;
		page = read->offset >> PAGE_SHIFT;
		if (unlikely(page >= view.capacity))
			return CACHE_REFUSED;
		if (readahead_is_due(read->readahead, page))
			start_next_window(read, page);
		count = PAGE_BYTES - (read->offset & (PAGE_BYTES - 1));
		count = min_of(count, (u64)read->iov->iov_len);
		verdict = copy_from_page(read, &view, count);
		if (unlikely(verdict != CACHE_DONE))
			return verdict;
	}
}

bool cache_hit_look(struct cache_hit *hit, cache_binding binding, const struct readahead *readahead,
		    u64 offset, u32 count)
{
	u64 page = offset >> PAGE_SHIFT;
	struct file_view view;

	if (count > PAGE_BYTES - (offset & (PAGE_BYTES - 1)) || !file_view(binding, &view) ||
	    offset >= view.size || page >= view.capacity || readahead_is_due(readahead, page) ||
	    !hit_look(hit, &view, readahead, offset, count))
		return false;
	/* The copy comes when others were looked up. */
	for (u32 i = 0; i < PREFETCH_BYTES; i += CACHE_LINE)
		__builtin_prefetch(hit->bytes + i);
	return true;
}

bool cache_hit_copy(const struct cache_hit *hit)
{
	return copy_to_user(hit->user, hit->bytes, hit->count) == 0 && hit_is_good(hit);
}

/* Caught. */

/* Whoever unlocks the page (or frees a frame, for who waits for one) calls it, with the queue
 * locked; the entry is unlinked: the read is ours to hand on. Asynchronous, so it asks nothing of
 * the page, which may be anything by now. */
static void page_unlocked_for_read(struct wait_entry *entry)
{
	struct cache_waiter *waiter = container_of(entry, struct cache_waiter, entry);

	sub_full(&waiters_waiting, 1);
	waiter->retry(waiter);
}

/* Pages that the read wants from that one on. */
static u64 pages_wanted(const struct cache_read *read)
{
	u64 bytes = 0;

	for (u32 i = 0; i < read->iov_count; i++)
		bytes += read->iov[i].iov_len;
	return ((read->offset & (PAGE_BYTES - 1)) + bytes + PAGE_BYTES - 1) >> PAGE_SHIFT;
}

/* Case L: the page is locked by a fill, and with it what else the read wants of pages that are
 * missing, or the readahead thinks fit; but alone if it failed before, or a neighbour's error would
 * be its second. False: there is no frame or no fill, or somebody was faster. */
static bool start_fill(struct cache_read *read, struct cached_file *file, u64 page)
{
	u64 wanted = pages_wanted(read);
	bool has_failed = load_relaxed(&file->words[page]) & PAGE_ERROR;
	u32 count = has_failed ? 1 : readahead_on_miss(read->readahead, page, wanted);
	u32 made;

	/* In steps, because one that the read wants anyway is no readahead. */
	made = fill_missing(file, page, count);
	/* Long fills are few. A short one does for now, and may be left: it is what
	 * wait_for_frame() asks about. */
	if (made == 0 && count > FEW_PAGES)
		made = count = fill_missing(file, page, FEW_PAGES);
	if (made > 0 && made < count)
		made += fill_more(file, page + made, page + count);
	if (made > wanted)
		stats_count_process(COUNTER_CACHE_READAHEAD_PAGES, made - wanted);
	return made > 0;
}

enum catch_outcome {
	CATCH_LOCKED,   /* case U, or case L that has become U: it is being filled */
	CATCH_NO_FRAME, /* it cannot be filled at this moment */
	CATCH_UPTODATE, /* somebody was faster, or it changed while it was copied */
	CATCH_FAILED,   /* the fill failed, not for the first time */
	CATCH_LOST,     /* the file is not held any more */
};

/* Sees to it that the page is being filled: the two cases. Cache lock. */
static enum catch_outcome catch_page(struct cache_read *read, struct cache_waiter *waiter, u64 page)
{
	struct cached_file *file = binding_file(read->binding);
	u64 *word = &file->words[page], old;

	if (!cache_file_is_current(read->binding))
		return CATCH_LOST;
	old = load_acquire(word);
	if (old & PAGE_UPTODATE)
		return CATCH_UPTODATE;
	if (old & PAGE_LOCKED)
		return CATCH_LOCKED; /* case U */
	/* Case L. */
	if (old & PAGE_ERROR && waiter->errors++ > 0)
		return CATCH_FAILED;
	if (start_fill(read, file, page))
		return CATCH_LOCKED;
	if (load_acquire(word) & (PAGE_LOCKED | PAGE_UPTODATE))
		return CATCH_LOCKED; /* somebody was faster: case U */
	waiter->errors -= old & PAGE_ERROR ? 1 : 0;
	return CATCH_NO_FRAME;
}

/*
 * Enqueues for a frame. It says that it wants one before it looks once more; whoever
 * makes one available looks afterwards whether one is wanted.
 */
static enum cache_verdict wait_for_frame(struct cache_waiter *waiter)
{
	struct wait_queue *queue = wait_queue_lock(&frames_key);
	u32 frame;

	waiter->entry.key = &frames_key;
	waiter->entry.is_exclusive = false;
	waiter->entry.event = page_unlocked_for_read;
	add_full(&waiters_waiting, 1);
	store_relaxed(&frames_wanted, 1);
	wait_entry_add_locked(queue, &waiter->entry);
	wait_queue_unlock(queue);
	/* Before the words are looked at, even if only to see that they cannot be taken: an
	 * exchange would order that on some processors only. Pairs with frames_wake(). */
	barrier_full();

	lock_acquire(&cache_lock);
	frame = fill_is_available() ? frame_alloc() : 0;
	if (frame)
		frame_free(frame);
	lock_release(&cache_lock);
	if (frame && cache_read_cancel(waiter))
		return CACHE_RETRY;
	return CACHE_WAITING;
}

enum cache_verdict cache_read_wait(struct cache_read *read, struct cache_waiter *waiter)
{
	u64 page = read->offset >> PAGE_SHIFT;
	enum catch_outcome outcome;
	u64 *word;

	if (read->copied > 0)
		waiter->wakes = waiter->errors = 0;
	if (cache_is_interrupted() || ++waiter->wakes > WAKES_MAX ||
	    load_relaxed(&waiters_waiting) >= waiters_max)
		return CACHE_REFUSED;
	lock_acquire(&cache_lock);
	word = &binding_file(read->binding)->words[page];
	outcome = catch_page(read, waiter, page);
	lock_release(&cache_lock);

	switch (outcome) {
	case CATCH_LOST:
		return CACHE_REFUSED;
	case CATCH_FAILED:
		return CACHE_FAILED;
	case CATCH_UPTODATE:
		return CACHE_RETRY;
	case CATCH_NO_FRAME:
		return wait_for_frame(waiter);
	case CATCH_LOCKED:
		break;
	}
	/* Locked, by a fill that we started or by another's: from here on the cases are one. */
	waiter->entry.event = page_unlocked_for_read;
	add_full(&waiters_waiting, 1);
	if (page_lock_async(word, &waiter->entry))
		return CACHE_WAITING;
	sub_full(&waiters_waiting, 1);
	return CACHE_RETRY;
}

bool cache_read_cancel(struct cache_waiter *waiter)
{
	if (wait_queue_is_entered() || !wait_entry_cancel(&waiter->entry))
		return false;
	sub_full(&waiters_waiting, 1);
	return true;
}

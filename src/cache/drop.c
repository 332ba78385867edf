/*
 * drop.c - pages that are not to be believed any more
 *
 * Two reasons. Bytes were written past the cache, by the program itself: their pages are
 * forgotten where they are (page_invalidate()), and whoever needs one fills it
 * anew. One that is being filled may be getting the old bytes: the writer waits for
 * the fill and forgets it then, before the write completes.
 *
 * Or the file is not ours any more. The serial number changes first: from then on no
 * page is installed, and who looks one up finds out. Then each page is taken away: those that
 * nobody fills as reclaim would, the others by whoever waits for their lock (page_seize()).
 * A read that looked its page up before may still copy, and ends with what was then.
 *
 * Entry:       cache_drop_try(), cache_drop_range(); cache_file_lose()
 * Locks:       the cache lock, a leaf at a time; none while it waits
 * The kernel:  invalidate_inode_pages2_range(), truncate_inode_pages()
 */
#include "cache/drop.h"

#include "cache/internal.h"
#include "host/futex.h"

/* How often a thread that waits for a page looks at the device itself: nobody else may be there to
 * do so. */
#define LOOK_NS NS_PER_MS

/* A thread that waits for a page: what wakes it. On its stack. */
struct sleeper {
	u32 wakes; /* (a) */
};

static void sleeper_sleep(struct sleeper *sleeper, u32 seen)
{
	cache_look();
	futex_wait(&sleeper->wakes, seen, LOOK_NS);
}

static void sleeper_wake(struct sleeper *sleeper)
{
	add_full(&sleeper->wakes, 1);
	futex_wake(&sleeper->wakes, 1);
}

/* Written past the cache. */

static enum cache_verdict drop_page(const struct file_view *view, u64 page)
{
	return page_invalidate(&view->words[page]) ? CACHE_DONE : CACHE_CAUGHT;
}

/* Whether no page of the leaf is present. */
static bool leaf_is_empty(const struct file_view *view, u64 page)
{
	bool is_empty;

	lock_acquire(&cache_lock);
	is_empty = !file_view_is_current(view) || view->file->leaf_counts[page / LEAF_WORDS] == 0;
	lock_release(&cache_lock);
	return is_empty;
}

enum cache_verdict cache_drop_try(struct cache_drop *drop)
{
	struct file_view view;
	u64 page, end;

	if (cache_is_interrupted())
		return CACHE_REFUSED;
	if (!file_view(drop->binding, &view))
		return CACHE_DONE;
	page = drop->offset >> PAGE_SHIFT;
	end = drop->end >> PAGE_SHIFT;
	end = min_of(end + (drop->end % PAGE_BYTES > 0), view.capacity);
	while (page < end) {
		if ((page % LEAF_WORDS == 0 || page == drop->offset >> PAGE_SHIFT) &&
		    leaf_is_empty(&view, page)) {
			page = (page / LEAF_WORDS + 1) * LEAF_WORDS;
			continue;
		}
		if (drop_page(&view, page) == CACHE_CAUGHT) {
			drop->offset = page << PAGE_SHIFT;
			return CACHE_CAUGHT;
		}
		page++;
	}
	drop->offset = drop->end;
	return CACHE_DONE;
}

static void page_unlocked_for_drop(struct wait_entry *entry)
{
	struct cache_waiter *waiter = container_of(entry, struct cache_waiter, entry);

	waiter->retry(waiter);
}

enum cache_verdict cache_drop_wait(struct cache_drop *drop, struct cache_waiter *waiter)
{
	struct file_view view;

	if (!file_view(drop->binding, &view))
		return CACHE_RETRY;
	waiter->entry.event = page_unlocked_for_drop;
	if (page_lock_async(&view.words[drop->offset >> PAGE_SHIFT], &waiter->entry))
		return CACHE_WAITING;
	return CACHE_RETRY;
}

struct drop_sleeper {
	struct cache_waiter waiter;
	struct sleeper sleeper;
};

static void drop_retry(struct cache_waiter *waiter)
{
	sleeper_wake(&container_of(waiter, struct drop_sleeper, waiter)->sleeper);
}

void cache_drop_range(cache_binding binding, u64 offset, u64 end)
{
	struct cache_drop drop = {.binding = binding, .offset = offset, .end = end};

	while (cache_drop_try(&drop) == CACHE_CAUGHT) {
		struct drop_sleeper waits = {.waiter.retry = drop_retry};

		if (cache_drop_wait(&drop, &waits.waiter) != CACHE_WAITING)
			continue;
		while (load_full(&waits.sleeper.wakes) == 0)
			sleeper_sleep(&waits.sleeper, 0);
		/* Whoever woke us is done with our stack when it leaves the queue. */
		wait_entry_cancel(&waits.waiter.entry);
	}
}

/* Lost. */

struct lose_sleeper {
	struct page_locker locker;
	struct sleeper sleeper;
};

static void lose_sleep(struct page_locker *locker)
{
	struct sleeper *sleeper = &container_of(locker, struct lose_sleeper, locker)->sleeper;

	if (load_full(&sleeper->wakes) == 0)
		sleeper_sleep(sleeper, 0);
}

static void lose_wake(struct page_locker *locker)
{
	sleeper_wake(&container_of(locker, struct lose_sleeper, locker)->sleeper);
}

/* Somebody fills it. */
static void take_busy_page(u64 *word)
{
	struct lose_sleeper waits = {
		.locker = {.sleep = lose_sleep, .wake = lose_wake},
	};
	u32 frame;

	if (!page_seize(word, &waits.locker))
		return;
	lock_acquire(&cache_lock);
	frame = page_remove(word);
	frame_unbind(frame);
	lock_release(&cache_lock);
}

/* Takes away what nobody fills; the first page that somebody fills, or NULL. */
static u64 *take_idle_pages(struct cached_file *file, u64 leaf)
{
	u64 *words = &file->words[leaf * LEAF_WORDS], *busy = NULL;

	lock_acquire(&cache_lock);
	for (u32 i = 0; i < LEAF_WORDS && file->leaf_counts[leaf] > 0 && busy == NULL; i++) {
		u32 frame;

		if (load_acquire(&words[i]) == 0)
			continue;
		frame = page_evict(&words[i]);
		if (frame)
			frame_unbind(frame);
		else
			busy = &words[i];
	}
	lock_release(&cache_lock);
	return busy;
}

void cache_file_lose(cache_binding binding)
{
	struct cached_file *file = binding_file(binding);
	u64 leaves = (file->capacity + LEAF_WORDS - 1) / LEAF_WORDS;

	lock_acquire(&cache_lock);
	rs_assert(file->is_open && cache_file_is_current(binding));
	exchange_full(&file->serial, file->serial + 1); /* pairs with file_view_is_current() */
	lock_release(&cache_lock);

	for (u64 leaf = 0; leaf < leaves && load_relaxed(&file->pages) > 0; leaf++) {
		u64 *busy;

		while ((busy = take_idle_pages(file, leaf)) != NULL)
			take_busy_page(busy);
	}
	frames_wake();
	lock_acquire(&cache_lock);
	file_closed_locked(file);
	lock_release(&cache_lock);
}

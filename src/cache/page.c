/*
 * page.c - the page word's moves, and who waits for them (see page.h)
 *
 * No wake-up is missed, because "it is locked" and "somebody waits" stand in one word:
 *
 *    waiter (queue locked)                     owner
 *    +W, only while L is set  (1)              -L, and sees whether W was set  (2)
 *    enqueue                                   if so: lock the queue, wake
 *    unlock the queue
 *
 * If (1) comes first, (2) sees W, and finds the entry, for it waits for the queue's lock.
 * If (2) comes first, (1) finds the page unlocked and does not enqueue. WAITERS is
 * cleared under the queue's lock, when no entry of the page is left.
 *
 * Entry:       page_lock_async(), page_seize(); page_unlock(), page_remove()
 * Invariants:  P1 to P6 of page.h
 * Locks:       takes the wait queue's lock, and nothing under it
 * The kernel:  folio_lock(), folio_unlock(), folio_wake_bit()
 */
#include "cache/page.h"

/* What becomes of a page_locker. */
enum { LOCKER_WAITS, LOCKER_OWNS, LOCKER_TOO_LATE };

void page_install(u64 *word, u32 frame)
{
	u64 old = 0;
	bool is_installed;

	rs_assert(frame != 0);
	is_installed = compare_exchange(word, &old, (u64)frame << PAGE_FRAME_SHIFT | PAGE_LOCKED);
	rs_assert(is_installed);
}

bool page_lock_try(u64 *word)
{
	u64 old = load_relaxed(word);

	do {
		page_check(old);
		if (old == 0 || old & (PAGE_LOCKED | PAGE_UPTODATE))
			return false;
	} while (!compare_exchange(word, &old, old | PAGE_LOCKED));
	return true;
}

/*
 * A locker is next in the queue: gives it the lock if the page is free, else makes
 * sure that whoever frees it will know of the locker. The queue is locked.
 */
static int lock_for_locker(u64 *word)
{
	u64 old = load_relaxed(word), new;
	bool is_free;

	do {
		page_check(old);
		if (old == 0)
			return LOCKER_TOO_LATE;
		is_free = !(old & PAGE_LOCKED);
		new = is_free ? (old | PAGE_LOCKED) & ~PAGE_UPTODATE : old | PAGE_WAITERS;
	} while (!compare_exchange(word, &old, new));
	return is_free ? LOCKER_OWNS : LOCKER_WAITS;
}

/* Not written when there is nothing to clear: an absent page's word may have no memory. */
static void clear_waiters(u64 *word)
{
	if (load_relaxed(word) & PAGE_WAITERS)
		and_full(word, ~PAGE_WAITERS);
}

/* The page was unlocked, or it went itself: whoever is next may go on. Takes the queue's lock. */
static RS_COLD void page_wake(u64 *word)
{
	struct wait_queue *queue = wait_queue_lock(word);
	struct wait_entry *entry;

	while ((entry = wait_queue_first_locked(queue, word)) != NULL) {
		struct page_locker *locker;
		int outcome;

		if (!entry->is_exclusive) {
			wait_entry_wake_locked(queue, entry);
			continue;
		}
		outcome = lock_for_locker(word);
		if (outcome == LOCKER_WAITS)
			break;
		locker = container_of(entry, struct page_locker, entry);
		store_relaxed(&locker->outcome, outcome);
		wait_entry_wake_locked(queue, entry);
		/* It owns the page now: those behind it wait for its unlock. */
		if (outcome == LOCKER_OWNS)
			break;
	}
	if (entry == NULL || wait_queue_first_locked(queue, word) == NULL)
		clear_waiters(word);
	wait_queue_unlock(queue);
}

void page_unlock(u64 *word, enum page_outcome outcome)
{
	u64 old = load_relaxed(word), new;

	do {
		page_check(old);
		rs_assert(old & PAGE_LOCKED && !(old & PAGE_UPTODATE));
		new = old & ~(PAGE_LOCKED | PAGE_ERROR);
		if (outcome == PAGE_FILLED)
			new |= PAGE_UPTODATE;
		else if (outcome == PAGE_FAILED)
			new |= PAGE_ERROR;
	} while (!compare_exchange(word, &old, new));
	if (old & PAGE_WAITERS)
		page_wake(word);
}

bool page_lock_async(u64 *word, struct wait_entry *entry)
{
	struct wait_queue *queue;
	bool is_locked;
	u64 old;

	entry->key = word;
	entry->is_exclusive = false;
	queue = wait_queue_lock(word);
	old = load_relaxed(word);
	do {
		page_check(old);
		is_locked = old & PAGE_LOCKED;
	} while (is_locked && !compare_exchange(word, &old, old | PAGE_WAITERS));
	if (is_locked)
		wait_entry_add_locked(queue, entry);
	wait_queue_unlock(queue);
	return is_locked;
}

/* The waker has set the outcome, and the lock is the locker's. */
static void page_lock_granted(struct wait_entry *entry)
{
	struct page_locker *locker = container_of(entry, struct page_locker, entry);

	locker->wake(locker);
}

bool page_seize(u64 *word, struct page_locker *locker)
{
	struct wait_queue *queue = wait_queue_lock(word);
	u32 outcome = (u32)lock_for_locker(word);

	locker->outcome = outcome;
	if (outcome == LOCKER_WAITS) {
		locker->entry.key = word;
		locker->entry.is_exclusive = true;
		locker->entry.event = page_lock_granted;
		wait_entry_add_locked(queue, &locker->entry);
	}
	wait_queue_unlock(queue);
	while (outcome == LOCKER_WAITS) {
		locker->sleep(locker);
		outcome = load_relaxed(&locker->outcome);
	}
	/* The waker is done with the locker, which is on our stack, when it leaves the queue. */
	wait_queue_unlock(wait_queue_lock(word));
	return outcome == LOCKER_OWNS;
}

u32 page_remove(u64 *word)
{
	u64 old = exchange_full(word, 0);

	page_check(old);
	rs_assert(old & PAGE_LOCKED && !(old & PAGE_UPTODATE));
	if (old & PAGE_WAITERS)
		page_wake(word);
	return page_frame(old);
}

bool page_invalidate(u64 *word)
{
	u64 old = load_relaxed(word);

	do {
		page_check(old);
		if (old & PAGE_LOCKED)
			return false;
		if (!(old & PAGE_UPTODATE))
			return true;
	} while (!compare_exchange(word, &old, old & ~PAGE_UPTODATE));
	return true;
}

u32 page_evict(u64 *word)
{
	u64 old = load_relaxed(word);

	page_check(old);
	if (old & (PAGE_LOCKED | PAGE_WAITERS | PAGE_DIRTY | PAGE_WRITEBACK))
		return 0;
	/* Once: if it changed, somebody uses it. */
	return compare_exchange(word, &old, 0) ? page_frame(old) : 0;
}

void page_age(u64 *word)
{
	u64 old = load_relaxed(word);

	do {
		page_check(old);
		if (page_refs(old) == 0)
			return;
	} while (!compare_exchange(word, &old, old - PAGE_REF_ONE));
}

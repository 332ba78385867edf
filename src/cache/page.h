/*
 * page.h - the page word: one atomic 64-bit word that is the whole truth about a page
 *
 *     63             32 31                  8 7   6 5 4 3 2 1 0
 *    +-----------------+---------------------+-----+-+-+-+-+-+-+
 *    |  frame number   |        zero         | ref |B|D|E|W|U|L|
 *    +-----------------+---------------------+-----+-+-+-+-+-+-+
 *
 *    0                 absent: no frame, no bit
 *    L  LOCKED         one owner: who fills the page, or takes it away
 *    U  UPTODATE       the frame holds the file's bytes
 *    W  WAITERS        somebody may be enqueued under this word's address (page.c)
 *    E  ERROR          the last fill failed; never with UPTODATE
 *    D  DIRTY, B  WRITEBACK   reserved for pages written here; today never set: a write
 *                      goes through to the kernel
 *    ref               touches, 0 to 3, and stays at 3 (reclaim's memory, frames.c)
 *
 * Who copies from a page is not among it: readers write nothing (P3, and read.c).
 *
 * Who may change what (everything by compare-and-exchange of the whole word):
 *
 *    move               from                             to                    by
 *    page_install()     0                                frame, L              a miss, cache lock
 *    page_lock_try()    frame, not L, not U              + L                   a miss (case L)
 *    page_touch()       U, ref < 3                       ref + 1               a reader
 *    page_lock_async()  L                                + W                   a waiter, queue lock
 *    page_unlock()      L                                - L; + U - E, or + E  the owner of L
 *    page_invalidate()  U, not L                         - U                   a write (drop.c)
 *    page_seize()       frame, not L                     + L - U               drop.c
 *      it has to wait   L                                + W                   the same, queue lock
 *      handed over      not L, a locker is next          + L - U               a waker, queue lock
 *    page_remove()      L, not U                         0                     owner, cache lock
 *    page_evict()       not L, W, D, B                   0                     reclaim, cache lock
 *    page_age()         ref > 0                          ref - 1               reclaim, cache lock
 *      queue is empty   W, nobody enqueued               - W                   a waker, queue lock
 *
 * Invariants (page_check() asserts P1, P2 and P6 of every word that a move reads or writes):
 *    P1 a word without a frame is 0
 *    P2 UPTODATE excludes ERROR and LOCKED
 *    P3 the bytes of a page's frame change only while the page is not UPTODATE, and only after
 *       the frame's count of changes was raised since it was so last (frame_changes_begin()): who
 *       finds the count as it was before the page was looked at has copied the page's bytes
 *    P4 LOCKED has one owner: the one whose compare-and-exchange set it, or to whom it was handed
 *    P5 an entry is enqueued under a word only while the word has WAITERS
 *    P6 DIRTY and WRITEBACK are not set, and bits 8 to 31 are zero
 *
 * The kernel: struct folio's flags, refcount and xarray slot, which are three truths
 */
#ifndef RS_CACHE_PAGE_H
#define RS_CACHE_PAGE_H

#include "base/assert.h"
#include "base/atomic.h"
#include "base/types.h"
#include "wait/wait_queue.h"

#define PAGE_SHIFT 12
#define PAGE_BYTES (1u << PAGE_SHIFT)

#define PAGE_LOCKED      (1ull << 0)
#define PAGE_UPTODATE    (1ull << 1)
#define PAGE_WAITERS     (1ull << 2)
#define PAGE_ERROR       (1ull << 3)
#define PAGE_DIRTY       (1ull << 4)
#define PAGE_WRITEBACK   (1ull << 5)
#define PAGE_REF_ONE     (1ull << 6)
#define PAGE_REF_MASK    (3ull << 6)
#define PAGE_REFS_MAX    3u
#define PAGE_ZERO_MASK   (0xffffffull << 8)
#define PAGE_FRAME_SHIFT 32

static inline u32 page_frame(u64 word)
{
	return (u32)(word >> PAGE_FRAME_SHIFT);
}

static inline u32 page_refs(u64 word)
{
	return (u32)((word & PAGE_REF_MASK) / PAGE_REF_ONE);
}

/* P1, P2, P6. Frame numbers begin at 1. */
static inline void page_check(u64 word)
{
	rs_assert(page_frame(word) != 0 || word == 0);
	rs_assert(!(word & PAGE_UPTODATE) || !(word & (PAGE_ERROR | PAGE_LOCKED)));
	rs_assert((word & (PAGE_DIRTY | PAGE_WRITEBACK | PAGE_ZERO_MASK)) == 0);
}

/* Absent -> locked by the caller, not up to date. The cache lock is held. */
void page_install(u64 *word, u32 frame);

/* Case L: true if the page is present, not up to date, was locked by nobody, and is now locked by
 * the caller. Any thread. */
bool page_lock_try(u64 *word);

/* Of a page that was found up to date, with `seen` in its word: that use counts, for reclaim,
 * unless the word changed meanwhile. Any thread. */
static inline void page_touch(u64 *word, u64 seen)
{
	rs_assert(seen & PAGE_UPTODATE);
	if (page_refs(seen) < PAGE_REFS_MAX)
		compare_exchange(word, &seen, seen + PAGE_REF_ONE);
}

enum page_outcome {
	PAGE_FILLED,  /* the frame holds the file's bytes */
	PAGE_FAILED,  /* the fill failed: ERROR */
	PAGE_DROPPED, /* neither: whoever wants it fills it anew */
};

/*
 * The owner of the lock gives it up, and wakes who waits: asynchronous waiters in their
 * order, up to the first locker (page_locker), to whom the lock is handed over, as it is to
 * nobody in between. Any thread that owns the page's lock; takes the wait queue's lock.
 */
void page_unlock(u64 *word, enum page_outcome outcome);

/*
 * The asynchronous page lock: "tell me when this page is unlocked". It never takes
 * the page's lock and never blocks.
 *
 * The caller has set entry->event, owns whatever `entry` lies in, and is ready to be
 * called: the event may come before this function returns.
 *
 * True: `entry` is enqueued. Its event function will be called once, by whoever
 * unlocks the page, in that one's thread, with the wait queue's lock held (so it
 * takes no lock and does one thing: hand on the owner to its ring's task work),
 * unless wait_entry_cancel() says that it will not. At the call the page is not
 * locked on behalf of the waiter, may be locked by another, filled, failed, or gone: the
 * retry looks for itself.
 *
 * False: the page is not locked (any more), the entry is not enqueued and its
 * event is not called: the caller tries again now.
 */
bool page_lock_async(u64 *word, struct wait_entry *entry);

/*
 * The synchronous lock owner: waits to *own* the page's lock, to take the page away.
 * Its entry is exclusive: the lock is handed over, with UPTODATE cleared, so the woken side
 * owns the page and tests nothing. Lives on the stack of the thread that waits.
 */
struct page_locker {
	struct wait_entry entry;
	/* (c) Moves on what the page's owner waits for, and sleeps until something may have
	 * changed, wake() being called included. */
	void (*sleep)(struct page_locker *locker);
	void (*wake)(struct page_locker *locker); /* (c) any thread, wait queue's lock held */
	u32 outcome;                              /* (a) page.c's */
};

/* Returns when the caller owns the page's lock. False: the page is absent, and nothing is locked.
 * May block. */
bool page_seize(u64 *word, struct page_locker *locker);

/*
 * The owner of the page's lock: the page is absent from now on, its frame's number is
 * returned, and who waits is woken. The cache lock is held: if the page were back and
 * unlocked before they are woken, it would be without WAITERS, and handing it to the
 * first locker would strand those behind (P5).
 */
u32 page_remove(u64 *word);

/* True: the page is not up to date (any more), and who needs it fills it anew. False: it is
 * locked, wait (page_lock_async()) and try again. Any thread. */
bool page_invalidate(u64 *word);

/* Takes the page away if nobody locks or waits for it: its frame's number, or 0. The cache lock is
 * held. Who waits though nobody locks it is about to be woken: as page_remove(). */
u32 page_evict(u64 *word);

/* One touch less is remembered. The cache lock is held. */
void page_age(u64 *word);

#endif

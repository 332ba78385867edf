/*
 * copy.pml - two reads copy from a page, without a lock, while it is evicted, its frame used for
 * something else, and the page filled again, in that frame or another
 */
#define PAGES   1
#define FRAMES  2
#define ENTRIES 2
#define EXPECT_FROM_NOW skip
#define EXPECTED(p)     (copied == 1)
#define CONTENT(p)      1
#include "page.pml"
#include "read.pml"

proctype evictor()
{
	byte f;

	cache_lock();
#ifdef MUTANT_COUNT_BEFORE_TAKE
	changes_begin(word[0].frame);
#endif
	page_evict(0, f);
	if
	:: f != 0 ->
#if !defined(MUTANT_EVICT_WITHOUT_COUNT) && !defined(MUTANT_COUNT_BEFORE_TAKE)
		changes_begin(f);
#endif
		cache_unlock();
		/* It is another page's, or has no memory, as lend() leaves it. */
		bytes[f] = 0;
		atomic { !cache_locked -> frame_is_free[f] = 1; f = 0 }
	:: else -> cache_unlock()
	fi
}

init {
	atomic {
		word[0].frame = 1;
		word[0].uptodate = 1;
		bytes[1] = 1;
		frame_is_free[2] = 1;
		run filler(0);
		run reader(1, 0, 1);
		run reader(2, 0, 1);
		run evictor()
	}
}

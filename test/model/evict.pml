/*
 * evict.pml - a page is evicted while one thread wants to take it away, and reads want it; two
 * threads take up finished fills
 */
#define PAGES   1
#define FRAMES  2
#define ENTRIES 3
#define EXPECT_FROM_NOW skip
#define EXPECTED(p)     (copied == 1)
#define CONTENT(p)      1
#include "page.pml"
#include "read.pml"
#include "keeper.pml"

proctype evictor()
{
	byte f;

	cache_lock();
	page_evict(0, f);
	d_step {
		if
		:: f != 0 -> frame_is_free[f] = 1; f = 0
		:: else
		fi;
		cache_unlock()
	}
}

init {
	atomic {
		frame_is_free[1] = 1;
		frame_is_free[2] = 1;
		run filler(0);
		run filler(0);
		run reader(1, 0, 1);
		run reader(2, 0, 1);
		run keeper(3);
		run evictor()
	}
}

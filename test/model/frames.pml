/*
 * frames.pml - reads of two pages, and one frame, which a third page has: it is up to date, or it
 * is being filled and nobody waits for it (readahead)
 */
#define PAGES   3
#define FRAMES  1
#define ENTRIES 2
#define RECLAIM
#ifndef MUTANT_RETRY_WITHOUT_LIMIT
#define WAKES_MAX 2
#endif
#define EXPECT_FROM_NOW skip
#define EXPECTED(p)     (copied == p + 1)
#define CONTENT(p)      (p + 1)
#include "page.pml"
#include "read.pml"

init {
	atomic {
		word[2].frame = 1;
		if
		:: word[2].uptodate = 1; bytes[1] = 3
		:: owner_begins(2); word[2].locked = 1; is_filling[2] = 1;
			run filler(2)
		fi;
		run filler(0);
		run filler(1);
		run reader(1, 0, 1);
		run reader(2, 1, 1)
	}
}

/*
 * keep.pml - two threads take a page away, which two reads want, again and again
 */
#define PAGES   1
#define FRAMES  2
#define ENTRIES 4
#define EXPECT_FROM_NOW skip
#define EXPECTED(p)     (copied == 1)
#define CONTENT(p)      1
#include "page.pml"
#include "read.pml"
#include "keeper.pml"

init {
	atomic {
		word[0].frame = 1;
		frame_is_free[2] = 1;
		if
		:: word[0].uptodate = 1; bytes[1] = 1
		:: skip
		fi;
		run filler(0);
		run reader(1, 0, 1);
		run reader(2, 0, 1);
		run keeper(3);
		run keeper(4)
	}
}

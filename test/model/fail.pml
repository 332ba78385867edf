/*
 * fail.pml - two reads of a page, and any fill may fail
 */
#define PAGES   1
#define FRAMES  1
#define ENTRIES 2
#define FAILURES
#define EXPECT_FROM_NOW skip
#define EXPECTED(p)     (copied == 1)
#define CONTENT(p)      1
#include "page.pml"
#include "read.pml"

init {
	atomic {
		frame_is_free[1] = 1;
		run filler(0);
		run reader(1, 0, 1);
		run reader(2, 0, 1)
	}
}

/*
 * cancel.pml - two reads of a page, of which either is cancelled or both, while the page is filled
 */
#define PAGES   1
#define FRAMES  1
#define ENTRIES 2
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
		run reader(2, 0, 1);
		run canceller(1);
		run canceller(2)
	}
}

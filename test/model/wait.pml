/*
 * wait.pml - two pages that share a queue: two reads of the one, one of the other
 */
#define PAGES   2
#define FRAMES  2
#define ENTRIES 3
#define EXPECT_FROM_NOW skip
#define EXPECTED(p)     (copied == p + 1)
#define CONTENT(p)      (p + 1)
#include "page.pml"
#include "read.pml"

init {
	atomic {
		/* Present, not up to date, locked by nobody: case L. */
		word[0].frame = 1;
		word[1].frame = 2;
		run filler(0);
		run filler(1);
		run reader(1, 0, 1);
		run reader(2, 0, 1);
		run reader(3, 1, 1)
	}
}

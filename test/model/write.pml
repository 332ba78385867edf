/*
 * write.pml - a write past the cache, while its page is read, filled and taken away: who reads when
 * the write is done reads what was written
 */
#define PAGES   1
#define FRAMES  2
#define ENTRIES 3
#define EXPECT_FROM_NOW since = written
#define EXPECTED(p)     (copied >= 1 && copied >= since)
#define CONTENT(p)      content
byte content = 1;	/* of the file, in the kernel */
byte written = 1;	/* the content when the last write that is done was done */
#include "page.pml"
#include "read.pml"

proctype writer(byte e)
{
	PAGE_LOCALS;
	bit ok;

#ifndef MUTANT_DROP_BEFORE_WRITE
	content = 2;
#endif
	/* cache_drop_try(), cache_drop_wait() */
	do
	:: page_invalidate(0, ok);
		if
		:: !ok -> break
		:: else
		fi;
#ifdef MUTANT_DROP_PASSES_BY_LOCKED
		break;
#endif
		state[e] = WAITING;
		page_lock_async(0, e, ok);
		if
		:: ok -> state[e] == QUEUED
		:: else
		fi;
		state[e] = RUNNING
	od;
#ifdef MUTANT_DROP_BEFORE_WRITE
	content = 2;
#endif
	written = 2;
	complete(e)
}

init {
	atomic {
		word[0].frame = 1;
		frame_is_free[2] = 1;
		run filler(0);
		run reader(1, 0, 1);
		run reader(2, 0, 1);
		run writer(3)
	}
}

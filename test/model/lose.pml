/*
 * lose.pml - a file is lost while it is read and filled, somebody else writes to it then, and its
 * slot and its page word become another file's
 */
#define PAGES   1
#define FRAMES  2
#define ENTRIES 4
#define EXPECT_FROM_NOW since = content
/* A read that begins when the first file was written to gets no byte of it any more; the second has
 * other bytes. */
#define EXPECTED(p)     (binding == 1 && copied == 1 && since == 1 || binding == 3 && copied == 2)
#define CONTENT(p)      content
byte content = 1;
#include "page.pml"
#include "read.pml"

/* drop.c: cache_file_lose(), of a file of one page */
proctype loser(byte e)
{
	PAGE_LOCALS;
	byte f;
	bit is_owner;

#ifndef MUTANT_SERIAL_AFTER_SEIZE
#ifdef MUTANT_SERIAL_WITHOUT_CACHE_LOCK
	serial = 2;
#else
	cache_lock();
	serial = 2;
	cache_unlock();
#endif
#endif
	/* take_idle_pages() */
	do
	:: word[0].frame == 0 -> break	/* file->pages, which is read without a lock */
	:: else ->
		cache_lock();
		page_evict(0, f);
		if
		:: f -> frame_is_free[f] = 1; f = 0
		:: else
		fi;
		cache_unlock();
#ifdef MUTANT_LOSE_PASSES_BY_BUSY
		break;
#endif
		/* take_busy_page() */
		if
		:: word[0].frame ->
			page_seize(0, e, is_owner);
			if
			:: is_owner ->
				cache_lock();
				f = word[0].frame;
				page_remove(0);
				frame_is_free[f] = 1;
				f = 0;
				cache_unlock()
			:: else
			fi
		:: else
		fi
	od;
#ifdef MUTANT_SERIAL_AFTER_SEIZE
	cache_lock();
	serial = 2;
	cache_unlock();
#endif
	/* The loss has returned: no byte is here, and others may change the file. */
#ifndef MUTANT_LOSE_PASSES_BY_BUSY
	assert(word[0].frame == 0);
#endif
	content = 2;
	/* cache_file_open() */
	cache_lock();
	serial = 3;
	cache_unlock()
}

init {
	atomic {
		frame_is_free[2] = 1;
		if
		:: frame_is_free[1] = 1
		:: word[0].frame = 1
		:: word[0].frame = 1; word[0].uptodate = 1; bytes[1] = 1
		fi;
		run filler(0);
		run reader(1, 0, 1);
		run reader(2, 0, 1);
		run reader(3, 0, 3);
		run loser(4)
	}
}

/*
 * keeper.pml - a thread that takes page 0 away: src/cache/drop.c, take_busy_page()
 */
proctype keeper(byte e)
{
	PAGE_LOCALS;
	byte f;
	bit is_owner;

	page_seize(0, e, is_owner);
	if
	:: is_owner ->
#ifndef MUTANT_REMOVE_WITHOUT_CACHE_LOCK
		cache_lock();
#endif
		f = word[0].frame;
		page_remove(0);
		frame_is_free[f] = 1;
		f = 0;
#ifndef MUTANT_REMOVE_WITHOUT_CACHE_LOCK
		cache_unlock()
#endif
	:: else
	fi
}

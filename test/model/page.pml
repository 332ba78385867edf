/*
 * page.pml - the page word, its moves and the wait queue: src/cache/page.c, src/wait/wait_queue.c
 *
 * A compare-and-exchange loop of the C code is one atomic step here: what it read, until it
 * succeeds, has no effect. Everything else may be interrupted after every statement. All keys
 * share one queue, which is the worst that hashing can do.
 *
 * A scenario defines PAGES, FRAMES and ENTRIES, and includes this first. A mutant is this text with
 * one macro MUTANT_... defined (see the table `mutants`).
 */

typedef page_word {
	bit locked, uptodate, waiters, error;
	byte frame;			/* 0: absent */
};

page_word word[PAGES];

/* frames.c: how often the bytes of a frame changed. Each has a count of its own. */
byte changes[FRAMES + 1];
#ifdef MUTANT_COUNT_WRAPS
#define changes_begin(f) changes[f] = 1 - changes[f]
#else
#define changes_begin(f) changes[f]++
#endif

/* What no thread of the C code can see: who owns what, and whose bytes lie in a frame. */
byte owners[PAGES];			/* of the page's lock */
byte bytes[FRAMES + 1];			/* 0: no file's */

/* P1, P2 of page.h */
#define page_check(p) \
	assert(word[p].frame != 0 || !(word[p].locked || word[p].uptodate || word[p].waiters || \
				       word[p].error)); \
	assert(!(word[p].uptodate && (word[p].error || word[p].locked)))

inline owner_begins(p)
{
	assert(owners[p] == 0);
	owners[p] = 1
}

inline owner_ends(p)
{
	assert(owners[p] == 1);
	owners[p] = 0
}

inline word_clear(p)
{
	word[p].locked = 0;
	word[p].uptodate = 0;
	word[p].waiters = 0;
	word[p].error = 0;
	word[p].frame = 0
}

/* The wait queue. Entry e is that of request, or of page_locker, e; 0 is none. */

mtype = { RUNNING, WAITING, QUEUED, COMPLETE };
#define KEYS       (PAGES + 1)
#define FRAMES_KEY PAGES		/* who waits for a frame */

bit queue_locked;
byte queue[ENTRIES];			/* oldest first */
byte queue_count;
byte entry_key[ENTRIES + 1];
bit entry_is_exclusive[ENTRIES + 1];
bit entry_is_linked[ENTRIES + 1];
mtype state[ENTRIES + 1] = RUNNING;	/* of who lies behind the entry */
bit is_gone[ENTRIES + 1];		/* a page_locker whose thread left page_seize() */
byte i;					/* used within a d_step only */

inline queue_lock()
{
	atomic { !queue_locked -> queue_locked = 1 }
}

inline queue_unlock()
{
	queue_locked = 0
}

/*
 * Steps that nobody can come between are one step, or there would be too many states: what
 * only the holder of a lock looks at, together with giving the lock up.
 */

/* wait_entry_add_locked() */
inline entry_add(e, the_key, exclusive)
{
	d_step {
		assert(!entry_is_linked[e]);
		entry_key[e] = the_key;
		entry_is_exclusive[e] = exclusive;
		entry_is_linked[e] = 1;
		queue[queue_count] = e;
		queue_count++
	}
}

/* Part of a d_step. */
inline entry_unlink(e)
{
	i = 0;
	do
	:: i < queue_count && queue[i] != e -> i++
	:: else -> break
	od;
	assert(i < queue_count);
	do
	:: i + 1 < queue_count -> queue[i] = queue[i + 1]; i++
	:: else -> break
	od;
	queue[i] = 0;
	queue_count--;
	entry_is_linked[e] = 0;
	entry_is_exclusive[e] = 0;
	entry_key[e] = 0;
	i = 0
}

/* wait_queue_first_locked(): `result` is the oldest entry of the key, or 0 */
inline queue_first(the_key, result)
{
	d_step {
		i = 0;
#ifndef MUTANT_LOOK_AT_HEAD_ONLY
		do
		:: i < queue_count && entry_key[queue[i]] != the_key -> i++
		:: else -> break
		od;
#endif
		if
		:: i < queue_count && entry_key[queue[i]] == the_key -> result = queue[i]
		:: else -> result = 0
		fi;
		i = 0
	}
}

/* wait_entry_wake_locked(): the entry is unlinked, and what waited is its ring's task work. */
inline entry_wake(e)
{
	d_step {
#ifndef MUTANT_WAKE_LEAVES_LINKED
		entry_unlink(e);
#endif
		assert(state[e] == WAITING && !is_gone[e]);
		state[e] = QUEUED
	}
}

/* wait_entry_cancel() */
inline entry_cancel(e, was_waiting)
{
#ifdef MUTANT_CANCEL_WITHOUT_QUEUE_LOCK
	was_waiting = entry_is_linked[e];
	d_step {
		if
		:: entry_is_linked[e] -> entry_unlink(e)
		:: else
		fi
	}
#else
	queue_lock();
	d_step {
		was_waiting = entry_is_linked[e];
		if
		:: was_waiting -> entry_unlink(e)
		:: else
		fi;
		queue_unlock()
	};
#endif
#ifdef MUTANT_CANCEL_WITHOUT_LOOK
	was_waiting = 1
#endif
}

/* What the inlines below need of a process. */
#define PAGE_LOCALS \
	byte next, outcome; \
	bit had_waiters

/* What a fill ended with, and what became of a page_locker. */
#define FILLED  1
#define FAILED  2
#define DROPPED 3
#define LOCKER_WAITS    1
#define LOCKER_OWNS     2
#define LOCKER_TOO_LATE 3
byte locker_outcome[ENTRIES + 1];

inline page_install(p, f)
{
	atomic {
		assert(word[p].frame == 0);
		owner_begins(p);
		word[p].frame = f;
		word[p].locked = 1;
		page_check(p)
	}
}

#ifdef MUTANT_ERROR_IS_FINAL
#define can_lock(p) (word[p].frame && !word[p].locked && !word[p].uptodate && !word[p].error)
#else
#define can_lock(p) (word[p].frame && !word[p].locked && !word[p].uptodate)
#endif

inline page_lock_try(p, is_owner)
{
#ifdef MUTANT_LOCK_IN_TWO_STEPS
	is_owner = can_lock(p);
	atomic {
		if
		:: is_owner -> owner_begins(p); word[p].locked = 1
		:: else
		fi
	}
#else
	atomic {
		is_owner = can_lock(p);
		if
		:: is_owner -> owner_begins(p); word[p].locked = 1
		:: else
		fi;
		page_check(p)
	}
#endif
}

/* lock_for_locker(): gives it the page if the page is free, else makes sure that whoever frees it
 * will know of it. The queue is locked. */
#ifdef MUTANT_HAND_OVER_LOCKED
#define is_free(p) 1
#else
#define is_free(p) (!word[p].locked)
#endif

inline lock_for_locker(p)
{
	atomic {
		if
		:: word[p].frame == 0 ->
#ifdef MUTANT_ABSENT_PAGE_KEEPS_LOCKERS
			outcome = LOCKER_WAITS
#else
			outcome = LOCKER_TOO_LATE
#endif
		:: word[p].frame != 0 && is_free(p) ->
			owner_begins(p);
#ifndef MUTANT_HAND_OVER_UNLOCKED
			word[p].locked = 1;
#endif
#ifndef MUTANT_SEIZE_KEEPS_UPTODATE
			word[p].uptodate = 0;
#endif
			outcome = LOCKER_OWNS
		:: else ->
#ifndef MUTANT_SEIZE_WITHOUT_WAITERS
			word[p].waiters = 1;
#endif
			outcome = LOCKER_WAITS
		fi;
		page_check(p)
	}
}

inline clear_waiters(p)
{
	word[p].waiters = 0
}

inline page_wake(p)
{
#ifndef MUTANT_WAKE_WITHOUT_QUEUE_LOCK
	queue_lock();
#endif
	do
	:: atomic {
		queue_first(p, next);
		if
		:: next == 0 -> break
		:: next != 0 && !entry_is_exclusive[next] ->
			entry_wake(next);
#ifdef MUTANT_WAKE_ONE
			break
#endif
		:: else ->
			lock_for_locker(p);
			if
			:: outcome == LOCKER_WAITS -> break
			:: else -> locker_outcome[next] = outcome
			fi
		fi
	   }
		if
		:: outcome != 0 ->
			/* The locker looks at its outcome without a lock. */
			entry_wake(next);
			if
			:: outcome == LOCKER_OWNS -> break
			:: else -> outcome = 0
			fi
		:: else
		fi
	od;
#ifdef MUTANT_CLEAR_WAITERS_OUTSIDE
	queue_first(p, next);
	queue_unlock();
	if
	:: next == 0 -> clear_waiters(p)
	:: else
	fi;
	next = 0;
	outcome = 0
#else
	atomic {
#ifdef MUTANT_CLEAR_WAITERS_EARLY
		next = 0;
#else
		queue_first(p, next);
#endif
		if
		:: next == 0 -> clear_waiters(p)
		:: else
		fi;
#ifndef MUTANT_WAKE_WITHOUT_QUEUE_LOCK
		queue_unlock();
#endif
		next = 0;
		outcome = 0
	}
#endif
}

inline page_unlock(p, how)
{
#ifdef MUTANT_UNLOCK_IN_TWO_STEPS
	had_waiters = word[p].waiters;
#endif
	atomic {
		assert(word[p].locked && !word[p].uptodate);
		owner_ends(p);
		word[p].locked = 0;
		word[p].uptodate = (how == FILLED);
		word[p].error = (how == FAILED);
#ifndef MUTANT_UNLOCK_IN_TWO_STEPS
		had_waiters = word[p].waiters;
#endif
#ifdef MUTANT_UNLOCK_CLEARS_WAITERS
		word[p].waiters = 0;
#endif
		page_check(p)
	};
#ifdef MUTANT_FAILED_FILL_WITHOUT_WAKE
	had_waiters = had_waiters && how != FAILED;
#endif
#ifndef MUTANT_UNLOCK_WITHOUT_WAKE
	if
	:: had_waiters -> had_waiters = 0; page_wake(p)
	:: else
	fi
#endif
}

/* `e` may be woken before this ends: its state is WAITING already. */
inline page_lock_async(p, e, is_waiting)
{
#ifdef MUTANT_WAITERS_BEFORE_QUEUE_LOCK
	atomic {
		is_waiting = word[p].locked;
		if
		:: is_waiting -> word[p].waiters = 1
		:: else
		fi
	};
	queue_lock();
#else
	queue_lock();
#ifdef MUTANT_WAIT_IN_TWO_STEPS
	is_waiting = word[p].locked;
	if
	:: is_waiting -> word[p].waiters = (word[p].frame != 0)
	:: else
	fi;
#else
	atomic {
#ifdef MUTANT_WAIT_WITHOUT_LOOK
		is_waiting = (word[p].frame != 0);
#else
		is_waiting = word[p].locked;
#endif
		if
#ifndef MUTANT_WAIT_WITHOUT_WAITERS
		:: is_waiting -> word[p].waiters = 1
#endif
		:: else
		fi;
		page_check(p)
	};
#endif
#endif
	atomic {
		if
		:: is_waiting -> entry_add(e, p, 0)
		:: else
		fi;
		queue_unlock()
	}
}

/* Blocks; `is_owner`: the page is present, and is the caller's. */
inline page_seize(p, e, is_owner)
{
#ifdef MUTANT_SEIZE_BEFORE_QUEUE_LOCK
	lock_for_locker(p);
	queue_lock();
#else
	queue_lock();
	lock_for_locker(p);
#endif
	atomic {
		locker_outcome[e] = outcome;
		if
		:: outcome == LOCKER_WAITS -> state[e] = WAITING; entry_add(e, p, 1)
		:: else
		fi;
		outcome = 0;
		queue_unlock()
	};
	locker_outcome[e] != LOCKER_WAITS;
#ifndef MUTANT_SEIZE_LEAVES_THE_WAKER
	/* The waker is done with the locker when it leaves the queue. */
	queue_lock();
	queue_unlock();
#endif
	d_step {
		is_gone[e] = 1;
		is_owner = (locker_outcome[e] == LOCKER_OWNS)
	}
}

inline page_remove(p)
{
	atomic {
		assert(word[p].locked && !word[p].uptodate);
		owner_ends(p);
		had_waiters = word[p].waiters;
		word_clear(p)
	};
#ifndef MUTANT_REMOVE_WITHOUT_WAKE
	if
	:: had_waiters -> had_waiters = 0; page_wake(p)
	:: else
	fi
#endif
}

/* `is_locked`: nothing was done, wait and try again */
inline page_invalidate(p, is_locked)
{
#ifdef MUTANT_INVALIDATE_IN_TWO_STEPS
	byte old_frame;

	atomic {
		is_locked = word[p].locked;
		old_frame = word[p].frame
	};
	atomic {
		if
		:: !is_locked -> word[p].uptodate = 0; word[p].locked = 0; word[p].frame = old_frame
		:: else
		fi
	}
#else
	atomic {
		is_locked = word[p].locked;
		if
		:: !is_locked -> word[p].uptodate = 0
		:: else
		fi
	}
#endif
}

#if defined(MUTANT_EVICT_LOCKED)
#define may_evict(p) (word[p].frame && !word[p].waiters)
#elif defined(MUTANT_EVICT_WAITED_FOR)
#define may_evict(p) (word[p].frame && !word[p].locked)
#else
#define may_evict(p) (word[p].frame && !word[p].locked && !word[p].waiters)
#endif

/* `f`: the frame that is free now, or 0 */
inline page_evict(p, f)
{
#ifdef MUTANT_EVICT_IN_TWO_STEPS
	f = (may_evict(p) -> word[p].frame : 0);
	atomic {
		if
		:: f -> word_clear(p)
		:: else
		fi
	}
#else
	atomic {
		f = (may_evict(p) -> word[p].frame : 0);
		if
		:: f -> word_clear(p)
		:: else
		fi
	}
#endif
}

/*
 * read.pml - a read, the fill it starts, frames, cancel: src/cache/{read,fill,frames}.c
 *
 * A request is the process that runs it; it may be any thread, and so may whoever ends the fill
 * of a page. A page holds one block of a file, and its bytes are one number.
 *
 * A scenario defines before it includes this:
 *    EXPECTED(p)      whether those are the bytes that the reader may see (a condition on `copied`)
 *    CONTENT(p)       the bytes that the device reads
 *    FAILURES         fills may fail
 *    RECLAIM          pages are evicted when there is no frame, and reads wait for frames
 *    WAKES_MAX        as in read.c, where a read without it might be woken for ever
 */

bit cache_locked;
bit frame_is_free[FRAMES + 1];
bit is_filling[PAGES];		/* the page's lock is the fill's */
bit is_caught[ENTRIES + 1];	/* the ring's driver has left the request waiting */

inline cache_lock()
{
	atomic { !cache_locked -> cache_locked = 1 }
}

inline cache_unlock()
{
	cache_locked = 0
}

/* A binding is a serial number; 0 is never current. */
byte serial = 1;
bit has_failed[ENTRIES + 1];	/* a fill, since that read began */
#define is_current(the_binding) (serial == the_binding)

inline complete(e)
{
	d_step {
		assert(state[e] != COMPLETE && !entry_is_linked[e]);
		state[e] = COMPLETE
	}
}

#ifdef RECLAIM
bit frames_wanted;

inline frames_wake_slow()
{
	queue_lock();
#ifndef MUTANT_FRAMES_WANTED_CLEARED_LATE
	frames_wanted = 0;
#endif
	do
	:: atomic {
		queue_first(FRAMES_KEY, next);
		if
		:: next == 0 -> queue_unlock(); break
		:: else ->
			entry_wake(next);
#ifdef MUTANT_WAKE_ONE_FOR_A_FRAME
			next = 0;
			queue_unlock();
			break
#endif
		fi
	   }
	od
#ifdef MUTANT_FRAMES_WANTED_CLEARED_LATE
	frames_wanted = 0
#endif
}

inline frames_wake()
{
	if
	:: frames_wanted -> frames_wake_slow()
	:: else
	fi
}
#else
#define frames_wake() skip
#endif

/* `f`: 0 if there is none. Cache lock. */
inline frame_alloc(f)
{
	d_step {
		f = 0;
		i = 1;
		do
		:: i <= FRAMES && !frame_is_free[i] -> i++
		:: else -> break
		od;
		if
		:: i <= FRAMES -> f = i; frame_is_free[i] = 0
		:: else
		fi;
		i = 0
	};
#ifdef RECLAIM
	victim = 0;
	do
	:: f == 0 && victim < PAGES -> page_evict(victim, f); victim++
	:: else -> victim = 0; break
	od
#endif
}

/* cache_read_wait(): wait_for_frame() */
inline wait_for_frame(e, is_waiting)
{
	is_waiting = 1;
#ifdef MUTANT_ASK_FOR_A_FRAME_BEFORE_ENQUEUE
	cache_lock();
	frame_alloc(f);
	if
	:: f -> frame_is_free[f] = 1
	:: else
	fi;
	cache_unlock();
#endif
	queue_lock();
#ifndef MUTANT_WAIT_FOR_A_FRAME_UNSAID
	frames_wanted = 1;
#endif
	d_step { state[e] = WAITING; entry_add(e, FRAMES_KEY, 0); queue_unlock() };
#if !defined(MUTANT_WAIT_FOR_A_FRAME_WITHOUT_LOOK) && !defined(MUTANT_ASK_FOR_A_FRAME_BEFORE_ENQUEUE)
	cache_lock();
	frame_alloc(f);
	if
	:: f -> frame_is_free[f] = 1
	:: else
	fi;
	cache_unlock();
	if
	:: f ->
		f = 0;
		entry_cancel(e, ok);
		if
		:: ok -> state[e] = RUNNING; is_waiting = 0
		:: else
		fi
	:: else
	fi
#endif
}

#define DONE_WITH 1	/* the request is to complete */
#define RETRY     2
#define LOCKED    3
#define NO_FRAME  4

/* Sees to it that the page is being filled: the cases U and L. Cache lock. */
inline catch_page(e, p, the_binding, verdict)
{
	verdict = LOCKED;
	if
#ifndef MUTANT_CATCH_WITHOUT_SERIAL
	:: !is_current(the_binding) -> verdict = DONE_WITH
#endif
	:: else ->
		/* The word as it is at this moment; it may change meanwhile, but not to absent
		 * or from it. */
		atomic {
			seen_frame = word[p].frame;
			seen_error = word[p].error;
			if
			:: word[p].uptodate -> verdict = RETRY
			:: word[p].locked -> verdict = 0	/* case U */
			:: else
			fi
		};
		if
		:: verdict == RETRY || verdict == DONE_WITH
		:: verdict == 0 -> verdict = LOCKED
		:: verdict == LOCKED && seen_frame == 0 ->
			frame_alloc(f);
			if
			:: f == 0 -> verdict = NO_FRAME
			:: else ->
				page_install(p, f);
				start_fill(p)
			fi
		:: verdict == LOCKED && seen_frame != 0 ->
#ifndef MUTANT_RETRY_FAILED_FILL_FOR_EVER
			errors = errors + seen_error;
#endif
			if
			:: errors > 1 ->
				/* -EIO, but not for what was before it. */
				assert(has_failed[e]);
				verdict = DONE_WITH
			:: else ->
				page_lock_try(p, ok);
				if
				:: ok -> start_fill(p)
				:: else
				fi
			fi
		fi
	fi;
	ok = 0;
	f = 0;
	seen_frame = 0;
	seen_error = 0
}

/* The page is the caller's, who is about to change the bytes of its frame. */
inline start_fill(p)
{
#if !defined(MUTANT_FILL_WITHOUT_COUNT) && !defined(MUTANT_COUNT_AFTER_FILL) && \
	!defined(MUTANT_COUNT_BEFORE_TAKE)
	changes_begin(word[p].frame);
#endif
#ifndef MUTANT_LOCK_WITHOUT_FILL
	is_filling[p] = 1
#else
	skip
#endif
}

/* hit_look(): `f` is the frame that the page is in, or 0; `seen` its count. */
inline page_look(p, f, seen)
{
#ifndef MUTANT_COUNT_AFTER_WORD
	f = word[p].frame;
	seen = changes[f];
#endif
	atomic {
#ifdef MUTANT_LOOK_WITHOUT_UPTODATE
		ok = (f != 0 && word[p].frame == f);
#elif defined(MUTANT_LOOK_WITHOUT_FRAME)
		ok = (f != 0 && word[p].uptodate);
#elif defined(MUTANT_COUNT_AFTER_WORD)
		f = word[p].frame;
		ok = word[p].uptodate;
#else
		ok = (f != 0 && word[p].uptodate && word[p].frame == f);
#endif
		if
		:: ok
		:: else -> f = 0; seen = 0
		fi
	}
#ifdef MUTANT_COUNT_AFTER_WORD
	seen = changes[f];
#endif
	ok = 0
}

proctype reader(byte e; byte p; byte binding)
{
	PAGE_LOCALS;
	byte f, seen, copied, errors, verdict, wakes, victim, seen_frame, since;
	bit ok, seen_error;

	serial >= binding;
#ifdef FAILURES
	has_failed[e] = 0;
#endif
	EXPECT_FROM_NOW;

again:	/* cache_read_try() */
	if
	:: !is_current(binding) -> goto done
	:: else
	fi;
	page_look(p, f, seen);
	if
	:: f != 0 ->
#ifndef MUTANT_SERIAL_BEFORE_LOOK_ONLY
		if
		:: !is_current(binding) -> goto done
		:: else
		fi;
#endif
		copied = bytes[f];
		/* The frame is anybody's by now; whether it changed is all that counts. */
		atomic {
			if
#ifdef MUTANT_COPY_WITHOUT_COUNT
			:: true ->
#else
			:: changes[f] == seen ->
#endif
				assert(EXPECTED(p));
				verdict = DONE_WITH
			:: else
			fi;
			copied = 0;
			seen = 0;
			f = 0
		};
		if
		:: verdict == DONE_WITH -> goto done
		:: else
		fi
	:: else
	fi;

	/* cache_read_wait() */
#ifdef WAKES_MAX
	wakes++;
	if
	:: wakes > WAKES_MAX -> goto done
	:: else
	fi;
#endif
#ifdef MUTANT_CATCH_WITHOUT_CACHE_LOCK
	catch_page(e, p, binding, verdict);
#else
	cache_lock();
	catch_page(e, p, binding, verdict);
	cache_unlock();
#endif
	if
	:: verdict == DONE_WITH -> goto done
	:: verdict == RETRY -> verdict = 0; goto again
#ifdef RECLAIM
	:: verdict == NO_FRAME -> wait_for_frame(e, ok)
#endif
	:: verdict == LOCKED ->
#ifndef MUTANT_ENQUEUE_BEFORE_READY
		state[e] = WAITING;
#endif
		page_lock_async(p, e, ok);
#ifdef MUTANT_ENQUEUE_BEFORE_READY
		state[e] = WAITING;
#endif
		if
		:: ok
		:: else -> state[e] = RUNNING
		fi
	fi;
	verdict = 0;
	if
	:: !ok -> goto again
	:: else -> ok = 0
	fi;

	/* Caught. The ring's driver does something else, until the wake-up or a cancel. */
	is_caught[e] = 1;
	if
	:: atomic { state[e] == QUEUED -> is_caught[e] = 0; state[e] = RUNNING }
#ifdef MUTANT_WOKEN_BELIEVES
		atomic { copied = bytes[word[p].frame]; assert(EXPECTED(p)); copied = 0 }
		goto done
#else
		goto again
#endif
	:: state[e] == COMPLETE -> goto out
	fi;

done:	complete(e);
out:	skip
}

/* Whoever takes up what the device has finished, and unlocks that page. */
proctype filler(byte p)
{
	PAGE_LOCALS;

end:	do
	:: atomic { is_filling[p] -> is_filling[p] = 0 }
		bytes[word[p].frame] = 0;
		if
		:: bytes[word[p].frame] = CONTENT(p);
#ifdef MUTANT_COUNT_AFTER_FILL
			changes_begin(word[p].frame);
#endif
			page_unlock(p, FILLED)
#ifdef FAILURES
		:: d_step {
				i = 1;
				do
				:: i <= ENTRIES -> has_failed[i] = 1; i++
				:: else -> i = 0; break
				od
			};
			page_unlock(p, FAILED)
#endif
		fi;
#ifndef MUTANT_UNLOCK_FORGETS_FRAMES
		frames_wake()
#endif
	od
}

/* Of the same ring: it finds the request waiting. */
proctype canceller(byte e)
{
	bit was_waiting;

end:	is_caught[e];
	entry_cancel(e, was_waiting);
	if
	:: was_waiting -> complete(e)
	:: else
	fi
}

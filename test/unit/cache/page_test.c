/*
 * page_test.c - the page word: every move from every word, who waits, and threads on one word
 */
#include "cache/page.h"

#include <pthread.h>
#include <signal.h>

#include "cache/internal.h"
#include "host/futex.h"
#include "unit.h"

#define FRAME 7u

/* The legal words of a present page: bits and touches. */
static u64 legal_words[64];
static u32 legal_count;

static bool is_legal(u64 word)
{
	return !(word & PAGE_UPTODATE) || !(word & (PAGE_ERROR | PAGE_LOCKED));
}

static int make_legal_words(void **state)
{
	(void)state;
	for (u64 bits = 0; bits < 16; bits++)
		for (u64 touches = 0; touches <= PAGE_REFS_MAX; touches++) {
			u64 word = (u64)FRAME << PAGE_FRAME_SHIFT | bits | touches * PAGE_REF_ONE;

			if (is_legal(word))
				legal_words[legal_count++] = word;
		}
	return 0;
}

#define for_each_legal_word(word)                                                                  \
	for (u32 i_ = 0; i_ < legal_count && ((word) = legal_words[i_], true); i_++)

static void an_absent_page_is_installed_locked_and_without_bytes(void **state)
{
	u64 word = 0;

	(void)state;
	page_install(&word, FRAME);
	assert_true(word == ((u64)FRAME << PAGE_FRAME_SHIFT | PAGE_LOCKED));
}

static void only_a_page_that_nobody_fills_and_that_is_not_up_to_date_can_be_locked(void **state)
{
	u64 from;

	(void)state;
	for_each_legal_word(from)
	{
		u64 word = from;
		bool is_free = !(from & (PAGE_LOCKED | PAGE_UPTODATE));

		assert_int_equal(page_lock_try(&word), is_free);
		assert_true(word == (is_free ? from | PAGE_LOCKED : from));
	}
	from = 0;
	assert_false(page_lock_try(&from));
	assert_true(from == 0);
}

static void a_touch_counts_up_to_three_and_not_if_the_word_changed(void **state)
{
	u64 from;

	(void)state;
	for_each_legal_word(from)
	{
		u64 word = from;

		if (!(from & PAGE_UPTODATE))
			continue;
		page_touch(&word, from);
		assert_true(word == (page_refs(from) < 3 ? from + PAGE_REF_ONE : from));
		word = from & ~PAGE_UPTODATE;
		page_touch(&word, from);
		assert_true(word == (from & ~PAGE_UPTODATE));
		word = 0;
		page_touch(&word, from);
		assert_true(word == 0);
	}
}

static void an_unlock_says_what_became_of_the_page(void **state)
{
	u64 from;

	(void)state;
	for_each_legal_word(from)
	{
		u64 rest = from & ~(PAGE_LOCKED | PAGE_ERROR | PAGE_WAITERS), word;

		if (!(from & PAGE_LOCKED))
			continue;
		word = from;
		page_unlock(&word, PAGE_FILLED);
		assert_true(word == (rest | PAGE_UPTODATE));
		word = from;
		page_unlock(&word, PAGE_FAILED);
		assert_true(word == (rest | PAGE_ERROR));
		word = from;
		page_unlock(&word, PAGE_DROPPED);
		assert_true(word == rest);
	}
}

static void a_page_is_invalidated_unless_it_is_locked(void **state)
{
	u64 from;

	(void)state;
	for_each_legal_word(from)
	{
		u64 word = from;

		assert_int_equal(page_invalidate(&word), !(from & PAGE_LOCKED));
		assert_true(word == (from & PAGE_LOCKED ? from : from & ~PAGE_UPTODATE));
	}
	from = 0;
	assert_true(page_invalidate(&from));
	assert_true(from == 0);
}

static void reclaim_takes_only_what_nobody_locks_or_waits_for(void **state)
{
	u64 from;

	(void)state;
	for_each_legal_word(from)
	{
		bool is_idle = !(from & (PAGE_LOCKED | PAGE_WAITERS));
		u64 word = from;

		assert_int_equal(page_evict(&word), is_idle ? FRAME : 0);
		assert_true(word == (is_idle ? 0 : from));
	}
	from = 0;
	assert_int_equal(page_evict(&from), 0);
}

static void a_page_ages_to_no_touches(void **state)
{
	u64 from;

	(void)state;
	for_each_legal_word(from)
	{
		u64 word = from;

		page_age(&word);
		assert_true(word == (page_refs(from) ? from - PAGE_REF_ONE : from));
	}
	from = 0;
	page_age(&from);
	assert_true(from == 0);
}

static void the_owner_removes_its_page(void **state)
{
	u64 from;

	(void)state;
	for_each_legal_word(from)
	{
		u64 word = from;

		if (!(from & PAGE_LOCKED))
			continue;
		assert_int_equal(page_remove(&word), FRAME);
		assert_true(word == 0);
	}
}

/* What only a bug can do: each stops the program. */

static u64 bug_word;
static void (*bug)(u64 *word);

static int commit_the_bug(void)
{
	/* The message is expected, and is not this test's. */
	signal(SIGABRT, SIG_DFL);
	dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
	bug(&bug_word);
	return 0;
}

static void assert_stops(void (*move)(u64 *word), u64 word)
{
	bug = move;
	bug_word = word;
	assert_int_equal(unit_in_child(commit_the_bug), 256 + SIGABRT);
}

static void install(u64 *word)
{
	page_install(word, FRAME);
}

static void install_no_frame(u64 *word)
{
	page_install(word, 0);
}

static void unlock(u64 *word)
{
	page_unlock(word, PAGE_FILLED);
}

static void remove_page(u64 *word)
{
	page_remove(word);
}

static void touch(u64 *word)
{
	page_touch(word, *word);
}

static void check(u64 *word)
{
	page_check(*word);
}

static void a_move_that_only_a_bug_can_make_stops_the_program(void **state)
{
	const u64 present = (u64)FRAME << PAGE_FRAME_SHIFT;

	(void)state;
	assert_stops(install, present);
	assert_stops(install_no_frame, 0);
	assert_stops(unlock, present);
	assert_stops(unlock, 0);
	assert_stops(unlock, present | PAGE_LOCKED | PAGE_UPTODATE);
	assert_stops(touch, present);
	assert_stops(touch, 0);
	assert_stops(remove_page, present);
	assert_stops(remove_page, present | PAGE_LOCKED | PAGE_UPTODATE);
}

static void a_word_that_breaks_an_invariant_stops_the_program(void **state)
{
	const u64 present = (u64)FRAME << PAGE_FRAME_SHIFT;

	(void)state;
	assert_stops(check, PAGE_LOCKED);
	assert_stops(check, PAGE_REF_ONE);
	assert_stops(check, present | PAGE_UPTODATE | PAGE_ERROR);
	assert_stops(check, present | PAGE_UPTODATE | PAGE_LOCKED);
	assert_stops(check, present | PAGE_DIRTY);
	assert_stops(check, present | PAGE_WRITEBACK);
	assert_stops(check, present | 1ull << 8);
	assert_stops(check, present | 1ull << 31);
	page_check(0);
	page_check(present);
}

/* Who waits. */

struct waiter {
	struct wait_entry entry;
	u32 called; /* (a) */
	u32 rank;
};

static u32 calls; /* (a) */

static void page_unlocked(struct wait_entry *entry)
{
	struct waiter *waiter = container_of(entry, struct waiter, entry);

	waiter->rank = add_full(&calls, 1);
	add_full(&waiter->called, 1);
}

static bool wait_for(struct waiter *waiter, u64 *word)
{
	*waiter = (struct waiter){.entry.event = page_unlocked};
	return page_lock_async(word, &waiter->entry);
}

static void who_waits_for_an_unlocked_page_tries_again_at_once(void **state)
{
	struct waiter waiter;
	u64 from;

	(void)state;
	for_each_legal_word(from)
	{
		u64 word = from;

		if (from & PAGE_LOCKED)
			continue;
		assert_false(wait_for(&waiter, &word));
		assert_int_equal(waiter.called, 0);
		assert_true(word == from);
	}
	from = 0;
	assert_false(wait_for(&waiter, &from));
	assert_true(from == 0);
}

static void an_unlock_wakes_everybody_once_in_their_order(void **state)
{
	struct waiter waiters[5];
	u64 word = 0;

	(void)state;
	for (enum page_outcome outcome = PAGE_FILLED; outcome <= PAGE_DROPPED; outcome++) {
		word = calls = 0;
		page_install(&word, FRAME);
		for (u32 i = 0; i < 5; i++) {
			assert_true(wait_for(&waiters[i], &word));
			assert_true(word & PAGE_WAITERS);
		}
		page_unlock(&word, outcome);
		assert_false(word & (PAGE_WAITERS | PAGE_LOCKED));
		for (u32 i = 0; i < 5; i++) {
			assert_int_equal(waiters[i].called, 1);
			assert_int_equal(waiters[i].rank, i);
		}
	}
}

static void who_waits_for_a_page_that_is_removed_is_woken(void **state)
{
	struct waiter waiter;
	u64 word = 0;

	(void)state;
	page_install(&word, FRAME);
	assert_true(wait_for(&waiter, &word));
	assert_int_equal(page_remove(&word), FRAME);
	assert_int_equal(waiter.called, 1);
	assert_true(word == 0);
}

static void a_cancelled_waiter_is_not_called_and_leaves_the_page_as_it_was(void **state)
{
	struct waiter waiters[2];
	u64 word = 0;

	(void)state;
	page_install(&word, FRAME);
	assert_true(wait_for(&waiters[0], &word));
	assert_true(wait_for(&waiters[1], &word));
	assert_true(wait_entry_cancel(&waiters[0].entry));
	assert_true(wait_entry_cancel(&waiters[1].entry));
	page_unlock(&word, PAGE_FILLED);
	assert_int_equal(waiters[0].called + waiters[1].called, 0);
	assert_true(word == ((u64)FRAME << PAGE_FRAME_SHIFT | PAGE_UPTODATE));
}

/* The keeper: a thread that takes the page away. */

struct keeper {
	struct page_locker locker;
	u64 *word;
	u32 wakes;    /* (a) */
	u32 sleeps;   /* (a) */
	u32 has_page; /* (a) 1: page_seize() said true, 2: false */
	u32 go_on;    /* (a) 1: unlocks it, 2: removes it */
	pthread_t thread;
};

static void keeper_sleep(struct page_locker *locker)
{
	struct keeper *keeper = container_of(locker, struct keeper, locker);

	add_full(&keeper->sleeps, 1);
	futex_wait(&keeper->wakes, 0, 1000000);
}

static void keeper_wake(struct page_locker *locker)
{
	struct keeper *keeper = container_of(locker, struct keeper, locker);

	store_release(&keeper->wakes, 1);
	futex_wake(&keeper->wakes, 1);
}

static void *keep(void *arg)
{
	struct keeper *keeper = arg;

	if (!page_seize(keeper->word, &keeper->locker)) {
		store_release(&keeper->has_page, 2);
		return NULL;
	}
	store_release(&keeper->has_page, 1);
	unit_wait_until(load_acquire(&keeper->go_on) != 0);
	if (keeper->go_on == 1)
		page_unlock(keeper->word, PAGE_DROPPED);
	else
		page_remove(keeper->word);
	return NULL;
}

static void keeper_start(struct keeper *keeper, u64 *word)
{
	*keeper = (struct keeper){.locker = {.sleep = keeper_sleep, .wake = keeper_wake},
				  .word = word};
	assert_int_equal(pthread_create(&keeper->thread, NULL, keep, keeper), 0);
}

static void keeper_start_and_sleep(struct keeper *keeper, u64 *word)
{
	keeper_start(keeper, word);
	unit_wait_until(load_acquire(&keeper->sleeps) > 0);
	assert_int_equal(load_acquire(&keeper->has_page), 0);
}

static void keeper_end(struct keeper *keeper, u32 go_on)
{
	store_release(&keeper->go_on, go_on);
	pthread_join(keeper->thread, NULL);
}

static void a_page_that_nobody_uses_is_seized_at_once(void **state)
{
	u64 word = (u64)FRAME << PAGE_FRAME_SHIFT | PAGE_UPTODATE | PAGE_REF_ONE;
	struct keeper keeper;

	(void)state;
	keeper_start(&keeper, &word);
	unit_wait_until(load_acquire(&keeper.has_page) == 1);
	assert_true(load_relaxed(&word) ==
		    ((u64)FRAME << PAGE_FRAME_SHIFT | PAGE_LOCKED | PAGE_REF_ONE));
	keeper_end(&keeper, 2);
	assert_true(word == 0);
	assert_int_equal(keeper.sleeps, 0);
}

static void an_absent_page_cannot_be_seized(void **state)
{
	struct keeper keeper;
	u64 word = 0;

	(void)state;
	keeper_start(&keeper, &word);
	keeper_end(&keeper, 0);
	assert_int_equal(keeper.has_page, 2);
	assert_true(word == 0);
}

static void the_keeper_of_a_page_that_is_filled_is_handed_its_lock(void **state)
{
	struct keeper keeper;
	u64 word = 0;

	(void)state;
	page_install(&word, FRAME);
	keeper_start_and_sleep(&keeper, &word);
	page_unlock(&word, PAGE_FILLED);
	/* Handed over: there was no moment at which anybody could copy from it or lock it. */
	assert_true(load_relaxed(&word) & PAGE_LOCKED);
	assert_false(load_relaxed(&word) & PAGE_UPTODATE);
	assert_false(page_lock_try(&word));
	unit_wait_until(load_acquire(&keeper.has_page) == 1);
	keeper_end(&keeper, 2);
	assert_true(word == 0);
}

static void who_came_before_the_keeper_is_woken_and_who_came_after_waits_for_it(void **state)
{
	struct waiter before, after;
	struct keeper keeper;
	u64 word = 0;

	(void)state;
	page_install(&word, FRAME);
	assert_true(wait_for(&before, &word));
	keeper_start_and_sleep(&keeper, &word);
	assert_true(wait_for(&after, &word));
	page_unlock(&word, PAGE_FILLED);
	assert_int_equal(before.called, 1);
	assert_int_equal(load_relaxed(&after.called), 0);
	assert_true(load_relaxed(&word) & PAGE_WAITERS);
	unit_wait_until(load_acquire(&keeper.has_page) == 1);
	keeper_end(&keeper, 1);
	assert_int_equal(after.called, 1);
	assert_true(word == (u64)FRAME << PAGE_FRAME_SHIFT);
}

static void a_keeper_whose_page_goes_is_told_so(void **state)
{
	struct keeper first, second;
	u64 word = 0;

	(void)state;
	page_install(&word, FRAME);
	keeper_start_and_sleep(&first, &word);
	keeper_start_and_sleep(&second, &word);
	page_unlock(&word, PAGE_FAILED);
	unit_wait_until(load_acquire(&first.has_page) == 1);
	assert_int_equal(load_acquire(&second.has_page), 0);
	keeper_end(&first, 2);
	keeper_end(&second, 0);
	assert_int_equal(second.has_page, 2);
	assert_true(word == 0);
}

/*
 * Threads on one word. What the lock's owner keeps is plain memory: a second owner is a
 * race that ThreadSanitizer sees. A reader that believes a frame that changed meanwhile sees
 * numbers of two fills. Assertions stop the program: a thread cannot fail a test.
 */

#define TURNS     (UNIT_HAS_TSAN ? 4000 : 20000)
#define FRAME_U32 64

static u64 hammered;
static u32 frame_words[FRAME_U32]; /* (a) */
static u32 frame_value;            /* what the lock's owner put there */
static u32 frame_is_used;          /* (a) how many own the lock */
static struct lock the_cache_lock;
static u32 threads_at_work, waits_begun, waits_ended, cancels, fills, reads_; /* (a) */

static void own_frame(u32 value)
{
	rs_assert(add_full(&frame_is_used, 1) == 0);
	frame_value = value;
	frame_changes_begin(FRAME);
	for (u32 i = 0; i < FRAME_U32; i++)
		store_relaxed(&frame_words[i], value);
	rs_assert(sub_full(&frame_is_used, 1) == 1);
}

static void fill_and_unlock(u32 value)
{
	own_frame(value);
	add_full(&fills, 1);
	page_unlock(&hammered, value % 8 == 0 ? PAGE_FAILED : PAGE_FILLED);
}

/* Case L, or a miss: whoever gets the lock fills. */
static void *hammer_fill(void *arg)
{
	for (u32 turn = 0; turn < TURNS; turn++) {
		bool is_absent;

		if (page_lock_try(&hammered)) {
			fill_and_unlock(turn);
			continue;
		}
		lock_acquire(&the_cache_lock);
		is_absent = load_relaxed(&hammered) == 0;
		if (is_absent)
			page_install(&hammered, FRAME);
		lock_release(&the_cache_lock);
		if (is_absent)
			fill_and_unlock(turn);
		else
			sched_yield();
	}
	sub_full(&threads_at_work, 1);
	return arg;
}

/* As hit_look() and hit_is_good() of read.c. */
static void *hammer_read(void *arg)
{
	for (u32 turn = 0; turn < TURNS; turn++) {
		u64 changes = load_acquire(frame_changes(FRAME)), now = load_acquire(&hammered);
		u32 copy[FRAME_U32];

		page_check(now);
		if (!(now & PAGE_UPTODATE)) {
			sched_yield();
			continue;
		}
		if (turn % 2)
			page_touch(&hammered, now);
		for (u32 i = 0; i < FRAME_U32; i++) {
			/* Copying takes long when the processor is taken away. */
			if (i == FRAME_U32 / 2 && turn % 4 == 0)
				sched_yield();
			copy[i] = load_relaxed(&frame_words[i]);
		}
		barrier_acquire();
		if (load_relaxed(frame_changes(FRAME)) != changes)
			continue;
		for (u32 i = 1; i < FRAME_U32; i++)
			rs_assert(copy[i] == copy[0]);
		add_full(&reads_, 1);
	}
	sub_full(&threads_at_work, 1);
	return arg;
}

static void *hammer_wait(void *arg)
{
	for (u32 turn = 0; turn < TURNS; turn++) {
		struct waiter waiter;

		if (!wait_for(&waiter, &hammered)) {
			sched_yield();
			continue;
		}
		add_full(&waits_begun, 1);
		if (turn % 4 == 0 && wait_entry_cancel(&waiter.entry)) {
			rs_assert(load_relaxed(&waiter.called) == 0);
			add_full(&cancels, 1);
			continue;
		}
		unit_wait_until(load_acquire(&waiter.called) > 0);
		/* The waker is done with the entry when it leaves the queue. */
		rs_assert(!wait_entry_cancel(&waiter.entry));
		rs_assert(waiter.called == 1);
		add_full(&waits_ended, 1);
	}
	sub_full(&threads_at_work, 1);
	return arg;
}

static void *hammer_take(void *arg)
{
	for (u32 turn = 0; turn < TURNS / 4; turn++) {
		struct keeper keeper = {.locker = {.sleep = keeper_sleep, .wake = keeper_wake}};

		page_invalidate(&hammered);
		sched_yield();
		lock_acquire(&the_cache_lock);
		page_age(&hammered);
		page_evict(&hammered);
		lock_release(&the_cache_lock);
		if (!page_seize(&hammered, &keeper.locker))
			continue;
		own_frame(UINT32_MAX);
		lock_acquire(&the_cache_lock);
		rs_assert(page_remove(&hammered) == FRAME);
		lock_release(&the_cache_lock);
	}
	sub_full(&threads_at_work, 1);
	return arg;
}

static void threads_on_one_word_own_it_one_at_a_time_and_nobody_waits_in_vain(void **state)
{
	static void *(*const work[])(void *) = {
		hammer_fill, hammer_fill, hammer_read, hammer_read,
		hammer_wait, hammer_wait, hammer_take, hammer_take,
	};
	pthread_t threads[ARRAY_SIZE(work)];

	(void)state;
	threads_at_work = ARRAY_SIZE(work);
	for (u32 i = 0; i < ARRAY_SIZE(work); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work[i], NULL), 0);
	for (u32 i = 0; i < ARRAY_SIZE(work); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(waits_begun, waits_ended + cancels);
	assert_true(fills > 0 && reads_ > 0);
	assert_false(load_relaxed(&hammered) & PAGE_LOCKED);
	page_check(hammered);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(an_absent_page_is_installed_locked_and_without_bytes),
	cmocka_unit_test(only_a_page_that_nobody_fills_and_that_is_not_up_to_date_can_be_locked),
	cmocka_unit_test(a_touch_counts_up_to_three_and_not_if_the_word_changed),
	cmocka_unit_test(an_unlock_says_what_became_of_the_page),
	cmocka_unit_test(a_page_is_invalidated_unless_it_is_locked),
	cmocka_unit_test(reclaim_takes_only_what_nobody_locks_or_waits_for),
	cmocka_unit_test(a_page_ages_to_no_touches),
	cmocka_unit_test(the_owner_removes_its_page),
	cmocka_unit_test(a_move_that_only_a_bug_can_make_stops_the_program),
	cmocka_unit_test(a_word_that_breaks_an_invariant_stops_the_program),
	cmocka_unit_test(who_waits_for_an_unlocked_page_tries_again_at_once),
	cmocka_unit_test(an_unlock_wakes_everybody_once_in_their_order),
	cmocka_unit_test(who_waits_for_a_page_that_is_removed_is_woken),
	cmocka_unit_test(a_cancelled_waiter_is_not_called_and_leaves_the_page_as_it_was),
	cmocka_unit_test(a_page_that_nobody_uses_is_seized_at_once),
	cmocka_unit_test(an_absent_page_cannot_be_seized),
	cmocka_unit_test(the_keeper_of_a_page_that_is_filled_is_handed_its_lock),
	cmocka_unit_test(who_came_before_the_keeper_is_woken_and_who_came_after_waits_for_it),
	cmocka_unit_test(a_keeper_whose_page_goes_is_told_so),
	cmocka_unit_test(threads_on_one_word_own_it_one_at_a_time_and_nobody_waits_in_vain),
};

int main(void)
{
	alarm(UNIT_SECONDS);
	return cmocka_run_group_tests(tests, make_legal_words, NULL);
}

/*
 * reclaim_test.c - frames: the limit, who goes, and what happens when nothing may go
 */
#include <errno.h>
#include <sys/mman.h>

#include "unit_cache.h"

#define LIMIT CACHE_LIMIT_MIN
#define SIZE  (64 * UNIT_MIB)
#define PAGES (SIZE / UNIT_PAGE)

static struct unit_reader readers[300];
static cache_binding binding;
static u64 held[LIMIT / UNIT_PAGE]; /* pages */
static u32 held_count;

static void start(u64 limit, u64 size)
{
	unit_cache_start(limit, &(struct sim_options){.seed = 1});
	sim_file(&unit_sim, UNIT_FILE, size, size);
	binding = unit_cache_open(UNIT_FILE);
}

static int setup(void **state)
{
	(void)state;
	start(LIMIT, SIZE);
	return 0;
}

/* Takes the lock of a page that is there: nobody gets its frame. */
static void hold(u64 page)
{
	assert_true(page_invalidate(unit_word(binding, page)));
	assert_true(page_lock_try(unit_word(binding, page)));
	held[held_count++] = page;
}

static void let_go_of_last(void)
{
	page_unlock(unit_word(binding, held[--held_count]), PAGE_FILLED);
	frames_wake();
}

static void let_go_of_all(void)
{
	while (held_count > 0)
		let_go_of_last();
}

static int teardown(void **state)
{
	(void)state;
	let_go_of_all();
	if (cache_file_is_current(binding))
		cache_file_lose(binding);
	assert_int_equal(unit_usage().pages, 0);
	assert_int_equal(unit_usage().words, 0);
	unit_cache_stop();
	for (u32 i = 0; i < ARRAY_SIZE(readers); i++)
		unit_reader_free(&readers[i]);
	return 0;
}

static void restart(u64 limit, u64 size)
{
	teardown(NULL);
	start(limit, size);
}

/* Reads one page; whether it was a hit. */
static bool touch_page(u64 page)
{
	u64 sent = unit_sim.sent;

	unit_read(&readers[0], binding, page * UNIT_PAGE, UNIT_PAGE);
	unit_reader_expect(&readers[0], UNIT_PAGE, 0);
	return unit_sim.sent == sent;
}

static bool page_is_there(u64 page)
{
	return load_relaxed(unit_word(binding, page)) & PAGE_UPTODATE;
}

static void a_limit_that_is_too_small_is_refused(void **state)
{
	struct device *device = &unit_sim.device;

	(void)state;
	cache_file_lose(binding);
	cache_destroy();
	assert_false(cache_is_on());
	assert_int_equal(cache_init(CACHE_LIMIT_MIN - 1, device), -EINVAL);
	assert_int_equal(cache_init(0, device), -EINVAL);
	assert_false(cache_is_on());
	assert_int_equal(cache_init(CACHE_LIMIT_MIN, device), 0);
	assert_true(cache_is_on());
	binding = unit_cache_open(UNIT_FILE);
}

static void the_limit_is_not_exceeded_and_most_of_it_holds_pages(void **state)
{
	(void)state;
	for (u64 page = 0; page < 3 * LIMIT / UNIT_PAGE; page++) {
		touch_page(page);
		unit_usage();
	}
	assert_true(unit_usage().frames >= LIMIT * 9 / 10);
}

static void pages_far_apart_need_words_and_frames_make_room_for_them(void **state)
{
	(void)state;
	/* One page in each leaf of the array of words: each costs two pages of memory. */
	restart(LIMIT, 4096 * UNIT_MIB);
	for (u64 i = 0; i < 2000; i++) {
		touch_page(i * LEAF_WORDS + i % LEAF_WORDS);
		unit_usage();
	}
	assert_in_range(unit_usage().words, LIMIT / 4, LIMIT / 2);
	/* And back: the frames that were lent come home. */
	for (u64 page = 0; page < 2 * LIMIT / UNIT_PAGE; page++)
		touch_page(page);
	assert_true(unit_usage().frames >= LIMIT * 9 / 10);
}

static void bookkeeping_is_at_most_a_hundredth_of_the_cache(void **state)
{
	(void)state;
	restart(64 * UNIT_MIB, SIZE);
	for (u64 page = 0; page + 256 <= PAGES; page += 256)
		unit_read(&readers[0], binding, page * UNIT_PAGE, 256 * UNIT_PAGE);
	assert_true(unit_usage().frames >= 62 * UNIT_MIB);
	assert_true(unit_usage().bookkeeping * 100 <= unit_usage().limit);
}

static void a_scan_does_not_evict_what_is_read_again_and_again(void **state)
{
	const u64 hot = LIMIT / UNIT_PAGE / 4, scanned = 8 * LIMIT / UNIT_PAGE;
	u64 hits = 0;

	(void)state;
	for (u32 times = 0; times < 4; times++)
		for (u64 page = 0; page < hot; page++)
			touch_page(page);
	for (u64 page = 0; page < scanned; page++) {
		touch_page(PAGES / 2 + page);
		/* Now and then one of the hot pages, as its readers would. */
		if (page % 8 == 0)
			hits += touch_page(page / 8 % hot);
	}
	assert_true(hits >= scanned / 8 * 98 / 100);
}

static void a_scan_alone_leaves_the_pages_that_were_hot_before_it(void **state)
{
	const u64 hot = LIMIT / UNIT_PAGE / 4;
	u64 left = 0;

	(void)state;
	for (u32 times = 0; times < 4; times++)
		for (u64 page = 0; page < hot; page++)
			touch_page(page);
	for (u64 page = 0; page < 8 * LIMIT / UNIT_PAGE; page++)
		touch_page(PAGES / 2 + page);
	for (u64 page = 0; page < hot; page++)
		left += page_is_there(page);
	assert_true(left >= hot * 95 / 100);
}

static void what_comes_back_soon_after_it_went_stays(void **state)
{
	u64 frames = LIMIT / UNIT_PAGE, left = 0;

	(void)state;
	for (u64 page = 0; page < frames; page++)
		touch_page(page);
	/* These went by now, and come back. */
	for (u64 page = 0; page < 32; page++)
		assert_false(touch_page(page));
	for (u64 page = 0; page < 2 * frames; page++)
		touch_page(PAGES / 2 + page);
	for (u64 page = 0; page < 32; page++)
		left += page_is_there(page);
	/* A few may be forgotten: ghosts share places. */
	assert_true(left >= 28);
}

static void a_locked_page_is_not_evicted(void **state)
{
	u64 *word = unit_word(binding, 0);
	u32 frame;

	(void)state;
	touch_page(0);
	frame = page_frame(load_relaxed(word));
	hold(0);
	for (u64 page = 0; page < 4 * LIMIT / UNIT_PAGE; page++)
		touch_page(1000 + page);
	assert_int_equal(page_frame(load_relaxed(word)), frame);
	assert_true(sim_bytes_are(frame_address(frame), UNIT_PAGE, UNIT_FILE, 0, 0));
	let_go_of_last();
	for (u64 page = 0; page < 4 * LIMIT / UNIT_PAGE; page++)
		touch_page(1000 + page);
	assert_true(*word == 0);
	assert_false(touch_page(0));
}

static void a_hit_whose_frame_was_taken_for_other_pages_or_for_words_is_none(void **state)
{
	/* A sequential reader, whose looks are no touches: the pages go first. */
	const struct readahead sequential = {.window = 64, .ahead_end = 64, .next_start = 64};
	static unsigned char bytes[100];
	static struct cache_hit hits[64];
	u32 lent = 0;

	(void)state;
	restart(LIMIT, 4096 * UNIT_MIB);
	for (u64 page = 0; page < ARRAY_SIZE(hits); page++) {
		touch_page(page);
		hits[page].user = bytes;
		assert_true(cache_hit_look(&hits[page], binding, &sequential, page * UNIT_PAGE + 1,
					   sizeof(bytes)));
	}
	for (u64 i = 1; i < 2000; i++)
		touch_page(i * LEAF_WORDS);
	for (u32 i = 0; i < ARRAY_SIZE(hits); i++) {
		lent += hits[i].bytes[0] == 0 &&
			memcmp(hits[i].bytes, hits[i].bytes + 1, sizeof(bytes)) == 0;
		assert_true(load_relaxed(unit_word(binding, i)) == 0);
		assert_false(cache_hit_copy(&hits[i]));
	}
	assert_in_range(lent, 1, ARRAY_SIZE(hits) - 1);
}

static void when_all_frames_are_locked_reads_wait_for_one_and_none_fails(void **state)
{
	u32 served = 0;
	u64 page;

	(void)state;
	for (page = 0; page < LIMIT / UNIT_PAGE; page++) {
		unit_reader_begin(&readers[0], binding, page * UNIT_PAGE, 1);
		while (readers[0].is_waiting && unit_device_step())
			unit_reader_go_on(&readers[0]);
		if (readers[0].is_waiting)
			break;
		hold(page);
	}
	/* This one found none, and nothing is under way that could give it one. */
	assert_true(page < LIMIT / UNIT_PAGE);
	assert_true(readers[0].is_waiting);
	for (u32 i = 1; i < 10; i++)
		assert_false(unit_reader_begin(&readers[i], binding,
					       (PAGES / 2 + 2 * i) * UNIT_PAGE, 9));
	while (unit_device_step())
		assert_false(unit_readers_go_on(readers, 10));
	assert_false(cache_is_busy());
	for (u32 i = 0; i < 10; i++)
		assert_int_equal(readers[i].wakes, 0);

	/* One frame for ten. Who has to see others take it too often goes through the kernel's
	 * cache. */
	let_go_of_last();
	unit_readers_run(readers, 10);
	for (u32 i = 0; i < 10; i++) {
		assert_true(readers[i].verdict == CACHE_DONE ||
			    readers[i].verdict == CACHE_REFUSED);
		served += readers[i].verdict == CACHE_DONE;
		assert_in_range(readers[i].wakes, 1, 16);
	}
	assert_true(served > 0);
}

static void more_reads_than_there_can_be_fills_wait_and_all_are_served(void **state)
{
	const u32 count = 200;
	u64 wakes = 0;

	(void)state;
	for (u32 i = 0; i < count; i++)
		assert_false(unit_reader_begin(&readers[i], binding, 2 * i * UNIT_PAGE, 100));
	unit_readers_run(readers, count);
	for (u32 i = 0; i < count; i++) {
		unit_reader_expect(&readers[i], 100, 0);
		wakes += readers[i].wakes;
	}
	assert_true(wakes < 20 * count);
}

static void a_cancelled_wait_for_a_frame_takes_none(void **state)
{
	u32 waiting;

	(void)state;
	for (waiting = 0; waiting < 200; waiting++)
		unit_reader_begin(&readers[waiting], binding, 2 * waiting * UNIT_PAGE, 100);
	assert_true(load_relaxed(&frames_wanted));
	for (u32 i = 1; i < waiting; i += 2)
		if (cache_read_cancel(&readers[i].waiter))
			readers[i].is_waiting = false;
	unit_readers_run(readers, waiting);
	for (u32 i = 0; i < waiting; i += 2)
		unit_reader_expect(&readers[i], 100, 0);
}

/* Of so large a file the counts alone take more than the cache. */
static void a_file_too_large_for_the_cache_is_refused_and_costs_no_page(void **state)
{
	struct cache_source source = {UNIT_FILE, -1, 1ull << 44};
	u64 pages;

	(void)state;
	for (u64 page = 0; page < LIMIT / UNIT_PAGE; page++)
		touch_page(page);
	pages = unit_usage().pages;
	assert_true(pages > 0);
	assert_int_equal(cache_file_open(&source), 0);
	assert_int_equal(unit_usage().pages, pages);
}

/* Bytes of address space. */
static u64 address_space(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;

	if (file == NULL || fscanf(file, "%lu", &pages) != 1)
		fail_msg("no /proc");
	fclose(file);
	return pages * (u64)UNIT_PAGE;
}

static u64 parents_address_space;

static int child_that_measures_itself(void)
{
	return address_space() + LIMIT > parents_address_space;
}

static void a_forked_child_carries_none_of_the_caches_memory(void **state)
{
	struct cache_usage usage = unit_usage();

	(void)state;
	if (UNIT_IS_SANITIZED)
		skip(); /* the sanitizer's own memory comes and goes */
	touch_page(0);
	assert_true(usage.limit == LIMIT);
	parents_address_space = address_space();
	assert_int_equal(unit_in_child(child_that_measures_itself), 0);
}

static int child_without_a_cache(void)
{
	cache_fork_child();
	if (cache_is_on() || cache_is_busy() || cache_file_is_current(binding))
		return 1;
	cache_look();
	cache_submit();
	return 0;
}

static void a_forked_child_has_no_cache(void **state)
{
	(void)state;
	touch_page(0);
	unit_reader_begin(&readers[1], binding, 100 * UNIT_PAGE, 1);
	assert_int_equal(unit_in_child(child_without_a_cache), 0);
	unit_readers_run(&readers[1], 1);
	assert_true(touch_page(0));
}

static int child_with_a_cache_of_its_own(void)
{
	static struct sim sim;
	cache_binding own;

	cache_fork_child();
	if (sim_init(&sim, &(struct sim_options){.seed = 1, .is_automatic = true}) ||
	    cache_init(LIMIT, &sim.device))
		return 1;
	sim_file(&sim, UNIT_FILE, SIZE, SIZE);
	own = cache_file_open(&(struct cache_source){UNIT_FILE, -1, SIZE});
	if (own == 0 || own == binding)
		return 2;
	unit_reader_begin(&readers[2], own, 5 * UNIT_PAGE, 100);
	while (!readers[2].is_done) {
		cache_submit();
		cache_look();
		unit_reader_go_on(&readers[2]);
	}
	if (readers[2].verdict != CACHE_DONE || !unit_reader_has_versions(&readers[2], 0, 0))
		return 3;
	return 0;
}

static void a_forked_child_makes_a_cache_of_its_own(void **state)
{
	(void)state;
	touch_page(0);
	assert_int_equal(unit_in_child(child_with_a_cache_of_its_own), 0);
	assert_true(touch_page(0));
}

#define reclaim_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct CMUnitTest tests[] = {
	reclaim_test(a_limit_that_is_too_small_is_refused),
	reclaim_test(the_limit_is_not_exceeded_and_most_of_it_holds_pages),
	reclaim_test(pages_far_apart_need_words_and_frames_make_room_for_them),
	reclaim_test(bookkeeping_is_at_most_a_hundredth_of_the_cache),
	reclaim_test(a_scan_does_not_evict_what_is_read_again_and_again),
	reclaim_test(a_scan_alone_leaves_the_pages_that_were_hot_before_it),
	reclaim_test(what_comes_back_soon_after_it_went_stays),
	reclaim_test(a_locked_page_is_not_evicted),
	reclaim_test(a_hit_whose_frame_was_taken_for_other_pages_or_for_words_is_none),
	reclaim_test(when_all_frames_are_locked_reads_wait_for_one_and_none_fails),
	reclaim_test(more_reads_than_there_can_be_fills_wait_and_all_are_served),
	reclaim_test(a_cancelled_wait_for_a_frame_takes_none),
	reclaim_test(a_file_too_large_for_the_cache_is_refused_and_costs_no_page),
	reclaim_test(a_forked_child_carries_none_of_the_caches_memory),
	reclaim_test(a_forked_child_has_no_cache),
	reclaim_test(a_forked_child_makes_a_cache_of_its_own),
};

unit_main(tests)
